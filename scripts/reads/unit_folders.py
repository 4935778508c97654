"""The files of a unit's runs on their way from archives to reads: what a download left, and what is converted.

A download is a folder of archives. Of each that is converted, ``.{run}.converted`` stays in it, while the archive is
deleted. The reads are in a hidden folder beside the output, ``.{output}.reads``, with ``.{run}.json`` for each run that
is whole, until all are and become the output.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from scripts.core.disk.files import path_below
from scripts.core.disk.folders import find_fault

_CONVERTED = ".converted"


def arrived(folder: str | Path, run: str) -> list[Path]:
    """Return the files in a folder that a download left of a run, sorted by name."""
    left = re.compile(rf"{re.escape(run)}(\.sra|\.bam|\.references|((\.submitted)?_\d+)?\.fastq\.gz)")
    return sorted(path for path in Path(folder).glob(f"{run}[._]*") if left.fullmatch(path.name))


def mark_of_converted(archives: Path, run: str) -> Path:
    """Return the file that says that the archive of a run was converted and deleted."""
    return path_below(archives, f".{run}{_CONVERTED}")


def folder_of_reads(output: Path) -> Path:
    """Return the folder of the runs that are converted for an output, until all are."""
    return path_below(output.parent, f".{output.name}.reads")


def note_of_reads(folder: Path, run: str) -> Path:
    """Return the note on a run whose reads are whole in such a folder."""
    return path_below(folder, f".{run}.json")


def spent_downloads(downloads: Path, outputs: Path, unseen: Iterable[str]) -> list[Path]:
    """Return the downloads, folders below ``downloads``, that lack an archive whose reads are gone, too.

    ``outputs`` is the parent of the folders of reads; those in ``unseen`` will be removed, though they may be whole.
    So it is when a job is killed after its last archive: Snakemake removes the reads of a job that failed.
    """
    anew, found = set(map(Path, unseen)), []
    for archives in sorted(downloads.iterdir()) if downloads.is_dir() else ():
        output = outputs / archives.name
        runs = [path.name[1:].removesuffix(_CONVERTED) for path in archives.glob(f".*{_CONVERTED}")]
        lost = [run for run in runs if not note_of_reads(folder_of_reads(output), run).exists()]
        if any(not arrived(archives, run) for run in lost) and (output in anew or find_fault(output, sizes=False)):
            found.append(archives)
    return found
