"""What a later look-up finds beside an earlier one: new, corrected, moved, withdrawn and returned runs, and outages."""

import csv
from pathlib import Path

import pytest

from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError
from scripts.plan.counted import write_counted
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import column_digests, read_unit, read_unit_rows, unit_names
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, family, package, run, sample

PROJECT = ["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"]
OPTIONS = ["--last-plan", "units/last_plan", "--changes", "results/changes.tsv", "--seats", "units/seats.tsv"]
OPTIONS += ["--units", "units/runs", "--index", "units/index.tsv"]
REFRESH = ["--refresh", "all"]


class Analysis:
    """An analysis directory in which looked-up runs are as good as counted."""

    def __init__(self, folder: Path, small: SmallArchives) -> None:
        self.folder, self.small = folder, small
        small.families["GSE1"], small.packages = two_cells()

    def plan(self, *options: str, asked: tuple[str, ...] = ("GSE1",)) -> dict[str, list[Run]]:
        return plan(self.folder, *asked, small=self.small, options=[*OPTIONS, *options])

    def count(self) -> None:
        for unit in unit_names("units/runs"):
            rows = read_unit_rows(f"units/runs/{unit}.tsv")
            statuses = [RunStatus(row.run) for row in rows]
            Path("units/status").mkdir(exist_ok=True)
            write_statuses(f"units/status/{unit}.tsv", statuses)
            digests = column_digests(read_unit(f"units/runs/{unit}.tsv"))
            write_counted(f"units/counted/{unit}.json", "token", "options", digests, statuses)

    def changes(self) -> list[tuple[str, ...]]:
        with Path("results/changes.tsv").open(encoding="utf-8", newline="") as handle:
            rows = [tuple(row) for row in csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)]
        assert rows[0] == ("series", "experiment", "run", "change", "what", "what_follows")
        return rows[1:]


@pytest.fixture
def analysis(tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch) -> Analysis:
    monkeypatch.chdir(tmp_path)
    return Analysis(tmp_path, small)


def test_a_first_plan_has_nothing_to_compare(analysis: Analysis, capsys: pytest.CaptureFixture[str]) -> None:
    analysis.plan(*REFRESH)
    assert analysis.changes() == []
    assert "There is no earlier plan to compare this one with." in capsys.readouterr().out


def test_without_refresh_no_table_is_written(analysis: Analysis) -> None:
    analysis.plan()
    analysis.plan()
    assert not Path("results/changes.tsv").exists()


def test_what_is_new_corrected_and_gone(analysis: Analysis, capsys: pytest.CaptureFixture[str]) -> None:
    small = analysis.small
    analysis.plan()
    analysis.count()
    small.families["GSE1"] = family(
        "GSE1", [sample(f"GSM{number}", [f"SRX{number}"]) for number in (1, 2, 3)], relations=PROJECT
    )
    small.packages["SRX1"] = package("SRX1", [run("SRR1", spots=11), run("SRR2", spots=20)], gsm="GSM1")
    small.packages["SRX2"] = package("SRX2", [], gsm="GSM2")
    small.packages["SRX3"] = package("SRX3", [run("SRR4")], gsm="GSM3")
    rows = analysis.plan(*REFRESH)
    assert analysis.changes() == [
        ("GSE1", "SRX1", "SRR1", "changed", "spots: 10 → 11; bases: 1500 → 1650", "counted again"),
        ("GSE1", "SRX2", "SRR3", "gone", "", "its counts are kept"),
        ("GSE1", "SRX3", "SRR4", "new", "", "counted"),
    ]
    assert "Since the last plan: 1 new, 1 changed, 1 gone (results/changes.tsv)." in capsys.readouterr().out
    assert "SRX2" not in rows  # no second row for the experiment of which nothing is left
    (kept,) = rows["SRR3"]
    assert (kept.status, kept.reason) == ("planned", "")
    assert kept.detail.startswith("It was there on an earlier look-up and is not found now: withdrawn, or not public")
    assert analysis.plan() == rows  # without a refresh, too
    (removed,) = analysis.plan("--withdrawn", "remove")["SRR3"]
    assert (removed.status, removed.reason) == ("left_out", "WITHDRAWN")
    assert analysis.plan() == rows  # and back again


def test_the_same_refresh_once_more_does_not_lose_what_it_found(analysis: Analysis) -> None:
    analysis.plan()
    analysis.small.packages["SRX1"] = package("SRX1", [run("SRR1"), run("SRR2"), run("SRR5")], gsm="GSM1")
    analysis.plan(*REFRESH)
    found = analysis.changes()
    assert [row[2:4] for row in found] == [("SRR1", "changed"), ("SRR2", "changed"), ("SRR5", "new")]
    assert found[-1][-1] == "SRX1 is counted again, with it"
    analysis.plan(*REFRESH)
    assert analysis.changes() == found  # its results are not made yet
    Path("results/SHA256SUMS").write_text(f"{hash_file('results/plan.tsv')}  plan.tsv\n")
    analysis.plan(*REFRESH)
    assert analysis.changes() == []


