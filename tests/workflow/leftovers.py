"""What calls of the workflow have left in its folders, beside what a fresh run of the same configuration leaves."""

import base64
import binascii
import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

Listing = Mapping[str, int]
"""Path below a folder → bytes; folders, whose names end in a slash, and links (``@``) have none."""

LOGS = ".snakemake/log/"
_KEPT = ("units/", "logs/", ".snakemake/metadata/", "resources/", "cache/")
"""Where what an earlier configuration asked for stays: units that were counted are not counted again if they come back,
and a log is looked for after a failure."""
_RECORDS_OF_MORE = re.compile(
    r"units/((seats|index|local_files)\.tsv|(runs|counted|counts|reads|status|figures|tools)/[^/]+|last_plan/.+)"
)
"""Files with a part for each cell, library or plan there ever was here: larger, at most as large as all together."""
_OF_LATER_CALLS = re.compile(
    r"logs/retry/([^/]+\.log)?|\.snakemake/metadata/\(work/retry/[^/]+\)|\.snakemake/backups/([^/]+/)?|results/changes\.tsv"
)
"""What no first run has: a log and a record of each unit that is counted again, Snakemake's folders for a plan that it
may have to put back, what the last refresh found."""
_ANY_SIZE = re.compile(
    rf"{_RECORDS_OF_MORE.pattern}|units/cost\.tsv|(logs|\.snakemake)/.*|units/solo/.*/Log\.final\.out|units/align/.+|resources/.*/answers\.json|.*\.made/.*"
)
"""Files with a clock, a port or, as those that STAR itself wrote, the number of threads."""
_NOT_ALWAYS = re.compile(r"\.snakemake/log/.*|work/.*|units/align/.*|\.snakemake/metadata/\((units|work)/align/.+\)")
"""What may be missing: work/ may be deleted, and alignments are where they were when they were counted."""
_SHARD = re.compile(r"(?<=[a-z])\.\d{4}(?!\d)")


def list_files(folder: Path, below: str = "", without: Collection[str] = ()) -> dict[str, int]:
    """Return what is below a folder, each path with ``below`` before it; links are not followed."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            words = below + path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[f"{words}@"] = 0
            elif name in folders:
                found[f"{words}/"] = 0
            else:
                with contextlib.suppress(FileNotFoundError):
                    found[words] = path.lstat().st_size
    return {path: size for path, size in found.items() if not path.startswith(tuple(without))}


def readable(path: str) -> str:
    """Return a path as it is, but of Snakemake's records on a file, whose names are in base64, with the file's name."""
    top, mark, coded = path.partition("/metadata/")
    if not mark or not coded:
        top, mark, coded = path.partition("/incomplete/")
    with contextlib.suppress(binascii.Error, UnicodeDecodeError):
        name = base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in coded.split("/"))).decode()
        return f"{top}{mark}({name})" if coded else path
    return path


def without_shard(path: str) -> str:
    """Return a path without the number of a shard: it depends on what was planned first."""
    return _SHARD.sub(".SHARD", path)


def _by_name(listing: Listing) -> dict[str, int]:
    """Return a listing by readable names, without numbers of shards."""
    named: dict[str, int] = {}
    for path, size in listing.items():
        name = without_shard(readable(path))
        named[name] = max(size, named.get(name, 0))
    return named


def differences(have: Listing, fresh: Listing, earlier: Collection[Listing], calls: int) -> Iterator[str]:
    """Yield a sentence for each file that is not as a fresh run leaves it.

    ``earlier`` are what fresh runs leave of the other configurations that there were here, ``calls`` the calls of
    Snakemake, which keeps a log of each.
    """
    have, fresh = _by_name(have), _by_name(fresh)
    known: dict[str, int] = dict(fresh)
    for listing in map(_by_name, earlier):
        for path, size in listing.items():
            known[path] = known.get(path, 0) + size
    logs = [path for path in have if path.startswith(LOGS) and path != LOGS]
    if len(logs) > calls:
        yield f"{LOGS}: {len(logs)} files after {calls} calls"
    for path in sorted(fresh.keys() - have.keys()):
        if not _NOT_ALWAYS.fullmatch(path):
            yield f"{path}: missing"
    for path, size in sorted(have.items()):
        if path.startswith(LOGS) or _OF_LATER_CALLS.fullmatch(path):
            continue
        if path not in known or not (path in fresh or path.startswith(_KEPT)):
            yield f"{path}: left over, {size} bytes"
        elif _RECORDS_OF_MORE.fullmatch(path) and size > known[path]:
            yield f"{path}: {size} bytes, more than the {known[path]} of fresh runs together"
        elif path in fresh and size != fresh[path] and not _ANY_SIZE.fullmatch(path):
            yield f"{path}: {size} bytes instead of {fresh[path]}"
