"""Small parts of aligning and counting: shares of threads, sizes of indices, summed logs, checks of numbers."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError, RunFault
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus
from scripts.plates.align import share_threads
from scripts.plates.alignments import star_versions
from scripts.plates.cells import fail_siblings
from scripts.plates.count import check_fragments, choose_checked, join_cells
from scripts.plates.shard_counts import ShardCounts
from scripts.references.star_index import size_options

LOG = {
    "Started job on": "Nov 21 05:08:15",
    "Number of input reads": "100",
    "Average input read length": "150",
    "UNIQUE READS:": "",
    "Uniquely mapped reads number": "60",
    "Uniquely mapped reads %": "60.00%",
    "Average mapped length": "148.00",
    "Mismatch rate per base, %": "0.30%",
    "Number of reads mapped to multiple loci": "10",
    "% of reads mapped to multiple loci": "10.00%",
    "Number of reads mapped to too many loci": "5",
    "Number of reads unmapped: too short": "25",
    "% of reads unmapped: other": "0.00%",
}


@pytest.mark.parametrize(
    ("sizes", "threads", "shares"),
    [
        ([], 4, []),
        ([0, 0], 4, [1, 1]),
        ([10] * 96, 8, [1] * 96),
        ([10], 8, [8]),
        ([10, 10], 8, [4, 4]),
        ([100, 1, 1], 4, [4, 1, 1]),
        ([5, 5, 5], 1, [1, 1, 1]),
    ],
)
def test_threads_go_where_a_cell_would_hold_up_the_others(sizes: list[int], threads: int, shares: list[int]) -> None:
    assert share_threads(sizes, threads) == shares


def test_options_of_an_index_follow_the_genome() -> None:
    human = size_options(3_100_000_000, 195, 100)
    assert (human["genomeSAindexNbases"], human["genomeChrBinNbits"]) == (14, 18)
    toy = size_options(120_000, 2, 100)
    assert (toy["genomeSAindexNbases"], toy["genomeChrBinNbits"]) == (7, 15)
    scaffolds = size_options(1_000_000_000, 500_000, 100)
    assert scaffolds["genomeChrBinNbits"] == 10
    assert size_options(1000, 1000, 100)["genomeChrBinNbits"] == 6  # no less than a read
    assert size_options(20_000_000_000, 10, 100)["limitGenomeGenerateRAM"] == 240_000_000_000


def test_fragments_must_be_those_that_star_mapped() -> None:
    check_fragments(LOG, 70)
    with pytest.raises(RunFault) as told:
        check_fragments(LOG, 69)
    assert told.value.reason == "READS_MISSING"
    assert told.value.detail == ("69 fragments were counted, but STAR mapped 70 (60 to one place, 10 to several).")
    with pytest.raises(RunFault, match="STAR was given 101 reads, but mapped 70 and dropped 30"):
        check_fragments(LOG | {"Number of input reads": "101"}, 70)


def test_the_checked_cell_does_not_depend_on_the_order() -> None:
    columns = [f"SRX{number}" for number in range(50)]
    assert choose_checked(columns) == choose_checked(columns[::-1])
    assert {choose_checked(columns[:size]) for size in range(1, 50)} > {columns[0]}


def test_siblings_of_a_failed_run() -> None:
    rows = [Run(run=run) for run in ("SRR1", "SRR2", "SRR3")]
    statuses = {row.run: RunStatus(row.run) for row in rows}
    assert fail_siblings(rows, statuses)
    statuses["SRR2"] = statuses["SRR2"].failed(RunFault("DOWNLOAD_FAILED", "gone"))
    assert not fail_siblings(rows, statuses)
    assert [statuses[row.run].reason for row in rows] == [
        "INCOMPLETE_EXPERIMENT",
        "DOWNLOAD_FAILED",
        "INCOMPLETE_EXPERIMENT",
    ]


def write_bam(path: Path, header: str) -> Path:
    """Write a BAM file without contigs and records."""
    text = header.encode()
    path.write_bytes(gzip.compress(b"BAM\1" + struct.pack("<I", len(text)) + text + struct.pack("<I", 0)))
    return path


def test_versions_of_star_stand_in_the_headers(tmp_path: Path) -> None:
    line = "@PG\tID:STAR\tPN:STAR\tVN:{}\tCL:STAR --x VN:9\n"
    first = write_bam(tmp_path / "a.bam", "@HD\tVN:1.4\n" + line.format("2.7.10b") + "@CO\tuser command line: STAR\n")
    second = write_bam(tmp_path / "b.bam", "@PG\tID:samtools\tVN:1.16\n@PG\tID:STAR\tVN:2.7.11b")
    none = write_bam(tmp_path / "c.bam", "@HD\tVN:1.4\n@PG\tID:samtools\tPP:STAR\tVN:1.16\n")
    torn = tmp_path / "d.bam"
    torn.write_bytes(first.read_bytes()[:40])
    assert star_versions([first, first]) == {"2.7.10b"}
    assert star_versions([first, second, none, torn]) == {"2.7.10b", "2.7.11b"}
    assert star_versions([none, torn]) == star_versions([]) == set()


def make_shard(columns: list[str], tools: dict[str, str], reference: str = "mm10 sha256:1") -> ShardCounts:
    counts = scipy.sparse.csc_matrix(np.full((len(columns), 1), 3))
    tallies = np.zeros((len(columns), 5), np.int64)
    return ShardCounts(["g"], columns, list(columns), counts, tallies, [{} for _ in columns], reference, tools)


def test_kept_cells_bring_the_versions_of_their_tools_along() -> None:
    now = make_shard(["SRR3"], {"STAR": "2.7.11b", "counter": "native"})
    earlier = make_shard(["SRR1", "SRR2"], {"STAR": "2.7.10b", "counter": "native"})
    statuses = {run: RunStatus(run, state) for run, state in (("SRR1", "ok"), ("SRR2", "kept"), ("SRR3", "ok"))}
    joined = join_cells(now, earlier, statuses)
    assert joined.columns == ["SRR3", "SRR2"]
    assert joined.tools == {"STAR": "2.7.10b, 2.7.11b", "counter": "native"}
    statuses["SRR2"] = RunStatus("SRR2")
    assert join_cells(now, earlier, statuses).tools == now.tools
    with pytest.raises(InputError, match="kept counts are of mm9 sha256:2 and the new ones of mm10 sha256:1"):
        join_cells(now, make_shard(["SRR2"], {}, "mm9 sha256:2"), statuses)
