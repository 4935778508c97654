"""Columns of an h5ad's obs that describe the sample of a cell, from the run table and from GEO.

The runs of a cell are joined: values by ``;``, numbers as their sum. GEO's columns come from the family file (SOFT or
MINiML) of the series, or from that of the part of it that holds the sample.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.plan.run_table import Run
from scripts.records import record_files

SUMS = ("spots", "bases")
"""Columns of the run table that are summed."""
UNKNOWN = -1
"""A number that a run table does not have."""

_CHARACTERISTICS = re.compile(r"characteristics_ch\d+")
_TITLES = {"title": "geo_title", "source_name_ch1": "geo_source_name"}


def join_values(rows: Sequence[Run], column: str) -> str:
    """Return the different values of a column, in the order of the rows, joined by ``;``."""
    return ";".join(dict.fromkeys(getattr(row, column) for row in rows))


def add_numbers(rows: Sequence[Run], column: str) -> int:
    """Return the sum of a column of numbers, or UNKNOWN where a row has none."""
    numbers = [getattr(row, column) for row in rows]
    return sum(map(int, numbers)) if all(numbers) else UNKNOWN


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
