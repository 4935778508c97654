"""Convert the archives of a unit's runs to FASTQ, and check every count against the archive and the record.

Plates: {run}_1 and {run}_2 for pairs, {run} for unpaired reads and for reads that lost their mate. Droplets: {run}_{n}
with n the read's number in the archive, technical reads included; a read that is empty in the whole archive has no
file. The files are gzipped as they are written, {name}.fastq.gz; {name}.fastq is a link to a plain file of the user's.
Of the runs of an experiment, one of index reads is left out, and two that are the two reads of the same spots become
one, see scripts/reads/partial_runs.py. A run of source `file:` is read from the files that the plan names (a link, or a
copy where STAR would refuse the file as it is), one of source `bam` (a library whose archive has lost the barcodes)
from the BAM file of Cell Ranger, one of source `ena_fastq` is ENA's FASTQ as it came. A run that lacks reads is marked
READS_MISSING in status.tsv: the exit status of fastq-dump proves nothing.

Reads are called {run}.{spot} and have the qualities of the archive; the archive's own names follow where an
experiment has several runs, which may be parts of the same spots. ENA's FASTQ has the same but for what follows the
name, which STAR does not read: `1/1` or `original/1` in place of `1` or `original`.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from scripts.core.command import command_parser, parse_paths
from scripts.core.concurrency import side_by_side
from scripts.core.disk.files import path_below, remove_folder, size_of_folder
from scripts.core.disk.folders import require_whole, seal, unseal
from scripts.core.disk.locks import exclusive_lock
from scripts.core.errors import RunFault, fault_of_run
from scripts.core.subprocesses import ends_with_command
from scripts.formats.fastq_files import suffix_of
from scripts.plan.run_table import Run, row_order
from scripts.plan.sizes.footprint import CONVERTED_AT_ONCE, format_gb, run_footprint, unit_footprint
from scripts.plan.status import RunStatus, raise_if_machine, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit
from scripts.reads.conversion import Allowed, convert, plate_files
from scripts.reads.converted_runs import ConvertedRuns
from scripts.reads.partial_runs import settle_parts
from scripts.reads.read_figures import ConvertedRun, keep_figures, read_species_kmers
from scripts.reads.sources import sra_archive
from scripts.reads.unit_disk import DiskRoom, UnitWatch
from scripts.reads.unit_folders import arrived, folder_of_reads

_NOT_DOWNLOADED = RunFault("DOWNLOAD_FAILED", "the download does not know this run.")


class Converter:
    """The conversions of one unit, whose download is in the folder ``archives``."""

    def __init__(
        self,
        columns: Mapping[str, Sequence[Run]],
        archives: Path,
        output: Path,
        limit_gb: float | None,
        max_dropped: float,
        threads: int,
        delete_archives: bool = False,
        figures: Path | None = None,
        kmers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``figures`` is where figures of the reads are kept, ``kmers`` species → index of k-mers."""
        self.columns = columns
        self.figures, self.kmers = figures, kmers
        rows = sorted((row for runs in columns.values() for row in runs), key=row_order)
        self.rows = {row.run: row for row in rows}
        self.parts = {row.run for runs in columns.values() for row in runs if len(runs) > 1}  # see partial_runs.py
        self.archives = archives
        self.max_dropped = max_dropped
        self.output = output
        self.workers = max(1, min(threads, len(rows), CONVERTED_AT_ONCE))
        self.threads = max(1, threads // self.workers)
        require_whole(archives)
        output.mkdir(parents=True, exist_ok=True)
        unseal(output)
        for left in ("*.fastq", "*.fastq.gz", "status.tsv"):
            for path in output.glob(left):
                path.unlink()
        self.folder = folder_of_reads(output)
        self.converted = ConvertedRuns(self.folder, self.rows, archives, delete_archives)
        self.offline = sra_archive.write_settings(self.folder / "offline.mkfg")
        self.room = DiskRoom(output, rows, limit_gb, self.converted.held)

    def all(self) -> None:
        """Convert every run that was downloaded and write the status table."""
        before = read_statuses(self.archives / "status.tsv")
        statuses = {run: before.get(run, RunStatus(run).failed(_NOT_DOWNLOADED)) for run in self.rows}
        statuses |= self.converted.earlier
        waiting = [status for status in statuses.values() if status.ok and status.run not in self.converted.earlier]
        estimate = unit_footprint(self.rows[status.run] for status in statuses.values() if status.ok)
        watch = UnitWatch(
            len(statuses),
            self.output,
            lambda: size_of_folder(self.archives) + size_of_folder(self.folder),
            self.converted.archive_bytes + estimate.fastq,
        )
        watch.progress.done = len(statuses) - len(waiting)
        if self.converted.earlier:
            watch.progress.report(f"{len(self.converted.earlier)} run(s) were converted by an earlier job.")
        with watch.watching(0.5):
            for _, status in side_by_side(self.run, waiting, self.workers):
                statuses[status.run] = status
                words = f"{int(status.spots):,} spots" if status.ok else f"{status.reason}: {status.detail}"
                watch.finish(f"{status.run}: {words}")
                self.converted.delete_archive(status.run)
        raise_if_machine(statuses[status.run] for status in waiting)
        settled = settle_parts(self.columns, statuses, self.folder)
        for run, status in settled.items():
            if status.state != statuses[run].state:
                watch.progress.report(f"{run}: {status.detail}")
        watch.report_peak(estimate.converting)
        self.converted.forget()
        (self.folder / "offline.mkfg").unlink()
        for path in self.folder.iterdir():
            path.replace(self.output / path.name)
        write_statuses(self.output / "status.tsv", settled.values())
        if self.figures:
            done = {run: status for run, status in settled.items() if status.ok}
            runs = {
                run: ConvertedRun(self.rows[run].assay == "plate", int(status.spots or 0), run in self.parts)
                for run, status in done.items()
            }
            gone = {run for run, status in settled.items() if status.state in ("failed", "left_out")}
            keep_figures(self.figures, self.output, runs, lambda: read_species_kmers(self.kmers), self.workers, gone)
        seal(self.output)
        remove_folder(self.folder.parent, self.folder.name)

    def run(self, status: RunStatus) -> RunStatus:
        """Convert one run and return its status; a run that fails leaves nothing."""
        row = self.rows[status.run]
        work = path_below(self.folder, f".{row.run}")
        remove_folder(self.folder, work.name, ignore_errors=True)
        work.mkdir()
        try:
            need = self._need(row)
            self.room.reserve(row, need, f"the conversion may need {format_gb(need)}")
            most = self.room.left_for(row)
            names = row.run in self.parts
            allowed = Allowed(most, self.max_dropped)
            files, spots, dropped = convert(row, self.archives, work, self.offline, self.threads, allowed, names)
            layout = ""
            if row.assay == "plate":
                files, layout = plate_files(row, files)
            if path_below(self.archives, f"{row.run}.sra").is_file():
                status = status.made_with(self.sra_tools)
            done = status._replace(spots=str(spots), layout=layout if spots and layout != row.layout else "")
            if dropped:
                words = f"{dropped:,} of {spots + dropped:,} spots lack a read and are dropped."
                detail = " ".join(filter(None, [status.detail, words]))
                done = done._replace(detail=detail, dropped=str(dropped))
            named = {name.removesuffix(".fastq") + suffix_of(path): path for name, path in files.items()}
            self.converted.add(row, done, named)
            return done
        except Exception as error:
            return status.failed(fault_of_run(error, "ARCHIVE_CORRUPT"))
        finally:
            self.room.release(row)
            remove_folder(self.folder, work.name, ignore_errors=True)

    @functools.cached_property
    def sra_tools(self) -> Mapping[str, str]:
        """The version of the tools that read archives, asked for once."""
        return sra_archive.tools_version(self.offline)

    def _need(self, row: Run) -> int:
        """Return how many bytes a conversion may need beside the archive."""
        files = arrived(self.archives, row.run)
        if any(path.suffix == ".gz" for path in files):  # FASTQ is taken as it is
            return 0
        if files:
            kind = "bam" if files[0].suffix == ".bam" else ""
            row = row._replace(bytes=str(sum(path.stat().st_size for path in files)), source=row.source or kind)
        footprint = run_footprint(row)
        return footprint.converting - footprint.archive


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--archives", required=True, help="folder that `python -m scripts download` left")
    parser.add_argument("--threads", type=int, default=1, help="runs side by side, or threads of a single one")
    parser.add_argument("--limit-gb", type=float, help="what the job may have on disk, the archives included")
    parser.add_argument(
        "--max-dropped",
        type=float,
        default=0.01,
        help="share of a library's spots that may lack a read and are dropped",
    )
    parser.add_argument(
        "--delete-archives", action="store_true", help="delete each archive as soon as its reads are written"
    )
    parser.add_argument(
        "--figures", type=Path, help="file of figures of the reads, to which those of these runs are added"
    )
    parser.add_argument(
        "--kmers", nargs="*", default=[], metavar="SPECIES=PATH", help="indexes of k-mers, for the species of the reads"
    )
    parser.add_argument("--output", required=True, help="folder of the FASTQ files and of status.tsv")
    options = parser.parse_args(argv)
    output = Path(options.output)
    columns = read_unit(options.runs)
    with ends_with_command(), exclusive_lock(output.parent / f".{output.name}.lock"):
        archives = Path(options.archives)
        Converter(
            columns,
            archives,
            output,
            options.limit_gb,
            options.max_dropped,
            options.threads,
            options.delete_archives,
            options.figures,
            parse_paths(options.kmers, "--kmers"),
        ).all()
