"""Files are written whole or not at all, hashed and measured."""

import hashlib

import pytest

from scripts.core import files

TEXT = b"one line\n" * 10_000


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


def test_a_folder_replaces_another_in_one_step(tmp_path):
    path = tmp_path / "below" / "folder"
    with files.atomic_folder(path) as partial:
        (partial / "old").touch()
    with pytest.raises(KeyError), files.atomic_folder(path) as partial:
        (partial / "half").touch()
        raise KeyError
    assert [item.name for item in path.iterdir()] == ["old"]
    with files.atomic_folder(path) as partial:
        (partial / "new").touch()
        assert [item.name for item in path.iterdir()] == ["old"]
    assert [item.name for item in path.iterdir()] == ["new"]
    elsewhere = tmp_path / "scratch" / "folder"
    elsewhere.mkdir(parents=True)
    (elsewhere / "newer").touch()
    (path.parent / ".folder.arriving").mkdir()
    files.replace_folder(elsewhere, path)
    assert [item.name for item in path.iterdir()] == ["newer"]
    assert [item.name for item in path.parent.iterdir()] == ["folder"]
    assert not elsewhere.exists()
