"""Which kit made these reads: the share of their barcodes on each inclusion list, beside the share that chance gives.

Every read of the spot, every kit, offset and orientation is an *alternative*. First all of them are measured on some
thousand spots, then those that stand out, and each kit's own place, on the whole sample. Kits that keep a barcode in
two reads are measured on every pair that may be these two, joined.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scripts.droplets.chemistries import Chemistry, Place
from scripts.droplets.fastq_sample import NO_BASE, ReadSample
from scripts.droplets.inclusion_lists import packed_type

OFFSETS = 25
"""Places at which a barcode is looked for: this many bases from the kit's own place on."""
SPARE = 4
"""A read with the first bases of a barcode that is kept in two reads has at most so many bases more."""
FIRST_LOOK = 1000
"""Spots of the first look."""
MIN_SHARE = 0.15
"""Share of spots that must have a barcode on the list; a tenth is what a neighbour on the flow cell may leave."""
MARGIN = 3.0
_STANDS_OUT = 0.02
_NEARLY_ALL = 0.95
_SIMPLE = 0.75  # a barcode that is to this share one base says nothing: poly-A tails and dark cycles are such


class Lists(NamedTuple):
    """The inclusion lists at hand: name → sorted packed barcodes, and name → bases of a barcode."""

    packed: Mapping[str, np.ndarray]
    lengths: Mapping[str, int]


class Alternative(NamedTuple):
    """A way to read the barcode, and its figures; ``read`` and ``offset`` count from 0.

    ``first`` is the read with the first bases of a barcode that is kept in two.
    """

    read: int
    place: Place
    offset: int
    reverse: bool
    share: float
    chance: float
    hits: np.ndarray
    """bool: the spots of the sample whose barcode is on the list."""
    first: int | None = None

    @property
    def names(self) -> str:
        """The inclusion lists, for people."""
        return "+".join(dict.fromkeys(segment.list for segment in self.place.segments))

    @property
    def start(self) -> int:
        """The first base of the barcode, counted from 1."""
        return self.offset + self.place.segments[0].start

    @property
    def words(self) -> str:
        """The alternative as a phrase."""
        turned = ", reversed" if self.reverse else ""
        moved = f" from base {self.start}" if self.offset else ""
        reads = f"read {self.read + 1}" if self.first is None else f"reads {self.first + 1} and {self.read + 1}"
        return f"{reads}{moved}{turned} on {self.names} ({self.share:.1%} of spots, chance {self.chance:.2%})"


class Windows(NamedTuple):
    """The possible barcodes of some spots at some offsets, sorted, so that each list is searched in its own order."""

    ordered: np.ndarray
    """Packed barcodes, ascending."""
    order: np.ndarray
    """Where each of them stands among spots × offsets."""
    telling: np.ndarray
    """bool, spots × offsets: the barcode is whole and not mostly of one base."""

    def on_list(self, packed: np.ndarray) -> np.ndarray:
        """Return whether each barcode is telling and on a sorted list: bool, spots × offsets."""
        found = np.searchsorted(packed, self.ordered)
        found[found == packed.size] = 0
        answer = np.empty(self.order.size, dtype=bool)
        answer[self.order] = packed[found] == self.ordered
        return answer.reshape(self.telling.shape) & self.telling


