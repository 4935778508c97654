"""The map of an atlas: which cell each row is, and what happened to each cell, a dropped one too.

``segments.tsv`` has a line for neighbouring rows of one run, ``{shard}_barcodes.npz`` a barcode for each row,
``dropped.tsv`` each cell that has no row, with the reason. ``manifest.json`` says what made the atlas, and the size and
sha256 of each of its files. The format is described in docs/formats.md.
"""

import bisect
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.atlas.store.files import is_whole, read_table, write_json
from scripts.atlas.store.manifest import FORMAT
from scripts.atlas.store.part import Description
from scripts.atlas.store.shards import BARCODES, DROPPED, MANIFEST, SEGMENTS, Atlas, Shard
from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError

MAP_COLUMNS = ("series", "sample", "experiment", "run", "species")
"""What the map says of each row, beside its barcode."""


class Segment(NamedTuple):
    """Neighbouring rows of one run in a shard."""

    shard: str
    """Empty where every cell of the run was dropped: such a segment has no rows."""
    row_start: int
    """Within the shard."""
    rows: int
    series: str
    sample: str
    experiment: str
    run: str
    """Several runs of a cell are joined by ``;``."""
    species: str
    matrix: str
    """The matrix with the cells' counts, as a path below the results folder."""
    matrix_sha256: str
    barcode_sha256: str
    """Of the barcodes of its rows, see :func:`barcode_sha256`."""
    dropped: int
    """Cells of the run in this matrix that have no row."""

    @property
    def source(self) -> tuple[str, ...]:
        """The values of :data:`MAP_COLUMNS`."""
        return self[3:8]


class DroppedCell(NamedTuple):
    """A cell of a matrix that has no row."""

    series: str
    sample: str
    experiment: str
    run: str
    species: str
    barcode: str
    reason: str


class Row(NamedTuple):
    """A row of an atlas and its cell."""

    shard: str
    row: int
    """Within the shard."""
    global_row: int
    """Among the rows of all shards, in their order."""
    series: str
    sample: str
    experiment: str
    run: str
    species: str
    barcode: str
    """Empty for a plate cell."""


def barcode_sha256(barcodes: Iterable[bytes]) -> str:
    """Return the sha256 of barcodes, a line end after each."""
    return hashlib.sha256(b"".join(barcode + b"\n" for barcode in barcodes)).hexdigest()


def read_segments(path: str | Path) -> Iterator[Segment]:
    """Yield the segments of a segments.tsv. Raises InputError for a line that is none."""
    for number, values in read_table(Path(path), Segment._fields):
        shard, row_start, rows, *texts, dropped = values
        if not (is_whole(row_start) and is_whole(rows) and is_whole(dropped)):
            raise InputError(f"{path}, line {number}: row_start, rows and dropped must be whole numbers.")
        yield Segment._make([shard, int(row_start), int(rows), *texts, int(dropped)])


def read_dropped(path: str | Path) -> Iterator[DroppedCell]:
    """Yield the cells of a dropped.tsv."""
    for _, values in read_table(Path(path), DroppedCell._fields):
        yield DroppedCell._make(values)


def file_sum(path: str | Path) -> dict[str, Any]:
    """Return size and sha256 of a file, as they stand in a manifest."""
    return {"bytes": Path(path).stat().st_size, "sha256": hash_file(path)}


def write_manifest(
    folder: str | Path,
    description: Description,
    shards: Mapping[str, tuple[int, Iterable[Path]]],
    files: Iterable[str],
) -> None:
    """Write manifest.json for the files in the folder.

    ``shards``: name → rows, its files; ``files``: names of the others. No clock and no path of a machine: the same
    atlas has the same manifest everywhere.
    """
    folder = Path(folder)
    manifest = {
        "format": FORMAT,
        "backend": description.to_json(decoders=False),
        "layout": description.layout.to_json(),
        "has_labels": description.has_labels,
        "rows": sum(rows for rows, _ in shards.values()),
        "shards": [
            {"name": name, "rows": rows, "files": {path.name: file_sum(path) for path in paths}}
            for name, (rows, paths) in shards.items()
        ],
        "files": {name: file_sum(folder / name) for name in files},
    }
    write_json(folder / MANIFEST, manifest)


