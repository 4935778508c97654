"""What became of the reads of each cell that STARsolo counted together, from its BAM file.

STARsolo gives the counts of each cell, but says of the whole call alone how many reads map where: its table of cells
(``--soloCellReadStats``) crashes with ``--soloType SmartSeq`` (2.7.10b). The BAM file names the cell of each read (RG),
the one gene of an alignment (GX, ``-`` for none or several) and all of them (gx). A read of several loci counts where
all its alignments together are in one gene, which no single record says: how many do follows from the counts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.plates.bam_groups import UNMAPPED, BamError, BamReader, Fragments
from scripts.plates.shard_counts import TALLIES
from scripts.star.log import INPUT_READS, MULTIPLE_LOCI, TOO_MANY_LOCI, UNIQUELY_MAPPED

ATTRIBUTES = "NH RG GX gx"
"""--outSAMattributes of such a call; the order counts here."""
WIDTH = 5
"""Digits of the name of a read group: its number in the manifest."""
_NO_GENE = int.from_bytes(b"-\0", "little")
_KINDS = {
    ord("0"): "Number of reads unmapped: other",
    ord("1"): "Number of reads unmapped: too short",
    ord("2"): "Number of reads unmapped: too many mismatches",
    ord("3"): TOO_MANY_LOCI,
}
"""STAR's tag uT of a read that is not mapped → the field of its log."""
_IN_GENE = "of one locus, in a gene"
_NOT_UNIQUE = "__alignment_not_unique"
NUMBERS = (INPUT_READS, UNIQUELY_MAPPED, MULTIPLE_LOCI, *_KINDS.values(), *TALLIES, _IN_GENE)
_LOG = (
    (INPUT_READS, ""),
    ("UNIQUE READS:", None),
    (UNIQUELY_MAPPED, "Uniquely mapped reads %"),
    ("MULTI-MAPPING READS:", None),
    (MULTIPLE_LOCI, "% of reads mapped to multiple loci"),
    (TOO_MANY_LOCI, "% of reads mapped to too many loci"),
    ("UNMAPPED READS:", None),
    *((f"Number of {kind}", f"% of {kind}") for kind in ("reads unmapped: too many mismatches",)),
    *((f"Number of {kind}", f"% of {kind}") for kind in ("reads unmapped: too short", "reads unmapped: other")),
)


class ReadNumbers(NamedTuple):
    """Numbers of reads of some cells: int64, cells × :data:`NUMBERS`."""

    table: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Return a number of each cell."""
        return np.asarray(self.table[:, NUMBERS.index(name)])

    def tallies(self) -> np.ndarray:
        """Return htseq-count's tallies, cells × 5; reads that are not mapped are in none, as where STAR drops them."""
        return np.stack([self.of(name) for name in TALLIES], axis=1)

    def settle(self, counted: np.ndarray) -> bool:
        """Set how many reads of several loci count for no gene; ``counted`` (int64) are the counts of each cell.

        Returns whether that is possible: reads of one locus in a gene count, and those of several may.
        """
        rest = self.of(MULTIPLE_LOCI) - (counted - self.of(_IN_GENE))
        self.table[:, NUMBERS.index(_NOT_UNIQUE)] = rest
        return bool(((rest >= 0) & (rest <= self.of(MULTIPLE_LOCI))).all())

    def log(self, cell: int) -> dict[str, str]:
        """Return the fields of STAR's log that are known of a cell, in STAR's order."""
        numbers = dict(zip(NUMBERS, self.table[cell].tolist(), strict=True))
        reads = numbers[INPUT_READS]
        fields: dict[str, str] = {}
        for name, share in _LOG:
            fields[name] = "" if share is None else str(numbers[name])
            if share:
                fields[share] = f"{100 * numbers[name] / reads if reads else 0:.2f}%"
        return fields


