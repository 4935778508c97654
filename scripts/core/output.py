"""What commands print: text of a record or a server never controls the terminal, and never shows a secret."""

import io
import re
import sys
from typing import TextIO

from scripts.core.secrets import mask

_CLEAR_LINE = "\r\x1b[K"
# Control characters but tab and line feed; marks that change the direction of text; line separators.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Return a text in which control characters, but tab and line feed, are written as ``\\x1b`` or ``\\u202e``."""
    return _CONTROL.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class PrintableOutput(io.TextIOWrapper):
    """A stream of text that prints control characters as escapes and secrets as ``***``."""

    def write(self, text: str) -> int:
        super().write(mask(printable(text)))
        return len(text)

    def clear_line(self) -> None:
        super().write(_CLEAR_LINE)


def clear_line() -> None:
    """Clear the line of the terminal that standard error is."""
    if isinstance(sys.stderr, PrintableOutput):
        sys.stderr.clear_line()
    else:
        sys.stderr.write(_CLEAR_LINE)


def guard_output() -> None:
    """Let standard output and standard error of this process print printable text only."""
    one = sys.stdout is sys.stderr  # a caller has redirected one to the other
    sys.stderr = _guarded(sys.stderr)
    sys.stdout = sys.stderr if one else _guarded(sys.stdout)


def _guarded(stream: TextIO) -> TextIO:
    if type(stream) is not io.TextIOWrapper:  # guarded already, or closed, or replaced by a test
        return stream
    encoding, buffered, direct = stream.encoding, stream.line_buffering, stream.write_through
    return PrintableOutput(stream.detach(), encoding, "backslashreplace", None, buffered, direct)
