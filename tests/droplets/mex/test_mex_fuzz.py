"""Spoiled MEX archives are read right or refused by every command, in bounded memory and time."""

import pytest

from tests import fuzzing

pytestmark = pytest.mark.tools


def test_spoiled_archives_are_refused():
    summary = fuzzing.check("tests.droplets.mex.spoiled_archives", 420, seed=16)
    assert summary["refused"] > 250
    assert summary["peak_mb"] < 600
