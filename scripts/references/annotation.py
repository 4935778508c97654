"""Annotations joined, checked against the genome, and summed up as genes."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.untrusted import decode_text
from scripts.references.gene_intervals import merge_spans
from scripts.references.gene_losses import MOST_LOST, GeneLosses, plain_name
from scripts.references.genes_table import GeneRow
from scripts.references.gtf import (
    BIOTYPE_KEYS,
    NAME_KEYS,
    GtfLineError,
    for_star,
    gene_id_of,
    parse_attributes,
    parse_line,
)

_MOST_LISTED = 5  # faults of one kind in one file that are listed one by one
_LONGEST_LINE = 1 << 24  # bytes
_HOPELESS = 1000  # faults in a file without an exon after which the rest is not read
_LOOSE_SHARE = 0.05  # of all genes that may have exons without a transcript
_FEATURES = frozenset([b"exon", b"gene", b"transcript"])


@dataclass
class Genes:
    """What annotations say of genes and their exons."""

    numbers: dict[bytes, int] = field(default_factory=dict)  # gene_id → number
    contig_numbers: dict[bytes, int] = field(default_factory=dict)
    names: dict[bytes, bytes] = field(default_factory=dict)
    biotypes: dict[bytes, bytes] = field(default_factory=dict)
    exons: "array[int]" = field(default_factory=lambda: array("q"))  # of each: gene, contig, start, end
    losses: GeneLosses = field(default_factory=GeneLosses)

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
                decode_text(self.names.get(gene_id, gene_id)),
                decode_text(self.biotypes.get(gene_id, b"")),
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
    """Append a GTF to ``output``, enter its genes and yield a sentence for every fault.

    Line ends become ``\\n``, exons are written so that STAR reads them as HTSeq does (:func:`for_star`), and lines on
    contigs that the genome lacks are left out: so genes.tsv, STAR's index and the counts have the same genes.
    ``contigs`` are name → length in the genome, ``genome`` says where they come from.
    """
    copy = _Copy(path, genes, {name.encode(): length for name, length in contigs.items()})
    try:
        with open_bytes(path) as handle:
            for number, line in enumerate(iter(lambda: handle.readline(_LONGEST_LINE + 1), b""), 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                line = line.rstrip(b"\r\n")
                if number == 1 and b"\r" in line:
                    yield f"{path}: its lines end with CR alone; convert them: tr '\\r' '\\n' <old.gtf >new.gtf."
                    return
                if len(line) > _LONGEST_LINE:
                    yield f"{path}, line {number}: more than {_LONGEST_LINE:,} bytes; is it a GTF file?"
                    return
                try:
                    kept = copy.add_line(number, line)
                except GtfLineError as error:
                    copy.faults.add(error.kind, number, str(error))
                    if not copy.exons and copy.faults.kinds.total() >= _HOPELESS:
                        yield from copy.faults.sentences()
                        yield f"{path}: not a GTF file; the rest of it was not read."
                        return
                    continue
                if kept is not None:
                    output.write(kept + b"\n")
    except (EOFError, OSError) as error:
        yield f"{path}: the file cannot be read to its end ({error}); is it cut short?"
        return
    yield from copy.faults.sentences()
    if not copy.exons and not copy.faults.listed:
        yield f"{path}: no line has the feature 'exon' in its third column."
    genes.losses = genes.losses.and_of(copy.losses())
    yield from _compare_contigs(path, copy, genome)
    yield from _check_transcripts(path, copy)


class _Copy:
    """The state of one annotation that is copied."""

    def __init__(self, path: str | Path, genes: Genes, lengths: dict[bytes, int]) -> None:
        self.genes = genes
        self.lengths = lengths
        self.faults = _Faults(path)
        self.exons: Counter[bytes] = Counter()  # of each contig
        self.elsewhere: set[bytes] = set()  # genes with exons on contigs that the genome lacks
        self.loose: Counter[bytes] = Counter()  # gene → exons without a transcript_id
        self.earlier = set(genes.numbers)
        self.before = len(genes.numbers)

    def missing(self) -> list[bytes]:
        """Return the contigs with exons that the genome lacks, none where the genome is not known."""
        return [contig for contig in self.exons if contig not in self.lengths] if self.lengths else []

    def loose_genes(self) -> list[bytes]:
        """Return the genes with several exons, not all of them in a transcript."""
        return [gene for gene, exons in self.loose.items() if exons > 1]

    def losses(self) -> GeneLosses:
        """Return what of the annotation is not counted, or not well."""
        lost, missing = len(self.elsewhere - self.genes.numbers.keys()), self.missing()
        return GeneLosses(
            genes=len(self.genes.numbers) - self.before + lost,
            lost_genes=lost,
            lost_contigs=len(missing),
            lost_names=tuple(map(_text, missing[:_MOST_LISTED])),
            loose_genes=len(self.loose_genes()),
        )

    def add_line(self, number: int, line: bytes) -> bytes | None:
        """Return what is to be written of a line, None for a line to leave out. Raises GtfLineError."""
        contig = line.partition(b"\t")[0]
        is_elsewhere = bool(self.lengths) and contig not in self.lengths and not line.startswith(b"#")
        found = _parse_feature(line)
        if found is None:
            return None if is_elsewhere else line
        contig, feature, start, end, gene_id, attributes = found
        if gene_id not in self.genes.names or gene_id not in self.genes.biotypes:
            self.genes.describe(gene_id, attributes)
        if feature != b"exon":
            return None if is_elsewhere else line
        self.exons[contig] += 1
        if is_elsewhere:
            self.elsewhere.add(gene_id)
            return None
        line, transcript = for_star(line, gene_id)
        if not transcript:
            self.loose[gene_id] += 1
        self.genes.add_exon(gene_id, contig, start, end)
        self._check_exon(number, contig, end, gene_id)
        return line

    def _check_exon(self, number: int, contig: bytes, end: int, gene_id: bytes) -> None:
        if gene_id in self.earlier:
            self.earlier.discard(gene_id)
            text = f"gene {gene_id.decode()} is also in the annotation of the genome"
            self.faults.add("gene in two annotations", number, text)
        if end > (self.lengths.get(contig) or end):
            text = f"an exon ends at base {end}, but contig {contig.decode()} has {self.lengths[contig]}"
            text += "; genome and annotation are of different assemblies"
            self.faults.add("exon beyond the end of its contig", number, text)


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


def _compare_contigs(path: str | Path, copy: _Copy, genome: str) -> Iterator[str]:
    """Yield a fault where the contigs of genome and annotation do not match, but for a few genes."""
    exons, lengths = copy.exons, copy.lengths
    missing = copy.missing()
    if not missing:
        return
    plain = {plain_name(_text(contig)): contig for contig in lengths}
    renamed = [(contig, other) for contig in missing if (other := plain.get(plain_name(_text(contig))))]
    if renamed:
        pairs = ", ".join(f"{_text(contig)} ({_text(other)})" for contig, other in renamed[:5])
        yield (
            f"{path}: {len(renamed)} contig(s) have other names in the genome {genome}: {pairs};"
            " take genome and annotation from one source."
        )
        return
    lost = sum(exons[contig] for contig in missing)
    losses = copy.losses()
    share = f"{lost} of {exons.total()} exons" if 2 * lost > exons.total() else ""
    if not share and losses.lost_genes > MOST_LOST * losses.genes:
        share = f"{losses.lost_genes} of {losses.genes} genes"
    if share:
        known = ", ".join(map(_text, list(lengths)[:5]))
        yield (
            f"{path}: {share} are on contigs that the genome {genome} does not have ({', '.join(losses.lost_names)});"
            f" it has {known}."
        )


def _check_transcripts(path: str | Path, copy: _Copy) -> Iterator[str]:
    """Yield a fault where many genes have exons that no transcript joins."""
    genes = copy.loose_genes()
    if len(genes) > _LOOSE_SHARE * len(copy.genes.numbers):
        yield (
            f"{path}: {len(genes)} gene(s) have exons without a transcript_id (e.g. {genes[0].decode()}), so that STAR"
            " knows no splice junction between them; use an annotation that names transcripts."
        )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
