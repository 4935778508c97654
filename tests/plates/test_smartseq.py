"""A shard counted by STARsolo: its own numbers, each cell by itself, and nothing lost."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.plan.status import RunStatus
from scripts.plates.shard_counts import TALLIES, ShardCounts
from scripts.plates.smartseq_reads import NUMBERS, ReadNumbers
from tests.plates.shards import CHOSEN, EMPTY, ORPHANS, TWO_RUNS, lay_out, run_align, run_count, table
from tests.toy.world import World

pytestmark = pytest.mark.tools
BY_HAND = """
--outFilterType Normal --outFilterMultimapNmax 20 --alignSJoverhangMin 8 --alignSJDBoverhangMin 1
--outFilterMismatchNmax 999 --outFilterMismatchNoverLmax 0.04 --alignIntronMin 20 --alignIntronMax 1000000
--alignMatesGapMax 1000000 --outSAMstrandField intronMotif --outSAMtype None
--soloType SmartSeq --soloUMIdedup NoDedup --soloStrand Unstranded --soloFeatures Gene
"""


def count(folder: Path, mm10: Path, *more: str) -> tuple[ShardCounts, dict[str, RunStatus]]:
    run_align(folder, mm10, "--solo-strand=none", "--genome-memory=none", *more)
    return run_count(folder, mm10, "--counter=starsolo")


@pytest.fixture(scope="module")
def solo(
    world: World, mm10: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ShardCounts, dict[str, RunStatus]]:
    folder = lay_out(world, tmp_path_factory.mktemp("solo"), CHOSEN)
    return count(folder, mm10, "--threads=2")


def count_by_hand(folder: Path, index: Path, manifest: list[tuple[str, str, str]]) -> dict[str, dict[str, int]]:
    """Return name → gene → count of STARsolo itself, for reads in a folder."""
    folder.mkdir()
    (folder / "manifest").write_text("".join("\t".join(line) + "\n" for line in manifest))
    command = ["STAR", "--genomeDir", str(index), "--readFilesManifest", "manifest", *BY_HAND.split()]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    raw = folder / "Solo.out" / "Gene" / "raw"
    genes = [line.split("\t")[0] for line in (raw / "features.tsv").read_text().splitlines()]
    counts: dict[str, dict[str, int]] = {name: dict.fromkeys(genes, 0) for *_, name in manifest}
    for line in (raw / "matrix.mtx").read_text().splitlines()[3:]:
        gene, cell, number = map(int, line.split())
        counts[manifest[cell - 1][2]][genes[gene - 1]] += number
    return counts


def test_counts_are_those_of_starsolo_called_by_hand(
    world: World, mm10: Path, solo: tuple[ShardCounts, dict[str, RunStatus]], tmp_path: Path
) -> None:
    lay_out(world, tmp_path, CHOSEN)
    paired, single = [], []
    for column in CHOSEN:
        for run in world.experiments[column].runs:
            first, second, alone = (tmp_path / "fastq" / f"{run}{end}.fastq" for end in ("_1", "_2", ""))
            if first.exists():
                paired.append((str(first), str(second), f"{column}.{run}"))
            if alone.exists():
                single.append((str(alone), "-", f"{column}.{run}"))
    expected: dict[str, dict[str, int]] = {}
    for name, manifest in (("paired", paired), ("single", single)):
        for line, counts in count_by_hand(tmp_path / name, mm10 / "star", manifest).items():
            mine = expected.setdefault(line.split(".")[0], dict.fromkeys(counts, 0))
            for gene, number in counts.items():
                mine[gene] += number
    counted = table(solo[0])
    genes = {
        column: {name: n for name, n in of_cell.items() if name not in TALLIES} for column, of_cell in counted.items()
    }
    assert genes == expected
    assert sum(genes[TWO_RUNS].values()) > 100 and sum(genes[ORPHANS].values()) > 100


def test_every_read_is_in_a_gene_a_tally_or_the_log(
    world: World, solo: tuple[ShardCounts, dict[str, RunStatus]]
) -> None:
    shard, statuses = solo
    truth = world.plate_truth()
    for column, log in zip(shard.columns, shard.logs, strict=True):
        mine, made = table(shard)[column], truth[column]
        spots = sum(world.reads_made()[run] for run in world.experiments[column].runs)
        assert int(log["Number of input reads"]) == spots
        assert sum(mine.values()) == sum(made.values()) == spots - world.dropped()[column]
        assert mine["__not_aligned"] == mine["__too_low_aQual"] == 0
        # a read must be in a transcript with all its bases: fewer are in a gene than htseq-count finds there
        assert all(mine[gene] <= made[gene] for gene in shard.genes)
        assert mine["__no_feature"] >= made["__no_feature"]
        for run in world.experiments[column].runs:
            assert statuses[run].ok and statuses[run].reads == str(spots)
    assert shard.tools["counter"] == "STARsolo" and shard.tools["STAR"].startswith("2.")
    assert shard.runs == [";".join(world.experiments[column].runs) for column in CHOSEN]
    assert set(table(shard)[EMPTY].values()) == {0}


def test_a_cell_does_not_depend_on_those_beside_it(
    world: World, mm10: Path, solo: tuple[ShardCounts, dict[str, RunStatus]], tmp_path: Path
) -> None:
    for column in (CHOSEN[0], ORPHANS):
        (tmp_path / column).mkdir()
        alone, _ = count(lay_out(world, tmp_path / column, [column]), mm10)
        assert table(alone) == {column: table(solo[0])[column]}
        assert alone.logs == [solo[0].logs[CHOSEN.index(column)]]


@pytest.mark.parametrize(
    ("lines", "reason", "words"),
    [(398, "ALIGN_FAILED", "STAR failed: "), (400, "READS_MISSING", "but the archive has 497 spots")],
)
def test_a_broken_cell_fails_alone(
    world: World,
    mm10: Path,
    solo: tuple[ShardCounts, dict[str, RunStatus]],
    tmp_path: Path,
    lines: int,
    reason: str,
    words: str,
) -> None:
    lay_out(world, tmp_path, CHOSEN)
    path = tmp_path / "fastq" / "SRR9000001_1.fastq"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    counted, statuses = count(tmp_path, mm10)
    assert (statuses["SRR9000001"].state, statuses["SRR9000001"].reason) == ("failed", reason)
    assert words in statuses["SRR9000001"].detail
    expected = {column: of_cell for column, of_cell in table(solo[0]).items() if column != CHOSEN[0]}
    assert table(counted) == expected


def test_files_of_other_shapes_have_the_same_counts(
    world: World, mm10: Path, solo: tuple[ShardCounts, dict[str, RunStatus]], tmp_path: Path
) -> None:
    lay_out(world, tmp_path, CHOSEN)
    for number, path in enumerate(sorted((tmp_path / "fastq").glob("*.fastq"))):
        text = path.read_bytes()
        if number % 3 == 0:
            path.write_bytes(text.removesuffix(b"\n"))
        elif number % 3 == 1:
            path.with_suffix(".fastq.gz").write_bytes(gzip.compress(text))
            path.unlink()
    assert table(count(tmp_path, mm10)[0]) == table(solo[0])


def test_a_shard_without_reads_has_zeros(world: World, mm10: Path, tmp_path: Path) -> None:
    counted, statuses = count(lay_out(world, tmp_path, [EMPTY]), mm10)
    assert set(table(counted)[EMPTY].values()) == {0} and counted.logs[0]["Number of input reads"] == "0"
    assert [status.reads for status in statuses.values()] == ["0"]


def test_a_folder_that_another_counter_needs_is_refused(world: World, mm10: Path, shard: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it has BAM files, but this counter needs STARsolo's counts"):
        run_count(shard, mm10, "--counter=starsolo")
    count(lay_out(world, tmp_path, CHOSEN[:1]), mm10)
    with pytest.raises(InputError, match="it has STARsolo's counts, but this counter needs BAM files"):
        run_count(tmp_path, mm10)


def test_strands_are_told_apart(world: World, mm10: Path, tmp_path: Path) -> None:
    column = CHOSEN[0]
    sums = {}
    for strand in ("none", "forward", "reverse"):
        folder = tmp_path / strand
        folder.mkdir()
        lay_out(world, folder, [column])
        run_align(folder, mm10, f"--solo-strand={strand}", "--genome-memory=none")
        sums[strand] = int(run_count(folder, mm10, "--counter=starsolo")[0].counts.sum())
    assert sums["forward"] > 0 and sums["reverse"] > 0
    assert sums["forward"] + sums["reverse"] >= sums["none"]  # of two genes on both strands each has its reads


def test_an_index_of_other_genes_is_refused(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, CHOSEN[:1])
    run_align(tmp_path, mm10, "--solo-strand=none", "--genome-memory=none")
    lines = (mm10 / "genes.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "genes.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="STAR's index has 73 genes, the table of genes 72, or others"):
        run_count(tmp_path, mm10, "--counter=starsolo", f"--genes={tmp_path / 'genes.tsv'}")


def test_a_log_has_the_fields_that_are_known() -> None:
    reads = ReadNumbers(np.zeros((2, len(NUMBERS)), np.int64))
    reads.table[1, :6] = [10, 6, 1, 1, 1, 1]
    log = reads.log(1)
    assert log["Uniquely mapped reads %"] == "60.00%" and log["% of reads mapped to multiple loci"] == "10.00%"
    assert next(iter(log)) == "Number of input reads" and "Average mapped length" not in log
    assert reads.log(0)["Uniquely mapped reads %"] == "0.00%"
