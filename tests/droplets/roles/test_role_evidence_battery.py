"""Batteries of libraries: every kit, order of reads, length and error rate; hard ones; and what must be refused."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.inputs.droplet_reads import Made, battery, hostile, make_lists
from scripts.core.errors import RunFault
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.roles.barcode_search import PackedLists
from scripts.droplets.roles.role_evidence import judge_run

pytestmark = pytest.mark.tools

KITS, KNOWN = read_chemistries(Path(__file__).parents[3] / "config/chemistries.yaml")


@pytest.fixture(scope="module")
def lists() -> PackedLists:
    return make_lists(KNOWN, [name for name, one in KNOWN.items() if one.length], 0.05, 1)


def judge(libraries: Iterable[Made], lists: PackedLists) -> Counter[str]:
    """Return how many libraries are judged right, and which were refused without need; a wrong one fails at once."""
    outcomes: Counter[str] = Counter()
    for made in libraries:
        try:
            verdict = judge_run(made.samples, len(made.roles) or len(made.samples), list(KITS.values()), lists)
        except RunFault as fault:
            outcomes["right" if fault.reason == made.fault else f"ambiguous: {made.name}: {fault.reason}"] += 1
            continue
        assert not made.fault, made.name
        assert verdict.roles == made.roles, made.name
        assert made.kit in [kit.name for kit in verdict.candidates], made.name
        outcomes["right"] += 1
    return outcomes


def test_nearly_all_are_right_and_none_is_wrong(lists):
    outcomes = judge(islice(battery(KITS, lists, 400, 2), 0, None, 2), lists)  # all of them are in the benchmark
    assert outcomes.total() >= 300
    assert outcomes["right"] >= 0.995 * outcomes.total(), outcomes


@pytest.mark.parametrize("seed", [1, 2])
def test_hard_ones_are_right_or_refused(lists, seed):
    outcomes = judge(hostile(KITS, lists, 1000, seed), lists)
    assert outcomes.total() >= 70
    assert outcomes["right"] >= 0.97 * outcomes.total(), outcomes
