"""Run the whole workflow on the toy archives: from accessions to matrices, offline, with the real tools."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from scripts.core.command import command_parser
from tests.toy import labels, world
from tests.toy.server import Server

HOME = Path(__file__).parents[2]
HUMAN = {"homo": {"tax_id": 9606, "reference": "hg38"}}
MOUSE = {"mus": {"tax_id": 10090, "reference": "mm10"}}


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


def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="the analysis directory")
    parser.add_argument("--cores", default="all", help="how many cores the workflow may use")
    arguments = parser.parse_args(argv)

    print("Toy archives: genomes, cells and libraries with known counts, packed as real .sra files and kept in")
    print("~/.cache (some minutes the first time).", flush=True)
    toy = world.build()
    print("The workflow on them, a few minutes:", flush=True)
    with Server(toy) as server:
        configuration = labels.ask_for_atlas(toy, arguments.directory, toy.configuration(server))
        status = run_workflow(arguments.directory, configuration, ["--cores", arguments.cores])
    if status == 0:
        print("The two runs that failed are played, to show how it looks: a broken archive and one that is gone.")
    return status


if __name__ == "__main__":
    sys.exit(main())
