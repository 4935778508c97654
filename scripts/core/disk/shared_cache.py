"""Shared folders of files that the first one to need them builds and all others use: references, indices, lists.

Several analyses, on one machine or on several, may share a folder for resources. A file in it is complete: it is built
in ``.{kind}.*.part`` and renamed, and only then ``.made/{kind}.json`` says from what it was built. Whoever builds
it owns ``.{kind}.making``, a folder with ``owner.json`` (machine, process, when that started), which is touched every
few seconds; others wait, and take over when the owner has ended or is silent. To create a folder and to rename one are
atomic on every shared file system; nothing else is relied on, file locks in particular. Should two ever build the same
files, those that come second are deleted.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.concurrency import every
from scripts.core.disk.files import make_folder, parse_json, read_bounded, remove_folder
from scripts.core.disk.locks import REPORT_EVERY
from scripts.core.disk.rights import denied, first_denied, unwritable, user_name
from scripts.core.errors import InputError
from scripts.core.subprocesses import ends_with_command

_NAMESPACE = Path("/proc/self/ns/pid")
_HERE = {"machine": platform.node(), "namespace": str(_NAMESPACE.readlink()) if _NAMESPACE.is_symlink() else ""}
"""Where a process id means a process that we can see."""
HEARTBEAT = 10.0
"""Seconds after which an owner shows again that it is alive."""
SILENCE = 180.0
"""Seconds of silence after which an owner on another machine is taken to have ended."""
_NO_OWNER = 10.0  # seconds after which what has no owner is no lock: a lock appears together with its owner
_PART = re.compile(r"\.(?P<kind>.+)\.[a-z0-9_]{8}\.part")  # as TemporaryDirectory names it
_LONGEST_NOTE = 1 << 20  # bytes of a JSON file here


def build_once(
    folder: str | Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str], build: Callable[[Path], None]
) -> bool:
    """Build files (or folders) ``names`` of a shared folder, unless they are there and made from the same; return
    whether they were built.

    ``kind`` names them together, ``made_from`` (JSON) distinguishes their versions, ``build`` writes them into the
    folder that it gets. Files of another version are built again, but not in a folder outside the current one: other
    analyses may be using those, and an InputError says so.
    """
    from tempfile import TemporaryDirectory

    folder = Path(folder)
    remove_abandoned(folder)
    if _is_built(folder, kind, made_from, names):
        return False
    with exclusive(folder, kind):
        if _is_built(folder, kind, made_from, names):
            return False
        for left in folder.glob(".*.part"):
            if (found := _PART.fullmatch(left.name)) and found["kind"] == kind:
                _remove(left)
        with TemporaryDirectory(".part", f".{kind}.", folder, ignore_cleanup_errors=True) as part:
            build(Path(part))
            return _publish(folder, kind, made_from, names, Path(part))


def remove_abandoned(folder: str | Path) -> None:
    """Remove what processes that were killed have left in a shared folder: locks, and folders of half-made files.

    Somebody who makes files holds the lock of their kind. So what is there before a look at the lock, and has none,
    belongs to nobody. What cannot be removed, as in a folder of another user, stays.
    """
    folder = Path(folder)
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in folder.glob(".*"))
        for name in names:
            lock = folder / name
            owner = _read_owner(lock) if name.endswith(".making") else {}
            if owner and _has_ended(owner):
                _remove_lock(lock, owner["token"])
            elif name.endswith(".gone") or (name.endswith(".candidate") and _age(lock) > _NO_OWNER):
                _remove(lock)
        for name in names:
            found = _PART.fullmatch(name)
            if found and not os.path.lexists(folder / f".{found['kind']}.making"):
                _remove(folder / name)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError, InputError):
        remove_folder(folder.parent, folder.name, ignore_errors=True)


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


@contextlib.contextmanager
def exclusive(folder: str | Path, kind: str) -> Iterator[None]:
    """Wait until nobody else builds the same in a shared folder, and keep others from it in the block.

    Look in the block for what another one has built by then.
    """
    folder = Path(folder)
    make_folder(folder)
    if faults := unwritable([folder]):
        raise InputError(f"{kind} is still to be made. {faults[0]}")
    token = f"{platform.node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    lock = folder / f".{kind}.making"
    while not _create_lock(lock, token):
        _wait_for(lock)

    def beat() -> None:
        with contextlib.suppress(OSError):
            os.utime(lock / "owner.json")

    try:
        with every(HEARTBEAT, beat):
            yield
    finally:
        _remove_lock(lock, token)


def add_links_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that use :func:`build_targets`."""
    parser.add_argument(
        "--links",
        type=Path,
        help="build the files only where they are not there yet from the same sources, also when several jobs ask for"
        " them at once; then put links to them into this folder",
    )


