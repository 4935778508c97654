"""What runs and units hold on disk: one estimate for the workflow, the download and the conversion."""

import bz2
import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.formats.fastq_files import open_packed
from scripts.plan.run_table import Run
from scripts.plan.sizes.footprint import (
    CONVERTED_AT_ONCE,
    Footprint,
    beyond_limit,
    chain_units,
    experiments_that_fit,
    fastq_bytes,
    format_gb,
    run_footprint,
    unit_footprint,
)
from scripts.plan.units import summarize_unit


def runs(number, **changes):
    row = Run(series="GSE1", species="mus", assay="plate", status="planned", bytes="100", bases="300", spots="2")
    made = [row._replace(experiment=f"SRX{n}", run=f"SRR{n}") for n in range(number)]
    return [row._replace(**changes) for row in made]


def test_fastq_has_ten_bits_a_base_and_names_or_what_its_archive_shows():
    fastq = 300 * 5 // 4 + 2 * 60
    (large,) = runs(1, bytes="1000")
    assert run_footprint(large) == Footprint(1000, fastq, 1000 + fastq, 2 * fastq) == (1000, 495, 1495, 990)
    fastq = (32 * 300 + 135 * 100) // 100 + 2 * 30
    assert run_footprint(runs(1)[0]) == Footprint(100, fastq, 100 + fastq, 2 * fastq) == (100, 291, 391, 582)


@pytest.mark.parametrize("length", [28, 75, 150])
@pytest.mark.parametrize("names", [False, True])
def test_no_reads_hold_more_than_estimated(tmp_path, length, names):
    """The worst of all: bases and 41 qualities without any order, four reads a spot."""
    dice = random.Random(length)
    spots = 30_000 // length
    size = 0
    for number in range(4):
        path = tmp_path / f"{number}.fastq.gz"
        with open_packed(path) as handle:
            for spot in range(10_000_000, 10_000_000 + spots):
                name = f" A00228:279:HFWFVDMXX:1:1101:{dice.randrange(30000)}:{dice.randrange(30000)}" if names else ""
                bases = "".join(dice.choices("ACGT", k=length))
                marks = "".join(chr(33 + dice.randrange(41)) for _ in range(length))
                handle.write(f"@SRR12345678.{spot}{name}\n{bases}\n+\n{marks}\n".encode())
        size += path.stat().st_size
    assert size <= fastq_bytes(4 * spots * length, spots)


# Bytes a base of archives and of their FASTQ, as latf-load 3.0 and ISA-L pack random bases: qualities, length of reads.
PACKED = {
    ("one", 36): (0.276, 0.479),
    ("one", 150): (0.276, 0.381),
    ("four, as NovaSeq", 36): (0.400, 0.713),
    ("four, as NovaSeq", 150): (0.398, 0.581),
    ("eight, as HiSeq 4000", 36): (0.565, 0.917),
    ("eight, as HiSeq 4000", 150): (0.563, 0.780),
    ("40, as HiSeq 2000", 36): (0.754, 0.939),
    ("40, as HiSeq 2000", 150): (0.802, 0.832),
    ("41, equally frequent", 36): (0.945, 1.291),
    ("41, equally frequent", 150): (0.947, 1.155),
}


@pytest.mark.parametrize("kind", PACKED)
def test_the_archive_shows_how_much_its_fastq_holds(kind):
    archive, fastq = PACKED[kind]
    bases = 2_000_000 * kind[1]
    estimate = fastq_bytes(bases, 1_000_000, int(archive * bases))
    assert 1.2 < estimate / (fastq * bases) < 2.4
    assert estimate <= fastq_bytes(bases, 1_000_000)
    by_reference = int((archive - 0.25) * bases)  # an archive that has no bases
    assert fastq_bytes(bases, 1_000_000, by_reference) > fastq * bases


@pytest.mark.parametrize("unknown", [{"bases": ""}, {"spots": ""}])
def test_of_unknown_bases_or_spots_the_archive_grows_fourfold(unknown):
    assert run_footprint(runs(1, **unknown)[0]) == Footprint(100, 400, 500, 800)


def test_an_archive_of_unknown_size_is_estimated_from_the_bases():
    assert run_footprint(runs(1, bytes="")[0]).archive == 120


def test_an_archive_counts_beside_its_fastq_while_it_is_converted():
    assert unit_footprint(runs(3)) == Footprint(300, 3 * 291, 3 * 291 + 3 * 100, 3 * 582)
    at_once = CONVERTED_AT_ONCE * 100
    assert unit_footprint(runs(50)) == Footprint(5000, 50 * 291, 50 * 291 + at_once, 50 * 582)
    large = runs(50, bytes="1000")  # archives of more than their FASTQ: Lite, or with what is not in FASTQ
    assert unit_footprint(large).converting == 50 * 1000 + CONVERTED_AT_ONCE * 495
    assert unit_footprint([]).peak == 0


def test_a_bam_file_is_held_once_more_with_mates_together():
    assert run_footprint(runs(1, source="bam")[0]).converting == 100 + 100 + 291


