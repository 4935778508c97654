"""Gather what GEO says of the samples and series of one species that were counted.

Writes a tarball with one JSON file a series (--archive), ``<species>_meta/<EXP_ID>.metadata.json``: a map of GSM to
series_data and sample_data (field → values, as in the family file without the prefixes) and platform_data (a list of
such maps, each with its gpl_key); and two CSV files, of the samples (--samples) and of the series (--series). A series
that GEO does not have is described by what SRA says of it, where its record lies there.
"""

import argparse
import contextlib
import csv
import gzip
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from scripts.core.errors import InputError
from scripts.core.files import atomic_path, atomic_text
from scripts.plan.run_table import iterate_runs
from scripts.records import record_files
from scripts.records.soft import Entity
from scripts.records.sra_xml import Experiment

SAMPLE_COLUMNS = "doc_id geo_accession title treatment_protocol_ch1 taxid_ch1 characteristics_ch1 platform_id".split()
SERIES_COLUMNS = "doc_id title overall_design summary platform_id pubmed_id sample_taxid relation".split()


class Counted(NamedTuple):
    """What was counted of a series: its identifier, its samples, and the accessions under which records may lie."""

    exp_id: str
    series: str
    samples: set[str]
    accessions: dict[str, None]


def counted_series(ledger: str | Path, species: str) -> list[Counted]:
    """Return the series that gave a counted row of the species, by exp_id and series."""
    found: dict[tuple[str, str], Counted] = {}
    for row in iterate_runs(ledger):
        if row.status != "counted" or row.species != species:
            continue
        key = (row.exp_id, row.series)
        counted = found.setdefault(key, Counted(row.exp_id, row.series, set(), {}))
        if row.sample:
            counted.samples.add(row.sample)
        counted.accessions.update(dict.fromkeys((row.sample, row.experiment, row.run)))
    return [found[key] for key in sorted(found)]


class SeriesRecord:
    """What a record says of a series; its samples lie in a temporary file, since there may be many."""

    def __init__(self, scratch: IO[bytes]) -> None:
        self.scratch = scratch
        self.families: set[str] = set()  # whose files have been read
        self.series: dict[str, list[str]] = {}
        self.platforms: dict[str, dict[str, list[str]]] = {}
        self.places: dict[str, tuple[int, int]] = {}  # GSM → where its JSON lies

    def add_sample(self, accession: str, fields: Mapping[str, list[str]]) -> None:
        """Keep a sample's fields."""
        if accession in self.places:
            return
        text = as_json(fields)
        self.places[accession] = (self.scratch.seek(0, os.SEEK_END), len(text))
        self.scratch.write(text)

    def sample(self, accession: str) -> bytes:
        """Return the JSON of a sample's fields."""
        begin, length = self.places[accession]
        self.scratch.seek(begin)
        return self.scratch.read(length)


def as_json(value: object) -> bytes:
    """Return JSON whose bytes depend on the value alone."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def read_record(counted: Counted, folder: str | Path, scratch: IO[bytes]) -> SeriesRecord | None:
    """Return what GEO, or else SRA, says of a series and its counted samples; None when no record lies there."""
    record = SeriesRecord(scratch)
    _add_family(record, counted.series, counted, folder)
    for accession in (counted.series, *counted.accessions):
        if record.places and counted.samples <= record.places.keys():
            break
        found = record_files.read_any_runs(Path(folder) / accession) if accession else None
        for experiment in found[1] if found else ():
            for series in experiment.series:
                _add_family(record, series, counted, folder)
            _add_experiment(record, experiment, counted)
        if found and accession == counted.series:
            break
    return record if record.places else None


def _add_family(record: SeriesRecord, series: str, counted: Counted, folder: str | Path) -> None:
    """Add what a family file says, if it lies there, and those of its parts for samples that it does not hold."""
    for family in record_files.walk_families(folder, series, record.families):
        for entity in family:
            _add_entity(record, entity, counted)
        if counted.samples <= record.places.keys():
            return


def _add_entity(record: SeriesRecord, entity: Entity, counted: Counted) -> None:
    if entity.kind == "series" and (not record.series or entity.accession == counted.series):
        record.series = entity.fields
    elif entity.kind == "platform" and entity.well_named:
        record.platforms[entity.accession] = entity.fields
    elif entity.kind == "sample" and entity.accession in counted.samples:
        record.add_sample(entity.accession, entity.fields)


def _add_experiment(record: SeriesRecord, experiment: Experiment, counted: Counted) -> None:
    """Tell a sample in GEO's fields from what SRA says; samples without a GSM go by their experiment."""
    name = next((name for name in (*experiment.samples, experiment.sample) if name in counted.samples), "")
    if not name and experiment.experiment in counted.accessions:
        name = experiment.experiment
    if not name:
        return
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
    }
    if name.startswith("GSM"):
        fields["geo_accession"] = [name]
    record.add_sample(name, {key: values for key, value in fields.items() if (values := [v for v in value if v])})
    if not record.series:
        told = {
            "title": experiment.study_title,
            "summary": experiment.study_abstract,
            "geo_accession": counted.series if counted.series.startswith("GSE") else "",
        }
        record.series = {key: [value] for key, value in told.items() if value}
        record.series["relation"] = [
            f"{kind}: {accession}"
            for kind, accession in (("BioProject", experiment.project), ("SRA", experiment.study))
            if accession
        ]


