"""Inputs of the plates' benchmarks, from a seed: an annotation of GENCODE's shape, BAM files as STAR writes them."""

import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

READ_LENGTH = 100
_NAME = b"SRR9000001.000000000\0"  # the digits are replaced
_DIGITS = slice(11, 20)
_UNIQUE_PAIRS = 50_000  # pairs that are made one by one; more are the same with other names


class BenchGene(NamedTuple):
    """A gene: its transcripts are lists of exons (0-based, half-open), in the order of the genome."""

    gene_id: str
    contig: int
    strand: str
    transcripts: list[list[tuple[int, int]]]


class BenchAnnotation(NamedTuple):
    """Contig lengths and genes."""

    contigs: list[int]
    genes: list[BenchGene]

    def exon_count(self) -> int:
        return sum(len(exons) for gene in self.genes for exons in gene.transcripts)


def make_annotation(seed: int, genes: int, bases: int, contigs: int = 25) -> BenchAnnotation:
    """Genes at random places; GENCODE has about 62,000 with four transcripts of six exons each."""
    dice = random.Random(seed)
    lengths = [int(2 * bases * (contigs - number) / (contigs * (contigs + 1))) for number in range(contigs)]
    intron = max(60, min(1500, bases // genes // 30))
    made = []
    for number in range(genes):
        contig = dice.choices(range(contigs), lengths)[0]
        place = dice.randrange(1000, max(1001, lengths[contig] - 60 * intron))
        exons = []
        for _ in range(min(40, int(dice.expovariate(0.11)) + 1)):
            end = place + int(dice.lognormvariate(4.9, 0.6)) + 20
            exons.append((place, end))
            place = end + 50 + int(dice.expovariate(1 / intron))
        exons = [exon for exon in exons if exon[1] < lengths[contig] - 500] or [(500, 900)]
        transcripts = [exons]
        for _ in range(min(12, int(dice.expovariate(0.32)))):
            start = dice.randrange(len(exons))
            some = [exon for exon in exons[start : start + dice.randint(1, 12)] if dice.random() < 0.85]
            transcripts.append([(left, right - dice.choice([0, 0, 9])) for left, right in some or exons[:1]])
        made.append(BenchGene(f"ENSG{number:011d}.{number % 17}", contig, dice.choice("+-"), transcripts))
    return BenchAnnotation(lengths, made)


def write_gtf(path: Path, annotation: BenchAnnotation) -> None:
    """Write an annotation with all of GENCODE's attributes and its gene, transcript, exon and CDS lines."""
    with path.open("w") as out:
        for number, gene in enumerate(annotation.genes):
            start = "\t".join([f"chr{gene.contig + 1}", "HAVANA"])
            end = f"\t.\t{gene.strand}\t.\t"
            whole = [exon for exons in gene.transcripts for exon in exons]
            common = f'gene_id "{gene.gene_id}"; '
            kind = f'gene_type "protein_coding"; gene_name "G{number}"; '
            first, last = min(whole)[0] + 1, max(exon[1] for exon in whole)
            out.write(f"{start}\tgene\t{first}\t{last}{end}{common}{kind}level 2;\n")
            for which, exons in enumerate(gene.transcripts):
                name = f"ENST{number:08d}{which:03d}.1"
                about = f'{common}transcript_id "{name}"; {kind}transcript_type "protein_coding"; '
                about += f'transcript_name "G{number}-{which:03d}"; '
                more = (
                    'level 2; protein_id "ENSP00000000001.1"; transcript_support_level "1"; tag "basic"; tag "CCDS"; '
                )
                out.write(f"{start}\ttranscript\t{exons[0][0] + 1}\t{exons[-1][1]}{end}{about}{more}\n")
                for order, (left, right) in enumerate(exons, 1):
                    exon = f'{about}exon_number {order}; exon_id "ENSE{number:08d}{order:03d}.1"; {more}'
                    out.write(f"{start}\texon\t{left + 1}\t{right}{end}{exon}\n")
                    if order > 1:
                        out.write(f"{start}\tCDS\t{left + 1}\t{right}{end}{exon}\n")


def _cigar(exons: Sequence[tuple[int, int]], offset: int, length: int) -> tuple[int, list[int]]:
    """Return place and CIGAR words of a read that begins at a base of a spliced transcript."""
    words: list[int] = []
    place = reached = -1
    for start, end in exons:
        if offset >= end - start:
            offset -= end - start
            continue
        if place < 0:
            place = start + offset
        else:
            words.append((start - reached) << 4 | 3)
        taken = min(length, end - start - offset)
        words.append(taken << 4)
        length, reached, offset = length - taken, start + offset + taken, 0
        if not length:
            break
    if length:
        words[-1] += length << 4
    return place, words


def _record(
    flag: int, contig: int, place: int, quality: int, words: list[int], mate: int, hits: int, body: bytes
) -> bytes:
    tags = b"NHC" + bytes([hits]) + b"HIC\x01NMC\x00MDZ100\0"
    fields = struct.pack(
        "<iiBBHHHiiii", contig, place, len(_NAME), quality, 4681, len(words), flag, READ_LENGTH, contig, mate, 0
    )
    record = fields + _NAME + struct.pack(f"<{len(words)}I", *words) + body + tags
    return struct.pack("<i", len(record)) + record


def _pairs(annotation: BenchAnnotation, pairs: int, seed: int) -> Iterator[bytes]:
    """Yield the records of each pair: 80 % from transcripts, the rest from anywhere; 8 % with several places."""
    dice = random.Random(seed)
    genes = annotation.genes
    weights = np.random.default_rng(seed).lognormal(0, 2, len(genes))
    chosen = dice.choices(range(len(genes)), weights.tolist(), k=pairs)
    bodies = [
        bytes(dice.choices(b"\x11\x12\x14\x18\x21\x22\x24\x28\x41\x42\x44\x48\x81\x82\x84\x88", k=READ_LENGTH // 2))
        + bytes(dice.choices(range(14, 41), k=READ_LENGTH))
        for _ in range(500)
    ]
    for number in range(pairs):
        gene = genes[chosen[number]]
        exons = gene.transcripts[0]
        length = sum(end - start for start, end in exons)
        fragment = dice.randint(150, 400)
        if dice.random() < 0.8 and length > fragment:
            contig, offset = gene.contig, dice.randrange(length - fragment)
            left, left_words = _cigar(exons, offset, READ_LENGTH)
            right, right_words = _cigar(exons, offset + fragment - READ_LENGTH, READ_LENGTH)
        else:
            contig = dice.randrange(len(annotation.contigs))
            left = dice.randrange(annotation.contigs[contig] - 500)
            right = left + fragment - READ_LENGTH
            left_words = right_words = [READ_LENGTH << 4]
        hits = dice.choice([2, 3, 5]) if dice.random() < 0.08 else 1
        quality = 255 if hits == 1 else 3
        flags = (99, 147) if dice.random() < 0.5 else (163, 83)
        body = dice.choice(bodies)
        for hit in range(hits):
            extra = 256 if hit else 0
            yield _record(flags[0] | extra, contig, left, quality, left_words, right, hits, body)
            yield _record(flags[1] | extra, contig, right, quality, right_words, left, hits, body)


def write_bam(path: Path, annotation: BenchAnnotation, pairs: int, seed: int) -> None:
    """Write a BAM file of so many pairs, grouped by name, as STAR's Unsorted output."""
    header = b"@HD\tVN:1.4\n"
    names = [f"chr{number + 1}" for number in range(len(annotation.contigs))]
    for name, length in zip(names, annotation.contigs, strict=True):
        header += f"@SQ\tSN:{name}\tLN:{length}\n".encode()
    head = b"BAM\1" + struct.pack("<i", len(header)) + header + struct.pack("<i", len(names))
    for name, length in zip(names, annotation.contigs, strict=True):
        head += struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", length)
    unique = list(_pairs(annotation, min(pairs, _UNIQUE_PAIRS), seed))
    # records of one pair follow each other: a pair begins where the first mate is primary and the last was a second one
    starts = np.cumsum([0, *map(len, unique)])[:-1]
    primaries = [not struct.unpack_from("<H", record, 18)[0] & 256 for record in unique]
    owner = (np.cumsum(primaries) - 1) // 2
    block = np.frombuffer(b"".join(unique), np.uint8)
    digits = starts[:, None] + 36 + np.arange(_DIGITS.start, _DIGITS.stop)[None, :]
    powers = 10 ** np.arange(8, -1, -1)
    with path.open("wb") as out:
        _write_blocks(out, head)
        for begin in range(0, pairs, _UNIQUE_PAIRS):
            part = block.copy()
            part[digits] = (owner[:, None] + begin) // powers % 10 + 48
            _write_blocks(out, part.tobytes())
        out.write(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))


def _write_blocks(out, data: bytes) -> None:
    for begin in range(0, len(data), 65280):
        part = data[begin : begin + 65280]
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = deflate.compress(part) + deflate.flush()
        out.write(struct.pack("<BBBBIBBHBBHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25))
        out.write(packed + struct.pack("<II", zlib.crc32(part), len(part)))


_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def write_genome(path: Path, annotation: BenchAnnotation, seed: int) -> list[bytes]:
    """Write a random genome of the annotation's contigs as FASTA; return their sequences."""
    random_bases = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    sequences = [letters[random_bases.integers(0, 4, length)].tobytes() for length in annotation.contigs]
    with path.open("wb") as out:
        for number, sequence in enumerate(sequences, 1):
            out.write(f">chr{number}\n".encode())
            for begin in range(0, len(sequence), 60):
                out.write(sequence[begin : begin + 60] + b"\n")
    return sequences


def write_fastq(
    first: Path, second: Path, run: str, annotation: BenchAnnotation, sequences: Sequence[bytes], pairs: int, seed: int
) -> None:
    """Write the two FASTQ files of a cell: 85 % of its pairs from transcripts, the rest from anywhere."""
    dice = random.Random(seed)
    weights = np.random.default_rng(seed).lognormal(0, 2, len(annotation.genes))
    chosen = dice.choices(annotation.genes, weights.tolist(), k=pairs)
    quality = "I" * READ_LENGTH
    with first.open("w") as out, second.open("w") as mates:
        for number, gene in enumerate(chosen, 1):
            source = sequences[gene.contig]
            text = b"".join(source[start:end] for start, end in gene.transcripts[0])
            if len(text) <= 400 or dice.random() < 0.15:
                source = dice.choice(sequences)
                place = dice.randrange(len(source) - 500)
                text = source[place : place + 500]
            length = dice.randint(150, 400)
            place = dice.randrange(len(text) - length)
            left, right = text[place : place + READ_LENGTH], text[place + length - READ_LENGTH : place + length]
            right = right.translate(_COMPLEMENT)[::-1]
            if dice.random() < 0.5:
                left, right = right, left
            name = f"@{run}.{number} {number} length={READ_LENGTH}\n"
            out.write(f"{name}{left.decode()}\n+\n{quality}\n")
            mates.write(f"{name}{right.decode()}\n+\n{quality}\n")
