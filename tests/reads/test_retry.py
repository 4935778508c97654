"""What is set aside of a unit before its other runs are counted."""

import pytest

from scripts.plan.counted import write_counted
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import column_digests, columns_of
from scripts.reads import retry

ROWS = [
    Run(series="GSE1", experiment=experiment, run=run, species="mus", assay="plate", status="planned")
    for experiment, run in (("SRX1", "SRR1"), ("SRX2", "SRR2"), ("SRX2", "SRR3"), ("SRX3", "SRR4"), ("SRX4", "SRR5"))
]
STATUSES = [
    RunStatus("SRR1", spots="7"),
    RunStatus("SRR2", "failed", "DOWNLOAD_FAILED", "404."),
    RunStatus("SRR3"),
    RunStatus("SRR4", "failed", "EMPTY_READS", "no reads."),
]
NAMES = ["--runs", "unit.tsv", "--status", "status.tsv", "--counts", "counts.h5ad", "--counted", "counted.json"]


def run(folder, *reasons, counted=ROWS):
    write_runs(folder / "unit.tsv", ROWS)
    write_statuses(folder / "status.tsv", STATUSES)
    (folder / "counts.h5ad").write_bytes(b"counts")
    write_counted("counted.json", "t", "o", column_digests(columns_of(counted, "experiment")), STATUSES)
    retry.main([*NAMES, "--options", "o", "--reasons", *reasons, "--output", "kept"])
    return {run: (status.state, status.reason) for run, status in read_statuses(folder / "kept/status.tsv").items()}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_columns_with_a_run_of_the_reason_or_without_a_status_are_tried_again(tmp_path):
    assert run(tmp_path, "DOWNLOAD_FAILED") == {"SRR1": ("kept", ""), "SRR4": ("failed", "EMPTY_READS")}
    assert (tmp_path / "kept/counts.h5ad").read_bytes() == b"counts"


def test_the_failed_runs_are_noted_for_the_download(tmp_path):
    run(tmp_path, "DOWNLOAD_FAILED")
    assert read_statuses(tmp_path / "kept/failed.tsv") == {"SRR2": STATUSES[1]}


def test_all_reasons_at_once(tmp_path):
    assert run(tmp_path, "all") == {"SRR1": ("kept", "")}


def test_runs_that_are_aside_stay_so(tmp_path, monkeypatch):
    aside = [RunStatus("SRR2", "joined"), RunStatus("SRR3"), RunStatus("SRR4", "left_out", "EMPTY_READS")]
    monkeypatch.setattr(f"{__name__}.STATUSES", [STATUSES[0], *aside])
    assert run(tmp_path, "all") == {
        "SRR1": ("kept", ""),
        "SRR2": ("joined", ""),
        "SRR3": ("kept", ""),
        "SRR4": ("left_out", "EMPTY_READS"),
    }


def test_columns_that_are_planned_in_another_way_or_new_are_done(tmp_path):
    corrected = [row._replace(layout="paired") if row.run == "SRR1" else row for row in ROWS]
    assert run(tmp_path, counted=corrected) == {
        **dict.fromkeys(("SRR2",), ("failed", "DOWNLOAD_FAILED")),
        "SRR3": ("kept", ""),
        "SRR4": ("failed", "EMPTY_READS"),
    }
    assert run(tmp_path, counted=ROWS[:1]) == {"SRR1": ("kept", "")}


def test_nothing_is_kept_where_the_counts_are_gone(tmp_path):
    run(tmp_path, "all")
    (tmp_path / "counts.h5ad").unlink()
    retry.main([*NAMES, "--options", "o", "--output", "kept"])
    assert read_statuses(tmp_path / "kept/status.tsv") == {}
    assert not (tmp_path / "kept/counts.h5ad").exists()


def test_columns_that_were_counted_with_other_options_are_done(tmp_path):
    run(tmp_path, "all")
    retry.main([*NAMES, "--options", "other", "--reasons", "EMPTY_READS", "--output", "kept"])
    assert read_statuses(tmp_path / "kept/status.tsv") == {}
    assert list(read_statuses(tmp_path / "kept/failed.tsv")) == ["SRR4"]
