"""What the records of the archives tell of the runs of a unit: the objects on offer, and the reads of a spot."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.errors import InputError
from scripts.plan.run_table import Run
from scripts.reads import sources
from scripts.reads.sources import ArchiveObject
from scripts.records import ena, sra_xml
from scripts.records.record_files import ENA_REPORT, SRA_XML

FASTQ = "ena_fastq"
"""The last resort of source `ena`."""
_ENA_KINDS = {"ena": "sra", FASTQ: "fastq"}  # source → what the columns of ENA's filereport call it


class UnitRecords:
    """The records of the series of a unit's runs, read when first needed; for several threads.

    ``folder`` is that of all records; ``ena_address``, if any, is asked about runs of which there is no record of ENA,
    for at most ``patience`` seconds without a byte.
    """

    def __init__(self, runs: Sequence[Run], folder: str | Path, ena_address: str, patience: float) -> None:
        self.runs = [row.run for row in runs]
        self.ena_address = ena_address
        self.patience = patience
        self.scheme = urlsplit(ena_address).scheme or "https"  # ENA's records name none: as it is asked itself
        accessions = dict.fromkeys(
            accession for row in runs for accession in (row.series, row.sample, row.experiment, row.run) if accession
        )
        self.folders = [Path(folder) / accession for accession in accessions]
        """Of the series, and of accessions that were asked for one by one."""
        self._guard = threading.Lock()
        self._objects: dict[str, dict[str, list[ArchiveObject]]] = {}  # by source
        self._reads: dict[str, tuple[sra_xml.Read, ...]] | None = None

    def objects(self, source: str, run: str) -> list[ArchiveObject]:
        """Return what a source (ncbi, ena, ena_fastq or bam) has on offer of a run.

        Raises InputError where a record cannot be read, RemoteError where ENA was asked and did not answer.
        """
        with self._guard:
            if source not in self._objects:
                self._objects[source] = self._read_objects(source)
        found = self._objects[source].get(run, [])
        if not found and source in _ENA_KINDS and self.ena_address and not self._paths(ENA_REPORT):
            policy = http.RetryPolicy(retries=0, timeout=self.patience)
            report = ena.parse_report(http.request(ena.report_address(self.ena_address, run), policy=policy), "ENA")
            found = sources.report_objects(report, [run], self.scheme, _ENA_KINDS[source]).get(run, [])
        return found

    def reads(self, run: str) -> Sequence[sra_xml.Read]:
        """Return the statistics of a run's reads by NCBI's record, none where there is no such record."""
        with self._guard:
            if self._reads is None:
                self._reads = {}
                for path in self._paths(SRA_XML):
                    with contextlib.suppress(InputError):  # told when the archives of the same record were looked for
                        self._reads.update(sources.reads_of_record(path, self.runs))
            return self._reads.get(run, ())

    def _paths(self, name: str) -> list[Path]:
        return [folder / name for folder in self.folders if (folder / name).is_file()]

    def _read_objects(self, source: str) -> dict[str, list[ArchiveObject]]:
        found: dict[str, list[ArchiveObject]] = {}
        for path in self._paths(ENA_REPORT if source in _ENA_KINDS else SRA_XML):
            if source in _ENA_KINDS:
                told = sources.ena_objects(path, self.runs, self.scheme, _ENA_KINDS[source])
            elif source == "bam":
                told = sources.submitted_bams(path, self.runs)
            else:
                told = sources.ncbi_objects(path, self.runs)
            for run, objects in told.items():
                found.setdefault(run, objects)
        return found
