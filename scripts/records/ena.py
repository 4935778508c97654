"""ENA's filereport (result=read_run): one run a line, files as parallel lists joined by ``;``.

Interface: https://www.ebi.ac.uk/ena/portal/api/doc. Addresses carry no scheme (``ftp.sra.ebi.ac.uk/vol1/…``); the same
path is served over https. A paired run may list three files, the orphans first: take checksums by name.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from scripts.core.errors import InputError
from scripts.records.reading import open_record
from scripts.records.sra_xml import Experiment, RemoteFile, SraRun

FIELDS = (
    "run_accession experiment_accession sample_accession secondary_sample_accession study_accession "
    "secondary_study_accession tax_id scientific_name library_name library_layout library_strategy library_source "
    "library_selection instrument_model read_count base_count experiment_title sample_title study_title "
    "experiment_alias sample_alias run_alias study_alias fastq_ftp fastq_md5 fastq_bytes submitted_ftp submitted_md5 "
    "submitted_bytes submitted_format sra_ftp sra_md5 sra_bytes"
).split()
_NAMING = ("experiment_alias", "sample_alias", "run_alias", "experiment_title", "library_name")  # may hold a GSM
_RUN = re.compile(r"[SED]RR\d+")


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


def experiments_of_report(rows: list[dict[str, str]]) -> Iterator[Experiment]:
    """Yield the experiments of a filereport with their runs, in the order of the accessions."""
    grouped: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        grouped.setdefault(row.get("experiment_accession", ""), []).append(row)
    for experiment in sorted(grouped):
        group = sorted(grouped[experiment], key=lambda row: row["run_accession"])
        first = group[0]
        values = [row.get(name) or "" for name in _NAMING for row in group]
        samples = [found[1] for value in values if (found := re.match(r"(?:.*; )?(GSM\d+)", value))]
        study = first.get("secondary_study_accession") or ""
        project = first.get("study_accession") or ""
        yield Experiment(
            experiment=experiment,
            title=first.get("experiment_title", ""),
            study=study if study or project.startswith("PRJ") else project,
            project=project if project.startswith("PRJ") else "",
            series=tuple(re.findall(r"^GSE\d+", first.get("study_alias", ""))),
            samples=tuple(dict.fromkeys(samples)),
            sample=first.get("secondary_sample_accession", ""),
            taxa=_taxon(first),
            strategy=first.get("library_strategy", ""),
            source=first.get("library_source", ""),
            selection=first.get("library_selection", ""),
            layout=first.get("library_layout", "").lower(),
            library=first.get("library_name", ""),
            sample_title=first.get("sample_title", ""),
            study_title=first.get("study_title", ""),
            instrument=first.get("instrument_model", ""),
            runs=tuple(
                SraRun(
                    run=row["run_accession"],
                    spots=row.get("read_count", ""),
                    bases=row.get("base_count", ""),
                    taxa=_taxon(row),
                )
                for row in group
            ),
        )


def files_of(row: dict[str, str], kind: str, scheme: str = "https") -> list[RemoteFile]:
    """Return the files of a line that ENA has as ``fastq``, ``submitted`` or ``sra``, in its order.

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


def _taxon(row: dict[str, str]) -> tuple[tuple[str, str], ...]:
    tax_id = row.get("tax_id", "")
    return ((tax_id, row.get("scientific_name", "")),) if tax_id else ()
