"""Downloads that are killed: no program outlives them, and the next job resumes what has arrived."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.core.disk.files import size_of_folder
from scripts.reads import download
from tests.reads.analysis_directory import UNIT, Analysis
from tests.toy import archives
from tests.toy.reads import Read
from tests.toy.server import Server
from tests.toy.world import World

pytestmark = pytest.mark.tools

ONE, HEAVY, LAST = "SRR9000001", "SRR9000003", "SRR9000004"
RUNS = [ONE, HEAVY, LAST]


@pytest.fixture(scope="module")
def heavy(world, tmp_path_factory):
    """The toy world, but one of its archives is of several MB, so that a part of it can be on disk."""
    folder = tmp_path_factory.mktemp("heavy")
    for path in world.folder.iterdir():
        if path.name not in ("sra", "archives.json"):
            (folder / path.name).symlink_to(path)
    (folder / "sra").mkdir()
    for run in (ONE, LAST):
        (folder / f"sra/{run}.sra").symlink_to(world.sra / f"{run}.sra")
    dice = random.Random(7)
    letters = ["".join(dice.choices("ACGT", k=2000)) for _ in range(50)]
    spots = []
    for _ in range(60000):
        start = dice.randrange(1900)
        quality = "".join(dice.choices("!#%')+-/13579;=?", k=100))
        spots.append((Read(dice.choice(letters)[start : start + 100], quality),))
    made = archives.load(folder / f"sra/{HEAVY}.sra", spots, "B")
    facts = json.loads((world.folder / "archives.json").read_text())
    facts["archives"][HEAVY] = made._asdict()
    (folder / "archives.json").write_text(json.dumps(facts))
    return World(folder)


@pytest.fixture
def analysis(heavy, tmp_path):
    with Server(heavy) as server:
        yield Analysis(tmp_path, server, heavy, RUNS)


def started(analysis, *options):
    environment = {**os.environ, "PYTHONPATH": str(Path(download.__file__).parents[2])}
    words = [sys.executable, "-m", "scripts", "download", *analysis.words(*options)]
    return subprocess.Popen(words, cwd=analysis.folder, env=environment, stderr=subprocess.PIPE, text=True)


def wait_until(true, seconds=15):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def prefetches(analysis):
    """The prefetch processes at work in the analysis directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            called = (process / "cmdline").read_bytes().split(b"\0")[0]
            if called.endswith(b"prefetch") and (process / "cwd").readlink() == analysis.folder:
                found.append(process.name)
    return found


@pytest.mark.parametrize("source", ["sra", "ncbi"])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_job_is_taken_up_where_it_was(analysis, kind, source):
    fault = analysis.server.fault(f"(sra-pub-run-odp|vol1).*{HEAVY}", "stall", share=0.6)
    part = analysis.folder / "work/partial" / UNIT / HEAVY
    job = started(analysis, "--order", source, "--patience", "60")
    wait_until(lambda: 0 < analysis.sent(HEAVY) < size_of_folder(part) + (1 << 20))
    job.send_signal(kind)
    assert job.wait(timeout=10) in (-9, 143)
    job.stderr.close()
    wait_until(lambda: not prefetches(analysis), seconds=5)
    shutil.rmtree(analysis.output)  # as Snakemake does before it tries again
    fault.left = 0
    analysis.run("--order", source)
    for run in analysis.runs:
        analysis.check_served(run, source)
        size = len(analysis.original(run))
        assert size <= analysis.sent(run) <= size + (1 << 20)  # a piece that was not yet on disk
    assert [path.name for path in (analysis.folder / "work").iterdir()] == ["download"]


@pytest.mark.parametrize("source", ["ncbi", "ena"])
def test_a_server_that_cuts_every_transfer_short_is_asked_as_long_as_more_arrives(analysis, source):
    fault = analysis.server.fault(f"(sra-pub-run-odp|vol1).*{HEAVY}", "cut", times=2, share=0.4)
    analysis.run("--order", source, "--more-passes", "0")
    assert fault.left == 0
    analysis.check_served(HEAVY, source)
    assert analysis.sent(HEAVY) == len(analysis.original(HEAVY))


def test_of_broken_transfers_the_largest_part_is_kept(analysis, monkeypatch):
    """The second source gives more than the first, the third nothing: then that of the second is kept."""
    analysis.server.fault(f"sra-pub-run-odp.*{HEAVY}", "stall", share=0.6)
    analysis.server.fault(f"vol1.*{HEAVY}", "stall", share=0.2)
    seen = []
    keep = download._keep_largest

    def look(folder):
        keep(folder)
        seen.append({path.parent.name: path.stat().st_size for path in folder.glob("*/*.part")})

    monkeypatch.setattr(download, "_keep_largest", look)
    analysis.run("--order", "ena", "ncbi", "--more-passes", "0", "--patience", "0.5")
    size = len(analysis.original(HEAVY))
    sources = [source for parts in seen for source in parts]
    assert sources[:3] == ["ena", "ncbi", "ncbi"] and all(len(parts) == 1 for parts in seen)
    assert seen[1]["ncbi"] > 0.4 * size
    assert analysis.statuses()[HEAVY].reason == "DOWNLOAD_FAILED"
    assert [path.name for path in (analysis.folder / "work").iterdir()] == ["download"]


def test_a_job_whose_output_is_taken_away_ends_and_the_next_one_goes_on(analysis):
    analysis.server.fault(f"(sra-pub-run-odp|vol1).*{HEAVY}", "stall", times=1, share=0.6)
    job = started(analysis, "--order", "ncbi", "--patience", "60", "--report", "0.1")
    wait_until(lambda: analysis.sent(HEAVY) > 0)
    shutil.rmtree(analysis.output)
    analysis.run("--order", "ncbi")
    assert job.wait(timeout=10) == 143
    assert "has been removed: this job ends." in job.stderr.read()
    job.stderr.close()
    for run in analysis.runs:
        analysis.check_served(run, "ncbi")
