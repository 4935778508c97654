"""A shard of plate cells from FASTQ to counts: align and count, beside the steps of 2017 for each cell.

A random genome of 100 Mb (--quick: 3 Mb) with an annotation, a STAR index and cells of 1,000 and of 100,000 pairs
(--quick: 20,000) are made from a seed; --folder keeps them for a next time. Ours: the commands align and count (counter
auto, so that one cell is counted by htseq-count as well) over 96 cells of the small kind and 12 of the large (--quick:
16 and 3); a real shard of 96 divides the genome load and the checked cell among more cells than these 12. The steps of
2017, for each of 3 (1) cells: STAR with LoadAndKeep reading gzip through zcat, two samtools sorts, htseq-count with the
whole annotation; the genome is loaded once and not counted. Figures are CPU seconds a cell (all processes).
"""

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.inputs.measure import Cost, in_child, python, run_measured
from benchmarks.inputs.plates import make_annotation, write_fastq, write_genome, write_gtf
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.star.presets import PLATE_PRESETS, as_arguments

_OLD_STEPS = r"""
set -euo pipefail
STAR --genomeDir "$INDEX" --genomeLoad LoadAndExit --outFileNamePrefix load/ >/dev/null
times
for cell in "$@"; do
    mkdir -p "$cell"
    STAR --genomeDir "$INDEX" --genomeLoad LoadAndKeep --readFilesIn "$READS/${cell}_1.fastq.gz" \
        "$READS/${cell}_2.fastq.gz" --readFilesCommand zcat --outFileNamePrefix "$cell/" --runThreadN 1 \
        --outSAMtype BAM Unsorted --outReadsUnmapped Fastx $PRESET >/dev/null
    samtools sort -o "$cell/sorted.bam" "$cell/Aligned.out.bam"
    samtools sort -n -o "$cell/named.bam" "$cell/sorted.bam"
    "$PYTHON" -m HTSeq.scripts.count -q -r name -s no -f bam -m intersection-nonempty "$cell/named.bam" "$GTF" \
        >"$cell/counts"
done
times
"""


def _make_genome(folder: Path, genes: int, bases: int) -> None:
    """Write genome, annotation and cells of both sizes."""
    annotation = make_annotation(2, genes, bases)
    sequences = write_genome(folder / "genome.in.fa", annotation, 2)
    write_gtf(folder / "annotation.in.gtf", annotation)
    for size, cells in json.loads((folder / "cells.json").read_text()).items():
        reads = folder / f"fastq.{size}"
        reads.mkdir()
        rows = []
        for number in range(1, cells + 1):
            run = f"SRR{int(size) + number}"
            first, second = reads / f"{run}_1.fastq", reads / f"{run}_2.fastq"
            write_fastq(first, second, run, annotation, sequences, int(size), int(size) + number)
            rows.append(
                Run(
                    "GSE1",
                    experiment=f"SRX{number}",
                    run=run,
                    species="homo",
                    assay="plate",
                    status="planned",
                    spots=size,
                )
            )
            for path in (first, second):
                with path.open("rb") as source, gzip.open(f"{path}.gz", "wb", 6) as packed:
                    shutil.copyfileobj(source, packed)
        write_runs(folder / f"{size}.tsv", rows)
        write_statuses(reads / "status.tsv", [RunStatus(row.run, spots=size) for row in rows])


def make_inputs(folder: Path, genes: int, bases: int, cells: dict[int, int]) -> None:
    """Make what is not yet there; the file ``ready`` is written last."""
    described = json.dumps({str(size): number for size, number in cells.items()})
    if (folder / "ready").exists() and (folder / "cells.json").read_text() == described:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "cells.json").write_text(described)
    in_child(_make_genome, folder, genes, bases)
    files = {"genome": "genome.fa", "annotation": "annotation.gtf", "genes": "genes.tsv"}
    made = [f"--{name}={folder / file}" for name, file in files.items()]
    sources = [f"--fasta={folder / 'genome.in.fa'}", f"--gtf={folder / 'annotation.in.gtf'}"]
    end = f"--fingerprint={folder / 'reference.json'}"
    run_measured(python("-m", "scripts", "reference", "--name=bench", *sources, *made, end))
    run_measured(python("-m", "scripts", "star_index", *made[:2], "--threads=2", f"--output={folder / 'star'}"))
    exons = f"--exons={folder / 'exons.gtf'}"
    run_measured(python("-m", "scripts", "count_index", *made[1:], f"--output={folder / 'index.npz'}", exons))
    (folder / "ready").touch()


