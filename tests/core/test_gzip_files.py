"""Files that may be gzipped are read by their first bytes; damaged ones are an error in words."""

import gzip
import hashlib

import pytest

from scripts.core import gzip_files
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
