"""Spoiled files of htseq-count and logs of STAR become a right table or are refused, in bounded memory and time."""

import pytest

from tests import fuzzing

pytestmark = pytest.mark.tools


def test_spoiled_texts_are_refused():
    summary = fuzzing.check("tests.harvest.spoiled_texts", 300, seed=20)
    assert summary["refused"] > 100
    assert summary["accepted"] > 30
