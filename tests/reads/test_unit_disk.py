"""Room on the disk of a unit; its progress, as a bar on a terminal and as plain lines in a log."""

import contextlib
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from scripts.core.errors import DISK_FULL, RunFault
from scripts.plan.run_table import Run
from scripts.reads import download
from scripts.reads.unit_disk import DiskRoom
from tests.reads.analysis_directory import UNIT, Analysis

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
        output = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while piece := os.read(ours, 65536):
                output += piece
        os.close(ours)
        assert job.wait(timeout=60) == 0, output
    return output.decode()


def screen(output):
    """Return the lines that stand on the terminal in the end."""
    lines = [line.rpartition("\r")[2] for line in output.replace("\r\n", "\n").split("\n")]
    return [line.removeprefix("\x1b[K") for line in lines]


@pytest.mark.tools
@pytest.mark.parametrize(("columns", "bar"), [(100, True), (40, False)])
def test_a_bar_moves_on_a_terminal(analysis, columns, bar):
    output = on_terminal(analysis, columns, "download", *analysis.words("--order", "ncbi", "--report", "0.02"))
    shown = re.findall(r"\r\x1b\[K([^\r\n]*(?<=/s))(?=\r(?!\n))", output)
    assert max(map(len, shown)) < columns or not bar
    pattern = r"\[(=*) *\] +(\d+)%  (\d) of 4 runs, [\d.]+ (?:bytes|kB), [\d.]+ (?:bytes|kB|MB)/s"
    bars = [re.fullmatch(pattern, line) for line in shown]
    assert all(bars) if bar else not any(bars)
    if bar:
        full, shares, done = zip(*((len(one[1]), int(one[2]), int(one[3])) for one in bars), strict=True)
        assert (full[0], full[-1]) == (0, 30)
        assert (shares[0], shares[-1]) == (0, 100) and any(0 < share < 100 for share in shares)
        assert list(done) == sorted(done) and done[-1] == 4
    lines = screen(output)
    assert [line.split(":")[0] for line in lines if "ready" in line] == RUNS
    assert lines[-1] == "" and lines[-2].startswith("Disk: at most ")


@pytest.mark.tools
def test_a_bar_of_the_conversion(analysis):
    analysis.run("--order", "ncbi")
    output = on_terminal(analysis, 100, "fastq", *FASTQ)
    assert re.search(r"\r\x1b\[K\[=+ *\] +\d+%  2 of 4 runs, ", output)
    assert [line.split(":")[0] for line in screen(output) if "spots" in line] == RUNS


@pytest.mark.tools
def test_a_log_has_plain_lines(analysis):
    for command, words in (
        ("download", analysis.words("--order", "ncbi", "--report", "0.02")),
        ("fastq", FASTQ),
    ):
        with (analysis.folder / "log").open("wb") as log, start(analysis, command, *words, stderr=log) as job:
            assert job.wait(timeout=60) == 0
        output = (analysis.folder / "log").read_text()
        assert "\r" not in output and "\x1b" not in output
        assert re.search(r"^SRR9000004: .*\. 4 of 4 runs, [\d.]+ [kM]B, [\d.]+ [kM]B/s$", output, re.MULTILINE)


ROWS = [Run(experiment=f"SRX{number}", run=f"SRR{number}", assay="plate", bytes="1000") for number in (1, 2)]


def test_runs_side_by_side_share_the_room_below_the_limit(tmp_path):
    finished = 100
    room = DiskRoom(tmp_path, ROWS, 2e-6, lambda: finished)
    room.reserve(ROWS[0], 1000, "the archive has 1 kB")
    with pytest.raises(RunFault, match=r"^DISK_LIMIT: the archive has 1 kB, which passes scratch\.limit_gb") as fault:
        room.reserve(ROWS[1], 1000, "the archive has 1 kB")
    assert fault.value.cause == ""
    room.reserve(ROWS[1], 900, "the archive has 900 bytes")  # instead of what it had reserved before
    room.release(ROWS[0])
    room.reserve(ROWS[1], 1900, "the archive has 2 kB")
    finished = 101
    with pytest.raises(RunFault, match="DISK_LIMIT"):
        room.reserve(ROWS[1], 1900, "the archive has 2 kB")


def test_a_full_disk_is_another_cause_than_the_limit(tmp_path):
    room = DiskRoom(tmp_path, ROWS, None, lambda: 0)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(RunFault, match=r"DISK_LIMIT: it may need much, and the disk has no room for it\.") as fault:
        room.reserve(ROWS[0], 3 * free, "it may need much", arrived=free)
    assert fault.value.cause == DISK_FULL
    room.reserve(ROWS[0], 3 * free, "it may need much", arrived=3 * free)


def test_what_is_left_for_a_run(tmp_path):
    room = DiskRoom(tmp_path, ROWS, 2e-6, lambda: 300)
    room.reserve(ROWS[0], 500, "x")
    room.reserve(ROWS[1], 900, "x")
    assert room.left_for(ROWS[0]) == 2000 - 300 - 900
    assert room.left_for(ROWS[1]) == 2000 - 300 - 500
    assert DiskRoom(tmp_path, ROWS, 1e-7, lambda: 300).left_for(ROWS[0]) == 0
    assert DiskRoom(tmp_path, ROWS, None, lambda: 300).left_for(ROWS[0]) == float("inf")
