"""Judge what was found: the rows that the look-up would plan for a series, made into one row of a table.

The code that judges is that of the look-up (:func:`scripts.records.lookup.look_up_home`), and so are the records, which
are kept: a series that is taken into the analysis later is not asked for again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.core.errors import InputError
from scripts.core.http import RemoteError
from scripts.plan.choices import Choices
from scripts.plan.run_table import Run
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.footprint import archive_bytes
from scripts.plan.units import Cut, cut_into_units, summarize_unit
from scripts.records.answers import record_files
from scripts.records.answers.series_record import fetch_series_record
from scripts.records.client import Unanswered, report
from scripts.records.discovery.found import DiscoveryArchives, FoundStudy
from scripts.records.discovery.series_facts import SeriesFacts, facts_of
from scripts.records.discovery.summaries import SeriesSummary
from scripts.records.discovery.table import (
    CERTAIN,
    LIKELY,
    NO,
    UNANSWERED,
    UNKNOWN,
    Discovered,
)
from scripts.records.libraries.evidence import Evidence
from scripts.records.libraries.single_cell import SHOWN, CellVerdict
from scripts.records.lookup import look_up_home
from scripts.records.rows import Plan, sentences

SURE = 2 * SHOWN
"""The sum of the weights from which on the verdict is certain: what a source that is declared single cell has alone."""
IN_VAIN = 20
"""Series in a row of which no archive answered, after which the archives are taken to be down."""
_NO_CELLS = frozenset(["OTHER_SPECIES", "SPECIES_UNKNOWN", "NOT_RNA", "NOT_SINGLE_CELL", "NO_RUN"])
_PIECES = 3  # of evidence, and names of methods, that a row has
_AT_ONCE = 500  # series that wait for their experiments, at most


@dataclass(frozen=True)
class InAnalysis:
    """What is in the analysis already: accessions asked for, and run → series of its plan."""

    asked: frozenset[str] = frozenset()
    runs: Mapping[str, str] | None = None

    def has(self, name: str, runs: Iterable[str] = ()) -> str:
        """Return whether a series or study is in it: yes, no, or how many of its runs are there, and under what."""
        planned = self.runs or {}
        names = set(runs)
        homes = sorted({planned[run] for run in names if run in planned})
        number = sum(run in planned for run in names)
        if name in self.asked or name in homes:
            return "yes"
        if not number:
            return "no"
        return f"{'yes' if number == len(names) else f'{number:,} of {len(names):,} runs'}, in {', '.join(homes)}"


class Judge:
    """Judges series and studies with the records of ``archives``, which are asked for what is not kept."""

    def __init__(
        self,
        archives: DiscoveryArchives,
        choices: Choices,
        estimator: Estimator,
        analysis: InAnalysis,
        updated_since: str = "",
        asks_ena: bool = True,
    ) -> None:
        """``updated_since``: kept records of series that are found by an update since this date are older than it."""
        self.archives, self.choices, self.estimator, self.analysis = archives, choices, estimator, analysis
        self.updated_since = updated_since
        self.asks_ena = asks_ena
        self.in_vain = 0  # series in a row that no archive answered for

    def judge_series(self, summaries: Sequence[SeriesSummary]) -> Iterator[Discovered]:
        """Yield the row of each series. Raises Unanswered when the archives are down."""
        waiting: list[SeriesSummary] = []
        wanted: dict[str, None] = {}
        for summary in summaries:
            try:
                experiments = self._missing(summary)
            except (InputError, RecursionError) as error:
                yield self._unanswered(summary, error)
                continue
            self.in_vain = 0
            if len(wanted | dict.fromkeys(experiments)) > self.archives.batch or len(waiting) >= _AT_ONCE:
                yield from self._judge(waiting, list(wanted))
                waiting, wanted = [], {}
            wanted.update(dict.fromkeys(experiments))
            waiting.append(summary)
        yield from self._judge(waiting, list(wanted))

    def judge_study(self, study: FoundStudy) -> Discovered:
        """Return the row of a study outside GEO. Raises Unanswered when the archives are down."""
        summary = SeriesSummary(study.study, study.title, study.published, study.organisms)
        folder = self.archives.folder / study.study
        try:
            kept = record_files.read_any_runs(folder)
            known = {item.experiment for item in kept.experiments} if kept else set()
        except InputError as error:
            return self._unanswered(summary, error, "SRA")
        is_kept = kept is not None or record_files.answers_of(folder) is not None
        note = self._renew(study.study, is_kept and not study.experiments <= known, "it has further experiments")
        return self._row(summary, None, "SRA", note)

    def _missing(self, summary: SeriesSummary) -> list[str]:
        """Fetch the family file of a series, and return those of its experiments that are to be asked for."""
        series, folder = summary.series, self.archives.folder / summary.series
        facts, answers = facts_of(self.archives.folder, series), record_files.answers_of(folder)
        has_runs = record_files.sra_xml_of(folder) is not None
        self._renew(series, self._outdated(summary, facts) != "" or (answers is not None and not has_runs))
        is_placed = record_files.is_placed(folder)
        is_kept = has_runs and (answers is not None or is_placed) and series not in self.archives.refresh
        if is_kept and facts is not None:
            return []
        record = fetch_series_record(series, self.archives, [], lenient=is_placed)
        experiments = list(record.samples_of_experiments())
        # A larger series fills requests of its own, and is not held in memory.
        return [] if is_kept or len(experiments) > self.archives.batch else experiments

    def _outdated(self, summary: SeriesSummary, facts: SeriesFacts | None) -> str:
        """Return what shows that the kept family file of a series is not the present one; empty where nothing does."""
        if facts is None:
            return ""
        if facts.samples and summary.samples is not None and facts.samples != summary.samples:
            return f"GEO now has {summary.samples:,} samples, its kept record {facts.samples:,}"
        if self.updated_since and facts.updated < self.updated_since:
            return (
                f"it was updated since {self.updated_since}, its kept record is of {facts.updated or 'an earlier day'}"
            )
        return ""

    def _renew(self, name: str, is_old: bool, why: str = "") -> str:
        """Ask for kept records again that are not the present ones; those of this analysis are left to `refresh`.

        Returns the sentence on the latter.
        """
        if not is_old:
            return ""
        if self.analysis.has(name) == "yes":
            return f"{why[:1].upper()}{why[1:]}; `refresh: [{name}]` takes in what is new." if why else ""
        self.archives.refresh.add(name)
        return ""

    def _judge(self, summaries: Sequence[SeriesSummary], experiments: Sequence[str]) -> Iterator[Discovered]:
        self.archives.hold(experiments)
        for summary in summaries:
            facts = facts_of(self.archives.folder, summary.series)
            note = self._renew(summary.series, bool(why := self._outdated(summary, facts)), why)
            yield self._row(summary, facts, "GEO", note)

    def _row(self, summary: SeriesSummary, facts: SeriesFacts | None, archive: str, note: str) -> Discovered:
        report(f"{summary.series}: judging its records")
        try:
            plan = self._look_up(summary.series)
        except (InputError, RecursionError) as error:
            return self._unanswered(summary, error, archive)
        self.in_vain = 0
        facts = facts or SeriesFacts(status="" if archive == "SRA" else "GEO has no family file of it")
        return describe(summary, facts, plan, self.estimator, self.analysis)._replace(
            archive=archive, note=sentences(note, *dict.fromkeys(_notes(plan)))
        )

    def _look_up(self, name: str) -> Plan:
        """Return the plan of a series or study.

        ENA is asked where its list may change the verdict: it may have the files of a run whose barcodes NCBI lost.
        """
        plan = look_up_home(name, self.archives, self.choices)
        if self.asks_ena and any(row.reason == "BARCODE_LOST" for row in plan.all_rows()):
            self.archives.use_ena = True
            try:
                return look_up_home(name, self.archives, self.choices)
            finally:
                self.archives.use_ena = False
        return plan

    def _unanswered(self, summary: SeriesSummary, error: Exception, archive: str = "GEO") -> Discovered:
        """Return the row of a series whose records could not be had. Raises Unanswered when the archives are down."""
        says = " ".join(str(error).split())
        report(f"{summary.series}: {says}")
        if isinstance(error, Unanswered | RemoteError):
            self.in_vain += 1
            if self.in_vain >= IN_VAIN:
                raise Unanswered(
                    f"The archives did not answer for {self.in_vain} series in a row. What came is kept; the same"
                    f" command goes on from there. The last: {says}"
                )
        return self._row_of(summary, archive)._replace(verdict=UNANSWERED, note=says)

    def _row_of(self, summary: SeriesSummary, archive: str = "GEO") -> Discovered:
        return row_of(summary)._replace(archive=archive, in_analysis=self.analysis.has(summary.series))


def row_of(summary: SeriesSummary) -> Discovered:
    """Return what the summary alone says of a series."""
    return Discovered(
        summary.series,
        UNKNOWN,
        title=summary.title,
        published=summary.published,
        organisms=summary.organisms,
        samples=summary.samples,
        pubmed=", ".join(summary.pubmed),
    )


def describe(
    summary: SeriesSummary, facts: SeriesFacts, plan: Plan, estimator: Estimator, analysis: InAnalysis
) -> Discovered:
    """Return the row of a series of which ``plan`` has what the look-up would plan."""
    rows = plan.all_rows()
    cells, weight, evidence = _cells(rows, plan)
    planned = {row.run: row for row in rows if row.status == "planned"}
    others = {row.run or row.experiment or row.sample or row.series: row for row in rows if row.status != "planned"}
    reasons = Counter(row.reason for row in others.values())
    verdict = CERTAIN if cells and weight >= SURE else LIKELY if cells else NO
    if not cells and reasons.keys() <= {"NO_RUN"}:
        verdict = UNKNOWN
    sizes = [archive_bytes(row) for row in planned.values()]
    row = row_of(summary)._replace(
        verdict=verdict,
        weight=weight,
        evidence="; ".join(evidence) or _why_not(others.values()),
        title=summary.title or facts.title,
        organisms=summary.organisms or "; ".join(dict.fromkeys(row.organism for row in rows if row.organism)),
        species=", ".join(label for label in plan.choices.species if any(row.species == label for row in cells)),
        assay=", ".join(sorted({row.assay for row in cells})),
        chemistry=_chemistry(cells, plan),
        samples=len({row.sample for row in rows if row.sample}) if summary.samples is None else summary.samples,
        experiments=len({row.experiment for row in rows if row.experiment}),
        runs=len({row.run for row in rows if row.run}),
        planned=len(planned),
        gb=sum(sizes) / 1e9 if sizes and all(sizes) else None,
        left_out=", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())),
        in_analysis=analysis.has(summary.series, {row.run for row in rows if row.run}),
        part_of=", ".join(facts.part_of),
        parts=", ".join(facts.parts),
        superseded_by=", ".join(facts.superseded_by),
        status=facts.status,
        pubmed=", ".join(summary.pubmed or facts.pubmed),
    )
    units = cut_into_units(rows, Cut(estimator.shard_size))
    if not units:
        return row
    cost = estimator.costs({name: summarize_unit(runs, "experiment") for name, runs in units.items()})[-1]
    return row._replace(core_hours=cost.core_hours, node_hours=cost.node_hours)


def _cells(rows: Iterable[Run], plan: Plan) -> tuple[list[Run], int, list[str]]:
    """Return the rows of single-cell libraries, the least sum of their evidence, and its strongest pieces."""
    cells, weights = [], []
    pieces: dict[str, Evidence] = {}
    for row in rows:
        if row.reason in _NO_CELLS or row.run not in plan.evidence:
            continue
        found = [Evidence(**piece) for piece in _evidence(plan, row.run)["evidence"]]
        weight = CellVerdict(tuple(found)).total(of_many=row.assay == "droplet")
        if weight < SHOWN and row.status == "planned":  # the user says so
            weight = SURE
            found = [Evidence("", SURE, "", f"the configuration says {row.assay}")]
        if weight >= SHOWN:
            cells.append(row)
            weights.append(weight)
            for piece in found:
                if piece.weight > pieces.get(piece.code, Evidence("", 0, "", "")).weight:
                    pieces[piece.code] = piece
    strongest = sorted(pieces.values(), key=lambda piece: (-piece.weight, piece.code))[:_PIECES]
    return cells, min(weights, default=0), [piece.sentence for piece in strongest]


def _evidence(plan: Plan, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.evidence[run])
    return found


def _why_not(rows: Iterable[Run]) -> str:
    """Return the sentence of the first row with the reason that most rows have."""
    rows = list(rows)
    most = Counter(row.reason for row in rows).most_common(1)
    return next((row.detail for row in rows if row.reason == most[0][0]), "") if most else ""


def _chemistry(cells: Sequence[Run], plan: Plan) -> str:
    """Return the kit that is pinned, else the methods that the texts name, and the lengths of the barcode reads."""
    named: Counter[str] = Counter()
    spelt: dict[str, str] = {}
    for row in cells:
        if name := row.chemistry or _evidence(plan, row.run)["method"]:
            named[name.lower()] += 1
            spelt.setdefault(name.lower(), name)
    words = [spelt[name] for name, _ in named.most_common(_PIECES)]
    lengths = Counter(round(plan.barcode_reads[row.run]) for row in cells if row.run in plan.barcode_reads)
    if lengths:
        words.append(f"barcode read of {' or '.join(str(length) for length, _ in lengths.most_common(_PIECES))} nt")
    return ", ".join(words)


def _notes(plan: Plan) -> Iterator[str]:
    """Yield what needs a look in a plan."""
    unknown = len({row.run for row in plan.all_rows() if row.status == "planned" and not archive_bytes(row)})
    if unknown:
        yield f"The records do not give the size of {unknown:,} run(s)."
    if plan.open:
        yield f"The reads of {len(plan.open):,} run(s) must show which of them holds the barcode."
