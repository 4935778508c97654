"""Who may read and write what: why a file cannot be used, with its owner where rights are missing.

Resources and reads are shared: a colleague's umask of 077 leaves files that nobody else can read.
"""

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

_DENIED = (errno.EACCES, errno.EPERM)


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without a name."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def cause_of(error: OSError, path: str | Path = "") -> str:
    """Return why a file could not be used, without a full stop; where rights are missing, whose they are.

    ``path`` is the file, where the error does not name it.
    """
    words = error.strerror or str(error)
    named = os.fsdecode(path or error.filename or "")
    if error.errno not in _DENIED or not named:
        return words
    denying = _denying(Path(named).absolute())
    with contextlib.suppress(OSError):
        state = denying.stat()
        return f"{words}: {denying} is of user {user_name(state.st_uid)}, {stat.filemode(state.st_mode)}"
    return words


def _denying(path: Path) -> Path:
    """Return the file or folder whose rights keep this user from using a path."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            return folder
    if os.path.exists(path) and not os.access(path, os.R_OK):  # noqa: PTH110, which does not raise
        return path
    return path if os.access(path.parent, os.W_OK) else path.parent


def denied(path: str | Path) -> str:
    """Return why what is there may not be read; empty where it may, or where nothing is there."""
    needed = os.R_OK
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116, a path may be text
            needed |= os.X_OK
    except OSError as error:
        return cause_of(error, path) if error.errno in _DENIED else ""
    return "" if os.access(path, needed) else cause_of(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)


def unwritable(folders: Iterable[str | Path]) -> list[str]:
    """Return a sentence for each of these folders that is there and in which nothing can be written."""
    denial = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return [
        f"{Path(folder).absolute()}: this folder cannot be written: {cause_of(denial, Path(folder, '.new'))}."
        for folder in folders
        if Path(folder).is_dir() and not os.access(folder, os.W_OK | os.X_OK)
    ]


def first_denied(paths: Iterable[str | Path]) -> str:
    """Return a sentence for the first of these files and folders, or the first below one of them, that may not be read.

    Empty where all may.
    """
    for path in paths:
        for found in (path, *(Path(path).rglob("*") if not denied(path) else ())):
            if cause := denied(found):
                return f"{found}: {cause}; ask them for: chmod -R a+rX {path}"
    return ""
