"""A table of a row a gene and a column a cell, gathered from shards a block of genes at a time: counts, or TPM."""

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scripts.core.concurrency import produce_ahead
from scripts.core.errors import InputError
from scripts.core.numeric import array_processes
from scripts.formats import csv_gz, h5ad
from scripts.harvest.gene_tables.columns import TableColumn, header_rows, open_shards
from scripts.harvest.gene_tables.counts_text import format_decimals, format_rows, rows_of_block
from scripts.harvest.gene_tables.tpm import DIGITS, scale_cells
from scripts.harvest.results import GENE_NAME
from scripts.plates.shard_counts import TALLIES, GeneBlocks
from scripts.references.genes_table import read_genes

PIECE = csv_gz.PIECE
"""Bytes of text in a deflated piece, about; the table's bytes depend on it."""
GATHERED = 12
"""Pieces whose counts are gathered together: memory depends on it."""
BLOCKS_AHEAD = 4
"""Blocks of text that wait for the deflater."""


@dataclass
class ShardCells:
    """The cells of a shard and their columns in the table."""

    counts: GeneBlocks
    columns: np.ndarray
    """int64: column in the table of each cell of the shard, -1 for a cell that is not in it."""

    def __post_init__(self) -> None:
        self._all_used = bool((self.columns >= 0).all())
        self._offsets = (2 * self.columns).astype(np.int32)

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for the genes ``start`` to ``stop`` how many counts each has, their cells, and the counts."""
        indptr, cells, counts = self.counts.read(start, stop)
        lengths = np.diff(indptr)
        if self._all_used:
            return lengths, cells, counts
        used = self.columns[cells] >= 0
        genes = np.repeat(np.arange(stop - start), lengths)[used]
        return np.bincount(genes, minlength=stop - start), cells[used], counts[used]

    def offsets(self, cells: np.ndarray) -> np.ndarray:
        """Return twice the column of each of some cells (int32)."""
        return self._offsets[cells]


@dataclass
class RowRange:
    """A range of the table's rows, made by one process."""

    names: list[bytes]
    genes: np.ndarray
    """int64: index of each row's gene in the gene list, -1 for a tally."""
    width: int
    height: int
    """Rows in a piece."""
    tallies: dict[int, np.ndarray] = field(default_factory=dict)
    """Row → tally of each column (int64)."""
    shards: list[ShardCells] = field(default_factory=list)
    """By their last columns."""
    in_order: bool = True
    """Whether the cells of each shard, and the shards, are in the order of the columns."""
    wide: bool = False
    """Whether a count may need more than 32 bits."""
    decimal: bool = False
    """Whether counts have decimals."""
    lengths: np.ndarray | None = None
    """float64: of each row's gene, where the table is of TPM; then ``scales`` has that of each column."""
    scales: np.ndarray | None = None


