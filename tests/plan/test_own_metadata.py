"""The user's own columns of a hand-made run table."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.choices import own_metadata, parse_choices, plan_from_table
from scripts.plan.own_metadata import OwnMetadata, column_faults, read_own_metadata, write_own_metadata
from scripts.plan.run_table import Run

CHOICES = parse_choices(["--species", "mus=10090", "--assay", "plate"])


def test_own_columns_are_kept_beside_the_plan(tmp_path):
    path = tmp_path / "runs.tsv"
    path.write_text('Run\tsource\tAge (years)\tpatient\ncell1\tfile:a.fq\t 07\t"P, 1"\nsrr5\t\t\t\n')
    rows = plan_from_table(path, CHOICES)
    assert [(row.run, row.species, row.tax_id, row.assay, row.source) for row in rows] == [
        ("cell1", "mus", "10090", "plate", "file:a.fq"),
        ("SRR5", "mus", "10090", "plate", "sra"),
    ]
    own = own_metadata(path)
    assert own == OwnMetadata(["Age (years)", "patient"], {"cell1": ["07", "P, 1"], "SRR5": ["", ""]})
    write_own_metadata(tmp_path / "own.tsv", own)
    assert (tmp_path / "own.tsv").read_text() == "run\tAge (years)\tpatient\nSRR5\t\t\ncell1\t07\tP, 1\n"
    assert read_own_metadata(tmp_path / "own.tsv") == own


def test_a_plan_without_own_columns_has_an_empty_table(tmp_path):
    path = tmp_path / "runs.tsv"
    path.write_text("run\tsource\nc1\tfile:a.fq\n")
    assert own_metadata(path) == OwnMetadata([], {})
    write_own_metadata(tmp_path / "own.tsv", OwnMetadata())
    assert (tmp_path / "own.tsv").read_text() == "run\n"
    assert read_own_metadata(tmp_path / "own.tsv") == OwnMetadata([], {})
    assert read_own_metadata(None).of_cell([Run(run="c1")]) == {}


def test_values_of_runs_that_are_counted_together_are_joined():
    own = OwnMetadata(["batch", "note"], {"a": ("1", ""), "b": ("2", "x"), "c": ("1", "")})
    assert own.of_cell([Run(run=name) for name in "abcd"]) == {"batch": "1;2", "note": "x"}
    assert own.of_cell([Run(run="a")]) == {"batch": "1"}


@pytest.mark.parametrize(
    ("name", "known"),
    [("specis", "species"), ("Read roles", "read_roles"), ("experiments", "experiment"), ("tax id", "tax_id")],
)
def test_a_slip_is_no_column_of_ones_own(tmp_path, name, known):
    path = tmp_path / "runs.tsv"
    path.write_text(f"run\tsource\t{name}\nc1\tfile:a.fq\tx\n")
    with pytest.raises(InputError) as caught:
        plan_from_table(path, CHOICES)
    assert f"line 1: '{name}' is not a column of a run table; did you mean {known}?" in str(caught.value)


def test_names_that_people_give_are_taken():
    names = [
        "patient",
        "condition",
        "batch",
        "sample_id",
        "donor",
        "cell type",
        "Age (years)",
        "%viable",
        "date",
        "note",
    ]
    assert list(column_faults([*names, "Größe", "tissue", "sex", "time", "group", "plate", "well", "barcode"])) == []
    assert list(column_faults(["a/b"])) == [
        "line 1: 'a/b' cannot be the name of a column: give 1 to 80 characters, without '/'."
    ]


def test_rows_of_a_run_agree(tmp_path):
    path = tmp_path / "runs.tsv"
    path.write_text("run\tspecies\tdonor\nc1\tmus\t1\nc1\thomo\t2\n")
    with pytest.raises(InputError, match="c1: your own columns differ between its rows"):
        own_metadata(path)
