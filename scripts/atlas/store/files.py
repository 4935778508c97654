"""Folders, tables and JSON files of parts and atlases."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.core.errors import InputError
from scripts.core.files import atomic_folder, write_atomic


@contextmanager
def new_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Yield a folder to fill, which replaces an older one in one step, see :func:`~scripts.core.files.atomic_folder`.

    ``mark`` is the file by which a folder of the same command is recognised. Raises InputError where something else is
    at ``path``.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and ((path / mark).exists() or not any(path.iterdir()))):
        raise InputError(f"{path}: the folder has other files (it has no {mark}); give a new folder to --output.")
    with atomic_folder(path) as partial:
        yield partial


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises InputError where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}.") from error


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
    """Yield line number and values of each row of a table. Raises InputError for another header."""
    try:
        handle = path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    with handle:
        lines = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if next(lines, None) != list(header):
            raise InputError(f"{path}: its first line must be {' '.join(header)!r}, separated by tabs.")
        for values in lines:
            if len(values) != len(header):
                raise InputError(f"{path}, line {lines.line_num}: {len(values)} values, expected {len(header)}.")
            yield lines.line_num, values
