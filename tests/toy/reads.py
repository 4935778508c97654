"""Reads of known origin: plate cells and droplet libraries whose counts are known before any tool runs.

What becomes of a read is worked out from where it was cut, base by base, by the published rules of the counters
(:class:`CountModel`), never from an alignment:

- htseq-count 2 with ``-s no -m intersection-nonempty -t exon -i gene_id --nonunique none``: the gene sets at every
  base of a fragment are intersected, empty sets left aside;
- STARsolo ``Gene``: the read's blocks lie in the exons of a transcript and its splices are the transcript's, strand
  kept; ``GeneFull``: the read overlaps the gene's locus, strand kept; ``GeneFull_Ex50pAS``: the first that holds of
  wholly exonic, wholly exonic on the other strand (no gene), half exonic, in the locus. A read that fits two genes
  counts for neither.
"""

import bisect
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.toy.genomes import FLANK, Gene, Genome, Span, random_sequence, reverse_complement

NO_FEATURE = "__no_feature"
AMBIGUOUS = "__ambiguous"
NOT_UNIQUE = "__alignment_not_unique"
TALLIES = (NO_FEATURE, AMBIGUOUS, "__too_low_aQual", "__not_aligned", NOT_UNIQUE)
DROPPED = "dropped"  # reads that STAR does not align: no BAM and no counter ever sees them
FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS")

OVERHANG = 12  # fewest bases of a spliced read on either side of a junction
QUIET = 15  # bases from a block's ends that carry no mismatch, so that nothing is clipped
_QUALITIES = "#-17<AFJ"  # Phred 2, 12, 16, 22, 27, 32, 37, 41


class Read(NamedTuple):
    """Bases and Phred+33 qualities of one read."""

    sequence: str
    quality: str


class Fragment(NamedTuple):
    """A sequenced fragment: its reads in the archive's order, and the gene or tally that counts it."""

    reads: tuple[Read, ...]
    fate: str


class Origin(NamedTuple):
    """Where a read was cut: blocks in the order of the genome."""

    contig: str
    strand: str
    blocks: tuple[Span, ...]


class CountModel:
    """The counters' rules, applied to origins on one genome."""

    def __init__(self, genome: Genome) -> None:
        self.genome = genome
        self._bounds: dict[str, list[int]] = {}
        self._sets: dict[str, list[frozenset[str]]] = {}
        self._loci: dict[str, list[tuple[int, int, Gene]]] = {contig: [] for contig in genome.contigs}
        self.gene_of = {gene.gene_id: gene for gene in genome.genes}
        for gene in genome.genes:
            self._loci[gene.contig].append((gene.start, gene.end, gene))
        for contig, loci in self._loci.items():
            exons = [(start, end, gene.gene_id) for _, _, gene in loci for start, end in gene.exons]
            bounds = sorted({0, *(edge for start, end, _ in exons for edge in (start, end))})
            self._bounds[contig] = bounds
            self._sets[contig] = [
                frozenset(gene_id for start, end, gene_id in exons if start <= bound < end) for bound in bounds
            ]

    def plate_fate(self, contig: str, blocks: Iterable[Span]) -> str:
        """Return the gene or tally that htseq-count gives to a uniquely aligned fragment."""
        bounds, sets = self._bounds[contig], self._sets[contig]
        seen: frozenset[str] | None = None
        for start, end in blocks:
            first = bisect.bisect_right(bounds, start) - 1
            for genes in sets[first : bisect.bisect_left(bounds, end)]:
                if genes:
                    seen = genes if seen is None else seen & genes
        if not seen:
            return NO_FEATURE
        return AMBIGUOUS if len(seen) > 1 else next(iter(seen))

    def solo_genes(self, origin: Origin, feature: str) -> set[str]:
        """Return the genes that a uniquely aligned cDNA read fits for a STARsolo feature."""
        blocks = origin.blocks
        left, right = blocks[0][0], blocks[-1][1]
        near = [gene for start, end, gene in self._loci[origin.contig] if start < right and end > left]
        sense = [gene for gene in near if gene.strand == origin.strand]
        if feature == "Gene":
            return _exonic(blocks, sense)
        locus = {gene.gene_id for gene in sense if any(start < gene.end and end > gene.start for start, end in blocks)}
        if feature == "GeneFull":
            return locus
        if found := _exonic(blocks, sense):
            return found
        if _exonic(blocks, (gene for gene in near if gene.strand != origin.strand)):
            return set()
        return _half_exonic(blocks, sense) or locus

    def free_of_loci(self, contig: str, start: int, end: int) -> bool:
        """Whether a span keeps away from every locus."""
        return all(end <= left - FLANK or start >= right + FLANK for left, right, _ in self._loci[contig])


