"""Locks of killed workflows are removed, those of living ones and of other machines are not."""

import argparse
import base64
import io
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from scripts.core.workflow import snakemake
from scripts.core.workflow.cluster import Node
from scripts.core.workflow.job_progress import JobWork
from scripts.core.workflow.snakemake import (
    Running,
    find_profile,
    incomplete_outputs,
    note_temporary,
    parse_command,
    remove_broken_folders,
    remove_stale_locks,
    remove_unneeded,
    target_faults,
)

HOME = Path(__file__).parents[3]


def another_workflow(folder):
    """Start a workflow that runs until its input ends."""
    code = "from scripts.core.workflow.snakemake import *; print(remove_stale_locks(input()), flush=True); input()"
    words = [sys.executable, "-c", code]
    process = subprocess.Popen(words, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    process.stdin.write(f"{folder}\n")
    return process


def locks(folder):
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    made = [folder / "locks" / name for name in ("0.input.lock", "0.output.lock")]
    for lock in made:
        lock.write_text("results/plan.tsv\n")
    return made


def free():
    """Release the locks of this process, as its end would."""
    while snakemake._open:
        os.close(snakemake._open.pop())


def test_locks_stay_while_somebody_is_another_workflow(tmp_path):
    with another_workflow(tmp_path) as other:
        assert other.stdout.readline() == "[]\n"
        made = locks(tmp_path)
        assert remove_stale_locks(tmp_path) == []
        assert all(lock.exists() for lock in made)
        free()
        other.kill()
        other.wait()
        assert remove_stale_locks(tmp_path) == made
        assert not any(lock.exists() for lock in made)
    free()


def test_two_may_be_another_workflow(tmp_path):
    with another_workflow(tmp_path) as one, another_workflow(tmp_path) as two:
        assert (one.stdout.readline(), two.stdout.readline()) == ("[]\n", "[]\n")
        one.communicate("\n")
        made = locks(tmp_path)
        assert remove_stale_locks(tmp_path) == []
        assert all(lock.exists() for lock in made)
        two.communicate("\n")
    free()


def test_locks_of_another_machine_stay(tmp_path):
    (tmp_path / "running").write_text("elsewhere")
    made = locks(tmp_path)
    assert remove_stale_locks(tmp_path) == []
    free()
    assert remove_stale_locks(tmp_path) == []
    free()
    assert all(lock.exists() for lock in made)
    for lock in made:  # snakemake --unlock
        lock.unlink()
    remove_stale_locks(tmp_path)
    free()
    assert (tmp_path / "running").read_text() == platform.node()
    made = locks(tmp_path)
    assert remove_stale_locks(tmp_path) == made
    free()


def test_locks_of_nobody_knows_whom_stay(tmp_path):
    made = locks(tmp_path)  # of a workflow that did not register
    for _ in range(2):
        assert remove_stale_locks(tmp_path) == []
        free()
    assert all(lock.exists() for lock in made)


def test_outputs_that_were_cut_off(tmp_path):
    assert incomplete_outputs(tmp_path) == set()
    short, long = "work/download/GSE1.mus.0000", "work/" + "x" * 300
    (tmp_path / "incomplete").mkdir()
    for path in (short, long):
        name = base64.urlsafe_b64encode(path.encode()).decode()
        parts = [name[start : start + 254] for start in range(0, len(name), 254)]
        record = tmp_path.joinpath("incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1])
        record.parent.mkdir(exist_ok=True)
        record.write_text("{}")
    (tmp_path / "incomplete" / "x").write_text("no record")
    assert incomplete_outputs(tmp_path) == {short, long}


def test_broken_folders_go_where_nobody_else_is_at_work(tmp_path):
    broken = tmp_path / "work" / "fastq" / "unit"
    broken.mkdir(parents=True)
    assert remove_broken_folders(tmp_path, {broken.parent: "unit"}) == []  # nobody registered
    with another_workflow(tmp_path) as other:
        assert other.stdout.readline() == "[]\n"
        remove_stale_locks(tmp_path)
        assert remove_broken_folders(tmp_path, {broken.parent: "unit"}) == []
        other.kill()
        other.wait()
        for lock in (made := locks(tmp_path)):
            assert remove_broken_folders(tmp_path, {broken.parent: "unit"}) == []
            lock.unlink()
        assert len(made) == 2
        half = broken.with_name("a.tsv.part")
        half.touch()
        partial = {str(tmp_path / "work"): ".+"}
        assert remove_broken_folders(tmp_path, {broken.parent: "unit"}, partial) == [broken, half]
    assert not broken.exists()
    with another_workflow(tmp_path) as other:  # the look left us registered
        assert other.stdout.readline() == "[]\n"
        assert [remove_stale_locks(tmp_path), other.kill()] == [[], None]
    free()


def test_inputs_that_are_spent_go_and_outputs_whose_end_was_not_seen_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = Path(".snakemake/incomplete") / base64.urlsafe_b64encode(b"work/fastq/unit").decode()
    record.parent.mkdir(parents=True)
    record.touch()
    folders = [Path("work", kind, "unit") for kind in ("download", "fastq")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / ".whole.tsv").touch()
    remove_stale_locks(".snakemake")
    asked = []
    names = {folder.parent: "unit" for folder in folders}
    gone = remove_broken_folders(".snakemake", names, {}, lambda unseen: asked.append(unseen) or folders[:1])
    free()
    assert gone == folders[:1]
    assert asked == [{"work/fastq/unit"}]


def test_temporary_folders_of_a_killed_workflow_go_when_nobody_else_is_at_work(tmp_path):
    names = ("tmp/snakemakel_0x9a", "cache/snakemake-runtime-cache/tmp1", ".snakemake/shell_tmp.ab", "tmp/mine")
    folders = [tmp_path / name for name in names]
    for folder in folders:
        (folder / "inner").mkdir(parents=True)
    here = tmp_path / ".snakemake"
    with another_workflow(here) as other:
        assert other.stdout.readline() == "[]\n"
        note_temporary(here, map(str, folders))
        assert remove_stale_locks(here) == []
        assert all(folder.exists() for folder in folders)
        free()
        other.kill()
        other.wait()
    remove_stale_locks(here)
    assert [folder.exists() for folder in folders] == [False, False, False, True]  # the last is none of Snakemake's
    assert not (here / "temporary").exists()
    note_temporary(tmp_path / "nowhere", ["x"])  # cannot be written
    free()


def test_unneeded_folders_go_where_nobody_else_is_at_work(tmp_path):
    folders = [tmp_path / "work/align" / name for name in ("unit", ".unit.align", "mine")]
    for folder in folders:
        folder.mkdir(parents=True)
    names = {tmp_path / "work/align": r"unit|\..+\.align", tmp_path / "work/fastq": "unit"}
    remove_unneeded(tmp_path, names)  # nobody registered
    assert all(folder.exists() for folder in folders)
    remove_stale_locks(tmp_path)
    (tmp_path / "incomplete").mkdir()
    unseen = tmp_path / "work/align/by_a_job_whose_end_nobody_saw"
    outputs = [tmp_path / "made.tsv", tmp_path / "missing.tsv", unseen]
    outputs[0].touch()
    unseen.mkdir()
    for path in outputs:
        (tmp_path / "incomplete" / base64.urlsafe_b64encode(os.fsencode(path)).decode()).touch()
    remove_unneeded(tmp_path, names)
    assert [folder.exists() for folder in folders] == [False, False, True]
    assert incomplete_outputs(tmp_path) == {str(outputs[0])}
    assert not unseen.exists()
    free()


@pytest.mark.parametrize(
    ("words", "left", "called"),
    [
        ("--cores 2", [], True),
        ("--cores 2", ["job"], False),
        ("-n", [], False),
        ("resolve --cores 2", [], False),
        ("--cores 2 --until align", [], False),
        ("--cores 2 --batch ledger=1/2", [], False),
        ("--cores 2 --notemp", [], False),
    ],
)
def test_the_end_of_a_call_that_has_made_everything(monkeypatch, tmp_path, words, left, called):
    ends, done = [], []
    (tmp_path / "analysis").mkdir()
    monkeypatch.chdir(tmp_path / "analysis")
    monkeypatch.setattr(snakemake.atexit, "register", ends.append)
    monkeypatch.setattr(sys, "argv", ["snakemake", *words.split()])
    workflow = MagicMock(executor_plugin=None, main_snakefile="/home/Snakefile", scheduler=None)
    workflow.current_basedir.get_path_or_uri.return_value = "/home/rules"
    workflow.dag.needrun_jobs.return_value = left
    Running(workflow).when_finished(lambda: done.append(Path.cwd()))
    monkeypatch.chdir(tmp_path)  # as Snakemake does at its end, with --directory
    for end in ends:
        end()
    assert done == []  # the jobs are not known yet
    workflow.scheduler = MagicMock()
    for end in ends:
        end()
    assert done == ([tmp_path / "analysis"] if called else [])
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("words", "dry"),
    [
        (["-n"], True),
        (["-np", "--cores", "2"], True),
        (["--dry-run"], True),
        (["--dryrun"], True),
        ([], False),
        (["--nolock", "-c1", "-j", "2", "notes"], False),
    ],
)
def test_while_the_rules_are_read_the_command_says_whether_it_is_a_dry_run(monkeypatch, words, dry):
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    workflow = MagicMock(executor_plugin=None, dryrun=False)
    assert Running(workflow).is_dry_run is dry
    workflow.executor_plugin, workflow.dryrun = "dryrun", True
    assert Running(workflow).is_dry_run


def test_a_workflow_profile_that_does_not_exist_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PWD", str(tmp_path))
    for name in ("mine", "profiles/site", "home/profiles/slurm"):
        (tmp_path / name).mkdir(parents=True)
    home = tmp_path / "home"
    for name in ("mine", "site", "profiles/site", "slurm"):
        assert find_profile(name, home) is not None
    assert find_profile("slurmm", home) is None


def test_jobs_fit_the_largest_node_of_slurm(monkeypatch):
    monkeypatch.setattr(snakemake, "largest_node", lambda partitions: Node(8, 32_000) if partitions == {"x"} else None)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--executor", "slurm", "--default-resources", "slurm_partition=x"])
    settings = SimpleNamespace(max_threads=None, cores=None, overwrite_threads={"align": 16, "count": 4, "solo": 16})
    workflow = MagicMock(resource_settings=settings, global_resources={})
    running = Running(workflow)
    assert running.fit_threads() == ["align", "solo"]
    assert (settings.max_threads, running.most_threads, running.cores) == (8, 8, None)
    assert running.within("mem_mb", 40_000) == 32_000
    assert running.within("scratch_mb", 40_000) == 40_000
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "3"])
    here = Running(MagicMock(resource_settings=SimpleNamespace(cores=3)))
    assert (here.fit_threads(), here.most_threads) == ([], 3)


