"""Embed cells without weights: logarithm of counts per 10,000, projected on the axes along which cells differ most.

The basis (model.npz) is fitted by atlas_model to a sample of cells; with labelled cells (--reference) it has the mean
embedding of each label. The embedding is the block 'other', with as many columns as the basis; with labels, a cell's
labels are the nearest means by cosine, best first, at most three of each class. Cells without counts are dropped. See
scripts/atlas/embedders/README.md.
"""

import hashlib
import heapq
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from scripts.atlas.embedders.command_line import backend_parser, check_species
from scripts.atlas.embedders.expression import as_rows, log_normalise, seed_of, totals, truncated_svd, unit_rows
from scripts.atlas.store.count_matrix import NO_LABEL, CountMatrix, match_genes
from scripts.atlas.store.layout import Layout, standard_name
from scripts.atlas.store.part import Description, PartWriter
from scripts.core.command import run_command
from scripts.core.disk.files import hash_file, parse_json
from scripts.core.errors import InputError, raise_faults
from scripts.formats.npz import read_npz, write_npz

NAME, VERSION = "svd-baseline", "1"
BEST = 3  # labels of a cell, at most
CODES = 65_536  # labels of a class, at most: codes are uint16
ROWS = 1024  # cells whose labels are computed at a time
FORMAT = 1
_COMMON = "sra2matrix svd-baseline"


class SharedGenes(NamedTuple):
    """How far a matrix and a model have the same genes, as shares from 0 to 1."""

    genes: float
    """Genes of the model that the matrix has."""
    counts: float
    """Counts of the matrix that are of genes of the model."""

    def __str__(self) -> str:
        return f"{self.genes:.1%} of the model's genes are in it, {self.counts:.1%} of its counts are of these genes"


@dataclass(eq=False)
class Basis:
    """A basis and its sample: all that is needed to compute the row of a cell."""

    gene_ids: list[str]
    components: np.ndarray
    """float32 [components, genes]"""
    singular_values: np.ndarray
    """float64 [components]"""
    sample: dict[str, object]
    labels: dict[str, list[str]] = field(default_factory=dict)
    """Class → its labels in the order of their codes."""
    centroids: dict[str, np.ndarray] = field(default_factory=dict)
    """Class → float64 [labels, components]: the mean embedding of its labelled cells."""
    centroid_cells: dict[str, np.ndarray] = field(default_factory=dict)
    """Class → int64 [labels]: the number of these cells."""

    @property
    def layout(self) -> Layout:
        labels = tuple((name, min(BEST, len(known))) for name, known in self.labels.items())
        return Layout((("other", len(self.components)),), labels)

    def axes(self, gene_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the axes for the genes of a matrix, float64 [genes, components], and whether the model has each."""
        index = match_genes(gene_ids, self.gene_ids)
        axes = np.zeros((len(gene_ids), len(self.components)))
        axes[index >= 0] = self.components.T[index[index >= 0]]
        return axes, index >= 0

    def write(self, path: Path) -> None:
        """Write model.npz; the same content gives the same bytes."""
        about = {"format": FORMAT, "made_by": f"{_COMMON} {VERSION}", "sample": self.sample, "labels": self.labels}
        arrays: dict[str, Any] = {
            "about": np.array(json.dumps(about, sort_keys=True, ensure_ascii=False).encode()),
            "gene_ids": np.array([gene.encode() for gene in self.gene_ids]),
            "components": self.components,
            "singular_values": self.singular_values,
        }
        for name in self.labels:
            arrays[f"centroids_{name}"] = self.centroids[name]
            arrays[f"centroid_cells_{name}"] = self.centroid_cells[name]
        write_npz(path, arrays)

    @classmethod
    def read(cls, path: Path) -> "Basis":
        """Read model.npz. Raises InputError where it is none."""
        try:
            arrays = read_npz(path, f"a model of {NAME} ('python -m scripts atlas_model' makes one)")
            about = parse_json(arrays["about"].item(), f"{path}: about")
            if about.get("format") != FORMAT:
                raise InputError(f"{path}: its format is {about.get('format')}, but only {FORMAT} can be read.")
            labels = about["labels"]
            return cls(
                [gene.decode() for gene in arrays["gene_ids"].tolist()],
                arrays["components"],
                arrays["singular_values"],
                about["sample"],
                labels,
                {name: arrays[f"centroids_{name}"] for name in labels},
                {name: arrays[f"centroid_cells_{name}"] for name in labels},
            )
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(
                f"{path}: no model of {NAME} ({error}); 'python -m scripts atlas_model' makes one."
            ) from error


def embed_rows(counts: scipy.sparse.csr_matrix, axes: np.ndarray) -> np.ndarray:
    """Return the embeddings of cells, float64 [cells, components]."""
    return log_normalise(counts) @ axes


def nearest_labels(embeddings: np.ndarray, centroids: np.ndarray, best: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes (uint16) and cosines (float64) of the nearest centroids, best first; equals by code."""
    codes = np.zeros((len(embeddings), best), np.uint16)
    scores = np.zeros((len(embeddings), best))
    directions = np.ascontiguousarray(unit_rows(centroids).T)
    for start in range(0, len(embeddings), ROWS):
        cosines = as_rows(unit_rows(embeddings[start : start + ROWS])) @ directions
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :best]
        codes[start : start + ROWS] = order
        scores[start : start + ROWS] = np.take_along_axis(cosines, order, axis=1)
    return codes, scores


