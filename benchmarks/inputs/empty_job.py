"""A job of Slurm that asks Slurm and takes a step as Snakemake's own would, without starting Snakemake.

Called with the options of that Snakemake. Each of its two starts (the job, and the step that does the work) imports
the plugin, which asks Slurm for its configuration; so this asks as often. It is kept short, as there are thousands.
"""

import json
import os
import sys
from pathlib import Path

ASK = "scontrol show config >/dev/null"


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
    import base64
    import shlex
    import zlib

    command = json.loads(base64.b64decode(packed))[task]
    return shlex.split(zlib.decompress(bytes.fromhex(command)).decode())


def outputs(targets: list[str]) -> tuple[list[str], list[str]]:
    """Return the folders and files that the rules of ``rule:wildcard=value,…`` make, see nothing.smk."""
    made = json.loads(Path("outputs.json").read_text(encoding="utf-8"))
    folders, files = ["."], []
    for target in targets:
        rule, _, wildcards = target.partition(":")
        values = dict(pair.split("=", 1) for pair in wildcards.split(",") if pair)
        for output in made[rule]:
            path = output.format(**values)
            folders.append(path.rpartition("/")[0])
            if not path.endswith("/"):
                files.append(path)
    return folders, files


def main() -> None:
    os.system(ASK)
    folders, files = outputs(after("--target-jobs", of_array(sys.argv[1:])))
    # Names of units and references have no blanks.
    step = ["sh", "-c", f"{ASK}; mkdir -p {' '.join(folders)} && touch {' '.join(files)}"]
    if "SLURM_ARRAY_TASK_ID" in os.environ:  # the plugin takes no step in an array
        os.execvp(step[0], step)
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SRUN_", "SBATCH_"))}
    kept["SLURM_JOB_ID"] = os.environ["SLURM_JOB_ID"]
    os.execvpe("srun", ["srun", "-n1", "--cpu-bind=q", f"--cpus-per-task={cpus}", *step], kept)


if __name__ == "__main__":
    main()
