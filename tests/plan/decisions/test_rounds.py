"""Which units are counted again, and for which reasons failed runs are tried again."""

from pathlib import Path

import pytest

from scripts.core.errors import DISK_FULL, NO_LIST, TOO_MANY_DROPPED, InputError
from scripts.plan.counted import CountedUnit, counted_file, read_counted, write_counted, write_judged
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.decisions.rounds import Rounds
from scripts.plan.local_files import FileDigests
from scripts.plan.sizes.jobs import JobResources
from scripts.plan.sizes.size_model import SizeModel
from scripts.plan.status import RunStatus
from scripts.plan.units import column_digests, columns_of, summarize_unit, write_units
from tests.plan.analyses import KITS, analysis
from tests.plan.test_units import cells

UNIT = "GSE1.mus.0000"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rounds(rows=None, **values: object) -> Rounds:
    """Return the rounds of an analysis in which these rows are planned for the unit."""
    rows = cells(3) if rows is None else rows
    config = analysis(**values).config
    write_units("units/runs", {UNIT: rows}, str(config["count_by"]))
    unit = summarize_unit(rows, config["count_by"])
    made = Analysis(config, KITS, lambda: {UNIT: unit}, files=FileDigests("files.tsv", keep=True))
    return Rounds(made, JobResources(made, SizeModel()))


def count(now: Rounds, *failed: str, cause: str = "") -> str:
    """Write the record that the job of the unit leaves; return its token."""
    statuses = [RunStatus(f"SRR{n}", "failed", reason, "x", cause=cause) for n, reason in enumerate(failed)]
    token, options, settings = now.token(UNIT), now.analysis.options_digest(UNIT), now.analysis.settings()
    rows = [*statuses, RunStatus("SRR9")]
    write_counted(
        counted_file(UNIT), token, options, now.analysis.columns(UNIT), rows, settings, now.analysis.digest(UNIT)
    )
    return token


def test_what_was_counted_as_it_is_planned_is_done():
    first = count(rounds())
    assert (rounds().token(UNIT), rounds().is_new(UNIT), rounds().kept(UNIT)) == (first, False, [])
    assert rounds(retry="all").token(UNIT) == first  # nothing failed


def test_columns_are_not_compared_where_the_plan_is_the_same(monkeypatch):
    first = count(rounds())
    now = rounds()
    monkeypatch.setattr(Analysis, "columns", None)
    assert now.token(UNIT) == first


def test_a_cell_that_is_left_out_and_comes_back_costs_nothing():
    first = count(rounds())
    assert rounds(cells(3)[:1]).token(UNIT) == first
    assert rounds().token(UNIT) == first


def test_names_and_sentences_cost_nothing():
    first = count(rounds())
    renamed = [row._replace(sample="GSM7", exp_id="200000001", organism="mouse", detail="x") for row in cells(3)]
    assert rounds(renamed).token(UNIT) == first


def test_a_local_file_that_is_replaced_begins_a_round(tmp_path):
    rows = [row._replace(source=f"file:{row.run}.fq") for row in cells(2)]
    for row in rows:
        Path(f"{row.run}.fq").write_text("@1\nA\n+\nI\n")
    first = count(rounds(rows))
    Path("SRR000.fq").touch()
    assert rounds(rows).token(UNIT) == first
    Path("SRR001.fq").write_text("@1\nC\n+\nI\n")
    assert rounds(rows).is_new(UNIT)
    digests = rounds(rows).analysis.columns(UNIT).items() & read_counted(counted_file(UNIT)).columns.items()
    assert [column for column, _ in digests] == ["SRX000"]
    Path("SRR000.fq").unlink()  # a finished analysis does without its files
    assert rounds(rows[:1]).token(UNIT) == first


@pytest.mark.parametrize("change", [{"layout": "paired"}, {"md5": "0" * 32}, {"source": "file:mine.fq"}])
def test_a_row_that_is_corrected_begins_a_round_in_which_the_others_are_kept(change):
    first = count(rounds())
    rows = cells(3)
    rows[1] = rows[1]._replace(**change)
    now = rounds(rows)
    assert now.is_new(UNIT)
    assert now.kept(UNIT) == [f"work/retry/{UNIT}"]
    second = count(now)
    assert second != first
    assert rounds(rows).kept(UNIT) == []
    assert rounds().token(UNIT) not in (first, second)  # back again: a third round, not the first


