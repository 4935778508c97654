"""Reads of plate cells and of droplet libraries, vectorised, and their packing into .sra archives by latf-load and kar.

Every read is a piece of one array of base codes: the genome, the spliced transcripts, and sequence that is in neither.
Of the fragments 68 % are of spliced transcripts, 17 % of genes with their introns, 5 % of anywhere in the genome, 8 %
of one base, such as poly-A, 2 % of no genome: STAR takes twenty times as long for a pair of these as for another.
Qualities have eight values on plates and four in droplets, as HiSeq and NovaSeq write them.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.inputs.droplet_reads import unpack
from benchmarks.inputs.genomes import LETTERS, NO_BASE
from benchmarks.inputs.plates import BenchAnnotation
from scripts.reads.sources.sra_archive import write_settings

MATE_LENGTH = 75
BARCODE_LENGTH, UMI_LENGTH, CDNA_LENGTH = 16, 12, 91
_BATCH = 100_000  # spots that are made at a time
_KINDS = np.array([0.68, 0.85, 0.90, 0.98, 1.0])  # spliced, with introns, anywhere, one base, no genome: cumulative
_FOREIGN, _POLY = 1_000_000, 1_000  # bases at the end of a source: of no genome, then of A, then of G
_COMPLEMENT = np.array([3, 2, 1, 0, NO_BASE], np.uint8)
_TYPES = 4  # of cells in a droplet library
_SATURATION = 0.4  # molecules for each read of a droplet library


def _quality_table(letters: bytes, shares: Sequence[float]) -> np.ndarray:
    """Return 256 qualities, of each as many as its share says."""
    return np.repeat(np.frombuffer(letters, np.uint8), np.diff(np.round(np.cumsum([0, *shares]) * 256).astype(int)))


_EIGHT = _quality_table(b"#-27<AFJ", (0.01, 0.03, 0.03, 0.04, 0.05, 0.09, 0.25, 0.5))
_FOUR = _quality_table(b"#,:F", (0.01, 0.03, 0.06, 0.9))


class Source(NamedTuple):
    """Where reads are taken from; of every gene where its transcript and its span begin in ``bases``, and how long."""

    bases: np.ndarray
    genome: int
    transcripts: np.ndarray
    transcript_lengths: np.ndarray
    spans: np.ndarray
    span_lengths: np.ndarray
    reverse: np.ndarray
    expression: np.ndarray


def make_source(annotation: BenchAnnotation, sequences: Sequence[np.ndarray], seed: int) -> Source:
    """Return the source of reads: first transcripts, spliced, in their own direction."""
    random = np.random.default_rng(seed)
    contig_starts = np.cumsum([0, *(codes.size for codes in sequences)])
    pieces, lengths, spans, span_lengths = [], [], [], []
    for gene in annotation.genes:
        exons = gene.transcripts[0]
        codes = np.concatenate([sequences[gene.contig][start:end] for start, end in exons])
        pieces.append(codes if gene.strand == "+" else _COMPLEMENT[codes[::-1]])
        lengths.append(codes.size)
        spans.append(contig_starts[gene.contig] + exons[0][0])
        span_lengths.append(exons[-1][1] - exons[0][0])
    foreign = random.integers(0, 4, _FOREIGN).astype(np.uint8)
    genome = int(contig_starts[-1])
    weights = random.lognormal(0, 2.2, len(lengths))
    many_exons = np.array([len(gene.transcripts[0]) for gene in annotation.genes])
    weights *= np.where(many_exons > 3, 1, 0.05)  # genes that code for nothing are rare
    weights[np.array(lengths) < CDNA_LENGTH] = 0
    return Source(
        np.concatenate([*sequences, *pieces, foreign, np.repeat(np.array([0, 2], np.uint8), _POLY)]),
        genome,
        genome + np.cumsum([0, *lengths[:-1]]),
        np.array(lengths),
        np.array(spans),
        np.array(span_lengths),
        np.array([gene.strand == "-" for gene in annotation.genes]),
        weights / weights.sum(),
    )


def save_source(folder: Path, source: Source) -> None:
    """Write a source as one .npy file a field, for :func:`load_source`."""
    folder.mkdir()
    for name, values in source._asdict().items():
        np.save(folder / f"{name}.npy", values)


def load_source(folder: Path) -> Source:
    """Return a source whose bases are mapped, so that processes share them."""
    loaded = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in Source._fields}
    return Source(**{**loaded, "genome": int(loaded["genome"])})


def _pick(random: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Return indices drawn with these weights."""
    sums = np.cumsum(weights)
    return np.searchsorted(sums, random.random(count) * sums[-1], side="right").clip(0, weights.size - 1)