def _exonic(blocks: Sequence[Span], genes: Iterable[Gene]) -> set[str]:
    """Return the genes with a transcript in whose exons the blocks lie, spliced as it is."""
    return {gene.gene_id for gene in genes if any(_concordant(blocks, t.exons) for t in gene.transcripts)}


def _half_exonic(blocks: Sequence[Span], genes: Iterable[Gene]) -> set[str]:
    """Return the genes whose exons hold at least half of the blocks' bases."""
    length = sum(end - start for start, end in blocks)
    return {
        gene.gene_id
        for gene in genes
        if 2 * sum(max(0, min(end, e[1]) - max(start, e[0])) for start, end in blocks for e in gene.exons) >= length
    }


def _concordant(blocks: Sequence[Span], exons: Sequence[Span]) -> bool:
    """Whether blocks lie in consecutive exons of a transcript and meet their borders at every splice."""
    for first, (start, end) in enumerate(exons):
        if start <= blocks[0][0] < end:
            hit = exons[first : first + len(blocks)]
            inside = len(hit) == len(blocks) and all(
                exon[0] <= block[0] and block[1] <= exon[1] for exon, block in zip(hit, blocks, strict=True)
            )
            spliced = all(exon[1] == block[1] for exon, block in zip(hit[:-1], blocks[:-1], strict=False))
            landed = all(exon[0] == block[0] for exon, block in zip(hit[1:], blocks[1:], strict=False))
            return inside and spliced and landed
    return False


def blocks_of(exons: Sequence[Span], start: int, length: int) -> tuple[Span, ...]:
    """Return the genome blocks of a stretch of a transcript; ``start`` counts along the exons, genome left to right."""
    blocks = []
    for left, right in exons:
        size = right - left
        if start < size and length > 0:
            taken = min(length, size - start)
            blocks.append((left + start, left + start + taken))
            length -= taken
            start = 0
        else:
            start -= size
    return tuple(blocks)


def _well_spliced(blocks: Sequence[Span]) -> bool:
    return len(blocks) == 1 or all(end - start >= OVERHANG for start, end in blocks)


class Sequencer:
    """Turns origins into reads with qualities that fall along the read and, now and then, one or two mismatches."""

    def __init__(self, genome: Genome, dice: random.Random) -> None:
        self.genome = genome
        self.dice = dice
        self._qualities: dict[int, list[str]] = {}

    def qualities(self, length: int) -> str:
        """Return Phred+33 qualities, worse towards the end: one of a hundred such lines for each length."""
        if length not in self._qualities:
            self._qualities[length] = [
                "".join(
                    _QUALITIES[max(0, 7 - int(self.dice.expovariate(0.9) + 2.5 * place / length))]
                    for place in range(length)
                )
                for _ in range(100)
            ]
        return self.dice.choice(self._qualities[length])

    def read(self, origin: Origin, reverse: bool, mismatches: bool = True) -> Read:
        """Return the read of an origin, from the genome's forward strand or its reverse."""
        contig = self.genome.contigs[origin.contig]
        bases = list("".join(contig[start:end] for start, end in origin.blocks))
        if mismatches and self.dice.random() < 0.15:
            open_places = []
            place = 0
            for start, end in origin.blocks:
                open_places += range(place + QUIET, place + end - start - QUIET)
                place += end - start
            for place in self.dice.sample(open_places, min(len(open_places), self.dice.choice((1, 1, 2)))):
                bases[place] = self.dice.choice("ACGT".replace(bases[place], ""))
        sequence = "".join(bases)
        return Read(reverse_complement(sequence) if reverse else sequence, self.qualities(len(sequence)))

    def junk(self, length: int) -> Read:
        """Return a read that aligns nowhere."""
        return Read(random_sequence(length, self.dice), self.qualities(length))


