"""The barcodes of a kit without an inclusion list: those of the reads, less those that are another one misread.

A barcode is taken for a misread one where another barcode at one substitution has PARENT times as many reads. All
others are the inclusion list of the library, so that no barcode of the reads is lost, and STAR corrects the misread
ones against it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.errors import RunFault
from scripts.droplets.fastq_sample import NO_BASE, read_blocks
from scripts.droplets.inclusion_lists import barcode_lines, pack_codes, packed_type
from scripts.star.read_pipes import Source

PARENT = 10
"""So many times the reads of a barcode has the one of which it is a misread copy."""
_MERGED = 1 << 22


class Counts(NamedTuple):
    """Distinct packed barcodes, ascending, and how many reads each has."""

    packed: np.ndarray
    reads: np.ndarray


def _merge(parts: Sequence[Counts]) -> Counts:
    """Return the sum of counts."""
    packed = np.concatenate([part.packed for part in parts])
    reads = np.concatenate([part.reads for part in parts])
    order = np.argsort(packed, kind="stable")
    packed, reads = packed[order], reads[order]
    first = np.flatnonzero(np.append(True, packed[1:] != packed[:-1]))
    return Counts(packed[first], np.add.reduceat(reads, first))


def _block_counts(reads: Iterable[Source], start: int, length: int) -> Iterator[Counts]:
    for source in reads:
        for block in read_blocks(source):
            codes = block.codes[:, start : start + length]
            codes = codes[(codes != NO_BASE).all(axis=1)]
            if codes.size:
                yield Counts(*np.unique(pack_codes(codes), return_counts=True))


def count_barcodes(reads: Iterable[Source], start: int, length: int) -> Counts:
    """Count the barcodes of so many bases from base ``start`` (from 0) on, in all reads; those with an N are not."""
    parts: list[Counts] = [Counts(np.array([], dtype=packed_type(length)), np.array([], dtype=np.int64))]
    size = 0
    for part in _block_counts(reads, start, length):
        parts.append(part)
        size += part.packed.size
        if size > _MERGED + parts[0].packed.size:
            parts, size = [_merge(parts)], 0
    return _merge(parts) if sum(part.packed.size for part in parts) else parts[0]


def misread(counts: Counts, length: int) -> np.ndarray:
    """Return which barcodes are another one misread: bool, as long as ``counts``."""
    parents = counts.reads >= PARENT
    packed, reads = counts.packed[parents], counts.reads[parents]
    found = np.zeros(counts.packed.size, dtype=bool)
    if not packed.size:
        return found
    children = np.flatnonzero(counts.reads * PARENT <= reads.max())
    codes, own = counts.packed[children], counts.reads[children]
    for place in range(length):
        for change in range(1, 4):  # another base at this place: XOR with 1, 2 or 3
            other = codes ^ codes.dtype.type(change << (2 * place))
            index = np.minimum(np.searchsorted(packed, other), packed.size - 1)
            found[children] |= (packed[index] == other) & (reads[index] >= PARENT * own)
    return found


def write_found(reads: Iterable[Source], start: int, length: int, target: Path, least: float = 0.0) -> str:
    """Write the inclusion list of some barcode reads; return a sentence with its figures.

    Barcodes with less than the share ``least`` of the reads are not on it.
    Raises RunFault (BARCODE_LOST) where no read has a barcode without an unread base.
    """
    counts = count_barcodes(reads, start, length)
    if not counts.packed.size:
        raise RunFault("BARCODE_LOST", f"no read has {length} bases of a barcode without an unread one.")
    wrong = misread(counts, length)
    if least:
        kept = ~wrong & (counts.reads >= least * counts.reads.sum())
        with target.open("wb") as handle:
            handle.writelines(barcode_lines(counts.packed[kept], length))
        share = counts.reads[kept].sum() / counts.reads.sum()
        return (
            f"No inclusion list: the {int(kept.sum())} barcodes of {length} bases that {least:.1%} of the reads or more"
            f" have, together {share:.1%}, are the list."
        )
    with target.open("wb") as handle:
        handle.writelines(barcode_lines(counts.packed[~wrong], length))
    return (
        f"No inclusion list: the {int((~wrong).sum()):,} barcodes of the reads are the list, and"
        f" {int(wrong.sum()):,} that differ in one base from one with {PARENT} times as many reads"
        f" ({counts.reads[wrong].sum() / counts.reads.sum():.1%} of the reads) are corrected."
    )
