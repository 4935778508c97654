"""The table of changes in a folder of results: no checksum of it is kept, and its form is checked."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest import checksums, verify
from scripts.plan.run_table import Run, write_runs
from scripts.records.history.changes import Change, write_changes

ROW = Run("GSE1", "GSE1", "GSM1", "SRX1", status="left_out", reason="NO_RUN")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_runs(tmp_path / "runs.tsv", [ROW])
    write_runs(tmp_path / "plan.tsv", [ROW])
    checksums.main(["--results", str(tmp_path), "--output", str(tmp_path / "SHA256SUMS")])
    return tmp_path


@pytest.mark.parametrize("rows", [[], [Change("GSE1", "SRX1", "SRR1", "gone", "", "left out (WITHDRAWN)")]])
def test_results_with_a_table_of_changes_are_good(results: Path, rows: list[Change]) -> None:
    write_changes(results / "changes.tsv", rows)
    before = (results / "SHA256SUMS").read_bytes()
    verify.main([str(results)])
    checksums.main(["--results", str(results), "--output", str(results / "SHA256SUMS")])
    assert (results / "SHA256SUMS").read_bytes() == before


HEAD = "\t".join(Change._fields)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "its first line is not series experiment run change what what_follows"),
        ("series\trun\n", "its first line is not series experiment run change what what_follows"),
        (f"{HEAD}\nGSE1\t\t\tlost\t\t\n", "not a change in line 2"),
        (f"{HEAD}\nGSE1\t\t\tgone\t\t\nGSE1\n", "not a change in line 3"),
        (f"{HEAD}\n\0\n", "it has a null byte|not a text|not a change"),
    ],
)
def test_what_is_no_table_of_changes_is_reported(results: Path, text: str, fault: str) -> None:
    (results / "changes.tsv").write_text(text)
    with pytest.raises(InputError, match=f"changes.tsv.*({fault})"):
        verify.main([str(results)])
