"""What is known of the reads of each run, joined from records, reads and ledger."""

import json
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest import evidence
from scripts.plan.run_table import Run, write_runs

CHEMISTRIES = str(Path(__file__).parents[2] / "config/chemistries.yaml")
FIGURES = [{"read": 1, "inclusion_list": "737K-august-2016", "share": 0.93, "chance": 0.0002}]
VERDICT = {"roles": "barcode,cdna", "rank": 3, "evidence": "barcodes", "figures": FIGURES}


def row(run, assay="droplet", **more):
    known = {"series": "S", "experiment": "X1", "species": "homo", "status": "counted"}
    return Run(run=run, assay=assay, **(known | more))


def join(folder, rows, records=(), **libraries):
    write_runs(folder / "runs.tsv", rows)
    (folder / "records.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    for library, runs in libraries.items():
        verdicts = {
            "library": library,
            "inclusion_lists": {"737K": 9},
            "not_tried": {"split_seq": "no list"},
            "runs": runs,
        }
        (folder / f"S.homo.{library}.json").write_text(json.dumps(verdicts))
    words = ["--ledger", folder / "runs.tsv", "--records", folder / "records.jsonl", "--chemistries", CHEMISTRIES]
    words += ["--roles", folder / "{unit}.json", "--output", folder / "out" / "evidence.jsonl"]
    evidence.main(list(map(str, words)))
    return [json.loads(line) for line in (folder / "out" / "evidence.jsonl").read_text().splitlines()]


def test_a_run_has_what_records_and_reads_said(tmp_path):
    counted = row("R1", chemistry="10x_5p_v2", read_roles="barcode,cdna")
    (evidence,) = join(
        tmp_path, [counted], [{"run": "R1", "assay": "droplet", "evidence": ["two reads"]}], X1={"R1": VERDICT}
    )
    assert (evidence["run"], evidence["status"], evidence["read_roles"]) == ("R1", "counted", "barcode,cdna")
    assert (evidence["chemistry"], evidence["strand"]) == ("10x_5p_v2", "Reverse")
    assert (evidence["rank"], evidence["evidence"]) == (3, "barcodes")
    assert evidence["records"]["evidence"] == ["two reads"]
    assert evidence["reads"]["figures"] == FIGURES
    assert (evidence["reads"]["rank"], evidence["reads"]["inclusion_lists"]) == (3, {"737K": 9})
    assert evidence["reads"]["not_tried"] == {"split_seq": "no list"}


def test_a_refused_library_keeps_its_figures(tmp_path):
    fault = {"reason": "CHEMISTRY_UNKNOWN", "detail": "no read has its barcodes on an inclusion list."}
    failed = row("R1", status="failed", reason=fault["reason"], detail=fault["detail"])
    other = row("R2", experiment="X2", status="failed", reason="DOWNLOAD_FAILED")
    said = [{"run": "R1", "told_by": "read lengths"}, {"run": "R2", "told_by": "loader options"}]
    joined = join(tmp_path, [failed, other], said, X1={"R1": {"fault": fault, "figures": FIGURES}})
    assert (joined[0]["reason"], joined[0]["strand"]) == ("CHEMISTRY_UNKNOWN", "")
    assert joined[0]["reads"]["fault"] == fault
    assert joined[0]["reads"]["figures"] == FIGURES
    assert (joined[0]["rank"], joined[0]["evidence"]) == (0, "")  # the reads were looked at, and did not show them
    assert joined[1]["reads"] is None
    assert (joined[1]["rank"], joined[1]["evidence"]) == (0, "loader options")


def test_every_row_with_a_run_is_there_once_and_no_other(tmp_path):
    rows = [
        row("R1", assay="plate"),
        row("R2", experiment="X2", status="left_out", reason="NOT_RNA"),
        row("", experiment="", assay="", status="left_out", reason="NO_RUN"),
        row("R3", experiment="X3"),
        row("R3", experiment="X3", species="mus"),
    ]
    joined = join(tmp_path, rows, X3={"R3": VERDICT})
    assert [(one["run"], one["species"]) for one in joined] == [
        ("R1", "homo"),
        ("R2", "homo"),
        ("R3", "homo"),
        ("R3", "mus"),
    ]
    assert [bool(one["reads"]) for one in joined] == [False, False, True, False]
    assert {one["records"] for one in joined} == {None}
    assert join(tmp_path, []) == []


def test_faults_are_reported(tmp_path):
    write_runs(tmp_path / "runs.tsv", [])
    (tmp_path / "records.jsonl").write_text('{"run": "R1"}\n{"experiment": "X1"}\n')
    words = ["--ledger", str(tmp_path / "runs.tsv"), "--records", str(tmp_path / "records.jsonl")]
    words += ["--chemistries", CHEMISTRIES, "--output", str(tmp_path / "out.jsonl")]
    with pytest.raises(InputError, match=r"records\.jsonl, line 2: not a JSON object with a run\."):
        evidence.main([*words, "--roles", "{unit}.json"])
    with pytest.raises(InputError, match=r"--roles x\.json: there must be \{unit\} in it\."):
        evidence.main([*words, "--roles", "x.json"])
    assert not (tmp_path / "out.jsonl").exists()
