"""Count a droplet library with STARsolo: all its runs in one call, cells told apart in a step of its own.

STAR works in a folder beside the output (.{unit}.solo). Where the cells could not be told, or a floor was not reached,
the counts of the alignment stay there, and the next call for the same reads and options takes them up.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scripts.core.errors import InputError, Interrupted, RunFault
from scripts.core.files import atomic_path, hash_file, write_atomic
from scripts.core.subprocesses import ends_with_command, raise_if_full
from scripts.droplets.chemistries import Chemistry, read_chemistries
from scripts.droplets.fastq_sample import SKIP, copy_sample
from scripts.droplets.library_reads import Library, place_link, tell_apart
from scripts.droplets.solo_options import solo_options
from scripts.droplets.solo_out import VALID_BARCODES, read_summary, share_of
from scripts.droplets.strand import tell_strand
from scripts.formats.matrix_market import read_matrix
from scripts.plan.matrices import ALL_FEATURES, FEATURES, GENE_FEATURES, MATRIX_NAMES, matrix_names
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_unit_options, runs_of_options
from scripts.star import program
from scripts.star.log import INPUT_READS, read_star_log
from scripts.star.presets import DROPLET_PRESETS, as_arguments

PROBE_READS = 50_000
"""Reads that are aligned to tell the strand where the barcodes leave it open."""
STAMP = "aligned.json"
"""Tells, in a folder of partial results, from what the counts there were made."""


def run_star(arguments: Sequence[str], folder: Path) -> None:
    """Run STAR in a folder. Raises RunFault (ALIGN_FAILED) in STAR's words, and Interrupted where it was killed."""
    code, complaint = program.run_star(arguments, folder)
    program.raise_if_interrupted(code, complaint, folder)
    if code:
        raise RunFault("ALIGN_FAILED", complaint)


def probe_strand(
    candidates: Sequence[Chemistry], cdna: str, index: str, folder: Path, threads: int
) -> tuple[Chemistry, str]:
    """Align some of the cDNA reads to see on which strand of the genes they are; return the kit and the figures.

    ``cdna`` are files in the folder, joined by commas; the first is looked at. Without figures where all kits are of
    one strand.
    """
    if len({kit.strand for kit in candidates}) == 1:
        return candidates[0], ""
    sample = "reads/probe.fastq"
    copy_sample(folder / cdna.split(",")[0], folder / sample, PROBE_READS, SKIP)
    run_star(
        [
            *("--runThreadN", str(threads), "--genomeDir", index, "--genomeLoad", "NoSharedMemory"),
            *("--readFilesIn", sample, "--outFilterMultimapNmax", "1"),
            *("--quantMode", "GeneCounts", "--outSAMtype", "None", "--outFileNamePrefix", "probe/"),
        ],
        folder,
    )
    counts = []
    for line in (folder / "probe" / "ReadsPerGene.out.tab").read_text(encoding="utf-8").splitlines():
        name, _, same, other = line.split("\t")
        if not name.startswith("N_"):
            counts.append((int(same), int(other)))
    return tell_strand(candidates, counts)


def star_arguments(
    library: Library,
    kit: Chemistry,
    reads: tuple[str, str],
    index: str,
    lists: Mapping[str, str],
    *,
    features: Sequence[str],
    multireads: Sequence[str],
    preset: str,
    overrides: Mapping[str, str],
    threads: int,
) -> list[str]:
    """Return STAR's arguments for a library; every path in them is relative to the folder in which it runs."""
    options = {"runThreadN": str(threads), "genomeDir": index, "genomeLoad": "NoSharedMemory"}
    options |= solo_options(
        kit,
        reads,
        lists,
        offset=library.offset,
        umi_length=library.umi_length(),
        barcode_read_length=library.barcode_read_length(),
        features=features,
        multireads=multireads,
        preset=preset,
    )
    options |= overrides
    return as_arguments(options)


def own_features(folder: Path) -> None:
    """Put a copy in the place of the link by which STAR gives SJ its features: it points outside, by absolute path."""
    for path in folder.glob("Solo.out/*/*/features.tsv"):
        if path.is_symlink():
            content = path.resolve(strict=True)
            path.unlink()
            shutil.copyfile(content, path)


