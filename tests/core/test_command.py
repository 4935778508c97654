"""A command that is a job of the workflow ends with it, in order where it can; by hand it is left alone."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from scripts.core.command import command_parser, ends_with, run_command

HOME = Path(__file__).parents[2]

COMMAND = """
import sys, time
from pathlib import Path
from scripts.core.command import run_command
from scripts.core.subprocesses import ends_with_command

def main():
    folder = Path(sys.argv[1])
    with ends_with_command():
        (folder / "started").touch()
        try:
            while not (folder / "finish").exists():
                time.sleep(0.02)
            (folder / "finished").touch()
        finally:
            (folder / "ended").touch()

run_command(main)
"""
# As Snakemake runs a job: through a shell, which outlives it.
WORKFLOW = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1] + '; true', 'bash', *sys.argv[2:]])"
CALL = '{variable} "$1" -c "$2" "$3" 2>"$3/log"'


def started(folder, variable):
    shell = CALL.format(variable=variable)
    words = [sys.executable, "-c", WORKFLOW, shell, sys.executable, COMMAND, folder]
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    workflow = subprocess.Popen(words, env=environment, start_new_session=True)
    await_that((folder / "started").exists)
    return workflow


def await_that(true, seconds=10.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("killed", ["workflow", "shell"])
def test_a_job_ends_in_order_with_its_workflow_and_its_shell(tmp_path, killed):
    workflow = started(tmp_path, 'SRA2MATRIX_WORKFLOW="$PPID $$"')
    if killed == "workflow":
        workflow.kill()
    else:
        (shell,) = psutil.Process(workflow.pid).children()
        shell.kill()
    workflow.wait()
    await_that((tmp_path / "ended").exists)
    assert not (tmp_path / "finished").exists()
    assert (tmp_path / "log").read_text() == ""


def test_a_job_whose_shell_ended_before_it_looked_ends(tmp_path):
    shell = subprocess.Popen(["true"])
    shell.wait()
    words = [sys.executable, "-c", COMMAND, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(HOME), "SRA2MATRIX_WORKFLOW": f"{os.getpid()} {shell.pid}"}
    job = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    assert job.wait(10) != 0
    assert not (tmp_path / "finished").exists()


def test_the_thread_that_looks_for_the_workflow_ends_before_the_command_does():
    before = threading.enumerate()
    with ends_with([os.getpid()]):
        assert len(threading.enumerate()) == len(before) + 1
    assert threading.enumerate() == before


@pytest.mark.parametrize("variable", ["", "SRA2MATRIX_WORKFLOW="])
def test_a_command_by_hand_goes_on(tmp_path, variable):
    workflow = started(tmp_path, variable)
    workflow.kill()
    workflow.wait()
    (tmp_path / "finish").touch()
    await_that((tmp_path / "ended").exists)
    assert (tmp_path / "finished").exists()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "[Errno 28] No space left on device: 'a/b'"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_full_disk_is_no_traceback(capsys, error, fault):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 1
    words = "The machine has too little memory or room on a disk, or a disk fails: "
    assert capsys.readouterr().err == f"{words}{fault}.\n"


def test_an_unexpected_error_keeps_its_traceback():
    def main():
        raise FileNotFoundError(errno.ENOENT, "no", "a")

    with pytest.raises(FileNotFoundError):
        run_command(main)


def test_help_is_the_docstring_and_shows_the_defaults(capsys):
    parser = command_parser("Count.\n\nAs it is\n    laid out.\n")
    parser.add_argument("--order", nargs="+", default=["a", "b"], help="sources")
    parser.add_argument("--size", type=int, default=7, help="cells")
    parser.add_argument("--share", default="5 %", help="part")
    parser.add_argument("--other", help="file")
    parser.add_argument("--least", type=int, default=0, help="reads")
    parser.add_argument("--no-sra", action="store_false", help="leave it out")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    printed = capsys.readouterr().out
    assert printed.index("Count.\n") < printed.index("options:") < printed.index("As it is\n    laid out.\n")
    words = " ".join(printed.split())
    for line in ("sources (default: a b)", "cells (default: 7)", "part (default: 5 %)", "reads (default: 0)"):
        assert line in words
    assert "leave it out As it is" in words  # a flag has no default to show
