"""Harvest goes on while few runs failed, and stops where many did."""

import pytest

from scripts.core.errors import InputError
from scripts.harvest import accept
from scripts.plan.run_table import Run, write_runs


def rows(series, counted, failed):
    row = Run(series=series, species="mus", assay="plate")
    counted_rows = [row._replace(run=f"{series}R{number}", status="counted") for number in range(counted)]
    lost = row._replace(status="failed", reason="ARCHIVE_CORRUPT", detail="vdb-validate says no.")
    return counted_rows + [lost._replace(run=f"{series}F{number:03d}") for number in range(failed)]


def call(tmp_path, ledger, max_failed="0.05"):
    write_runs(tmp_path / "runs.tsv", ledger)
    accept.main(
        ["--ledger", str(tmp_path / "runs.tsv"), "--max-failed", max_failed, "--output", str(tmp_path / "accepted")]
    )


@pytest.mark.parametrize(
    ("counted", "failed", "max_failed"), [(19, 1, "0.05"), (0, 0, "0"), (5, 0, "0"), (0, 3, "1"), (1, 1, "0.5")]
)
def test_a_share_up_to_the_greatest_is_accepted(tmp_path, counted, failed, max_failed):
    left_out = Run(series="GSE1", status="left_out", reason="NOT_RNA")
    call(tmp_path, [*rows("GSE1", counted, failed), left_out], max_failed)
    assert "left_out\t1\n" in (tmp_path / "accepted").read_text()


def test_a_greater_share_stops_and_says_what_to_do(tmp_path):
    with pytest.raises(InputError) as error:
        call(tmp_path, rows("GSE1", 18, 1) + rows("GSE2", 100, 1) + rows("GSE3", 0, 51))
    lines = str(error.value).splitlines()
    assert lines[:3] == [
        "Too many runs failed, so no tables are made.",
        "GSE1: 1 of 19 runs failed (5.3%; max_failed is 5.0%):",
        "  GSE1F000 (mus) ARCHIVE_CORRUPT: vdb-validate says no.",
    ]
    assert lines[3] == "GSE3: 51 of 51 runs failed (100.0%; max_failed is 5.0%):"
    assert (
        lines[4]
        == "  GSE3F000 (mus), GSE3F001 (mus), GSE3F002 (mus) and 48 more ARCHIVE_CORRUPT: vdb-validate says no."
    )
    assert "GSE2" not in str(error.value)
    for words in ("snakemake --config 'retry=[ARCHIVE_CORRUPT]'", "raise max_failed", "leave_out: {accession: reason}"):
        assert words in str(error.value)
    assert not (tmp_path / "accepted").exists()


def test_many_different_faults_are_cut_short(tmp_path):
    ledger = [row._replace(detail=f"Line {number}.") for number, row in enumerate(rows("GSE1", 0, 53))]
    with pytest.raises(InputError) as error:
        call(tmp_path, ledger)
    lines = str(error.value).splitlines()
    assert lines[51] == "  GSE1F049 (mus) ARCHIVE_CORRUPT: Line 49."
    assert lines[52] == "  and 3 more (see the ledger): 3 ARCHIVE_CORRUPT"


def test_cells_below_the_floor_are_not_tried_again(tmp_path):
    low = [row._replace(reason="LOW_MAPPING") for row in rows("GSE1", 0, 2)]
    with pytest.raises(InputError) as error:
        call(tmp_path, low)
    assert "retry=" not in str(error.value)
    assert "  count them anyway:   change plates.min_mapped in the configuration" in str(error.value)
    with pytest.raises(InputError, match=r"'retry=\[ARCHIVE_CORRUPT\]'"):
        call(tmp_path, low + rows("GSE2", 0, 1))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("CHEMISTRY_UNKNOWN", "  put it right:        what the sentences name, in configuration or run table"),
        ("LAYOUT_AMBIGUOUS", "  put it right:        what the sentences name, in configuration or run table"),
        ("LOW_VALID_BARCODES", "  count them anyway:   change droplets.min_valid_barcodes in the configuration"),
        ("ENRICHED_LIBRARY", "  count them anyway:   change droplets.bounds in the configuration"),
    ],
)
def test_what_another_try_does_not_change_is_not_tried_again(tmp_path, reason, words):
    with pytest.raises(InputError) as error:
        call(tmp_path, [row._replace(reason=reason) for row in rows("GSE1", 0, 2)])
    assert words in str(error.value)
    assert "retry=" not in str(error.value)


def test_a_share_is_a_share(tmp_path):
    with pytest.raises(InputError, match="give a number from 0 to 1"):
        call(tmp_path, [], "5")
