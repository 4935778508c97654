"""The exon lines of an annotation that are near the alignments of a cell.

htseq-count reads an annotation for longer than it counts a cell. An exon that no alignment touches changes none of its
numbers, so the cell that it counts beside our own counter is counted with what is near: found here by the positions of
the alignments alone, not by the gene intervals that are checked.
"""

from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from scripts.plates.bam_groups import BamReader

NEAR = 1_000
"""Bases on both sides of an alignment."""


def aligned_regions(paths: Iterable[str | Path]) -> dict[str, tuple[list[int], list[int]]]:
    """Return contig → starts and ends (from 0, half-open, sorted, disjoint) of what is near a cell's alignments."""
    found: dict[str, list[np.ndarray]] = {}
    for path in paths:
        with BamReader(path) as reader:
            for chunk in reader.fragments(False):
                owner, start, length = chunk.spans(np.arange(len(chunk.contig)))
                spans = np.stack([chunk.contig[owner], start, start + length], axis=1)
                for contig in np.unique(spans[:, 0]).tolist():
                    name = reader.contigs[contig]
                    found.setdefault(name, []).append(_merge(spans[spans[:, 0] == contig, 1:]))
    regions = {}
    for name, pieces in found.items():
        starts, ends = _merge(np.concatenate(pieces)).T.tolist()
        regions[name] = ([start - NEAR for start in starts], [end + NEAR for end in ends])
    return regions


def _merge(spans: np.ndarray) -> np.ndarray:
    """Return the union of spans (n × 2: start, end) as sorted ones; those whose surroundings touch are one."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reached = np.maximum.accumulate(spans[:, 1])
    first = np.append(True, spans[1:, 0] > reached[:-1] + 2 * NEAR)
    last = np.append(np.flatnonzero(first)[1:] - 1, len(spans) - 1)
    return np.stack([spans[first, 0], reached[last]], axis=1)


def write_near_exons(paths: Iterable[str | Path], exons: str | Path, target: str | Path) -> None:
    """Write the exon lines near the alignments of a cell's BAM files, at least one line."""
    regions = {name.encode(): region for name, region in aligned_regions(paths).items()}
    with Path(exons).open("rb") as lines, Path(target).open("wb") as handle:
        first = b""
        for line in lines:
            contig, _, _, start, end, _ = line.split(b"\t", 5)
            first = first or line
            starts, ends = regions.get(contig, ((), ()))
            region = bisect_right(ends, int(start) - 1)
            if region < len(ends) and starts[region] < int(end):
                handle.write(line)
        if not handle.tell():
            handle.write(first)
