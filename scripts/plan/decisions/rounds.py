"""Which units are counted again, and what of an earlier count is kept.

A job that counts a unit leaves a record (:mod:`scripts.plan.counted`): what was planned for each column, the options
with which it was counted, and for which reasons runs failed. A later call compares it with the plan:

- Where every planned column was counted as it is planned now, the unit is done, also where the record has more of
  them: a cell that is left out, or a row that is removed, costs nothing.
- Otherwise there is a new *round*, and so where runs failed for a reason that is tried again: those of ``retry:``, and
  by themselves those whose cause has gone, such as a limit that was raised (see ``Rounds._healed``). The rule ``retry``
  sets aside the columns of a shard that are still right, and only the others are downloaded, aligned and counted.
  A library that failed after it was counted is judged again from what is kept, and so by no round but where its lists
  are others.

A round is known by its token, a param of the jobs that count: a new token runs them.
"""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from scripts.core.errors import NO_LIST, TOO_MANY_DROPPED
from scripts.plan.counted import CountedUnit, counted_file, read_counted
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.reasons import REASONS
from scripts.plan.sizes.forecast import free_gb
from scripts.plan.sizes.jobs import JobResources
from scripts.plan.status import RunStatus, disk_was_full
from scripts.plan.units import is_shard

NUMBERS = ("limit_gb", "accept_lite", "max_dropped")
"""Settings of which a larger one heals."""
OF_SOURCES = ("DOWNLOAD_FAILED", "CHECKSUM_MISMATCH", "ARCHIVE_CORRUPT")
"""Reasons that another source of reads may heal."""
OF_LISTS = ("CHEMISTRY_UNKNOWN", "LAYOUT_AMBIGUOUS", "LOW_VALID_BARCODES")
"""Reasons that another inclusion list may heal."""
SRA_REFERENCES = Path("resources/sra_references")


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
        if counted is None or not (counted.failed or counted.judged):
            return []
        wanted = self.analysis.config["retry"]
        healed = set(self._healed(unit, counted))
        again = healed.union(REASONS if wanted == "all" else wanted) & {reason for reason, _ in counted.failed}
        return sorted(again | (healed & {counted.judged}))

    def _healed(self, unit: str, counted: CountedUnit) -> Iterator[str]:
        """Yield the reasons for which runs of a unit failed and whose cause has gone."""
        failed = [RunStatus("", "failed", reason, cause=cause) for reason, cause in counted.failed]
        causes = {row.cause for row in failed}
        now = self.analysis.settings()
        before = now | {name: str(value) for name, value in counted.settings.items()}
        raised = {name for name in NUMBERS if float(now[name]) > float(before[name])}
        if "limit_gb" in raised or (any(map(disk_was_full, failed)) and self._has_room(unit)):
            yield "DISK_LIMIT"
        if "accept_lite" in raised:
            yield "QUALITY_LITE"
        if "max_dropped" in raised and TOO_MANY_DROPPED in causes:
            yield "READS_MISSING"
        if set(now["order"].split(",")) - set(before["order"].split(",")):
            yield from OF_SOURCES
        if (NO_LIST in causes or now["lists"] != before["lists"]) and not self.analysis.list_fault(unit):
            yield from OF_LISTS
        if any(self._has_references(unit, row.cause) for row in failed if row.reason == "REFERENCE_MISSING"):
            yield "REFERENCE_MISSING"

    def _has_references(self, unit: str, cause: str) -> bool:
        """Whether the sequences that a cause names are beside the local archives of a unit now, or in the cache."""
        files = self.analysis.unit(unit).files.removeprefix("file:").split(";")
        folders = {Path(path).parent for path in files if path} | {SRA_REFERENCES}
        return bool(cause) and all(any((folder / name).is_file() for folder in folders) for name in cause.split(","))

    def _has_room(self, unit: str) -> bool:
        free = 1000 * free_gb(Path(self.analysis.scratch, "fastq"))
        return free > self.resources.held_mb(unit)

    def is_as_planned(self, unit: str) -> bool:
        """Whether every planned column of a unit was counted as it is planned now, with no more spots dropped."""
        counted = self.counted(unit)
        if counted and counted.dropped > self.analysis.config["droplets"]["max_dropped"]:
            return False
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

    def features(self, unit: str) -> list[str]:
        """Return the features that are counted of a library, see :meth:`_counted_of`."""
        return self._counted_of(unit, "features")

    def multireads(self, unit: str) -> list[str]:
        """Return the ways in which reads of several genes are counted of a library, see :meth:`_counted_of`."""
        return self._counted_of(unit, "multireads")

    def _counted_of(self, unit: str, key: str) -> list[str]:
        """Return what is configured or, where all of that was counted, what was counted: it is not counted again."""
        wanted = list(self.analysis.config["droplets"][key])
        counted = self.counted(unit)
        if counted is None or self.is_new(unit):
            return wanted
        known = list(getattr(counted, key))
        return known if set(wanted) <= set(known) else wanted

    def kept(self, unit: str) -> list[str]:
        """Return the folder of what is kept of a unit in a new round; empty where there is no new round."""
        return [f"work/retry/{unit}"] if self.is_new(unit) else []

    def kept_with(self, unit: str) -> str:
        """Return the digest of options with which columns must have been counted to be kept; "none" keeps none."""
        plates = self.analysis.config["plates"]
        keeps = is_shard(unit) and not (plates["keep_bam"] or plates["keep_alignments"])  # these are kept by shard
        return self.analysis.options_digest(unit) if keeps else "none"
