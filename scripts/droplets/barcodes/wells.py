"""Join the two barcodes of a well: an oligo-dT primer and random hexamers, each with a barcode of its own.

In SPLiT-seq and Parse Evercode the wells of the first round hold both primers, so that a cell has two barcodes. As
split-seq-pipeline has it, the first half of the list are the oligo-dT barcodes, well by well, the second half those of
the hexamers in the same order. Here every hexamer barcode in the reads becomes the oligo-dT barcode of its well before
STAR reads them; STAR is then given the oligo-dT barcodes alone.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scripts.droplets.fastq_sample import in_blocks
from scripts.droplets.inclusion_lists import BASE_CODES
from scripts.star.read_pipes import Source

TABLE = "wells.tsv"
"""The table of a library whose wells were joined: hexamer barcode and oligo-dT barcode."""
_NO_BASE = 4
_LINE_END = 10
_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)


def well_order(barcodes: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the barcodes of a list in the order that pairs its halves; empty where the order is not known.

    ``known`` is the public list; barcodes that are the same have its order. A list that someone has sorted has lost
    its own.
    """
    if sorted(barcodes) == sorted(known):
        return list(known)
    usable = len(set(barcodes)) == len(barcodes) and len(barcodes) % 2 == 0
    return list(barcodes) if usable and list(barcodes) != sorted(barcodes) else []


class WellJoiner:
    """What the barcode of a well becomes; ``order`` is the list in the order of :func:`well_order`."""

    def __init__(self, order: Sequence[str]) -> None:
        half = len(order) // 2
        self.kept, self.hexamers = list(order[:half]), list(order[half:])
        self.length = len(order[0])
        self._well = {barcode: number % half for number, barcode in enumerate(order)}
        self._kept = set(self.kept)
        self.resolve = functools.cache(self._resolve)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the hexamer barcode and the oligo-dT barcode of each well."""
        return list(zip(self.hexamers, self.kept, strict=True))

    def _resolve(self, window: str) -> str:
        """Return what the bases at the barcode's position become.

        A hexamer barcode, also with one base wrong or unread, becomes the oligo-dT barcode of its well. Bases that are
        as near to barcodes of two wells are no barcode: where STAR would take them for one, since it does not see the
        hexamers, they become N. All else stays.
        """
        if window in self._well:
            return self.kept[self._well[window]]
        unread = window.count("N")
        if unread > 1:
            return window
        places = [window.index("N")] if unread else range(self.length)
        changed = [f"{window[:place]}{base}{window[place + 1 :]}" for place in places for base in "ACGT"]
        near = [barcode for barcode in changed if barcode in self._well]
        wells = {self._well[barcode] for barcode in near}
        kept = [barcode for barcode in near if barcode in self._kept]
        if len(wells) == 1:
            return self.kept[wells.pop()] if not kept else window
        return "N" * self.length if len(kept) == 1 else window

    def join_block(self, letters: np.ndarray, starts: np.ndarray) -> None:
        """Change the barcodes that begin at these positions of some letters (ASCII codes) in place."""
        windows = starts[:, None] + np.arange(self.length)
        codes = BASE_CODES[letters[windows]]
        digits = np.zeros(codes.shape[0], dtype=np.uint64)
        for column in range(self.length):
            digits = digits * np.uint64(_NO_BASE + 1) + codes[:, column]
        values, first, inverse = np.unique(digits, return_index=True, return_inverse=True)
        becomes = np.array(
            [
                np.frombuffer(self.resolve(_LETTERS[row].tobytes().decode()).encode(), dtype=np.uint8)
                for row in codes[first]
            ],
            dtype=np.uint8,
        ).reshape(values.size, self.length)
        other = (becomes != _LETTERS[codes[first]]).any(axis=1)[inverse]
        letters[windows[other]] = becomes[inverse[other]]

    def joined(self, source: Source, first: int) -> Iterator[bytes]:
        """Yield the bytes of a FASTQ (four lines a record) with the barcodes at base ``first`` (from 0) joined."""
        rest = b""
        for piece in itertools.chain(in_blocks(source), [b"\n"]):  # a last line may have no end
            block = rest + piece
            letters = np.frombuffer(block, dtype=np.uint8).copy()
            ends = np.flatnonzero(letters == _LINE_END)
            ends = ends[: ends.size // 4 * 4]
            rest = block
            if ends.size:
                starts, stops = ends[0::4] + 1 + first, ends[1::4]
                self.join_block(letters, starts[starts + self.length <= stops])
                yield letters[: ends[-1] + 1].tobytes()
                rest = block[ends[-1] + 1 :]
        yield rest.rstrip(b"\n")

    def write_list(self, path: Path) -> None:
        """Write the oligo-dT barcodes, a line each: the inclusion list of the joined reads."""
        path.write_text("".join(f"{barcode}\n" for barcode in self.kept), encoding="utf-8")

    def write_table(self, path: Path) -> None:
        """Write which barcode became which, a line a well, under a head."""
        lines = itertools.chain([("hexamer", "oligo_dt")], self.pairs())
        path.write_text("".join(f"{one}\t{other}\n" for one, other in lines), encoding="utf-8")
