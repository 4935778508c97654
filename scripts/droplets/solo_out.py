"""What STARsolo writes: the folder Solo.out, its summaries, and the command line in Log.out (STAR 2.7.10b).

``Solo.out/{feature}/{raw,filtered}/`` holds ``barcodes.tsv``, ``features.tsv`` and a matrix for each way to count
reads of several genes; ``Solo.out/{feature}/Summary.csv`` has a name and a value a line. Only raw Gene features have
matrices other than the unique one, and SJ has the raw unique one alone. ``Solo.out/Velocyto/`` has three matrices of
unique reads instead of ``matrix.mtx``: ``spliced.mtx``, ``unspliced.mtx`` and ``ambiguous.mtx``; its cells are
those of Gene.
"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.core.errors import InputError

VALID_BARCODES = "Reads With Valid Barcodes"

_DROPPED_OPTIONS = frozenset(
    ("--runThreadN", "--genomeDir", "--outFileNamePrefix", "--outTmpDir", "--limitBAMsortRAM", "--genomeLoad")
)


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
    """Return a command line as archives have it: without threads, folders and temporary paths.

    Every path loses its folder; options that name a folder or a machine's resources are left out. The program is
    called STAR, whichever build of it the machine has.
    """
    kept = ["STAR"]
    dropping = False
    for word in words[1:]:
        if word.startswith("--"):
            dropping = word in _DROPPED_OPTIONS
        elif not dropping:
            word = ",".join(part.rpartition("/")[2] for part in word.split(","))
        if not dropping:
            kept.append(word)
    return " ".join(kept)


def find_barcodes(raw: str | Path, filtered: str | Path) -> np.ndarray:
    """Return the index (from 0) in the raw list of each barcode of the filtered one; both are a barcode a line.

    Raises InputError where a barcode is missing from the raw list or is there twice.
    """
    wanted = {barcode + b"\n": number for number, barcode in enumerate(Path(filtered).read_bytes().splitlines())}
    indices = np.full(len(wanted), -1, dtype=np.int64)
    found = 0
    with Path(raw).open("rb") as lines:
        for index, line in enumerate(lines):
            if line in wanted:
                indices[wanted[line]] = index
                found += 1
    if found != len(wanted) or (indices < 0).any():
        raise InputError(f"{filtered}: its {len(wanted)} barcodes are not each once among those of {raw}.")
    return indices
