"""Make a reference: genome, annotation, table of genes and fingerprint, with spike-ins joined to both.

FASTA and GTF may be files or addresses, plain or gzip (told by their first bytes). The annotation may be in the shape
of GENCODE, Ensembl, RefSeq or UCSC. What does not fit together (contigs called chr1 here and 1 there, exons beyond the
end of a contig, exons without gene_id, a contig twice) is an error here, before anything is aligned.
"""

import contextlib
import hashlib
import json
import re
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from scripts.core.command import command_parser
from scripts.core.errors import InputError, raise_faults
from scripts.core.files import atomic_path, hash_file
from scripts.core.gzip_files import open_bytes
from scripts.core.http import RemoteError, fetch
from scripts.core.shared_cache import add_links_option, build_once, link_into
from scripts.core.subprocesses import ends_with_command
from scripts.references.fasta import copy_fasta
from scripts.references.gene_intervals import merge_spans
from scripts.references.genes_table import GeneRow, write_genes
from scripts.references.gtf import BIOTYPE_KEYS, NAME_KEYS, GtfLineError, gene_id_of, parse_attributes, parse_line

_ADDRESS = re.compile(r"(https?|ftp)://")
_MOST_TOLD = 5  # faults of one kind in one file that are told singly


@dataclass
class Genes:
    """What the exons of annotations say of genes; the arrays have an item an exon."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    contig_numbers: dict[bytes, int] = field(default_factory=dict)
    names: dict[bytes, bytes] = field(default_factory=dict)
    biotypes: dict[bytes, bytes] = field(default_factory=dict)
    gene: array = field(default_factory=lambda: array("q"))
    contig: array = field(default_factory=lambda: array("q"))
    start: array = field(default_factory=lambda: array("q"))
    end: array = field(default_factory=lambda: array("q"))

    def rows(self) -> list[GeneRow]:
        """Return the genes that have exons."""
        import numpy as np

        gene, contig, start, end = (
            np.array(column, np.int64) for column in (self.gene, self.contig, self.start, self.end)
        )
        contigs = max(len(self.contig_numbers), 1)
        group, start, end = merge_spans(gene * contigs + contig, start, end)
        gene, contig = np.divmod(group, contigs)
        lengths = np.bincount(gene, end - start, minlength=len(self.numbers)).astype(np.int64)
        contig_names = list(self.contig_numbers)
        places: list[list[str]] = [[] for _ in self.numbers]
        for pair in np.unique(group).tolist():
            places[pair // contigs].append(contig_names[pair % contigs].decode())
        return [
            GeneRow(
                gene_id.decode(),
                self.names.get(gene_id, gene_id).decode(),
                self.biotypes.get(gene_id, b"").decode(),
                int(lengths[number]),
                ";".join(sorted(places[number])),
            )
            for gene_id, number in self.numbers.items()
        ]


class _Told:
    """Faults of one file, a few of each kind told singly and the rest counted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.told: list[str] = []
        self.kinds: Counter[str] = Counter()

    def add(self, kind: str, sentence: str) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] <= _MOST_TOLD:
            self.told.append(f"{self.path}{sentence}")

    def sentences(self) -> list[str]:
        more = [
            f"{self.path}: {count - _MOST_TOLD} more of the same kind ({kind})."
            for kind, count in self.kinds.items()
            if count > _MOST_TOLD
        ]
        return self.told + more


