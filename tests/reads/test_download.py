"""The download of a unit: what a run's failure leaves, local files, room on the disk, and reports."""

import re
import shutil

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, read_runs, write_runs
from scripts.plan.sizes.footprint import format_gb, run_footprint, unit_footprint
from scripts.reads import download
from tests.reads.analysis_directory import UNIT, Analysis

pytestmark = pytest.mark.tools

ONE, TWO, CORRUPT, GONE = "SRR9000001", "SRR9000002", "SRR9000023", "SRR9000031"


def test_an_archive_that_is_corrupt_everywhere_is_asked_for_twice_only(tmp_path, server, world):
    made = Analysis(tmp_path, server, world, [CORRUPT])
    made.run("--more-passes", "5")
    status = made.statuses()[CORRUPT]
    assert status.reason == "ARCHIVE_CORRUPT"
    assert status.detail.startswith("sra: vdb-validate refuses the archive: ")
    assert "ncbi: vdb-validate refuses the archive: " in status.detail
    assert made.sent(CORRUPT) == 2 * len(made.original(CORRUPT))
    assert sorted(path.name for path in made.output.iterdir()) == ["status.tsv"]


def test_one_lost_run_does_not_stop_the_others(tmp_path, server, world):
    made = Analysis(tmp_path, server, world, [ONE, GONE, TWO, CORRUPT])
    made.run("--parallel", "2")
    states = {run: status.reason for run, status in made.statuses().items()}
    assert states == {ONE: "", GONE: "DOWNLOAD_FAILED", TWO: "", CORRUPT: "ARCHIVE_CORRUPT"}
    made.check_served(ONE, "sra")
    made.check_served(TWO, "sra")


def test_a_run_that_is_named_like_a_folder_elsewhere_deletes_nothing(tmp_path, monkeypatch):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "analysis").mkdir()
    monkeypatch.chdir(tmp_path / "analysis")
    for run in (str(tmp_path / "thesis"), "../../../../thesis", "--option-file=x"):
        row = Run("GSE1", experiment="SRX1", run=run, species="mus", assay="plate", bytes="9", status="planned")
        write_runs("GSE1.mus.0000.tsv", [row])
        nowhere = ["--resolver", "http://127.0.0.1:9", "--more-passes", "0", "--patience", "1"]
        with pytest.raises(InputError) as error:
            download.main(
                ["--runs", "GSE1.mus.0000.tsv", "--records", "records", *nowhere, "--output", "work/download/GSE1"]
            )
        shown, words, _ = str(error.value).partition(" cannot be the name of a file or folder in work/partial/GSE1.")
        assert words and f"'{run}.json'".startswith(shown.rstrip("'").rstrip("…"))
        assert (tmp_path / "thesis").is_dir()


def test_a_source_that_keeps_failing_is_asked_last(several):
    several.server.fault("/sdl/", 503)
    several.run("--order", "sra", "ncbi")
    assert {status.source for status in several.statuses().values()} == {"ncbi"}
    assert {asked.form.split("&")[0] for asked in several.server.asked("sdl")} == {
        f"acc={run}" for run in several.runs[:3]
    }


def test_local_archives_are_checked_and_linked(analysis, world):
    shutil.copy(world.sra / f"{ONE}.sra", analysis.folder / "mine")
    analysis.plan([ONE], source="file:mine")
    status = analysis.run()[ONE]
    assert (status.state, status.source) == ("ok", "file:mine")
    assert (analysis.output / f"{ONE}.sra").readlink() == analysis.folder / "mine"
    assert not analysis.server.requests


