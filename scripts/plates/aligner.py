"""Align the cells of a shard with STAR, several side by side, so that a second try aligns only what is missing.

All runs of a cell go through one call of STAR; pairs and unpaired reads have a call each. A cell counts as aligned when
its BAM files are whole and STAR has read as many reads as the archive has spots. Only then its files get their names
in the folder of partial results, and with them ``{column}.reads.json``, the fingerprint of its reads.
"""

import contextlib
import hashlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from scripts.core.disk.files import path_below, remove_folder
from scripts.core.disk.folders import unseal
from scripts.core.errors import (
    MACHINE,
    InputError,
    Interrupted,
    MachineFault,
    RunFault,
    fault_of_run,
    raise_if_all_alike,
)
from scripts.core.subprocesses import external_signal, raise_if_full
from scripts.plates.bam_groups import is_whole_bam
from scripts.plates.cells import CellReads, bam_files, log_file
from scripts.star.genome_memory import NOT_SHARED, GenomeMemory
from scripts.star.log import INPUT_READS, format_log, read_star_log, sum_logs
from scripts.star.presets import PLATE_PRESETS, as_arguments, plate_options
from scripts.star.program import REFUSED, failure_cause, raise_if_broken, raise_if_interrupted
from scripts.star.read_pipes import Source, read_pipes