def copy_annotation(
    path: str | Path, output: BinaryIO, genes: Genes, contigs: dict[str, int], genome: str
) -> Iterator[str]:
    """Append a GTF to ``output`` with ``\\n`` line ends, enter its genes and yield a sentence for every fault.

    ``contigs`` are name → length in the genome, ``genome`` says where they come from.
    """
    told = _Told(str(path))
    lengths = {name.encode(): length for name, length in contigs.items()}
    exons: Counter[bytes] = Counter()
    before = len(genes.gene)
    named_before = set(genes.numbers)
    try:
        with open_bytes(path) as handle:
            for number, line in enumerate(handle, 1):
                line = line.rstrip(b"\r\n")
                output.write(line + b"\n")
                try:
                    parsed = parse_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
                    if parsed is None:
                        continue
                    contig, feature, start, end, _, attributes = parsed
                    if feature != b"exon" and feature != b"gene" and feature != b"transcript":
                        continue
                    gene_id = gene_id_of(attributes)
                    if feature == b"exon" and not gene_id:
                        raise GtfLineError("an exon without gene_id; every exon must name its gene")
                    gene_id.decode()
                except GtfLineError as error:
                    told.add(str(error).split(";")[0], f", line {number}: {error}.")
                    if told.kinds.total() >= 1000 and len(genes.gene) == before:
                        yield from told.sentences()
                        yield f"{path}: not a GTF file; the rest of it was not looked at."
                        return
                    continue
                except UnicodeDecodeError:
                    told.add("gene_id is not UTF-8", f", line {number}: the gene_id is not UTF-8 text.")
                    continue
                if gene_id not in genes.names or gene_id not in genes.biotypes:
                    _describe(gene_id, attributes, genes)
                if feature != b"exon":
                    continue
                if gene_id in named_before:
                    named_before.discard(gene_id)
                    told.add(
                        "gene in two annotations",
                        f", line {number}: gene {gene_id.decode()} is also in the annotation of the genome.",
                    )
                exons[contig] += 1
                if end > (lengths.get(contig) or end):
                    told.add(
                        "exon beyond the end of its contig",
                        f", line {number}: an exon ends at base {end}, but contig {contig.decode()} has"
                        f" {lengths[contig]}; genome and annotation are of different assemblies.",
                    )
                genes.gene.append(genes.numbers.setdefault(gene_id, len(genes.numbers)))
                genes.contig.append(genes.contig_numbers.setdefault(contig, len(genes.contig_numbers)))
                genes.start.append(start)
                genes.end.append(end)
    except (EOFError, OSError) as error:
        yield f"{path}: the file cannot be read to its end ({error}); is it cut short?"
        return
    yield from told.sentences()
    if not exons and not told.told:
        yield f"{path}: no line has the feature 'exon' in its third column."
    yield from _compare_contigs(path, exons, lengths, genome)


def _describe(gene_id: bytes, attributes: bytes, genes: Genes) -> None:
    """Note name and biotype of a gene where a line tells them."""
    values = parse_attributes(attributes)
    for known, keys in ((genes.names, NAME_KEYS), (genes.biotypes, BIOTYPE_KEYS)):
        value = next((values[key] for key in keys if values.get(key)), None)
        if value is not None:
            known.setdefault(gene_id, value)


def _compare_contigs(path: str | Path, exons: Counter[bytes], lengths: dict[bytes, int], genome: str) -> Iterator[str]:
    """Yield a fault where the contigs of genome and annotation do not meet; a few that are missing are only told."""
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
        there = ", ".join(contig.decode("utf-8", "replace") for contig in list(lengths)[:5])
        yield (
            f"{path}: {lost} of {exons.total()} exons are on contigs that the genome {genome} does not have"
            f" ({listed}); it has {there}."
        )
    else:
        print(
            f"{path}: {lost} exons on {len(missing)} contig(s) that the genome does not have ({listed});"
            " their genes stay in the tables and count nothing there.",
            file=sys.stderr,
        )


def _other_name(contig: bytes) -> bytes:
    """Return how the other camp (UCSC and GENCODE, or Ensembl) calls a contig."""
    if contig in (b"MT", b"chrM"):
        return b"chrM" if contig == b"MT" else b"MT"
    return contig[3:] if contig.startswith(b"chr") else b"chr" + contig


def _local(source: str, sha256: str | None, folder: Path, name: str) -> str:
    """Return the path of a source, fetched when it is an address. Raises InputError where it is not as promised."""
    if _ADDRESS.match(source):
        try:
            return str(fetch(source, folder / name, sha256=sha256))
        except RemoteError as error:
            raise InputError(str(error)) from error
    path = source.removeprefix("file://")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file.")
    if sha256:
        found = hash_file(path)
        if found != sha256.lower():
            raise InputError(f"{path}: its sha256 is {found}, but {sha256} was promised.")
    return path


