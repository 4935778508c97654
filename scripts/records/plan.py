"""Tell what a plan costs, by stage and in all; with --learn, refit the size model to the jobs that are done first.

The cost (node-hours, core-hours, scratch, downloads) is reckoned with the model that also gives the workflow's jobs
their memory, time and scratch: scripts/plan/size_model.py, and what was learnt of it at this site. --learn reads
Snakemake's benchmarks of finished jobs (logs/benchmarks) and the sizes that the plan tells of their units, fits the
model's coefficients and writes them to --model; the next call of the workflow and of this command go by them. To be
called in the analysis directory, whose config/config.yaml is read for what no option tells.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.snakemake import read_benchmarks
from scripts.plan.cost import Reckoner, add_cost_options, jobs_done, reckoner_of, write_costs
from scripts.plan.cost_table import tell_costs
from scripts.plan.run_table import iterate_runs
from scripts.plan.size_model import Job, SizeModel, errors_of, learn, write_model
from scripts.plan.units import cut_into_units, summarize_unit

_SCHEMA = Path(__file__).resolve().parents[2] / "config" / "config.schema.yaml"


def configured(path: str | Path) -> dict[str, Any]:
    """Return the configuration with its defaults; these alone where there is no such file."""
    import yaml

    from scripts.plan.configuration import with_defaults

    given = Path(path)
    values = yaml.safe_load(given.read_text(encoding="utf-8")) if given.exists() else {}
    if not isinstance(values or {}, Mapping):
        raise InputError(f"{path}: a configuration is a map of keys and values.")
    return with_defaults(values or {}, yaml.safe_load(_SCHEMA.read_text(encoding="utf-8")))


def learning_table(jobs: Sequence[Job], before: SizeModel, after: SizeModel) -> Iterable[str]:
    """Yield the lines that tell by which factor the model was off, on the average, before and after it was refitted."""
    errors = errors_of(before, jobs), errors_of(after, jobs)
    yield "The model was off by a factor of, on the average of the jobs:"
    yield f"  {'stage':<14}{'jobs':>6}{'time before':>13}{'after':>7}{'memory before':>15}{'after':>7}"
    for name in [*after.stages, "all"]:
        if name not in errors[0]["minutes"]:
            continue
        number = sum(name in (job.stage, "all") for job in jobs)
        figures = [
            f"{errors[place][kind][name]:.2f}" if name in errors[0][kind] else "-"
            for kind in ("minutes", "memory_mb")
            for place in (0, 1)
        ]
        yield f"  {name:<14}{number:>6}{figures[0]:>13}{figures[1]:>7}{figures[2]:>15}{figures[3]:>7}"


def relearn(folder: str, reckoner: Reckoner, units: Mapping[str, Any], path: str) -> SizeModel:
    """Refit the model to the benchmarks in a folder, tell what that changed, write what was learnt, return the model.

    Raises InputError where there is no benchmark of a job of the plan.
    """
    jobs, others = jobs_done(read_benchmarks(folder), units, reckoner)
    if others:
        print(f"{len(others)} benchmark(s) are of no job of this plan: {', '.join(others[:5])} …", file=sys.stderr)
    if not jobs:
        raise InputError(f"{folder}: no benchmark of a job of the plan is there; run the workflow first.")
    learnt = learn(jobs)
    write_model(path, learnt)
    model = SizeModel(learnt)
    print(*learning_table(jobs, reckoner.model, model), sep="\n")
    print(f"(from now on {path} counts; delete it, and what is shipped counts again)")
    return model


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--plan", default="results/plan.tsv", help="the plan")
    parser.add_argument("--config", default="config/config.yaml", help="the configuration of the analysis")
    parser.add_argument("--shard-size", type=int, help="experiments a plate shard (as configured)")
    add_cost_options(parser)
    parser.add_argument("--learn", metavar="FOLDER", help="refit the model to the benchmarks in this folder")
    parser.add_argument("--output", default="work/plan/cost.tsv", help="the cost by stage, as a table")
    options = parser.parse_args(argv)
    config = configured(options.config)
    shard_size = options.shard_size or config["plates"]["shard_size"]
    limit_gb = options.limit_gb or config["scratch"]["limit_gb"]
    species = {label: facts["reference"] for label, facts in config["species"].items()}
    planned = cut_into_units(iterate_runs(options.plan), shard_size)
    units = {name: summarize_unit(rows) for name, rows in planned.items()}
    reckoner, missing = reckoner_of(options, species, shard_size)
    if unknown := sorted({unit.species for unit in units.values()} - set(reckoner.species)):
        raise InputError(f"{options.plan}: {', '.join(unknown)} is not configured; give --references SPECIES=NAME.")
    if options.learn:
        reckoner.model = relearn(options.learn, reckoner, units, options.model)
    used = {reckoner.species[unit.species] for unit in units.values()}
    costs = reckoner.costs(units, [name for name in missing if name in used])
    print(tell_costs(costs, reckoner, limit_gb))
    write_costs(options.output, costs)
