"""What STAR is given to call cells, and what is made of its answer; test_solo_cells.py compares with STAR itself."""

import os

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.kept.cell_calls import CalledCells, call_cells, write_calls
from scripts.droplets.kept.kept_library import KeptLibrary, keep_library
from tests.droplets.kept.counted import SUMMARY, write_counted


@pytest.fixture
def library(tmp_path):
    (tmp_path / "kept").mkdir()
    keep_library(write_counted(tmp_path / "star"), tmp_path / "kept", ["Gene"], ["Unique"])
    return KeptLibrary(tmp_path / "kept")


@pytest.fixture
def put_star(tmp_path, monkeypatch):
    """Return a function that puts a script in the place of STAR."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    def put(script):
        (tmp_path / "bin/STAR").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "bin/STAR").chmod(0o755)

    return put


def test_barcodes_without_counts_and_one_behind_all_are_seen_by_star(tmp_path, library, put_star):
    answer = "touch Log.out; mkdir cells; echo CCCC > cells/barcodes.tsv"
    put_star(f'echo "$@" > {tmp_path}/words; cp -r raw {tmp_path}/given; {answer}')
    calls = call_cells(library, "Gene", "TopCells 1", tmp_path / "work")
    assert (tmp_path / "words").read_text().split()[-3:] == ["--soloCellFilter", "TopCells", "1"]
    assert (tmp_path / "given/barcodes.tsv").read_text().split() == ["CCCC", "GGGG", "TTTT", "-"]
    assert (tmp_path / "given/matrix.mtx").read_text().splitlines()[2:] == [
        *("3 4 5", "1 1 5", "3 1 1", "1 2 0", "2 3 2", "1 4 0")
    ]
    assert (calls.barcodes, calls.skipped) == (["CCCC"], None)
    assert calls.figures == {
        "Estimated Number of Cells": "1",
        "Unique Reads in Cells Mapped to Gene": "8",
        "Fraction of Unique Reads in Cells": "0.727273",
        "Mean Reads per Cell": "8",
        "Median Reads per Cell": "8",
        "UMIs in Cells": "6",
        "Mean UMI per Cell": "6",
        "Median UMI per Cell": "6",
        "Mean Gene per Cell": "2",
        "Median Gene per Cell": "2",
        "Total Gene Detected": "2",
    }
    assert not (tmp_path / "work").exists()
    folder = tmp_path / "called"
    folder.mkdir()
    write_calls(folder, library, ["Gene"], "TopCells 1", {"Gene": calls})
    called = CalledCells(folder)
    assert (called.exist, called.cell_filter, called.skipped) == (True, "TopCells 1", {})
    assert called.barcodes("Gene").read_text() == "CCCC\n"
    assert (folder / "Gene/Summary.csv").read_text() == SUMMARY + "".join(
        f"{a},{b}\n" for a, b in calls.figures.items()
    )
    assert not CalledCells(tmp_path / "none").exist


def test_a_crash_of_star_is_a_fault_of_the_filter(tmp_path, library, put_star):
    put_star("kill -SEGV $$")
    with pytest.raises(RunFault) as raised:
        call_cells(library, "Gene", "EmptyDrops_CR", tmp_path / "work")
    assert (raised.value.reason, raised.value.detail) == (
        "COUNT_FAILED",
        "the cells of Gene could not be called: STAR was ended by SIGSEGV. Give another droplets.cell_filter, e.g."
        " CellRanger2.2.",
    )
