"""What Snakemake does for every job is done once, by the names that it has in the version that is installed."""

import asyncio
import gc
import inspect
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import snakemake.api  # before its other modules, which import each other
from snakemake import common, rules
from snakemake.io import IOCache, IOFile, _IOFile, flag
from snakemake.jobs import Job
from snakemake.logging import DefaultFilter, logger
from snakemake.output_index import OutputIndex
from snakemake.scheduling.job_scheduler import JobScheduler

from scripts.core.workflow import many_jobs
from scripts.core.workflow.many_jobs import format_commands_once, remember_parameters, remembered, wait_once_at_a_time
from tests.workflow.killed import HOME

DAG = snakemake.dag.DAG


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Snakemake and Python are as before after the test."""
    for owner, name in (
        (common, "get_function_params"),
        (rules, "get_function_params"),
        (Job, "log_info"),
        (Job, "format_wildcards"),
        (Job, "is_valid"),
        (Job, "check_protected_output"),
        (rules, "Wildcards"),
        (_IOFile, "is_flagged"),
        (_IOFile, "is_storage"),
        (_IOFile, "exists"),
        (OutputIndex, "match_producers"),
        (DAG, "check_directory_outputs"),
        (DAG, "handle_temp"),
        *((module, "is_flagged") for module in (snakemake.io, snakemake.dag, snakemake.jobs, rules)),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    threshold = gc.get_threshold()
    yield monkeypatch
    gc.set_threshold(*threshold)
    gc.unfreeze()
    for once in (
        many_jobs.ask_for_flags_quickly,
        many_jobs.look_for_files_once,
        many_jobs.find_producers_once,
        many_jobs.look_for_protection_at_once,
        many_jobs.make_wildcards_once,
        many_jobs.compare_folders_once,
        many_jobs.format_for_readers,
    ):
        once.cache_clear()


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


def test_flags_of_a_file_are_as_snakemake_sees_them(restored):
    rule = SimpleNamespace(name="count", pathvars=SimpleNamespace(apply=str))
    files = [IOFile(name, rule) for name in ("a", flag("a", "temp"), flag("a", "temp", False), flag(len, "ancient"))]
    files += [file.apply_wildcards({}) for file in files[:3]]

    def seen():
        flags = [(file.is_storage, file.is_temp, file.is_ancient, file.is_flagged("temp")) for file in files]
        return [(*known, rules.is_flagged(file, "temp")) for known, file in zip(flags, files, strict=True)]

    before = seen()
    slow = rules.is_flagged
    many_jobs.ask_for_flags_quickly()
    assert slow not in (rules.is_flagged, snakemake.io.is_flagged, snakemake.dag.is_flagged, snakemake.jobs.is_flagged)
    assert seen() == before
    assert [rules.is_flagged(name, "temp") for name in ("a", flag("a", "temp"), len)] == [False, True, False]
    assert [is_temp for _, is_temp, *_ in before] == [False, True, False, False, False, True, False]


def test_producers_and_names_of_logs_are_found_once(restored):
    asked = []
    restored.setattr(OutputIndex, "match_producers", lambda index, name: asked.append(name) or {name})
    many_jobs.find_producers_once()
    indices = [OutputIndex([]), OutputIndex([])]
    assert [index.match_producers("a") for index in indices for _ in range(2)] == [{"a"}] * 4
    assert asked == ["a", "a"]  # once of each index
    job = Job.__new__(Job)
    job._log, job._benchmark = ["a.log"], "a.tsv"
    job.is_valid()  # and asks no rule for them


def test_a_protected_output_is_found_without_tasks(restored):
    asked, started = [], []

    async def check(job):
        asked.append(job)

    restored.setattr(Job, "check_protected_output", check)
    many_jobs.look_for_protection_at_once()

    class File:
        def __init__(self, is_protected):
            self.is_protected = is_protected

        async def protected(self):
            started.append(len(asyncio.all_tasks()))
            return self.is_protected

    jobs = [SimpleNamespace(output=[*map(File, outputs)]) for outputs in ((), (False, False), (False, True))]
    for job in jobs:
        asyncio.run(Job.check_protected_output(job))
    assert asked == jobs[2:]  # of which Snakemake says what is wrong
    assert started == [1] * 4


def test_functions_of_a_job_have_the_same_wildcards(restored):
    many_jobs.make_wildcards_once()
    one = rules.Wildcards(fromdict={"unit": "a"})
    assert (one.unit, list(one), one.get("run")) == ("a", ["a"], None)
    assert rules.Wildcards(fromdict={"unit": "a"}) is one
    assert rules.Wildcards(fromdict={"unit": "b"}).unit == "b"


@pytest.mark.parametrize(
    ("outputs", "looks"),
    [
        (["a/b", "a/c.tsv", "ab"], False),
        ([], False),
        (["a/b", "a"], True),
        (["a/b/c", "x", "a"], True),
        (["a/b", "/scratch/a"], True),
        (["./a", "b"], True),
        (["a//b"], True),
    ],
)
def test_outputs_are_compared_where_one_may_be_in_the_folder_of_another(restored, outputs, looks):
    seen = []
    restored.setattr(DAG, "check_directory_outputs", seen.append)
    many_jobs.compare_folders_once()
    dag = SimpleNamespace(jobs=[SimpleNamespace(output=[path]) for path in outputs])
    DAG.check_directory_outputs(dag)
    assert seen == [dag] * looks


@pytest.mark.parametrize(("quiet", "said"), [((), ["cut"]), (("rules",), []), (("progress",), ["cut"])])
def test_a_dry_run_formats_jobs_for_readers_alone(restored, quiet, said):
    from snakemake.settings.enums import Quietness

    handler = logging.NullHandler()
    handler.addFilter(DefaultFilter(set(map(Quietness.parse_choice, quiet)), False, False, True, True))
    handled = []

    async def handle(dag, job):
        handled.append((dag, job))

    restored.setattr(DAG, "handle_temp", handle)
    restored.setattr(logger, "handlers", [handler])
    announced, called = [], []
    restored.setattr(Job, "log_info", lambda job: announced.append(job.rule.name))
    restored.setattr(many_jobs, "_call_functions", lambda job: called.append(job.rule.name))
    many_jobs.format_for_readers()
    for name, is_checkpoint in (("cut", False), ("resolve", True)):
        job = Job.__new__(Job)
        job.rule = SimpleNamespace(name=name, is_checkpoint=is_checkpoint, is_handover=False)
        job.log_info()
    assert announced == [*said, "resolve"]  # behind which Snakemake says that more jobs follow
    assert called == ["cut"] * (not said)
    dry, real = (SimpleNamespace(workflow=SimpleNamespace(dryrun=is_dry_run)) for is_dry_run in (True, False))
    for dag in (dry, real):
        asyncio.run(DAG.handle_temp(dag, "cut"))
    assert handled == [(dry, "cut")] * bool(said) + [(real, "cut")]


_FUNCTIONS = """
from scripts.core.workflow.many_jobs import repeat_less

