"""Find the runs of every accession asked for, or the reason why there is none, and write the plan.

GEO's family files name samples and experiments, SRA's XML (or, where it fails, ENA's filereport) names runs. The
archives' answers are kept below --records, a folder an accession, and are not asked for again but with --refresh: then
what is new, changed, gone or back since the last plan is printed and written to --changes. The plan (--output) has a
row for every run, also for those that are left out, and a row without a run for every accession that has none. Where an
archive could not be asked and no other has the runs, no plan is written, and the exit status is 2. A table for a person
goes to standard output, progress to standard error.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path, write_atomic
from scripts.core.errors import InputError, raise_faults
from scripts.core.http import RetryPolicy, content_length
from scripts.plan.choices import add_choices, choices_of, own_metadata, plan_from_table
from scripts.plan.lists import asked_for, is_run_list
from scripts.plan.own_metadata import OwnMetadata, write_own_metadata
from scripts.plan.run_table import write_runs
from scripts.plan.sizes.cost import add_cost_options, estimator_of, write_costs
from scripts.plan.sizes.forecast import add_forecast_options, forecast
from scripts.plan.summary import format_costs, format_forecast, format_plan
from scripts.plan.units import Cut, cut_into_units, read_seats, summarize_unit, write_index, write_seats, write_units
from scripts.records.client import Archives, add_archive_options, report
from scripts.records.history.since_last import SinceLast, add_history_options
from scripts.records.listed_runs import plan_run_list
from scripts.records.lookup import look_up
from scripts.records.rows import Plan

_ASK_SIZE = RetryPolicy(retries=0, timeout=10.0)  # a plan does without


def read_asked(words: Sequence[str]) -> list[str]:
    """Return the accessions asked for, each once. Raises InputError, with all that is malformed or unreadable."""
    accessions, faults = asked_for(words)
    if not faults and not accessions:
        faults.append("nothing is asked for; name at least one accession, e.g. GSE67835.")
    raise_faults("What is asked for", faults)
    return accessions


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--series", nargs="+", help="accessions, or files: lists of them, tables of runs")
    source.add_argument(
        "--run-table",
        help="a run table, an SraRunTable, RunInfo or filereport of ENA to plan from, without any look-up",
    )
    parser.add_argument("--refresh", nargs="+", default=[], help="accessions to ask for again though kept, or all")
    add_history_options(parser)
    add_choices(parser)
    add_archive_options(parser)
    parser.add_argument("--shard-size", type=int, default=96, help="experiments a plate shard")
    parser.add_argument("--count-by", choices=("experiment", "run"), default="experiment", help="what a column is")
    parser.add_argument("--units", help="folder for the run table of each unit of work, replaced as a whole")
    parser.add_argument("--index", help="the index of the units, a row each")
    parser.add_argument("--seats", help="the shards of experiments in this plan and all before it, read and written")
    add_cost_options(parser)
    add_forecast_options(parser)
    parser.add_argument("--cost", help="table of what the plan costs by stage to write")
    parser.add_argument("--evidence", help="what each judgement rests on, one JSON object a run, to write")
    parser.add_argument("--own-metadata", help="the user's own columns of the run table, to write")
    parser.add_argument("--output", required=True, help="the plan, a run table")
    options = parser.parse_args(argv)
    choices = choices_of(options)
    if not choices.species:
        raise InputError("No species is configured; give --species, e.g. homo=9606 mus=10090.")
    labels = {label: label for label in choices.species}
    asks = {} if options.run_table else {"bytes_at": functools.partial(content_length, policy=_ASK_SIZE)}
    estimator, missing = estimator_of(options, labels, options.shard_size, **asks)
    use_ena = not {"ena", "ena_fastq"}.isdisjoint(options.order)
    refresh = [] if options.run_table else options.refresh
    archives = Archives.of_options(options, use_ena=use_ena, refresh=refresh)
    archives.describes = bool(options.last_plan)
    asked: list[str] = []
    own = OwnMetadata()
    if options.run_table and is_run_list(options.run_table):
        plan = plan_run_list(options.run_table, choices)
        rows = plan.all_rows()
    elif options.run_table:
        plan = Plan(choices)
        rows = plan_from_table(options.run_table, choices, check_files=True)
        own = own_metadata(options.run_table)
    else:
        asked = read_asked(options.series)
        plan = look_up(asked, archives, choices)
        report(f"{archives.requests} requests to the archives")
        rows = plan.all_rows()
    said = [*archives.news, *archives.warnings, *archives.unused_refresh()]  # for the end
    cut = Cut(options.shard_size, options.limit_gb)
    seats = read_seats(options.seats, cut) if options.seats else {}
    since = SinceLast(options, asked)
    rows = since.add_withdrawn(rows, plan.nameless_rows(), choices, seats)
    plan.remarks.update({row.run: row.detail for row in rows if row.run in since.withdrawn.runs})
    with atomic_path(options.output) as partial:
        write_runs(partial, rows)
    if options.evidence:
        write_atomic(options.evidence, "".join(f"{plan.evidence[run]}\n" for run in sorted(plan.evidence)))
    write_own_metadata(options.own_metadata, own)
    planned = cut_into_units(rows, cut, seats)
    units = {name: summarize_unit(runs, options.count_by) for name, runs in planned.items()}
    print(format_plan(rows, units, estimator, plan.open, plan.remarks if plan.rows else None))
    if options.units:
        write_units(options.units, planned, options.count_by)
    if options.seats:
        write_seats(options.seats, seats, cut)
    if options.index:
        write_index(options.index, units)
    costs = estimator.costs(units, missing)
    if units:
        print(format_costs(costs, estimator, options.limit_gb))
    if options.cost:
        write_costs(options.cost, costs)
    found = forecast(options, rows, units, estimator, missing, plan.barcode_reads)
    if any(found):
        print(format_forecast(found))
    files = [*archives.families, *([Path(options.own_metadata)] if options.own_metadata else [])]
    said = [*since.finish(rows, archives.described, files, archives.digests), *said]
    for line in said:
        print(line)
