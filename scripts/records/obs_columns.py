"""The columns of obs in the h5ad files, and where each comes from.

A row of obs is a plate cell (:func:`plate_columns`, for the command counts_h5ad) or a droplet cell
(:func:`library_fields` and :func:`droplet_columns`, for droplets_h5ad). Both have, in this order or sorted:

- columns of the run table: the runs of a cell or library together, different values joined by ``;``, spots and bases
  added up, NaN where unknown; for a library chemistry and read_roles as the reads showed them; the source of a plate
  cell is ``archive`` whichever archive or mirror served it, which the ledger says
- of plate cells, the tallies of htseq-count
- of plate cells, ``star_…``: the numbers of STAR's log, under the log's words
- ``geo_…``: title, source and characteristics of the sample (:func:`describe_sample`), from the family file of the
  series (SOFT or MINiML) or from those of its parts, whichever has the sample
- the user's own columns of a run table (:func:`add_own`)
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.plan.run_table import COLUMNS, Run, spots_of
from scripts.records.answers import record_files
from scripts.star.log import CLOCK_FIELDS, merge_fields

PLATE_TEXTS = ("series", "exp_id", "sample", "experiment", "tax_id", "organism", "species", "layout")
SUMS = ("spots", "bases")
_NOT_OF_LIBRARIES = ("bytes", "md5", "source", "status", "reason", "detail")
_CHARACTERISTICS = re.compile(r"characteristics_ch\d+")
_TITLES = {"title": "geo_title", "source_name_ch1": "geo_source_name"}
_WHOLE = re.compile(r"-?[0-9]+")


def join_values(rows: Sequence[Run], column: str) -> str:
    """Return the different values of a column, in the order of the rows, joined by ``;``."""
    return ";".join(dict.fromkeys(getattr(row, column) for row in rows))


def origin_of(rows: Sequence[Run]) -> str:
    """Return where the reads of a cell are from: own or submitted files, or ``archive``; empty where it is unknown."""
    own = ("", "bam", "submitted")
    origins = [row.source if row.source.startswith("file:") or row.source in own else "archive" for row in rows]
    return ";".join(dict.fromkeys(origins))


def add_numbers(rows: Sequence[Run], column: str) -> int | None:
    """Return the sum of a column of numbers, None where a row has none."""
    numbers = spots_of(rows) if column == "spots" else [getattr(row, column) for row in rows]
    return sum(map(int, numbers)) if all(numbers) else None


def whole_numbers(values: Sequence[int | None]) -> np.ndarray:
    """Return whole numbers as int64; as float64, with NaN for those that are None, where there is one."""
    if any(value is None for value in values):
        return np.array([math.nan if value is None else value for value in values])
    return np.array(values, np.int64)


def plate_columns(
    cells: Sequence[Sequence[Run]],
    tallies: Mapping[str, np.ndarray],
    logs: Sequence[Mapping[str, str]],
    records: str | Path,
) -> dict[str, Any]:
    """Return name → values, a value a plate cell.

    ``cells`` are the rows of each cell in the ledger, ``tallies`` has its values of each tally, ``logs`` its STAR logs
    and ``records`` is the folder of the archives' answers.
    """
    columns: dict[str, Any] = {"runs": [";".join(row.run for row in rows) for rows in cells]}
    columns |= {name: [join_values(rows, name) for rows in cells] for name in PLATE_TEXTS}
    columns["source"] = [origin_of(rows) for rows in cells]
    columns |= {name: whole_numbers([add_numbers(rows, name) for rows in cells]) for name in SUMS}
    return columns | dict(tallies) | star_columns(logs) | geo_columns([rows[0] for rows in cells], records)


def add_own(columns: dict[str, Any], cells: Sequence[Mapping[str, str]]) -> None:
    """Add the user's own columns, of which ``cells`` has column → text of each cell; None where a cell has none.

    A column under a name that is taken is called ``own_…``.
    """
    for name in dict.fromkeys(name for cell in cells for name in cell):
        free = name
        while free in columns or free == "_index":  # which HDF5 has of the index
            free = f"own_{free}"
        columns[free] = [cell.get(name) for cell in cells]


def library_fields(rows: Sequence[Run], chemistry: str, roles: str, sample: Mapping[str, str]) -> dict[str, Any]:
    """Return name → value for all cells of a droplet library.

    ``rows`` are its runs, ``chemistry`` and ``roles`` replace the values of the run table where they are known, and
    ``sample`` are the columns from GEO.
    """
    fields: dict[str, Any] = {name: join_values(rows, name) for name in COLUMNS if name not in _NOT_OF_LIBRARIES}
    fields |= {name: add_numbers(rows, name) for name in SUMS}
    fields["chemistry"] = chemistry or fields["chemistry"]
    fields["read_roles"] = roles or fields["read_roles"]
    return fields | dict(sample)


def droplet_columns(libraries: Sequence[Mapping[str, Any]], cells: Sequence[int]) -> dict[str, Any]:
    """Return name → values, a value a droplet cell, from the fields of libraries and how many cells each has.

    Columns of the run table come first, in its order, the others sorted; a field that a library lacks is None.
    """
    names = {name for fields in libraries for name in fields}
    ordered = [name for name in COLUMNS if name in names] + sorted(names - set(COLUMNS))
    columns: dict[str, Any] = {
        name: [fields.get(name) for fields, times in zip(libraries, cells, strict=True) for _ in range(times)]
        for name in ordered
    }
    return columns | {name: whole_numbers(columns[name]) for name in SUMS if name in columns}


def star_columns(logs: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Return name → values for the fields of STAR's logs that are numbers, in STAR's order.

    int64 where all values are whole numbers; else float64, NaN where a log has none.
    """
    columns = {}
    for field in merge_fields(log.keys() for log in logs):
        texts = [log.get(field, "").removesuffix("%") for log in logs]
        if field in CLOCK_FIELDS or not any(texts):
            continue
        if all(not text or _WHOLE.fullmatch(text) for text in texts):
            values = whole_numbers([int(text) if text else None for text in texts])
        else:
            values = np.array([_number(text) for text in texts])
        columns[f"star_{column_name(field)}"] = values
    return columns


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return math.nan if math.isnan(value) else value  # one NaN for all: its bits are in the file


def geo_columns(cells: Sequence[Run], records: str | Path) -> dict[str, list[str | None]]:
    """Return name → values for the samples of cells, a run each, sorted by name; None where GEO says nothing."""
    series: dict[str, dict[str, list[int]]] = {}
    for index, row in enumerate(cells):
        series.setdefault(row.series, {}).setdefault(row.sample, []).append(index)
    columns: dict[str, list[str | None]] = {}
    for accession, samples in sorted(series.items()):
        for sample, fields in describe_samples(records, accession, samples).items():
            for name, text in fields.items():
                values = columns.setdefault(name, [None] * len(cells))
                for index in samples[sample]:
                    values[index] = text
    return dict(sorted(columns.items()))


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
