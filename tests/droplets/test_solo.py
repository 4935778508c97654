"""The statuses of a library's runs before it is counted; test_whole_droplets.py counts with STAR."""

import os

import pytest

from scripts.core.errors import MACHINE, Interrupted, MachineFault, RunFault
from scripts.droplets import solo
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus


def test_runs_that_are_aside_do_not_fail_the_library():
    rows = [Run(run=f"R{number}") for number in range(1, 5)]
    statuses = {row.run: RunStatus(row.run) for row in rows}
    statuses["R3"] = RunStatus("R3", "joined")
    statuses["R4"] = RunStatus("R4").failed(RunFault("EMPTY_READS", "the archive and the record have no spot."))
    index = {"fault": {"reason": "INDEX_READS_ONLY", "detail": "the run holds only index reads (10, 10 nt)."}}
    good = {"roles": "barcode,cdna", "chemistry": "10x_3p_v3"}
    after = solo.gather_faults(rows, statuses, {"R1": good, "R2": index})
    assert [after[row.run].state for row in rows] == ["ok", "left_out", "joined", "left_out"]
    assert after["R2"].detail == "the run holds only index reads (10, 10 nt)."
    after = solo.gather_faults(rows[1:2], statuses, {"R2": index})
    assert after["R2"].state == "left_out"


def test_a_run_without_rna_is_left_out_of_its_library():
    rows = [Run(run="R1"), Run(run="R2")]
    tags = {"fault": {"reason": "NOT_RNA", "detail": "tags; the library is counted from R1."}}
    good = {"roles": "barcode,cdna", "chemistry": "10x_5p_v2"}
    after = solo.gather_faults(rows, {run: RunStatus(run) for run in ("R1", "R2")}, {"R1": good, "R2": good | tags})
    assert [(one.state, one.reason) for one in after.values()] == [("ok", ""), ("left_out", "NOT_RNA")]
    assert after["R2"].detail == "tags; the library is counted from R1."


def test_a_fault_of_one_run_fails_the_library():
    rows = [Run(run="R1"), Run(run="R2"), Run(run="R3")]
    statuses = {"R1": RunStatus("R1"), "R2": RunStatus("R2"), "R3": RunStatus("R3")}
    good = {"roles": "barcode,cdna", "chemistry": "10x_3p_v3"}
    fault = {"fault": {"reason": "BARCODE_TRIMMED", "detail": "short."}}
    after = solo.gather_faults(rows, statuses, {"R1": good, "R2": good | fault})
    assert (after["R2"].reason, after["R2"].read_roles) == ("BARCODE_TRIMMED", "barcode,cdna")
    assert after["R3"].reason == "LAYOUT_AMBIGUOUS"
    assert after["R1"].reason == "INCOMPLETE_EXPERIMENT"
    assert after["R1"].detail == "run R2 of the same library failed (BARCODE_TRIMMED): short."
    assert all(status.ok for status in solo.gather_faults(rows[:1], statuses, {"R1": good}).values())
    assert solo.gather_faults(rows[:1], {}, {"R1": good})["R1"].reason == "READS_MISSING"


@pytest.fixture
def put_star(tmp_path, monkeypatch):
    """Return a function that puts a script in the place of STAR."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def put(script):
        (tmp_path / "STAR").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "STAR").chmod(0o755)

    return put


CRASH = RunFault("ALIGN_FAILED", "STAR was ended by SIGSEGV.", MACHINE)


def test_a_library_at_which_star_crashes_fails_alone(tmp_path, put_star):
    put_star("exit 0")  # it aligns a read of our own
    assert solo.fault_of_library(CRASH, tmp_path, tmp_path) is CRASH
    put_star("kill -SEGV $$")
    with pytest.raises(MachineFault, match="STAR fails on any read, also on one of our own"):
        solo.fault_of_library(CRASH, tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["STAR"]


def test_an_unexpected_error_is_that_of_the_library(tmp_path, put_star, capsys):
    fault = solo.fault_of_library(ZeroDivisionError("division by zero"), tmp_path, tmp_path)
    assert fault.reason == "COUNT_FAILED" and "ZeroDivisionError: division by zero" in fault.detail
    assert "ZeroDivisionError" in capsys.readouterr().err
    for error in (OSError(28, "No space left on device"), FileNotFoundError("index"), MemoryError(), Interrupted("x")):
        with pytest.raises((OSError, Interrupted)):
            solo.fault_of_library(error, tmp_path, tmp_path)
