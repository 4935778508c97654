"""The tables of quality: their cells and libraries are those of the ledger, their figures those of the h5ad files."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scripts.core.disk.gzip_files import open_bounded
from scripts.formats.h5ad_checked import read_column, read_names, read_numbers, sum_rows
from scripts.harvest.checks.tables import BROKEN, first_faults
from scripts.harvest.quality.cells import COLUMNS
from scripts.harvest.quality.flags import FLAGS, join_flags
from scripts.harvest.results import longest_line, split_line
from scripts.plan.run_table import Run

CELLS = "quality/cells.csv.gz"
LIBRARIES = "quality/libraries.csv"
_LONGEST_FIGURES = 4096  # bytes of a row beside its accessions
_PERCENTS = tuple(name for name in COLUMNS if name.startswith("pct_"))


class CellFigures(NamedTuple):
    """What is compared with the h5ad of a species."""

    flags: str
    total_counts: str


def cell_faults(
    path: Path, ledger: Sequence[Run], found: dict[str, dict[str, CellFigures]] | None = None
) -> Iterator[str]:
    """Yield a sentence for each cell whose status is not the ledger's, that is missing, or whose figures are none.

    Fills ``found``: species → first run of a cell → its figures.
    """
    settled = {(row.species, row.run): row.status for row in ledger if row.assay == "plate"}
    counted = {key for key, status in settled.items() if status == "counted"}
    faults = []
    longest = longest_line(ledger) + _LONGEST_FIGURES
    with open_bounded(path, CELLS) as handle:
        if split_line(handle.line(longest))[: len(COLUMNS)] != list(COLUMNS):
            yield f"{CELLS}: its first row must be {','.join(COLUMNS)}."
            return
        while line := handle.line(longest):
            values = dict(zip(COLUMNS, split_line(line), strict=False))
            for run in values.get("runs", "").split(";"):
                key = (values.get("species", ""), run)
                counted.discard(key)
                if settled.get(key) != values.get("status"):
                    faults.append(f"{run[:80]} is {values.get('status')!r}, but {settled.get(key)!r} in the ledger.")
            faults += figure_faults(values)
            if found is not None and values.get("status") == "counted":
                of_species = found.setdefault(values["species"], {})
                of_species[min(values["runs"].split(";"))] = CellFigures(values["flags"], values["total_counts"])
    faults += [f"{run} is counted in the ledger, but not in it." for _, run in sorted(counted)]
    yield from first_faults(CELLS, faults)


def figure_faults(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for flags that are none, and for a percentage that is none."""
    name = values.get("cell", "")[:80]
    codes = values.get("flags", "").split(";") if values.get("flags") else []
    if not set(codes) <= FLAGS.keys() or join_flags(codes) != values["flags"]:
        yield f"{name} has the flags {values['flags'][:80]!r}, which are not codes in their order."
    for column in _PERCENTS:
        if (text := values.get(column, "")) and not _is_percent(text):
            yield f"{name} has {text[:80]!r} as {column}."


def _is_percent(text: str) -> bool:
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False


def obs_faults(path: Path, cells: Mapping[str, CellFigures]) -> Iterator[str]:
    """Yield a sentence for each cell of an h5ad whose counts or flags are not those of the table of cells."""
    try:
        with h5py.File(path, "r") as root:
            names = [
                min(runs.split(";")) for runs in read_column(root, "obs/runs", len(read_names(root, "obs/_index")))
            ]
            if "flags" not in root["obs"]:
                yield f"{path.name}: obs has no flags; make it again."
                return
            flags = read_column(root, "obs/flags", len(names))
            sums = np.asarray(sum_rows(root, "X", len(names), real=True), float).tolist()
    except BROKEN as error:
        yield f"{path.name}: cannot be read as the counts of a species: {error}."
        return
    faults = []
    for name, of_cell, total in zip(names, flags, sums, strict=True):
        known = cells.get(name)
        if known is None:
            faults.append(f"{name[:80]} is not in {CELLS}.")
        elif known.flags != of_cell:
            faults.append(f"{name[:80]} has the flags {of_cell[:80]!r}, but {known.flags[:80]!r} in {CELLS}.")
        elif not _is_close(known.total_counts, total):
            faults.append(f"{name[:80]} has {total:.10g} counts, but {known.total_counts[:80]!r} in {CELLS}.")
    yield from first_faults(path.name, faults)


def _is_close(text: str, value: float) -> bool:
    """Return whether a text is the value to nine digits."""
    try:
        return abs(float(text) - value) <= 1e-9 * max(value, 1)
    except ValueError:
        return False


def library_faults(path: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each library whose status is not the ledger's, that is missing, or whose flags are none."""
    statuses = {(row.species, row.run): row.status for row in ledger if row.assay == "droplet"}
    counted = {(row.species, row.run): row.experiment for row in ledger if row.assay == "droplet"}
    counted = {key: experiment for key, experiment in counted.items() if statuses[key] == "counted"}
    faults = []
    with path.open(encoding="utf-8", newline="") as handle:
        for values in csv.DictReader(handle):
            for run in filter(None, values.get("runs", "").split(";")):
                key = (values.get("species", ""), run)
                counted.pop(key, None)
                if statuses.get(key) != values.get("status"):
                    faults.append(f"{run[:80]} is {values.get('status')!r}, but {statuses.get(key)!r} in the ledger.")
            faults += figure_faults(values | {"cell": values.get("experiment", "")})
    faults += [f"{experiment} is counted in the ledger, but not in it." for experiment in sorted(set(counted.values()))]
    yield from first_faults(LIBRARIES, faults)


def droplet_obs_faults(path: Path, name: str) -> Iterator[str]:
    """Yield a sentence for each droplet cell whose total_counts are not its counts, or whose flags are none."""
    try:
        with h5py.File(path, "r") as root:
            if "flags" not in root["obs"]:
                return  # without a library, or of an earlier version
            names = read_names(root, "obs/_index")
            flags = read_column(root, "obs/flags", len(names))
            totals = read_numbers(root, "obs/total_counts", len(names))
            sums = sum_rows(root, "X", len(names))
    except BROKEN as error:
        yield f"{name}: cannot be read as the counts of droplets: {error}."
        return
    faults = [f"{names[cell]} has other total_counts than counts." for cell in np.flatnonzero(totals != sums).tolist()]
    for cell, text in zip(names, flags, strict=True):
        faults += figure_faults({"cell": cell, "flags": text}) if text else ()
    yield from first_faults(name, faults)
