"""Errors that commands share: all faults at once, a line each."""

import pytest

from scripts.core.errors import InputError, RunFault, raise_faults, try_all


def test_all_faults_are_one_error():
    raise_faults("The table", [])
    with pytest.raises(InputError) as caught:
        raise_faults("The table", (f"line {number}: no run." for number in (2, 5)))
    assert str(caught.value) == "The table needs 2 correction(s):\nline 2: no run.\nline 5: no run."


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
        "The list needs 1234 correction(s):",
        "line 99",
        ["… and 1,134 more."],
    )