def filter_cells(folder: Path, features: Sequence[str], cell_filter: str) -> None:
    """Tell cells from empty droplets in each gene feature's raw matrix, without aligning again.

    Raises RunFault (COUNT_FAILED) where STAR cannot tell or leaves no matrix.
    """
    for old in folder.glob("Solo.out/*/filtered"):
        shutil.rmtree(old)
    if cell_filter.split()[0] == "None":
        return
    for feature in features:
        if feature not in GENE_FEATURES:
            continue
        target = folder / "Solo.out" / feature / "filtered"
        target.mkdir()
        try:
            run_star(
                [
                    *("--runMode", "soloCellFiltering", f"Solo.out/{feature}/raw", f"Solo.out/{feature}/filtered/"),
                    *("--soloCellFilter", *cell_filter.split(), "--outFileNamePrefix", "cells/"),
                ],
                folder,
            )
        except RunFault as fault:
            raise RunFault("COUNT_FAILED", f"the cells of {feature} could not be told: {fault.detail}") from fault
        missing = [name for name in ("barcodes.tsv", "features.tsv", "matrix.mtx") if not (target / name).is_file()]
        if missing:
            raise_if_full(folder)
            raise RunFault("COUNT_FAILED", f"the cell filter of STAR left no {', '.join(missing)} of {feature}.")
        (folder / "cells" / "Log.out").replace(target.parent / "CellFilter.out")


def check_outputs(folder: Path, features: Sequence[str], multireads: Sequence[str], spots: int) -> None:
    """Check that STAR read every spot and left every matrix. Raises RunFault (READS_MISSING, COUNT_FAILED)."""
    reads = read_star_log(folder / "Log.final.out").get(INPUT_READS, "")
    if reads != str(spots):
        raise_if_full(folder)
        raise RunFault("READS_MISSING", f"STAR read {reads} spots, but the runs of the library have {spots}.")
    for feature in features:
        raw = folder / "Solo.out" / feature / "raw"
        names = ["barcodes.tsv", "features.tsv", *matrix_names(feature, multireads)]
        missing = [name for name in names if not (raw / name).is_file()]
        if missing:
            raise_if_full(folder)
            raise RunFault("COUNT_FAILED", f"STAR left no {', '.join(missing)} of {feature}; was the disk full?")


def check_shares(folder: Path, features: Sequence[str], min_barcodes: float, min_genes: float) -> None:
    """Check the shares of reads with a valid barcode and of reads in genes against their floors.

    Raises RunFault (LOW_VALID_BARCODES, LOW_MAPPING) with the figures.
    """
    summaries = {
        feature: read_summary(folder / "Solo.out" / feature / "Summary.csv")
        for feature in features
        if feature in GENE_FEATURES
    }
    if not summaries:
        return
    barcodes = share_of(next(iter(summaries.values())), VALID_BARCODES)
    if barcodes < min_barcodes:
        raise RunFault(
            "LOW_VALID_BARCODES",
            f"{barcodes:.1%} of the reads have a barcode of the inclusion list; the floor is {min_barcodes:.1%}.",
        )
    in_genes = {
        feature: share_of(summary, f"Reads Mapped to {feature}: Unique {feature}")
        for feature, summary in summaries.items()
    }
    best = max(in_genes, key=lambda feature: in_genes[feature])
    if in_genes[best] < min_genes:
        raise RunFault(
            "LOW_MAPPING",
            f"{in_genes[best]:.1%} of the reads are in a gene ({best}); the floor is {min_genes:.1%}.",
        )


def _spots_of(row: Run, status: RunStatus, library: Library) -> int:
    for told in (status.spots, row.spots):
        if told:
            return int(told)
    with library.file(row.run, "cdna").open("rb") as lines:
        return sum(1 for _ in lines) // 4