def test_the_graph_has_the_same_figures():
    unit = summarize_unit(runs(50))
    whole = unit_footprint(runs(50))
    assert (unit.bytes, unit.fastq, unit.converting, unit.counting) == whole
    assert unit.peak == whole.peak == 50 * 582


def test_local_files_stay_where_they_are(tmp_path):
    plain, packed, bzip2, archive = (tmp_path / name for name in ("a.fastq", "a.fastq.gz", "a.fastq.bz2", "a"))
    plain.write_bytes(b"@r\nACGT\n+\nIIII\n" * 2)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    bzip2.write_bytes(bz2.compress(plain.read_bytes()))
    archive.write_bytes(b"NCBI.sra" + bytes(92))
    (row,) = runs(1, bytes="", bases="", spots="")
    assert run_footprint(row._replace(source=f"file:{plain};{plain}")) == Footprint(0, 0, 0, 30)
    size = 2 * packed.stat().st_size
    assert run_footprint(row._replace(source=f"file:{packed};{packed}")) == Footprint(0, 0, 0, size)
    size = bzip2.stat().st_size
    assert run_footprint(row._replace(source=f"file:{bzip2}")) == Footprint(0, 2 * size, 2 * size, 3 * size)
    assert run_footprint(row._replace(source=f"file:{archive}")) == Footprint(0, 400, 400, 800)
    assert run_footprint(row._replace(source="file:nowhere.fastq")) == Footprint(0, 0, 0, 0)


def test_experiments_find_room_in_their_order_and_whole():
    rows = runs(6)
    assert experiments_that_fit(rows, unit_footprint(rows).peak) == {row.experiment for row in rows}
    assert experiments_that_fit(rows, unit_footprint(rows[:2]).peak) == {"SRX0", "SRX1"}
    assert experiments_that_fit(rows, 581) == set()
    two = [row._replace(experiment="SRX1") if row.run in ("SRR1", "SRR2") else row for row in rows]
    assert experiments_that_fit(two, unit_footprint(rows[:2]).peak) == {"SRX0", "SRX3"}


@pytest.mark.parametrize(
    ("size", "reported"),
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
def test_sizes_are_rounded_up(size, reported):
    assert format_gb(size) == reported
    assert float(reported.split()[0]) * 1e9 >= size * (1 - 1e-12)


def test_what_to_set_is_reported():
    (row,) = runs(1)
    assert (
        beyond_limit(5e-7, 5000, row)
        == "passes scratch.limit_gb, 5e-07; set that to 0.000005 or more, and retry to [DISK_LIMIT]."
    )
    assert beyond_limit(3e-6, 5000, row) == (
        "with the others of its shard passes scratch.limit_gb, 3e-06; set that to 0.000005 or more, "
        "and retry to [DISK_LIMIT]."
    )
    assert "shard" not in beyond_limit(3e-6, 5000, row._replace(assay="droplet"))


def test_with_room_for_all_nobody_waits():
    assert chain_units({"a": 3, "b": 2, "c": 1}, 6) == {}


def test_without_room_one_goes_after_the_other():
    assert chain_units({"a": 3, "b": 3, "c": 2}, 3) == {"b": "a", "c": "b"}


def test_the_largest_start_chains_and_the_rest_is_shared_out():
    assert chain_units({"a": 5, "b": 3, "c": 3, "d": 2}, 8) == {"c": "b", "d": "a"}


def test_what_has_started_keeps_its_share_and_nothing_waits_for_it():
    assert chain_units({"a": 4, "b": 2, "c": 2}, 6, holding={"a"}) == {"c": "b"}


def test_what_has_started_is_waited_for_where_it_fills_the_limit():
    assert chain_units({"a": 6, "b": 2}, 6, holding={"a"}) == {"b": "a"}


def test_one_that_is_too_large_starts_by_itself():
    assert chain_units({"a": 9, "b": 1}, 5) == {"b": "a"}


def test_a_unit_waits_for_none_of_another_reference():
    sizes = {"a": 5, "b": 4, "c": 4, "d": 3, "e": 2}
    references = {"a": "hg38", "b": "hg38", "c": "hg38", "d": "mm10", "e": "mm10"}
    assert chain_units(sizes, 9, references=references) == {"b": "a", "c": "b", "e": "d"}
    assert chain_units(sizes, 5, references=references) == {"d": "a", "b": "d", "c": "b", "e": "c"}  # but without room


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 50), max_size=30), st.integers(50, 120), st.integers(1, 4))
def test_never_more_than_the_limit_is_held(sizes, limit, references):
    before = chain_units(sizes, limit, references={name: str(ord(name[0]) % references) for name in sizes})
    after = {first: second for second, first in before.items()}
    assert len(after) == len(before)  # one waits for one
    first = [name for name in sizes if name not in before]
    most = 0
    seen = 0
    for name in first:  # every chain holds one of its units at a time: at most its largest
        chain = [name]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        seen += len(chain)
        most += max(sizes[unit] for unit in chain)
    assert seen == len(sizes)
    assert most <= limit
