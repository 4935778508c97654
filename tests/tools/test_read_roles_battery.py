"""A battery of libraries: every kit, order of reads, length and error rate, and what must be refused."""

from collections import Counter
from pathlib import Path

from benchmarks.inputs.droplet_reads import battery, make_lists
from scripts.formats.chemistries import read_chemistries
from scripts.formats.errors import RunFault
from scripts.inference.read_roles import judge_run

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"


def test_nearly_all_are_right_and_none_is_wrong():
    kits, known = read_chemistries(CHEMISTRIES)
    lists = make_lists(known, [name for name, one in known.items() if one.length], 0.05, 1)
    told: Counter[str] = Counter()
    for made in battery(kits, lists, 400, 2):
        try:
            verdict = judge_run(made.samples, len(made.roles) or len(made.samples), list(kits.values()), lists)
        except RunFault as fault:
            told["right" if fault.reason == made.fault else f"ambiguous: {made.name}"] += 1
            continue
        assert not made.fault, made.name
        assert verdict.roles == made.roles, made.name
        assert made.kit in [kit.name for kit in verdict.candidates], made.name
        told["right"] += 1
    assert told.total() >= 300
    assert told["right"] >= 0.995 * told.total(), told