def drawn_cells(matrices: Sequence[CountMatrix], cells: int, seed: int) -> list[tuple[bytes, int, int]]:
    """Return (hash, number of the matrix, row) of the cells of the sample, in the order of their hashes.

    They are those with counts whose sha256 of seed, series and name is least. Raises InputError where one of them
    occurs twice.
    """

    def candidates() -> Iterator[tuple[bytes, int, int]]:
        for number, matrix in enumerate(matrices):
            stored = matrix.stored().tolist()
            series = matrix.labels("series").texts() if "series" in matrix.columns else [""] * matrix.cells
            for row, (of, name, counts) in enumerate(zip(series, matrix.names(), stored, strict=True)):
                if counts:
                    yield hashlib.sha256(f"{seed}:{of}:{name}".encode()).digest(), number, row

    drawn = heapq.nsmallest(cells, candidates())
    twice = [(first, second) for first, second in itertools.pairwise(drawn) if first[0] == second[0]]
    faults = []
    for (_, number, row), (_, other, _) in twice[:5]:
        paths = " and ".join(dict.fromkeys(str(matrices[index].path) for index in (number, other)))
        faults.append(f"{matrices[number].names()[row]}: a cell of this name occurs twice in {paths}.")
    raise_faults("The sample of cells", faults)
    return drawn


def gather_sample(
    matrices: Sequence[CountMatrix], gene_ids: Sequence[str], drawn: Sequence[tuple[bytes, int, int]]
) -> scipy.sparse.csr_matrix:
    """Return the log-normalised counts of drawn cells, in the order drawn, by the given genes (all of them)."""
    ranks: list[dict[int, int]] = [{} for _ in matrices]
    for rank, (_, number, row) in enumerate(drawn):
        ranks[number][row] = rank
    lengths = np.zeros(len(drawn) + 1, np.int64)
    for matrix, of_row in zip(matrices, ranks, strict=True):
        stored = matrix.stored()
        for row, rank in of_row.items():
            lengths[rank + 1] = stored[row]
    pointers = np.cumsum(lengths)
    data, indices = np.zeros(pointers[-1]), np.zeros(pointers[-1], np.int32)  # the sample is in memory only once
    for matrix, of_row in zip(matrices, ranks, strict=True):
        columns = match_genes(matrix.gene_ids, gene_ids).astype(np.int32)
        for rows, counts in matrix.select(np.array(sorted(of_row), np.int64)):
            values = log_normalise(counts)
            for index, row in enumerate(rows.tolist()):
                mine = slice(values.indptr[index], values.indptr[index + 1])
                first = pointers[of_row[row]]
                order = np.argsort(columns[values.indices[mine]])
                data[first : first + len(order)] = values.data[mine][order]
                indices[first : first + len(order)] = columns[values.indices[mine]][order]
    small = pointers[-1] <= np.iinfo(np.int32).max
    return scipy.sparse.csr_matrix(
        (data, indices, pointers.astype(np.int32 if small else np.int64)), shape=(len(drawn), len(gene_ids))
    )


