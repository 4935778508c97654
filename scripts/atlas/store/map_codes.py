"""Codes for the rows of an atlas by its map: which series, sample, experiment, run or species each row is of."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scripts.atlas.store.row_map import Segment, read_segments
from scripts.atlas.store.shards import SEGMENTS, Atlas, Shard
from scripts.core.errors import InputError

if TYPE_CHECKING:
    import numpy

MAP_COLUMNS = ("series", "sample", "experiment", "run", "species")


def has_map(atlas: Atlas) -> bool:
    """Whether an atlas says which cell each of its rows is."""
    return (atlas.path / SEGMENTS).is_file()


def shard_segments(atlas: Atlas) -> Iterator[tuple[Shard, list[Segment]]]:
    """Yield each shard of an atlas with its segments; only those of one shard are held.

    Raises InputError where the map does not have every row of every shard once, in their order.
    """
    path = atlas.path / SEGMENTS
    segments = (segment for segment in read_segments(path) if segment.rows)
    segment = next(segments, None)
    for shard in atlas.shards:
        mine: list[Segment] = []
        at = 0
        while segment is not None and segment.shard == shard.name and segment.row_start == at:
            mine.append(segment)
            at += segment.rows
            segment = next(segments, None)
        if at != shard.rows:
            raise InputError(
                f"{path}: it does not have the {shard.rows:,} rows of {shard.name} one after the other, but"
                f" {at:,} and then {_place(segment)}. Run 'atlas check {atlas.path}' for all of its faults."
            )
        yield shard, mine
    if segment is not None:
        raise InputError(f"{path}: {_place(segment)} is no row of a shard, or out of order.")


def _place(segment: Segment | None) -> str:
    return "no more" if segment is None else f"row {segment.row_start:,} of {segment.shard}"


class MapCodes:
    """Codes of some columns of the map, joint for all atlases that are read one after the other."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.places: dict[str, dict[str, int]] = {column: {} for column in columns}
        """Column → value → code, in the order in which they come."""

    def names(self, column: str) -> list[str]:
        """Return the value of each code."""
        return list(self.places[column])

    def shards(self, atlas: Atlas) -> "Iterator[tuple[Shard, dict[str, numpy.ndarray]]]":
        """Yield each shard of an atlas with column → code of each of its rows (intp)."""
        import numpy as np

        if not self.places:
            yield from ((shard, {}) for shard in atlas.shards)
            return
        for shard, segments in shard_segments(atlas):
            rows = [segment.rows for segment in segments]
            codes = {}
            for column, places in self.places.items():
                mine = [places.setdefault(getattr(segment, column), len(places)) for segment in segments]
                codes[column] = np.repeat(np.array(mine, np.intp), rows)
            yield shard, codes
