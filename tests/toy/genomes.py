"""Two small genomes with GENCODE-style annotations, and spike-ins, made from a seed.

Every gene stands in a locus of known arrangement (:data:`ARRANGEMENTS`), so that reads can be made whose fate under
htseq-count and STARsolo is known. The sequence is random: no read of 40 bases or more has a second place, but for the
pair of duplicated genes, whose loci are alike to the base.
"""

import gzip
import io
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

Span = tuple[int, int]  # 0-based, half-open, as in BED

ARRANGEMENTS = (
    "multi_exon",
    "single_exon",
    "two_transcripts",
    "overlap_same",  # two genes of one strand, the last exon of one reaching into the first of the other
    "overlap_antisense",  # the same on opposite strands
    "overlap_short",  # an overlap of 30 bases: a read across it lies in both genes' own parts as well
    "nested",  # a single-exon gene inside an intron of a host
    "host",
    "same_name",  # two genes that share a gene_name
    "duplicate",  # two loci with the same sequence
    "mitochondrial",
    "spike_in",
)
FLANK = 60  # bases around a locus that a duplicate shares, and that stay free of reads
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


class Transcript(NamedTuple):
    """A transcript: its exons in the order of the genome."""

    transcript_id: str
    exons: tuple[Span, ...]


class Gene(NamedTuple):
    """A gene and the arrangement in which it stands."""

    gene_id: str
    gene_name: str
    gene_type: str
    contig: str
    strand: str
    transcripts: tuple[Transcript, ...]
    arrangement: str

    @property
    def start(self) -> int:
        return min(transcript.exons[0][0] for transcript in self.transcripts)

    @property
    def end(self) -> int:
        return max(transcript.exons[-1][1] for transcript in self.transcripts)

    @property
    def exons(self) -> tuple[Span, ...]:
        """The exons of all transcripts, merged."""
        merged: list[Span] = []
        for start, end in sorted(exon for transcript in self.transcripts for exon in transcript.exons):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return tuple(merged)

    @property
    def introns(self) -> tuple[Span, ...]:
        """What no transcript has as an exon, between the gene's ends."""
        exons = self.exons
        return tuple((left[1], right[0]) for left, right in itertools.pairwise(exons))


class Genome(NamedTuple):
    """Contigs by name (upper-case ACGT) and genes in the order of the genome."""

    name: str
    contigs: Mapping[str, str]
    genes: tuple[Gene, ...]

    def gene(self, gene_id: str) -> Gene:
        return next(gene for gene in self.genes if gene.gene_id == gene_id)

    def of(self, *arrangements: str) -> list[Gene]:
        """Return the genes of these arrangements."""
        return [gene for gene in self.genes if gene.arrangement in arrangements]


def reverse_complement(sequence: str) -> str:
    """Return the other strand of a sequence of ACGTN."""
    return sequence.translate(_COMPLEMENT)[::-1]


def random_sequence(length: int, dice: random.Random) -> str:
    """Return that many random bases."""
    return "".join(dice.choices("ACGT", k=length))


