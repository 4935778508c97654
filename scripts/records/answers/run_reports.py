"""Tables of runs as records: ENA's filereport, and NCBI's RunInfo and SraRunTable, see :mod:`scripts.plan.lists`.

ENA's filereport (result=read_run) has a run a line, and files as parallel lists joined by ``;``. Interface:
https://www.ebi.ac.uk/ena/portal/api/doc. Addresses carry no scheme (``ftp.sra.ebi.ac.uk/vol1/…``); the same path is
served over https. A paired run may list three files, the orphans first: take checksums by name.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from scripts.core.errors import InputError
from scripts.core.untrusted import decimal_number, quoted, text_lines, web_address, whole_number
from scripts.plan import lists
from scripts.plan.accessions import accession_of, accessions_in, taxon
from scripts.plan.lists import ENA, ListedRun, sample_attributes
from scripts.plan.run_table import Run
from scripts.plan.sizes.footprint import archive_bytes
from scripts.records.answers.reading import open_record
from scripts.records.answers.sra_xml import Experiment, RemoteFile, SraRun

_FILES = (f"{kind}_{column}" for kind in ("fastq", "submitted", "sra") for column in ("ftp", "md5", "bytes"))
FIELDS = (*ENA, "submitted_format", *_FILES)
"""The columns of a filereport that are asked for."""
ORIGINAL = "original"
"""The kind of a submitted file by ENA's report; its name is no evidence of what NCBI loaded."""
_NAMING = "GeoAccession ExperimentName SampleName RunName ExperimentTitle LibraryName".split()  # may hold a GSM
_SAMPLE = re.compile(r"(?:.*; )?(GSM[0-9]+)")
_MEGA = 1 << 20
_LARGEST = 1 << 29  # bytes: some 200,000 runs
_FREE, _RATIO = 1 << 25, 100  # bytes that any file may inflate to, and how much more for each of its own


def report_address(base: str, accession: str) -> str:
    """Return the address of the filereport of a study, project, sample, experiment or run."""
    query = {"accession": accession, "result": "read_run", "fields": ",".join(FIELDS), "format": "tsv", "limit": "0"}
    return f"{base.rstrip('/')}/portal/api/filereport?{urlencode(query, safe=',')}"


def read_report(path: str | Path) -> list[dict[str, str]]:
    """Return the lines of a filereport as maps column → value, gzipped or not; no line when ENA knows of no run.

    Raises InputError for a file that is cut short or is something else.
    """
    with open_record(path) as handle:
        return parse_report(_whole(handle, path), str(path))


def _whole(handle: BinaryIO, path: str | Path) -> bytes:
    most = min(_LARGEST, _FREE + _RATIO * Path(path).stat().st_size)
    body = handle.read(most + 1)
    if len(body) > most:
        raise InputError(f"{path}: more than {most >> 20} MB of text, longer than any table of runs.")
    return body


def parse_report(body: bytes, name: str) -> list[dict[str, str]]:
    """Return the lines of a filereport, see :func:`read_report`."""
    if not body.strip():
        return []
    if not body.rstrip(b"\0").endswith((b"\n", b"\r")):  # a line end in UTF-16 may end with NUL
        raise InputError(f"{name}: the last line is cut short.")
    lines = text_lines(io.BytesIO(body), name)
    header = next(lines).split("\t")
    if "run_accession" not in header:
        raise InputError(f"{name}: not a filereport of ENA; its first line has no column 'run_accession'.")
    rows = []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        values = line.split("\t")
        if len(values) != len(header):
            raise InputError(f"{name}, line {number}: {len(values)} values, but the header has {len(header)} columns.")
        rows.append(dict(zip(header, values, strict=True)))
    return rows


def report_error(body: bytes) -> str:
    """Return what ENA says in its answer to a request that it refuses (status 400); empty where it says nothing.

    It is a line of text, or JSON with a ``message``.
    """
    text = " ".join(body[:2000].decode("utf-8", "replace").split())
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    text = found[1] if found else text
    return "" if text[:1] in ("<", "{", "[") or not text.isprintable() else text[:300]


