"""The step function of gene sets, and fragments counted with it, against what follows from the exons by hand."""

from pathlib import Path

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.references.gene_intervals import (
    MODES,
    GeneIntervals,
    StepCounter,
    build_gene_intervals,
    merge_spans,
    read_gene_intervals,
    write_gene_intervals,
)
from scripts.references.gtf import Exon

# base:        0    10   20   30   40   50
# gene a (+):  [    a         )
# gene b (-):            [  b        )
# gene c (+):                             chr2 [5, 15)
EXONS = [
    Exon("chr1", 0, 20, "+", "a"),
    Exon("chr1", 5, 20, "+", "a"),
    Exon("chr1", 15, 30, "-", "b"),
    Exon("chr2", 5, 15, "+", "c"),
]
INTERSECTION, STRICT, UNION = MODES


@pytest.fixture
def steps() -> GeneIntervals:
    return build_gene_intervals(EXONS, ["a", "b", "c", "z"])


def lookup(steps: GeneIntervals, stranded: bool = False) -> list[tuple[int, int, set[str]]]:
    places, sets = (steps.stranded_steps, steps.stranded_sets) if stranded else (steps.steps, steps.sets)
    return [
        (place >> 32, place & 0xFFFFFFFF, {steps.genes[gene] for gene in steps.members(number)})
        for place, number in zip(places.tolist(), sets.tolist(), strict=True)
    ]


def test_steps_begin_where_the_set_of_genes_changes(steps: GeneIntervals) -> None:
    assert lookup(steps) == [
        (0, 0, {"a"}),
        (0, 15, {"a", "b"}),
        (0, 20, {"b"}),
        (0, 30, set()),
        (1, 5, {"c"}),
        (1, 15, set()),
    ]


def test_strands_are_apart(steps: GeneIntervals) -> None:
    assert lookup(steps, stranded=True) == [
        (0, 0, {"a"}),
        (0, 20, set()),
        (1, 15, {"b"}),
        (1, 30, set()),
        (2, 5, {"c"}),
        (2, 15, set()),
    ]


def spans(*given: tuple[int, int, int, int]) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """From (fragment, contig, start, end)."""
    table = np.array(given, np.int64).reshape(-1, 4)
    return table[:, 0], (table[:, 1] << 32) | table[:, 2], table[:, 3] - table[:, 2]


@pytest.mark.parametrize(
    ("given", "outcomes"),
    [  # what a fragment counts for by mode: intersection-nonempty, intersection-strict, union
        ([(0, 0, 0, 10)], "a a a"),
        ([(0, 0, 10, 20)], "a a ambiguous"),  # {a}, {a b}
        ([(0, 0, 15, 20)], "ambiguous ambiguous ambiguous"),
        ([(0, 0, 16, 25)], "b b ambiguous"),
        ([(0, 0, 14, 21)], "none none ambiguous"),  # {a}, {a b}, {b}
        ([(0, 0, 25, 40)], "b none b"),  # {b}, {}
        ([(0, 0, 30, 40)], "none none none"),
        ([(0, 0, 0, 5), (0, 0, 25, 30)], "none none ambiguous"),
        ([(0, 0, 0, 5), (0, 0, 40, 45)], "a none a"),
        ([(0, 0, 0, 5), (0, 1, 5, 15)], "none none ambiguous"),
        ([(0, 1, 14, 15)], "c c c"),
        ([(0, 1, 15, 16)], "none none none"),
        ([(0, 0, 29, 2 << 32)], "b none b"),  # beyond the end of a contig does not lie in the next one
        ([], "none none none"),
    ],
)
def test_a_fragment(steps: GeneIntervals, given: list[tuple[int, int, int, int]], outcomes: str) -> None:
    for mode, expected in zip(MODES, outcomes.split(), strict=True):
        counter = StepCounter(steps, mode, stranded=False)
        counter.add(1, *spans(*given))
        counts, none, ambiguous = counter.totals()
        found = {"none": none, "ambiguous": ambiguous} | dict(zip(steps.genes, counts.tolist(), strict=True))
        assert {name for name, number in found.items() if number} == {expected}, mode
        assert sum(found.values()) == 1


def test_fragments_add_up_over_calls(steps: GeneIntervals) -> None:
    counter = StepCounter(steps, INTERSECTION, stranded=False)
    counter.add(3, *spans((0, 0, 0, 5), (2, 0, 16, 18)))  # a, nothing, ambiguous
    counter.add(2, *spans((0, 0, 0, 1), (0, 0, 2, 3), (1, 0, 10, 20)))  # a, a
    counter.add(0, *spans())
    counts, none, ambiguous = counter.totals()
    assert (counts.tolist(), none, ambiguous) == ([3, 0, 0, 0], 1, 1)


def test_merged_spans() -> None:
    merged = merge_spans(np.array([1, 0, 1, 1, 0]), np.array([5, 0, 0, 20, 3]), np.array([9, 4, 5, 30, 4]))
    assert [values.tolist() for values in merged] == [[0, 1, 1], [0, 0, 20], [4, 9, 30]]
    assert [len(values) for values in merge_spans(*[np.zeros(0, np.int64)] * 3)] == [0, 0, 0]


def test_an_index_comes_back_as_it_was_and_as_the_same_bytes(steps: GeneIntervals, tmp_path: Path) -> None:
    write_gene_intervals(tmp_path / "a.npz", steps)
    write_gene_intervals(tmp_path / "b.npz", steps)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_gene_intervals(tmp_path / "a.npz")
    assert (again.genes, again.contigs, again.unstranded_exons) == (["a", "b", "c", "z"], ["chr1", "chr2"], 0)
    assert lookup(again) == lookup(steps)
    assert lookup(again, stranded=True) == lookup(steps, stranded=True)


def test_faults(steps: GeneIntervals, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no index")
    for path in ("x.npz", "y.npz"):
        with pytest.raises(InputError, match="not a count index"):
            read_gene_intervals(tmp_path / path)
    with pytest.raises(InputError, match="gene 'q' of the annotation is not in the table of genes"):
        build_gene_intervals([Exon("chr1", 0, 1, "+", "q")], ["a"])
    unstranded = build_gene_intervals([Exon("chr1", 0, 1, ".", "a")], ["a"])
    StepCounter(unstranded, UNION, stranded=False)
    with pytest.raises(InputError, match="1 exon\\(s\\) of the annotation have no strand"):
        StepCounter(unstranded, UNION, stranded=True)
    with pytest.raises(InputError, match="mode 'most' is not one of"):
        StepCounter(steps, "most", stranded=False)


def test_an_annotation_without_exons_counts_nothing() -> None:
    counter = StepCounter(build_gene_intervals([], []), STRICT, stranded=True)
    counter.add(2, *spans())
    assert counter.totals()[1:] == (2, 0)
