"""Call the cells of a library from its kept matrices, as STARsolo calls them in the run that counts.

STAR does it itself (``--runMode soloCellFiltering``), one feature a call. It differs from the call in the run that
counts in what it is given, which is made good here:

- It leaves out the last barcode of a matrix: behind all others there is one without counts.
- It sees no barcode that has reads but no counts; those count among all barcodes where a filter asks how many there
  are. Such a barcode has an entry of 0.
- It writes no figures of the cells; they are those of STAR's own Summary.csv, counted here.

A folder of calls (``units/cells/{library}``) has ``cells.json``, of a library that was counted: an object of
``cell_filter`` and ``skipped`` (feature → barcodes, most, instead: EmptyDrops_CR that STAR skipped). For each feature
that is asked for it has ``{feature}/Summary.csv``, with the figures of cells, and, where cells were called, their
``{feature}/barcodes.tsv``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scripts.core.disk.files import parse_json, remove_folder, write_atomic
from scripts.core.errors import InputError, RunFault
from scripts.droplets.kept.kept_library import CountedReads, KeptLibrary
from scripts.droplets.starsolo import SkippedFilter, read_skipped_filter, read_summary
from scripts.formats.matrix_market import matrix_text
from scripts.star import program

if TYPE_CHECKING:
    import scipy.sparse

NO_FILTER = "None"
_CALLS = "cells.json"
_UNIQUE_READS = "yessubWLmatch_UniqueFeature"  # of Features.stats


class CellCalls(NamedTuple):
    """The cells of a feature, in the order of the raw matrices."""

    barcodes: Sequence[str]
    skipped: SkippedFilter | None
    """EmptyDrops_CR that STAR skipped."""
    figures: Mapping[str, str]
    """What STAR's Summary.csv says of cells: name → value."""


def call_cells(library: KeptLibrary, feature: str, cell_filter: str, folder: Path) -> CellCalls:
    """Return the cells of a gene feature; STAR works in a new folder, ``folder``.

    Raises RunFault (COUNT_FAILED) where STAR fails, as EmptyDrops_CR of STAR 2.7.10b does on some small libraries, and
    Interrupted where it was killed.
    """
    reads = library.reads(feature)
    counts = library.matrix(feature)
    counted = counts[:, reads.numbers]
    if counted.nnz != counts.nnz:
        raise InputError(
            f"{library.of(feature)}: barcodes with counts are missing in reads.tsv.gz. Delete {library.folder} to count"
            " the library again."
        )
    if not reads.barcodes:
        return CellCalls([], None, _figures(library, feature, counted, reads, np.zeros(0, np.int64)))
    remove_folder(folder.parent, folder.name)
    raw = folder / "raw"
    raw.mkdir(parents=True)
    with (raw / "matrix.mtx").open("wb") as handle:
        handle.writelines(matrix_text(_with_zeros(counted)))
    (raw / "barcodes.tsv").write_text("".join(f"{barcode}\n" for barcode in [*reads.barcodes, "-"]))
    library.unpack(feature, "features.tsv", raw / "features.tsv")
    arguments = ["--runMode", "soloCellFiltering", "raw", "cells/", "--soloCellFilter", *cell_filter.split()]
    code, complaint = program.run_star(arguments, folder)
    program.raise_if_interrupted(code, complaint, folder)
    if code:
        raise RunFault(
            "COUNT_FAILED",
            f"the cells of {feature} could not be called: {complaint} Give another droplets.cell_filter, e.g."
            " CellRanger2.2.",
        )
    called = folder / "cells/barcodes.tsv"
    names = called.read_text(encoding="utf-8").split() if called.is_file() else []  # STAR writes none of no cells
    position = {barcode: number for number, barcode in enumerate(reads.barcodes)}
    cells = np.array([position[name] for name in names], np.int64)
    skipped = read_skipped_filter(folder / "Log.out")
    figures = _figures(library, feature, counted, reads, cells)
    remove_folder(folder.parent, folder.name)
    return CellCalls(names, skipped, figures)


