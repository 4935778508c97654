"""Spots of a droplet library that lack a read, dropped from all its files, so that the files are in step again.

Archives keep no read of no base: the file of that read has fewer reads than the others, and all behind it would belong
to another spot. Files of sequencers may keep it; here it is none. The reads of a spot have one name in all files (see
:mod:`scripts.reads.fastq_check`), and are in one order. A spot that has not all of its reads cannot be counted; a few
of them are no reason to lose a library.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import NoReturn

from scripts.core.errors import TOO_MANY_DROPPED, RunFault
from scripts.formats.fastq_files import Room, open_packed
from scripts.reads.fastq_check import FastqReader, find_difference, name_of

WINDOW = 1000
"""Spots in a row that may lack a read; further on files are not in one order."""


class _Stream:
    """The reads of one file that were not written yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blocks: Iterator[list[bytes]] = FastqReader(path, path.name).blocks()
        self.lines: list[bytes] = []

    def fill(self, reads: int) -> int:
        """Have so many reads, as far as the file has them; return how many there are."""
        while len(self.lines) < 4 * reads and (block := next(self._blocks, None)):
            if all(block[1::4]):
                self.lines += block
            else:
                self.lines += [line for at in range(0, len(block), 4) if block[at + 1] for line in block[at : at + 4]]
        return len(self.lines) // 4

    def take(self, reads: int) -> list[bytes]:
        taken = self.lines[: 4 * reads]
        del self.lines[: 4 * reads]
        return taken

    def names(self, reads: int) -> list[bytes]:
        return [name_of(head) for head in islice(self.lines, 0, 4 * reads, 4)]


def count_empty(files: Iterable[Path]) -> int:
    """Return how many reads of the files have no base."""
    return sum(
        sum(not bases for bases in block[1::4]) for path in files for block in FastqReader(path, path.name).blocks()
    )


def drop_incomplete(files: Mapping[str, Path], folder: Path, most: float, room: Room) -> tuple[dict[str, Path], int]:
    """Write the spots that have a read in every file, gzipped, into a folder; return name → file, and their number.

    ``files`` is name → file, ``most`` how many spots may lack a read. The files given are removed. Raises RunFault:
    READS_MISSING where more spots lack a read, MATES_DISAGREE where the files are not in one order.
    """
    streams = [_Stream(path) for path in files.values()]
    targets = [folder / f"whole.{name}.gz" for name in files]
    kept = dropped = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(open_packed(target, room)) for target in targets]
        while (size := min(stream.fill(WINDOW) for stream in streams)) or any(stream.lines for stream in streams):
            step = _in_step(streams, size)
            for stream, writer in zip(streams, writers, strict=True):
                if step:
                    writer.write(b"\n".join(stream.take(step)) + b"\n")
            kept += step
            if step < size or not size:
                dropped += _skip(streams)
            if dropped > most:
                raise RunFault(
                    "READS_MISSING",
                    f"of the first {kept + dropped:,} spots {dropped:,} lack a read, more than max_dropped allows.",
                    TOO_MANY_DROPPED,
                )
    for path in files.values():
        path.unlink()
    return dict(zip(files, targets, strict=True)), kept


def _in_step(streams: Sequence[_Stream], size: int) -> int:
    """Return how many of the next spots have one name in all files."""
    first, *others = ([*islice(stream.lines, 0, 4 * size, 4)] for stream in streams)
    step = size
    for other in others:
        difference = find_difference(first[:step], other[:step])
        step = step if difference is None else difference
    return step


def _skip(streams: Sequence[_Stream]) -> int:
    """Skip the spots before the next one that all files have; return how many, each once."""
    names = [stream.names(stream.fill(2 * WINDOW)) for stream in streams]
    shared = set(names[0]).intersection(*names[1:])
    following = next((name for name in names[0] if name in shared), None)
    places = [len(own) if following is None else own.index(following) for own in names]
    if max(places) > WINDOW:
        _disagree(streams, names)
    for stream, place in zip(streams, places, strict=True):
        stream.take(place)
    return len({name for own, place in zip(names, places, strict=True) for name in own[:place]})


def _disagree(streams: Sequence[_Stream], names: Sequence[Sequence[bytes]]) -> NoReturn:
    shown = " and ".join(
        f"{own[0].decode('utf-8', 'replace')!r} in {stream.path.name}" if own else f"nothing in {stream.path.name}"
        for stream, own in zip(streams, names, strict=True)
    )
    raise RunFault(
        "MATES_DISAGREE",
        f"behind each other come {shown}: these are not the reads of the same spots in the same order.",
    )
