"""The archives of droplet libraries, and the h5ad of a series: members have their md5 sums, cells have their counts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scripts.core.files import open_regular
from scripts.droplets.mex_reader import open_archive, sum_cells
from scripts.formats.h5ad_checked import open_array, read_names, sum_rows
from scripts.harvest.checks.tables import BROKEN, hash_genes
from scripts.harvest.results import counted_libraries
from scripts.plan.matrices import archive_folders, archive_name
from scripts.plan.run_table import Run

MAIN = archive_name("Gene", "Unique", "filtered")
"""The archive whose cells and counts are those of the series' h5ad."""


class Cells(NamedTuple):
    """The cells of an archive."""

    barcodes: np.ndarray
    """Bytes (dtype S)."""
    genes: int
    fingerprints: np.ndarray
    """uint64: of the counts of each cell, see :func:`~scripts.harvest.checks.tables.hash_genes`."""


def archive_faults(path: Path, name: str, cells: dict[str, Cells]) -> Iterator[str]:
    """Yield a sentence for each way in which a MEX archive is not whole. Raises InputError where it is none.

    The cells of a MAIN archive are added to ``cells`` under its folder.
    """
    with open_regular(path) as handle, open_archive(handle, name) as stream:
        if path.name == MAIN:
            barcodes, genes, sums = sum_cells(stream, hash_genes)
            cells[path.parent.name] = Cells(barcodes, genes, sums)
        else:
            stream.skim()
        for member in stream.differing():
            yield f"{name}: {member} does not have the md5 sum in the metadata."


def h5ad_faults(
    path: Path, name: str, ledger: Sequence[Run], cells: Mapping[str, Cells], unread: Collection[str]
) -> Iterator[str]:
    """Yield a sentence where the h5ad of a series' droplets has not the cells and counts of its archives.

    ``unread`` are the folders of archives that could not be read: a series with one of them is not compared.
    """
    series, _, species = path.name.removesuffix(".h5ad").rpartition(".")
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    experiments = {row.experiment for row in ledger if row.series == series and row.assay == "droplet"}
    counted = sorted(one for one in experiments if libraries.get((one, species)))
    if not counted:
        yield f"{name}: of no series and species with a counted library in the ledger."
        return
    if any(folders[one, species] in unread for one in counted):
        return
    found = [(one, cells[folder]) for one in counted if (folder := folders[one, species]) in cells]
    expected = sum(one.barcodes.size for _, one in found)
    try:
        with h5py.File(path, "r") as root:
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
    except BROKEN as error:
        yield f"{name}: cannot be read as the counts of droplets: {error}."
        return
    names = [f"{one}_{barcode}" for one, of_one in found for barcode in of_one.barcodes.astype(str).tolist()]
    if index != names:
        yield f"{name}: its {here} cells are not the {expected} filtered cells of the archives in mex/."
    elif not np.array_equal(sums, np.concatenate([np.zeros(0, np.uint64), *(one.fingerprints for _, one in found)])):
        yield f"{name}: cells have other counts than in the archives in mex/."
