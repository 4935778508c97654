"""Fixtures of the dry runs: an analysis directory with a run table, and Snakemake without network or tools."""

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from scripts.plan.run_table import Run, write_runs
from tests.toy.server import Server
from tests.workflow import changed

HOME = Path(__file__).parents[2]


@dataclass
class Answer:
    """What a call of Snakemake answered; ``jobs`` counts the planned jobs by rule."""

    status: int
    text: str

    @property
    def jobs(self) -> Counter:
        """Read the table of job counts that a dry run prints first."""
        counts: Counter = Counter()
        lines = iter(self.text.splitlines())
        for line in lines:
            if line.split() == ["job", "count"]:
                next(lines)
                for row in lines:
                    if not row.strip():
                        return counts
                    rule, count = row.split()
                    counts[rule] = int(count)
        return counts


class Analysis:
    """A folder in which the workflow is planned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").mkdir(parents=True)

    def configure(self, **values) -> None:
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    def run_table(self, rows: list[Run], name: str = "runs.tsv") -> str:
        write_runs(self.folder / name, rows)
        return name

    def snakemake(self, *arguments: str) -> Answer:
        """Call Snakemake in a namespace without network, and with a PATH on which there is no bioinformatics tool."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), *arguments]
        isolated = subprocess.run(["unshare", "-r", "-n", "true"], capture_output=True).returncode == 0
        done = subprocess.run(
            (["unshare", "-r", "-n"] if isolated else []) + command,
            cwd=self.folder,
            env={"PATH": "/bin", "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout)


@pytest.fixture
def analysis(tmp_path) -> Analysis:
    return Analysis(tmp_path / "analysis")


@pytest.fixture(scope="session")
def archives(world):
    """A server of the toy world for all tests of what a change does again."""
    with Server(world) as server:
        yield server


@pytest.fixture(scope="session")
def of_series(world, archives, tmp_path_factory):
    """Folder and configuration of a finished analysis that was looked up, see tests/workflow/changed.py."""
    folder = tmp_path_factory.mktemp("finished") / "series"
    changed.write_files(world, folder)
    configuration = changed.looked_up(world, archives, folder)
    changed.run(folder, configuration)
    return folder, configuration


@pytest.fixture(scope="session")
def finished(of_series, archives, tmp_path_factory):
    """Folder and configuration of the same by a run table, for which only the reads of one's own are counted."""
    folder = tmp_path_factory.mktemp("finished") / "table"
    shutil.copytree(of_series[0], folder, symlinks=True)
    configuration = changed.by_table(of_series[1], folder)
    asked = len(archives.requests)
    changed.run(folder, configuration)
    assert not changed.fetched(archives, asked)
    changed.write_configuration(folder, configuration)
    return folder, configuration
