"""STAR's Log.final.out: a line per field, its name padded to the left of ``|`` and its value to the right.

The set of fields differs between STAR's versions. A section line (``UNIQUE READS:``) is a field without a value;
an empty cell has ``-nan`` where STAR divided by zero. Format as written by STAR's Stats.cpp.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from scripts.core.disk.gzip_files import read_bytes
from scripts.core.errors import InputError
from scripts.core.untrusted import quoted

CLOCK_FIELDS = (
    "Started job on",
    "Started mapping on",
    "Finished on",
    "Mapping speed, Million of reads per hour",
)
"""The four fields that depend on the clock and not on the reads."""

INPUT_READS = "Number of input reads"
UNIQUELY_MAPPED = "Uniquely mapped reads number"
CHIMERIC = "Number of chimeric reads"
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
_COUNTS = {INPUT_READS, *_SHARES.values()}
_WHOLE = re.compile(r"[0-9]{1,15}")
_RATE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?%?|[-+]?(nan|inf)%?")
_ANY = re.compile(r".{0,100}")
_READ_LENGTH = "Average input read length"
_MAPPED_LENGTH = "Average mapped length"


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
        known = _WHOLE if name in _COUNTS else _RATE if name in _SHARES or name in _WEIGHTS else _ANY
        if not known.fullmatch(fields[name]):
            raise InputError(f"{path}, line {number}: {name}: {quoted(fields[name])} is not what STAR writes there.")
    if INPUT_READS not in fields:
        raise InputError(f"{path}: not a Log.final.out of STAR; it has no line {INPUT_READS!r}.")
    if _UNMAPPED_OTHER not in fields:
        last = list(fields)[-1]
        raise InputError(f"{path}: cut short; it ends with {last!r} and has no line {_UNMAPPED_OTHER!r}.")
    return fields


def mapped_reads(log: Mapping[str, str]) -> int:
    """Return how many reads of a log are mapped, to one locus or to several (at most outFilterMultimapNmax)."""
    return int(log[UNIQUELY_MAPPED]) + int(log.get(MULTIPLE_LOCI) or 0)


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

    Fields are in STAR's order; clock fields are the first log's. Numbers of reads and splices are sums; percentages of
    reads are computed from the sums. Averages and rates, which a log has only rounded, are means over the logs that
    have the field, each weighted by what it describes: reads, bases that are mapped, or deletions and insertions. A
    number that one of the logs lacks (old versions of STAR do not write all) is not in the sum.
    """
    summed: dict[str, str] = {}
    for name in merge_fields(logs):
        having = [log for log in logs if name in log]
        values = [log[name] for log in having]
        if name in CLOCK_FIELDS or _is_section(name):
            summed[name] = values[0]
        elif name in _SHARES and all(_SHARES[name] in log for log in logs):
            reads = sum(int(log[INPUT_READS]) for log in logs)
            part = sum(int(log[_SHARES[name]]) for log in logs)
            summed[name] = f"{100 * part / reads if reads else 0:.2f}%"
        elif name in _WEIGHTS or name in _SHARES:
            weight = _WEIGHTS.get(name, _input_reads)
            summed[name] = _mean(values, [weight(log) for log in having], whole=name == _READ_LENGTH)
        elif len(having) == len(logs) and all(value.isdecimal() for value in values):
            summed[name] = str(sum(map(int, values)))
    return summed


def _number(log: Mapping[str, str], name: str) -> float:
    """Return the value of a field; 0 where it is absent or STAR divided by zero."""
    value = log.get(name, "").rstrip("%")
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _input_reads(log: Mapping[str, str]) -> float:
    return _number(log, INPUT_READS)


def _mapped_reads(log: Mapping[str, str]) -> float:
    return _number(log, UNIQUELY_MAPPED)


def _mapped_bases(log: Mapping[str, str]) -> float:
    return _mapped_reads(log) * _number(log, _MAPPED_LENGTH)


def _events(rate: str, length: str) -> Callable[[Mapping[str, str]], float]:
    """Return a function that estimates the deletions or insertions of a log from their rate a base.

    A rate that is rounded to 0.00 %, though events are described, is taken for the middle of what is rounded to it.
    """

    def count(log: Mapping[str, str]) -> float:
        return _mapped_bases(log) * max(_number(log, rate), 0.0025) if _number(log, length) else 0.0

    return count


_WEIGHTS: Mapping[str, Callable[[Mapping[str, str]], float]] = {
    _READ_LENGTH: _input_reads,
    _MAPPED_LENGTH: _mapped_reads,
    "Mismatch rate per base, %": _mapped_bases,
    "Deletion rate per base": _mapped_bases,
    "Insertion rate per base": _mapped_bases,
    "Deletion average length": _events("Deletion rate per base", "Deletion average length"),
    "Insertion average length": _events("Insertion rate per base", "Insertion average length"),
}
"""Averages and rates, and how much each log weighs in their mean; as STAR's Stats.cpp computes them."""


def _mean(values: Sequence[str], weights: Sequence[float], *, whole: bool) -> str:
    unit = "%" if values[0].endswith("%") else ""
    total = sum(weights)
    if not total:
        return values[0]
    mean = sum(float(value.rstrip("%")) * weight for value, weight in zip(values, weights, strict=True) if weight)
    return f"{mean / total:.0f}" if whole else f"{mean / total:.2f}{unit}"