def read_numbers(path: str | Path, cells: int) -> ReadNumbers:
    """Return the numbers of reads of each cell of a BAM file. Raises BamError where it is not as STARsolo writes it."""
    table = np.zeros((cells, len(NUMBERS)), np.int64)
    with BamReader(path) as reader:
        for chunk in reader.fragments():
            _add_chunk(table, chunk, str(path))
    return ReadNumbers(table)


def check_sums(numbers: ReadNumbers, log: Mapping[str, str]) -> str:
    """Return where the numbers of all cells together are not those of STAR's log of the call; empty where they are."""
    for name in (INPUT_READS, UNIQUELY_MAPPED, MULTIPLE_LOCI, *_KINDS.values()):
        if name in log and int(log[name]) != (found := int(numbers.of(name).sum())):
            return f"{name}: {found} in its BAM file, but {log[name]} in its log."
    return ""


def _add_chunk(table: np.ndarray, chunk: Fragments, path: str) -> None:
    """Add the fragments of a chunk; that of a pair is mapped where a mate is."""
    first, second = chunk.first, chunk.second
    aligned = (chunk.flag & UNMAPPED) == 0
    use_second = (first < 0) | ((second >= 0) & ~aligned[first] & aligned[second])
    record = np.where(use_second, second, first)
    mapped = aligned[record]
    _add_mapped(table, chunk, record[mapped], path)
    _add_unmapped(table, chunk, record[~mapped], path)


def _cell_numbers(chunk: Fragments, at: np.ndarray, path: str) -> np.ndarray:
    """Return the number of the cell whose tag RG begins at these bytes."""
    _require(chunk, at, b"RGZ", path)
    digits = [chunk.raw[at + 3 + place].astype(np.int64) - ord("0") for place in range(WIDTH)]
    return np.asarray(sum(digit * 10 ** (WIDTH - 1 - place) for place, digit in enumerate(digits)))


def _require(chunk: Fragments, at: np.ndarray, tag: bytes, path: str) -> None:
    for offset, byte in enumerate(tag):
        if (chunk.raw[at + offset] != byte).any():
            raise BamError(f"{path}: a record without the tag {tag[:2].decode()} where STARsolo writes it.")


def _add(table: np.ndarray, cells: np.ndarray, name: str) -> None:
    table[:, NUMBERS.index(name)] += np.bincount(cells, minlength=len(table))[: len(table)]


def _add_mapped(table: np.ndarray, chunk: Fragments, record: np.ndarray, path: str) -> None:
    group = chunk.tags[record] + 4  # behind NH, a tag of one byte
    cells = _cell_numbers(chunk, group, path)
    several = chunk.hits[record] > 1
    _add(table, cells, INPUT_READS)
    _add(table, cells[~several], UNIQUELY_MAPPED)
    _add(table, cells[several], MULTIPLE_LOCI)
    cells, gene = cells[~several], group[~several] + 3 + WIDTH + 1
    _require(chunk, gene, b"GXZ", path)
    no_gene = _two_bytes(chunk, gene + 3) == _NO_GENE
    _add(table, cells[~no_gene], _IN_GENE)
    cells, genes = cells[no_gene], gene[no_gene] + 5  # behind GX, which has no gene
    _require(chunk, genes, b"gxZ", path)
    featureless = _two_bytes(chunk, genes + 3) == _NO_GENE
    _add(table, cells[featureless], "__no_feature")
    _add(table, cells[~featureless], "__ambiguous")


def _two_bytes(chunk: Fragments, at: np.ndarray) -> np.ndarray:
    return chunk.raw[at].astype(np.int64) + 256 * chunk.raw[at + 1].astype(np.int64)


def _add_unmapped(table: np.ndarray, chunk: Fragments, record: np.ndarray, path: str) -> None:
    group = chunk.ends[record] - (3 + WIDTH + 1)  # the last tag
    cells = _cell_numbers(chunk, group, path)
    _require(chunk, group - 4, b"uTA", path)
    kinds = chunk.raw[group - 1]
    _add(table, cells, INPUT_READS)
    for kind, name in _KINDS.items():
        _add(table, cells[kinds == kind], name)
