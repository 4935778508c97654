"""Ask the archives about accessions: GEO's file tree, NCBI's E-utilities, ENA's portal.

Answers are checked to be complete before they are kept, and kept as they came
(:mod:`scripts.records.answers.record_files`). Requests to E-utilities are batched, go by POST, and share one rate limit
with all other processes of the analysis: 3 a second, 10 with a key. E-utilities: https://www.ncbi.nlm.nih.gov/books/NBK25499/.
"""

import argparse
import collections
import contextlib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.disk.files import own_name, remove_abandoned_files
from scripts.core.disk.locks import RateLimit
from scripts.core.disk.shared_cache import exclusive, remove_abandoned
from scripts.core.errors import InputError
from scripts.core.http import RemoteError, RetryPolicy, UnreachableError
from scripts.core.secrets import mask
from scripts.core.untrusted import whole_number
from scripts.records.answers import family_files, record_files, run_reports, sra_xml
from scripts.records.answers.reading import parse_xml
from scripts.records.answers.sra_xml import Answer, Experiment

if TYPE_CHECKING:
    import requests

_LARGEST_ANSWER = 1 << 26  # bytes of an answer of E-utilities; one with 200 packages has some MB
_LARGEST_FAMILY = 1 << 33  # bytes of a gzipped family file; the largest of GEO have some GB
BATCH = 250  # accessions in one request to E-utilities
_IN_VAIN = 7  # requests in a row that bring nothing, after which a batch is not cut into smaller pieces any more
_ABSENT = re.compile(
    r"(?!.*\b(?:backend|internal|server|database|time(?:d )?out|unable|fail\w*|connect\w*)\b)"
    r".*\b(?:not public|not exist|not found|no longer|withdrawn|suppressed|removed)\b",
    re.IGNORECASE,
)
"""What NCBI says of an accession that it does not have or does not show; all else is a failure."""
_MOST_FOUND = 10_000_000  # experiments that a search of an accession finds at most
_NAME = re.compile(r"\b[SED]R[A-Z]\d+\b")
_NO_IDS = re.compile(rb"\bID list is empty|\bEmpty id list", re.IGNORECASE)

Take = Callable[[Experiment, bytes], None]
Piece = TypeVar("Piece", bound=Sequence[Any])


class Unanswered(InputError):
    """Something that no archive could be asked for: the look-up ends, without a plan, and the next call asks again."""


class DamagedError(RemoteError):
    """A package that is not well-formed XML, also when it is asked for by itself."""


class IncompleteError(RemoteError):
    """A search of which fewer experiments came than its ``count``."""

    def __init__(self, url: str, fault: str, count: int) -> None:
        super().__init__(url, fault)
        self.count = count


