"""Pack embedded parts into an atlas: shards of the public format, and a map to cells.

Parts (folders that atlas_embed wrote) are packed in the order given; rows of a run stay together. A shard is closed
after the run with which it exceeds --shard-rows. Cells that a back end dropped are in no shard but in dropped.tsv, with
the reason. All parts must come from one back end. The folder appears when it is complete.
"""

import dataclasses
import itertools
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.atlas.store.files import new_folder, write_json, write_table
from scripts.atlas.store.part import Description, EmbeddedPart
from scripts.atlas.store.row_map import MAP_COLUMNS, DroppedCell, Segment, barcode_sha256, write_manifest
from scripts.atlas.store.shards import DECODERS, DROPPED, MANIFEST, MODEL, SEGMENTS, ShardWriter, shard_name
from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file
from scripts.core.disk.folders import require_whole
from scripts.core.errors import InputError, raise_faults, try_all

SHARD_ROWS = 100_000
CHUNK = 4096  # rows that are in memory at a time


class Group(NamedTuple):
    """Neighbouring cells of a matrix that come from one run."""

    part: int
    start: int
    stop: int
    kept: int
    source: tuple[str, ...]
    barcode_width: int
    """Of its longest barcode."""


def open_parts(folders: Sequence[str]) -> list[EmbeddedPart]:
    """Open the parts and read all of their numbers. Raises InputError with all faults of all parts."""
    parts: list[EmbeddedPart] = []

    def open_part(folder: str) -> None:
        part = EmbeddedPart(folder)
        raise_faults(part.title, part.faults())
        parts.append(part)
        first, other = (each.description.to_json() for each in (parts[0], part))
        differing = [key for key in sorted(first) if key != "notes" and first[key] != other[key]]
        if differing:
            raise InputError(
                f"{parts[0].folder} and {folder} do not come from one back end: {', '.join(differing)} differ"
                f" ({first[differing[0]]}; {other[differing[0]]}). Make an atlas of each."
            )

    try_all(open_part, folders)
    return parts


def group_cells(parts: Sequence[EmbeddedPart]) -> list[Group]:
    """Return the runs of all parts, in order. Raises InputError where a run's cells are in two parts."""
    groups: list[Group] = []
    faults = []
    seen: dict[tuple[str, ...], int] = {}
    for number, part in enumerate(parts):
        start = 0
        for source, cells in itertools.groupby(part.cells(), key=lambda cell: cell[: len(MAP_COLUMNS)]):
            widths = [len(cell.barcode.encode()) for cell in cells]
            stop = start + len(widths)
            groups.append(Group(number, start, stop, int(part.kept[start:stop].sum()), source, max(widths)))
            start = stop
            if seen.setdefault(source, number) != number:
                faults.append(f"{' '.join(source)}: in {parts[seen[source]].folder}, and in {part.folder} too.")
    raise_faults("The parts", faults)
    return groups


def cut_into_shards(groups: Sequence[Group], shard_rows: int) -> Iterator[list[Group]]:
    """Yield the runs of each shard: whole runs, until there are more rows than ``shard_rows``."""
    rows = 0
    taken: list[Group] = []
    for group in groups:
        taken.append(group)
        rows += group.kept
        if rows > shard_rows:
            yield taken
            rows, taken = 0, []
    if taken:
        yield taken


