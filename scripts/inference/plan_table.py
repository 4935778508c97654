"""The plan told to a person: what will be counted, what it will cost, what is left out and why.

The estimate is a simple one, stated with the table: FASTQ takes 2 bytes a base and 80 bytes a read, a unit of work
(a plate shard or a droplet library) holds its archives, its FASTQ and a third as much of alignments at the same time,
and 25 million spots are dumped, aligned and counted in one core-hour, each run costing 30 s more.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from scripts.formats.run_table import Run
from scripts.formats.units import cut_into_units

BYTES_PER_BASE = 2.0
BYTES_PER_READ = 80.0
ARCHIVE_PER_BASE = 0.4  # where the record does not give the size
ALIGNMENT_SHARE = 1 / 3
SPOTS_PER_CORE_HOUR = 25e6
SECONDS_PER_RUN = 30.0
_EXAMPLES = 3
# Sentences of the detail that tell where a run was found, and need nobody's look.
_PLAIN = re.compile(r"Of [^.]*, a part of the SuperSeries\.|Also in [^.]*\.|A sample of [^.]*, counted in each\.")


def plan_table(rows: Sequence[Run], shard_size: int, open_runs: Collection[str] = ()) -> str:
    """Return the table for a terminal; ``open_runs`` are those whose reads must decide what the records leave open."""
    planned = [row for row in rows if row.status == "planned"]
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for row in planned:
        groups.setdefault((row.series, row.species, row.assay), []).append(row)
    peaks: dict[tuple[str, str, str], float] = {}
    for unit in cut_into_units(planned, shard_size).values():
        key = (unit[0].series, unit[0].species, unit[0].assay)
        peaks[key] = max(peaks.get(key, 0.0), sum(map(scratch_bytes, unit)))
    lines = [("series", "species", "assay", "experiments", "runs", "download GB", "scratch GB", "core-hours")]
    for key in sorted(groups):
        group = groups[key]
        lines.append((*key, *_figures(group, peaks[key])))
    if len(groups) > 1:
        lines.append(("all", "", "", *_figures(planned, max(peaks.values()))))
    told = ["What will be counted:", *_aligned(lines)] if planned else ["Nothing will be counted."]
    if planned:
        told.append(
            "(scratch: of the largest unit of work, at 2 bytes a base and 80 a read; "
            "core-hours: at 25 million spots an hour and 30 s a run)"
        )
    unknown = len({row.run for row in planned if not download_bytes(row)})
    if unknown:
        told.append(f"(the records do not tell the size of {unknown:,} runs: they are not in these figures)")
    told += _left_out([row for row in rows if row.status != "planned"])
    told += _look(planned, open_runs)
    return "\n".join(told)


def scratch_bytes(row: Run) -> float:
    """Estimate what a run takes at the height of its work."""
    fastq = BYTES_PER_BASE * _number(row.bases) + BYTES_PER_READ * _number(row.spots) * (1 + (row.layout == "paired"))
    return download_bytes(row) + fastq * (1 + ALIGNMENT_SHARE)


def download_bytes(row: Run) -> float:
    """Return the size of a run's archive, estimated where the record does not give it."""
    return _number(row.bytes) or ARCHIVE_PER_BASE * _number(row.bases)


def core_hours(row: Run) -> float:
    """Estimate the core-hours of a run."""
    return _number(row.spots) / SPOTS_PER_CORE_HOUR + SECONDS_PER_RUN / 3600


def _number(value: str) -> int:
    return int(value) if value.isdecimal() else 0


def _figures(group: Sequence[Run], peak: float) -> tuple[str, ...]:
    once = {row.run: row for row in group}.values()  # a run of two species is fetched once
    return (
        f"{len({row.experiment for row in group}):,}",
        f"{len(once):,}",
        f"{sum(map(download_bytes, once)) / 1e9:,.1f}",
        f"{peak / 1e9:,.1f}",
        f"{sum(map(core_hours, group)):,.1f}",
    )


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  "
        + "  ".join(
            text.ljust(width) if column < 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _left_out(rows: Sequence[Run]) -> list[str]:
    if not rows:
        return []
    lines = ["Left out:"]
    for reason, number in sorted(Counter(row.reason for row in rows).items()):
        first = next(row for row in rows if row.reason == reason)
        name = first.run or first.experiment or first.sample or first.series
        lines.append(f"  {reason} ({number:,}): {name}: {first.detail}")
    return lines


def _look(planned: Sequence[Run], open_runs: Collection[str]) -> list[str]:
    lines = []
    noted: dict[str, list[str]] = {}
    for row in planned:
        if detail := _PLAIN.sub("", row.detail).strip():
            noted.setdefault(detail, []).append(row.run)
    for detail, runs in list(noted.items())[:20]:
        lines.append(f"  {_some(runs)}: {detail}")
    if len(noted) > 20:
        lines.append(f"  … and {len(noted) - 20:,} more notes in the column detail of the plan")
    undecided = list(dict.fromkeys(row.run for row in planned if row.run in open_runs))
    if undecided:
        lines.append(f"  {_some(undecided)}: the records leave the layout of the reads open; the reads will decide")
    return ["Needs a look:", *lines] if lines else []


def _some(runs: Iterable[str]) -> str:
    names = list(dict.fromkeys(runs))
    told = ", ".join(names[:_EXAMPLES])
    return f"{told} and {len(names) - _EXAMPLES:,} more runs" if len(names) > _EXAMPLES else told
