"""Workflows and jobs that are killed: nothing goes on behind their back, no shared memory stays, and the same command,
called again, completes with the bytes of a run that nobody disturbed."""

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shared_memory import segments_of
from tests.toy import catalogue
from tests.toy.demo import HOME
from tests.toy.server import Server
from tests.workflow.killed import KilledAnalysis, await_that, kill_alone, kill_group, nothing_goes_on

pytestmark = pytest.mark.tools


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    analysis = KilledAnalysis(world, tmp_path_factory.mktemp("undisturbed") / "analysis")
    with Server(world) as server:
        analysis.run(server)
    assert not segments_of(analysis.folder)
    return analysis.sums()


@pytest.fixture
def analysis(world, tmp_path):
    made = KilledAnalysis(world, tmp_path / "analysis")
    yield made
    for workflow in made.started:  # a test that fails leaves none behind
        if workflow.poll() is None:
            kill_group(workflow)


@pytest.mark.parametrize("kill", [kill_group, kill_alone])
def test_a_workflow_killed_in_a_download(world, analysis, undisturbed, kill):
    with Server(world) as server:
        fault = server.fault("sra-pub-run-odp.*SRR9000207", "stall", times=1)
        workflow = analysis.start(server)
        await_that(lambda: fault.left == 0 and analysis.processes(re.compile("prefetch")), workflow, analysis)
        assert analysis.processes(re.compile("-m scripts download"))
        kill(workflow)
        assert list((analysis.folder / ".snakemake/locks").iterdir())
        nothing_goes_on(analysis)
        analysis.run(server)
    assert analysis.sums() == undisturbed
    assert not segments_of(analysis.folder)


@pytest.mark.parametrize(
    ("kill", "words"), [(kill_group, "-m scripts fastq"), (kill_alone, "-m scripts align"), (kill_group, "STAR-.*Load")]
)
def test_a_workflow_killed_in_a_conversion_or_an_alignment(world, analysis, undisturbed, kill, words):
    with Server(world) as server:
        workflow = analysis.start(server)
        await_that(lambda: analysis.processes(re.compile(words)), workflow, analysis)
        kill(workflow)
        nothing_goes_on(analysis)
        assert not (analysis.folder / "results/runs.tsv").exists()
        analysis.run(server)
    assert analysis.sums() == undisturbed
    assert not segments_of(analysis.folder)


@pytest.mark.parametrize("mark", ["left", "removed"])
def test_a_folder_of_which_half_is_left(world, analysis, undisturbed, mark):
    """As a removal that is cut off leaves it; the folder is made anew, and no good cell is failed."""
    with Server(world) as server:
        workflow = analysis.start(server)
        await_that(lambda: analysis.processes(re.compile("-m scripts align")), workflow, analysis)
        kill_group(workflow)
        nothing_goes_on(analysis)
        folders = [path.parent for path in (analysis.folder / "work").glob("*/*/.whole.tsv")]
        assert {folder.parent.name for folder in folders} >= {"fastq"}
        for folder in folders:
            for path in sorted(folder.glob("*[1-9]*"))[::2]:
                path.unlink()
            (folder / ".snakemake_timestamp").unlink(missing_ok=True)
            if mark == "removed":
                (folder / ".whole.tsv").unlink()
        analysis.run(server)
    assert "A job or a removal was cut off; what it left is removed: work/fastq/" in analysis.reported(1 << 20)
    assert analysis.sums() == undisturbed


@pytest.mark.parametrize("ended", ["after its workflow", "when it was killed"])
def test_a_conversion_whose_end_snakemake_did_not_see_is_made_anew_with_its_download(
    world, analysis, undisturbed, ended
):
    """On a cluster jobs go on: Snakemake does not know that the reads are whole, and removes them.

    It has removed them where a job was killed when it was done.
    """
    with Server(world) as server:
        workflow = analysis.start(server)
        await_that(lambda: analysis.processes(re.compile("-m scripts align")), workflow, analysis)
        kill_group(workflow)
        nothing_goes_on(analysis)
        (reads, *_) = sorted((analysis.folder / "work/fastq").glob("*.*"))
        archives = analysis.folder / "work/download" / reads.name
        archives.mkdir(parents=True)
        for run in sorted({path.name.partition("_")[0].partition(".")[0] for path in reads.glob("[SED]RR*")}):
            (archives / f".{run}.converted").touch()
        (archives / ".whole.tsv").write_text("".join(f"{path.name}\t0\n" for path in archives.glob(".*.converted")))
        if ended == "after its workflow":
            name = base64.urlsafe_b64encode(f"work/fastq/{reads.name}".encode()).decode()
            (analysis.folder / ".snakemake/incomplete" / name).touch()
        else:
            shutil.rmtree(reads)
        analysis.run(server)
    assert analysis.sums() == undisturbed


