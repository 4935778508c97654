"""Files of a release are copied whole or not at all, and nothing of a strange archive is written elsewhere."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest.releases.pack import ReleasedFile, extract, sums_text, write_archive, write_folder


def released(folder: Path, name: str, content: bytes, sha256: str = "") -> ReleasedFile:
    path = folder / hashlib.sha256(name.encode()).hexdigest()
    path.write_bytes(content)
    return ReleasedFile(name, path, sha256 or hashlib.sha256(content).hexdigest())


def write(kind: str, tmp_path: Path, *members: ReleasedFile) -> Path:
    target = tmp_path / "made" / "release"
    target.parent.mkdir()
    if kind == "folder":
        write_folder(target, members)
    else:
        write_archive(target, "top", members)
    return target


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_file_that_changes_meanwhile_ends_it(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"changed while it was copied; make the release again\."):
        write(kind, tmp_path, released(tmp_path, "a", b"x"), released(tmp_path, "b", b"y", "0" * 64))
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "archive"])
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "-x", "a\nb", "x" * 256])
def test_a_hostile_name_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a file or folder"):
        write(kind, tmp_path, released(tmp_path, name, b"x"))
    assert list((tmp_path / "made").iterdir()) == []


def test_sums_are_sorted_by_bytes(tmp_path: Path) -> None:
    members = [released(tmp_path, name, b"") for name in ("é", "z", "a/b")]
    assert [line.split("  ")[1] for line in sums_text(members).splitlines()] == ["a/b", "z", "é"]


def test_only_what_is_wanted_is_taken_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (
            ("../../evil", tarfile.REGTYPE),
            ("/etc/evil", tarfile.REGTYPE),
            ("top/link", tarfile.SYMTYPE),
            ("top/cells.tsv", tarfile.SYMTYPE),
            ("top/cells.tsv", tarfile.REGTYPE),
            ("other/release.json", tarfile.REGTYPE),
            ("top/results/runs.tsv", tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, "/etc/passwd", 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"abc"))
    folder = tmp_path / "out"
    folder.mkdir()
    assert extract(path, ["cells.tsv", "release.json", "results/runs.tsv"], folder) == "top"
    assert sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()) == [
        "cells.tsv",
        "results/runs.tsv",
    ]


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x1f\x8b\x08", bytes(1024)])
def test_what_is_no_archive_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    try:
        assert extract(path, ["a"], tmp_path) == ""
    except InputError as error:
        assert "not a folder, and not a tar file of a release" in str(error)
