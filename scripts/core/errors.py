"""How a fault is told to a person: the errors that every command shares."""

from collections.abc import Iterable

DISK_FULL = "disk_full"
"""Cause of a DISK_LIMIT: the disk has no room; without it the configured limit is reached."""


class InputError(Exception):
    """A fault that the user can put right: told as a sentence, exit status 2, no traceback."""


class RunFault(Exception):
    """A run that cannot be used: it gets a reason code and a sentence in the ledger, and the others go on.

    ``reason`` is one of :data:`scripts.plan.reasons.REASONS`; ``cause`` a code that tells faults of one reason apart,
    where the workflow treats them differently (:data:`DISK_FULL`), otherwise empty.
    """

    def __init__(self, reason: str, detail: str, cause: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.cause = cause


class Interrupted(Exception):
    """A program was ended from outside, or its machine had no room for it: no fault of a run.

    The job fails, exit status 1, so that it is tried again: by Snakemake, with more of all, or by the same command.
    """


def raise_faults(title: str, faults: Iterable[str]) -> None:
    """Raise one :class:`InputError` that tells every fault, a line each; return when there is none."""
    told = list(faults)
    if told:
        raise InputError("\n".join([f"{title} needs {len(told)} correction(s):", *told]))
