"""Spoiled genomes and annotations become a right reference or are refused, in bounded memory and time."""

from tests import fuzzing


def test_spoiled_sources_are_refused():
    summary = fuzzing.check("tests.references.spoiled_references", 400, seed=17)
    assert summary["refused"] > 150
    assert summary["accepted"] > 20
