"""Folders that a later job reads: a whole one has an end mark, which lists its files.

The mark is ``.whole.tsv``: a line a file, its path below the folder and its size in bytes. It is written last and
removed first. A folder without a mark, or without one of the files in it, is what a killed job left, or what is left
of one whose removal was cut off.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from scripts.core import command
from scripts.core.disk.files import remove_folder, write_atomic
from scripts.core.errors import Interrupted

MARK = ".whole.tsv"
_NOT_LISTED = {MARK, f"{MARK}.part", ".snakemake_timestamp"}

_PARTIAL_FOLDER = re.compile(r"\..+\.(part|old|arriving)")
_PARTIAL_FILE = re.compile(r"(.+)\.part")


def _names(folder: Path) -> set[str]:
    """Return the paths below a folder of all files in it; links are not followed."""
    names: set[str] = set()
    top = len(os.fspath(folder)) + 1
    for parent, folders, files in os.walk(folder):
        below = f"{parent[top:]}/" if parent[top:] else ""
        links = [name for name in folders if Path(parent, name).is_symlink()]
        names.update(below + name for name in [*files, *links])
    return names - _NOT_LISTED


def seal(folder: str | Path, without: Collection[str] = ()) -> None:
    """Write the end mark of an output folder of this job: its files are complete.

    ``without`` names files that are about to be deleted. A command that is called by hand writes none: nobody removes
    its output file by file.
    """
    if not command.is_job():
        return
    folder = Path(folder)
    names = sorted(_names(folder).difference(without))
    lines = [f"{name}\t{(folder / name).lstat().st_size}\n" for name in names]
    write_atomic(folder / MARK, "".join(lines))


def unseal(folder: str | Path) -> None:
    """Remove the end mark of a folder, if there is one: its files are about to change."""
    (Path(folder) / MARK).unlink(missing_ok=True)


def find_fault(folder: str | Path, sizes: bool = True) -> str:
    """Return what is wrong with a folder in a clause, empty where it is whole.

    Without ``sizes`` only the names are compared, which costs a look at the folder and none at its files.
    """
    folder = Path(folder)
    try:
        lines = (folder / MARK).read_text(encoding="utf-8").splitlines()
    except OSError:
        return "it has no end mark"
    except UnicodeDecodeError:
        return "its end mark is damaged"
    names = _names(folder)
    for line in lines:
        name, _, size = line.rpartition("\t")
        if not (name and size.isdecimal()):
            return "its end mark is damaged"
        if name not in names:
            return f"its file {name} is missing"
        if sizes and (found := (folder / name).lstat().st_size) != int(size):
            return f"its file {name} has {found} bytes instead of {size}"
    return ""


def require_whole(folder: str | Path) -> None:
    """Raise :class:`Interrupted` where an input folder of this job is not whole: that is no fault of the runs in it.

    A command that is called by hand reads a folder without a mark as it is.
    """
    if not command.is_job() and not (Path(folder) / MARK).exists():
        return
    if fault := find_fault(folder):
        raise Interrupted(
            f"{folder} is not whole: {fault}; the job that made it, or its removal, was cut off."
            " Run the same command again: the folder is made anew."
        )


def remove_broken(names: Mapping[str | Path, str]) -> list[Path]:
    """Remove folders that are not whole, and return them, see :func:`remove_named`."""
    broken = [path for path in _named(names) if path.is_dir() and find_fault(path, sizes=False)]
    _remove_all(broken)
    return broken


def remove_named(names: Mapping[str | Path, str]) -> None:
    """Remove files and folders, whole or not, and the folders in which they are where these are empty then.

    ``names`` is parent folder → regular expression of the names in it that are ours; links and others stay.
    """
    _remove_all(list(_named(names)))
    for parent in map(Path, names):
        with contextlib.suppress(OSError):  # it has something else, is a link, or is not there
            parent.rmdir()


def _named(names: Mapping[str | Path, str]) -> Iterator[Path]:
    for parent, ours in names.items():
        for path in sorted(Path(parent).iterdir()) if Path(parent).is_dir() else ():
            if re.fullmatch(ours, path.name) and not path.is_symlink():
                yield path


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            unseal(path)
            remove_folder(path.parent, path.name)
        else:
            path.unlink()


def remove_partial(folder: str | Path, whole: str = ".+") -> list[Path]:
    """Remove what is half written below a folder, where nobody writes now, and return it.

    These are the files and folders from which :mod:`scripts.core.disk.files` makes others in one step, and links.
    ``whole`` is a regular expression of the names of files that are ours when they are whole.
    """
    removed = []
    for parent, folders, files in os.walk(folder):
        for name in [name for name in folders if _PARTIAL_FOLDER.fullmatch(name)]:
            folders.remove(name)
            if not Path(parent, name).is_symlink():
                remove_folder(parent, name)
                removed.append(Path(parent, name))
        for name in files:
            found = _PARTIAL_FILE.fullmatch(name)
            if found and re.fullmatch(whole, found[1]):
                Path(parent, name).unlink()
                removed.append(Path(parent, name))
    return removed
