"""Plate cells from references and reads to counts: they are the counts that were made."""

import importlib.metadata
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.core.errors import RunFault
from scripts.plan.run_table import read_runs, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import write_units
from scripts.plates import counting
from scripts.plates.cells import log_file
from scripts.reads.partial_runs import settle_parts
from tests.plates.shards import CHOSEN, EMPTY, TWO_RUNS, UNIT, lay_out, run_align, run_count, table
from tests.toy.world import World

pytestmark = pytest.mark.tools


@pytest.mark.parametrize("counter", counting.COUNTERS)
def test_counts_are_the_counts_made(world: World, mm10: Path, shard: Path, counter: str) -> None:
    counted, statuses = run_count(shard, mm10, f"--counter={counter}")
    truth = world.plate_truth()
    assert table(counted) == {column: truth[column] for column in CHOSEN}
    assert counted.runs == [";".join(world.experiments[column].runs) for column in CHOSEN]
    assert all(status.ok and not status.detail for status in statuses.values())
    assert counted.reference.startswith("mm10 sha256:")
    star = subprocess.run(["STAR", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    htseq = {"HTSeq": importlib.metadata.version("HTSeq")} if counter != "native" else {}
    who = "htseq-count" if counter == "htseq-count" else "native"
    assert counted.tools == {"STAR": star, "counter": who} | htseq


def test_nothing_is_lost_between_archive_and_counts(world: World, mm10: Path, shard: Path) -> None:
    counted, _ = run_count(shard, mm10)
    for column, log in zip(counted.columns, counted.logs, strict=True):
        spots = sum(world.reads_made()[run] for run in world.experiments[column].runs)
        dropped = sum(
            int(value)
            for name, value in log.items()
            if name.startswith("Number of reads unmapped") or name == "Number of reads mapped to too many loci"
        )
        assert int(log["Number of input reads"]) == spots
        assert dropped == world.dropped()[column]
        assert sum(table(counted)[column].values()) + dropped == spots


def test_an_empty_cell_is_a_column_of_zeros_with_its_log(mm10: Path, shard: Path) -> None:
    counted, _ = run_count(shard, mm10)
    assert set(table(counted)[EMPTY].values()) == {0}
    assert counted.logs[counted.columns.index(EMPTY)]["Number of input reads"] == "0"


def test_threads_shard_size_and_memory_change_no_count(world: World, mm10: Path, shard: Path, tmp_path: Path) -> None:
    before, _ = run_count(shard, mm10)
    lay_out(world, tmp_path, CHOSEN[:3])
    run_align(tmp_path, mm10, "--threads=1", "--genome-memory=none")
    alone, _ = run_count(tmp_path, mm10, "--counter=native")
    assert table(alone) == {column: table(before)[column] for column in CHOSEN[:3]}
    run_align(tmp_path, mm10, "--threads=3", "--genome-memory=shared")
    shared, _ = run_count(tmp_path, mm10, "--counter=native", "--threads=3")
    assert table(shared) == table(alone)


def test_runs_as_columns(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, [TWO_RUNS])
    write_units(tmp_path / "units", {UNIT: read_runs(tmp_path / f"{UNIT}.tsv")}, "run")
    (tmp_path / f"units/{UNIT}.tsv").replace(tmp_path / f"{UNIT}.tsv")
    run_align(tmp_path, mm10, "--genome-memory=none")
    counted, _ = run_count(tmp_path, mm10, "--counter=native")
    assert counted.columns == ["SRR9000007", "SRR9000045"]
    totals = {name: sum(cell[name] for cell in table(counted).values()) for name in table(counted)["SRR9000007"]}
    assert totals == world.plate_truth()[TWO_RUNS]


def test_mates_in_two_runs_beside_index_reads_are_the_cell(world: World, mm10: Path, tmp_path: Path) -> None:
    """A paired run loaded as two runs of one read each, and its index reads as a third one."""
    lay_out(world, tmp_path, ["SRX9000001"])
    (row,) = read_runs(tmp_path / f"{UNIT}.tsv")
    rows = [
        row._replace(run=run, read_roles=roles) for run, roles in (("SRR1", "cdna"), ("SRR2", "cdna2"), ("SRR3", ""))
    ]
    write_runs(tmp_path / f"{UNIT}.tsv", rows)
    fastq = tmp_path / "fastq"
    for number in "12":
        made = fastq / f"SRR9000001_{number}.fastq"
        (fastq / f"SRR{number}.fastq").write_text(made.read_text().replace("SRR9000001", f"SRR{number}"))
        made.unlink()
    (fastq / "SRR3.fastq").write_text("@SRR3.1 1\nACGTACGT\n+\nFFFFFFFF\n" * int(row.spots))
    statuses = settle_parts(
        {row.experiment: rows}, {one.run: RunStatus(one.run, spots=row.spots) for one in rows}, fastq
    )
    write_statuses(fastq / "status.tsv", statuses.values())
    run_align(tmp_path, mm10, "--genome-memory=none")
    counted, after = run_count(tmp_path, mm10)
    assert table(counted) == {"SRX9000001": world.plate_truth()["SRX9000001"]}
    assert counted.runs == ["SRR1;SRR2"]
    assert [status.state for status in after.values()] == ["ok", "joined", "left_out"]


def test_a_shard_of_which_every_run_failed_is_an_empty_table(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", TWO_RUNS])
    gone = RunFault("DOWNLOAD_FAILED", "gone")
    statuses = [status.failed(gone) for status in read_statuses(tmp_path / "fastq" / "status.tsv").values()]
    write_statuses(tmp_path / "fastq" / "status.tsv", statuses)
    assert list(run_align(tmp_path, mm10).values()) == statuses
    counted, after = run_count(tmp_path, mm10)
    assert counted.columns == []
    assert counted.counts.shape == (0, 73)
    assert list(after.values()) == statuses


def test_a_differing_cell_lets_htseq_count_the_shard(
    world: World, mm10: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = counting.count_native

    def wrong_by_one(*arguments: object, **named: object) -> counting.CellCounts:
        counts = honest(*arguments, **named)
        counts.genes[0] += 1
        counts.genes[1] -= 1
        return counts

    monkeypatch.setattr(counting, "count_native", wrong_by_one)
    counted, statuses = run_count(shard, mm10, "--counter=auto")
    truth = world.plate_truth()
    assert table(counted) == {column: truth[column] for column in CHOSEN}
    checked = counting.choose_checked([column for column in CHOSEN if column != EMPTY])
    for status in statuses.values():
        assert status.ok
        assert status.detail.startswith(f"counted by htseq-count: in {checked}, which both counted, 2 of 78 numbers")


def test_fragments_that_get_lost_are_noticed(world: World, mm10: Path, shard: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002"])
    shutil.copytree(shard / "aligned", tmp_path / "aligned")
    log = log_file(tmp_path / "aligned", "SRX9000001")
    log.write_text(log.read_text().replace("Uniquely mapped reads number |\t", "Uniquely mapped reads number |\t1"))
    write_statuses(tmp_path / "aligned" / "status.tsv", [RunStatus("SRR9000001"), RunStatus("SRR9000002")])
    bam = tmp_path / "aligned" / "SRX9000002.bam"
    bam.write_bytes(bam.read_bytes()[:-100])
    for counter in ("native", "htseq-count"):
        counted, statuses = run_count(tmp_path, mm10, f"--counter={counter}")
        assert counted.columns == []
        assert statuses["SRR9000001"].reason == "READS_MISSING"
        assert "483 fragments were counted, but STAR mapped 1" in statuses["SRR9000001"].detail
        assert statuses["SRR9000002"].reason in ("COUNT_FAILED", "READS_MISSING")
