"""Snakemake's own files (benchmarks of jobs, locks, outputs of jobs that were cut off) and the running Snakemake.

Benchmarks are logs/benchmarks/{rule}/{job}.tsv, a header line and a line. Columns of Snakemake 9: s, h:m:s, max_rss,
max_vms, max_uss, max_pss (MB), io_in, io_out, mean_load (percent of a core), cpu_time (s); with ``benchmark-extended``
also jobid, rule_name, wildcards, params, threads, cpu_usage, resources and input_size_mb. A value that could not be
measured is ``-`` or ``NA``.

Snakemake's locks (``.snakemake/locks``) say which files a workflow is about to write, but not whether it still runs:
after ``kill -9`` they stay. So every workflow keeps ``.snakemake/running`` (the name of its machine) open under a
shared lock of the kernel, which ends with it. Whoever gets that lock exclusively knows that no workflow runs.
"""

import argparse
import atexit
import base64
import binascii
import contextlib
import fcntl
import functools
import io
import logging
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from scripts.core.disk.files import remove_folder
from scripts.core.disk.folders import remove_broken, remove_named, remove_partial, unseal
from scripts.core.disk.locks import wait_for_lock
from scripts.core.errors import InputError
from scripts.core.output import printable
from scripts.core.secrets import mask
from scripts.core.untrusted import nearest
from scripts.core.workflow.calm_output import CalmOutput
from scripts.core.workflow.cluster import Node, largest_node
from scripts.core.workflow.job_progress import JobProgress, JobWork

_RUNNING, _TEMPORARY = "running", "temporary"
_OF_SNAKEMAKE = re.compile(r"snakemake[A-Za-z0-9_]+")  # in the folder of temporary files
_RUNTIME_CACHE = "snakemake-runtime-cache"
_open: list[int] = []  # file descriptors, locked until the workflow ends


class Benchmark(NamedTuple):
    """Time and memory of a job; ``memory_mb`` is None where it was not measured."""

    rule: str
    job: str
    seconds: float
    memory_mb: float | None
    threads: int


def read_benchmarks(folder: str | Path) -> Iterator[Benchmark]:
    """Yield the benchmarks below a folder, sorted by rule and job; other files are reported and skipped."""
    for path in sorted(Path(folder).glob("*/*.tsv")):
        try:
            yield _read(path)
        except (OSError, ValueError, KeyError) as error:
            print(f"{path}: not a benchmark of a job ({error!r}); skipped.", file=sys.stderr)


def _read(path: Path) -> Benchmark:
    with path.open(encoding="utf-8") as handle:
        header, values = (handle.readline().rstrip("\n").split("\t") for _ in range(2))
    row = dict(zip(header, values, strict=False))
    memory = [value for name in ("max_pss", "max_rss") if (value := _number(row[name])) is not None]
    threads = _number(row.get("threads"))
    if threads is None:  # as many as were busy
        threads = round((_number(row["mean_load"]) or 0) / 100)
    return Benchmark(path.parent.name, path.stem, float(row["s"]), next(iter(memory), None), max(1, int(threads)))


def _number(value: str | None) -> float | None:
    return None if value in (None, "", "-", "NA") else float(value)


def incomplete_outputs(folder: str | Path) -> set[str]:
    """Return the outputs of jobs that were cut off, which Snakemake records in ``.snakemake/incomplete``."""
    return {output for _, output in _incomplete(Path(folder))}