class Packer:
    """Writes shards one after the other, and collects their segments and dropped cells."""

    def __init__(self, folder: Path, parts: Sequence[EmbeddedPart]) -> None:
        self.folder = folder
        self.parts = parts
        notes = dict.fromkeys(note for part in parts for note in part.description.notes)
        self.description = dataclasses.replace(parts[0].description, notes=tuple(notes))
        self.segments: list[Segment] = []
        self.dropped: list[DroppedCell] = []
        self.shards: dict[str, tuple[int, list[Path]]] = {}
        self._cells = [part.cells() for part in parts]

    def write(self, groups: Sequence[Group]) -> None:
        """Write the shard of these runs; none where all their cells were dropped."""
        rows = sum(group.kept for group in groups)
        if not rows:
            for group in groups:
                self._take(group, None, 0)
            return
        name = shard_name(self.description.name, len(self.shards))
        width = max(group.barcode_width for group in groups)
        writer = ShardWriter(self.folder, name, self.description.layout, rows, width)
        with writer:
            for _, several in itertools.groupby(groups, key=lambda group: group.part):
                self._write_run_by_run(list(several), name, writer)
        self.shards[name] = rows, list(writer.paths.values())

    def _write_run_by_run(self, groups: Sequence[Group], name: str, writer: ShardWriter) -> None:
        """Write the kept rows of neighbouring runs of a part."""
        part = self.parts[groups[0].part]
        written = writer.written
        barcodes: list[bytes] = []
        for group in groups:
            barcodes += self._take(group, name, written + len(barcodes))
        done = 0
        for start in range(groups[0].start, groups[-1].stop, CHUNK):
            kept = np.flatnonzero(part.kept[start : min(start + CHUNK, groups[-1].stop)]) + start
            rows = slice(start, start + len(kept)) if len(kept) and kept[-1] - start + 1 == len(kept) else kept
            arrays = {kind: array[rows] for kind, array in part.arrays.items()}
            writer.append(**arrays, barcodes=np.array(barcodes[done : done + len(kept)], writer.barcode_type))
            done += len(kept)

    def _take(self, group: Group, shard: str | None, row: int) -> list[bytes]:
        """Note the segment and the dropped cells of a run; return the barcodes of its rows."""
        part = self.parts[group.part]
        assert part.matrix is not None
        barcodes = []
        for row_of_part, cell in zip(range(group.start, group.stop), self._cells[group.part], strict=False):
            if part.kept[row_of_part]:
                barcodes.append(cell.barcode.encode())
            else:
                self.dropped.append(DroppedCell(*cell, part.dropped[row_of_part]))
        rows = (shard or "", row, group.kept) if group.kept else ("", 0, 0)
        matrix = (part.matrix.path, part.matrix.sha256, barcode_sha256(barcodes))
        dropped = group.stop - group.start - group.kept
        self.segments.append(Segment._make([*rows, *group.source, *matrix, dropped]))
        return barcodes

    def finish(self, model: Path | None) -> None:
        """Write the other files of the atlas, the manifest last."""
        write_table(self.folder / SEGMENTS, Segment._fields, self.segments)
        write_table(self.folder / DROPPED, DroppedCell._fields, self.dropped)
        write_json(self.folder / DECODERS, self.description.to_json()["decoders"])
        files = [SEGMENTS, DROPPED, DECODERS]
        if model is not None:
            shutil.copyfile(model, self.folder / MODEL)
            files.append(MODEL)
        write_manifest(self.folder, self.description, self.shards, files)


def model_faults(model: Path | None, description: Description) -> Iterator[str]:
    """Yield a sentence where the model is not that of the parts."""
    if model is None:
        return
    if not model.is_file():
        yield f"--model {model}: not there."
    elif description.weights_sha256 is not None and hash_file(model) != description.weights_sha256:
        yield (
            f"--model {model}: not the model that the parts were made with; the sha256 of that one is"
            f" {description.weights_sha256}."
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument(
        "--parts", nargs="+", required=True, metavar="FOLDER", help="embedded parts, as atlas_embed writes them"
    )
    parser.add_argument("--output", required=True, help="the folder of the atlas")
    parser.add_argument("--shard-rows", type=int, default=SHARD_ROWS, metavar="ROWS", help="rows of a shard")
    parser.add_argument("--model", nargs="*", default=[], help="the file of the model, to keep with the atlas")
    options = parser.parse_args(argv)
    if options.shard_rows < 1:
        parser.error("--shard-rows: a number from 1")
    if len(options.model) > 1:
        parser.error("--model: one file")
    model = Path(options.model[0]) if options.model else None
    for part in options.parts:
        require_whole(part)
    parts = open_parts(options.parts)
    raise_faults("The model", model_faults(model, parts[0].description))
    groups = group_cells(parts)
    with new_folder(options.output, MANIFEST) as folder:
        packer = Packer(folder, parts)
        for several in cut_into_shards(groups, options.shard_rows):
            packer.write(several)
        packer.finish(model)
    rows = sum(rows for rows, _ in packer.shards.values())
    print(
        f"{options.output}: {rows:,} rows of {len(groups):,} runs in {len(packer.shards):,} shards;"
        f" {len(packer.dropped):,} cells dropped.",
        file=sys.stderr,
    )
