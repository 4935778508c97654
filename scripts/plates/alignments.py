"""The folder of a shard's alignments: ``{column}.bam``, ``{column}.Log.final.out`` and ``status.tsv``.

A column whose runs have pairs and reads without a mate has two BAM files, as STAR aligns pairs and single reads in
calls of their own: the pairs are in ``{column}.bam``, the others in ``{column}.single.bam``; the one log tells of both.
BAM files are as STAR writes them: not sorted, the records of a read together.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from scripts.plates.bam_groups import BamError, BamReader


def pairs_file(folder: str | Path, column: str) -> Path:
    """Return where the BAM file of a column lies; of its pairs, when it has single reads as well."""
    return Path(folder) / f"{column}.bam"


def singles_file(folder: str | Path, column: str) -> Path:
    """Return where the BAM file of the single reads lies, of a column that has pairs as well."""
    return Path(folder) / f"{column}.single.bam"


def log_file(folder: str | Path, column: str) -> Path:
    """Return where STAR's log of a column lies."""
    return Path(folder) / f"{column}.Log.final.out"


def alignment_files(folder: str | Path, column: str) -> list[Path]:
    """Return the BAM files of a column that are there."""
    return [path for path in (pairs_file(folder, column), singles_file(folder, column)) if path.exists()]


def star_versions(paths: Iterable[str | Path]) -> set[str]:
    """Return the versions of STAR that wrote some BAM files, as their headers tell (``@PG``, ``VN``)."""
    versions = set()
    for path in paths:
        with contextlib.suppress(BamError), BamReader(path) as reader:
            versions.update(re.findall(r"^@PG\tID:STAR\t(?:.*\t)?VN:([^\t\n]+)", reader.text, re.M))
    return versions
