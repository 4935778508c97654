"""Check a folder of results, wherever it came from: nothing changed, nothing lost, and its files agree.

Checked are: the sums of SHA256SUMS, and that no other file is there; that each row of the ledger is settled and the
counted ones are the columns of the tables and the libraries of the archives; that the tables of a species have the
same cells, that counts and tallies of each cell add up to the reads that STAR mapped, and that the h5ad has the counts
of the table; that the members of each archive have the md5 sums of its metadata. Exit status 0 when all is well; else
2, and every fault is told.
"""

import argparse
import csv
import hashlib
import itertools
import re
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from isal import igzip, isal_zlib

from scripts.formats import h5ad
from scripts.formats.counts_csv import parse_row
from scripts.formats.deliverables import (
    COUNTS,
    LOGS,
    SUMS,
    conservation_faults,
    hash_file,
    list_files,
    read_sums,
)
from scripts.formats.errors import InputError, raise_faults, run_command
from scripts.formats.run_table import Run, read_runs
from scripts.formats.shard_counts import TALLIES
from scripts.formats.star_log import MULTIPLE_LOCI, UNIQUELY_MAPPED
from scripts.formats.table_columns import HEADERS

if TYPE_CHECKING:
    import numpy

TOLD = 5
"""Cells of a table that are told one by one."""
_NAME = re.compile(rb'"(?:[^"]|"")*"|[^,\n]*')


class Table(NamedTuple):
    """What a table of counts says, added up."""

    header: list[list[str]]
    genes: int
    sums: "numpy.ndarray"
    """int64: the counts of each cell over all genes."""
    tallied: "numpy.ndarray"
    """int64: the five tallies of each cell, added up."""


def sum_faults(results: Path) -> Iterator[str]:
    """Yield a sentence for each file that is not as SHA256SUMS says."""
    if not (results / SUMS).exists():
        yield f"{SUMS}: not there, so nobody can say whether a file changed."
        return
    sums = read_sums(results / SUMS)
    there = list_files(results)
    for name in sorted(sums.keys() | set(there), key=str.encode):
        if name not in sums:
            yield f"{name}: not in {SUMS}."
        elif name not in there:
            yield f"{name}: in {SUMS}, but not there."
        elif hash_file(results / name) != sums[name]:
            yield f"{name}: changed; its sha256 is not that of {SUMS}."


def add_up(path: Path) -> Table:
    """Read a table of counts through. Raises InputError, naming the row, where it is not laid out as one."""
    import numpy as np

    with igzip.open(path, "rb") as handle:
        header = [next(csv.reader([line.decode()])) for line in itertools.islice(handle, 4)]
        names = [line[0] if line else "" for line in header]
        width = len(header[0]) - 1 if header else 0
        if names != ["GENENAME", *HEADERS] or any(len(line) != width + 1 for line in header):
            raise InputError(f"{path.name}: the first rows must be GENENAME, {', '.join(HEADERS)}, of one width.")
        sums, tallied = np.zeros(width, np.int64), np.zeros(width, np.int64)
        genes, before, tallies = 0, None, set(TALLIES)
        for number, line in enumerate(handle, 5):
            found = _NAME.match(line)
            text = found[0] if found else b""
            name = text[1:-1].replace(b'""', b'"') if text[:1] == b'"' else text
            if before is not None and name <= before:
                raise InputError(f"{path.name}, row {number}: {name.decode()!r} is not in byte order, or there twice.")
            before = name
            try:
                counts = parse_row(line.rstrip(b"\n")[len(text) :], width)
            except ValueError as error:
                raise InputError(f"{path.name}, row {number} ({name.decode()}): {error}.") from error
            if name.decode() in tallies:
                tallies.remove(name.decode())
                tallied += counts
            else:
                genes += 1
                sums += counts
    if tallies:
        raise InputError(f"{path.name}: cut short; it has no row {', '.join(sorted(tallies))}.")
    return Table(header, genes, sums, tallied)


def header_faults(table: Table, ledger: Sequence[Run], species: str, name: str) -> Iterator[str]:
    """Yield a sentence for each cell whose EXP_ID, TAXON and GSM are not those of the ledger."""
    rows = {row.run: row for row in ledger if row.species == species and row.assay == "plate"}
    for runs, *told in zip(*(line[1:] for line in table.header), strict=True):
        row = rows.get(runs.partition(";")[0])
        if row is not None and told != [row.exp_id or row.series, row.species, row.sample]:
            yield f"{name}: {runs} has {', '.join(told)} in its header, which is not what the ledger says."