def member_pieces(record: SeriesRecord) -> Iterator[bytes]:
    """Yield the bytes of a series' JSON file: a map of its counted samples, in the order of their accessions."""
    platforms = [{**record.platforms[name], "gpl_key": name} for name in sorted(record.platforms)]
    before = b'{"platform_data": ' + as_json(platforms) + b', "sample_data": '
    after = b', "series_data": ' + as_json(record.series) + b"}"
    separator = b"{"
    for accession in sorted(record.places):
        yield separator + as_json(accession) + b": " + before + record.sample(accession) + after
        separator = b", "
    yield b"}\n"


class _Pieces(io.RawIOBase):
    """A readable file over pieces of bytes, for tarfile."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self.rest:
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.rest = piece
        length = min(len(buffer), len(self.rest))
        buffer[:length] = self.rest[:length]
        self.rest = self.rest[length:]
        return length


def add_member(archive: tarfile.TarFile, name: str, record: SeriesRecord) -> None:
    """Add a series' JSON file to the tarball, in pieces: series of thousands of samples are too big to hold."""
    member = tarfile.TarInfo(name)
    member.size = sum(map(len, member_pieces(record)))
    member.mode, member.uname, member.gname = 0o644, "root", "root"
    archive.addfile(member, io.BufferedReader(_Pieces(member_pieces(record)), 1 << 20))


def sample_line(exp_id: str, accession: str, fields: Mapping[str, list[str]]) -> list[str]:
    """Return a line of the samples table: lists are joined by ``;``."""
    known = {**fields, "doc_id": [exp_id], "geo_accession": [accession]}
    return [";".join(known.get(column, ())) for column in SAMPLE_COLUMNS]


def series_line(exp_id: str, fields: Mapping[str, list[str]]) -> list[str]:
    """Return a line of the series table: lists are joined by ``;``."""
    known = {**fields, "doc_id": [exp_id]}
    return [";".join(known.get(column, ())) for column in SERIES_COLUMNS]


def gather(
    ledger: str | Path, folder: str | Path, species: str, archive: str | Path, samples: str | Path, series: str | Path
) -> None:
    """Write the tarball and the two tables, see the module."""
    with contextlib.ExitStack() as stack:
        handle = stack.enter_context(stack.enter_context(atomic_path(archive)).open("wb"))
        packed = stack.enter_context(gzip.GzipFile("", mode="wb", fileobj=handle, mtime=0, compresslevel=6))
        tar = stack.enter_context(tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT))
        tables = []
        for path, columns in ((samples, SAMPLE_COLUMNS), (series, SERIES_COLUMNS)):
            tables.append(csv.writer(stack.enter_context(atomic_text(path)), lineterminator="\n"))
            tables[-1].writerow(columns)
        written: dict[str, str] = {}
        for counted in counted_series(ledger, species):
            with tempfile.TemporaryFile() as scratch:
                record = read_record(counted, folder, scratch)
                if record is None:
                    print(f"{counted.series}: no record of it lies there; it has no metadata.", file=sys.stderr)
                    continue
                if counted.exp_id in written:
                    told = f"{written[counted.exp_id]} and {counted.series} share the exp_id {counted.exp_id}"
                    raise InputError(f"{ledger}: {told}; give each series its own.")
                written[counted.exp_id] = counted.series
                add_member(tar, f"{species}_meta/{counted.exp_id}.metadata.json", record)
                for accession in sorted(record.places):
                    tables[0].writerow(sample_line(counted.exp_id, accession, json.loads(record.sample(accession))))
                tables[1].writerow(series_line(counted.exp_id, record.series))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", required=True, help="the ledger, results/runs.tsv")
    parser.add_argument("--records", default="resources/records", help="where the archives' answers are kept")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--archive", required=True, help="the tarball to write")
    parser.add_argument("--samples", required=True, help="the table of samples to write")
    parser.add_argument("--series", required=True, help="the table of series to write")
    options = parser.parse_args(argv)
    gather(options.ledger, options.records, options.species, options.archive, options.samples, options.series)