class Unfound(NamedTuple):
    """What did not come: ``absent`` maps an accession that the archive does not have to its own words on it (or
    nothing), ``failed`` one of which the archive gave no answer to the error."""

    absent: dict[str, str]
    failed: dict[str, RemoteError]

    def add(self, other: "Unfound") -> None:
        self.absent.update(other.absent)
        self.failed.update(other.failed)


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :class:`Archives`: where they are, and how they are asked."""
    parser.add_argument("--records", default="resources/records", help="where the archives' answers are kept")
    parser.add_argument("--geo", default="https://ftp.ncbi.nlm.nih.gov/geo", help="GEO's file tree")
    parser.add_argument("--eutils", default="https://eutils.ncbi.nlm.nih.gov/entrez/eutils", help="E-utilities")
    parser.add_argument("--ena", default="https://www.ebi.ac.uk/ena", help="ENA")
    parser.add_argument("--email", default=os.environ.get("NCBI_EMAIL", ""), help="address that NCBI asks for")
    parser.add_argument("--retries", type=int, default=5, help="retries of a request that failed")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds before the first retry, then doubled")


class Archives:
    """The archives and what they answered; each record is asked for once and kept as it came.

    ``folder`` holds a folder an accession; ``key`` is NCBI's API key, ``email`` the address that NCBI asks for.
    ``reached`` says whether any archive has answered, ``requests`` how many requests were made. ``refresh`` names
    what is asked for although it is kept, or is ``all``.
    """

    batch = 0
    """Accessions in one request to E-utilities; 0: BATCH."""

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
        refresh: Iterable[str] = (),
    ) -> None:
        self.folder = Path(folder)
        remove_abandoned(self.folder)
        self.geo, self.eutils, self.ena = geo, eutils, ena
        self.use_ena = use_ena
        optional = {"email": email, "api_key": key}
        self.identity = {"tool": "sra2matrix", **{name: value for name, value in optional.items() if value}}
        self.limit = RateLimit(self.folder / f".rates.{os.geteuid()}", "eutils", 10 if key else 3)
        self.policy = RetryPolicy(retries, min(2, retries), first_wait)
        self.failing: set[str] = set()  # hosts whose last answer was none
        self.reached = False
        self.requests = 0
        self.refresh = set(refresh)
        self.renewed: set[str] = set()
        self.warnings: list[str] = []
        self.news: list[str] = []  # what is new or gone in records that were asked for again
        self.describes = False  # whether what follows is kept, which takes memory for every sample
        self.described: dict[str, str] = {}  # series or sample → what its record says, see history/described.py
        self.families: set[Path] = set()  # family files that were read, by the names under which they are kept
        self._staged: dict[Path, Path] | None = None  # family file → the new one that is to replace it
        self.digests: dict[str, str] = {}  # series or study → digest of what its record says of experiments

    @classmethod
    def of_options(cls, options: argparse.Namespace, *, use_ena: bool, refresh: Iterable[str] = ()) -> Self:
        """Return the archives that parsed options name, see :func:`add_archive_options`; the key is NCBI_API_KEY."""
        return cls(
            options.records,
            options.geo,
            options.eutils,
            options.ena,
            use_ena=use_ena,
            key=os.environ.get("NCBI_API_KEY", ""),
            email=options.email,
            retries=options.retries,
            first_wait=options.first_wait,
            refresh=refresh,
        )

    def renews(self, what: str, *names: str) -> bool:
        """Return whether something is asked for anew, whatever is kept: once, where ``refresh`` has its name."""
        if what in self.renewed or self.refresh.isdisjoint({"all", *names}):
            return False
        self.renewed.add(what)
        return True

    def unused_refresh(self) -> list[str]:
        """Return a sentence for each accession of ``refresh`` that nothing of what was asked for belongs to."""
        used = {what.rpartition(" ")[2] for what in self.renewed}
        return [f"refresh: {name} is not in the plan." for name in sorted(self.refresh - used - {"all"})]

    def warn(self, message: str) -> None:
        """Print a message now, and keep it for the end of the look-up."""
        report(message)
        self.warnings.append(message)

    def family_file(self, series: str, of: str = "") -> Path | None:
        """Return the family file of a series (a part of another), fetched unless it is kept; None where GEO has none.

        Raises RemoteError.
        """
        folder = self.folder / series
        path = folder / record_files.FAMILY.format(series=series)
        if self._staged and path in self._staged:
            return self._staged[path]
        remove_abandoned_files(folder)
        anew = self.renews(f"family of {series}", series, of)
        if not anew and (found := record_files.family_of(folder, series)):
            return found
        with exclusive(self.folder, f"family.{series}"):  # several analyses may share the folder
            if not anew and (found := record_files.family_of(folder, series)):
                return found
            report(f"{series}: asking GEO for its family file")
            new = path
            if anew and self._staged is not None:
                new = own_name(path.with_name(f".{path.name}"), "new")
            url = family_files.family_address(self.geo, series)
            try:
                with self._request(url) as policy:
                    check, most = _check_family, _LARGEST_FAMILY
                    http.fetch(url, new, check=check, policy=policy, session=self._session, most=most)
            except RemoteError as error:
                if error.status != 404:
                    raise
                return None
            if new != path and self._staged is not None:
                self._staged[path] = new
            return new

    @contextlib.contextmanager
    def replacing_families(self) -> Iterator[None]:
        """Replace family files that are asked for again when the block ends without an error: all of them, or none."""
        staged: dict[Path, Path] = {}
        self._staged = staged
        try:
            yield
            for path, new in staged.items():
                record_files.replace_family(path, new)
        finally:
            self._staged = None
            for new in staged.values():
                new.unlink(missing_ok=True)

    def fetch_experiments(self, accessions: Sequence[str], take: Take) -> Unfound:
        """Pass the packages of experiments or runs to ``take``, and return what did not come.

        What a batch lacks is asked for again, in the end by itself: one accession that spoils an answer, or whose
        package is damaged, does not cost the others.
        """
        unfound = Unfound({}, {})
        down: RemoteError | None = None
        named = [name for name in accessions if name]  # ENA may name one by what is no accession
        for batch in _batches(named, self.batch or BATCH):
            if down is not None:
                unfound.failed.update(dict.fromkeys(batch, down))
                continue
            report(f"asking NCBI for {len(batch)} experiments from {batch[0]} on")
            ask = functools.partial(self._fetch_ids, take=take, unfound=unfound)
            absent, failed = ask_in_pieces(batch, ask, self.is_failing)
            silent = [name for name in absent if name not in unfound.absent]
            self._search_silent(silent, take, unfound)
            unfound.failed.update(failed)
            if len(failed) == len(batch) > 1:
                down = next(iter(failed.values()))
        return unfound

    def _fetch_ids(self, piece: Sequence[str], patient: bool, take: Take, unfound: Unfound) -> Sequence[str]:
        """Ask for experiments or runs; return those that did not come and that NCBI does not say to be absent."""
        answer = self._efetch({"id": ",".join(piece)}, patient)
        wanted, found = set(piece), set[str]()
        for experiment, package in answer.packages:
            if names := wanted & {experiment.experiment, *(run.run for run in experiment.runs)}:
                found |= names
                take(experiment, package)
        missing = [name for name in piece if name not in found]
        if len(piece) == 1 and missing and answer.damaged:
            raise self._damaged(answer.damaged[0])
        for text in answer.errors:
            named = [name for name in missing if re.search(rf"\b{name}\b", text)] if _ABSENT.match(text) else []
            unfound.absent.update(dict.fromkeys(named, f"NCBI says: {mask(text).rstrip('.')}."))
        return [name for name in missing if name not in unfound.absent]

    def _damaged(self, experiment: str) -> DamagedError:
        return DamagedError(self.eutils, f"the package of {experiment} is not well-formed XML.", final=True)

    def _search_silent(self, names: Sequence[str], take: Take, unfound: Unfound) -> None:
        """Search for accessions of which nothing came, and no word: absent is what the search has not, either."""
        found = set[str]()

        def take_named(experiment: Experiment, package: bytes) -> None:
            if mine := {experiment.experiment, *(run.run for run in experiment.runs)} & set(names):
                found.update(mine)
                take(experiment, package)

        try:
            damaged = self._read_pages(" OR ".join(names), take_named) if names else []
            unfound.failed.update({name: self._damaged(name) for name in damaged if name in names})
            left = (name for name in names if name not in found and name not in damaged)
            unfound.absent.update(dict.fromkeys(left, ""))
        except RemoteError as error:
            unfound.failed.update({name: error for name in names if name not in found})

    def search(self, term: str, take: Take, most: int | None = None) -> Unfound:
        """Pass the packages of all experiments that a search finds to ``take``; return those that are damaged.

        With ``most`` only the first of them, in NCBI's order. Raises RemoteError, an IncompleteError where fewer came
        than NCBI counts.
        """
        unfound = self.fetch_experiments(self._read_pages(term, take, most), take)
        damaged = {name: self._damaged(name) for name in unfound.absent}  # the search has found it
        return Unfound({}, {**unfound.failed, **damaged})

    def _read_pages(self, term: str, take: Take, most: int | None = None) -> list[str]:
        """Pass the packages of a search to ``take``, and return the experiments whose packages are damaged."""
        report(f"asking NCBI for {term[:60]}{'…' if len(term) > 60 else ''}")
        pages = _Pages(self, take, most)
        # A history may expire, and a study may change while it is read: the second time by the ids that NCBI gives.
        for ids in ("0", "10000"):
            pages.read(self._esearch({"term": term, "usehistory": "y", "retmax": ids}))
            if pages.are_complete:
                break
        else:
            why = f" ({pages.fault})" if pages.fault else ""
            fault = f"{len(pages.seen):,} of {pages.count:,} experiments came for {term}{why}."
            raise IncompleteError(self.eutils, fault, pages.count)
        return list(pages.damaged)

    def search_words(self, words: Sequence[str], take: Take) -> Unfound:
        """Search for accessions that NCBI takes as words of a search only, see :meth:`search`."""
        unfound = Unfound({}, {})
        for batch in _batches(words, self.batch or BATCH):
            unfound.add(self.search(" OR ".join(batch), take))
        return unfound

    @property
    def is_failing(self) -> bool:
        """Whether the last answer of E-utilities was none."""
        return urlsplit(self.eutils).netloc in self.failing

    def series_of_sample(self, sample: str) -> list[str]:
        """Return the series of a sample by GEO's own search. Raises RemoteError."""
        report(f"{sample}: asking NCBI for its series in GEO")
        found = self._esearch({"db": "gds", "term": f"{sample}[ACCN] AND gse[ETYP]", "retmax": "100"})
        uids = re.findall(rb"<Id>2(\d{8})</Id>", found)
        return [f"GSE{int(uid)}" for uid in uids]

    def ena_report(self, accession: str) -> bytes:
        """Return ENA's filereport of an accession; empty where ENA does not know it. Raises RemoteError."""
        report(f"{accession}: asking ENA for its runs")
        url = run_reports.report_address(self.ena, accession)
        with self._request(url) as policy:
            return http.request(url, policy=policy, session=self._session, check=_check_report)

    def _esearch(self, fields: Mapping[str, str]) -> bytes:
        return self._eutils("esearch.fcgi", fields, _check_search)

    def _efetch(self, fields: Mapping[str, str], patient: bool = True) -> Answer:
        read: list[Answer] = []
        try:
            check = functools.partial(_check_answer, read)
            self._eutils("efetch.fcgi", {**fields, "rettype": "full"}, check, patient)
        except RemoteError as error:
            if error.status != 400 or not _NO_IDS.search(error.body):
                raise
            return Answer([], [], [])  # NCBI knows none of these accessions
        return read[-1]

    def _eutils(
        self, tool: str, fields: Mapping[str, str], check: Callable[[bytes], None], patient: bool = True
    ) -> bytes:
        url = f"{self.eutils.rstrip('/')}/{tool}"
        data = {"db": "sra", **self.identity, **fields}
        with self._request(url) as policy:
            limited = policy._replace(limit=self.limit, retries=policy.retries if patient else min(1, policy.retries))
            return http.request(
                url, data=data, policy=limited, session=self._session, check=check, most=_LARGEST_ANSWER
            )

    @contextlib.contextmanager
    def _request(self, url: str) -> Iterator[RetryPolicy]:
        """Yield how to ask a host: with few further tries while it does not answer as it should."""
        self.requests += 1
        host = urlsplit(url).netloc
        policy = self.policy
        if host in self.failing:
            policy = policy._replace(retries=min(1, policy.retries), unreachable_retries=0)
        try:
            yield policy
        except RemoteError as error:
            self.reached |= not isinstance(error, UnreachableError)
            if not error.final:
                self.failing.add(host)
            raise
        self.reached = True
        self.failing.discard(host)

    @functools.cached_property
    def _session(self) -> "requests.Session":
        import requests

        return requests.Session()


