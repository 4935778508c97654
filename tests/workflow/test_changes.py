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


CHANGES = {
    "max_failed": 0.5,
    "exp_id": "gds_uid",
    "species": {"homo": {"tax_id": 9606, "reference": "mm10"}},
    "plates.shard_size": 3,
    "plates.mode": "union",
    "plates.strand": "reverse",
    "plates.type": "gene",
    "plates.nonunique": "all",
    "plates.min_quality": 0,
    "plates.counter": "native",
    "plates.preset": "encode",
    "plates.star_options": {"outFilterMismatchNmax": 3},
    "plates.keep_bam": True,
    "plates.min_mapped": 0.5,
    "plates.min_reads": 10,
    "droplets.cell_filter": "TopCells 5",
    "harvest.clock": "keep",
    "harvest.tpm": True,
    "scratch.limit_gb": 77,
    "scratch.directory": "elsewhere",
    "archives.accept_lite": True,
    "archives.order": ["ena", "sra"],
}
"""Key → another value, of which a dry run must plan what docs/changes.md says."""
OF_LETTER = {"F": "download", "A": "align", "C": "count", "T": "checksums"}


def letters():
    """Return key or file → what the page says is made again, as letters."""
    page = (HOME / "docs/changes.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([\w.]+)` \| (\w+|—) \|", page, re.M))


def test_every_key_has_its_row():
    schema = yaml.safe_load((HOME / "config/config.schema.yaml").read_text(encoding="utf-8"))["properties"]
    keys = set()
    for name, block in schema.items():
        inner = [] if name == "atlas" else block.get("properties", [])
        keys |= {f"{name}.{key}" for key in inner} or {name}
    assert letters().keys() == keys


@pytest.mark.parametrize("key", CHANGES)
def test_a_change_plans_what_its_row_says(world, configuration, analysis, key):
    block, _, name = key.partition(".")
    with Server(world) as server:
        before = configuration(server)
        value = {**before.get(block, {}), name: CHANGES[key]} if name else CHANGES[key]
        if key == "species":
            value = {"mus": {"tax_id": 10090, "reference": "mm10"}, **value}
        changed = {**before, block: value}
        if key in ("exp_id", "plates.shard_size"):  # the plan is made anew first
            assert run_workflow(analysis, changed, ["resolve", "--quiet"]) == 0
        jobs = planned(analysis, changed)
        assert not reads(server)
    found = "".join(letter for letter, rule in OF_LETTER.items() if rule in jobs) or "—"
    assert found == ("—" if block == "droplets" else letters()[key])  # the series has no droplets
