"""The workflow with jobs that only make their outputs; the plan alone is made for real.

What each rule makes is written to outputs.json, so that a job can do without Snakemake (`empty_job.py`).
"""

import json
import shutil
from pathlib import Path

from snakemake.io import strip_wildcard_constraints


include: "../../Snakefile"


made = {}  # rule → what it makes, folders with a slash


def do_nothing(inputs, outputs, *others):
    """Do what the shell command of a rule is called for: nothing, then make empty files and folders.

    The others are what Snakemake gives to the function of a rule: the sixth is its name, the twelfth the benchmark.
    """
    shell("true", bench_record=others[11])
    for output, pattern in zip(outputs, made[others[5]]):
        if pattern.endswith("/"):
            Path(output).mkdir(exist_ok=True)
        else:
            Path(output).touch()
    if "ledger" in outputs.keys():
        shutil.copyfile(inputs.plan, outputs.ledger)


def pattern(path):
    """Return the path of an output with its wildcards, a folder with a slash."""
    return strip_wildcard_constraints(path) + ("/" if path.is_directory else "")


for each in workflow.rules:
    if each.run_func is not None and each.name != "resolve":
        each.run_func = do_nothing
        files = [*each.output, *([each.benchmark] if each.benchmark else [])]
        made[each.name] = [pattern(path) for path in files]
if running.is_main and not running.is_dry_run:
    Path("outputs.json").write_text(json.dumps(made), encoding="utf-8")
