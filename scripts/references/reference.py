"""Make a reference: genome, annotation, table of genes and fingerprint, with spike-ins joined to both.

FASTA and GTF may be files or addresses, plain or gzip (by their first bytes). The annotation may be in the dialect of
GENCODE, Ensembl, RefSeq or UCSC. What does not fit together (contigs named chr1 here and 1 there, exons beyond the end
of a contig, exons without gene_id, a contig twice) is an error here, before anything is aligned.
"""

import contextlib
import functools
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path, hash_file
from scripts.core.disk.shared_cache import add_links_option, build_targets
from scripts.core.errors import InputError, raise_faults
from scripts.core.http import fetch
from scripts.core.secrets import mask, name_of_address
from scripts.plan.configuration import is_address
from scripts.references.annotation import Genes, copy_annotation
from scripts.references.fasta import copy_fasta
from scripts.references.gene_losses import bare_contigs
from scripts.references.genes_table import write_genes
from scripts.references.releases import find_release

SourceFile = tuple[str, str | None]
"""A path or an address, and its sha256 where one is promised."""
FASTAS, GTFS = ("fasta", "spike_in_fasta"), ("gtf", "spike_in_gtf")
"""Roles of the sources of a reference, as the configuration and provenance.json name them."""


def _local_path(source: str) -> str | None:
    """Return the path of a source that is a file."""
    return None if is_address(source) else source.removeprefix("file://")


def _fetch(sources: Sequence[SourceFile], prefix: str, faults: list[str]) -> list[str]:
    """Return the paths of sources, those of addresses fetched into ``{prefix}-…``; add what is wrong to ``faults``."""
    paths = []
    for number, (address, sha256) in enumerate(sources):
        path = _local_path(address)
        try:
            if path is None:
                target = Path(f"{prefix}-{number}-{name_of_address(address) or 'source'}")
                path = str(fetch(address, target, sha256=sha256))
            elif not Path(path).is_file():
                raise InputError(f"{path}: no such file.")
            elif sha256 and (found := hash_file(path)) != sha256.lower():
                raise InputError(f"{path}: its sha256 is {found}, but {sha256} was promised.")
            paths.append(path)
        except InputError as error:
            faults.append(str(error))
    return paths


def _with_sources(fault: str, sources: Sequence[SourceFile], folder: str) -> str:
    """Return a sentence in which downloads of a temporary folder go by the addresses that they came from."""
    for address, _ in sources:
        pattern = rf"{re.escape(folder)}/\w+-\d+-{re.escape(name_of_address(address) or 'source')}"
        fault = re.sub(pattern, mask(address).replace("\\", r"\\"), fault)
    return fault


def make_reference(
    name: str,
    fastas: Sequence[SourceFile],
    gtfs: Sequence[SourceFile],
    genome: str | Path,
    annotation: str | Path,
    genes_table: str | Path,
    fingerprint: str | Path,
) -> None:
    """Write the four files of a reference from its sources.

    Raises InputError, listing every fault; then no file is written.
    """
    faults: list[str] = []
    contigs: dict[str, int] = {}
    of_genome: set[str] = set()
    genes = Genes()
    digests: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(atomic_path(path)) for path in (genome, annotation, genes_table, fingerprint)]
        with TemporaryDirectory(dir=parts[0].parent, prefix=".sources.") as folder:
            local_fastas = _fetch(fastas, f"{folder}/fasta", faults)
            local_gtfs = _fetch(gtfs, f"{folder}/gtf", faults)
            if not faults:
                of_roles = [*zip(FASTAS, local_fastas, strict=False), *zip(GTFS, local_gtfs, strict=False)]
                digests = {role: hash_file(path) for role, path in of_roles}
            with parts[0].open("wb") as output:
                for path in local_fastas:
                    copy_fasta(path, output, contigs, faults)
                    of_genome = of_genome or set(contigs)  # the first; spike-ins follow
            with parts[1].open("wb") as output:
                for path in local_gtfs:
                    faults += copy_annotation(path, output, genes, contigs, " and ".join(local_fastas))
        raise_faults(f"The reference {name}", [_with_sources(fault, [*fastas, *gtfs], folder) for fault in faults])
        rows = genes.rows()
        for row in rows:
            if ";" in row.contig:
                print(
                    f"gene {row.gene_id} has exons on several contigs ({row.contig}); as in htseq-count,"
                    " its reads on all of them count for the one gene.",
                    file=sys.stderr,
                )
        write_genes(parts[2], rows)
        bare = bare_contigs(contigs, (contig for row in rows for contig in row.contig.split(";")))
        losses = bare.and_of(genes.losses)
        for sentence in losses.sentences():
            print(f"Reference {name}: {sentence}")  # on the terminal
        sums = {"genome_sha256": hash_file(parts[0]), "annotation_sha256": hash_file(parts[1])}
        text = "".join(f"{key} {value}\n" for key, value in sums.items())
        described = {
            "name": name,
            "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
            **sums,
            "contigs": len(contigs),
            "bases": sum(contigs.values()),
            "genes": len(rows),
            "annotation": losses._asdict(),
            "spike_ins": {"contigs": [contig for contig in contigs if contig not in of_genome]},
            "release": find_release(parts[1], parts[0], [mask(source) for source, _ in (*fastas, *gtfs)])._asdict(),
            "sources_sha256": digests,
        }
        parts[3].write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def identity_of(sources: Sequence[SourceFile]) -> list[str]:
    """Return what identifies these sources: checksums, or the last part of an address that has none."""
    return [
        sha256 or (hash_file(path) if (path := _local_path(address)) is not None else mask(address).rpartition("/")[2])
        for address, sha256 in sources
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--name", required=True, help="name of the reference, e.g. hg38")
    parser.add_argument("--fasta", required=True, help="genome: file or address")
    parser.add_argument("--gtf", required=True, help="annotation: file or address")
    parser.add_argument("--fasta-sha256", help="sha256 of the genome as downloaded")
    parser.add_argument("--gtf-sha256", help="sha256 of the annotation as downloaded")
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

    def made_from() -> Mapping[str, list[str]]:
        paths = [path for source, _ in (*fastas, *gtfs) if (path := _local_path(source)) is not None]
        missing = [f"{path}: no such file." for path in paths if not Path(path).is_file()]
        raise_faults(f"The reference {args.name}", missing)
        return {"fasta": identity_of(fastas), "gtf": identity_of(gtfs)}

    build = functools.partial(make_reference, args.name, fastas, gtfs)
    build_targets(args.links, "reference", made_from, targets, build)
