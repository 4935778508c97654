"""STAR's Log.final.out: a line per field, its name padded to the left of ``|`` and its value to the right.

The set of fields differs between STAR's versions. A section line (``UNIQUE READS:``) is a field without a value;
an empty cell has ``-nan`` where STAR divided by zero. Format as written by STAR's Stats.cpp.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scripts.core.errors import InputError
from scripts.core.gzip_files import read_bytes

CLOCK_FIELDS = (
    "Started job on",
    "Started mapping on",
    "Finished on",
    "Mapping speed, Million of reads per hour",
)
"""The four fields that depend on the clock and not on the reads."""

INPUT_READS = "Number of input reads"
UNIQUELY_MAPPED = "Uniquely mapped reads number"
MULTIPLE_LOCI = "Number of reads mapped to multiple loci"
TOO_MANY_LOCI = "Number of reads mapped to too many loci"
_UNMAPPED_OTHER = "% of reads unmapped: other"  # the last field that every version of STAR writes
_SHARES = {
    "Uniquely mapped reads %": UNIQUELY_MAPPED,
    "% of reads mapped to multiple loci": MULTIPLE_LOCI,
    "% of reads mapped to too many loci": TOO_MANY_LOCI,
    "% of reads unmapped: too many mismatches": "Number of reads unmapped: too many mismatches",
    "% of reads unmapped: too short": "Number of reads unmapped: too short",
    _UNMAPPED_OTHER: "Number of reads unmapped: other",
    "% of chimeric reads": "Number of chimeric reads",
}
_READ_LENGTH = "Average input read length"


def read_star_log(path: str | Path) -> dict[str, str]:
    """Return field → value of a Log.final.out, both trimmed, in the file's order; a section line's value is ``""``.

    Other lines without ``|`` (blank lines, comments that somebody added) are skipped.
    Raises InputError for a file that is no STAR log, is cut short or names a field twice.
    """
    fields: dict[str, str] = {}
    for number, line in enumerate(read_bytes(path).decode(errors="replace").splitlines(), 1):
        name, bar, value = line.partition("|")
        name = name.strip()
        if not bar and not _is_section(name):
            continue
        if name in fields:
            raise InputError(f"{path}, line {number}: the field {name!r} is duplicated; two logs in one file?")
        fields[name] = value.strip()
    if INPUT_READS not in fields:
        raise InputError(f"{path}: not a Log.final.out of STAR; it has no line {INPUT_READS!r}.")
    if _UNMAPPED_OTHER not in fields:
        last = list(fields)[-1]
        raise InputError(f"{path}: cut short; it ends with {last!r} and has no line {_UNMAPPED_OTHER!r}.")
    return fields


def format_log(fields: Mapping[str, str]) -> str:
    """Return the text of a Log.final.out, laid out as STAR does."""
    return "".join(
        f"{name:>50}\n" if _is_section(name) else f"{name + ' |':>50}\t{value}\n" for name, value in fields.items()
    )


def _is_section(name: str) -> bool:
    return name.endswith(":") and name.isupper()


def merge_fields(logs: Iterable[Iterable[str]]) -> list[str]:
    """Return the union of the field names of several logs in STAR's order, whatever the order of the logs.

    ``logs`` are the field names of each log. A field that only some versions write follows its predecessor there.
    """
    merged: list[str] = []
    for names in sorted({tuple(names) for names in logs}, key=lambda names: (-len(names), names)):
        known = set(merged)
        position = 0
        for name in names:
            if name in known:
                position = merged.index(name) + 1
            else:
                merged.insert(position, name)
                position += 1
    return merged


def sum_logs(logs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return one log for reads that STAR aligned in several calls (pairs and unpaired reads, several runs).

    Fields are in the order of the first log; clock fields are the first's. Numbers of reads and splices are sums;
    percentages of reads are computed from the sums (old versions of STAR lack some of these numbers); averages and
    rates, which a log has only rounded, are means weighted by the number of reads that they describe.
    """
    summed: dict[str, str] = {}
    for name, value in logs[0].items():
        values = [log.get(name, "") for log in logs]
        if name in CLOCK_FIELDS or not value:
            summed[name] = value
        elif name in _SHARES and all(_SHARES[name] in log for log in logs):
            reads = sum(int(log[INPUT_READS]) for log in logs)
            part = sum(int(log[_SHARES[name]]) for log in logs)
            summed[name] = f"{100 * part / reads if reads else 0:.2f}%"
        elif value.isdecimal() and name != _READ_LENGTH:
            summed[name] = str(sum(int(text) for text in values if text))
        else:
            described = INPUT_READS if name == _READ_LENGTH or name in _SHARES else UNIQUELY_MAPPED
            summed[name] = _mean(values, [int(log.get(described) or 0) for log in logs], whole=name == _READ_LENGTH)
    return summed


def _mean(values: Sequence[str], weights: Sequence[int], *, whole: bool) -> str:
    unit = "%" if values[0].endswith("%") else ""
    total = sum(weights)
    if not total:
        return values[0]
    mean = sum(
        float(value.rstrip("%")) * weight for value, weight in zip(values, weights, strict=True) if weight and value
    )
    return f"{mean / total:.0f}" if whole else f"{mean / total:.2f}{unit}"