@pytest.mark.parametrize(
    ("words", "missing"),
    [("", []), ("mtime params code", []), ("input code", ["mtime", "params"]), ("params software-env", ["mtime"])],
)
def test_triggers_without_which_changes_are_not_noticed(monkeypatch, words, missing):
    monkeypatch.setattr(sys, "argv", ["snakemake", *(["--rerun-triggers", *words.split()] if words else [])])
    assert Running(MagicMock()).missing_triggers() == missing
    assert Running(MagicMock(is_main_process=False)).missing_triggers() == []


class Logging:
    """Snakemake's logger with its two handlers, as it is when the rules are read."""

    def __init__(self, monkeypatch, folder: Path) -> None:
        self.logger = logging.Logger("snakemake")
        self.terminal, self.file = logging.StreamHandler(io.StringIO()), logging.FileHandler(folder / "s.log")
        self.terminal.name, self.file.name = "DefaultStreamHandler", "DefaultLogFileHandler"
        for handler in (self.terminal, self.file):
            self.logger.addHandler(handler)
        monkeypatch.setattr("snakemake.logging.logger", self.logger)

    @property
    def names(self) -> list[str | None]:
        return [handler.name for handler in self.logger.handlers]


def workflow_with(folder: Path, is_main: bool = True, **settings: object) -> SimpleNamespace:
    basedir = SimpleNamespace(get_path_or_uri=lambda secret_free: str(folder / "rules"))
    jobs = [
        SimpleNamespace(jobid=0, rule=SimpleNamespace(name="align"), wildcards_dict={"shard": "a"}),
        SimpleNamespace(jobid=1, rule=SimpleNamespace(name="ledger"), wildcards_dict={}),
    ]
    dag = SimpleNamespace(needrun_jobs=lambda: jobs, finished=lambda job: job.jobid == 1)
    return SimpleNamespace(
        current_basedir=basedir,
        is_main_process=is_main,
        main_snakefile=str(folder / "Snakefile"),
        deployment_settings=SimpleNamespace(deployment_method=set()),
        output_settings=SimpleNamespace(**settings),
        resource_settings=SimpleNamespace(overwrite_threads={"align": 16}, cores=3),
        local_exec=True,
        dag=dag,
    )