def check_gene_names(matrices: Iterable[CountMatrix]) -> None:
    """Raise InputError where a gene occurs twice in a matrix."""
    faults = []
    for matrix in matrices:
        twice = [gene for gene, number in Counter(matrix.gene_ids).items() if number > 1]
        if twice:
            faults.append(f"{matrix.path}: gene {twice[0]!r} occurs twice.")
    raise_faults("The genes of the matrices", faults)


def fit(matrices: Sequence[CountMatrix], components: int, cells: int, seed: int) -> Basis:
    """Return the basis of a sample of cells: the order of the matrices and of their cells does not matter.

    Where no cell has counts the sample is empty: all cells of such matrices are dropped.
    """
    check_gene_names(matrices)
    available = sum(int((matrix.stored() > 0).sum()) for matrix in matrices)
    drawn = drawn_cells(matrices, cells, seed)
    gene_ids = sorted({gene for matrix in matrices if matrix.cells for gene in matrix.gene_ids}, key=str.encode)
    values, vectors = np.zeros(1), np.zeros((1, len(gene_ids)))
    if drawn:
        sample = gather_sample(matrices, gene_ids, drawn)
        values, vectors = truncated_svd(sample, components, seed_of(seed, "basis"))
    about = {
        "cells": len(drawn),
        "cells_asked_for": cells,
        "cells_with_counts": available,
        "components_asked_for": components,
        "drawn_sha256": hashlib.sha256(b"".join(digest for digest, _, _ in drawn)).hexdigest(),
        "rule": "the cells with the least sha256 of '{seed}:{series}:{cell}'",
        "seed": seed,
    }
    return Basis(gene_ids, vectors.astype(np.float32), values, about)


def add_labels(model: Basis, reference: CountMatrix, columns: Sequence[str], least: float) -> SharedGenes:
    """Add to a model the mean embedding of each label in columns of obs (``column`` or ``class=column``).

    Cells without counts, and cells whose label says that it is unknown, are left out. Raises InputError where a column
    is missing or has no label, or where too few counts are of genes of the model.
    """
    given = {}
    for text in columns:
        name, _, column = text.rpartition("=")
        labels = reference.labels(column)
        known = sorted({label for label in labels.categories if label.strip().lower() not in NO_LABEL}, key=str.encode)
        code_of = {label: code for code, label in enumerate(known)}
        codes = np.array([*(code_of.get(label, -1) for label in labels.categories), -1], np.int64)
        wanted = standard_name(name or column)
        if not re.fullmatch(r"[A-Za-z]\w*", wanted, re.ASCII):
            raise InputError(
                f"--labels: {wanted!r} cannot be the name of a class; give another one, as in class={column}."
            )
        given[wanted] = (known, codes[labels.codes])
    if len(given) < len(columns):
        raise InputError(f"--labels {' '.join(columns)}: a class occurs twice.")
    model.labels = {name: known for name, (known, _) in given.items()}
    sums = {name: np.zeros((len(known), len(model.components))) for name, known in model.labels.items()}
    numbers = {name: np.zeros(len(known), np.int64) for name, known in model.labels.items()}
    model.centroids, model.centroid_cells = sums, numbers
    if not model.sample["cells"]:  # no cell will be labelled
        return SharedGenes(0, 0)
    axes, there = model.axes(reference.gene_ids)
    inside = everything = 0
    for start, counts in reference.blocks():
        known_counts = known_totals(counts, there)
        everything += int(counts.data.sum())
        inside += int(known_counts.sum())
        embeddings = embed_rows(counts, axes)
        for name, (known, codes) in given.items():
            mine = codes[start : start + counts.shape[0]]
            rows = np.flatnonzero((mine >= 0) & (known_counts > 0))
            ones = scipy.sparse.csr_matrix((np.ones(len(rows)), (mine[rows], rows)), shape=(len(known), len(mine)))
            sums[name] += ones @ embeddings
            numbers[name] += np.bincount(mine[rows], minlength=len(known))
    found = SharedGenes(float(there.sum() / max(1, len(model.gene_ids))), inside / max(1, everything))
    if found.counts < least:
        raise InputError(
            f"{reference.path}: {found}; less than {least:.0%} of the counts is too little. Are these cells of the same"
            " species, and their genes named by the same accessions?"
        )
    faults = []
    for name, (known, _) in given.items():
        kept = numbers[name] > 0
        if not 1 <= kept.sum() <= CODES:
            faults.append(f"obs: {kept.sum()} labels of {name} on cells with counts; from 1 to {CODES} can be used.")
        model.labels[name] = list(itertools.compress(known, kept))
        sums[name], numbers[name] = sums[name][kept] / numbers[name][kept][:, None], numbers[name][kept]
    raise_faults(reference.title, faults)
    return found


