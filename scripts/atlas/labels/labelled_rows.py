"""The rows of atlases with a label and a group each: what a model is fitted to and tested on."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from scripts.atlas.labels.given_labels import NONE, GivenLabels
from scripts.atlas.labels.split import SHARD, linked
from scripts.atlas.labels.tables import sum_rows
from scripts.atlas.store.decoders import LabelNames
from scripts.atlas.store.map_codes import has_map, shard_segments
from scripts.atlas.store.shards import BARCODES, Atlas, Shard

if TYPE_CHECKING:
    import numpy

    from scripts.atlas.store.row_map import Segment


class LabelledRows:
    """Walks through the rows of atlases shard by shard, as often as it is asked to; holds those of one shard.

    Labels are those of a table, which are joined through the map, or else the first guesses of the atlases themselves
    (``own``). ``split``: what a group is.
    """

    def __init__(
        self,
        atlases: Sequence[Atlas],
        split: str,
        *,
        labels: GivenLabels | None,
        own: LabelNames | None,
    ) -> None:
        self.atlases = atlases
        self.split = split
        self.labels = labels
        self.own = own
        self.groups: dict[str, int] = {}
        """Group → number, in the order in which they come."""
        self.of = {} if split == SHARD else linked(atlases, split)
        """Series or sample → the group that it is of."""

    def names(self, codes: int) -> list[str]:
        """Return the label of each code, of so many where codes stand for themselves."""
        return self.labels.names if self.labels is not None else self.own.names(codes) if self.own else []

    def shards(self) -> "Iterator[tuple[int, Shard, numpy.ndarray, numpy.ndarray | None]]":
        """Yield number of the atlas, shard, group of each row, and its label where a table tells it (else None)."""
        import numpy as np

        for number, atlas in enumerate(self.atlases):
            mapped = has_map(atlas) and (self.labels is not None or self.split != SHARD)
            walk: Iterator[tuple[Shard, list[Segment]]]
            walk = shard_segments(atlas) if mapped else ((shard, []) for shard in atlas.shards)
            for shard, segments in walk:
                if self.split == SHARD:
                    name = f"{atlas.path.name}/{shard.name}" if len(self.atlases) > 1 else shard.name
                    group = self.groups.setdefault(name, len(self.groups))
                    groups = np.full(shard.rows, group, np.intp)
                else:
                    names = (self.of[getattr(segment, self.split)] for segment in segments)
                    mine = [self.groups.setdefault(name, len(self.groups)) for name in names]
                    groups = np.repeat(np.array(mine, np.intp), [segment.rows for segment in segments])
                yield number, shard, groups, self._told(shard, segments)

    def _told(self, shard: Shard, segments: "Sequence[Segment]") -> "numpy.ndarray | None":
        import numpy as np

        if self.labels is None:
            return None
        barcodes = None
        if BARCODES in shard.files and self.labels.barcodes:
            file = shard.files[BARCODES]
            parts = list(file.views(max(1, shard.rows)))
            barcodes = parts[0] if parts else None
        told = [np.zeros(0, np.int32)]
        for segment in segments:
            first = segment.row_start
            mine = None if barcodes is None else barcodes[first : first + segment.rows]
            told.append(self.labels.codes(segment, mine))
        return np.concatenate(told)

    @cached_property
    def cells(self) -> "numpy.ndarray":
        """How many cells with a label each group has, int64; found by reading the map, and no vector."""
        import numpy as np

        counts = np.zeros(0, np.int64)
        for _, _, groups, told in self.shards():
            mine = np.bincount(groups if told is None else groups[told != NONE], minlength=len(self.groups))
            mine[: len(counts)] += counts
            counts = mine
        return counts

    def chunks(self, block: str, wanted: "numpy.ndarray") -> "Iterator[tuple[numpy.ndarray, numpy.ndarray]]":
        """Yield code (int32) and vector of the rows that have a label and whose group is wanted.

        ``wanted`` says so for each group. Vectors are float16 [rows, columns of the block].
        """
        import numpy as np

        by_code: dict[int, numpy.ndarray] = {}
        for number, shard, groups, told in self.shards():
            keep = wanted[groups] if told is None else wanted[groups] & (told != NONE)
            if not keep.any():
                continue
            atlas = self.atlases[number]
            bounds, size = (shard.first, shard.first + shard.rows), sum_rows(atlas)
            starts = range(0, shard.rows, size)
            tops: Iterable[numpy.ndarray | None] = itertools.repeat(None, len(starts))
            if told is None:
                tops = atlas.scan(self.own.label, size, "top3", *bounds)
                if number not in by_code:
                    by_code[number] = self.own.by_code(number)
            for start, vectors, top in zip(starts, atlas.scan(block, size, "embs", *bounds), tops, strict=True):
                mine = keep[start : start + size]
                if top is None:
                    codes = told[start : start + size]
                else:
                    codes = by_code[number][top[:, 0]]
                    if (codes < 0).any():
                        self.own.refuse(number, np.unique(top[:, 0][codes < 0]).tolist())
                yield codes[mine], vectors[mine]
