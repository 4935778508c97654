"""Files are written whole or not at all, hashed and measured."""

import hashlib
import io
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.disk import files
from scripts.core.errors import InputError

HOME = Path(__file__).parents[3]
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


def test_a_path_below_a_folder(tmp_path):
    assert files.path_below(tmp_path, "SRR1", "sra") == tmp_path / "SRR1" / "sra"
    assert files.path_below("work", "Zellen ä.1") == Path("work/Zellen ä.1")
    assert files.path_below(tmp_path, ".SRR1", "..a") == tmp_path / ".SRR1" / "..a"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is no name"),
        (".", "it is no name"),
        ("..", "it is no name"),
        ("/home/x/data", "it has a slash"),
        ("../SRR1", "it has a slash"),
        ("a/b", "it has a slash"),
        ("--option-file=x", "it begins with '-', like an option"),
        ("-rf", "it begins with '-', like an option"),
        ("a\nb", "it has control characters or bytes that are not UTF-8"),
        ("a\0", "it has control characters or bytes that are not UTF-8"),
        ("a\x1b[31m", "it has control characters or bytes that are not UTF-8"),
        ("a\udcff", "it has control characters or bytes that are not UTF-8"),
        ("ä" * 128, "it is too long"),
    ],
)
@pytest.mark.parametrize("before", [[], ["SRR1"]])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path, name, fault, before):
    with pytest.raises(InputError) as error:
        files.path_below(tmp_path, *before, name)
    shown = name if len(name) <= 80 else f"{name[:80]}…"
    assert str(error.value) == f"{shown!r} cannot be the name of a file or folder in {tmp_path}: {fault}."
    with pytest.raises(InputError):
        files.remove_folder(tmp_path, *before, name)


def test_only_folders_of_ours_are_deleted(tmp_path):
    theirs, work = tmp_path / "theirs", tmp_path / "work"
    (theirs / "data").mkdir(parents=True)
    (work / "SRR1" / "sra").mkdir(parents=True)
    (work / "link").symlink_to(theirs)
    (work / "SRR1" / "link").symlink_to(theirs)
    for names in (["link"], ["link", "data"]):
        with pytest.raises(InputError) as error:
            files.remove_folder(work, *names)
        assert str(error.value) == (
            f"{work / 'link'}: a link, not a folder of this workflow, so it is not deleted. Remove the link."
        )
    with pytest.raises(InputError, match="has a slash"):
        files.remove_folder(work, str(theirs))
    with pytest.raises(ValueError, match="work folder itself"):
        files.remove_folder(work)
    files.remove_folder(work, "SRR1")
    files.remove_folder(work, "SRR1")
    assert [path.name for path in work.iterdir()] == ["link"]
    assert [path.name for path in theirs.iterdir()] == ["data"]


def test_only_files_are_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with files.open_regular(tmp_path / name) as handle:
            assert handle.read() == b"x"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "system").symlink_to("/proc/self/environ")
    with socket.socket(socket.AF_UNIX) as here:
        here.bind("socket")
    for name, words in {
        "fifo": "a FIFO, not a file",
        "folder": "a folder, not a file",
        "zero": "a device, not a file",
        "socket": "a socket, not a file",
        "system": "a file of the system, not on a disk",
    }.items():
        with pytest.raises(InputError) as error:
            files.open_regular(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: {words}."
    with pytest.raises(FileNotFoundError):
        files.open_regular(tmp_path / "nowhere")


def test_reading_is_bounded(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    assert files.read_bounded(tmp_path / "file", 4) == b"1234"
    with pytest.raises(InputError, match=r"file: more than 3 bytes, too large for such a file\.$"):
        files.read_bounded(tmp_path / "file", 3)
    with pytest.raises(InputError, match=r"nowhere: cannot be read: No such file or directory\.$"):
        files.read_bounded(tmp_path / "nowhere", 3)
    assert list(files.bounded_lines(io.BytesIO(b"abc\nd"), 4, "x")) == [b"abc\n", b"d"]
    assert list(files.bounded_lines(io.StringIO(""), 4, "x")) == []
    with pytest.raises(InputError) as error:
        list(files.bounded_lines(io.StringIO("abc\nabcde\n"), 4, "x.tsv"))
    assert str(error.value) == "x.tsv, line 2: more than 4 characters, too long for such a file."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 300_000, "its values are nested too deep."),
        ("9" * 5000, "Exceeds the limit (4300 digits)"),
        (b'"\xff"', "'utf-8' codec can't decode byte 0xff"),
        ("{", "Expecting property name enclosed in double quotes"),
    ],
)
def test_json_that_cannot_be_read(text, words):
    with pytest.raises(InputError) as error:
        files.parse_json(text, "x.json")
    assert str(error.value).startswith(f"x.json: cannot be read as JSON: {words}")
    assert files.parse_json('{"a": [1]}', "x.json") == {"a": [1]}


