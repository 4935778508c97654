"""Gather GEO's records of the counted samples and series of one species.

Writes a tarball with one JSON file a series (--archive), ``<species>_meta/<EXP_ID>.metadata.json``: a map of GSM to
series_data and sample_data (field → values, as in the family file without the prefixes) and platform_data (a list of
such maps, each with its gpl_key); and two CSV files, of the samples (--samples) and of the series (--series). A series
that GEO does not have is described by its record of SRA, a sample of a hand-made run table by the user's own columns,
which also are the last ones of the table of samples.
"""

import contextlib
import csv
import gzip
import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path, atomic_text, path_below
from scripts.core.errors import InputError
from scripts.harvest.results import SAMPLE_COLUMNS, SERIES_COLUMNS
from scripts.plan.own_metadata import OwnMetadata, read_own_metadata
from scripts.plan.run_table import Run, iterate_runs
from scripts.records.answers import record_files
from scripts.records.answers.family_files import Entity
from scripts.records.answers.sra_xml import Experiment

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # those of full width, too
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Counted(NamedTuple):
    """The counted part of a series."""

    exp_id: str
    series: str
    samples: set[str]
    accessions: dict[str, None]
    """Of its samples, experiments and runs: names of folders that may have records of them."""
    own: dict[str, list[Run]]
    """Sample, or experiment where it has none, → its counted runs that have columns of the user's own."""


def counted_series(ledger: str | Path, species: str, own: OwnMetadata) -> list[Counted]:
    """Return the series with a counted row of the species, by exp_id and series."""
    found: dict[tuple[str, str], Counted] = {}
    for row in iterate_runs(ledger):
        if row.status != "counted" or row.species != species:
            continue
        counted = found.setdefault((row.exp_id, row.series), Counted(row.exp_id, row.series, set(), {}, {}))
        counted.samples.update({row.sample} - {""})
        counted.accessions.update(dict.fromkeys((row.sample, row.experiment, row.run)))
        if row.run in own.of_run:
            counted.own.setdefault(row.sample or row.experiment, []).append(row)
    return [found[key] for key in sorted(found)]


def as_json(value: object) -> bytes:
    """Return JSON whose bytes depend on the value alone."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


class SeriesMetadata:
    """The record of a series and its counted samples; the samples are in a temporary file, since there may be many."""

    def __init__(self, counted: Counted, folder: str | Path, scratch: IO[bytes], own: OwnMetadata) -> None:
        self.counted, self.folder, self.scratch, self.own = counted, Path(folder), scratch, own
        self.series: dict[str, list[str]] = {}
        self.platforms: dict[str, dict[str, list[str]]] = {}
        self.positions: dict[str, tuple[int, int]] = {}
        """GSM → begin and length of its JSON in the temporary file."""
        self._read: set[str] = set()  # series whose family files have been read

    def read(self) -> bool:
        """Read what GEO, or else SRA, has of the series and its counted samples; return whether there is any."""
        counted = self.counted
        self._add_family(counted.series)
        for accession in (counted.series, *counted.accessions):
            if self._is_complete():
                break
            found = record_files.read_any_runs(self.folder / accession) if accession else None
            for experiment in found.experiments if found else ():
                for series in experiment.series:
                    self._add_family(series)
                self._add_experiment(experiment)
            if found and accession == counted.series:
                break
        for name, rows in counted.own.items():
            self._add_sample(name, sample_of_rows(rows, name, self.own))
        return bool(self.positions)

    def sample(self, accession: str) -> bytes:
        """Return the JSON of a sample's fields."""
        begin, length = self.positions[accession]
        self.scratch.seek(begin)
        return self.scratch.read(length)

    def _is_complete(self) -> bool:
        return bool(self.positions) and self.counted.samples <= self.positions.keys()

    def _add_family(self, series: str) -> None:
        """Add the family file of a series and, while samples are missing, those of its parts."""
        for family in record_files.walk_families(self.folder, series, self._read):
            for entity in family:
                self._add_entity(entity)
            if self.counted.samples <= self.positions.keys():
                return

    def _add_entity(self, entity: Entity) -> None:
        if entity.kind == "series" and (not self.series or entity.accession == self.counted.series):
            self.series = entity.fields
        elif entity.kind == "platform" and entity.well_named:
            self.platforms[entity.accession] = entity.fields
        elif entity.kind == "sample" and entity.accession in self.counted.samples:
            self._add_sample(entity.accession, entity.fields)

    def _add_sample(self, accession: str, fields: Mapping[str, list[str]]) -> None:
        if accession not in self.positions:
            text = as_json(fields)
            self.positions[accession] = (self.scratch.seek(0, os.SEEK_END), len(text))
            self.scratch.write(text)

    def _add_experiment(self, experiment: Experiment) -> None:
        """Add a sample from SRA under GEO's field names; a sample without a GSM is named after its experiment."""
        counted = self.counted
        name = next((name for name in (*experiment.samples, experiment.sample) if name in counted.samples), "")
        if not name and experiment.experiment in counted.accessions:
            name = experiment.experiment
        if not name:
            return
        self._add_sample(name, sample_of_experiment(experiment, name))
        if not self.series:
            self.series = series_of_experiment(experiment, counted.series)


def sample_of_experiment(experiment: Experiment, name: str) -> dict[str, list[str]]:
    """Return the fields of a sample, as GEO names them, from a record of SRA; empty ones are left out."""
    fields = {
        "title": [experiment.sample_title or experiment.title],
        "taxid_ch1": [tax_id for tax_id, _ in experiment.taxa],
        "organism_ch1": [organism for _, organism in experiment.taxa],
        "characteristics_ch1": [f"{tag}: {value}" for tag, value in experiment.attributes],
        "library_strategy": [experiment.strategy],
        "library_source": [experiment.source],
        "library_selection": [experiment.selection],
        "instrument_model": [experiment.instrument],
        "extract_protocol_ch1": [experiment.protocol],
        "relation": [f"SRA: {experiment.experiment}"],
        "geo_accession": [name] if name.startswith("GSM") else [],
    }
    return {field: known for field, values in fields.items() if (known := [value for value in values if value])}