@pytest.mark.parametrize(
    ("source", "reason", "detail"),
    [
        ("file:nowhere.fastq;nor_here.fastq", "DOWNLOAD_FAILED", "no such file: nowhere.fastq, nor_here.fastq."),
        ("file:", "DOWNLOAD_FAILED", "no such file: file:."),
        (f"file:{UNIT}.tsv", "ARCHIVE_CORRUPT", f"neither an archive nor FASTQ nor BAM: {UNIT}.tsv."),
        (
            "file:reads.fastq;archive",
            "LAYOUT_AMBIGUOUS",
            "a run is several FASTQ files, or one archive, or one BAM.",
        ),
    ],
)
def test_local_files_that_do_not_fit_are_reported(analysis, source, reason, detail):
    (analysis.folder / "reads.fastq").write_text("@r\nA\n+\nI\n")
    (analysis.folder / "archive").write_bytes(b"NCBI.sra")
    analysis.plan([ONE], source=source)
    analysis.run()
    analysis.check_failed(ONE, reason, detail)


def test_local_fastq_is_left_where_it_is(analysis):
    (analysis.folder / "reads.fastq").write_text("@r\nA\n+\nI\n")
    analysis.plan([ONE], source="file:reads.fastq")
    assert analysis.run()[ONE].ok
    assert [path.name for path in analysis.output.iterdir()] == ["status.tsv"]


def test_the_limit_of_the_disk_is_reported_before_it_is_reached(several):
    rows = read_runs(several.folder / f"{UNIT}.tsv")
    limit = unit_footprint(rows[:2]).peak / 1e9
    statuses = several.run("--limit-gb", f"{limit:.9f}")
    assert [status.reason for status in statuses.values()] == ["", "", *["DISK_LIMIT"] * 3]
    assert {status.cause for status in statuses.values()} == {""}
    assert statuses[rows[2].run].detail == (
        f"with its FASTQ it may need {format_gb(run_footprint(rows[2]).peak)}, which with the others of its shard "
        f"passes scratch.limit_gb, {limit:g}; set that to {format_gb(unit_footprint(rows).peak).split()[0]} or more, "
        "and retry to [DISK_LIMIT]."
    )
    assert not [run for run in several.runs[2:] if several.server.asked(run)]
    assert set(several.run("--limit-gb", format_gb(unit_footprint(rows).peak).split()[0])) == set(several.runs)
    assert all(status.ok for status in several.statuses().values())


def test_the_runs_of_an_experiment_find_room_together_or_not_at_all(several):
    several.plan(several.runs[:3], experiment="SRX1")
    rows = read_runs(several.folder / f"{UNIT}.tsv")
    statuses = several.run("--limit-gb", f"{unit_footprint(rows[:2]).peak / 1e9:.9f}")
    assert {status.reason for status in statuses.values()} == {"DISK_LIMIT"}
    assert not several.server.requests


def test_archives_larger_than_planned_are_refused_where_they_have_no_room(several):
    several.plan(several.runs[:3], bytes="10", bases="10", spots="1")
    limit = sum(several.world.archives[run].size for run in several.runs[:2]) / 1e9
    several.run("--limit-gb", f"{limit:.9f}", "--order", "ncbi")
    status = several.statuses()[several.runs[2]]
    assert status.reason == "DISK_LIMIT"
    assert re.fullmatch(r"the archive has [\d.]+ kB, which .* passes scratch\.limit_gb, .*", status.detail)


def test_the_disk_that_was_used_is_reported_with_its_estimate(several, capsys):
    several.run()
    pattern = r"^Disk: at most ([\d.]+) MB; the estimate was ([\d.]+) MB\.$"
    found = re.search(pattern, capsys.readouterr().err, re.MULTILINE)
    sizes = sum(several.world.archives[run].size for run in several.runs)
    assert [float(found[1]), float(found[2])] == [pytest.approx(sizes / 1e6, abs=0.06)] * 2


def test_a_run_table_without_rows_is_refused(analysis):
    write_runs(analysis.folder / "empty.tsv", [])
    with pytest.raises(InputError, match=r"empty\.tsv: the run table of the unit has no row\."):
        download.main([*analysis.words(), "--runs", str(analysis.folder / "empty.tsv")])
