"""Findings name what is flagged, the worst first, with the other one of a copy, a mixture or a swap."""

import pandas as pd

from scripts.harvest.quality.flags import FLAGS
from scripts.harvest.report_page.findings import findings_of, verdict_of
from scripts.harvest.report_page.runs import frame_of
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import Run

FAILED = Run(
    "GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="failed", reason="EMPTY_READS"
)


def table(*rows):
    names = ("cell", "series", "sample", "experiment", "species", "status", "flags")
    common = dict.fromkeys(names, "x") | {"status": "counted", "flags": ""}
    return pd.DataFrame([common | row for row in rows], columns=[*common, *(rows[-1].keys() - common.keys())])


def found(ledger=(), cells=(), libraries=()):
    empty = table({})[:0]
    tables = (table(*rows) if rows else empty for rows in (cells, libraries))
    return findings_of(frame_of(ledger), *tables, ["A sentence."] if ledger else [])


def test_the_worst_come_first_and_each_says_what_to_do():
    cells = [{"cell": "SRX1", "flags": "FEW_READS"}, {"cell": "SRX2", "flags": "DUPLICATE_READS;FEW_READS"}]
    first, second = found(cells=cells)
    assert (first.severity, first.subject, list(first.names)) == ("error", "1 plate cell", ["SRX2"])
    assert (first.meaning, first.remedy) == FLAGS["DUPLICATE_READS"][2:]
    assert (second.severity, second.subject, list(second.names)) == ("note", "2 plate cells", ["SRX1", "SRX2"])
    assert (second.target, second.code) == ("cells-flagged", "FEW_READS")


def test_the_verdict_has_the_number_of_findings_of_each_severity():
    cells = [{"cell": "SRX1", "flags": "FEW_READS"}, {"cell": "SRX2", "flags": "DUPLICATE_READS;EMPTY_WELL"}]
    assert verdict_of(found(cells=cells)) == [("error", 1), ("note", 2)]
    assert verdict_of([]) == []


def test_the_other_one_of_a_finding_is_named():
    cells = [
        {"cell": "SRX1", "flags": "DUPLICATE_READS", "same_reads_as": "SRR9", "pct_same_reads": 98.4},
        {"cell": "SRX2", "flags": "SPECIES_MISMATCH", "other_species": "homo", "pct_other_species": 97.25},
        {"cell": "SRX3", "flags": "SEX_MISMATCH", "sex_of_record": "male", "sex_of_genes": "female"},
        {"cell": "SRX4", "flags": "DUPLICATE_COUNTS", "same_counts_as": "SRX5", "pct_same_counts": 100.0},
    ]
    frame = pd.DataFrame([{"experiment": "", "status": "counted", **row} for row in cells]).astype(object)
    frame = frame.where(frame.notna(), "")
    names = {finding.code: list(finding.names) for finding in findings_of(frame_of([]), frame, table({})[:0])}
    assert names == {
        "SPECIES_MISMATCH": ["SRX2 (97.25 % of its reads are of homo)"],
        "DUPLICATE_READS": ["SRX1 – SRR9 (98.4 % of the reads)"],
        "DUPLICATE_COUNTS": ["SRX4 – SRX5 (100 % of the counts)"],
        "SEX_MISMATCH": ["SRX3 (record: male, genes: female)"],
    }


def test_a_sample_is_named_once_for_all_its_cells():
    sexes = {"sample": "GSM7", "flags": "SEX_MISMATCH", "sex_of_record": "male", "sex_of_genes": "female"}
    (finding,) = found(cells=[{"cell": f"SRX{number}", **sexes} for number in range(30)])
    assert (finding.subject, list(finding.names)) == ("1 sample", ["GSM7 (record: male, genes: female)"])


def test_libraries_that_share_barcodes_are_named():
    library = {
        "experiment": "SRX7",
        "flags": "BARCODE_OVERLAP",
        "barcodes_shared_with": "SRX8",
        "barcodes_shared": 412.0,
    }
    (finding,) = found(libraries=[library])
    assert (finding.subject, finding.target) == ("1 droplet library", "libraries")
    assert list(finding.names) == ["SRX7 – SRX8 (412 barcodes)"]


def test_failed_runs_are_findings_with_the_remedy_of_their_reason():
    counted = FAILED._replace(run="SRR2", status="counted", reason="")
    lost, reason, reference = found([FAILED, counted._replace(series="GSE2")])
    assert (lost.severity, list(lost.names), lost.meaning) == (
        "error",
        ["GSE1"],
        "no run was counted: every one failed",
    )
    assert (reason.severity, reason.code, list(reason.names)) == ("warning", "EMPTY_READS", ["SRR1"])
    assert reason.remedy == REASONS["EMPTY_READS"].remedy
    assert (reference.severity, reference.meaning, reference.names) == ("warning", "A sentence.", ())
    assert [finding.severity for finding in found([FAILED, counted])] == ["warning", "warning"]


def test_each_pair_is_named_once():
    copies = {"flags": "DUPLICATE_COUNTS", "pct_same_counts": 100.0}
    cells = [{"cell": "A", "same_counts_as": "B", **copies}, {"cell": "B", "same_counts_as": "A", **copies}]
    (finding,) = found(cells=cells)
    assert (finding.subject, list(finding.names)) == ("2 plate cells", ["A – B (100 % of the counts)"])


def test_most_runs_that_failed_for_one_reason_have_a_cause_in_common():
    lost = [FAILED._replace(run=f"SRR{run}", reason="DOWNLOAD_FAILED") for run in range(60)]
    series, reason, _ = found(lost)
    assert (series.severity, series.subject) == ("error", "1 series")
    assert (reason.severity, reason.subject) == ("error", "All 60 runs")
    assert reason.meaning == f"failed for one reason: {REASONS['DOWNLOAD_FAILED'].meaning}"
    assert reason.remedy == (
        "Suspect what they have in common: the archive, the configuration or the network. Look at one run, then run"
        " again with --config retry='[DOWNLOAD_FAILED]'."
    )
    good = [FAILED._replace(run=f"SRR{run}", status="counted", reason="") for run in range(60, 119)]
    assert found([*lost, *good])[0].subject == "60 of 119 runs"
    half = found([*lost, *good, good[0]._replace(run="SRR119")])[0]
    assert (half.severity, half.subject, half.remedy) == (
        "warning",
        "60 runs",
        REASONS["DOWNLOAD_FAILED"].remedy.replace("{code}", "DOWNLOAD_FAILED"),
    )


def test_only_the_first_of_many_are_named():
    (finding,) = found(cells=[{"cell": f"SRX{number}", "flags": "FEW_READS"} for number in range(40)])
    assert (finding.subject, len(finding.names), finding.more) == ("40 plate cells", 12, 28)


def test_a_flag_of_another_version_and_a_failed_cell():
    (finding,) = found(cells=[{"flags": "NEW_FLAG"}, {"flags": "FEW_READS", "status": "failed"}])
    assert (finding.code, finding.severity, finding.meaning) == (
        "NEW_FLAG",
        "note",
        "a flag that this version does not know",
    )
