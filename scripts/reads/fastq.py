"""Convert the archives of a unit's runs to FASTQ, and hold every count against the archive and the record.

Plates: {run}_1.fastq and {run}_2.fastq for pairs, {run}.fastq for single reads and for reads that lost their mate.
Droplets: {run}_{n}.fastq with n the read's number in the archive, technical reads included; a read that is empty in
the whole archive has no file. A run of source `file:` is taken from the files that the plan names, one of source `bam`
(a library whose archive has lost the barcodes) from the BAM file of Cell Ranger, one of source `ena_fastq` from ENA's
FASTQ. A run whose reads are not all there is marked READS_MISSING in status.tsv: an exit status of 0 proves nothing
here.

Reads have the name that fasterq-dump gives them, {run}.{spot}, behind it the archive's own, and the qualities of the
archive; lengths and names are not repeated, which saves a fifth of the disk. ENA's FASTQ has the same but for what
follows the name, which STAR does not read: `1/1` or `original/1` in place of `1` or `original`.
"""

import argparse
import contextlib
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.concurrency import every, side_by_side
from scripts.core.errors import DISK_FULL, Interrupted, RunFault
from scripts.core.files import size_of_folder
from scripts.core.locks import exclusive_lock
from scripts.core.progress import Progress
from scripts.core.subprocesses import ends_if_removed, ends_with_command, run_program
from scripts.formats import fastq_files
from scripts.plan.footprint import SORTED_AT_ONCE, beyond_limit, held_by, held_by_unit, told_gb
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.reads import sources, sra_archive, tenx_bam

_FULL = re.compile(r"storage exhausted|no space left|quota", re.IGNORECASE)
_INDEX_READ = 12  # reads of at most so many bases hold a sample's index, not cDNA


