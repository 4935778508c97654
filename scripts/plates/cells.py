"""The files of a shard's cells: reads and alignments, and what is wrong with them.

A cell is one column of the counts: an experiment with its runs, or one run (``count_by: run``). Its reads are
``{run}_1`` and ``{run}_2`` for pairs, ``{run}`` for reads without a mate, each ``.fastq.gz`` or ``.fastq``.

The folder of its alignments has ``{column}.bam``, ``{column}.Log.final.out`` and ``status.tsv``. STAR aligns pairs and
reads without a mate in separate calls. So a cell that has both has two BAM files, ``{column}.bam`` of its pairs and
``{column}.single.bam`` of the others; its one log is the sum of both. BAM files are as STAR writes them: not sorted,
the records of a read together. Where STARsolo has counted the cells, the folder has their counts instead
(:mod:`scripts.plates.smartseq`).
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.core.disk.files import path_below, remove_folder, replace_folder
from scripts.core.disk.folders import require_whole, seal
from scripts.core.errors import InputError, RunFault, fault_of_run
from scripts.formats.fastq_files import count_reads, find_reads
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, is_whole, read_statuses, write_statuses

_TAIL_BYTES = 1 << 16


@dataclass
class CellReads:
    """The reads of a cell that are to be aligned."""

    name: str
    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    unpaired: list[Path] = field(default_factory=list)
    spots: int = 0  # of all its runs: STAR must have read this many

    def add_run(self, folder: Path, row: Run, status: RunStatus) -> None:
        """Add the reads of a run.

        Raises RunFault (READS_MISSING) where FASTQ files are missing or differ in their number of reads.
        """
        first, second, unpaired = (find_reads(folder, f"{row.run}{part}") for part in ("_1", "_2", ""))
        if (first is None) != (second is None):
            found, missing = (first, f"{row.run}_2") if first else (second, f"{row.run}_1")
            raise RunFault("READS_MISSING", f"{found.name if found else ''} is there, but {missing}.fastq is not.")
        if not first and not unpaired:
            raise RunFault("READS_MISSING", f"no FASTQ file of {row.run} is there.")
        spots = status.spots or row.spots
        if not spots:
            reads = {path: count_reads(path) for path in (first, second, unpaired) if path}
            if first and second and reads[first] != reads[second]:
                words = f"{first.name} has {reads[first]} reads, {second.name} {reads[second]}."
                raise RunFault("READS_MISSING", words)
            spots = str(sum(count for path, count in reads.items() if path != second))
        self.pairs += [(first, second)] if first and second else []
        self.unpaired += [unpaired] if unpaired else []
        self.spots += int(spots)

    @property
    def files(self) -> list[Path]:
        return [path for pair in self.pairs for path in pair] + self.unpaired

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    def calls(self) -> list[list[list[Path]]]:
        """Return the files for each call of STAR, a list for each mate: first the pairs, then the unpaired reads.

        Empty files are left out, but for one pair or file of a cell without any reads: it has a log, too.
        """
        pairs = [pair for pair in self.pairs if any(path.stat().st_size for path in pair)]
        unpaired = [path for path in self.unpaired if path.stat().st_size]
        if not pairs and not unpaired:
            pairs = self.pairs[:1]
            unpaired = [] if pairs else self.unpaired[:1]
        calls = [[list(mates) for mates in zip(*pairs, strict=True)]] if pairs else []
        return calls + ([[unpaired]] if unpaired else [])

    def fingerprint(self) -> str:
        """Return what identifies the reads: the number of spots, and name, size, first and last bytes of each file."""
        identity: list[object] = [self.spots]
        for path in self.files:
            size = path.stat().st_size
            with path.open("rb") as handle:
                check = zlib.crc32(handle.read(_TAIL_BYTES))
                handle.seek(max(0, size - _TAIL_BYTES))
                check = zlib.crc32(handle.read(_TAIL_BYTES), check)
            identity.append([path.name, size, check])
        return json.dumps(identity)


def read_cell_statuses(folder: str | Path, columns: Mapping[str, Sequence[Run]]) -> dict[str, RunStatus]:
    """Return run → status of a folder's status.tsv.

    Raises Interrupted where the folder is not whole, InputError where a run of the shard is missing.
    """
    require_whole(folder)
    path = Path(folder) / "status.tsv"
    statuses = read_statuses(path)
    missing = [row.run for rows in columns.values() for row in rows if row.run not in statuses]
    if missing:
        raise InputError(f"{path}: no row for {', '.join(missing)}; it belongs to another plan.")
    return statuses


def find_cells(
    columns: Mapping[str, Sequence[Run]], statuses: Mapping[str, RunStatus], folder: Path
) -> tuple[list[CellReads], dict[str, RunStatus]]:
    """Return the cells that can be aligned, and the statuses of all runs after this look at their files.

    A failed run fails the other runs of its cell; a cell of which every run is left out is none.
    """
    statuses_after = dict(statuses)
    cells = []
    for name, rows in columns.items():
        cell = CellReads(name)
        for row in rows:
            status = statuses_after[row.run]
            try:
                if status.ok:
                    cell.add_run(folder, row, status)
            except Exception as error:
                statuses_after[row.run] = status.failed(fault_of_run(error, "READS_MISSING"))
        if fail_siblings(rows, statuses_after) and cell.files:
            cells.append(cell)
    return cells, statuses_after


def fail_runs(rows: Sequence[Run], statuses: dict[str, RunStatus], fault: RunFault) -> None:
    """Fail the good runs of a cell."""
    for row in rows:
        if statuses[row.run].ok:
            statuses[row.run] = statuses[row.run].failed(fault)


def fail_siblings(rows: Sequence[Run], statuses: dict[str, RunStatus]) -> bool:
    """Fail the good runs of a cell that has a failed one; return whether there is none."""
    failed = [row.run for row in rows if not (statuses[row.run].ok or statuses[row.run].is_aside)]
    if failed:
        detail = f"{', '.join(failed)} of the same experiment failed; counts of a part of it would mislead."
        fail_runs(rows, statuses, RunFault("INCOMPLETE_EXPERIMENT", detail))
    return not failed


def bam_files(folder: str | Path, column: str) -> tuple[Path, Path]:
    """Return the paths of a cell's BAM files: of its first call of STAR, and of unpaired reads beside pairs."""
    return path_below(folder, f"{column}.bam"), path_below(folder, f"{column}.single.bam")


def log_file(folder: str | Path, column: str) -> Path:
    """Return the path of a cell's log."""
    return path_below(folder, f"{column}.Log.final.out")


def alignment_files(folder: str | Path, column: str) -> list[Path]:
    """Return the BAM files of a cell that exist."""
    return [path for path in bam_files(folder, column) if path.exists()]


def publish(
    partial: Path,
    output: Path,
    columns: Mapping[str, Sequence[Run]],
    statuses: Mapping[str, RunStatus],
    more: Sequence[str] = (),
) -> None:
    """Turn the folder of partial results into the output: alignments of the good cells, and the status table.

    ``more`` are the names of further files to keep.
    """
    kept = {"status.tsv", *more}
    for name, rows in columns.items():
        if is_whole(statuses[row.run] for row in rows):
            kept |= {path.name for path in (*bam_files(partial, name), log_file(partial, name))}
    write_statuses(partial / "status.tsv", statuses.values())
    for path in partial.iterdir():
        if path.is_dir():
            remove_folder(partial, path.name)
        elif path.name not in kept:
            path.unlink()
    seal(partial)
    replace_folder(partial, output)
