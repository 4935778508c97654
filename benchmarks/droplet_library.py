"""A droplet library from FASTQ to archives and h5ad, beside STARsolo alone and beside a search for its parameters.

A random genome of 30 Mb (--quick: 3 Mb) with an annotation, a STAR index, inclusion lists and a library of the kit
10x 3′ v3 of 3 million spots (--quick: 200,000) are made from a seed; --folder keeps them for a next time. Ours: the
commands read_roles, solo, cells, mex_archive and droplets_h5ad. Bare: STAR alone with the very options of ours, which
also calls the cells. Search: what scRecounter does to find the parameters of a library, a run of STAR on a sample of
its spots for each list, strand and index (here 3, 2 and 1). Figures are CPU seconds (all processes) and the largest
resident set of a program.
"""

import gzip
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.inputs.measure import HOME, Cost, in_child, python, run_measured
from benchmarks.inputs.plates import BenchAnnotation, make_annotation, write_genome, write_gtf
from scripts.core.command import command_parser
from scripts.core.disk.files import size_of_folder
from scripts.droplets.starsolo import read_command
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import cut_into_units, write_units

LIST = "3M-february-2018"
OTHER_LISTS = ("737K-august-2016", "737K-april-2014_rc")
UNIT = "GSE1.homo.SRX1"
READ_LENGTH, COPIES = 90, 2
_BACKGROUND = 0.2  # of the spots are of empty droplets


def _write_list(path: Path, barcodes: int, seed: int) -> list[str]:
    letters = np.frombuffer(b"ACGT", np.uint8)
    table = letters[np.random.default_rng(seed).integers(0, 4, (barcodes, 16))]
    made = sorted({row.tobytes().decode() for row in table})
    path.write_text("".join(f"{barcode}\n" for barcode in made))
    return made


def _write_library(
    folder: Path, annotation: BenchAnnotation, sequences: Sequence[bytes], spots: int, cells: int, barcodes: int
) -> None:
    """Write lists and reads: molecules of cells, COPIES reads each, and reads of empty droplets."""
    (folder / "lists").mkdir()
    known = _write_list(folder / f"lists/{LIST}.txt", barcodes, 1)
    for number, name in enumerate(OTHER_LISTS, 2):
        _write_list(folder / f"lists/{name}.txt", barcodes, number)
    dice = random.Random(3)
    weights = np.random.default_rng(3).lognormal(0, 2, len(annotation.genes)).tolist()
    texts = []
    for gene in annotation.genes:
        source = sequences[gene.contig]
        text = b"".join(source[start:end] for start, end in gene.transcripts[0]).decode()
        texts.append(text if gene.strand == "+" else text[::-1].translate(str.maketrans("ACGT", "TGCA")))
    of_cells = dice.sample(known, cells)
    reads = folder / "fastq"
    reads.mkdir()
    quality = {28: "I" * 28, READ_LENGTH: "F" * READ_LENGTH}
    with (
        gzip.open(reads / "SRR1_1.fastq.gz", "wt", 4) as first,
        gzip.open(reads / "SRR1_2.fastq.gz", "wt", 4) as second,
    ):
        written = 0
        while written < spots:
            gene = dice.choices(texts, weights)[0]
            if len(gene) <= READ_LENGTH + 10:
                continue
            barcode = dice.choice(known if dice.random() < _BACKGROUND else of_cells)
            umi = "".join(dice.choices("ACGT", k=12))
            for _ in range(COPIES):
                start = dice.randrange(len(gene) - READ_LENGTH)
                written += 1
                for handle, read in ((first, barcode + umi), (second, gene[start : start + READ_LENGTH])):
                    handle.write(f"@SRR1.{written} {written}\n{read}\n+\n{quality[len(read)]}\n")
    write_statuses(reads / "status.tsv", [RunStatus("SRR1", spots=str(written))])
    row = Run("GSE1", experiment="SRX1", run="SRR1", species="homo", assay="droplet", status="planned")
    write_runs(folder / "plan.tsv", [row])
    write_units(folder / "units", cut_into_units([row], 96), "experiment")


