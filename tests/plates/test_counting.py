"""Checks of counts. Counts: test_count.py, test_counting_differential.py."""

import errno
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scripts.core.errors import Interrupted, MachineFault, RunFault
from scripts.plates import counting
from scripts.plates.counting import check_fragments, choose_checked

LOG = {
    "Number of input reads": "100",
    "Uniquely mapped reads number": "60",
    "Number of reads mapped to multiple loci": "10",
    "Number of reads mapped to too many loci": "5",
    "Number of reads unmapped: too short": "25",
}


def test_fragments_must_be_those_that_star_mapped() -> None:
    check_fragments(LOG, 70)
    with pytest.raises(RunFault) as raised:
        check_fragments(LOG, 69)
    assert raised.value.reason == "READS_MISSING"
    assert raised.value.detail == (
        "69 fragments were counted, but STAR mapped 70 (60 to one locus, 10 to several loci)."
    )
    with pytest.raises(RunFault, match="STAR was given 101 reads, but mapped 70 and dropped 30"):
        check_fragments(LOG | {"Number of input reads": "101"}, 70)


def test_chimeric_reads_may_be_in_the_bam_file() -> None:
    """As STAR 2.7.10b writes them with chimOutType WithinBAM: 29 reads whose longer part alone would be mapped."""
    log = {"Number of input reads": "60", "Uniquely mapped reads number": "30"}
    log |= {"Number of reads mapped to multiple loci": "1", "Number of reads unmapped: too short": "0"}
    log["Number of chimeric reads"] = "29"
    check_fragments(log, 60)
    check_fragments(log | {"Uniquely mapped reads number": "59"}, 60)  # not in the BAM file
    check_fragments(log | {"Number of reads unmapped: too short": "29"}, 60)
    with pytest.raises(RunFault, match="59 fragments were counted, but STAR mapped 31"):
        check_fragments(log, 59)


def test_the_checked_cell_does_not_depend_on_the_order() -> None:
    columns = [f"SRX{number}" for number in range(50)]
    assert choose_checked(columns) == choose_checked(columns[::-1])
    assert {choose_checked(columns[:size]) for size in range(1, 50)} > {columns[0]}


def test_an_unexpected_error_is_that_of_its_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def native(paths, *_, **__):
        if paths == ["bad"]:
            raise IndexError("index 7 is out of bounds")
        if paths == ["full"]:
            raise OSError(errno.EIO, "Input/output error")
        return counting.CellCounts(np.ones(1, np.int64), np.zeros(5, np.int64))

    genes = SimpleNamespace(genes=["g"])
    monkeypatch.setattr(counting, "read_gene_intervals", lambda path: genes)
    monkeypatch.setattr(counting, "StepCounter", lambda *_: None)
    monkeypatch.setattr(counting, "count_native", native)
    chosen = counting.Counting(Path("x.npz"), Path("x.gtf"), ["g"], "union", "none")
    counted = counting.count_cells({"SRX1": ["good"], "SRX2": ["bad"]}, chosen, "native", 2).cells
    assert counted["SRX1"].fragments == 1
    assert (counted["SRX2"].reason, "IndexError: index 7" in counted["SRX2"].detail) == ("COUNT_FAILED", True)
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(Interrupted, match="Input/output error"):
        counting.count_cells({"SRX1": ["good"], "SRX2": ["full"]}, chosen, "native", 2)


def test_an_htseq_count_that_is_not_installed_is_no_fault_of_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, "", "…\nModuleNotFoundError: No module named 'HTSeq'\n")
    monkeypatch.setattr(counting.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(counting, "_htseq_version", lambda: {"HTSeq": "2.0"})
    chosen = counting.Counting(Path("x.npz"), Path("x.gtf"), ["g"], "union", "none")
    with pytest.raises(MachineFault, match=r"htseq-count does not work here: .*No module named 'HTSeq'"):
        counting.count_cells({"SRX1": [Path("a.bam")], "SRX2": [Path("b.bam")]}, chosen, "htseq-count", 2)
