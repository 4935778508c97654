"""What Snakemake does for every job is done once, by the names that it has in the version that is installed."""

import gc
import inspect
import threading
from collections.abc import Iterator

import pytest
from snakemake import common, rules
from snakemake.jobs import Job
from snakemake.scheduling.job_scheduler import JobScheduler

from scripts.core.workflow import many_jobs
from scripts.core.workflow.many_jobs import format_commands_once, remember_parameters, remembered, wait_once_at_a_time


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Snakemake and Python are as before after the test."""
    for owner, name in (
        (common, "get_function_params"),
        (rules, "get_function_params"),
        (Job, "log_info"),
        (Job, "format_wildcards"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    threshold = gc.get_threshold()
    yield monkeypatch
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_a_function_is_inspected_once():
    seen = []

    def parameters_of(function):
        seen.append(function)
        return inspect.signature(function).parameters

    def memory(wildcards, attempt):
        return attempt

    class Listed(list):
        def __call__(self, wildcards):
            return wildcards

    known = remembered(parameters_of)
    assert [list(known(memory)) for _ in range(3)] == 3 * [["wildcards", "attempt"]]
    assert seen == [memory]
    assert list(known(Listed())) == ["wildcards"]  # it has no hash
    with pytest.raises(TypeError, match="is not a callable object"):
        known(3)


def test_snakemake_asks_what_is_remembered(restored):
    original = common.get_function_params
    remember_parameters()
    assert common.get_function_params is rules.get_function_params
    assert common.get_function_params.__wrapped__ is original
    remember_parameters()  # another module has the same rules
    assert common.get_function_params.__wrapped__ is original

    def options(wildcards, output):
        return output

    assert common.get_input_function_aux_params(options, {"threads": 1, "output": []}) == {"output": []}


def test_the_command_of_a_job_is_formatted_once(restored):
    formatted = []
    restored.setattr(
        Job, "format_wildcards", lambda job, text, **more: formatted.append(text) or f"{text} {len(formatted)}"
    )
    said = []
    restored.setattr(
        Job, "log_info", lambda job, indent=False: said.extend(job.format_wildcards("cut") for _ in range(3))
    )
    format_commands_once()
    format_commands_once()
    jobs = [Job.__new__(Job), Job.__new__(Job)]
    for job in jobs:
        job.log_info(indent=True)
    assert said == ["cut 1"] * 3 + ["cut 2"] * 3
    assert jobs[0].format_wildcards("cut") == "cut 3"  # its files may have come since


def test_the_last_look_for_unused_objects_is_left_out_in_a_dry_run_alone(restored):
    registered = []
    restored.setattr(many_jobs.atexit, "register", registered.append)
    many_jobs.collect_seldom(is_dry_run=False)
    assert gc.get_threshold()[0] > 700
    assert registered == []
    many_jobs.collect_seldom(is_dry_run=True)
    assert registered == [gc.freeze]


def test_snakemake_waits_once_at_a_time_for_the_next_jobs(monkeypatch):
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    wait_once_at_a_time()
    scheduler = JobScheduler.__new__(JobScheduler)
    scheduler._open_jobs = threading.Semaphore(0)
    for _ in range(2):  # the second time it waits anew
        for _ in range(100):
            scheduler._schedule_reevalutation(0.1)
        for timer in (thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)):
            timer.join()
        assert scheduler._open_jobs.acquire(blocking=False)
        assert not scheduler._open_jobs.acquire(blocking=False)