if config["quick"]:
    repeat_less(True)


def said(name, fails=False):
    def function(wildcards, input, threads):
        print("called", name, list(wildcards), list(input), threads)
        if fails and config["fails"]:
            raise ValueError(f"{name} of {wildcards.unit}")
        return 7
    return function


rule cut:
    input: "reads.fastq"
    output: "{unit}.txt"
    threads: lambda wildcards: 3 if wildcards.unit == "a" else 16
    params: 3, mode=said("mode"), same=lambda wildcards, output: print("called", "same", list(output))
    resources: mem_mb=said("mem_mb", True), runtime=said("runtime"), disk="3 GB"
    shell: "touch {output}"
"""


@pytest.mark.parametrize("fails", [False, True])
def test_functions_of_a_job_that_is_not_printed_are_called_as_snakemake_calls_them(tmp_path, fails):
    (tmp_path / "Snakefile").write_text(_FUNCTIONS)
    (tmp_path / "reads.fastq").touch()
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "8"]

    def run(quick):
        done = subprocess.run(
            [*command, "b.txt", *([] if fails else ["a.txt"]), "--config", f"quick={quick}", f"fails={fails}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HOME)},
            capture_output=True,
            text=True,
        )
        lines = map(str.strip, (done.stdout + done.stderr).splitlines())
        return done.returncode, {line for line in lines if line.startswith(("called", "ValueError"))}

    ended, words = run(quick=True)
    called = {"called mem_mb ['b'] ['reads.fastq'] 8", "called mode ['a'] ['reads.fastq'] 3", "called same ['b.txt']"}
    assert ended == fails
    assert called <= words or fails
    assert any(line.startswith("ValueError: mem_mb of") for line in words) == fails
    assert run(quick=False) == (ended, words)


def test_a_file_is_there_as_snakemake_sees_it_but_is_looked_for_once(restored, tmp_path):
    def seen(place):
        cache = IOCache(10)
        rule = SimpleNamespace(
            name="count", pathvars=SimpleNamespace(apply=str), workflow=SimpleNamespace(iocache=cache)
        )
        files = [IOFile(str(place / name), rule) for name in ("listed/there", "listed/missing", "there", "missing")]
        files.append(IOFile(flag(str(place / "missing"), "temp"), rule))

        async def look():
            await files[0].inventory()
            found = []
            for change in (
                lambda: None,
                (place / "missing").touch,
                (place / "there").unlink,
                cache.clear,
                cache.deactivate,
            ):
                change()
                found.append([await file.exists() for file in files])
            return found

        (place / "listed").mkdir(parents=True)
        for name in ("listed/there", "there"):
            (place / name).touch()
        return asyncio.run(look())

    before = seen(tmp_path / "before")
    assert before[:2] == 2 * [[True, False, True, False, False]]
    assert before[-1] == [True, False, False, True, True]
    slow = _IOFile.exists
    many_jobs.look_for_files_once()
    assert _IOFile.exists is not slow
    assert seen(tmp_path / "after") == before
