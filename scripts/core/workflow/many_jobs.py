"""Thousands of jobs: what Snakemake does anew for each of them is done once, so that it plans them in half the time.

What Snakemake decides and prints stays as it is. The names of Snakemake that are used here are the same from 9.14.0 to
9.27.1 (`tests/core/workflow/test_many_jobs.py` looks for them); where a version has others, it runs as it is.
"""

import atexit
import contextlib
import functools
import gc
import logging
import threading
from collections.abc import Callable, Collection
from typing import Any

_YOUNG = 100_000  # new objects; Python itself looks for unused cycles among every 700
_FUNCTIONS = 4096  # more than any workflow has
_FILES = 4096  # more than have many jobs behind them


def repeat_less(is_dry_run: bool) -> None:
    """Prepare this process, in which Snakemake plans and starts jobs; what was imported is used until its end."""
    collect_seldom(is_dry_run)
    remember_parameters()
    format_commands_once()
    wait_once_at_a_time()
    steps = (
        ask_for_flags_quickly,
        look_for_files_once,
        find_producers_once,
        look_for_protection_at_once,
        make_wildcards_once,
        compare_folders_once,
        format_for_readers,
    )
    for step in steps if is_dry_run else ():
        with contextlib.suppress(ImportError):  # of another version
            step()