def gather_faults(
    rows: Sequence[Run], statuses: Mapping[str, RunStatus], verdicts: Mapping[str, Mapping[str, Any]]
) -> dict[str, RunStatus]:
    """Return run → status after the verdicts; a library with a failed run is incomplete, and its other runs say so."""
    after: dict[str, RunStatus] = {}
    for row in rows:
        status = statuses.get(row.run) or RunStatus(row.run).failed(
            RunFault("READS_MISSING", "the stage before left no status of the run.")
        )
        verdict = verdicts.get(row.run, {})
        if status.ok and (fault := verdict.get("fault")):
            status = status.failed(RunFault(fault["reason"], fault["detail"]))
        elif status.ok and not verdict:
            status = status.failed(RunFault("LAYOUT_AMBIGUOUS", "there is no verdict on the reads of the run."))
        if verdict.get("roles"):
            status = status._replace(read_roles=verdict["roles"], chemistry=verdict["chemistry"])
        after[row.run] = status
    failed = sorted(run for run, status in after.items() if not status.ok)
    if failed:
        first = after[failed[0]]
        fault = RunFault(
            "INCOMPLETE_EXPERIMENT", f"run {first.run} of the same library failed ({first.reason}): {first.detail}"
        )
        after = {run: status.failed(fault) if status.ok else status for run, status in after.items()}
    return after


def count_library(
    library: Library,
    statuses: Mapping[str, RunStatus],
    chemistries: Mapping[str, Chemistry],
    folder: Path,
    index: Path,
    lists: Path,
    args: argparse.Namespace,
) -> tuple[Chemistry, str]:
    """Align and count a library into a folder; return its kit and what told it from others of the same barcodes.

    Raises RunFault where it cannot be counted.
    """
    verdict = next(iter(library.verdicts.values()))
    candidates = [chemistries[name] for name in verdict["candidates"]]
    names, digests = {}, {}
    for name in candidates[0].lists:
        path = lists / f"{name}.txt"
        if not path.is_file():
            raise RunFault(
                "CHEMISTRY_UNKNOWN",
                f"{candidates[0].title} needs the inclusion list {name}; give it under droplets.inclusion_lists.",
            )
        names[name] = place_link(folder, f"{name}.txt", path)
        digests[name] = hash_file(path)
    genome = place_link(folder, "index", index)
    reads = library.place_reads(folder, candidates[0])
    spots = sum(_spots_of(row, statuses[row.run], library) for row in library.rows)
    made_from = {
        "spots": spots,
        "reads": {path.name: tell_apart(path) for path in library.files()},
        "lists": digests,
        "index": hash_file(index / "genomeParameters.txt"),
    }

    def arguments_for(kit: Chemistry, threads: int) -> list[str]:
        return star_arguments(
            library,
            kit,
            reads,
            genome,
            names,
            features=args.features,
            multireads=args.multireads,
            preset=args.preset,
            overrides=dict(option.split("=", 1) for option in args.set),
            threads=threads,
        )

    def stamp_of(kit: Chemistry) -> dict[str, Any]:
        return made_from | {"kit": kit.name, "arguments": arguments_for(kit, threads=0)}

    stamp = folder / STAMP
    before = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
    told = before.pop("told", "")
    kit = next((kit for kit in candidates if stamp_of(kit) == before), None)
    if kit:
        print("the library was aligned by an earlier try.", file=sys.stderr)
    else:
        stamp.unlink(missing_ok=True)
        for name in ("Solo.out", "_STARtmp"):
            shutil.rmtree(folder / name, ignore_errors=True)
        kit, told = probe_strand(candidates, reads[0], genome, folder, args.threads)
        run_star(arguments_for(kit, args.threads), folder)
        own_features(folder)
        check_outputs(folder, args.features, args.multireads, spots)
        write_atomic(stamp, json.dumps(stamp_of(kit) | {"told": told}))
    check_shares(folder, args.features, args.min_valid_barcodes, args.min_gene_share)
    filter_cells(folder, args.features, args.cell_filter)
    return kit, told


def describe_cells(folder: Path) -> str:
    """Return how many cells were told by their exonic reads, and their medians; empty where cells were not told."""
    import numpy as np

    path = folder / "Solo.out" / "Gene" / "filtered" / "matrix.mtx"
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        matrix = read_matrix(iter(partial(handle.read, 1 << 22), b""), path.stat().st_size)
    if not matrix.shape[1]:
        return "0 cells"
    umis, genes = np.median(np.asarray(matrix.sum(axis=0))), np.median(np.diff(matrix.indptr))
    return f"{matrix.shape[1]} cells, in the median {umis:g} UMIs of {genes:g} genes"