class Converter:
    """The conversions of one unit."""

    def __init__(self, runs: Sequence[Run], options: argparse.Namespace) -> None:
        self.runs = {row.run: row for row in runs}
        self.archives = Path(options.archives)
        self.output = Path(options.output)
        self.limit_gb = options.limit_gb
        self.workers = max(1, min(options.threads, len(self.runs), SORTED_AT_ONCE))
        self.threads = max(1, options.threads // self.workers)
        self.guard = threading.Lock()
        self.reserved: dict[str, int] = {}

    def all(self) -> None:
        """Convert what can be converted and write the status table."""
        before = read_statuses(self.archives / "status.tsv")
        self.output.mkdir(parents=True, exist_ok=True)
        for left in ("*.fastq", "status.tsv"):
            for path in self.output.glob(left):
                path.unlink()
        self.offline = sra_archive.write_settings(self.output / "offline.mkfg")
        self.held_archives = size_of_folder(self.archives)
        statuses = {run: before.get(run, RunStatus(run).failed(_NOT_DOWNLOADED)) for run in self.runs}
        waiting = [statuses[run] for run in self.runs if statuses[run].ok]
        progress = Progress(len(statuses))
        progress.done = len(statuses) - len(waiting)
        reckoned = held_by_unit(self.runs[status.run] for status in waiting)
        still_ours = ends_if_removed(self.output)
        peak = self.held_archives

        def watch() -> None:
            nonlocal peak
            still_ours()
            written = size_of_folder(self.output)
            peak = max(peak, self.held_archives + written)
            progress.show(written, max(written / (reckoned.fastq or 1), progress.done / len(statuses)))

        with every(0.5, watch):
            for status, new in side_by_side(self.run, waiting, self.workers):
                statuses[status.run] = new
                progress.done += 1
                words = f"{int(new.spots):,} spots" if new.ok else f"{new.reason}: {new.detail}"
                watch()
                progress.report(f"{new.run}: {words.rstrip('.')}. {progress.summary()}")
        progress.end()
        progress.report(f"Held at most {peak / 1e6:.1f} MB; reckoned with {reckoned.peak / 1e6:.1f} MB.")
        (self.output / "offline.mkfg").unlink()
        write_statuses(self.output / "status.tsv", statuses.values())

    def run(self, status: RunStatus) -> RunStatus:
        """Convert one run and say what became of it; nothing of a failed one is left."""
        row = self.runs[status.run]
        work = self.output / f".{row.run}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            with self._room(row):
                files, spots = self._reads(row, work)
            layout = ""
            if row.assay == "plate":
                files, layout = _plate_files(row, files)
            elif not spots:
                raise RunFault("EMPTY_READS", "the archive and the record have no spot.")
            for name, path in files.items():
                path.replace(self.output / name)
            differs = spots and layout != row.layout
            return status._replace(spots=str(spots), layout=layout if differs else "")
        except RunFault as fault:
            return status.failed(fault)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextlib.contextmanager
    def _room(self, row: Run) -> Iterator[None]:
        """Hold the room that a conversion needs. Raises RunFault(DISK_LIMIT) where it is not there."""
        need = self._need(row)
        with self.guard:
            running = sum(self.reserved.values())
            self.reserved[row.run] = need
        finished = sum(path.lstat().st_size for path in self.output.glob("*.fastq"))
        held = self.held_archives + finished
        try:
            words = f"the conversion may need {told_gb(need)}"
            if need > shutil.disk_usage(self.output).free - running:
                raise RunFault("DISK_LIMIT", f"{words}, and the disk has no room for it.", DISK_FULL)
            if self.limit_gb is not None and held + running + need > self.limit_gb * 1e9:
                most = max(held + running + need, held_by_unit(self.runs.values()).peak)
                raise RunFault("DISK_LIMIT", f"{words}, which {beyond_limit(self.limit_gb, most, row)}")
            yield
        finally:
            with self.guard:
                self.reserved.pop(row.run)

    def _need(self, row: Run) -> int:
        """Bytes that a conversion may hold beside the archive."""
        files = sources.arrived(self.archives, row.run)
        held = held_by(row._replace(bytes=str(sum(path.stat().st_size for path in files))) if files else row)
        packed = any(path.suffix == ".gz" for path in files)  # it is only unpacked
        return held.fastq + (0 if packed else held.sorting)

    def _reads(self, row: Run, work: Path) -> tuple[dict[str, Path], int]:
        """Bring the reads of a run into a folder, one file a read; return name → file and the number of spots."""
        bam = self.archives / f"{row.run}.bam"
        if bam.is_file():
            return _bam_reads(row, bam, work)
        if row.source.startswith("file:") and not (self.archives / f"{row.run}.sra").is_file():
            return _local_reads(row, work)
        if packed := [path for path in sources.arrived(self.archives, row.run) if path.suffix == ".gz"]:
            return _ena_reads(row, packed, work)
        archive = self.archives / f"{row.run}.sra"
        if not archive.is_file():
            raise RunFault("DOWNLOAD_FAILED", "the download left no archive.")
        spots = sra_archive.describe(archive, self.offline).spots
        if row.spots and int(row.spots) != spots:
            raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, the archive {spots:,}.")
        if not spots:
            (work / f"{row.run}.fastq").touch()
            return {f"{row.run}.fastq": work / f"{row.run}.fastq"}, 0
        counts = self._dump(row, archive, work, spots)
        if row.assay == "plate":
            _check_plate(row.run, counts, spots)
        else:
            counts = _numbered(row.run, counts, work)
            _check_droplet(counts, spots)
        return {name: work / name for name in counts}, spots

    def _dump(self, row: Run, archive: Path, work: Path, spots: int) -> dict[str, int]:
        """Have fasterq-dump write the reads; return file name → reads in it, all of them accounted for."""
        split = ["--split-3"] if row.assay == "plate" else ["--split-files", "--include-technical"]
        temporary = work / "temporary"
        temporary.mkdir()
        told = run_program(
            [
                *("fasterq-dump", *split, "--threads", str(self.threads)),
                *("--seq-defline", "@$ac.$si $sn", "--qual-defline", "+"),
                *("--temp", str(temporary), "--outdir", str(work), str(archive)),
            ],
            self.offline,
        )
        shutil.rmtree(temporary, ignore_errors=True)
        if "disk-limit ex" in told.errors:
            raise RunFault("DISK_LIMIT", "the disk has too little room to convert the archive.", DISK_FULL)
        if _FULL.search(told.errors):
            raise RunFault("DISK_LIMIT", "the disk became full while the archive was converted.", DISK_FULL)
        if told.status and not told.errors.strip():  # nor does the tools' driver say that its tool was killed
            raise Interrupted("fasterq-dump ended without a word; was it killed? The same call goes on.")
        if told.status:
            words = sra_archive.first_words(told.errors, archive)
            raise RunFault("ARCHIVE_CORRUPT", f"fasterq-dump failed: {words or f'status {told.status}'}.")
        said = {name: int(number.replace(",", "")) for name, number in _TALLY.findall(told.output + told.errors)}
        counts = {path.name: fastq_files.count_reads(path) for path in sorted(work.glob("*.fastq"))}
        written = sum(counts.values())
        if said.get("spots read", spots) != spots:
            raise RunFault("READS_MISSING", f"{said['spots read']:,} of the archive's {spots:,} spots were read.")
        if said.get("reads written", written) != written:
            raise RunFault("READS_MISSING", f"{written:,} of {said['reads written']:,} reads are in the FASTQ files.")
        return counts


def _local_paths(row: Run) -> list[Path]:
    """The files that the plan names for a run; none where an archive has it."""
    if not row.source.startswith("file:"):
        return []
    return [Path(path) for path in row.source.removeprefix("file:").split(";") if path]


def _bam_reads(row: Run, bam: Path, work: Path) -> tuple[dict[str, Path], int]:
    """Take the reads of a library from a BAM file; the record, where it tells the spots, must not have more."""
    if row.assay == "plate":
        raise RunFault("LAYOUT_AMBIGUOUS", "a BAM file is no source of a plate run; convert it to FASTQ first.")
    made = tenx_bam.to_fastq(bam, row.run, work)
    if row.spots and int(row.spots) > made.spots:
        raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, the BAM file {made.spots:,}.")
    for file in made.files:
        if (count := fastq_files.count_reads(file)) != made.spots:
            raise RunFault("READS_MISSING", f"{count:,} of {made.spots:,} reads are in {file.name}.")
    return {file.name: file for file in made.files}, made.spots


def _ena_reads(row: Run, packed: Sequence[Path], work: Path) -> tuple[dict[str, Path], int]:
    """Unpack ENA's FASTQ; its spots and bases must be those of the record."""
    counts = {}
    for path in packed:
        counts[path.stem] = fastq_files.unpack(path, work / path.stem)
        with (work / path.stem).open("rb") as handle:
            name = handle.readline()
        if not name.startswith(f"@{row.run}.".encode()):
            raise RunFault("READS_MISSING", f"{path.name} does not begin with a read of {row.run}.")
    singles = counts.get(f"{row.run}.fastq", 0)
    spots = max((count for name, count in counts.items() if name != f"{row.run}.fastq"), default=0) + singles
    if row.spots and int(row.spots) != spots:
        raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, ENA's FASTQ {spots:,}.")
    bases = sum(fastq_files.count_bases(work / name) for name in counts)
    if row.bases and int(row.bases) != bases:
        raise RunFault("READS_MISSING", f"the record has {int(row.bases):,} bases, ENA's FASTQ {bases:,}.")
    if row.assay == "plate":
        _check_plate(row.run, counts, spots)
    elif len(counts) > 1 and singles:
        raise RunFault("READS_MISSING", f"{singles:,} of {spots:,} spots lack a read.")
    else:
        counts = _numbered(row.run, counts, work)
        _check_droplet(counts, spots)
    return {name: work / name for name in counts}, spots


def _local_reads(row: Run, work: Path) -> tuple[dict[str, Path], int]:
    """Take the reads from the files that the plan names, in read order."""
    paths = _local_paths(row)
    if [fastq_files.kind_of(path) for path in paths] == ["bam"]:
        return _bam_reads(row, paths[0], work)
    counts = {}
    for number, path in enumerate(paths, 1):
        kind = fastq_files.kind_of(path)
        target = work / (
            f"{row.run}.fastq" if row.assay == "plate" and len(paths) == 1 else f"{row.run}_{number}.fastq"
        )
        if kind == "fastq.gz":
            counts[target.name] = fastq_files.unpack(path, target)
        elif kind == "fastq":
            counts[target.name] = fastq_files.count_reads(path)
            fastq_files.link(path, target)
        else:
            raise RunFault("READS_MISSING", f"{path} is not FASTQ.")
    spots = next(iter(counts.values()))
    if len(set(counts.values())) > 1:
        raise RunFault("READS_MISSING", f"the files do not agree: {_listed(counts)} reads.")
    if row.spots and int(row.spots) != spots:
        raise RunFault("READS_MISSING", f"the plan has {int(row.spots):,} spots, the files {spots:,}.")
    return {name: work / name for name in counts}, spots


_NOT_DOWNLOADED = RunFault("DOWNLOAD_FAILED", "the download does not know this run.")
_TALLY = re.compile(r"^([a-z0-9 -]+?) *: ([\d,]+)$", re.MULTILINE)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,}" for count in counts.values())