def test_a_run_that_was_not_counted_is_left_out_when_it_is_gone(analysis: Analysis) -> None:
    analysis.plan()
    analysis.small.packages["SRX2"] = package("SRX2", [], gsm="GSM2")
    (row,) = analysis.plan(*REFRESH)["SRR3"]
    assert (row.status, row.reason) == ("left_out", "WITHDRAWN")
    assert "was not counted" in row.detail
    assert analysis.changes() == [("GSE1", "SRX2", "SRR3", "gone", "", "left out (WITHDRAWN)")]


def test_a_run_that_is_replaced_is_not_counted_beside_the_new_one(analysis: Analysis) -> None:
    analysis.plan()
    analysis.count()
    analysis.small.packages["SRX2"] = package("SRX2", [run("SRR9", lengths=(50,))], gsm="GSM2", layout="SINGLE")
    rows = analysis.plan(*REFRESH)
    assert (rows["SRR3"][0].reason, rows["SRR9"][0].status) == ("WITHDRAWN", "planned")
    assert "SRR9, which may stand in for it" in rows["SRR3"][0].detail


def test_one_of_two_runs_is_gone_and_the_cell_stays_as_it_was_counted(analysis: Analysis) -> None:
    analysis.plan()
    analysis.count()
    analysis.small.packages["SRX1"] = package("SRX1", [run("SRR1", spots=10)], gsm="GSM1")
    rows = analysis.plan(*REFRESH)
    assert [rows[name][0].status for name in ("SRR1", "SRR2")] == ["planned", "planned"]
    rows = analysis.plan("--withdrawn", "remove")
    assert [rows[name][0].status for name in ("SRR1", "SRR2")] == ["planned", "left_out"]


def test_a_run_that_is_back(analysis: Analysis) -> None:
    analysis.plan()
    analysis.count()
    packages = dict(analysis.small.packages)
    analysis.small.packages["SRX2"] = package("SRX2", [], gsm="GSM2")
    analysis.plan(*REFRESH)
    analysis.small.packages = packages
    rows = analysis.plan(*REFRESH)
    assert analysis.changes() == [("GSE1", "SRX2", "SRR3", "back", "", "in the tables, from what was counted")]
    assert rows["SRR3"][0].detail == ""


def test_a_run_moves_to_another_experiment(analysis: Analysis) -> None:
    analysis.plan()
    packages = analysis.small.packages
    packages["SRX1"] = package("SRX1", [run("SRR1", spots=10)], gsm="GSM1")
    packages["SRX2"] = package("SRX2", [run("SRR3", lengths=(50,)), run("SRR2", spots=20)], gsm="GSM2")
    rows = analysis.plan(*REFRESH)
    assert rows["SRR2"][0].experiment == "SRX2"
    found = {row[2]: row[3:] for row in analysis.changes()}
    assert found["SRR2"] == ("changed", "sample: GSM1 → GSM2; experiment: SRX1 → SRX2", "counted again")
    assert "SRR1" not in found  # its own row did not change, its experiment is counted again by its digest


def test_a_title_alone_makes_tables_again(analysis: Analysis) -> None:
    analysis.plan()
    analysis.small.families["GSE1"] = analysis.small.families["GSE1"].replace(
        "Sample_title = cell", "Sample_title = T", 1
    )
    analysis.plan(*REFRESH)
    expected = ("changed", "title: cell → T", "the tables are made again")
    assert [row[3:] for row in analysis.changes()] == [expected, expected]  # its sample has two runs
    before = Path("units/last_plan/state.json").read_text()
    analysis.small.families["GSE1"] = analysis.small.families["GSE1"].replace("Series_title", "Series_summary", 1)
    analysis.plan(*REFRESH)
    assert [row[:4] for row in analysis.changes()] == [("GSE1", "", "", "changed")]
    assert Path("units/last_plan/state.json").read_text() != before


def test_a_whole_series_turns_private(analysis: Analysis) -> None:
    rows = analysis.plan()
    analysis.count()
    analysis.small.families.clear()
    analysis.small.packages.clear()
    gone = analysis.plan(*REFRESH)
    assert gone.keys() == rows.keys()
    assert {row.status for group in gone.values() for row in group} == {"planned"}
    assert {row[3] for row in analysis.changes()} == {"gone"}


