"""Spoiled inclusion lists and files of kits are read right or refused, in bounded memory and time."""

from tests import fuzzing


def test_spoiled_lists_are_refused():
    summary = fuzzing.check("tests.droplets.spoiled_lists", 200, seed=18)
    assert summary["refused"] > 80
    assert summary["accepted"] > 10
