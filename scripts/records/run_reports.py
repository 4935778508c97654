"""Tables of runs: ENA's filereport, and NCBI's RunInfo and SraRunTable.

- ENA's filereport (result=read_run) has a run a line, and files as parallel lists joined by ``;``. Interface:
  https://www.ebi.ac.uk/ena/portal/api/doc. Addresses carry no scheme (``ftp.sra.ebi.ac.uk/vol1/…``); the same path is
  served over https. A paired run may list three files, the orphans first: take checksums by name.
- RunInfo (efetch, rettype=runinfo) is CSV of 47 columns whose header may be missing (an answer to several accessions
  may also repeat it), with blank lines and quoted commas.
- SraRunTable, of the Run Selector, is CSV with a header of any columns; until 2018 it was tab-separated and its columns
  ended in ``_s`` (text) or ``_l`` (number).
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from scripts.core.errors import InputError
from scripts.records.reading import open_record
from scripts.records.sra_xml import Experiment, RemoteFile, SraRun

RUNINFO = (
    "Run ReleaseDate LoadDate spots bases spots_with_mates avgLength size_MB AssemblyName download_path Experiment "
    "LibraryName LibraryStrategy LibrarySelection LibrarySource LibraryLayout InsertSize InsertDev Platform Model "
    "SRAStudy BioProject Study_Pubmed_id ProjectID Sample BioSample SampleType TaxID ScientificName SampleName "
    "g1k_pop_code source g1k_analysis_group Subject_ID Sex Disease Tumor Affection_Status Analyte_Type "
    "Histological_Type Body_Site CenterName Submission dbgap_study_accession Consent RunHash ReadHash"
).split()
# RunInfo's names of the columns of the others: ENA's; the Run Selector's, in lower case, without suffix, blanks as '_'.
_ENA = {
    "run_accession": "Run",
    "experiment_accession": "Experiment",
    "secondary_sample_accession": "Sample",
    "study_accession": "BioProject",
    "secondary_study_accession": "SRAStudy",
    "tax_id": "TaxID",
    "scientific_name": "ScientificName",
    "library_name": "LibraryName",
    "library_layout": "LibraryLayout",
    "library_strategy": "LibraryStrategy",
    "library_source": "LibrarySource",
    "library_selection": "LibrarySelection",
    "instrument_model": "Model",
    "read_count": "spots",
    "base_count": "bases",
    "experiment_title": "ExperimentTitle",
    "sample_title": "SampleTitle",
    "study_title": "StudyTitle",
    "experiment_alias": "ExperimentName",
    "sample_alias": "SampleName",
    "run_alias": "RunName",
    "study_alias": "StudyName",
}
_FILES = (f"{kind}_{column}" for kind in ("fastq", "submitted", "sra") for column in ("ftp", "md5", "bytes"))
FIELDS = (*_ENA, "sample_accession", "submitted_format", *_FILES)
"""The columns of a filereport that are asked for."""
_SELECTOR = {name.lower(): name for name in RUNINFO} | {
    "assay_type": "LibraryStrategy",
    "sra_study": "SRAStudy",
    "sra_sample": "Sample",
    "sample_name": "SampleName",
    "organism": "ScientificName",
    "library_name": "LibraryName",
    "instrument": "Model",
    "geo_accession_(exp)": "GeoAccession",
}
_NAMING = "GeoAccession ExperimentName SampleName RunName ExperimentTitle LibraryName".split()  # may hold a GSM
_GSM = re.compile(r"(?:.*; )?(GSM\d+)")
_RUN = re.compile(r"[SED]RR\d+")
_TAX_IDS = {"homo sapiens": "9606", "mus musculus": "10090"}  # for tables without tax ids; these names are unambiguous


def report_address(base: str, accession: str) -> str:
    """Return the address of the filereport of a study, project, experiment or run."""
    query = {"accession": accession, "result": "read_run", "fields": ",".join(FIELDS), "format": "tsv", "limit": "0"}
    return f"{base.rstrip('/')}/portal/api/filereport?{urlencode(query, safe=',')}"


def read_report(path: str | Path) -> list[dict[str, str]]:
    """Return the lines of a filereport as maps column → value, gzipped or not; no line when ENA knows of no run.

    Raises InputError for a file that is cut short or is something else.
    """
    with open_record(path) as handle:
        return parse_report(handle.read(), str(path))


def parse_report(body: bytes, name: str) -> list[dict[str, str]]:
    """Return the lines of a filereport, see :func:`read_report`."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if not text.strip():
        return []
    if not text.endswith("\n"):
        raise InputError(f"{name}: the last line is cut short.")
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(lines)
    if "run_accession" not in header:
        raise InputError(f"{name}: not a filereport of ENA; its first line has no column 'run_accession'.")
    rows = []
    for number, values in enumerate(lines, 2):
        if not values:
            continue
        if len(values) != len(header):
            raise InputError(f"{name}, line {number}: {len(values)} values, but the header has {len(header)} columns.")
        row = dict(zip(header, values, strict=True))
        if _RUN.fullmatch(row["run_accession"]):
            rows.append(row)
    return rows


