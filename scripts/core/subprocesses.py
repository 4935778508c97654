"""Run programs so that none of them outlives its command.

Every program gets a process group of its own. The groups are ended when the command stops for whatever reason: after an
error, SIGTERM or Ctrl-C by the command (:func:`ends_with_command`), after SIGKILL by the guard, a small process beside
it that sees the command's end of a pipe close (:func:`start`).
"""

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from scripts.core.errors import MACHINE, Interrupted, MachineFault
from scripts.core.secrets import without_secrets

STALLED = -1000  # status of a program that was ended because it made no progress
_CRASHES = frozenset(
    (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP)
)
_NOT_STARTED = (126, 127)  # exit status of a shell whose program cannot be started
_EXTERNAL = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU)
_GRACE = 5.0  # seconds until a group that was killed has ended
_PIPE = 1 << 20  # bytes that a program may print ahead of who reads them
_FULL = 1 << 20  # bytes; a disk with less free space is full
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


class Finished(NamedTuple):
    """A program that has ended: exit status (:data:`STALLED`, or minus the signal), standard output and error."""

    status: int
    output: str
    errors: str

    @property
    def cause(self) -> str:
        """The cause of a fault of the run for which it ran, see :data:`scripts.core.errors.MACHINE`."""
        return MACHINE if crash_signal(self.status) else ""


# Reads '+group' and '-group'; when its input ends, for whatever reason, it kills the groups that are left.
_GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
"""


@functools.cache
def _guard() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-c", _GUARD]
    no = subprocess.DEVNULL
    guard = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=no, stderr=no, start_new_session=True)
    atexit.register(guard.communicate)
    return guard


def path_argument(path: str | Path) -> str:
    """Return a path as an argument of a program, which cannot take it for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program in a process group that ends with this command, even where that is killed.

    ``options`` are those of Popen. The guard runs before the program starts. The program gets no secrets of ours.
    Raises MachineFault where it cannot be started.
    """
    environment = without_secrets(options.pop("env", None))
    with _lock:
        _guard()
        try:
            process = subprocess.Popen(arguments, start_new_session=True, env=environment, **options)
        except OSError as error:
            raise MachineFault(f"The program {arguments[0]!r} cannot be started: {error.strerror}.") from error
        _send(f"+{process.pid}\n")
        _running.add(process)
    return process


def release(process: subprocess.Popen[bytes]) -> None:
    """Forget a program that has ended, and end what it left in its group.

    A program may be a script that starts the real one: where the script alone is killed, the real one goes on writing.
    """
    _end_group(process.pid)
    with _lock:
        _running.discard(process)
        _send(f"-{process.pid}\n")


def _end_group(group: int) -> None:
    """Kill a group whose leader has ended, and return when nobody is left in it."""
    until = time.monotonic() + _GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(group, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # as process 1 of a namespace we inherit them
                os.waitpid(-group, os.WNOHANG)
            time.sleep(0.01)


def _send(line: str) -> None:
    guard = _guard()
    assert guard.stdin is not None
    with contextlib.suppress(OSError):  # the guard was killed
        guard.stdin.write(line.encode())


def external_signal(status: int) -> str:
    """Return the name of the signal by which somebody else ended a program, empty where nobody did.

    ``status`` is its exit status: minus the signal, or 128 plus the signal where a shell runs the program. SIGSEGV,
    SIGABRT, … are crashes of the program itself.
    """
    number = -status if status < 0 else status - 128
    return signal.Signals(number).name if number in _EXTERNAL else ""


def crash_signal(status: int) -> str:
    """Return the name of the signal by which a program crashed (SIGSEGV, …), empty where it did not."""
    number = -status if status < 0 else status - 128
    return signal.Signals(number).name if number in _CRASHES else ""


def raise_if_not_started(program: str, status: int, words: str = "") -> None:
    """Raise :class:`MachineFault` where a script, or the loader of programs, could not start a program."""
    if status in _NOT_STARTED:
        complaint = " ".join(words.split())[-300:] or "it does not say why"
        raise MachineFault(f"The program {program!r} cannot be started (exit status {status}): {complaint}.")


def raise_if_broken(program: str, status: int) -> None:
    """Raise :class:`MachineFault` where a program that crashed also crashes when it is asked for its version."""
    if killer := crash_signal(status):
        with contextlib.suppress(subprocess.TimeoutExpired):
            no = subprocess.DEVNULL
            command, environment = [program, "--version"], without_secrets(None)
            asked = subprocess.run(command, stdin=no, stdout=no, stderr=no, env=environment, check=False, timeout=60)
            if crash_signal(asked.returncode):
                raise MachineFault(
                    f"The program {program!r} does not work here: it crashes ({killer}), whatever it reads."
                )


def raise_if_killed(program: str, status: int) -> None:
    """Raise :class:`Interrupted` where somebody else ended a program, see :func:`external_signal`."""
    if killer := external_signal(status):
        raise Interrupted(f"{program} was ended by {killer}; was there too little memory? Run the same command again.")


def raise_if_full(folder: str | Path) -> None:
    """Raise :class:`Interrupted` where the disk of a folder is full: a file that lacks bytes is no fault of its run."""
    if shutil.disk_usage(folder).free < _FULL:
        raise Interrupted(f"The disk of {folder} is full; make room, then run the same command again.")


def run_program(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    progress: Callable[[int], object] | None = None,
    patience: float = 0,
) -> Finished:
    """Run a program to its end.

    With ``progress`` and ``patience``, the program is ended with the status :data:`STALLED` when the value of
    ``progress(process id)`` has not changed for ``patience`` seconds. Raises MachineFault where there is no such
    program or it does not work here, and Interrupted where somebody else ended it.
    """
    if shutil.which(arguments[0]) is None:
        raise MachineFault(f"The program {arguments[0]!r} was not found; it is part of the environments in envs/.")
    process = start(
        arguments,
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stalled = False
    changed, last = time.monotonic(), None
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=0.5 if progress and patience else None)
                break
            except subprocess.TimeoutExpired:
                now = progress(process.pid) if progress else None
                if now != last:
                    changed, last = time.monotonic(), now
                elif time.monotonic() - changed > patience and not stalled:
                    stalled = True
                    _end([process])
    finally:
        if process.poll() is None:
            _end([process])
        release(process)
    if stalled:
        return Finished(STALLED, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))
    return _finished(arguments[0], process.returncode, output, errors)


def stream_program(
    arguments: Sequence[str], take: Callable[[BinaryIO], object], environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a program to its end, while ``take`` reads its standard output; the output that is returned is empty.

    The program is ended by an error that ``take`` raises. Raises as :func:`run_program`.
    """
    if shutil.which(arguments[0]) is None:
        raise MachineFault(f"The program {arguments[0]!r} was not found; it is part of the environments in envs/.")
    with tempfile.TemporaryFile() as complaints:
        process = start(
            arguments,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        assert process.stdout is not None
        try:
            with process.stdout as output:
                with contextlib.suppress(OSError):  # beyond what the system allows a user
                    fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE)
                take(cast(BinaryIO, output))
            process.wait()
        finally:
            if process.poll() is None:
                _end([process])
            release(process)
        complaints.seek(0)
        return _finished(arguments[0], process.returncode, b"", complaints.read())


