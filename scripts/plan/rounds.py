"""Which units are counted again, and what of an earlier count is kept.

A job that counts a unit leaves a record (:mod:`scripts.plan.counted`): what was planned for each column, the options
with which it was counted, and for which reasons runs failed. A later call compares it with the plan:

- Where every planned column was counted as it is planned now, the unit is done, also where the record has more of
  them: a cell that is left out, or a row that is removed, costs nothing.
- Otherwise there is a new *round*, and so where runs failed for a reason that is tried again: those of ``retry:``, and
  by themselves a full disk as soon as there is room, ``scratch.limit_gb`` as soon as it is raised, Lite as soon as it
  is accepted, and a missing inclusion list as soon as it is configured. The rule ``retry`` sets aside the columns of a
  shard that are still right, and only the others are downloaded, aligned and counted.

A round is known by its token, a param of the jobs that count: a new token runs them.
"""

import functools
import hashlib
from pathlib import Path

from scripts.core.errors import NO_LIST
from scripts.plan.analysis import Analysis
from scripts.plan.counted import counted_file, read_counted
from scripts.plan.forecast import free_gb
from scripts.plan.jobs import JobResources
from scripts.plan.reasons import REASONS
from scripts.plan.status import RunStatus, disk_was_full
from scripts.plan.units import is_shard


class Rounds:
    """What is counted again in an analysis; paths are relative to the analysis directory."""

    def __init__(self, analysis: Analysis, resources: JobResources) -> None:
        self.analysis = analysis
        self.resources = resources
        self.counted = functools.cache(lambda unit: read_counted(counted_file(unit)))
        self.reasons = functools.cache(self._reasons)
        self.token = functools.cache(self._token)

    def _reasons(self, unit: str) -> list[str]:
        """Return for which reasons failed runs of a unit are tried again, sorted; empty where it has none of them."""
        counted = self.counted(unit)
        if counted is None or not counted.failed:
            return []
        wanted = self.analysis.config["retry"]
        reasons = set(REASONS if wanted == "all" else wanted)
        failed = [RunStatus("", "failed", reason, cause=cause) for reason, cause in counted.failed]
        if any(map(disk_was_full, failed)) and self._has_room(unit):
            reasons.add("DISK_LIMIT")
        now = self.analysis.settings()
        if now["limit_gb"] > counted.settings.get("limit_gb", now["limit_gb"]):
            reasons.add("DISK_LIMIT")
        if now["accept_lite"] > counted.settings.get("accept_lite", now["accept_lite"]):
            reasons.add("QUALITY_LITE")
        if any(row.cause == NO_LIST for row in failed) and not self.analysis.list_fault(unit):
            reasons.add("CHEMISTRY_UNKNOWN")
        return sorted(reasons & {row.reason for row in failed})

    def _has_room(self, unit: str) -> bool:
        free = 1000 * free_gb(Path(self.analysis.scratch, "fastq"))
        return free > self.resources.held_mb(unit)

    def is_as_planned(self, unit: str) -> bool:
        """Whether every planned column of a unit was counted as it is planned now."""
        counted = self.counted(unit)
        if counted is None or counted.planned == self.analysis.digest(unit):
            return counted is not None
        return self.analysis.columns(unit).items() <= counted.columns.items()

    def _token(self, unit: str) -> str:
        """Return the token of a unit's round: that of its record where nothing is to be counted again."""
        counted = self.counted(unit)
        if counted and not self.reasons(unit) and self.is_as_planned(unit):
            return counted.token
        words = f"{self.analysis.digest(unit)} {counted.token if counted else ''}"
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    def is_new(self, unit: str) -> bool:
        """Whether a unit that was counted is counted again, because of its plan or its failed runs."""
        counted = self.counted(unit)
        return counted is not None and self.token(unit) != counted.token

    def kept(self, unit: str) -> list[str]:
        """Return the folder of what is kept of a unit in a new round; empty where there is no new round."""
        return [f"work/retry/{self.token(unit)}/{unit}"] if self.is_new(unit) else []

    def kept_with(self, unit: str) -> str:
        """Return the digest of options with which columns must have been counted to be kept; "none" keeps none."""
        plates = self.analysis.config["plates"]
        keeps = is_shard(unit) and not (plates["keep_bam"] or plates["keep_alignments"])  # these are kept by shard
        return self.analysis.options_digest(unit) if keeps else "none"
