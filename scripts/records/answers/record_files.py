"""The folder of kept records: ``<records>/<accession>/`` has the archives' answers as they came, gzipped or not.

``<GSE>_family.soft.gz`` (or ``.xml.gz``, MINiML), ``sra.xml.gz`` (EXPERIMENT_PACKAGE_SET), ``ena.tsv.gz`` (filereport),
and tables of runs that a person may have added: RunInfo or SraRunTable. ``answers.json``, written with them, says what
was asked for and does not exist, and so that the records are complete; without it they were placed by a person, or by
version 0.1 or 0.2. ``<GSE>_family.earlier.*.soft.gz`` are family files with samples that GEO has taken out since.
"""

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from scripts.core.disk.files import hash_file, make_folder, new_file, own_name, write_atomic
from scripts.core.errors import InputError
from scripts.records.answers import family_files, run_reports, sra_xml
from scripts.records.answers.family_files import Entity, is_miniml
from scripts.records.answers.sra_xml import Experiment

FAMILY = "{series}_family.soft.gz"
_EARLIER = "{series}_family.earlier.{digest}.soft.gz"
SRA_XML = "sra.xml.gz"
ENA_REPORT = "ena.tsv.gz"
ANSWERS = "answers.json"
_RUN_LISTS = re.compile(r".*(SraRunTable|runinfo).*", re.IGNORECASE)
_REPORTS = re.compile(r"filereport_read_run_\w+\.(tsv|txt)(\.gz)?")  # as ENA's browser names it


class Answers(NamedTuple):
    """What the archives answered beside the records that are kept of an accession."""

    absent: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)
    """Experiments that they do not have, each with NCBI's own words or nothing."""
    unlinked: tuple[str, ...] = ()
    """Samples for which GEO names no experiment, and that were searched for."""
    no_family: tuple[str, ...] = ()
    """Series of which GEO has no family file."""
    ncbi: bool = True
    """Whether NCBI answered; if not, ENA stands in for it until the next look-up."""


class KeptRuns(NamedTuple):
    """The experiments of a record and where it comes from: ``SRA``, ``ENA`` or the name of a table of runs."""

    source: str = ""
    experiments: Iterable[Experiment] = ()


def family_of(folder: str | Path, series: str) -> Path | None:
    """Return the family file of a series in its folder, whichever of the two formats it has."""
    found = _first(folder, f"{series}_family.soft", f"{series}_family.xml")
    if found is None and (path := _first(folder, "sra.xml")) and is_miniml(path):
        return path  # MINiML that is named like the XML record of its series
    return found


def family_name(path: Path, series: str) -> str:
    """Return the name under which a family file is kept; a new one has another name until it replaces the old one."""
    return FAMILY.format(series=series) if path.name.endswith(".new") else path.name


def replace_family(path: Path, new: Path) -> None:
    """Replace a family file by a new one; the old one is kept beside it where it has samples that the new one lacks."""
    with contextlib.suppress(InputError):  # the old one is damaged
        old = family_of(path.parent, path.name.partition("_")[0])
        if old is not None and _samples_of(old) - _samples_of(new):
            earlier = path.with_name(_EARLIER.format(series=path.name.partition("_")[0], digest=hash_file(old)[:8]))
            shutil.copyfile(old, earlier)
    new.replace(path)


def _samples_of(path: Path) -> set[str]:
    return {entity.accession for entity in family_files.read_family(path) if entity.kind == "sample"}