def test_another_way_to_count_keeps_nothing():
    count(rounds())
    counted = read_counted(counted_file(UNIT)).options
    fasta = {"fasta": "other.fa", "gtf": "other.gtf"}
    for values in ({"plates": {"strand": "reverse"}}, {"references": {"mm10": fasta}}, {"plates": {"keep_bam": True}}):
        assert rounds(cells(4), **values).is_new(UNIT)
        assert rounds(cells(4), **values).kept_with(UNIT) != counted
    assert rounds(cells(4), plates={"shard_size": 7}, max_failed=0.5).kept_with(UNIT) == counted


def test_columns_by_run_are_other_columns():
    count(rounds())
    assert rounds(count_by="run").is_new(UNIT)


def test_nothing_is_tried_again_unless_it_is_asked_for():
    first = count(rounds(), "EMPTY_READS", "DOWNLOAD_FAILED")
    assert (rounds().reasons(UNIT), rounds().token(UNIT)) == ([], first)
    assert rounds(retry=["DOWNLOAD_FAILED", "ALIGN_FAILED"]).reasons(UNIT) == ["DOWNLOAD_FAILED"]
    assert rounds(retry="all").reasons(UNIT) == ["DOWNLOAD_FAILED", "EMPTY_READS"]
    again = count(rounds(retry="all"), "EMPTY_READS")
    assert again not in (first, count(rounds(retry="all")))


def test_a_library_without_a_list_is_tried_again_when_it_has_one(monkeypatch):
    count(rounds(), "CHEMISTRY_UNKNOWN", cause=NO_LIST)
    for fault, reasons in (("no inclusion list is configured.", []), ("", ["CHEMISTRY_UNKNOWN"])):
        monkeypatch.setattr(Analysis, "list_fault", lambda self, unit, fault=fault: fault)
        assert rounds().reasons(UNIT) == reasons
    count(rounds(), "CHEMISTRY_UNKNOWN")
    assert rounds().reasons(UNIT) == []


def test_a_full_disk_is_tried_again_when_there_is_room_a_limit_is_not():
    count(rounds(), "DISK_LIMIT")
    assert rounds().reasons(UNIT) == []
    count(rounds(), "DISK_LIMIT", cause=DISK_FULL)
    assert rounds().reasons(UNIT) == ["DISK_LIMIT"]
    full = rounds()
    full.resources.held_mb = lambda unit: 10**15
    assert full.reasons(UNIT) == []


def test_what_the_configuration_heals_is_tried_again_by_itself():
    lower, lite = {"scratch": {"limit_gb": 10}}, {"archives": {"accept_lite": True}}
    count(rounds(**lower), "DISK_LIMIT", "QUALITY_LITE", "DOWNLOAD_FAILED")
    assert rounds(**lower).reasons(UNIT) == []
    assert rounds(scratch={"limit_gb": 5}).reasons(UNIT) == []
    assert rounds(scratch={"limit_gb": 11}).reasons(UNIT) == ["DISK_LIMIT"]
    assert rounds(**lower, **lite).reasons(UNIT) == ["QUALITY_LITE"]
    count(rounds(scratch={"limit_gb": 11}), "DISK_LIMIT")  # in vain
    assert rounds(scratch={"limit_gb": 11}).reasons(UNIT) == []


def test_lists_and_sources_that_are_new_heal():
    count(rounds(), "CHEMISTRY_UNKNOWN", "LOW_VALID_BARCODES", "ARCHIVE_CORRUPT", "DOWNLOAD_FAILED", "ALIGN_FAILED")
    assert rounds(droplets={"inclusion_lists": {"3M-february-2018": "list.txt"}}).reasons(UNIT) == [
        *("CHEMISTRY_UNKNOWN", "LOW_VALID_BARCODES")
    ]
    assert rounds(archives={"order": ["sra", "ncbi"]}).reasons(UNIT) == []  # fewer
    assert rounds(archives={"order": ["ena", "sra", "ncbi"]}).reasons(UNIT) == []  # the same in another order
    assert rounds(archives={"order": ["sra", "ena_fastq"]}).reasons(UNIT) == ["ARCHIVE_CORRUPT", "DOWNLOAD_FAILED"]


