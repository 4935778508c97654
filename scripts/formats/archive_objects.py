"""Where the archives of runs lie: the addresses, sizes and checksums that the records of a series give.

NCBI's record (:mod:`scripts.formats.sra_xml`) names the archive in full quality, SRA Lite, and what was submitted;
ENA's filereport (:mod:`scripts.formats.ena`) its own copy of the archive. A run's own size in NCBI's record is not the
size of its file.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.formats import ena, sra_xml

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

    def rank(run: str, offer: sra_xml.Offer) -> int | None:
        if offer.kind.lower() in _NO_ARCHIVE or offer.name.partition(".")[0] != run:
            return None
        return int(_is_lite(offer))

    return {
        run: [_object(offer, url, _is_lite(offer)) for offer, url in offers]
        for run, offers in _offers(path, runs, rank)
    }


def submitted_bams(path: str | Path, runs: Iterable[str]) -> dict[str, list[ArchiveObject]]:
    """Return run → the BAM files that the submitter gave and NCBI's record offers over the web, those of 10x first."""

    def rank(run: str, offer: sra_xml.Offer) -> int | None:
        return _BAM_KINDS.index(offer.kind.lower()) if offer.kind.lower() in _BAM_KINDS else None

    return {run: [_object(offer, url, False) for offer, url in offers] for run, offers in _offers(path, runs, rank)}


def _is_lite(offer: sra_xml.Offer) -> bool:
    return "lite" in offer.kind.lower() or ".lite" in offer.name.lower()


def _object(offer: sra_xml.Offer, url: str, lite: bool) -> ArchiveObject:
    return ArchiveObject(url, offer.size or None, offer.md5.lower(), lite, offer.name)


def _offers(path, runs, rank) -> Iterator[tuple[str, list[tuple[sra_xml.Offer, str]]]]:
    """Yield (run, [(offer, address), …]) by rank, for runs that have an offer with a rank."""
    wanted = set(runs)
    if not Path(path).is_file():
        return
    for experiment in sra_xml.read_experiments(path):
        for run in experiment.runs:
            if run.run not in wanted:
                continue
            ranked = [(rank(run.run, offer), offer, url) for offer in run.offers for url in offer.anonymous]
            chosen = sorted((entry for entry in ranked if entry[0] is not None), key=lambda entry: entry[0])
            if chosen:
                yield run.run, [(offer, url) for _, offer, url in chosen]


def ena_objects(path: str | Path, runs: Iterable[str], scheme: str = "https") -> dict[str, list[ArchiveObject]]:
    """Return run → the archives that ENA's filereport names; runs without any are left out.

    Addresses without a scheme get ``scheme``.
    """
    return report_objects(ena.read_report(path), runs, scheme) if Path(path).is_file() else {}


def report_objects(
    report: Iterable[dict[str, str]], runs: Iterable[str], scheme: str = "https"
) -> dict[str, list[ArchiveObject]]:
    """Return the same of the lines of a filereport."""
    wanted = set(runs)
    found: dict[str, list[ArchiveObject]] = {}
    for row in report:
        if row["run_accession"] not in wanted:
            continue
        plain = {**row, "sra_ftp": row.get("sra_ftp", "").replace("ftp://", "")}
        for file, address in zip(ena.files_of(plain, "sra"), filter(None, plain["sra_ftp"].split(";")), strict=True):
            url = address if "://" in address else f"{scheme}://{address}"
            made = ArchiveObject(url, file.size or None, file.md5.lower(), False, file.name)
            found.setdefault(row["run_accession"], []).append(made)
    return found