def sample_of_rows(rows: Sequence[Run], name: str, own: OwnMetadata) -> dict[str, list[str]]:
    """Return the fields of a sample, as GEO names them, from rows of a hand-made run table."""
    fields = {
        "title": [name],
        "taxid_ch1": sorted({row.tax_id for row in rows} - {""}),
        "organism_ch1": sorted({row.organism for row in rows} - {""}),
        "characteristics_ch1": [f"{tag}: {text}" for tag, text in own.of_cell(rows).items()],
    }
    return {field: values for field, values in fields.items() if values}


def series_of_experiment(experiment: Experiment, series: str) -> dict[str, list[str]]:
    """Return the fields of a series, as GEO names them, from a record of SRA."""
    fields = {
        "title": experiment.study_title,
        "summary": experiment.study_abstract,
        "geo_accession": series if series.startswith("GSE") else "",
    }
    related = {"BioProject": experiment.project, "SRA": experiment.study}
    return {field: [value] for field, value in fields.items() if value} | {
        "relation": [f"{kind}: {accession}" for kind, accession in related.items() if accession]
    }


def member_pieces(record: SeriesMetadata) -> Iterator[bytes]:
    """Yield the bytes of a series' JSON file: a map of its counted samples, in the order of their accessions."""
    platforms = [{**record.platforms[name], "gpl_key": name} for name in sorted(record.platforms)]
    before = b'{"platform_data": ' + as_json(platforms) + b', "sample_data": '
    after = b', "series_data": ' + as_json(record.series) + b"}"
    separator = b"{"
    for accession in sorted(record.positions):
        yield separator + as_json(accession) + b": " + before + record.sample(accession) + after
        separator = b", "
    yield b"}\n"


def add_member(archive: tarfile.TarFile, name: str, record: SeriesMetadata) -> None:
    """Add a series' JSON file to the tarball, by way of a temporary file: that of many samples exceeds the memory."""
    member = tarfile.TarInfo(name)
    member.mode, member.uname, member.gname = 0o644, "root", "root"
    with tempfile.TemporaryFile() as handle:
        handle.writelines(member_pieces(record))
        member.size = handle.tell()
        handle.seek(0)
        archive.addfile(member, handle)


def table_line(columns: Sequence[str], fields: Mapping[str, list[str]]) -> list[str]:
    """Return a line of a table: several values of a field are joined by ``;``, see :func:`without_formula` too."""
    return [without_formula(";".join(fields.get(column, ()))) for column in columns]


def without_formula(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe before ``= + - @``, tab, CR or LF.

    Numbers stay as they are. A cell that already begins with apostrophes before such a character gets one more, so that
    the text is what follows the first apostrophe (docs/formats.md).
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def gather(
    ledger: str | Path,
    folder: str | Path,
    species: str,
    archive: str | Path,
    samples: str | Path,
    series: str | Path,
    own: OwnMetadata,
) -> None:
    """Write the tarball and the two tables, see the module."""
    with contextlib.ExitStack() as stack:
        handle = stack.enter_context(stack.enter_context(atomic_path(archive)).open("wb"))
        packed = stack.enter_context(gzip.GzipFile("", mode="wb", fileobj=handle, mtime=0, compresslevel=6))
        tar = stack.enter_context(tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT))
        sample_table, series_table = (
            csv.writer(stack.enter_context(atomic_text(path)), lineterminator="\n") for path in (samples, series)
        )
        names_of_own = (f"own_{name}" if name in SAMPLE_COLUMNS else name for name in own.names)
        sample_table.writerow([*SAMPLE_COLUMNS, *map(without_formula, names_of_own)])
        series_table.writerow(SERIES_COLUMNS)
        written: dict[str, str] = {}
        for counted in counted_series(ledger, species, own):
            with tempfile.TemporaryFile() as scratch:
                record = SeriesMetadata(counted, folder, scratch, own)
                if not record.read():
                    print(f"{counted.series}: there is no record of it, so it has no metadata.", file=sys.stderr)
                    continue
                if other := written.get(counted.exp_id):
                    raise InputError(
                        f"{ledger}: {other} and {counted.series} share the exp_id {counted.exp_id};"
                        " give each series its own."
                    )
                written[counted.exp_id] = counted.series
                member = path_below(f"{species}_meta", f"{counted.exp_id}.metadata.json")
                add_member(tar, member.as_posix(), record)
                names = {"doc_id": [counted.exp_id]}
                for accession in sorted(record.positions):
                    fields = json.loads(record.sample(accession)) | names | {"geo_accession": [accession]}
                    known = own.of_cell(counted.own.get(accession, ()))
                    cells = [without_formula(known.get(name, "")) for name in own.names]
                    sample_table.writerow(table_line(SAMPLE_COLUMNS, fields) + cells)
                series_table.writerow(table_line(SERIES_COLUMNS, record.series | names))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger, results/runs.tsv")
    parser.add_argument("--records", default="resources/records", help="folder of the archives' answers")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--own-metadata", help="the user's own columns (units/own_metadata.tsv)")
    parser.add_argument("--archive", required=True, help="the tarball to write")
    parser.add_argument("--samples", required=True, help="the table of samples to write")
    parser.add_argument("--series", required=True, help="the table of series to write")
    options = parser.parse_args(argv)
    own = read_own_metadata(options.own_metadata)
    gather(options.ledger, options.records, options.species, options.archive, options.samples, options.series, own)
