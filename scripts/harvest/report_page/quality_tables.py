"""The quality tables of a folder of results, as data frames: cells.csv.gz and libraries.csv.

Columns that a table lacks, since an older version wrote it, are not in the frame: the page then says nothing of them.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scripts.core.errors import InputError

_TEXTS = frozenset(
    "cell series sample experiment runs species status reason flags chemistry cell_filter top_gene other_species"
    " same_reads_as same_counts_as barcodes_shared_with lanes_differ sex_declared sex_found".split()
)
"""Columns of text; all others are numbers, empty where unknown."""
_CHANGED = {
    "genes": ("n_genes_by_counts", 1),
    "in_genes": ("total_counts", 1),
    "mapped_share": ("pct_mapped", 100),
    "mismatch_percent": ("pct_mismatch", 1),
}
"""Column of tables of cells up to version 0.2 → its name now, and the factor between them."""


def read_cells(results: Path) -> pd.DataFrame:
    """Return the plate cells, a row each; without rows where there is no table. Raises InputError for a broken one."""
    cells = _read(results / "quality" / "cells.csv.gz")
    if "n_genes_by_counts" not in cells:
        for old, (new, factor) in _CHANGED.items():
            if old in cells:
                cells[new] = cells.pop(old) * factor
    return cells


def read_libraries(results: Path) -> pd.DataFrame:
    """Return the droplet libraries, a row each; without rows where there is no table."""
    return _read(results / "quality" / "libraries.csv")


def _read(path: Path) -> pd.DataFrame:
    needed = ["series", "experiment", "species", "status", "flags"]
    if not path.exists():
        return pd.DataFrame(columns=needed, dtype=object)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", lineterminator="\n")
    except (OSError, EOFError, ValueError) as error:  # ValueError: no CSV, no UTF-8
        raise InputError(f"{path}: cannot be read as a table of quality: {error}.") from error
    for name in map(str, table):
        if name not in _TEXTS and not name.endswith(("_as", "_with")):
            numbers = pd.to_numeric(table[name].replace("", None), errors="coerce")
            if numbers.notna().any() or (table[name] == "").all():
                table[name] = numbers.astype(float)
    for name in needed:
        if name not in table:
            table[name] = ""
    return table


def present(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return those of some columns of numbers that a table has, with a value in at least one row."""
    return [name for name in columns if name in table and table[name].dtype == float and table[name].notna().any()]
