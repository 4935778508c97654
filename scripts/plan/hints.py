"""What a person may have meant: hints for values, names of droplet kits and paths that cannot be used."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.core.untrusted import nearest

# Names of 10x kits in Cell Ranger (--chemistry), without marks.
_CELL_RANGER = {
    "threeprime": "10x_3p_v3",
    "fiveprime": "10x_5p_v2",
    "sc3pv1": "10x_3p_v1",
    "sc3pv2": "10x_3p_v2",
    "sc3pv3": "10x_3p_v3",
    "sc3pv3lt": "10x_3p_v3",
    "sc3pv3ht": "10x_3p_v3",
    "sc3pv4": "10x_3p_v4",
    "sc5pr2": "10x_5p_v2",
    "sc5ppe": "10x_5p_v2",
    "sc5pr2v3": "10x_5p_v3",
    "sc5ppev3": "10x_5p_v3",
    "arcv1": "10x_multiome",
    "mfrp": "10x_flex",
    "sfrp": "10x_flex",
}
_PLATES = re.compile(r"(?i)smart[-_ ]?seq[-_ ]?2?|(full[-_ ]?length)|plates?")


def value_hint(value: Any, schema: Mapping[str, Any]) -> str:
    """Return a hint for a value that a schema does not allow: the nearest choice, or the form of a list."""
    choices = [str(choice) for choice in _choices(schema)]
    near = nearest(value, choices) if isinstance(value, str) else ""
    if near:
        return f"; did you mean {near!r}?"
    if isinstance(value, str | int | float) and not isinstance(value, bool) and _takes_list(schema):
        return f"; write it as a list: [{value}]"
    return ""


def _choices(schema: Mapping[str, Any]) -> Iterator[Any]:
    yield from schema.get("enum", ())
    if "const" in schema:
        yield schema["const"]
    for part in schema.get("anyOf", ()):
        yield from _choices(part)


def _takes_list(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema takes lists, and no text."""
    kinds = [schema.get("type"), *(part.get("type") for part in schema.get("anyOf", ()))]
    return "array" in kinds and "string" not in kinds


def kit_hint(word: str, kits: Collection[str]) -> str:
    """Return a hint for a word that is no droplet kit: the kits that may be meant, or all of them."""
    plain = re.sub(r"[^a-z0-9]", "", word.casefold())
    if _PLATES.fullmatch(word):
        return "; it has no barcodes in the reads: set `assay: plate`"
    if (known := _CELL_RANGER.get(plain)) and known in kits:
        return f"; did you mean {known!r}?"
    parts = [kit for kit in kits if plain and plain in kit.split("_")]
    if len(parts) > 1:
        return f"; did you mean one of {', '.join(parts)}?"
    near = parts[0] if parts else nearest(word, kits)
    return f"; did you mean {near!r}?" if near else f"; known are {', '.join(kits)}"


def path_hint(path: str | Path) -> str:
    """Return a hint for a relative path that is not there: where it was looked for, and where such a file is."""
    path = Path(path)
    if path.is_absolute() or path.exists():
        return ""
    here = Path.cwd()
    for folder in (Path(os.environ.get("PWD", here)), here / "config"):  # where the command was called; of the file
        if (folder / path).exists():
            return f"; it is relative to {here}: did you mean {os.path.relpath(folder / path, here)!r}?"
    return f"; it is relative to {here}"
