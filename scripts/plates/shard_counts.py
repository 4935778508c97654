"""The counts of a plate shard: one small h5ad, its matrix gene-major so that a table can be gathered gene by gene.

- ``X``: csc_matrix, cells × genes, whole numbers, or decimals with ``nonunique: fraction``; genes in byte order of ids
- ``obs``: index = the columns' accessions; ``runs`` ("SRR1;SRR2"); the five tallies of htseq-count; ``strand``, where
  that was proved or given by accession
- ``var``: index = gene ids
- ``uns``: ``genes_sha256`` (see :func:`hash_genes`), ``reference`` (name and fingerprint of the reference), ``tools``
  (a text each: the version of the program; ``counter`` says who counted), ``star_log`` with ``fields`` (names in
  STAR's order), ``values`` (cells × fields) and ``present`` (0 where a cell's log has no such field)

Same counts, same bytes: the file has no time, path or number of threads.
"""

import hashlib
import itertools
import json
import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.core.disk.files import atomic_path
from scripts.core.disk.gzip_files import deflate_error
from scripts.core.errors import InputError
from scripts.formats import h5ad
from scripts.star.log import merge_fields

if TYPE_CHECKING:
    import scipy.sparse

TALLIES = ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique")
"""htseq-count's tallies of the reads that count for no gene, in htseq-count's order."""
COUNTED_TOO = ("__ambiguous", "__alignment_not_unique")
"""Those whose reads count for genes as well where ``nonunique`` is not none."""


@dataclass
class ShardCounts:
    """The counts of a plate shard in memory."""

    genes: list[str]  # ids in byte order
    columns: list[str]  # accession of each cell: its experiment, or its run with count_by: run
    runs: list[str]  # of each cell, joined by ;
    counts: "scipy.sparse.csc_matrix"  # cells × genes
    tallies: np.ndarray  # int64, cells × 5, in the order of TALLIES
    logs: list[dict[str, str]] = field(default_factory=list)  # of each cell, field → value of its Log.final.out
    reference: str = ""  # name and fingerprint, e.g. hg38 sha256:12ab…
    tools: dict[str, str] = field(default_factory=dict)  # program → version; several are joined by ", "
    strands: list[str] = field(default_factory=list)  # of each cell, empty where one is configured for all


def hash_genes(genes: Sequence[str]) -> str:
    """Return the sha256 (hex) of a gene list: of its ids in UTF-8, a ``\\n`` after each."""
    return hashlib.sha256("".join(f"{gene}\n" for gene in genes).encode()).hexdigest()


def reference_label(path: str | Path) -> str:
    """Return name and fingerprint of the reference that a reference.json describes."""
    described = json.loads(Path(path).read_text(encoding="utf-8"))
    return f"{described['name']} sha256:{described['fingerprint']}"


