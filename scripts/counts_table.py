"""Gather the counts of all plate cells of a species into one gzipped CSV table.

From the shards of a plan (--plan, --ledger, --counts), or from a folder of text files that htseq-count wrote
elsewhere (--htseq-counts; its subfolders too), one file a run, named after it: SRR1234567.homo.htseq-count.txt.
The table has the rows GENENAME (the runs of each cell, joined by ';'), EXP_ID, TAXON and GSM, then a row a gene, in
byte order, with the five tallies of htseq-count sorted in among them. Columns are sorted by series, then by first run.
"""

import argparse
import itertools
import multiprocessing
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.formats import csv_gz
from scripts.formats.counts_csv import format_rows, rows_of_block
from scripts.formats.errors import InputError, raise_faults, run_command
from scripts.formats.htseq_text import HtseqReader
from scripts.formats.memory import keep_freed_memory
from scripts.formats.run_table import Run, read_runs
from scripts.formats.shard_counts import (
    TALLIES,
    ShardCounts,
    ShardReader,
    ShardSlice,
    byte_order,
    write_shard_counts,
)
from scripts.formats.table_columns import (
    HEADERS,
    TableColumn,
    check_reference,
    check_shard_columns,
    group_by_unit,
    header_values,
    sort_columns,
    table_columns,
)
from scripts.formats.units import column_of

if TYPE_CHECKING:
    import numpy

PIECE = csv_gz.PIECE
"""Bytes of text in a deflated piece, about: the table's bytes depend on it."""
GATHERED = 6
"""Pieces whose counts are gathered together: memory depends on it."""
TEXT_SHARD = 256
"""Text files that are packed into a shard."""


@dataclass
class Cells:
    """The cells of a shard that stand in the table."""

    counts: ShardSlice
    places: "numpy.ndarray"
    """int64: column in the table of each cell of the shard, -1 for a cell that is not in it."""
    whole: bool
    """Whether all cells of the shard are in the table."""

    def columns_of(self, cells: "numpy.ndarray", bits: int) -> "numpy.ndarray":
        """Return the columns of cells, shifted left."""
        import numpy as np

        if self.whole and len(self.places) and int(self.places[-1]) - int(self.places[0]) == len(self.places) - 1:
            first = int(self.places[0])
            if (self.places == np.arange(first, first + len(self.places))).all():  # side by side, in this order
                columns = cells.astype(np.int64)
                columns += first
                columns <<= bits
                return columns
        return (self.places << bits)[cells]


@dataclass
class Rows:
    """A range of the table's rows, to be made by one process."""

    names: list[bytes]
    genes: "numpy.ndarray"
    """int64: for each row the place of its gene in the gene list, -1 for a tally."""
    tallies: "dict[int, numpy.ndarray]"
    """Row → tally of each column (int64)."""
    width: int
    cells: list[Cells]
    height: int
    """Rows in a piece."""
    level: int

    def gene_bounds(self) -> tuple[int, int]:
        """Return the first gene of the rows and the one after their last."""
        genes = self.genes[self.genes >= 0]
        return (int(genes[0]), int(genes[-1]) + 1) if len(genes) else (0, 0)


