"""A shard of plate cells from FASTQ to counts: align and count, beside the steps of 2017 for each cell.

A random genome of 100 Mb (--quick: 3 Mb) with an annotation, a STAR index and cells of 1,000 and of 100,000 pairs
(--quick: 20,000) are made from a seed; --folder keeps them for a next time. Ours: the commands align and count (counter
auto, so that one cell is counted by htseq-count as well) over 96 cells of the small kind and 12 of the large (--quick:
16 and 3); a real shard of 96 divides the genome load and the checked cell among more cells than these 12. The steps of
2017, for each of 3 (1) cells: STAR with LoadAndKeep reading gzip through zcat, two samtools sorts, htseq-count with the
whole annotation; the genome is loaded once and not counted. STARsolo: one call by hand (--soloType SmartSeq) for all
cells, from the same FASTQ files, and ours with counter starsolo, which also reports where the reads of each cell went.
Figures are CPU seconds a cell (all processes).
"""

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
from scripts.core.command import command_parser
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.plates.smartseq import solo_options
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


def run_ours(folder: Path, size: int, work: Path, *, by_starsolo: bool = False) -> tuple[Cost, Cost]:
    """Return the costs of align and count for all cells of a size."""
    work.mkdir(parents=True)
    common = [f"--runs={folder / f'{size}.tsv'}", "--threads=2"]
    align = [f"--fastq={folder / f'fastq.{size}'}", f"--index={folder / 'star'}", f"--output={work / 'aligned'}"]
    align += ["--solo-strand=none"] if by_starsolo else []
    aligned = run_measured(python("-m", "scripts", "align", *common, *align))
    count = [f"--alignments={work / 'aligned'}", f"--count-index={folder / 'index.npz'}"]
    count += [f"--exons={folder / 'exons.gtf'}", f"--genes={folder / 'genes.tsv'}"]
    count += [f"--reference={folder / 'reference.json'}", f"--counts={work / 'counts.h5ad'}"]
    count += ["--counter=starsolo"] if by_starsolo else []
    counted = run_measured(python("-m", "scripts", "count", *common, *count, f"--status={work / 'status.tsv'}"))
    return aligned, counted


def run_starsolo(folder: Path, size: int, cells: int, work: Path) -> float:
    """Return the CPU seconds a cell of one call of STARsolo for all cells, with their matrix as its only output."""
    work.mkdir(parents=True)
    reads = folder / f"fastq.{size}"
    runs = [f"SRR{size + cell}" for cell in range(1, cells + 1)]
    lines = [f"{reads / run}_1.fastq\t{reads / run}_2.fastq\t{run}\n" for run in runs]
    (work / "manifest.tsv").write_text("".join(lines))
    options = {**solo_options("census2017", "none"), "outSAMtype": "None"}
    kept = {name: value for name, value in options.items() if name not in ("outSAMmode", "outSAMattributes")}
    command = ["STAR", "--genomeDir", str(folder / "star"), "--readFilesManifest", str(work / "manifest.tsv")]
    command += ["--runThreadN", "2", "--outFileNamePrefix", f"{work}/", *as_arguments(kept)]
    return run_measured(command).cpu / cells


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
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller genome and fewer cells")
    parser.add_argument("--folder", help="keep genome, index and reads here for a next time")
    args = parser.parse_args(argv)
    genes, bases, repeats, old_cells = (1_500, 3_000_000, 1, 1) if args.quick else (20_000, 100_000_000, 3, 3)
    cells = {1_000: 16, 20_000: 3} if args.quick else {1_000: 96, 100_000: 12}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(args.folder or f"{name}/inputs").absolute()
        make_inputs(folder, genes, bases, cells)
        print(f"{bases:,} bases, {genes:,} genes; CPU seconds a cell, medians of {repeats}")
        columns = ("align", "count", "ours", "2017", "ratio", "solo", "ours", "ratio", "peak MB")
        print(f"{'pairs':>9} {'cells':>6} " + " ".join(f"{name:>8}" for name in columns))
        print(f"{'':>16} {'by htseq-count':>26} {'':>17} {'by STARsolo':>26}")
        figures: dict[str, object] = {"bases": bases, "genes": genes}
        for size, number in cells.items():
            taken: dict[str, list[float]] = {}
            for repeat in range(repeats if size < 10_000 else 1):
                work = Path(name) / f"{size}.{repeat}"
                for key, value in measure(folder, size, number, old_cells, work).items():
                    taken.setdefault(key, []).append(value)
                shutil.rmtree(work)
            found = {key: median(values) for key, values in taken.items()}
            ours = found["align_cpu"] + found["count_cpu"]
            shown = [found["align_cpu"], found["count_cpu"], ours, found["old_cpu"], found["old_cpu"] / ours]
            shown += [found["solo_cpu"], found["ours_solo_cpu"], found["ours_solo_cpu"] / found["solo_cpu"]]
            print(f"{size:>9,} {number:>6} " + " ".join(f"{value:>8.3f}" for value in shown), end="")
            print(f" {found['count_peak_mb']:>8.0f}")
            rounded = {key: round(value, 4) for key, value in found.items()}
            ratios = {"ratio": round(found["old_cpu"] / ours, 2), "solo_ratio": round(ours / found["ours_solo_cpu"], 2)}
            figures[f"pairs_{size}"] = {"cells": number, "old_cells": old_cells} | rounded | ratios
        print(json.dumps(figures))


def measure(folder: Path, size: int, cells: int, old_cells: int, work: Path) -> dict[str, float]:
    """Return the CPU seconds a cell of each way for cells of a size, and the peak memory of count in MB."""
    aligned, counted = run_ours(folder, size, work / "ours")
    solo_aligned, solo_counted = run_ours(folder, size, work / "ours_solo", by_starsolo=True)
    return {
        "align_cpu": aligned.cpu / cells,
        "count_cpu": counted.cpu / cells,
        "ours_solo_cpu": (solo_aligned.cpu + solo_counted.cpu) / cells,
        "solo_cpu": run_starsolo(folder, size, cells, work / "solo"),
        "old_cpu": run_old(folder, size, [f"SRR{size + cell}" for cell in range(1, old_cells + 1)], work / "old"),
        "count_peak_mb": counted.peak_mb,
    }


if __name__ == "__main__":
    main()
