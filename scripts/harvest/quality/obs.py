"""The figures of cells.csv.gz as columns of obs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.core.errors import InputError
from scripts.harvest.quality.cells import COLUMNS, LEDGER, TEXTS

_WHOLE = re.compile(r"[0-9]+")


def quality_columns(path: str | Path, species: str, cells: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return column → values of the cells of a species, given by their runs, from a table of their quality.

    Text; whole numbers (int64) where all values are such; else float64, NaN where a value is empty. Raises InputError
    where the table has not all cells.
    """
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False, compression="gzip")
    of_species = table[table.species == species]
    of_species = of_species.set_index(of_species.runs.map(lambda runs: min(runs.split(";"))))
    names = [min(runs) for runs in cells]
    if missing := [name for name in names if name not in of_species.index]:
        raise InputError(f"{path}: it has no row for {missing[0]} of {species}; make it again.")
    chosen = of_species.loc[names]
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in LEDGER:
            continue
        texts = chosen[name].tolist()
        if name in TEXTS:
            columns[name] = texts
        elif all(map(_WHOLE.fullmatch, texts)):
            columns[name] = np.array(texts, np.int64)
        else:
            columns[name] = np.array([float(text) if text else np.nan for text in texts])
    return columns
