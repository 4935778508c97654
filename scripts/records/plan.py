"""Estimate what a plan costs, by stage and in all; with --learn, first refit the size model to finished jobs.

The cost (node-hours, core-hours, scratch, downloads) follows the size model (scripts/plan/sizes/size_model.py), which
also sets memory, time and scratch of the workflow's jobs. --learn reads Snakemake's benchmarks of finished jobs
(logs/benchmarks) and the sizes of their units in the plan, fits the model's coefficients and writes them to --model,
from which the workflow and this command read them. Run this in the analysis directory; options that are not given are
taken from its config/config.yaml.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.tables import format_table
from scripts.core.workflow.snakemake import read_benchmarks
from scripts.core.yaml_text import load_yaml
from scripts.plan.run_table import iterate_runs
from scripts.plan.sizes.cost import Estimator, add_cost_options, estimator_of, write_costs
from scripts.plan.sizes.learning import Job, errors_of, jobs_done, learn
from scripts.plan.sizes.size_model import SizeModel, write_model
from scripts.plan.summary import format_costs
from scripts.plan.units import Cut, read_seats, summarize_units


def configured(path: str | Path) -> dict[str, Any]:
    """Return the configuration with its defaults; the defaults where there is no such file."""
    from scripts.plan.configuration import SCHEMA, with_defaults

    values = load_yaml(Path(path).read_text(encoding="utf-8")) if Path(path).exists() else {}
    if not isinstance(values or {}, Mapping):
        raise InputError(f"{path}: a configuration is a map of keys and values.")
    return with_defaults(values or {}, load_yaml(SCHEMA.read_text(encoding="utf-8")))


def learning_table(jobs: Sequence[Job], before: SizeModel, after: SizeModel) -> list[str]:
    """Return the lines of a table of the factors by which two models are off, on average, a line a stage."""
    errors = errors_of(before, jobs), errors_of(after, jobs)
    rows: list[tuple[str, ...]] = [("stage", "jobs", "time before", "after", "memory before", "after")]
    for name in [*after.stages, "all"]:
        if name in errors[0]["minutes"]:
            number = sum(name in (job.stage, "all") for job in jobs)
            factors = [error[kind].get(name) for kind in ("minutes", "memory_mb") for error in errors]
            rows.append((name, str(number), *("-" if factor is None else f"{factor:.2f}" for factor in factors)))
    return ["The model is off by a factor of, on average:", *format_table(rows, indent="  ")]


def relearn(folder: str, estimator: Estimator, units: Mapping[str, Any], path: str) -> SizeModel:
    """Refit the model to the benchmarks in a folder, print what that changed, write and return the model.

    Raises InputError where there is no benchmark of a job of the plan.
    """
    jobs, others = jobs_done(read_benchmarks(folder), units, estimator)
    if others:
        print(f"{len(others)} benchmark(s) are of no job of this plan: {', '.join(others[:5])} …", file=sys.stderr)
    if not jobs:
        raise InputError(f"{folder}: no benchmark of a job of the plan; run the workflow first.")
    learnt = learn(jobs)
    write_model(path, learnt)
    model = SizeModel(learnt)
    print(*learning_table(jobs, estimator.model, model), sep="\n")
    print(f"({path} is used from now on; delete it to return to the shipped model)")
    return model


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--plan", default="results/plan.tsv", help="the plan")
    parser.add_argument("--config", default="config/config.yaml", help="the configuration of the analysis")
    parser.add_argument("--shard-size", type=int, help="experiments a plate shard (as configured)")
    add_cost_options(parser)
    parser.add_argument("--learn", metavar="FOLDER", help="refit the model to the benchmarks in this folder")
    parser.add_argument("--output", default="units/cost.tsv", help="table of the cost by stage to write")
    options = parser.parse_args(argv)
    config = configured(options.config)
    shard_size = options.shard_size or config["plates"]["shard_size"]
    limit_gb = options.limit_gb or config["scratch"]["limit_gb"]
    cut = Cut(shard_size, limit_gb)
    species = {label: facts["reference"] for label, facts in config["species"].items()}
    units = summarize_units(iterate_runs(options.plan), cut, config["count_by"], read_seats(cut=cut))
    estimator, missing = estimator_of(options, species, shard_size)
    if unknown := sorted({unit.species for unit in units.values()} - set(estimator.species)):
        raise InputError(f"{options.plan}: {', '.join(unknown)} is not configured; give --references SPECIES=NAME.")
    if options.learn:
        estimator.model = relearn(options.learn, estimator, units, options.model)
    costs = estimator.costs(units, missing)
    print(format_costs(costs, estimator, limit_gb))
    write_costs(options.output, costs)
