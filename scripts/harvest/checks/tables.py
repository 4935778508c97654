"""The tables of a species' plate cells: counts, logs and h5ad agree with each other and with the ledger."""

import contextlib
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scripts.core.disk.gzip_files import BoundedGzip, open_bounded
from scripts.core.errors import InputError
from scripts.formats.h5ad_checked import open_array, open_item, read_column, read_names, read_numbers, sum_rows
from scripts.harvest.gene_tables.columns import HEADERS
from scripts.harvest.gene_tables.counts_text import parse_decimals, parse_row
from scripts.harvest.results import GENE_NAME, longest_line, split_line
from scripts.plan.run_table import Run
from scripts.plates.shard_counts import COUNTED_TOO, TALLIES
from scripts.star.log import CHIMERIC, MULTIPLE_LOCI, UNIQUELY_MAPPED

MOST_CELLS = 5
"""Cells of a table that are reported one by one."""
MOST_GENES = 1 << 20
"""Rows of a table of counts that are read; no annotation has as many genes."""
MOST_FIELDS = 1 << 10
"""Rows of a table of logs that are read."""
BROKEN: tuple[type[Exception], ...] = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)
"""What is raised for an HDF5 file that is damaged, or in which an item is of another type."""

_WHOLE = re.compile(rb"[0-9,]*")
_NAME = re.compile(rb'"(?:[^"]|"")*"|[^,\n]*')


class Table(NamedTuple):
    """A table of counts, added up."""

    header: list[list[str]]
    genes: int
    sums: np.ndarray
    """int64, float64 where a count has decimals: the counts of each cell over all genes."""
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


def add_up(path: Path, ledger: Sequence[Run], decimal: bool = False) -> Table:
    """Read a table of counts through, which are whole numbers, or may have decimals.

    Raises InputError, naming the row, where it is not laid out as one.
    """
    with open_bounded(path, path.name) as handle:
        return _add_up(handle, path.name, longest_line(ledger), decimal)


def _read_header(handle: BoundedGzip, name: str, longest: int) -> tuple[list[list[str]], bool]:
    """Return the header of a table of genes, and whether there is a column of their names (which it is without)."""
    try:
        header = [split_line(handle.line(longest)) for _ in range(4)]
        named = [line[1:2] for line in header] == [[GENE_NAME], [""], [""], [""]]
        header = [[*line[:1], *line[2:]] for line in header] if named else header
    except ValueError as error:
        raise InputError(f"{name}: its first rows cannot be read: {error}.") from error
    width = len(header[0]) - 1
    if [line[:1] for line in header] != [[first] for first in ("GENENAME", *HEADERS)] or any(
        len(line) != width + 1 for line in header
    ):
        raise InputError(f"{name}: the first rows must be GENENAME, {', '.join(HEADERS)}, of one width.")
    return header, named


def _add_up(handle: BoundedGzip, name: str, longest: int, decimal: bool) -> Table:
    header, named = _read_header(handle, name, longest)
    width = len(header[0]) - 1
    sums, fingerprints = np.zeros(width, np.int64), np.zeros(width, np.uint64)
    genes, before = 0, b""
    tallies: dict[str, np.ndarray] = {}
    for number in itertools.count(5):
        if not (line := handle.line(longest)):
            break
        gene, counts = _split_row(line, width, f"{name}, row {number}", decimal, named)
        if genes + len(tallies) and gene <= before:
            raise InputError(f"{name}, row {number}: {_text(gene)!r} is not in byte order, or duplicated.")
        before = gene
        if _text(gene) in TALLIES:
            tallies[_text(gene)] = counts
        elif genes == MOST_GENES:
            raise InputError(f"{name}: more than {MOST_GENES:,} genes, which no annotation has.")
        else:
            genes += 1
            sums = sums + counts
            fingerprints += counts.view(np.uint64) * hash_genes([gene])
    if len(tallies) < len(TALLIES):
        raise InputError(f"{name}: cut short; it has no row {', '.join(sorted(set(TALLIES) - tallies.keys()))}.")
    return Table(header, genes, sums, tallies, fingerprints)


