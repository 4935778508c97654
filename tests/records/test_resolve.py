"""The command resolve: what is asked for, and run tables."""

import re
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import read_runs
from scripts.records import resolve
from tests.records.looked_up import UNREACHABLE


def test_what_is_asked_for_may_stand_in_files(tmp_path: Path) -> None:
    listed = tmp_path / "series.txt"
    listed.write_text("# two series\nGSE1\n\n GSE2  # the second\nGSE1\n")
    assert resolve.read_asked([str(listed), "SRX3", "GSE1"]) == ["GSE1", "GSE2", "SRX3"]


def test_all_malformed_accessions_are_reported(tmp_path: Path) -> None:
    listed = tmp_path / "series.txt"
    listed.write_text("GSE1\nGSE\n")
    with pytest.raises(InputError) as caught:
        resolve.read_asked(["gse75140", str(listed), "SAMN05379703", "../GSE1", "X99", "SRS7"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "What is asked for needs 4 corrections:"
    assert "series.0: 'gse75140' is not an accession that can be looked up; did you mean GSE75140?" in lines
    assert any(re.search(r"series\.txt, line 2: 'GSE' is not an accession .*; e\.g\. GSE67835", line) for line in lines)
    assert "series.3: ../GSE1: it cannot be read: No such file or directory; did you mean GSE1?" in lines


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="nothing is asked for"):
        resolve.read_asked([])
    with pytest.raises(InputError, match=r"none\.txt has no accession"):
        resolve.read_asked([str(tmp_path / "none.txt")])


def test_a_run_table_is_planned_without_a_look_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.fastq.gz").touch()
    (tmp_path / "runs.tsv").write_text(
        "run\tspecies\tassay\tsource\nA2\tmus\tplate\tfile:a.fastq.gz\nSRR1\thomo\tplate\t\n"
    )
    output = tmp_path / "plan.tsv"
    words = ["--run-table", str(tmp_path / "runs.tsv"), "--species", "homo=9606", "mus=10090", "--output", str(output)]
    resolve.main([*words, "--geo", UNREACHABLE, "--evidence", str(tmp_path / "evidence.jsonl")])
    assert [(row.run, row.source) for row in read_runs(output)] == [("A2", "file:a.fastq.gz"), ("SRR1", "sra")]
    assert (tmp_path / "evidence.jsonl").read_bytes() == b""
    assert "What will be counted:" in capsys.readouterr().out


def test_every_local_file_that_is_missing_is_named_and_nothing_is_planned(tmp_path: Path) -> None:
    table = tmp_path / "runs.tsv"
    table.write_text(
        "run\tspecies\tassay\tsource\tstatus\treason\n"
        "A1\tmus\tplate\tfile:/none/1.fq;/none/2.fq\t\t\n"
        f"A2\tmus\tplate\tfile:{table};/none/3.fq\t\t\n"
        "A3\tmus\tplate\tfile:/none/4.fq\tleft_out\tEMPTY_READS\n"
    )
    with pytest.raises(InputError) as error:
        resolve.main(["--run-table", str(table), "--species", "mus=10090", "--output", str(tmp_path / "plan.tsv")])
    assert str(error.value).splitlines() == [
        f"The run table ({table}) needs 2 corrections:",
        "A1: source: no such file, or not readable: /none/1.fq, /none/2.fq.",
        f"A2: source: no such file, or not readable: /none/3.fq; neither an archive nor FASTQ nor BAM: {table}.",
    ]
    assert not (tmp_path / "plan.tsv").exists()


def test_the_plan_says_which_lists_its_libraries_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.tsv"
    table.write_text("run\tspecies\tassay\nSRR1\tmus\tdroplet\n")
    words = ["--run-table", str(table), "--species", "mus=10090", "--output", str(tmp_path / "plan.tsv")]
    words += ["--chemistries", str(Path(__file__).parents[2] / "config" / "chemistries.yaml")]
    resolve.main(words)
    told = capsys.readouterr().out.partition("What will fail:\n")[2]
    assert told.startswith(
        "  1 droplet library (SRR1): no inclusion list is configured, and only barcodes prove a kit; "
    )
    assert "3M-february-2018 (10x Chromium 3′ v3 or v3.1)" in told
    resolve.main([*words, "--inclusion-lists", "3M-february-2018"])
    assert "What will fail" not in capsys.readouterr().out
