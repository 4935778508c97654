"""Choices, and a plan from a hand-made run table."""

import argparse
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.choices import (
    Choices,
    add_choices,
    choices_of,
    foreign_species,
    iterate_plan,
    left_out_by_user,
    parse_choices,
    plan_from_table,
)
from scripts.plan.run_table import Run, read_runs, write_runs

SPECIES = ["--species", "homo=9606", "mus=10090"]


def plan(tmp_path: Path, header: str, *lines: str, choices: Choices | None = None) -> list[Run]:
    path = tmp_path / "runs.tsv"
    path.write_text("".join(f"{line}\n" for line in (header, *lines)).replace(" ", "\t"))
    return plan_from_table(path, choices or parse_choices(SPECIES))


def test_empty_cells_get_defaults(tmp_path: Path) -> None:
    rows = plan(tmp_path, "run tax_id species assay", "SRR1 9606  plate", "SRR2  mus droplet")
    assert rows[0] == Run(
        series="local",
        exp_id="local",
        experiment="SRR1",
        run="SRR1",
        tax_id="9606",
        species="homo",
        assay="plate",
        source="sra",
        status="planned",
    )
    assert (rows[1].tax_id, rows[1].assay) == ("10090", "droplet")


def test_the_assay_follows_from_roles_and_kit(tmp_path: Path) -> None:
    header = "run species read_roles chemistry"
    rows = plan(tmp_path, header, "SRR1 homo barcode,cdna ", "SRR2 homo cdna,cdna2 ", "SRR3 homo  10x_3p_v3")
    assert [row.assay for row in rows] == ["droplet", "plate", "droplet"]
    with pytest.raises(InputError, match=r"SRR4: give its assay \(plate or droplet\), in the table or in the config"):
        plan(tmp_path, header, "SRR4 homo  ")


def test_choices_are_applied(tmp_path: Path) -> None:
    words = [
        *SPECIES,
        "--assay",
        "droplet",
        "X1=plate",
        "--leave-out",
        "SRR3=too few cells",
        "SRR4=",
        "--exp-id",
        "gds_uid",
    ]
    words += ["--chemistry", "10x_3p_v2", "--order", "ena", "sra"]
    table = [
        "GSE7 X1 SRR1 homo ",
        "GSE7 X2 SRR2 homo ",
        "GSE7 X3 SRR3 homo ",
        "GSE7 X4 SRR4 homo ",
        "GSE7 X1 SRR5 homo droplet",
    ]
    rows = plan(tmp_path, "series experiment run species assay", *table, choices=parse_choices(words))
    assert [row.assay for row in rows] == ["plate", "droplet", "droplet", "droplet", "plate"]
    assert [row.source for row in rows[:2]] == ["ena", "sra"]  # ENA keeps no barcode reads
    assert [row.chemistry for row in rows[:2]] == ["", "10x_3p_v2"]
    assert {row.exp_id for row in rows} == {"200000007"}
    assert [(row.status, row.reason, row.detail) for row in rows[2:4]] == [
        ("left_out", "LEFT_OUT_BY_USER", "too few cells"),
        ("left_out", "LEFT_OUT_BY_USER", "The configuration leaves SRR4 out."),
    ]


def test_a_ledger_may_be_given_back(tmp_path: Path) -> None:
    header = "run species assay status reason detail"
    rows = plan(
        tmp_path,
        header,
        "SRR1 homo plate counted  ",
        "SRR2 homo plate failed ALIGN_FAILED x",
        "SRR3   left_out NO_RUN y",
    )
    assert [(row.status, row.reason, row.detail) for row in rows] == [
        ("planned", "", ""),
        ("planned", "", ""),
        ("left_out", "NO_RUN", "y"),
    ]


