"""Check a folder of results, wherever it came from: nothing changed, nothing lost, and its files agree.

The files and their checksums are those of SHA256SUMS. The ledger has the rows of the plan, each with a final status,
and the counted ones are the columns of the tables and the libraries of the archives. The tables of a species have the
same cells; the counts and tallies of each cell add up to the reads that STAR mapped; the h5ad has each count of the
table. The members of each archive have the md5 sums of its metadata, and the h5ad of droplets has the cells of the
archives. The metadata can be read. Exit status 0 when all is well, else 2; every fault is reported.
"""

import csv
import hashlib
import io
import itertools
import json
import re
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import h5py
import numpy as np
from isal import igzip

from scripts.core.command import command_parser
from scripts.core.errors import InputError, raise_faults
from scripts.core.files import hash_file
from scripts.core.gzip_files import deflate_error
from scripts.droplets.mex_reader import read_archive
from scripts.formats import h5ad
from scripts.harvest.columns import HEADERS
from scripts.harvest.counts_text import parse_row
from scripts.harvest.results import COUNTS, LOGS, SUMS, conservation_faults, counted_libraries, list_files, read_sums
from scripts.plan.matrices import archive_folders, archive_name
from scripts.plan.run_table import Run, read_runs
from scripts.plates.shard_counts import TALLIES
from scripts.star.log import MULTIPLE_LOCI, UNIQUELY_MAPPED