def _check_plate(run: str, counts: dict[str, int], spots: int) -> None:
    """Hold the counts of --split-3 against the spots: every spot is a pair or a single read."""
    singles = counts.get(f"{run}.fastq", 0)
    mates = {name: count for name, count in counts.items() if name != f"{run}.fastq"}
    if len(set(mates.values())) > 1:
        raise RunFault("READS_MISSING", f"the mates do not agree: {_listed(mates)} reads of {spots:,} spots.")
    pairs = next(iter(mates.values()), 0)
    if pairs + singles != spots:
        raise RunFault("READS_MISSING", f"{pairs + singles:,} of {spots:,} spots have a read in the FASTQ files.")
    if len(mates) > 1 and singles > pairs:
        raise RunFault(
            "READS_MISSING", f"most mates are missing: {pairs:,} of {spots:,} spots are pairs, {singles:,} lost one."
        )


def _check_droplet(counts: dict[str, int], spots: int) -> None:
    """Hold the counts of --split-files against the spots: every read of every spot is there."""
    if set(counts.values()) != {spots}:
        raise RunFault("READS_MISSING", f"the reads do not agree: {_listed(counts)} of {spots:,} spots.")


def _numbered(run: str, counts: dict[str, int], work: Path) -> dict[str, int]:
    """Give the only file of a one-read archive its number too; versions of fasterq-dump differ in this."""
    if f"{run}.fastq" in counts:
        (work / f"{run}.fastq").rename(work / f"{run}_1.fastq")
        counts = {f"{run}_1.fastq" if name == f"{run}.fastq" else name: count for name, count in counts.items()}
    return counts


