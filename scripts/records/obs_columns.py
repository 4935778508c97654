"""The columns of obs in the h5ad files, and where each comes from.

A row of obs is a plate cell (:func:`plate_columns`, for the command counts_h5ad) or a droplet cell
(:func:`library_fields` and :func:`droplet_columns`, for droplets_h5ad). Both have, in this order or sorted:

- columns of the run table: the runs of a cell or library together, different values joined by ``;``, spots and bases
  added up, -1 where unknown; for a library chemistry and read_roles as the reads showed them
- of plate cells, the tallies of htseq-count
- of plate cells, ``star_…``: the numbers of STAR's log, under the log's words
- ``geo_…``: title, source and characteristics of the sample, see :mod:`scripts.records.sample_fields`
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.plan.run_table import COLUMNS, Run
from scripts.records.sample_fields import column_name, describe_samples
from scripts.star.log import CLOCK_FIELDS, merge_fields

PLATE_TEXTS = ("series", "exp_id", "sample", "experiment", "tax_id", "organism", "species", "layout", "source")
SUMS = ("spots", "bases")
UNKNOWN = -1
"""A number that the run table or a log does not have."""
_NOT_OF_LIBRARIES = ("bytes", "md5", "source", "status", "reason", "detail")
_WHOLE = re.compile(r"-?[0-9]+")


def join_values(rows: Sequence[Run], column: str) -> str:
    """Return the different values of a column, in the order of the rows, joined by ``;``."""
    return ";".join(dict.fromkeys(getattr(row, column) for row in rows))


def add_numbers(rows: Sequence[Run], column: str) -> int:
    """Return the sum of a column of numbers, or UNKNOWN where a row has none."""
    numbers = [getattr(row, column) for row in rows]
    return sum(map(int, numbers)) if all(numbers) else UNKNOWN


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
    columns |= {name: np.array([add_numbers(rows, name) for rows in cells], np.int64) for name in SUMS}
    return columns | dict(tallies) | star_columns(logs) | geo_columns([rows[0] for rows in cells], records)


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
    return columns | {name: np.array(columns[name], np.int64) for name in SUMS if name in columns}


def star_columns(logs: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Return name → values for the fields of STAR's logs that are numbers, in STAR's order.

    int64 where all values are whole numbers, UNKNOWN where a log has none; else float64, and NaN.
    """
    columns = {}
    for field in merge_fields(log.keys() for log in logs):
        texts = [log.get(field, "").removesuffix("%") for log in logs]
        if field in CLOCK_FIELDS or not any(texts):
            continue
        if all(not text or _WHOLE.fullmatch(text) for text in texts):
            values = np.array([int(text) if text else UNKNOWN for text in texts], np.int64)
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
