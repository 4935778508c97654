"""The quality tables of a folder of results, as data frames: cells.csv.gz and libraries.csv.

Columns that a table lacks, since an older version wrote it, are not in the frame: the page then says nothing of them.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scripts.core.errors import InputError

_TEXTS = frozenset(
    "cell series sample experiment runs species status reason flags chemistry read_roles evidence inclusion_list"
    " next_list cell_filter matrix top_gene other_species same_reads_as same_counts_as barcodes_shared_with"
    " sex_of_record sex_of_genes".split()
)
"""Columns of text; all others are numbers, empty where unknown."""
LARGEST = 1e18
"""Of a figure: what is beyond is unknown."""
_NOT_SHOWN = frozenset("reason not_aligned read_length mapped_length sampled_reads xist_counts y_counts spots".split())
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


def _is_shown(column: str) -> bool:
    """Return whether a column may be needed: of the others there are many."""
    return not column.startswith(("z_", "SJ: ", "GeneFull_Ex50pAS: ")) and column not in _NOT_SHOWN


def _read(path: Path) -> pd.DataFrame:
    needed = ["series", "experiment", "species", "status", "flags"]
    if not path.exists():
        return pd.DataFrame(columns=needed, dtype=object)
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8", lineterminator="\n", usecols=_is_shown
        )
    except (OSError, EOFError, ValueError) as error:  # ValueError: no CSV, no UTF-8
        raise InputError(f"{path}: cannot be read as a table of quality: {error}.") from error
    for name in map(str, table):
        if name not in _TEXTS:
            numbers = pd.to_numeric(table[name].replace("", None), errors="coerce")
            if numbers.notna().any() or (table[name] == "").all():
                numbers = numbers.astype(float)
                table[name] = numbers.where(numbers.abs() < LARGEST)  # no infinity
    for name in needed:
        if name not in table:
            table[name] = ""
    return table


_PARTNERS = {
    "other_species": ("{} % of its reads are of {}", "pct_other_species"),
    "same_reads_as": ("{} % of its reads are those of {}", "pct_same_reads"),
    "same_counts_as": ("{} % of its counts are those of {}", "pct_same_counts"),
    "barcodes_shared_with": ("{} barcodes of its cells are in {}", "barcodes_shared"),
}
"""Column of the other thing that a flag is about → what is said of it, with the column of how much."""
_OF_FLAG = {
    "SPECIES_MISMATCH": "other_species",
    "SPECIES_MIXED": "other_species",
    "DUPLICATE_READS": "same_reads_as",
    "DUPLICATE_COUNTS": "same_counts_as",
    "BARCODE_OVERLAP": "barcodes_shared_with",
}


def about_flag(row: pd.Series, code: str) -> str:
    """Return what a row says of one of its flags: which other species, cell or library it is about, and how much."""
    if code == "SEX_MISMATCH" and row.get("sex_of_record") and row.get("sex_of_genes"):
        return f"record: {row.sex_of_record}, genes: {row.sex_of_genes}"
    name = _OF_FLAG.get(code, "")
    if not name or not row.get(name):
        return ""
    words, number = _PARTNERS[name]
    share = row.get(number, float("nan"))
    return words.format(f"{share:.4g}" if share == share else "some", row[name])


def present(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return those of some columns of numbers that a table has, with a value in at least one row."""
    return [name for name in columns if name in table and table[name].dtype == float and table[name].notna().any()]
