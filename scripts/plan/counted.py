"""The record of a unit that was counted: ``units/counted/{unit}.json``, an object.

It is no output of the job that writes it: Snakemake removes outputs before a job starts, and the record says what was
there. See :mod:`scripts.plan.decisions.rounds` for what follows from it.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import parse_json, write_atomic
from scripts.core.errors import InputError
from scripts.plan.local_files import RECORD, FileDigests
from scripts.plan.status import RunStatus
from scripts.plan.units import column_digests, read_unit


class CountedUnit(NamedTuple):
    """What a unit was counted from."""

    token: str
    """Of the round."""
    options: str
    """16 hex digits of options and reference, see :meth:`~scripts.plan.decisions.analysis.Analysis.options_digest`."""
    columns: Mapping[str, str]
    """Column → digest of what was planned for it, see :func:`~scripts.plan.units.column_digests`."""
    failed: Sequence[Sequence[str]] = ()
    """Reasons and causes for which runs failed, each once, sorted."""
    settings: Mapping[str, float | str] = {}
    """What else was configured, on which it depends whether failed runs are tried again."""
    planned: str = ""
    """Digest of all that was planned: where it is that of the plan, columns need not be compared."""
    dropped: float = 0.0
    """Largest share of the spots of a counted run that lacked a read, where more than one did."""
    features: Sequence[str] = ()
    """What was counted of a library."""
    multireads: Sequence[str] = ()
    """How its reads of several genes were counted."""
    judged: str = ""
    """Reason for which a library that was counted failed all the same: a floor, or its cells."""


def counted_file(unit: str) -> Path:
    """Return the path of the record of a unit."""
    return Path(f"units/counted/{unit}.json")


def write_counted(
    path: str | Path,
    token: str,
    options: str,
    columns: Mapping[str, str],
    statuses: Iterable[RunStatus],
    settings: Mapping[str, float | str] | None = None,
    planned: str = "",
    features: Sequence[str] = (),
    multireads: Sequence[str] = (),
) -> None:
    """Write the record of a unit that was counted."""
    statuses = list(statuses)
    failed = sorted({(row.reason, row.cause) for row in statuses if row.state == "failed"})
    dropped = max((_dropped_share(row) for row in statuses if row.state != "failed"), default=0.0)
    failures = list(map(list, failed))
    counted = CountedUnit(
        token, options, columns, failures, settings or {}, planned, dropped, list(features), list(multireads)
    )
    write_atomic(path, json.dumps(counted._asdict()) + "\n")


def _dropped_share(row: RunStatus) -> float:
    """Return the share of the spots of a run that lacked a read; a single one always may."""
    dropped = int(row.dropped or 0)
    return dropped / (dropped + int(row.spots or 0)) if dropped > 1 else 0.0


def read_counted(path: str | Path) -> CountedUnit | None:
    """Return the record of a unit, None where it was never counted. Raises InputError for a damaged file."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return CountedUnit(**parse_json(content, str(path)))
    except (InputError, TypeError):
        raise InputError(f"{path}: not the record of a counted unit. Delete it to count the unit again.") from None


def write_judged(path: Path, statuses: Iterable[RunStatus]) -> None:
    """Write into the record of a library for which reason it failed after it was counted, empty where it did not."""
    counted = read_counted(path)
    judged = next((row.reason for row in statuses if row.state == "failed"), "")
    if counted and counted.judged != judged:
        write_atomic(path, json.dumps(counted._replace(judged=judged)._asdict()) + "\n")


def add_round_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a job that counts a unit, for its record."""
    parser.add_argument("--round", default="", help="token of the round, for the record of what was counted")
    parser.add_argument("--planned", default="", help="digest of what is planned for the unit, for the record")
    parser.add_argument("--options", default="", help="digest of options and reference, for the record")
    parser.add_argument("--settings", nargs="*", default=[], metavar="NAME=VALUE", help="further ones, for the record")
    parser.add_argument("--counted", type=Path, help="the record to write (units/counted/{unit}.json)")


def record_round(options: argparse.Namespace, statuses: Iterable[RunStatus]) -> None:
    """Write the record of a unit that was counted, as the parsed options say; nothing without ``--counted``."""
    if options.counted:
        columns = column_digests(read_unit(options.runs), FileDigests(RECORD).recorded)
        settings = {name: value for name, _, value in (word.partition("=") for word in options.settings)}
        layers = [getattr(options, name, ()) for name in ("features", "multireads")]  # of a library
        write_counted(
            options.counted, options.round, options.options, columns, statuses, settings, options.planned, *layers
        )
