"""The archives of droplet libraries, and the h5ad of a series: md5 sums, called cells, and the counts of the cells."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scripts.core.disk.files import open_regular
from scripts.core.errors import InputError
from scripts.droplets.mex.mex_reader import BarcodeSums, open_archive, positions_of, sum_cells
from scripts.formats.h5ad_checked import open_array, read_names, sum_rows
from scripts.harvest.checks.tables import BROKEN, hash_genes
from scripts.harvest.results import counted_libraries
from scripts.plan.matrices import GENE_FEATURES, VELOCYTO, VELOCYTO_NAMES, archive_folders, archive_name
from scripts.plan.run_table import Run

MAIN = archive_name("Gene", "Unique", "filtered")
"""The archive whose cells and counts are those of the series' h5ad."""
MOST_CELLS, MOST_BARCODES = 1 << 22, 1 << 23
"""Barcodes of a filtered and of a raw matrix that are added up; of larger ones only the md5 sums are compared."""
_SIMPLE_FILTER = ("3000", "0.99", "10")  # numbers of STAR's CellRanger2.2 and of the first step of EmptyDrops_CR


class Cells(NamedTuple):
    """The cells of an archive."""

    barcodes: np.ndarray
    """Bytes (dtype S)."""
    genes: int
    fingerprints: np.ndarray
    """uint64: of the counts of each cell, see :func:`~scripts.harvest.checks.tables.hash_genes`."""
    cell_filter: str = ""
    """STAR's cell filter with its numbers, by the metadata."""


class LibraryCheck:
    """The archives of a library, read one after the other, those of cells before the raw ones.

    ``layers`` are the matrices of which the h5ad of a series has a layer, ``Gene_EM`` and so on; ``mains`` are the
    features whose cells such a file has.
    """

    def __init__(self, layers: Collection[str] = (), mains: Collection[str] = ("Gene",)) -> None:
        self.wanted, self.mains = layers, mains
        self.cells: dict[str, Cells] = {}
        """Feature → its cells."""
        self.layers: dict[tuple[str, str], np.ndarray | None] = {}
        """Feature, layer → the fingerprints of the feature's cells by the raw matrix; None where that is too large."""

    def archive_faults(self, path: Path, name: str) -> Iterator[str]:
        """Yield a sentence for each way in which an archive is not whole, or not as the others of the library.

        Raises InputError where it is no archive.
        """
        feature, way, matrix = (*path.name.removesuffix(".tar.gz").rsplit("_", 2), "", "")[:3]
        of_cells = way == "Unique" and matrix == "filtered" and feature in GENE_FEATURES
        compared = matrix == "raw" and (
            f"{feature}_{way}" in self.wanted or (way == "Unique" and feature in self.cells)
        )
        with open_regular(path) as handle, open_archive(handle, name) as stream:
            if of_cells or compared:
                sums = sum_cells(stream, _weigh, MOST_CELLS if of_cells else MOST_BARCODES)
                if sums and of_cells:
                    words = find_filter(stream.metadata.get("arguments", ""))
                    self.cells[feature] = Cells(sums.barcodes, sums.features, sums.sums[0], words)
                elif compared:
                    yield from self._raw_faults(name, feature, way, sums)
            else:
                stream.skim()
            for member in stream.differing():
                yield f"{name}: {member} does not have the md5 sum in the metadata."

    def _raw_faults(self, name: str, feature: str, way: str, sums: BarcodeSums | None) -> Iterator[str]:
        """Yield a sentence where the cells are not those that the cell filter calls, or have other counts."""
        if (layer := f"{feature}_{way}") in self.wanted:
            for main in self.mains & self.cells.keys():
                found = None if sums is None else sums.sums[0][_find(self.cells[main], sums, name)]
                self.layers[main, layer] = found
        if sums is None or way != "Unique" or feature not in self.cells:
            return
        cells = self.cells[feature]
        called = _find(cells, sums, name)
        if not np.array_equal(sums.sums[0][called], cells.fingerprints):
            yield f"{name}: the cells of {archive_name(feature, way, 'filtered')} have other counts in it."
        counts = sums.sums[1]
        missing = counts >= max(1, least_counts(counts, cells.cell_filter)) if cells.cell_filter else counts < 0
        missing[called] = False
        if missing.any():
            first = int(missing.argmax())
            barcode, folder = sums.barcodes[first].decode(), name.rpartition("/")[0]
            yield (
                f"{folder}/{archive_name(feature, way, 'filtered')}: lacks {np.count_nonzero(missing)} of the cells"
                f" that {cells.cell_filter} calls, first {barcode} with {counts[first]} counts."
                " Versions before 0.2 left out the last barcode; count the library again."
            )


def _weigh(genes: Iterable[bytes]) -> np.ndarray:
    hashes = hash_genes(genes)
    return np.stack([hashes, np.ones_like(hashes)])


def _find(cells: Cells, sums: BarcodeSums, name: str) -> np.ndarray:
    try:
        return positions_of(cells.barcodes, sums.barcodes)
    except ValueError as error:
        raise InputError(f"{name}: {error}.") from error


def find_filter(arguments: str) -> str:
    """Return the last cell filter of a command line of STAR with its numbers; empty where it has none, or None."""
    found = re.findall(
        r"--soloCellFilter ((?:TopCells|CellRanger2\.2|EmptyDrops_CR)(?: [0-9][0-9.eE+-]*)*)(?= |$)", arguments
    )
    return found[-1].strip() if found else ""


