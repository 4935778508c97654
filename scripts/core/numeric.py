"""Memory and threads of processes that work on arrays."""

import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def tune_for_arrays() -> None:
    """Tune a process for many short-lived arrays of a megabyte.

    With glibc, up to 256 MB of freed memory are kept for the next array, which saves a tenth of the time of a big
    table: memory from the system has to be cleared each time. Garbage is collected less often: a table of runs is a
    million small objects, none of them garbage.
    """
    import ctypes

    gc.set_threshold(200_000)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 32 << 20)
    mallopt(_TRIM_THRESHOLD, 256 << 20)


def array_processes(number: int) -> "ProcessPoolExecutor":
    """Return a pool of processes tuned for arrays; they are spawned, not forked."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), tune_for_arrays)


def one_thread() -> None:
    """Limit numpy to one thread, so that sums are always in the same order; call it before numpy is imported."""
    for library in ("OPENBLAS", "OMP", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
