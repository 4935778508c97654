"""The features (antibodies, sample tags, guides) of the cells of a series, joined by barcode with gene expression.

- X: raw counts, csr_matrix of whole numbers; a row a cell of the series' h5ad that has a library of features
- obs: index = experiment_barcode of the gene expression; library, feature_library, barcode
- var: index = feature id; feature_name, feature_types

Which library of features belongs to which of gene expression, their barcodes show: of as many barcodes with most
features as it has cells, those of its own are mostly its cells. On 10x 3′ v3 and v4 beads the oligo that captures
features has the barcode of the one for RNA with bases 8 and 9 complemented; the barcodes show that as well.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.disk.files import atomic_path
from scripts.droplets.features.feature_reference import TAGS
from scripts.droplets.mex.mex_reader import MexArchive, read_archive
from scripts.formats import h5ad
from scripts.plan.matrices import archive_name

ARCHIVE = archive_name(TAGS, "Unique", "raw")
"""The archive of a library of features."""
MIN_SHARED = 0.2
"""Least share of the cells of a library among the barcodes with most features of its library of features."""
MARGIN = 2.0
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
_PLACES = slice(7, 9)  # bases 8 and 9


class CellsOfLibrary(NamedTuple):
    """The cells of a library of gene expression."""

    experiment: str
    barcodes: np.ndarray


class Joined(NamedTuple):
    """A library of features, that of gene expression to which it belongs, and the columns of its cells."""

    features: str
    cells: CellsOfLibrary
    columns: np.ndarray
    """int64: of each cell, its column in the archive of the features; -1 where it has none."""


def translate(barcode: bytes) -> bytes:
    """Return the barcode of the other oligo of a bead."""
    return barcode[: _PLACES.start] + barcode[_PLACES].translate(_COMPLEMENT) + barcode[_PLACES.stop :]


def _columns(cells: CellsOfLibrary, archive: MexArchive, translated: bool) -> np.ndarray:
    places = {barcode: column for column, barcode in enumerate(archive.barcodes.tolist())}
    wanted = (translate(barcode) if translated else barcode for barcode in cells.barcodes.tolist())
    return np.array([places.get(barcode, -1) for barcode in wanted], dtype=np.int64)


def find_partner(name: str, archive: MexArchive, libraries: Sequence[CellsOfLibrary]) -> Joined | None:
    """Return the library of gene expression of a library of features, None where the barcodes do not show it."""
    totals = np.asarray(archive.matrix.sum(axis=0)).ravel()
    order = np.argsort(-totals, kind="stable")
    found: list[tuple[float, Joined]] = []
    for cells in libraries:
        top = set(order[: cells.barcodes.size][totals[order[: cells.barcodes.size]] > 0].tolist())
        ways = [_columns(cells, archive, translated) for translated in (False, True)]
        shares = [sum(column in top for column in way.tolist()) / max(1, way.size) for way in ways]
        best = int(shares[1] > shares[0])
        found.append((shares[best], Joined(name, cells, ways[best])))
    found.sort(key=lambda one: -one[0])
    if not found or found[0][0] < MIN_SHARED or (len(found) > 1 and found[1][0] * MARGIN > found[0][0]):
        return None
    return found[0][1]


def write_features_h5ad(
    path: Path, libraries: Sequence[CellsOfLibrary], features: Sequence[tuple[str, Path]]
) -> list[str]:
    """Write the file; return a sentence for each library of features that is of no library of gene expression.

    ``features`` are experiment and folder of archives of the libraries of features, all of one reference.
    """
    import h5py
    import scipy.sparse

    archives = {name: read_archive(folder / ARCHIVE) for name, folder in features}
    joined, words = [], []
    for name, archive in archives.items():
        one = find_partner(name, archive, libraries)
        if one is None:
            words.append(f"{name}: its barcodes are of no library of gene expression; its archive has all of them.")
        else:
            joined.append(one)
    rows = next((archive.features for archive in archives.values()), [])
    index: list[str] = []
    obs: dict[str, list[str]] = {"library": [], "feature_library": [], "barcode": []}
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        main = h5ad.CsrWriter(root, "X", "int32")
        for one in joined:
            counts = archives[one.features].matrix.T.tocsr()
            counts = scipy.sparse.vstack([counts, scipy.sparse.csr_matrix((1, counts.shape[1]), dtype=counts.dtype)])
            cells = counts.tocsr()[one.columns]  # -1: the empty row at the end
            cells.eliminate_zeros()
            cells.sort_indices()
            main.append(cells)
            barcodes = one.cells.barcodes.astype(str).tolist()
            index += [f"{one.cells.experiment}_{barcode}" for barcode in barcodes]
            obs["library"] += [one.cells.experiment] * len(barcodes)
            obs["feature_library"] += [one.features] * len(barcodes)
            obs["barcode"] += barcodes
        main.finish(len(rows))
        h5ad.write_frame(root, "obs", index, obs)
        h5ad.write_frame(
            root,
            "var",
            [row[0] for row in rows],
            {"feature_name": [row[1] for row in rows], "feature_types": [row[2] for row in rows]},
        )
        h5ad.write_empty_parts(root, ("uns", "layers", "obsm", "obsp", "varm", "varp"))
    return words