def test_a_library_that_failed_after_it_was_counted_is_judged_again_without_reads():
    count(rounds())
    write_judged(counted_file(UNIT), [RunStatus("SRR9", "failed", "LOW_VALID_BARCODES", "x")])
    assert rounds(retry="all").reasons(UNIT) == rounds(retry=["LOW_VALID_BARCODES"]).reasons(UNIT) == []
    lists = {"inclusion_lists": {"3M-february-2018": "list.txt"}}
    assert rounds(droplets=lists).reasons(UNIT) == ["LOW_VALID_BARCODES"]
    write_judged(counted_file(UNIT), [RunStatus("SRR9")])
    assert rounds(droplets=lists).reasons(UNIT) == []


def test_layers_that_were_counted_are_not_counted_again():
    assert rounds().features(UNIT) == ["Gene", "GeneFull", "GeneFull_Ex50pAS", "SJ"]
    now = rounds()
    facts = now.token(UNIT), "", now.analysis.columns(UNIT), [RunStatus("SRR9")], now.analysis.settings()
    write_counted(counted_file(UNIT), *facts, now.analysis.digest(UNIT), ["Gene", "SJ"], ["Unique", "EM"])
    assert rounds(droplets={"features": ["SJ"]}).features(UNIT) == ["Gene", "SJ"]
    assert rounds(droplets={"multireads": ["EM", "Unique"]}).multireads(UNIT) == ["Unique", "EM"]
    assert rounds(droplets={"multireads": ["Rescue"]}).multireads(UNIT) == ["Rescue"]
    again = rounds(cells(4), droplets={"features": ["Gene"]})
    assert again.is_new(UNIT) and again.features(UNIT) == ["Gene"]


def test_spots_that_lack_a_read_are_held_against_another_share():
    count(rounds(), "READS_MISSING", cause=TOO_MANY_DROPPED)
    assert rounds(droplets={"max_dropped": 0.001}).reasons(UNIT) == []
    assert rounds(droplets={"max_dropped": 0.1}).reasons(UNIT) == ["READS_MISSING"]
    count(rounds(), "READS_MISSING")  # fewer reads than the record says
    assert rounds(droplets={"max_dropped": 0.1}).reasons(UNIT) == []

    now = rounds()
    columns, digest, token = now.analysis.columns(UNIT), now.analysis.digest(UNIT), now.token(UNIT)
    for dropped, again in (("", False), ("1", False), ("2", False), ("8", True)):
        row = RunStatus("SRR1", spots="992", dropped=dropped)
        write_counted(counted_file(UNIT), token, "", columns, [row], now.analysis.settings(), digest)
        assert rounds(droplets={"max_dropped": 0.005}).is_new(UNIT) == again
        assert not rounds().is_new(UNIT)


def test_references_that_are_beside_a_local_archive_now_heal(tmp_path):
    rows = [row._replace(source=f"file:{tmp_path}/mine/{row.run}.sra") for row in cells(2)]
    (tmp_path / "mine").mkdir()
    for names in ("NC_1.1,NC_2.1", ""):
        count(rounds(rows), "REFERENCE_MISSING", cause=names)
        assert rounds(rows).reasons(UNIT) == []
    count(rounds(rows), "REFERENCE_MISSING", cause="NC_1.1,NC_2.1")
    (tmp_path / "mine/NC_1.1").touch()
    assert rounds(rows).reasons(UNIT) == []  # one of two
    (tmp_path / "resources/sra_references").mkdir(parents=True)
    (tmp_path / "resources/sra_references/NC_2.1").touch()
    assert rounds(rows).reasons(UNIT) == ["REFERENCE_MISSING"]


def test_a_seed_counts_where_something_is_drawn():
    count(rounds())
    counted = read_counted(counted_file(UNIT)).options
    seed, drawn = {"plates": {"seed": 1}}, {"plates": {"seed": 1, "nonunique": "random"}}
    assert rounds(**seed).kept_with(UNIT) == counted != rounds(**drawn).kept_with(UNIT)
    assert "--seed=1" not in rounds(**seed).analysis.count_options(UNIT)
    assert "--seed=1" in rounds(**drawn).analysis.count_options(UNIT)


def test_a_record_gives_itself_back_and_a_damaged_one_is_refused():
    columns = column_digests(columns_of(cells(2), "experiment"))
    path = Path("units/counted/x.json")
    write_counted(path, "t", "o", columns, [RunStatus("SRR1", "left_out", "EMPTY_READS"), RunStatus("SRR2")])
    assert read_counted(path) == CountedUnit("t", "o", columns, [], {}, "", 0.0, [], [])
    assert read_counted("absent.json") is None
    for text in ("", "[1]", '{"token": "t"}', path.read_text()[:20]):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.json: not the record of a counted unit\. Delete it"):
            read_counted(path)
