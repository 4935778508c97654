"""Local files of run tables: what is wrong with them, and whether they were replaced since they were counted.

A file is known by its content, which takes long to read. So a digest is recorded with the size and the times of its
file, and taken again only where these have changed. The record has a line a digest: size, time of the last change of
the content and of the file (ns), SHA-256, path; of several lines of a path the last one holds. Lines of new files are
appended; where a file has changed, the record is written anew, so that it does not grow with every touch.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.concurrency import side_by_side
from scripts.core.disk.files import hash_file, write_atomic
from scripts.core.disk.rights import denied
from scripts.plan.hints import path_hint
from scripts.plan.run_table import Run, local_files

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SLOW = 10_000_000_000  # bytes whose reading is announced
_THREADS = 8


class FileFaults:
    """What is wrong with the local files of planned runs, asked row by row. Runs of two experiments may share files."""

    def __init__(self) -> None:
        self._users: dict[tuple[str, str, str], str] = {}

    def of_row(self, row: Run) -> Iterator[str]:
        """Yield a sentence where the files of a run cannot all be read, or are of another run of its experiment."""
        if row.status != "planned" or not row.source.startswith("file:"):
            return
        paths = local_files(row)
        words = list(_faults_of_paths(paths)) if paths else ["names no file"]
        if not words and is_unreadable_path(*paths) and needs_sra_tools(row):
            words = ["sra-tools do not read an archive at a path with '%'; rename the folder or the file"]
        for path in paths:
            user = self._users.setdefault((row.experiment, row.species, os.path.realpath(path)), row.run)
            if user != row.run and row.experiment:
                words.append(f"{path} is a file of {user}, too; experiment {row.experiment} would have it twice")
        if words:
            yield f"{row.run}: source: {'; '.join(words)}."


def _faults_of_paths(paths: Sequence[str]) -> Iterator[str]:
    private = {path: cause for path in paths if (cause := denied(path))}
    paths = [path for path in paths if path not in private]
    folders = [path for path in paths if Path(path).is_dir()]
    addresses = [path for path in paths if _ADDRESS.match(path) and not os.path.lexists(path)]
    special = [path for path in paths if path not in folders and Path(path).exists() and not Path(path).is_file()]
    named = {*folders, *addresses, *special}
    missing = [path for path in paths if path not in named and not _is_readable(path)]
    for path, cause in private.items():
        yield f"{path}: {cause}"
    if missing:
        yield f"no such file, or not readable: {', '.join(missing)}{path_hint(missing[0])}"
    if folders:
        yield f"a folder, name the files in it: {', '.join(folders)}"
    if addresses:
        yield f"an address, not a path; download the file and name that: {', '.join(addresses)}"
    if special:
        yield f"a pipe or a device, which is read only once; write its reads to a file: {', '.join(special)}"
    yield from _faults_of_content([path for path in paths if path not in named and path not in missing])


def _faults_of_content(paths: Sequence[str]) -> Iterator[str]:
    """Yield what the first bytes of readable files show to be wrong."""
    from scripts.formats.fastq_files import kind_of

    kinds = {path: kind_of(path) for path in paths}
    if strange := [path for path in kinds if not kinds[path]]:
        yield f"neither an archive nor FASTQ nor BAM: {', '.join(strange)}"
    elif len(paths) > 1 and not all(kind.startswith("fastq") for kind in kinds.values()):
        yield "a run is several FASTQ files, or one archive, or one BAM"


def _is_readable(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.R_OK)


def is_unreadable_path(*paths: str) -> bool:
    """Whether sra-tools take one of these paths for a format of printf: their version 3.0 reads nothing there."""
    return any("%" in os.path.realpath(path) for path in paths)


def needs_sra_tools(row: Run) -> bool:
    """Whether the reads of a run may come from an archive."""
    from scripts.formats.fastq_files import kind_of

    if not row.source.startswith("file:"):
        return True
    return any(kind_of(path) == "sra" for path in local_files(row) if _is_readable(path))


RECORD = "units/local_files.tsv"


class FileDigests:
    """Digests of local files, recorded in the file ``record``.

    Without ``keep``, as in a dry run, nothing is recorded, and a file that was never recorded is not read: nothing can
    have been counted from it. Without a record no file is read.
    """

    def __init__(self, record: str | Path | None, keep: bool = False) -> None:
        self.record = None if record is None else Path(record)
        self.keep = keep
        self._known: dict[str, tuple[str, str]] | None = None

    def digest(self, paths: Sequence[str]) -> str:
        """Return 16 hex digits of the content of these files.

        A file that is missing counts as it was when it was recorded, so that a finished analysis does without it.
        """
        known = self._read()
        stale = [path for path in dict.fromkeys(paths) if self._is_stale(path)]
        size = sum(Path(path).stat().st_size for path in stale)
        if size >= _SLOW:
            text = f"Reading {size / 1e9:,.0f} GB of local files, to notice when one is replaced: {stale[0]}, …"
            print(text, file=sys.stderr)
        are_new = not any(path in known for path in stale)
        for path, found in side_by_side(_hash, stale, _THREADS):
            known[path] = found
            if self.keep and self.record is not None and are_new:
                self.record.parent.mkdir(parents=True, exist_ok=True)
                with self.record.open("a", encoding="utf-8", errors="surrogateescape") as handle:
                    handle.write(_line(path, *found))
        if self.keep and not are_new:
            self._write_anew(known)
        return self.recorded(paths)

    def recorded(self, paths: Sequence[str]) -> str:
        """Return the digest of these files as they were when they were recorded, without a look at them."""
        known = self._read()
        digests = [known[path][1] if path in known else "" for path in paths]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]

    def _is_stale(self, path: str) -> bool:
        """Return whether a file has to be read."""
        known = self._read()
        if path not in known and not self.keep:
            return False
        return _is_readable(path) and (path not in known or known[path][0] != _stamp(path))

    def _read(self) -> dict[str, tuple[str, str]]:
        """Return path → size and times, and digest."""
        if self._known is None:
            self._known = {}
            if self.record is not None and self.record.is_file():
                text = self.record.read_text(encoding="utf-8", errors="surrogateescape")
                lines = text.split("\n")
                for line in lines[:-1]:  # a line that was cut off has no end
                    stamp, digest, path = line.rsplit("\t", 2)
                    self._known[path] = stamp, digest
                if self.keep and (lines[-1] or len(lines) - 1 > len(self._known)):
                    self._write_anew(self._known)
        return self._known

    def _write_anew(self, known: Mapping[str, tuple[str, str]]) -> None:
        if self.record is not None:
            text = "".join(_line(path, *found) for path, found in known.items())
            write_atomic(self.record, text.encode("utf-8", "surrogateescape"))


def _line(path: str, stamp: str, digest: str) -> str:
    return f"{stamp}\t{digest}\t{path}\n"


def _stamp(path: str) -> str:
    """Return size and times of a file; the time of its last change also tells of files with an older time."""
    state = Path(path).stat()
    return f"{state.st_size}\t{state.st_mtime_ns}\t{state.st_ctime_ns}"


def _hash(path: str) -> tuple[str, str]:
    """Return size and times of a file as they were before it was read, and its digest."""
    return _stamp(path), hash_file(path)
