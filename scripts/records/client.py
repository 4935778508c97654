"""Ask the archives about accessions: GEO's file tree, NCBI's E-utilities, ENA's portal.

Answers are checked to be complete before they are kept, and kept as they came (:mod:`scripts.records.record_files`).
Requests to E-utilities are batched, go by POST, and share one rate limit with all other processes of the analysis: 3 a
second, 10 with a key. E-utilities: https://www.ncbi.nlm.nih.gov/books/NBK25499/.
"""

import contextlib
import functools
import gzip
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.errors import InputError
from scripts.core.files import write_atomic
from scripts.core.http import RemoteError, RetryPolicy, UnreachableError
from scripts.core.locks import RateLimit
from scripts.core.shared_cache import exclusive
from scripts.records import family_files, record_files, run_reports, sra_xml

if TYPE_CHECKING:
    import requests

_ACCESSION = re.compile(rb'<(?:EXPERIMENT|RUN)\b[^>]*?\saccession="(\w+)"')
BATCH = 250  # accessions in one request to E-utilities


class Archives:
    """The archives and what they answered; each record is asked for once and kept as it came.

    ``folder`` holds a folder an accession; ``key`` is NCBI's API key, ``email`` the address that NCBI asks for.
    ``reached`` says whether any archive has answered, ``requests`` how many requests were made.
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
        optional = {"email": email, "api_key": key}
        self.identity = {"tool": "sra2matrix", **{name: value for name, value in optional.items() if value}}
        self.limit = RateLimit(self.folder / ".rates", "eutils", 10 if key else 3)
        self.policy = RetryPolicy(retries, min(2, retries), first_wait)
        self.unreachable: set[str] = set()  # hosts
        self.reached = False
        self.requests = 0

    def family_file(self, series: str) -> Path:
        """Return the family file of a series, fetched unless it is kept. Raises RemoteError."""
        folder = self.folder / series
        if found := record_files.family_of(folder, series):
            return found
        with exclusive(self.folder, f"family.{series}"):  # several analyses may share the folder
            if found := record_files.family_of(folder, series):
                return found
            path = folder / record_files.FAMILY.format(series=series)
            report(f"{series}: asking GEO for its family file")
            url = family_files.family_address(self.geo, series)
            with self._request(url) as policy:
                http.fetch(url, path, check=_check_family, policy=policy, session=self._session)
            return path

    def experiments_xml(self, accessions: Sequence[str]) -> list[bytes]:
        """Return the answers of E-utilities for experiments or runs. Raises RemoteError."""
        bodies = [body for batch in _batches(accessions) for body in self._fetch_batch(batch)]
        found = {accession.decode() for body in bodies for accession in _ACCESSION.findall(body)}
        missing = [accession for accession in accessions if accession not in found]
        if missing and len(missing) < min(len(accessions), BATCH):  # a long answer may lack what a second one has
            bodies += self._fetch_batch(missing)
        return bodies

    def _fetch_batch(self, accessions: Sequence[str]) -> list[bytes]:
        report(f"asking NCBI for {len(accessions)} experiments from {accessions[0]} on")
        body = self._eutils("efetch.fcgi", {"id": ",".join(accessions), "rettype": "full"}, _check_xml)
        if len(accessions) > 1 and sra_xml.answer_errors(body) and not sra_xml.packages_of(body):
            middle = len(accessions) // 2  # one bad accession spoils the whole answer
            return self._fetch_batch(accessions[:middle]) + self._fetch_batch(accessions[middle:])
        return [body]

    def search_xml(self, *terms: str) -> list[bytes]:
        """Return the answers to searches of accessions, and for all that they find. Raises RemoteError."""
        bodies = []
        for term in terms:
            report(f"asking NCBI for {term[:60]}{'…' if len(term) > 60 else ''}")
            found = self._eutils("esearch.fcgi", {"term": term, "usehistory": "y", "retmax": "0"}, _check_search)
            bodies.append(found)
            history = {"query_key": _tag(found, "QueryKey"), "WebEnv": _tag(found, "WebEnv")}
            for begin in range(0, int(_tag(found, "Count") or 0), BATCH):
                fields = {**history, "retstart": str(begin), "retmax": str(BATCH), "rettype": "full"}
                bodies.append(self._eutils("efetch.fcgi", fields, _check_xml))
        return bodies

    def samples_xml(self, samples: Sequence[str]) -> list[bytes]:
        """Return the answers for samples of GEO, which NCBI takes as words of a search only. Raises RemoteError."""
        return self.search_xml(*map(" OR ".join, _batches(samples)))

    def ena_report(self, accession: str, folder: str) -> Path:
        """Return ENA's filereport of an accession, fetched unless it is kept. Raises RemoteError."""
        if found := record_files.ena_report_of(self.folder / folder):
            return found
        path = self.folder / folder / record_files.ENA_REPORT
        report(f"{accession}: asking ENA for its runs")
        url = run_reports.report_address(self.ena, accession)
        with self._request(url) as policy:
            body = http.request(url, policy=policy, session=self._session, check=_check_report)
        write_atomic(path, gzip.compress(body, 6, mtime=0), shared=True)
        return path

    def keep_xml(self, folder: str, packages: Iterable[bytes]) -> Path | None:
        """Keep packages as one record; None when there is none."""
        parts = [part for part in packages if part]
        if not parts:
            return None
        path = self.folder / folder / record_files.SRA_XML
        write_atomic(path, gzip.compress(sra_xml.package_set(parts), 6, mtime=0), shared=True)
        return path

    def _eutils(self, tool: str, fields: Mapping[str, str], check: Callable[[bytes], None]) -> bytes:
        url = f"{self.eutils.rstrip('/')}/{tool}"
        data = {"db": "sra", **self.identity, **fields}
        with self._request(url) as policy:
            limited = policy._replace(limit=self.limit)
            return http.request(url, data=data, policy=limited, session=self._session, check=check)

    @contextlib.contextmanager
    def _request(self, url: str) -> Iterator[RetryPolicy]:
        """Yield how to ask a host: without further tries for a connection once it could not be reached."""
        self.requests += 1
        host = urlsplit(url).netloc
        try:
            yield self.policy._replace(unreachable_retries=0) if host in self.unreachable else self.policy
        except UnreachableError:
            self.unreachable.add(host)
            raise
        except RemoteError:
            self._answered(host)
            raise
        self._answered(host)

    def _answered(self, host: str) -> None:
        self.reached = True
        self.unreachable.discard(host)

    @functools.cached_property
    def _session(self) -> "requests.Session":
        import requests

        return requests.Session()


