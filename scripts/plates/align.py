"""Align the cells of a plate shard with STAR under one load of the genome, several cells side by side.

The genome is loaded once into shared memory, in an IPC namespace of the shard's own: whatever ends the job, the
kernel frees it. Where namespaces are refused, the memory is shared under a lock by node and genome and removed at the
end. Where shared memory is refused as well, the genome is loaded once into a file beside the partial results, which
plays shared memory (formats/segments.c; that needs a C compiler and room for the file); else every STAR loads the
genome by itself, one after the other. What was done is told.

All runs of a column go through one call of STAR; when a column has pairs and reads without a mate, each kind has its
call and BAM file, and the log is that of both (numbers added up, shares computed anew). An alignment counts as made
when the BAM file is whole and STAR has read as many reads as the archive has spots; only then it is given its name, so
that a second try makes only what is missing.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.core.errors import InputError, Interrupted, RunFault
from scripts.core.subprocesses import killer_of, raise_if_full, raise_if_killed
from scripts.plan.run_table import Run, columns_of
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_unit_options, runs_of_options
from scripts.plates.alignments import log_file, pairs_file, singles_file
from scripts.plates.cells import Column, plan_columns
from scripts.star.log import INPUT_READS, format_log, read_star_log, sum_logs
from scripts.star.presets import PLATE_PRESETS, as_arguments, plate_options
from scripts.star.program import StarProcess, index_parameters, program, raise_if_interrupted

_NAMESPACES = (
    ["unshare", "--ipc", "--pid", "--fork", "--kill-child"],
    ["unshare", "--user", "--map-root-user", "--ipc", "--pid", "--fork", "--kill-child"],
    ["unshare", "--ipc"],
    ["unshare", "--user", "--map-root-user", "--ipc"],
)
_SEGMENTS = Path(__file__).resolve().parents[1] / "star" / "segments.c"
_KILLED_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Slots:
    """Threads to give out."""

    def __init__(self, threads: int) -> None:
        self.free = threads
        self.changed = threading.Condition()

    def take(self, threads: int) -> None:
        """Wait until so many are free, and take them."""
        with self.changed:
            self.changed.wait_for(lambda: self.free >= threads)
            self.free -= threads

    def give(self, threads: int) -> None:
        """Give them back."""
        with self.changed:
            self.free += threads
            self.changed.notify_all()


def share_threads(sizes: Sequence[int], threads: int) -> list[int]:
    """Return threads for cells of these sizes: one, and more for a cell that would hold up all the others."""
    total = sum(sizes) or 1
    return [max(1, min(threads, -(-size * threads // total))) for size in sizes]


class Aligner:
    """Aligns columns against one index, into a folder of partial results that outlives a failure."""

    def __init__(self, index: Path, preset: str, partial: Path) -> None:
        self.index = index.absolute()
        self.preset = preset
        self.partial = partial
        self.running: set[StarProcess] = set()
        self.lock = threading.Lock()
        self.stopped = False
        self.locks: list[int] = []  # open files that are locked until the last STAR has ended
        self.segments: Path | None = None  # the library that keeps shared memory in files, where there is no other
        parameters = (self.index / "genomeParameters.txt").read_bytes()
        key = json.dumps([hashlib.sha256(parameters).hexdigest(), PLATE_PRESETS[preset]])
        kept = partial / "made_with"
        if not kept.exists() or kept.read_text(encoding="utf-8") != key:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            kept.write_text(key, encoding="utf-8")
        self.cells = partial / "cells"
        shutil.rmtree(self.cells, ignore_errors=True)
        self.cells.mkdir()

    def run(self, arguments: Sequence[str], folder: Path) -> tuple[int, str]:
        """Run STAR in a folder in which ``genome`` is the index; return exit status and complaint."""
        with self.lock:
            if self.stopped:
                raise RuntimeError("stopped")
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / "genome"
            if not link.is_symlink():
                link.symlink_to(self.index)
            environment = None
            if self.segments:
                (folder / self.segments.name).unlink(missing_ok=True)
                (folder / self.segments.name).symlink_to(self.segments.absolute())
                # by a name without blanks, at which LD_PRELOAD is split
                environment = {"LD_PRELOAD": f"./{self.segments.name}", "SEGMENTS_FOLDER": str(self.segments.parent)}
            arguments = ["--genomeDir", "genome", "--outFileNamePrefix", "./", *arguments]
            star = StarProcess(arguments, folder, environment, self.locks)
            self.running.add(star)
        try:
            status = star.wait()
        finally:
            with self.lock:
                self.running.discard(star)
        return status, star.complaint() if status else ""

    def stop(self) -> None:
        """End every STAR that runs, and start none any more."""
        with self.lock:
            self.stopped = True
            running = list(self.running)
        for star in running:
            star.stop()

    def made_before(self, column: Column) -> bool:
        """Whether an earlier try has made this column from the same reads."""
        key = self.partial / f"{column.name}.made_from"
        return (
            log_file(self.partial, column.name).exists()
            and key.exists()
            and key.read_text(encoding="utf-8") == column.made_from()
        )

    def align(self, column: Column, threads: int, genome_load: str) -> None:
        """Align a column. Raises RunFault where the alignment is not proven, Interrupted where STAR was killed."""
        key = self.partial / f"{column.name}.made_from"
        log_file(self.partial, column.name).unlink(missing_ok=True)
        calls: list[tuple[Path, list[list[Path]]]] = []
        pairs = [pair for pair in column.pairs if pair[0].stat().st_size or pair[1].stat().st_size]
        singles = [path for path in column.singles if path.stat().st_size]
        if pairs or (column.pairs and not singles):
            calls.append(
                (pairs_file(self.partial, column.name), list(map(list, zip(*pairs or column.pairs[:1], strict=True))))
            )
        if singles or not calls:
            target = singles_file if calls else pairs_file
            calls.append((target(self.partial, column.name), [singles or column.singles[:1]]))
        logs = []
        made = []
        for number, (bam, mates) in enumerate(calls):
            folder = self.cells / f"{column.name}.{number}"
            try:
                logs.append(self._call(folder, mates, column.reads, threads, genome_load))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)  # a disk that is full has room for others again
                raise
            made.append((folder / "Aligned.out.bam", bam))
        reads = sum(int(log[INPUT_READS]) for log in logs)
        if reads != column.reads:
            raise RunFault("READS_MISSING", f"STAR has read {reads} reads, but the archive has {column.reads} spots.")
        for name in (pairs_file(self.partial, column.name), singles_file(self.partial, column.name)):
            name.unlink(missing_ok=True)
        for source, target in made:
            source.replace(target)
        key.write_text(column.made_from(), encoding="utf-8")
        log = self.cells / f"{column.name}.0" / "Log.final.out"
        if len(logs) > 1:
            log.write_text(format_log(sum_logs(logs)), encoding="utf-8")
        log.replace(log_file(self.partial, column.name))
        for number in range(len(calls)):
            shutil.rmtree(self.cells / f"{column.name}.{number}")

    def _call(
        self, folder: Path, mates: list[list[Path]], reads: int, threads: int, genome_load: str
    ) -> dict[str, str]:
        """Run STAR on the files of one kind (a list for each mate); return its log when its BAM file is whole."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        arguments = ["--readFilesIn"]
        for files in mates:
            for path in files:  # names without blanks or commas, and no path in the BAM file's header
                (folder / path.name).symlink_to(path.absolute())
            arguments.append(",".join(path.name for path in files))
        arguments += ["--genomeLoad", genome_load, "--runThreadN", str(threads)]
        arguments += as_arguments(plate_options(self.preset, reads))
        status, complaint = self.run(arguments, folder)
        if killer_of(status):  # by the system or a person: the reads need not be at fault
            print(f"{folder.name}: {complaint} It is aligned once more.", file=sys.stderr)
            status, complaint = self.run(arguments, folder)
        if status:
            self._tell_log(folder)
            raise_if_interrupted(status, complaint, folder)
            raise RunFault("ALIGN_FAILED", f"STAR failed: {complaint}")
        bam, log = folder / "Aligned.out.bam", folder / "Log.final.out"
        if not bam.exists() or not log.exists():
            raise_if_full(folder)
            raise RunFault("ALIGN_FAILED", "STAR ended well, but wrote no BAM file or no log; is the disk full?")
        check = subprocess.run(
            ["samtools", "quickcheck", "-v", str(bam)], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if check.returncode:
            raise_if_killed("samtools", check.returncode)
            raise_if_full(folder)
            raise RunFault("ALIGN_FAILED", "STAR ended well, but its BAM file is cut short; is the disk full?")
        try:
            return read_star_log(log)
        except InputError as error:
            raise RunFault("ALIGN_FAILED", f"STAR ended well, but its log is not whole ({error}).") from error

    @staticmethod
    def _tell_log(folder: Path) -> None:
        with contextlib.suppress(OSError):
            lines = (folder / "Log.out").read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"{folder.name}: the end of STAR's Log.out", *lines[-15:], sep="\n  ", file=sys.stderr)