def make_reference(
    name: str,
    fastas: Sequence[tuple[str, str | None]],
    gtfs: Sequence[tuple[str, str | None]],
    genome: str | Path,
    annotation: str | Path,
    genes_table: str | Path,
    fingerprint: str | Path,
) -> None:
    """Write the four files of a reference from its sources (path or address, and sha256 where promised).

    Raises InputError that tells every fault; then none of the files is there.
    """
    faults: list[str] = []
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(atomic_path(path)) for path in (genome, annotation, genes_table, fingerprint)]
        with TemporaryDirectory(dir=parts[0].parent, prefix=".sources.") as folder:
            local: list[list[str]] = [[], []]
            for kind, sources in enumerate((fastas, gtfs)):
                for number, (source, sha256) in enumerate(sources):
                    try:
                        file = f"{kind}-{number}-{source.rpartition('/')[2] or 'source'}"
                        local[kind].append(_local(source, sha256, Path(folder), file))
                    except InputError as error:
                        faults.append(str(error))
            contigs: dict[str, int] = {}
            with parts[0].open("wb") as output:
                for path in local[0]:
                    copy_fasta(path, output, contigs, faults)
            genes = Genes()
            with parts[1].open("wb") as output:
                for path in local[1]:
                    faults += copy_annotation(path, output, genes, contigs, " and ".join(local[0]))
        raise_faults(f"The reference {name}", faults)
        rows = genes.rows()
        for row in rows:
            if ";" in row.contig:
                print(
                    f"gene {row.gene_id} has exons on several contigs ({row.contig}); as in htseq-count,"
                    " its reads on all of them count for the one gene.",
                    file=sys.stderr,
                )
        write_genes(parts[2], rows)
        sums = {"genome_sha256": hash_file(parts[0]), "annotation_sha256": hash_file(parts[1])}
        described = {
            "name": name,
            "fingerprint": hashlib.sha256(
                "".join(f"{key} {value}\n" for key, value in sums.items()).encode()
            ).hexdigest(),
            **sums,
            "contigs": len(contigs),
            "bases": sum(contigs.values()),
            "genes": len(rows),
        }
        parts[3].write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def identity_of(sources: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return what tells these sources from others: a checksum, where none is known the last part of the address."""
    return [
        sha256 or (source.rpartition("/")[2] if _ADDRESS.match(source) else hash_file(source.removeprefix("file://")))
        for source, sha256 in sources
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--name", required=True, help="name of the reference, e.g. hg38")
    parser.add_argument("--fasta", required=True, help="genome: file or address")
    parser.add_argument("--gtf", required=True, help="annotation: file or address")
    parser.add_argument("--fasta-sha256", help="sha256 of the genome as it comes")
    parser.add_argument("--gtf-sha256", help="sha256 of the annotation as it comes")
    parser.add_argument("--spike-in-fasta", help="sequences to join to the genome, e.g. ERCC92")
    parser.add_argument("--spike-in-gtf", help="their annotation")
    parser.add_argument("--spike-in-fasta-sha256", help="sha256 of the spike-ins' sequences")
    parser.add_argument("--spike-in-gtf-sha256", help="sha256 of the spike-ins' annotation")
    parser.add_argument("--genome", required=True, help="genome to write (FASTA)")
    parser.add_argument("--annotation", required=True, help="annotation to write (GTF)")
    parser.add_argument("--genes", required=True, help="table of genes to write")
    parser.add_argument("--fingerprint", required=True, help="fingerprint to write (JSON)")
    add_links_option(parser)
    args = parser.parse_args(argv)
    if bool(args.spike_in_fasta) != bool(args.spike_in_gtf):
        raise InputError(
            "Spike-ins need both their sequences (--spike-in-fasta) and their annotation (--spike-in-gtf)."
        )
    fastas = [(args.fasta, args.fasta_sha256)]
    gtfs = [(args.gtf, args.gtf_sha256)]
    if args.spike_in_fasta:
        fastas.append((args.spike_in_fasta, args.spike_in_fasta_sha256))
        gtfs.append((args.spike_in_gtf, args.spike_in_gtf_sha256))
    targets = list(map(Path, (args.genome, args.annotation, args.genes, args.fingerprint)))
    if not args.links:
        make_reference(args.name, fastas, gtfs, *targets)
        return
    faults = [f"{path}: no such file." for path in _lacking([*fastas, *gtfs])]
    raise_faults(f"The reference {args.name}", faults)
    with ends_with_command():
        build_once(
            targets[0].parent,
            "reference",
            {"fasta": identity_of(fastas), "gtf": identity_of(gtfs)},
            [path.name for path in targets],
            lambda folder: make_reference(args.name, fastas, gtfs, *(folder / path.name for path in targets)),
        )
    link_into(args.links, targets[0].parent, [path.name for path in targets])


def _lacking(sources: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return those sources that are files and not there."""
    paths = [source.removeprefix("file://") for source, _ in sources if not _ADDRESS.match(source)]
    return [path for path in paths if not Path(path).is_file()]
