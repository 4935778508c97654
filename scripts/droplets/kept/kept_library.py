"""The folder ``units/solo/{library}``: what a library was counted to, before its cells are called.

- ``status.tsv``: the runs as they were counted (:mod:`scripts.plan.status`)
- ``Log.final.out``, ``Log.out``, ``Solo.out/Barcodes.stats``, ``Solo.out/{feature}/Features.stats``: as STAR wrote them
- ``Solo.out/{feature}/Summary.csv``: as STAR wrote it, without cells

and, of a library that was counted:

- ``counted.json``: object of ``options`` (option of STAR → value, as archives name them) and ``words`` (what comes last
  in the detail of the ledger)
- ``Solo.out/barcodes.tsv.gz``: the barcodes of every raw matrix
- ``Solo.out/{feature}/raw/features.tsv.gz``, ``Solo.out/{feature}/raw/{matrix}.mtx.gz``: as STAR wrote them
- ``Solo.out/{feature}/reads.tsv.gz``: the barcodes with reads of a gene feature, in the order of barcodes.tsv, under a
  head: ``number`` there (from 1), ``barcode``, ``reads`` (those of one gene; 0 where all are of several)
- ``Solo.out/{feature}/UMIperCellSorted.txt.gz``: the UMIs of each barcode of a gene feature, a line each, most first
- ``wells.tsv``, ``probe_set.txt``: where wells were joined, or probes counted

The same counts give the same bytes.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scripts.core.disk.files import parse_json, write_atomic
from scripts.core.disk.gzip_files import open_bytes, pack_bytes, pack_file, unpack_file
from scripts.core.errors import InputError
from scripts.droplets.barcodes import probe_set, wells
from scripts.droplets.starsolo import read_command
from scripts.formats.matrix_market import BLOCK, FormatError, read_matrix
from scripts.plan.matrices import GENE_FEATURES, matrix_names

if TYPE_CHECKING:
    import scipy.sparse

COUNTED = "counted.json"
CELL_READS = "CellReads.stats"
"""STAR's table of the reads of each barcode (``--soloCellReadStats Standard``)."""
_AS_THEY_ARE = (
    *("Log.final.out", "Log.out", "Solo.out/Barcodes.stats", "Solo.out/*/Features.stats", "Solo.out/*/Summary.csv"),
    *(wells.TABLE, probe_set.NOTE),
)
_MATRIX = "matrix.mtx"  # of unique reads, by which cells are called


class CountedReads(NamedTuple):
    """The barcodes that have reads of a feature, in the order of the raw matrices."""

    numbers: np.ndarray
    """int64: their columns in the raw matrices, from 0."""
    barcodes: list[str]
    reads: np.ndarray
    """int64: their reads of one gene."""


class KeptLibrary:
    """A library as it was counted, in its folder. Raises InputError where a file is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / COUNTED
        if not path.is_file():
            raise InputError(
                f"{folder}: it has no {COUNTED}, so what was counted is not kept in it. Delete the folder to count the"
                " library again."
            )
        facts = parse_json(path.read_bytes(), str(path))
        self.options: dict[str, str] = facts["options"]
        self.words: str = facts["words"]

    @property
    def star_version(self) -> str:
        """The version of STAR."""
        return read_command(self.folder / "Log.out")[0]

    def of(self, feature: str) -> Path:
        """Return the folder of a feature."""
        return self.folder / "Solo.out" / feature

    def has(self, feature: str) -> bool:
        """Whether a feature was counted."""
        return (self.of(feature) / "raw").is_dir()

    def unpack_barcodes(self, target: Path) -> Path:
        """Write the barcodes of the raw matrices to a file; return its path."""
        return unpack_file(self.folder / "Solo.out/barcodes.tsv.gz", target)

    def unpack(self, feature: str, name: str, target: Path) -> Path:
        """Write a file of a feature's raw matrices, ``features.tsv`` or a matrix, to a file; return its path."""
        path = self.of(feature) / "raw" / f"{name}.gz"
        if not path.is_file():
            raise InputError(f"{path}: missing. Delete {self.folder} to count the library again.")
        return unpack_file(path, target)

    def matrix(self, feature: str) -> "scipy.sparse.csc_matrix":
        """Return the raw matrix of unique reads, genes × barcodes."""
        path = self.of(feature) / "raw" / f"{_MATRIX}.gz"
        try:
            return read_packed_matrix(path)
        except (FormatError, OSError, EOFError) as error:
            raise InputError(f"{path}: {error}. Delete {self.folder} to count the library again.") from error

    def reads(self, feature: str) -> CountedReads:
        """Return the barcodes with reads of a gene feature."""
        with open_bytes(self.of(feature) / "reads.tsv.gz") as handle:
            next(handle, b"")
            rows = [line.split() for line in handle]
        numbers = np.array([int(row[0]) - 1 for row in rows], np.int64)
        return CountedReads(numbers, [row[1].decode() for row in rows], np.array([int(row[2]) for row in rows], int))


