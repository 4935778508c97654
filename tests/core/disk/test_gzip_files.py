"""Files that may be gzipped are read by their first bytes; damaged ones are an error in words."""

import gzip
import hashlib
import io
import os

import pytest

from scripts.core.disk import gzip_files
from scripts.core.errors import InputError

TEXT = b"one line\n" * 10_000


@pytest.mark.parametrize("content", [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:90]) + gzip.compress(TEXT[90:])])
def test_a_file_is_read_by_its_first_bytes_and_not_by_its_name(tmp_path, content):
    for name in ("plain.txt", "packed.gz"):
        (tmp_path / name).write_bytes(content)
        with gzip_files.open_bytes(tmp_path / name) as handle:
            assert handle.readline() == b"one line\n"
            assert handle.read() == TEXT[9:]
        assert gzip_files.read_bytes(tmp_path / name) == TEXT
        assert gzip_files.read_text(tmp_path / name) == TEXT.decode()


@pytest.mark.parametrize("content", [b"", b"\x1f", b"a"])
def test_a_file_of_a_byte_or_none_is_plain(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert gzip_files.read_bytes(tmp_path / "file") == content


def test_a_damaged_gzip_file_is_an_input_error(tmp_path):
    packed = gzip.compress(bytes(hashlib.shake_256(b"").digest(100_000)))
    damaged = {"cut": packed[:-20], "sum": packed[:-8] + bytes(8), "data": packed[:20] + b"\xff" * 40 + packed[60:]}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"cut short or damaged, it cannot be inflated: .+\."):
            gzip_files.read_bytes(tmp_path / name)
        with pytest.raises((EOFError, OSError)), gzip_files.open_bytes(tmp_path / name) as handle:
            handle.read()


def test_what_inflates_too_much_is_refused():
    packed = gzip.compress(bytes(100 << 20))
    stream = gzip_files.BoundedGzip(io.BytesIO(packed), "a.gz", 50)
    with pytest.raises(InputError) as error:
        while stream.read(1 << 20):
            pass
    assert str(error.value) == "a.gz: it inflates to more than 50 times its size, as no such file does."
    assert stream.inflated <= gzip_files.FREE + 50 * len(packed) + (1 << 20)
    stream = gzip_files.BoundedGzip(io.BytesIO(packed), "a.gz")
    assert sum(map(len, iter(lambda: stream.read(1 << 20), b""))) == 100 << 20


def test_lines_are_bounded():
    stream = gzip_files.BoundedGzip(io.BytesIO(gzip.compress(b"abc\nabcdef\n")), "a.gz")
    assert stream.line(4) == b"abc\n"
    with pytest.raises(InputError) as error:
        stream.line(4)
    assert str(error.value) == "a.gz, line 2: more than 4 bytes, too long for such a file."
    assert gzip_files.BoundedGzip(io.BytesIO(gzip.compress(b"")), "a.gz").line(4) == b""


@pytest.mark.parametrize("packed", [gzip.compress(TEXT)[:-9], gzip.compress(TEXT)[:50], b"no gzip"])
def test_a_stream_that_is_cut_short_or_damaged(tmp_path, packed):
    (tmp_path / "a.gz").write_bytes(packed)
    with gzip_files.open_bounded(tmp_path / "a.gz", "a.gz") as stream, pytest.raises(InputError) as error:
        while stream.read(100):
            pass
    assert str(error.value).startswith("a.gz: cannot be read to its end: ")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="a FIFO, not a file"), gzip_files.open_bounded(tmp_path / "fifo", "fifo"):
        pass