def _with_zeros(counts: "scipy.sparse.csc_matrix") -> "scipy.sparse.csc_matrix":
    """Return counts with an entry of 0 in every empty column, and with such a column behind all others.

    The gene of these entries is one that has counts, where any has, so that it is detected by them in no cell.
    """
    import scipy.sparse

    matrix = counts.tocoo()
    empty = np.flatnonzero(np.diff(counts.indptr) == 0)
    columns = np.append(empty, counts.shape[1])
    gene = matrix.row[0] if matrix.nnz else 0
    rows = np.concatenate([matrix.row, np.full(columns.size, gene, matrix.row.dtype)])
    values = np.concatenate([matrix.data, np.zeros(columns.size, matrix.data.dtype)])
    shape = (counts.shape[0], counts.shape[1] + 1)
    return scipy.sparse.coo_matrix((values, (rows, np.concatenate([matrix.col, columns]))), shape=shape).tocsc()


def _figures(
    library: KeptLibrary, feature: str, counts: "scipy.sparse.csc_matrix", reads: CountedReads, cells: np.ndarray
) -> dict[str, str]:
    """Return the figures of cells (columns of ``counts``) under the names of STAR's Summary.csv.

    As STAR has them: means are cut to whole numbers; of an even number of cells the median is the upper one, that of
    UMIs the count of as many-th barcode of all; no cells have zeros.
    """
    umis = np.asarray(counts.sum(axis=0)).ravel().astype(np.int64)
    of_cells = counts[:, cells]
    genes = np.diff(of_cells.indptr)
    number = cells.size
    in_cells = reads.reads[cells]
    unique = feature_statistics(library, feature).get(_UNIQUE_READS, 0)
    half = number // 2
    values = {
        "Estimated Number of Cells": number,
        f"Unique Reads in Cells Mapped to {feature}": in_cells.sum(),
        "Fraction of Unique Reads in Cells": f"{in_cells.sum() / unique if unique else 0:g}",
        "Mean Reads per Cell": in_cells.sum() // max(number, 1),
        "Median Reads per Cell": np.sort(in_cells)[half] if number else 0,
        "UMIs in Cells": umis[cells].sum(),
        "Mean UMI per Cell": umis[cells].sum() // max(number, 1),
        "Median UMI per Cell": np.sort(umis)[::-1][half] if number else 0,
        f"Mean {feature} per Cell": genes.sum() // max(number, 1),
        f"Median {feature} per Cell": np.sort(genes)[half] if number else 0,
        f"Total {feature} Detected": np.count_nonzero(np.diff(of_cells.tocsr().indptr)),
    }
    return {name: str(value) for name, value in values.items()}


def feature_statistics(library: KeptLibrary, feature: str) -> dict[str, int]:
    """Return name → number of a Features.stats."""
    lines = (library.of(feature) / "Features.stats").read_text(encoding="utf-8").splitlines()
    return {words[0]: int(words[1]) for line in lines if len(words := line.split()) == 2}


def write_calls(
    folder: Path, library: KeptLibrary, features: Sequence[str], cell_filter: str, calls: Mapping[str, CellCalls]
) -> None:
    """Write a folder of calls, see this module's page; ``calls`` is feature → its cells."""
    for feature in features:
        (folder / feature).mkdir()
        called = calls.get(feature)
        summary = read_summary(library.of(feature) / "Summary.csv") | dict(called.figures if called else {})
        text = "".join(f"{name},{value}\n" for name, value in summary.items())
        (folder / feature / "Summary.csv").write_text(text, encoding="utf-8")
        if called:
            names = "".join(f"{barcode}\n" for barcode in called.barcodes)
            (folder / feature / "barcodes.tsv").write_text(names, encoding="utf-8")
    skipped = {feature: called.skipped for feature, called in calls.items() if called.skipped}
    write_atomic(folder / _CALLS, json.dumps({"cell_filter": cell_filter, "skipped": skipped}) + "\n")


class CalledCells:
    """The cells of a library, in a folder of calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / _CALLS
        self.exist = path.is_file()
        """Whether the library was counted."""
        calls = parse_json(path.read_bytes(), str(path)) if self.exist else {}
        self.cell_filter: str = calls.get("cell_filter", "")
        """The cell filter that was asked for."""
        self.skipped = {feature: SkippedFilter(*values) for feature, values in calls.get("skipped", {}).items()}
        """Feature → EmptyDrops_CR that STAR skipped."""

    def barcodes(self, feature: str) -> Path | None:
        """Return the list of the cells of a feature, None where none were called."""
        path = self.folder / feature / "barcodes.tsv"
        return path if path.is_file() else None
