"""Thousands of jobs: what Snakemake holds for each of them in a dry run is made smaller, by a third.

What Snakemake decides and prints stays as it is. The names of Snakemake that are used here were tried with 9.27.1
(`tests/core/workflow/test_job_memory.py` looks for them); where a version has others, it runs as it is. The bytes in
the docstrings are those of a job of this workflow, of 22,000 in all: sizes of the objects, in a dry run of 266 jobs.
"""

import contextlib
import functools
import sys
from typing import Any

_FILES = 4096  # more than files without wildcards that the jobs of several units have
_SETS = ("temp_output", "protected_output", "touch_output", "pipe_or_service_output", "_queue_input")
_NOTHING: frozenset[Any] = frozenset()


def hold_less() -> None:
    """Prepare this process, in which Snakemake plans jobs and runs none; it is called before the rules are read."""
    for step in (
        share_guards,
        slim_names,
        share_files,
        share_empty_lists,
        share_empty_sets,
        forget_announced,
        ask_in_turn,
    ):
        with contextlib.suppress(ImportError):  # of another version
            step()


@functools.cache
def share_guards() -> None:
    """Let all lists of files and values have the same two objects that guard their names (1,400 bytes)."""
    from snakemake import iocontainers

    guard = getattr(iocontainers, "AttributeGuard", None)
    if guard is None or "__new__" in vars(guard):
        return
    known: dict[str, Any] = {}

    def new(kind: Any, *names: str) -> Any:
        if len(names) != 1 or kind is not guard:  # it is copied
            return object.__new__(kind)
        if names[0] not in known:
            known[names[0]] = object.__new__(kind)
        return known[names[0]]

    guard.__new__ = new


@functools.cache
def slim_names() -> None:
    """Let the name of a file hold its flags without a table of attributes (4,000 bytes)."""
    from snakemake import io

    full = getattr(io, "AnnotatedString", None)
    if full is None or "__slots__" in vars(full) or set(vars(full(""))) != {"_flags", "callable"}:
        return

    class AnnotatedString(full):  # type: ignore[misc, valid-type]
        __slots__ = ("_flags", "callable")

    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("AnnotatedString") is full:
            module.AnnotatedString = AnnotatedString  # type: ignore[attr-defined]


@functools.cache
def share_files() -> None:
    """Let all jobs of a rule have the same object for a file whose name has no wildcards (2,000 bytes).

    Its name, flags and rule are the same, too.
    """
    from snakemake.io import _IOFile

    fill = getattr(_IOFile, "apply_wildcards", None)
    if fill is None:
        return

    @functools.lru_cache(_FILES)
    def shared(rule: str, name: str, flags: tuple[str, ...]) -> list[Any]:
        return []

    @functools.wraps(fill)
    def apply_wildcards(file: Any, wildcards: Any) -> Any:
        flags = file.flags
        if "{" in file or file.is_callable() or file.rule is None or any(flag is not True for flag in flags.values()):
            return fill(file, wildcards)
        found = shared(file.rule.name, str(file), tuple(flags))
        if not found:
            found.append(fill(file, wildcards))
        return found[0]

    _IOFile.apply_wildcards = apply_wildcards


@functools.cache
def share_empty_lists() -> None:
    """Let all inputs that are no file have one empty list (1,000 bytes); nothing is added to it."""
    from snakemake.iocontainers import Namedlist

    name_items = getattr(Namedlist, "_set_name", None)
    if name_items is None:
        return
    empty = Namedlist()

    @functools.wraps(name_items)
    def set_name(items: Any, name: str, index: int, end: int | None = None) -> None:
        if end == index and not hasattr(type(items), name):
            items._names[name] = (index, end)
            setattr(items, name, empty)
        else:
            name_items(items, name, index, end)

    Namedlist._set_name = set_name


@functools.cache
def share_empty_sets() -> None:
    """Let jobs have one empty set in place of five each (1,000 bytes); nothing is added to them later."""
    from snakemake.jobs import Job

    make = Job.__init__

    @functools.wraps(make)
    def init(job: Any, *arguments: Any, **options: Any) -> None:
        make(job, *arguments, **options)
        for name in _SETS:
            if getattr(job, name, None) == _NOTHING:
                setattr(job, name, _NOTHING)

    Job.__init__ = init


@functools.cache
def forget_announced() -> None:
    """Let a dry run have the params and resources of a job only while it announces it (3,600 bytes).

    Without it the environments of all jobs ask for their params first, although rules name theirs as constants, and
    resources are kept to give back what no job of a dry run takes.
    """
    from snakemake import rules
    from snakemake.jobs import Job
    from snakemake.scheduling.job_scheduler import JobScheduler

    announce: Any = getattr(Job, "log_info", None)
    free: Any = getattr(JobScheduler, "_free_resources", None)
    find: Any = getattr(getattr(Job, "conda_env_spec", None), "fget", None)
    unknown: Any = getattr(rules, "_NOT_CACHED", None)
    if None in (announce, free, find, unknown) or not {"_params", "_non_derived_params", "_resources"} <= {*vars(Job)}:
        return

    def conda_env_spec(job: Any) -> Any:
        known = getattr(job.rule, "_expanded_conda_env", unknown)
        return find(job) if known is unknown else known

    @functools.wraps(announce)
    def log_info(job: Any, *arguments: Any, **options: Any) -> None:
        announce(job, *arguments, **options)
        job._params = job._non_derived_params = job._resources = None

    @functools.wraps(free)
    def free_resources(scheduler: Any, job: Any) -> None:
        if not scheduler.dryrun:
            free(scheduler, job)

    Job.conda_env_spec, Job.log_info, JobScheduler._free_resources = property(conda_env_spec), log_info, free_resources


@functools.cache
def ask_in_turn() -> None:
    """Let a job ask for the times of its outputs one after another (4,000 bytes).

    Snakemake asks for those of all jobs at once, with a task for each job and for each output.
    """
    from snakemake.io import _IOFile
    from snakemake.jobs import Job

    if not isinstance(getattr(Job, "output_mintime", None), property) or not {"exists", "mtime"} <= {*vars(_IOFile)}:
        return

    async def output_mintime(job: Any) -> Any:
        files = [*job.output, *([job.benchmark] if job.benchmark else [])]
        return min([(await file.mtime()).local_or_storage() for file in files if await file.exists()], default=None)

    Job.output_mintime = property(output_mintime)
