"""Plans of tables of runs that people bring, and rows of runs that cannot be used."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.choices import parse_choices
from scripts.plan.run_table import Run, read_runs
from scripts.records import resolve
from scripts.records.listed_runs import plan_run_list
from tests.records.looked_up import UNREACHABLE, plan
from tests.records.small_archives import keep, package, package_set, run

CHOICES = parse_choices(["--species", "homo=9606", "mus=10090"])
HEADER = "Run,Experiment,SRA Study,Organism,LibrarySource,Assay Type,LibrarySelection,Sample Name,Bytes,cell_type"
CELL = "SRR1,SRX1,SRP1,Mus musculus,TRANSCRIPTOMIC SINGLE CELL,RNA-Seq,cDNA,GSM1,1000,neuron"


def table(tmp_path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "mine.csv"
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_the_run_selector_is_planned_as_it_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    second = CELL.replace("SRR1", "SRR2").replace("Mus musculus", "Homo sapiens").replace("SRX1", "SRX2")
    path = table(tmp_path, HEADER, CELL, second, encoding=encoding)
    words = ["--run-table", str(path), "--species", "homo=9606", "mus=10090", "--geo", UNREACHABLE]
    resolve.main([*words, "--output", str(tmp_path / "plan.tsv"), "--evidence", str(tmp_path / "evidence.jsonl")])
    rows = read_runs(tmp_path / "plan.tsv")
    assert [(row.series, row.sample, row.experiment, row.run, row.species, row.bytes) for row in rows] == [
        ("SRP1", "GSM1", "SRX1", "SRR1", "mus", "1000"),
        ("SRP1", "GSM1", "SRX2", "SRR2", "homo", "1000"),
    ]
    assert [(row.assay, row.status, row.detail) for row in rows] == [("plate", "planned", "Runs from mine.csv.")] * 2
    assert len((tmp_path / "evidence.jsonl").read_text().splitlines()) == 2
    assert "What will be counted:" in capsys.readouterr().out


def test_all_faults_of_a_table_come_at_once(tmp_path: Path) -> None:
    path = table(tmp_path, HEADER, CELL.replace("SRR1", "/home/x"), CELL, "SRR3,SRX3")
    with pytest.raises(InputError) as reported:
        plan_run_list(path, CHOICES)
    assert str(reported.value).splitlines() == [
        f"The table of runs ({path}) needs 2 corrections:",
        f"{path}, line 2: '/home/x' in column Run is not a run (SRR…, ERR… or DRR…).",
        f"{path}, line 4: 2 values, but the header has 10 columns.",
    ]
    with pytest.raises(InputError, match="line 4: SRR1 is of another experiment than in line 2"):
        plan_run_list(table(tmp_path, HEADER, CELL, CELL, CELL.replace("SRX1", "SRX2")), CHOICES)
    with pytest.raises(InputError, match="it has no row below its header"):
        plan_run_list(table(tmp_path, HEADER), CHOICES)


def only_row(tmp_path: Path, *lines: str) -> Run:
    (row,) = plan_run_list(table(tmp_path, *lines), CHOICES).all_rows()
    return row


def test_species_that_a_table_does_not_name(tmp_path: Path) -> None:
    row = only_row(tmp_path, "Run,BioProject", "ERR1,PRJEB1")
    assert (row.series, row.experiment, row.run, row.reason) == ("PRJEB1", "ERR1", "ERR1", "SPECIES_UNKNOWN")
    assert row.detail.startswith("The record does not name a species; give it as species or tax_id in a run table.")
    row = only_row(tmp_path, HEADER, CELL.replace("Mus musculus", "Ambystoma mexicanum"))
    assert (row.reason, row.organism) == ("OTHER_SPECIES", "Ambystoma mexicanum")
    row = only_row(tmp_path, HEADER.replace("SRA Study", "x"), CELL.replace("SRP1", ""))
    assert row.series == "local"


def test_a_bad_run_of_a_record_is_a_row_and_the_others_stay(tmp_path: Path) -> None:
    runs = [run("/home/x/data"), run("SRR2"), run("--option-file=x"), run("../a"), run("b"), run("c")]
    packages = [package("SRX1", runs, gsm="GSM1"), package("/SRX9", [run("SRR9")], gsm="GSM9")]
    packages.append(package("/SRX8", [run("SRR8")], gsm="GSM8"))
    keep(tmp_path / "records", "SRP1", xml=package_set(*packages))
    rows = plan(tmp_path, "SRP1")
    assert {name: [row.reason for row in group] for name, group in rows.items()} == {
        "SRR2": [""],
        "SRX1": ["NO_RUN"],
        "SRR9": ["NO_RUN"],
        "SRR8": ["NO_RUN"],
    }
    (bad,) = rows["SRX1"]
    assert (bad.run, bad.sample, bad.status) == ("", "GSM1", "left_out")
    assert bad.detail.startswith("The record names the run '/home/x/data', which is no accession.")
    assert "There are 2 more." in bad.detail
    assert rows["SRR9"][0].experiment == ""
    assert rows["SRR9"][0].detail.startswith("The record names the experiment '/SRX9', which is no accession. ")


def test_rows_of_a_kept_table_do_not_vanish(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "SRP1"
    folder.mkdir(parents=True)
    lines = [HEADER, CELL, CELL.replace("SRR1", "SRR2 "), CELL.replace("SRR1", "srr3"), CELL.replace("SRR1", "SRR 4")]
    (folder / "SraRunTable.csv").write_text("\n".join(lines) + "\n")
    rows = plan(tmp_path, "SRP1")
    assert sorted(rows) == ["SRR1", "SRR2", "SRR3", "SRX1"]
    assert "line 5: 'SRR 4' in column Run is not a run" in rows["SRX1"][0].detail


def test_a_note_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "ERP1"
    folder.mkdir(parents=True)
    (folder / "SraRunTable.csv").write_text("Run,BioProject\nERR1,PRJEB1\n")
    (row,) = plan(tmp_path, "ERP1")["ERR1"]
    assert row.detail.count("Runs from SraRunTable.csv.") == 1
