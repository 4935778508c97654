"""A folder is whole if its end mark is there, and every file in it that the mark lists."""

import os
import shutil

import pytest

from scripts.core import command
from scripts.core.disk import folders
from scripts.core.disk.folders import (
    MARK,
    find_fault,
    remove_broken,
    remove_named,
    remove_partial,
    require_whole,
    seal,
    unseal,
)
from scripts.core.errors import Interrupted


def folder_of(path, names=("a.fastq", "b.fastq", "status.tsv", "deep/er/matrix.mtx")):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"{name}\n")
    return path


@pytest.fixture(autouse=True)
def job(monkeypatch):
    monkeypatch.setattr(command, "is_job", lambda: True)


def test_a_whole_folder(tmp_path):
    folder = folder_of(tmp_path / "unit")
    (folder / "link").symlink_to(tmp_path / "nowhere")
    (folder / "linked").symlink_to(tmp_path)
    seal(folder)
    (folder / ".snakemake_timestamp").touch()
    assert find_fault(folder) == ""
    require_whole(folder)
    assert sorted((folder / MARK).read_text().splitlines())[:2] == ["a.fastq\t8", "b.fastq\t8"]
    (tmp_path / "empty").mkdir()
    seal(tmp_path / "empty")
    assert find_fault(tmp_path / "empty") == ""


@pytest.mark.parametrize("name", ["a.fastq", "status.tsv", "deep/er/matrix.mtx", "link", MARK])
def test_every_file_counts(tmp_path, name):
    folder = folder_of(tmp_path / "unit")
    (folder / "link").symlink_to("a.fastq")
    seal(folder)
    (folder / name).unlink()
    assert find_fault(folder, sizes=False) == find_fault(folder)
    assert find_fault(folder) == ("it has no end mark" if name == MARK else f"its file {name} is missing")


def test_a_file_that_is_cut_short(tmp_path):
    seal(folder_of(tmp_path))
    (tmp_path / "a.fastq").write_text("a")
    assert find_fault(tmp_path) == "its file a.fastq has 1 bytes instead of 8"
    assert find_fault(tmp_path, sizes=False) == ""
    unseal(tmp_path)
    unseal(tmp_path)
    assert find_fault(tmp_path) == "it has no end mark"


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"a.fastq 8\n", b"a.fastq\tx\n", b"\0" * 20])
def test_a_mark_that_is_damaged(tmp_path, mark):
    seal(folder_of(tmp_path))
    (tmp_path / MARK).write_bytes(mark)
    assert find_fault(tmp_path) == "its end mark is damaged"


def test_a_removal_that_is_cut_off_at_any_file(tmp_path, monkeypatch):
    """After each single step of a removal the folder is known not to be whole."""
    whole = folder_of(tmp_path / "whole")
    seal(whole)
    (whole / ".snakemake_timestamp").touch()

    class Killed(BaseException):
        pass

    unlink = os.unlink
    for steps in range(6):  # of six files
        folder = shutil.copytree(whole, tmp_path / "copy" / "unit")
        left = iter(range(steps))

        def cut(*path, left=left, **options):
            if next(left, None) is None:
                raise Killed
            unlink(*path, **options)

        monkeypatch.setattr(os, "unlink", cut)
        with pytest.raises(Killed):
            shutil.rmtree(folder)
        monkeypatch.undo()
        gone = {path.name for path in whole.rglob("*")} - {path.name for path in folder.rglob("*")}
        assert bool(find_fault(folder, sizes=False)) == bool(gone - {".snakemake_timestamp"})
        remove_broken({tmp_path / "copy": "unit"})
        shutil.rmtree(tmp_path / "copy")


def test_a_job_refuses_what_is_not_whole(tmp_path):
    folder = folder_of(tmp_path / "unit")
    with pytest.raises(Interrupted, match=r"unit is not whole: it has no end mark; .* Run the same command again"):
        require_whole(folder)
    seal(folder)
    (folder / "b.fastq").unlink()
    with pytest.raises(Interrupted, match=r"its file b\.fastq is missing"):
        require_whole(folder)


