"""Droplet libraries of every kit, made from a seed: the reads of some spots, and what each read is.

Inclusion lists are random barcodes in the sizes of the true ones, or of a fraction of them; public ones are true.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scripts.droplets.chemistries import Chemistry, InclusionList
from scripts.droplets.fastq_sample import NO_BASE, WIDTH, ReadSample
from scripts.droplets.inclusion_lists import packed_type, read_packed
from scripts.droplets.roles.barcode_search import PackedLists

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


def make_lists(known: Mapping[str, InclusionList], names: Sequence[str], fraction: float, seed: int) -> PackedLists:
    """Return inclusion lists of these names: the public ones, and random ones.

    These have a fraction of their true sizes, those of short barcodes the whole.
    """
    dice = np.random.default_rng(seed)
    packed, lengths = {}, {}
    for name in names:
        one = known[name]
        lengths[name] = one.length
        if one.file:
            packed[name], _ = read_packed(one.file)
            continue
        size = max(96, int(one.barcodes * fraction)) if one.barcodes > 1000 else one.barcodes
        space = 4**one.length
        drawn = np.unique(dice.integers(0, space, size * 11 // 10 + 10, dtype=np.uint64))
        drawn = np.sort(dice.choice(drawn, min(size, drawn.size), replace=False))
        packed[name] = drawn.astype(packed_type(one.length))
    return PackedLists(packed, lengths)


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

    def __init__(self, lists: PackedLists, spots: int, seed: int) -> None:
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
        reported = name or f"{kit.name} {order} {length} nt, {rate:.1%} errors"
        return Made(reported, samples, tuple(roles), "" if kit.refused or fault else kit.name, fault)

    def bulk(self, lengths: Sequence[int], rate: float) -> Made:
        """Make a bulk or plate library: cDNA reads, and indices where they are short."""
        samples = {
            number: self.sequenced(self.cdna(length) if length > 12 else self.constant(length), rate)
            for number, length in enumerate(lengths)
        }
        return Made(f"bulk {lengths}", samples, (), "", "CHEMISTRY_UNKNOWN")


ORDERS = ("BC", "CB", "IBC", "BCI", "IJBC", "BCIJ", "ICB", "0BC", "B0C", "IBCJ")
RATES = (0.0, 0.005, 0.02, 0.05)


def battery(chemistries: Mapping[str, Chemistry], lists: PackedLists, spots: int, seed: int) -> Iterator[Made]:
    """Yield libraries: every kit × order × length of the barcode read × error rate, and those that must be refused."""
    maker = Maker(lists, spots, seed)
    kits = [kit for kit in chemistries.values() if kit.proof == "list" and set(kit.lists) <= set(lists.packed)]
    for kit in kits:
        orders = ["CBU", "CBUI", "BUC", "ICUB", "JCUB", "CBUIJ"] if kit.umi_own_read else ORDERS
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
        if kit.simple and not kit.umi_own_read and not kit.split and not kit.refused:
            for length, rate in ((16, 0.01), (14, 0.01), (20, 0.02)):
                if length >= kit.read_least:
                    continue
                yield maker.library(kit, "BC", length, rate, fault="BARCODE_TRIMMED")
    for lengths in ((150, 150), (75,) * 2, (8, 101, 101), (51, 8), (26, 98), (28, 90), (10, 10, 150, 150), (100, 50)):
        for rate in RATES:
            yield maker.bulk(lengths, rate)


SPOILT = (
    *("10x_3p_v2", "10x_5p_v2", "10x_3p_v3", "10x_3p_v4", "10x_5p_v3", "10x_multiome"),
    *("cel_seq2", "sort_seq", "quartz_seq2", "microwell_seq", "split_seq"),
)
TEMPLATE_SWITCH = "AAGCAGTGGTATCAACGCAGAGTACATGGG"
SMART_SEQ3_TAG = "ATTGCGCAATG"
PHIX = 5386


def _letters(text: str) -> np.ndarray:
    return np.array(["ACGT".index(letter) for letter in text], dtype=np.uint8)


class Spoiler:
    """Spoils libraries in the ways of real ones; every way takes a share of the spots and gives their reads anew."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.phix = maker.dice.integers(0, 4, PHIX).astype(np.uint8)

    def spoil(self, sample: ReadSample, spots: np.ndarray, codes: np.ndarray) -> ReadSample:
        """Return the sample with other bases in some spots, from the first base on; the lengths stay."""
        spoilt = sample.codes.copy()
        width = min(codes.shape[1], spoilt.shape[1], int(sample.lengths[0]))
        spoilt[spots, :width] = codes[spots, :width]
        return ReadSample(spoilt, sample.lengths)

    def some(self, share: float) -> np.ndarray:
        return self.maker.dice.random(self.maker.spots) < share

    def control(self, length: int) -> np.ndarray:
        starts = self.maker.dice.integers(0, PHIX - 400, self.maker.spots)
        return self.phix[starts[:, None] + np.arange(length)]

    def repeats(self, length: int) -> np.ndarray:
        """Two bases in turn, from either of them on."""
        turn = self.maker.dice.integers(0, 2, self.maker.spots)[:, None] + np.arange(length)
        return (turn % 2).astype(np.uint8)

    def same(self, codes: np.ndarray) -> np.ndarray:
        return np.tile(codes, (self.maker.spots, 1))


