"""What runs and units hold on disk: one reckoning for the workflow, the download and the conversion."""

import gzip

import pytest

from scripts.plan.footprint import (
    SORTED_AT_ONCE,
    Held,
    beyond_limit,
    experiments_that_fit,
    held_by,
    held_by_unit,
    told_gb,
)
from scripts.plan.run_table import Run
from scripts.plan.units import summarize_unit


def runs(number, **changes):
    row = Run(series="GSE1", species="mus", assay="plate", status="planned", bytes="100", bases="300", spots="2")
    made = [row._replace(experiment=f"SRX{n}", run=f"SRR{n}") for n in range(number)]
    return [row._replace(**changes) for row in made]


def test_fastq_has_two_bytes_a_base_and_names_and_is_sorted_once():
    assert held_by(runs(1)[0]) == Held(100, 2 * 300 + 200 * 2, 1000)


def test_fastq_of_much_more_than_the_archive_counts_in_full():
    assert held_by(runs(1, bytes="10")[0]).peak == 2010 > 17 * 10


@pytest.mark.parametrize("unknown", [{"bases": ""}, {"spots": ""}])
def test_of_unknown_bases_or_spots_the_archive_grows_seventeenfold(unknown):
    assert held_by(runs(1, **unknown)[0]) == Held(100, 800, 900)


def test_an_archive_of_unknown_size_is_reckoned_from_the_bases():
    assert held_by(runs(1, bytes="")[0]).archive == 120


def test_what_is_sorted_counts_for_those_that_are_converted_at_once():
    assert held_by_unit(runs(3)) == Held(300, 3000, 3000)
    assert held_by_unit(runs(50)) == Held(5000, 50_000, SORTED_AT_ONCE * 1000)
    assert held_by_unit([]).peak == 0


def test_the_graph_has_the_same_figures():
    unit = summarize_unit(runs(50))
    assert (unit.bytes, unit.fastq, unit.sorting) == held_by_unit(runs(50))


def test_local_files_stay_where_they_are(tmp_path):
    plain, packed, archive = tmp_path / "a.fastq", tmp_path / "a.fastq.gz", tmp_path / "a"
    plain.write_bytes(b"@r\nACGT\n+\nIIII\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    archive.write_bytes(b"NCBI.sra" + bytes(92))
    size = packed.stat().st_size
    (row,) = runs(1, bytes="", bases="", spots="")
    assert held_by(row._replace(source=f"file:{plain};{plain}")) == Held(0, 0, 0)
    assert held_by(row._replace(source=f"file:{packed};{packed}")) == Held(0, 16 * size, 0)
    assert held_by(row._replace(source=f"file:{archive}")) == Held(0, 800, 900)
    assert held_by(row._replace(source="file:nowhere.fastq")) == Held(0, 0, 0)


def test_experiments_find_room_in_their_order_and_whole():
    rows = runs(6)
    assert experiments_that_fit(rows, held_by_unit(rows).peak) == {row.experiment for row in rows}
    assert experiments_that_fit(rows, held_by_unit(rows[:2]).peak) == {"SRX0", "SRX1"}
    assert experiments_that_fit(rows, 2099) == set()
    two = [row._replace(experiment="SRX1") if row.run in ("SRR1", "SRR2") else row for row in rows]
    assert experiments_that_fit(two, held_by_unit(rows[:2]).peak) == {"SRX0", "SRX3"}


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 GB"),
        (1, "0.000000001 GB"),
        (1234, "0.00000124 GB"),
        (10**9, "1 GB"),
        (1_234_000_001, "1.24 GB"),
        (123_456_789_012, "124 GB"),
        (1_234_567_890_123, "1235 GB"),
    ],
)
def test_sizes_are_told_rounded_up(size, told):
    assert told_gb(size) == told
    assert float(told.split()[0]) * 1e9 >= size * (1 - 1e-12)


def test_what_to_set_is_told():
    (row,) = runs(1)
    assert (
        beyond_limit(1e-6, 5000, row)
        == "passes scratch.limit_gb, 1e-06; set that to 0.000005 or more, and retry to [DISK_LIMIT]."
    )
    assert beyond_limit(3e-6, 5000, row) == (
        "with the others of its shard passes scratch.limit_gb, 3e-06; set that to 0.000005 or more, "
        "or plates.shard_size to less, and retry to [DISK_LIMIT]."
    )
    assert "shard" not in beyond_limit(3e-6, 5000, row._replace(assay="droplet"))
