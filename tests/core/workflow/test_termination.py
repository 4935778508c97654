"""SIGTERM ends a workflow, even while Snakemake holds the lock of its scheduler."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import snakemake.api  # noqa: F401  # before its other modules, which import each other
from snakemake.scheduling.job_scheduler import JobScheduler

from scripts.core.workflow.termination import end_beside
from tests.workflow.killed import HOME


@pytest.fixture
def scheduler(monkeypatch):
    monkeypatch.setattr(JobScheduler, "exit_gracefully", JobScheduler.exit_gracefully)
    end_beside()
    end_beside()  # another module has the same rules
    made = JobScheduler.__new__(JobScheduler)
    made._lock, made._open_jobs, made._user_kill = threading.Lock(), threading.Semaphore(0), None
    return made


@pytest.mark.parametrize("held", ["lock", "semaphore"])
def test_a_signal_does_not_wait_for_what_the_interrupted_code_holds(scheduler, held):
    with scheduler._lock if held == "lock" else scheduler._open_jobs._cond:
        scheduler.exit_gracefully(signal.SIGTERM, None)
        assert scheduler._user_kill == "graceful"  # no further job is started
        assert not scheduler._open_jobs._value
    assert scheduler._open_jobs.acquire(timeout=20)


_SNAKEFILE = """
import os, signal
from snakemake.dag import DAG
from scripts.core.workflow.termination import end_beside

end_beside()
finish = DAG.finish


async def finished(dag, job, **options):
    if job.rule.name == "first":
        os.kill(os.getpid(), signal.SIGTERM)
    await finish(dag, job, **options)


DAG.finish = finished


rule second:
    input: "first"
    output: "second"
    shell: "touch {output}"


rule first:
    output: "first"
    shell: "touch {output}"
"""


def test_a_workflow_that_is_told_to_end_while_it_finishes_a_job_ends(tmp_path):
    (tmp_path / "Snakefile").write_text(_SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "second"]
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (tmp_path / "first").exists() and not (tmp_path / "second").exists()
    assert "Will exit after finishing currently running jobs" in done.stderr
    assert done.returncode
