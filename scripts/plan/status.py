"""The status table of a unit of work (a plate shard or a droplet library): one row a run.

Every stage copies the rows of the stage before it into its own ``status.tsv`` and marks the runs that fail in it.
Tab-separated UTF-8 with ``\\n`` line ends and one header line.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import DISK_FULL, InputError, RunFault, raise_if_all_alike

LEFT_OUT = frozenset(("INDEX_READS_ONLY", "EMPTY_READS", "NOT_RNA"))
"""Reasons for which a run is left out by itself: its experiment is counted without it."""


class RunStatus(NamedTuple):
    """The state of a run: ``ok``, ``failed``, ``left_out``, ``joined``, or ``kept`` from an earlier try.

    A run that is ``left_out`` has nothing to count (:data:`LEFT_OUT`), one that is ``joined`` has its reads among those
    of another run of its experiment. Later stages pass both on and do not look for their files.

    ``source`` to ``read_roles`` replace the values of the plan in the ledger where they are set. ``cause``
    distinguishes faults of one reason, see :class:`RunFault`; it does not go into the ledger, and neither do ``reads``
    and ``mapped``: how many reads of its plate cell STAR was given, and how many it mapped (empty where not counted),
    and ``dropped``: how many spots of a library lacked a read, beside the ``spots`` that are counted.
    ``tools`` are the programs that worked on the run, see :meth:`made_with`.
    """

    run: str
    state: str = "ok"
    reason: str = ""
    detail: str = ""
    source: str = ""
    spots: str = ""
    layout: str = ""
    chemistry: str = ""
    read_roles: str = ""
    cause: str = ""
    reads: str = ""
    mapped: str = ""
    dropped: str = ""
    tools: str = ""

    @property
    def ok(self) -> bool:
        return self.state == "ok"

    @property
    def is_aside(self) -> bool:
        """Whether the run has no files of its own that are counted."""
        return self.state in ("left_out", "joined")

    def failed(self, fault: RunFault) -> "RunStatus":
        """Return the row of a run that met this fault; some leave the run out, see :data:`LEFT_OUT`."""
        state = "left_out" if fault.reason in LEFT_OUT else "failed"
        return self._replace(state=state, reason=fault.reason, detail=fault.detail, cause=fault.cause)

    def made_with(self, versions: Mapping[str, str]) -> "RunStatus":
        """Return the row with further programs (name → version) in ``tools``: ``STAR 2.7.10b; sra-tools 3.0.3``."""
        known = dict.fromkeys([*filter(None, self.tools.split("; ")), *map(" ".join, versions.items())])
        return self._replace(tools="; ".join(sorted(known)))


def is_whole(statuses: Iterable[RunStatus]) -> bool:
    """Whether an experiment can be counted: some run of it has reads, and all the others are aside."""
    states = [status for status in statuses if not status.is_aside]
    return bool(states) and all(status.ok for status in states)


def disk_was_full(status: RunStatus) -> bool:
    """Whether a run failed because the disk was full, and not because of ``scratch.limit_gb``."""
    return status.cause == DISK_FULL


def raise_if_machine(tried: Iterable[RunStatus]) -> None:
    """Raise Interrupted where all of several runs met what may be a fault of the machine.

    ``tried`` are the runs that this job has worked on; see :func:`scripts.core.errors.raise_if_all_alike`.
    """
    failed = (None if status.ok else RunFault(status.reason, status.detail, status.cause) for status in tried)
    raise_if_all_alike(list(failed))


def read_statuses(path: str | Path) -> dict[str, RunStatus]:
    """Return run → status, in the order of the file. Raises InputError where the header is another one.

    Tables of older versions end before ``cause``, ``reads``, ``dropped`` or ``tools``.
    """
    known = RunStatus._fields
    headers = [known[: known.index(name)] for name in ("cause", "reads", "dropped", "tools")] + [known]
    with Path(path).open(encoding="utf-8", newline="") as handle:
        lines = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(next(lines, ())) not in headers:
            raise InputError(f"{path}: not a status table; its first line must be {' '.join(known)!r}.")
        return {values[0]: RunStatus(*values) for values in lines}


def write_statuses(path: str | Path, statuses: Iterable[RunStatus]) -> None:
    """Write the status table of a unit, sorted by run; white space inside values becomes a blank."""
    with Path(path).open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(RunStatus._fields) + "\n")
        for status in sorted(statuses):
            handle.write("\t".join(" ".join(value.split()) for value in status) + "\n")