def share_threads(sizes: Sequence[int], threads: int) -> list[int]:
    """Return the threads of cells of these sizes: one, and more for a cell that would delay all the others."""
    total = sum(sizes) or 1
    return [max(1, min(threads, -(-size * threads // total))) for size in sizes]


class Aligner:
    """Aligns cells against one index into a folder of partial results, which outlives a failure."""

    def __init__(
        self, index: Path, preset: str, partial: Path, star_options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Empty ``partial`` where it was made with another index, preset or options (which win over the preset)."""
        self.preset = preset
        self.star_options = star_options
        self.partial = partial
        unseal(partial)
        index_digest = hashlib.sha256((index / "genomeParameters.txt").read_bytes()).hexdigest()
        parameters = json.dumps([index_digest, PLATE_PRESETS[preset], *([dict(star_options)] if star_options else [])])
        recorded = partial / "parameters.json"
        if not recorded.exists() or recorded.read_text(encoding="utf-8") != parameters:
            remove_folder(partial.parent, partial.name, ignore_errors=True)
            partial.mkdir(parents=True)
            recorded.write_text(parameters, encoding="utf-8")
        self.work = partial / "cells"
        remove_folder(partial, self.work.name, ignore_errors=True)
        self.work.mkdir()
        self.genome = GenomeMemory(index, self.work)

    def _fingerprint_file(self, cell: CellReads) -> Path:
        return path_below(self.partial, f"{cell.name}.reads.json")

    def is_aligned(self, cell: CellReads) -> bool:
        """Whether an earlier try has aligned the same reads of this cell."""
        recorded = self._fingerprint_file(cell)
        return (
            log_file(self.partial, cell.name).exists()
            and recorded.exists()
            and recorded.read_text(encoding="utf-8") == cell.fingerprint()
        )

    def align_all(self, cells: Sequence[CellReads], threads: int, genome_memory: str) -> dict[str, RunFault]:
        """Align cells, the largest first; return column → fault for those that could not be aligned.

        ``genome_memory`` is a mode of :mod:`scripts.star.genome_memory`. Raises Interrupted where a STAR was killed
        twice, the disk became full or all of several cells crashed, after all other cells are aligned; MachineFault
        where STAR does not work.
        """
        ordered = sorted(cells, key=lambda cell: (-cell.bytes, cell.name))
        faults: dict[str, RunFault | Interrupted | MachineFault] = {}
        free = threading.Semaphore(threads)

        def align(cell: CellReads, share: int, genome_load: str) -> None:
            try:
                self.align(cell, share, genome_load)
            except Exception as error:
                fault = faults[cell.name] = _fault_of_cell(error)
                print(f"{cell.name}: {fault}", file=sys.stderr)
            finally:
                free.release(share)

        with self.genome.load(genome_memory) as genome_load, ThreadPoolExecutor(threads) as pool:
            if genome_load == NOT_SHARED:
                shares = [threads] * len(ordered)  # one at a time: memory holds one genome
            else:
                shares = share_threads([cell.bytes for cell in ordered], threads)
            try:
                started = []
                for cell, share in zip(ordered, shares, strict=True):
                    for _ in range(share):
                        free.acquire()
                    started.append(pool.submit(align, cell, share, genome_load))
                for future in started:
                    future.result()
                causes = [fault.cause for fault in faults.values() if isinstance(fault, RunFault)]
                if sum(cause in (MACHINE, REFUSED) for cause in causes) == len(cells):
                    common = ["--genomeLoad", genome_load, *as_arguments(self.star_options)]
                    raise_if_broken(self.genome.run, common, self.work)
            except BaseException:
                self.genome.stop()
                raise
        broken = [fault for fault in faults.values() if isinstance(fault, MachineFault)]
        if broken:
            raise broken[0]
        interrupted = sorted(name for name, fault in faults.items() if isinstance(fault, Interrupted))
        if interrupted:
            raise Interrupted(f"{', '.join(interrupted)}: not aligned. {faults[interrupted[0]]}")
        own = {name: fault for name, fault in faults.items() if isinstance(fault, RunFault)}
        raise_if_all_alike([own.get(cell.name) for cell in cells])
        return own

    def align(self, cell: CellReads, threads: int, genome_load: str) -> None:
        """Align a cell. Raises RunFault where the alignment is not whole, Interrupted where STAR was killed."""
        log = log_file(self.partial, cell.name)
        log.unlink(missing_ok=True)
        calls = cell.calls()
        folders = [path_below(self.work, f"{cell.name}.{number}") for number in range(len(calls))]
        logs = []
        for folder, mates in zip(folders, calls, strict=True):
            try:
                logs.append(self._call(folder, mates, cell.spots, threads, genome_load))
            except BaseException:
                remove_folder(self.work, folder.name, ignore_errors=True)  # makes room for others on a full disk
                raise
        reads = sum(int(log[INPUT_READS]) for log in logs)
        if reads != cell.spots:
            raise RunFault("READS_MISSING", f"STAR has read {reads} reads, but the archive has {cell.spots} spots.")
        targets = bam_files(self.partial, cell.name)
        for target in targets:
            target.unlink(missing_ok=True)
        for folder, target in zip(folders, targets, strict=False):
            (folder / "Aligned.out.bam").replace(target)
        self._fingerprint_file(cell).write_text(cell.fingerprint(), encoding="utf-8")
        made = folders[0] / "Log.final.out"
        if len(logs) > 1:
            made.write_text(format_log(sum_logs(logs)), encoding="utf-8")
        made.replace(log)
        for folder in folders:
            remove_folder(self.work, folder.name)

    def _call(
        self, folder: Path, mates: list[list[Path]], spots: int, threads: int, genome_load: str
    ) -> dict[str, str]:
        """Run STAR on files, a list for each mate; return its log when its BAM file is whole."""
        folder.mkdir()
        arguments = ["--readFilesIn"]
        sources: dict[str, Source] = {}
        for files in mates:  # names without blanks or commas, and no path in the BAM file's header
            names = {path.name.removesuffix(".gz"): path for path in files}
            sources |= names
            arguments.append(",".join(names))
        arguments += ["--genomeLoad", genome_load, "--runThreadN", str(threads)]
        arguments += as_arguments(plate_options(self.preset, spots, self.star_options))
        status, complaint = self._run(arguments, folder, sources)
        if external_signal(status):  # by the system or a person: the reads need not be the cause
            print(f"{folder.name}: {complaint} It is aligned once more.", file=sys.stderr)
            status, complaint = self._run(arguments, folder, sources)
        if status:
            _print_log(folder)
            raise_if_interrupted(status, complaint, folder)
            raise RunFault("ALIGN_FAILED", f"STAR failed: {complaint}", failure_cause(status))
        return _checked_log(folder)

    def _run(self, arguments: Sequence[str], folder: Path, sources: Mapping[str, Source]) -> tuple[int, str]:
        with read_pipes(folder, sources):
            return self.genome.run(arguments, folder)


def _fault_of_cell(error: Exception) -> RunFault | Interrupted | MachineFault:
    """Return an error in the work on a cell as the fault of the cell or of the machine."""
    try:
        return fault_of_run(error, "ALIGN_FAILED")
    except (Interrupted, MachineFault) as fault:
        return fault


def _checked_log(folder: Path) -> dict[str, str]:
    """Return the log of a call that ended well. Raises RunFault where the BAM file or the log is not whole."""
    bam, log = folder / "Aligned.out.bam", folder / "Log.final.out"
    if not bam.exists() or not log.exists():
        raise_if_full(folder)
        raise RunFault("ALIGN_FAILED", "STAR ended well, but wrote no BAM file or no log; is the disk full?")
    if not is_whole_bam(bam):
        raise_if_full(folder)
        raise RunFault("ALIGN_FAILED", "STAR ended well, but its BAM file is cut short; is the disk full?")
    try:
        return read_star_log(log)
    except InputError as error:
        raise RunFault("ALIGN_FAILED", f"STAR ended well, but its log is not whole ({error}).") from error


def _print_log(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lines = (folder / "Log.out").read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"{folder.name}: the end of STAR's Log.out", *lines[-15:], sep="\n  ", file=sys.stderr)
