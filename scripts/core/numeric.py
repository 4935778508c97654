"""Settings of a process that works on arrays: how it keeps memory, and that numpy starts no threads."""

import ctypes
import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def settle_for_arrays() -> None:
    """Make a process ready for arrays of a megabyte that come and go; to be called before numpy is imported.

    Freed memory is kept for the next array, up to 256 MB, rather than given back and cleared anew each time, which
    saves a tenth of the time of a big table (nothing of that where the C library is not glibc). The threads for linear
    algebra, which no table needs, are half of what the import of numpy costs. And garbage is looked for less often:
    a table of runs is a million small objects, none of them garbage.
    """
    gc.set_threshold(200_000)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 32 << 20)
    mallopt(_TRIM_THRESHOLD, 256 << 20)


def array_processes(number: int) -> "ProcessPoolExecutor":
    """Return a pool of so many processes that work on arrays, each started anew."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), settle_for_arrays)


_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def thread_variables(threads: int = 1) -> dict[str, str]:
    """Return the variables with which numerical libraries use so many threads."""
    return {name: str(threads) for name in _THREADS}


def one_thread() -> None:
    """Have numpy compute with one thread, so that sums are always in the same order; call it before the import."""
    os.environ.update(thread_variables())