class _Pages:
    """The pages of a search and what has come of them so far."""

    def __init__(self, archives: Archives, take: Take, most: int | None = None) -> None:
        self.archives = archives
        self.take = take
        self.most = most  # experiments that are read
        self.count = 0
        self.seen: set[str | bytes] = set()
        self.damaged: dict[str, None] = {}
        self.fault = ""
        self._settled: set[str | bytes] = set()  # experiments of pages that came whole

    @property
    def are_complete(self) -> bool:
        return len(self.seen) + len(self.damaged.keys() - self.seen) >= self.count

    def read(self, found: bytes) -> None:
        """Read all pages of a search's result."""
        self.count, self.fault = whole_number(_tag(found, "Count")) or 0, ""
        if self.most is not None:
            self.count = min(self.count, self.most)
        self._settled.clear()
        history = {"query_key": _tag(found, "QueryKey"), "WebEnv": _tag(found, "WebEnv")}
        ids = re.findall(r"<Id>(\d+)</Id>", found.decode("ascii", "replace"))

        def fields(page: range) -> dict[str, str]:
            if len(ids) == self.count:
                return {"id": ",".join(ids[page.start : page.stop])}
            return {**history, "retstart": str(page.start), "retmax": str(len(page))}

        for begin in range(0, self.count, BATCH):
            if self.are_complete:
                return
            page = range(begin, min(begin + BATCH, self.count))
            ask = functools.partial(self._read_page, fields)
            _, failed = ask_in_pieces(page, ask, self.archives.is_failing)
            for error in failed.values():
                self.fault = error.fault.rstrip(".")
            if len(failed) == len(page):
                return

    def _read_page(self, fields: Callable[[range], dict[str, str]], page: range, patient: bool) -> range:
        """Ask for some places of the result; return the last ones, as many as there came too few that no page had."""
        if self.are_complete:
            return page[:0]
        answer = self.archives._efetch(fields(page), patient)
        self.damaged.update(dict.fromkeys(answer.damaged))
        found: set[str | bytes] = set(answer.damaged)
        for experiment, package in answer.packages:
            name = experiment.experiment or package  # a package may lack a true accession
            found.add(name)
            if name not in self.seen:
                self.seen.add(name)
                self.take(experiment, package)
        found -= self._settled
        self._settled |= found
        return page[len(found) :]


