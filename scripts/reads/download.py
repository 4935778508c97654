"""Download the archives of a unit's runs and check each one against its size, its md5 and vdb-validate.

The sources are asked in the order given (sra: prefetch, which asks the resolver; ncbi: the address in the record of the
series; ena: the archive in ENA's record; ena_fastq: ENA's FASTQ), in passes with growing waits, see
scripts/reads/sources/source_order.py. An archive that passes every check becomes {run}.sra; a run of source `bam` gives
{run}.bam, one of source `file:` a link where it is an archive. status.tsv has a row for every run.

ENA's FASTQ is taken provided that it has every read of the record: {run}_{n}.fastq.gz and {run}.fastq.gz, of the sizes
and md5 in ENA's record. Where the order does not name it, but `ena`, it stands in where no source has an archive.

Where all of them fail, or have lost reads, the files that were submitted are taken (source `submitted`), if anybody may
fetch them: {run}.submitted_{n}.fastq.gz or {run}.bam.

References of aligned archives are kept in a folder that all analyses may share, see
scripts/reads/sources/sra_references.py.

Unfinished downloads are in a folder beside the output (work/partial/{unit}); a job that follows a killed one resumes
them. A run that fails permanently leaves none, any other only the largest part that a source gave and that of the
current source.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core import http
from scripts.core.command import command_parser
from scripts.core.concurrency import side_by_side
from scripts.core.disk.files import hash_file, path_below, remove_folder, size_of_folder, write_atomic
from scripts.core.disk.folders import seal, unseal
from scripts.core.disk.locks import exclusive_lock
from scripts.core.errors import NO_LIST, RunFault, fault_of_run
from scripts.core.subprocesses import ends_with_command
from scripts.formats import fastq_files
from scripts.plan.run_table import ORDERED, SOURCES, Run, local_files
from scripts.plan.sizes.footprint import beyond_limit, experiments_that_fit, format_gb, run_footprint, unit_footprint
from scripts.plan.status import RunStatus, raise_if_machine, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.reads.sources.remote_files import FASTQ, SUBMITTED, UnitRecords
from scripts.reads.sources.source_order import SourceFault, SourceOrder
from scripts.reads.sources.transfer import Fetched, Transfers, TransferSettings
from scripts.reads.unit_disk import DiskRoom, UnitWatch
from scripts.reads.unit_folders import arrived

_LOST = ("READS_MISSING", "BARCODE_LOST", "MATES_DISAGREE", "EMPTY_READS", "ARCHIVE_CORRUPT", "REFERENCE_MISSING")
_LITE = "SRA Lite: the qualities are simplified."
_LITE_FASTQ = "Of SRA Lite: the qualities of ENA's FASTQ are simplified."


class Downloader:
    """The downloads of one unit.

    ``kept`` has the runs of the unit that are not tried again, ``failed`` those that failed before, see retry.py.
    """

    def __init__(
        self,
        rows: Sequence[Run],
        output: Path,
        partial: Path,
        records: UnitRecords,
        order: SourceOrder,
        settings: TransferSettings,
        limit_gb: float | None = None,
        kept: dict[str, RunStatus] | None = None,
        failed: dict[str, RunStatus] | None = None,
    ) -> None:
        self.rows = list(rows)
        self.output = output
        self.partial = partial
        self.ready = partial / "ready"
        self.order = order
        self.accept_lite = settings.accept_lite
        self.kept = kept or {}
        self.failed = failed or {}
        self.waiting = [row for row in rows if row.run not in self.kept]
        self.fitting = None if limit_gb is None else experiments_that_fit(self.waiting, limit_gb * 1e9)
        self.ready.mkdir(parents=True, exist_ok=True)
        self.output.mkdir(parents=True, exist_ok=True)
        unseal(self.output)
        for left in ("*.sra", "*.bam", "*.references", "*.fastq.gz", "status.tsv"):
            for path in self.output.glob(left):
                path.unlink()
        self.room = DiskRoom(partial, rows, limit_gb, lambda: size_of_folder(self.ready))
        self.transfers = Transfers(settings, records, self.room, partial)
        self.watch = UnitWatch(
            len(self.rows),
            output,
            lambda: size_of_folder(self.partial) + size_of_folder(self.output),
            unit_footprint(self.waiting).archive,
        )

    def all(self, parallel: int, seconds: float) -> None:
        """Download every run, with a report at an interval; then fill the output."""
        statuses = []
        with self.watch.watching(seconds):
            for row, status in side_by_side(self.run, self.rows, parallel):
                statuses.append(status)
                line = f"ready, from {status.source}" if status.ok else f"{status.reason}: {status.detail}"
                self.watch.finish(f"{row.run}: {'not tried again' if row.run in self.kept else line}")
        raise_if_machine(status for status in statuses if status.run not in self.kept)
        for status in statuses:
            if status.ok:
                for path in arrived(self.ready, status.run):
                    path.replace(self.output / path.name)
        write_statuses(self.output / "status.tsv", statuses)
        seal(self.output)
        self.watch.report_peak(unit_footprint(self.rows).archive)
        remove_folder(self.partial, self.ready.name, ignore_errors=True)
        for name in ("online.mkfg", "offline.mkfg"):
            (self.partial / name).unlink(missing_ok=True)

    def run(self, row: Run) -> RunStatus:
        """Download one run, unless an earlier job did, and return its status."""
        if row.run in self.kept:
            return self.kept[row.run]
        status = RunStatus(row.run)
        self._note(row)  # a run whose name cannot be that of a file is a fault of the table
        try:
            if row.source.startswith("file:"):
                return status._replace(source=row.source, detail=_LITE if self._check_local(row) else "")
            source, lite = self._ready_from(row) or self._download(row)
            words = _LITE_FASTQ if source == FASTQ else _LITE
            return status._replace(source=source, detail=words if lite else "")
        except Exception as error:
            fault = fault_of_run(error, "DOWNLOAD_FAILED")
            remove_folder(self.partial, row.run, ignore_errors=True)
            return status.failed(fault)

    def _check_local(self, row: Run) -> bool:
        """Check the files that the plan names, and link an archive into the output; return whether it is SRA Lite."""
        paths = local_files(row)
        missing = [path for path in paths if not Path(path).is_file()]
        if missing or not paths:
            raise RunFault("DOWNLOAD_FAILED", f"no such file: {', '.join(missing) or row.source}.")
        kinds = [fastq_files.kind_of(path) for path in paths]
        strange = [path for path, kind in zip(paths, kinds, strict=True) if not kind]
        if strange:
            raise RunFault("ARCHIVE_CORRUPT", f"neither an archive nor FASTQ nor BAM: {', '.join(strange)}.")
        if len(paths) > 1 and not all(kind.startswith("fastq") for kind in kinds):
            raise RunFault("LAYOUT_AMBIGUOUS", "a run is several FASTQ files, or one archive, or one BAM.")
        if kinds != ["sra"]:
            return False
        if row.md5 and hash_file(paths[0], "md5") != row.md5.lower():
            raise RunFault("CHECKSUM_MISMATCH", f"the md5 of {paths[0]} is not {row.md5}, as the plan says.")
        path = Path(paths[0])
        fetched = self.transfers.check_archive(row, path, beside=path.parent)
        fastq_files.link(path, path_below(self.ready, f"{row.run}.sra"))
        for note in fetched.files[1:]:
            note.replace(self.ready / note.name)
        return fetched.lite

    def _download(self, row: Run) -> tuple[str, bool]:
        """Ask the sources until one gives the run; return its name, and whether what it gave is SRA Lite."""
        with self._room(row):
            before = self.failed.get(row.run)
            lost = before is not None and before.source != SUBMITTED and before.reason in _LOST
            passes = self.order.passes(row.source, lost)
            for source, hurried in passes:
                folder = path_below(self.partial, row.run, source.name)
                try:
                    fetched = self.transfers.fetch(source.name, row, folder, hurried)
                except SourceFault as fault:
                    self.watch.progress.report(f"{row.run}: {source.name}: {fault.sentence}.")
                    passes.failed(source, fault, size_of_folder(folder))
                    _keep_largest(folder.parent)
                else:
                    passes.answered(source, found=fetched is not None)
                    if fetched is not None:
                        self._keep(row, source.name, fetched)
                        return source.name, fetched.lite
            raise passes.run_fault()

    @contextlib.contextmanager
    def _room(self, row: Run) -> Iterator[None]:
        """Reserve room for an archive. Raises RunFault(DISK_LIMIT) where there is none for it or for its FASTQ."""
        if self.fitting is not None and row.experiment not in self.fitting:
            clause = beyond_limit(self.room.limit_gb or 0, unit_footprint(self.rows).peak, row)
            need = format_gb(run_footprint(row).peak)
            raise RunFault("DISK_LIMIT", f"with its FASTQ it may need {need}, which {clause}")
        try:
            self.transfers.reserve(row, int(row.bytes or 0), "archive", path_below(self.partial, row.run))
            yield
        finally:
            self.room.release(row)

    def _keep(self, row: Run, source: str, fetched: Fetched) -> None:
        """Move checked files to those that are ready, with a note for a job that follows when this one is killed."""
        for path in arrived(self.ready, row.run):
            path.unlink()
        names = [path.name for path in fetched.files]
        note = {"source": source, "lite": fetched.lite, "md5": row.md5, "files": names}
        write_atomic(self._note(row), json.dumps(note))
        for path in fetched.files:
            path.replace(self.ready / path.name)
        remove_folder(self.partial, row.run, ignore_errors=True)

    def _note(self, row: Run) -> Path:
        """Return the path of the note on a run that is ready. Raises InputError where its name cannot be a file's."""
        return path_below(self.ready, f"{row.run}.json")

    def _ready_from(self, row: Run) -> tuple[str, bool] | None:
        """Return the source of a run that an earlier job downloaded as the plan has it, and whether it is Lite."""
        path = self._note(row)
        if not path.is_file():
            return None
        note = json.loads(path.read_text(encoding="utf-8"))
        names = [path.name for path in arrived(self.ready, row.run)]
        whole = bool(names) and names == sorted(note["files"]) and note["md5"] == row.md5
        same_kind = (note["source"] == "bam") == (row.source == "bam")
        if not (whole and same_kind and "lite" in note):  # notes of version 0.1 do not say
            return None
        return (note["source"], note["lite"]) if self.accept_lite or not note["lite"] else None


