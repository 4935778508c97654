"""A plan from a table of runs that a person brings: SraRunTable, RunInfo or ENA's filereport, without a look-up.

Runs are judged by what the table says of them, as those of a record that is kept.
"""

from pathlib import Path

from scripts.core.errors import raise_faults
from scripts.core.untrusted import open_lines
from scripts.plan.choices import LOCAL, Choices
from scripts.plan.lists import ListedRun, parse_run_list
from scripts.records.answers.run_reports import experiments_of_rows
from scripts.records.answers.series_record import Note, SeriesRecord
from scripts.records.answers.sra_xml import Experiment
from scripts.records.rows import Origin, Plan, add_experiments


def plan_run_list(path: str | Path, choices: Choices) -> Plan:
    """Return the plan of a table of runs. Raises InputError, with every fault of the table."""
    rows = list(parse_run_list(open_lines(path), path))
    faults = [row.fault for row in rows if row.fault]
    first: dict[str, ListedRun] = {}
    for row in rows:
        other = first.setdefault(row.run, row)
        if row.run and row.values.get("Experiment") != other.values.get("Experiment"):
            faults.append(f"{path}, line {row.line}: {row.run} is of another experiment than in line {other.line}.")
    if not rows:
        faults.append("it has no row below its header.")
    raise_faults(f"The table of runs ({path})", faults)
    series: dict[str, list[Experiment]] = {}
    for experiment in experiments_of_rows(rows):
        label = next(filter(None, (*experiment.series, experiment.study, experiment.project, LOCAL)))
        series.setdefault(label, []).append(experiment)
    plan = Plan(choices)
    name = Path(path).name
    for label, experiments in sorted(series.items()):
        origin = Origin(label, label, SeriesRecord(), name, (Note(f"Runs from {name}.", routine=True),))
        add_experiments(experiments, origin, {}, plan)
    return plan
