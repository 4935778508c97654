"""The table of changes: it says how results came about, so that no checksum of it is kept, only its form is checked."""

from collections.abc import Iterator
from pathlib import Path

from scripts.core.disk.files import open_regular
from scripts.core.errors import InputError
from scripts.core.untrusted import open_lines
from scripts.harvest.results import CHANGES
from scripts.records.history.changes import KINDS, Change

_MOST = 1 << 30  # bytes of the table
_SHOWN = 5  # lines that are named


def change_faults(path: Path) -> Iterator[str]:
    """Yield a sentence where a table of changes is none. Raises InputError where it cannot be read."""
    open_regular(path).close()
    lines = open_lines(path, _MOST)
    if next(lines, "").split("\t") != list(Change._fields):
        yield f"{CHANGES}: its first line is not {' '.join(Change._fields)}."
        return
    strange = []
    for number, line in enumerate(lines, 2):
        values = line.split("\t")
        if len(values) != len(Change._fields) or values[3] not in KINDS:
            strange.append(number)
            if len(strange) == _SHOWN:
                break
    if strange:
        raise InputError(f"{CHANGES}: not a change in line {', '.join(map(str, strange))}.")
