"""Which strand the cDNA read has: told from how many reads lie on the strand of their gene, and how many against it."""

from collections.abc import Sequence

from scripts.core.errors import RunFault
from scripts.droplets.chemistries import Chemistry

MIN_PROBE_READS = 20


def tell_strand(candidates: Sequence[Chemistry], counts: Sequence[tuple[int, int]]) -> tuple[Chemistry, str]:
    """Return the kit whose strand the probe shows, and the figures; ``counts`` are (same, other strand) of each gene.

    Raises RunFault (CHEMISTRY_UNKNOWN) where too few reads are in genes or neither strand has twice the other's.
    """
    forward, reverse = (sum(pair[place] for pair in counts) for place in (0, 1))
    strand = "Forward" if forward > 2 * reverse else "Reverse" if reverse > 2 * forward else ""
    fitting = [kit for kit in candidates if kit.strand == strand]
    titles = " and ".join(kit.title for kit in candidates)
    figures = f"of the probed reads {forward} are on the genes' strand and {reverse} on the other"
    if forward + reverse < MIN_PROBE_READS or not fitting:
        raise RunFault(
            "CHEMISTRY_UNKNOWN", f"{titles} share their barcodes, and the strand does not tell which: {figures}."
        )
    return fitting[0], f"{titles} share their barcodes; the strand tells {fitting[0].title}: {figures}."