def _make_files(folder: Path, genes: int, bases: int, spots: int, cells: int, barcodes: int) -> None:
    annotation = make_annotation(2, genes, bases)
    sequences = write_genome(folder / "genome.in.fa", annotation, 2)
    write_gtf(folder / "annotation.in.gtf", annotation)
    _write_library(folder, annotation, sequences, spots, cells, barcodes)


def make_inputs(folder: Path, genes: int, bases: int, spots: int, cells: int, barcodes: int) -> None:
    """Make what is not yet there; the file ``ready`` is written last."""
    described = json.dumps([genes, bases, spots, cells, barcodes])
    if (folder / "ready").exists() and (folder / "ready").read_text() == described:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    in_child(_make_files, folder, genes, bases, spots, cells, barcodes)
    made = [f"--{name}={folder / file}" for name, file in (("genome", "genome.fa"), ("annotation", "annotation.gtf"))]
    sources = [f"--fasta={folder / 'genome.in.fa'}", f"--gtf={folder / 'annotation.in.gtf'}"]
    end = [f"--genes={folder / 'genes.tsv'}", f"--fingerprint={folder / 'reference.json'}"]
    run_measured(python("-m", "scripts", "reference", "--name=bench", *sources, *made, *end))
    run_measured(python("-m", "scripts", "star_index", *made, "--threads=2", f"--output={folder / 'star'}"))
    (folder / "ready").write_text(described)


def run_ours(folder: Path, work: Path) -> dict[str, Cost]:
    """Return command → its cost."""
    common = [f"--runs={folder / 'units' / UNIT}.tsv"]
    kits = [f"--chemistries={HOME / 'config/chemistries.yaml'}", f"--inclusion-lists={folder / 'lists'}"]
    roles, status = f"--roles={work / 'roles.json'}", f"--status={work / f'{UNIT}.tsv'}"
    fastq = f"--fastq={folder / 'fastq'}"
    counted, figures = f"--solo={work / 'solo'}", f"--figures={work / 'figures.json'}"
    solo = [f"--index={folder / 'star'}", f"--output={work / 'solo'}", f"--scratch={work}", "--threads=2", figures]
    called = [counted, figures, f"--output={work / 'cells'}", status]
    pack = [counted, f"--cells={work / 'cells'}", status, f"--records={work}", f"--output={work / 'mex/SRX1'}"]
    gather = [f"--units={folder / 'units'}", "--series=GSE1", "--species=homo", f"--records={work}"]
    gather += [f"--archives={work}/mex/{{experiment}}", f"--statuses={work}/{{unit}}.tsv"]
    gather += [f"--genes={folder / 'genes.tsv'}", f"--reference={folder / 'reference.json'}"]
    commands = {
        "read_roles": [*common, fastq, *kits, f"--output={work / 'roles.json'}"],
        "solo": [*common, fastq, *kits, roles, *solo],
        "cells": called,
        "mex_archive": ["pack", *common, *pack, "--threads=2"],
        "droplets_h5ad": [*gather, f"--output={work / 'cells.h5ad'}"],
    }
    return {name: run_measured(python("-m", "scripts", name, *words)) for name, words in commands.items()}


def _star(folder: Path, work: Path, words: Sequence[str], **replaced: str) -> Cost:
    """Run STAR with these words, some options replaced, in a folder of its own."""
    work.mkdir()
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            options[next(reversed(options))].append(word)
    replaced |= {"genomeDir": str(folder / "star"), "outFileNamePrefix": f"{work}/"}
    options |= {name: value.split() for name, value in replaced.items()}
    return run_measured(["STAR", *(word for name, value in options.items() for word in (f"--{name}", *value))])


def run_bare(folder: Path, work: Path, words: Sequence[str]) -> Cost:
    """Return the cost of STAR alone with our options, reading gzip through zcat."""
    reads = f"{folder / 'fastq/SRR1_2.fastq.gz'} {folder / 'fastq/SRR1_1.fastq.gz'}"
    known = str(folder / f"lists/{LIST}.txt")
    return _star(folder, work, words, readFilesIn=reads, readFilesCommand="zcat", soloCBwhitelist=known)


