"""The files that archives have of a unit's runs: addresses, sizes and checksums by the records of the series.

NCBI's record (:mod:`scripts.records.answers.sra_xml`) names the archive in full quality, SRA Lite, and what was
submitted; ENA's filereport (:mod:`scripts.records.answers.run_reports`) its own copy of the archive, and FASTQ. A run's
own size in NCBI's record is not the size of its file.

A download leaves ``{run}.sra``, with ``{run}.references`` where that is aligned to references that it does not hold
(:mod:`~scripts.reads.sources.sra_references`); or ``{run}.bam``; or the FASTQ of ENA: ``{run}_{n}.fastq.gz`` with n
the read's number in the archive, and ``{run}.fastq.gz`` for unpaired reads and for reads that lost their mate; or the
FASTQ that was submitted, ``{run}.submitted_{n}.fastq.gz``, however it is compressed.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.errors import InputError
from scripts.plan.run_table import Run
from scripts.records.answers import sra_xml
from scripts.records.answers.record_files import ENA_REPORT, SRA_XML
from scripts.records.answers.run_reports import files_of, parse_report, read_report, report_address
from scripts.records.answers.sra_xml import RemoteFile, SraRun

FASTQ = "ena_fastq"
"""ENA's FASTQ instead of an archive; with ``ena`` among the sources it is one, too, see :mod:`.source_order`."""
SUBMITTED = "submitted"
"""The last source: the FASTQ or BAM files that the submitter gave to the archive."""
BAM = "bam"
"""The only source of a run that is planned so: the submitter's BAM file."""
_COLUMNS = {"ena": "sra", FASTQ: "fastq", SUBMITTED: "submitted"}  # source → prefix of its columns in ENA's filereport
_BAM_KINDS = ("10x genomics bam file", "bam")
_NO_ARCHIVE = (*_BAM_KINDS, "fastq")
_READS = re.compile(r"\.f(?:ast)?q(?:\.\w+)?$", re.IGNORECASE)
_READ_NUMBER = re.compile(r"[_.-](R|I|read)?([1-4])(?:_\d{3})?\.f(?:ast)?q(?:\.\w+)?$", re.IGNORECASE)


class UnitRecords:
    """The records of the series of a unit's runs, read when first needed; safe for threads.

    ``folder`` is that of all records; ``ena_address``, where it is set, is asked about runs without a record of ENA,
    for at most ``patience`` seconds without a byte.
    """

    def __init__(self, runs: Sequence[Run], folder: str | Path, ena_address: str, patience: float) -> None:
        self.runs = {row.run for row in runs}
        self.ena_address = ena_address
        self.patience = patience
        self.scheme = urlsplit(ena_address).scheme or "https"  # ENA's records name none
        # Records are kept by series, and by accession where one was asked for by itself.
        accessions = dict.fromkeys(name for row in runs for name in (row.series, row.sample, row.experiment, row.run))
        self.folders = [Path(folder) / accession for accession in accessions if accession]
        self._guard = threading.Lock()
        self._runs_of = functools.cache(self._read_sra_xml)
        self._lines_of = functools.cache(self._read_report)

    def files(self, source: str, run: str, ask: bool = True) -> list[RemoteFile]:
        """Return the files that a source (``ncbi``, ``ena``, ``ena_fastq``, ``submitted`` or ``bam``) has of a run.

        ``ask``: whether ENA may be asked where no record of it is kept. Raises InputError where a record cannot be
        read, RemoteError where ENA was asked and did not answer.
        """
        if source in _COLUMNS:
            files = self._ena_files(run, _COLUMNS[source], ask)
            if files or source != SUBMITTED:
                return files
        choose = {BAM: bams_of, SUBMITTED: originals_of}.get(source, archives_of)
        with self._guard:
            found = (choose(runs[run]) for path in self._paths(SRA_XML) if run in (runs := self._runs_of(path)))
            return next(filter(None, found), [])

    def reads(self, run: str) -> Sequence[sra_xml.Read]:
        """Return the statistics of a run's reads by NCBI's record; none without one, or where spots differ in reads."""
        with self._guard:
            for path in self._paths(SRA_XML):
                with contextlib.suppress(InputError):  # reported when the files of the same record were looked for
                    known = self._runs_of(path).get(run)
                    if known is not None and known.reads and not known.variable:
                        return known.reads
        return ()

    def _ena_files(self, run: str, columns: str, ask: bool) -> list[RemoteFile]:
        paths = self._paths(ENA_REPORT)
        with self._guard:
            lines = [lines[run] for path in paths if run in (lines := self._lines_of(path))]
        if not paths and self.ena_address and ask:
            policy = http.RetryPolicy(retries=0, timeout=self.patience)
            answer = http.request(report_address(self.ena_address, run), policy=policy)
            lines = [line for line in parse_report(answer, "ENA") if line["run_accession"] == run]
        return next(filter(None, (files_of(line, columns, self.scheme) for line in lines)), [])

    def _paths(self, name: str) -> list[Path]:
        return [folder / name for folder in self.folders if (folder / name).is_file()]

    def _read_sra_xml(self, path: Path) -> dict[str, SraRun]:
        experiments = sra_xml.read_experiments(path)
        return {run.run: run for experiment in experiments for run in experiment.runs if run.run in self.runs}

    def _read_report(self, path: Path) -> dict[str, dict[str, str]]:
        return {line["run_accession"]: line for line in read_report(path) if line["run_accession"] in self.runs}


