"""The strand of a library, proved by its reads: of plates and of droplets."""

MIN_READS = 20
"""Reads in genes that are needed for an answer."""


def proved_strand(same: int, other: int) -> str:
    """Return the strand that has more than twice the reads of the other one: ``forward`` is that of the genes.

    An empty text where neither has, or where the reads are fewer than MIN_READS.

    ``same`` and ``other`` are the reads in genes, on their strand and on the other.
    """
    if same + other < MIN_READS:
        return ""
    return "forward" if same > 2 * other else "reverse" if other > 2 * same else ""
