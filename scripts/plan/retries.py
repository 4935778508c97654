"""Failed runs that are tried again: which, and what is kept of their unit meanwhile.

``retry:`` in the configuration names the reasons. The rule ``retry`` sets aside what a unit has counted in
``work/retry/{parameters digest}/{unit}/``; only the failed columns are then done again. A *round* is one such try.
"""

import functools
import shutil
from pathlib import Path

from scripts.plan.analysis import Analysis
from scripts.plan.reasons import REASONS
from scripts.plan.resources import JobResources
from scripts.plan.status import disk_was_full, read_statuses


class Retries:
    """What is tried again in an analysis; paths are relative to the analysis directory."""

    def __init__(self, analysis: Analysis, resources: JobResources) -> None:
        self.analysis = analysis
        self.resources = resources
        self.reasons = functools.cache(self._reasons)

    def _reasons(self, unit: str) -> list[str]:
        """Return for which reasons failed runs of a unit are tried again, sorted; empty where it has none of them.

        Those that are configured, and a full disk as soon as there is room for the unit.
        """
        wanted = self.analysis.config["retry"]
        status = Path(f"work/status/{unit}.tsv")
        if not status.exists() or (not wanted and b"DISK_LIMIT" not in status.read_bytes()):
            return []
        failed = [row for row in read_statuses(status).values() if row.reason]
        reasons = set(REASONS if wanted == "all" else wanted)
        if any(map(disk_was_full, failed)) and self._has_room(unit):
            reasons.add("DISK_LIMIT")
        return sorted(reasons & {row.reason for row in failed})

    def _has_room(self, unit: str) -> bool:
        folder = next(folder for folder in map(Path, ("work/fastq", "work")) if folder.exists())
        return shutil.disk_usage(folder).free > 1e6 * self.resources.scratch_mb("fastq", unit)

    def _folder(self, unit: str) -> str:
        return f"work/retry/{self.analysis.parameters_digest(unit)}/{unit}"

    def previous(self, unit: str) -> list[str]:
        """Return the folder of what a unit had counted before its last round; empty where there was none."""
        folder = self._folder(unit)
        return [folder] if self.reasons(unit) or Path(folder).exists() else []

    def round(self, unit: str) -> str:
        """Return what identifies a round: the time of the status table that called for it.

        As a param of the job that counts it triggers that job. Empty where nothing was ever tried again.
        """
        if self.reasons(unit):
            return str(Path(f"work/status/{unit}.tsv").stat().st_mtime_ns)
        note = Path(self._folder(unit)) / "round"
        return note.read_text(encoding="utf-8").strip() if note.exists() else ""
