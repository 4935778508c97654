"""What a record says of a sample or a series, short enough to be kept for every sample of a plan."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

_NOT_COMPARED = ("contact_", "sample_id", "data_row_count", "submission_date", "last_update_date")
"""Beginnings of fields that change with every update, or that the rows of the plan show."""
_LONGEST = 60  # characters of a value that are kept; of a longer one the beginning and a checksum


def describe(fields: Mapping[str, Sequence[str]]) -> str:
    """Return the fields of an entity of a family file as one line of JSON: field → its values joined by ``; ``."""
    words = {
        name: _shorten("; ".join(value.strip() for value in values))
        for name, values in fields.items()
        if not name.startswith(_NOT_COMPARED)
    }
    return json.dumps(words, ensure_ascii=False, sort_keys=True)


@functools.lru_cache(1024)  # samples of a series share most of their values
def _shorten(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: _LONGEST - 30]}… ({digest})"


def differences(before: str, after: str) -> Iterator[str]:
    """Yield ``field: old → new`` for each field in which two descriptions differ."""
    if before == after:
        return
    old, new = json.loads(before), json.loads(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield arrow(name, old.get(name, ""), new.get(name, ""))


def arrow(name: str, old: str, new: str) -> str:
    """Return ``name: old → new``; what is empty is ``-``."""
    return f"{name}: {old or '-'} → {new or '-'}"