def _keep_largest(folder: Path) -> None:
    """Delete what broken transfers of a run left, but for the largest part."""
    for part in sorted(folder.iterdir(), key=size_of_folder)[:-1]:
        remove_folder(folder, part.name, ignore_errors=True)


def refuse(rows: Sequence[Run], output: Path, sentence: str) -> None:
    """Write the status table of a droplet library that surely cannot be counted, without any download."""
    output.mkdir(parents=True, exist_ok=True)
    unseal(output)
    fault = RunFault("CHEMISTRY_UNKNOWN", sentence, NO_LIST)
    write_statuses(output / "status.tsv", [RunStatus(row.run).failed(fault) for row in rows])
    seal(output)
    print(f"Nothing is downloaded: {sentence}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--records", required=True, help="folder of the records of the series")
    parser.add_argument(
        "--references", default="resources/sra_references", help="folder of the references of aligned archives"
    )
    parser.add_argument("--order", nargs="+", choices=ORDERED, default=list(SOURCES), help="sources, first to last")
    parser.add_argument("--resolver", required=True, help="address of the SDL resolver that prefetch asks")
    parser.add_argument("--ena", default="", help="address of ENA, asked when the series has no ENA record")
    parser.add_argument("--more-passes", type=int, default=5, help="passes through the sources after the first")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds before the second pass, then doubled")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without a byte that end a transfer")
    parser.add_argument("--accept-lite", action="store_true", help="take SRA Lite where there is nothing else")
    parser.add_argument("--kept", nargs="?", help="folder of the runs that are not tried again, see retry")
    parser.add_argument("--parallel", type=int, default=1, help="runs that are downloaded side by side")
    parser.add_argument("--per-host", type=int, help="transfers from one host at a time (default: as many as runs)")
    parser.add_argument(
        "--slots", default="resources/transfers", help="folder that all have in common who keep to --per-host together"
    )
    parser.add_argument("--limit-gb", type=float, help="what the job may have on disk")
    parser.add_argument(
        "--chemistry-fault", help="why no run of the unit can be counted; nothing is downloaded then, and each says so"
    )
    parser.add_argument("--report", type=float, default=1.0, help="seconds between two looks at the progress")
    parser.add_argument("--output", required=True, help="folder of the archives and of status.tsv")
    options = parser.parse_args(argv)
    rows = read_unit_rows(options.runs)
    output = Path(options.output)
    if options.chemistry_fault:
        refuse(rows, output, options.chemistry_fault)
        return
    partial = output.parent.parent / "partial" / options.runs.stem
    retries = min(2, options.more_passes)
    policy = http.RetryPolicy(retries=retries, first_wait=options.first_wait, timeout=options.patience)
    settings = TransferSettings(
        options.resolver, options.accept_lite, policy, options.per_host, Path(options.references), Path(options.slots)
    )
    records = UnitRecords(rows, options.records, options.ena, options.patience)
    order = SourceOrder([*options.order, SUBMITTED], options.more_passes, options.first_wait)
    kept, failed = (
        read_statuses(path) if options.kept and (path := Path(options.kept, name)).is_file() else None
        for name in ("status.tsv", "failed.tsv")
    )
    with ends_with_command():
        try:
            with exclusive_lock(partial / "lock"):
                downloader = Downloader(rows, output, partial, records, order, settings, options.limit_gb, kept, failed)
                downloader.all(options.parallel, options.report)
        finally:
            with contextlib.suppress(OSError):  # something is left for a later job
                partial.rmdir()
                partial.parent.rmdir()
