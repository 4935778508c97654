"""How cells share threads, and whose fault a failure of STAR is. Alignments: test_align.py."""

import os
from pathlib import Path

import pytest

from scripts.core.errors import Interrupted, MachineFault
from scripts.plates.aligner import Aligner, share_threads
from scripts.plates.bam_groups import is_whole_bam
from scripts.plates.cells import CellReads


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


GOOD_BAM = b"\x1f\x8b\x08\x04" + b"records" + bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
STAR = """\
#!/bin/bash
case "$*" in {cases} esac
cat {folder}/good.bam >Aligned.out.bam
cat {folder}/good.log >Log.final.out
"""


@pytest.fixture
def aligner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aligner:
    """An aligner whose STAR is a script; ``put_star`` says what it does."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "genomeParameters.txt").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "good.bam").write_bytes(GOOD_BAM)
    (tmp_path / "good.log").write_text(
        "Number of input reads |\t1\nNUMBER OF READS:\n  Number of reads unmapped: other |\t0\n"
        "  % of reads unmapped: other |\t0.00%\n  Number of chimeric reads |\t0\n  % of chimeric reads |\t0.00%\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return Aligner(tmp_path / "index", "census2017", tmp_path / "partial")


def put_star(folder: Path, *cases: str) -> None:
    (folder / "bin" / "STAR").write_text(STAR.format(folder=folder, cases=" ".join(f"{case};;" for case in cases)))
    (folder / "bin" / "STAR").chmod(0o755)


def cells_of(folder: Path, *names: str) -> list[CellReads]:
    for name in names:
        (folder / f"{name}.fastq").write_text("@r\nACGT\n+\nIIII\n")
    return [CellReads(name, unpaired=[folder / f"{name}.fastq"], spots=1) for name in names]


def test_a_cell_at_which_star_crashes_fails_alone(aligner: Aligner, tmp_path: Path) -> None:
    put_star(tmp_path, "*bad.fastq*) kill -SEGV $$")
    faults = aligner.align_all(cells_of(tmp_path, "bad", "good"), 2, "none")
    assert {name: fault.reason for name, fault in faults.items()} == {"bad": "ALIGN_FAILED"}
    assert faults["bad"].detail == "STAR failed: STAR was ended by SIGSEGV."
    assert (tmp_path / "partial" / "good.bam").read_bytes() == GOOD_BAM


def test_reads_that_star_refuses_are_the_fault_of_their_cells(aligner: Aligner, tmp_path: Path) -> None:
    put_star(tmp_path, "*own.fastq*) exit 0", "*) echo EXITING because of FATAL ERROR in reads input: short; exit 104")
    faults = aligner.align_all(cells_of(tmp_path, "a", "b"), 2, "none")
    assert len(faults) == 2 and all("reads input: short" in fault.detail for fault in faults.values())


def test_a_star_that_crashes_at_the_only_cell_is_tried_with_a_read_of_our_own(aligner: Aligner, tmp_path: Path) -> None:
    put_star(tmp_path, "*bad.fastq*) kill -SEGV $$")
    faults = aligner.align_all(cells_of(tmp_path, "bad"), 1, "none")
    assert faults["bad"].reason == "ALIGN_FAILED"
    put_star(tmp_path, "*) kill -SEGV $$")
    with pytest.raises(MachineFault, match="STAR fails on any read, also on one of our own: STAR was ended by SIGSEGV"):
        aligner.align_all(cells_of(tmp_path, "bad"), 1, "none")


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        ("*) kill -SEGV $$", MachineFault, "STAR fails on any read"),
        ("*own.fastq*) ;; *) kill -SEGV $$", Interrupted, r"All 3 runs failed alike, .*SIGSEGV"),
        (
            "*) echo no libgomp >&2; exit 127",
            MachineFault,
            r"'STAR' cannot be started \(exit status 127\): .*no libgomp",
        ),
        (
            "*) echo EXITING because of FATAL ERROR: Genome version: 1 is INCOMPATIBLE; exit 105",
            MachineFault,
            "INCOMPATIBLE",
        ),
        ("*) kill -KILL $$", Interrupted, "STAR was ended by SIGKILL"),
    ],
)
def test_a_star_that_does_not_work_fails_the_job(
    aligner: Aligner, tmp_path: Path, case: str, error: type[Exception], words: str
) -> None:
    put_star(tmp_path, case)
    with pytest.raises(error, match=words):
        aligner.align_all(cells_of(tmp_path, "a", "b", "c"), 2, "none")


def test_an_unexpected_error_is_that_of_its_cell(
    aligner: Aligner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_star(tmp_path)
    whole = CellReads.calls
    monkeypatch.setattr(CellReads, "calls", lambda cell: whole(cell) if cell.name == "good" else 1 // 0)
    faults = aligner.align_all(cells_of(tmp_path, "bad", "good"), 2, "none")
    assert list(faults) == ["bad"] and "ZeroDivisionError" in faults["bad"].detail
    assert "Traceback" in capsys.readouterr().err


def test_a_bam_file_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.bam"
    for content in (b"", GOOD_BAM[:-1], GOOD_BAM[4:], GOOD_BAM[-28:], GOOD_BAM + b"x"):
        path.write_bytes(content)
        assert not is_whole_bam(path)
    path.write_bytes(GOOD_BAM)
    assert is_whole_bam(path)
