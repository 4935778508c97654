"""One run that breaks its download or conversion is that run's failure; a fault of the machine is the job's."""

import errno
import os
import re
from pathlib import Path

import pytest

from scripts.core.errors import Interrupted, MachineFault
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.reads import download, fastq

RUNS = ("SRR1", "SRR2", "SRR3")
UNIT = "GSE1.mus.0000.tsv"


@pytest.fixture(params=[1, 2])
def unit(request, tmp_path, monkeypatch):
    """A unit of three runs of the user's own FASTQ, whose commands run with one or two threads."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for run in RUNS:
        Path(f"{run}.fastq").write_text("@r1\nACGTACGTACGTACGT\n+\nIIIIIIIIIIIIIIII\n")
        row = Run("GSE1", experiment=f"SRX{run[3:]}", run=run, species="mus", assay="plate", layout="single")
        rows.append(row._replace(status="planned", source=f"file:{run}.fastq"))
    write_runs(UNIT, rows)
    Path("archives").mkdir()
    write_statuses("archives/status.tsv", [RunStatus(run, source=f"file:{run}.fastq") for run in RUNS])
    return str(request.param)


def convert(threads: str) -> dict[str, RunStatus]:
    fastq.main(["--runs", UNIT, "--archives", "archives", "--output", "fastq", "--threads", threads])
    return read_statuses("fastq/status.tsv")


def fetch(parallel: str) -> dict[str, RunStatus]:
    words = ["--runs", UNIT, "--records", "records", "--resolver", "http://127.0.0.1:9", "--parallel", parallel]
    download.main([*words, "--output", "work/download/GSE1"])
    return read_statuses("work/download/GSE1/status.tsv")


STAGES = {"conversion": (convert, fastq, "convert", 0), "download": (fetch, download.Downloader, "_check_local", 1)}


def break_stage(monkeypatch, stage, errors):
    """Let the work on a run raise ``errors[run]``; return the command of the stage."""
    command, owner, name, position = STAGES[stage]
    whole = getattr(owner, name)

    def work(*arguments):
        if (run := arguments[position].run) in errors:
            raise errors[run]
        return whole(*arguments)

    monkeypatch.setattr(owner, name, work)
    return command


@pytest.mark.parametrize(("stage", "reason"), [("conversion", "ARCHIVE_CORRUPT"), ("download", "DOWNLOAD_FAILED")])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TypeError("sequence item 0: expected str instance, int found"), "TypeError: sequence item 0: expected str"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "UnicodeEncodeError: 'ascii' codec can't encode"),
        (ValueError("Invalid IPv6 URL"), "ValueError: Invalid IPv6 URL"),
        (PermissionError(errno.EACCES, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
        (RecursionError(), "RecursionError; its log has the traceback."),
    ],
)
def test_one_run_that_breaks_a_stage_fails_alone(unit, monkeypatch, capsys, stage, reason, error, words):
    statuses = break_stage(monkeypatch, stage, {"SRR2": error})(unit)
    assert [statuses[run].state for run in RUNS] == ["ok", "failed", "ok"]
    assert statuses["SRR2"].reason == reason
    assert f"an error that this workflow does not know, {words}" in statuses["SRR2"].detail
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said and f"SRR2: {reason}" in said


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE)),
        *(MemoryError(), MachineFault("The program 'x' was not found."), Interrupted("x was ended by SIGKILL.")),
    ],
)
def test_a_fault_of_the_machine_fails_the_job(unit, monkeypatch, stage, error):
    with pytest.raises((Interrupted, MachineFault), match=re.escape(str(error) or "MemoryError")):
        break_stage(monkeypatch, stage, {"SRR2": error})(unit)
    assert not Path("fastq/status.tsv").exists() and not Path("work/download/GSE1/status.tsv").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_what_may_be_the_machines_and_meets_all_runs_is_the_machines(unit, monkeypatch, stage):
    errors = {run: PermissionError(errno.EACCES, "Permission denied") for run in RUNS}
    with pytest.raises(Interrupted, match=r"All 3 runs failed alike, .*Permission denied"):
        break_stage(monkeypatch, stage, errors)(unit)


@pytest.mark.parametrize("stage", STAGES)
def test_all_runs_that_break_a_stage_are_still_their_own_fault(unit, monkeypatch, stage):
    statuses = break_stage(monkeypatch, stage, {run: TypeError("no text") for run in RUNS})(unit)
    assert {status.state for status in statuses.values()} == {"failed"}
