"""A job of Slurm that asks Slurm and takes a step as Snakemake's own would, without starting Snakemake.

Called with the options of that Snakemake. Each of its two starts (the job, and the step that does the work) imports
the plugin, which asks Slurm for its configuration; so this asks as often.
"""

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

IN_STEP = "--in-step"


def after(option: str, words: list[str]) -> list[str]:
    """Return the values of an option."""
    if option not in words:
        return []
    values = words[words.index(option) + 1 :]
    return values[: next((number for number, word in enumerate(values) if word.startswith("--")), len(values))]


def of_array(words: list[str]) -> list[str]:
    """Return the words of this task of an array, which the first task's command carries for the others."""
    option = "--slurm-jobstep-array-execs"
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    packed = next((word.partition("=")[2] for word in words if word.startswith(f"{option}=")), None)
    if task is None or packed is None or task == os.environ.get("SLURM_ARRAY_TASK_MIN"):
        return words
    command = json.loads(base64.b64decode(packed))[task]
    return [word.strip("'") for word in zlib.decompress(bytes.fromhex(command)).decode().split()]


def make_outputs(targets: list[str]) -> None:
    """Make what the rules of ``rule:wildcard=value,…`` make, see nothing.smk."""
    made = json.loads(Path("outputs.json").read_text(encoding="utf-8"))
    for target in targets:
        rule, _, wildcards = target.partition(":")
        values = dict(pair.split("=", 1) for pair in wildcards.split(",") if pair)
        for output in made[rule]:
            path = Path(output.format(**values))
            if output.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


def main() -> None:
    subprocess.run(["scontrol", "show", "config"], stdout=subprocess.DEVNULL, check=False)
    words = sys.argv[1:]
    if words[0] == IN_STEP:
        make_outputs(words[1:])
        return
    is_array = "SLURM_ARRAY_TASK_ID" in os.environ
    targets = after("--target-jobs", of_array(words))
    step = [sys.executable, "-IS", __file__, IN_STEP, *targets]
    if is_array:  # the plugin takes no step in an array
        os.execv(step[0], step)
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SRUN_", "SBATCH_"))}
    kept["SLURM_JOB_ID"] = os.environ["SLURM_JOB_ID"]
    os.execvpe("srun", ["srun", "-n1", "--cpu-bind=q", f"--cpus-per-task={cpus}", *step], kept)


if __name__ == "__main__":
    main()