def test_other_species_are_left_out(tmp_path: Path) -> None:
    (row,) = plan(tmp_path, "run tax_id organism assay", "SRR1 7955 Danio plate")
    assert (row.status, row.reason, row.detail) == (
        "left_out",
        "OTHER_SPECIES",
        "Danio (tax id 7955) is not configured.",
    )


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    header = "run species assay spots layout"
    lines = [
        "SRR1  plate  ",
        "SRR2 rat plate  ",
        "SRR3 homo well x triple",
        "A/4 homo plate  ",
        "SRR5 homo plate  ",
        "SRR5 homo plate  ",
    ]
    with pytest.raises(InputError) as caught:
        plan(tmp_path, header, *lines)
    reported = str(caught.value)
    assert reported.startswith(f"The run table ({tmp_path / 'runs.tsv'}) needs 8 corrections:")
    for words in (
        "SRR1: give its species (homo, mus) or its tax_id.",
        "SRR2: species 'rat' is not configured; known are homo, mus.",
        "SRR3: spots 'x' is not a whole number.",
        "SRR3: assay 'well' is neither plate nor droplet.",
        "A/4: run 'A/4' is no accession",
        "SRR5: the run is duplicated for homo.",
    ):
        assert words in reported


def test_no_row_is_given_from_the_first_fault_on(tmp_path: Path) -> None:
    path = tmp_path / "runs.tsv"
    lines = ("run\tspecies\tassay\tspots", "SRR1\thomo\tplate\t1", "SRR2\thomo\tplate\tx", "SRR3\thomo\tplate\t1")
    path.write_text("\n".join(lines))
    rows = iterate_plan(path, parse_choices(SPECIES))
    assert next(rows).run == "SRR1"
    with pytest.raises(InputError, match=r"needs 1 correction:\nSRR2: spots 'x' is not a whole number\.$"):
        next(rows)


def test_an_empty_table_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it has no row below its header"):
        plan(tmp_path, "run species")


def test_faults_of_choices_are_reported_at_once() -> None:
    parser = argparse.ArgumentParser()
    add_choices(parser)
    words = ["--species", "homo", "{", "--assay", "drops", "SRX1=cell", "--order", "sra", "ddbj"]
    with pytest.raises(InputError) as caught:
        choices_of(parser.parse_args(words))
    assert str(caught.value).splitlines() == [
        "The choices of the plan needs 5 corrections:",
        "--species homo: write LABEL=TAXID, e.g. homo=9606.",
        "--species {: write LABEL=TAXID, e.g. homo=9606.",
        "--assay drops: 'drops' is not one of auto, plate, droplet.",
        "--assay SRX1=cell: 'cell' is not one of auto, plate, droplet.",
        "--order: 'ddbj' is not one of sra, ncbi, ena, ena_fastq.",
    ]


@pytest.mark.parametrize(
    ("order", "plate", "droplet"),
    [
        ("sra ncbi ena", "sra", "sra"),
        ("ena sra", "ena", "sra"),
        ("ena_fastq sra ena", "ena_fastq", "sra"),
        ("ena_fastq", "ena_fastq", "ena"),
    ],
)
def test_a_droplet_library_is_not_planned_from_ena_where_another_archive_is_asked(order, plate, droplet) -> None:
    choices = parse_choices([*SPECIES, "--order", *order.split()])
    assert (choices.source_for("plate"), choices.source_for("droplet")) == (plate, droplet)


def test_other_words_of_the_command_are_passed_over() -> None:
    choices = parse_choices(["--series", "GSE1", *SPECIES, "--assay", "auto", "GSE1=droplet", "--run-table", "t.tsv"])
    assert choices.species == {"homo": "9606", "mus": "10090"}
    assert choices.assay_of("SRR1", "SRX1", "GSM1", "GSE1") == "droplet"
    assert choices.assay_of("GSE2") == ""


def test_leaving_out_names_the_reason() -> None:
    choices = parse_choices([*SPECIES, "--leave-out", "GSM1=contaminated = yes"])
    row = left_out_by_user(Run(sample="GSM1", run="SRR1", status="planned"), choices)
    assert (row.status, row.reason, row.detail) == ("left_out", "LEFT_OUT_BY_USER", "contaminated = yes")
    assert left_out_by_user(Run(run="SRR2", status="planned"), choices).status == "planned"


