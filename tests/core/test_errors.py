"""Errors that commands share: all faults at once, a line each."""

import errno
import os

import pytest

from scripts.core.errors import (
    MACHINE,
    InputError,
    Interrupted,
    MachineFault,
    RunFault,
    fault_of_run,
    is_of_machine,
    raise_faults,
    raise_if_all_alike,
    try_all,
)


def test_all_faults_are_one_error():
    raise_faults("The table", [])
    with pytest.raises(InputError) as caught:
        raise_faults("The table", (f"line {number}: no run." for number in (2, 5)))
    assert str(caught.value) == "The table needs 2 corrections:\nline 2: no run.\nline 5: no run."


def test_faults_of_many_names_that_are_alike_are_one_line():
    faults = [f"c{number}: give its {what}." for number in range(30) for what in ("species", "assay")]
    with pytest.raises(InputError) as caught:
        raise_faults("The table", [*faults, "c31: give its run: a name.", "c32: give its run: a name."])
    assert str(caught.value).splitlines() == [
        "The table needs 4 corrections:",
        "c0, c1, c2 and 27 more: give its species.",
        "c0, c1, c2 and 27 more: give its assay.",
        "c31: give its run: a name.",
        "c32: give its run: a name.",
    ]


def test_every_item_is_tried():
    def half(number: int) -> int:
        if number % 2:
            raise InputError(f"{number} is odd.")
        return number // 2

    assert try_all(half, [4, 0]) == [2, 0]
    with pytest.raises(InputError, match=r"^1 is odd\.\n3 is odd\.$"):
        try_all(half, [1, 2, 3])
    with pytest.raises(TypeError):  # a bug keeps its traceback
        try_all(half, ["1"])


def test_a_fault_of_a_run_has_code_sentence_and_cause():
    fault = RunFault("DISK_LIMIT", "no room.", "disk_full")
    assert (fault.reason, fault.detail, fault.cause) == ("DISK_LIMIT", "no room.", "disk_full")
    assert RunFault("EMPTY_READS", "no reads.").cause == ""


def test_a_hundred_faults_are_told_at_once():
    with pytest.raises(InputError) as caught:
        raise_faults("The list", (f"line {number}" for number in range(1234)))
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[100], lines[101:]) == (
        "The list needs 1234 corrections:",
        "line 99",
        ["… and 1,134 more."],
    )


def test_an_error_in_the_work_on_a_run_is_its_fault(capsys):
    own = RunFault("EMPTY_READS", "no reads.")
    assert fault_of_run(own, "ALIGN_FAILED") is own
    told = fault_of_run(InputError("x.fastq: not\nFASTQ."), "READS_MISSING")
    assert (told.reason, told.detail, told.cause) == ("READS_MISSING", "x.fastq: not FASTQ.", "")
    assert capsys.readouterr().err == ""
    try:
        int("9" * 5000)
    except ValueError as error:
        unknown = fault_of_run(error, "DOWNLOAD_FAILED")
    assert unknown.reason == "DOWNLOAD_FAILED"
    assert unknown.detail.startswith("an error that this workflow does not know, ValueError: Exceeds the limit")
    assert unknown.detail.endswith("; its log has the traceback.") and unknown.cause == ""
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert len(fault_of_run(KeyError("x" * 10_000), "COUNT_FAILED").detail) < 600
    assert fault_of_run(PermissionError(13, "Permission denied", "work/x"), "COUNT_FAILED").cause == MACHINE


@pytest.mark.parametrize(
    "error",
    [
        *(Interrupted("STAR was ended."), MachineFault("The program 'STAR' was not found."), MemoryError()),
        *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENOMEM)),
    ],
)
def test_a_fault_of_the_machine_is_that_of_no_run(error):
    assert is_of_machine(error)
    with pytest.raises((Interrupted, MachineFault)) as caught:
        fault_of_run(error, "ALIGN_FAILED")
    assert str(error) in str(caught.value)


def test_all_runs_that_fail_alike():
    fault, other = RunFault("ALIGN_FAILED", "STAR crashed.", MACHINE), RunFault("ALIGN_FAILED", "cut short.")
    for faults in ([], [fault], [fault, None], [fault, other], [other, other], [None, None]):
        raise_if_all_alike(faults)
    with pytest.raises(
        Interrupted, match=r"^All 2 runs failed alike, which is a fault of the machine .* STAR crashed\.$"
    ):
        raise_if_all_alike([fault, fault])