def ask_in_pieces(
    whole: Piece, ask: Callable[[Piece, bool], Piece], is_failing: bool
) -> tuple[list[Any], dict[Any, RemoteError]]:
    """Ask for things until they came; return those that are absent, and those of which there is no answer.

    ``ask`` gets a piece, and whether to be patient; it returns what of it did not come, or raises RemoteError. A piece
    of which nothing came is cut in two, one thing is asked for twice. An archive that ``is_failing`` is asked for few
    pieces.
    """
    waiting, alone = collections.deque([whole]), set[Any]()
    absent: list[Any] = []
    failed: dict[Any, RemoteError] = {}
    in_vain = _IN_VAIN - 1 if is_failing else 0
    while waiting:
        piece = waiting.popleft()
        error: RemoteError | None = None
        missing: Piece = piece
        try:
            missing = ask(piece, in_vain == 0)
        except RemoteError as caught:
            error = caught
        if len(missing) < len(piece):
            in_vain = 0
            if missing:
                waiting.append(missing)
            continue
        in_vain += 1
        middle = len(piece) // 2
        if middle and in_vain <= _IN_VAIN and not isinstance(error, UnreachableError):
            waiting += cast("list[Piece]", [piece[:middle], piece[middle:]])
        elif error is not None:
            failed.update(dict.fromkeys(piece, error))
        elif not middle and piece[0] not in alone:
            alone.add(piece[0])
            waiting.append(piece)
        else:
            absent += piece
    return absent, failed


