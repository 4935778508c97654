"""The errors that every command shares."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_FAULTS = 100  # that are reported at once

DISK_FULL = "disk_full"
"""Cause of a DISK_LIMIT: the disk has no room; without it the configured limit is reached."""
NO_LIST = "no_list"
"""Cause of a CHEMISTRY_UNKNOWN: no inclusion list is configured that could prove a kit."""


class InputError(Exception):
    """A fault that the user can correct: a sentence on stderr, exit status 2, no traceback."""


class RunFault(Exception):
    """A run that cannot be used: it gets a reason code and a sentence in the ledger; the other runs are processed.

    ``reason`` is one of :data:`scripts.plan.reasons.REASONS`; ``cause`` a code that distinguishes faults of one
    reason that the workflow treats differently (:data:`DISK_FULL`, :data:`NO_LIST`), otherwise empty.
    """

    def __init__(self, reason: str, detail: str, cause: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.cause = cause


class Interrupted(Exception):
    """Somebody else ended a program, or memory or disk ran out: no fault of a run.

    The job fails, exit status 1, and is tried again: by Snakemake with more resources, or when the user calls again.
    """


def raise_faults(title: str, faults: Iterable[str]) -> None:
    """Raise one :class:`InputError` with all faults, a line each, 100 at most; return when there is none."""
    lines = list(faults)
    if lines:
        more = [f"… and {len(lines) - _MOST_FAULTS:,} more."] if len(lines) > _MOST_FAULTS else []
        raise InputError("\n".join([f"{title} needs {len(lines)} correction(s):", *lines[:_MOST_FAULTS], *more]))


def try_all(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return the result of a function for each item. Raises one InputError with the faults of all, a line each."""
    results, faults = [], []
    for item in items:
        try:
            results.append(function(item))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return results