def least_counts(counts: np.ndarray, cell_filter: str) -> int:
    """Return the number of counts from which on STAR's filter takes every barcode for a cell.

    For EmptyDrops_CR it is that of its first step, which keeps cells whatever their genes are.
    """
    word, *numbers = cell_filter.split()
    ordered = np.sort(counts[counts > 0])[::-1]
    if not ordered.size:
        return 1
    if word == "TopCells":
        return int(ordered[min(ordered.size - 1, int(float(numbers[0])))])
    expected, percentile, ratio = map(float, (*numbers, *_SIMPLE_FILTER)[:3] if numbers else _SIMPLE_FILTER)
    index = math.floor(expected * (1 - percentile) + 0.5)
    return math.floor(int(ordered[min(ordered.size - 1, index)]) / ratio + 0.5)


def main_feature(root: h5py.File) -> str:
    """Return the feature whose cells an h5ad of droplets has, by its uns/matrix; Gene where that names none."""
    item = root.get("uns/matrix")
    text = item.asstr()[()] if isinstance(item, h5py.Dataset) and item.shape == () else ""
    return next((feature for feature in GENE_FEATURES if text == f"{feature}_Unique_filtered"), "Gene")


def layers_of(path: Path) -> tuple[str, list[str]]:
    """Return the feature whose cells an h5ad has, and the matrices of its layers; none where it cannot be read."""
    try:
        with open_regular(path), h5py.File(path, "r") as root:
            layers = root.get("layers")
            names = layers if isinstance(layers, h5py.Group) else ()
            return main_feature(root), [matrix_of(str(name)) for name in names]
    except BROKEN:  # among them InputError
        return "Gene", []


def matrix_of(layer: str) -> str:
    """Return the matrix of a layer: those of Velocyto are called by the kind of molecules alone."""
    return f"{VELOCYTO}_{layer}" if layer in VELOCYTO_NAMES else layer


def split_layer(layer: str) -> tuple[str, str]:
    """Return the feature of a layer, and its way to count reads of several genes."""
    feature, _, way = layer.rpartition("_")
    return feature, way


def layer_faults(
    root: h5py.File, name: str, checks: Sequence[tuple[str, LibraryCheck]], rows: int, genes: int, hashes: np.ndarray
) -> Iterator[str]:
    """Yield a sentence for each layer that has other counts than the raw archives; ``checks`` are (folder, library)."""
    main = main_feature(root)
    for layer in root.get("layers", {}):
        key = main, matrix_of(layer)
        found = [check.layers.get(key) for _, check in checks]
        if missing := [folder for folder, check in checks if key not in check.layers]:
            yield f"{name}: layer {layer[:80]!r} has no raw archive in mex/{missing[0]}."
        elif all(one is not None for one in found):
            sums = sum_rows(root, f"layers/{layer}", rows, genes, hashes, real=True)
            if not np.array_equal(sums, np.concatenate([np.zeros(0, np.uint64), *found])):
                archive = archive_name(*split_layer(key[1]), "raw")
                yield f"{name}: layer {layer} has other counts than {archive} in mex/."


def h5ad_faults(
    path: Path, name: str, ledger: Sequence[Run], checks: Mapping[str, LibraryCheck], unread: Collection[str]
) -> Iterator[str]:
    """Yield a sentence where the h5ad of a series' droplets has not the cells and counts of its archives.

    ``checks`` are folder → its archives, all read; ``unread`` are the folders of archives that could not be read: a
    series with one of them is not compared.
    """
    series, _, species = path.name.removesuffix(".h5ad").rpartition(".")
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    rows = [row for row in ledger if row.series == series and row.assay == "droplet"]
    if not any(row.species == species for row in rows):
        yield f"{name}: of no series and species with a droplet library in the ledger."
        return
    counted = sorted({row.experiment for row in rows if libraries.get((row.experiment, species))})  # maybe none
    if any(folders[one, species] in unread for one in counted):
        return
    try:
        with h5py.File(path, "r") as root:
            main = main_feature(root)
            with_cells = [
                (one, folder)
                for one in counted
                if main in checks.get(folder := folders[one, species], LibraryCheck()).cells
            ]
            found = [(one, checks[folder].cells[main]) for one, folder in with_cells]
            expected = sum(one.barcodes.size for _, one in found)
            here = open_array(root, "obs/_index", kinds="SO").shape[0]
            if here != expected:
                yield f"{name}: its {here} cells are not the {expected} filtered cells of the archives in mex/."
                return
            genes = open_array(root, "var/_index", kinds="SO").shape[0]
            if any(one.genes != genes for _, one in found):
                yield f"{name}: its {genes} genes are not those of the archives in mex/."
                return
            index = read_names(root, "obs/_index", expected)
            hashes = hash_genes(gene.encode() for gene in read_names(root, "var/_index", genes))
            sums = sum_rows(root, "X", expected, genes, hashes)
            of_layers = [(folder, checks[folder]) for _, folder in with_cells]
            yield from layer_faults(root, name, of_layers, expected, genes, hashes)
    except BROKEN as error:
        yield f"{name}: cannot be read as the counts of droplets: {error}."
        return
    names = [f"{one}_{barcode}" for one, of_one in found for barcode in of_one.barcodes.astype(str).tolist()]
    if index != names:
        yield f"{name}: its {here} cells are not the {expected} filtered cells of the archives in mex/."
    elif not np.array_equal(sums, np.concatenate([np.zeros(0, np.uint64), *(one.fingerprints for _, one in found)])):
        yield f"{name}: cells have other counts than in the archives in mex/."
