"""Words of K bases (k-mers) by which reads are known to be of a species and of a place in its genes.

Of the k-mers in the exons of a reference those are kept whose hash is below 2^64 / scale (FracMinHash: Irber et al.
2022, doi:10.1101/2022.01.11.475838), so that all references keep the same of those that they share. A k-mer and its
reverse complement are one. Spike-ins are no species and are not in it.

Arrays of the npz: ``hashes`` (uint64, in order), ``loci`` (int32: where it is, a number for each group of genes that
overlap; -1 for one of several), ``scale`` (one number).
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.formats.npz import read_npz, write_npz
from scripts.references.fasta import sequences
from scripts.references.gtf import read_features

K = 21
"""Bases of a k-mer: one in a hundred thousand of another genome is in the exons of a mammal by chance."""
MOST_KMERS = 1 << 20
"""K-mers that are kept of a large reference, about."""
SEVERAL = -1

_CODES = np.full(256, 4, np.uint8)
for _code, _bases in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[list(_bases)] = _code


class KmerIndex(NamedTuple):
    """The k-mers that are kept of a reference."""

    hashes: np.ndarray
    """uint64, in order, each once."""
    loci: np.ndarray
    """int32"""
    scale: int

    def below(self, scale: int) -> "KmerIndex":
        """Return the k-mers that a reference of a larger scale would keep."""
        kept = self.hashes <= np.uint64(largest_hash(scale))
        return KmerIndex(self.hashes[kept], self.loci[kept], scale)

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Return the place of each hash in the index (int64), -1 where it is not."""
        if not self.hashes.size:
            return np.full(hashes.shape, -1, np.int64)
        places = np.minimum(np.searchsorted(self.hashes, hashes), self.hashes.size - 1)
        return np.where(self.hashes[places] == hashes, places, -1)


def mix(values: np.ndarray) -> np.ndarray:
    """Return a hash (uint64) of each value (uint64): the finalizer of splitmix64 (Steele, Lea & Flood 2014)."""
    mixed = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def largest_hash(scale: int) -> int:
    """Return the largest hash that is kept."""
    return (1 << 64) // scale - 1


def encode(bases: bytes | bytearray) -> np.ndarray:
    """Return a number (uint8) of each base: A 0, C 1, G 2, T 3, and 4 for all others."""
    codes: np.ndarray = _CODES[np.frombuffer(bases, np.uint8)]
    return codes


