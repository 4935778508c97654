"""The workflow on a real Slurm of one node: the bytes are those of a local run, also when a job is cancelled."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.tools import slurm_node
from tests.toy import catalogue
from tests.toy.demo import HOME, run_workflow
from tests.toy.server import Server

PROFILE = HOME / "profiles" / "slurm"
# What this Slurm has not: a database. And less patience than on a cluster.
OPTIONS = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]

pytestmark = pytest.mark.skipif(bool(slurm_node.reason_to_skip()), reason=slurm_node.reason_to_skip())


STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def nothing_goes_on():
    """A test that fails leaves no workflow behind."""
    yield
    while STARTED:
        workflow = STARTED.pop()
        workflow.kill()
        workflow.wait()


def sums(folder: Path) -> dict[str, str]:
    results = folder / "results"
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file()
    }


def few_cells(world, server):
    """A few plate cells of mouse."""
    species = {"mus": {"tax_id": 10090, "reference": "mm10"}}
    return {**world.configuration(server), "series": [catalogue.MIXED], "species": species}


def configuration(world, server):
    """Human plate cells and a droplet library."""
    few = {"series": [catalogue.MIXED, catalogue.DROPLET], "leave_out": {catalogue.LIBRARY_V3: "for speed"}}
    return {**world.configuration(server), **few, "species": {"homo": {"tax_id": 9606, "reference": "hg38"}}}


@pytest.fixture(scope="module")
def local(world, tmp_path_factory):
    """The sums of an undisturbed local run."""
    folder = tmp_path_factory.mktemp("local")
    with Server(world) as server:
        assert run_workflow(folder, configuration(world, server), ["--quiet"]) == 0
    return sums(folder)


@pytest.fixture(scope="module")
def node():
    with slurm_node.SlurmNode() as running:
        yield running


def start(node, folder: Path, values: dict, *options: str) -> subprocess.Popen:
    """Start the workflow through the profile; its messages go to the file `told`."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", folder]
    with (folder / "told").open("wb") as told:
        workflow = subprocess.Popen(
            [*command, "--workflow-profile", PROFILE, *OPTIONS, *options],
            cwd=folder,
            env=node.environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    STARTED.append(workflow)
    return workflow


def jobs_of(node, rule: str, state: str) -> list[str]:
    """Return the ids of a rule's jobs in a state, as Slurm knows them by their comment."""
    lines = node.ask("squeue", "-h", "--states", state, "-o", "%i %k").splitlines()
    return [line.split()[0] for line in lines if f"rule_{rule}_" in line or line.endswith(f"rule_{rule}")]


def test_a_cancelled_job_is_tried_again_and_the_bytes_are_those_of_a_local_run(world, node, local, tmp_path):
    folder = tmp_path / "analysis"
    with Server(world) as server:
        fault = server.fault("sra-pub-run-odp.*SRR9000204", "stall", times=1)
        workflow = start(node, folder, configuration(world, server))
        until = time.monotonic() + 90
        while fault.left or not (running := jobs_of(node, "download", "RUNNING")):
            assert workflow.poll() is None, (folder / "told").read_text()
            assert time.monotonic() < until, (folder / "told").read_text()
            time.sleep(0.1)
        node.ask("scancel", *running)
        assert workflow.wait(timeout=180) == 0, (folder / "told").read_text()
    told = (folder / "told").read_text()
    assert "Trying to restart job" in told
    cancelled = node.ask("squeue", "-h", "--states", "CANCELLED", "-o", "%i").split()
    assert set(running) <= set(cancelled)
    assert sorted(path.name for path in (folder / "results" / "mex").iterdir()) == [catalogue.LIBRARY_V2]
    assert sums(folder) == local
    assert not list((folder / "work").glob("download/*"))


@pytest.mark.skipif(not os.environ.get("SLURM_TESTS"), reason="two minutes more: make test-slurm")
def test_a_shard_stays_on_the_disk_of_one_node(world, tmp_path):
    folder, disk = tmp_path / "analysis", tmp_path / "disk"
    (folder / "work").mkdir(parents=True)
    for name in ("download", "fastq", "align", "partial"):
        (disk / name).mkdir(parents=True)
        (disk / name / ".keep").touch()
        (folder / "work" / name).symlink_to(disk / name)
    with Server(world) as server:
        assert run_workflow(tmp_path / "local", few_cells(world, server), ["--quiet"]) == 0
        with slurm_node.SlurmNode(disk=disk) as node:
            groups = [f"{rule}=shard" for rule in ("download", "fastq", "align", "count")]
            workflow = start(node, folder, few_cells(world, server), "--groups", *groups)
            assert workflow.wait(timeout=240) == 0, (folder / "told").read_text()
            assert len(jobs_of(node, "shard", "COMPLETED")) == 1
            assert node.ask("srun", "find", str(disk), "-mindepth", "2") == ""  # nothing is left there
    assert {path.name for path in disk.rglob("*") if path.is_file()} == {".keep"}  # and nothing was here
    assert sums(folder) == sums(tmp_path / "local")