def _batches(accessions: Sequence[str]) -> Iterator[Sequence[str]]:
    return (accessions[begin : begin + BATCH] for begin in range(0, len(accessions), BATCH))


def report(message: str) -> None:
    """Print progress to standard error."""
    print(message, file=sys.stderr, flush=True)


def report_failure(what: str, error: RemoteError) -> str:
    """Report why something could not be fetched; return a sentence for the plan, the same whatever the reason was."""
    report(f"{what} could not be fetched: {error}")
    return f"{what} could not be fetched."


@contextlib.contextmanager
def _as_value_error(name: str | Path) -> Iterator[None]:
    """Turn an InputError into the ValueError that a check of an answer raises, without the answer's name."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error).removeprefix(f"{name}: ")) from error


def _check_family(path: Path) -> None:
    with _as_value_error(path):
        kinds = {entity.kind for entity in family_files.read_family(path)}
    if not kinds & {"series", "sample"}:
        raise ValueError("the family file names no series.")


def _check_xml(body: bytes) -> None:
    with _as_value_error("the answer"):
        for _ in sra_xml.parse_packages(io.BytesIO(body), "the answer"):
            pass


def _check_search(body: bytes) -> None:
    if not _tag(body, "Count") and not sra_xml.answer_errors(body):
        raise ValueError("the answer is no result of a search.")


def _check_report(body: bytes) -> None:
    if not body:
        raise ValueError("the answer is empty.")
    with _as_value_error("the answer"):
        run_reports.parse_report(body, "the answer")


def _tag(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode("ascii", "replace").strip() if found else ""
