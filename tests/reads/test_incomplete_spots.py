"""Spots that lack a read are dropped from all files of a library."""

import pytest

from scripts.core.errors import RunFault
from scripts.formats.fastq_files import Room, read_pieces
from scripts.reads.incomplete_spots import WINDOW, drop_incomplete


def write(folder, name, spots, read):
    """Write the read of these spots; its bases are the number of the spot in fours."""
    text = "".join(f"@R.{spot} {read}\n{bases(spot, read)}\n+\n{'F' * 8}\n" for spot in spots)
    (folder / name).write_text(text)
    return folder / name


def bases(spot, read):
    return "".join("ACGT"[spot >> shift & 3] for shift in range(12, -2, -2)) + "ACG"[read]


def drop(folder, *reads, most=1000):
    """Drop what lacks a read; return the spots kept, by file, and their number."""
    files = {f"{number}.fastq": write(folder, f"{number}.fastq", spots, number) for number, spots in enumerate(reads)}
    whole, kept = drop_incomplete(files, folder, most, Room("R", 1 << 30))
    assert sorted(path.name for path in folder.iterdir()) == [
        f"whole.{number}.fastq.gz" for number in range(len(reads))
    ]
    found = []
    for number, path in enumerate(whole.values()):
        lines = b"".join(read_pieces(path)).decode().splitlines()
        spots = [int(head.split(".")[1].split()[0]) for head in lines[::4]]
        assert lines[1::4] == [bases(spot, number) for spot in spots]
        found.append(spots)
    return found, kept


@pytest.mark.parametrize(
    "lost",
    [
        ({5}, set()),
        (set(), {0}),
        ({7999}, set()),
        ({3, 4, 5}, {4, 100, 6000}),
        (set(range(2000, 2000 + WINDOW)), {1, 2, 3}),
        ({0, 1}, {7998, 7999}),
    ],
)
def test_spots_that_have_all_reads_are_kept_in_step(tmp_path, lost):
    files = [[spot for spot in range(8000) if spot not in own] for own in lost]
    whole = [spot for spot in range(8000) if spot not in lost[0] | lost[1]]
    assert drop(tmp_path, *files, most=2000) == ([whole, whole], len(whole))


def test_a_spot_of_three_reads_is_dropped_where_one_is_lost(tmp_path):
    files = [[0, 1, 2, 4], [0, 1, 3, 4], [0, 1, 2, 3]]
    assert drop(tmp_path, *files) == ([[0, 1]] * 3, 2)


def test_more_than_may_be_lost_are_reported(tmp_path):
    with pytest.raises(
        RunFault, match="READS_MISSING: of the first 11 spots 2 lack a read, more than max_dropped allows"
    ):
        drop(tmp_path, list(range(20)), [spot for spot in range(20) if spot not in (5, 10)], most=1)


def test_files_in_another_order_are_reported(tmp_path):
    order = [spot * 4001 % 8000 for spot in range(8000)]
    with pytest.raises(
        RunFault, match=r"MATES_DISAGREE: behind each other come 'R\.1' in 0\.fastq and 'R\.4001' in 1\.fastq"
    ):
        drop(tmp_path, list(range(8000)), order)
