"""The runs of a unit that are converted, in a folder that outlives a killed job, and the archives that are done with.

An archive is deleted as soon as its reads are written, so that a unit holds little more than the larger of the two.
What a killed job has converted is in a hidden folder, see scripts/reads/unit_folders.py: the FASTQ files and, for each
run, a note with its status, its files and their sizes, written when they are whole. The job that follows goes on from
there. Where archive and reads are both gone, the download is made anew.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.core.disk.files import path_below, remove_folder, size_of_folder, write_atomic
from scripts.core.disk.folders import seal, unseal
from scripts.core.errors import Interrupted
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus
from scripts.reads.unit_folders import arrived, mark_of_converted, note_of_reads

_SHARE = 50
"""Archives are deleted when so large a part of all of them is done with, as the end mark is written anew each time."""


class ConvertedRuns:
    """What is converted of a unit: FASTQ files in ``folder``, which is made where it is missing."""

    def __init__(self, folder: Path, rows: Mapping[str, Run], archives: Path, delete_archives: bool) -> None:
        """Keep the runs that an earlier job has converted, and remove what else it left."""
        self.folder = folder
        self.archives = archives
        self.delete_archives = delete_archives
        self.archive_bytes = size_of_folder(archives)
        self._limit = self.archive_bytes // _SHARE
        self._done_with: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.earlier: dict[str, RunStatus] = {}
        self.bytes: dict[str, int] = {}
        kept = set()
        for run, row in rows.items():
            note = self._read(row)
            if note:
                self.earlier[run] = RunStatus(*note["status"])
                self.bytes[run] = sum(note["files"].values())
                kept |= {self._note(run).name, *note["files"]}
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                remove_folder(folder, path.name)
            elif path.name not in kept:
                path.unlink()
        for run in self.earlier:
            self._delete_archive(run)

    def _note(self, run: str) -> Path:
        return note_of_reads(self.folder, run)

    def _read(self, row: Run) -> dict[str, Any]:
        """Return the note on a run that is converted, empty where there is none, or it is of something else.

        Raises Interrupted where its archive was deleted all the same.
        """
        try:
            note: dict[str, Any] = json.loads(self._note(row.run).read_text(encoding="utf-8"))
            sizes = {name: path_below(self.folder, name).lstat().st_size for name in note["files"]}
            archive = {path.name: path.stat().st_size for path in arrived(self.archives, row.run)}
            if note["row"] == _digest(row) and sizes == note["files"] and archive in (note["archive"], {}):
                return note
        except (OSError, ValueError, KeyError):  # none, or not whole
            pass
        if mark_of_converted(self.archives, row.run).exists() and not arrived(self.archives, row.run):
            unseal(self.archives)
            raise Interrupted(
                f"{row.run}: the archive was converted and deleted, but its reads are gone. Run the same command again:"
                " it is downloaded anew."
            )
        return {}

    def add(self, row: Run, status: RunStatus, files: Mapping[str, Path]) -> None:
        """Move the files of a run, name → file, into the folder; a run of an archive need not be converted again."""
        for name, path in files.items():
            path.replace(path_below(self.folder, name))
        sizes = {name: path_below(self.folder, name).lstat().st_size for name in files}
        self.bytes[row.run] = sum(sizes.values())
        if archive := arrived(self.archives, row.run):
            came = {path.name: path.stat().st_size for path in archive}
            note = {"row": _digest(row), "archive": came, "files": sizes, "status": status}
            write_atomic(self._note(row.run), json.dumps(note))

    def delete_archive(self, run: str) -> None:
        """Delete the archive of a run that is converted, soon; not for several threads."""
        if self._note(run).exists():
            self._delete_archive(run)

    def _delete_archive(self, run: str) -> None:
        if not self.delete_archives:
            return
        self._done_with += arrived(self.archives, run)
        mark_of_converted(self.archives, run).touch()
        size = sum(path.lstat().st_size for path in self._done_with)
        if size >= self._limit:
            seal(self.archives, without=[path.name for path in self._done_with])
            for path in self._done_with:
                path.unlink()
            self.archive_bytes -= size
            self._done_with = []

    def held(self) -> int:
        """Return the bytes of the archives that are left and of the reads of the runs that are converted."""
        return self.archive_bytes + sum(self.bytes.values())

    def forget(self) -> None:
        """Remove the notes: the files are about to change, or to become the output."""
        for path in self.folder.glob(".*.json"):
            path.unlink()


def _digest(row: Run) -> str:
    return hashlib.sha256("\t".join(row).encode()).hexdigest()
