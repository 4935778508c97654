"""The page of what was discovered: a table for each verdict, the most certain first."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from scripts.core.disk.files import write_atomic
from scripts.formats.pages import cut, render, several
from scripts.records.discovery.table import CERTAIN, VERDICTS, Discovered

_HEAD = [
    *("series", "~title", "published", "organisms", "~assay", "#samples", "#planned", "#GB", "#core-hours"),
    *("in analysis", "~evidence", "~left out", "~look"),
]
_MOST = 2000  # rows of a verdict on the page


def write_page(
    path: str | Path, rows: Sequence[Discovered], asked: str, said: Sequence[str], taken: Collection[str]
) -> None:
    """Write the page; ``asked`` says what was searched for, ``said`` are further sentences, ``taken`` accepted ones."""
    groups = []
    for verdict, meaning in VERDICTS.items():
        of_verdict = [row for row in rows if row.verdict == verdict]
        shown, note = cut(of_verdict, _MOST, "row", "discovered.tsv")
        if of_verdict:
            groups.append((verdict, meaning, [_cells(row, taken) for row in shown], note))
    certain = [row for row in rows if row.verdict == CERTAIN]
    figures = [
        (len(rows), "found", ""),
        (len(certain), "certain", ""),
        (len(taken), "accepted", ""),
        (sum(row.planned or 0 for row in certain), "runs of certain ones", ""),
        (f"{sum(row.gb or 0 for row in certain):,.1f}", "GB of these", ""),
    ]
    numbers = Counter(row.verdict for row in rows)
    links = [(name, f"{name.replace('_', ' ').capitalize()} ({numbers[name]:,})") for name, *_ in groups]
    page = render(
        "records/templates/discovered.html",
        asked=asked,
        said=said,
        figures=figures,
        links=links,
        head=_HEAD,
        groups=groups,
    )
    write_atomic(path, page)


def _cells(row: Discovered, taken: Collection[str]) -> list[object]:
    look = [
        "accepted" if row.series in taken else "",
        f"part of {row.part_of}" if row.part_of else "",
        several(len(row.parts.split(", ")), "part") if row.parts else "",
        f"superseded by {row.superseded_by}" if row.superseded_by else "",
        row.status,
        row.note,
    ]
    return [
        *(row.series, row.title, row.published, row.organisms, ": ".join(filter(None, (row.assay, row.chemistry)))),
        *(row.samples, row.planned, row.gb, row.core_hours),
        *(row.in_analysis, row.evidence, row.left_out, ". ".join(filter(None, look))),
    ]