def embed(matrix: CountMatrix, model: Basis, weights: str, output: Path, least: float) -> tuple[int, SharedGenes]:
    """Write the part of a matrix; return the number of dropped cells, and how far the genes match.

    Raises InputError where too few genes, or counts, are those of the model.
    """
    axes, there = model.axes(matrix.gene_ids)
    share = float(there.sum() / max(1, len(model.gene_ids)))
    if matrix.cells and share < least:
        raise InputError(
            f"{matrix.path}: {share:.1%} of the model's {len(model.gene_ids)} genes are in it; less than {least:.0%} is"
            " too little. Are these cells of the species that the model was made for, counted with the same reference?"
        )
    description = Description(
        name=NAME,
        version=VERSION,
        layout=model.layout,
        weights_sha256=weights,
        score_kind="cosine" if model.labels else None,
        seed_policy="a row is computed from the cell's own counts and the model; nothing is drawn at random",
        decoders={name: {str(code): label for code, label in enumerate(known)} for name, known in model.labels.items()},
        notes=("log(1 + 10,000 * count / sum of the cell's counts), projected on the model's components",),
    )
    dropped = inside = everything = 0
    with PartWriter(output, description, rows=matrix.cells) as part:
        for _, counts in matrix.blocks():
            sums = totals(counts)
            known = known_totals(counts, there)
            everything += int(sums.sum())
            inside += int(known.sum())
            embeddings = embed_rows(counts, axes)
            reasons = [
                "" if inner else "NO_KNOWN_GENES" if whole else "NO_COUNTS"
                for whole, inner in zip(sums, known, strict=True)
            ]
            dropped += sum(map(bool, reasons))
            if model.labels:
                best = [nearest_labels(embeddings, model.centroids[name], width) for name, width in model.layout.labels]
                part.append(
                    embeddings,
                    np.concatenate([codes for codes, _ in best], axis=1),
                    np.concatenate([scores for _, scores in best], axis=1),
                    reasons=reasons,
                )
            else:
                part.append(embeddings, reasons=reasons)
    found = SharedGenes(share, inside / max(1, everything))
    if everything and not model.sample["cells"]:
        raise InputError(f"{matrix.path}: its cells have counts, but the model was fitted to no cell; fit another one.")
    if everything and found.counts < least:
        raise InputError(f"{matrix.path}: {found}; less than {least:.0%} of the counts is too little.")
    return dropped, found


def known_totals(counts: scipy.sparse.csr_matrix, there: np.ndarray) -> np.ndarray:
    """Return the counts of each cell that are of genes of the model; ``there``: whether it has each gene."""
    data = np.where(there[counts.indices], counts.data, 0)
    return totals(scipy.sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape))


def main(argv: Sequence[str] | None = None) -> None:
    options = backend_parser(__doc__, needs_model=True).parse_args(argv)
    model = Basis.read(options.model)
    with CountMatrix(options.matrix) as matrix:
        check_species(matrix, options.species, options.tax_id)
        dropped, found = embed(matrix, model, hash_file(options.model), options.output, options.min_found)
        print(f"{options.matrix}: {found}; {matrix.cells} cells, {dropped} dropped.", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
