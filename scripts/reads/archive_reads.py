"""The reads of an archive as compressed FASTQ, written while fastq-dump prints them.

``fastq-dump --split-spot --stdout`` prints all reads of the first spot, then those of the second, …; its headers name
the spot, and the third line of a read is its number in the spot (``+1``, ``+2``, …; empty reads are not counted where
the whole archive lacks them, and not printed). They are split into a file for each read of the spot here. fasterq-dump
writes the same reads (tests/reads/test_archive_reads.py compares them), but through temporary files of several times
the size of the archive, which it cannot compress.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import BinaryIO

from scripts.core.concurrency import side_by_side
from scripts.core.errors import RunFault
from scripts.core.subprocesses import path_argument, stream_program
from scripts.formats.fastq_files import LONGEST_LINE, open_packed
from scripts.reads.sources import sra_archive

_SPOTS_OF_PIECE = 1_000_000
"""Spots that are converted by one fastq-dump; those of a larger archive are converted side by side."""
_BLOCK = 1 << 20
_READ_SPOTS = re.compile(r"^Read (\d+) spots for", re.MULTILINE)


def dump(
    archive: Path, work: Path, environment: dict[str, str], *, spots: int, plate: bool, names: bool, threads: int
) -> tuple[dict[int, tuple[Path, int]], int]:
    """Write the reads of an archive into the folder ``work``; return number → (file, reads in it), and its spots.

    ``spots`` is how many are expected; a larger archive is read to its end all the same.

    Of a plate run the biological reads: 1, 2, … are the reads of spots that have several, 0 those of the spots that
    have one. Else all reads by their number in the spot. With ``names`` the archive's own names, where it has any,
    follow those of fastq-dump. Raises RunFault: ARCHIVE_CORRUPT where fastq-dump fails, READS_MISSING where its
    text is cut short.
    """
    arguments = ["fastq-dump", "--split-spot", "--stdout", "--defline-qual", "+$ri"]
    arguments += ["--defline-seq", "@$ac.$si $sn" if names else "@$ac.$si"]
    arguments += ["--skip-technical"] if plate else []
    starts = range(1, spots + 1, _SPOTS_OF_PIECE)

    def convert(first: int) -> tuple[int, dict[int, tuple[Path, int]]]:
        span = ["--minSpotId", str(first)] if first > 1 else []
        span += ["--maxSpotId", str(first + _SPOTS_OF_PIECE - 1)] if first < starts[-1] else []
        with _SpotSplitter(work, f".{first}", plate) as splitter:
            done = stream_program([*arguments, *span, path_argument(archive)], splitter.take, environment)
        sra_archive.raise_if_silent("fastq-dump", done)
        if missing := sorted({*re.findall(r"can't open (\S+) as a RefSeq", done.errors)}):
            words = f"the archive is aligned to what it does not hold: {', '.join(missing)}."
            raise RunFault("REFERENCE_MISSING", words)
        if done.status:
            words = sra_archive.first_words(done.errors, archive)
            raise RunFault("ARCHIVE_CORRUPT", f"fastq-dump failed: {words or f'status {done.status}'}.", done.cause)
        if splitter.is_cut:
            raise RunFault("READS_MISSING", "what fastq-dump prints is cut off: its last read is not whole.")
        return sum(map(int, _READ_SPOTS.findall(done.errors))), splitter.written()

    whole: dict[int, tuple[Path, int]] = {}
    read = 0
    early: dict[int, dict[int, tuple[Path, int]]] = {}  # pieces that were converted before those in front of them
    following = iter(starts)
    wanted = next(following)
    for first, (spots_read, written) in side_by_side(convert, starts, threads):
        read += spots_read
        early[first] = written
        while wanted in early:
            _append(work, whole, early.pop(wanted))
            wanted = next(following, 0)
    return whole, read


def _append(work: Path, whole: dict[int, tuple[Path, int]], written: dict[int, tuple[Path, int]]) -> None:
    """Append the next spots' files to those of the spots before; gzip members follow one another."""
    for number, (path, reads) in written.items():
        file, before = whole.get(number, (work / f"{number}.fastq.gz", 0))
        if before:
            with path.open("rb") as more, file.open("ab") as handle:
                shutil.copyfileobj(more, handle, _BLOCK)
            path.unlink()
        else:
            path.rename(file)
        whole[number] = file, before + reads


