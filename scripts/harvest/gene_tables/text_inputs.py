"""Folders of plain text files, as htseq-count and STAR leave them elsewhere: a file a run, named after it.

``SRR1274127.homo.htseq-count.txt`` and ``SRR1274127.homo.Log.final.out`` (or, as STAR names it by itself,
``SRR1274127Log.final.out``, or ``SRR1274127/Log.final.out``); the label of the species may be left out, subfolders are
searched too, and any file may be gzipped. Names may have dots (``plate.A1.htseq-count.txt``).

htseq-count writes a line a gene, ``gene<TAB>count``, and its five tallies at the end. Files of the same genes in the
same order, the usual case, are read with whole-array steps: the text with all numbers set to 0 must be that of the
first file, which checks every name at the price of one comparison.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.disk.gzip_files import read_bytes, read_text
from scripts.core.errors import InputError, raise_faults
from scripts.core.numeric import array_processes
from scripts.core.untrusted import quoted
from scripts.formats import csv_gz
from scripts.harvest.gene_tables.columns import TableColumn, add_table_options, sort_columns
from scripts.harvest.gene_tables.counts_text import parse_numbers
from scripts.plan.run_table import Run, column_of, read_runs
from scripts.plates.shard_counts import TALLIES, ShardCounts, write_shard_counts

FILES_OF_SHARD = 256
"""Files that are packed into a shard."""


class Kind(NamedTuple):
    """A kind of file."""

    ending: str
    """End of its name, after the run and the species."""
    word: str
    """Part of the names of such files and of no others."""
    dot: str
    """Pattern of what is between the name and the ending."""


_COUNT = re.compile(r"\s*[0-9]{1,15}\s*", re.ASCII)
COUNTS = Kind("htseq-count.txt", "htseq-count", r"\.")
LOG = Kind("Log.final.out", "Log.final", r"\.?")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f,;\"']")  # what a header of tables cannot hold, or would be read otherwise
_SPECIES = ("homo", "mus")  # labels of the configuration as shipped


def _name_of(path: Path, folder: Path, kind: Kind) -> str:
    """Return what a file of a kind, or its folder, is named after: a run and perhaps a species; else empty."""
    if found := re.fullmatch(rf"(.+?){kind.dot}{re.escape(kind.ending)}(?:\.gz)?", path.name, re.DOTALL):
        return found[1]
    is_named_by_folder = path.name.removesuffix(".gz") == kind.ending and path.parent != folder
    return path.parent.name if is_named_by_folder else ""


def _split_name(name: str, species: str, known: Container[str]) -> tuple[str, str]:
    """Return the run and, where the name has it, the species of a name; ``known`` are the names of the ledger."""
    run, _, label = name.rpartition(".")
    if name not in known and run and (label in (species, *_SPECIES) or run in known):
        return run, label
    return name, ""


def find_files(folder: str | Path, kind: Kind, species: str, known: Container[str] = ()) -> dict[str, Path]:
    """Return run → its file of a kind; files of another species or of no such kind are named on stderr.

    ``known`` are the names of the ledger. Raises InputError naming every file whose name is not understood and every
    second file of a run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder.")
    files: dict[str, Path] = {}
    faults, skipped = [], []
    expected = f"RUN.{species}.{kind.ending}"
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [_name_of(path, folder, kind) for path in paths]
    for path, whole in zip(paths, names, strict=True):
        name = path.relative_to(folder).as_posix()
        run, label = _split_name(whole, species, known)
        if not run and kind.word in path.name:
            faults.append(f"{name}: not named {expected}.")
        elif _NOT_IN_NAMES.search(run):
            faults.append(f"{name!r}: {run!r} cannot be the name of a run: it has a comma, a quote or the like.")
        elif not run or label not in ("", species):
            skipped.append(name)
        elif f"{run.rpartition('.')[0]}.{species}" in names and run not in known:
            faults.append(f"{name}: is {run!r} a run, or its end another species? Give --ledger, or move it elsewhere.")
        elif run in files:
            faults.append(f"{name}: a second file of {run}, beside {files[run].relative_to(folder).as_posix()}.")
        else:
            files[run] = path
    if not files:
        faults.append(f"no file is named {expected}, e.g. SRR1274127.{species}.{kind.ending}.")
    raise_faults(f"The folder {folder}", faults)
    if skipped:
        number = f"{len(skipped):,} of {len(paths):,} files are passed over"
        print(f"{folder}: {number}, not named {expected}: {', '.join(skipped)}.", file=sys.stderr)
    return files


