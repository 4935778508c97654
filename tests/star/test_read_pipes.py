"""Compressed reads reach a program under the name of a plain file, and nothing waits for one that has ended."""

import bz2
import gzip
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.core.errors import RunFault
from scripts.star.read_pipes import read_pipes

READS = b"".join(b"@%d\nACGT\n+\nFFFF\n" % number for number in range(100_000))  # more than a pipe holds


def read(*paths: Path) -> bytes:
    """Return what another program reads."""
    return subprocess.run(["cat", *map(str, paths)], check=True, capture_output=True).stdout


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "1.fastq.gz"
    path.write_bytes(gzip.compress(READS[:-7], 1) + gzip.compress(READS[-7:], 1))
    return path


def test_every_kind_of_source_is_read(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "plain").write_bytes(READS)
    (tmp_path / "2.bz2").write_bytes(bz2.compress(READS))
    folder = tmp_path / "star"
    sources = {"reads/1.fastq": packed, "2.fastq": tmp_path / "2.bz2", "plain.fastq": tmp_path / "plain"}
    with read_pipes(folder, {**sources, "made.fastq": lambda: iter([b"@1\n", b"A\n"])}):
        assert read(folder / "made.fastq") == b"@1\nA\n"
        assert all(read(folder / name) == READS for name in sources)
        assert (folder / "plain.fastq").readlink() == tmp_path / "plain"
        assert not [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in folder.iterdir() if path.is_fifo()] == []


def test_no_reads_are_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "none.gz").write_bytes(gzip.compress(b""))
    with read_pipes(tmp_path, {"a.fastq": tmp_path / "none.gz", "b.fastq": lambda: iter([])}):
        assert read(tmp_path / "a.fastq", tmp_path / "b.fastq") == b""


def test_a_pipe_is_read_again(tmp_path: Path, packed: Path) -> None:
    with read_pipes(tmp_path, {"a.fastq": packed}):
        for _ in range(3):
            assert read(tmp_path / "a.fastq", tmp_path / "a.fastq") == 2 * READS


def test_a_reader_that_ends_early_or_never_begins_is_not_waited_for(tmp_path: Path, packed: Path) -> None:
    before = threading.active_count()
    with read_pipes(tmp_path, {"a.fastq": packed, "b.fastq": packed}):
        assert subprocess.run(["head", "-c", "4", "a.fastq"], cwd=tmp_path, capture_output=True).stdout == READS[:4]
    assert threading.active_count() == before


def test_the_fault_of_a_source_is_raised(tmp_path: Path, packed: Path) -> None:
    def faulty() -> Iterator[bytes]:
        yield b"@1\n"
        raise RunFault("READS_MISSING", "one is missing.")

    for fails_too in (False, True):
        with pytest.raises(RunFault, match="one is missing"), read_pipes(tmp_path, {"a.fastq": faulty}):
            assert read(tmp_path / "a.fastq") == b"@1\n"
            if fails_too:
                raise RunFault("ALIGN_FAILED", "what STAR makes of it.")
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(EOFError), read_pipes(tmp_path, {"a.fastq": packed}):
        assert READS.startswith(read(tmp_path / "a.fastq"))
    with pytest.raises(RunFault, match="STAR makes"), read_pipes(tmp_path, {"a.fastq": lambda: iter([b"@1\n"])}):
        raise RunFault("ALIGN_FAILED", "what STAR makes of it.")


def test_a_command_that_is_stopped_waits_for_no_reader(tmp_path: Path, packed: Path) -> None:
    with pytest.raises(SystemExit), read_pipes(tmp_path, {"a.fastq": packed}):
        raise SystemExit(143)


def test_who_opens_a_pipe_first_without_reading_takes_nothing_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STAR opens each file and closes it, and has it read later by another program, at whatever moment that is."""
    make, opened = os.mkfifo, threading.Event()
    readers: list[int] = []

    def mkfifo(path: Path) -> None:
        make(path)
        if path.name.endswith(".next") and not readers:  # the worst moment: before the name is that of the new pipe
            readers.append(os.open(tmp_path / "1.fastq", os.O_RDONLY))
            opened.set()

    monkeypatch.setattr("scripts.star.read_pipes.os.mkfifo", mkfifo)
    with read_pipes(tmp_path, {"1.fastq": lambda: iter([READS[:1000]])}):
        os.close(os.open(tmp_path / "1.fastq", os.O_RDONLY))
        assert opened.wait(10)
        with os.fdopen(readers[0], "rb") as handle:
            assert handle.read() == READS[:1000]