class _SpotSplitter(ExitStack):
    """Splits what fastq-dump prints into a file for each read of the spot."""

    def __init__(self, work: Path, mark: str, plate: bool) -> None:
        super().__init__()
        self.work, self.mark, self.plate = work, mark, plate
        self._files: dict[int, BinaryIO] = {}
        self._reads: dict[int, int] = {}
        self.is_cut = False

    def written(self) -> dict[int, tuple[Path, int]]:
        """Return number → (file, reads in it)."""
        return {number: (self._path(number), reads) for number, reads in sorted(self._reads.items())}

    def _path(self, number: int) -> Path:
        return self.work / f"{self.mark}.{number}.fastq.gz"

    def take(self, text: BinaryIO) -> None:
        """Read all and write it; where it is cut short, ``is_cut`` says so."""
        rest = b""
        while piece := text.read(_BLOCK):
            lines = (rest + piece).split(b"\n")
            whole = _last_spot(lines)
            rest = b"\n".join(lines[whole:])
            if len(rest) > LONGEST_LINE:
                raise RunFault("READS_MISSING", f"fastq-dump prints a spot of more than {LONGEST_LINE:,} bytes.")
            del lines[whole:]
            if lines:
                self._split(lines)
        lines = rest.split(b"\n")
        self.is_cut = bool(lines.pop() or len(lines) % 4)
        if lines and not self.is_cut:
            self._split(lines)

    def _split(self, lines: list[bytes]) -> None:
        """Write the reads of some whole spots."""
        if lines[0].endswith(b" "):  # the archive keeps no names; STAR takes the next line for what follows a blank
            lines[::4] = [head.rstrip(b" ") for head in lines[::4]]
        heads, numbers = lines[::4], lines[2::4]
        size = next((at for at in count(1) if heads[at : at + 1] != heads[:1]), 1)
        if (
            numbers != numbers[:size] * (len(numbers) // size)
            or any(heads[at::size] != heads[::size] for at in range(1, size))
            or numbers[:size] != sorted({*numbers[:size]}, key=int)
        ):
            return self._split_one_by_one(lines, heads)
        for at, number in enumerate(self._places(numbers[:size])):
            reads = [b"+"] * (4 * (len(heads) // size))
            reads[::4] = heads[::size]
            reads[1::4], reads[3::4] = lines[4 * at + 1 :: 4 * size], lines[4 * at + 3 :: 4 * size]
            self._write(number, reads)
        return None

    def _split_one_by_one(self, lines: list[bytes], heads: Sequence[bytes]) -> None:
        """Write the reads of spots that do not all have the same ones."""
        parts: dict[int, list[bytes]] = {}
        for first, last in _spots(heads):
            for at, number in enumerate(self._places(lines[4 * first + 2 : 4 * last : 4]), first):
                head, bases, _, qualities = lines[4 * at : 4 * at + 4]
                parts.setdefault(number, []).extend((head, bases, b"+", qualities))
        for number, reads in parts.items():
            self._write(number, reads)

    def _places(self, numbers: Sequence[bytes]) -> Sequence[int]:
        """Return to which files the reads of a spot go, by their third lines."""
        if not self.plate:
            return [int(number) for number in numbers]
        return range(1, len(numbers) + 1) if len(numbers) > 1 else (0,)

    def _write(self, number: int, lines: list[bytes]) -> None:
        if number not in self._files:
            self._files[number] = self.enter_context(open_packed(self._path(number)))
        self._files[number].write(b"\n".join(lines) + b"\n")
        self._reads[number] = self._reads.get(number, 0) + len(lines) // 4


def _last_spot(lines: Sequence[bytes]) -> int:
    """Return the index of the line with which the last spot of some lines begins; its reads may not all be there."""
    at = max(0, (len(lines) - 1) // 4 * 4 - 4)
    while at and lines[at - 4] == lines[at]:
        at -= 4
    return at


def _spots(heads: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the first and behind the last read of each spot."""
    first = 0
    for at in range(1, len(heads) + 1):
        if at == len(heads) or heads[at] != heads[first]:
            yield first, at
            first = at
