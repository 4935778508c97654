"""Tables of runs by NCBI: RunInfo (efetch, rettype=runinfo) and the Run Selector's SraRunTable.

RunInfo is CSV of 47 columns whose header may be missing (an answer to several accessions may also repeat it), with
blank lines and quoted commas. SraRunTable is CSV with a header of any columns; until 2018 it was tab-separated and its
columns ended in ``_s`` (text) or ``_l`` (number).
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from scripts.core.errors import InputError
from scripts.records.reading import open_record
from scripts.records.sra_xml import Experiment, SraRun

RUNINFO = (
    "Run ReleaseDate LoadDate spots bases spots_with_mates avgLength size_MB AssemblyName download_path Experiment "
    "LibraryName LibraryStrategy LibrarySelection LibrarySource LibraryLayout InsertSize InsertDev Platform Model "
    "SRAStudy BioProject Study_Pubmed_id ProjectID Sample BioSample SampleType TaxID ScientificName SampleName "
    "g1k_pop_code source g1k_analysis_group Subject_ID Sex Disease Tumor Affection_Status Analyte_Type "
    "Histological_Type Body_Site CenterName Submission dbgap_study_accession Consent RunHash ReadHash"
).split()
_RUN = re.compile(r"[SED]RR\d+")
_GSM = re.compile(r"GSM\d+")
# The Run Selector's names of RunInfo's columns, in lower case, without suffix, blanks as '_'.
_SELECTOR = {
    "assay_type": "LibraryStrategy",
    "sra_study": "SRAStudy",
    "sra_sample": "Sample",
    "sample_name": "SampleName",
    "organism": "ScientificName",
    "library_name": "LibraryName",
    "instrument": "Model",
    "geo_accession_(exp)": "geo",
}
_NAMES = {name.lower(): name for name in RUNINFO}
# Either table may lack the tax id; these two names are unambiguous.
_TAX_IDS = {"homo sapiens": "9606", "mus musculus": "10090"}


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
    grouped: dict[str, dict[str, dict[str, str]]] = {}  # experiment → run → row
    for row in _rows(text, name):
        grouped.setdefault(row.get("Experiment", ""), {}).setdefault(row["Run"], row)
    return [_experiment(name, [rows for _, rows in sorted(grouped[name].items())]) for name in sorted(grouped)]


def _rows(text: str, name: str) -> Iterator[dict[str, str]]:
    first = text.partition("\n")[0]
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    header: list[str] | None = None
    for values in csv.reader(text.splitlines(), delimiter=delimiter):
        if not any(values):
            continue
        if not _RUN.fullmatch(values[0].strip()) and (columns := _columns(values)) and "Run" in columns:
            header = columns
            continue
        if header is None:
            if not _RUN.fullmatch(values[0].strip()):
                raise InputError(f"{name}: not a table of runs; its first line begins with {values[0][:40]!r}.")
            header = list(RUNINFO)
        row = dict(zip(header, values, strict=False))
        if _RUN.fullmatch(row.get("Run", "")):
            yield row


def _columns(values: list[str]) -> list[str]:
    names = []
    for value in values:
        key = re.sub(r"_[sldt]$", "", value.strip()).lower().replace(" ", "_")
        names.append(_SELECTOR.get(key) or _NAMES.get(key) or key)
    return names


def _experiment(accession: str, group: list[dict[str, str]]) -> Experiment:
    first = group[0]
    names = [row.get(column, "") for column in ("geo", "SampleName", "LibraryName") for row in group]
    samples = tuple(dict.fromkeys(found[0] for value in names if (found := _GSM.match(value))))
    return Experiment(
        experiment=accession,
        study=first.get("SRAStudy", ""),
        project=first.get("BioProject", ""),
        samples=samples,
        sample=first.get("Sample", ""),
        taxa=_taxon(first),
        strategy=first.get("LibraryStrategy", ""),
        source=first.get("LibrarySource", ""),
        selection=first.get("LibrarySelection", ""),
        layout=first.get("LibraryLayout", "").lower(),
        library=first.get("LibraryName", ""),
        instrument=first.get("Model", ""),
        runs=tuple(
            SraRun(
                run=row["Run"],
                spots=_number(row.get("spots")),
                bases=_number(row.get("bases")),
                size=_number(row.get("bytes")),
                closed=_closed(row),
                taxa=_taxon(row),
            )
            for row in group
        ),
    )


def _closed(row: dict[str, str]) -> str:
    consent = row.get("Consent") or row.get("consent") or "public"
    return "" if consent.lower() == "public" else f"its consent group is {consent!r}, not public"


def _number(value: str | None) -> str:
    return value if value and value.isdecimal() else ""


def _taxon(row: dict[str, str]) -> tuple[tuple[str, str], ...]:
    organism = row.get("ScientificName", "")
    tax_id = row.get("TaxID") or _TAX_IDS.get(organism.lower(), "")
    return ((tax_id, organism),) if tax_id else ()