class AtlasMap:
    """From rows to cells and back. Raises InputError where the atlas has no map, or one that does not fit it."""

    def __init__(self, atlas: Atlas | str | Path) -> None:
        self.atlas = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
        path = self.atlas.path / SEGMENTS
        if not path.is_file():
            raise InputError(
                f"{self.atlas.path}: has no {SEGMENTS}, so the cells of its rows are unknown; atlases that this"
                " workflow packs have one, the public atlas has none."
            )
        firsts = {shard.name: shard.first for shard in self.atlas.shards}
        segments = [segment for segment in read_segments(path) if segment.rows]
        unknown = {segment.shard for segment in segments} - set(firsts)
        if unknown:
            raise InputError(f"{path}: the atlas has no shard {', '.join(sorted(unknown)[:5])}.")
        sizes = {shard.name: shard.rows for shard in self.atlas.shards}
        if beyond := next((each for each in segments if each.row_start + each.rows > sizes[each.shard]), None):
            raise InputError(
                f"{path}: it has {beyond.rows:,} rows from {_row_words(beyond)} of {sizes[beyond.shard]:,} rows."
            )
        self.segments = sorted(segments, key=lambda segment: firsts[segment.shard] + segment.row_start)
        """Those that have rows, in the order of the rows."""
        self.starts = [firsts[segment.shard] + segment.row_start for segment in self.segments]
        """The global row at which each segment begins."""
        self._barcodes: tuple[str, np.ndarray] | None = None

    def cell_of(self, shard: str, row: int) -> Row:
        """Return the cell of a shard's row. Raises InputError where there is no such row."""
        return self.cell_at(self.atlas.global_row(shard, row))

    def cell_at(self, global_row: int) -> Row:
        """Return the cell of a row of the whole atlas. Raises InputError where there is none."""
        shard, row = self.atlas.shard_of(global_row)
        index = bisect.bisect_right(self.starts, global_row) - 1
        if index < 0 or global_row >= self.starts[index] + self.segments[index].rows:
            raise InputError(f"{self.atlas.path}: {SEGMENTS} has no segment for row {row} of {shard.name}.")
        return self._row(self.segments[index], row, global_row)

    def _row(self, segment: Segment, row: int, global_row: int) -> Row:
        barcodes = self._shard_barcodes(segment.shard)
        barcode = "" if barcodes is None else barcode_text(barcodes[row], segment.shard)
        return Row._make([segment.shard, row, global_row, *segment.source, barcode])

    def _shard_barcodes(self, shard: str) -> np.ndarray | None:
        """Return the barcodes of a shard; None where it has none."""
        if self._barcodes is None or self._barcodes[0] != shard:
            file = self.atlas.shard(shard).files.get(BARCODES)
            if file is None:
                return None
            self._barcodes = shard, file.read()
        return self._barcodes[1]

    @cached_property
    def segments_of(self) -> Mapping[str, list[int]]:
        """Run or experiment → the indices of its segments, in the order of their rows."""
        found: dict[str, list[int]] = {}
        for index, segment in enumerate(self.segments):
            for name in {segment.experiment, segment.run, *segment.run.split(";")} - {""}:
                found.setdefault(name, []).append(index)
        return found

    def rows_of(self, name: str, barcode: str | None = None) -> Iterator[Row]:
        """Yield the rows of a run or experiment, or of one barcode of it; none where there are none."""
        for index in self.segments_of.get(name, ()):
            segment, first = self.segments[index], self.starts[index]
            rows: Iterable[int] = range(segment.row_start, segment.row_start + segment.rows)
            if barcode is not None:
                barcodes = self._shard_barcodes(segment.shard)
                if barcodes is None:
                    continue
                here = barcodes[segment.row_start : segment.row_start + segment.rows]
                rows = (np.flatnonzero(here == barcode.encode()) + segment.row_start).tolist()
            for row in rows:
                yield self._row(segment, row, first + row - segment.row_start)

    def dropped_of(self, name: str, barcode: str | None = None) -> Iterator[DroppedCell]:
        """Yield the cells of a run or experiment that have no row, or the one with this barcode."""
        path = self.atlas.path / DROPPED
        if not path.is_file():
            return
        for cell in read_dropped(path):
            names = (cell.experiment, cell.run, *cell.run.split(";"))
            if name in names and barcode in (None, cell.barcode):
                yield cell

    def find(self, text: str) -> tuple[list[Row], list[DroppedCell]]:
        """Return the rows and the dropped cells that a text names: a run, an experiment, or one of them and a barcode.

        ``text`` is RUN, EXPERIMENT, or either followed by ``_BARCODE``, as cells are named in the matrices. Raises
        InputError where the atlas has no such cell, dropped ones included.
        """
        name, _, barcode = text.rpartition("_")
        for wanted in ((text, None), (name, barcode)):
            rows, dropped = list(self.rows_of(*wanted)), list(self.dropped_of(*wanted))
            if rows or dropped:
                return rows, dropped
        if name in self.segments_of:
            raise InputError(f"{text}: {name} is in {self.atlas.path}, but no cell of it has the barcode {barcode}.")
        raise InputError(f"{text}: no run or experiment of {self.atlas.path}, nor one with a barcode.")

    def row_of(self, text: str) -> Row:
        """Return the one row that a cell's name, as :meth:`find` takes it, stands for."""
        rows, dropped = self.find(text)
        if len(rows) == 1:
            return rows[0]
        if rows:
            one = f"{text}_{rows[0].barcode}" if rows[0].barcode else f"{rows[0].shard}:{rows[0].row}"
            raise InputError(f"{text}: {len(rows)} rows; name one of them, such as {one}.")
        raise InputError(f"{text}: has no row; it was dropped ({dropped[0].reason}).")