def add_folder_options(parser: argparse.ArgumentParser, option: str, words: str) -> None:
    """Add the options of a table that is gathered from shards or from a folder, which ``option`` names."""
    add_table_options(parser, required=False)
    parser.add_argument(option, dest="folder", metavar="FOLDER", help=words)
    parser.add_argument(
        "--count-by", choices=("experiment", "run"), default="experiment", help="what a cell of the folder is"
    )
    parser.add_argument(
        "--level", type=int, choices=csv_gz.LEVELS, default=csv_gz.DEFAULT_LEVEL, help="0 to 3: ISA-L; 4 to 9: zlib"
    )


def columns_of_folder(
    folder: str | Path, kind: Kind, species: str, ledger: str | None, count_by: str
) -> list[tuple[TableColumn, list[Path]]]:
    """Return the columns of a folder, sorted, with the files of each.

    With a ledger, the counted runs of the species are the columns, and each needs its file (named after the run or,
    for all runs of an experiment together, after the experiment). Without one, each file is a column, and EXP_ID and
    GSM stay empty. Raises InputError naming every file and run that does not fit.
    """
    rows = read_runs(ledger) if ledger else []
    files = find_files(folder, kind, species, {name for row in rows for name in (row.run, row.experiment)})
    if not ledger:
        rows = [Run(run=name, species=species, experiment=name) for name in files]
        return [(TableColumn("", row.run, (row,)), [files[row.run]]) for row in sorted(rows, key=lambda row: row.run)]
    gathered: dict[tuple[str, str], list[Run]] = {}
    for row in rows:
        if row.species == species and row.assay == "plate" and row.status == "counted":
            gathered.setdefault((row.series, column_of(row, count_by)), []).append(row)
    faults, found = [], {}
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