def run_ours(folder: Path, size: int, work: Path) -> tuple[Cost, Cost]:
    """Return the costs of align and count for all cells of a size."""
    common = [f"--runs={folder / f'{size}.tsv'}", "--threads=2"]
    align = [f"--fastq={folder / f'fastq.{size}'}", f"--index={folder / 'star'}", f"--output={work / 'aligned'}"]
    aligned = run_measured(python("-m", "scripts", "align", *common, *align))
    count = [f"--alignments={work / 'aligned'}", f"--count-index={folder / 'index.npz'}"]
    count += [f"--exons={folder / 'exons.gtf'}", f"--genes={folder / 'genes.tsv'}"]
    count += [f"--reference={folder / 'reference.json'}", f"--counts={work / 'counts.h5ad'}"]
    counted = run_measured(python("-m", "scripts", "count", *common, *count, f"--status={work / 'status.tsv'}"))
    return aligned, counted


def run_old(folder: Path, size: int, cells: Sequence[str], work: Path) -> float:
    """Return the CPU seconds a cell of the steps of 2017, in an IPC namespace that frees the genome afterwards."""
    settings = {
        "INDEX": folder / "star",
        "READS": folder / f"fastq.{size}",
        "GTF": folder / "annotation.gtf",
        "PRESET": " ".join(as_arguments(PLATE_PRESETS["census2017"])),
        "PYTHON": sys.executable,
    }
    (work / "load").mkdir(parents=True)
    (work / "steps.sh").write_text(f"cd {work}\n{_OLD_STEPS}")
    command = ["env", *(f"{name}={value}" for name, value in settings.items())]
    command += ["unshare", "--user", "--map-root-user", "--ipc", "bash", str(work / "steps.sh"), *cells]
    run_measured(command, work / "times")
    before, after = ((_seconds(line) for line in pair) for pair in _time_lines(work / "times"))
    return (sum(after) - sum(before)) / len(cells)


def _time_lines(path: Path) -> list[list[str]]:
    """Return the two answers of bash's `times`: the line of the shell and that of its children."""
    lines = path.read_text().split("\n")
    return [lines[0:2], lines[2:4]]


def _seconds(line: str) -> float:
    """Return user and system seconds of a line such as `0m1.234s 0m0.050s`."""
    total = 0.0
    for word in line.split():
        minutes, _, seconds = word.rstrip("s").partition("m")
        total += 60 * int(minutes) + float(seconds)
    return total


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller genome and fewer cells")
    parser.add_argument("--folder", help="keep genome, index and reads here for a next time")
    args = parser.parse_args(argv)
    genes, bases, repeats, old_cells = (1_500, 3_000_000, 1, 1) if args.quick else (20_000, 100_000_000, 3, 3)
    cells = {1_000: 16, 20_000: 3} if args.quick else {1_000: 96, 100_000: 12}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(args.folder or f"{name}/inputs").absolute()
        make_inputs(folder, genes, bases, cells)
        print(f"{bases:,} bases, {genes:,} genes; CPU seconds a cell, medians of {repeats}")
        print(
            f"{'pairs':>9} {'cells':>6} {'align':>8} {'count':>8} {'ours':>8} {'2017':>8} {'ratio':>7} {'peak MB':>8}"
        )
        figures: dict[str, object] = {"bases": bases, "genes": genes}
        for size, number in cells.items():
            aligns, counts, olds, peaks = [], [], [], []
            for repeat in range(repeats if size < 10_000 else 1):
                work = Path(name) / f"{size}.{repeat}"
                work.mkdir()
                aligned, counted = run_ours(folder, size, work)
                aligns.append(aligned.cpu / number)
                counts.append(counted.cpu / number)
                peaks.append(counted.peak_mb)
                olds.append(
                    run_old(folder, size, [f"SRR{size + cell}" for cell in range(1, old_cells + 1)], work / "old")
                )
                shutil.rmtree(work)
            align, count, old = median(aligns), median(counts), median(olds)
            ratio = old / (align + count)
            print(
                f"{size:>9,} {number:>6} {align:>8.3f} {count:>8.3f} {align + count:>8.3f} {old:>8.2f} {ratio:>7.1f}"
                f" {max(peaks):>8.0f}"
            )
            figures[f"pairs_{size}"] = {
                "cells": number,
                "align_cpu": round(align, 4),
                "count_cpu": round(count, 4),
                "old_cpu": round(old, 3),
                "old_cells": old_cells,
                "ratio": round(ratio, 2),
                "count_peak_mb": round(max(peaks)),
            }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
