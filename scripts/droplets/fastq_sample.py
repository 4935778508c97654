"""A sample of the reads of a FASTQ file (four lines a record, as the conversion writes it) as base codes."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import InputError
from scripts.droplets.inclusion_lists import BASE_CODES
from scripts.formats.fastq_files import open_reads
from scripts.star.read_pipes import Source

NO_BASE = 4
WIDTH = 100
"""Bases of a read in a sample; no kit keeps a barcode behind them."""
SKIP = 100_000
"""Reads before a sample: the first ones of a run are its worst."""
_BLOCK = 1 << 22
_LINES = 10_000


class ReadSample(NamedTuple):
    """Some reads: ``codes`` is uint8, reads × WIDTH (A 0, C 1, G 2, T 3, all else and behind the end 4)."""

    codes: np.ndarray
    lengths: np.ndarray
    """int64: length of each read in bases, also beyond WIDTH."""


def make_sample(sequences: list[str]) -> ReadSample:
    """Return these reads as a sample."""
    codes = np.full((len(sequences), WIDTH), NO_BASE, dtype=np.uint8)
    for number, sequence in enumerate(sequences):
        letters = np.frombuffer(sequence[:WIDTH].encode(), dtype=np.uint8)
        codes[number, : letters.size] = BASE_CODES[letters]
    return ReadSample(codes, np.array([len(sequence) for sequence in sequences], dtype=np.int64))


def sample_reads(path: str | Path, size: int, skip: int) -> ReadSample:
    """Return the ``size`` reads after the first ``skip``; of a shorter file its last ``size``, or all.

    Raises InputError where the file is not FASTQ with four lines a record.
    """
    parts = list(read_blocks(Path(path), skip + size))
    if not sum(part.lengths.size for part in parts):
        return make_sample([])
    codes = np.concatenate([part.codes for part in parts])[-size:]
    return ReadSample(codes, np.concatenate([part.lengths for part in parts])[-size:])


def in_blocks(source: Source) -> Iterator[bytes]:
    """Yield the bytes of some reads, some million at a time."""
    if isinstance(source, Path):
        with open_reads(source) as handle:
            while block := handle.read(_BLOCK):
                yield block
        return
    pieces: list[bytes] = []
    size = 0
    for piece in source():
        pieces.append(piece)
        size += len(piece)
        if size >= _BLOCK:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def read_blocks(source: Source, most: int | None = None) -> Iterator[ReadSample]:
    """Yield some reads, all or the first ``most``, some thousand at a time; raises as :func:`sample_reads`."""
    name = source if isinstance(source, Path) else "the joined reads"
    seen = 0
    rest = b""
    for block in in_blocks(source):
        part, rest = _take_reads(name, rest + block, len(block) if most is None else most - seen)
        seen += part.lengths.size
        yield part
        if most is not None and seen >= most:
            return
    part, rest = _take_reads(name, rest if rest.endswith(b"\n") else rest + b"\n", 1)
    if rest.strip(b"\n"):
        raise InputError(f"{name}: the last record is cut short; FASTQ has four lines a record.")
    yield part


def _take_reads(path: str | Path, block: bytes, most: int) -> tuple[ReadSample, bytes]:
    """Return the whole reads at the beginning of a block, at most so many, and the rest of it."""
    letters = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(letters == 10)
    records = min(ends.size // 4, most)
    if not records:
        return make_sample([]), block
    lines = ends[: 4 * records].reshape(-1, 4)
    heads = np.concatenate([[0], lines[:-1, 3] + 1])
    if (letters[heads] != ord("@")).any() or (letters[lines[:, 1] + 1] != ord("+")).any():
        raise InputError(f"{path}: not FASTQ with four lines a record ('@name', bases, '+', qualities).")
    starts = lines[:, 0] + 1
    lengths = lines[:, 1] - starts
    columns = np.arange(WIDTH)
    codes = BASE_CODES[letters[np.minimum(starts[:, None] + columns, letters.size - 1)]]
    codes[columns >= lengths[:, None]] = NO_BASE
    return ReadSample(codes, lengths), block[int(lines[-1, 3]) + 1 :]


def sample_lines(path: str | Path, size: int, skip: int) -> Iterator[bytes]:
    """Yield the lines, some at a time, of the ``size`` reads after the first ``skip``, of a shorter file the last."""
    with open_bytes(path) as handle:
        reads = sum(1 for _ in islice(handle, 4 * (skip + size))) // 4
    first = max(0, min(skip, reads - size))
    with open_bytes(path) as handle:
        lines = islice(handle, 4 * first, 4 * (first + size))
        while block := b"".join(islice(lines, _LINES)):
            yield block