def align_all(aligner: Aligner, columns: Sequence[Column], threads: int, genome_load: str) -> dict[str, RunFault]:
    """Align columns, the largest first; return column → fault for those that could not be aligned.

    Raises Interrupted where a STAR was killed twice, or the disk became full, after all others are aligned.
    """
    ordered = sorted(columns, key=lambda column: (-column.bytes, column.name))
    if genome_load == "NoSharedMemory":
        shares = [threads] * len(ordered)  # one after the other: each holds a genome of its own
    else:
        shares = share_threads([column.bytes for column in ordered], threads)
    slots = Slots(threads)
    faults: dict[str, RunFault] = {}
    interrupted: dict[str, Interrupted] = {}

    def one(column: Column, share: int) -> None:
        try:
            aligner.align(column, share, genome_load)
        except RunFault as fault:
            print(f"{column.name}: {fault}", file=sys.stderr)
            faults[column.name] = fault
        except Interrupted as fault:
            print(f"{column.name}: {fault}", file=sys.stderr)
            interrupted[column.name] = fault
        finally:
            slots.give(share)

    with ThreadPoolExecutor(threads) as pool:
        try:
            started = []
            for column, share in zip(ordered, shares, strict=True):
                slots.take(share)
                started.append(pool.submit(one, column, share))
            for future in started:
                future.result()
        except BaseException:
            aligner.stop()
            raise
    if interrupted:
        names = sorted(interrupted)
        raise Interrupted(f"{', '.join(names)}: not aligned. {interrupted[names[0]]}")
    return faults


