"""A genome and an annotation of the shape of a mammal's, from a seed: repeats, GC, introns, genes that overlap.

The annotation has GENCODE's proportions (of 60,000 genes 40 % are coding, with seven transcripts of six exons each),
with introns that are as short as the genome asks for. Of the genome 40 % are copies of interspersed repeats, whose
families have the lengths and ages of human ones (Lander et al. 2001, table 11), 2 % low-complexity tracts, 3 % tandem
arrays of 171 bases as at centromeres; GC is 41 % on average and changes along contigs. All but the last exon of coding
genes are unique sequence.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.inputs.plates import BenchAnnotation, BenchGene

NO_BASE = 4
LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_GENES_START, _GENES_END = 0.01, 0.94  # the part of a contig that has genes
_IN_GENES = 0.75  # of that part, where none overlaps
_OVERLAPPING = 0.12  # of the genes begin inside the one before


class _Family(NamedTuple):
    """A kind of interspersed repeat: how many families, their length, their copies' mean, share of the genome, ages."""

    families: int
    length: int
    mean_copy: int
    share: float
    least_divergence: float
    most_divergence: float


_REPEATS = (
    _Family(30, 300, 280, 0.11, 0.03, 0.16),  # as Alu
    _Family(30, 240, 150, 0.03, 0.20, 0.30),  # as MIR
    _Family(40, 6000, 900, 0.16, 0.03, 0.25),  # as L1, truncated at their 5′ end
    _Family(40, 450, 400, 0.07, 0.06, 0.20),  # as LTRs
    _Family(30, 1500, 250, 0.03, 0.08, 0.25),  # as DNA transposons
)
_TRACTS, _SATELLITES = 0.02, (0.95, 0.98)
_CHUNK = 4_000_000  # bases of repeats that are written at a time


