"""Rows of runs that are gone: kept, left out, or the user's own doing."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.plan.choices import parse_choices
from scripts.plan.counted import write_counted
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import column_digests, columns_of
from scripts.records.history.last_plan import LastPlan
from scripts.records.history.withdrawn import CountedUnits, with_withdrawn

LANES = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", run, "10090", "Mus musculus", "mus", "droplet", status="planned", spots="9")
    for run in ("SRR1", "SRR2")
]
MOUSE = ("--species", "mus=10090")


def rows_after(
    found: Sequence[Run], *words: str, counted: bool = True, keep: bool = True, last: LastPlan | None = None
) -> dict[str, tuple[str, str]]:
    """Return run → status and reason, of a look-up that found some rows of the lanes planned before."""
    last = last or LastPlan(LANES, asked=["GSE1"], looked_up=True, sha256="1")
    choices = parse_choices(words or MOUSE)
    plan = with_withdrawn(found, last, ["GSE1"], choices, lambda rows: counted and list(rows) == LANES, keep)
    return {row.run: (row.status, row.reason) for row in plan.rows}


KEPT, LEFT_OUT = ("planned", ""), ("left_out", "WITHDRAWN")


def test_lanes_of_a_library_that_was_counted_stay() -> None:
    assert rows_after([]) == {"SRR1": KEPT, "SRR2": KEPT}
    assert rows_after(LANES[:1]) == {"SRR1": KEPT, "SRR2": KEPT}


@pytest.mark.parametrize(("counted", "keep"), [(False, True), (True, False), (False, False)])
def test_they_are_left_out_otherwise(counted: bool, keep: bool) -> None:
    assert rows_after(LANES[:1], counted=counted, keep=keep) == {"SRR1": KEPT, "SRR2": LEFT_OUT}


def test_a_lane_that_changed_as_well_leaves_nothing_to_keep() -> None:
    assert rows_after([LANES[0]._replace(spots="10")]) == {"SRR1": KEPT, "SRR2": LEFT_OUT}


def test_another_experiment_of_the_sample_stands_in() -> None:
    new = LANES[0]._replace(experiment="SRX9", run="SRR9")
    assert rows_after([new]) == {"SRR9": KEPT, "SRR1": LEFT_OUT, "SRR2": LEFT_OUT}


def test_what_the_user_says_of_a_run_holds() -> None:
    by_user = ("left_out", "LEFT_OUT_BY_USER")
    assert rows_after([], *MOUSE, "--leave-out", "SRR1=bad") == {"SRR1": by_user, "SRR2": KEPT}
    assert rows_after([], "--species", "homo=9606") == {"SRR1": LEFT_OUT, "SRR2": LEFT_OUT}


def test_rows_of_a_run_table_were_never_in_an_archive() -> None:
    assert rows_after([], last=LastPlan(LANES, asked=[], looked_up=False, sha256="1")) == {}


def test_a_run_that_is_not_asked_for_is_remembered() -> None:
    last = LastPlan([], LANES, asked=[], looked_up=True, sha256="1")
    plan = with_withdrawn([], last, ["GSE2"], parse_choices(MOUSE), lambda rows: True, True)
    assert (plan.rows, plan.memory) == ([], LANES)
    plan = with_withdrawn([], last, ["GSE1"], parse_choices(MOUSE), lambda rows: True, True)
    assert {row.run for row in plan.rows} == {"SRR1", "SRR2"}


@pytest.mark.parametrize("state", ["ok", "failed", "left_out"])
def test_what_was_counted_is_known_by_its_record_and_its_status(
    state: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("analysis"))
    units = CountedUnits({}, "experiment")
    assert not units.have(LANES)
    statuses = [RunStatus("SRR1"), RunStatus("SRR2", state)]
    digests = column_digests(columns_of(LANES, "experiment"))
    write_counted("units/counted/GSE1.mus.SRX1.json", "token", "options", digests, statuses)
    assert units.have(LANES) == (state != "failed")  # by the record alone, as where a job was cut off
    Path("units/status").mkdir()
    write_statuses("units/status/GSE1.mus.SRX1.tsv", statuses)
    assert units.have(LANES) == (state != "failed")
    assert not units.have([LANES[0], LANES[1]._replace(spots="10")])
    assert not units.have([row._replace(assay="plate") for row in LANES])  # no shard has it
