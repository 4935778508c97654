"""The status table of a unit of work (a plate shard or a droplet library): what became of each of its runs.

Every stage writes ``status.tsv``, one row for every run of the unit, and takes over the rows of the stage before it,
so that the last stage's table tells all. Tab-separated UTF-8 with ``\\n`` line ends and one header line.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError, RunFault


class RunStatus(NamedTuple):
    """What became of a run; ``state`` is ``ok`` or ``failed``, fields after ``detail`` go into the ledger where set."""

    run: str
    state: str = "ok"
    reason: str = ""
    detail: str = ""
    source: str = ""
    spots: str = ""
    layout: str = ""
    chemistry: str = ""
    read_roles: str = ""

    @property
    def ok(self) -> bool:
        return self.state == "ok"

    def failed(self, fault: RunFault) -> "RunStatus":
        """Return the row of a run that met this fault."""
        return self._replace(state="failed", reason=fault.reason, detail=fault.detail)


def disk_was_full(status: RunStatus) -> bool:
    """Whether a run failed because the disk was full, and not because of the limit that is configured for it."""
    return status.reason == "DISK_LIMIT" and "the disk" in status.detail


def read_statuses(path: str | Path) -> dict[str, RunStatus]:
    """Return run → status, in the order of the file. Raises InputError where the header is another one."""
    with Path(path).open(encoding="utf-8", newline="") as handle:
        lines = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(next(lines, ())) != RunStatus._fields:
            raise InputError(f"{path}: not a status table; its first line must be {' '.join(RunStatus._fields)!r}.")
        return {values[0]: RunStatus._make(values) for values in lines}


def write_statuses(path: str | Path, statuses: Iterable[RunStatus]) -> None:
    """Write the status table of a unit, sorted by run; white space inside values becomes a blank."""
    with Path(path).open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(RunStatus._fields) + "\n")
        for status in sorted(statuses):
            handle.write("\t".join(" ".join(value.split()) for value in status) + "\n")
