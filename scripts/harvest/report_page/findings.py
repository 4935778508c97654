"""What needs a look, the worst first: flags of cells and libraries, failed runs, genes that a reference loses."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from scripts.formats.pages import several
from scripts.harvest.quality.flags import FLAGS, SEVERITIES
from scripts.harvest.report_page.quality_tables import about_flag
from scripts.plan.reasons import REASONS

MOST_NAMED = 12
"""Cells, libraries, runs or series that a finding names."""
MOST_OF_RUNS = 0.5
"""Share of the runs that were worked on, above which runs that failed for one reason have a cause in common."""
_IN_COMMON = "Suspect what they have in common: the archive, the configuration or the network. Look at one run"
_PAIRS = {
    "DUPLICATE_READS": ("same_reads_as", "pct_same_reads", "{:.4g} % of the reads"),
    "DUPLICATE_COUNTS": ("same_counts_as", "pct_same_counts", "{:.4g} % of the counts"),
    "BARCODE_OVERLAP": ("barcodes_shared_with", "barcodes_shared", "{:.0f} barcodes"),
}
"""Flag of two → column of the other one, column of how much they share, and how that is said."""


class LookAt(NamedTuple):
    """Something to look at."""

    severity: str
    """error, warning or note."""
    code: str
    """The flag or the reason, empty for what has none; also what its rows are searched by."""
    subject: str
    """Of how many of what it is: "3 cells"."""
    meaning: str
    remedy: str
    names: Sequence[str]
    """The first of them."""
    more: int
    """How many others there are."""
    target: str
    """The id of the table that has their rows."""


def _finding(severity: str, code: str, noun: str, words: tuple[str, str], names: Iterable[str], target: str) -> LookAt:
    known = list(dict.fromkeys(names))
    named, more = known[:MOST_NAMED], max(0, len(known) - MOST_NAMED)
    return LookAt(severity, code, several(len(known), noun), *words, named, more, target)


def _of_flags(table: pd.DataFrame, column: str, noun: str, target: str) -> Iterator[LookAt]:
    """Yield a finding for each flag of a table of cells or libraries."""
    flagged = table[table["flags"] != ""]
    codes = flagged["flags"].str.split(";").explode()
    for code in dict.fromkeys([*FLAGS, *sorted(map(str, set(codes)))]):
        rows = flagged.loc[codes.index[codes == code]]
        if len(rows):
            known = FLAGS.get(code)
            words = (known.meaning, known.remedy) if known else ("a flag that this version does not know", "")
            of_samples = known is not None and known.subjects == ("sample",) and "sample" in rows
            if of_samples:  # all rows of a sample have it
                rows = rows.drop_duplicates(["series", "sample"])
            named, what = ("sample", "sample") if of_samples else (column, noun)
            pairs = _pairs(rows, named, code)
            names = pairs or [
                f"{row[named]}{f' ({about})' if (about := about_flag(row, code)) else ''}"
                for _, row in rows.head(MOST_NAMED).iterrows()
            ]
            severity = known.severity if known else "note"
            found = _finding(severity, code, what, words, names, target)
            yield found._replace(subject=several(len(rows), what), more=max(0, len(pairs or rows) - MOST_NAMED))


def _pairs(rows: pd.DataFrame, named: str, code: str) -> list[str]:
    """Return the pairs that a flag is about, each once; none where a partner is not known."""
    partner, number, words = _PAIRS.get(code, ("", "", ""))
    if partner not in rows or (rows[partner] == "").any():
        return []
    shared = rows[number] if number in rows else [float("nan")] * len(rows)
    pairs: dict[frozenset[str], str] = {}
    for one, other, much in zip(rows[named], rows[partner], shared, strict=True):
        about = f" ({words.format(much)})" if isinstance(much, float) and much == much else ""
        pairs.setdefault(frozenset((one, other)), f"{one} – {other}{about}")
    return list(pairs.values())


def _of_failures(ledger: pd.DataFrame) -> Iterator[LookAt]:
    """Yield a finding for each series of which nothing was counted, and for each reason of failed runs."""
    worked_on = ledger[ledger.status.isin(["counted", "failed"])]
    counted = set(worked_on.series[worked_on.status == "counted"])
    lost = [series for series in dict.fromkeys(worked_on.series) if series not in counted]
    if lost:
        words = ("no run was counted: every one failed", "The reasons are below; see the sentence of each run.")
        yield _finding("error", "", "series", words, lost, "not-counted")
    failed = ledger[ledger.status == "failed"]
    for code, number in failed.reason.value_counts().sort_index().sort_values(ascending=False, kind="stable").items():
        known = REASONS.get(str(code))
        remedy = known.remedy.replace("{code}", str(code)) if known else ""
        runs = failed.run[failed.reason == code]
        meaning = known.meaning if known else "failed"
        if number > 1 and number > MOST_OF_RUNS * len(worked_on):
            again = f", then run again with --config retry='[{code}]'." if "retry=" in remedy else "."
            words = (f"failed for one reason: {meaning}", _IN_COMMON + again)
            found = _finding("error", str(code), "run", words, runs, "not-counted")
            every = number == len(worked_on)
            yield found._replace(subject=f"All {number:,} runs" if every else f"{number:,} of {len(worked_on):,} runs")
            continue
        found = _finding("warning", str(code), "run", (f"not counted: {meaning}", remedy), runs, "not-counted")
        yield found._replace(subject=several(int(number), "run"))


def verdict_of(found: Sequence[LookAt]) -> list[tuple[str, int]]:
    """Return each severity that there is, the worst first, with the number of its findings."""
    numbers = {severity: sum(each.severity == severity for each in found) for severity in SEVERITIES}
    return [(severity, number) for severity, number in numbers.items() if number]


def findings_of(
    ledger: pd.DataFrame, cells: pd.DataFrame, libraries: pd.DataFrame, warnings: Sequence[str] = ()
) -> list[LookAt]:
    """Return what needs a look; ``warnings`` are sentences on the references."""
    found = list(_of_failures(ledger))
    found += [LookAt("warning", "", "Reference", words, "", (), 0, "") for words in warnings]
    cell = "cell" if "cell" in cells else "experiment"
    found += _of_flags(cells[cells.status != "failed"], cell, "plate cell", "cells-flagged")
    found += _of_flags(libraries[libraries.status != "failed"], "experiment", "droplet library", "libraries")
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
