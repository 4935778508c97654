"""The errors that every command shares, and whose fault an error is: that of a run, or of the machine."""

import errno
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from scripts.core.disk.rights import cause_of

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_FAULTS = 100  # that are reported at once
_MOST_ALIKE, _NAMED = 10, 3  # faults that are alike and a line each, and names of a line where there are more

DISK_FULL = "disk_full"
"""Cause of a DISK_LIMIT: the disk has no room; without it the configured limit is reached."""
NO_LIST = "no_list"
"""Cause of a CHEMISTRY_UNKNOWN: no inclusion list is configured that could prove a kit."""
TOO_MANY_DROPPED = "too_many_dropped"
"""Cause of a READS_MISSING: more spots lack a read than ``droplets.max_dropped`` allows."""

MACHINE = "machine"
"""Cause of a fault that may be the machine's: a program crashed, or a file of ours could not be used."""
_NAMES = "ENOSPC EDQUOT EFBIG EIO ENOMEM EMFILE ENFILE EROFS EAGAIN ESTALE ENODEV ENXIO"
_OF_MACHINE = frozenset(getattr(errno, name) for name in _NAMES.split())
_LONGEST = 400  # characters of an unexpected error's message


class InputError(Exception):
    """A fault that the user can correct: a sentence on stderr, exit status 2, no traceback."""


class MachineFault(InputError):
    """The machine lacks what every run needs, e.g. a program that works: no fault of the run in which it comes up."""


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


def is_of_machine(error: BaseException) -> bool:
    """Whether an error is certainly no fault of a run: a full disk, too little memory, a file system that fails, …."""
    if isinstance(error, OSError):
        return error.errno in _OF_MACHINE
    return isinstance(error, Interrupted | MachineFault | MemoryError)


def fault_of_run(error: Exception, reason: str) -> RunFault:
    """Return the fault of the run in whose work an error came up, so that the other runs go on.

    A fault of the run is returned as it is. An InputError becomes one of this ``reason`` in its words, and so does a
    file that may not be read; so does an error that nobody expected, with its type and message, and stderr gets the
    traceback. Raises what is no fault of the run, see :func:`is_of_machine`.
    """
    if isinstance(error, RunFault):
        return error
    if isinstance(error, Interrupted | MachineFault):
        raise error
    if isinstance(error, InputError):
        return RunFault(reason, " ".join(str(error).split()))
    if isinstance(error, PermissionError) and error.filename:
        return RunFault(reason, f"{error.filename}: {cause_of(error)}.", MACHINE)
    message = " ".join(str(error).split())
    words = f"{type(error).__name__}: {message[:_LONGEST]}".rstrip(" :.")
    if is_of_machine(error):
        raise Interrupted(f"This is no fault of the run: {words}. Mend it, then run the same command again.") from error
    traceback.print_exception(error, file=sys.stderr)
    cause = MACHINE if isinstance(error, OSError) else ""
    return RunFault(reason, f"an error that this workflow does not know, {words}; its log has the traceback.", cause)


def raise_if_all_alike(faults: Sequence[RunFault | None]) -> None:
    """Raise :class:`Interrupted` where several runs were tried, and all met what may be a fault of the machine.

    ``faults`` has None for a run without a fault.
    """
    met = [fault for fault in faults if fault is not None and fault.cause == MACHINE]
    if len(met) > 1 and len(met) == len(faults):
        raise Interrupted(
            f"All {len(met)} runs failed alike, which is a fault of the machine and not of the runs. {met[0].detail}"
        )


def raise_faults(title: str, faults: Iterable[str]) -> None:
    """Raise one :class:`InputError` with all faults, a line each, 100 at most; return when there is none.

    Faults are sentences with the name of what is at fault before the first colon. Those of more than ten names that
    are alike are one line.
    """
    lines = list(_joined(faults))
    if lines:
        more = [f"… and {len(lines) - _MOST_FAULTS:,} more."] if len(lines) > _MOST_FAULTS else []
        raise InputError(
            "\n".join([f"{title} needs {len(lines)} correction{'s' * (len(lines) > 1)}:", *lines[:_MOST_FAULTS], *more])
        )


def _joined(faults: Iterable[str]) -> Iterator[str]:
    """Yield a line for each fault, and one, at the first of them, for those of more than ten names that are alike."""
    names: dict[str, list[str]] = {}  # sentence → names
    found = [fault.partition(": ") for fault in faults]
    for name, _, sentence in found:
        names.setdefault(sentence, []).append(name)
    for name, colon, sentence in found:
        alike = names[sentence]
        if not sentence or len(alike) <= _MOST_ALIKE:
            yield name + colon + sentence
        elif name is alike[0]:
            yield f"{', '.join(alike[:_NAMED])} and {len(alike) - _NAMED:,} more: {sentence}"


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
