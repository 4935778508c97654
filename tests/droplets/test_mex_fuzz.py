"""Spoiled MEX archives are read right or refused by every command, in bounded memory and time."""

from tests import fuzzing


def test_spoiled_archives_are_refused():
    summary = fuzzing.check("tests.droplets.spoiled_archives", 420, seed=16)
    assert summary["refused"] > 250
    assert summary["peak_mb"] < 600
