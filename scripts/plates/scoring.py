"""How reads are scored that are not plain: of several genes, of several loci, secondary or supplementary.

These are htseq-count's options ``--nonunique``, ``--secondary-alignments``, ``--supplementary-alignments`` and ``-a``
(https://htseq.readthedocs.io/en/latest/htseqcount.html). With ``nonunique`` other than ``none``, a read of several loci
or genes is tallied as such and counts for its genes as well.
"""

import random
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.plates.bam_groups import SECONDARY, SUPPLEMENTARY

NONUNIQUE = ("none", "all", "fraction", "random")
ALIGNMENTS = ("ignore", "score")


class Scoring(NamedTuple):
    """How reads are scored that are not plain; the defaults are those of htseq-count."""

    nonunique: str = "none"
    secondary_alignments: str = "ignore"
    supplementary_alignments: str = "ignore"
    min_quality: int = 10  # htseq-count's -a: of a mate with a lower one the fragment does not count
    seed: int = 0  # of nonunique random

    @property
    def primary_only(self) -> bool:
        """Whether neither secondary nor supplementary alignments count; then pairs are formed without them."""
        return self.secondary_alignments == self.supplementary_alignments == "ignore"

    @property
    def ignored(self) -> int:
        """The bits of a record's flag that keep a fragment from counting."""
        secondary = SECONDARY if self.secondary_alignments == "ignore" else 0
        return secondary | (SUPPLEMENTARY if self.supplementary_alignments == "ignore" else 0)

    @property
    def dtype(self) -> type:
        """The type of counts."""
        return np.float64 if self.nonunique == "fraction" else np.int64

    @property
    def adds_up(self) -> bool:
        """Whether counts and tallies add up to the fragments: each is in one of them."""
        return self.primary_only and self.nonunique == "none"


def share_out(
    counts: np.ndarray, shared: Mapping[frozenset[int], int], genes: Sequence[str], scoring: Scoring, cell: str = ""
) -> np.ndarray:
    """Return the counts of a cell with those of its ambiguous fragments.

    ``counts`` (int64) are those of fragments of one gene, ``shared`` is sets of genes → fragments that are ambiguous
    between them. Fractions are added up exactly and rounded once, and draws depend on the seed, the ``cell`` and the
    genes of a set alone: neither depends on the order of reads, which STAR's threads change.
    """
    counts = counts.astype(scoring.dtype)
    if scoring.nonunique == "none":
        return counts
    if scoring.nonunique == "fraction":
        shares: dict[int, Fraction] = {}
        for members, fragments in shared.items():
            for gene in members:
                shares[gene] = shares.get(gene, Fraction(0)) + Fraction(fragments, len(members))
        for gene, share in shares.items():
            counts[gene] = float(share + int(counts[gene]))
        return counts
    for members, fragments in shared.items():
        listed = sorted(members)
        if scoring.nonunique == "all":
            counts[listed] += fragments
        else:
            named = ",".join(genes[gene] for gene in listed)
            draw = random.Random(f"{scoring.seed} {cell} {named}").random  # the same in every version of Python
            drawn = [int(draw() * len(listed)) for _ in range(fragments)]
            counts[listed] += np.bincount(drawn, minlength=len(listed))
    return counts


def add_scoring(parser: ArgumentParser) -> None:
    """Add the options that make up :class:`Scoring`."""
    default = Scoring()
    parser.add_argument("--nonunique", choices=NONUNIQUE, default="none", help="htseq-count's --nonunique")
    for kind in ("secondary", "supplementary"):
        parser.add_argument(
            f"--{kind}-alignments", choices=ALIGNMENTS, default="ignore", help=f"htseq-count's --{kind}-alignments"
        )
    parser.add_argument("--min-quality", type=int, default=default.min_quality, help="htseq-count's -a")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of --nonunique random")


def scoring_of(options: Namespace) -> Scoring:
    """Return the scoring that parsed options name. Raises InputError for a quality that no alignment has."""
    if not 0 <= options.min_quality <= 255:
        raise InputError(f"--min-quality {options.min_quality}: give a mapping quality from 0 to 255.")
    return Scoring(**{name: getattr(options, name) for name in Scoring._fields})
