"""Annotations joined, checked against the genome, and summed up as genes."""

import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scripts.core.gzip_files import open_bytes
from scripts.references.gene_intervals import merge_spans
from scripts.references.genes_table import GeneRow
from scripts.references.gtf import BIOTYPE_KEYS, NAME_KEYS, GtfLineError, gene_id_of, parse_attributes, parse_line

_MOST_LISTED = 5  # faults of one kind in one file that are listed one by one
_HOPELESS = 1000  # faults in a file without an exon after which the rest is not read
_FEATURES = frozenset([b"exon", b"gene", b"transcript"])


@dataclass
class Genes:
    """What annotations say of genes and their exons."""

    numbers: dict[bytes, int] = field(default_factory=dict)  # gene_id → number
    contig_numbers: dict[bytes, int] = field(default_factory=dict)
    names: dict[bytes, bytes] = field(default_factory=dict)
    biotypes: dict[bytes, bytes] = field(default_factory=dict)
    exons: "array[int]" = field(default_factory=lambda: array("q"))  # of each: gene, contig, start, end

    def add_exon(self, gene_id: bytes, contig: bytes, start: int, end: int) -> None:
        gene = self.numbers.setdefault(gene_id, len(self.numbers))
        self.exons.extend((gene, self.contig_numbers.setdefault(contig, len(self.contig_numbers)), start, end))

    def describe(self, gene_id: bytes, attributes: bytes) -> None:
        """Note name and biotype of a gene where a line has them."""
        values = parse_attributes(attributes)
        for known, keys in ((self.names, NAME_KEYS), (self.biotypes, BIOTYPE_KEYS)):
            value = next((values[key] for key in keys if values.get(key)), None)
            if value is not None:
                known.setdefault(gene_id, value)

    def rows(self) -> list[GeneRow]:
        """Return the genes that have exons."""
        gene, contig, start, end = np.array(self.exons, np.int64).reshape(-1, 4).T
        contigs = max(len(self.contig_numbers), 1)
        group, start, end = merge_spans(gene * contigs + contig, start, end)
        lengths = np.bincount(group // contigs, end - start, minlength=len(self.numbers)).astype(np.int64)
        names = [name.decode() for name in self.contig_numbers]
        contigs_of: list[list[str]] = [[] for _ in self.numbers]
        for pair in np.unique(group).tolist():
            contigs_of[pair // contigs].append(names[pair % contigs])
        return [
            GeneRow(
                gene_id.decode(),
                self.names.get(gene_id, gene_id).decode(),
                self.biotypes.get(gene_id, b"").decode(),
                int(lengths[number]),
                ";".join(sorted(contigs_of[number])),
            )
            for gene_id, number in self.numbers.items()
        ]


class _Faults:
    """Faults of the lines of a file: the first few of each kind one by one, the others counted."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.listed: list[str] = []
        self.kinds: Counter[str] = Counter()

    def add(self, kind: str, line: int, text: str) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] <= _MOST_LISTED:
            self.listed.append(f"{self.path}, line {line}: {text}.")

    def sentences(self) -> list[str]:
        more = ((kind, count - _MOST_LISTED) for kind, count in self.kinds.items() if count > _MOST_LISTED)
        return [*self.listed, *(f"{self.path}: {count} more of the same kind ({kind})." for kind, count in more)]


def copy_annotation(
    path: str | Path, output: BinaryIO, genes: Genes, contigs: dict[str, int], genome: str
) -> Iterator[str]:
    """Append a GTF to ``output`` with ``\\n`` line ends, enter its genes and yield a sentence for every fault.

    ``contigs`` are name → length in the genome, ``genome`` says where they come from.
    """
    faults = _Faults(path)
    lengths = {name.encode(): length for name, length in contigs.items()}
    exons: Counter[bytes] = Counter()
    earlier = set(genes.numbers)
    try:
        with open_bytes(path) as handle:
            for number, line in enumerate(handle, 1):
                line = line.rstrip(b"\r\n")
                output.write(line + b"\n")
                try:
                    found = _parse_feature(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
                except GtfLineError as error:
                    faults.add(error.kind, number, str(error))
                    if not exons and faults.kinds.total() >= _HOPELESS:
                        yield from faults.sentences()
                        yield f"{path}: not a GTF file; the rest of it was not read."
                        return
                    continue
                if found is None:
                    continue
                contig, feature, start, end, gene_id, attributes = found
                if gene_id not in genes.names or gene_id not in genes.biotypes:
                    genes.describe(gene_id, attributes)
                if feature != b"exon":
                    continue
                exons[contig] += 1
                genes.add_exon(gene_id, contig, start, end)
                if gene_id in earlier:
                    earlier.discard(gene_id)
                    text = f"gene {gene_id.decode()} is also in the annotation of the genome"
                    faults.add("gene in two annotations", number, text)
                if end > (lengths.get(contig) or end):
                    text = f"an exon ends at base {end}, but contig {contig.decode()} has {lengths[contig]}"
                    text += "; genome and annotation are of different assemblies"
                    faults.add("exon beyond the end of its contig", number, text)
    except (EOFError, OSError) as error:
        yield f"{path}: the file cannot be read to its end ({error}); is it cut short?"
        return
    yield from faults.sentences()
    if not exons and not faults.listed:
        yield f"{path}: no line has the feature 'exon' in its third column."
    yield from _compare_contigs(path, exons, lengths, genome)


def _parse_feature(line: bytes) -> tuple[bytes, bytes, int, int, bytes, bytes] | None:
    """Return contig, feature, start, end, gene_id, attributes of an exon, transcript or gene, None for other lines.

    Raises GtfLineError.
    """
    parsed = parse_line(line)
    if parsed is None or parsed[1] not in _FEATURES:
        return None
    contig, feature, start, end, _, attributes = parsed
    gene_id = gene_id_of(attributes)
    if feature == b"exon" and not gene_id:
        raise GtfLineError("an exon without gene_id", "an exon without gene_id; every exon must name its gene")
    try:
        gene_id.decode()
    except UnicodeDecodeError:
        raise GtfLineError("gene_id is not UTF-8", "the gene_id is not UTF-8 text") from None
    return contig, feature, start, end, gene_id, attributes


def _compare_contigs(path: str | Path, exons: Counter[bytes], lengths: dict[bytes, int], genome: str) -> Iterator[str]:
    """Yield a fault where the contigs of genome and annotation do not match; print a few that are missing."""
    missing = [contig for contig in exons if contig not in lengths]
    if not missing or not lengths:
        return
    other = {contig: _other_name(contig) for contig in missing}
    renamed = [contig for contig in missing if other[contig] in lengths]
    if renamed:
        pairs = ", ".join(f"{contig.decode()} ({other[contig].decode()})" for contig in renamed[:5])
        yield (
            f"{path}: {len(renamed)} contig(s) have other names in the genome {genome}: {pairs};"
            " take genome and annotation from one source."
        )
        return
    lost = sum(exons[contig] for contig in missing)
    listed = ", ".join(contig.decode("utf-8", "replace") for contig in missing[:5])
    if 2 * lost > exons.total():
        known = ", ".join(contig.decode("utf-8", "replace") for contig in list(lengths)[:5])
        yield (
            f"{path}: {lost} of {exons.total()} exons are on contigs that the genome {genome} does not have"
            f" ({listed}); it has {known}."
        )
    else:
        print(
            f"{path}: {lost} exons on {len(missing)} contig(s) that the genome does not have ({listed});"
            " their genes stay in the tables and count nothing there.",
            file=sys.stderr,
        )


def _other_name(contig: bytes) -> bytes:
    """Return the name of a contig in the other convention: chr1 of UCSC and GENCODE, 1 of Ensembl."""
    if contig in (b"MT", b"chrM"):
        return b"chrM" if contig == b"MT" else b"MT"
    return contig[3:] if contig.startswith(b"chr") else b"chr" + contig