def load_genome(aligner: Aligner, how: str) -> tuple[int, str]:
    """Load or remove the genome in shared memory; return STAR's exit status and complaint.

    Raises Interrupted where the STAR that loads it was killed.
    """
    folder = aligner.cells / f".{how}"
    try:
        status, complaint = aligner.run(["--genomeLoad", how], folder)
        if how == "LoadAndExit":
            raise_if_killed("STAR", status)
        return status, complaint
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def align_in_namespace(aligner: Aligner, columns: Sequence[Column], threads: int) -> dict[str, RunFault]:
    """Align with the genome in shared memory that nobody else sees and the kernel takes back."""
    status, complaint = load_genome(aligner, "LoadAndExit")
    if status:
        return align_alone(aligner, columns, threads, complaint)
    return align_all(aligner, columns, threads, "LoadAndKeep")


def align_under_lock(aligner: Aligner, columns: Sequence[Column], threads: int) -> dict[str, RunFault]:
    """Align with the genome in memory that the whole node shares: one shard at a time for a genome.

    STAR's keys are the inode of the index folder and the next number, which may be the next index's own: both are
    locked. What a job before left under them is removed first.
    """
    print(
        "No IPC namespace of its own: the genome is loaded into the node's shared memory, under a lock.",
        file=sys.stderr,
    )
    place = aligner.index.stat()
    with contextlib.ExitStack() as locks:
        for key in (place.st_ino, place.st_ino + 1):
            path = Path(tempfile.gettempdir()) / f"sra2matrix.star.{place.st_dev}.{key}.lock"
            lock = locks.enter_context(path.open("a"))
            with contextlib.suppress(PermissionError):
                path.chmod(0o666)
            fcntl.flock(lock, fcntl.LOCK_EX)
            # STARs that outlive a killed command for a moment hold it too
            aligner.locks.append(lock.fileno())
        load_genome(aligner, "Remove")
        try:
            status, complaint = load_genome(aligner, "LoadAndExit")
            if not status:
                return align_all(aligner, columns, threads, "LoadAndKeep")
        finally:
            aligner.stopped = False
            load_genome(aligner, "Remove")
            aligner.locks.clear()
    return align_alone(aligner, columns, threads, complaint)


def align_alone(aligner: Aligner, columns: Sequence[Column], threads: int, reason: str = "") -> dict[str, RunFault]:
    """Align with a genome for each STAR, one after the other.

    Where shared memory was refused (``reason``), a file that plays it is tried first.
    """
    if reason:
        print(f"The genome cannot be loaded into shared memory: {reason}", file=sys.stderr)
        lacking = keep_segments_in_files(aligner)
        if not lacking:
            status, lacking = load_genome(aligner, "LoadAndExit")
            if not status:
                print("It is loaded once, into a file that plays shared memory.", file=sys.stderr)
                return align_all(aligner, columns, threads, "LoadAndKeep")
            shutil.rmtree(aligner.segments.parent, ignore_errors=True)
            aligner.segments = None
        print(f"Nor into a file: {lacking}\nEach cell loads it now.", file=sys.stderr)
    return align_all(aligner, columns, threads, "NoSharedMemory")


