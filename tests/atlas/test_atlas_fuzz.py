"""Spoiled atlases are read right or refused by every command, in bounded memory and time."""

import pytest

from tests import fuzzing

pytestmark = pytest.mark.tools


def test_spoiled_atlases_are_refused():
    summary = fuzzing.check("tests.atlas.spoiled_atlases", 380, seed=16)
    assert summary["refused"] > 200
    assert summary["peak_mb"] < 600


def test_spoiled_parts_are_refused():
    summary = fuzzing.check("tests.atlas.spoiled_parts", 120, seed=16)
    assert summary["refused"] > 60
    assert summary["peak_mb"] < 600