def _finished(program: str, status: int, output: bytes, errors: bytes) -> Finished:
    """Return a program that has ended by itself. Raises as :func:`run_program`."""
    complaint = errors.decode("utf-8", "replace")
    raise_if_killed(program, status)
    raise_if_not_started(program, status, complaint)
    raise_if_broken(program, status)
    return Finished(status, output.decode("utf-8", "replace"), complaint)


def _end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End process groups: SIGTERM, and SIGKILL after the grace period."""
    processes = [process for process in processes if process.poll() is None]
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        until = time.monotonic() + seconds
        while any(process.poll() is None for process in processes) and time.monotonic() < until:
            time.sleep(0.02)


def end_all() -> None:
    """End every program that :func:`start` started and that still runs."""
    with _lock:
        processes = list(_running)
    _end(processes)


@contextlib.contextmanager
def ends_with_command() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP end the command as Ctrl-C does, and no program survives the block."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves SIGHUP
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        end_all()
        for number, handler in before.items():
            signal.signal(number, handler)


def ends_if_removed(folder: str | Path) -> Callable[[], None]:
    """Return a function that ends this process when the folder was removed, or removed and created again, since now.

    Snakemake removes the output of a job that was cut off before it runs the job again: two of them would run then.
    """
    folder = Path(folder)
    inode = folder.stat().st_ino

    def check() -> None:
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_ino == inode:
                return
        print(f"{folder} has been removed: this job ends.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    return check


def bytes_read(process: int) -> int:
    """Return how many bytes a process has read so far, mostly from files; 0 where the system does not report it."""
    import psutil

    with contextlib.suppress(psutil.Error, AttributeError):
        return int(psutil.Process(process).io_counters().read_chars)
    return 0