class _Fragments(NamedTuple):
    """Where fragments begin, how long they are, and whether their sense strand is the reverse one."""

    starts: np.ndarray
    lengths: np.ndarray
    reverse: np.ndarray


def _fragments(random: np.random.Generator, source: Source, genes: np.ndarray, *, at_end: bool = False) -> _Fragments:
    """Return a fragment for each gene that was drawn; ``at_end``: within 400 bases of the 3′ end of the transcript."""
    count = genes.size
    wanted = np.clip(random.normal(300, 80, count), 120, 600).astype(int)
    kind = np.searchsorted(_KINDS, random.random(count), side="right")
    where = random.random(count)
    lengths = np.minimum(wanted, source.transcript_lengths[genes])
    room = source.transcript_lengths[genes] - lengths
    starts = source.transcripts[genes] + (room - np.minimum(room, where * 300) if at_end else where * (room + 1))
    reverse = np.zeros(count, dtype=bool)
    spliced = kind == 0
    unspliced = kind == 1
    starts = np.where(unspliced, source.spans[genes] + where * source.span_lengths[genes], starts)
    reverse[unspliced] = source.reverse[genes][unspliced]
    starts = np.where(kind == 2, where * (source.genome - 1000), starts)
    poly = source.bases.size - 2 * _POLY
    starts = np.where(kind == 3, np.where(where < 0.7, poly, poly + _POLY), starts)
    starts = np.where(kind == 4, poly - _FOREIGN + where * (_FOREIGN - 1000), starts)
    anywhere = kind >= 2
    reverse[anywhere] = random.random(int(anywhere.sum())) < 0.5
    return _Fragments(starts.astype(np.int64), np.where(spliced, lengths, wanted), reverse)


def _bases_at(bases: np.ndarray, starts: np.ndarray, length: int, reverse: np.ndarray) -> np.ndarray:
    """Return the codes (reads × length) from each start on, those of ``reverse`` as their reverse complement."""
    codes = np.lib.stride_tricks.sliding_window_view(bases, length)[starts]
    codes[reverse] = _COMPLEMENT[codes[reverse][:, ::-1]]
    return codes


