"""The folder of kept records: ``<records>/<accession>/`` has the archives' answers as they came, gzipped or not.

``<GSE>_family.soft.gz`` (or ``.xml.gz``, MINiML), ``sra.xml.gz`` (EXPERIMENT_PACKAGE_SET), ``ena.tsv.gz`` (filereport),
and tables of runs that a person may have added: RunInfo or SraRunTable.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.records import family_files, run_reports, sra_xml
from scripts.records.family_files import Entity, is_miniml
from scripts.records.sra_xml import Experiment

FAMILY = "{series}_family.soft.gz"
SRA_XML = "sra.xml.gz"
ENA_REPORT = "ena.tsv.gz"
_RUN_LISTS = re.compile(r".*(SraRunTable|runinfo).*", re.IGNORECASE)
_REPORTS = re.compile(r"filereport_read_run_\w+\.(tsv|txt)(\.gz)?")  # as ENA's browser names it


class RunRecord(NamedTuple):
    """The experiments of a record and where it comes from: ``SRA``, ``ENA``, ``GEO`` or the name of a table of runs.

    The source is empty where no archive could be asked.
    """

    source: str = ""
    experiments: Iterable[Experiment] = ()


def family_of(folder: str | Path, series: str) -> Path | None:
    """Return the family file of a series in its folder, whichever of the two formats it has."""
    found = _first(folder, f"{series}_family.soft", f"{series}_family.xml")
    if found is None and (path := _first(folder, "sra.xml")) and is_miniml(path):
        return path  # MINiML that is named like the XML record of its series
    return found


def sra_xml_of(folder: str | Path) -> Path | None:
    """Return the SRA XML in a folder."""
    found = _first(folder, "sra.xml")
    return None if found is None or is_miniml(found) else found


def ena_report_of(folder: str | Path) -> Path | None:
    """Return ENA's filereport in a folder."""
    return _first(folder, "ena.tsv") or _matching(folder, _REPORTS)


def run_list_of(folder: str | Path) -> Path | None:
    """Return the table of runs (RunInfo, SraRunTable) in a folder, the first by name."""
    return _matching(folder, _RUN_LISTS)


def walk_families(folder: str | Path, series: str, read: set[str]) -> Iterator[Iterator[Entity]]:
    """Yield the entities of the family file of a series, then of those of its parts; each iterator must be exhausted.

    ``folder`` holds the records of all series. Series in ``read`` are skipped; those that are read are added to it.
    """
    waiting = [series]

    def entities(path: Path) -> Iterator[Entity]:
        for entity in family_files.read_family(path):
            yield entity
            if entity.kind == "series":
                waiting.extend(entity.linked("parts"))

    while waiting:
        name = waiting.pop(0)
        if name in read:
            continue
        read.add(name)
        path = family_of(Path(folder) / name, name)
        if path is not None:
            yield entities(path)


def read_any_runs(folder: str | Path) -> RunRecord | None:
    """Return the best record of runs in a folder: SRA XML, else ENA's report, else a table of runs."""
    if path := sra_xml_of(folder):
        return RunRecord("SRA", sra_xml.read_experiments(path))
    if (path := ena_report_of(folder)) and (rows := run_reports.read_report(path)):
        return RunRecord("ENA", run_reports.experiments_of_report(rows))
    if path := run_list_of(folder):
        return RunRecord(path.name, run_reports.read_run_list(path))
    return None


def _first(folder: str | Path, *names: str) -> Path | None:
    paths = (Path(folder) / f"{name}{ending}" for name in names for ending in (".gz", ""))
    return next((path for path in paths if path.is_file()), None)


def _matching(folder: str | Path, names: re.Pattern[str]) -> Path | None:
    paths = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    return next((path for path in paths if names.fullmatch(path.name)), None)
