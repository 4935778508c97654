"""Gather the counts of all plate cells of a species into one gzipped CSV table.

From the shards of a plan (--units, --ledger, --counts), or from a folder of text files that htseq-count wrote
elsewhere (--htseq-counts; its subfolders too), one file a run, named after it: SRR1234567.homo.htseq-count.txt, or
the same gzipped.
The table has the rows GENENAME (the runs of each cell, joined by ';'), EXP_ID, TAXON and GSM, then a row a gene, in
byte order, with the five tallies of htseq-count sorted in among them. Columns are sorted by series, then by first run.
The table of a species of which every planned cell failed has no columns; the ledger says why.
"""

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scripts.core.command import command_parser
from scripts.core.concurrency import produce_ahead
from scripts.core.errors import InputError
from scripts.core.numeric import array_processes, tune_for_arrays
from scripts.formats import csv_gz, h5ad
from scripts.harvest.columns import TableColumn, columns_of_options, header_rows, open_shards
from scripts.harvest.counts_text import format_decimals, format_rows, rows_of_block
from scripts.harvest.text_inputs import COUNTS, add_folder_options, columns_of_folder, pack_folder
from scripts.plates.shard_counts import TALLIES, GeneBlocks

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
                of_block = (rows.names[row:end], rows.width, part - part[0], offsets[here], counts[here])
                yield format_decimals(*of_block, rows.genes[row:end] < 0) if rows.decimal else format_rows(*of_block)


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


def lay_out(genes: Sequence[str], width: int, workers: int) -> list[RowRange]:
    """Return the rows of a table of ``width`` columns, a range for each process, without counts."""
    names = sorted([*genes, *TALLIES], key=str.encode)
    numbers = {gene: number for number, gene in enumerate(genes)}
    gene_of_row = np.array([numbers.get(name, -1) for name in names], np.int64)
    encoded = [csv_gz.csv_value(name).encode() for name in names]
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
) -> None:
    """Write the table of ``columns``, in their order, see :func:`~scripts.harvest.columns.open_shards`.

    Memory is bounded: each of the ``workers`` processes has a block of genes of all cells at a time. The bytes do not
    depend on ``workers``.
    """
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    gathered: list[ShardCells] = []
    ranges: list[RowRange] = []
    for reader, indices, cells in open_shards(columns, units, counts):
        ranges = ranges or lay_out(reader.genes(), len(columns), workers // 2)
        tallies[indices] = reader.tallies()[cells]
        mapped = np.full(len(reader.columns), -1, np.int64)
        mapped[cells] = indices
        gathered.append(ShardCells(reader.blocks(), mapped))
    gathered.sort(key=lambda shard: shard.columns.max(initial=-1))
    order = np.concatenate([shard.columns for shard in gathered])
    for rows in ranges:
        rows.shards = gathered
        rows.in_order = bool((np.diff(order[order >= 0]) > 0).all())
        rows.decimal = any(shard.counts.data.is_decimal for shard in gathered)
        rows.wide = tallies.max(initial=0) >= 2**32 or any(shard.counts.data.itemsize > 4 for shard in gathered)
        for row in np.flatnonzero(rows.genes < 0).tolist():
            rows.tallies[row] = np.ascontiguousarray(tallies[:, TALLIES.index(rows.names[row].decode())])
    with csv_gz.one_member(path, level) as pieces:
        pieces.add(map(csv_gz.csv_line, header_rows("GENENAME", columns)))
        write_rows(pieces, ranges, 1 if workers < 2 else 2)
    print(f"{path}: {sum(len(rows.names) for rows in ranges)} rows, {len(columns)} cells.", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_folder_options(parser, "--htseq-counts", "folder of htseq-count outputs, instead of shards")
    parser.add_argument(
        "--workers", type=int, default=1, help="processors to use; the bytes are the same for any number"
    )
    parser.add_argument("--output", required=True, help="the table to write ({species}.htseq-count.csv.gz)")
    options = parser.parse_args(argv)
    tune_for_arrays()
    with contextlib.ExitStack() as stack:
        if options.folder:
            counts = f"{stack.enter_context(tempfile.TemporaryDirectory())}/{{unit}}.h5ad"
            found = columns_of_folder(options.folder, COUNTS, options.species, options.ledger, options.count_by)
            units, columns = pack_folder(found, counts, options.workers)
        elif options.units and options.counts and options.ledger:
            counts = options.counts
            units, columns = columns_of_options(options)
        else:
            raise InputError("counts_table: give --units, --ledger and --counts, or --htseq-counts with a folder.")
        write_table(options.output, columns, units, counts, options.level, options.workers)
