"""Runs of a cell."""

from scripts.core.errors import RunFault
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus
from scripts.plates.cells import fail_siblings


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
