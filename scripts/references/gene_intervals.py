"""Which genes are where on the genome: a step function of gene sets, kept as npz for each reference.

The genome is cut wherever the set of genes with an exon changes. A position is one number,
``contig_strand << 32 | base``: a contig strand is a contig (unstranded counting) or a strand of a contig (stranded
counting: twice the contig's number, plus 1 for the minus strand), in the order of ``contigs``. A step is the position
where it starts and the number of its gene set, and lasts to the next step. Set 0 is the empty one. BAM has no bases
beyond 2^32.

Arrays of the npz: ``genes``, ``contigs`` (UTF-8, one a line); ``steps``, ``sets`` and ``stranded_steps``,
``stranded_sets`` (int64, int32: the two step functions); ``set_starts``, ``set_genes`` (the members of set i are
``set_genes[set_starts[i]:set_starts[i + 1]]``, numbers of genes); ``unstranded_exons`` (number of exons without strand,
for which stranded counting has no answer).
"""

import itertools
import operator
import zipfile
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from scripts.core.errors import InputError
from scripts.formats.npz import write_npz
from scripts.references.gtf import Exon

MODES = ("intersection-nonempty", "intersection-strict", "union")
NO_GENE = -1
AMBIGUOUS = -2
BASE_BITS = 32
_LAST_BASE = (1 << BASE_BITS) - 1