class _Plan:
    """Lays loci along a contig from left to right and collects the genes."""

    def __init__(self, contig: str, dice: random.Random) -> None:
        self.contig = contig
        self.dice = dice
        self.place = 2000
        self.genes: list[tuple[str, str, list[tuple[Span, ...]]]] = []  # arrangement, strand, exons by transcript
        self.copies: list[tuple[Span, int]] = []  # span, where it is repeated

    def exons(self, count: int, start: int, shortest_intron: int = 250) -> tuple[Span, ...]:
        spans = []
        for _ in range(count):
            end = start + self.dice.randint(180, 420)
            spans.append((start, end))
            start = end + self.dice.randint(shortest_intron, shortest_intron + 550)
        return tuple(spans)

    def add(self, arrangement: str, strand: str, *transcripts: tuple[Span, ...]) -> None:
        self.genes.append((arrangement, strand, list(transcripts)))
        self.place = max(self.place, *(exons[-1][1] for exons in transcripts))

    def gap(self) -> None:
        self.place += self.dice.randint(700, 1100)

    def strand(self) -> str:
        return self.dice.choice("+-")

    def simple(self, arrangement: str, exon_count: int) -> None:
        self.gap()
        self.add(arrangement, self.strand(), self.exons(exon_count, self.place))

    def single_exon(self) -> None:
        self.gap()
        self.add("single_exon", self.strand(), ((self.place, self.place + self.dice.randint(500, 900)),))

    def two_transcripts(self) -> None:
        """A gene whose second transcript skips the middle exon."""
        self.gap()
        exons = self.exons(3, self.place)
        self.add("two_transcripts", self.strand(), exons, (exons[0], exons[2]))

    def overlap(self, arrangement: str, shared: int, strands: str) -> None:
        """Two genes: the second's first exon begins ``shared`` bases before the end of the first's last exon."""
        self.gap()
        first = self.exons(2, self.place)
        last = (first[1][0], first[1][0] + 200 + shared)
        start = last[1] - shared
        second = ((start, start + shared + 220), *self.exons(1, start + shared + 220 + self.dice.randint(300, 600)))
        self.add(arrangement, strands[0], (first[0], last))
        self.add(arrangement, strands[1], second)

    def nested(self, strands: str) -> None:
        """A host with a long first intron, and a single-exon gene inside it."""
        self.gap()
        first = (self.place, self.place + 300)
        inner = (first[1] + 600, first[1] + 1050)
        self.add("host", strands[0], (first, *self.exons(2, inner[1] + 600)))
        self.add("nested", strands[1], (inner,))

    def duplicates(self) -> None:
        """Two loci of the same sequence, two exons each, far apart from one another."""
        self.gap()
        exons = self.exons(2, self.place)
        strand = self.strand()
        self.add("duplicate", strand, exons)
        self.simple("multi_exon", 3)
        self.gap()
        shift = self.place - exons[0][0]
        self.copies.append(((exons[0][0] - FLANK, exons[-1][1] + FLANK), shift))
        self.add("duplicate", strand, tuple((start + shift, end + shift) for start, end in exons))


def _large_contig(contig: str, dice: random.Random, share: int) -> _Plan:
    """Plan about 30 genes: ``share`` is 0 or 1, so that the two large contigs hold different arrangements."""
    plan = _Plan(contig, dice)
    for number in range(9):
        plan.simple("multi_exon", 2 + number % 5)
    for _ in range(3):
        plan.single_exon()
    plan.two_transcripts()
    for shared in (200, 150):
        strand = plan.strand()
        plan.overlap("overlap_same", shared, strand + strand)
        plan.overlap("overlap_antisense", shared, "+-" if share else "-+")
    plan.overlap("overlap_short", 30, "+-" if share else "++")
    plan.nested("++" if share else "+-")
    plan.simple("same_name", 3)
    if not share:
        plan.duplicates()
    for number in range(3):
        plan.simple("multi_exon", 3 + number)
    return plan


def _mitochondrial_contig(contig: str, dice: random.Random) -> _Plan:
    plan = _Plan(contig, dice)
    plan.place = 400
    for _ in range(4):
        plan.place += 90
        plan.add("mitochondrial", plan.strand(), ((plan.place, plan.place + dice.randint(450, 700)),))
    return plan


def _sequence_of(plan: _Plan, dice: random.Random) -> str:
    """Return a contig's bases, with canonical splice sites at every intron, and the copies of duplicated loci."""
    bases = list(random_sequence(plan.place + 2000, dice))
    for _, strand, transcripts in plan.genes:
        for exons in transcripts:
            for left, right in itertools.pairwise(exons):
                donor, acceptor = ("GT", "AG") if strand == "+" else ("CT", "AC")
                bases[left[1] : left[1] + 2] = donor
                bases[right[0] - 2 : right[0]] = acceptor
    for (start, end), shift in plan.copies:
        bases[start + shift : end + shift] = bases[start:end]
    return "".join(bases)


def make_genome(name: str, seed: int) -> Genome:
    """Return the toy genome ``hg38`` or ``mm10``: chr1, chr2 and chrM, some 170,000 bases and 60 genes."""
    prefix, word, mitochondrial = {"hg38": ("ENSG", "TOY", "MT-TOY"), "mm10": ("ENSMUSG", "Toy", "mt-Toy")}[name]
    dice = random.Random(f"{seed} genome {name}")
    plans = [_large_contig("chr1", dice, 0), _large_contig("chr2", dice, 1), _mitochondrial_contig("chrM", dice)]
    genes = []
    for plan in plans:
        for arrangement, strand, transcripts in sorted(plan.genes, key=lambda planned: planned[2][0][0]):
            number = len(genes) + 1
            gene_id = f"{prefix}{900000 + number:011d}"
            if arrangement == "same_name":
                gene_name = f"{word}TWIN1"
            elif arrangement == "mitochondrial":
                gene_name = f"{mitochondrial}{number}"
            else:
                gene_name = f"{word}{number}"
            gene_type = {"nested": "lncRNA", "mitochondrial": "Mt_rRNA"}.get(arrangement, "protein_coding")
            transcript_id = f"{prefix[:-1]}T{90000000 + 10 * number:011d}"
            genes.append(
                Gene(
                    f"{gene_id}.{1 + number % 9}",
                    gene_name,
                    gene_type,
                    plan.contig,
                    strand,
                    tuple(
                        Transcript(f"{transcript_id[:-1]}{order}.1", exons)
                        for order, exons in enumerate(transcripts, 1)
                    ),
                    arrangement,
                )
            )
    return Genome(name, {plan.contig: _sequence_of(plan, dice) for plan in plans}, tuple(genes))


