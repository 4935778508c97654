"""Run the whole workflow on the toy archives: from accessions to matrices, offline, with the real tools."""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from scripts.plan.run_table import iterate_runs
from tests.toy import labels, world
from tests.toy.server import Server

HOME = Path(__file__).parents[2]


def tree(folder: Path, indent: str = "") -> Iterator[str]:
    """Yield a line for every file below a folder, with its size."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield f"{indent}{path.name}/"
            yield from tree(path, indent + "  ")
        else:
            yield f"{indent}{path.name:<{max(1, 52 - len(indent))}} {path.stat().st_size:>9,} bytes"


def summary(ledger: Path) -> Iterator[str]:
    """Yield a line for every status and reason in a ledger, with its number of rows."""
    found = Counter((row.status, row.reason) for row in iterate_runs(ledger))
    for (status, reason), count in sorted(found.items()):
        yield f"{status:<10} {reason:<22} {count:>4}"


def run_workflow(directory: Path, configuration: dict, options: Sequence[str] = ()) -> int:
    """Run the workflow in a directory with this configuration; return Snakemake's exit status."""
    (directory / "config").mkdir(parents=True, exist_ok=True)
    (directory / "config" / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", directory]
    return subprocess.run([*command, *options], check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="the analysis directory")
    parser.add_argument("--cores", default="all", help="how many cores the workflow may use")
    arguments = parser.parse_args(argv)

    toy = world.build()
    with Server(toy) as server:
        configuration = labels.ask_for_atlas(toy, arguments.directory, toy.configuration(server))
        status = run_workflow(arguments.directory, configuration, ["--cores", arguments.cores])
    if status:
        return status
    results = arguments.directory / "results"
    print(f"\n{results}/", *tree(results, "  "), "", "Runs by status and reason:", sep="\n")
    print(*summary(results / "runs.tsv"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