def _plate_files(row: Run, files: dict[str, Path]) -> tuple[dict[str, Path], str]:
    """Return final name → file of a plate run, and its layout.

    Index reads go: those that read_roles names, else those of a few bases. Raises RunFault(LAYOUT_AMBIGUOUS) when more
    than two reads remain.
    """
    run = row.run
    numbered = {name: path for name, path in files.items() if name != f"{run}.fastq"}
    roles = row.read_roles.split(",") if row.read_roles else []
    if len(numbered) > 2:
        if len(roles) == len(numbered):
            chosen = [path for path, role in zip(numbered.values(), roles, strict=True) if role.startswith("cdna")]
        else:
            chosen = [path for path in numbered.values() if _first_length(path) > _INDEX_READ]
        if not 1 <= len(chosen) <= 2 or f"{run}.fastq" in files:
            lengths = ", ".join(str(_first_length(path)) for path in numbered.values())
            raise RunFault("LAYOUT_AMBIGUOUS", f"a plate run with {len(numbered)} reads a spot, of {lengths} bases.")
    else:
        chosen = list(numbered.values())
    if len(chosen) == 2:
        single = {f"{run}.fastq": files[f"{run}.fastq"]} if f"{run}.fastq" in files else {}
        return {f"{run}_1.fastq": chosen[0], f"{run}_2.fastq": chosen[1], **single}, "paired"
    return {f"{run}.fastq": chosen[0] if chosen else files[f"{run}.fastq"]}, "single"


def _first_length(path: Path) -> int:
    with path.open("rb") as handle:
        handle.readline()
        return len(handle.readline().rstrip())


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--archives", required=True, help="folder that `python -m scripts download` left")
    parser.add_argument("--threads", type=int, default=1, help="runs side by side, or threads of a single one")
    parser.add_argument("--limit-gb", type=float, help="what the job may hold on disk, the archives included")
    parser.add_argument("--output", required=True, help="folder of the FASTQ files and of status.tsv")
    options = parser.parse_args(argv)
    converter = Converter(read_unit_rows(options.runs), options)
    with ends_with_command(), exclusive_lock(converter.output.parent / f".{converter.output.name}.lock"):
        converter.all()
