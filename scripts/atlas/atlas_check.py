"""Read every file of atlases and list all of their faults.

Every file is read once: names, widths and types, numbers of rows, the CRC, finite numbers, codes that the decoders
know; with a manifest and a map, sizes and sha256 of all files, that there is no other file, that segments cover every
row exactly once, and the sums of barcodes. Works on the public atlas too, which has no map. Prints what an atlas has;
exit status 0 without a fault, else 2 and every fault.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.atlas.options import add_layout_option
from scripts.atlas.store.layout import Layout, read_layout
from scripts.atlas.store.npz import ArrayFile
from scripts.atlas.store.part import EXAMPLES, has_exponent_31
from scripts.atlas.store.row_map import Segment, barcode_sha256, file_sum, has_map, read_dropped, read_segments
from scripts.atlas.store.shards import BARCODES, DECODERS, DROPPED, MANIFEST, SEGMENTS, Atlas, Shard
from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file, kind_of_item, open_regular, path_below
from scripts.core.errors import InputError, raise_faults, try_all
from scripts.harvest.results import TIME_STAMP

CHUNK = 1 << 19  # bytes that are checked together, so that they stay in the processor's cache


@dataclass
class AtlasSize:
    """What an atlas has."""

    bytes: int = 0
    deflated: int = 0
    """Files that are deflated."""
    runs: int = 0
    dropped: int = 0


class NumberCheck:
    """Finds rows that are not finite, and codes that a decoder may not know, in the chunks of a file."""

    def __init__(self, kind: str, limits: Mapping[int, tuple[int, set[int], str]]) -> None:
        self.kind = kind
        self.limits = limits
        self.rows = self.bad_rows = 0
        self.first_bad = -1
        self.seen: dict[int, np.ndarray] = {}
        """Column → which of the 65536 codes occur, for columns with a code beyond its limit."""

    def add(self, rows: np.ndarray) -> None:
        if self.kind == "top3":
            greatest = rows.max(axis=0)
            for column, (below, *_) in self.limits.items():
                if greatest[column] >= below:
                    self.seen.setdefault(column, np.zeros(65536, bool))[rows[:, column]] = True
        elif self.kind != BARCODES and has_exponent_31(rows):
            bad = ~np.isfinite(rows).all(axis=1)
            if not self.bad_rows:
                self.first_bad = self.rows + int(np.argmax(bad))
            self.bad_rows += int(bad.sum())
        self.rows += len(rows)

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each fault of the numbers."""
        if self.bad_rows:
            yield f"{self.bad_rows:,} rows have a number that is not finite, the first is row {self.first_bad}."
        for column, codes in sorted(self.seen.items()):
            _, known, name = self.limits[column]
            strange = [code for code in codes.nonzero()[0].tolist() if code not in known]
            if strange:
                some = ", ".join(map(str, strange[:EXAMPLES])) + (", …" if len(strange) > EXAMPLES else "")
                yield f"column {column} ({name}) has codes that its decoder does not know: {some}."


