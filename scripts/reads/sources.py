"""Where the archives of runs lie: the addresses, sizes and checksums that the records of a series give.

NCBI's record (:mod:`scripts.records.sra_xml`) names the archive in full quality, SRA Lite, and what was submitted;
ENA's filereport (:mod:`scripts.records.ena`) its own copy of the archive, and FASTQ. A run's own size in NCBI's record
is not the size of its file.

What a download leaves of a run: ``{run}.sra``, ``{run}.bam``, or the FASTQ of ENA, ``{run}_{n}.fastq.gz`` with n the
read's number in the archive and ``{run}.fastq.gz`` for single reads and for reads that lost their mate.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.records import ena, sra_xml
from scripts.records.sra_xml import RemoteFile

_BAM_KINDS = ("10x genomics bam file", "bam")
_NO_ARCHIVE = (*_BAM_KINDS, "fastq")


class ArchiveObject(NamedTuple):
    """A file on offer: its address, its size and md5 where known, and whether its qualities are simplified."""

    url: str
    size: int | None = None
    md5: str = ""
    lite: bool = False
    name: str = ""


def ncbi_objects(path: str | Path, runs: Iterable[str]) -> dict[str, list[ArchiveObject]]:
    """Return run → the archives that NCBI's record offers over the web for all to fetch, full quality first.

    An archive bears the name of its run. Runs without any are left out, and all when there is no such record.
    """

    def rank(run: str, offer: RemoteFile) -> int | None:
        if offer.kind.lower() in _NO_ARCHIVE or offer.name.partition(".")[0] != run:
            return None
        return int(_is_lite(offer))

    return {
        run: [_object(offer, url, _is_lite(offer)) for offer, url in offers]
        for run, offers in _offers(path, runs, rank)
    }


def submitted_bams(path: str | Path, runs: Iterable[str]) -> dict[str, list[ArchiveObject]]:
    """Return run → the BAM files that the submitter gave and NCBI's record offers over the web, those of 10x first."""

    def rank(run: str, offer: RemoteFile) -> int | None:
        return _BAM_KINDS.index(offer.kind.lower()) if offer.kind.lower() in _BAM_KINDS else None

    return {run: [_object(offer, url, False) for offer, url in offers] for run, offers in _offers(path, runs, rank)}


def _is_lite(offer: RemoteFile) -> bool:
    return "lite" in offer.kind.lower() or ".lite" in offer.name.lower()


def _object(offer: RemoteFile, url: str, lite: bool) -> ArchiveObject:
    return ArchiveObject(url, offer.size or None, offer.md5.lower(), lite, offer.name)


def _offers(path, runs, rank) -> Iterator[tuple[str, list[tuple[RemoteFile, str]]]]:
    """Yield (run, [(offer, address), …]) by rank, for runs that have an offer with a rank."""
    wanted = set(runs)
    if not Path(path).is_file():
        return
    for experiment in sra_xml.read_experiments(path):
        for run in experiment.runs:
            if run.run not in wanted:
                continue
            ranked = [(rank(run.run, offer), offer, url) for offer in run.files for url in offer.anonymous]
            chosen = sorted((entry for entry in ranked if entry[0] is not None), key=lambda entry: entry[0])
            if chosen:
                yield run.run, [(offer, url) for _, offer, url in chosen]


def reads_of_record(path: str | Path, runs: Iterable[str]) -> dict[str, tuple[sra_xml.Read, ...]]:
    """Return run → its reads by the statistics of NCBI's record, for runs whose spots all have as many reads."""
    wanted = set(runs)
    if not Path(path).is_file():
        return {}
    return {
        run.run: run.reads
        for experiment in sra_xml.read_experiments(path)
        for run in experiment.runs
        if run.run in wanted and run.reads and not run.variable
    }


def ena_objects(
    path: str | Path, runs: Iterable[str], scheme: str = "https", kind: str = "sra"
) -> dict[str, list[ArchiveObject]]:
    """Return run → the files that ENA's filereport names: archives (``sra``) or ``fastq``; runs without are left out.

    Addresses without a scheme get ``scheme``.
    """
    return report_objects(ena.read_report(path), runs, scheme, kind) if Path(path).is_file() else {}


def report_objects(
    report: Iterable[dict[str, str]], runs: Iterable[str], scheme: str = "https", kind: str = "sra"
) -> dict[str, list[ArchiveObject]]:
    """Return the same of the lines of a filereport."""
    wanted = set(runs)
    found: dict[str, list[ArchiveObject]] = {}
    for row in report:
        if row["run_accession"] not in wanted:
            continue
        addresses = row.get(f"{kind}_ftp", "").replace("ftp://", "")
        plain = {**row, f"{kind}_ftp": addresses}
        for file, address in zip(ena.files_of(plain, kind), filter(None, addresses.split(";")), strict=True):
            url = address if "://" in address else f"{scheme}://{address}"
            made = ArchiveObject(url, file.size or None, file.md5.lower(), False, file.name)
            found.setdefault(row["run_accession"], []).append(made)
    return found


def whole_fastq(
    run: str, offers: Iterable[ArchiveObject], reads: Sequence[sra_xml.Read], layout: str = ""
) -> dict[str, ArchiveObject]:
    """Return name after the download → file, where ENA's FASTQ has every read of the record.

    ``reads`` are those of the record's statistics; a read that is empty in all spots has no file. Without statistics a
    plate run's ``layout`` says how many there are. Raises ValueError, with a clause that says what is missing.
    """
    mates: dict[int, ArchiveObject] = {}
    single = None
    for offer in offers:
        number = re.fullmatch(rf"{re.escape(run)}(?:_(\d+))?\.fastq\.gz", offer.name)
        if not number:
            raise ValueError(f"ENA's FASTQ has a file of another name, {offer.name}")
        if not offer.md5 or not offer.size:
            raise ValueError(f"the record gives no size and checksum of {offer.name}")
        if number[1]:
            mates[int(number[1])] = offer
        else:
            single = offer
    numbers = [number for number, read in enumerate(reads, 1) if read.spots and read.length]
    if not reads:
        numbers = {"single": [1], "paired": [1, 2]}.get(layout, [])
    if not numbers:
        raise ValueError("the record does not say how many reads a spot has, and ENA's FASTQ may lack one")
    if len(numbers) == 1:
        if len(mates) + (single is not None) != 1:
            raise ValueError(f"ENA's FASTQ has {len(mates)} reads of a spot, the record 1")
        return {f"{run}.fastq.gz": single or next(iter(mates.values()))}
    if sorted(mates) != list(range(1, len(numbers) + 1)):
        have = max(len(mates), 1)
        if have < len(numbers):
            raise ValueError(f"ENA's FASTQ has {have} of the {len(numbers)} reads of a spot")
        raise ValueError(f"ENA's FASTQ has the reads {', '.join(map(str, sorted(mates)))}, the record {len(numbers)}")
    named = {f"{run}_{number}.fastq.gz": mates[order] for order, number in enumerate(numbers, 1)}
    return {**named, f"{run}.fastq.gz": single} if single else named


def arrived(folder: str | Path, run: str) -> list[Path]:
    """Return the files in a folder that a download left of a run, sorted by name."""
    left = re.compile(rf"{re.escape(run)}(\.sra|\.bam|(_\d+)?\.fastq\.gz)")
    return sorted(path for path in Path(folder).glob(f"{run}[._]*") if left.fullmatch(path.name))
