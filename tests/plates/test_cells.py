"""The reads of a cell: calls of STAR, fingerprint, and runs that fail with their siblings."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError, RunFault
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus
from scripts.plates.cells import CellReads, bam_files, fail_siblings, find_cells, log_file


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


def test_a_cell_is_made_of_the_runs_that_are_not_aside(tmp_path: Path) -> None:
    rows = [Run(run=run) for run in ("SRR1", "SRR2", "SRR3")]
    statuses = {
        "SRR1": RunStatus("SRR1", spots="1"),
        "SRR2": RunStatus("SRR2", "left_out", "INDEX_READS_ONLY"),
        "SRR3": RunStatus("SRR3", "joined", spots="1"),
    }
    for mate in "12":
        (tmp_path / f"SRR1_{mate}.fastq").write_text(READS)
    ((cell,), after) = find_cells({"SRX1": rows, "SRX2": rows[1:]}, statuses, tmp_path)
    assert (cell.name, cell.spots, [path.name for path in cell.files]) == ("SRX1", 1, ["SRR1_1.fastq", "SRR1_2.fastq"])
    assert after == statuses


def test_reads_may_be_compressed(tmp_path: Path) -> None:
    for mate in "12":
        (tmp_path / f"SRR1_{mate}.fastq.gz").write_bytes(gzip.compress(2 * READS.encode()))
    cell = CellReads("SRX1")
    cell.add_run(tmp_path, Run(run="SRR1"), RunStatus("SRR1"))
    assert (cell.spots, [path.name for path in cell.files]) == (2, ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"])


def make_cell(folder: Path, pair: str | None, unpaired: str | None) -> CellReads:
    for name, content in (("SRR1_1", pair), ("SRR1_2", pair), ("SRR1", unpaired)):
        if content is not None:
            (folder / f"{name}.fastq").write_text(content)
    cell = CellReads("SRX1")
    cell.add_run(folder, Run(run="SRR1"), RunStatus("SRR1", spots="7"))
    return cell


READS = "@a\nA\n+\nI\n"
PAIR, UNPAIRED = [["SRR1_1.fastq"], ["SRR1_2.fastq"]], [["SRR1.fastq"]]


@pytest.mark.parametrize(
    ("pair", "unpaired", "calls"),
    [
        (READS, READS, [PAIR, UNPAIRED]),
        (READS, None, [PAIR]),
        (READS, "", [PAIR]),
        ("", READS, [UNPAIRED]),
        (None, READS, [UNPAIRED]),
        ("", "", [PAIR]),
        (None, "", [UNPAIRED]),
    ],
)
def test_each_kind_of_reads_has_a_call(
    tmp_path: Path, pair: str | None, unpaired: str | None, calls: list[list[list[str]]]
) -> None:
    cell = make_cell(tmp_path, pair, unpaired)
    assert [[[path.name for path in files] for files in mates] for mates in cell.calls()] == calls


def test_other_reads_have_another_fingerprint(tmp_path: Path) -> None:
    before = make_cell(tmp_path, READS, None).fingerprint()
    assert make_cell(tmp_path, READS, None).fingerprint() == before
    assert make_cell(tmp_path, READS.replace("A", "C"), None).fingerprint() != before


@pytest.mark.parametrize("column", ["/home/x/thesis", "../SRX1", "-rf"])
def test_files_of_a_cell_are_always_in_its_folder(tmp_path: Path, column: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a file or folder"):
        bam_files(tmp_path, column)
    with pytest.raises(InputError, match="cannot be the name of a file or folder"):
        log_file(tmp_path, column)
