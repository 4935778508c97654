"""The map of an atlas: which cell each row is, and where each cell went, a dropped one too.

``segments.tsv`` has a line for the rows of a run that lie together, ``{shard}_barcodes.npz`` a barcode for each row,
``dropped.tsv`` each cell that has no row, with the reason. ``manifest.json`` says what made the atlas, and the size and
sha256 of each of its files. The page of this format is in docs/formats.md.
"""

import bisect
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.atlas.store.part import Cell, Description, read_table, write_table
from scripts.atlas.store.shards import BARCODES, DROPPED, FORMAT, MANIFEST, SEGMENTS, Atlas, Layout
from scripts.core.errors import InputError
from scripts.core.files import hash_file, write_atomic

if TYPE_CHECKING:
    import numpy

_SOURCE = ("series", "sample", "experiment", "run", "species")


class Segment(NamedTuple):
    """Rows of one run that lie together in a shard."""

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
    """The matrix that has the cells' counts, below the folder of results."""
    matrix_sha256: str
    barcode_sha256: str
    """Of the barcodes of its rows, see :class:`BarcodeSum`."""
    dropped: int
    """Cells of the run in this matrix that have no row."""


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
    """A row of an atlas and the cell that it is."""

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


class BarcodeSum:
    """The sha256 of barcodes, each with a line end behind it."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def update(self, barcodes: Iterable[bytes]) -> None:
        self._sum.update(b"".join(barcode + b"\n" for barcode in barcodes))

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


def write_segments(path: str | Path, segments: Iterable[Segment]) -> None:
    """Write segments.tsv."""
    write_table(Path(path), Segment._fields, segments)


def read_segments(path: str | Path) -> Iterator[Segment]:
    """Yield the segments of a segments.tsv. Raises InputError for a line that is none."""
    for number, values in read_table(Path(path), Segment._fields):
        told = dict(zip(Segment._fields, values, strict=True))
        if not all(told[name].isdecimal() for name in ("row_start", "rows", "dropped")):
            raise InputError(f"{path}, line {number}: row_start, rows and dropped must be whole numbers.")
        yield Segment._make([*values[:1], *map(int, values[1:3]), *values[3:11], int(values[11])])


def write_dropped(path: str | Path, cells: Iterable[DroppedCell]) -> None:
    """Write dropped.tsv."""
    write_table(Path(path), DroppedCell._fields, cells)


def read_dropped(path: str | Path) -> Iterator[DroppedCell]:
    """Yield the cells of a dropped.tsv."""
    for _, values in read_table(Path(path), DroppedCell._fields):
        yield DroppedCell._make(values)


def file_sum(path: str | Path) -> dict[str, Any]:
    """Return size and sha256 of a file, as a manifest tells them."""
    return {"bytes": Path(path).stat().st_size, "sha256": hash_file(path)}


def write_manifest(
    folder: str | Path,
    description: Description,
    layout: Layout,
    shards: Mapping[str, tuple[int, Iterable[Path]]],
    files: Iterable[str],
) -> None:
    """Write manifest.json of the files that lie in the folder.

    ``shards``: name → rows, its files; ``files``: names of the others. No clock, no place: the same atlas has the same
    manifest everywhere.
    """
    folder = Path(folder)
    told = {
        "format": FORMAT,
        "backend": description.to_json(decoders=False),
        "layout": layout.to_json(),
        "has_labels": bool(layout.labels),
        "rows": sum(rows for rows, _ in shards.values()),
        "shards": [
            {"name": name, "rows": rows, "files": {path.name: file_sum(path) for path in paths}}
            for name, (rows, paths) in shards.items()
        ],
        "files": {name: file_sum(folder / name) for name in files},
    }
    write_atomic(folder / MANIFEST, json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


class AtlasMap:
    """From rows to cells and back. Raises InputError where the atlas has no map, or one that does not fit it."""

    def __init__(self, atlas: Atlas | str | Path) -> None:
        self.atlas = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
        path = self.atlas.path / SEGMENTS
        if not path.is_file():
            raise InputError(
                f"{self.atlas.path}: has no {SEGMENTS}, so that nobody can say which cell a row is; atlases that this"
                " workflow packs have one, the public atlas has none."
            )
        firsts = {shard.name: shard.first for shard in self.atlas.shards}
        self.segments: list[Segment] = []
        """Those that have rows, in the order of the rows."""
        self.empty: list[Segment] = []
        """Those whose cells were all dropped."""
        unknown = set()
        for segment in read_segments(path):
            if not segment.rows:
                self.empty.append(segment)
            elif segment.shard in firsts:
                self.segments.append(segment)
            else:
                unknown.add(segment.shard)
        if unknown:
            raise InputError(f"{path}: there is no shard {', '.join(sorted(unknown)[:5])}, which it speaks of.")
        self.segments.sort(key=lambda segment: firsts[segment.shard] + segment.row_start)
        self.starts = [firsts[segment.shard] + segment.row_start for segment in self.segments]
        """The global row at which each segment begins."""
        self._barcodes: tuple[str, numpy.ndarray] | None = None

    def cell_of(self, shard: str, row: int) -> Row:
        """Return the cell of a shard's row. Raises InputError where there is no such row."""
        return self.cell_at(self.atlas.global_row(shard, row))

    def cell_at(self, global_row: int) -> Row:
        """Return the cell of a row of the whole atlas. Raises InputError where there is none."""
        shard, row = self.atlas.shard_of(global_row)
        place = bisect.bisect_right(self.starts, global_row) - 1
        if place < 0 or global_row >= self.starts[place] + self.segments[place].rows:
            raise InputError(f"{self.atlas.path}: {SEGMENTS} has no segment for row {row} of {shard.name}.")
        return self._row(self.segments[place], row, global_row)

    def _row(self, segment: Segment, row: int, global_row: int) -> Row:
        barcodes = self._shard_barcodes(segment.shard)
        barcode = "" if barcodes is None else barcodes[row].decode()
        source = [getattr(segment, name) for name in _SOURCE]
        return Row._make([segment.shard, row, global_row, *source, barcode])

    def _shard_barcodes(self, shard: str) -> "numpy.ndarray | None":
        """Return the barcodes of a shard; None where it has none."""
        import numpy as np

        if self._barcodes is None or self._barcodes[0] != shard:
            file = self.atlas.shard(shard).files.get(BARCODES)
            if file is None:
                return None
            self._barcodes = (
                shard,
                file.map() if file.kind != "deflated" else np.concatenate(list(file.views(1 << 16))),
            )
        return self._barcodes[1]

    @cached_property
    def _by_name(self) -> tuple[list[str], list[int]]:
        """Sorted names of runs and experiments, and the place of the segment of each."""
        names = sorted(
            {
                (name, place)
                for place, segment in enumerate(self.segments)
                for name in (segment.experiment, segment.run, *segment.run.split(";"))
                if name
            }
        )
        return [name for name, _ in names], [place for _, place in names]

    def segments_of(self, name: str) -> list[int]:
        """Return the places of the segments of a run or experiment, in the order of their rows."""
        names, places = self._by_name
        return places[bisect.bisect_left(names, name) : bisect.bisect_right(names, name)]

    def rows_of(self, name: str, barcode: str | None = None) -> Iterator[Row]:
        """Yield the rows of a run or experiment, or of one barcode of it; none where there are none."""
        import numpy as np

        for place in self.segments_of(name):
            segment, first = self.segments[place], self.starts[place]
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

        ``text`` is RUN, EXPERIMENT or either with ``_BARCODE`` behind it, as cells are named in the matrices. Raises
        InputError where the atlas has no such cell, dropped ones included.
        """
        name, _, barcode = text.rpartition("_")
        for told in ((text, None), (name, barcode)):
            rows, dropped = list(self.rows_of(*told)), list(self.dropped_of(*told))
            if rows or dropped:
                return rows, dropped
        known = self.segments_of(name) if name else []
        if known:
            raise InputError(f"{text}: {name} is in {self.atlas.path}, but no cell of it has the barcode {barcode}.")
        raise InputError(f"{text}: no run or experiment of {self.atlas.path}, nor one with a barcode.")

    def place_of(self, text: str) -> Row:
        """Return the one row that a text names: ``shard:row``, or a cell as :meth:`find` takes it."""
        shard, colon, row = text.rpartition(":")
        if colon and row.isdecimal():
            return self.cell_of(shard, int(row))
        rows, dropped = self.find(text)
        if len(rows) == 1:
            return rows[0]
        if rows:
            one = f"{text}_{rows[0].barcode}" if rows[0].barcode else f"{rows[0].shard}:{rows[0].row}"
            raise InputError(f"{text}: {len(rows)} rows; name one of them, such as {one}.")
        raise InputError(f"{text}: has no row; it was dropped ({dropped[0].reason}).")


def source_of(cell: Cell) -> tuple[str, ...]:
    """Return what cells of one segment have in common."""
    return cell[: len(_SOURCE)]
