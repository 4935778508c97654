"""Spoiled folders of results are refused by verify, in bounded memory and time."""

from tests import fuzzing


def test_spoiled_results_are_refused():
    summary = fuzzing.check("tests.harvest.spoiled_results", 380, seed=16)
    assert summary["refused"] > 250
    assert summary["peak_mb"] < 600
