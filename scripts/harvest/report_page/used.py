"""What was used: results/provenance.json as tables, and the paragraph for a paper, results/methods.txt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.errors import InputError

MOST_BYTES = 5_000_000
MOST_ENTRIES = 400
"""Rows of a section that are shown."""
MOST_LETTERS = 24
"""Of a value in a column that is not for long texts."""
_TITLES = {
    "workflow": "Workflow, and the command that makes the same results",
    "options": "Options that are not the default",
    "tools": "Programs",
    "references": "References",
    "reads": "Where the reads are from",
    "kits": "Kits",
    "cell_filters": "Cell filters",
    "star": "Calls of STAR",
    "counted": "What was counted",
    "species": "Species",
    "series": "Series and their articles",
    "asked_for": "Asked for",
    "run_table": "Run table",
    "settings": "All settings that decide what is in the results",
}
"""Part of provenance.json → its title, in the order of the page; docs/formats.md says what they are."""
_NOT_SHOWN = ("format", "runs")


def read_methods(results: Path) -> str:
    """Return the paragraph for a paper, empty where there is none."""
    path = results / "methods.txt"
    if not path.is_file():
        return ""
    return path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace").strip()


class Section(NamedTuple):
    """A part of provenance.json as a table."""

    title: str
    head: list[str]
    rows: list[list[str | None]]
    note: str


def read_provenance(results: Path) -> list[Section]:
    """Return the sections of provenance.json, those that people ask for first; none without a file.

    Raises InputError where the file is no JSON object.
    """
    path = results / "provenance.json"
    if not path.is_file():
        return []
    try:
        with path.open("rb") as handle:
            known = json.loads(handle.read(MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {error}.") from error
    if not isinstance(known, dict):
        raise InputError(f"{path}: is no JSON object.")
    order = {name: position for position, name in enumerate(_TITLES)}
    names = sorted((name for name in known if known[name] not in (None, [], {})), key=lambda name: order.get(name, 99))
    try:
        return [section for name in names if name not in _NOT_SHOWN for section in _sections(name, known[name])]
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply.") from error


def _sections(name: str, part: Any) -> Iterator[Section]:
    """Yield a part as a table, and each list of tables in it, such as the files of a reference, as one of its own."""
    title = _TITLES.get(name, name.replace("_", " "))
    if not _is_table(part):
        pairs = part.items() if isinstance(part, dict) else [(title, part)]
        yield _section(title, [{"what": key, "value": _text(value)} for key, value in pairs])
        return
    nested = list(dict.fromkeys(key for each in part for key, value in each.items() if value and _is_table(value)))
    rows = [{key: _text(value) for key, value in each.items() if key not in nested} for each in part]
    yield _section(title, rows)
    for key in nested:
        first = [next(iter(row.items()), ("", "")) for row in rows]
        inner = [
            {start[0]: start[1], **{column: _text(value) for column, value in entry.items()}}
            for start, each in zip(first, part, strict=True)
            for entry in each.get(key, ())
        ]
        yield _section(f"{title}: {key.replace('_', ' ')}", inner)


def _section(title: str, rows: Sequence[Mapping[str, str]]) -> Section:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    long = {column for row in rows for column in row if len(row[column]) > MOST_LETTERS}
    head = [("~" if column in long else "") + column.replace("_", " ") for column in columns]
    table: list[list[str | None]] = [[row.get(column) or None for column in columns] for row in rows[:MOST_ENTRIES]]
    cut = len(rows) > MOST_ENTRIES
    return Section(
        title, head, table, f"The first {MOST_ENTRIES} of {len(rows):,}; all are in provenance.json." if cut else ""
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _text(value: Any) -> str:
    """Return a value in words: names and values of a map, the entries of a list."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if "words" in value:
            return _text(value["words"])
        return "; ".join(f"{name}: {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False)