def _batches(accessions: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (accessions[begin : begin + size] for begin in range(0, len(accessions), size))


def report(message: str) -> None:
    """Print progress to standard error."""
    print(message, file=sys.stderr, flush=True)


def answer_of(archive: str, error: RemoteError) -> str:
    """Return what an archive answered instead of what it was asked, without the long query of the address."""
    words = run_reports.report_error(error.body) if error.status == 400 else ""
    says = f" It says: {words}" if words else ""
    return f"{archive}: {error.url.partition('?')[0]}: {error.fault}{says}"


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


def _check_answer(read: list[Answer], body: bytes) -> None:
    """Add an answer to ``read``.

    Raises ValueError for one without packages that speaks of an error, unless that is one of accessions.
    """
    with _as_value_error("the answer"):
        answer = sra_xml.read_answer(body)
    if not answer.packages and not answer.damaged:
        for text in answer.errors:
            if not _ABSENT.match(text) or not _NAME.search(text):
                raise ValueError(f"NCBI says: {text.rstrip('.')}.")
    read.append(answer)


def _check_search(body: bytes) -> None:
    with _as_value_error("the answer"):
        root = parse_xml(body, "the answer")
    for element in root.iter():
        if element.tag.lower() == "error":
            raise ValueError(f"NCBI says: {' '.join((element.text or '').split()).rstrip('.')}.")
    if root.tag != "eSearchResult" or whole_number(_tag(body, "Count"), _MOST_FOUND) is None:
        raise ValueError("the answer is no result of a search.")


def _check_report(body: bytes) -> None:
    if not body:
        raise ValueError("the answer is empty.")
    with _as_value_error("the answer"):
        run_reports.parse_report(body, "the answer")


def _tag(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode("ascii", "replace").strip() if found else ""
