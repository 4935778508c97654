"""What a change of the configuration does again, after a finished run: that, and nothing else."""

import re
import shutil
import subprocess

import pytest
import yaml

from scripts.plan.run_table import read_runs
from tests.checksums import sums
from tests.toy.demo import HOME, run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

SERIES = "GSE900003"


@pytest.fixture(scope="module")
def configuration(world):
    def configure(server, **changes):
        return {**world.configuration(server), "series": [SERIES], "droplets": {}, **changes}

    return configure


@pytest.fixture(scope="module")
def finished(world, configuration, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with Server(world) as server:
        assert run_workflow(folder, configuration(server), ["--quiet"]) == 0
    return folder


@pytest.fixture
def analysis(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "analysis", symlinks=True)
    return tmp_path / "analysis"


def planned(folder, configuration):
    """Return rule → number of its jobs that a dry run plans."""
    (folder / "config/config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = ["snakemake", "--snakefile", HOME / "Snakefile", "--directory", folder, "-n"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", answer.stdout + answer.stderr, re.M)}


def reads(server):
    """Return the requests for archives of runs."""
    return [request.path for request in server.requests if "sra-pub" in request.path]


def test_work_may_be_deleted_after_a_finished_run(world, configuration, analysis):
    shutil.rmtree(analysis / "work")
    with Server(world) as server:
        assert planned(analysis, configuration(server)) == {}
        assert not server.requests


def test_a_cell_that_is_left_out_costs_no_download(world, configuration, analysis, tmp_path):
    shutil.rmtree(analysis / "work")
    run = next(row.run for row in read_runs(analysis / "results/runs.tsv") if row.status == "counted")
    with Server(world) as server:
        changed = configuration(server, leave_out={run: "contaminated"})
        assert run_workflow(analysis, changed, ["--quiet"]) == 0
        assert reads(server) == []
        rows = {row.run: row.reason for row in read_runs(analysis / "results/runs.tsv")}
        assert rows[run] == "LEFT_OUT_BY_USER"
        assert run_workflow(tmp_path / "fresh", changed, ["--quiet"]) == 0
        assert sums(analysis / "results") == sums(tmp_path / "fresh/results")
        server.clear()
        assert run_workflow(analysis, configuration(server), ["--quiet"]) == 0  # back again
        assert reads(server) == []


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"max_failed": 0.5}, {"accept"}),
        ({"harvest": {"clock": "keep"}}, {"log_table"}),
        ({"scratch": {"limit_gb": 77, "directory": "elsewhere"}}, set()),
        ({"archives": {"accept_lite": True, "retries": 9, "order": ["ena", "sra"]}}, set()),
        ({"plates": {"min_mapped": 0.5}}, {"ledger"}),
        ({"plates": {"mode": "union"}}, {"download", "align", "count"}),
        ({"species": {"homo": {"tax_id": 9606, "reference": "mm10"}}}, {"download", "align", "count"}),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_change_plans_its_own_jobs(world, configuration, analysis, changes, rules):
    with Server(world) as server:
        before = configuration(server)
        merged = {
            key: {**before.get(key, {}), **value} if isinstance(value, dict) else value
            for key, value in changes.items()
        }
        if "species" in changes:
            merged["species"] = {"mus": {"tax_id": 10090, "reference": "mm10"}, **changes["species"]}
        jobs = planned(analysis, {**before, **merged}).keys() - {"all", "total"}
    assert rules <= jobs
    for rule in ("download", "align", "count", "ledger", "accept"):
        if rule not in rules and not (rule in ("ledger", "accept") and rules):
            assert rule not in jobs