def test_the_line_of_progress_is_in_place_of_the_output_on_the_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "3"])
    output = Logging(monkeypatch, tmp_path)
    running = Running(workflow_with(tmp_path))
    running.calm_output(lambda rule, wildcards, threads: float(threads), speaking=("resolve",))
    assert output.names == ["DefaultLogFileHandler", "CalmOutput"]
    assert running._open_work(lambda rule, wildcards, threads: 7.0) == {0: JobWork("align", 7.0, 3)}
    output.file.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"printshellcmds": True},
        {"verbose": True},
        {"quiet": {"rules"}},
        {"dryrun": True},
        {"debug_dag": True},
        {"log_handler_settings": {"another": None}},
    ],
)
def test_who_asks_for_the_output_of_snakemake_gets_it(tmp_path, monkeypatch, capsys, settings):
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "3"])
    output = Logging(monkeypatch, tmp_path)
    running = Running(workflow_with(tmp_path, **settings))
    running.calm_output(lambda *job: 1.0)
    running.end_progress(failed=False)
    running.say("This will not fit.")
    assert output.names == ["DefaultStreamHandler", "DefaultLogFileHandler"]
    assert capsys.readouterr().err == "This will not fit.\n"
    output.file.close()


def test_output_of_a_job_of_another_workflow_and_of_an_unknown_snakemake_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "3"])
    output = Logging(monkeypatch, tmp_path)
    of_another = workflow_with(tmp_path)
    of_another.main_snakefile = str(tmp_path / "other" / "Snakefile")
    for workflow in (workflow_with(tmp_path, is_main=False), of_another):
        Running(workflow).calm_output(lambda *job: 1.0)
        assert output.names == ["DefaultStreamHandler", "DefaultLogFileHandler"]
    output.file.name = "LogFile"  # without a known log nothing is hidden
    Running(workflow_with(tmp_path)).calm_output(lambda *job: 1.0)
    assert output.names == ["DefaultStreamHandler", "LogFile"]
    output.file.close()


