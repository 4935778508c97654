"""How cells share threads. Alignments: test_align.py."""

import pytest

from scripts.plates.aligner import share_threads


@pytest.mark.parametrize(
    ("sizes", "threads", "shares"),
    [
        ([], 4, []),
        ([0, 0], 4, [1, 1]),
        ([10] * 96, 8, [1] * 96),
        ([10], 8, [8]),
        ([10, 10], 8, [4, 4]),
        ([100, 1, 1], 4, [4, 1, 1]),
        ([5, 5, 5], 1, [1, 1, 1]),
    ],
)
def test_threads_go_where_a_cell_would_hold_up_the_others(sizes: list[int], threads: int, shares: list[int]) -> None:
    assert share_threads(sizes, threads) == shares
