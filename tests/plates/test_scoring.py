"""How ambiguous fragments are shared out. Against htseq-count: test_counting_differential.py."""

import argparse

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.plates.scoring import NONUNIQUE, Scoring, add_scoring, scoring_of, share_out

GENES = ["a", "b", "c", "d"]
OWN = np.array([5, 0, 7, 0])
SHARED = {frozenset({0, 1}): 2, frozenset({0, 1, 2}): 3}


def test_a_fragment_of_several_genes_counts_for_none_all_or_a_part_of_each() -> None:
    assert share_out(OWN, SHARED, GENES, Scoring("none")).tolist() == [5, 0, 7, 0]
    assert share_out(OWN, SHARED, GENES, Scoring("all")).tolist() == [10, 5, 10, 0]
    fractions = share_out(OWN, SHARED, GENES, Scoring("fraction"))
    assert (fractions.dtype, fractions.tolist()) == (np.float64, [7.0, 2.0, 8.0, 0.0])


def test_thirds_add_up_to_whole_numbers() -> None:
    """Thirty of them make ten, whatever the order of the reads."""
    sets = {frozenset({0, 1, other}): 1 for other in range(2, 32)}
    shared = share_out(np.zeros(32, np.int64), sets, [str(number) for number in range(32)], Scoring("fraction"))
    assert shared[:3].tolist() == [10.0, 10.0, 1 / 3]


def test_draws_are_repeated_by_the_seed_and_differ_between_cells() -> None:
    many = {frozenset({0, 1, 2}): 3000}
    drawn = share_out(OWN, many, GENES, Scoring("random"), "SRX1")
    assert drawn.tolist() == share_out(OWN, many, GENES, Scoring("random"), "SRX1").tolist()
    assert drawn.sum() == OWN.sum() + 3000
    assert drawn - OWN == pytest.approx([1000, 1000, 1000, 0], abs=130)  # five standard deviations
    assert drawn.tolist() != share_out(OWN, many, GENES, Scoring("random"), "SRX2").tolist()
    assert drawn.tolist() != share_out(OWN, many, GENES, Scoring("random", seed=1), "SRX1").tolist()


@pytest.mark.parametrize("nonunique", NONUNIQUE)
def test_a_cell_without_fragments_has_no_counts(nonunique: str) -> None:
    assert share_out(np.zeros(4, np.int64), {}, GENES, Scoring(nonunique)).tolist() == [0, 0, 0, 0]


def test_options_make_a_scoring() -> None:
    parser = argparse.ArgumentParser()
    add_scoring(parser)
    assert scoring_of(parser.parse_args([])) == Scoring()
    chosen = parser.parse_args("--nonunique all --secondary-alignments score --min-quality 0".split())
    assert scoring_of(chosen) == Scoring("all", "score", "ignore", 0)
    with pytest.raises(InputError, match="--min-quality 256: give a mapping quality from 0 to 255"):
        scoring_of(parser.parse_args(["--min-quality", "256"]))
