"""A digest of the counts of every plate cell and droplet library of a folder of results: ``cells.tsv``.

Columns: kind (plate, library), species, cell (experiment, or run with ``count_by: run``), series, sample, runs (joined
by ``;``), cells (called ones of a library, 1 of a plate cell), digest (16 hex digits, of counts, tallies and the names
of genes with a count). A cell with another digest has other counts. Matrices are read in pieces.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from scripts.core.disk.files import open_regular
from scripts.core.errors import InputError
from scripts.core.untrusted import open_lines
from scripts.formats.h5ad_checked import open_array, open_item, read_column, read_names, read_numbers, sum_rows
from scripts.harvest.checks.tables import BROKEN, hash_genes
from scripts.harvest.results import archive_files, counted_libraries
from scripts.plan.matrices import archive_folders
from scripts.plan.run_table import Run, write_table
from scripts.plates.shard_counts import TALLIES

PLATE, LIBRARY = "plate", "library"
CELLS = "cells.tsv"


class CellDigest(NamedTuple):
    """A row of the table."""

    kind: str
    species: str
    cell: str
    series: str
    sample: str
    runs: str
    cells: str
    digest: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays when its counts change."""
        return self.kind, self.species, self.cell


Made = Mapping[str, Mapping[str, str]]
"""Matrix (``homo.h5ad``) → what its counts were made with: reference, parameters, tools."""


def digest_cells(
    results: Path, files: Iterable[str], ledger: Sequence[Run], sums: Mapping[str, str]
) -> tuple[list[CellDigest], Made]:
    """Return the digests of all counted cells and libraries, sorted, and what they were made with.

    ``files`` are those in the folder, ``sums`` their checksums. Raises InputError for a matrix that cannot be read.
    """
    found: list[CellDigest] = []
    made: dict[str, Mapping[str, str]] = {}
    of_libraries: dict[tuple[str, str], tuple[str, str]] = {}
    for name in files:
        folder, _, file = name.rpartition("/")
        if not file.endswith(".h5ad") or folder not in ("", "droplets"):
            continue
        try:
            with open_regular(results / name), h5py.File(results / name, "r") as root:
                made[name] = _made_with(root)
                if folder:
                    species = file.removesuffix(".h5ad").rpartition(".")[2]
                    of_libraries |= {(one, species): value for one, value in _libraries(root)}
                else:
                    found += _plate_cells(root, file.removesuffix(".h5ad"), ledger)
        except BROKEN as error:
            raise InputError(f"{name}: cannot be read as counts: {error}.") from error
    found += _of_ledger(ledger, of_libraries, files, sums)
    return sorted(found), made


def _rows(root: h5py.File) -> tuple[list[str], np.ndarray]:
    """Return the names of the rows of a matrix, and a fingerprint (uint64) of the counts of each."""
    names = read_names(root, "obs/_index")
    genes = open_array(root, "var/_index", kinds="SO").shape[0]
    hashes = hash_genes(gene.encode() for gene in read_names(root, "var/_index", genes))
    return names, sum_rows(root, "X", len(names), genes, hashes, real=True)


def _plate_cells(root: h5py.File, species: str, ledger: Sequence[Run]) -> Iterator[CellDigest]:
    names, fingerprints = _rows(root)
    runs = read_column(root, "obs/runs", len(names))
    tallies = [read_numbers(root, f"obs/{name}", len(names)) for name in TALLIES if name in root["obs"]]
    rows = {row.run: row for row in ledger if row.assay == "plate" and row.species == species}
    for index, cell in enumerate(names):
        words = [int(fingerprints[index]), *(int(tally[index]) for tally in tallies)]
        row = rows.get(runs[index].partition(";")[0], Run())
        yield CellDigest(PLATE, species, cell, row.series, row.sample, runs[index], "1", _digest(words))


def _libraries(root: h5py.File) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield experiment → number of cells and digest of a matrix of droplets, whose rows are sorted by experiment."""
    names, fingerprints = _rows(root)
    has_column = bool(names) and "experiment" in root["obs"]
    experiments = read_column(root, "obs/experiment", len(names)) if has_column else _first_parts(names)
    rows: dict[str, list[int]] = {}
    for index, experiment in enumerate(experiments):
        rows.setdefault(experiment, []).append(index)
    for experiment, indices in rows.items():
        words = (f"{names[index]} {int(fingerprints[index])}" for index in indices)
        yield experiment, (str(len(indices)), _digest(words))


def _first_parts(names: Iterable[str]) -> list[str]:
    """Return the experiments of cells by their names, ``{experiment}_{barcode}``."""
    return [name.rpartition("_")[0] for name in names]


def _of_ledger(
    ledger: Sequence[Run],
    of_libraries: Mapping[tuple[str, str], tuple[str, str]],
    files: Iterable[str],
    sums: Mapping[str, str],
) -> Iterator[CellDigest]:
    """Yield the digests of the counted libraries; of one without called cells, that of its archives."""
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    archives: dict[str, list[str]] = {}
    for name in archive_files(files):
        archives.setdefault(name.split("/")[1], []).append(f"{name} {sums.get(name, '')}")
    rows: dict[tuple[str, str], list[Run]] = {}
    for row in ledger:
        if row.assay == "droplet" and row.status == "counted":
            rows.setdefault((row.experiment, row.species), []).append(row)
    for library, is_counted in libraries.items():
        if is_counted:
            of_library = sorted(rows[library], key=lambda row: row.run)
            cells, digest = of_libraries.get(library) or ("", _digest(archives.get(folders[library], [])))
            runs = ";".join(row.run for row in of_library)
            first = of_library[0]
            yield CellDigest(LIBRARY, first.species, first.experiment, first.series, first.sample, runs, cells, digest)


def _digest(words: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{word}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _made_with(root: h5py.File) -> dict[str, str]:
    """Return reference, parameters and tools as an h5ad notes them."""
    words = {"reference": _text(root, "uns/reference"), "genes": _text(root, "uns/genes_sha256")}
    for group in ("parameters", "tools"):
        item = root.get(f"uns/{group}")
        names = sorted(map(str, item)) if isinstance(item, h5py.Group) else []
        words |= {f"{group}.{name}": _text(root, f"uns/{group}/{name}") for name in names}
    return {name: text for name, text in words.items() if text}


def _text(root: h5py.File, path: str) -> str:
    try:
        item = open_item(root, path)
        return str(item.asstr()[()])[:2000] if isinstance(item, h5py.Dataset) and item.shape == () else ""
    except BROKEN:
        return ""


def write_cells(path: str | Path, cells: Iterable[CellDigest]) -> None:
    """Write the table."""
    write_table(path, CellDigest._fields, cells)


def read_cells(path: str | Path) -> list[CellDigest]:
    """Return the rows of the table. Raises InputError where it is none."""
    lines = open_lines(path)
    if next(lines, "").split("\t") != list(CellDigest._fields):
        raise InputError(f"{path}: not a table of cells; its first line is not {' '.join(CellDigest._fields)}.")
    rows = []
    for number, line in enumerate(lines, 2):
        values = line.split("\t")
        if len(values) != len(CellDigest._fields):
            raise InputError(f"{path}, line {number}: not a row of {len(CellDigest._fields)} values.")
        rows.append(CellDigest(*values))
    return rows
