"""Which kit made these reads: the share of their barcodes on each inclusion list, beside the share by chance.

Every read of the spot, kit, offset and orientation is an *alternative*. All of them are measured on some thousand
spots; then those that stand out, and each kit's own position, on the whole sample. Kits that keep a barcode in two
reads are measured on every pair that may be these two, joined.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scripts.droplets.chemistries import BarcodeLayout, Chemistry
from scripts.droplets.fastq_sample import NO_BASE, ReadSample
from scripts.droplets.inclusion_lists import packed_type

OFFSETS = 25
"""Offsets at which a barcode is looked for, from the kit's own position on."""
SPARE = 4
"""Most bases that a read with the first bases of a split barcode has beyond them."""
FIRST_LOOK = 1000
"""Spots on which all alternatives are measured."""
MIN_SHARE = 0.15
"""Least share of spots with a barcode on the list; a neighbour on the flow cell may leave a tenth."""
MARGIN = 3.0
_STANDS_OUT = 0.02
_NEARLY_ALL = 0.95
_SHORT = 0.005
"""Share of random barcodes on a list above which few frequent ones are no evidence."""
_FEW = 4
_SIMPLE = 0.75  # a barcode with this share of one base is no evidence: poly-A tails and dark cycles give such


class PackedLists(NamedTuple):
    """The inclusion lists: name → sorted packed barcodes, and name → bases of a barcode.

    ``public`` names those that come with the workflow; the others are configured.
    """

    packed: Mapping[str, np.ndarray]
    lengths: Mapping[str, int]
    public: frozenset[str] = frozenset()


class Alternative(NamedTuple):
    """A way to read the barcode, and its figures; ``read`` and ``offset`` count from 0.

    ``first`` is the read with the first bases of a barcode that is kept in two.
    """

    read: int
    layout: BarcodeLayout
    offset: int
    reverse: bool
    share: float
    chance: float
    hits: np.ndarray
    """bool: the spots of the sample whose barcode is on the list."""
    first: int | None = None
    few: float = 0.0
    """Share of spots that have one barcode on the list, or one of two, and for that are not among ``hits``."""

    @property
    def names(self) -> str:
        """The inclusion lists, for people."""
        return "+".join(dict.fromkeys(segment.list for segment in self.layout.segments))

    @property
    def start(self) -> int:
        """The first base of the barcode, counted from 1."""
        return self.offset + self.layout.segments[0].start

    @property
    def words(self) -> str:
        """The alternative as a phrase."""
        orientation = ", reversed" if self.reverse else ""
        start = f" from base {self.start}" if self.offset else ""
        reads = f"read {self.read + 1}" if self.first is None else f"reads {self.first + 1} and {self.read + 1}"
        return f"{reads}{start}{orientation} on {self.names} ({self.share:.1%} of spots, chance {self.chance:.2%})"