def file_faults(file: ArrayFile, numbers: NumberCheck, listed: Mapping[str, Any] | None) -> Iterator[str]:
    """Read a file once; yield a sentence for each fault of its CRC, its numbers, and its sum.

    ``listed``: its size and sha256 in the manifest; None without.
    """
    name = file.path.name
    summed = listed is not None and file.kind != "deflated"  # its bytes are read in the order of the file
    total = hashlib.sha256()
    try:
        with file.path.open("rb") as handle:
            if summed:
                total.update(handle.read(file.offset))
            for rows in file.scan(max(1, CHUNK // max(1, file.row_bytes)), verify=True):
                if summed:
                    total.update(rows.reshape(-1).view(np.uint8).data)
                numbers.add(rows)
            if summed:
                handle.seek(file.offset + file.rows * file.row_bytes)
                total.update(handle.read())
    except InputError as error:
        yield str(error)
    except OSError as error:
        yield f"{name}: cannot be read: {error.strerror}."
    yield from (f"{name}: {fault}" for fault in numbers.faults())
    if listed is not None:
        digest = total.hexdigest() if summed else hash_file(file.path)
        yield from sum_faults(name, {"bytes": file.bytes, "sha256": digest}, listed)


def sum_faults(name: str, found: Mapping[str, Any], listed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence where a file is not as the manifest says."""
    if found["bytes"] != listed.get("bytes"):
        yield f"{name}: {found['bytes']:,} bytes, but the manifest says {listed.get('bytes')}."
    elif found["sha256"] != listed.get("sha256"):
        yield f"{name}: changed; its sha256 is not that of the manifest."


def decoder_limits(layout: Layout, decoders: Mapping[str, Mapping[str, str]]) -> dict[int, tuple[int, set[int], str]]:
    """Return column of the labels → the code below which all are known, all known codes, and its class."""
    limits: dict[int, tuple[int, set[int], str]] = {}
    for name, _ in layout.labels:
        known = {int(code) for code in decoders.get(name, ())}
        below = next(code for code in range(len(known) + 1) if code not in known)
        columns = layout.label(name)
        if known:
            limits |= dict.fromkeys(range(columns.start, columns.stop), (below, known, name))
    return limits


def shard_faults(atlas: Atlas, shard: Shard, found: AtlasSize) -> Iterator[str]:
    """Read the files of a shard; yield a sentence for each fault, and count what was found."""
    listed = next(
        (each.get("files", {}) for each in (atlas.manifest or {}).get("shards", []) if each["name"] == shard.name),
        None,
    )
    limits = decoder_limits(atlas.layout, atlas.decoders)
    for kind, file in shard.files.items():
        if listed is not None and file.path.name not in listed:
            yield f"{file.path.name}: not in the manifest."
        fits = kind != "top3" or file.shape[1] == atlas.layout.label_width
        numbers = NumberCheck(kind, limits if fits else {})
        yield from file_faults(file, numbers, None if listed is None else listed.get(file.path.name))
        found.bytes += file.bytes
        found.deflated += file.kind == "deflated"
    for name in listed or ():
        if all(name != file.path.name for file in shard.files.values()) and not (atlas.path / name).exists():
            yield f"{name}: in the manifest, but not there."


def map_faults(atlas: Atlas, found: AtlasSize) -> Iterator[str]:
    """Yield a sentence for each fault of segments and barcodes, which must name the cell of every row once."""
    by_shard: dict[str, list[Segment]] = {}
    dropped = 0
    runs = set()
    try:
        for segment in read_segments(atlas.path / SEGMENTS):
            dropped += segment.dropped
            runs.add((segment.series, segment.experiment, segment.run, segment.species))
            if segment.rows:
                by_shard.setdefault(segment.shard, []).append(segment)
    except InputError as error:
        yield str(error)
        return
    found.runs, found.dropped = len(runs), dropped
    names = {shard.name for shard in atlas.shards}
    yield from (f"{SEGMENTS}: {name} is no shard of this atlas." for name in by_shard if name not in names)
    for shard in atlas.shards:
        segments = sorted(by_shard.get(shard.name, []), key=lambda segment: segment.row_start)
        yield from cover_faults(shard, segments)
        if BARCODES not in shard.files:
            yield f"{shard.name}_{BARCODES}.npz: not there, though there is a map."
        elif shard.files[BARCODES].rows == shard.rows:
            yield from barcode_faults(shard, segments)
    yield from dropped_faults(atlas.path / DROPPED, dropped)


def cover_faults(shard: Shard, segments: Sequence[Segment]) -> Iterator[str]:
    """Yield a sentence for rows of a shard that no segment has, or more than one; ``segments`` are sorted."""
    row = 0
    faults = []
    for segment in segments:
        name = segment.run or segment.experiment
        if segment.row_start > row:
            faults.append(f"rows {row} to {segment.row_start - 1} are in no segment.")
        elif segment.row_start < row:
            faults.append(f"the segment of {name} begins at row {segment.row_start}, where another one is already.")
        row = max(row, segment.row_start + segment.rows)
    if row < shard.rows:
        faults.append(f"rows {row} to {shard.rows - 1} are in no segment.")
    if row > shard.rows:
        faults.append(f"its segments have {row} rows, the shard {shard.rows}.")
    yield from first_faults(f"{SEGMENTS}: {shard.name}", faults)


def first_faults(name: str, faults: Sequence[str]) -> Iterator[str]:
    """Yield the first faults of a file, and the number of the others."""
    yield from (f"{name}: {fault}" for fault in faults[:EXAMPLES])
    if len(faults) > EXAMPLES:
        yield f"{name}: and {len(faults) - EXAMPLES} more faults like these."


def barcode_faults(shard: Shard, segments: Sequence[Segment]) -> Iterator[str]:
    """Yield a sentence for segments whose barcodes have changed, or are not all different."""
    barcodes = shard.files[BARCODES].read()
    faults = []
    for segment in segments:
        here = barcodes[segment.row_start : segment.row_start + segment.rows].tolist()
        name = segment.run or segment.experiment
        if barcode_sha256(here) != segment.barcode_sha256:
            faults.append(f"the barcodes of {name} are not those of {SEGMENTS} (barcode_sha256).")
        twice = [barcode for barcode, times in Counter(here).items() if times > 1 and barcode] if len(here) > 1 else []
        if twice:
            faults.append(f"{name} has the barcode {twice[0].decode(errors='replace')} in more than one row.")
    yield from first_faults(f"{shard.name}_{BARCODES}.npz", faults)


def dropped_faults(path: Path, dropped: int) -> Iterator[str]:
    """Yield a sentence where dropped.tsv does not have the cells that the segments say were dropped."""
    try:
        cells = list(read_dropped(path))
    except InputError as error:
        yield str(error)
        return
    if len(cells) != dropped:
        yield f"{DROPPED}: {len(cells):,} cells, but the segments dropped {dropped:,}."
    yield from (f"{DROPPED}: {cell.run} {cell.barcode}: no reason." for cell in cells if not cell.reason)


def manifest_faults(atlas: Atlas) -> Iterator[str]:
    """Yield a sentence for each other fault of the manifest."""
    manifest = atlas.manifest or {}
    if atlas.has_labels and DECODERS not in manifest.get("files", {}):
        yield f"{DECODERS}: not in the manifest, though the atlas has labels."
    for name, listed in sorted(manifest.get("files", {}).items()):
        yield from listed_faults(path_below(atlas.path, name), listed)
    known = {MANIFEST, *manifest["files"], *(name for shard in manifest["shards"] for name in shard.get("files", {}))}
    of_shards = {file.path.name for shard in atlas.shards for file in shard.files.values()}
    for item in sorted(os.scandir(atlas.path), key=lambda item: item.name):
        status = item.stat(follow_symlinks=False)
        kind = kind_of_item(status.st_mode)
        marked = item.name == TIME_STAMP and kind == "file" and not status.st_size
        if item.name not in known | of_shards and not marked:
            yield f"{item.name if item.name.isprintable() else repr(item.name)}: a {kind} that is not in the manifest."
    if manifest.get("rows") != atlas.rows_total:
        yield f"the manifest says {manifest.get('rows')} rows, but the shards have {atlas.rows_total:,}."
    rows = {shard.name: shard.rows for shard in atlas.shards}
    for shard in manifest.get("shards", []):
        name, listed = shard["name"], shard.get("rows")
        if name in rows and listed != rows[name]:
            yield f"{name}: {rows[name]} rows, but the manifest says {listed}."


def listed_faults(path: Path, listed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence where a file is not there, or not as the manifest says."""
    try:
        with open_regular(path) as handle:
            size = os.fstat(handle.fileno()).st_size
        # The sum of a file of another size is not needed.
        sums = file_sum(path) if size == listed.get("bytes") else {"bytes": size, "sha256": ""}
    except FileNotFoundError:
        yield f"{path.name}: in the manifest, but not there."
    except InputError as error:
        yield str(error)
    except OSError as error:
        yield f"{path.name}: cannot be read: {error.strerror}."
    else:
        yield from sum_faults(path.name, sums, listed)


def check(path: str | Path, layout: Layout | None = None) -> tuple[Atlas, AtlasSize, list[str]]:
    """Read all of an atlas; return it, what it has, and a sentence for each fault.

    Raises InputError where nothing of it can be read.
    """
    faults: list[str] = []
    found = AtlasSize()
    atlas = Atlas(path, layout, faults)
    for shard in atlas.shards:
        faults += shard_faults(atlas, shard, found)
    if atlas.manifest is not None:
        faults += manifest_faults(atlas)
    if atlas.manifest is not None or (atlas.path / SEGMENTS).exists():
        faults += map_faults(atlas, found)
    return atlas, found, faults


def describe(atlas: Atlas, found: AtlasSize) -> Iterator[str]:
    """Yield lines on what an atlas has."""
    yield f"{atlas.path}: {atlas.rows_total:,} rows in {len(atlas.shards):,} shards, {found.bytes:,} bytes."
    if atlas.manifest is not None:
        weights = atlas.backend.get("weights_sha256")
        program = f"{atlas.backend.get('name')} {atlas.backend.get('version')}"
        yield f"  by {program}, weights {weights}" if weights else f"  by {program}"
    yield "  embeddings: " + ", ".join(f"{name} {width}" for name, width in atlas.layout.embeddings)
    labels = ", ".join(f"{name} {width}" for name, width in atlas.layout.labels)
    yield f"  labels: {labels}" if atlas.has_labels else "  no labels: the back end gives none"
    if has_map(atlas):
        yield f"  map: the rows come from {found.runs:,} runs or plate cells; {found.dropped:,} cells were dropped"
    else:
        yield f"  no map ({SEGMENTS}): the cells of its rows are unknown"
    if found.deflated:
        yield f"  {found.deflated:,} files are deflated: they are read, but ten times as slow as stored ones"
    if atlas.has_labels:
        yield from (f"  {note}" for note in atlas.decoder_notes())
    yield from (f"  not complete? {note}" for note in atlas.gap_notes())


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlases", nargs="+", metavar="ATLAS", help="folders of atlases")
    add_layout_option(parser)
    options = parser.parse_args(argv)
    layout = read_layout(options.layout) if options.layout else None

    def report(path: str) -> None:
        atlas, found, faults = check(path, layout)
        print(*describe(atlas, found), sep="\n", flush=True)
        raise_faults(atlas.title, faults)

    try_all(report, options.atlases)
