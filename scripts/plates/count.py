"""Count the fragments of a shard's cells by gene, as htseq-count counts them.

Counters: 'native', our own; 'htseq-count', the program itself; 'auto', our own with one cell of the shard, chosen by a
hash, counted by htseq-count as well: if a single number differs, htseq-count counts the whole shard and the status
table says so; 'starsolo': the counts that the command align had from STARsolo (--solo-strand).
"""

from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path
from scripts.core.version import own_versions
from scripts.plan.counted import add_round_options, record_round
from scripts.plan.status import write_statuses
from scripts.plan.units import add_runs_option, read_unit
from scripts.plates.cells import read_cell_statuses
from scripts.plates.counting import COUNTERS, Counting, count_shard
from scripts.plates.scoring import add_scoring, scoring_of
from scripts.plates.shard_counts import join_shards, read_shard_counts, reference_label, write_shard_counts
from scripts.plates.smartseq import STARSOLO, read_solo_counts, require_way
from scripts.plates.strands import parse_strands
from scripts.references.gene_intervals import MODES
from scripts.references.genes_table import read_genes


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--alignments", required=True, help="folder of the shard's BAM files, logs and status table")
    parser.add_argument("--count-index", required=True, help="gene intervals of the reference (count_index.npz)")
    parser.add_argument("--exons", required=True, help="exon lines of the annotation (exons.gtf)")
    parser.add_argument("--genes", required=True, help="table of genes (genes.tsv)")
    parser.add_argument("--reference", required=True, help="fingerprint of the reference (reference.json)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="htseq-count's -m")
    parser.add_argument(
        "--strand",
        nargs="+",
        default=["none"],
        metavar="STRAND",
        help="htseq-count's -s: none (no), forward (yes) or reverse; auto, proved by the reads; or ACCESSION=STRAND for"
        " a run, experiment, sample or series",
    )
    add_scoring(parser)
    parser.add_argument("--counter", choices=(*COUNTERS, STARSOLO), default="auto", help="who counts, see below")
    add_round_options(parser)
    parser.add_argument("--kept", nargs="?", help="folder of what is not tried again, see retry")
    parser.add_argument("--threads", type=int, default=1, help="cells counted side by side")
    parser.add_argument("--counts", required=True, help="counts of the shard to write (h5ad)")
    parser.add_argument("--status", required=True, help="status table of the shard to write")
    args = parser.parse_args(argv)
    columns = read_unit(args.runs)
    genes = [gene.gene_id for gene in read_genes(args.genes)]
    statuses = read_cell_statuses(args.alignments, columns)
    reference = reference_label(args.reference)
    if args.counter == STARSOLO:
        shard, statuses = read_solo_counts(columns, statuses, args.alignments, genes, reference)
    else:
        require_way(args.alignments, by_starsolo=False)
        scratch = Path(args.counts).parent
        scratch.mkdir(parents=True, exist_ok=True)
        shard, statuses = count_shard(
            columns,
            statuses,
            args.alignments,
            Counting(Path(args.count_index), Path(args.exons), genes, args.mode, "none", scoring_of(args), scratch),
            reference,
            counter=args.counter,
            threads=max(1, args.threads),
            strand=parse_strands(args.strand),
        )
    used = own_versions() | {name: version for name, version in shard.tools.items() if name != "counter"}
    statuses = {run: status.made_with(used) if status.ok else status for run, status in statuses.items()}
    if args.kept:
        kept = {run for run, status in statuses.items() if status.state == "kept"}
        earlier = Path(args.kept) / "counts.h5ad"
        if earlier.exists():
            shard = join_shards(shard, read_shard_counts(earlier), kept)
        statuses |= {run: statuses[run]._replace(state="ok") for run in kept}
    write_shard_counts(args.counts, shard)
    with atomic_path(args.status) as partial:
        write_statuses(partial, statuses.values())
    record_round(args, statuses.values())
