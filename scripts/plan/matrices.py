"""The matrices of a droplet library: features, ways to count multi-mapping reads, and the archives made of them."""

from collections.abc import Sequence

GENE_FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS")
VELOCYTO = "Velocyto"
FEATURES = (*GENE_FEATURES, "SJ")
"""Features that are counted without being asked for."""
ALL_FEATURES = (*FEATURES, VELOCYTO)
MATRICES = ("raw", "filtered")
MATRIX_NAMES = {
    "Unique": "matrix.mtx",
    "EM": "UniqueAndMult-EM.mtx",
    "Rescue": "UniqueAndMult-Rescue.mtx",
}
"""File of a matrix by how reads of several genes are counted."""
VELOCYTO_NAMES = {way: f"{way}.mtx" for way in ("spliced", "unspliced", "ambiguous")}
"""File of a matrix of Velocyto by which molecules it counts."""


def archives_of(features: Sequence[str], multireads: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (feature, multireads, matrix) of every matrix there is for these features and ways to count.

    For Velocyto ``spliced``, ``unspliced`` and ``ambiguous`` stand in the place of multireads.
    """
    wanted = [
        (feature, way, matrix)
        for feature in features
        if feature in GENE_FEATURES
        for way in multireads
        for matrix in MATRICES
    ]
    wanted += [("SJ", "Unique", "raw")] if "SJ" in features else []
    velocyto = [(VELOCYTO, way, matrix) for way in VELOCYTO_NAMES for matrix in MATRICES]
    return wanted + (velocyto if VELOCYTO in features else [])


def matrix_names(feature: str, multireads: Sequence[str]) -> list[str]:
    """Return the files of the raw matrices that STAR leaves of a feature."""
    if feature == VELOCYTO:
        return list(VELOCYTO_NAMES.values())
    return [MATRIX_NAMES[way] for way in (multireads if feature in GENE_FEATURES else ["Unique"])]


def matrix_name(way: str) -> str:
    """Return the file of a matrix by how reads are counted or, of Velocyto, by which molecules."""
    return (MATRIX_NAMES | VELOCYTO_NAMES)[way]