def hash_kmers(codes: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes (uint64) of the k-mers that are kept of encoded bases, and where each begins (int64)."""
    starts = codes.size - K + 1
    if starts < 1:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    bad = np.concatenate([[0], np.cumsum(codes > 3)])
    forward, reverse = codes.astype(np.uint64) & np.uint64(3), np.uint64(3) - (codes & np.uint8(3)).astype(np.uint64)
    words, size = [(forward, reverse)], 1
    while 2 * size <= K:  # words of twice as many bases
        shift = np.uint64(2 * size)
        forward = (forward[:-size] << shift) | forward[size:]
        reverse = reverse[:-size] | (reverse[size:] << shift)
        size *= 2
        words.append((forward, reverse))
    at, forward, reverse = 0, np.zeros(starts, np.uint64), np.zeros(starts, np.uint64)
    for power in reversed(range(len(words))):
        if K >> power & 1:
            part_forward, part_reverse = (word[at : at + starts] for word in words[power])
            forward = (forward << np.uint64(2 << power)) | part_forward
            reverse |= part_reverse << np.uint64(2 * at)
            at += 1 << power
    hashes = mix(np.minimum(forward, reverse))
    kept = np.flatnonzero((hashes <= np.uint64(largest_hash(scale))) & (bad[K:] == bad[:-K]))
    return hashes[kept], kept


def build_kmer_index(genome: str | Path, annotation: str | Path, spike_ins: Collection[str] = ()) -> KmerIndex:
    """Return the k-mers of the exons of a reference; ``spike_ins`` are the contigs of spike-ins.

    Raises InputError for a line of the annotation that is none.
    """
    exons = read_exons(annotation, spike_ins)
    bases = sum(int((ends - starts).sum()) for starts, ends, _ in exons.values())
    scale = 1
    while bases > scale * MOST_KMERS:
        scale *= 2
    hashes, loci = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for contig, sequence in whole_contigs(genome, exons):
        starts, ends, of_exons = exons[contig]
        for first in range(0, len(starts), 2000):  # exons; some million bases
            chosen = slice(first, first + 2000)
            parts = [sequence[start:end] + b"-" for start, end in zip(starts[chosen], ends[chosen], strict=True)]
            found, places = hash_kmers(encode(b"".join(parts)), scale)
            exon = np.repeat(np.arange(len(parts)), list(map(len, parts)))[places]
            hashes.append(found)
            loci.append(of_exons[chosen][exon])
    return unique_kmers(np.concatenate(hashes), np.concatenate(loci), scale)


def unique_kmers(hashes: np.ndarray, loci: np.ndarray, scale: int) -> KmerIndex:
    """Return each k-mer once; one of several loci has the locus SEVERAL."""
    if not hashes.size:
        return KmerIndex(hashes, loci, scale)
    order = np.lexsort((loci, hashes))
    hashes, loci = hashes[order], loci[order]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    last = np.append(starts[1:], hashes.size) - 1
    only = np.where(loci[starts] == loci[last], loci[starts], SEVERAL)
    return KmerIndex(hashes[starts], only.astype(np.int32), scale)


def read_exons(
    annotation: str | Path, spike_ins: Collection[str] = ()
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return contig → starts, ends (int64) and loci (int32) of its exons, merged where they overlap, in order.

    A locus is a group of genes whose extents overlap on either strand.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    extents: dict[tuple[str, str], list[int]] = {}
    for exon, _ in read_features(annotation, "exon", "gene_id"):
        if exon.contig not in spike_ins:
            spans.setdefault(exon.contig, []).append((exon.start, exon.end))
            extent = extents.setdefault((exon.contig, exon.gene_id), [exon.start, exon.end])
            extent[:] = min(extent[0], exon.start), max(extent[1], exon.end)
    of_contig: dict[str, list[tuple[int, int]]] = {}
    for (contig, _), (start, end) in extents.items():
        of_contig.setdefault(contig, []).append((start, end))
    exons = {}
    loci = 0
    for contig in sorted(spans):
        groups = merge(of_contig[contig])
        starts, ends = merge(spans[contig]).T
        exons[contig] = starts, ends, (loci + np.searchsorted(groups[:, 0], starts, "right") - 1).astype(np.int32)
        loci += len(groups)
    return exons


def merge(spans: list[tuple[int, int]]) -> np.ndarray:
    """Return spans (rows of start and end), in order, those that overlap as one."""
    ordered = np.array(sorted(set(spans)), np.int64)
    reached = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate([[True], ordered[1:, 0] >= reached[:-1]])
    starts = np.flatnonzero(first)
    return np.stack([ordered[starts, 0], reached[np.append(starts[1:], len(ordered)) - 1]], axis=1)


def whole_contigs(genome: str | Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the contigs of a genome that are wanted, with all their bases."""
    name, parts = "", bytearray()
    for contig, bases in sequences(genome):
        if contig != name:
            if name in wanted:
                yield name, bytes(parts)
            name, parts = contig, bytearray()
        if contig in wanted:
            parts += bases
    if name in wanted:
        yield name, bytes(parts)


def write_kmer_index(path: str | Path, index: KmerIndex) -> None:
    """Write an index: the same k-mers, the same bytes."""
    write_npz(path, {"hashes": index.hashes, "loci": index.loci, "scale": np.array([index.scale], np.int64)})


def read_kmer_index(path: str | Path) -> KmerIndex:
    """Return what :func:`write_kmer_index` wrote. Raises InputError where it is something else."""
    arrays = read_npz(path, "index of k-mers")
    try:
        return KmerIndex(arrays["hashes"], arrays["loci"], int(arrays["scale"][0]))
    except (KeyError, IndexError) as error:
        raise InputError(f"{path}: not an index of k-mers; it has no {error}.") from error