class Keys:
    """The counts other than zero of some rows, each as one number, sorted by row and column.

    The number is the count's place in the rows (row × width + column), shifted left by ``bits``, plus the count.
    """

    def __init__(self) -> None:
        import numpy as np

        self._room = np.zeros(0, np.int64)  # kept from one gathering to the next

    def gather(self, rows: Rows, start: int, stop: int) -> "tuple[numpy.ndarray, int]":
        """Return the numbers for the rows ``start`` to ``stop``, and ``bits``. They are gone at the next call."""
        import numpy as np

        genes = rows.genes[start:stop]
        of_genes = np.flatnonzero(genes >= 0)
        of_tallies = np.flatnonzero(genes < 0)
        bits = 63 - ((stop - start) * rows.width).bit_length()
        bounds = (int(genes[of_genes[0]]), int(genes[of_genes[-1]]) + 1) if len(of_genes) else (0, 0)
        size = len(of_tallies) * rows.width + sum(cells.counts.size(*bounds) for cells in rows.cells)
        if len(self._room) < size:
            self._room = np.empty(size + size // 8, np.int64)
        bases = of_genes * rows.width << bits
        end = 0
        for cells in rows.cells:
            indptr, places, counts = cells.counts.read(*bounds)
            keys = np.repeat(bases, np.diff(indptr))
            keys += cells.columns_of(places, bits)
            if not cells.whole:
                there = cells.places[places] >= 0
                keys, counts = keys[there], counts[there]
            end = self._put(keys, counts, end, bits)
        for row in of_tallies.tolist():
            tally = rows.tallies[start + row]
            columns = np.flatnonzero(tally)
            end = self._put((row * rows.width + columns) << bits, tally[columns], end, bits)
        keys = self._room[:end]
        keys.sort()
        return keys, bits

    def _put(self, keys: "numpy.ndarray", counts: "numpy.ndarray", start: int, bits: int) -> int:
        import numpy as np

        if counts.dtype.itemsize > 4:
            if len(counts) and int(counts.max()) >> bits:
                raise ValueError(f"a count of {counts.max()} is too great for this table")
            counts = counts.view(np.int64)
        stop = start + len(keys)
        np.add(keys, counts, out=self._room[start:stop])
        return stop


def make_pieces(rows: Rows) -> Iterator[csv_gz.Piece]:
    """Yield the deflated pieces of a range of rows."""
    import numpy as np

    if not rows.width:
        yield csv_gz.deflate_texts([name + b"\n" for name in rows.names], rows.level)
        return
    gatherer = Keys()
    for start in range(0, len(rows.names), rows.height * GATHERED):
        stop = min(start + rows.height * GATHERED, len(rows.names))
        keys, bits = gatherer.gather(rows, start, stop)
        bounds = np.searchsorted(keys, np.arange(stop - start, dtype=np.int64) * rows.width << bits)
        bounds = np.append(bounds, len(keys))
        for first in range(start, stop, rows.height):
            last = min(first + rows.height, stop)
            texts = _format_piece(rows, keys, bits, bounds[first - start : last - start + 1], first, first - start)
            yield csv_gz.deflate_texts(texts, rows.level)


def _format_piece(
    rows: Rows, keys: "numpy.ndarray", bits: int, bounds: "numpy.ndarray", first: int, offset: int
) -> Iterator[memoryview]:
    """Yield the text of a piece, block by block; ``offset`` is the place of its first row among those gathered."""
    step = rows_of_block(rows.width)
    mask = (1 << bits) - 1
    for start in range(0, len(bounds) - 1, step):
        part = bounds[start : start + step + 1]
        block = keys[part[0] : part[-1]]
        places = (block >> bits) - (offset + start) * rows.width
        names = rows.names[first + start : first + start + len(part) - 1]
        yield format_rows(names, rows.width, part - part[0], places, block & mask)


def _start_processes(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), keep_freed_memory)


def write_spool(rows: Rows, path: str) -> list[tuple[int, int]]:
    """Write the pieces of a range of rows, one after the other, to a file; return crc and length of each."""
    noted = []
    with Path(path).open("wb") as handle:
        for piece in make_pieces(rows):
            handle.write(piece.data)
            noted.append((piece.crc, piece.length))
    return noted


def write_rows(member: csv_gz.OneMemberWriter, ranges: Sequence[Rows]) -> None:
    """Append ranges of rows to a member: the first here, the others meanwhile, each by a process of its own."""
    first, *others = ranges
    if not others:
        for piece in make_pieces(first):
            member.add(piece)
        return
    spools = [f"{member.partial}{number}" for number in range(len(others))]
    try:
        with _start_processes(len(others)) as pool:
            told = pool.map(write_spool, others, spools)
            for piece in make_pieces(first):
                member.add(piece)
            for spool, noted in zip(spools, told, strict=True):
                with Path(spool).open("rb") as handle:
                    while block := handle.read(1 << 20):
                        member.handle.write(block)
                Path(spool).unlink()
                for crc, length in noted:
                    member.account(crc, length)
    finally:
        for spool in spools:
            Path(spool).unlink(missing_ok=True)


