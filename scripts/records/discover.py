"""Find series that are new in GEO, and single-cell studies outside it, and judge them before anything is counted.

GEO is searched by organism, type and date, or by a query of yours (--query). Of every series the family file and the
records of its runs are kept below --records and judged as resolve judges them; a series that is taken into the analysis
later is not asked for again. The table (--output) has a row for every series that was found, the most certain first:
what it is, by what evidence, what it would cost and what would be left out. --accept adds the certain ones up to a size
to a list that `series:` takes. Nothing but records is downloaded. Every call asks the search again, as its answer
depends on the day, and judges with the records that are kept.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.tables import format_table
from scripts.plan.choices import add_choices, choices_of
from scripts.plan.lists import is_path
from scripts.plan.run_table import iterate_runs
from scripts.plan.sizes.cost import add_cost_options, estimator_of
from scripts.records.client import add_archive_options, report
from scripts.records.discovery.found import DiscoveryArchives, FoundStudies, find_series, find_studies
from scripts.records.discovery.judged import InAnalysis, Judge, row_of
from scripts.records.discovery.page import write_page
from scripts.records.discovery.summaries import SeriesSummary
from scripts.records.discovery.table import (
    NOT_JUDGED,
    UNANSWERED,
    VERDICTS,
    Discovered,
    accepted,
    add_to_list,
    in_order,
    listed_in,
    write_discovered,
)
from scripts.records.discovery.terms import DATES, Wanted, gds_term, sra_term

_SHOWN, _LONGEST = 10, 50  # rows on the terminal, characters of a title there


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--since", default="", help="the first date, as 2026-10-01")
    parser.add_argument("--until", default="", help="the last date (default: none)")
    parser.add_argument("--date", choices=DATES, default=DATES[0], help="whose date: published or updated")
    parser.add_argument("--types", nargs="*", default=[], help="types of series, as GEO calls them (default: any)")
    parser.add_argument("--query", default="", help="a search of your own, in place of organism and type")
    parser.add_argument("--limit", type=int, default=500, help="series that are judged at most, the newest")
    parser.add_argument("--no-sra", dest="sra", action="store_false", help="leave out studies that are not in GEO")
    parser.add_argument("--series", nargs="*", default=[], help="what the analysis asks for already: accessions, lists")
    parser.add_argument("--plan", default="results/plan.tsv", help="the plan of the analysis, if there is one")
    add_choices(parser)
    add_archive_options(parser)
    parser.add_argument("--shard-size", type=int, default=96, help="experiments a plate shard")
    add_cost_options(parser)
    parser.add_argument("--accept", help="list of accessions to which certain ones are added")
    parser.add_argument("--accept-gb", type=float, default=100.0, help="up to this size of the archives of a series")
    parser.add_argument("--page", help="the same as a page to write")
    parser.add_argument("--output", required=True, help="the table to write")
    options = parser.parse_args(argv)
    choices = choices_of(options)
    if not choices.species:
        raise InputError("No species is configured; give --species, e.g. homo=9606 mus=10090.")
    tax_ids = [*choices.species.values()]
    wanted = Wanted(tax_ids, options.types, options.since, options.until, options.date, options.query.strip())
    wanted.check()
    estimator, _ = estimator_of(options, {label: label for label in choices.species}, options.shard_size)
    # ENA is asked only for what NCBI lacks, when the series is planned
    archives = DiscoveryArchives.of_options(options, use_ena=False)
    judge = Judge(
        archives,
        choices,
        estimator,
        analysis_of(options.series, options.plan),
        options.since if options.date == "updated" else "",
        asks_ena=not {"ena", "ena_fastq"}.isdisjoint(options.order),
    )
    rows, said = discover(wanted, options.limit, options.sra, archives, judge)
    finish(rows, said, options.output, options.page, options.accept, options.accept_gb, _asked(wanted, options.sra))
    report(f"{archives.requests} requests to the archives")


def analysis_of(words: Sequence[str], plan: str | Path) -> InAnalysis:
    """Return what the analysis asks for, and the runs of its plan; a list or plan that does not exist is empty."""
    asked: set[str] = set()
    for word in words:
        asked.update(listed_in(word) if is_path(word) else [word.upper()])
    runs: dict[str, str] = {}
    for row in iterate_runs(plan) if Path(plan).exists() else ():
        asked.add(row.series)
        if row.run:
            runs[row.run] = row.series
    return InAnalysis(frozenset(asked), runs)


def discover(
    wanted: Wanted, limit: int, outside: bool, archives: DiscoveryArchives, judge: Judge
) -> tuple[list[Discovered], list[str]]:
    """Return a row for everything that is found, and sentences on the search.

    ``outside``: also studies that are not in GEO, without a query of the user's. Raises InputError where a search is
    not answered to its end, or the archives are down.
    """
    series = find_series(gds_term(wanted), archives)
    rows = [*judge.judge_series(series.summaries[:limit])]
    studies = FoundStudies()
    if outside and not wanted.query:
        studies = find_studies(sra_term(wanted), archives)
    rows += [judge.judge_study(study) for study in studies.studies[:limit]]
    beyond = [row_of(summary) for summary in series.summaries[limit:]]
    beyond += [
        row_of(SeriesSummary(study.study, study.title, study.published, study.organisms))._replace(archive="SRA")
        for study in studies.studies[limit:]
    ]
    says = f"Beyond `limit: {limit}`; newer ones were judged."
    rows += [row._replace(verdict=NOT_JUDGED, in_analysis=judge.analysis.has(row.series), note=says) for row in beyond]
    for archive, unknown in (("GEO", series.unknown), ("SRA", studies.unknown)):
        rows += [
            row_of(SeriesSummary(name))._replace(in_analysis=judge.analysis.has(name), archive=archive, note=note)
            for name, note in sorted(unknown.items())
        ]
    said = [*series.notes, *studies.notes, *archives.warnings]
    if beyond:
        said.append(
            f"{len(beyond):,} of those found are not judged: the newest {limit:,} are. Raise discover.limit, or ask for"
            " a shorter time (since, until)."
        )
    if number := sum(row.verdict == UNANSWERED for row in rows):
        said.append(f"{number:,} could not be judged, as an archive did not answer; the same command asks again.")
    return in_order(rows), said


def finish(
    rows: Sequence[Discovered],
    said: list[str],
    table: str | Path,
    page: str | None,
    accept: str | None,
    most_gb: float,
    asked: str,
) -> None:
    """Write the table, the list of accepted accessions and the page, and print what was found."""
    taken = [row.series for row in accepted(rows, most_gb)]
    if accept:
        new = add_to_list(accept, [row for row in rows if row.series in set(taken)])
        said = [
            *said,
            f"{len(taken):,} accepted (certain, up to {most_gb:g} GB), {len(new):,} of them new in {accept}.",
        ]
    write_discovered(table, rows)
    if page:
        write_page(page, rows, asked, said, taken if accept else ())
    print("\n".join([*_summary(rows), *said]))


def _asked(wanted: Wanted, outside: bool) -> str:
    words = f"GEO was asked for: {gds_term(wanted)}."
    return f"{words} SRA was asked for: {sra_term(wanted)}." if outside and not wanted.query else words


def _summary(rows: Sequence[Discovered]) -> list[str]:
    """Return the numbers of each verdict, and the first rows, for a terminal."""
    if not rows:
        return ["Nothing was found."]
    numbers = Counter(row.verdict for row in rows)
    lines = [
        f"{len(rows):,} found:",
        *(f"  {numbers[name]:,} {name}: {VERDICTS[name]}" for name in VERDICTS if name in numbers),
    ]
    shown = [row for row in rows if row.planned][:_SHOWN]
    if shown:
        head = ("series", "title", "published", "verdict", "assay", "in analysis", "runs", "GB", "core-hours")
        lines += format_table([head, *map(_line, shown)], left=6, indent="  ")
    return lines


def _line(row: Discovered) -> tuple[str, ...]:
    gb, hours = ("?" if value is None else f"{value:,.1f}" for value in (row.gb, row.core_hours))
    title = row.title if len(row.title) <= _LONGEST else f"{row.title[:_LONGEST]}…"
    return row.series, title, row.published, row.verdict, row.assay, row.in_analysis, f"{row.planned:,}", gb, hours
