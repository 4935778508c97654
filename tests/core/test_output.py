"""What is printed never controls the terminal and never shows a secret."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.output import printable

HOME = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07\r\x08", r"\x1b[2J\x07\x0d\x08"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\u202etxt.exe\u2066\u2069\u200f\u2028", r"a\u202etxt.exe\u2066\u2069\u200f\u2028"),
        ("\udc9b", r"\udc9b"),
        ("µ, 3′, 細胞\tand\nline", "µ, 3′, 細胞\tand\nline"),
        ("", ""),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


COMMAND = """
import os, sys
from scripts.core.command import run_command
from scripts.core.errors import InputError
from scripts.core.progress import Progress

def main():
    print("\\x1b]0;title\\x07 out\\udc80 https://me:pw5pw5@host")
    shown = Progress(1)
    shown.report("SRR1: \\x1b[2J NCBI says 0123456789")
    shown.show(10, 0.5)
    shown.end()
    if sys.argv[1] == "bug":
        raise ValueError("\\x9b2J ?sig=0123456789")
    raise InputError("'\\x1b[8m' is not a name")

run_command(main)
"""


def run(kind, **streams):
    environment = {**os.environ, "NCBI_API_KEY": "0123456789", "PYTHONPATH": str(HOME)}
    return subprocess.run([sys.executable, "-c", COMMAND, kind], env=environment, **streams)


def test_a_command_prints_no_control_character():
    done = run("fault", capture_output=True)
    assert done.returncode == 2
    assert done.stdout == b"\\x1b]0;title\\x07 out\\udc80 https://me:***@host\n"
    assert done.stderr.splitlines() == [b"SRR1: \\x1b[2J NCBI says ***", b"'\\x1b[8m' is not a name"]
    assert run("bug", capture_output=True).stderr.splitlines()[-1] == b"ValueError: \\x9b2J ?sig=***"


def test_the_bar_on_a_terminal_still_clears_its_line():
    terminal, end = pty.openpty()
    assert run("fault", stdout=subprocess.DEVNULL, stderr=end).returncode == 2
    os.close(end)
    printed = os.read(terminal, 10_000)
    os.close(terminal)
    lines = printed.split(b"\r\x1b[K")
    assert lines[0] == b""
    assert lines[1].startswith(b"SRR1: \\x1b[2J NCBI")
    assert lines[2].startswith(b"[===")
    assert lines[3].startswith(b"'\\x1b[8m' is not a name")


def test_streams_that_are_one_stay_one():
    code = (
        "import contextlib, sys; from scripts.core.output import guard_output\n"
        "with contextlib.redirect_stdout(sys.stderr):\n"
        "    guard_output(); print('\\x1b[2J')\n"
        "print('after'); print('\\x07', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("after\n", "\\x1b[2J\n\\x07\n")
