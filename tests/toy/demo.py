"""Run the whole workflow on the toy archives: from accessions to matrices, offline, with the real tools."""

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import yaml

from scripts.plan.run_table import iterate_runs
from tests.toy import labels, world
from tests.toy.server import Server

HOME = Path(__file__).parents[2]
_RULE = re.compile(r"(?:local)?(?:rule|checkpoint) (\w+):")
_STEPS = re.compile(r"^(\d+) of (\d+) steps")
_LAST = 40  # lines that are shown at the end


def contents(folder: Path) -> Iterator[str]:
    """Yield a line for every file in a folder, and for every folder in it, with its size."""
    for path in sorted(folder.iterdir()):
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        name = f"{path.name}/ ({len(files)} files)" if path.is_dir() else path.name
        yield f"  {name:<44} {sum(file.stat().st_size for file in files):>10,} bytes"


def summary(ledger: Path) -> Iterator[str]:
    """Yield a line for every status and reason in a ledger, with its number of rows."""
    found = Counter((row.status, row.reason) for row in iterate_runs(ledger))
    for (status, reason), count in sorted(found.items()):
        yield f"{status:<10} {reason:<22} {count:>4}"


def workflow(
    directory: Path,
    configuration: dict,
    options: Sequence[str],
    limits: str = "",
    environment: Mapping[str, str] | None = None,
    **streams: int,
) -> subprocess.Popen[str]:
    """Start the workflow in a directory with this configuration.

    ``limits`` are commands of the shell that starts it, as ``umask 077``; ``environment`` is added to ours.
    """
    (directory / "config").mkdir(parents=True, exist_ok=True)
    (directory / "config" / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", directory]
    shell = ["bash", "-c", f'{limits}\nexec "$@"', "bash"]
    environment = {**os.environ, **(environment or {})}
    return subprocess.Popen([*shell, *command, *options], text=True, errors="replace", env=environment, **streams)


def run_workflow(
    directory: Path,
    configuration: dict,
    options: Sequence[str] = (),
    limits: str = "",
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run the workflow in a directory with this configuration, see :func:`workflow`; return Snakemake's exit status."""
    with workflow(directory, configuration, options, limits, environment) as process:
        return process.wait()


class Calm:
    """Shows the output of Snakemake as a line of progress, which a terminal sees change; all of it goes into a log."""

    def __init__(self, log: IO[str], terminal: bool) -> None:
        self.log = log
        self.terminal = terminal
        self.rule = ""
        self.shown = 0
        self.last: list[str] = []
        """Of the output, the last words of the workflow at its end."""

    def take(self, line: str) -> None:
        """Take the next line of Snakemake's output."""
        self.log.write(line)
        if found := _RULE.match(line):
            self.rule = found[1]
        if found := _STEPS.search(line):
            self.show(int(found[1]), int(found[2]))
        if line.startswith(("Complete log(s):", "Elapsed time:")):
            self.last = []
        else:
            self.last = [*self.last, line][-_LAST:]

    def show(self, done: int, planned: int) -> None:
        """Show how far the workflow has come."""
        words = f"{done} of {planned} steps done; {self.rule}"
        if self.terminal:
            print(f"\r{words[:78]:<78}", end="\n" if done == planned else "", flush=True)
        elif done * 10 // planned > self.shown or done == planned:
            self.shown = done * 10 // planned
            print(words, flush=True)


def run_calmly(directory: Path, configuration: dict, options: Sequence[str], log: Path) -> int:
    """Run the workflow with a line of progress; return Snakemake's exit status."""
    with log.open("w", encoding="utf-8") as handle:
        calm = Calm(handle, sys.stdout.isatty())
        with workflow(directory, configuration, options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            for line in process.stdout or ():
                calm.take(line)
    print("\n", *calm.last, sep="")
    return process.returncode


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="the analysis directory")
    parser.add_argument("--cores", default="all", help="how many cores the workflow may use")
    arguments = parser.parse_args(argv)

    log = arguments.directory / "logs" / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print("Toy archives: genomes, cells and libraries with known counts, packed as real .sra files and kept in")
    print("~/.cache (some minutes the first time).", flush=True)
    toy = world.build()
    print(f"The workflow on them, a few minutes; all that it says is in {log}.", flush=True)
    with Server(toy) as server:
        configuration = labels.ask_for_atlas(toy, arguments.directory, toy.configuration(server))
        status = run_calmly(arguments.directory, configuration, ["--cores", arguments.cores], log)
    if status:
        return status
    results = arguments.directory / "results"
    print(f"\n{results}/", *contents(results), "", "Runs by status and reason:", sep="\n")
    print(*summary(results / "runs.tsv"), sep="\n")
    print("\nThe runs that failed are played: broken and missing archives, to show how they end.")
    print(f"Open {results}/report.html.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