@pytest.mark.parametrize("word", ["geo", "efetch", "filereport"])
def test_an_outage_is_never_gone(analysis: Analysis, word: str) -> None:
    small = analysis.small
    small.reports["PRJNA1"] = "run_accession\texperiment_accession\tsample_alias\tstudy_alias\ttax_id\n"
    small.reports["PRJNA1"] += "SRR8\tSRX2\tGSM2\tGSE1\t10090\n"  # ENA alone has it
    rows = analysis.plan()
    assert "SRR8" in rows
    small.before = lambda path, form: (503, b"") if word in path else None
    if word == "filereport":
        assert analysis.plan(*REFRESH) == rows
        assert analysis.changes() == []
    else:
        with pytest.raises(InputError, match="The look-up could not be completed"):
            analysis.plan(*REFRESH)
    small.before = lambda path, form: None
    assert analysis.plan(*REFRESH) == rows
    assert analysis.changes() == []


def test_what_the_user_takes_out_is_not_withdrawn(analysis: Analysis) -> None:
    small = analysis.small
    small.families["GSE2"] = family("GSE2", [sample("GSM5", ["SRX5"], series=["GSE2"])])
    small.packages["SRX5"] = package("SRX5", [run("SRR5")], gsm="GSM5", gse="GSE2", study="SRP2", project="PRJNA2")
    rows = analysis.plan(asked=("GSE1", "GSE2"))
    assert "SRR5" in rows
    rows = analysis.plan(*REFRESH)
    assert "SRR5" not in rows
    assert analysis.changes() == [("GSE2", "SRX5", "SRR5", "gone", "", "not asked for any more")]


def test_a_superseries_gains_a_part(analysis: Analysis) -> None:
    small = analysis.small
    small.families["GSE9"] = family("GSE9", relations=["SuperSeries of: GSE1"])
    analysis.plan(asked=("GSE9",))
    small.families["GSE9"] = family("GSE9", relations=["SuperSeries of: GSE1", "SuperSeries of: GSE2"])
    small.families["GSE2"] = family("GSE2", [sample("GSM5", ["SRX5"], series=["GSE2"])])
    small.packages["SRX5"] = package("SRX5", [run("SRR5")], gsm="GSM5", gse="GSE2", study="SRP2", project="PRJNA2")
    rows = analysis.plan(*REFRESH, asked=("GSE9",))
    assert rows["SRR5"][0].series == "GSE9"
    found = analysis.changes()
    assert ("GSE9", "SRX5", "SRR5", "new", "", "counted") in found
    assert [row for row in found if row[3] != "new"] == [
        (
            *("GSE9", "", "", "changed"),
            "relation: SuperSeries of: GSE1 → SuperSeries of: GSE1; SuperSeries of: GSE2",
            "the tables of metadata are made again",
        )
    ]


def test_a_plan_of_an_older_version_is_compared_with(analysis: Analysis) -> None:
    analysis.plan()
    for path in Path("units/last_plan").iterdir():
        path.unlink()
    analysis.small.packages["SRX2"] = package("SRX2", [], gsm="GSM2")
    assert analysis.plan(*REFRESH)["SRR3"][0].reason == "WITHDRAWN"


def test_a_damaged_last_plan_says_what_to_do(analysis: Analysis) -> None:
    analysis.plan()
    Path("units/last_plan/state.json").write_text("{")
    with pytest.raises(InputError, match=r"units/last_plan: not the last plan .* Delete units/last_plan to go on"):
        analysis.plan()


@pytest.mark.parametrize("asked", ["SRP1", "PRJNA1", "SRX2", "SRR3", "GSM2", "GSE1"])
@pytest.mark.parametrize("is_all_gone", [False, True])
def test_what_is_gone_is_named_whatever_asked_for_it(analysis: Analysis, asked: str, is_all_gone: bool) -> None:
    small = analysis.small
    small.reports["PRJNA1"] = small.reports["SRP1"] = "run_accession\texperiment_accession\n"
    rows = analysis.plan(asked=(asked,))
    assert rows["SRR3"][0].status == "planned"
    analysis.count()
    if is_all_gone:
        small.packages.clear()
        small.families.clear()
    else:
        del small.packages["SRX2"]
    gone = analysis.plan(*REFRESH, asked=(asked,))
    assert gone.keys() == rows.keys()
    assert gone["SRR3"][0].detail.startswith("It was there on an earlier look-up and is not found now")
    assert ("SRR3", "gone", "", "its counts are kept") in [row[2:] for row in analysis.changes()]
    assert analysis.plan(asked=(asked,)) == gone


def test_a_series_that_geo_took_out_while_its_runs_are_public(analysis: Analysis) -> None:
    rows = analysis.plan()
    analysis.small.families.clear()
    for options in (REFRESH, []):
        now = analysis.plan(*options)
        assert now.keys() == rows.keys()
        assert [row.sample for group in now.values() for row in group] == ["GSM1", "GSM1", "GSM2"]
        expected = "GEO has no family file of GSE1; the one of an earlier look-up is used."
        assert {row.detail for group in now.values() for row in group} == {expected}
    assert analysis.changes() == []
