"""Make what plate counting needs of an annotation: step functions of gene sets, the exons, and the table of features.

The exons are a GTF of exon lines with nothing but their gene_id, which htseq-count reads at a fifth of the cost of the
whole annotation and with the same counts. Where features of another type are counted (--type), or under another
attribute (--id-attribute), they are written as if they were exons and their genes: htseq-count's -t and -i.
The table of features has a row for each id that is counted, as genes.tsv (whose name and biotype it takes) has for each
gene; its lengths are those of the union of the features, in bases.
"""

import functools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path, atomic_text
from scripts.core.disk.shared_cache import add_links_option, build_targets
from scripts.core.errors import InputError
from scripts.references.annotation import Genes
from scripts.references.gene_intervals import build_gene_intervals, write_gene_intervals
from scripts.references.genes_table import GeneRow, read_genes, write_genes
from scripts.references.gtf import Exon, gene_id_of, read_features

EXON, GENE_ID = "exon", "gene_id"


def collect_features(annotation: str | Path, genes: str | Path, feature: str, attribute: str) -> list[GeneRow]:
    """Return a row for each value of an attribute that features of a type have, in byte order.

    Raises InputError where no line is of the type, or one of them lacks the attribute.
    """
    known = {gene.gene_id.encode(): gene for gene in read_genes(genes)}
    found = Genes()
    for exon, attributes in read_features(annotation, feature, attribute):
        name = exon.gene_id.encode()
        if name not in found.numbers:
            found.describe(name, attributes)
            if gene := known.get(gene_id_of(attributes)):
                found.names.setdefault(name, gene.gene_name.encode())
                found.biotypes.setdefault(name, gene.biotype.encode())
        found.add_exon(name, exon.contig.encode(), exon.start, exon.end)
    if not found.numbers:
        raise InputError(
            f"{annotation}: no line has {feature!r} in its third column; set plates.type to a word that is there, e.g."
            " exon."
        )
    return sorted(found.rows(), key=lambda row: row.gene_id.encode())


def make_count_index(
    annotation: str | Path,
    genes: str | Path,
    output: str | Path,
    exons: str | Path,
    features: str | Path | None = None,
    *,
    feature: str = EXON,
    attribute: str = GENE_ID,
) -> None:
    """Write the step functions (npz), the exons (GTF) and, where a path is given, the table of features.

    Raises InputError where annotation and genes do not fit, or lack the features.
    """
    is_plain = (feature, attribute) == (EXON, GENE_ID)
    rows = read_genes(genes) if is_plain else collect_features(annotation, genes, feature, attribute)
    with atomic_text(exons) as handle:

        def written() -> Iterator[Exon]:
            for exon, _ in read_features(annotation, feature, attribute):
                handle.write(
                    f"{exon.contig}\t.\texon\t{exon.start + 1}\t{exon.end}\t.\t{exon.strand}\t.\t"
                    f'gene_id "{exon.gene_id}";\n'
                )
                yield exon

        steps = build_gene_intervals(written(), [row.gene_id for row in rows])
        write_gene_intervals(output, steps)
    if features is not None:
        with atomic_path(features) as partial:
            if is_plain:
                shutil.copyfile(genes, partial)
            else:
                write_genes(partial, rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--annotation", required=True, help="annotation of the reference (GTF)")
    parser.add_argument("--genes", required=True, help="table of genes (genes.tsv)")
    parser.add_argument("--type", default=EXON, help="what is counted: the third column of the annotation")
    parser.add_argument("--id-attribute", default=GENE_ID, help="under what it is counted: an attribute of its line")
    parser.add_argument("--output", required=True, type=Path, help="step functions to write (npz)")
    parser.add_argument("--exons", required=True, type=Path, help="exons to write (GTF)")
    parser.add_argument("--features", type=Path, help="table of features to write")
    add_links_option(parser)
    args = parser.parse_args(argv)
    chosen = {"type": args.type, "id_attribute": args.id_attribute}
    is_plain = tuple(chosen.values()) == (EXON, GENE_ID)

    def made_from() -> Mapping[str, str]:
        described = json.loads(args.output.with_name("reference.json").read_text(encoding="utf-8"))
        return {"fingerprint": described["fingerprint"], **({} if is_plain else chosen)}

    build = functools.partial(
        make_count_index, args.annotation, args.genes, feature=args.type, attribute=args.id_attribute
    )
    targets = [args.output, args.exons, *([args.features] if args.features else [])]
    build_targets(args.links, args.output.stem, made_from, targets, build)