def read_lines(path: str | Path) -> dict[str, int]:
    """Return name → count of a file, line by line, tallies included.

    Raises InputError, naming file and line, for a line that is not ``name<TAB>count``, a duplicated name and
    a file without the five tallies.
    """
    counts: dict[str, int] = {}
    text = read_text(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        name, tab, count = line.partition("\t")
        if not tab or not _COUNT.fullmatch(count):
            if number == len(lines) and not text.endswith("\n"):
                raise InputError(f"{path}: cut short in line {number}: {quoted(line)}.")
            raise InputError(f"{path}, line {number}: not 'gene<TAB>count' as htseq-count writes it: {quoted(line)}.")
        if name in counts:
            raise InputError(f"{path}, line {number}: {name!r} is duplicated.")
        counts[name] = int(count)
    missing = [name for name in TALLIES if name not in counts]
    if missing:
        raise InputError(f"{path}: cut short, or not of htseq-count: it has no line {', '.join(missing)}.")
    return counts


def choose_first(paths: Sequence[Path]) -> Path:
    """Return the file whose genes all others must have: the first two readable files that agree decide.

    Where no two of the first three agree it is the first one. Raises InputError, naming the fault of each, where no
    file can be read.
    """
    known: dict[frozenset[str], Path] = {}
    faults = []
    for path in paths:
        try:
            genes = frozenset(read_lines(path))
        except InputError as error:
            faults.append(str(error))
            continue
        if genes in known:
            return known[genes]
        known[genes] = path
        if len(known) == 3:
            break
    if not known:
        raise_faults("The folder of counts", faults)
    return next(iter(known.values()))


class HtseqReader:
    """Reads files of one set of genes, which is that of the first file."""

    def __init__(self, first: str | Path) -> None:
        self.first = str(first)
        names = list(read_lines(first))
        self.genes = sorted((name for name in names if name not in TALLIES), key=str.encode)
        """Gene ids in byte order."""
        self._names = [*self.genes, *TALLIES]
        numbers = {name: number for number, name in enumerate(self._names)}
        self._numbers = np.array([numbers[name] for name in names], np.int64)
        self._widths = np.array([len(f"{name}\t0\n".encode()) for name in names], np.int64)
        self._zeros = "".join(f"{name}\t0\n" for name in names).encode()

    def read(self, path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the indices (in ``genes``) and values of the counts other than zero, and the five tallies; all int64.

        Raises InputError as :func:`read_lines` does, and where the genes are not those of the first file.
        """
        indices, values = self._read_fast(read_bytes(path)) or self._read_lines(path)
        tallies = np.zeros(len(TALLIES), np.int64)
        of_genes = indices < len(self.genes)
        tallies[indices[~of_genes] - len(self.genes)] = values[~of_genes]
        indices, values = indices[of_genes], values[of_genes]
        order = np.argsort(indices)
        return indices[order], values[order], tallies

    def _read_lines(self, path: str | Path) -> tuple[np.ndarray, np.ndarray]:
        counts = read_lines(path)
        known = set(self._names)
        if counts.keys() != known:
            differences = [
                f"{', '.join(sorted(names)[:3])}{' and others' if len(names) > 3 else ''} only in the {which}"
                for which, names in (("first", counts.keys() - known), ("second", known - counts.keys()))
                if names
            ]
            raise InputError(
                f"{path} and {self.first} are not of the same genes: {'; '.join(differences)}."
                " A table is of one reference."
            )
        values = np.array([counts[name] for name in self._names], np.int64)
        indices = np.flatnonzero(values)
        return indices, values[indices]

    def _read_fast(self, text: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Return indices and values, or None for a file that differs from the first in more than its numbers."""
        raw = np.frombuffer(bytearray(text), np.uint8)
        ends = np.flatnonzero(raw == 10)
        if len(ends) != len(self._widths) or len(raw) != ends[-1] + 1:
            return None
        surplus = np.diff(ends, prepend=-1) - self._widths  # digits beyond the first
        if surplus.min() < 0:
            return None
        lines = np.flatnonzero((raw[ends - 1] != 48) | (surplus > 0))
        lasts, surplus = ends[lines] - 1, surplus[lines]
        values = parse_numbers(raw, lasts, surplus + 1)
        if values is None:
            return None
        raw[lasts] = 48
        longer = np.flatnonzero(surplus)
        starts = [0, *lasts[longer].tolist()]
        stops = [*(lasts - surplus)[longer].tolist(), len(text)]
        zeroed = raw.tobytes()
        if b"".join([zeroed[start:stop] for start, stop in zip(starts, stops, strict=True)]) != self._zeros:
            return None
        return self._numbers[lines], values


def pack_files(found: Sequence[tuple[TableColumn, list[Path]]], first: Path, output: str) -> list[str]:
    """Write a shard of columns from their files, which are added up. ``first`` has the genes of all.

    Returns a sentence for each file that cannot be read, and then writes no shard.
    """
    import scipy.sparse

    reader = HtseqReader(first)
    none = np.zeros(0, np.int64)
    indices, values, cells, faults = [none], [none], [none], []
    tallies = np.zeros((len(found), len(TALLIES)), np.int64)
    for cell, (_, paths) in enumerate(found):
        for path in paths:
            try:
                of_file, counts, tallies_of_file = reader.read(path)
            except InputError as error:
                faults.append(str(error))
                continue
            indices.append(of_file)
            values.append(counts)
            cells.append(np.full(len(of_file), cell, np.int64))
            tallies[cell] += tallies_of_file
    if faults:
        return faults
    coordinates = np.concatenate(cells), np.concatenate(indices)
    matrix = scipy.sparse.coo_matrix((np.concatenate(values), coordinates), shape=(len(found), len(reader.genes)))
    names, runs = [column.accession for column, _ in found], [column.runs for column, _ in found]
    write_shard_counts(output, ShardCounts(reader.genes, names, runs, matrix.tocsc(), tallies, [{} for _ in found]))
    return []


def pack_folder(
    found: Sequence[tuple[TableColumn, list[Path]]], counts: str, workers: int
) -> tuple[list[str], list[TableColumn]]:
    """Pack the files of columns into shards; return the units that the shards stand for, and the columns with theirs.

    ``counts`` is the path of a shard, with ``{unit}`` in it. Raises InputError naming every file that cannot be read or
    is not of the genes of the others.
    """
    first = choose_first([path for _, files in found for path in files])
    shards = [found[start : start + FILES_OF_SHARD] for start in range(0, len(found), FILES_OF_SHARD)]
    units = [f"{number:06d}" for number in range(len(shards))]
    tasks = shards, itertools.repeat(first), [counts.replace("{unit}", unit) for unit in units]
    if workers > 1 and len(units) > 1:
        with array_processes(min(workers, len(units))) as pool:
            faults = list(pool.map(pack_files, *tasks))
    else:
        faults = list(map(pack_files, *tasks))
    raise_faults("The folder of counts", itertools.chain.from_iterable(faults))
    return units, [column._replace(unit=units[index // FILES_OF_SHARD]) for index, (column, _) in enumerate(found)]