def clear_work(folder: Path) -> None:
    """Remove what STAR needed but nobody reads later."""
    for name in ("reads", "probe", "cells", "_STARtmp", "index", "SJ.out.tab", "Log.progress.out", "messages"):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in folder.glob("*.txt"):
        if path.is_symlink():
            path.unlink()


def hand_over(partial: Path, output: Path) -> None:
    """Make a library that is counted the output; where the folders are on two disks, by way of a copy."""
    clear_work(partial)
    shutil.rmtree(output, ignore_errors=True)
    if partial.parent == output.parent:
        partial.replace(output)
    else:
        arriving = output.with_name(f".{output.name}.arriving")
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.move(partial, arriving)
        arriving.replace(output)
    (output / STAMP).unlink()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_unit_options(parser)
    parser.add_argument("--fastq", required=True, type=Path, help="folder with {run}_{read}.fastq and status.tsv")
    parser.add_argument("--roles", required=True, type=Path, help="the verdicts of read_roles (JSON)")
    parser.add_argument("--index", required=True, type=Path, help="STAR's index of the reference, with annotation")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--inclusion-lists", required=True, type=Path, help="folder with {name}.txt")
    parser.add_argument("--features", nargs="+", default=list(FEATURES), choices=ALL_FEATURES)
    parser.add_argument("--multireads", nargs="+", default=["Unique", "EM"], choices=list(MATRIX_NAMES))
    parser.add_argument("--cell-filter", default="EmptyDrops_CR", help="STAR's cell filter with its numbers, or None")
    parser.add_argument("--preset", default="encode", choices=sorted(DROPLET_PRESETS), help="options of STAR")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of STAR that wins"
    )
    parser.add_argument(
        "--min-valid-barcodes", type=float, default=0.5, help="least share of reads with a valid barcode"
    )
    parser.add_argument("--min-gene-share", type=float, default=0.05, help="least share of reads in a gene")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="folder for partial results, default beside the output")
    parser.add_argument("--output", required=True, type=Path, help="folder of Solo.out, Log.final.out and Log.out")
    parser.add_argument(
        "--status", required=True, type=Path, help="status table of the library, as the ledger takes it"
    )
    args = parser.parse_args(argv)
    if bad := [option for option in args.set if not option.partition("=")[2]]:
        raise InputError(f"--set takes OPTION=VALUE, e.g. outFilterScoreMin=20, but was given {', '.join(bad)}.")
    chemistries, _ = read_chemistries(args.chemistries)
    rows = runs_of_options(args)
    verdicts = json.loads(args.roles.read_text(encoding="utf-8"))["runs"]
    statuses = gather_faults(rows, read_statuses(args.fastq / "status.tsv"), verdicts)
    partial = (args.scratch or args.output.parent) / f".{args.unit}.solo"
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if all(status.ok for status in statuses.values()):
        library = Library(rows, verdicts, args.fastq)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            with ends_with_command():  # SIGTERM ends STAR as well
                kit, told = count_library(
                    library, statuses, chemistries, partial, args.index, args.inclusion_lists, args
                )
            for run, status in statuses.items():
                proof = f"{verdicts[run]['words']}; strand {kit.strand}."
                detail = " ".join(filter(None, [status.detail, proof, told]))
                statuses[run] = status._replace(chemistry=kit.name, detail=detail)
            if cells := describe_cells(partial):
                print(f"{args.unit}: {cells}", file=sys.stderr)
            hand_over(partial, args.output)
        except (RunFault, Interrupted) as fault:
            clear_work(partial)
            if not (partial / STAMP).is_file():
                shutil.rmtree(partial)
            if isinstance(fault, Interrupted):
                raise
            statuses = {run: status.failed(fault) for run, status in statuses.items()}
    if not all(status.ok for status in statuses.values()):
        shutil.rmtree(args.output, ignore_errors=True)
        args.output.mkdir()
    for status in statuses.values():
        print(f"{status.run}: {status.state} {status.reason} {status.detail}".rstrip(), file=sys.stderr)
    with atomic_path(args.status) as partial:
        write_statuses(partial, statuses.values())
        shutil.copyfile(partial, args.output / "status.tsv")
