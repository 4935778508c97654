"""What STARsolo leaves behind: the folder Solo.out, its summaries, and the command line in Log.out (STAR 2.7.10b).

``Solo.out/{feature}/{raw,filtered}/`` holds ``barcodes.tsv``, ``features.tsv`` and a matrix for each way to count
reads of several genes; ``Solo.out/{feature}/Summary.csv`` has a name and a value a line. Only raw Gene features have
matrices other than the unique one, and SJ has the raw unique one alone. ``Solo.out/Velocyto/`` has three matrices of
unique reads in the place of ``matrix.mtx``: ``spliced.mtx``, ``unspliced.mtx`` and ``ambiguous.mtx``; its cells are
those of Gene.
"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import InputError
from scripts.core.files import line_blocks

if TYPE_CHECKING:
    import numpy

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
    """Return a command line as it stands in an archive: without threads, folders and temporary paths.

    Every path loses its folder; options that name a folder or a machine's resources are left out. The program is
    called STAR, whichever build of it the machine has.
    """
    kept = ["STAR"]
    dropping = False
    for word in words[1:]:
        if word.startswith("--"):
            dropping = word in _DROPPED_OPTIONS
        if not dropping:
            named = word if word.startswith("--") else ",".join(part.rpartition("/")[2] for part in word.split(","))
            kept.append(named)
    return " ".join(kept)


def find_barcodes(raw: str | Path, filtered: str | Path) -> "numpy.ndarray":
    """Return, for each barcode of the filtered list, its place (from 0) in the raw one; both are a barcode a line.

    The raw list may have millions of lines: it is read block by block. Raises InputError where a barcode is not there
    or is there twice.
    """
    import numpy as np

    wanted = {line: place for place, line in enumerate(Path(filtered).read_bytes().splitlines())}
    places = np.full(len(wanted), -1, dtype=np.int64)
    found = 0
    before = 0
    length = len(next(iter(wanted), b""))
    keys = np.sort(np.array([_key_of(line) for line in wanted], dtype=np.uint64))
    with Path(raw).open("rb") as handle:
        for block in line_blocks(handle, 1 << 24):
            block = block if block.endswith(b"\n") else block + b"\n"
            letters = np.frombuffer(block, dtype=np.uint8)
            lines = block.split(b"\n") if letters.size % (length + 1) else None
            if lines is None:
                table = letters.reshape(-1, length + 1)
                if (table[:, length] != 10).any() or np.count_nonzero(letters == 10) != table.shape[0]:
                    lines = block.split(b"\n")
            if lines is not None:
                count = len(lines) - 1
                candidates = [place for place, line in enumerate(lines[:-1]) if line in wanted]
            else:
                count = table.shape[0]
                hashed = _keys_of(table[:, :length])
                near = np.searchsorted(keys, hashed)
                near[near == keys.size] = 0
                candidates = np.flatnonzero(keys[near] == hashed).tolist() if keys.size else []
                lines = {place: table[place, :length].tobytes() for place in candidates}
            for place in candidates:
                if lines[place] in wanted:
                    places[wanted[lines[place]]] = before + place
                    found += 1
            before += count
    if found != len(wanted) or (places < 0).any():
        raise InputError(f"{filtered}: its {len(wanted)} barcodes are not each once among those of {raw}.")
    return places


def _keys_of(table: "numpy.ndarray") -> "numpy.ndarray":
    """Return a number for each row of letters; equal rows have equal numbers."""
    import numpy as np

    keys = np.zeros(table.shape[0], dtype=np.uint64)
    for column in range(table.shape[1]):
        keys *= np.uint64(131)
        keys += table[:, column]
    return keys


def _key_of(line: bytes) -> int:
    key = 0
    for letter in line:
        key = (key * 131 + letter) & 0xFFFFFFFFFFFFFFFF
    return key