def lay_out(genes: Sequence[str], width: int, level: int, workers: int) -> list[Rows]:
    """Return the rows of a table of ``width`` columns, cut into a range for each process, still without cells."""
    import numpy as np

    names = sorted([*genes, *TALLIES], key=byte_order)
    numbers = {gene: number for number, gene in enumerate(genes)}
    gene_of_row = np.array([numbers.get(name, -1) for name in names], np.int64)
    encoded = [csv_gz.csv_value(name).encode() for name in names]
    height = max(1, PIECE // (2 * width + 24))
    pieces = -(-len(names) // height)
    workers = max(1, min(workers, pieces))
    cuts = [min(height * (pieces * number // workers), len(names)) for number in range(workers + 1)]
    return [
        Rows(encoded[start:stop], gene_of_row[start:stop], {}, width, [], height, level)
        for start, stop in itertools.pairwise(cuts)
    ]


def write_table(
    path: str | Path,
    shards: Iterable[tuple[str, list[TableColumn]]],
    columns: list[TableColumn],
    level: int = csv_gz.DEFAULT_LEVEL,
    workers: int = 1,
) -> None:
    """Write the table of ``columns``, in their order; ``shards`` are the paths of the shards with the columns of each.

    Memory is bounded: a block of genes of all cells is held at a time by each of the ``workers`` processes. The bytes
    do not depend on ``workers``. Raises InputError where shards do not fit each other or the columns.
    """
    import numpy as np

    shards = list(shards)
    # With no cell at all, a shard still tells the genes.
    needed = [(shard, cells) for shard, cells in shards if cells] or shards[:1]
    if not needed:
        raise InputError("There are no counts to make a table of.")
    places = {(column.unit, column.accession): place for place, column in enumerate(columns)}
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    with ShardReader(needed[0][0]) as first:
        ranges = lay_out(first.genes(), len(columns), level, workers)
    for shard, cells in needed:
        with ShardReader(shard) as reader:
            check_reference(first, reader)
            mapped = np.full(len(reader.columns), -1, np.int64)
            mapped[check_shard_columns(reader, cells)] = [places[cell.unit, cell.accession] for cell in cells]
            there = mapped >= 0
            tallies[mapped[there]] = reader.tallies()[there]
            for rows in ranges:
                rows.cells.append(Cells(reader.slice(*rows.gene_bounds()), mapped, bool(there.all())))
    for rows in ranges:
        for row in np.flatnonzero(rows.genes < 0).tolist():
            rows.tallies[row] = np.ascontiguousarray(tallies[:, TALLIES.index(rows.names[row].decode())])
    with csv_gz.OneMemberWriter(path) as member:
        values = [header_values(column) for column in columns]
        head = [["GENENAME", *(column.runs for column in columns)]]
        head += [[name, *(value[place] for value in values)] for place, name in enumerate(HEADERS)]
        member.add(csv_gz.deflate_texts(map(csv_gz.csv_line, head), level))
        write_rows(member, ranges)
    print(f"{path}: {sum(len(rows.names) for rows in ranges)} rows, {len(columns)} cells.", file=sys.stderr)


def columns_of_files(
    folder: str | Path, species: str, ledger: Sequence[Run] | None, count_by: str
) -> list[tuple[TableColumn, list[Path]]]:
    """Return the columns of a folder of htseq-count outputs, sorted, with the files of each.

    With a ledger, the counted runs of the species are the columns, and each needs its file (named after the run or,
    for all runs of an experiment together, after the experiment). Without one, each file is a column, and EXP_ID and
    GSM stay empty.
    Raises InputError naming every file and run that does not fit.
    """
    files: dict[str, Path] = {}
    faults = []
    for path in sorted(Path(folder).rglob("*")):
        name, _, kind = path.name.partition(".")
        labels = kind.split(".")
        if not path.is_file() or kind not in (f"{species}.htseq-count.txt", "htseq-count.txt"):
            if path.is_file() and "htseq-count" in labels and len(labels) == 2:
                faults.append(f"{path.name}: not named RUN.{species}.htseq-count.txt.")
            continue
        if name in files:
            faults.append(f"{path.name}: a second file of {name}, beside {files[name].name}.")
        files[name] = path
    if not files:
        faults.append(f"no file is named RUN.{species}.htseq-count.txt, e.g. SRR1274127.{species}.htseq-count.txt.")
    if ledger is None:
        raise_faults(f"The folder {folder}", faults)
        rows = [Run(run=name, species=species, experiment=name) for name in files]
        return [(TableColumn("", row.run, (row,)), [files[row.run]]) for row in sorted(rows, key=lambda row: row.run)]
    gathered: dict[tuple[str, str], list[Run]] = {}
    for row in ledger:
        if row.species == species and row.assay == "plate" and row.status == "counted":
            gathered.setdefault((row.series, column_of(row, count_by)), []).append(row)
    found = {}
    for (_, accession), runs in gathered.items():
        column = TableColumn("", accession, tuple(sorted(runs, key=lambda row: row.run)))
        if accession in files:
            found[column] = [files.pop(accession)]
            continue
        found[column] = [files.pop(row.run) for row in column.rows if row.run in files]
        if len(found[column]) < len(column.rows):
            faults.append(f"{column.runs}: counted in the ledger, but a run of it has no file.")
    faults += [f"{path.name}: {name} is not counted in the ledger." for name, path in sorted(files.items())]
    raise_faults(f"The folder {folder}", faults)
    return [(column, found[column]) for column in sort_columns(found)]


def pack_files(columns: Sequence[TableColumn], files: Sequence[Sequence[Path]], first: Path, output: str) -> None:
    """Write a shard of columns from text files; the files of a column are added up. ``first`` tells the genes."""
    import numpy as np
    import scipy.sparse

    reader = HtseqReader(first)
    places, values, cells = [], [], []
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    for cell, paths in enumerate(files):
        for path in paths:
            of_file, counts, tallied = reader.read(path)
            places.append(of_file)
            values.append(counts)
            cells.append(np.full(len(of_file), cell, np.int64))
            tallies[cell] += tallied
    parts = [np.concatenate(part) if part else np.zeros(0, np.int64) for part in (values, cells, places)]
    matrix = scipy.sparse.coo_matrix((parts[0], (parts[1], parts[2])), shape=(len(columns), len(reader.genes)))
    logs: list[dict[str, str]] = [{} for _ in columns]
    names = [column.accession for column in columns]
    runs = [column.runs for column in columns]
    write_shard_counts(output, ShardCounts(reader.genes, names, runs, matrix.tocsc(), tallies, logs))


def pack_folder(
    found: Sequence[tuple[TableColumn, list[Path]]], folder: Path, workers: int
) -> list[tuple[str, list[TableColumn]]]:
    """Pack the files of columns into shards in ``folder``; return the path and the columns of each."""
    shards = []
    tasks: list[tuple[list[TableColumn], list[list[Path]], Path, str]] = []
    for number, start in enumerate(range(0, len(found), TEXT_SHARD)):
        part = found[start : start + TEXT_SHARD]
        columns = [column for column, _ in part]
        shards.append((str(folder / f"{number:06d}.h5ad"), columns))
        tasks.append((columns, [files for _, files in part], found[0][1][0], shards[-1][0]))
    if workers > 1 and len(tasks) > 1:
        with _start_processes(min(workers, len(tasks))) as pool:
            list(pool.map(pack_files, *zip(*tasks, strict=True)))
    else:
        for task in tasks:
            pack_files(*task)
    return shards


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", help="the run table before work (results/plan.tsv), from which units are cut")
    parser.add_argument("--ledger", help="the ledger (results/runs.tsv)")
    parser.add_argument("--counts", help="path of a shard's counts, with {unit} in it")
    parser.add_argument("--htseq-counts", metavar="FOLDER", help="folder of htseq-count outputs, instead of shards")
    parser.add_argument("--species", required=True, help="label of the species, the TAXON of the table")
    parser.add_argument("--shard-size", type=int, default=96, help="experiments in a plate shard")
    parser.add_argument("--count-by", choices=("experiment", "run"), default="experiment", help="what a column is")
    parser.add_argument(
        "--level", type=int, choices=csv_gz.LEVELS, default=csv_gz.DEFAULT_LEVEL, help="0 to 3: ISA-L; 4 to 9: zlib"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes; the bytes are the same for any number")
    parser.add_argument("--output", required=True, help="the table to write ({species}.htseq-count.csv.gz)")
    options = parser.parse_args(argv)
    keep_freed_memory()
    ledger = read_runs(options.ledger) if options.ledger else None
    if options.htseq_counts:
        found = columns_of_files(options.htseq_counts, options.species, ledger, options.count_by)
        with tempfile.TemporaryDirectory() as folder:
            shards = pack_folder(found, Path(folder), options.workers)
            columns = [column for column, _ in found]
            write_table(options.output, shards, columns, options.level, options.workers)
        return
    if not (options.plan and options.counts and ledger is not None):
        raise InputError("counts_table: give --plan, --ledger and --counts, or --htseq-counts with a folder.")
    if "{unit}" not in options.counts:
        raise InputError(f"--counts {options.counts}: there must be {{unit}} in it, e.g. 'work/count/{{unit}}.h5ad'.")
    plan = read_runs(options.plan)
    units, columns = table_columns(plan, ledger, options.species, options.shard_size, options.count_by)
    of_unit = group_by_unit(columns)
    shards = [
        (options.counts.replace("{unit}", unit), [columns[place] for place in of_unit.get(unit, [])]) for unit in units
    ]
    write_table(options.output, shards, columns, options.level, options.workers)


if __name__ == "__main__":
    run_command(main)
