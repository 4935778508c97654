"""Files: paths below a folder, reading in bounds, atomic writing, deletion, checksums, sizes, blocks of lines."""

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, BinaryIO, TextIO

from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError

_LONGEST_NAME = 255  # bytes, of one part of a path, on every file system in use

_OWN_NAME = re.compile(r"\.(?P<process>\d{1,9})-(?P<machine>[0-9a-f]{8})-[0-9a-f]{16}\.[a-z]+(\.part)?$")


def path_below(folder: str | Path, *names: str) -> Path:
    """Return the path ``folder/name/name/…``, which is always below the folder.

    Each name is one part of the path. Raises InputError for a name that is none: empty, ``.`` or ``..``, with a slash,
    a control character or a byte that is not UTF-8, too long, or with a leading ``-``, as programs read an option.
    """
    for name in names:
        if fault := _name_fault(name):
            shown = name if len(name) <= 80 else f"{name[:80]}…"
            raise InputError(f"{shown!r} cannot be the name of a file or folder in {folder}: it {fault}.")
    return Path(folder, *names)


def _name_fault(name: str) -> str:
    """Return why a name cannot be one part of a path; empty where it can."""
    if name in ("", ".", ".."):
        return "is no name"
    if "/" in name:
        return "has a slash"
    if name.startswith("-"):
        return "begins with '-', like an option"
    if not name.isprintable():  # control characters, and bytes that are not UTF-8
        return "has control characters or bytes that are not UTF-8"
    return "is too long" if len(name.encode()) > _LONGEST_NAME else ""


def remove_folder(folder: str | Path, *names: str, ignore_errors: bool = False) -> None:
    """Delete the folder ``folder/name/…`` with all in it, if it exists. No link is followed.

    ``folder`` is a work folder of ours, ``names`` are parts of a path below it, at least one, see :func:`path_below`.
    Raises InputError where one of these parts is a link, which somebody else made.
    """
    if not names:
        raise ValueError("a work folder itself is not deleted")
    path = path_below(folder, *names)
    for depth in range(1, len(names) + 1):
        if (link := Path(folder, *names[:depth])).is_symlink():
            raise InputError(f"{link}: a link, not a folder of this workflow, so it is not deleted. Remove the link.")
    if path.exists():
        shutil.rmtree(path, ignore_errors=ignore_errors)


def kind_of_item(mode: int) -> str:
    """Return what an item of a folder is, by its mode: ``file``, ``folder``, ``link``, ``FIFO``, ``socket``, …."""
    for is_kind, kind in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISSOCK, "socket"),
    ):
        if is_kind(mode):
            return kind
    return "device"


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file of a folder that somebody else made, for reading; never waits, as for the writer of a FIFO.

    A link is followed to a file. Raises OSError, and InputError for what is no file on a disk: a folder, a FIFO, a
    device, a socket, a file of /proc or /sys, which have no end or no size.
    """
    if (kind := kind_of_item(Path(path).stat().st_mode)) != "file":
        raise InputError(f"{path}: a {kind}, not a file.")
    if os.path.realpath(path).startswith(("/proc/", "/sys/")):
        raise InputError(f"{path}: a file of the system, not on a disk.")
    handle = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):  # it was replaced meanwhile
        handle.close()
        raise InputError(f"{path}: not a file.")
    return handle


def read_bounded(path: str | Path, most: int) -> bytes:
    """Return the content of a file, see :func:`open_regular`. Raises InputError where it has more than ``most`` bytes.

    Raises InputError where it cannot be read.
    """
    try:
        with open_regular(path) as handle:
            content = handle.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {cause_of(error, path)}.") from error
    if len(content) > most:
        raise InputError(f"{path}: more than {most:,} bytes, too large for such a file.")
    return content


def bounded_lines(handle: IO[AnyStr], most: int, name: str) -> Iterator[AnyStr]:
    """Yield the lines of an open file, with their ends.

    Raises InputError, with the file's name, for a line of more than ``most`` bytes or characters.
    """
    number = 0
    while line := handle.readline(most + 1):
        number += 1
        if len(line) > most:
            raise InputError(f"{name}, line {number}: more than {most:,} characters, too long for such a file.")
        yield line


def parse_json(content: bytes | str, name: str) -> Any:
    """Return the value of a JSON text. Raises InputError, with the file's name, where there is none.

    Values nested too deep and numbers of too many digits are refused as well.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise InputError(f"{name}: cannot be read as JSON: its values are nested too deep.") from error
    except ValueError as error:
        raise InputError(f"{name}: cannot be read as JSON: {error}.") from error


