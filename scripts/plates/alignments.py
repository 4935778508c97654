"""The folder of a shard's alignments: ``{column}.bam``, ``{column}.Log.final.out`` and ``status.tsv``.

STAR aligns pairs and reads without a mate in separate calls. So a cell that has both has two BAM files,
``{column}.bam`` of its pairs and ``{column}.single.bam`` of the others; its one log is the sum of both.
BAM files are as STAR writes them: not sorted, the records of a read together.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.core.files import replace_folder
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, write_statuses


def bam_files(folder: str | Path, column: str) -> tuple[Path, Path]:
    """Return the paths of a cell's BAM files: of its first call of STAR, and of unpaired reads beside pairs."""
    return Path(folder) / f"{column}.bam", Path(folder) / f"{column}.single.bam"


def log_file(folder: str | Path, column: str) -> Path:
    """Return the path of a cell's log."""
    return Path(folder) / f"{column}.Log.final.out"


def alignment_files(folder: str | Path, column: str) -> list[Path]:
    """Return the BAM files of a cell that exist."""
    return [path for path in bam_files(folder, column) if path.exists()]


def publish(
    partial: Path, output: Path, columns: Mapping[str, Sequence[Run]], statuses: Mapping[str, RunStatus]
) -> None:
    """Turn the folder of partial results into the output: alignments of the good cells, and the status table."""
    kept = {"status.tsv"}
    for name, rows in columns.items():
        if all(statuses[row.run].ok for row in rows):
            kept |= {path.name for path in (*bam_files(partial, name), log_file(partial, name))}
    write_statuses(partial / "status.tsv", statuses.values())
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()
    replace_folder(partial, output)
