"""Ask the archives about accessions: GEO's file tree, NCBI's E-utilities, ENA's portal.

Answers are checked to be complete before they are kept, and kept as they came (:mod:`scripts.records.record_files`).
Requests to E-utilities are batched, go by POST, and share one rate limit with all other processes of the analysis: 3 a
second, 10 with a key. E-utilities: https://www.ncbi.nlm.nih.gov/books/NBK25499/.
"""

import gzip
import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.errors import InputError
from scripts.core.files import write_atomic
from scripts.core.http import RateLimit, RemoteError, RetryPolicy, UnreachableError
from scripts.core.shared_cache import alone
from scripts.records import ena, record_files, soft, sra_xml

if TYPE_CHECKING:
    import requests

BATCH = 250  # accessions in one request to E-utilities


class Archives:
    """The archives and what they answered; each record is asked for once and kept as it came.

    ``folder`` holds a folder an accession; ``key`` is NCBI's API key, ``email`` is told to NCBI. ``reached`` tells
    whether any archive has answered, ``requests`` how many were made.
    """

    def __init__(
        self,
        folder: str | Path,
        geo: str,
        eutils: str,
        ena: str,
        *,
        use_ena: bool = True,
        key: str = "",
        email: str = "",
        retries: int = 5,
        first_wait: float = 1.0,
    ) -> None:
        self.folder = Path(folder)
        self.geo, self.eutils, self.ena = geo, eutils, ena
        self.use_ena = use_ena
        self.key = key
        self.email = email
        limit = RateLimit(self.folder / ".rates", "eutils", 10 if key else 3)
        self.policy = RetryPolicy(retries, min(2, retries), first_wait)
        self.limited = self.policy._replace(limit=limit)
        self.unreachable: set[str] = set()
        self.reached = False  # whether any archive has answered
        self.requests = 0
        self._session: requests.Session | None = None

    def family(self, series: str) -> Path:
        """Return the family file of a series, fetched unless it lies there. Raises RemoteError."""
        folder = self.folder / series
        found = record_files.family_of(folder, series)
        if found is not None:
            return found
        with alone(self.folder, f"family.{series}"):  # one part is taken up by whoever comes next
            found = record_files.family_of(folder, series)
            if found is not None:
                return found
            path = folder / record_files.FAMILY.format(series=series)
            tell(f"{series}: asking GEO for its family file")
            url = soft.family_address(self.geo, series)
            with self._asked(url) as policy:
                http.fetch(url, path, check=_check_family, policy=policy, session=self._open())
            return path

    def experiments_xml(self, accessions: Sequence[str]) -> tuple[list[bytes], list[str]]:
        """Return the answers of E-utilities for experiments or runs, and the errors they tell. Raises RemoteError."""
        bodies: list[bytes] = []
        errors: list[str] = []
        for begin in range(0, len(accessions), BATCH):
            self._batch(accessions[begin : begin + BATCH], bodies, errors)
        found = set().union(*map(_accessions_in, bodies))
        missing = [accession for accession in accessions if accession not in found]
        if missing and len(missing) < min(len(accessions), BATCH):  # a long answer may lack what a second one has
            self._batch(missing, bodies, errors)
        return bodies, errors

    def _batch(self, accessions: Sequence[str], bodies: list[bytes], errors: list[str]) -> None:
        tell(f"asking NCBI for {len(accessions)} experiments from {accessions[0]} on")
        body = self._eutils("efetch.fcgi", {"id": ",".join(accessions), "rettype": "full"}, _check_xml)
        told = sra_xml.answer_errors(body)
        if told and not sra_xml.packages_of(body) and len(accessions) > 1:  # one bad accession spoils the whole answer
            middle = len(accessions) // 2
            self._batch(accessions[:middle], bodies, errors)
            self._batch(accessions[middle:], bodies, errors)
            return
        errors += told
        bodies.append(body)

    def search_xml(self, term: str) -> tuple[list[bytes], list[str]]:
        """Return the answers for all that a search of accessions finds, and the errors told. Raises RemoteError."""
        tell(f"asking NCBI for {term[:60]}{'…' if len(term) > 60 else ''}")
        found = self._eutils("esearch.fcgi", {"term": term, "usehistory": "y", "retmax": "0"}, _check_search)
        count = int(_tag(found, "Count") or 0)
        key, web = _tag(found, "QueryKey"), _tag(found, "WebEnv")
        bodies: list[bytes] = []
        errors = sra_xml.answer_errors(found)
        for begin in range(0, count, BATCH):
            fields = {"query_key": key, "WebEnv": web, "retstart": str(begin), "retmax": str(BATCH), "rettype": "full"}
            body = self._eutils("efetch.fcgi", fields, _check_xml)
            errors += sra_xml.answer_errors(body)
            bodies.append(body)
        return bodies, errors

    def samples_xml(self, samples: Sequence[str]) -> tuple[list[bytes], list[str]]:
        """Return the answers for samples of GEO, which NCBI takes as words of a search only. Raises RemoteError."""
        bodies: list[bytes] = []
        errors: list[str] = []
        for begin in range(0, len(samples), BATCH):
            more, told = self.search_xml(" OR ".join(samples[begin : begin + BATCH]))
            bodies += more
            errors += told
        return bodies, errors

    def ena_report(self, accession: str, folder: str) -> Path:
        """Return ENA's filereport of an accession, fetched unless it lies there. Raises RemoteError."""
        path = self.folder / folder / record_files.ENA_REPORT
        found = record_files.ena_report_of(self.folder / folder)
        if found is not None:
            return found
        tell(f"{accession}: asking ENA for its runs")
        url = ena.report_address(self.ena, accession)
        with self._asked(url) as policy:
            body = http.request(url, policy=policy, session=self._open(), check=_check_report)
        write_atomic(path, packed(body), shared=True)
        return path

    def keep_xml(self, folder: str, packages: Iterable[bytes]) -> Path | None:
        """Keep packages as one record; None when there is none."""
        parts = [part for part in packages if part]
        if not parts:
            return None
        path = self.folder / folder / record_files.SRA_XML
        write_atomic(path, packed(sra_xml.package_set(parts)), shared=True)
        return path

    def _eutils(self, tool: str, fields: Mapping[str, str], check: Callable[[bytes], None]) -> bytes:
        url = f"{self.eutils.rstrip('/')}/{tool}"
        data = {"db": "sra", "tool": "sra2matrix", **fields}
        if self.email:
            data["email"] = self.email
        if self.key:
            data["api_key"] = self.key
        with self._asked(url, self.limited) as policy:
            return http.request(url, data=data, policy=policy, session=self._open(), check=check)

    def _asked(self, url: str, policy: RetryPolicy | None = None) -> "_Host":
        self.requests += 1
        return _Host(self, urlsplit(url).netloc, policy or self.policy)

    def _open(self) -> "requests.Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
        return self._session


