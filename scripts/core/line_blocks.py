"""A text file in blocks of whole lines, for programs that work on megabytes of lines at a time."""

from collections.abc import Iterator
from typing import BinaryIO


def line_blocks(handle: BinaryIO, size: int = 1 << 22) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines, each of at least ``size`` bytes or so.

    A last line without an end comes last, by itself.
    """
    rest = b""
    while piece := handle.read(size):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = piece[cut:]
        else:
            rest += piece
    if rest:
        yield rest