MOST_CELLS = 5
"""Cells of a table that are reported one by one."""
UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, deflate_error(), zlib.error, tarfile.TarError),
    *(csv.Error, json.JSONDecodeError, UnicodeDecodeError),
)
"""What is raised for a file that is cut short or damaged."""
BROKEN: tuple[type[Exception], ...] = (*UNREADABLE, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
"""The same for an HDF5 file, in which any item may be of any type."""
NO_ARCHIVE: tuple[type[Exception], ...] = (InputError, *BROKEN)
_NAME = re.compile(rb'"(?:[^"]|"")*"|[^,\n]*')


class Table(NamedTuple):
    """A table of counts, added up."""

    header: list[list[str]]
    genes: int
    sums: np.ndarray
    """int64: the counts of each cell over all genes."""
    tallies: dict[str, np.ndarray]
    """Name → int64: a tally of each cell."""
    fingerprints: np.ndarray
    """uint64: of the counts of each cell, see :func:`hash_genes`."""


def hash_genes(genes: Iterable[bytes]) -> np.ndarray:
    """Return a hash (uint64) of the name of each gene.

    The fingerprint of a cell is the sum of its counts, each times the hash of its gene, modulo 2**64: cells that differ
    in a count, or in the genes' names, have different ones.
    """
    return np.array([int.from_bytes(hashlib.blake2b(gene, digest_size=8).digest()) | 1 for gene in genes], np.uint64)


def sum_faults(results: Path) -> Iterator[str]:
    """Yield a sentence for each file that is not as SHA256SUMS says."""
    if not (results / SUMS).exists():
        yield f"{SUMS}: missing, so changed files cannot be found."
        return
    sums = read_sums(results / SUMS)
    files = set(list_files(results))
    for name in sorted(sums.keys() | files, key=str.encode):
        if name not in sums:
            yield f"{name}: not in {SUMS}."
        elif name not in files:
            yield f"{name}: in {SUMS}, but missing."
        else:
            try:
                if hash_file(results / name) != sums[name]:
                    yield f"{name}: changed; its sha256 is not that of {SUMS}."
            except OSError as error:
                yield f"{name}: cannot be read: {error.strerror}."


def add_up(path: Path) -> Table:
    """Read a table of counts through. Raises InputError, naming the row, where it is not laid out as one."""
    with igzip.open(path, "rb") as handle:
        header = [next(csv.reader([line.decode()])) for line in itertools.islice(handle, 4)]
        names = [line[0] if line else "" for line in header]
        width = len(header[0]) - 1 if header else 0
        if names != ["GENENAME", *HEADERS] or any(len(line) != width + 1 for line in header):
            raise InputError(f"{path.name}: the first rows must be GENENAME, {', '.join(HEADERS)}, of one width.")
        sums, fingerprints = np.zeros(width, np.int64), np.zeros(width, np.uint64)
        genes, before, tallies = 0, None, {}
        for number, line in enumerate(handle, 5):
            found = _NAME.match(line)
            text = found[0] if found else b""
            name = text[1:-1].replace(b'""', b'"') if text[:1] == b'"' else text
            if before is not None and name <= before:
                raise InputError(f"{path.name}, row {number}: {name.decode()!r} is not in byte order, or duplicated.")
            before = name
            try:
                counts = parse_row(line.rstrip(b"\n")[len(text) :], width)
            except ValueError as error:
                raise InputError(f"{path.name}, row {number} ({name.decode()}): {error}.") from error
            if name.decode() in TALLIES:
                tallies[name.decode()] = counts
            else:
                genes += 1
                sums += counts
                fingerprints += counts.view(np.uint64) * hash_genes([name])
    if len(tallies) < len(TALLIES):
        raise InputError(f"{path.name}: cut short; it has no row {', '.join(sorted(set(TALLIES) - tallies.keys()))}.")
    return Table(header, genes, sums, tallies, fingerprints)


def header_faults(table: Table, ledger: Sequence[Run], species: str, name: str) -> Iterator[str]:
    """Yield a sentence for each cell whose runs, EXP_ID, TAXON and GSM are not those of the ledger."""
    rows = {row.run: row for row in ledger if row.species == species and row.assay == "plate"}
    order = []
    for runs, *values in zip(*(line[1:] for line in table.header), strict=True):
        of_cell = [rows[run] for run in runs.split(";") if run in rows]
        if not of_cell:
            continue
        row = of_cell[0]
        order.append((row.series, row.run))
        if values != [row.exp_id or row.series, row.species, row.sample]:
            yield f"{name}: {runs} has {', '.join(values)} in its header, which is not what the ledger says."
        if len({(row.series, row.experiment) for row in of_cell}) > 1:
            yield f"{name}: {runs} are one cell, but not runs of one experiment."
    if order != sorted(order):
        yield f"{name}: its cells are not sorted by series and run."


def log_faults(table: Table, path: Path) -> Iterator[str]:
    """Yield a sentence for each cell whose counts and tallies are not the reads that STAR mapped."""
    with igzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        rows = {row[0]: row[1:] for row in csv.reader(handle) if row}
    if [rows.get("FIELD_NAMES"), *(rows.get(name) for name in HEADERS)] != [line[1:] for line in table.header]:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
        return
    cells = table.header[0][1:]
    short = [name for name, values in rows.items() if len(values) != len(cells)]
    if short or (cells and UNIQUELY_MAPPED not in rows):
        yield f"{path.name}: {f'row {short[0]!r} is cut short' if short else f'it has no row {UNIQUELY_MAPPED!r}'}."
        return
    faults = []
    fragments = (table.sums + sum(table.tallies.values())).tolist()
    none = ["" for _ in cells]
    for runs, counted, unique, multiple in zip(
        cells, fragments, rows.get(UNIQUELY_MAPPED, none), rows.get(MULTIPLE_LOCI, none), strict=True
    ):
        if not unique.isdecimal() or not (multiple or "0").isdecimal():
            faults.append(f"{runs}: the reads that STAR mapped are not a number: {unique!r}, {multiple!r}.")
        elif counted != (mapped := int(unique) + int(multiple or 0)):
            faults.append(f"{runs}: counts and tallies make {counted}, but STAR mapped {mapped} reads.")
    yield from (f"{path.name}: {fault}" for fault in faults[:MOST_CELLS])
    if len(faults) > MOST_CELLS:
        yield f"{path.name}: and {len(faults) - MOST_CELLS} more cells like these."


def cell_fingerprints(root: h5py.File) -> np.ndarray:
    """Return the fingerprint of each cell of an h5ad, see :func:`hash_genes`."""
    hashes = hash_genes(name.encode() for name in h5ad.read_texts(root["var/_index"]))
    cells, genes = root["X"].attrs["shape"].tolist()
    if len(root["X/indptr"]) != cells + 1 or len(hashes) != genes:
        raise ValueError("its parts are not of one size")
    return h5ad.sum_rows(root["X"], hashes)


def h5ad_faults(table: Table, path: Path) -> Iterator[str]:
    """Yield a sentence where an h5ad has not the cells, counts and tallies of the table."""
    try:
        with h5py.File(path, "r") as root:
            runs = h5ad.read_column(root["obs"], "runs")
            genes = root["var/_index"].shape[0]
            fingerprints = cell_fingerprints(root)
            tallies = {name: root["obs"][name][()] for name in TALLIES if name in root["obs"]}
    except BROKEN as error:
        yield f"{path.name}: cannot be read as the counts of a species: {error}."
        return
    if runs != table.header[0][1:]:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
    elif genes != table.genes:
        yield f"{path.name}: it has {genes} genes, the table of counts {table.genes}."
    else:
        different = fingerprints != table.fingerprints
        for name, values in tallies.items():
            different |= values != table.tallies[name]
        if names := list(itertools.compress(runs, different)):
            yield f"{path.name}: {len(names)} cells have other counts than in the table, the first is {names[0]}."


def droplet_faults(path: Path, results: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where the h5ad of a series' droplets has not the cells and counts of its archives."""
    name = path.relative_to(results).as_posix()
    series, _, species = path.name.removesuffix(".h5ad").rpartition(".")
    rows = [row for row in ledger if row.series == series and row.species == species and row.assay == "droplet"]
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    cells: list[str] = []
    totals = []
    for experiment in sorted({row.experiment for row in rows if libraries.get((row.experiment, species))}):
        archive = results / "mex" / folders[experiment, species] / archive_name("Gene", "Unique", "filtered")
        if not archive.exists():
            continue
        try:
            read = read_archive(archive)
        except NO_ARCHIVE:
            return  # its faults are reported with the archives'
        cells += [f"{experiment}_{barcode}" for barcode in read.barcodes.astype(str).tolist()]
        totals.append(np.asarray(read.matrix.sum(axis=0)).ravel())
    try:
        with h5py.File(path, "r") as root:
            index = h5ad.read_texts(root["obs/_index"])
            found = h5ad.sum_rows(root["X"])
    except BROKEN as error:
        yield f"{name}: cannot be read as the counts of droplets: {error}."
        return
    if index != cells:
        yield f"{name}: its {len(index)} cells are not the {len(cells)} filtered cells of the archives in mex/."
    elif not np.array_equal(found, np.concatenate([np.zeros(0), *totals])):
        yield f"{name}: cells have other counts than in the archives in mex/."


def metadata_faults(path: Path) -> Iterator[str]:
    """Yield nothing; raise where the tarball of metadata cannot be read."""
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            handle = archive.extractfile(member)
            if handle is not None:
                json.load(handle)
    yield from ()


def archive_faults(path: Path, name: str) -> Iterator[str]:
    """Yield a sentence for each way in which a MEX archive is not whole."""
    sums: dict[str, str] = {}
    metadata: dict[str, str] = {}
    with igzip.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for index, member in enumerate(archive):
            handle = archive.extractfile(member)
            if handle is None:
                yield f"{name}: {member.name} is not a file."
            elif index == 0:
                lines = handle.read().decode().splitlines()
                metadata = {key: value for key, _, value in (line.partition("\t") for line in lines)}
            else:
                sums[member.name] = f"md5sum:{hashlib.file_digest(cast(io.BufferedReader, handle), 'md5').hexdigest()}"
        while stream.read(1 << 20):  # the checksum is at the end
            pass
    expected = {key: value for key, value in metadata.items() if value.startswith("md5sum:")}
    if len(sums) != 3 or metadata.get("type") != "MexGeneArchive_v1":
        yield f"{name}: not a MEX archive of metadata, barcodes, features and matrix."
    for key in sorted(sums.keys() | expected.keys()):
        if sums.get(key) != expected.get(key):
            yield f"{name}: {key} does not have the md5 sum in the metadata."


def readable(name: str, faults: Iterator[str]) -> Iterator[str]:
    """Yield faults, and one more where a file turns out to be wrong, cut short or damaged."""
    try:
        yield from faults
    except InputError as error:
        yield " ".join(str(error).splitlines())
    except UNREADABLE as error:
        yield f"{name}: cannot be read to its end: {error}."


def table_faults(path: Path, results: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fault of a table of counts, and of the log table and the h5ad of the same cells."""
    species = path.name.removesuffix(COUNTS)
    logs, matrix = results / f"{species}{LOGS}", results / f"{species}.h5ad"
    if not matrix.exists():
        yield f"{matrix.name}: missing, though {path.name} exists."
    table = add_up(path)
    yield from header_faults(table, ledger, species, path.name)
    if logs.exists():
        yield from readable(logs.name, log_faults(table, logs))
    if matrix.exists():
        yield from h5ad_faults(table, matrix)


def content_faults(results: Path) -> Iterator[str]:
    """Yield a sentence for everything that is wrong in the files of a folder of results."""
    ledger = read_runs(results / "runs.tsv")
    yield from conservation_faults(results, ledger)
    for path in sorted(results.glob(f"*{COUNTS}")):
        yield from readable(path.name, table_faults(path, results, ledger))
    for path in sorted(results.glob("mex/*/*.tar.gz")):
        name = path.relative_to(results).as_posix()
        yield from readable(name, archive_faults(path, name))
    for path in sorted(results.glob("droplets/*.h5ad")):
        yield from droplet_faults(path, results, ledger)
    for path in sorted(results.glob("*_meta.tgz")):
        yield from readable(path.name, metadata_faults(path))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("results", help="the folder of results")
    options = parser.parse_args(argv)
    results = Path(options.results)
    if not (results / "runs.tsv").is_file():
        raise InputError(f"{results}: not a folder of results; it has no ledger (runs.tsv).")
    faults = [*readable(SUMS, sum_faults(results)), *readable("runs.tsv", content_faults(results))]
    raise_faults(f"The folder {results}", faults)
    print(f"{results}: {len(list_files(results))} files, unchanged, complete and in agreement.", file=sys.stderr)
