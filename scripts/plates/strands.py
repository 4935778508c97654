"""Strands of plate libraries: given for all, by accession, or proved by the reads.

A library is proved as those of droplets are (:mod:`scripts.star.strand`): its uniquely mapped fragments are counted on
the strand of the genes and on the other. A cell with few of them is of the strand of its shard as a whole.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scripts.core.errors import InputError, raise_faults
from scripts.plan.run_table import Run
from scripts.star.strand import proved_strand

STRANDS = {"none": "no", "forward": "yes", "reverse": "reverse"}
"""Our names of strands → those of htseq-count."""
AUTO = "auto"
OWN_FRAGMENTS = 200
"""Fragments in genes of a cell that decide for it: of a library without strand, one in a million has two thirds of them
on one strand by chance."""


class StrandChoice(NamedTuple):
    """The configured strand of all cells, and of those of some runs, experiments, samples or series."""

    otherwise: str = "none"
    of: Mapping[str, str] = {}

    @property
    def is_fixed(self) -> bool:
        """Whether all cells are of one strand, which is known beforehand."""
        return not self.of and self.otherwise != AUTO

    def strand_of(self, column: str, rows: Sequence[Run]) -> str:
        """Return the strand of a cell, maybe ``auto``. Raises InputError where its runs are of two."""
        found = {
            next((self.of[name] for name in (row.run, row.experiment, row.sample, row.series) if name in self.of), "")
            or self.otherwise
            for row in rows
        }
        if len(found) > 1:
            raise InputError(
                f"plates.strand: the runs of {column} are given two strands, {' and '.join(sorted(found))}; give one."
            )
        return found.pop()


def parse_strands(words: Sequence[str]) -> StrandChoice:
    """Return the choice of words like ``reverse`` and ``GSE1=reverse``. Raises InputError, with every fault."""
    otherwise, of, faults = "none", {}, []
    for word in words:
        accession, equals, strand = word.rpartition("=")
        if strand not in (*STRANDS, AUTO):
            faults.append(f"--strand {word}: {strand!r} is not one of {', '.join((*STRANDS, AUTO))}.")
        elif equals:
            of[accession] = strand
        else:
            otherwise = strand
    raise_faults("The strands", faults)
    return StrandChoice(otherwise, of)


def settle_strands(evidence: Mapping[str, tuple[int, int]]) -> tuple[dict[str, str], str]:
    """Return cell → strand, and what was shown in words.

    ``evidence`` is cell → fragments in genes on their strand, and on the other one.
    """
    whole = (sum(pair[0] for pair in evidence.values()), sum(pair[1] for pair in evidence.values()))
    strands = {
        cell: proved_strand(*(pair if sum(pair) >= OWN_FRAGMENTS else whole)) or "none"
        for cell, pair in evidence.items()
    }
    counted = ", ".join(f"{sum(found == name for found in strands.values())} {name}" for name in STRANDS)
    shown = f"{whole[0]} fragments are on the genes' strand and {whole[1]} on the other"
    return strands, f"Strand: {shown}; cells: {counted}."
