"""The user's own metadata: the columns of a hand-made run table that a run table does not have, of each run.

They are no part of the plan: another value makes tables again, and counts nothing. The rule ``resolve`` keeps them in a
table of its own (units/own_metadata.tsv): the column ``run``, then those of the user, under her names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import atomic_path
from scripts.core.untrusted import nearest, quoted
from scripts.plan.run_table import COLUMNS, Run, header_of, iterate_values, write_table

_ALIKE = 0.85  # of two names, one of which may be the other with a slip
_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,80}")


class OwnMetadata(NamedTuple):
    """Columns of the user, and run → their values; runs without any are missing."""

    names: Sequence[str] = ()
    of_run: Mapping[str, Sequence[str]] = {}

    def of_cell(self, rows: Iterable[Run]) -> dict[str, str]:
        """Return column → value for runs that are counted together; different values are joined by ``;``."""
        return self.of_runs(row.run for row in rows)

    def of_runs(self, runs: Iterable[str]) -> dict[str, str]:
        """Return column → value for runs, as :meth:`of_cell`."""
        known = [values for run in runs if (values := self.of_run.get(run))]
        joined = zip(self.names, zip(*known, strict=True), strict=True) if known else ()
        return {name: text for name, values in joined if (text := ";".join(filter(None, dict.fromkeys(values))))}


def own_columns(path: str | Path) -> list[str]:
    """Return those columns of a hand-made run table that are the user's own."""
    return [name for name in header_of(path, COLUMNS) if name not in COLUMNS]


def column_faults(names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each own column that may be a column of a run table with a slip, or that cannot be used."""
    for name in names:
        plain = re.sub(r"\W+", "_", name.lower()).strip("_")
        known = nearest(plain, COLUMNS, _ALIKE)
        if known:
            yield (
                f"line 1: {quoted(name)} is not a column of a run table; did you mean {known}? Give a column of your"
                " own another name."
            )
        elif not _NAME.fullmatch(name):
            yield f"line 1: {quoted(name)} cannot be the name of a column: give 1 to 80 characters, without '/'."


def write_own_metadata(path: str | Path | None, own: OwnMetadata) -> None:
    """Write the table, sorted by run, if it has a path."""
    if path is not None:
        with atomic_path(path) as partial:
            write_table(partial, ["run", *own.names], ([run, *own.of_run[run]] for run in sorted(own.of_run)))


def read_own_metadata(path: str | Path | None) -> OwnMetadata:
    """Return what :func:`write_own_metadata` wrote; nothing without a table."""
    if path is None:
        return OwnMetadata()
    names = [name for name in header_of(path, ()) if name != "run"]
    return OwnMetadata(names, {run: values for run, *values in iterate_values(path, ["run", *names])})
