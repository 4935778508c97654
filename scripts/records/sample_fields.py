"""The columns of obs that come from GEO: title, source and characteristics of a cell's sample.

They are read from the family file of the series (SOFT or MINiML), or from those of its parts, whichever has the sample.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.records import record_files

_CHARACTERISTICS = re.compile(r"characteristics_ch\d+")
_TITLES = {"title": "geo_title", "source_name_ch1": "geo_source_name"}


def column_name(field: str) -> str:
    """Return the name of an obs column for a field of STAR or GEO: its words in lower case, joined by ``_``."""
    words = field.replace("%", " percent ").lower()
    return "_".join(re.findall(r"\w+", words))


def describe_sample(fields: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return column → text for the fields of a sample in a family file: its title, source and characteristics.

    ``tissue: brain`` gives geo_tissue; text without a name gives geo_characteristics.
    """
    described: dict[str, list[str]] = {}
    for field, values in fields.items():
        if field in _TITLES:
            described.setdefault(_TITLES[field], []).extend(value.strip() for value in values)
        elif _CHARACTERISTICS.fullmatch(field):
            for value in values:
                tag, colon, text = value.partition(":")
                name = column_name(tag) if colon else ""
                described.setdefault(f"geo_{name or 'characteristics'}", []).append((text if name else value).strip())
    return {name: ";".join(values) for name, values in described.items()}


def describe_samples(folder: str | Path, series: str, samples: Collection[str]) -> dict[str, dict[str, str]]:
    """Return sample → column → text for the samples of a series that a record in ``folder`` describes."""
    described: dict[str, dict[str, str]] = {}
    for family in record_files.walk_families(folder, series, set()):
        for entity in family:
            if entity.kind == "sample" and entity.accession in samples and entity.accession not in described:
                described[entity.accession] = describe_sample(entity.fields)
        if len(described) == len(set(samples)):
            break
    return described
