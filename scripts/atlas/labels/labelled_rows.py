"""The rows of atlases with a label and a group each: what a model is fitted to and tested on."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from scripts.atlas.labels.given_labels import NONE, GivenLabels
from scripts.atlas.labels.split import SHARD, linked
from scripts.atlas.labels.tables import sum_rows
from scripts.atlas.store.decoders import LabelNames
from scripts.atlas.store.row_map import Segment, shard_segments
from scripts.atlas.store.shards import BARCODES, Atlas, Shard


class LabelledRows:
    """Reads the rows of atlases shard by shard, as often as needed; those of one shard are in memory.

    ``labels``: a table of labels, joined through the map, or the names of the atlases' own labels: their first guesses.
    ``split``: what a group is.
    """

    def __init__(self, atlases: Sequence[Atlas], split: str, labels: GivenLabels | LabelNames) -> None:
        self.atlases = atlases
        self.split = split
        self.given = labels if isinstance(labels, GivenLabels) else None
        self.own = labels if isinstance(labels, LabelNames) else None
        self.groups: dict[str, int] = {}
        """Group → number, in the order in which they occur."""
        self.group_of = {} if split == SHARD else linked(atlases, split)
        """Series or sample → its group."""

    def names(self, codes: int) -> list[str]:
        """Return the label of each code, of so many where codes stand for themselves."""
        return self.given.names if self.given is not None else self.own.names(codes) if self.own else []

    def shards(self) -> Iterator[tuple[int, Shard, np.ndarray, np.ndarray | None]]:
        """Yield number of the atlas, shard, group of each row, and its code in the table of labels (None without)."""
        for number, atlas in enumerate(self.atlases):
            mapped = self.given is not None or self.split != SHARD
            for shard, segments in shard_segments(atlas) if mapped else ((shard, []) for shard in atlas.shards):
                if self.split == SHARD:
                    name = f"{atlas.path.name}/{shard.name}" if len(self.atlases) > 1 else shard.name
                    group = self.groups.setdefault(name, len(self.groups))
                    groups = np.full(shard.rows, group, np.intp)
                else:
                    names = (self.group_of[getattr(segment, self.split)] for segment in segments)
                    mine = [self.groups.setdefault(name, len(self.groups)) for name in names]
                    groups = np.repeat(np.array(mine, np.intp), [segment.rows for segment in segments])
                codes = None if self.given is None else self._given_codes(self.given, shard, segments)
                yield number, shard, groups, codes

    def _given_codes(self, given: GivenLabels, shard: Shard, segments: Sequence[Segment]) -> np.ndarray:
        barcodes = shard.files[BARCODES].read() if BARCODES in shard.files and given.barcodes else None
        codes = [np.zeros(0, np.int32)]
        for segment in segments:
            first = segment.row_start
            mine = None if barcodes is None else barcodes[first : first + segment.rows]
            codes.append(given.codes(segment, mine))
        return np.concatenate(codes)

    @cached_property
    def cells(self) -> np.ndarray:
        """Labelled cells of each group, int64; from the map alone, no vector is read."""
        counts = np.zeros(0, np.int64)
        for _, _, groups, codes in self.shards():
            mine = np.bincount(groups if codes is None else groups[codes != NONE], minlength=len(self.groups))
            mine[: len(counts)] += counts
            counts = mine
        return counts

    def chunks(self, block: str, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield code (int32) and vector of the rows that have a label and whose group is wanted.

        ``wanted``: bool [groups]. Vectors are float16 [rows, columns of the block].
        """
        for number, shard, groups, given in self.shards():
            keep = wanted[groups] if given is None else wanted[groups] & (given != NONE)
            if not keep.any():
                continue
            atlas = self.atlases[number]
            bounds, size = (shard.first, shard.first + shard.rows), sum_rows(atlas)
            starts = range(0, shard.rows, size)
            every = (
                self._own_codes(number, size, bounds)
                if given is None
                else (given[start : start + size] for start in starts)
            )
            for start, vectors, codes in zip(starts, atlas.scan(block, size, "embs", *bounds), every, strict=True):
                mine = keep[start : start + size]
                yield codes[mine], vectors[mine]

    def _own_codes(self, number: int, size: int, bounds: tuple[int, int]) -> Iterator[np.ndarray]:
        own = self.own
        assert own is not None
        by_code = own.by_code(number)
        for guesses in self.atlases[number].scan(own.label, size, "top3", *bounds):
            codes = by_code[guesses[:, 0]]
            if (codes < 0).any():
                own.refuse(number, np.unique(guesses[:, 0][codes < 0]).tolist())
            yield codes
