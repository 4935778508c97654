"""One Log.final.out for a column that STAR aligned in several calls: its pairs and its reads without a mate, its runs.

Numbers of reads and splices are added up; percentages of reads are computed anew from them (old versions of STAR do not
give all of these numbers); averages and rates, of which a log has only the rounded values, are means weighted by the
reads they tell of.
"""

from collections.abc import Mapping, Sequence

from scripts.star.log import CLOCK_FIELDS, INPUT_READS, UNIQUELY_MAPPED

_SHARES = {
    "Uniquely mapped reads %": UNIQUELY_MAPPED,
    "% of reads mapped to multiple loci": "Number of reads mapped to multiple loci",
    "% of reads mapped to too many loci": "Number of reads mapped to too many loci",
    "% of reads unmapped: too many mismatches": "Number of reads unmapped: too many mismatches",
    "% of reads unmapped: too short": "Number of reads unmapped: too short",
    "% of reads unmapped: other": "Number of reads unmapped: other",
    "% of chimeric reads": "Number of chimeric reads",
}
_READ_LENGTH = "Average input read length"


def sum_logs(logs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the log of all calls together, fields in the order of the first log; clock fields are the first's."""
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
            weighed = INPUT_READS if name == _READ_LENGTH or name in _SHARES else UNIQUELY_MAPPED
            summed[name] = _mean(values, [int(log.get(weighed) or 0) for log in logs], whole=name == _READ_LENGTH)
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


def write_log(fields: Mapping[str, str]) -> str:
    """Return the text of a Log.final.out, laid out as STAR does."""
    lines = []
    for name, value in fields.items():
        lines.append(f"{name:>50}\n" if name.isupper() and name.endswith(":") else f"{name + ' |':>50}\t{value}\n")
    return "".join(lines)
