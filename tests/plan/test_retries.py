"""Which failed runs are tried again, and what is kept of their unit."""

from pathlib import Path

import pytest

from scripts.core.errors import DISK_FULL
from scripts.plan.resources import JobResources
from scripts.plan.retries import Retries
from scripts.plan.size_model import SizeModel
from scripts.plan.status import RunStatus, write_statuses
from tests.plan.test_analysis import analysis

UNIT = "GSE1.homo.0000"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work/status").mkdir(parents=True)
    return tmp_path


def retries(retry: object = ()) -> Retries:
    made = analysis(UNIT, retry=retry if isinstance(retry, str) else list(retry))
    return Retries(made, JobResources(made, SizeModel()))


def fail(*reasons: str, cause: str = "") -> None:
    rows = [RunStatus(f"SRR{n}", "failed", reason, "x", cause=cause) for n, reason in enumerate(reasons)]
    write_statuses(f"work/status/{UNIT}.tsv", [*rows, RunStatus("SRR9")])


def test_nothing_is_tried_again_unless_it_is_asked_for(folder):
    fail("EMPTY_READS", "DOWNLOAD_FAILED")
    assert retries().reasons(UNIT) == []
    assert (retries().previous(UNIT), retries().round(UNIT)) == ([], "")
    assert retries(["DOWNLOAD_FAILED", "ALIGN_FAILED"]).reasons(UNIT) == ["DOWNLOAD_FAILED"]
    assert retries("all").reasons(UNIT) == ["DOWNLOAD_FAILED", "EMPTY_READS"]
    assert retries("all").reasons("GSE1.homo.0007") == []


def test_a_round_is_told_by_the_status_that_calls_for_it_then_by_its_note(folder):
    fail("EMPTY_READS")
    asked = retries("all")
    (previous,) = asked.previous(UNIT)
    assert previous == f"work/retry/{asked.analysis.parameters_digest(UNIT)}/{UNIT}"
    assert asked.round(UNIT) == str(Path(f"work/status/{UNIT}.tsv").stat().st_mtime_ns)
    Path(previous).mkdir(parents=True)
    Path(previous, "round").write_text("77\n")
    later = retries()
    assert (later.previous(UNIT), later.round(UNIT)) == ([previous], "77")


def test_a_full_disk_is_tried_again_when_there_is_room_a_limit_is_not(folder):
    fail("DISK_LIMIT")
    assert retries().reasons(UNIT) == []
    fail("DISK_LIMIT", cause=DISK_FULL)
    assert retries().reasons(UNIT) == ["DISK_LIMIT"]
    full = retries()
    full.resources.scratch_mb = lambda stage, unit: 10**15
    assert full.reasons(UNIT) == []