def test_by_hand_a_folder_without_a_mark_is_read_as_it_is(tmp_path, monkeypatch):
    folder, marked = (folder_of(tmp_path / name) for name in ("unit", "marked"))
    seal(marked)
    (marked / "b.fastq").unlink()
    monkeypatch.setattr(command, "is_job", lambda: False)
    seal(folder)
    assert not (folder / MARK).exists()
    require_whole(folder)
    with pytest.raises(Interrupted):
        require_whole(marked)


def test_broken_folders_are_removed(tmp_path):
    for name in ("whole", "unmarked", "half", ".hidden"):
        folder_of(tmp_path / "fastq" / name)
    seal(tmp_path / "fastq/whole")
    seal(tmp_path / "fastq/half")
    (tmp_path / "fastq/half/deep/er/matrix.mtx").unlink()
    (tmp_path / "fastq/file").touch()
    (tmp_path / "fastq/linked").symlink_to(tmp_path / "fastq/.hidden")
    folder_of(tmp_path / "fastq" / "my own")
    ours = {tmp_path / "fastq": "[a-z]+", tmp_path / "nowhere": ".*"}
    assert [path.name for path in remove_broken(ours)] == ["half", "unmarked"]
    assert sorted(path.name for path in (tmp_path / "fastq").iterdir()) == [
        *(".hidden", "file", "linked", "my own", "whole")
    ]
    assert remove_broken(ours) == []


def test_named_folders_and_files_are_removed_with_those_that_are_empty_then(tmp_path):
    for name in ("partial/unit", "fastq/unit", "fastq/.unit.reads", "fastq/my own"):
        folder_of(tmp_path / name)
    (tmp_path / "fastq/.unit.lock").touch()
    (tmp_path / "fastq/linked").symlink_to(tmp_path / "fastq/my own")
    (tmp_path / "solo").mkdir()
    elsewhere = folder_of(tmp_path / "elsewhere/unit").parent
    (tmp_path / "align").symlink_to(elsewhere)
    ours = r"unit|linked|\..+\.(reads|lock)"
    remove_named({tmp_path / name: ours for name in ("partial", "fastq", "align", "solo", "nowhere")})
    assert not (tmp_path / "partial").exists() and not (tmp_path / "solo").exists()
    assert sorted(path.name for path in (tmp_path / "fastq").iterdir()) == ["linked", "my own"]
    assert (tmp_path / "align").is_dir() and not list(elsewhere.iterdir())


def test_half_written_files_are_removed(tmp_path):
    made = [
        "mus.h5ad.part",
        "mex/.SRX1.part/a",
        "mex/.SRX1.old/a",
        ".runs.arriving/b",
        "SHA256SUMS.part",
        "deep/a.tsv.part",
    ]
    kept = ["mus.h5ad", "my.movie.part", "mex/SRX1/a", ".hidden/a", "part/a", "a.partial"]
    for name in (*made, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".link.part").symlink_to(tmp_path / "mex")
    removed = remove_partial(tmp_path, r"SHA256SUMS|.+\.(h5ad|tsv)")
    assert {path.relative_to(tmp_path).as_posix().removesuffix("/a") for path in removed} == {
        *("mus.h5ad.part", "mex/.SRX1.part", "mex/.SRX1.old", ".runs.arriving", "SHA256SUMS.part", "deep/a.tsv.part")
    }
    assert all((tmp_path / name).exists() for name in kept)
    assert (tmp_path / ".link.part").is_symlink() and remove_partial(tmp_path / "nowhere") == []


def test_the_cost_of_many_whole_folders(tmp_path, monkeypatch):
    """Only names are looked at: no file is asked for its size."""
    for number in range(20):
        seal(folder_of(tmp_path / f"unit{number}"))
    asked = []
    lstat = folders.Path.lstat
    monkeypatch.setattr(folders.Path, "lstat", lambda path: asked.append(path) or lstat(path))
    assert remove_broken({tmp_path: ".*"}) == []
    assert not [path for path in asked if path.suffix]