def _earlier_files(folder: Path, series: str) -> list[Path]:
    """Return the family files that were replaced by one without some of their samples."""
    return sorted(folder.glob(_EARLIER.format(series=series, digest="*")))


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

    At the end come samples that were in an earlier file of one of these, and are in none now.

    ``folder`` holds the records of all series. Series in ``read`` are skipped; those that are read are added to it.
    """
    waiting, walked = [series], []

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
        walked.append(name)
        path = family_of(Path(folder) / name, name)
        if path is not None:
            yield entities(path)
    for path in (path for name in walked for path in _earlier_files(Path(folder) / name, name)):
        yield (entity for entity in family_files.read_family(path) if entity.kind == "sample")


def is_placed(folder: str | Path) -> bool:
    """Whether a folder has a record of runs that a person placed there."""
    has_runs = sra_xml_of(folder) or ena_report_of(folder) or run_list_of(folder)
    return bool(has_runs) and answers_of(folder) is None and not is_unfinished(folder)


def packages_of(folder: str | Path) -> Iterator[bytes]:
    """Yield the packages of the SRA XML in a folder as they came."""
    if path := sra_xml_of(folder):
        yield from sra_xml.read_packages(path)


def read_any_runs(folder: str | Path) -> KeptRuns | None:
    """Return the best record of runs in a folder: SRA XML, else ENA's report, else a table of runs."""
    if path := sra_xml_of(folder):
        return KeptRuns("SRA", sra_xml.read_experiments(path))
    if (path := ena_report_of(folder)) and (rows := run_reports.read_report(path)):
        return KeptRuns("ENA", run_reports.experiments_of_report(rows))
    if path := run_list_of(folder):
        return KeptRuns(path.name, run_reports.read_run_list(path))
    return None


def answers_of(folder: str | Path) -> Answers | None:
    """Return what was answered beside the records in a folder; None where they are not those that we wrote."""
    values = _read_answers(folder)
    if not values or any(_checksum(folder, name) != digest for name, digest in values["files"].items()):
        return None
    return Answers(**{name: values[name] for name in Answers._fields if name in values})


def is_unfinished(folder: str | Path) -> bool:
    """Whether a look-up that wrote into a folder was killed before it had written all records."""
    return any(not _checksum(folder, name) for name in _read_answers(folder).get("files", {}))


def _read_answers(folder: str | Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        values = json.loads((Path(folder) / ANSWERS).read_text(encoding="utf-8"))
        if isinstance(values, dict) and isinstance(values.get("files"), dict):
            return values
    return {}


def _checksum(folder: str | Path, name: str) -> str:
    path = Path(folder) / name
    return hash_file(path) if path.is_file() else ""


class RecordWriter:
    """Writes the records of an accession: nothing is kept before :meth:`commit`. A context manager."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        make_folder(self.folder)
        self.packages = 0
        self._part = own_name(self.folder / SRA_XML, "part")  # others may share the folder
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._part.unlink, missing_ok=True)
        self._raw = self._closing.enter_context(os.fdopen(new_file(self._part), "wb"))
        self._xml = self._closing.enter_context(gzip.GzipFile("", "wb", 6, self._raw, mtime=0))
        self._xml.write(sra_xml.SET_HEAD)

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
        with contextlib.suppress(OSError):  # it holds something
            self.folder.rmdir()

    def add(self, package: bytes) -> None:
        """Add a package as it came."""
        self._xml.write(package + b"\n")
        self.packages += 1

    def commit(self, report: bytes | None, answers: Answers) -> None:
        """Keep the packages, if any, ENA's report, if there is one, and what says that this is all."""
        self._xml.write(sra_xml.SET_TAIL)
        self._xml.close()
        self._raw.close()
        files = {SRA_XML: hash_file(self._part)} if self.packages else {}
        packed = None if report is None else gzip.compress(report, 6, mtime=0)
        if packed is not None:
            files[ENA_REPORT] = hashlib.sha256(packed).hexdigest()
        elif ena := ena_report_of(self.folder):
            files[ena.name] = hash_file(ena)
        # What the files are comes first: a look-up that is killed before they are written asks again.
        values = {"files": files, **answers._asdict()}
        write_atomic(self.folder / ANSWERS, json.dumps(values, indent=1, sort_keys=True) + "\n", shared=True)
        if packed is not None:
            write_atomic(self.folder / ENA_REPORT, packed, shared=True)
        if self.packages:
            self._part.replace(self.folder / SRA_XML)
        else:
            (self.folder / SRA_XML).unlink(missing_ok=True)  # of an earlier look-up


def _first(folder: str | Path, *names: str) -> Path | None:
    paths = (Path(folder) / f"{name}{ending}" for name in names for ending in (".gz", ""))
    return next((path for path in paths if path.is_file()), None)


def _matching(folder: str | Path, names: re.Pattern[str]) -> Path | None:
    paths = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    return next((path for path in paths if names.fullmatch(path.name)), None)