def build_targets(
    links: Path | None,
    kind: str,
    made_from: Callable[[], Mapping[str, Any]],
    targets: Sequence[Path],
    build: Callable[..., None],
) -> None:
    """Build files of one folder, or, where ``links`` is a folder, build them once and link to them from there.

    ``build`` gets the paths to write in the order of ``targets``; for the others see :func:`build_once`.
    """
    if links is None:
        build(*targets)
        return
    folder, names = targets[0].parent, [target.name for target in targets]
    with ends_with_command():
        build_once(folder, kind, made_from(), names, lambda part: build(*(part / name for name in names)))
    link_into(links, folder, names)


def link_into(links: str | Path, folder: str | Path, names: Sequence[str]) -> None:
    """Link files of a shared folder: an analysis may remove and touch the links as if they were its own files."""
    links = Path(links)
    links.mkdir(parents=True, exist_ok=True)
    target = Path(os.path.relpath(Path(folder).absolute(), links.resolve()))
    for name in names:
        new = links / f".{name}.link"
        new.unlink(missing_ok=True)
        new.symlink_to(target / name)
        new.replace(links / name)


def _is_built(folder: Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Return whether the files are there. Raises InputError for files of another version that others may be using."""
    record = folder / ".made" / f"{kind}.json"
    if fault := denied(record):
        raise InputError(f"{record}: {fault}; who made it must let others read {folder}: chmod -R a+rX {folder}")
    known = _read(record)
    if known is None or not all((folder / name).exists() for name in names):
        return False
    if known == json.loads(json.dumps(made_from)):
        if fault := first_denied(folder / name for name in names):
            raise InputError(fault)
        return True
    if Path(os.path.realpath(folder)).is_relative_to(Path.cwd().resolve()):
        return False
    differing = [key for key in sorted({*known, *made_from}) if known.get(key) != made_from.get(key)]
    raise InputError(
        f"{folder}: {kind} was made from something else ({', '.join(differing)}), and other analyses may be using it. "
        "Configure the same as they do, give it another name, or delete that folder when nobody uses it."
    )


def _publish(folder: Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str], part: Path) -> bool:
    """Move built files into the shared folder, unless they are there by now; return whether they were moved."""
    if _is_built(folder, kind, made_from, names):
        return False
    record = folder / ".made" / f"{kind}.json"
    if record.parent.is_symlink():
        raise InputError(f"{record.parent}: a link, which is not followed. Remove it.")
    record.parent.mkdir(exist_ok=True)
    record.unlink(missing_ok=True)
    for name in names:
        target = folder / name
        if target.is_dir() and not target.is_symlink():
            target.rename(part / f"{name}.old")
        (part / name).replace(target)
    described = part / "made_from"
    described.write_text(json.dumps(made_from, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    described.replace(record)
    return True


def _create_lock(lock: Path, token: str) -> bool:
    """Return whether the lock was free, and is ours now."""
    candidate = lock.with_name(f"{lock.name.removesuffix('.making')}.{token}.candidate")
    candidate.mkdir()
    owner = {**_HERE, "process": os.getpid(), "started": _start_of(os.getpid()), "user": os.getuid(), "token": token}
    (candidate / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    try:
        candidate.rename(lock)  # fails where the lock exists: it is not empty
    except OSError:
        remove_folder(candidate.parent, candidate.name, ignore_errors=True)
        return False
    return True


def _wait_for(lock: Path) -> None:
    """Return when a lock has gone, or remove that of an owner that has ended; report who holds it, again each minute.

    Raises InputError where the lock stays something that is no lock.
    """
    beat, since, next_report = -1, time.monotonic(), 0.0
    what = f"{lock.parent}: {lock.name[1:].removesuffix('.making')}"
    while os.path.lexists(lock):
        modified, owner, user = _look_at(lock)
        if modified != beat:
            beat, since = modified, time.monotonic()
        silent = time.monotonic() - since
        name = f"process {owner.get('process')} on {owner.get('machine')}"
        if not owner and silent > _NO_OWNER:
            raise InputError(f"{lock}: not a lock of this workflow; {user} put it there. Remove it.")
        if owner and (_has_ended(owner) or silent > SILENCE):
            if _remove_lock(lock, owner.get("token", "")):
                print(f"{what}: {name}, which was building it, has ended; it is built again.", file=sys.stderr)
                return
            if _look_at(lock)[1] == owner:
                raise InputError(f"{what}: {name} has ended, but {lock} is that of {user}, who has to remove it.")
            return
        if owner and time.monotonic() >= next_report:
            print(f"{what}: {name} is building it; waiting.", file=sys.stderr)
            print(f"  The lock {lock} is that of user {user}.", file=sys.stderr, flush=True)
            next_report = time.monotonic() + REPORT_EVERY
        time.sleep(0.2)


def _look_at(lock: Path) -> tuple[int, dict[str, Any], str]:
    """Return when a lock was last touched (-1: unknown), what it says of its owner, and the user whose file it is."""
    owner = _read_owner(lock)
    with contextlib.suppress(OSError):
        state = (lock / "owner.json" if owner else lock).lstat()
        return state.st_mtime_ns if owner else -1, owner, user_name(state.st_uid)
    return -1, {}, "somebody"


def _read_owner(lock: Path) -> dict[str, Any]:
    """Return what a lock says of its owner; empty where it is no lock."""
    owner = _read(lock / "owner.json") or {}
    named = all(isinstance(owner.get(name), str) for name in ("machine", "token"))
    numbered = all(isinstance(owner.get(name, 0), int | float) for name in ("process", "started"))
    return owner if named and numbered else {}


def _has_ended(owner: Mapping[str, Any]) -> bool:
    """Return whether an owner is known to have ended; processes of other users and machines may be hidden from us."""
    if not owner.items() >= {**_HERE, "user": os.getuid()}.items():
        return False
    start = _start_of(int(owner.get("process", 0)))
    return start is None or abs(start - owner.get("started", start)) > 1


def _start_of(process: int) -> float | None:
    """Return when a process of this machine started, in seconds since the boot; None where there is none."""
    import psutil

    try:
        return psutil.Process(process).create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None


def _remove_lock(lock: Path, token: str) -> bool:
    """Remove a lock, if it is still that of this token; return whether it was removed."""
    if _read_owner(lock).get("token") != token:
        return False
    removed = lock.with_name(f"{lock.name}.{uuid.uuid4().hex[:8]}.gone")
    try:
        lock.rename(removed)
    except OSError:
        return False
    remove_folder(removed.parent, removed.name, ignore_errors=True)
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """Return the object of a small JSON file; None where it is something else, which others may have put there."""
    with contextlib.suppress(OSError, ValueError, InputError):
        content = parse_json(read_bounded(path, _LONGEST_NOTE), str(path))
        return content if isinstance(content, dict) else None
    return None