def pack_windows(
    codes: np.ndarray, start: int, length: int, offsets: int, reverse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed barcodes at ``start`` and the following offsets, and whether each is informative.

    ``codes`` is spots × bases; both answers are spots × offsets. With ``reverse`` it is the reverse complement.
    """
    span = np.ascontiguousarray(codes[:, start : start + length + offsets - 1].T)  # a base of all spots is one row
    spots = codes.shape[0]
    packed = np.zeros((offsets, spots), dtype=packed_type(length))
    two = packed.dtype.type(2)
    for column in range(length - 1, -1, -1) if reverse else range(length):
        bases = span[column : column + offsets]
        packed <<= two
        packed |= ((3 - bases) if reverse else bases) & 3
    informative = np.ones((offsets, spots), dtype=bool)
    for base in range(NO_BASE + 1):  # how many of each base a window has: differences of running sums
        sums = np.zeros((span.shape[0] + 1, spots), dtype=np.uint8)
        np.cumsum(span == base, axis=0, dtype=np.uint8, out=sums[1:])
        count = sums[length:] - sums[:-length]
        informative &= (count == 0) if base == NO_BASE else (count < _SIMPLE * length)
    return packed.T, informative.T


class _Spots:
    """Some spots of a read; windows that are packed for one kit serve every other with the same position."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self._windows = functools.cache(self._sorted_windows)

    def _sorted_windows(
        self, start: int, length: int, offsets: int, reverse: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the packed barcodes, ascending, the index of each among spots × offsets, and which are informative."""
        packed, informative = pack_windows(self.codes, start, length, offsets, reverse)
        flat = packed.ravel()
        order = np.argsort(flat)
        return flat[order], order, informative

    def on_list(
        self, packed: np.ndarray, start: int, length: int, offsets: int = 1, reverse: bool = False
    ) -> np.ndarray:
        """Return whether each barcode is informative and on a sorted list: bool, spots × offsets.

        The barcodes are at ``start`` (from 0) and the following offsets.
        """
        ordered, order, informative = self._windows(start, length, offsets, reverse)
        found = np.searchsorted(packed, ordered)  # in the order of the list, which is quicker
        found[found == packed.size] = 0
        hits = np.empty(order.size, dtype=bool)
        hits[order] = packed[found] == ordered
        return hits.reshape(informative.shape) & informative

    def find_hits(
        self, layout: BarcodeLayout, lists: PackedLists, first: int, offsets: int, reverse: bool
    ) -> np.ndarray:
        """Return whether the barcode is on its list(s) at the offsets from ``first`` on: bool, spots × offsets."""
        found = np.zeros((self.codes.shape[0], offsets), dtype=bool)
        for shift in range(layout.shift + 1):
            hits = np.ones_like(found)
            for segment in layout.segments:
                start = first + shift + segment.start - 1
                hits &= self.on_list(lists.packed[segment.list], start, segment.length, offsets, reverse)
                if not hits.any():
                    break
            found |= hits
        return found


def _discount_few_barcodes(
    sample: ReadSample, layout: BarcodeLayout, hits: np.ndarray, offset: int, reverse: bool, chance: float
) -> np.ndarray:
    """Return the hits without a barcode that makes up more than half of them, or two that make up nearly all.

    A constant sequence, or two alternating bases, are no evidence. Of a short list the _FEW most frequent barcodes are
    none: a constant sequence with a random base behind it gives as many.
    """
    segment = layout.segments[0]
    packed, _ = pack_windows(sample.codes[hits], offset + segment.start - 1, segment.length, 1, reverse)
    if not packed.size:
        return hits
    values, counts = np.unique(packed[:, 0], return_counts=True)
    order = np.argsort(-counts)[: _FEW if chance > _SHORT else 2]
    if chance <= _SHORT and counts[order].sum() <= _NEARLY_ALL * packed.shape[0]:
        order = order[:1]
        if 2 * counts[order[0]] <= packed.shape[0]:
            return hits
    rest = hits.copy()
    rest[np.flatnonzero(hits)[np.isin(packed[:, 0], values[order])]] = False
    return rest


def chance_share(layout: BarcodeLayout, lists: PackedLists) -> float:
    """Return the share of random barcodes that are on the list(s)."""
    share = 1.0 + layout.shift
    for segment in layout.segments:
        share *= lists.packed[segment.list].size / 4.0**segment.length
    return share


def testable_layouts(
    chemistries: Iterable[Chemistry], lists: PackedLists
) -> tuple[dict[BarcodeLayout, list[Chemistry]], dict[str, str]]:
    """Return the layouts that the lists can prove, each with its kits, and name → why a kit is not tried."""
    layouts: dict[BarcodeLayout, list[Chemistry]] = {}
    left: dict[str, str] = {}
    for chemistry in chemistries:
        missing = [name for name in chemistry.lists if name not in lists.packed]
        unlike = [part.list for part in chemistry.barcode if lists.lengths.get(part.list, part.length) != part.length]
        if chemistry.proof != "list":
            left[chemistry.name] = "barcodes do not prove it; name it to take it"
        elif missing:
            left[chemistry.name] = f"no inclusion list {', '.join(missing)}"
        elif unlike:
            left[chemistry.name] = f"the inclusion list {', '.join(unlike)} has barcodes of another length"
        else:
            layouts.setdefault(chemistry.layout, []).append(chemistry)
    return layouts, left


def _offsets_within(sample: ReadSample, layout: BarcodeLayout) -> int:
    """Return how many offsets leave the whole barcode inside the sampled bases and at least a tenth of the reads."""
    if not sample.lengths.size:
        return 0
    reach = min(int(np.quantile(sample.lengths, 0.9)), sample.codes.shape[1])
    return max(0, min(1 if layout.shift or layout.split else OFFSETS, reach - layout.end + 1))


def join_samples(first: ReadSample, second: ReadSample, bases: int) -> ReadSample:
    """Return the reads of the same spots joined: so many bases of the first, then the second."""
    codes = np.concatenate([first.codes[:, :bases], second.codes[:, : second.codes.shape[1] - bases]], axis=1)
    return ReadSample(codes, second.lengths + bases)


def _sources(
    samples: Mapping[int, ReadSample], layouts: Sequence[BarcodeLayout]
) -> Iterator[tuple[int | None, int, ReadSample, list[BarcodeLayout]]]:
    """Yield what may hold a barcode: first read (or None), read, its sample, and the layouts to try there."""
    whole = [layout for layout in layouts if not layout.split]
    for read, sample in sorted(samples.items()):
        yield None, read, sample, whole
    medians = {read: np.median(one.lengths) for read, one in sorted(samples.items()) if one.lengths.size}
    for bases in sorted({layout.split for layout in layouts if layout.split}):
        split = [layout for layout in layouts if layout.split == bases]
        for first in [read for read, median in medians.items() if 0 <= median - bases <= SPARE]:
            for read, median in medians.items():
                if read != first and median > bases:
                    yield first, read, join_samples(samples[first], samples[read], bases), split


def measure_alternatives(
    samples: Mapping[int, ReadSample], layouts: Sequence[BarcodeLayout], lists: PackedLists
) -> list[Alternative]:
    """Return the measured alternatives, best first; ``samples`` is read number (from 0) → its sampled reads.

    All samples are of the same spots. Alternatives that do not stand out are dropped, unless they are a kit's own
    position in forward orientation.
    """
    found: list[Alternative] = []
    for first, read, sample, tried in _sources(samples, layouts):
        spots = sample.lengths.size
        step = max(1, spots // FIRST_LOOK)
        some, whole = _Spots(sample.codes[::step]), _Spots(sample.codes)
        for layout in tried:
            offsets = _offsets_within(sample, layout)
            if not offsets:
                continue
            chance = chance_share(layout, lists)
            for reverse in (False, True):
                shares = some.find_hits(layout, lists, 0, offsets, reverse).mean(axis=0)
                for offset in range(offsets):
                    if shares[offset] < max(_STANDS_OUT, 2 * chance) and (offset or reverse):
                        continue
                    hits = whole.find_hits(layout, lists, offset, 1, reverse)[:, 0]
                    various = _discount_few_barcodes(sample, layout, hits, offset, reverse, chance)
                    share, few = float(various.mean()), float((hits & ~various).mean())
                    found.append(Alternative(read, layout, offset, reverse, share, chance, various, first, few))
    return sorted(found, key=lambda one: (-one.share, one.read, one.offset, one.reverse, one.names))


def _only(one: Alternative, other: Alternative) -> float:
    """Return the share of the spots that one alternative explains and the other does not."""
    return float((one.hits & ~other.hits).mean())


def _same_position(one: Alternative, other: Alternative) -> bool:
    """Whether both read the same bases; a list may hold the reverse complements of many of its own barcodes."""
    same_bases = (one.first, one.read, one.offset) == (other.first, other.read, other.offset)
    return same_bases and (one.reverse == other.reverse or one.layout == other.layout)


def choose_best(found: Sequence[Alternative]) -> Alternative | None:
    """Return the alternative with the highest share, None where nothing was measured.

    Where lists share barcodes and hardly a spot distinguishes them, it is the one on which fewer would be by chance.
    """
    best = found[0] if found else None
    for other in found[1:]:
        assert best is not None
        if (
            _same_position(best, other)
            and other.chance < best.chance
            and _only(best, other) <= MIN_SHARE / MARGIN * best.share
        ):
            best = other
    return best


def find_rival(best: Alternative, others: Iterable[Alternative]) -> Alternative | None:
    """Return the alternative that leaves the best one without a clear margin, or None.

    Where two lists share barcodes, both explain one position: then the spots that only one of them explains decide.
    """
    for other in others:
        if other is best or other.share * MARGIN <= best.share:
            continue
        if _same_position(best, other):
            only_best, only_other = _only(best, other), _only(other, best)
            if only_other * MARGIN <= only_best and only_best > MIN_SHARE * best.share:
                continue
            if only_other <= MIN_SHARE / MARGIN * best.share and best.chance < other.chance:
                continue
        return other
    return None


def find_trimmed(
    samples: Mapping[int, ReadSample], layouts: Sequence[BarcodeLayout], lists: PackedLists
) -> tuple[int, str, int] | None:
    """Return read number, list and length of barcodes that lost their last bases, or None where none stand out."""
    for read, sample in sorted(samples.items()):
        if not sample.lengths.size:
            continue
        length = int(np.median(sample.lengths))
        for layout in layouts:
            segment = layout.segments[0]
            if len(layout.segments) > 1 or layout.split or not segment.length - 3 <= length < segment.length:
                continue
            packed = lists.packed[segment.list]
            cut = np.unique(packed >> packed.dtype.type(2 * (segment.length - length)))
            share = float(_Spots(sample.codes).on_list(cut, 0, length, 1, False).mean())
            if share > max(MIN_SHARE, MARGIN * cut.size / 4.0**length):
                return read, segment.list, length
    return None