def join_reports(bodies: Sequence[bytes]) -> bytes:
    """Return the reports of several studies as one, each run once; a single one as it came."""
    if len(bodies) == 1:
        return bodies[0]
    rows = {row["run_accession"]: row for body in bodies for row in parse_report(body, "ENA")}
    lines = ["\t".join(FIELDS), *("\t".join(row.get(field, "") for field in FIELDS) for row in rows.values())]
    return "".join(f"{line}\n" for line in lines).encode()


def experiments_of_report(rows: Iterable[dict[str, str]]) -> list[Experiment]:
    """Return the experiments of a filereport with their runs, in the order of the accessions.

    The files of a run are those that were submitted, of the kind ``original``.
    """
    lines = list(rows)
    originals = {
        row["run_accession"]: tuple(
            file._replace(kind=ORIGINAL, anonymous=(file.url,)) for file in files_of(row, "submitted")
        )
        for row in lines
    }
    return [
        experiment._replace(runs=tuple(run._replace(files=originals.get(run.run, ())) for run in experiment.runs))
        for experiment in experiments_of_rows(_listed(number, row) for number, row in enumerate(lines, 2))
    ]


def _listed(line: int, row: Mapping[str, str]) -> ListedRun:
    values = {ENA.get(column, column): value for column, value in row.items()}
    run = accession_of(values["Run"], "run")
    fault = "" if run else f"ENA's report, line {line}: {quoted(values['Run'])} is not a run."
    return ListedRun(line, run, values, sample_attributes(row), fault)


def files_of(row: dict[str, str], kind: str, scheme: str = "https") -> list[RemoteFile]:
    """Return the files of a line of a filereport that ENA has as ``fastq``, ``submitted`` or ``sra``, in its order.

    Addresses without a scheme, or of FTP, get ``scheme``; what is no address of the web then is left out. Sizes and
    checksums are taken only where their lists are as long as that of the addresses.
    """
    addresses, sums, sizes = (
        [item for item in row.get(f"{kind}_{column}", "").split(";") if item] for column in ("ftp", "md5", "bytes")
    )
    sums = sums if len(sums) == len(addresses) else [""] * len(addresses)
    sizes = sizes if len(sizes) == len(addresses) else [""] * len(addresses)
    files = []
    for address, md5, size in zip(addresses, sums, sizes, strict=True):
        url = web_address(re.sub(r"^(ftp://)?(?!\w+://)", f"{scheme}://", address))
        if url:
            files.append(RemoteFile(address.rpartition("/")[2], kind, whole_number(size) or 0, md5, url))
    return files


def read_run_list(path: str | Path) -> list[Experiment]:
    """Return the experiments of a RunInfo or SraRunTable file, gzipped or not, with their runs.

    Rows that name no run become runs with a fault. Raises InputError for a file that is damaged or is no table of runs.
    """
    with open_record(path) as handle:
        return parse_run_list(_whole(handle, path), str(path))


def parse_run_list(body: bytes, name: str) -> list[Experiment]:
    """Return the experiments of a table of runs, see :func:`read_run_list`; none for an empty table."""
    if body.lstrip()[:1] == b"<":
        raise InputError(f"{name}: not a table of runs; it begins with {body.lstrip()[:40]!r}.")
    return experiments_of_rows(lists.parse_run_list(text_lines(io.BytesIO(body), name), name))