def _sequenced(random: np.random.Generator, codes: np.ndarray, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return letters and qualities: one base in 256 is wrong, and some of those of the lowest quality are N."""
    wrong = random.integers(0, 256, codes.shape, dtype=np.uint8) == 0
    codes = np.where(wrong, (codes + 1) & 3, codes)
    drawn = qualities[random.integers(0, 256, codes.shape, dtype=np.uint8)]
    is_dark = np.array(random.random(codes.shape[0]) < 0.05)
    none = (drawn == qualities[0]) & is_dark[:, None]
    return LETTERS[np.where(none, NO_BASE, codes)], drawn


def _records(letters: np.ndarray, qualities: np.ndarray, first: int) -> bytes:
    """Return FASTQ records named by their numbers."""
    count, length = letters.shape
    head = np.frombuffer(b"@000000000\n", np.uint8)
    records = np.empty((count, head.size + 2 * length + 4), np.uint8)
    records[:, : head.size] = head
    numbers = np.arange(first, first + count)
    for digit in range(9):
        records[:, 9 - digit] = numbers // 10**digit % 10 + 48
    records[:, head.size : head.size + length] = letters
    records[:, head.size + length : head.size + length + 3] = np.frombuffer(b"\n+\n", np.uint8)
    records[:, head.size + length + 3 : -1] = qualities
    records[:, -1] = 10
    return records.tobytes()


def write_cell(first: Path, second: Path, source: Source, pairs: int, seed: int) -> None:
    """Write the pairs of a plate cell, which expresses a part of all genes, and no strand in particular."""
    random = np.random.default_rng(seed)
    expression = source.expression * random.gamma(0.4, 1, source.expression.size)
    with first.open("wb") as out, second.open("wb") as mates:
        for begin in range(0, pairs, _BATCH):
            count = min(_BATCH, pairs - begin)
            found = _fragments(random, source, _pick(random, expression, count))
            lengths = np.maximum(found.lengths, MATE_LENGTH)
            left = _bases_at(source.bases, found.starts, MATE_LENGTH, np.zeros(count, dtype=bool))
            ends = found.starts + lengths - MATE_LENGTH
            right = _bases_at(source.bases, ends, MATE_LENGTH, np.ones(count, dtype=bool))
            swapped = (random.random(count) < 0.5)[:, None]
            for codes, handle in ((np.where(swapped, right, left), out), (np.where(swapped, left, right), mates)):
                handle.write(_records(*_sequenced(random, codes, _EIGHT), begin + 1))


class Library(NamedTuple):
    """A droplet library: its cells' barcodes (packed) and how many molecules each has, and the list of all barcodes."""

    cells: np.ndarray
    sizes: np.ndarray
    known: np.ndarray
    molecules: int
    seed: int


def make_library(known: np.ndarray, cells: int, spots: int, seed: int) -> Library:
    """Return a library of so many reads in all."""
    random = np.random.default_rng(seed)
    barcodes = random.choice(known, cells, replace=False)
    return Library(barcodes, random.lognormal(0, 0.6, cells), known, max(1, int(spots * _SATURATION)), seed)


def write_library(first: Path, second: Path, source: Source, library: Library, spots: int, seed: int) -> None:
    """Write spots of a library: molecules of cells, and 20 % of the ambient RNA in empty droplets.

    A molecule is a number; its cell, gene and UMI follow from it, so that lanes of a library share molecules.
    """
    made = np.random.default_rng(library.seed)
    count = library.molecules
    ambient = made.random(count) < 0.2
    cells = _pick(made, library.sizes, count)
    empty = made.choice(library.known, min(80_000, library.known.size), replace=False)
    barcodes = np.where(ambient, made.choice(empty, count), library.cells[cells])
    kinds = [source.expression * made.gamma(0.3, 1, source.expression.size) for _ in range(_TYPES)]
    genes = np.empty(count, dtype=np.int64)
    for number, expression in enumerate(kinds):
        of_kind = ~ambient & (cells % _TYPES == number)
        genes[of_kind] = _pick(made, expression, int(of_kind.sum()))
    genes[ambient] = _pick(made, np.sum(kinds, axis=0), int(ambient.sum()))
    umis = made.integers(0, 4**UMI_LENGTH, count, dtype=np.uint32)
    random = np.random.default_rng(seed)
    with first.open("wb") as out, second.open("wb") as mates:
        for begin in range(0, spots, _BATCH):
            reads = min(_BATCH, spots - begin)
            drawn = random.integers(0, count, reads)
            barcode = np.concatenate([unpack(barcodes[drawn], BARCODE_LENGTH), unpack(umis[drawn], UMI_LENGTH)], axis=1)
            found = _fragments(random, source, genes[drawn], at_end=True)
            cdna = _bases_at(source.bases, found.starts, CDNA_LENGTH, found.reverse)
            out.write(_records(*_sequenced(random, barcode, _FOUR), begin + 1))
            mates.write(_records(*_sequenced(random, cdna, _FOUR), begin + 1))


def pack_archive(first: Path, second: Path, archive: Path, work: Path) -> None:
    """Pack two FASTQ files as an .sra archive with the loaders of sra-tools; ``work`` is a folder of its own."""
    environment = write_settings(work / "offline.mkfg")
    load = ["latf-load", "--quality", "PHRED_33", "-p", "ILLUMINA", "--no-readnames", "-o", str(work / "database")]
    load += ["-1", str(first), "-2", str(second)]
    pack = ["kar", "-c", str(archive), "-d", str(work / "database")]
    for command in (load, pack):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    shutil.rmtree(work / "database")
