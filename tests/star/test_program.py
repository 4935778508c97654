"""STAR is run by a script in its place: what it says of its failure, and which failures are no fault of a run."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError, Interrupted
from scripts.star.program import (
    INDEX_FILES,
    index_parameters,
    program,
    raise_if_interrupted,
    require_index,
    run_star,
)

LOG = """\
EXITING because of fatal input ERROR: could not open
readFilesIn=reads.fastq

Jun 02 02:02:16 ...... FATAL ERROR, exiting
"""


@pytest.fixture
def star(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin" / "STAR"
    path.touch(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    return path


@pytest.mark.parametrize(
    ("script", "status", "complaint"),
    [
        ("exit 0", 0, ""),
        (f"cat >Log.out <<'END'\n{LOG}END\nexit 104", 104, "input ERROR: could not open readFilesIn=reads.fastq"),
        ("echo no such; echo option; exit 3", 3, "STAR ended with exit status 3. no such option"),
        ("kill -KILL $$", -9, "STAR was ended by SIGKILL; was there too little memory?"),
        ("kill -SEGV $$", -11, "STAR was ended by SIGSEGV."),
        ("exit 139", 139, "STAR was ended by SIGSEGV."),  # as a shell around STAR says it
    ],
)
def test_a_failure_is_explained_in_a_line(star: Path, tmp_path: Path, script: str, status: int, complaint: str) -> None:
    star.write_text(f"#!/bin/sh\n{script}\n")
    assert run_star([], tmp_path) == (status, complaint)


@pytest.mark.parametrize(
    ("status", "complaint"),
    [(-9, ""), (143, ""), (107, "FATAL ERROR: not enough memory for BAM sorting"), (1, "std::bad_alloc")],
)
def test_what_is_no_fault_of_a_run(tmp_path: Path, status: int, complaint: str) -> None:
    with pytest.raises(Interrupted, match="Run the same command again"):
        raise_if_interrupted(status, complaint, tmp_path)
    raise_if_interrupted(104, "could not open readFilesIn", tmp_path)


def test_an_index_that_lacks_a_file(tmp_path: Path) -> None:
    for name in INDEX_FILES:
        (tmp_path / name).write_text("x")
    require_index(tmp_path)
    (tmp_path / "SA").write_text("")
    (tmp_path / "Genome").unlink()
    with pytest.raises(
        InputError, match=r"not a whole index of STAR, Genome, SA is missing\. Delete .*: it is made anew"
    ):
        require_index(tmp_path)


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"it cannot be read .* is not an index of STAR"):
        index_parameters(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="STAR is not on the PATH"):
        program()