def test_paths_are_shown_as_from_where_the_command_was_called(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert Running.shown_path("results") == "mine/results"
    monkeypatch.setenv("PWD", str(tmp_path / "elsewhere"))
    assert Running.shown_path("results") == str(tmp_path / "mine" / "results")


def test_options_of_a_command():
    found = parse_command(["resolve", "--workflow-profile=x", "-n", "--config", "a=b", "--cores", "2"])
    assert (found.targets, found.workflow_profile, found.dryrun) == (["resolve"], "x", True)
    slurm = parse_command(["-n", "--workflow-profile", "slurm", "--set-threads", "align=3"], HOME)
    assert (slurm.executor, slurm.dryrun, slurm.jobs) == ("slurm", True, 100)
    assert slurm.set_threads["align"].value == 3
    assert parse_command(["-n"], HOME).executor is None
    assert parse_command(["--cores"]) == argparse.Namespace()  # no command of Snakemake's


def test_targets_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").touch()
    rules = {"resolve": set(), "all": set(), "align": {"shard"}}
    sound = ["resolve", "results/x.tsv", "here.txt"]
    assert target_faults(sound, rules, "results/x.tsv".__eq__) == []
    assert target_faults([*sound, "reslove", "align", "results/y.tsv"], rules, "results/x.tsv".__eq__) == [
        "reslove: neither a rule of this workflow nor a file that it makes; did you mean 'resolve'?",
        "align: this rule makes files of one shard each; name a file that it makes instead.",
        "results/y.tsv: neither a rule of this workflow nor a file that it makes; without a target everything is made"
        " (docs/outputs.md).",
    ]


ANCIENT = """
from scripts.core.workflow.snakemake import Running
Running(workflow).look_behind_ancient()

rule all:
    input: "list", "counts"

rule list:
    output: "list"
    shell: "touch list; echo list >>ran"

rule reads:
    output: temp("reads")
    input: ancient("list")
    shell: "touch reads; echo reads >>ran"

rule count:
    input: "reads", beside=ancient("list")
    output: "counts"
    params: config["option"]
    shell: "touch counts; echo count >>ran"
"""


@pytest.mark.parametrize(("option", "ran"), [(1, ["list"]), (2, ["count", "list", "reads"])])
def test_an_ancient_file_that_is_made_again_is_no_reason_for_the_jobs_behind_it(tmp_path, option, ran):
    (tmp_path / "Snakefile").write_text(ANCIENT)

    def call(option):
        options = ["--rerun-triggers", "mtime", "params", "--config", f"option={option}"]
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", *options]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(HOME)}, check=True)

    call(1)
    (tmp_path / "ran").unlink()
    (tmp_path / "list").unlink()
    call(option)
    assert sorted((tmp_path / "ran").read_text().split()) == ran
