"""What was asked for and what came of it: numbers, series, runs that were not counted, notes on those that were."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from scripts.formats.pages import Bar
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import COLUMNS, Run

STATUSES = {"counted": "counted", "left_out": "left out", "failed": "failed"}
Row = list[Any]


def frame_of(rows: Sequence[Run]) -> pd.DataFrame:
    """Return a run table as a data frame of text."""
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


class Step(NamedTuple):
    """A number on the way from accessions to counted cells, and where its rows are."""

    number: int
    words: str
    target: str
    search: str = ""
    lost: "tuple[Step, ...]" = ()
    """Those that do not come to the next step."""


def totals(ledger: pd.DataFrame) -> dict[str, int]:
    """Return the key figures; a cell that is counted for two species is two."""
    counted = ledger[ledger.status == "counted"].drop_duplicates(["experiment", "species", "assay"])
    return {
        "series": ledger.series.nunique(),
        "rows": len(ledger),
        "cells": int((counted.assay == "plate").sum()),
        "libraries": int((counted.assay == "droplet").sum()),
    } | {status: int((ledger.status == status).sum()) for status in STATUSES}


def flow(plan: pd.DataFrame, ledger: pd.DataFrame, figures: dict[str, int]) -> list[Step]:
    """Return the numbers from series to counted cells, in the order in which they come about."""
    samples = len(ledger[["series", "sample"]].drop_duplicates()) if (ledger["sample"] != "").any() else 0
    runs = ledger.run[ledger.run != ""].nunique()
    plates = next(iter(sorted(set(ledger.species[(ledger.assay == "plate") & (ledger.status == "counted")]))), "")
    left_out = ledger.run[ledger.status == "left_out"]
    without = Step(int((left_out == "").sum()), "without a run", "not-counted", "left out")
    at_once = Step(int(((plan.status == "left_out") & (plan.run != "")).sum()), "left out", "not-counted", "left out")
    later = Step(int((left_out != "").sum()) - at_once.number, "left out later", "not-counted", "left out")
    failed = Step(figures["failed"], "failed", "not-counted", "failed")
    planned = plan[plan.status == "planned"]
    twice = len(planned) - planned.run.nunique()
    words = "runs planned" + (f", {twice:,} of them for two species" if twice else "")
    steps = [
        Step(figures["series"], "series", "series"),
        Step(samples, "samples", "series", lost=(without,)),
        Step(runs, "runs", "series", lost=(at_once,)),
        Step(len(planned), words, "series", lost=(failed, later)),
        Step(figures["counted"], "runs counted", "series"),
        Step(figures["cells"], "plate cells", f"plates-{plates}" if plates else ""),
        Step(figures["libraries"], "droplet libraries", "libraries" if figures["libraries"] else ""),
    ]
    return [
        step._replace(
            target=step.target if step.number else "", lost=tuple(lost for lost in step.lost if lost.number > 0)
        )
        for step in steps
    ]


def series_rows(plan: pd.DataFrame, ledger: pd.DataFrame) -> list[Row]:
    """Return for each series its kind of cells, how many of its runs have which status, and their shares."""
    planned = plan.series[plan.status == "planned"].value_counts()
    numbers = ledger.value_counts(["series", "status"])
    kinds: dict[str, list[str]] = {}
    worked_on = ledger[ledger.status.isin(["counted", "failed"])]
    for series, species, assay in sorted(worked_on.value_counts(["series", "species", "assay"]).index):
        kinds.setdefault(series, []).append(f"{species} {assay}")
    rows: list[Row] = []
    for series in sorted(set(ledger.series)):
        runs = {status: int(numbers.get((series, status), 0)) for status in STATUSES}
        shares = [(status, words, runs[status] / sum(runs.values())) for status, words in STATUSES.items()]
        shown = [int(planned.get(series, 0)), runs["counted"], runs["failed"], runs["left_out"]]
        rows.append([series, ", ".join(kinds.get(series, ())) or None, *shown, Bar(shares, f"{series}: its runs")])
    return rows


def not_counted(ledger: pd.DataFrame) -> list[Row]:
    """Return status, series, sample, run, reason with its meaning, and the sentence of each run that is not counted.

    Failed ones come first.
    """
    rows = ledger[ledger.status.isin(["failed", "left_out"])].sort_values("status", kind="stable")
    return [
        [
            *(STATUSES[row.status], row.series, row.sample or None, row.run or row.experiment or None),
            *(row.species or None, row.reason, REASONS[row.reason].meaning if row.reason in REASONS else None),
            row.detail,
        ]
        for row in map(Run._make, rows.itertuples(index=False))
    ]


def reason_rows(ledger: pd.DataFrame) -> list[Row]:
    """Return reason, status, meaning, what to do, and the numbers of its runs and series; the most frequent first."""
    rows: list[Row] = []
    for status in ("failed", "left_out"):
        of_status = ledger[ledger.status == status]
        reasons = of_status.reason.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        for reason, number in reasons.items():
            series = of_status.series[of_status.reason == reason].nunique()
            known = REASONS.get(str(reason))
            words = (known.meaning, known.remedy.replace("{code}", str(reason))) if known else (None, None)
            rows.append([reason, STATUSES[status], *words, int(number), series])
    return rows


def note_rows(ledger: pd.DataFrame, assay: str) -> list[Row]:
    """Return series, number of runs, the first of them, kit, and its note, for each kind of note on counted runs.

    Notes on droplet libraries have figures of each run; all of one chemistry and read roles are of one kind.
    """
    counted = ledger[(ledger.status == "counted") & (ledger.detail != "")]
    noted = counted[counted.assay == "droplet"] if assay == "droplet" else counted[counted.assay != "droplet"]
    kinds = noted.chemistry + "\t" + noted.read_roles if assay == "droplet" else noted.detail
    return [
        [series, len(runs), runs.run.iloc[0], runs.chemistry.iloc[0] or None, runs.detail.iloc[0]]
        for (series, _), runs in noted.groupby(["series", kinds])
    ]