def merge_spans(groups: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge spans of one group that overlap or touch; return groups, starts, ends of what is left.

    ``groups`` are numbers from 0, spans half-open and shorter than 2^32; the result is sorted by group and start.
    """
    order = np.lexsort((starts, groups))
    groups, starts, ends = groups[order], starts[order], ends[order]
    if not len(groups):
        return groups, starts, ends
    shifted = groups.astype(np.int64) << BASE_BITS
    reached = np.maximum.accumulate(shifted + ends)
    fresh = np.ones(len(groups), bool)
    fresh[1:] = (shifted + starts)[1:] > reached[:-1]
    fresh[1:] |= groups[1:] != groups[:-1]
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(groups)) - 1
    return groups[first], starts[first], reached[last] - shifted[last]


@dataclass
class GeneIntervals:
    """The two step functions of a reference, see the module's docstring."""

    genes: list[str]
    contigs: list[str]
    steps: np.ndarray
    sets: np.ndarray
    stranded_steps: np.ndarray
    stranded_sets: np.ndarray
    set_starts: np.ndarray
    set_genes: np.ndarray
    unstranded_exons: int = 0

    def members(self, number: int) -> frozenset[int]:
        """Return the genes of a set."""
        return frozenset(self.set_genes[self.set_starts[number] : self.set_starts[number + 1]].tolist())

    @cached_property
    def outcomes(self) -> np.ndarray:
        """For each set the gene for which it counts, NO_GENE or AMBIGUOUS."""
        sizes = np.diff(self.set_starts)
        outcome = np.full(len(sizes), AMBIGUOUS, np.int64)
        outcome[sizes == 0] = NO_GENE
        outcome[sizes == 1] = self.set_genes[self.set_starts[:-1][sizes == 1]]
        return outcome


class StepCounter:
    """Assigns fragments to genes as htseq-count does, and adds them up."""

    def __init__(self, genes: GeneIntervals, mode: str, stranded: bool) -> None:
        if mode not in MODES:
            raise InputError(f"mode {mode!r} is not one of {', '.join(MODES)}.")
        if stranded and genes.unstranded_exons:
            raise InputError(
                f"{genes.unstranded_exons} exon(s) of the annotation have no strand ('.'), so that it cannot be counted"
                " by strand; use strand 'none' or give them one."
            )
        self.genes = genes
        self.mode = mode
        self.stranded = stranded
        self.steps = genes.stranded_steps if stranded else genes.steps
        self.sets = genes.stranded_sets if stranded else genes.sets
        self.contig_numbers = {name: number for number, name in enumerate(genes.contigs)}
        self._members = cache(genes.members)
        self._outcome_of_mixed = cache(self._combine)
        self._outcomes = genes.outcomes
        self.by_set = np.zeros(len(self._outcomes), np.int64)
        self.by_outcome = np.zeros(len(genes.genes) + 2, np.int64)  # AMBIGUOUS and NO_GENE index the last two
        self._join = cache(self._joined)
        self.shared: Counter[frozenset[int]] = Counter()  # genes that a fragment in several sets leaves → fragments

    def add(self, fragments: int, owners: np.ndarray, positions: np.ndarray, lengths: np.ndarray) -> None:
        """Count fragments 0 … ``fragments`` - 1.

        Their aligned spans are given by ``owners`` (the fragment, ascending), ``positions`` (contig_strand << 32 |
        first base) and ``lengths`` (bases, > 0). A fragment without a span counts as without feature.
        """
        found = np.searchsorted(self.steps, positions, side="right") - 1
        ends = np.minimum(positions + lengths, positions | _LAST_BASE)  # beyond is the next contig strand
        longer = np.flatnonzero(ends > np.take(self.steps, found + 1, mode="clip"))
        if len(longer):
            last = np.searchsorted(self.steps, ends[longer] - 1, side="right") - 1
            repeats = np.ones(len(found), np.int64)
            repeats[longer] = last - found[longer] + 1
            owners = np.repeat(owners, repeats)
            begins = np.cumsum(repeats) - repeats
            found = np.repeat(found - begins, repeats) + np.arange(len(owners))
        sets = self.sets[found]
        if self.mode == "intersection-strict":
            bare = np.zeros(fragments, bool)
            bare[owners[sets == 0]] = True
            kept = ~bare[owners]
        else:
            kept = sets != 0
        owners, sets = owners[kept], sets[kept]
        if not len(owners):
            self.by_outcome[NO_GENE] += fragments
            return
        first = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
        self.by_outcome[NO_GENE] += fragments - len(first)
        lowest = np.minimum.reduceat(sets, first)
        highest = np.maximum.reduceat(sets, first)
        mixed = lowest != highest
        self.by_set += np.bincount(lowest[~mixed], minlength=len(self.by_set))
        if mixed.any():
            stops = np.append(first[1:], len(sets))[mixed].tolist()
            values = sets.tolist()
            for start, stop in zip(first[mixed].tolist(), stops, strict=True):
                numbers = tuple(values[start:stop])
                outcome = self._outcome_of_mixed(numbers)
                self.by_outcome[outcome] += 1
                if outcome == AMBIGUOUS:
                    self.shared[self._join(numbers)] += 1

    def _joined(self, numbers: tuple[int, ...]) -> frozenset[int]:
        """Return the genes that are left for a fragment in several sets."""
        sets = [self._members(number) for number in set(numbers)]
        return frozenset.union(*sets) if self.mode == "union" else frozenset.intersection(*sets)

    def _combine(self, numbers: tuple[int, ...]) -> int:
        """Return the outcome of a fragment in several sets."""
        joined = self._join(numbers)
        if len(joined) == 1:
            return next(iter(joined))
        return AMBIGUOUS if joined else NO_GENE

    def totals(self) -> tuple[np.ndarray, int, int]:
        """Return counts by gene (int64), fragments without feature and ambiguous fragments."""
        counts = self.by_outcome.copy()
        np.add.at(counts, self._outcomes, self.by_set)
        return counts[:-2], int(counts[NO_GENE]), int(counts[AMBIGUOUS])

    def ambiguous(self) -> dict[frozenset[int], int]:
        """Return sets of several genes → the fragments that were ambiguous between them."""
        found = Counter(self.shared)
        for number in np.flatnonzero((self._outcomes == AMBIGUOUS) & (self.by_set > 0)).tolist():
            found[self._members(number)] += int(self.by_set[number])
        return found


def build_gene_intervals(exons: Iterable[Exon], genes: Sequence[str]) -> GeneIntervals:
    """Make the step functions of an annotation; ``genes`` in the order in which they are counted.

    Contigs are those that have an exon. Raises InputError for an exon whose gene is not among ``genes``.
    """
    gene_numbers = {gene: number for number, gene in enumerate(genes)}
    contig_numbers: dict[str, int] = {}
    rows = array("q")
    strands = {"+": 0, "-": 1, ".": 0}
    unstranded = 0
    for exon in exons:
        if exon.gene_id not in gene_numbers:
            raise InputError(f"gene {exon.gene_id!r} of the annotation is not in the table of genes; make both again.")
        unstranded += exon.strand == "."
        contig = contig_numbers.setdefault(exon.contig, len(contig_numbers))
        rows.extend((contig, gene_numbers[exon.gene_id], exon.start, exon.end, strands[exon.strand]))
    contigs, numbers, starts, ends, minus = np.array(rows, np.int64).reshape(-1, 5).T
    sets: dict[frozenset[int], int] = {frozenset(): 0}
    steps = _sweep(contigs, len(contig_numbers), numbers, len(genes), starts, ends, sets)
    stranded = _sweep(contigs * 2 + minus, 2 * len(contig_numbers), numbers, len(genes), starts, ends, sets)
    members = [sorted(members) for members in sets]
    return GeneIntervals(
        list(genes),
        list(contig_numbers),
        *steps,
        *stranded,
        np.cumsum([0, *map(len, members)], dtype=np.int64),
        np.array([gene for listed in members for gene in listed], np.int32),
        unstranded,
    )


def _sweep(
    contig_strand: np.ndarray,
    contig_strands: int,
    gene: np.ndarray,
    genes: int,
    start: np.ndarray,
    end: np.ndarray,
    sets: dict[frozenset[int], int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and set numbers of the steps of exons; new sets get the next number in ``sets``."""
    group, start, end = merge_spans(contig_strand * max(genes, 1) + gene, start, end)
    contig_strand, gene = np.divmod(group, max(genes, 1))
    begin = contig_strand << BASE_BITS
    events, gene = np.concatenate([begin + start, begin + end]), np.tile(gene, 2)
    order = np.argsort(events, kind="stable")
    steps = {number << BASE_BITS: 0 for number in range(contig_strands)}
    current: set[int] = set()
    ordered = zip(events[order].tolist(), gene[order].tolist(), strict=True)
    for position, here in itertools.groupby(ordered, operator.itemgetter(0)):
        current ^= {number for _, number in here}  # a gene begins and ends in turn
        steps[position] = sets.setdefault(frozenset(current), len(sets))
    found = np.array(sorted(steps.items()), np.int64).reshape(-1, 2)
    positions, numbers = found[np.diff(found[:, 1], prepend=-1) != 0].T
    return positions.copy(), numbers.astype(np.int32)


_ARRAYS = ("steps", "sets", "stranded_steps", "stranded_sets", "set_starts", "set_genes")


def write_gene_intervals(path: str | Path, genes: GeneIntervals) -> None:
    """Write the step functions as npz; same steps, same bytes."""
    arrays = {name: getattr(genes, name) for name in _ARRAYS}
    for name, texts in (("genes", genes.genes), ("contigs", genes.contigs)):
        arrays[name] = np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)
    arrays["unstranded_exons"] = np.array(genes.unstranded_exons, np.int64)
    write_npz(path, arrays)


def read_gene_intervals(path: str | Path) -> GeneIntervals:
    """Return the step functions in an npz. Raises InputError for a file that is none."""
    try:
        with np.load(path) as arrays:
            texts = {name: arrays[name].tobytes().decode().split("\n")[:-1] for name in ("genes", "contigs")}
            return GeneIntervals(
                **texts,
                **{name: arrays[name] for name in _ARRAYS},
                unstranded_exons=int(arrays["unstranded_exons"]),
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a count index ({error}); make it again with 'python -m scripts count_index'."
        ) from error