def keep_segments_in_files(aligner: Aligner) -> str:
    """Let STARs keep shared memory in files from now on; return why that cannot be, empty where it can.

    The files lie among those of the cells: the next try removes what a killed one left.
    """
    folder = (aligner.cells / ".segments").absolute()
    folder.mkdir(exist_ok=True)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler (cc)."
    library = folder / "segments.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SEGMENTS)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{Path(compiler).name} failed: {' '.join(done.stderr.split())[-300:]}"
    aligner.segments = library
    return ""


def find_namespace() -> list[str]:
    """Return the command that starts another in an IPC namespace of its own, empty where all are refused."""
    for command in _NAMESPACES:
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
            )
            if not done.returncode:
                return command
    return []


def _stop_on_signals() -> None:
    def stop(number: int, _: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def enter_namespace(namespace: Sequence[str], argv: Sequence[str]) -> int:
    """Run this command again inside a namespace and return its exit status.

    Whatever ends this process, also SIGKILL, ends everything in the namespace.
    """
    environment = dict(os.environ)
    home = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(_KILLED_WITH_PARENT, signal.SIGKILL)

    command = [*namespace, sys.executable, "-m", "scripts", "align", *argv, "--genome-memory", "inside"]
    _stop_on_signals()
    inner = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
    try:
        status = inner.wait()
    finally:
        inner.kill()
        inner.wait()
    return status if status >= 0 else 128 - status


_ALIGNERS: Mapping[str, Callable[[Aligner, Sequence[Column], int], dict[str, RunFault]]] = {
    "inside": align_in_namespace,
    "shared": align_under_lock,
    "none": align_alone,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_unit_options(parser, columns=True)
    parser.add_argument("--fastq", required=True, help="folder of the shard's FASTQ files and status table")
    parser.add_argument("--index", required=True, help="folder of STAR's index")
    parser.add_argument("--preset", choices=tuple(PLATE_PRESETS), default="census2017", help="options of STAR")
    parser.add_argument("--threads", type=int, default=1, help="threads of all STARs together")
    parser.add_argument("--output", required=True, help="folder of alignments to write")
    parser.add_argument("--scratch", help="folder for partial results, default beside the output")
    parser.add_argument(
        "--genome-memory",
        choices=("auto", "shared", "none", "inside"),
        default="auto",
        help="where the genome is loaded: a namespace of its own where that is allowed (auto), the node's shared memory"
        " (shared), each STAR by itself (none); inside: this process is in a namespace already",
    )
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    threads = max(1, args.threads)
    program()
    index_parameters(args.index)
    columns = columns_of(runs_of_options(args), args.count_by)
    statuses = read_statuses(Path(args.fastq) / "status.tsv")
    missing = [row.run for rows in columns.values() for row in rows if row.run not in statuses]
    if missing:
        raise InputError(f"{args.fastq}/status.tsv: no row for {', '.join(missing)}; it is of another plan.")
    planned, became = plan_columns(columns, statuses, Path(args.fastq))
    how = args.genome_memory
    if how == "auto":
        if len(planned) < 2:
            how = "none"  # nothing to share
        elif namespace := find_namespace():
            status = enter_namespace(namespace, argv)
            if status:
                sys.exit(status)
            return
        else:
            how = "shared"
    _stop_on_signals()
    output = Path(args.output)
    beside = Path(args.scratch) if args.scratch else output.parent
    beside.mkdir(parents=True, exist_ok=True)
    partial = beside / f".{args.unit}.align"
    aligner = Aligner(Path(args.index), args.preset, partial)
    ready = [column for column in planned if aligner.made_before(column)]
    if ready:
        print(f"{len(ready)} column(s) were aligned by an earlier try.", file=sys.stderr)
    todo = [column for column in planned if column not in ready]
    faults = {}
    if todo:
        faults = _ALIGNERS[how](aligner, todo, threads)
    for name, fault in faults.items():
        for row in columns[name]:
            became[row.run] = became[row.run].failed(fault)
    hand_over(partial, output, columns, became)


def hand_over(
    partial: Path, output: Path, columns: Mapping[str, Sequence[Run]], became: Mapping[str, RunStatus]
) -> None:
    """Make the folder of partial results the output: the alignments of the good columns, and the status table."""
    kept = {"status.tsv"}
    for name, rows in columns.items():
        if all(became[row.run].ok for row in rows):
            kept |= {path(partial, name).name for path in (pairs_file, singles_file, log_file)}
    write_statuses(partial / "status.tsv", became.values())
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()
    if output.exists():
        shutil.rmtree(output)
    if partial.parent == output.parent:
        partial.replace(output)
        return
    arriving = output.with_name(f".{output.name}.arriving")
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(arriving, ignore_errors=True)
    shutil.move(partial, arriving)
    arriving.replace(output)
