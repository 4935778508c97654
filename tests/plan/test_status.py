"""The status table of a unit."""

import pytest

from scripts.core.errors import DISK_FULL, InputError, RunFault
from scripts.plan.run_table import COLUMNS
from scripts.plan.status import RunStatus, disk_was_full, is_whole, read_statuses, write_statuses


def test_statuses_come_back(tmp_path):
    fine = RunStatus("SRR1", spots="10", source="sra")
    lost = RunStatus("SRR0").failed(RunFault("DISK_LIMIT", "no\nroom", DISK_FULL))
    write_statuses(tmp_path / "status.tsv", [fine, lost])
    read = read_statuses(tmp_path / "status.tsv")
    assert list(read) == ["SRR0", "SRR1"]
    assert read["SRR1"] == fine
    assert read["SRR0"] == RunStatus("SRR0", "failed", "DISK_LIMIT", "no room", cause="disk_full")
    assert not read["SRR0"].ok


def test_programs_are_added_to_those_of_earlier_stages(tmp_path):
    converted = RunStatus("SRR1").made_with({"sra-tools": "3.0.3"})
    counted = converted.made_with({"STAR": "2.7.10b", "Python": "3.11.2"}).made_with({"STAR": "2.7.10b"})
    assert counted.tools == "Python 3.11.2; STAR 2.7.10b; sra-tools 3.0.3"
    write_statuses(tmp_path / "status.tsv", [counted])
    assert read_statuses(tmp_path / "status.tsv")["SRR1"] == counted


@pytest.mark.parametrize("reason", ["INDEX_READS_ONLY", "EMPTY_READS"])
def test_a_run_with_nothing_to_count_is_left_out(reason):
    status = RunStatus("SRR1").failed(RunFault(reason, "nothing."))
    assert (status.state, status.reason, status.is_aside) == ("left_out", reason, True)
    assert not status.ok


def test_an_experiment_is_counted_without_runs_that_are_aside():
    good, joined, failed = RunStatus("SRR1"), RunStatus("SRR2", "joined"), RunStatus("SRR3", "failed")
    left_out = RunStatus("SRR4", "left_out", "EMPTY_READS")
    assert is_whole([good])
    assert is_whole([good, joined, left_out])
    assert not is_whole([good, failed])
    assert not is_whole([left_out, left_out])
    assert not is_whole([])


def test_a_full_disk_differs_from_a_limit_by_its_cause():
    full = RunStatus("SRR1").failed(RunFault("DISK_LIMIT", "no room.", DISK_FULL))
    assert disk_was_full(full)
    assert not disk_was_full(full.failed(RunFault("DISK_LIMIT", "the disk has room, but the limit is reached.")))


@pytest.mark.parametrize("later", ["", "cause", "cause reads mapped", "cause reads mapped dropped"])
def test_a_status_table_of_an_older_version_has_fewer_columns(tmp_path, later):
    columns = ["run", "state", "reason", "detail", "source", "spots", "layout", "chemistry", "read_roles"]
    values = ["SRR1", "failed", "DISK_LIMIT", "full", "", "", "", "", ""]
    if later:
        columns, values = [*columns, *later.split()], [*values, *([""] * len(later.split()))]
    (tmp_path / "status.tsv").write_text("\t".join(columns) + "\n" + "\t".join(values) + "\n", encoding="utf-8")
    assert read_statuses(tmp_path / "status.tsv") == {"SRR1": RunStatus("SRR1", "failed", "DISK_LIMIT", "full")}


def test_another_table_is_no_status_table(tmp_path):
    (tmp_path / "status.tsv").write_text("\t".join(COLUMNS) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="not a status table"):
        read_statuses(tmp_path / "status.tsv")