class _Cuts:
    """Draws origins of a given kind; each method returns contig, strand and the exons or span to cut from."""

    def __init__(self, model: CountModel, dice: random.Random) -> None:
        self.model = model
        self.genome = model.genome
        self.dice = dice

    def contiguous(self, contig: str, left: int, right: int, length: int) -> tuple[str, tuple[Span, ...]] | None:
        """A stretch of the genome that starts between left and right - length."""
        if right - left < length:
            return None
        start = self.dice.randint(left, right - length)
        return contig, ((start, start + length),)

    def transcribed(self, gene: Gene, length: int) -> tuple[str, tuple[Span, ...]] | None:
        """A stretch of one of the gene's transcripts."""
        exons = self.dice.choice(gene.transcripts).exons
        total = sum(end - start for start, end in exons)
        if total < length:
            return None
        return gene.contig, blocks_of(exons, self.dice.randint(0, total - length), length)

    def intronic(self, gene: Gene, length: int) -> tuple[str, tuple[Span, ...]] | None:
        introns = [(start + 20, end - 20) for start, end in gene.introns if end - start >= length + 40]
        return self.contiguous(gene.contig, *self.dice.choice(introns), length) if introns else None

    def edge(self, gene: Gene, length: int) -> tuple[str, tuple[Span, ...]] | None:
        """A stretch across the border of an exon and an intron, at least 20 bases on either side."""
        edges = [edge for start, end in gene.introns for edge in (start, end)]
        if not edges:
            return None
        edge = self.dice.choice(edges)
        return self.contiguous(gene.contig, edge - length + 20, edge + length - 20, length)

    def intergenic(self, length: int) -> tuple[str, tuple[Span, ...]] | None:
        contig = self.dice.choice(("chr1", "chr2"))
        cut = self.contiguous(contig, 100, len(self.genome.contigs[contig]) - 100, length)
        return cut if cut and self.model.free_of_loci(contig, *cut[1][0]) else None

    def overlapping(self, length: int) -> tuple[str, tuple[Span, ...]] | None:
        """A stretch of the genome that touches the shared bases of two overlapping genes."""
        genes = self.genome.of("overlap_same", "overlap_antisense", "overlap_short")
        first = self.dice.randrange(0, len(genes), 2)
        left, right = genes[first : first + 2]
        return self.contiguous(left.contig, right.start - length + 20, left.end + length - 20, length)


def _weights(genes: Sequence[Gene], dice: random.Random, kind: int) -> list[float]:
    """Expression of one cell: a third of the genes silent, the rest log-normal about the level of the cell's kind."""
    weights = []
    for number, gene in enumerate(genes):
        level = 2.5 if (number + kind) % 3 == 0 else 1.0
        if gene.arrangement == "mitochondrial":
            level = 3.0
        weights.append(0.0 if dice.random() < 0.33 else level * math.exp(dice.gauss(0, 0.8)))
    weights[0] = max(weights[0], 0.5)
    return weights


PLATE_MIX = {  # of 1,000 fragments of a cell
    "transcribed": 800,
    "overlapping": 50,
    "edge": 25,
    "intronic": 25,
    "intergenic": 25,
    "duplicate": 25,
    "spike_in": 30,
    "junk": 20,
}