def hostile(chemistries: Mapping[str, Chemistry], lists: PackedLists, spots: int, seed: int) -> Iterator[Made]:
    """Yield libraries that are hard to tell: spoilt ones of droplets, and others that look like droplets in part.

    A library with a fault must be refused for that reason, one without must be recognized.
    """
    maker = Maker(lists, spots, seed)
    spoiler = Spoiler(maker)
    for name in SPOILT:
        kit = chemistries[name]
        made = maker.library(kit, "BC", kit.read_end, 0.01)
        barcode, cdna = made.samples[0], made.samples[1]
        empty = spoiler.same(np.full(100, NO_BASE, dtype=np.uint8))
        tail, primer = spoiler.same(np.full(60, 3, dtype=np.uint8)), spoiler.same(_letters(TEMPLATE_SWITCH))
        third, half, fifth = spoiler.some(0.3), spoiler.some(0.5), spoiler.some(0.2)
        for words, samples in {
            "30 % without a base": {0: spoiler.spoil(barcode, third, empty), 1: cdna},
            "50 % control": {
                0: spoiler.spoil(barcode, half, spoiler.control(100)),
                1: spoiler.spoil(cdna, half, spoiler.control(100)),
            },
            "30 % poly-T": {0: spoiler.spoil(barcode, third, tail), 1: cdna},
            "30 % empty beads": {0: barcode, 1: spoiler.spoil(cdna, third, primer)},
            "half of the cDNA of two bases": {0: barcode, 1: spoiler.spoil(cdna, half, spoiler.repeats(100))},
            "20 % of the reads swapped": {
                0: spoiler.spoil(barcode, fifth, cdna.codes),
                1: spoiler.spoil(cdna, fifth, barcode.codes),
            },
        }.items():
            yield made._replace(name=f"{name}, {words}", samples=samples)
        length = 26 if kit.read_least <= 26 else kit.read_end
        yield maker.library(kit, "CB", length, 0.02, name=f"{name}, reads of {length}")
        tenth = spoiler.some(0.1)
        cells = {read: maker.sequenced(maker.cdna(75), 0.01) for read in range(2)}
        cells[0] = spoiler.spoil(cells[0], tenth, barcode.codes[:, : kit.read_end])
        paired = maker.bulk((75, 75), 0.01)
        yield paired._replace(name=f"plate, 10 % like {name}", samples=cells)
        yield paired._replace(name=f"plate of one read, 10 % like {name}", samples={0: cells[0]}, fault="BARCODE_LOST")
    bulk = maker.bulk((100, 100), 0.01)
    whole = np.ones(spots, dtype=bool)
    tagged = np.concatenate([spoiler.same(_letters(SMART_SEQ3_TAG)), maker.random(8), spoiler.same(_letters("GGG"))], 1)
    for words, codes in {
        "template switch at the head": spoiler.same(_letters(TEMPLATE_SWITCH)),
        "poly-T at the head": spoiler.same(np.full(30, 3, dtype=np.uint8)),
        "two bases in turn": spoiler.repeats(100),
        "no base": spoiler.same(np.full(100, NO_BASE, dtype=np.uint8)),
        "Smart-seq3": tagged,
    }.items():
        for read in range(2):
            samples = dict(bulk.samples)
            samples[read] = spoiler.spoil(samples[read], whole, codes)
            yield bulk._replace(name=f"plate, read {read + 1}: {words}", samples=samples)
    for lengths in ((28, 91), (28, 28), (26, 98), (16, 90), (24, 150), (8, 28, 91), (28, 10, 10, 90)):
        for rate in (0.0, 0.02):
            yield maker.bulk(lengths, rate)._replace(name=f"bulk of {lengths}, {rate:.0%} errors")
