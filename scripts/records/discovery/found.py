"""Ask GEO which series there are, and SRA which studies outside GEO; nothing is judged here.

All uids of a search are asked for, and a summary of each, before any record: what does not come is a fault or has a
name, so that the list is never shorter than what was found.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.core.http import RemoteError
from scripts.records.answers.sra_xml import Experiment
from scripts.records.client import Archives, Unfound, ask_in_pieces, report
from scripts.records.discovery.summaries import (
    SearchPage,
    SeriesSummary,
    is_series_uid,
    read_search,
    read_summaries,
    series_of_uid,
)

PAGE = 10_000
"""Uids that a search gives at most in one answer."""
SUMMARIES = 500
"""Summaries in one answer, as many as NCBI gives as JSON."""
MOST_EXPERIMENTS = 50_000
"""Experiments that are read of a search for studies outside GEO, the first in NCBI's order: the newest. A month of
human and mouse has some thousands, most of them GEO's own."""
_PUBLISHED = re.compile(rb"<RUN\b[^>]*\bpublished=\"([0-9]{4}-[0-9]{2}-[0-9]{2})")
_PASSES = 3  # over the pages of a search that changes while it is read


class FoundStudy(NamedTuple):
    """A study of SRA that no series of GEO names, by those of its experiments that a search found."""

    study: str
    title: str = ""
    published: str = ""
    organisms: str = ""
    experiments: frozenset[str] = frozenset()


