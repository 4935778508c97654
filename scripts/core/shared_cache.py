"""Files of a shared folder that whoever comes first makes, and all others take: references, indices, inclusion lists.

Several analyses, on one machine or on several, may have one folder for resources. What is there is whole: it is made
aside (``.{kind}.{token}.part``) and moved into its place, and only then ``.made/{kind}.json`` says that it is there and
from what it was made. Who makes it holds ``.{kind}.making``, a folder with ``owner.json`` (machine, process, when that
began), which is touched every few seconds; others wait for it, or go on themselves when its owner has ended without a
word. Making a folder and moving one are whole or nothing on every shared file system; nothing else is relied on. Should
two ever make the same, what comes second is thrown away.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.concurrency import every
from scripts.core.errors import InputError

_NAMESPACE = Path("/proc/self/ns/pid")
_HERE = {"machine": platform.node(), "namespace": str(_NAMESPACE.readlink()) if _NAMESPACE.is_symlink() else ""}
"""Where a process id means a process that we can see."""
BEAT = 10.0
"""Seconds after which an owner shows again that it is alive."""
SILENCE = 180.0
"""Seconds of silence after which an owner on another machine counts as gone."""


def make_once(
    place: str | Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str], make: Callable[[Path], None]
) -> bool:
    """Have ``make`` make the files (or folders) ``names`` of ``place`` into a folder that it is given, unless they are
    there and made from the same; return whether it did.

    ``kind`` names what is made, ``made_from`` is what tells one version of it from another (JSON). What was made from
    something else is made anew, but for a ``place`` outside the current folder, which others may be using: there it is
    an InputError.
    """
    place = Path(place)
    if _is_there(place, kind, made_from, names):
        return False
    with alone(place, kind) as token:
        if _is_there(place, kind, made_from, names):
            return False
        for left in place.glob(f".{kind}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        part = place / f".{kind}.{token}.part"
        part.mkdir()
        try:
            make(part)
            return _put_in_place(place, kind, made_from, names, part, token)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def alone(place: str | Path, kind: str) -> Iterator[str]:
    """Have nobody else make the same in a shared folder while the block runs; wait as long as somebody does.

    Yields a name that nobody else has. What another one has made by then is to be looked for in the block.
    """
    place = Path(place)
    place.mkdir(parents=True, exist_ok=True)
    token = f"{platform.node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    while True:
        with _owned(place, kind, token) as owned:
            if owned:
                yield token
                return


def add_links_option(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a command makes what it makes as :func:`make_once` has it, and :func:`link_into`."""
    parser.add_argument(
        "--links",
        type=Path,
        help="make it only where it is not there yet from the same sources, however many do so at once; then put links"
        " to what is there into this folder",
    )


def link_into(folder: str | Path, place: str | Path, names: Sequence[str]) -> None:
    """Make links to what is in a shared folder: an analysis may remove and touch these as if they were its own."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    to = os.path.relpath(Path(place).absolute(), folder.resolve())
    for name in names:
        part = folder / f".{name}.link"
        part.unlink(missing_ok=True)
        part.symlink_to(Path(to) / name)
        part.replace(folder / name)


def _is_there(place: Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether the files are there. Raises InputError where others may be using those that are there."""
    known = _read(place / ".made" / f"{kind}.json")
    if known is None or not all((place / name).exists() for name in names):
        return False
    if known == json.loads(json.dumps(made_from)):
        return True
    if Path(os.path.realpath(place)).is_relative_to(Path.cwd().resolve()):
        return False
    differing = [key for key in sorted({*known, *made_from}) if known.get(key) != made_from.get(key)]
    raise InputError(
        f"{place}: {kind} was made from something else ({', '.join(differing)}), and other analyses may be using it. "
        "Configure the same as they do, give it another name, or delete that folder when nobody uses it."
    )


def _put_in_place(
    place: Path, kind: str, made_from: Mapping[str, Any], names: Sequence[str], part: Path, token: str
) -> bool:
    """Move what was made into its place, unless it is there by now; return whether it was moved."""
    if _is_there(place, kind, made_from, names):
        return False
    record = place / ".made" / f"{kind}.json"
    record.parent.mkdir(exist_ok=True)
    record.unlink(missing_ok=True)
    for name in names:
        target = place / name
        if target.is_dir() and not target.is_symlink():
            old = place / f".{kind}.{token}.{name}.part"
            target.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        (part / name).replace(target)
    arriving = part / "made_from"
    arriving.write_text(json.dumps(made_from, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    arriving.replace(record)
    return True


def _lock(place: Path, kind: str) -> Path:
    return place / f".{kind}.making"


@contextlib.contextmanager
def _owned(place: Path, kind: str, token: str) -> Iterator[bool]:
    """Own the making of something while the block runs (True), or wait as long as another one does (False)."""
    lock = _lock(place, kind)
    candidate = place / f".{kind}.{token}.candidate"
    candidate.mkdir()
    owner = {**_HERE, "process": os.getpid(), "begun": _begun(os.getpid()), "user": os.getuid(), "token": token}
    (candidate / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    try:
        candidate.rename(lock)  # refused where it is there: it is not empty
    except OSError:
        shutil.rmtree(candidate, ignore_errors=True)
        _wait_for(lock)
        yield False
        return

    def beat() -> None:
        with contextlib.suppress(OSError):
            os.utime(lock / "owner.json")

    try:
        with every(BEAT, beat):
            yield True
    finally:
        _remove(lock, token)


def _wait_for(lock: Path) -> None:
    """Return when a lock has gone, or remove that of an owner that has ended."""
    seen, since, told = None, time.monotonic(), False
    what = f"{lock.parent}: {lock.name[1:].removesuffix('.making')}"
    while True:
        try:
            beat = (lock / "owner.json").stat().st_mtime_ns
        except OSError:
            return
        if beat != seen:
            seen, since = beat, time.monotonic()
        owner = _read(lock / "owner.json")
        if owner is None:
            return
        process = owner.get("process", 0)
        # Processes of others may be hidden from us, and those of another machine are.
        visible = owner.items() >= {**_HERE, "user": os.getuid()}.items()
        ended = visible and _begun(process) != owner.get("begun")
        if ended or time.monotonic() - since > SILENCE:
            words = f"process {process} on {owner.get('machine')}, which was making it, has ended"
            print(f"{what}: {words}; it is made anew.", file=sys.stderr, flush=True)
            _remove(lock, owner.get("token", ""))
            return
        if not told:
            words = f"process {process} on {owner.get('machine')} is making it"
            print(f"{what}: {words}; waiting for that.", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.2)


def _remove(lock: Path, token: str) -> None:
    """Remove a lock, if it is still that of this token."""
    owner = _read(lock / "owner.json")
    if owner is None or owner.get("token") != token:
        return
    gone = lock.with_name(f"{lock.name}.{uuid.uuid4().hex[:8]}.gone")
    with contextlib.suppress(OSError):
        lock.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _begun(process: int) -> str:
    """Return when a process of this machine began, in its own clock's words; empty where there is none."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _alive(process)
    return told.rpartition(")")[2].split()[19]


def _alive(process: int) -> str:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