def log_faults(table: Table, path: Path) -> Iterator[str]:
    """Yield a sentence for each cell whose counts and tallies are not the reads that STAR mapped."""
    with igzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        rows = {row[0]: row[1:] for row in csv.reader(handle) if row}
    if [rows.get("FIELD_NAMES"), *(rows.get(name) for name in HEADERS)] != [line[1:] for line in table.header]:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
        return
    if UNIQUELY_MAPPED not in rows:
        return
    faults = []
    several = rows.get(MULTIPLE_LOCI, [])
    fragments = (table.sums + table.tallied).tolist()
    for place, (runs, counted, unique) in enumerate(
        zip(table.header[0][1:], fragments, rows[UNIQUELY_MAPPED], strict=True)
    ):
        if unique.isdecimal() and counted != (mapped := int(unique) + int((several and several[place]) or 0)):
            faults.append(f"{runs}: counts and tallies make {counted}, but STAR mapped {mapped} reads.")
    yield from (f"{path.name}: {fault}" for fault in faults[:TOLD])
    if len(faults) > TOLD:
        yield f"{path.name}: and {len(faults) - TOLD} more cells like these."


def h5ad_faults(table: Table, path: Path) -> Iterator[str]:
    """Yield a sentence where an h5ad has not the cells and counts of the table."""
    import h5py
    import numpy as np

    try:
        with h5py.File(path, "r") as root:
            runs = h5ad.read_column(root["obs"], "runs")
            cells, genes = root["X"].attrs["shape"].tolist()
            indptr = root["X/indptr"][()]
            sums = np.zeros(cells, np.int64)
            step = 2000
            for start in range(0, cells, step):
                part = indptr[start : start + step + 1]
                data = np.concatenate([[0], np.cumsum(root["X/data"][part[0] : part[-1]], dtype=np.int64)])
                sums[start : start + step] = np.diff(data[part - part[0]])
    except (OSError, KeyError) as error:
        yield f"{path.name}: cannot be read as the counts of a species: {error}."
        return
    if runs != table.header[0][1:]:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
    elif genes != table.genes:
        yield f"{path.name}: it has {genes} genes, the table of counts {table.genes}."
    elif (sums != table.sums).any():
        other = [run for run, same in zip(runs, (sums == table.sums).tolist(), strict=True) if not same]
        yield f"{path.name}: {len(other)} cells have other counts than in the table, the first is {other[0]}."


def archive_faults(path: Path, name: str) -> Iterator[str]:
    """Yield a sentence for each way in which a MEX archive is not whole."""
    sums: dict[str, str] = {}
    told: dict[str, str] = {}
    try:
        with igzip.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for place, member in enumerate(archive):
                handle = archive.extractfile(member)
                if handle is None:
                    yield f"{name}: {member.name} is not a file."
                elif place == 0:
                    lines = handle.read().decode().splitlines()
                    told = {key: value for key, _, value in (line.partition("\t") for line in lines)}
                else:
                    sums[member.name] = f"md5sum:{hashlib.file_digest(handle, 'md5').hexdigest()}"
            while stream.read(1 << 20):  # the checksum stands at the end
                pass
    except (OSError, EOFError, isal_zlib.error, tarfile.TarError, UnicodeDecodeError) as error:
        yield f"{name}: cannot be read to its end: {error}."
        return
    expected = {key: value for key, value in told.items() if value.startswith("md5sum:")}
    if len(sums) != 3 or told.get("type") != "MexGeneArchive_v1":
        yield f"{name}: not a MEX archive of metadata, barcodes, features and matrix."
    for member in sorted(sums.keys() | expected.keys()):
        if sums.get(member) != expected.get(member):
            yield f"{name}: {member} does not have the md5 sum that the metadata tells."


def find_faults(results: Path) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with a folder of results."""
    yield from sum_faults(results)
    ledger = read_runs(results / "runs.tsv")
    yield from conservation_faults(results, ledger)
    for path in sorted(results.glob(f"*{COUNTS}")):
        species = path.name.removesuffix(COUNTS)
        try:
            table = add_up(path)
        except InputError as error:
            yield str(error)
            continue
        except (OSError, EOFError, isal_zlib.error) as error:
            yield f"{path.name}: cannot be read to its end: {error}."
            continue
        yield from header_faults(table, ledger, species, path.name)
        if (results / f"{species}{LOGS}").exists():
            yield from log_faults(table, results / f"{species}{LOGS}")
        if (results / f"{species}.h5ad").exists():
            yield from h5ad_faults(table, results / f"{species}.h5ad")
    for path in sorted(results.glob("mex/*/*.tar.gz")):
        yield from archive_faults(path, path.relative_to(results).as_posix())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="the folder of results")
    options = parser.parse_args(argv)
    results = Path(options.results)
    if not (results / "runs.tsv").is_file():
        raise InputError(f"{results}: not a folder of results; it has no ledger (runs.tsv).")
    raise_faults(f"The folder {results}", find_faults(results))
    print(f"{results}: {len(list_files(results))} files, unchanged, complete and in agreement.", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
