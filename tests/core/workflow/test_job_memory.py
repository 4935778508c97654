"""What Snakemake holds for every job is made smaller, by the names that it has in the version that is installed."""

import asyncio
import copy
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake import io
from snakemake.io import IOFile, _IOFile, flag, is_flagged
from snakemake.iocontainers import InputFiles, Namedlist
from snakemake.jobs import Job
from snakemake.rules import Rule
from snakemake.scheduling.job_scheduler import JobScheduler

from scripts.core.workflow import job_memory

RULE: Any = SimpleNamespace(name="count", pathvars=SimpleNamespace(apply=str))


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Snakemake is as before after the test."""
    for owner, name in (
        (_IOFile, "apply_wildcards"),
        (Namedlist, "_set_name"),
        (Job, "__init__"),
        (Job, "log_info"),
        (Job, "conda_env_spec"),
        (Job, "output_mintime"),
        (JobScheduler, "_free_resources"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    full = io.AnnotatedString
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("AnnotatedString") is full:
            monkeypatch.setattr(module, "AnnotatedString", full)
    yield monkeypatch
    for name in ("files", "empty_lists", "empty_sets"):  # the guards stay shared
        getattr(job_memory, f"share_{name}").cache_clear()
    job_memory.slim_names.cache_clear()
    job_memory.forget_announced.cache_clear()
    job_memory.ask_in_turn.cache_clear()


def test_lists_share_the_guards_of_their_names():
    job_memory.share_guards()
    one, other = Namedlist(["a"]), InputFiles(["b"])
    assert one.sort is other.sort
    assert one.index is not one.sort
    for name in ("index", "sort"):
        with pytest.raises(AttributeError, match=rf"^{name}\(\) cannot be used"):
            getattr(copy.copy(other), name)()
    assert one.get("sort") is None


def test_names_of_files_have_no_table_of_attributes():
    full = io.AnnotatedString
    job_memory.slim_names()
    name = flag("units/runs", "ancient")
    assert type(name) is io.AnnotatedString is sys.modules["snakemake.rules"].AnnotatedString
    assert isinstance(name, full)
    assert vars(name) == {}
    assert (name, name.flags, name.is_callable()) == ("units/runs", {"ancient": True}, False)
    assert (is_flagged(name, "ancient"), is_flagged(name, "temp"), is_flagged(full("a"), "temp")) == (
        True,
        False,
        False,
    )
    filled = IOFile(flag("sra/{run}", "temp"), rule=RULE).apply_wildcards({"run": "SRR1"})
    assert (filled, filled.is_temp, filled.is_ancient) == ("sra/SRR1", True, False)


def test_a_file_without_wildcards_is_made_once_for_a_rule():
    job_memory.share_files()

    def file(name: Any, rule: Any = RULE) -> Any:
        return IOFile(name, rule=rule).apply_wildcards({"run": "SRR1"})

    assert file("units/runs") is file("units/runs")
    assert file("units/runs") is not file("units/runs", SimpleNamespace(name="align", pathvars=RULE.pathvars))
    assert (file("units/runs").is_ancient, file(flag("units/runs", "ancient")).is_ancient) == (False, True)
    assert (file("sra/{run}"), file("a{{b")) == (
        "sra/SRR1",
        _IOFile.apply_wildcards.__wrapped__(IOFile("a{{b", RULE), {}),
    )
    assert file("sra/{run}") is not file("sra/{run}")


def test_empty_lists_and_sets_are_shared(restored):
    job_memory.share_empty_lists()
    files = InputFiles(["a"])
    files._set_name("kept", 1, end=1)
    files._set_name("before", 1, end=1)
    files._set_name("lists", 0, end=1)
    assert files.kept is files.before
    assert (files.kept, files.lists, dict(files._get_names())["kept"]) == ([], ["a"], (1, 1))
    with pytest.raises(AttributeError, match="reserved"):
        files._set_name("items", 1, end=1)

    def init(job: Any) -> None:
        job.temp_output, job.protected_output = {"a"}, set()

    restored.setattr(Job, "__init__", init)
    job_memory.share_empty_sets()
    one, other = Job(), Job()
    assert one.protected_output is other.protected_output
    assert (one.temp_output, one.protected_output) == ({"a"}, set())


def test_a_dry_run_forgets_what_it_has_announced(restored):
    said = []
    restored.setattr(Job, "log_info", lambda job: said.append((job.params, job.resources)))
    restored.setattr(JobScheduler, "_free_resources", lambda scheduler, job: said.append(job))
    job_memory.forget_announced()
    job = Job.__new__(Job)
    job._params, job._non_derived_params, job._resources, job._aux_resources = ["p"], ["n"], ["r"], {}
    job.log_info()
    assert said == [(["p"], ["r"])]
    assert (job._params, job._non_derived_params, job._resources) == (None, None, None)
    for is_dry in (True, False):
        JobScheduler._free_resources(SimpleNamespace(dryrun=is_dry), "job")
    assert said[1:] == ["job"]


def test_a_constant_environment_asks_for_no_params():
    job_memory.forget_announced()
    job = Job.__new__(Job)
    job.rule, job._conda_env_spec = Rule.__new__(Rule), None
    job.rule._expanded_conda_env = "python.yaml"
    assert job.conda_env_spec == "python.yaml"  # and the job has no params yet, nor a way to make them


class OutputFile:
    """A file of an output, with its time; None: there is no such file."""

    def __init__(self, time: float | None) -> None:
        self.time = time

    async def exists(self) -> bool:
        return self.time is not None

    async def mtime(self) -> Any:
        return SimpleNamespace(local_or_storage=lambda: self.time)


@pytest.mark.parametrize(
    ("outputs", "benchmark", "oldest"),
    [([5.0, 3.0], 4.0, 3.0), ([5.0, None], 4.0, 4.0), ([None], None, None), ([], 2.0, 2.0), ([7.0], None, 7.0)],
)
def test_the_oldest_output_is_the_one_that_snakemake_finds(outputs, benchmark, oldest):
    def of_job() -> Any:
        job = Job.__new__(Job)
        job.output = [OutputFile(time) for time in outputs]
        job._benchmark = OutputFile(benchmark)

        async def ask() -> Any:
            return await job.output_mintime

        return asyncio.run(ask())

    before = of_job()
    job_memory.ask_in_turn()
    assert of_job() == before == oldest
