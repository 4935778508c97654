"""A shard of the toy world's plate cells, and the commands on it."""

import gzip
from pathlib import Path

from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plates import align, count
from scripts.plates.shard_counts import TALLIES, ShardCounts, read_shard_counts
from tests.toy.world import World

HOME = Path(__file__).resolve().parents[2]
UNIT = "GSE900001.mus.0000"
TWO_RUNS, EMPTY, ORPHANS = "SRX9000007", "SRX9000012", "SRX9000017"
CHOSEN = ["SRX9000001", "SRX9000002", TWO_RUNS, EMPTY, ORPHANS]


def lay_out(world: World, folder: Path, experiments: list[str]) -> Path:
    """Write the plan and the FASTQ files of some experiments as the stages before would."""
    spots = world.reads_made()
    rows = [
        Run(
            "GSE900001", experiment=name, run=run, species="mus", assay="plate", status="planned", spots=str(spots[run])
        )
        for name in experiments
        for run in world.experiments[name].runs
    ]
    write_runs(folder / f"{UNIT}.tsv", rows)
    fastq = folder / "fastq"
    fastq.mkdir()
    for row in rows:
        packed = sorted((world.folder / "fastq").glob(f"{row.run}[_.]*fastq.gz"))
        for path in packed:
            (fastq / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        if not packed:
            (fastq / f"{row.run}.fastq").touch()
    write_statuses(fastq / "status.tsv", [RunStatus(row.run, spots=row.spots) for row in rows])
    return folder


def align_arguments(folder: Path, mm10: Path, *more: str) -> list[str]:
    return [
        f"--runs={folder / UNIT}.tsv", f"--fastq={folder / 'fastq'}",
        f"--index={mm10 / 'star'}", f"--output={folder / 'aligned'}", *more,
    ]  # fmt: skip


def run_align(folder: Path, mm10: Path, *more: str) -> dict[str, RunStatus]:
    align.main(align_arguments(folder, mm10, *more))
    return read_statuses(folder / "aligned" / "status.tsv")


def run_count(folder: Path, mm10: Path, *more: str) -> tuple[ShardCounts, dict[str, RunStatus]]:
    count.main(
        [
            f"--runs={folder / UNIT}.tsv", f"--alignments={folder / 'aligned'}",
            f"--count-index={mm10 / 'count_index.npz'}", f"--exons={mm10 / 'exons.gtf'}",
            f"--genes={mm10 / 'genes.tsv'}", f"--reference={mm10 / 'reference.json'}",
            f"--counts={folder / 'counts.h5ad'}", f"--status={folder / 'status.tsv'}", *more,
        ]
    )  # fmt: skip
    return read_shard_counts(folder / "counts.h5ad"), read_statuses(folder / "status.tsv")


def table(shard: ShardCounts) -> dict[str, dict[str, int]]:
    counts = shard.counts.toarray()
    return {
        column: dict(zip(shard.genes, counts[row].tolist(), strict=True))
        | dict(zip(TALLIES, shard.tallies[row].tolist(), strict=True))
        for row, column in enumerate(shard.columns)
    }
