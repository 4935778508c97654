"""Where the archives of runs lie: the addresses, sizes and checksums that the records of a series give.

NCBI: ``sra.xml.gz``, the EXPERIMENT_PACKAGE_SET of E-utilities, element ``RUN/SRAFiles/SRAFile`` with the attributes
filename, size, md5, semantic_name, and its ``Alternatives`` with url and access_type. The run's own size attribute is
not the size of the file. ENA: ``ena.tsv.gz``, a filereport with the columns run_accession, sra_ftp, sra_md5,
sra_bytes; its values carry no scheme, several are joined by ``;``.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_WEB = ("https://", "http://")
_BAM_NAMES = ("10X Genomics bam file", "bam")


class ArchiveObject(NamedTuple):
    """A file on offer: its address, its size and md5 where known, and whether its qualities are simplified."""

    url: str
    size: int | None = None
    md5: str = ""
    lite: bool = False
    name: str = ""


def ncbi_objects(path: str | Path, runs: Iterable[str]) -> dict[str, list[ArchiveObject]]:
    """Return run → the archives that NCBI's record offers over the web for all to fetch, full quality first.

    Runs without any, and all runs when there is no such file, are left out.
    """
    return _objects(path, runs, archives=True)


def submitted_bams(path: str | Path, runs: Iterable[str]) -> dict[str, list[ArchiveObject]]:
    """Return run → the BAM files that the submitter gave and NCBI's record offers over the web, those of 10x first."""
    return _objects(path, runs, archives=False)


def _objects(path: str | Path, runs: Iterable[str], archives: bool) -> dict[str, list[ArchiveObject]]:
    from defusedxml.ElementTree import iterparse

    wanted = set(runs)
    found: dict[str, list[ArchiveObject]] = {}
    if not Path(path).is_file():
        return found
    with gzip.open(path, "rb") as handle:
        for _, element in iterparse(handle, events=("end",)):
            if element.tag == "RUN":
                if element.get("accession") in wanted:
                    offers = [offer for file in element.iter("SRAFile") for offer in _offers(file, archives)]
                    if offers:
                        found[element.get("accession")] = [offer for _, offer in sorted(offers, key=lambda o: o[0])]
                element.clear()
            elif element.tag == "EXPERIMENT_PACKAGE":
                element.clear()
    return found


def _offers(file, archives: bool) -> Iterator[tuple[int, ArchiveObject]]:
    """Yield (rank, object) for the addresses of one SRAFile from which anybody may fetch."""
    kind = file.get("semantic_name", "")
    name = file.get("filename", "")
    if archives:
        if kind in _BAM_NAMES or kind == "fastq" or file.get("supertype", "Primary ETL") == "Original":
            return
        if file.get("sratoolkit", "1") != "1":
            return
        rank = int("lite" in kind.lower() or ".lite" in name)
    else:
        if kind not in _BAM_NAMES:
            return
        rank = _BAM_NAMES.index(kind)
    addresses = [
        alternative.get("url", "")
        for alternative in file.iter("Alternatives")
        if alternative.get("access_type", "anonymous") == "anonymous"
    ]
    if not addresses and file.find("Alternatives") is None:
        addresses = [file.get("url", "")]
    size = file.get("size", "")
    for address in dict.fromkeys(addresses):
        if address.startswith(_WEB):
            yield (
                rank,
                ArchiveObject(
                    url=address,
                    size=int(size) if size.isdecimal() else None,
                    md5=file.get("md5", "").lower(),
                    lite=archives and bool(rank),
                    name=name,
                ),
            )


def ena_objects(path: str | Path, runs: Iterable[str], scheme: str = "https") -> dict[str, list[ArchiveObject]]:
    """Return run → the archives that ENA's filereport names; runs without any are left out.

    Addresses without a scheme get ``scheme``.
    """
    if not Path(path).is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        return parse_filereport(handle.read(), runs, scheme)


def parse_filereport(text: str, runs: Iterable[str], scheme: str = "https") -> dict[str, list[ArchiveObject]]:
    """Return run → archives, see :func:`ena_objects`, from the text of a filereport."""
    wanted = set(runs)
    found: dict[str, list[ArchiveObject]] = {}
    for row in csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row.get("run_accession") not in wanted:
            continue
        addresses = (row.get("sra_ftp") or "").split(";")
        sums = (row.get("sra_md5") or "").split(";")
        sizes = (row.get("sra_bytes") or "").split(";")
        parallel = len(addresses) == len(sums) == len(sizes)
        for place, address in enumerate(addresses):
            if not address:
                continue
            address = address.removeprefix("ftp://")
            found.setdefault(row["run_accession"], []).append(
                ArchiveObject(
                    url=address if address.startswith(_WEB) else f"{scheme}://{address}",
                    size=int(sizes[place]) if parallel and sizes[place].isdecimal() else None,
                    md5=sums[place].lower() if parallel else "",
                    name=address.rpartition("/")[2],
                )
            )
    return found