def plate_cell(
    model: CountModel,
    fragments: int,
    ends: int,
    length: int,
    dice: random.Random,
    spike_ins: bool = True,
    only_junk: bool = False,
) -> list[Fragment]:
    """Return the fragments of a plate cell, with one or two reads of ``length`` bases each, strands at random."""
    cuts = _Cuts(model, dice)
    sequencer = Sequencer(model.genome, dice)
    genes = [gene for gene in model.genome.genes if gene.arrangement not in ("duplicate", "spike_in")]
    weights = _weights(genes, dice, dice.randrange(3))
    duplicates, spiked = model.genome.of("duplicate"), model.genome.of("spike_in")
    draw: dict[str, Callable[[int], tuple[str, tuple[Span, ...]] | None]] = {
        "transcribed": lambda size: cuts.transcribed(dice.choices(genes, weights)[0], size),
        "overlapping": cuts.overlapping,
        "edge": lambda size: cuts.edge(dice.choice(genes), size),
        "intronic": lambda size: cuts.intronic(dice.choice(genes), size),
        "intergenic": cuts.intergenic,
        "duplicate": lambda size: cuts.transcribed(dice.choice(duplicates), size),
        "spike_in": lambda size: cuts.transcribed(dice.choice(spiked), size),
    }
    mix = {kind: share for kind, share in PLATE_MIX.items() if spike_ins or kind != "spike_in"}
    kinds = ["junk"] * fragments if only_junk else dice.choices([*mix], [*mix.values()], k=fragments)
    made = []
    for kind in kinds:
        if kind == "junk":
            made.append(Fragment(tuple(sequencer.junk(length) for _ in range(ends)), DROPPED))
            continue
        while True:
            size = length if ends == 1 else dice.randint(length + 10, 2 * length + 60)
            cut = draw[kind](size)
            if cut is None:
                continue
            contig, blocks = cut
            mates = [blocks]
            if ends == 2:
                mates = [blocks_of(blocks, 0, length), blocks_of(blocks, size - length, length)]
            if all(_well_spliced(mate) for mate in mates):
                break
        fate = NOT_UNIQUE if kind == "duplicate" else model.plate_fate(contig, [b for mate in mates for b in mate])
        turned = dice.random() < 0.5
        reads = [sequencer.read(Origin(contig, "+", mate), reverse=bool(n)) for n, mate in enumerate(mates)]
        if ends == 1 and turned:
            reads = [sequencer.read(Origin(contig, "+", mates[0]), reverse=True)]
        made.append(Fragment(tuple(reversed(reads) if turned else reads), fate))
    return made


def tally(fragments: Iterable[Fragment], genes: Iterable[Gene]) -> dict[str, int]:
    """Return gene or tally → expected count, zeros included; dropped fragments stand under :data:`DROPPED`."""
    counts = dict.fromkeys([*(gene.gene_id for gene in genes), *TALLIES, DROPPED], 0)
    counts.update(Counter(fragment.fate for fragment in fragments))
    return counts


# Droplets ------------------------------------------------------------------------------------------------------------


class Kit(NamedTuple):
    """A droplet chemistry: lengths of its reads, and the inclusion list it uses."""

    name: str
    inclusion_list: str
    barcode: int
    umi: int
    cdna: int
    index: int


KITS = {
    "v3": Kit("v3", "3M-february-2018", 16, 12, 90, 8),
    "v2": Kit("v2", "737K-august-2016", 16, 10, 98, 0),
}


class Spot(NamedTuple):
    """A spot of a droplet library: index read (empty where the kit's archive has none), barcode read, cDNA read."""

    index: Read
    barcode: Read
    cdna: Read


class Library(NamedTuple):
    """A droplet library: spots by run, the barcodes of its cells, and what is to be counted.

    ``truth`` is feature → (barcode, gene_id) → UMIs with reads of one gene; ``shared`` is feature → barcode → UMIs
    with a read that fits two genes, which EM and Rescue share out between them. A UMI may count in both.
    """

    spots: tuple[tuple[Spot, ...], ...]
    cells: tuple[str, ...]
    truth: Mapping[str, Mapping[tuple[str, str], int]]
    shared: Mapping[str, Mapping[str, int]]


def neighbours(sequence: str) -> list[str]:
    """Return all sequences at Hamming distance 1."""
    return [
        sequence[:place] + base + sequence[place + 1 :]
        for place in range(len(sequence))
        for base in "ACGT"
        if base != sequence[place]
    ]


def inclusion_lists(sizes: Mapping[str, int], dice: random.Random) -> dict[str, list[str]]:
    """Return name → sorted barcodes of 16 bases; any two of them, over all lists, differ in 3 bases or more."""
    near: set[str] = set()
    lists: dict[str, list[str]] = {}
    for name, size in sizes.items():
        chosen: list[str] = []
        while len(chosen) < size:
            barcode = random_sequence(16, dice)
            around = [barcode, *neighbours(barcode)]
            if near.isdisjoint(around):
                near.update(around)
                chosen.append(barcode)
        lists[name] = sorted(chosen)
    return lists


