"""What was used: results/provenance.json as tables, and the paragraph for a paper, results/methods.txt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.core.errors import InputError

MOST_BYTES = 5_000_000
MOST_ENTRIES = 400
"""Values of a section that are shown."""


def read_methods(results: Path) -> str:
    """Return the paragraph for a paper, empty where there is none."""
    path = results / "methods.txt"
    if not path.is_file():
        return ""
    return path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace").strip()


def read_provenance(results: Path) -> list[tuple[str, list[list[str]], str]]:
    """Return title, rows (name and value) and a note of each section; none without a file.

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
    sections = []
    single = [(name, value) for name, value in known.items() if not isinstance(value, (dict, list))]
    for title, part in [("this analysis", dict(single)), *known.items()]:
        if isinstance(part, (dict, list)) and part:
            rows = [[name, value] for name, value in _flat(part)]
            note = (
                f"The first {MOST_ENTRIES} of {len(rows):,}; all are in provenance.json."
                if len(rows) > MOST_ENTRIES
                else ""
            )
            sections.append((title.replace("_", " "), rows[:MOST_ENTRIES], note))
    return sections


def _flat(part: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield name and value of everything in a part; names of nested ones are joined by points."""
    if isinstance(part, dict) and part and depth < 20:
        for key, value in part.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(part, list) and part and isinstance(part[0], (dict, list)) and depth < 20:
        for number, value in enumerate(part, 1):
            yield from _flat(value, f"{name} {number}".strip(), depth + 1)
    else:
        yield name, _text(part)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False)