def experiments_of_rows(rows: Iterable[ListedRun]) -> list[Experiment]:
    """Return the experiments of rows of a table of runs, in the order of the accessions, as their runs are.

    A run without an experiment is one by itself. A run with a fault, of its row or of its experiment's accession, keeps
    it; it is used for nothing.
    """
    grouped: dict[str, dict[str, ListedRun]] = {}  # experiment → run, or line without one → row
    for row in rows:
        experiment = accession_of(row.values.get("Experiment", "").upper(), "experiment")
        if not row.fault and not experiment and row.values.get("Experiment"):
            named = quoted(row.values["Experiment"])
            row = row._replace(fault=f"Its experiment is named {named}, which is no accession.")
        key = experiment if row.fault else experiment or row.run
        grouped.setdefault(key, {}).setdefault(row.run or f"line {row.line}", row)
    return [_experiment(name, [row for _, row in sorted(grouped[name].items())]) for name in sorted(grouped)]


def _experiment(accession: str, group: Sequence[ListedRun]) -> Experiment:
    first = next((row for row in group if not row.fault), group[0]).values
    faults: list[str] = []

    def checked(column: str, *kinds: str) -> str:
        value = first.get(column, "")
        found = accession_of(value.upper(), *kinds)
        if value and not found:
            faults.append(f"{column} is {quoted(value)}, which is no accession.")
        return found

    def count(row: ListedRun, column: str) -> str:
        value = row.values.get(column, "")
        number = whole_number(value)
        if value and number is None:
            faults.append(f"The {column} of {row.run} are {quoted(value)}, which is no number.")
        return "" if number is None else str(number)

    study, project = checked("SRAStudy", "study", "project"), checked("BioProject", "project", "study")
    biosample, submission = checked("BioSample", "biosample", "sra_sample"), checked("Submission", "submission")
    sample = checked("Sample", "sra_sample", "biosample")
    names = [row.values.get(column, "") for column in _NAMING for row in group]
    runs = tuple(
        SraRun(
            run=row.run,
            spots=count(row, "spots"),
            bases=count(row, "bases"),
            size=_size(row.values),
            closed=_closed(row.values.get("Consent", "")),
            taxa=_taxa(row.values),
            fault=row.fault,
        )
        for row in group
    )
    return Experiment(
        experiment=accession,
        title=first.get("ExperimentTitle", ""),
        study=study or ("" if project.startswith("PRJ") else project),
        project=project if project.startswith("PRJ") else "",
        series=accessions_in("series", [first.get("StudyName", "")]),
        samples=accessions_in("sample", [found[1] for name in names if (found := _SAMPLE.match(name))]),
        sample=sample,
        others=tuple(filter(None, (sample, biosample, submission))),
        taxa=_taxa(first),
        strategy=first.get("LibraryStrategy", ""),
        source=first.get("LibrarySource", ""),
        selection=first.get("LibrarySelection", ""),
        layout=first.get("LibraryLayout", "").lower(),
        library=first.get("LibraryName", ""),
        sample_title=first.get("SampleTitle", ""),
        attributes=next((row.attributes for row in group if row.attributes), ()),
        study_title=first.get("StudyTitle", ""),
        instrument=first.get("Model", ""),
        faults=tuple(faults),
        runs=runs,
    )


def _closed(consent: str) -> str:
    return f"its consent group is {quoted(consent)}, not public" if consent and consent.lower() != "public" else ""


def _size(values: Mapping[str, str]) -> str:
    """Return the bytes of a run's archive: as the table has them, else about as many as follows from the rest of it."""
    for column, unit in (("Bytes", 1), ("size_MB", _MEGA), ("MBytes", _MEGA)):
        if number := decimal_number(values.get(column, "")):
            return str(round(number * unit))
    for column in ("sra_bytes", "fastq_bytes", "submitted_bytes"):
        sizes = [whole_number(size) for size in values.get(column, "").split(";") if size]
        if sizes and None not in sizes:
            return str(sum(size or 0 for size in sizes))
    megabases = None if values.get("bases") else decimal_number(values.get("MBases", ""))
    return str(archive_bytes(Run(bases=str(round(megabases * _MEGA))))) if megabases else ""


def _taxa(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = taxon(values.get("TaxID", ""), values.get("ScientificName", ""))
    return (found,) if any(found) else ()
