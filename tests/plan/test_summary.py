"""The plan as a person reads it."""

from scripts.plan.run_table import Run
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.size_model import SizeModel
from scripts.plan.summary import format_failed, format_finished, format_made, format_plan
from scripts.plan.units import Cut, summarize_units


def summary(rows, estimator, *more):
    return format_plan(rows, summarize_units(rows, Cut(estimator.shard_size)), estimator, *more)


PLANNED = Run(
    series="GSE1",
    experiment="SRX1",
    run="SRR1",
    species="homo",
    assay="plate",
    layout="paired",
    spots="50000000",
    bases="7500000000",
    bytes="3000000000",
    status="planned",
)


def estimator(shard_size: int = 96) -> Estimator:
    sizes = {"genome_mb": 3200.0, "index_mb": 29_250.0, "kjunctions": 400.0}
    threads = {"download": 2, "fastq": 4, "align": 16, "count": 4}
    return Estimator(SizeModel(), {"human": sizes}, {"homo": "human", "mus": "human"}, shard_size, threads)


def test_the_table_for_a_person() -> None:
    rows = [
        PLANNED,
        PLANNED._replace(species="mus"),
        PLANNED._replace(run="SRR2", experiment="SRX2", detail="SRA says A, GEO B: SRA is followed. Also in GSE2."),
        PLANNED._replace(run="SRR3", experiment="SRX3", detail="Of GSE9, a part of the SuperSeries."),
        Run(series="GSE1", sample="GSM4", status="left_out", reason="NO_RUN", detail="No run."),
        Run(series="GSE1", sample="GSM5", status="left_out", reason="NO_RUN", detail="No run."),
    ]
    remarks = {"SRR2": "SRA says A, GEO B: SRA is followed.", "SRR3": ""}
    lines = summary(rows, estimator(2), {"SRR1"}, remarks).splitlines()
    assert lines[0] == "What will be counted:"
    assert lines[1].split() == "series species assay experiments runs download GB scratch GB core-hours".split()
    # a run: 3 GB of archive, 0.32 x 7.5 + 1.35 x 3 + 0.03 x 50 GB of FASTQ twice; core-minutes: 10.1 to download, 8.8
    # to convert, 125.0 to align, 10.0 to count, and for each of three units 0.2 + 0.12 + 16 x (0.1 + 4.875) + 0.2
    assert lines[2].split() == ["GSE1", "homo", "plate", "3", "3", "9.0", "31.8", "10.4"]
    assert lines[3].split() == ["GSE1", "mus", "plate", "1", "1", "3.0", "15.9", "3.9"]
    assert lines[4].split() == ["all", "3", "3", "12.0", "31.8", "14.3"]
    assert lines[6:] == [
        "Left out:",
        "  NO_RUN (2): GSM4: No run.",
        "Needs a look:",
        "  SRR2: SRA says A, GEO B: SRA is followed.",
        "  SRR1: the records leave the layout of the reads open; the reads will decide",
    ]


def test_many_series_are_cut_short_and_all_of_them_summed() -> None:
    rows = [PLANNED._replace(series=f"GSE{100 + n}", experiment=f"SRX{n}", run=f"SRR{n}") for n in range(70)]
    lines = summary(rows, estimator()).splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["GSE100", "GSE101"]
    assert lines[61].split()[0] == "GSE159"
    assert lines[62].strip() == "… and 10 more"
    assert lines[63].split()[:4] == ["all", "70", "70", "210.0"]


def test_sizes_that_no_record_has() -> None:
    text = summary([PLANNED, PLANNED._replace(run="SRR2", bytes="", bases="", spots="")], estimator())
    assert "(the records do not give the size of 1 runs, which are not in these figures)" in text


def test_the_table_of_nothing() -> None:
    assert summary([Run(series="GSE1", status="left_out", reason="NO_RUN")], estimator()).splitlines() == [
        "Nothing will be counted.",
        "Left out:",
        "  NO_RUN (1): GSE1: ",
    ]


def test_many_notes_are_cut_short() -> None:
    rows = [PLANNED._replace(run=f"SRR{n}", detail=f"Note {n % 25}.") for n in range(100)]
    text = summary(rows, estimator())
    assert "  SRR0, SRR25, SRR50 and 1 more runs: Note 0." in text
    assert "  … and 5 more notes in the column detail of the plan" in text


def test_the_last_words_of_a_run_name_the_first_run_of_each_reason():
    rows = [
        PLANNED._replace(run="SRR1", status="counted"),
        PLANNED._replace(run="SRR2", status="failed", reason="DOWNLOAD_FAILED", detail="404."),
        PLANNED._replace(run="SRR3", status="failed", reason="DOWNLOAD_FAILED", detail="500."),
        PLANNED._replace(run="SRR4", status="failed", reason="ALIGN_FAILED", detail="STAR stopped."),
    ]
    assert format_failed(rows[:1], "runs.tsv") == ""
    assert format_failed(rows, "runs.tsv").splitlines() == [
        "3 runs failed:",
        "  ALIGN_FAILED (1): SRR4 (GSE1): STAR stopped.",
        "  DOWNLOAD_FAILED (2): SRR2 (GSE1): 404.",
        "All are in runs.tsv; docs/reasons.md says what can be done for each reason. To try them again:",
        "  snakemake --config 'retry=[ALIGN_FAILED,DOWNLOAD_FAILED]'",
    ]
    assert format_failed(rows[3:], "runs.tsv").startswith("1 run failed:")
    judged = [Run(series="S", run="R1", status="failed", reason="LOW_GENE_SHARE", detail="1% of the reads.")]
    assert format_failed(judged, "runs.tsv").splitlines()[-1] == (
        "All are in runs.tsv; docs/reasons.md says what can be done for each reason."
    )


def test_a_finished_analysis_says_what_came_of_its_runs():
    rows = [Run(run=f"SRR{number}", status="counted") for number in range(1200)]
    rows += [Run(status="left_out", reason=reason) for reason in ("NO_RUN", "NOT_RNA", "NO_RUN")]
    assert format_finished(rows) == ("Of 1,203 runs: 1,200 counted, 3 left out.\nLeft out: NOT_RNA (1), NO_RUN (2).")
    assert format_finished([]) == "Of 0 runs: none."


def test_what_was_made_is_listed_with_its_size(tmp_path):
    (tmp_path / "mex" / "SRX1").mkdir(parents=True)
    (tmp_path / "mex" / "SRX1" / "Gene.tar.gz").write_bytes(bytes(2500))
    (tmp_path / "report.html").write_bytes(bytes(3_200_000))
    assert format_made(tmp_path, "mine/results").splitlines() == [
        "What was made, in mine/results/:",
        "  mex/ (1 file)  2.5 kB",
        "  report.html    3.2 MB",
    ]
