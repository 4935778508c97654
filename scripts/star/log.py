"""STAR's Log.final.out: a line a field, its name padded to the left of ``|`` and its value to the right.

The set of fields differs between STAR's versions. A section line (``UNIQUE READS:``) is a field without a value;
an empty cell has ``-nan`` where STAR divided by zero. Format as written by STAR's Stats.cpp.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.core.errors import InputError
from scripts.core.files import read_bytes

CLOCK_FIELDS = (
    "Started job on",
    "Started mapping on",
    "Finished on",
    "Mapping speed, Million of reads per hour",
)
"""The four fields that tell of the clock and not of the reads."""

INPUT_READS = "Number of input reads"
UNIQUELY_MAPPED = "Uniquely mapped reads number"
MULTIPLE_LOCI = "Number of reads mapped to multiple loci"
UNMAPPED_OTHER = "% of reads unmapped: other"
"""The last field that every version of STAR writes; those of chimeric reads came later."""
TOO_MANY_LOCI = "Number of reads mapped to too many loci"


def read_star_log(path: str | Path) -> dict[str, str]:
    """Return field → value of a Log.final.out, both trimmed, in the file's order; a section line's value is ``""``.

    Lines without ``|`` that are no section (blank lines, comments that somebody added) are passed over.
    Raises InputError for a file that is no STAR log, is cut short or names a field twice.
    """
    fields: dict[str, str] = {}
    for number, line in enumerate(read_bytes(path).decode(errors="replace").splitlines(), 1):
        name, bar, value = line.partition("|")
        name = name.strip()
        if not bar and not (name.endswith(":") and name.isupper()):
            continue
        if name in fields:
            raise InputError(f"{path}, line {number}: the field {name!r} is there twice; two logs in one file?")
        fields[name] = value.strip()
    if INPUT_READS not in fields:
        raise InputError(f"{path}: not a Log.final.out of STAR; it has no line {INPUT_READS!r}.")
    if UNMAPPED_OTHER not in fields:
        last = list(fields)[-1]
        raise InputError(f"{path}: cut short; it ends with {last!r} and has no line {UNMAPPED_OTHER!r}.")
    return fields


def merge_fields(logs: Iterable[Sequence[str]]) -> list[str]:
    """Return the union of the field names of several logs in STAR's order, whatever the order of the logs.

    ``logs`` are the field names of each log. A field that only some versions write follows its predecessor there.
    """
    merged: list[str] = []
    for names in sorted({tuple(names) for names in logs}, key=lambda names: (-len(names), names)):
        known = set(merged)
        place = 0
        for name in names:
            if name in known:
                place = merged.index(name) + 1
            else:
                merged.insert(place, name)
                place += 1
    return merged
