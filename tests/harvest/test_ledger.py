"""The ledger has a final status for every row of the plan."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.harvest import ledger
from scripts.plan.run_table import Run, read_runs, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import Cut, cut_into_units, write_units


def plate(run, experiment, series="GSE1", species="mus", **more):
    sample = experiment.replace("SRX", "GSM")
    more = {"exp_id": series, "sample": sample, "assay": "plate", "status": "planned", "spots": "5"} | more
    return Run(series=series, experiment=experiment, run=run, species=species, **more)


PLAN = [
    plate("SRR1", "SRX1"),
    plate("SRR2", "SRX2"),
    plate("SRR3", "SRX2"),
    plate("SRR4", "SRX3"),
    plate("SRR5", "SRX4", assay="droplet", species="homo", chemistry="10xv2"),
    plate("", "", species="", sample="GSM9", status="left_out", reason="NO_RUN", detail="The sample has no run."),
]
STATUSES = {
    "GSE1.mus.0000": [
        RunStatus("SRR1", source="ncbi", spots="7"),
        RunStatus("SRR2"),
        RunStatus("SRR3", "failed", "EMPTY_READS", "no"),
    ],
    "GSE1.mus.0001": [RunStatus("SRR4", "failed", "DOWNLOAD_FAILED", "404 at all three archives.")],
    "GSE1.homo.SRX4": [RunStatus("SRR5", detail="a note", chemistry="10xv3", read_roles="barcode,cdna")],
}


def write(tmp_path, plan=PLAN, statuses=STATUSES, count_by="experiment"):
    write_runs(tmp_path / "plan.tsv", plan)
    write_units(tmp_path / "units", cut_into_units(plan, Cut(2)), count_by)
    for unit, rows in statuses.items():
        write_statuses(tmp_path / f"{unit}.tsv", rows)
    return [
        *("--plan", str(tmp_path / "plan.tsv"), "--units", str(tmp_path / "units")),
        *("--statuses", str(tmp_path / "{unit}.tsv"), "--output", str(tmp_path / "runs.tsv")),
    ]


def test_every_row_gets_its_final_status(tmp_path, capsys):
    ledger.main(write(tmp_path))
    rows = {row.run: row for row in read_runs(tmp_path / "runs.tsv")}
    assert rows["SRR1"] == PLAN[0]._replace(status="counted", source="ncbi", spots="7")
    assert rows["SRR2"][-3:] == (
        "failed",
        "INCOMPLETE_EXPERIMENT",
        "SRR3 of the same experiment failed: EMPTY_READS.",
    )
    assert rows["SRR3"][-3:] == ("failed", "EMPTY_READS", "no")
    assert rows["SRR4"][-3:] == ("failed", "DOWNLOAD_FAILED", "404 at all three archives.")
    assert rows["SRR5"] == PLAN[4]._replace(
        status="counted", detail="a note", chemistry="10xv3", read_roles="barcode,cdna"
    )
    assert rows[""] == PLAN[5]
    assert len(rows) == len(PLAN)
    assert capsys.readouterr().out.split("\n")[:4] == [
        "series  status    reason                 runs",
        "GSE1    counted                             2",
        "GSE1    failed    DOWNLOAD_FAILED           1",
        "GSE1    failed    EMPTY_READS               1",
    ]


def test_runs_that_are_aside_do_not_fail_their_experiment(tmp_path):
    statuses = STATUSES | {
        "GSE1.mus.0000": [
            RunStatus("SRR1", "left_out", "INDEX_READS_ONLY", "index reads."),
            RunStatus("SRR2"),
            RunStatus("SRR3", "joined", detail="Its reads are joined to the spots of SRR2.", read_roles="cdna2"),
        ]
    }
    ledger.main(write(tmp_path, statuses=statuses))
    rows = {row.run: row for row in read_runs(tmp_path / "runs.tsv")}
    assert rows["SRR1"][-3:] == ("left_out", "INDEX_READS_ONLY", "index reads.")
    assert rows["SRR2"][-3:] == ("counted", "", "")
    assert rows["SRR3"][-3:] == ("counted", "", "Its reads are joined to the spots of SRR2.")
    statuses["GSE1.mus.0000"][1] = RunStatus("SRR2", "failed", "ALIGN_FAILED", "no.")
    ledger.main(write(tmp_path, statuses=statuses))
    rows = {row.run: row.reason for row in read_runs(tmp_path / "runs.tsv")}
    assert (rows["SRR1"], rows["SRR3"]) == ("INDEX_READS_ONLY", "INCOMPLETE_EXPERIMENT")


def test_by_run_a_sibling_is_counted(tmp_path):
    ledger.main(write(tmp_path, count_by="run"))
    rows = {row.run: row.status for row in read_runs(tmp_path / "runs.tsv")}
    assert (rows["SRR2"], rows["SRR3"]) == ("counted", "failed")


def test_a_plan_without_work_gives_a_ledger(tmp_path):
    ledger.main(write(tmp_path, plan=[PLAN[5]], statuses={}))
    assert read_runs(tmp_path / "runs.tsv") == [PLAN[5]]


def test_all_that_is_missing_is_reported_at_once(tmp_path):
    statuses = {"GSE1.mus.0000": [RunStatus("SRR1")], "GSE1.homo.SRX4": STATUSES["GSE1.homo.SRX4"]}
    arguments = write(tmp_path, plan=[*PLAN, plate("SRR6", "SRX6", status="")], statuses=statuses)
    with pytest.raises(InputError) as error:
        ledger.main(arguments)
    assert str(error.value) == "\n".join(
        [
            "The ledger needs 3 corrections:",
            "SRR6: its status in the plan is '', not planned or left_out.",
            f"GSE1.mus.0000: {tmp_path}/GSE1.mus.0000.tsv has no row for SRR2, SRR3.",
            f"GSE1.mus.0001: its status table {tmp_path}/GSE1.mus.0001.tsv does not exist; make it first.",
        ]
    )
    assert not (tmp_path / "runs.tsv").exists()


def test_what_a_reference_lacks_is_said_at_the_end(tmp_path, capsys):
    lost = {"name": "mm10", "annotation": {"genes": 1000, "lost_genes": 37, "lost_contigs": 1, "lost_names": ["MT"]}}
    (tmp_path / "reference.json").write_text(json.dumps(lost))
    ledger.main([*write(tmp_path), "--references", str(tmp_path / "reference.json")])
    words = "Reference mm10: 37 of 1,000 genes (3.70%) are not counted: the genome lacks their contigs (MT)."
    assert capsys.readouterr().out.splitlines()[-1] == words


def test_a_summary_of_several_series_ends_with_the_sum():
    rows = [plate("SRR1", "SRX1", status="counted"), plate("SRR2", "SRX2", series="GSE2", status="counted")]
    assert ledger.summarize(rows).splitlines()[-1] == "all     counted             2"


def settled(reads, mapped, *floors, runs=1):
    rows = [plate(f"SRR{number}", "SRX1") for number in range(runs)]
    statuses = {row.run: RunStatus(row.run, reads=str(reads), mapped=str(mapped)) for row in rows}
    return [
        (row.status, row.reason, row.detail) for row in ledger.settle_unit([rows], statuses, ledger.Floors(*floors))
    ]


COUNTED = ("counted", "", "")


def test_a_cell_that_does_not_map_fails():
    assert settled(5000, 99, 0.02) == [
        (
            "failed",
            "LOW_MAPPING",
            "99 of 5,000 reads (1.98%) map to the genome, less than `plates: {min_mapped: 0.02}` asks for.",
        )
    ]
    assert settled(5000, 100, 0.02) == [COUNTED]
    assert settled(5000, 0, 0) == [COUNTED]
    assert [row[:2] for row in settled(5000, 0, 0.02, runs=2)] == [("failed", "LOW_MAPPING")] * 2


def test_an_empty_well_has_no_share_of_mapped_reads():
    assert settled(99, 0, 0.02) == settled(0, 0, 0.02) == [COUNTED]
    assert settled(100, 0, 0.02)[0][0] == "failed"


def test_a_cell_with_few_reads_is_left_out_on_request():
    words = "1 read, fewer than `plates: {min_reads: 2}` asks for."
    assert settled(1, 1, 0.02, 2) == [("left_out", "EMPTY_READS", words)]
    assert settled(2, 2, 0.02, 2) == [COUNTED]


def test_a_cell_whose_reads_are_not_known_meets_every_floor():
    assert settled("", "", 1.0, 10**9) == [COUNTED]


def test_floors_are_options_of_the_command(tmp_path):
    statuses = STATUSES | {
        "GSE1.mus.0000": [
            RunStatus("SRR1", reads="1000", mapped="0"),
            RunStatus("SRR2", reads="7", mapped="7"),
            RunStatus("SRR3", reads="7", mapped="7"),
        ]
    }
    ledger.main([*write(tmp_path, statuses=statuses), "--min-mapped=0.5", "--min-reads=8"])
    rows = {row.run: row.reason for row in read_runs(tmp_path / "runs.tsv")}
    assert (rows["SRR1"], rows["SRR2"], rows["SRR3"], rows["SRR5"]) == ("LOW_MAPPING", "EMPTY_READS", "EMPTY_READS", "")