def run_search(folder: Path, work: Path, words: Sequence[str], sample: int) -> list[Cost]:
    """Return the costs of a run of STAR on a sample for each list and strand."""
    work.mkdir()
    for number in (1, 2):
        with gzip.open(folder / f"fastq/SRR1_{number}.fastq.gz", "rb") as source:
            (work / f"{number}.fastq").write_bytes(b"".join(islice(source, 4 * sample)))
    reads = f"{work / '2.fastq'} {work / '1.fastq'}"
    costs = []
    for name in (LIST, *OTHER_LISTS):
        for strand in ("Forward", "Reverse"):
            known = str(folder / f"lists/{name}.txt")
            target = work / f"{name}.{strand}"
            costs.append(_star(folder, target, words, readFilesIn=reads, soloCBwhitelist=known, soloStrand=strand))
    return costs


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller genome and fewer spots")
    parser.add_argument("--folder", help="keep genome, index and reads here for a next time")
    args = parser.parse_args(argv)
    genes, bases, spots, cells, barcodes, sample, repeats = (
        (1_500, 3_000_000, 200_000, 100, 100_000, 100_000, 1)
        if args.quick
        else (5_000, 30_000_000, 3_000_000, 1_000, 737_280, 1_000_000, 3)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(args.folder or f"{name}/inputs").absolute()
        make_inputs(folder, genes, bases, spots, cells, barcodes)
        ours: list[dict[str, Cost]] = []
        bare: list[Cost] = []
        search: list[float] = []
        kept: list[int] = []  # bytes in units/, and those of the archives of raw matrices
        archives: list[int] = []
        for repeat in range(repeats):
            work = Path(name) / str(repeat)
            work.mkdir()
            ours.append(run_ours(folder, work))
            _, words = read_command(work / "solo/Log.out")
            words[words.index("--soloCellFilter") + 1] = "EmptyDrops_CR"
            kept.append(size_of_folder(work / "solo"))
            archives.append(sum(path.stat().st_size for path in (work / "mex/SRX1").glob("*_raw.tar.gz")))
            bare.append(run_bare(folder, work / "bare", words[1:]))
            search.append(sum(cost.cpu for cost in run_search(folder, work / "search", words[1:], sample)))
            shutil.rmtree(work)
        steps = {step: median(one[step].cpu for one in ours) for step in ours[0]}
        whole, alone, searched = sum(steps.values()), median(one.cpu for one in bare), median(search)
        more_mb = median(one["solo"].peak_mb for one in ours) - median(one.peak_mb for one in bare)
        others_mb = max(one[step].peak_mb for one in ours for step in steps if step != "solo")
        print(f"{spots:,} spots, {cells:,} cells, {bases:,} bases; CPU seconds, medians of {repeats}")
        for step, seconds in [*steps.items(), ("whole", whole), ("STARsolo alone", alone), ("search", searched)]:
            print(f"{step:<16} {seconds:>8.2f}")
        figures = {
            "spots": spots,
            "cells": cells,
            "bases": bases,
            **{f"{step}_cpu": round(seconds, 3) for step, seconds in steps.items()},
            "whole_cpu": round(whole, 3),
            "bare_cpu": round(alone, 3),
            "search_cpu": round(searched, 3),
            "ratio_to_bare": round(whole / alone, 3),
            "ratio_of_finding": round(steps["read_roles"] / searched, 3),
            "ratio_to_search_and_bare": round(whole / (searched + alone), 3),
            "solo_peak_mb_over_bare": round(more_mb),
            "other_peak_mb": round(others_mb),
            "kept_mb": round(kept[0] / 1e6, 1),
            "raw_archives_mb": round(archives[0] / 1e6, 1),
        }
        print(f"kept in units/ {kept[0] / 1e6:.1f} MB; archives of raw matrices {archives[0] / 1e6:.1f} MB")
        print(
            f"whole / STARsolo alone {whole / alone:.2f}; finding the kit / search {steps['read_roles'] / searched:.2f}"
        )
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