def barcode_text(barcode: bytes, shard: str) -> str:
    """Return a barcode as text. Raises InputError where it is none."""
    text = barcode.decode("ascii", "replace")
    if text and not (text.isascii() and text.isprintable()):
        raise InputError(f"{shard}_{BARCODES}.npz: {bytes(barcode)!r:.80} is no barcode.")
    return text


def has_map(atlas: Atlas) -> bool:
    """Return whether an atlas says which cell each of its rows is."""
    return (atlas.path / SEGMENTS).is_file()


def shard_segments(atlas: Atlas) -> Iterator[tuple[Shard, list[Segment]]]:
    """Yield each shard of an atlas with its segments, none without a map; only those of one shard are in memory.

    Raises InputError where the map does not have every row of every shard once, in their order.
    """
    path = atlas.path / SEGMENTS
    if not has_map(atlas):
        yield from ((shard, []) for shard in atlas.shards)
        return
    segments = (segment for segment in read_segments(path) if segment.rows)
    segment = next(segments, None)
    for shard in atlas.shards:
        mine: list[Segment] = []
        rows = 0
        while segment is not None and segment.shard == shard.name and segment.row_start == rows:
            mine.append(segment)
            rows += segment.rows
            segment = next(segments, None)
        if rows != shard.rows:
            raise InputError(
                f"{path}: it does not have the {shard.rows:,} rows of {shard.name} one after the other, but"
                f" {rows:,} and then {_row_words(segment)}. 'python -m scripts atlas_check {atlas.path}' lists all of"
                " its faults."
            )
        yield shard, mine
    if segment is not None:
        raise InputError(f"{path}: {_row_words(segment)} is no row of a shard, or out of order.")


def _row_words(segment: Segment | None) -> str:
    return "no more" if segment is None else f"row {segment.row_start:,} of {segment.shard}"


class MapCodes:
    """Codes of some columns of the map, shared by all atlases that are read one after the other."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.codes: dict[str, dict[str, int]] = {column: {} for column in columns}
        """Column → value → code, in the order in which values occur."""

    def shards(self, atlas: Atlas) -> Iterator[tuple[Shard, dict[str, np.ndarray]]]:
        """Yield each shard of an atlas with column → code of each of its rows (intp)."""
        if not self.codes:
            yield from ((shard, {}) for shard in atlas.shards)
            return
        for shard, segments in shard_segments(atlas):
            rows = [segment.rows for segment in segments]
            by_row = {}
            for column, codes in self.codes.items():
                mine = [codes.setdefault(getattr(segment, column), len(codes)) for segment in segments]
                by_row[column] = np.repeat(np.array(mine, np.intp), rows)
            yield shard, by_row