class Gatherer:
    """Gathers the counts other than zero of some rows, by rows and columns.

    The counts of a gene in a shard follow those of the same gene in the shards before it.
    """

    def __init__(self, rows: RowRange) -> None:
        self.rows = rows
        self._offsets = np.zeros(0, np.int32)  # reused by each gathering
        self._counts = np.zeros(0, np.float64 if rows.decimal else np.uint64 if rows.wide else np.uint32)
        self._steps = np.zeros(0, np.int64)  # 0, 1, 2, …
        h5ad.share_room([array for shard in rows.shards for array in shard.counts.arrays])

    def gather(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return bounds, offsets and counts of the rows ``start`` to ``stop``, as :func:`format_rows` takes them.

        The next call overwrites them.
        """
        rows = self.rows
        genes = rows.genes[start:stop]
        gene_rows = np.flatnonzero(genes >= 0)
        parts = []
        if len(gene_rows):
            first, last = genes[gene_rows[[0, -1]]].tolist()
            parts = [shard.read(first, last + 1) for shard in rows.shards]
        tallies = {row - start: tally for row, tally in rows.tallies.items() if start <= row < stop}
        sizes = np.zeros(stop - start, np.int64)
        for lengths, _, _ in parts:
            sizes[gene_rows] += lengths
        for row, tally in tallies.items():
            sizes[row] = np.count_nonzero(tally)
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        if len(self._counts) < bounds[-1]:
            size = 2 * int(bounds[-1])  # untouched memory costs nothing
            self._offsets, self._counts = np.empty(size, np.int32), np.empty(size, self._counts.dtype)
        begins = bounds[gene_rows]
        for shard, (lengths, cells, counts) in zip(rows.shards, parts, strict=False):
            ends = np.cumsum(lengths)
            positions = np.repeat(begins - ends + lengths, lengths)
            if len(self._steps) < len(positions):
                self._steps = np.arange(2 * len(positions))
            positions += self._steps[: len(positions)]
            self._offsets[positions] = shard.offsets(cells)
            self._counts[positions] = counts
            begins += lengths
        for row, tally in tallies.items():
            columns = np.flatnonzero(tally)
            self._offsets[bounds[row] : bounds[row + 1]] = 2 * columns
            self._counts[bounds[row] : bounds[row + 1]] = tally[columns]
        if not rows.in_order:
            for begin, end in itertools.pairwise(bounds.tolist()):
                order = np.argsort(self._offsets[begin:end])
                for values in (self._offsets, self._counts):
                    values[begin:end] = values[begin:end][order]
        return bounds, self._offsets[: bounds[-1]], self._counts[: bounds[-1]]


def format_range(rows: RowRange) -> Iterator[bytes | memoryview | None]:
    """Yield the text of a range of rows, block by block, and None between pieces."""
    if not rows.width:
        yield from (name + b"\n" for name in rows.names)
        return
    gatherer, step = Gatherer(rows), rows_of_block(rows.width)
    for start in range(0, len(rows.names), rows.height * GATHERED):
        stop = min(start + rows.height * GATHERED, len(rows.names))
        bounds, offsets, counts = gatherer.gather(start, stop)
        for first in range(start, stop, rows.height):
            if first:
                yield None
            last = min(first + rows.height, stop)
            for row in range(first, last, step):
                end = min(row + step, last)
                part = bounds[row - start : end - start + 1]
                here = slice(part[0], part[-1])
                yield format_block(rows, row, end, part - part[0], offsets[here], counts[here])


def format_block(
    rows: RowRange, row: int, end: int, bounds: np.ndarray, offsets: np.ndarray, counts: np.ndarray
) -> memoryview:
    """Return the text of the rows ``row`` to ``end``, see :func:`format_rows`."""
    of_block = (rows.names[row:end], rows.width, bounds, offsets)
    if rows.lengths is not None and rows.scales is not None:
        rates = counts / np.repeat(rows.lengths[row:end], np.diff(bounds))
        return format_decimals(*of_block, rates * rows.scales[offsets // 2], digits=DIGITS)
    if rows.decimal:
        return format_decimals(*of_block, counts, rows.genes[row:end] < 0)
    return format_rows(*of_block, counts)


def add_rows(pieces: csv_gz.PieceWriter, rows: RowRange, threads: int) -> None:
    """Append a range of rows; with two threads, text is made by one and deflated by the other."""
    if threads > 1:
        produce_ahead(format_range(rows), pieces.add, BLOCKS_AHEAD)
    else:
        pieces.add(format_range(rows))


def write_spool(rows: RowRange, path: str, level: int, threads: int) -> tuple[int, int]:
    """Write a range of rows as pieces to a file; return CRC and length of their text."""
    with Path(path).open("wb") as handle:
        pieces = csv_gz.PieceWriter(handle, level)
        add_rows(pieces, rows, threads)
        return pieces.crc, pieces.length


def write_rows(pieces: csv_gz.PieceWriter, ranges: Sequence[RowRange], threads: int) -> None:
    """Append ranges of rows: the first by this process, each of the others by one of its own."""
    first, *others = ranges
    if not others:
        add_rows(pieces, first, threads)
        return
    spools = [f"{pieces.handle.name}{number}" for number in range(len(others))]
    try:
        with array_processes(len(others)) as pool:
            written = pool.map(write_spool, others, spools, itertools.repeat(pieces.level), itertools.repeat(threads))
            add_rows(pieces, first, threads)
            for spool, (crc, length) in zip(spools, written, strict=True):
                pieces.add_file(spool, crc, length)
                Path(spool).unlink()
    finally:
        for spool in spools:
            Path(spool).unlink(missing_ok=True)


def lay_out(
    genes: Sequence[str],
    width: int,
    workers: int,
    gene_names: Mapping[str, str] | None = None,
    tallies: Sequence[str] = TALLIES,
) -> list[RowRange]:
    """Return the rows of a table of ``width`` columns, a range for each process, without counts."""
    names = sorted([*genes, *tallies], key=str.encode)
    numbers = {gene: number for number, gene in enumerate(genes)}
    gene_of_row = np.array([numbers.get(name, -1) for name in names], np.int64)
    encoded = [csv_gz.csv_value(name).encode() for name in names]
    if gene_names is not None:
        named = (csv_gz.csv_value(gene_names.get(name, "")).encode() for name in names)
        encoded = [b"%b,%b" % pair for pair in zip(encoded, named, strict=True)]
    height = max(1, PIECE // (2 * width + 24))
    pieces = -(-len(names) // height)
    workers = max(1, min(workers, pieces))
    cuts = [min(height * (pieces * number // workers), len(names)) for number in range(workers + 1)]
    return [
        RowRange(encoded[start:stop], gene_of_row[start:stop], width, height)
        for start, stop in itertools.pairwise(cuts)
    ]


def write_table(
    path: str | Path,
    columns: Sequence[TableColumn],
    units: Sequence[str],
    counts: str,
    level: int = csv_gz.DEFAULT_LEVEL,
    workers: int = 1,
    gene_names: Mapping[str, str] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> None:
    """Write the table of ``columns``, in their order, see :func:`~scripts.harvest.gene_tables.columns.open_shards`.

    With ``gene_names`` (gene → name) it has a column of them; with ``lengths`` (gene → bases) it is of TPM, without the
    tallies.
    Memory is bounded: each of the ``workers`` processes has a block of genes of all cells at a time. The bytes do not
    depend on ``workers``.
    """
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    scales = np.zeros(len(columns))
    genes: list[str] = []
    gathered: list[ShardCells] = []
    ranges: list[RowRange] = []
    for reader, indices, cells in open_shards(columns, units, counts):
        genes = genes or reader.genes()
        ranges = ranges or lay_out(genes, len(columns), workers // 2, gene_names, TALLIES if lengths is None else ())
        if lengths is not None:
            scales[indices] = scale_cells(reader.matrix().tocsr()[cells], bases_of(genes, lengths))
        tallies[indices] = reader.tallies()[cells]
        mapped = np.full(len(reader.columns), -1, np.int64)
        mapped[cells] = indices
        gathered.append(ShardCells(reader.blocks(), mapped))
    gathered.sort(key=lambda shard: shard.columns.max(initial=-1))
    order = np.concatenate([shard.columns for shard in gathered])
    for rows in ranges:
        rows.shards = gathered
        rows.in_order = bool((np.diff(order[order >= 0]) > 0).all())
        rows.decimal = lengths is not None or any(shard.counts.data.is_decimal for shard in gathered)
        if lengths is not None:
            rows.lengths, rows.scales = bases_of(genes, lengths)[rows.genes], scales
        rows.wide = tallies.max(initial=0) >= 2**32 or any(shard.counts.data.itemsize > 4 for shard in gathered)
        for row in np.flatnonzero(rows.genes < 0).tolist():
            tally = rows.names[row].decode().removesuffix(",")
            rows.tallies[row] = np.ascontiguousarray(tallies[:, TALLIES.index(tally)])
    header = header_rows("GENENAME", columns)
    if gene_names is not None:
        header = [[line[0], GENE_NAME if line is header[0] else "", *line[1:]] for line in header]
    with csv_gz.one_member(path, level) as pieces:
        pieces.add(map(csv_gz.csv_line, header))
        write_rows(pieces, ranges, 1 if workers < 2 else 2)
    print(f"{path}: {sum(len(rows.names) for rows in ranges)} rows, {len(columns)} cells.", file=sys.stderr)


def bases_of(genes: Sequence[str], lengths: Mapping[str, int]) -> np.ndarray:
    """Return the length of each gene (float64). Raises InputError for genes that have none."""
    if missing := [gene for gene in genes if gene not in lengths]:
        raise InputError(
            f"{len(missing)} of the {len(genes)} genes of the counts have no length, e.g. {missing[0]}. Give the table"
            " of genes of the reference that the counts were made with."
        )
    return np.array([lengths[gene] for gene in genes], float)


def names_of(path: str | None) -> dict[str, str] | None:
    """Return gene → name of a table of genes, None without one."""
    return {gene.gene_id: gene.gene_name for gene in read_genes(path)} if path else None


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option of the number of processes."""
    parser.add_argument(
        "--workers", type=int, default=1, help="processors to use; the bytes are the same for any number"
    )