def size_of_folder(folder: str | Path) -> int:
    """Return the bytes of all files below a folder; files that are removed meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total


def hash_file(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file, in hex."""
    import hashlib

    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder, where it is missing, with all above it.

    Raises InputError for a link that another user made, which may lead to where we can write and they cannot.
    """
    path.mkdir(parents=True, exist_ok=True)
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode) and state.st_uid not in (os.geteuid(), 0):
        raise InputError(f"{path}: a link that another user made (id {state.st_uid}); it is not followed. Remove it.")


def refuse_link(path: Path) -> None:
    """Raise InputError where a file that is about to be written is a link, which somebody else made."""
    if path.is_symlink():
        raise InputError(f"{path}: a link, in place of a file that is written here; it is not followed. Remove it.")


def new_file(path: Path) -> int:
    """Return a new, empty file, open for reading and writing, in place of what a killed job left under its name.

    Raises InputError where there is a link, or a file of somebody else that cannot be removed.
    """
    refuse_link(path)
    try:
        path.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (FileExistsError, PermissionError) as error:
        fault = f"made anew: {error.strerror}. Remove it." if path.exists() else f"written: {cause_of(error, path)}."
        raise InputError(f"{path}: it cannot be {fault}") from error


def own_name(path: Path, ending: str) -> Path:
    """Return a path beside ``path`` that no other process writes to: ``{name}.{process}-{machine}-{random}.{ending}``.

    What a process that was killed leaves under such a name is known by it, see :func:`remove_abandoned_files`.
    """
    return path.with_name(f"{path.name}.{os.getpid()}-{_machine()}-{secrets.token_hex(8)}.{ending}")


@functools.cache
def _machine() -> str:
    """Return 8 hex digits of where a process id means a process that we can see: the machine, and its namespace."""
    import hashlib

    with contextlib.suppress(OSError):
        here = f"{os.uname().nodename} {Path('/proc/self/ns/pid').readlink()}"
        return hashlib.sha256(here.encode()).hexdigest()[:8]
    return secrets.token_hex(4)


def remove_abandoned_files(folder: str | Path) -> None:
    """Remove files that :func:`own_name` names and whose process was one of this machine and has ended."""
    import psutil

    with contextlib.suppress(OSError), os.scandir(folder) as items:
        for item in items:
            found = _OWN_NAME.search(item.name)
            if found and found["machine"] == _machine() and not psutil.pid_exists(int(found["process"])):
                with contextlib.suppress(OSError):
                    Path(item.path).unlink()


@contextlib.contextmanager
def atomic_path(path: str | Path, shared: bool = False) -> Iterator[Path]:
    """Yield the path of a partial file beside ``path``, which takes its place when the block ends without an error.

    The partial file is made anew and empty. It is ``{path}.part``, so that a job that was killed leaves nothing that
    the next one does not replace; ``shared`` gives it a name that nobody can foresee, for folders of several analyses,
    see :func:`own_name`. Raises InputError where somebody else put a link in its place.
    """
    path = Path(path)
    make_folder(path.parent)
    partial = own_name(path, "part") if shared else path.with_name(f"{path.name}.part")
    os.close(new_file(partial))
    try:
        yield partial
        refuse_link(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_text(path: str | Path) -> Iterator[TextIO]:
    """Open a text file (UTF-8, ``\\n``) for writing; it appears under its name when the block ends without an error."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        yield handle


def write_atomic(path: str | Path, content: bytes | str, shared: bool = False) -> None:
    """Write a whole file, text as UTF-8, see :func:`atomic_path`."""
    with atomic_path(path, shared) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new hidden folder ``.{name}.part``, which replaces ``path`` when the block ends without an error."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    remove_folder(partial.parent, partial.name, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except FileExistsError as error:
        raise InputError(f"{partial}: it cannot be made anew: {error.strerror}. Remove it.") from error
    try:
        yield partial
        replace_folder(partial, path)
    finally:
        remove_folder(partial.parent, partial.name, ignore_errors=True)


def replace_folder(folder: Path, target: Path) -> None:
    """Replace ``target``, if it exists, by a folder, which may be on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if folder.parent != target.parent:
        arriving = target.with_name(f".{target.name}.arriving")
        remove_folder(arriving.parent, arriving.name, ignore_errors=True)
        shutil.move(folder, arriving)
        folder = arriving
    # Renamed, not removed: whatever is under the name of the target at any time is whole.
    old = f".{target.name}.old"
    remove_folder(target.parent, old, ignore_errors=True)
    if target.is_symlink():
        remove_folder(target.parent, target.name)  # raises InputError
    with contextlib.suppress(FileNotFoundError):
        target.replace(target.with_name(old))
    folder.replace(target)
    remove_folder(target.parent, old, ignore_errors=True)