class _Umis:
    """Draws UMIs of one cell that differ in 3 bases or more, none of them a homopolymer."""

    def __init__(self, length: int, dice: random.Random) -> None:
        self.length = length
        self.dice = dice
        self.near: set[str] = set()

    def draw(self) -> str:
        while True:
            umi = random_sequence(self.length, self.dice)
            around = [umi, *neighbours(umi)]
            if len(set(umi)) > 2 and self.near.isdisjoint(around):
                self.near.update(around)
                return umi


DROPLET_MIX = {  # of 1,000 molecules of a cell
    "exonic": 740,
    "intronic": 100,
    "both": 50,  # exonic and intronic reads of one molecule
    "edge": 30,
    "antisense": 25,
    "intergenic": 20,
    "duplicate": 20,
    "junk": 15,
}


class _LibraryMaker:
    """Makes the spots of one droplet library, and counts them as they are made."""

    def __init__(self, model: CountModel, kit: Kit, runs: int, dice: random.Random) -> None:
        self.model = model
        self.kit = kit
        self.dice = dice
        self.cuts = _Cuts(model, dice)
        self.sequencer = Sequencer(model.genome, dice)
        self.lanes: list[list[Spot]] = [[] for _ in range(runs)]
        self.truth: dict[str, Counter[tuple[str, str]]] = {feature: Counter() for feature in FEATURES}
        self.shared: dict[str, Counter[str]] = {feature: Counter() for feature in FEATURES}
        self.sample_index = random_sequence(8, dice)
        self.genes = [gene for gene in model.genome.genes if gene.arrangement not in ("duplicate", "spike_in")]
        room = kit.cdna + 40
        self.spliced = [any(end - start >= room for start, end in gene.introns) for gene in self.genes]
        self.duplicates = model.genome.of("duplicate")

    def add(self, barcode: str, umi: str, cdna: Read) -> None:
        """Put a spot on one of the lanes."""
        index = Read("", "")
        if self.kit.index:
            index = Read(self.sample_index, self.sequencer.qualities(self.kit.index))
        tag = barcode + umi
        letters = zip(tag, self.sequencer.qualities(len(tag)), strict=True)
        quality = "".join("#" if base == "N" else letter for base, letter in letters)
        self.dice.choice(self.lanes).append(Spot(index, Read(tag, quality), cdna))

    def cdna(self, origin: Origin) -> Read:
        return self.sequencer.read(origin, reverse=origin.strand == "-")

    def cut(self, kind: str, gene: Gene) -> Origin:
        """Return where a cDNA read of this kind is cut; never over the end of a locus, where versions disagree."""
        length = self.kit.cdna
        while True:
            if kind == "intronic":
                found = self.cuts.intronic(gene, length)
            elif kind == "edge":
                found = self.cuts.edge(gene, length)
            elif kind == "intergenic":
                found = self.cuts.intergenic(length)
            else:
                found = self.cuts.transcribed(gene, length)
            if found is None or not _well_spliced(found[1]):
                continue
            strand = gene.strand
            if kind == "antisense":
                strand = "-" if strand == "+" else "+"
            origin = Origin(found[0], strand, found[1])
            over = map(self.model.gene_of.__getitem__, self.model.solo_genes(origin, "GeneFull"))
            if all(gene.start <= start and end <= gene.end for gene in over for start, end in origin.blocks):
                return origin

    def molecule(self, barcode: str, umi: str, kind: str, gene: Gene, copies: int, errors: bool) -> None:
        """Add the reads of one molecule, cut at ``copies`` places, and count it for every feature that one gene has.

        Molecules whose reads would be one gene's here and another's there are drawn again.
        """
        while True:
            places = [("exonic", "intronic")[copy % 2] if kind == "both" else kind for copy in range(copies)]
            origins = [self.cut(place, gene) for place in places]
            fitting = {f: [self.model.solo_genes(origin, f) for origin in origins] for f in FEATURES}
            if kind == "duplicate":
                both = {gene.gene_id for gene in self.duplicates}
                fitting = {feature: [both for _ in origins] for feature in FEATURES}
            single = {f: set().union(*(genes for genes in sets if len(genes) == 1)) for f, sets in fitting.items()}
            if all(len(genes) <= 1 for genes in single.values()):
                break
        for feature, sets in fitting.items():
            self.truth[feature].update((barcode, gene_id) for gene_id in single[feature])
            if any(len(genes) > 1 for genes in sets):
                self.shared[feature][barcode] += 1
        # a wrong base in the UMI of one read of four or more: 1MM collapsing takes it for the molecule's own
        # (but not of reads that fit two genes, whose UMIs are told apart to the base)
        clear = all(len(genes) <= 1 for sets in fitting.values() for genes in sets)
        odd = umi
        if errors and clear and copies >= 4 and self.dice.random() < 0.3:
            odd = self.dice.choice(neighbours(umi))
        for copy, origin in enumerate(origins):
            written = barcode
            if errors and self.dice.random() < 0.04:
                written = self.dice.choice(neighbours(barcode))
            self.add(written, odd if copy == 3 else umi, self.cdna(origin))

    def droplet(self, barcode: str, molecules: int, real: bool, kind: int) -> None:
        """Add all reads of a droplet: a real cell's molecules have several reads each and errors in them."""
        weights = _weights(self.genes, self.dice, kind)
        of_spliced = [(weight + 1e-6) * has for weight, has in zip(weights, self.spliced, strict=True)]
        umis = _Umis(self.kit.umi, self.dice)
        for made in self.dice.choices([*DROPLET_MIX], [*DROPLET_MIX.values()], k=molecules):
            umi = umis.draw()
            copies = min(12, 1 + int(self.dice.expovariate(0.42))) if real else 1
            if made == "junk":
                for _ in range(copies):
                    self.add(barcode, umi, self.sequencer.junk(self.kit.cdna))
                continue
            if made == "duplicate":
                gene = self.dice.choice(self.duplicates)
            else:
                share = of_spliced if made in ("intronic", "both", "edge") else weights
                gene = self.dice.choices(self.genes, share)[0]
            self.molecule(barcode, umi, made, gene, max(copies, 2) if made == "both" else copies, errors=real)
        for umi in ("A" * self.kit.umi, "N" + umis.draw()[1:]) if real else ():
            self.add(barcode, umi, self.cdna(self.cut("exonic", self.dice.choices(self.genes, weights)[0])))