def _incomplete(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the record of each output of a job that was cut off, and the output.

    The name of a record is the path in base64; long ones are split into folders of ``@`` and a piece of it.
    """
    top = folder / "incomplete"
    for record in sorted(top.rglob("*")):
        parts = record.relative_to(top).parts
        if not parts[-1].startswith("@"):
            name = "".join([part.removeprefix("@") for part in parts])
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                yield record, base64.urlsafe_b64decode(name).decode()


def remove_stale_locks(folder: str | Path) -> list[Path]:
    """Register this process as a workflow that uses ``folder``, a ``.snakemake``; return the stale locks removed.

    Locks are stale when no other workflow runs there and the last one that did ran on this machine. Where a file
    system does not share locks between machines, they are left to ``snakemake --unlock``. With the locks go the
    temporary folders of workflows that were killed, see :func:`note_temporary`.
    """
    folder = Path(folder)
    removed: list[Path] = []
    machine = platform.node().encode()
    with contextlib.suppress(OSError):  # the folder cannot be written, as in a dry run, or has no locks
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _RUNNING, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        _open.append(handle)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stale = sorted((folder / "locks").glob("*.lock"))
            if os.pread(handle, 1024, 0) == machine:
                for lock in stale:
                    lock.unlink(missing_ok=True)
                    removed.append(lock)
                _remove_temporary(folder)
            elif not stale:
                os.ftruncate(handle, 0)
                os.pwrite(handle, machine, 0)
        wait_for_lock(handle, f"{folder / _RUNNING}: waiting for a workflow that looks for locks here.", fcntl.LOCK_SH)
    return removed


def note_temporary(folder: str | Path, paths: Iterable[str]) -> None:
    """Write down the temporary folders of this workflow in ``.snakemake/temporary``, a path a line.

    One that is killed leaves them for ever: in TMPDIR, and in the cache of the user. The next workflow here that runs
    alone, on this machine, removes them. ``folder`` is that of :func:`remove_stale_locks`, which comes first.
    """
    with contextlib.suppress(OSError):  # the folder cannot be written, as in a dry run
        handle = os.open(Path(folder) / _TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            os.write(handle, "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape"))
        finally:
            os.close(handle)


def _remove_temporary(folder: Path) -> None:
    """Remove the temporary folders of workflows that have ended, where they are still there."""
    note = folder / _TEMPORARY
    if not note.is_symlink() and note.is_file():
        for line in note.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            path = Path(line)
            if _OF_SNAKEMAKE.fullmatch(path.name) or path.parent.name == _RUNTIME_CACHE:
                with contextlib.suppress(OSError, InputError):
                    remove_folder(path.parent, path.name)
        note.unlink()
    for left in folder.glob("shell_tmp.*"):  # of commands that are too long for a command line
        remove_folder(folder, left.name, ignore_errors=True)


def remove_unneeded(folder: str | Path, names: Mapping[str | Path, str]) -> None:
    """Remove files and folders of work, whole or not, where no other workflow may be running.

    ``folder`` is that of :func:`remove_stale_locks`, ``names`` as for :func:`scripts.core.disk.folders.remove_named`.
    So are outputs in these folders, by whatever names, of jobs whose end Snakemake did not see: nobody knows any more
    how they were made. Snakemake's records of jobs that were cut off go, too, where their output is not there: it is
    made in any case.
    """

    def remove() -> None:
        remove_named(names)
        parents = set(map(Path, names))
        for record, output in _incomplete(Path(folder)):
            if (path := Path(output)).parent in parents:
                remove_named({path.parent: re.escape(path.name)})
            if not os.path.lexists(output):
                record.unlink()

    _alone(folder, remove)


def remove_broken_folders(
    folder: str | Path,
    names: Mapping[str | Path, str],
    partial: Mapping[str, str] = MappingProxyType({}),
    spent: Callable[[Collection[str]], Iterable[Path]] = lambda unseen: (),
) -> list[Path]:
    """Remove work folders that are not whole, and return them, see :func:`scripts.core.disk.folders.remove_broken`.

    So are half-written files below the folders ``partial``, each with a regular expression of the names of whole ones,
    and the folders that ``spent`` returns: inputs of jobs that delete them, and whose outputs are to be made anew. It
    is called with the outputs of jobs whose end Snakemake did not see, which it makes anew though they may be whole.
    ``folder`` is the ``.snakemake`` of :func:`remove_stale_locks`, which comes first. Nothing is removed where another
    workflow may be running there.
    """

    def remove() -> list[Path]:
        for path in spent(incomplete_outputs(folder)):
            unseal(path)
        half = [path for top, whole in partial.items() for path in remove_partial(top, whole)]
        return [*remove_broken(names), *half]

    return _alone(folder, remove) or []


def _alone(folder: str | Path, do: Callable[[], list[Path] | None]) -> list[Path] | None:
    """Return what a function returns, which is called where no other workflow may be running in a ``.snakemake``."""
    if not _open or any(Path(folder, "locks").glob("*.lock")):
        return None
    try:
        fcntl.flock(_open[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return do()
    except BlockingIOError:
        return None
    finally:
        fcntl.flock(_open[-1], fcntl.LOCK_SH)


def find_profile(name: str, home: Path) -> Path | None:
    """Return the workflow profile that a command names, or None where there is none, which Snakemake passes over.

    ``home`` is the folder of the Snakefile.
    """
    here = Path(os.environ.get("PWD", "."))  # where the command was called; rules are read in --directory
    places = [here / name, here / "profiles" / name, home / "profiles" / name]
    return next((path.absolute() for path in places if path.exists()), None)


def parse_command(words: Sequence[str], home: Path | None = None) -> argparse.Namespace:
    """Return the options of a Snakemake command; empty where it is none.

    ``home`` is the folder of the Snakefile, for the options of the profiles that the command names; those of the
    default profile are left out.
    """
    from snakemake.cli import get_argument_parser

    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        options = get_argument_parser().parse_known_args(words)[0]
        names = [name for name in (options.profile or ()) if name != "none"]
        here = Path(os.environ.get("PWD", "."))
        profiles = [str(here / name) if (here / name).exists() else name for name in names]
        if home and options.workflow_profile:
            profiles += [str(path) for path in [find_profile(options.workflow_profile, home)] if path]
        return get_argument_parser(profiles=profiles).parse_known_args(words)[0] if home and profiles else options
    return argparse.Namespace()


def target_faults(
    targets: Iterable[str], rules: Mapping[str, Collection[str]], makes: Callable[[str], bool]
) -> list[str]:
    """Return a sentence for each target that is neither a rule to call by name nor a file that a rule makes.

    ``rules`` is rule → the wildcards of its files, ``makes`` whether some rule makes a file of this name.
    """
    faults = []
    callable_by_name = [name for name, wildcards in rules.items() if not wildcards]
    for target in targets:
        if wildcards := rules.get(target):
            words = " and ".join(sorted(wildcards))
            faults.append(f"{target}: this rule makes files of one {words} each; name a file that it makes instead.")
        elif target not in rules and not makes(target) and not Path(target).exists():
            near = nearest(target, callable_by_name)
            hint = f"did you mean {near!r}?" if near else "without a target everything is made (docs/outputs.md)."
            faults.append(f"{target}: neither a rule of this workflow nor a file that it makes; {hint}")
    return faults


class _WithoutAncient:
    """Snakemake's table of the jobs behind each job, without those that are there by ancient files alone."""

    def __init__(self, depending: Mapping[Any, Mapping[Any, Any]]) -> None:
        self._depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        behind = self._depending[job].items()
        return {other: files for other, files in behind if not all(file.is_ancient for file in files)}


class Running:
    """The Snakemake that reads the rules: what the workflow needs of it beyond its documented interface.

    Everything that touches private names of Snakemake is here; it was tried with 9.14.0 to 9.27.1. ``workflow`` is the
    object of that name in a Snakefile.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self.started = time.time()
        self.home = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
        """The folder of the workflow's Snakefile, also where another workflow uses it as a module."""
        # Of the settings of the workflow those of a call are set only when the rules are read.
        self._options = parse_command(sys.argv[1:], self.home) if workflow.is_main_process else argparse.Namespace()
        self.is_main = bool(workflow.is_main_process)
        """Whether this is the process that plans and starts jobs, not one that runs a single job of it elsewhere."""
        self.is_module = Path(str(workflow.main_snakefile)).resolve() != (self.home / "Snakefile").resolve()
        """Whether another workflow uses this one."""
        self.uses_conda = "conda" in map(str, workflow.deployment_settings.deployment_method)
        self._calm: CalmOutput | None = None

    @property
    def config_files(self) -> tuple[str, ...]:
        """The files of the configuration that are read by now."""
        return tuple(map(str, self._workflow.configfiles))

    @property
    def prefix(self) -> str:
        """What another workflow, as whose module this one runs, puts before every path; empty where nothing."""
        modifier = self._workflow.modifier.path_modifier
        return str(modifier.prefix or "") or ("…" if modifier.modifies_prefixes else "")

    def refuse_targets(self) -> None:
        """End where a target of the command cannot be made, see :func:`target_faults`; call it after the last rule."""
        if self.is_main and not self.is_module:
            rules = {rule.name: rule.wildcard_names for rule in self._workflow.rules}
            self.refuse(*target_faults(getattr(self._options, "targets", ()), rules, self._makes))

    def refuse_profile(self) -> None:
        """End where the workflow profile of the command does not exist."""
        name = getattr(self._options, "workflow_profile", None)
        if self.is_main and name and name != "none" and find_profile(name, self.home) is None:
            self.refuse(f"--workflow-profile {name}: there is no such profile, here or in {self.home}/profiles.")

    def _makes(self, path: str) -> bool:
        return any(rule.is_producer(path) for rule in self._workflow.rules)

    def refuse(self, *faults: str) -> None:
        """End with these sentences as the last words on the terminal; return without one."""
        if faults:
            if self._calm:
                self._calm.erase()
            sys.exit(mask(printable("\n".join(faults))))

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """End, as :meth:`refuse` does, with the words of an InputError that is raised in the block."""
        try:
            yield
        except InputError as error:
            self.refuse(str(error))

    @property
    def command_line_config(self) -> Mapping[str, Any]:
        """The values of ``--config``."""
        return dict(self._workflow.config_settings.config or {})

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is run. While the rules are read Snakemake does not know it yet: then the command says so."""
        if self._workflow.executor_plugin is None:
            return bool(getattr(self._options, "dryrun", False))
        return bool(self._workflow.dryrun)

    @property
    def threads(self) -> Mapping[str, Any]:
        """Rule → threads as the user or the profile set them."""
        return self._workflow.resource_settings.overwrite_threads

    @property
    def cores(self) -> int | None:
        """Cores of this machine, where jobs run on it; not known while the rules are read."""
        is_local = self._workflow.local_exec and self.executor in ("", "local")
        return self._workflow.resource_settings.cores if is_local else None

    @property
    def most_threads(self) -> int | None:
        """The threads that a job has at most: the cores of this machine, or the CPUs of the largest node."""
        return self.node.cpus if self.node else self.cores

    @property
    def executor(self) -> str:
        """The executor that the command or its profile names, also in a dry run; empty where neither does."""
        return str(getattr(self._options, "executor", None) or "")

    @functools.cached_property
    def node(self) -> Node | None:
        """What a job may have at most on a node of Slurm, where jobs run there and Slurm says so."""
        if self.executor != "slurm" or not self.is_main:
            return None
        if isinstance(getattr(self._options, "slurm_partition_config", None), str):
            return largest_node(["of the file"])  # any partition
        rules = (getattr(self._options, "set_resources", None) or {}).values()
        resources = [getattr(self._options, "default_resources", None) or {}, *rules]
        named = [of_rule["slurm_partition"] for of_rule in resources if "slurm_partition" in of_rule]
        return largest_node({str(partition.raw) for partition in named})

    def missing_triggers(self) -> list[str]:
        """Return which of the triggers that this workflow relies on the ``--rerun-triggers`` of the command lack."""
        given = {str(trigger) for trigger in getattr(self._options, "rerun_triggers", ("mtime", "params"))}
        return [name for name in ("mtime", "params") if name not in given]

    def fit_threads(self) -> list[str]:
        """Give no job more threads than a node has; return the rules that get fewer than the user or profile says."""
        settings = self._workflow.resource_settings
        if self.node is None:
            return []
        settings.max_threads = min(self.node.cpus, settings.max_threads or self.node.cpus)
        chosen = {rule: getattr(number, "value", number) for rule, number in self.threads.items()}
        return sorted(rule for rule, number in chosen.items() if isinstance(number, int) and number > self.node.cpus)

    def end_with(self, words: str) -> None:
        """Print this after everything that Snakemake prints."""
        if self.is_main and words:
            atexit.register(print, mask(printable(words)), file=sys.stderr)

    def calm_output(
        self, minutes: Callable[[str, Mapping[str, str], int], float], speaking: Collection[str] = ()
    ) -> None:
        """Show a line of progress in place of Snakemake's output, see :mod:`scripts.core.workflow.calm_output`.

        ``minutes`` returns what a job is expected to take, by its rule, wildcards and threads; ``speaking`` are rules
        whose jobs print to the terminal. Snakemake's output stays where the user asked for more of it, or less, or for
        another logger, where there is no log file, in a dry run, and where another workflow uses this one.
        """
        settings = self._workflow.output_settings
        asked = ("dryrun", "printshellcmds", "quiet", "debug_dag", "verbose", "log_handler_settings")
        if not self.is_main or self.is_module or any(getattr(settings, name, None) for name in asked):
            return
        with contextlib.suppress(Exception):  # of another version of Snakemake: its own output will do
            from snakemake.common import NOTHING_TO_BE_DONE_MSG
            from snakemake.logging import logger
            from snakemake.scheduling import job_scheduler

            handlers = {handler.name: handler for handler in logger.handlers}
            full, log = handlers["DefaultStreamHandler"], handlers["DefaultLogFileHandler"]
            if isinstance(full, logging.StreamHandler) and isinstance(log, logging.FileHandler):
                progress = JobProgress(lambda: len(self._workflow.dag), lambda: self._open_work(minutes))
                said = {NOTHING_TO_BE_DONE_MSG}, {getattr(job_scheduler, "_ERROR_MSG_FINAL", "")}
                self._calm = CalmOutput(full, progress, self.shown_path(log.baseFilename), speaking, *said)
                logger.removeHandler(full)
                logger.addHandler(self._calm)

    def _open_work(self, minutes: Callable[[str, Mapping[str, str], int], float]) -> dict[Any, JobWork]:
        """Return job id → what it is expected to take, of the jobs that are not finished."""
        dag, most = self._workflow.dag, self.most_threads
        work = {}
        for job in dag.needrun_jobs():
            if not dag.finished(job):
                rule = job.rule.name
                threads = self.threads.get(rule, 1)
                threads = int(getattr(threads, "value", threads))
                threads = min(threads, most or threads)
                work[job.jobid] = JobWork(rule, minutes(rule, job.wildcards_dict, threads), threads)
        return work

    @staticmethod
    def shown_path(path: str | Path) -> str:
        """Return a path of the analysis directory as it is from where the command was called."""
        here, path = Path(os.environ.get("PWD", ".")), Path(path).absolute()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    def say(self, sentence: str) -> None:
        """Print a sentence on the terminal."""
        if self._calm:
            self._calm.say(sentence)
        else:
            print(mask(printable(sentence)), file=sys.stderr)

    def end_progress(self, failed: bool) -> None:
        """End the line of progress."""
        if self._calm:
            self._calm.finish(failed)

    def when_finished(self, do: Callable[[], object]) -> None:
        """Call a function at the end of a call that has made everything, or finds that everything is there.

        It is called in the folder of the analysis, which is the current one now: with ``--directory`` Snakemake goes
        back to the one before at its end.
        """
        folder = Path.cwd()

        def end() -> None:
            if self._has_made_everything():
                with contextlib.chdir(folder):
                    do()

        if self.is_main and not self.is_dry_run:
            atexit.register(end)

    def _has_made_everything(self) -> bool:
        """Whether no job is left to do, of all that there are; never where temporary files are to stay."""
        parts = ("targets", "until", "omit_from", "batch", "allowed_rules", "notemp")
        if self.is_module or any(getattr(self._options, name, None) for name in parts):
            return False
        # The scheduler is made when all jobs are known.
        return self._workflow.scheduler is not None and not any(self._workflow.dag.needrun_jobs())

    @property
    def temporary_folders(self) -> list[str]:
        """The temporary folders of this Snakemake, which it removes at its end."""
        cache = getattr(self._workflow, "sourcecache", None)
        folders = [getattr(self._workflow, "_snakemake_tmp_dir", None), getattr(cache, "runtime_cache", None)]
        return [str(folder.name) for folder in folders if folder is not None]

    def limit(self, resource: str, amount: int) -> None:
        """Bound a resource over all jobs that run at the same time; a lower bound of the user's is kept."""
        self._workflow.register_resource(resource, self.within(resource, amount))

    def within(self, resource: str, amount: int) -> int:
        """Return an amount of a resource, at most what all jobs together may have, or what a node has of memory."""
        if self.node and resource == "mem_mb":
            amount = min(amount, self.node.memory_mb)
        bound = self._workflow.global_resources.get(resource)
        return amount if bound is None or bound.value is None else min(amount, bound.value)

    def batch(self, rule: str, inputs: Sequence[str]) -> list[str] | None:
        """Return those of a rule's inputs that ``--batch`` takes; None where this call takes all."""
        batch = self._workflow.dag_settings.batch
        return batch.get_batch(inputs) if batch and batch.rulename.endswith(rule) else None

    def look_behind_ancient(self) -> None:
        """Let an ``ancient`` file be no reason for a job, and look at the params of the jobs behind such a file.

        Snakemake runs a job for an ancient input that does not exist: while another job re-makes it, or after that was
        cut off. It also takes every job behind one that runs for one that runs, too, and looks at none of their params;
        then it passes over those that are there by ancient files: with a new plan, of which all jobs have such a file,
        units would keep their old counts until the next call.
        """
        from snakemake.dag import DAG

        update = DAG.update_needrun
        if hasattr(update, "__wrapped__"):
            return

        @functools.wraps(update)
        async def update_needrun(dag: Any, *options: Any, **named: Any) -> None:
            whole = dag.depending
            dag.depending = _WithoutAncient(whole)
            try:
                await update(dag, *options, **named)
            finally:
                dag.depending = whole

        DAG.update_needrun = update_needrun

    def redo(self, outputs: set[str]) -> None:
        """Make these files again: Snakemake itself does not look behind a checkpoint for jobs that were cut off."""
        self._workflow.dag.forcefiles |= outputs