def archives_of(run: SraRun) -> list[RemoteFile]:
    """Return the archives of a run that anybody may fetch, one for each address, full quality first.

    An archive bears the name of its run.
    """
    files = [file for file in run.files if _is_archive(file) and file.name.partition(".")[0] == run.run]
    return _by_address(sorted(files, key=is_lite))


def bams_of(run: SraRun) -> list[RemoteFile]:
    """Return the submitted BAM files of a run that anybody may fetch, those of 10x first."""
    files = [file for file in run.files if file.kind.lower() in _BAM_KINDS]
    return _by_address(sorted(files, key=lambda file: _BAM_KINDS.index(file.kind.lower())))


def originals_of(run: SraRun) -> list[RemoteFile]:
    """Return the submitted files of a run, one for each name; none where one of them is not for anybody to fetch."""
    files = [file for file in run.files if not _is_archive(file)]
    return [file._replace(url=file.anonymous[0]) for file in files] if all(file.anonymous for file in files) else []


def is_lite(file: RemoteFile) -> bool:
    """Whether a file is SRA Lite, an archive with simplified qualities."""
    return _is_archive(file) and ("lite" in file.kind.lower() or ".lite" in file.name.lower())


def _is_archive(file: RemoteFile) -> bool:
    return file.kind.lower() not in _NO_ARCHIVE


def _by_address(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    return [file._replace(url=url) for file in files for url in file.anonymous]


def whole_fastq(
    run: str, files: Iterable[RemoteFile], reads: Sequence[sra_xml.Read], layout: str = ""
) -> dict[str, RemoteFile]:
    """Return name after the download → file, where ENA's FASTQ has every read of the record.

    ``reads`` are those of the record's statistics; a read that is empty in all spots has no file. Without statistics a
    plate run's ``layout`` says how many there are. Raises ValueError, with a clause that says what is missing.
    """
    mates: dict[int, RemoteFile] = {}
    unpaired = None
    for file in files:
        number = re.fullmatch(rf"{re.escape(run)}(?:_(\d+))?\.fastq\.gz", file.name)
        if not number:
            raise ValueError(f"ENA's FASTQ has a file of another name, {file.name}")
        if not file.md5 or not file.size:
            raise ValueError(f"the record gives no size and checksum of {file.name}")
        if number[1]:
            mates[int(number[1])] = file
        else:
            unpaired = file
    numbers = [number for number, read in enumerate(reads, 1) if read.spots and read.length]
    if not reads:
        numbers = {"single": [1], "paired": [1, 2]}.get(layout, [])
    if not numbers:
        raise ValueError("the record does not say how many reads a spot has, and ENA's FASTQ may lack one")
    if len(numbers) == 1:
        if len(mates) + (unpaired is not None) != 1:
            raise ValueError(f"ENA's FASTQ has {len(mates)} reads of a spot, the record 1")
        return {f"{run}.fastq.gz": unpaired or next(iter(mates.values()))}
    if sorted(mates) != list(range(1, len(numbers) + 1)):
        have = max(len(mates), 1)
        if have < len(numbers):
            raise ValueError(f"ENA's FASTQ has {have} of the {len(numbers)} reads of a spot")
        raise ValueError(f"ENA's FASTQ has the reads {', '.join(map(str, sorted(mates)))}, the record {len(numbers)}")
    named = {f"{run}_{number}.fastq.gz": mates[order] for order, number in enumerate(numbers, 1)}
    return {**named, f"{run}.fastq.gz": unpaired} if unpaired else named


def submitted_files(run: str, files: Iterable[RemoteFile], row: Run) -> dict[str, RemoteFile]:
    """Return name after the download → submitted file: one BAM, or a FASTQ file a read, index reads before the others.

    Raises ValueError, with a clause, where the files are others, or are more or fewer than the run's reads.
    """
    reads = {file.name: file for file in files if _READS.search(file.name)}
    bams = [file for file in files if file.name.lower().endswith(".bam") or file.kind.lower() in _BAM_KINDS]
    for file in (*reads.values(), *bams):
        if not file.md5 or not file.size:
            raise ValueError(f"the record gives no size and checksum of {file.name}")
    if len(bams) == 1 and not reads:
        return {f"{run}.bam": bams[0]}
    if bams or not reads:
        raise ValueError("what was submitted is neither FASTQ nor one BAM file")
    numbers = {name: _read_of(name) for name in reads}
    if len(reads) > 1 and ("" in numbers.values() or len({*numbers.values()}) < len(reads)):
        raise ValueError(f"the names of the submitted files do not say which read each has: {', '.join(sorted(reads))}")
    ordered = sorted(reads, key=numbers.__getitem__)
    without_index = [name for name in ordered if not numbers[name].startswith("I")]
    if row.assay == "plate":
        ordered = without_index
        wanted = {"paired": 2, "single": 1}.get(row.layout, len(ordered))
    else:
        wanted = len(row.read_roles.split(",")) if row.read_roles else max(2, len(ordered))
        ordered = without_index if wanted == len(without_index) else ordered
    if len(ordered) != wanted:
        raise ValueError(f"{len(ordered)} of the {wanted} reads of a spot were submitted")
    return {f"{run}.submitted_{number}.fastq.gz": reads[name] for number, name in enumerate(ordered, 1)}


def _read_of(name: str) -> str:
    """Return which read a file has by its name, as ``I1`` or ``R2``; empty where that does not show."""
    found = _READ_NUMBER.search(name)
    return f"{(found[1] or 'R')[0].upper()}{found[2]}" if found else ""