def experiments_of_report(rows: Iterable[dict[str, str]]) -> list[Experiment]:
    """Return the experiments of a filereport with their runs, in the order of the accessions."""
    return _experiments({_ENA.get(column, column): value for column, value in row.items()} for row in rows)


def files_of(row: dict[str, str], kind: str, scheme: str = "https") -> list[RemoteFile]:
    """Return the files of a line of a filereport that ENA has as ``fastq``, ``submitted`` or ``sra``, in its order.

    Addresses without a scheme, or of FTP, get ``scheme``. Sizes and checksums are taken only where their lists are as
    long as that of the addresses.
    """
    addresses, sums, sizes = (
        [item for item in row.get(f"{kind}_{column}", "").split(";") if item] for column in ("ftp", "md5", "bytes")
    )
    sums = sums if len(sums) == len(addresses) else [""] * len(addresses)
    sizes = sizes if len(sizes) == len(addresses) else [""] * len(addresses)
    files = []
    for address, md5, size in zip(addresses, sums, sizes, strict=True):
        url = re.sub(r"^(ftp://)?(?!\w+://)", f"{scheme}://", address)
        files.append(RemoteFile(address.rpartition("/")[2], kind, int(size) if size.isdecimal() else 0, md5, url))
    return files


def read_run_list(path: str | Path) -> list[Experiment]:
    """Return the experiments of a RunInfo or SraRunTable file, gzipped or not, with their runs.

    Raises InputError for a file that is damaged or has no column or value that is a run.
    """
    with open_record(path) as handle:
        return parse_run_list(handle.read(), str(path))


def parse_run_list(body: bytes, name: str) -> list[Experiment]:
    """Return the experiments of a table of runs, see :func:`read_run_list`; none for an empty table."""
    text = body.decode("utf-8-sig", "replace")
    if text.lstrip()[:1] == "<":
        raise InputError(f"{name}: not a table of runs; it begins with {text.lstrip()[:40]!r}.")
    return _experiments(_run_list_rows(text, name))


def _run_list_rows(text: str, name: str) -> Iterator[dict[str, str]]:
    first = text.partition("\n")[0]
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    header: list[str] | None = None
    for values in csv.reader(text.splitlines(), delimiter=delimiter):
        if not any(values):
            continue
        if not _RUN.fullmatch(values[0].strip()):
            keys = [re.sub(r"_[sldt]$", "", value.strip()).lower().replace(" ", "_") for value in values]
            columns = [_SELECTOR.get(key, key) for key in keys]
            if "Run" in columns:
                header = columns
                continue
            if header is None:
                raise InputError(f"{name}: not a table of runs; its first line begins with {values[0][:40]!r}.")
        row = dict(zip(header or RUNINFO, values, strict=False))
        if _RUN.fullmatch(row.get("Run", "")):
            yield row


def _experiments(rows: Iterable[dict[str, str]]) -> list[Experiment]:
    """Return the experiments of rows under RunInfo's names, sorted as their runs are."""
    grouped: dict[str, dict[str, dict[str, str]]] = {}  # experiment → run → row
    for row in rows:
        grouped.setdefault(row.get("Experiment", ""), {}).setdefault(row["Run"], row)
    return [_experiment([row for _, row in sorted(grouped[name].items())]) for name in sorted(grouped)]


def _experiment(group: list[dict[str, str]]) -> Experiment:
    first = group[0]
    study, project = first.get("SRAStudy", ""), first.get("BioProject", "")
    names = [row.get(column, "") for column in _NAMING for row in group]
    return Experiment(
        experiment=first.get("Experiment", ""),
        title=first.get("ExperimentTitle", ""),
        study=study if study or project.startswith("PRJ") else project,
        project=project if project.startswith("PRJ") else "",
        series=tuple(re.findall(r"^GSE\d+", first.get("StudyName", ""))),
        samples=tuple(dict.fromkeys(found[1] for name in names if (found := _GSM.match(name)))),
        sample=first.get("Sample", ""),
        taxa=_taxon(first),
        strategy=first.get("LibraryStrategy", ""),
        source=first.get("LibrarySource", ""),
        selection=first.get("LibrarySelection", ""),
        layout=first.get("LibraryLayout", "").lower(),
        library=first.get("LibraryName", ""),
        sample_title=first.get("SampleTitle", ""),
        study_title=first.get("StudyTitle", ""),
        instrument=first.get("Model", ""),
        runs=tuple(
            SraRun(
                run=row["Run"],
                spots=_number(row.get("spots", "")),
                bases=_number(row.get("bases", "")),
                size=_number(row.get("bytes", "")),
                closed=_closed(row.get("Consent", "")),
                taxa=_taxon(row),
            )
            for row in group
        ),
    )


def _closed(consent: str) -> str:
    return f"its consent group is {consent!r}, not public" if consent and consent.lower() != "public" else ""


def _number(value: str) -> str:
    return value if value.isdecimal() else ""


def _taxon(row: dict[str, str]) -> tuple[tuple[str, str], ...]:
    organism = row.get("ScientificName", "")
    tax_id = row.get("TaxID") or _TAX_IDS.get(organism.lower(), "")
    return ((tax_id, organism),) if tax_id else ()
