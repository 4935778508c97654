"""Make what plate counting needs of an annotation: step functions of gene sets, and the exons.

The exons are a GTF of the exon lines with nothing but their gene_id, which htseq-count reads at a fifth of the cost of
the whole annotation and with the same counts.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.files import atomic_text
from scripts.core.shared_cache import add_links_option, build_targets
from scripts.references.gene_intervals import build_gene_intervals, write_gene_intervals
from scripts.references.genes_table import read_genes
from scripts.references.gtf import Exon, read_exons


def make_count_index(annotation: str | Path, genes: str | Path, output: str | Path, exons: str | Path) -> None:
    """Write the step functions (npz) and the exons (GTF). Raises InputError where annotation and genes do not fit."""
    with atomic_text(exons) as handle:

        def written() -> Iterator[Exon]:
            for exon in read_exons(annotation):
                handle.write(
                    f"{exon.contig}\t.\texon\t{exon.start + 1}\t{exon.end}\t.\t{exon.strand}\t.\t"
                    f'gene_id "{exon.gene_id}";\n'
                )
                yield exon

        steps = build_gene_intervals(written(), [gene.gene_id for gene in read_genes(genes)])
        write_gene_intervals(output, steps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--annotation", required=True, help="annotation of the reference (GTF)")
    parser.add_argument("--genes", required=True, help="table of genes (genes.tsv)")
    parser.add_argument("--output", required=True, type=Path, help="step functions to write (npz)")
    parser.add_argument("--exons", required=True, type=Path, help="exons to write (GTF)")
    add_links_option(parser)
    args = parser.parse_args(argv)

    def made_from() -> Mapping[str, str]:
        described = json.loads(args.output.with_name("reference.json").read_text(encoding="utf-8"))
        return {"fingerprint": described["fingerprint"]}

    build = functools.partial(make_count_index, args.annotation, args.genes)
    build_targets(args.links, "count_index", made_from, [args.output, args.exons], build)