class _Host:
    """A request to a host: once it could not be reached it is tried only once more each time."""

    def __init__(self, archives: Archives, host: str, policy: RetryPolicy) -> None:
        self.archives, self.host, self.policy = archives, host, policy

    def __enter__(self) -> RetryPolicy:
        gone = self.host in self.archives.unreachable
        return self.policy._replace(unreachable_retries=0) if gone else self.policy

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UnreachableError):
            self.archives.unreachable.add(self.host)
        else:
            self.archives.reached = True
            self.archives.unreachable.discard(self.host)


def tell(message: str) -> None:
    """Tell progress to the person who waits."""
    print(message, file=sys.stderr, flush=True)


def packed(body: bytes) -> bytes:
    """Return bytes gzipped, the same for the same bytes."""
    held = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=held, mtime=0, compresslevel=6) as file:
        file.write(body)
    return held.getvalue()


def _check_family(path: Path) -> None:
    """Raise ValueError for a family file that is cut short or is something else."""
    try:
        kinds = {entity.kind for entity in soft.read_family(path)}
    except InputError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from error
    if not kinds & {"series", "sample"}:
        raise ValueError("the family file names no series.")


def _check_xml(body: bytes) -> None:
    try:
        for _ in sra_xml.parse_packages(io.BytesIO(body), "the answer"):
            pass
    except InputError as error:
        raise ValueError(str(error)) from error


def _check_search(body: bytes) -> None:
    if not _tag(body, "Count") and not sra_xml.answer_errors(body):
        raise ValueError("the answer is no result of a search.")


def _check_report(body: bytes) -> None:
    if not body:
        raise ValueError("the answer is empty.")
    try:
        ena.parse_report(body, "the answer")
    except InputError as error:
        raise ValueError(str(error)) from error


def _accessions_in(body: bytes) -> set[str]:
    """Return the experiments and runs that an answer holds."""
    found = re.findall(rb'<(?:EXPERIMENT|RUN)\b[^>]*?\saccession="(\w+)"', body)
    return {accession.decode("ascii", "replace") for accession in found}


def _tag(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode("ascii", "replace").strip() if found else ""


def told_missing(what: str, error: RemoteError) -> str:
    """Tell the fault to whoever waits, and return what the plan says of it: no word that differs from day to day."""
    tell(f"{what} could not be had: {error}")
    return f"{what} could not be had."
