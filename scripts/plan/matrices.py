"""The matrices of a droplet library: what is counted, which archives are made of it, and what they are called."""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError

GENE_FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS")
VELOCYTO = "Velocyto"
FEATURES = (*GENE_FEATURES, "SJ")
"""Features that are counted by default."""
ALL_FEATURES = (*FEATURES, VELOCYTO)
MATRICES = ("raw", "filtered")
MATRIX_NAMES = {
    "Unique": "matrix.mtx",
    "EM": "UniqueAndMult-EM.mtx",
    "Rescue": "UniqueAndMult-Rescue.mtx",
}
"""File of a matrix by multireads: how reads of several genes are counted."""
VELOCYTO_NAMES = {kind: f"{kind}.mtx" for kind in ("spliced", "unspliced", "ambiguous")}
"""File of a matrix of Velocyto by the kind of molecules it counts, which takes the position of multireads."""


def add_features_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what is counted of a library."""
    parser.add_argument(
        "--features",
        nargs="+",
        default=list(FEATURES),
        choices=ALL_FEATURES,
        help="what is counted, STARsolo's --soloFeatures",
    )


def add_multireads_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how reads of several genes are counted."""
    parser.add_argument(
        "--multireads",
        nargs="+",
        default=["Unique", "EM"],
        choices=list(MATRIX_NAMES),
        help="matrices: of reads of one gene (Unique), or with those of several genes shared out",
    )


def archives_of(features: Sequence[str], multireads: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (feature, multireads, matrix) of every matrix there is for these features and multireads."""
    genes = [feature for feature in features if feature in GENE_FEATURES]
    archives = [(feature, way, matrix) for feature in genes for way in multireads for matrix in MATRICES]
    if "SJ" in features:
        archives.append(("SJ", "Unique", "raw"))
    if VELOCYTO in features:
        archives += [(VELOCYTO, kind, matrix) for kind in VELOCYTO_NAMES for matrix in MATRICES]
    return archives


def archive_folders(libraries: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return (experiment, species) → the folder of a library's archives, for all libraries that are counted.

    It is ``{experiment}``, or ``{experiment}.{species}`` where the experiment is counted for two species. Raises
    InputError where another experiment has that name.
    """
    libraries = dict.fromkeys(libraries)
    times = Counter(experiment for experiment, _ in libraries)
    folders = {
        (experiment, species): experiment if times[experiment] == 1 else f"{experiment}.{species}"
        for experiment, species in libraries
    }
    names = Counter(folders.values())
    if twice := sorted(name for name, number in names.items() if number > 1):
        raise InputError(f"Two libraries would be named {', '.join(twice)}; give an experiment another name.")
    return folders


def archive_name(feature: str, multireads: str, matrix: str) -> str:
    """Return the file name of an archive."""
    return f"{feature}_{multireads}_{matrix}.tar.gz"


def output_type(feature: str, multireads: str, matrix: str) -> str:
    """Return ENCODE's term for a matrix, and one in its manner for Velocyto. Raises InputError for no such matrix."""
    ways = VELOCYTO_NAMES if feature == VELOCYTO else MATRIX_NAMES
    if feature not in ALL_FEATURES or multireads not in ways or matrix not in MATRICES:
        raise InputError(
            f"There is no matrix {feature}_{multireads}_{matrix}: features are {', '.join(ALL_FEATURES)}, ways to count"
            f" {', '.join(ways)}, matrices {', '.join(MATRICES)}."
        )
    if feature == "SJ" and (multireads, matrix) != ("Unique", "raw"):
        raise InputError("Splice junctions (SJ) have the raw matrix of unique reads only.")
    unfiltered = "unfiltered " if matrix == "raw" else ""
    if feature == VELOCYTO:
        return f"{unfiltered}sparse {multireads} transcript count matrix of unique reads"
    counted = "splice junction" if feature == "SJ" else "gene"
    return f"{unfiltered}sparse {counted} count matrix of {'unique' if multireads == 'Unique' else 'all'} reads"


def matrix_names(feature: str, multireads: Sequence[str]) -> list[str]:
    """Return the files of the raw matrices that STAR writes of a feature."""
    if feature == VELOCYTO:
        return list(VELOCYTO_NAMES.values())
    return [MATRIX_NAMES[way] for way in (multireads if feature in GENE_FEATURES else ["Unique"])]


def matrix_name(multireads: str) -> str:
    """Return the file of a matrix by multireads or, of Velocyto, by the kind of molecules."""
    return (MATRIX_NAMES | VELOCYTO_NAMES)[multireads]


def write_archive_list(path: Path, sizes: Mapping[str, int]) -> None:
    """Write which archives a library has: a line each, its name, a tab and its size in bytes; none of a failed one."""
    write_atomic(path, "".join(f"{name}\t{size}\n" for name, size in sizes.items()))


def are_listed(path: Path, folder: Path) -> bool:
    """Whether a folder has the archives of a list with their sizes, or there is no list.

    Of a library that failed the list is empty, and there is no folder.
    """
    if not path.is_file():
        return True
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    try:
        whole = all((folder / name).stat().st_size == int(size) for name, size in rows)
        return whole and bool(rows or not folder.exists())
    except OSError:
        return False
