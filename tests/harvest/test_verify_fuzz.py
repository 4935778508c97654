"""Spoiled folders of results are refused by verify, in bounded memory and time."""

import pytest

from tests import fuzzing

pytestmark = pytest.mark.tools


def test_spoiled_results_are_refused():
    summary = fuzzing.check("tests.harvest.spoiled_results", 380, seed=16)
    assert summary["refused"] > 250
    assert summary["peak_mb"] < 600
