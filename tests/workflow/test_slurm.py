"""The workflow on a real Slurm of one node: the bytes are those of a local run, also when a job is cancelled."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from scripts.plan.run_table import iterate_runs
from scripts.plan.status import disk_was_full, read_statuses
from tests.checksums import sums
from tests.shared_memory import segments_of
from tests.toy import catalogue
from tests.toy.demo import HOME, HUMAN, MOUSE, run_workflow
from tests.toy.server import Server
from tests.workflow import slurm_node

PROFILE = HOME / "profiles" / "slurm"
OPTIONS = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
# Less patience than on a cluster: the plugin waits 10 s longer before each look at the jobs, this Snakemake 1 s.
SNAKEMAKE = """
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
main()
"""

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(bool(slurm_node.reason_to_skip()), reason=slurm_node.reason_to_skip()),
]


STARTED: list[subprocess.Popen] = []
SLOW = pytest.mark.skipif(not os.environ.get("SLURM_TESTS"), reason="minutes more: make test-slurm")


@pytest.fixture(autouse=True)
def nothing_goes_on(tmp_path_factory):
    """A test that fails leaves no workflow behind, and none leaves shared memory."""
    yield
    while STARTED:
        workflow = STARTED.pop()
        workflow.kill()
        workflow.wait()
    assert not segments_of(tmp_path_factory.getbasetemp())


def few_cells(world, server):
    """A few plate cells of mouse."""
    return {**world.configuration(server), "series": [catalogue.MIXED], "species": MOUSE}


def configuration(world, server):
    """Human plate cells and a droplet library."""
    few = {"series": [catalogue.MIXED, catalogue.DROPLET], "leave_out": {catalogue.LIBRARY_V3: "for speed"}}
    return {**world.configuration(server), **few, "species": HUMAN}


@pytest.fixture(scope="module")
def local(world, tmp_path_factory):
    """The sums of an undisturbed local run."""
    folder = tmp_path_factory.mktemp("local")
    with Server(world) as server:
        assert run_workflow(folder, configuration(world, server), ["--quiet"]) == 0
    return sums(folder / "results")


@pytest.fixture(scope="module")
def node():
    """A node with fewer CPUs than the profile asks for some jobs."""
    with slurm_node.SlurmNode(cpus=8) as running:
        yield running


def start(node, folder: Path, values: dict, *options: str) -> subprocess.Popen:
    """Start the workflow through the profile; its messages go to the file `reported`."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-c", SNAKEMAKE, "--snakefile", HOME / "Snakefile", "--directory", folder]
    with (folder / "reported").open("wb") as reported:
        workflow = subprocess.Popen(
            [*command, "--workflow-profile", PROFILE, *OPTIONS, *options],
            cwd=folder,
            env=node.environment,
            stdin=subprocess.DEVNULL,
            stdout=reported,
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
        until = time.monotonic() + 180
        while fault.left or not (running := jobs_of(node, "download", "RUNNING")):
            assert workflow.poll() is None, (folder / "reported").read_text()
            assert time.monotonic() < until, (folder / "reported").read_text()
            time.sleep(0.1)
        node.ask("scancel", *running)
        assert workflow.wait(timeout=400) == 0, (folder / "reported").read_text()
    reported = (folder / "reported").read_text()
    assert "Tried again: download " in reported
    assert "align, solo, star_index: 8 threads, as the largest node has no more CPUs.\n" in reported
    asked = node.ask("squeue", "-h", "--states", "all", "-o", "%C %k").splitlines()
    assert {line.split()[0] for line in asked if "star_index" in line} == {"8"}
    cancelled = node.ask("squeue", "-h", "--states", "CANCELLED", "-o", "%i").split()
    assert set(running) <= set(cancelled)
    assert sorted(path.name for path in (folder / "results" / "mex").iterdir()) == [catalogue.LIBRARY_V2]
    assert sums(folder / "results") == local
    assert not list((folder / "work").glob("download/*"))


@pytest.fixture(scope="module")
def few_local(world, tmp_path_factory):
    """The sums of an undisturbed local run of few cells."""
    folder = tmp_path_factory.mktemp("few_local")
    with Server(world) as server:
        assert run_workflow(folder, few_cells(world, server), ["--quiet"]) == 0
    return sums(folder / "results")


@SLOW
def test_a_shard_stays_on_the_disk_of_one_node_and_goes_on_when_that_was_full(world, few_local, tmp_path):
    folder, disk = tmp_path / "analysis", tmp_path / "disk"
    (folder / "work").mkdir(parents=True)
    for name in ("download", "fastq", "align", "partial"):
        (disk / name).mkdir(parents=True)
        (disk / name / ".keep").touch()
        (folder / "work" / name).symlink_to(disk / name)
    groups = ["--groups", *(f"{rule}=shard" for rule in ("download", "fastq", "align", "count"))]
    filling = disk / "filling"
    with Server(world) as server, slurm_node.SlurmNode(disk=disk, disk_mb=20) as node:
        node.ask(
            "srun", "sh", "-c", f"head -c 50M /dev/zero >{filling}; truncate -s -200k {filling}"
        )  # 0.2 MB are left
        workflow = start(node, folder, few_cells(world, server), *groups)
        assert workflow.wait(timeout=400) == 1, (folder / "reported").read_text()
        rows = {row.run: row for row in iterate_runs(folder / "results/runs.tsv")}
        failed = [
            row for path in folder.glob("units/status/*.tsv") for row in read_statuses(path).values() if row.reason
        ]
        full = [row for row in failed if row.reason == "DISK_LIMIT"]
        assert full
        assert all(disk_was_full(row) for row in full)
        assert {row.reason for row in rows.values() if row.status == "failed"} <= {
            "DISK_LIMIT",
            "INCOMPLETE_EXPERIMENT",
        }
        node.ask("srun", "rm", str(filling))
        workflow = start(node, folder, few_cells(world, server), *groups)  # the same command
        assert workflow.wait(timeout=400) == 0, (folder / "reported").read_text()
        assert len(jobs_of(node, "shard", "COMPLETED")) == 2
        assert node.ask("srun", "find", str(disk), "-mindepth", "2") == ""  # nothing is left there
    assert {path.name for path in disk.rglob("*") if path.is_file()} == {".keep"}  # and nothing was here
    assert sums(folder / "results") == few_local


@SLOW
def test_a_killed_workflow_goes_on_and_jobs_out_of_time_or_memory_are_given_more(world, node, few_local, tmp_path):
    folder = tmp_path / "analysis"
    less = ["--set-resources", "reference:runtime=attempt", "align:mem_mb=40 if attempt == 1 else 3000"]
    with Server(world) as server:
        fault = server.fault("references/mm10.fa", "stall", times=3)  # a minute each, until it is asked for again
        workflow = start(node, folder, few_cells(world, server), *less)
        until = time.monotonic() + 90
        while fault.left == 3:
            assert workflow.poll() is None, (folder / "reported").read_text()
            assert time.monotonic() < until, (folder / "reported").read_text()
            time.sleep(0.1)
        workflow.kill()
        workflow.wait()
        left = jobs_of(node, "reference", "RUNNING")
        assert left  # Slurm's jobs outlive their workflow: the test ends them
        node.ask("scancel", *left)
        before = set(node.ask("squeue", "-h", "--states", "all", "-o", "%i").split())
        workflow = start(node, folder, few_cells(world, server), *less)
        assert workflow.wait(timeout=400) == 0, (folder / "reported").read_text()
    assert (folder / "reported").read_text().count("Tried again: ") == 2
    reported = node.ask("squeue", "-h", "--states", "all", "-o", "%i %T %l %m %k").splitlines()
    jobs = [line.split() for line in reported if line.split()[0] not in before]
    reference = sorted((job[1], job[2]) for job in jobs if job[4].startswith("rule_reference"))
    assert reference == [("COMPLETED", "2:00"), ("TIMEOUT", "1:00")]
    align = sorted((job[1], job[3]) for job in jobs if job[4].startswith("rule_align"))
    assert align in ([("COMPLETED", "3000M"), (state, "40M")] for state in ("FAILED", "OUT_OF_MEMORY"))
    assert sums(folder / "results") == few_local


ACCOUNTING = slurm_node.reason_to_skip(accounting=True)


@SLOW
@pytest.mark.skipif(bool(ACCOUNTING), reason=ACCOUNTING)
def test_a_node_with_accounting_answers_for_its_jobs(tmp_path):
    with slurm_node.SlurmNode(accounting=True) as node:
        job = node.ask("sbatch", "--parsable", "--wait", "--output", str(tmp_path / "log"), "--wrap", "true")
        until = time.monotonic() + 60
        while not (known := node.ask("sacct", "-X", "-n", "--parsable2", "--format", "JobID,State", "-j", job)):
            assert time.monotonic() < until  # slurmctld passes the ends of jobs on by the second
            time.sleep(0.1)
    assert known == f"{job}|COMPLETED"