def test_the_order_of_rows_is_that_of_the_table(tmp_path: Path) -> None:
    rows = plan(tmp_path, "run species assay", "SRR2 homo plate", "SRR1 homo plate")
    assert [row.run for row in rows] == ["SRR2", "SRR1"]
    write_runs(tmp_path / "plan.tsv", rows)
    assert [row.run for row in read_runs(tmp_path / "plan.tsv")] == ["SRR1", "SRR2"]


def test_a_fault_is_reported_whatever_words_it_has(tmp_path: Path) -> None:
    (tmp_path / "runs.tsv").write_text("run\tspecies\tassay\tread_roles\nA1\thomo\tplate\tx: species '' is\n")
    with pytest.raises(InputError, match="read_roles \"x: species '' is\" has a word that is not one of"):
        plan_from_table(tmp_path / "runs.tsv", parse_choices(SPECIES))


def test_numbers_and_accessions_as_people_write_them(tmp_path: Path) -> None:
    header = "run experiment tax_id assay spots source"
    first, second = plan(tmp_path, header, "srr1 srx2 10090.0 plate 1,234 ", "c1 c2 9606 plate 12.0 file:a.fastq.gz")
    assert (first.run, first.experiment, first.tax_id, first.species, first.spots) == (
        "SRR1",
        "SRX2",
        "10090",
        "mus",
        "1234",
    )
    assert (second.run, second.experiment, second.species, second.spots) == ("c1", "c2", "homo", "12")


def test_the_name_of_a_species_is_enough(tmp_path: Path) -> None:
    rows = plan(tmp_path, "run organism assay", "SRR1 Mouse plate", "SRR2 Zebrafish plate")
    assert [(row.species, row.reason) for row in rows] == [("mus", ""), ("", "OTHER_SPECIES")]
    with pytest.raises(InputError, match=r"SRR3: give its species \(homo, mus\) or its tax_id\."):
        plan(tmp_path, "run organism assay", "SRR3 Axolotl plate")


def test_why_a_species_is_left_out() -> None:
    assert foreign_species("7955", "Danio rerio") == ("OTHER_SPECIES", "Danio rerio (tax id 7955) is not configured.")
    assert foreign_species("", "Axolotl") == ("OTHER_SPECIES", "Axolotl (tax id unknown) is not configured.")
    assert foreign_species("", "")[0] == "SPECIES_UNKNOWN"


def test_blanks_around_paths_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "runs.tsv").write_text("run\tspecies\tassay\tsource\nc1\thomo\tplate\tfile: a 1.fq ;\u00a0b.fq; \n")
    (row,) = plan_from_table(tmp_path / "runs.tsv", parse_choices(SPECIES))
    assert row.source == "file:a 1.fq;b.fq"


def test_faults_of_rows_and_of_files_are_reported_together(tmp_path: Path) -> None:
    lines = (
        "run\tspecies\tassay\tsource",
        "A1\trat\tplate\tfile:a.fq",
        f"A2\tmus\tplate\tfile:{tmp_path};{tmp_path}/no.fq",
    )
    (tmp_path / "runs.tsv").write_text("\n".join([*lines, "A3\tmus\tplate\treads/a.fq", ""]))
    with pytest.raises(InputError) as caught:
        plan_from_table(tmp_path / "runs.tsv", parse_choices(SPECIES), check_files=True)
    _, *faults = str(caught.value).splitlines()
    assert faults[0] == "A1: species 'rat' is not configured; known are homo, mus."
    assert faults[1].startswith("A3: source 'reads/a.fq' is no archive (")
    assert faults[1].endswith(" a path is written file:PATH, several are joined by ';': file:reads/a.fq.")
    assert faults[2:] == [
        f"A1: source: no such file, or not readable: a.fq; it is relative to {Path.cwd()}.",
        f"A2: source: no such file, or not readable: {tmp_path}/no.fq; a folder, name the files in it: {tmp_path}.",
    ]
