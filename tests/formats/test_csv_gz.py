"""A gzipped CSV table: one member, the same bytes each time, read by the standard library."""

import csv
import gzip
import zlib

import pytest

from scripts.formats import csv_gz

ROWS = [
    ["name", "a,b", 'say "x"', ""],
    ["line\nend", "c\rd", "ä", "1"],
    *([str(number), "0", "0", "7"] for number in range(99)),
]


@pytest.mark.parametrize("level", csv_gz.LEVELS)
def test_a_table_is_read_as_it_was_written(tmp_path, level, monkeypatch):
    monkeypatch.setattr(csv_gz, "PIECE", 64)
    path = tmp_path / "table.csv.gz"
    csv_gz.write_csv_gz(path, ROWS, level)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        assert list(csv.reader(handle)) == ROWS
    member = zlib.decompressobj(31)
    member.decompress(path.read_bytes())
    assert member.eof
    assert member.unused_data == b""
    written = path.read_bytes()
    csv_gz.write_csv_gz(path, ROWS, level)
    assert path.read_bytes() == written


def test_values_are_quoted_only_where_needed():
    assert csv_gz.csv_line(["a b", "a,b", 'a"b', "a\nb", ""]) == b'a b,"a,b","a""b","a\nb",\n'


def test_a_table_that_fails_leaves_nothing(tmp_path):
    def rows():
        yield ["a"]
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        csv_gz.write_csv_gz(tmp_path / "table.csv.gz", rows())
    assert list(tmp_path.iterdir()) == []
