"""Units of work: how a plan is cut, and the run table that each job is given."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, row_order, write_runs
from scripts.plan.sizes.footprint import unit_footprint
from scripts.plan.units import (
    Cut,
    cut_into_units,
    is_shard,
    moves_seats,
    read_index,
    read_seats,
    read_unit,
    read_unit_rows,
    summarize_by_series,
    summarize_units,
    unit_names,
    unit_tables,
    write_index,
    write_seats,
    write_units,
)

CELL = Run(series="GSE1", experiment="SRX1", run="SRR1", species="mus", assay="plate", status="planned")


def cells(count: int, **values: str) -> list[Run]:
    return [CELL._replace(experiment=f"SRX{n:03d}", run=f"SRR{n:03d}", **values) for n in range(count)]


def test_shards_hold_experiments_not_runs():
    rows = [*cells(5), CELL._replace(experiment="SRX001", run="SRR900")]
    units = cut_into_units(rows, Cut(2))
    assert {unit: [row.run for row in planned] for unit, planned in units.items()} == {
        "GSE1.mus.0000": ["SRR000", "SRR001", "SRR900"],
        "GSE1.mus.0001": ["SRR002", "SRR003"],
        "GSE1.mus.0002": ["SRR004"],
    }


def test_another_series_never_changes_a_shard():
    before = cut_into_units(cells(5), Cut(2))
    after = cut_into_units([*cells(7, series="GSE0"), *cells(5), *cells(3, species="homo")], Cut(2))
    assert {unit: after[unit] for unit in before} == before


def test_seats_are_kept():
    """What is left out, corrected or removed moves nothing, and what is new gets shards of its own."""
    seats = {}
    before = cut_into_units(cells(5), Cut(2), seats)
    rows = cells(8)
    rows[0] = rows[0]._replace(status="left_out")
    rows[3] = rows[3]._replace(species="homo")
    del rows[4]
    after = cut_into_units(rows, Cut(2), seats)
    assert {unit: [row.run for row in planned] for unit, planned in after.items()} == {
        "GSE1.homo.0000": ["SRR003"],
        "GSE1.mus.0000": ["SRR001"],
        "GSE1.mus.0001": ["SRR002"],
        "GSE1.mus.0003": ["SRR005", "SRR006"],
        "GSE1.mus.0004": ["SRR007"],
    }
    assert cut_into_units(cells(5), Cut(96), seats) == before  # also with shards of another size


def test_shards_hold_no_more_than_the_limit_of_scratch():
    """An experiment that holds more than that by itself has a shard of its own."""
    rows = cells(6, bytes="1000000000", bases="4000000000", spots="20000000")
    rows[3] = rows[3]._replace(bytes="50000000000", bases="200000000000", spots="1000000000")

    def shards(cut):
        return [[row.experiment[-1] for row in planned] for planned in cut_into_units(rows, cut).values()]

    peak = unit_footprint(rows[:2]).peak / 1e9
    assert shards(Cut(96)) == [["0", "1", "2", "3", "4", "5"]]
    assert shards(Cut(96, peak)) == [["0", "1"], ["2"], ["3"], ["4", "5"]]
    assert shards(Cut(96, 0.99 * peak)) == [["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]
    assert shards(Cut(1, 1000)) == [["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]
    for planned in cut_into_units(cells(9, bytes="1", bases="4", spots="1"), Cut(4, 5e-7)).values():
        assert unit_footprint(planned).peak <= 500


@pytest.mark.parametrize("another", [Cut(1, 200), Cut(2, 100)])
def test_experiments_of_a_shard_that_has_made_nothing_are_seated_anew_for_another_cut(tmp_path, another):
    seats = {}
    cut_into_units(cells(6), Cut(2, 200), seats)
    for folder, name in (("runs", "0000.tsv"), ("runs", "0001.tsv"), ("runs", "0002.tsv"), ("status", "0001.tsv")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"GSE1.mus.{name}").touch()
    write_seats(tmp_path / "seats.tsv", seats, Cut(2, 200))
    assert read_seats(tmp_path / "seats.tsv", Cut(2, 200)) == seats
    assert not moves_seats(Cut(2, 200), tmp_path / "seats.tsv")
    assert moves_seats(another, tmp_path / "seats.tsv")
    kept = read_seats(tmp_path / "seats.tsv", another)
    assert kept == {key: shard for key, shard in seats.items() if shard == "GSE1.mus.0001"}
    units = {unit: [row.run for row in planned] for unit, planned in cut_into_units(cells(6), another, kept).items()}
    assert units.pop("GSE1.mus.0001") == ["SRR002", "SRR003"]
    pairs = [["SRR000", "SRR001"], ["SRR004", "SRR005"]]
    runs = pairs if another.shard_size == 2 else [[run] for pair in pairs for run in pair]
    assert list(units.items()) == [(f"GSE1.mus.{at:04d}", found) for at, found in enumerate(runs, 2)]


def test_seats_are_read_as_they_were_written(tmp_path):
    seats = {}
    cut_into_units([*cells(3), *cells(2, series="GSE2", assay="droplet")], Cut(2), seats)
    write_seats(tmp_path / "seats.tsv", seats, Cut(2, 200))
    assert (tmp_path / "seats.tsv").read_text().splitlines()[:2] == ["cut\t2\t200", "GSE1\tmus\tSRX000\tGSE1.mus.0000"]
    assert read_seats(tmp_path / "seats.tsv") == seats
    assert len(seats) == 3
    assert read_seats(tmp_path / "absent.tsv") == {}
    for text in ("GSE1\tmus\tSRX1\tGSE1.mus.0000", "GSE1\tmus\tSRX1\tx\n", "\n"):
        (tmp_path / "seats.tsv").write_text(text)
        with pytest.raises(
            InputError, match=r"seats\.tsv, line 1: not a line of series, species, experiment and shard"
        ):
            read_seats(tmp_path / "seats.tsv")


def test_libraries_are_units_of_their_own_and_what_is_left_out_is_in_none():
    rows = [
        CELL._replace(assay="droplet"),
        CELL._replace(assay="droplet", run="SRR2"),
        CELL._replace(experiment="SRX2", run="SRR3", status="left_out"),
    ]
    units = cut_into_units(rows, Cut(96))
    assert {unit: len(planned) for unit, planned in units.items()} == {"GSE1.mus.SRX1": 2}
    assert not is_shard("GSE1.mus.SRX1")
    assert is_shard("GSE1.mus.0000")
    assert not is_shard("GSE1.mus.lib.0001")  # the name of an experiment may have dots


def test_a_unit_has_a_run_table_of_its_own(tmp_path):
    rows = [*cells(3), CELL._replace(assay="droplet", experiment="SRX9", run="SRR9", detail="two\tlines\nof it")]
    write_units(tmp_path / "units", cut_into_units(rows, Cut(2)), "experiment")
    assert unit_names(tmp_path / "units") == ["GSE1.mus.0000", "GSE1.mus.0001", "GSE1.mus.SRX9"]
    header, *lines = (tmp_path / "units/GSE1.mus.0000.tsv").read_text().splitlines()
    assert header.split("\t")[-2:] == ["detail", "column"]
    assert [line.split("\t")[4] + " " + line.split("\t")[-1] for line in lines] == ["SRR000 SRX000", "SRR001 SRX001"]
    assert read_unit_rows(tmp_path / "units/GSE1.mus.0001.tsv") == [rows[2]]
    assert read_unit_rows(tmp_path / "units/GSE1.mus.SRX9.tsv") == [rows[3]._replace(detail="two lines of it")]


def test_columns_are_experiments_or_the_runs_of_plates(tmp_path):
    rows = [CELL._replace(run="SRR2"), CELL, CELL._replace(assay="droplet", experiment="SRX9", run="SRR9")]
    for count_by, expected in (
        ("experiment", {"SRX1": ["SRR1", "SRR2"]}),
        ("run", {"SRR1": ["SRR1"], "SRR2": ["SRR2"]}),
    ):
        write_units(tmp_path / count_by, cut_into_units(rows, Cut(2)), count_by)
        columns = read_unit(tmp_path / count_by / "GSE1.mus.0000.tsv")
        assert {name: [row.run for row in runs] for name, runs in columns.items()} == expected
        assert list(read_unit(tmp_path / count_by / "GSE1.mus.SRX9.tsv")) == ["SRX9"]


def test_lanes_of_a_droplet_library_are_not_counted_one_by_one(tmp_path):
    library = CELL._replace(assay="droplet", experiment="SRX9")
    rows = [CELL._replace(run="SRR2"), CELL, library._replace(run="SRR8"), library._replace(run="SRR9")]
    with pytest.raises(InputError) as raised:
        write_units(tmp_path / "units", cut_into_units(rows, Cut(2)), "run")
    assert str(raised.value) == (
        "count_by: run counts runs of plate cells one by one, but the lanes of a droplet library share cells and"
        " UMIs: GSE1.mus.SRX9. Set count_by: experiment, or leave them out and count them in an analysis of their own."
    )
    assert not (tmp_path / "units").exists()
    write_units(tmp_path / "units", cut_into_units(rows, Cut(2)), "experiment")


def test_an_ordinary_run_table_is_a_unit_too(tmp_path):
    write_runs(tmp_path / "mine.tsv", rows := [CELL, CELL._replace(run="SRR0")])
    assert read_unit(tmp_path / "mine.tsv") == {"SRX1": [rows[1], rows[0]]}
    assert read_unit_rows(tmp_path / "mine.tsv") == sorted(rows, key=row_order)


def test_by_run_the_halves_of_a_pair_are_one_column(tmp_path):
    rows = [
        CELL._replace(run=run, experiment=experiment, read_roles=roles)
        for run, experiment, roles in (
            ("SRR1", "SRX1", "cdna"),
            ("SRR2", "SRX1", "cdna2"),
            ("SRR3", "SRX2", ""),
            ("SRR4", "SRX2", ""),
        )
    ]
    write_units(tmp_path / "units", cut_into_units(rows, Cut(4)), "run")
    columns = read_unit(next((tmp_path / "units").iterdir()))
    assert {name: [row.run for row in runs] for name, runs in columns.items()} == {
        "SRX1": ["SRR1", "SRR2"],
        "SRR3": ["SRR3"],
        "SRR4": ["SRR4"],
    }


def test_a_unit_without_rows_is_refused(tmp_path):
    write_runs(tmp_path / "empty.tsv", [])
    with pytest.raises(InputError, match=r"empty\.tsv: the run table of the unit has no row\."):
        read_unit(tmp_path / "empty.tsv")
    with pytest.raises(InputError, match=r"absent\.tsv\) needs 1 correction:\nit cannot be read: No such file"):
        read_unit(tmp_path / "absent.tsv")


def test_units_of_another_plan_are_gone(tmp_path):
    write_units(tmp_path / "units", cut_into_units(cells(3), Cut(1)), "experiment")
    write_units(tmp_path / "units", cut_into_units(cells(1), Cut(1)), "experiment")
    assert unit_names(tmp_path / "units") == ["GSE1.mus.0000"]


def test_units_are_found_by_species_and_series(tmp_path):
    library = CELL._replace(assay="droplet", experiment="lib.A.1")
    rows = [*cells(1), *cells(1, series="GSE2"), *cells(1, species="homo"), library]
    write_units(tmp_path, cut_into_units(rows, Cut(1)), "experiment")
    assert list(unit_tables(tmp_path, "mus")) == ["GSE1.mus.0000", "GSE1.mus.lib.A.1", "GSE2.mus.0000"]
    assert unit_tables(tmp_path, "mus", "GSE2") == {"GSE2.mus.0000": tmp_path / "GSE2.mus.0000.tsv"}
    (tmp_path / "notes.tsv").touch()  # a file of the user's
    assert unit_tables(tmp_path, "fly") == {}


def test_the_index_gives_the_units_back(tmp_path):
    mine = CELL._replace(series="local", source="file:my  reads/a.fq;b.fq")
    units = summarize_units([*cells(3, bases="100", spots="2", bytes="70"), *cells(1, series="GSE2"), mine], Cut(2))
    assert units["local.mus.0000"].files == "file:my  reads/a.fq;b.fq"
    write_index(tmp_path / "units.tsv", units)
    assert read_index(tmp_path / "units.tsv") == units
    assert units["GSE1.mus.0000"][:7] == ("GSE1", "mus", "SRX000", 140, 200, 4, 2)


def test_series_by_series_the_units_are_the_same():
    second = [*cells(3, series="GSE2"), CELL._replace(series="GSE2", experiment="SRX9", run="SRR9", assay="droplet")]
    left_out = CELL._replace(experiment="SRX8", run="SRR8", status="left_out")
    rows = [*second, *cells(5, bases="100", spots="2"), left_out]
    seats = {}
    cut_into_units(cells(2), Cut(2), seats)
    for known in ({}, seats):
        units = summarize_by_series(iter(rows), Cut(2), "experiment", known)
        assert list(units.items()) == list(summarize_units(rows, Cut(2), "experiment", dict(known)).items())
    assert list(units) == [
        *("GSE1.mus.0000", "GSE1.mus.0001", "GSE1.mus.0002"),
        *("GSE2.mus.0000", "GSE2.mus.0001", "GSE2.mus.SRX9"),
    ]
    assert summarize_by_series([], Cut(2)) == {}
    assert summarize_by_series([*rows, left_out._replace(series="GSE2")], Cut(2)) is not None  # it is of no unit
    assert summarize_by_series([*rows, CELL._replace(series="GSE2", experiment="SRX7", run="SRR7")], Cut(2)) is None


def test_a_digest_is_of_what_is_planned_not_of_sentences():
    def digest(**values):
        return summarize_units([CELL._replace(**values)], Cut(2))["GSE1.mus.0000"].digest

    assert digest() == digest(detail="a note", reason="", source="ena", sample="GSM1", exp_id="7")
    assert digest() != digest(source="file:mine.fastq")
    assert digest() != digest(layout="paired")


@pytest.mark.parametrize("text", ["", "unit\tseries\nGSE1.mus.0000\tGSE1\n"])
def test_an_index_of_another_version_is_refused(tmp_path, text):
    (tmp_path / "units.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"units\.tsv: not an index of units as this version writes it\. Delete it to rebuild it"
    ):
        read_index(tmp_path / "units.tsv")