def test_a_script_of_star_that_is_killed_takes_the_program_with_it(world, analysis, undisturbed):
    """Debian's STAR is a script around the program; two programs would write into one folder."""
    with Server(world) as server:
        workflow = analysis.start(server)
        scripts = re.compile(r"bash \S*/STAR .*LoadAndKeep")
        try:
            await_that(lambda: analysis.processes(scripts), workflow, analysis)
        except AssertionError:
            pytest.skip("STAR is no script here")
        for process in analysis.processes(scripts):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert workflow.wait(timeout=180) == 0, analysis.reported()
    assert analysis.sums() == undisturbed
    assert not segments_of(analysis.folder)


def test_a_star_killed_in_an_alignment(world, analysis, undisturbed):
    with Server(world) as server:
        workflow = analysis.start(server)
        stars = re.compile(r"STAR-\w+ .*LoadAndKeep")
        await_that(lambda: analysis.processes(stars), workflow, analysis)
        for process in analysis.processes(stars):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert workflow.wait(timeout=180) == 0, analysis.reported()
    logs = "".join(path.read_text(encoding="utf-8") for path in (analysis.folder / "logs/align").iterdir())
    assert "STAR was ended by SIGKILL; was there too little memory? It is aligned once more." in logs
    assert analysis.sums() == undisturbed
    assert not segments_of(analysis.folder)


def test_a_star_killed_while_it_counts_a_library(world, tmp_path):
    """A process that is killed is no fault of the run: the job fails, and the same command completes."""
    choices = {"series": [catalogue.DROPLET], "leave_out": {catalogue.LIBRARY_V3: "for speed"}}
    analysis, other = (KilledAnalysis(world, tmp_path / name, **choices) for name in ("analysis", "other"))
    with Server(world) as server:
        workflow = analysis.start(server)
        stars = re.compile(r"STAR-\w+ .*soloType")
        await_that(lambda: analysis.processes(stars), workflow, analysis)
        for process in analysis.processes(stars):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert workflow.wait(timeout=180) == 1
        assert (
            "STAR was ended by SIGKILL; was there too little memory? Run the same command again." in analysis.reported()
        )
        assert not (analysis.folder / "results/runs.tsv").exists()
        nothing_goes_on(analysis)
        analysis.run(server)
        other.run(server)
    assert analysis.sums() == other.sums()
    assert any((analysis.folder / "results/mex" / catalogue.LIBRARY_V2).iterdir())
    assert not segments_of(analysis.folder)


def test_an_orphan_is_waited_for(tmp_path):
    """Where a job outlives its workflow after all, as on a cluster, the next one with the same log waits for it."""
    code = """
import sys, time
from pathlib import Path
from scripts.core.command import run_command

def main():
    Path(sys.argv[1]).write_text("started")
    while not Path(sys.argv[2]).exists():
        time.sleep(0.02)
    Path(sys.argv[1]).write_text("ended")

run_command(main)
"""
    environment = {**os.environ, "PYTHONPATH": str(HOME), "SRA2MATRIX_WORKFLOW": str(os.getpid())}

    def job(name, finish):
        with (tmp_path / "log").open("a") as log:
            words = [sys.executable, "-c", code, tmp_path / name, tmp_path / finish]
            return subprocess.Popen(words, env=environment, stderr=log)

    first = job("first", "finish")
    await_file(tmp_path / "first")
    second = job("second", "log")
    until = time.monotonic() + 20
    while "An earlier job still writes the same files: waiting for its end." not in (tmp_path / "log").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not (tmp_path / "second").exists()
    (tmp_path / "finish").touch()
    await_file(tmp_path / "second")
    assert (tmp_path / "first").read_text() == "ended"
    assert (first.wait(), second.wait()) == (0, 0)


def await_file(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
