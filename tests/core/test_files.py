"""Files: read by their first bytes, written whole or not at all."""

import gzip
import hashlib

import pytest

from scripts.core import files
from scripts.core.errors import InputError

TEXT = b"one line\n" * 10_000


@pytest.mark.parametrize("content", [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:90]) + gzip.compress(TEXT[90:])])
def test_a_file_is_read_by_its_first_bytes_and_not_by_its_name(tmp_path, content):
    for name in ("plain.txt", "packed.gz"):
        (tmp_path / name).write_bytes(content)
        with files.open_bytes(tmp_path / name) as handle:
            assert handle.readline() == b"one line\n"
            assert handle.read() == TEXT[9:]
        assert files.read_bytes(tmp_path / name) == TEXT
        assert files.read_text(tmp_path / name) == TEXT.decode()


@pytest.mark.parametrize("content", [b"", b"\x1f", b"a"])
def test_a_file_of_a_byte_or_none_is_plain(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert files.read_bytes(tmp_path / "file") == content


def test_a_damaged_gzip_file_is_an_input_error(tmp_path):
    packed = gzip.compress(bytes(hashlib.shake_256(b"").digest(100_000)))
    damaged = {"cut": packed[:-20], "sum": packed[:-8] + bytes(8), "data": packed[:20] + b"\xff" * 40 + packed[60:]}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"cut short or damaged, it cannot be inflated: .+\."):
            files.read_bytes(tmp_path / name)
        with pytest.raises((EOFError, OSError)), files.open_bytes(tmp_path / name) as handle:
            handle.read()


def test_checksums(tmp_path):
    (tmp_path / "file").write_bytes(TEXT)
    assert files.hash_file(tmp_path / "file") == hashlib.sha256(TEXT).hexdigest()
    assert files.hash_file(tmp_path / "file", "md5") == hashlib.md5(TEXT).hexdigest()


@pytest.mark.parametrize("content", ["ä\nb\r\n", "ä\nb\r\n".encode()])
def test_a_file_is_written_in_one_step(tmp_path, content):
    files.write_atomic(tmp_path / "below" / "file", content)
    assert (tmp_path / "below" / "file").read_bytes() == "ä\nb\r\n".encode()
    assert [item.name for item in (tmp_path / "below").iterdir()] == ["file"]


@pytest.mark.parametrize("shared", [False, True])
def test_an_error_leaves_what_was_there(tmp_path, shared):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic_path(path, shared) as partial:
        partial.write_text("half")
        assert path.read_text() == "old"
        raise KeyError
    with pytest.raises(KeyError), files.atomic_text(path) as handle:
        handle.write("half")
        raise KeyError
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"
    with files.atomic_text(path) as handle:
        handle.write("new\n")
    assert path.read_bytes() == b"new\n"


def test_a_folder_has_the_size_of_its_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"123")
    assert files.size_of_folder(tmp_path) == 8
    assert files.size_of_folder(tmp_path / "nowhere") == 0
