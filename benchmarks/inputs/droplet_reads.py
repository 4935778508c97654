"""Droplet libraries of every kit, made from a seed: the reads of some spots, and what each read is.

Inclusion lists are random barcodes in the sizes of the true ones, or of a fraction of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scripts.formats.chemistries import Chemistry, InclusionList
from scripts.formats.fastq_sample import NO_BASE, WIDTH, ReadSample
from scripts.formats.inclusion_lists import packed_type
from scripts.inference.chemistry import Lists

TENX = (
    "737K-april-2014_rc",
    "737K-august-2016",
    "3M-february-2018",
    "3M-3pgex-may-2023",
    "3M-5pgex-jan-2023",
    "737K-arc-v1",
    "737K-cratac-v1",
    "737K-fixed-rna-profiling",
)
CELLS = 300
GENOME = 400_000


class Made(NamedTuple):
    """A library: ``samples`` is read number → reads; ``roles`` and ``kit`` are true, ``fault`` is why to refuse it."""

    name: str
    samples: dict[int, ReadSample]
    roles: tuple[str, ...]
    kit: str
    fault: str = ""


def make_lists(known: Mapping[str, InclusionList], names: Sequence[str], fraction: float, seed: int) -> Lists:
    """Return random inclusion lists of these names, a fraction of their true sizes (of short barcodes the whole)."""
    dice = np.random.default_rng(seed)
    packed, lengths = {}, {}
    for name in names:
        one = known[name]
        size = max(96, int(one.barcodes * fraction)) if one.barcodes > 1000 else one.barcodes
        space = 4**one.length
        drawn = np.unique(dice.integers(0, space, size * 11 // 10 + 10, dtype=np.uint64))
        drawn = np.sort(dice.choice(drawn, min(size, drawn.size), replace=False))
        packed[name] = drawn.astype(packed_type(one.length))
        lengths[name] = one.length
    return Lists(packed, lengths)


def unpack(packed: np.ndarray, length: int) -> np.ndarray:
    """Return the base codes (barcodes × bases) of packed barcodes."""
    shifts = np.arange(2 * length - 2, -2, -2, dtype=np.uint64)
    return (packed.astype(np.uint64)[:, None] >> shifts & np.uint64(3)).astype(np.uint8)


def as_sample(codes: np.ndarray) -> ReadSample:
    """Return reads of one length as a sample."""
    wide = np.full((codes.shape[0], WIDTH), NO_BASE, dtype=np.uint8)
    wide[:, : min(codes.shape[1], WIDTH)] = codes[:, :WIDTH]
    return ReadSample(wide, np.full(codes.shape[0], codes.shape[1], dtype=np.int64))


class Maker:
    """Makes reads; a sequencing error gives another base, one in twenty of them none (N)."""

    def __init__(self, lists: Lists, spots: int, seed: int) -> None:
        self.lists, self.spots = lists, spots
        self.dice = np.random.default_rng(seed)
        self.genome = self.dice.integers(0, 4, GENOME).astype(np.uint8)

    def random(self, length: int) -> np.ndarray:
        return self.dice.integers(0, 4, (self.spots, length)).astype(np.uint8)

    def cdna(self, length: int) -> np.ndarray:
        """Reads of some thousand places of a genome; one in ten ends in the poly-A tail."""
        starts = self.dice.choice(self.dice.integers(0, GENOME - 400, 3000), self.spots)
        reads = self.genome[starts[:, None] + np.arange(length)]
        tails = self.dice.random(self.spots) < 0.1
        reads[tails, length - min(length, int(self.dice.integers(10, 40))) :] = 0
        return reads

    def constant(self, length: int, kinds: int = 4) -> np.ndarray:
        """A sample index: one of a few sequences."""
        return self.dice.integers(0, 4, (kinds, length)).astype(np.uint8)[self.dice.integers(0, kinds, self.spots)]

    def barcode_read(self, kit: Chemistry, length: int) -> np.ndarray:
        """Barcode and UMI at their places, poly-T or random bases elsewhere."""
        reads = self.random(max(length, kit.read_end))
        if kit.strand != "Reverse":
            reads[:, kit.read_end : kit.read_end + 30] = 3
        for segment in kit.barcode:
            cells = self.dice.choice(self.lists.packed[segment.list], CELLS)
            first = segment.start - 1
            chosen = unpack(cells, segment.length)[self.dice.integers(0, CELLS, self.spots)]
            reads[:, first : first + segment.length] = chosen
        if kit.shift:  # up to so many bases before it, from spot to spot
            before = self.dice.integers(0, kit.shift + 1, self.spots)
            late = np.arange(reads.shape[1]) - before[:, None]
            reads = np.where(late < 0, self.random(reads.shape[1]), np.take_along_axis(reads, np.maximum(late, 0), 1))
        return reads[:, :length]

    def sequenced(self, reads: np.ndarray, rate: float) -> ReadSample:
        wrong = self.dice.random(reads.shape) < rate
        other = (reads + self.dice.integers(1, 4, reads.shape)).astype(np.uint8) % 4
        none = self.dice.random(reads.shape) < rate / 20
        return as_sample(np.where(none, NO_BASE, np.where(wrong, other, reads)).astype(np.uint8))

    def library(
        self, kit: Chemistry, order: str, length: int, rate: float, cdna: int = 90, name: str = "", fault: str = ""
    ) -> Made:
        """Make a library.

        ``order``: B barcode, F the first bases of one that is in two reads, C cDNA, U UMI, I and J indices of 8 and 10,
        0 a read not there.
        """
        barcodes = self.barcode_read(kit, length)
        made = {
            "B": lambda: (barcodes[:, kit.split :], "barcode"),
            "F": lambda: (barcodes[:, : kit.split], "barcode"),
            "C": lambda: (self.cdna(cdna), "cdna"),
            "U": lambda: (self.random(kit.umi_length), "umi"),
            "I": lambda: (self.constant(8), "index"),
            "J": lambda: (self.constant(10), "index"),
        }
        samples, roles = {}, []
        for number, letter in enumerate(order):
            if letter == "0":
                roles.append("none")
                continue
            reads, role = made[letter]()
            samples[number] = self.sequenced(reads, rate)
            roles.append(role)
        told = name or f"{kit.name} {order} {length} nt, {rate:.1%} errors"
        return Made(told, samples, tuple(roles), "" if kit.refused or fault else kit.name, fault)

    def bulk(self, lengths: Sequence[int], rate: float) -> Made:
        """Make a bulk or plate library: cDNA reads, and indices where they are short."""
        samples = {
            number: self.sequenced(self.cdna(length) if length > 12 else self.constant(length), rate)
            for number, length in enumerate(lengths)
        }
        return Made(f"bulk {lengths}", samples, (), "", "CHEMISTRY_UNKNOWN")


ORDERS = ("BC", "CB", "IBC", "BCI", "IJBC", "BCIJ", "ICB", "0BC", "B0C", "IBCJ")
RATES = (0.0, 0.005, 0.02, 0.05)


def battery(chemistries: Mapping[str, Chemistry], lists: Lists, spots: int, seed: int) -> Iterator[Made]:
    """Yield libraries: every kit × order × length of the barcode read × error rate, and those that must be refused."""
    maker = Maker(lists, spots, seed)
    kits = [kit for kit in chemistries.values() if kit.proof == "list" and set(kit.lists) <= set(lists.packed)]
    for kit in kits:
        orders = ["CBU", "CBUI", "BUC", "ICUB"] if kit.umi_own_read else ORDERS
        if kit.split:
            orders = ["CFIB", "CFB", "FBC", "ICBF"]
        more = (0,) if kit.umi_own_read else (0, 2, 30, 125)
        for number, order in enumerate(orders):
            for place, rate in enumerate(RATES):
                length = kit.read_end + kit.shift + more[(number + place) % len(more)]
                cdna = (91, 50, 98, 150)[(number + 2 * place) % 4]
                fault = "CHEMISTRY_UNKNOWN" if kit.refused else ""
                yield maker.library(kit, order, length, rate, cdna, fault=fault)
    for kit in kits:
        if kit.simple and not kit.umi_own_read and not kit.refused:
            for length, rate in ((16, 0.01), (14, 0.01), (20, 0.02)):
                yield maker.library(kit, "BC", length, rate, fault="BARCODE_TRIMMED")
    for lengths in ((150, 150), (75,) * 2, (8, 101, 101), (51, 8), (26, 98), (28, 90), (10, 10, 150, 150), (100, 50)):
        for rate in RATES:
            yield maker.bulk(lengths, rate)