def collect_seldom(is_dry_run: bool) -> None:
    """Let Python look less often through all jobs for cycles of objects that nothing uses: there are hardly any.

    At its end a dry run has nothing to write, and leaves its memory to the system.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    if is_dry_run:
        atexit.register(gc.freeze)


def remember_parameters() -> None:
    """Let Snakemake inspect each function of the rules once, not three times for every job."""
    from snakemake import common, rules

    found: Any = getattr(common, "get_function_params", None)
    is_known = found is not None and getattr(rules, "get_function_params", None) is found
    if is_known and not hasattr(found, "__wrapped__"):
        common.get_function_params = rules.get_function_params = remembered(found)


def remembered(parameters_of: Callable[[Any], Collection[str]]) -> Callable[[Any], Collection[str]]:
    """Return a function that remembers what ``parameters_of`` found, but of functions that have no hash."""
    known = functools.lru_cache(_FUNCTIONS)(parameters_of)

    @functools.wraps(parameters_of)
    def parameters(function: Any) -> Collection[str]:
        try:
            return known(function)
        except TypeError:
            return parameters_of(function)

    return parameters


def format_commands_once() -> None:
    """Let Snakemake format the command of a job once as it announces the job, not three times."""
    from snakemake.jobs import Job

    announce = getattr(Job, "log_info", None)
    if announce is None or hasattr(announce, "__wrapped__") or not hasattr(Job, "format_wildcards"):
        return

    @functools.wraps(announce)
    def log_info(job: Any, *arguments: Any, **options: Any) -> None:
        job.format_wildcards = functools.cache(job.format_wildcards)
        try:
            announce(job, *arguments, **options)
        finally:
            del job.format_wildcards

    Job.log_info = log_info


def wait_once_at_a_time() -> None:
    """Let Snakemake wait once at a time for the end of the timespan in which it submits so many jobs at most.

    After each look at the jobs that are ready it starts a timer, which lets it look again. So while jobs wait for room
    one timer more goes round for each job that has ended: after 1,000 jobs it looks 1,000 times a second.
    """
    try:
        from snakemake.scheduling.job_scheduler import JobScheduler
    except ImportError:
        return
    start = getattr(JobScheduler, "_schedule_reevalutation", None)
    if start is None or hasattr(start, "__wrapped__"):
        return

    @functools.wraps(start)
    def start_once(scheduler: Any, delay: float) -> None:
        def look_again() -> None:
            scheduler.is_waiting = False  # before it looks, so that it can wait again
            scheduler._open_jobs.release()

        if not getattr(scheduler, "is_waiting", False):
            scheduler.is_waiting = True
            threading.Timer(delay, look_again).start()

    JobScheduler._schedule_reevalutation = start_once


@functools.cache
def ask_for_flags_quickly() -> None:
    """Let Snakemake see faster which flags a file has, as `ancient` or a remote storage: it asks 150 times a job."""
    from snakemake import dag, io, jobs, rules
    from snakemake.io import _IOFile

    if not hasattr(_IOFile, "is_flagged") or not hasattr(_IOFile, "is_storage"):
        return
    ask: Any = io.is_flagged

    def is_flagged(file: Any, flag: str) -> bool:
        name = file._file
        if type(name) is str:
            return False
        flags = getattr(name, "_flags", None)
        if flags is None:
            flags = getattr(name, "flags", {})
        return bool(flags.get(flag))

    def is_value_flagged(value: Any, flag: str) -> bool:
        return is_flagged(value, flag) if type(value) is _IOFile else ask(value, flag)

    _IOFile.is_flagged = is_flagged
    _IOFile.is_storage = property(lambda file: is_flagged(file, "storage_object"))
    for module in (io, dag, jobs, rules):
        if getattr(module, "is_flagged", None) is ask:
            module.is_flagged = is_value_flagged


@functools.cache
def look_for_files_once() -> None:
    """Let Snakemake see faster whether it has looked for a file already: it looks for each one three times."""
    from snakemake.io import ExistsDict, IOCache, _IOFile

    look = getattr(_IOFile, "exists", None)
    if look is None or not hasattr(IOCache, "exists_local") or ExistsDict.get is not dict.get:
        return

    @functools.wraps(look)
    async def exists(file: Any) -> bool:
        cache = file.rule.workflow.iocache
        if file.is_storage or not cache.active:
            return await look(file)
        found = cache.exists_local.get(file)
        if found is None:
            found = cache.exists_local[file] = await look(file)
        return found

    _IOFile.exists = exists


@functools.cache
def find_producers_once() -> None:
    """Let Snakemake look once for the rules that make an input of many jobs, and once at the names of a log."""
    from snakemake.jobs import Job
    from snakemake.output_index import OutputIndex

    match = getattr(OutputIndex, "match_producers", None)
    if match is not None:
        OutputIndex.match_producers = functools.lru_cache(_FILES)(match)
    if {"log", "benchmark", "is_valid"} <= {*vars(Job)}:
        Job.is_valid = lambda job: (job.benchmark, job.log)  # which it has already where it is planned


@functools.cache
def look_for_protection_at_once() -> None:
    """Let Snakemake ask itself whether an output is protected, not by a task for each output of each job."""
    from snakemake.jobs import Job

    check = getattr(Job, "check_protected_output", None)
    if check is None:
        return

    @functools.wraps(check)
    async def check_protected_output(job: Any) -> None:
        for file in job.output:
            if await file.protected():
                await check(job)

    Job.check_protected_output = check_protected_output


@functools.cache
def make_wildcards_once() -> None:
    """Let all functions of a job have the same wildcards, which Snakemake makes anew for each of them."""
    from snakemake import rules

    make = getattr(rules, "Wildcards", None)
    if make is None:
        return

    @functools.lru_cache(8)
    def made(items: tuple[tuple[str, str], ...]) -> Any:
        return make(fromdict=dict(items))

    def wildcards(fromdict: Any) -> Any:
        return made(tuple(fromdict.items()))

    rules.Wildcards = wildcards


@functools.cache
def compare_folders_once() -> None:
    """Let Snakemake look for files in the folder that another job makes only where there may be some.

    It sorts the absolute paths of all outputs for that, and compares each with the next one.
    """
    from snakemake.dag import DAG

    check = getattr(DAG, "check_directory_outputs", None)
    if check is None:
        return

    @functools.wraps(check)
    def check_directory_outputs(dag: Any) -> None:
        if _may_be_nested({str(file) for job in dag.jobs for file in job.output}):
            check(dag)

    DAG.check_directory_outputs = check_directory_outputs


def _may_be_nested(paths: Collection[str]) -> bool:
    """Whether one of these paths may be below another one."""
    if any(path.startswith(("/", ".")) or "/." in path or "//" in path for path in paths):
        return True
    folders = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return not folders.isdisjoint(paths)


@functools.cache
def format_for_readers() -> None:
    """Skip formatting jobs and tracking temporary files in a dry run that prints neither (``--quiet rules``).

    The functions of their params and resources are called all the same, which says what is wrong with them.
    """
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.logging import LogEvent, logger
    from snakemake.settings.enums import Quietness

    announce, handle = getattr(Job, "log_info", None), getattr(DAG, "handle_temp", None)
    if announce is None or handle is None:
        return

    @functools.cache
    def is_read() -> bool:
        kinds = {"event": LogEvent.JOB_INFO}, {"event": LogEvent.SHELLCMD}, {"quietness": Quietness.RULES}
        for kind in kinds:
            record = logger.makeRecord(logger.name, logging.INFO, "", 0, "", (), None, extra=kind)
            if any(handler.filter(record) for handler in logger.handlers):
                return True
        return False

    @functools.wraps(announce)
    def log_info(job: Any, *arguments: Any, **options: Any) -> None:
        if job.rule.is_checkpoint or job.rule.is_handover or is_read():
            announce(job, *arguments, **options)
        else:
            _call_functions(job)

    @functools.wraps(handle)
    async def handle_temp(dag: Any, job: Any) -> None:
        if not dag.workflow.dryrun or is_read():
            await handle(dag, job)

    Job.log_info = log_info
    DAG.handle_temp = handle_temp


def _call_functions(job: Any) -> None:
    """Call the functions of a job's resources and params; what is wrong with one is found by Snakemake, and said so.

    `tmpdir` is Snakemake's own, and the same for all jobs.
    """
    from snakemake import rules

    rule, workflow = job.rule, job.dag.workflow
    values = {"input": job.input, "output": job.output, "attempt": job.attempt}
    values |= {"rulename": rule.name, "async_run": workflow.async_run}

    def call(function: Callable[..., Any]) -> None:
        _, *names = rules.get_function_params(function)
        function(job.wildcards, **{name: values[name] for name in names})

    try:
        threads = rule.resources["_cores"].evaluate(job.wildcards, **values)
        for most in (workflow.resource_settings.max_threads, workflow.global_resources.get("_cores")):
            threads = threads.constrain(most)
        values["threads"] = threads.value
        for resource in rule.resources.values():
            if resource.is_evaluable() and resource.name not in ("_cores", "tmpdir"):
                call(resource._evaluator)
        for function in filter(callable, rule.params):
            call(function)
    except Exception:
        _ = job.resources, job.params