def merge_tools(tools: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return program → version of all cells together; different versions are sorted and joined by ``, ``."""
    merged: dict[str, set[str]] = {}
    for of_some in tools:
        for name, versions in of_some.items():
            merged.setdefault(name, set()).update(versions.split(", "))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(merged.items())}


def check_shard(shard: ShardCounts) -> None:
    """Raise ValueError where the parts of a shard do not fit together."""
    cells = len(shard.columns)
    if shard.counts.shape != (cells, len(shard.genes)):
        raise ValueError(f"counts are {shard.counts.shape}, but there are {cells} cells and {len(shard.genes)} genes")
    if shard.strands and len(shard.strands) != cells:
        raise ValueError("a shard has the strands of all its cells, or of none")
    if len(shard.runs) != cells or len(shard.logs) != cells or shard.tallies.shape != (cells, len(TALLIES)):
        raise ValueError("columns, runs, tallies and logs of a shard must be of the same cells")
    if len(set(shard.columns)) != cells:
        raise ValueError("a column of a shard is duplicated")
    ordered = [gene.encode() for gene in shard.genes]
    if any(left >= right for left, right in itertools.pairwise(ordered)):
        raise ValueError("the genes of a shard must be in byte order, each once")


def write_shard_counts(path: str | Path, shard: ShardCounts) -> None:
    """Write a shard's counts. Raises ValueError where its parts do not fit together."""
    import h5py
    import scipy.sparse

    check_shard(shard)
    counts = scipy.sparse.csc_matrix(shard.counts, copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    if counts.nnz and counts.data.min() < 0:
        raise ValueError("a count of a shard is negative")
    dtype: type = np.int64 if counts.nnz and counts.data.max() > np.iinfo(np.int32).max else np.int32
    if counts.dtype.kind == "f":
        dtype = np.float64
    fields = merge_fields(shard.logs)
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.create_group(root, "X", "csc_matrix")
        matrix.attrs["shape"] = np.array(counts.shape, np.int64)
        h5ad.write_array(matrix, "data", counts.data.astype(dtype))
        h5ad.write_array(matrix, "indices", counts.indices.astype(np.int32))
        h5ad.write_array(matrix, "indptr", counts.indptr.astype(np.int32))
        tallies = np.asarray(shard.tallies, np.int64)
        columns: dict[str, Any] = {"runs": shard.runs} | {
            name: tallies[:, position].copy() for position, name in enumerate(TALLIES)
        }
        if shard.strands:
            columns["strand"] = shard.strands
        h5ad.write_frame(root, "obs", shard.columns, columns)
        h5ad.write_frame(root, "var", shard.genes, {})
        uns = h5ad.create_group(root, "uns")
        h5ad.write_text(uns, "genes_sha256", hash_genes(shard.genes))
        h5ad.write_text(uns, "reference", shard.reference)
        h5ad.write_text_group(uns, "tools", shard.tools)
        star_log = h5ad.create_group(uns, "star_log")
        shape = (len(shard.logs), len(fields))
        h5ad.write_texts(star_log, "fields", np.array(fields, dtype=str))
        values = [[log.get(name, "") for name in fields] for log in shard.logs]
        h5ad.write_texts(star_log, "values", np.array(values, dtype=str).reshape(shape))
        present = np.array([[name in log for name in fields] for log in shard.logs], np.uint8).reshape(shape)
        h5ad.set_encoding(star_log.create_dataset("present", data=present), "array", "0.2.0")
        h5ad.write_empty_parts(root)


def read_shard_counts(path: str | Path) -> ShardCounts:
    """Return the counts of a shard, all of them. Raises InputError for a file that is no shard or is damaged."""
    with ShardReader(path) as reader:
        return ShardCounts(
            genes=reader.genes(),
            columns=reader.columns,
            runs=reader.runs,
            counts=reader.matrix(),
            tallies=reader.tallies(),
            logs=reader.logs(),
            strands=reader.strands(),
            reference=reader.reference,
            tools=reader.tools(),
        )


def join_shards(counted: ShardCounts, earlier: ShardCounts, kept: Container[str]) -> ShardCounts:
    """Return the cells that were counted now, and after them the cells of an earlier round whose runs are ``kept``.

    Raises InputError where the two rounds counted with other genes or another reference.
    """
    import scipy.sparse

    if (counted.genes, counted.reference) != (earlier.genes, earlier.reference):
        raise InputError(
            f"The kept counts are of {earlier.reference} and the new ones of {counted.reference}."
            " Delete units/counted to count whole shards again."
        )
    cells = [cell for cell, runs in enumerate(earlier.runs) if any(run in kept for run in runs.split(";"))]
    return ShardCounts(
        genes=counted.genes,
        columns=counted.columns + [earlier.columns[cell] for cell in cells],
        runs=counted.runs + [earlier.runs[cell] for cell in cells],
        counts=scipy.sparse.vstack([counted.counts, earlier.counts.tocsr()[cells]], format="csc"),
        tallies=np.concatenate([counted.tallies, earlier.tallies[cells]]),
        logs=counted.logs + [earlier.logs[cell] for cell in cells],
        strands=counted.strands + [earlier.strands[cell] for cell in cells if earlier.strands],
        reference=counted.reference,
        tools=merge_tools([counted.tools, *([earlier.tools] if cells else [])]),
    )


class ShardReader:
    """A shard's counts on disk; what is small is read at once, the counts gene block by gene block."""

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = str(path)
        try:
            self.file = h5py.File(path, "r")
        except OSError as error:
            raise InputError(f"{path}: the counts of a shard cannot be read: {error}.") from error
        try:
            self.columns = h5ad.read_text_column(self.file, "obs/_index")
            self.runs = h5ad.read_text_column(self.file, "obs/runs")
            self.genes_sha256: str = h5ad.read_whole(self.file, "uns/genes_sha256").item().decode()
            self.reference: str = h5ad.read_whole(self.file, "uns/reference").item().decode()
        except KeyError as error:
            self.file.close()
            raise InputError(f"{path}: not the counts of a shard: {error.args[0]}.") from error

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def genes(self) -> list[str]:
        """Return the gene ids, in byte order. Raises InputError where they are not those of the file's hash."""
        genes = h5ad.read_text_column(self.file, "var/_index")
        if hash_genes(genes) != self.genes_sha256:
            raise InputError(f"{self.path}: damaged: its gene list does not have the file's hash.")
        return genes

    def tallies(self) -> np.ndarray:
        """Return the tallies, int64, cells × 5."""
        return np.stack([h5ad.read_whole(self.file, f"obs/{name}").astype(np.int64) for name in TALLIES], axis=1)

    def strands(self) -> list[str]:
        """Return the strand of each cell; empty where the file does not say."""
        return h5ad.read_column(self.file["obs"], "strand") if "strand" in self.file["obs"] else []

    def tools(self) -> dict[str, str]:
        """Return program → version; empty where the file does not say."""
        tools = self.file.get("uns/tools", {})
        return {name: tools[name].asstr()[()] for name in sorted(tools)}

    def logs(self) -> list[dict[str, str]]:
        """Return field → value of the STAR log of each cell."""
        star_log = self.file["uns/star_log"]
        fields = h5ad.read_texts(star_log["fields"])
        return [
            {
                sys.intern(name): sys.intern(value)
                for name, value, there in zip(fields, row, present, strict=True)
                if there
            }
            for row, present in zip(h5ad.read_texts(star_log["values"]), star_log["present"][()], strict=True)
        ]

    def matrix(self) -> "scipy.sparse.csc_matrix":
        """Return all counts, cells × genes."""
        import scipy.sparse

        genes: int = self.file["var/_index"].shape[0]
        indptr, cells, counts = self.blocks().read(0, genes)
        if counts.dtype.kind != "f":
            counts = counts.astype(np.int64 if counts.dtype.itemsize > 4 else f"u{counts.dtype.itemsize}")
        return scipy.sparse.csc_matrix((counts, cells.astype(np.int32), indptr), shape=(len(self.columns), genes))

    def blocks(self) -> "GeneBlocks":
        """Return what is needed to read the counts of some genes without this reader."""
        arrays = [h5ad.ChunkedArray(self.file, f"X/{part}") for part in ("indptr", "indices", "data")]
        return GeneBlocks(self.path, *arrays)


@dataclass
class GeneBlocks:
    """A shard's counts on disk, to be read a block of genes at a time; can be sent to another process."""

    path: str
    indptr: h5ad.ChunkedArray
    indices: h5ad.ChunkedArray
    data: h5ad.ChunkedArray

    @property
    def arrays(self) -> tuple[h5ad.ChunkedArray, ...]:
        """The arrays on disk."""
        return self.indptr, self.indices, self.data

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return indptr (int32, from 0), cells and counts of the genes ``start`` to ``stop``: unsigned, or float64.

        Raises InputError where the file is damaged or gone.
        """
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{self.path}: the counts of a shard cannot be read: {error}.") from error
        try:
            indptr = self.indptr.read(file, start, stop + 1).astype(np.int32)
            bounds = int(indptr[0]), int(indptr[-1])
            indptr -= bounds[0]
            return indptr, self.indices.read(file, *bounds), self.data.read(file, *bounds)
        except deflate_error() as error:
            raise InputError(f"{self.path}: damaged, it cannot be inflated: {error}. Count its cells again.") from error
        finally:
            os.close(file)