def make_genes(seed: int, genes: int, bases: int, contigs: int) -> BenchAnnotation:
    """Return genes along contigs: about 22 exons a gene in all transcripts, lognormal exons, introns and gaps."""
    random = np.random.default_rng(seed)
    lengths = [int(2 * bases * (contigs - number) / (contigs * (contigs + 1))) for number in range(contigs)]
    room = sum(lengths) * (_GENES_END - _GENES_START)
    coding = random.random(genes) < 0.4
    many = np.clip(random.lognormal(2.15, 0.75, genes), 1, 90).astype(int)
    exons_of = np.where(coding, many, 1 + random.poisson(1.2, genes))
    strands = np.where(random.random(genes) < 0.5, "+", "-")
    exon_lengths = np.clip(random.lognormal(4.85, 0.5, exons_of.sum()), 25, 5000).astype(int)
    ends = np.cumsum(exons_of)
    last = np.where(strands == "+", ends - 1, ends - exons_of)  # with the 3′ untranslated region
    exon_lengths[last] += random.lognormal(np.where(coding, 6.1, 5.0), 0.8).clip(0, 8000).astype(int)
    introns = random.lognormal(0, 1.4, exons_of.sum())
    introns[ends - 1] = 0
    introns *= max(0.1, _IN_GENES * room / exon_lengths.sum() - 1) * exon_lengths.sum() / introns.sum()
    introns = np.where(introns > 0, introns + 40, 0).astype(int)
    offsets = np.cumsum(exon_lengths + introns) - exon_lengths - introns
    spans = np.add.reduceat(exon_lengths + introns, ends - exons_of)
    inside = random.random(genes) < _OVERLAPPING
    gaps = random.exponential(1, genes)
    gaps *= max(0.0, room - spans.sum() + spans[:-1][inside[1:]].sum() / 2) / gaps.sum()
    made: list[BenchGene] = []
    contig, place, before = 0, int(lengths[0] * _GENES_START), 0
    transcripts = 1 + np.where(coding, random.geometric(0.17, genes), random.geometric(0.5, genes)).clip(0, 60)
    for number in range(genes):
        place += int(gaps[number]) - (before // 2 if inside[number] else 0)
        while place + spans[number] > lengths[contig] * _GENES_END:
            contig = (contig + 1) % contigs
            place = int(lengths[contig] * _GENES_START + random.integers(0, max(2, lengths[contig] // 50)))
        first = ends[number] - exons_of[number]
        starts = (place + offsets[first : ends[number]] - offsets[first]).tolist()
        sizes = exon_lengths[first : ends[number]].tolist()
        exons = [(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        name = f"ENSG{number:011d}.{number % 17}"
        parts = _transcripts(random, exons, int(transcripts[number]) - 1)
        made.append(BenchGene(name, contig, str(strands[number]), parts))
        before = int(spans[number])
        place += before
    return BenchAnnotation(lengths, made)


def _transcripts(random: np.random.Generator, exons: list[tuple[int, int]], more: int) -> list[list[tuple[int, int]]]:
    """Return the transcript of all exons, and more of some of them."""
    made = [exons]
    count = len(exons)
    starts = random.integers(0, (count + 1) // 2, more).tolist()
    sizes = random.integers((count + 1) // 2, count + 1, more).tolist()
    for start, size in zip(starts, sizes, strict=True):
        kept = random.random(size) < 0.85
        some = [exon for exon, is_in in zip(exons[start : start + size], kept, strict=False) if is_in]
        made.append(some or exons[:1])
    return made


def make_genome(annotation: BenchAnnotation, seed: int) -> list[np.ndarray]:
    """Return the base codes (A 0, C 1, G 2, T 3, N 4; uint8) of every contig."""
    random = np.random.default_rng(seed)
    consensus = [_families(random, family) for family in _REPEATS]
    array = random.integers(0, 4, 171 * 12).astype(np.uint8)
    array = _mutated(random, np.tile(array[:171], 12), 0.25)  # twelve monomers that differ, repeated as one
    sequences = []
    for length in annotation.contigs:
        codes = _unique_sequence(random, length)
        for family, sources in zip(_REPEATS, consensus, strict=True):
            _insert_copies(random, codes, family, sources)
        _insert_tracts(random, codes)
        start, end = (int(length * part) for part in _SATELLITES)
        codes[start:end] = _mutated(random, np.resize(array, end - start), 0.02)
        margin = min(10_000, length // 100)
        codes[:margin] = codes[length - margin :] = NO_BASE
        sequences.append(codes)
    for gene in annotation.genes:
        exons = gene.transcripts[0]
        if len(exons) > 3:
            for start, end in exons[:-1] if gene.strand == "+" else exons[1:]:
                sequences[gene.contig][start:end] = random.integers(0, 4, end - start)
    return sequences


def _unique_sequence(random: np.random.Generator, length: int) -> np.ndarray:
    """Return random bases whose GC changes every 50,000 bases, as in isochores."""
    window = 50_000
    gc = np.clip(0.405 + 0.05 * random.standard_t(6, length // window + 1), 0.3, 0.62)
    half = np.repeat((gc * 128).astype(np.uint8), window)[:length]  # of 256: as many are C, and G
    drawn = random.integers(0, 256, length, dtype=np.uint8)
    codes = np.where(drawn < half, 1, 2).astype(np.uint8)
    rest = drawn >= 2 * half
    codes[rest] = (drawn[rest] & 1) * 3
    return codes


def _families(random: np.random.Generator, family: _Family) -> list[np.ndarray]:
    """Return a sequence for each family of a kind; those of a kind have an ancestor, from which 12 % differ."""
    ancestor = random.integers(0, 4, family.length).astype(np.uint8)
    return [_mutated(random, ancestor, 0.12) for _ in range(family.families)]


def _mutated(random: np.random.Generator, codes: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """Return codes of which a share has another base."""
    is_other = random.random(codes.size, dtype=np.float32) < share
    return np.where(is_other, (codes + random.integers(1, 4, codes.size, dtype=np.uint8)) & 3, codes).astype(np.uint8)


def _insert_copies(
    random: np.random.Generator, codes: np.ndarray, family: _Family, sources: Sequence[np.ndarray]
) -> None:
    """Write copies of a kind of repeat at random places; of long ones the 3′ ends, most with a poly-A tail."""
    source = np.concatenate(sources)
    left = int(family.share * codes.size / family.mean_copy)
    while left > 0:
        count = min(left, _CHUNK // family.mean_copy)
        left -= count
        if family.mean_copy > family.length * 0.8:
            lengths = np.full(count, family.length) - random.integers(0, family.length // 5, count)
        else:
            lengths = np.clip(random.exponential(family.mean_copy, count), 40, family.length).astype(int)
        lengths = np.minimum(lengths, codes.size // 2)
        which = random.integers(0, family.families, count)
        ages = np.linspace(family.least_divergence, family.most_divergence, family.families)[which]
        starts = random.integers(0, codes.size - lengths)
        copies = np.repeat(np.arange(count), lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        from_end = (lengths[copies] - within).astype(np.int32)
        drawn = source[(which[copies] + 1) * family.length - from_end]
        drawn = np.where((from_end <= 15) & (which[copies] % 4 > 0), 0, drawn)
        drawn = _mutated(random, drawn, ages[copies].astype(np.float32))
        reverse = (random.random(count) < 0.5)[copies]
        target = starts[copies] + np.where(reverse, from_end - 1, within)
        codes[target] = np.where(reverse, 3 - drawn, drawn)


def _insert_tracts(random: np.random.Generator, codes: np.ndarray) -> None:
    """Write tracts of one to six bases in turn."""
    count = int(_TRACTS * codes.size / 40)
    lengths = random.integers(18, 63, count)
    units = random.integers(0, 4, (count, 6)).astype(np.uint8)
    periods = random.choice([1, 2, 3, 4, 5, 6], count, p=[0.3, 0.3, 0.12, 0.14, 0.08, 0.06])
    starts = random.integers(0, codes.size - 64, count)
    tracts = np.repeat(np.arange(count), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    codes[starts[tracts] + within] = _mutated(random, units[tracts, within % periods[tracts]], 0.02)


def write_fasta(path: Path, sequences: Sequence[np.ndarray]) -> None:
    """Write contigs chr1, chr2, … with 60 bases a line."""
    with path.open("wb") as out:
        for number, codes in enumerate(sequences, 1):
            out.write(f">chr{number}\n".encode())
            whole = codes.size // 60
            lines = np.full((whole, 61), 10, np.uint8)
            lines[:, :60] = LETTERS[codes[: 60 * whole].reshape(whole, 60)]
            out.write(lines.tobytes())
            if rest := LETTERS[codes[60 * whole :]].tobytes():
                out.write(rest + b"\n")
