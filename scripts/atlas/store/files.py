"""Folders, tables and JSON files of parts and atlases."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.core.disk.files import atomic_folder, bounded_lines, open_regular, parse_json, read_bounded, write_atomic
from scripts.core.errors import InputError

MOST_JSON = 1 << 24
"""Bytes of a JSON file that are read: a manifest of 10,000 shards has ten million."""
MOST_LINE = 1 << 16
"""Bytes of a line of a table that are read."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


@contextmanager
def new_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Yield a folder to fill, which replaces an older one at once, see :func:`~scripts.core.disk.files.atomic_folder`.

    ``mark`` is the file by which a folder of the same command is recognised. Raises InputError where something else is
    at ``path``.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and ((path / mark).exists() or not any(path.iterdir()))):
        raise InputError(f"{path}: the folder has other files (it has no {mark}); give a new folder to --output.")
    with atomic_folder(path) as partial:
        yield partial


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises InputError where it cannot be read, or has more than MOST_JSON bytes."""
    return parse_json(read_bounded(path, MOST_JSON), str(path))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON: the same value, the same bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomic(path, text + "\n")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated table row by row; white space in values is reduced to single blanks."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(header) + "\n")
        for row in rows:
            handle.write("\t".join(" ".join(str(value).split()) for value in row) + "\n")


def read_table(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and values of each row of a table.

    Raises InputError for another header, and with the line for what is no text or has another number of values.
    """
    try:
        handle = open_regular(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    with handle:
        number = 0
        for number, line in enumerate(bounded_lines(handle, MOST_LINE, str(path)), 1):
            try:
                values = line.removesuffix(b"\n").decode().split("\t")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, line {number}: not text in UTF-8: {error}.") from error
            if _CONTROL.search(line):
                raise InputError(f"{path}, line {number}: it has a control character.")
            if number == 1 and values != list(header):
                break
            if len(values) != len(header):
                raise InputError(f"{path}, line {number}: {len(values)} values, expected {len(header)}.")
            if number > 1:
                yield number, values
        else:
            if number:
                return
        raise InputError(f"{path}: its first line must be {' '.join(header)!r}, separated by tabs.")


def is_whole(text: str, most: int = 15) -> bool:
    """Return whether a text is a whole number from 0 of at most so many digits."""
    return text.isascii() and text.isdecimal() and len(text) <= most
