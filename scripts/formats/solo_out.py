"""What STARsolo leaves behind: the folder Solo.out, its summaries, and the command line in Log.out (STAR 2.7.10b).

``Solo.out/{feature}/{raw,filtered}/`` holds ``barcodes.tsv``, ``features.tsv`` and a matrix for each way to count
reads of several genes; ``Solo.out/{feature}/Summary.csv`` has a name and a value a line. Only raw Gene features have
matrices other than the unique one, and SJ has the raw unique one alone.
"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from scripts.formats.errors import InputError

GENE_FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS")
FEATURES = (*GENE_FEATURES, "SJ")
"""Features that have an archive; Velocyto has matrices of its own kind and stays in the work folder."""
MATRICES = ("raw", "filtered")
MATRIX_NAMES = {
    "Unique": "matrix.mtx",
    "EM": "UniqueAndMult-EM.mtx",
    "Rescue": "UniqueAndMult-Rescue.mtx",
}
"""File of a matrix by how reads of several genes are counted."""
VALID_BARCODES = "Reads With Valid Barcodes"

_DROPPED_OPTIONS = frozenset(
    ("--runThreadN", "--genomeDir", "--outFileNamePrefix", "--outTmpDir", "--limitBAMsortRAM", "--genomeLoad")
)


def archives_of(features: Sequence[str], multireads: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (feature, multireads, matrix) of every matrix there is for these features and ways to count."""
    wanted = [
        (feature, way, matrix)
        for feature in features
        if feature in GENE_FEATURES
        for way in multireads
        for matrix in MATRICES
    ]
    return wanted + ([("SJ", "Unique", "raw")] if "SJ" in features else [])


def read_summary(path: str | Path) -> dict[str, str]:
    """Return name → value of a Summary.csv; STAR's own spelling, ``-nan`` where it divided by zero."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.rpartition(",")[::2] for line in lines if "," in line)


def share_of(summary: dict[str, str], name: str) -> float:
    """Return a share of a Summary.csv, 0 where it is missing or STAR divided by zero."""
    try:
        share = float(summary.get(name, "0"))
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(share) else share


def read_command(path: str | Path) -> tuple[str, list[str]]:
    """Return STAR's version and its command line, word by word, from a Log.out.

    Raises InputError where the file is no Log.out of STAR.
    """
    version, words = "", []
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("STAR version="):
                version = line.partition("=")[2].strip()
            elif line.startswith("##### Command Line:"):
                words = shlex.split(next(lines, ""))
                break
    if not version or not words:
        raise InputError(f"{path}: not a Log.out of STAR; it has no version and command line.")
    return version, words


def stable_arguments(words: Sequence[str]) -> str:
    """Return a command line as it stands in an archive: without threads, folders and temporary paths.

    The program and every path lose their folder; options that name a folder or a machine's resources are left out.
    """
    kept: list[str] = []
    dropping = False
    for number, word in enumerate(words):
        if word.startswith("--"):
            dropping = word in _DROPPED_OPTIONS
        if not dropping:
            named = (
                word
                if number and word.startswith("--")
                else ",".join(part.rpartition("/")[2] for part in word.split(","))
            )
            kept.append(named)
    return " ".join(kept)