def make_spike_ins(seed: int) -> Genome:
    """Return spike-ins in the manner of ERCC: each a contig of its own with one gene over its whole length."""
    dice = random.Random(f"{seed} spike-ins")
    contigs: dict[str, str] = {}
    genes = []
    for number in (2, 3, 4, 9, 12, 13, 14, 16):
        gene_id = f"ERCC-{number:05d}"
        contigs[gene_id] = random_sequence(dice.randint(500, 1100), dice)
        exons = ((0, len(contigs[gene_id])),)
        transcript = Transcript(f"DQ9000{number:02d}", exons)
        genes.append(Gene(gene_id, gene_id, "spike_in", gene_id, "+", (transcript,), "spike_in"))
    return Genome("ercc", contigs, tuple(genes))


def joined(genome: Genome, spike_ins: Genome) -> Genome:
    """Return a genome with spike-ins, as reads are counted on it."""
    return Genome(genome.name, {**genome.contigs, **spike_ins.contigs}, genome.genes + spike_ins.genes)


def fasta_lines(contigs: Mapping[str, str], width: int = 60) -> Iterator[str]:
    """Yield the lines of a FASTA file."""
    for name, sequence in contigs.items():
        yield f">{name}\n"
        for start in range(0, len(sequence), width):
            yield sequence[start : start + width] + "\n"


def gencode_lines(genome: Genome) -> Iterator[str]:
    """Yield an annotation in GENCODE's manner: comments, then gene, transcript, exon and CDS lines."""
    yield f"##description: evidence-based annotation of the toy genome ({genome.name}), version 1\n"
    yield "##provider: TOY\n##contact: nobody@example.org\n##format: gtf\n##date: 2020-01-01\n"
    for gene in genome.genes:
        source = "ENSEMBL" if gene.arrangement == "mitochondrial" else "HAVANA"
        about = f'gene_id "{gene.gene_id}"; '
        kind = f'gene_type "{gene.gene_type}"; gene_name "{gene.gene_name}"; '
        tags = 'level 2; tag "basic"; tag "appris_principal_1"; transcript_support_level "1";'
        rows = [("gene", (gene.start, gene.end), f"{about}{kind}level 2;")]
        for order, (transcript_id, exons) in enumerate(gene.transcripts, 1):
            named = f'{about}transcript_id "{transcript_id}"; {kind}transcript_type "{gene.gene_type}"; '
            named += f'transcript_name "{gene.gene_name}-{order:03d}"; '
            rows.append(("transcript", (exons[0][0], exons[-1][1]), named + tags))
            for number, exon in enumerate(exons if gene.strand == "+" else exons[::-1], 1):
                numbered = f'{named}exon_number {number}; exon_id "{transcript_id}-e{number}.1"; {tags}'
                rows.append(("exon", exon, numbered))
                if gene.gene_type == "protein_coding":
                    rows.append(("CDS", (exon[0] + 9, exon[1] - 9), numbered))
        for feature, (start, end), attributes in rows:
            frame = "0" if feature == "CDS" else "."
            place = f"{start + 1}\t{end}\t.\t{gene.strand}\t{frame}"
            yield f"{gene.contig}\t{source}\t{feature}\t{place}\t{attributes}\n"


def spike_in_lines(spike_ins: Genome) -> Iterator[str]:
    """Yield an annotation in the manner of ERCC92.gtf: exon lines only, and no gene_name."""
    for gene in spike_ins.genes:
        yield (
            f"{gene.contig}\tERCC\texon\t1\t{gene.end}\t0.000000\t+\t.\t"
            f'gene_id "{gene.gene_id}"; transcript_id "{gene.transcripts[0].transcript_id}";\n'
        )


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines as UTF-8; gzip'd without name and time where the path ends in .gz."""
    content = "".join(lines).encode()
    if path.suffix == ".gz":
        held = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=held, mtime=0) as packed:
            packed.write(content)
        content = held.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
