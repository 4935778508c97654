"""The strand of a library by its reads."""

import pytest

from scripts.star.strand import proved_strand


@pytest.mark.parametrize(
    ("same", "other", "strand"),
    [(20, 0, "forward"), (0, 20, "reverse"), (19, 0, ""), (0, 0, ""), (200, 100, ""), (201, 100, "forward")],
)
def test_a_strand_is_that_of_two_thirds_of_the_reads(same: int, other: int, strand: str) -> None:
    assert proved_strand(same, other) == strand