def tpm_faults(table: Table, path: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence where a table of TPM has not the cells and genes of the counts, or a cell no million of them."""
    genes, sums = 0, np.zeros(len(table.header[0]) - 1)
    with open_bounded(path, path.name) as handle:
        header, named = _read_header(handle, path.name, longest_line(ledger))
        if header != table.header:
            yield f"{path.name}: its cells are not those of the table of counts, in the same order."
            return
        while genes <= table.genes and (line := handle.line(longest_line(ledger))):
            sums += _split_row(line, len(sums), f"{path.name}, row {genes + 5}", True, named)[1]
            genes += 1
    if genes != table.genes:
        yield f"{path.name}: it does not have the {table.genes} genes of the table of counts."
    whole = np.where(table.sums > 0, 1e6, 0)
    cells = itertools.compress(zip(table.header[0][1:], sums.tolist(), strict=True), abs(sums - whole) > 10)
    yield from first_faults(path.name, [f"{runs}: its TPM add up to {total:.0f}." for runs, total in cells])


def _text(name: bytes) -> str:
    """Return a name as text; what is not UTF-8 is not printable in it."""
    return name.decode(errors="surrogateescape")


def _split_row(line: bytes, width: int, where: str, decimal: bool, named: bool) -> tuple[bytes, np.ndarray]:
    """Return the gene_id of a row and its counts (int64, float64 where one has decimals and may have them).

    A gene_name follows where the table is ``named``.

    Raises InputError where it has none.
    """
    if not line.endswith(b"\n"):
        raise InputError(f"{where}: its last line has no end; the file is cut short.")
    found = _NAME.match(line)
    text = found[0] if found else b""
    name = text[1:-1].replace(b'""', b'"') if text[:1] == b'"' else text
    if not _text(name).isprintable():
        raise InputError(f"{where}: {name[:80]!r} is no name of a gene.")
    body = line[len(text) : -1]
    if named and (second := _NAME.match(body, 1)):
        body = body[second.end() :]
    try:
        has_decimals = decimal and _text(name) not in TALLIES and not _WHOLE.fullmatch(body)
        return name, parse_decimals(body, width) if has_decimals else parse_row(body, width)
    except ValueError as error:
        raise InputError(f"{where} ({_text(name)}): {error}.") from error


def header_faults(table: Table, ledger: Sequence[Run], species: str, name: str) -> Iterator[str]:
    """Yield a sentence for each cell whose runs, EXP_ID, TAXON and GSM are not those of the ledger."""
    rows = {row.run: row for row in ledger if row.species == species and row.assay == "plate"}
    order, faults = [], []
    for runs, *values in zip(*(line[1:] for line in table.header), strict=True):
        of_cell = [rows[run] for run in runs.split(";") if run in rows]
        if not of_cell:
            continue
        row = of_cell[0]
        order.append((row.series, row.run))
        if values != [row.exp_id or row.series, row.species, row.sample]:
            faults.append(f"{runs} has {', '.join(values)} in its header, which is not what the ledger says.")
        if len({(row.series, row.experiment) for row in of_cell}) > 1:
            faults.append(f"{runs} are one cell, but not runs of one experiment.")
    yield from first_faults(name, faults)
    if order != sorted(order):
        yield f"{name}: its cells are not sorted by series and run."


def first_faults(name: str, faults: Sequence[str]) -> Iterator[str]:
    """Yield the first faults of a file's cells, and the number of the others."""
    yield from (f"{name}: {fault}" for fault in faults[:MOST_CELLS])
    if len(faults) > MOST_CELLS:
        yield f"{name}: and {len(faults) - MOST_CELLS} more cells like these."


def read_log(path: Path, longest: int, width: int) -> dict[str, list[str]]:
    """Return the rows of a table of logs that are compared with the counts: the header and the reads mapped.

    Raises InputError where it is no such table, or a row is not of ``width`` values.
    """
    wanted = ("FIELD_NAMES", *HEADERS, UNIQUELY_MAPPED, MULTIPLE_LOCI, CHIMERIC)
    rows: dict[str, list[str]] = {}
    seen: set[str] = set()
    with open_bounded(path, path.name) as handle:
        while line := handle.line(longest):
            try:
                field, *values = split_line(line) or [""]
            except ValueError as error:
                raise InputError(f"{path.name}: row {len(seen) + 1} cannot be read: {error}.") from error
            if field in seen or len(seen) == MOST_FIELDS:
                raise InputError(f"{path.name}: row {field[:80]!r} is duplicated, or one of too many.")
            seen.add(field)
            if len(values) != width:
                raise InputError(f"{path.name}: row {field[:80]!r} is cut short.")
            if field in wanted:
                rows[field] = values
    return rows


def read_parameter(path: Path | None, name: str, default: str) -> str:
    """Return what an h5ad notes of how its cells were counted; the default where there is none or it notes nothing."""
    return read_note(path, f"uns/parameters/{name}", default)


def read_note(path: Path | None, item_path: str, default: str = "") -> str:
    """Return a text of an h5ad file; the default where there is none."""
    if path is None:
        return default
    with contextlib.suppress(*BROKEN), h5py.File(path, "r") as root:
        item = open_item(root, item_path)
        if isinstance(item, h5py.Dataset) and item.shape == () and h5py.check_string_dtype(item.dtype):
            return str(item.asstr()[()])
    return default


def has_fractions(matrix: Path | None) -> bool:
    """Return whether an h5ad notes that its counts may have decimals."""
    return read_parameter(matrix, "nonunique", "none") == "fraction"


def reads_of(table: Table, matrix: Path | None) -> tuple[np.ndarray, bool]:
    """Return how many reads the counts and tallies of each cell make, and whether that is exact or a lower bound.

    As the h5ad (``matrix``) notes, an ambiguous read and one of several loci may be tallied as such and count for genes
    as well (``nonunique``), for several of them with ``all``; and a read may have several alignments that count.
    """
    nonunique = read_parameter(matrix, "nonunique", "none")
    scored = {read_parameter(matrix, f"{kind}_alignments", "ignore") for kind in ("secondary", "supplementary")}
    both = COUNTED_TOO if nonunique != "none" else ()
    alone = [tally for name, tally in table.tallies.items() if name not in both]
    return table.sums + sum(alone), nonunique != "all" and scored == {"ignore"}


def log_faults(table: Table, path: Path, ledger: Sequence[Run], matrix: Path | None) -> Iterator[str]:
    """Yield a sentence for each cell whose counts and tallies are not the reads that STAR mapped; see reads_of."""
    cells = table.header[0][1:]
    rows = read_log(path, longest_line(ledger), len(cells))
    if [rows.get("FIELD_NAMES"), *(rows.get(name) for name in HEADERS)] != [line[1:] for line in table.header]:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
        return
    if cells and UNIQUELY_MAPPED not in rows:
        yield f"{path.name}: it has no row {UNIQUELY_MAPPED!r}."
        return
    faults = []
    reads, exact = reads_of(table, matrix)
    fragments = map(round, reads.tolist())
    none = ["" for _ in cells]
    numbers = (rows.get(name, none) for name in (UNIQUELY_MAPPED, MULTIPLE_LOCI, CHIMERIC))
    for runs, counted, unique, multiple, chimeric in zip(cells, fragments, *numbers, strict=True):
        if not all(map(is_number, (unique, multiple or "0", chimeric or "0"))):
            faults.append(f"{runs}: the reads that STAR mapped are not a number: {unique[:80]!r}, {multiple[:80]!r}.")
            continue
        mapped = int(unique) + int(multiple or 0)
        possible = (mapped, mapped + int(chimeric or 0))  # chimeric reads may be in the BAM file
        if counted not in possible and (exact or counted < mapped):
            faults.append(f"{runs}: counts and tallies make {counted}, but STAR mapped {mapped} reads.")
    yield from first_faults(path.name, faults)


def is_number(text: str) -> bool:
    """Return whether a text is a whole number from 0 of at most 18 digits."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def h5ad_faults(table: Table, path: Path) -> Iterator[str]:
    """Yield a sentence where an h5ad has not the cells, counts and tallies of the table."""
    cells = table.header[0][1:]
    try:
        with h5py.File(path, "r") as root:
            genes = open_array(root, "var/_index", kinds="SO").shape[0]
            if genes != table.genes:
                yield f"{path.name}: it has {genes} genes, the table of counts {table.genes}."
                return
            runs = read_column(root, "obs/runs", len(cells))
            hashes = hash_genes(name.encode() for name in read_names(root, "var/_index", genes))
            fingerprints = sum_rows(root, "X", len(cells), genes, hashes, real=True)
            tallies = {name: read_numbers(root, f"obs/{name}", len(cells)) for name in TALLIES if name in root["obs"]}
    except BROKEN as error:
        yield f"{path.name}: cannot be read as the counts of a species: {error}."
        return
    if runs != cells:
        yield f"{path.name}: its cells are not those of the table of counts, in the same order."
    elif names := _different_cells(table, fingerprints, tallies):
        yield f"{path.name}: {len(names)} cells have other counts than in the table, the first is {names[0]}."


def _different_cells(table: Table, fingerprints: np.ndarray, tallies: Mapping[str, np.ndarray]) -> list[str]:
    different = fingerprints != table.fingerprints
    for name, values in tallies.items():
        different |= values != table.tallies[name]
    return list(itertools.compress(table.header[0][1:], different))
