"""Shared barcodes of libraries: by chance, by hopping, and of copies."""

import random

import pytest

from scripts.harvest.quality.barcodes import log_tail, shared_barcodes


def draw(size, seed, of=100_000):
    return [f"B{number}" for number in random.Random(seed).sample(range(of), size)]


def test_barcodes_shared_by_chance_are_no_overlap():
    found = shared_barcodes([draw(2000, 1), draw(3000, 2), draw(500, 3)], 100_000)
    assert [one.is_above_chance for one in found] == [False] * 3
    assert found[0].expected in (60.0, 10.0)


def test_hopped_barcodes_are_found_and_named():
    first, second, third = draw(2000, 1), draw(2000, 2), draw(2000, 3)
    mixed = [*second[:1600], *first[:400]]
    one, other, alone = shared_barcodes([first, mixed, third], 100_000)
    assert (one.other, other.other) == (1, 0)
    assert one.is_above_chance and other.is_above_chance and not alone.is_above_chance
    assert 400 <= one.shared <= 480 and one.expected == 40.0


def test_a_copy_shares_all():
    cells = draw(50, 1)
    assert shared_barcodes([cells, cells[::-1]], 700_000)[0][:2] == (1, 50)


def test_few_shared_barcodes_of_few_cells_are_chance():
    """One of ten barcodes, where 0.0001 are expected: some pair of a hundred libraries is likely to share one."""
    libraries = [[f"L{library}_{cell}" for cell in range(10)] for library in range(100)]
    libraries[1][0] = libraries[0][0]
    found = shared_barcodes(libraries, 1_000_000)
    assert found[0][:2] == (1, 1) and not found[0].is_above_chance


def test_without_two_libraries_of_cells_there_is_nothing():
    assert shared_barcodes([], 10) == []
    assert shared_barcodes([["A"], []], 10) == [None, None]


@pytest.mark.parametrize("times, expected, bound", [(0, 5.0, 0.0), (5, 5.0, 0.0), (10, 5.0, 5 - 10 * 0.693147)])
def test_bound_of_the_tail(times, expected, bound):
    assert log_tail(times, expected) == pytest.approx(bound, abs=1e-4)
