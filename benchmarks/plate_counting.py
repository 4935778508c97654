"""Count plate cells: the native counter beside htseq-count for each cell and htseq-count for a whole shard.

An annotation of GENCODE's size (--quick: a fifth of it) and BAM files of 1,000, 100,000 and 1,000,000 pairs (--quick:
not the last) are made from a seed. Every measurement is a process of its own, repeated in turn; medians. A shard has 96
cells: what a process costs once (start, annotation) is divided among them, what a cell adds is seen in differences.
htseq-count for each cell reads the whole annotation, as in 2017; for a shard it reads the trimmed exons once.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.inputs.measure import Cost, in_child, python, run_measured
from benchmarks.inputs.plates import make_annotation, write_bam, write_gtf
from scripts.core.command import command_parser
from scripts.references.genes_table import GeneRow, write_genes

SHARD = 96
_NATIVE = """
import sys
from scripts.plates.counting import count_native
from scripts.references.gene_intervals import read_gene_intervals
steps = read_gene_intervals(sys.argv[1])
for path in sys.argv[2:]:
    cell = count_native([path], steps, "intersection-nonempty", "none")
    sys.stdout.buffer.write(cell.genes.tobytes() + cell.tallies.tobytes())
"""
_HTSEQ = ("-m", "HTSeq.scripts.count", "-q", "-f", "bam", "-r", "name", "-s", "no", "-m", "intersection-nonempty")


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller annotation and no file of 1,000,000 pairs")
    args = parser.parse_args(argv)
    genes, repeats = (12_000, 2) if args.quick else (62_000, 3)
    sizes = [1_000, 100_000] if args.quick else [1_000, 100_000, 1_000_000]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bams = {size: folder / f"{size}.bam" for size in [1, *sizes]}
        ids, exons = in_child(_make_inputs, folder, genes, bams)
        index = [f"--annotation={folder / 'full.gtf'}", f"--genes={folder / 'genes.tsv'}"]
        index += [f"--output={folder / 'index.npz'}", f"--exons={folder / 'exons.gtf'}"]
        once = run_measured(python("-m", "scripts", "count_index", *index))

        def native(*paths: Path) -> Cost:
            command = python("-c", _NATIVE, str(folder / "index.npz"), *map(str, paths))
            return run_measured(command, folder / "native.bin")

        def htseq(gtf: str, *paths: Path) -> Cost:
            return run_measured(python(*_HTSEQ, *map(str, paths), str(folder / gtf)), folder / "htseq.txt")

        starts: dict[str, list[Cost]] = {"native": [], "htseq": []}
        costs: dict[tuple[str, int], list[Cost]] = {}
        equal = True
        for repeat in range(repeats):
            starts["native"].append(native(bams[1]))
            starts["htseq"].append(htseq("exons.gtf", bams[1]))
            for size in sizes:
                if size == 1_000_000 and repeat == repeats - 1 and repeat > 1:
                    continue
                copies = 20 if size < 10_000 else 1  # what a small cell adds is seen in many of them only
                costs.setdefault(("native", size), []).append(native(*[bams[size]] * copies))
                costs.setdefault(("htseq", size), []).append(htseq("exons.gtf", *[bams[size]] * copies))
                equal &= _same(folder, len(ids), copies)
        full = htseq("full.gtf", bams[1_000])
        per_cell_start = full.cpu

        begin = {who: median(cost.cpu for cost in found) for who, found in starts.items()}
        print(f"{genes:,} genes, {exons:,} exon lines; CPU seconds, medians of {repeats}; a shard has {SHARD} cells")
        print(
            f"start: native {begin['native']:.2f}, htseq-count {begin['htseq']:.2f} (exons), {full.cpu:.2f} (whole GTF)"
        )
        print(f"index of the native counter, once for a reference: {once.cpu:.1f}")
        print(f"{'pairs':>9} {'native':>8} {'htseq, shard':>13} {'htseq, cell':>12} {'ratios':>14} {'peak MB':>16}")
        figures: dict[str, object] = {"genes": genes, "exons": exons, "equal": bool(equal), "index_cpu": once.cpu}
        for size in sizes:
            copies = 20 if size < 10_000 else 1
            adds = {
                who: max((median(cost.cpu for cost in costs[who, size]) - begin[who]) / copies, 0.0005)
                for who in ("native", "htseq")
            }
            ours = adds["native"] + begin["native"] / SHARD
            shard = adds["htseq"] + begin["htseq"] / SHARD
            cell = adds["htseq"] + per_cell_start
            peak = {who: max(cost.peak_mb for cost in costs[who, size]) for who in ("native", "htseq")}
            print(
                f"{size:>9,} {ours:>8.3f} {shard:>13.3f} {cell:>12.2f} {shard / ours:>6.1f} {cell / ours:>7.0f}"
                f" {peak['native']:>7.0f} {peak['htseq']:>8.0f}"
            )
            figures[f"pairs_{size}"] = {
                "native_cpu": round(ours, 4),
                "native_adds_cpu": round(adds["native"], 4),
                "htseq_shard_cpu": round(shard, 4),
                "htseq_adds_cpu": round(adds["htseq"], 4),
                "htseq_cell_cpu": round(cell, 3),
                "ratio_shard": round(shard / ours, 2),
                "ratio_shard_without_start": round(adds["htseq"] / adds["native"], 2),
                "ratio_cell": round(cell / ours, 1),
                "native_peak_mb": round(peak["native"]),
                "htseq_peak_mb": round(peak["htseq"]),
            }
        print(f"all counts equal: {equal}")
        print(json.dumps(figures))


def _make_inputs(folder: Path, genes: int, bams: Mapping[int, Path]) -> tuple[list[str], int]:
    """Write the annotation, its table of genes and the BAM files; return gene ids and the number of exon lines."""
    annotation = make_annotation(1, genes, 2_900_000_000)
    write_gtf(folder / "full.gtf", annotation)
    ids = [gene.gene_id for gene in annotation.genes]
    write_genes(folder / "genes.tsv", [GeneRow(gene, gene, "", 1, "chr1") for gene in ids])
    for size, path in bams.items():
        write_bam(path, annotation, size, seed=size)
    return ids, annotation.exon_count()


def _same(folder: Path, genes: int, copies: int) -> bool:
    """Whether both counters wrote the same numbers."""
    native = np.fromfile(folder / "native.bin", np.int64).reshape(copies, -1)
    rows = [line.split("\t")[1:] for line in (folder / "htseq.txt").read_text().splitlines()]
    return native.shape == (copies, genes + 5) and bool((native == np.array(rows, np.int64).T).all())


if __name__ == "__main__":
    main()
