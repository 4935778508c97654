"""What a long command tells of its progress: a bar on a terminal, plain lines in a log."""

import contextlib
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from scripts.reads import download
from tests.reads.analysis_directory import UNIT, Analysis

pytestmark = pytest.mark.tools

RUNS = [f"SRR900000{number}" for number in range(1, 5)]
FASTQ = ["--runs", f"{UNIT}.tsv", "--archives", f"work/download/{UNIT}", "--output", f"work/fastq/{UNIT}"]


@pytest.fixture
def analysis(tmp_path, server, world):
    made = Analysis(tmp_path, server, world, RUNS)
    server.fault(f"sra-pub-run-odp.*{RUNS[2]}", "stall", times=1, seconds=0.6)
    return made


def start(analysis, command, *words, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(download.__file__).parents[2])}
    command = [sys.executable, "-m", "scripts", command, *words]
    return subprocess.Popen(command, cwd=analysis.folder, env=environment, stdin=subprocess.DEVNULL, **options)


def on_terminal(analysis, columns, command, *words):
    """Run a command whose stderr is a terminal of so many columns; return what it printed there."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with start(analysis, command, *words, stderr=theirs) as job:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while piece := os.read(ours, 65536):
                told += piece
        os.close(ours)
        assert job.wait(timeout=60) == 0, told
    return told.decode()


def screen(told):
    """Return the lines that stand on the terminal in the end."""
    lines = [line.rpartition("\r")[2] for line in told.replace("\r\n", "\n").split("\n")]
    return [line.removeprefix("\x1b[K") for line in lines]


@pytest.mark.parametrize(("columns", "bar"), [(100, True), (40, False)])
def test_a_bar_moves_on_a_terminal(analysis, columns, bar):
    told = on_terminal(analysis, columns, "download", *analysis.words("--order", "ncbi", "--report", "0.02"))
    shown = re.findall(r"\r\x1b\[K([^\r\n]*(?<=/s))(?=\r(?!\n))", told)
    assert max(map(len, shown)) < columns or not bar
    pattern = r"\[(=*) *\] +(\d+)%  (\d) of 4 runs, [\d.]+ (?:bytes|kB), [\d.]+ (?:bytes|kB|MB)/s"
    bars = [re.fullmatch(pattern, line) for line in shown]
    assert all(bars) if bar else not any(bars)
    if bar:
        full, shares, done = zip(*((len(one[1]), int(one[2]), int(one[3])) for one in bars), strict=True)
        assert (full[0], full[-1]) == (0, 30)
        assert (shares[0], shares[-1]) == (0, 100) and any(0 < share < 100 for share in shares)
        assert list(done) == sorted(done) and done[-1] == 4
    lines = screen(told)
    assert [line.split(":")[0] for line in lines if "ready" in line] == RUNS
    assert lines[-1] == "" and lines[-2].startswith("Disk: at most ")


def test_a_bar_of_the_conversion(analysis):
    analysis.run("--order", "ncbi")
    told = on_terminal(analysis, 100, "fastq", *FASTQ)
    assert re.search(r"\r\x1b\[K\[=+ *\] +\d+%  2 of 4 runs, ", told)
    assert [line.split(":")[0] for line in screen(told) if "spots" in line] == RUNS


def test_a_log_has_plain_lines(analysis):
    for command, words in (
        ("download", analysis.words("--order", "ncbi", "--report", "0.02")),
        ("fastq", FASTQ),
    ):
        with (analysis.folder / "log").open("wb") as log, start(analysis, command, *words, stderr=log) as job:
            assert job.wait(timeout=60) == 0
        told = (analysis.folder / "log").read_text()
        assert "\r" not in told and "\x1b" not in told
        assert re.search(r"^SRR9000004: .*\. 4 of 4 runs, [\d.]+ [kM]B, [\d.]+ [kM]B/s$", told, re.MULTILINE)