def droplet_library(
    model: CountModel, kit: Kit, barcodes: Sequence[str], runs: int, cells: int, dice: random.Random
) -> Library:
    """Return a library of ``cells`` real cells (100 to 140 molecules each) and 150 droplets with one to three.

    The reads of a molecule are dealt to the runs at random, as lanes do. Some reads carry one wrong base in the
    barcode or, where the molecule has four reads or more, in the UMI; both are mended by ``1MM_multi`` and ``1MM_*``.
    A few reads have a barcode that is on no list, or a UMI with N or of a single base; those are counted nowhere.
    """
    maker = _LibraryMaker(model, kit, runs, dice)
    chosen = dice.sample(list(barcodes), cells + 150)
    for number, barcode in enumerate(chosen):
        real = number < cells
        maker.droplet(barcode, dice.randint(100, 140) if real else dice.randint(1, 3), real, number % 3)
    near = {near for barcode in barcodes for near in (barcode, *neighbours(barcode))}
    for _ in range(4 * cells):
        lost = random_sequence(kit.barcode, dice)
        if lost not in near:
            exonic = maker.cut("exonic", dice.choice(maker.genes))
            maker.add(lost, random_sequence(kit.umi, dice), maker.cdna(exonic))
    for lane in maker.lanes:
        dice.shuffle(lane)
    counted = {feature: dict(sorted(umis.items())) for feature, umis in maker.truth.items()}
    shared = {feature: dict(sorted(umis.items())) for feature, umis in maker.shared.items()}
    return Library(tuple(map(tuple, maker.lanes)), tuple(chosen[:cells]), counted, shared)