@pytest.mark.parametrize("target", ["mine", "nowhere"])
def test_a_link_in_place_of_a_partial_file_is_refused_and_not_followed(tmp_path, target):
    (tmp_path / "mine").write_text("mine")
    partial = tmp_path / "file.part"
    partial.symlink_to(tmp_path / target)
    words = rf"^{partial}: a link, in place of a file that is written here; it is not followed\. Remove it\.$"
    with pytest.raises(InputError, match=words):
        files.write_atomic(tmp_path / "file", "new")
    with pytest.raises(InputError, match=words), files.atomic_text(tmp_path / "file"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "file").exists()


def test_a_link_that_comes_while_a_file_is_written_does_not_take_its_place(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="a link"), files.atomic_path(tmp_path / "file") as partial:
        partial.unlink()
        partial.symlink_to(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_was_planted_under_the_name_of_a_partial_file_is_not_written_to(tmp_path, monkeypatch):
    planted = tmp_path / "file.part"
    planted.write_text("planted")
    with planted.open() as theirs:
        files.write_atomic(tmp_path / "file", "new")
        assert theirs.read() == "planted"
    assert (tmp_path / "file").read_text() == "new"
    planted.write_text("theirs")

    def refuse(self, missing_ok):
        raise PermissionError(1, "Not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InputError, match=rf"^{planted}: it cannot be made anew: Not yours\. Remove it\.$"):
        files.write_atomic(tmp_path / "file", "newer")
    (tmp_path / ".folder.part").touch()
    with (
        pytest.raises(InputError, match=r"folder\.part: it cannot be made anew"),
        files.atomic_folder(tmp_path / "folder"),
    ):
        pass


def test_nobody_can_foresee_the_name_of_a_partial_file_in_a_shared_folder(tmp_path):
    names = set()
    for _ in range(3):
        with files.atomic_path(tmp_path / "file", shared=True) as partial:
            names.add(partial.name)
    assert len(names) == 3
    assert all(name.startswith("file.") and name.endswith(".part") and len(name) > 20 for name in names)


def test_what_a_killed_process_left_under_a_name_of_its_own_is_removed(tmp_path):
    code = "from scripts.core.disk.files import *; print(own_name(Path('sra.gz'), 'part'))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    old = [ended.stdout.strip(), ended.stdout.strip().replace(".part", ".new.part")]
    mine = files.own_name(Path("sra.gz"), "part").name
    elsewhere = re.sub(r"-[0-9a-f]{8}-", "-00000000-", old[0])
    kept = [mine, elsewhere, "sra.gz.part", "sra.gz", "sra.gz.0123456789abcdef.part"]
    for name in (*old, *kept):
        (tmp_path / name).touch()
    files.remove_abandoned_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    files.remove_abandoned_files(tmp_path / "nowhere")


def test_a_folder_that_is_a_link_of_another_user_is_not_written_to(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "mine")
    files.write_atomic(tmp_path / "folder" / "file", "by a link of my own")
    if os.geteuid() == 0:
        os.lchown(tmp_path / "folder", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    words = rf"{tmp_path / 'folder'}: a link that another user made \(id \d+\); it is not followed\. Remove it\."
    with pytest.raises(InputError, match=words):
        files.write_atomic(tmp_path / "folder" / "other", "x")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