def read_packed_matrix(path: Path) -> "scipy.sparse.csc_matrix":
    """Return a gzipped matrix. Raises FormatError, OSError, EOFError."""
    size = 0
    with open_bytes(path) as handle:  # the length of the text bounds what its head may promise
        while piece := handle.read(BLOCK):
            size += len(piece)
    with open_bytes(path) as handle:
        return read_matrix(iter(lambda: handle.read(BLOCK), b""), size)


def keep_library(
    folder: Path,
    target: Path,
    features: Sequence[str] = (),
    multireads: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    words: str = "",
) -> None:
    """Write what STAR left in a folder to an empty one, as this module's page says.

    ``features`` are those that were counted; of a library that was not there are none, and its matrices are not kept.
    """
    for path in sorted(path for pattern in _AS_THEY_ARE for path in folder.glob(pattern)):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if not features:
        return
    first = folder / "Solo.out" / features[0] / "raw/barcodes.tsv"
    pack_file(first, target / "Solo.out/barcodes.tsv.gz")
    for feature in features:
        raw = folder / "Solo.out" / feature / "raw"
        kept = target / "Solo.out" / feature
        (kept / "raw").mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(["features.tsv", *matrix_names(feature, multireads)]):
            pack_file(raw / name, kept / "raw" / f"{name}.gz")
        if feature in GENE_FEATURES:
            pack_file(raw / _MATRIX, kept / "raw" / f"{_MATRIX}.gz")
            umis = np.asarray(read_packed_matrix(kept / "raw" / f"{_MATRIX}.gz").sum(axis=0)).ravel()
            ordered = np.sort(umis[umis > 0])[::-1].tolist()
            pack_bytes(["".join(f"{number}\n" for number in ordered).encode()], kept / "UMIperCellSorted.txt.gz")
            pack_bytes(_reads_table(raw.parent / CELL_READS, first), kept / "reads.tsv.gz")
    write_atomic(target / COUNTED, json.dumps({"options": dict(options or {}), "words": words}) + "\n")


def _reads_table(stats: Path, barcodes: Path) -> Iterator[bytes]:
    """Yield the lines of reads.tsv; STAR's table has the barcodes in any order."""
    with stats.open("rb") as lines:
        names = next(lines).rstrip(b"\n").split(b"\t")
        unique, several = names.index(b"countedU"), names.index(b"countedM")
        rows = (line.rstrip(b"\n").split(b"\t") for line in lines)
        counted = {row[0]: row[unique] for row in rows if row[unique] != b"0" or row[several] != b"0"}
    yield b"number\tbarcode\treads\n"  # without those of no list, which STAR has under a name of its own
    with barcodes.open("rb") as listed:
        for number, line in enumerate(listed, 1):
            barcode = line.rstrip(b"\n")
            if barcode in counted:
                yield b"%d\t%b\t%b\n" % (number, barcode, counted[barcode])
