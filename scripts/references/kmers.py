"""Make the index of k-mers by which reads are known to be of a species, from the exons of its reference.

Reads are looked up in it to see whether a sample is of the species that its record says, whether its mates belong
together, and whether its runs are alike; nothing is counted by it.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.shared_cache import add_links_option, build_targets
from scripts.references.gene_kinds import spike_in_contigs
from scripts.references.kmer_index import K, build_kmer_index, write_kmer_index


def make_kmers(genome: str | Path, annotation: str | Path, reference: str | Path, output: str | Path) -> None:
    """Write the index of a reference; ``reference`` is its reference.json."""
    write_kmer_index(output, build_kmer_index(genome, annotation, spike_in_contigs(reference)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--genome", required=True, help="genome of the reference (FASTA)")
    parser.add_argument("--annotation", required=True, help="annotation of the reference (GTF)")
    parser.add_argument("--reference", required=True, type=Path, help="reference.json of the reference")
    parser.add_argument("--output", required=True, type=Path, help="index to write (npz)")
    add_links_option(parser)
    args = parser.parse_args(argv)

    def made_from() -> Mapping[str, str]:
        described = json.loads(args.reference.read_text(encoding="utf-8"))
        return {"fingerprint": described["fingerprint"], "k": str(K)}

    build = functools.partial(make_kmers, args.genome, args.annotation, args.reference)
    build_targets(args.links, "kmers", made_from, [args.output], build)