class DiscoveryArchives(Archives):
    """The archives, asked in larger pages: experiments of several series are held until the series are looked up."""

    batch = 500

    def __init__(self, *arguments: str, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._held: dict[str, tuple[Experiment, bytes]] = {}
        self._absent: dict[str, str] = {}
        self._no_family: set[str] = set()

    def family_file(self, series: str, of: str = "") -> Path | None:
        """Return the family file of a series; one that GEO did not have a moment ago is not asked for again."""
        path = None if series in self._no_family else super().family_file(series, of)
        if path is None:
            self._no_family.add(series)
        return path

    def hold(self, experiments: Sequence[str]) -> None:
        """Ask for experiments and keep them in memory, in place of those that were held."""
        self._held, self._absent = {}, {}

        def take(experiment: Experiment, package: bytes) -> None:
            self._held[experiment.experiment] = (experiment, package)

        if experiments:
            self._absent = dict(super().fetch_experiments(experiments, take).absent)

    def fetch_experiments(self, accessions: Sequence[str], take: Callable[[Experiment, bytes], None]) -> Unfound:
        """Pass packages to ``take`` as :class:`Archives` does, those that are held without a request."""
        unfound = Unfound({}, {})
        left = []
        for name in accessions:
            if name in self._held:
                take(*self._held[name])
            elif name in self._absent:
                unfound.absent[name] = self._absent[name]
            else:
                left.append(name)
        if left:
            unfound.add(super().fetch_experiments(left, take))
        return unfound

    def search_page(self, term: str, start: int) -> SearchPage:
        """Return a page of the series that a term finds. Raises RemoteError."""
        fields = {"db": "gds", "term": term, "retmax": str(PAGE), "retstart": str(start)}
        return read_search(self._eutils("esearch.fcgi", fields, _check(read_search)))

    def count_experiments(self, term: str) -> SearchPage:
        """Return how many experiments a term finds in SRA. Raises RemoteError."""
        return read_search(self._eutils("esearch.fcgi", {"term": term, "retmax": "0"}, _check(read_search)))

    def summaries(self, uids: Sequence[str], patient: bool = True) -> dict[str, SeriesSummary | str]:
        """Return uid → summary of series, or what NCBI says instead. Raises RemoteError."""
        fields = {"db": "gds", "id": ",".join(uids), "version": "2.0", "retmode": "json"}
        return read_summaries(self._eutils("esummary.fcgi", fields, _check(read_summaries), patient))


def _check(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return the check of an answer: a ValueError where it cannot be read."""

    def check(body: bytes) -> None:
        try:
            read(body)
        except InputError as error:
            raise ValueError(str(error).removeprefix("the answer: ")) from error

    return check


@dataclass
class FoundSeries:
    """What a search found: the summary of each series, what is said of one without a summary, and notes."""

    summaries: list[SeriesSummary] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_series(term: str, archives: DiscoveryArchives) -> FoundSeries:
    """Return the series that a term finds, the newest first. Raises RemoteError where they do not all come."""
    report(f"asking GEO for {term}")
    uids, notes = _find_uids(term, archives)
    found = FoundSeries(notes=notes)
    known: dict[str, SeriesSummary] = {}
    for begin in range(0, len(uids), SUMMARIES):
        page = uids[begin : begin + SUMMARIES]
        report(f"asking GEO for {len(page)} summaries, from {series_of_uid(page[0])} on")
        absent, failed = ask_in_pieces(page, functools.partial(_take, archives, known, found.unknown), False)
        if failed:
            raise next(iter(failed.values()))
        found.unknown.update({series_of_uid(uid): "GEO gives no summary of it." for uid in absent})
    found.summaries = sorted(known.values(), key=lambda item: (item.published, int(item.series[3:])), reverse=True)
    return found


def _take(
    archives: DiscoveryArchives,
    known: dict[str, SeriesSummary],
    unknown: dict[str, str],
    uids: list[str],
    patient: bool,
) -> list[str]:
    """Take the summaries of these uids; return the uids of which nothing is said."""
    answer = archives.summaries(uids, patient)
    for uid in uids:
        said = answer.get(uid)
        if isinstance(said, SeriesSummary):
            known[uid] = said
        elif said is not None:
            unknown[series_of_uid(uid)] = f"GEO's summary says: {said}."
    return [uid for uid in uids if uid not in answer]


def _find_uids(term: str, archives: DiscoveryArchives) -> tuple[list[str], list[str]]:
    """Return the uids of all series that a term finds, each once, and notes on the term.

    The list may grow or shrink while its pages are read; then it is read again. Raises RemoteError where fewer come
    than are counted.
    """
    uids: dict[str, None] = {}
    for _ in range(_PASSES):
        first = archives.search_page(term, 0)
        page = first
        own = dict.fromkeys(page.uids)
        while page.uids and len(own) < page.total:
            page = archives.search_page(term, len(own))
            if not set(page.uids) - own.keys():
                break  # the same page again
            own.update(dict.fromkeys(page.uids))
        uids.update(own)
        if len(own) >= page.total:
            break
    else:
        fault = f"{len(own):,} of {page.total:,} series came for {term}."
        raise RemoteError(f"{archives.eutils.rstrip('/')}/esearch.fcgi", fault)
    strange = [uid for uid in uids if not is_series_uid(uid)]
    notes = [f"GEO: {note}" for note in first.notes]
    if strange:
        notes.append(f"GEO: {len(strange):,} hit(s) are no series and are left out, e.g. {strange[0][:40]!r}.")
    return [uid for uid in uids if is_series_uid(uid)], notes


@dataclass
class FoundStudies:
    """The same of studies outside GEO; ``unknown`` are experiments whose records could not be read."""

    studies: list[FoundStudy] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_studies(term: str, archives: DiscoveryArchives) -> FoundStudies:
    """Return the studies outside GEO of the experiments that a term finds in SRA, the newest first.

    Raises RemoteError where they do not all come.
    """
    page = archives.count_experiments(term)
    found = FoundStudies(notes=[f"SRA: {note}" for note in page.notes])
    if page.total > MOST_EXPERIMENTS:
        left = page.total - MOST_EXPERIMENTS
        found.notes.append(
            f"SRA: {page.total:,} experiments are found; studies to which only the oldest {left:,} of them belong are"
            " not in the list. Ask for a shorter time (since, until)."
        )
    known: dict[str, FoundStudy] = {}

    def take(experiment: Experiment, package: bytes) -> None:
        study = experiment.study or experiment.project
        if not experiment.series and not study:
            found.unknown[experiment.experiment] = "Its record names neither a study nor a project."
        elif not experiment.series:
            known[study] = _with(experiment, published_in(package), known.get(study, FoundStudy(study)))

    if page.total:
        unfound = archives.search(term, take, MOST_EXPERIMENTS)
        found.unknown |= {name: str(error) for name, error in unfound.failed.items()}
    found.studies = sorted(known.values(), key=lambda item: (item.published, item.study), reverse=True)
    return found


def _with(experiment: Experiment, published: str, study: FoundStudy) -> FoundStudy:
    """Return a study with what one more of its experiments says."""
    organisms = dict.fromkeys([*filter(None, study.organisms.split("; ")), *(name for _, name in experiment.taxa)])
    return study._replace(
        title=study.title or experiment.study_title,
        published=max(study.published, published),
        organisms="; ".join(filter(None, organisms)),
        experiments=study.experiments | {experiment.experiment},
    )


def published_in(package: bytes) -> str:
    """Return the latest date on which a run of a package was published, as YYYY-MM-DD; empty where none is given."""
    return max((date.decode() for date in _PUBLISHED.findall(package)), default="")