def pack_windows(
    codes: np.ndarray, start: int, length: int, offsets: int, reverse: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed barcodes at ``start`` and the following offsets, and whether each is telling.

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
    telling = np.ones((offsets, spots), dtype=bool)
    for base in range(NO_BASE + 1):  # how many of each base a window has: differences of running sums
        sums = np.zeros((span.shape[0] + 1, spots), dtype=np.uint8)
        np.cumsum(span == base, axis=0, dtype=np.uint8, out=sums[1:])
        count = sums[length:] - sums[:-length]
        telling &= (count == 0) if base == NO_BASE else (count < _SIMPLE * length)
    return packed.T, telling.T


class _Look:
    """Some spots of a read; what is packed for one kit serves every other that looks at the same place."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self._windows: dict[tuple[int, int, int, bool], Windows] = {}

    def windows(self, start: int, length: int, offsets: int, reverse: bool) -> Windows:
        """Return the windows at ``start`` (from 0) and the following offsets."""
        key = (start, length, offsets, reverse)
        if key not in self._windows:
            packed, telling = pack_windows(self.codes, *key)
            flat = packed.ravel()
            order = np.argsort(flat)
            self._windows[key] = Windows(flat[order], order, telling)
        return self._windows[key]

    def find_hits(self, place: Place, lists: Lists, first: int, offsets: int, reverse: bool) -> np.ndarray:
        """Return whether the barcode is on its list(s) at the offsets from ``first`` on: bool, spots × offsets."""
        found = np.zeros((self.codes.shape[0], offsets), dtype=bool)
        for shift in range(place.shift + 1):
            hits = np.ones_like(found)
            for segment in place.segments:
                windows = self.windows(first + shift + segment.start - 1, segment.length, offsets, reverse)
                hits &= windows.on_list(lists.packed[segment.list])
                if not hits.any():
                    break
            found |= hits
        return found


def _discount_few_barcodes(
    sample: ReadSample, place: Place, hits: np.ndarray, offset: int, reverse: bool
) -> np.ndarray:
    """Take a barcode that makes up more than half of the hits out of them, and two that make up nearly all.

    A constant sequence, or two bases in turn, are no evidence.
    """
    segment = place.segments[0]
    packed, _ = pack_windows(sample.codes[hits], offset + segment.start - 1, segment.length, 1, reverse)
    if not packed.size:
        return hits
    values, counts = np.unique(packed[:, 0], return_counts=True)
    order = np.argsort(-counts)[:2]
    if counts[order].sum() <= _NEARLY_ALL * packed.shape[0]:
        order = order[:1]
        if 2 * counts[order[0]] <= packed.shape[0]:
            return hits
    rest = hits.copy()
    rest[np.flatnonzero(hits)[np.isin(packed[:, 0], values[order])]] = False
    return rest


def chance_share(place: Place, lists: Lists) -> float:
    """Return the share of random barcodes that are on the list(s)."""
    share = 1.0 + place.shift
    for segment in place.segments:
        share *= lists.packed[segment.list].size / 4.0**segment.length
    return share


def testable_places(
    chemistries: Iterable[Chemistry], lists: Lists
) -> tuple[dict[Place, list[Chemistry]], dict[str, str]]:
    """Return the places that the lists at hand can prove, each with its kits, and name → why a kit is not tried."""
    places: dict[Place, list[Chemistry]] = {}
    left: dict[str, str] = {}
    for chemistry in chemistries:
        missing = [name for name in chemistry.lists if name not in lists.packed]
        unlike = [
            part.list
            for part in chemistry.barcode
            if part.list and not missing and lists.lengths[part.list] != part.length
        ]
        if chemistry.proof != "list":
            left[chemistry.name] = "barcodes do not prove it; name it to take it"
        elif missing:
            left[chemistry.name] = f"no inclusion list {', '.join(missing)}"
        elif unlike:
            left[chemistry.name] = f"the inclusion list {', '.join(unlike)} has barcodes of another length"
        else:
            places.setdefault(chemistry.place, []).append(chemistry)
    return places, left


def _offsets_within(sample: ReadSample, place: Place) -> int:
    """How many offsets leave the whole barcode inside the window and inside at least a tenth of the reads."""
    if not sample.lengths.size:
        return 0
    reach = min(int(np.quantile(sample.lengths, 0.9)), sample.codes.shape[1])
    return max(0, min(1 if place.shift or place.split else OFFSETS, reach - place.end + 1))


def join_samples(first: ReadSample, second: ReadSample, bases: int) -> ReadSample:
    """Return the reads of the same spots joined: so many bases of the first, then the second."""
    codes = np.concatenate([first.codes[:, :bases], second.codes[:, : second.codes.shape[1] - bases]], axis=1)
    return ReadSample(codes, second.lengths + bases)


def _readings(
    samples: Mapping[int, ReadSample], places: Sequence[Place]
) -> Iterator[tuple[int | None, int, ReadSample, list[Place]]]:
    """Yield what barcodes may be read from: first read (or None), read, its sample, and the places to try there."""
    whole = [place for place in places if not place.split]
    for read, sample in sorted(samples.items()):
        yield None, read, sample, whole
    for bases in sorted({place.split for place in places if place.split}):
        split = [place for place in places if place.split == bases]
        short = [
            read for read, one in samples.items() if one.lengths.size and 0 <= np.median(one.lengths) - bases <= SPARE
        ]
        for first in sorted(short):
            for read, sample in sorted(samples.items()):
                if read != first and sample.lengths.size and np.median(sample.lengths) > bases:
                    yield first, read, join_samples(samples[first], sample, bases), split


def measure_alternatives(samples: Mapping[int, ReadSample], places: Sequence[Place], lists: Lists) -> list[Alternative]:
    """Return the measured alternatives, best first; ``samples`` is read number (from 0) → its sampled reads.

    All samples are of the same spots. Alternatives that do not stand out are left away, unless they are a kit's own
    place in forward orientation.
    """
    found: list[Alternative] = []
    for first, read, sample, tried in _readings(samples, places):
        spots = sample.lengths.size
        step = max(1, spots // FIRST_LOOK)
        some, whole = _Look(sample.codes[::step]), _Look(sample.codes)
        for place in tried:
            offsets = _offsets_within(sample, place)
            if not offsets:
                continue
            chance = chance_share(place, lists)
            for reverse in (False, True):
                shares = some.find_hits(place, lists, 0, offsets, reverse).mean(axis=0)
                for offset in range(offsets):
                    if shares[offset] < max(_STANDS_OUT, 2 * chance) and (offset or reverse):
                        continue
                    hits = whole.find_hits(place, lists, offset, 1, reverse)[:, 0]
                    hits = _discount_few_barcodes(sample, place, hits, offset, reverse)
                    found.append(Alternative(read, place, offset, reverse, float(hits.mean()), chance, hits, first))
    return sorted(found, key=lambda one: (-one.share, one.read, one.offset, one.reverse, one.names))


def _only(one: Alternative, other: Alternative) -> float:
    """Share of the spots that one alternative explains and the other does not."""
    return float((one.hits & ~other.hits).mean())


def _same_spot(one: Alternative, other: Alternative) -> bool:
    return (one.first, one.read, one.offset, one.reverse) == (other.first, other.read, other.offset, other.reverse)


def choose_best(found: Sequence[Alternative]) -> Alternative | None:
    """Return the alternative with the highest share, None where nothing was measured.

    Where lists share barcodes and hardly a spot tells them apart, it is the one on which fewer would be by chance.
    """
    best = found[0] if found else None
    for other in found[1:]:
        assert best is not None
        if (
            _same_spot(best, other)
            and other.chance < best.chance
            and _only(best, other) <= MIN_SHARE / MARGIN * best.share
        ):
            best = other
    return best


def find_rival(best: Alternative, others: Iterable[Alternative]) -> Alternative | None:
    """Return the alternative that leaves the best one without a clear margin, or None.

    Where two lists share barcodes, one place has two readings: then the spots that only one of them explains decide.
    """
    for other in others:
        if other is best or other.share * MARGIN <= best.share:
            continue
        if _same_spot(best, other):
            only_best, only_other = _only(best, other), _only(other, best)
            if only_other * MARGIN <= only_best and only_best > MIN_SHARE * best.share:
                continue
            if only_other <= MIN_SHARE / MARGIN * best.share and best.chance < other.chance:
                continue
        return other
    return None


def find_trimmed(
    samples: Mapping[int, ReadSample], places: Sequence[Place], lists: Lists
) -> tuple[int, str, int] | None:
    """Return read number, list and length of barcodes that lost their last bases, or None where none stand out."""
    for read, sample in sorted(samples.items()):
        if not sample.lengths.size:
            continue
        length = int(np.median(sample.lengths))
        for place in places:
            segment = place.segments[0]
            if len(place.segments) > 1 or place.split or not segment.length - 3 <= length < segment.length:
                continue
            packed = lists.packed[segment.list]
            cut = np.unique(packed >> packed.dtype.type(2 * (segment.length - length)))
            share = float(_Look(sample.codes).windows(0, length, 1, False).on_list(cut).mean())
            if share > max(MIN_SHARE, MARGIN * cut.size / 4.0**length):
                return read, segment.list, length
    return None
