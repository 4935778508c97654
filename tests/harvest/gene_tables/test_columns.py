"""The columns of the plate tables: which, in which order, under which header."""

import pytest

from scripts.core.errors import InputError
from scripts.harvest.gene_tables.columns import TableColumn, group_by_unit, header_rows, sort_columns, table_columns
from scripts.plan.run_table import Run
from scripts.plan.units import Cut, cut_into_units, write_units

ROWS = [
    Run("GSE2", "GSE2", "GSM1", "SRX1", "SRR2", species="mus", assay="plate", status="planned"),
    Run("GSE1", "", "GSM2", "SRX3", "SRR3", species="mus", assay="plate", status="planned"),
    Run("GSE1", "", "GSM2", "SRX3", "SRR4", species="mus", assay="plate", status="planned"),
    Run("GSE1", "", "GSM3", "SRX2", "SRR5", species="mus", assay="plate", status="planned"),
]


def found(folder, statuses):
    write_units(folder, cut_into_units(ROWS, Cut(1)), "experiment")
    ledger = [row._replace(status=status) for row, status in zip(ROWS, statuses, strict=True) if status]
    return table_columns(folder, ledger, "mus")


def test_columns_are_sorted_by_series_and_run_and_know_their_shard(tmp_path):
    units, columns = found(tmp_path / "units", ["counted"] * 4)
    assert units == ["GSE1.mus.0000", "GSE1.mus.0001", "GSE2.mus.0000"]
    assert [(column.unit, column.accession, column.runs) for column in columns] == [
        ("GSE1.mus.0001", "SRX3", "SRR3;SRR4"),
        ("GSE1.mus.0000", "SRX2", "SRR5"),
        ("GSE2.mus.0000", "SRX1", "SRR2"),
    ]
    assert group_by_unit(columns) == {"GSE1.mus.0001": [0], "GSE1.mus.0000": [1], "GSE2.mus.0000": [2]}
    assert columns == sort_columns(reversed(columns))


def test_failed_cells_are_no_columns(tmp_path):
    _, columns = found(tmp_path / "units", ["failed", "failed", "failed", "counted"])
    assert [column.accession for column in columns] == ["SRX2"]


def test_a_run_that_is_left_out_is_not_in_the_column_of_its_experiment(tmp_path):
    _, columns = found(tmp_path / "units", ["left_out", "counted", "left_out", "left_out"])
    assert [column.runs for column in columns] == ["SRR3"]


def test_a_ledger_of_another_plan_is_an_error(tmp_path):
    with pytest.raises(InputError) as error:
        found(tmp_path / "units", ["", "counted", "failed", "counted"])
    assert str(error.value).splitlines()[1:] == [
        "SRX3: only some of its runs are counted in the ledger.",
        "SRX1: the ledger does not have all its runs; make the ledger of this plan first.",
    ]


def test_the_header_has_the_series_where_there_is_no_exp_id():
    columns = [TableColumn("", "SRX3", (ROWS[1], ROWS[2])), TableColumn("", "SRX1", (ROWS[0],))]
    assert header_rows("GENENAME", columns) == [
        ["GENENAME", "SRR3;SRR4", "SRR2"],
        ["EXP_ID", "GSE1", "GSE2"],
        ["TAXON", "mus", "mus"],
        ["GSM", "GSM2", "GSM1"],
    ]
    assert header_rows("GENENAME", []) == [["GENENAME"], ["EXP_ID"], ["TAXON"], ["GSM"]]
