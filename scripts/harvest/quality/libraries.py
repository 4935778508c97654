"""What a droplet library shows beside STAR's own figures: the proof of its kit, its cells, and what it shares."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.droplets.chemistries import Chemistry, InclusionList
from scripts.formats import h5ad
from scripts.harvest.quality import flags
from scripts.harvest.quality.copies import smallest
from scripts.references.kmer_index import mix

SKETCH = 512
"""Cells of a library that are compared with those of others."""
_HIGH = 10  # counts of a cell that is compared
PROOF = ("read_roles", "evidence", "inclusion_list", "list_share", "list_chance", "next_list", "next_share")
CELLS = ("matrix", "cells", "median_counts", "median_genes", "median_pct_mt")
Row = dict[str, str]

Key = tuple[str, str, str]
"""Series, species and experiment of a library."""


class LibraryCells(NamedTuple):
    """The called cells of a library, in the h5ad of its series."""

    matrix: str
    """Whose counts are X: ``Gene`` or ``GeneFull``."""
    barcodes: list[str]
    counts: np.ndarray
    genes: np.ndarray
    pct_mt: np.ndarray
    xist: int
    y_genes: int

    @property
    def figures(self) -> Row:
        """Column → value of CELLS."""
        medians = (_median(values) for values in (self.counts, self.genes, self.pct_mt))
        return dict(zip(CELLS, (self.matrix, str(len(self.barcodes)), *medians), strict=True))

    @property
    def sketch(self) -> np.ndarray:
        """The smallest hashes of its cells: barcode, counts and genes of each, of those with enough counts."""
        codes = np.fromiter((zlib.crc32(name.encode()) for name in self.barcodes), np.uint64, len(self.barcodes))
        hashed = mix(mix(codes + self.counts.astype(np.uint64)) + self.genes.astype(np.uint64))
        return smallest(np.unique(hashed[self.counts >= _HIGH]), SKETCH)


def _median(values: np.ndarray) -> str:
    return f"{np.median(values):.10g}" if values.size else ""


def read_matrix(path: Path) -> dict[Key, LibraryCells]:
    """Return library → its cells, of the h5ad of a series ``{series}.{species}.h5ad``; those without any are missing.

    Raises InputError where it cannot be read.
    """
    import h5py

    series, _, species = path.stem.partition(".")
    try:
        with h5py.File(path, "r") as root:
            obs = root["obs"]
            if "barcode" not in obs:  # no library is counted
                return {}
            matrix = root["uns/matrix"].asstr()[()].partition("_")[0]
            libraries, barcodes = (np.array(h5ad.read_column(obs, name), str) for name in ("library", "barcode"))
            names = ("total_counts", "n_genes_by_counts", "pct_counts_mt", "xist_counts", "y_counts")
            figures = [obs[name][()] for name in names]
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as cells of droplet libraries: {error}. Make it again.") from error
    cells = {}
    for library in np.unique(libraries).tolist():
        mine = np.flatnonzero(libraries == library)
        counts, genes, pct_mt, xist, y_genes = (values[mine] for values in figures)
        named = barcodes[mine].tolist()
        cells[series, species, library] = LibraryCells(
            matrix, named, counts, genes, pct_mt, int(xist.sum()), int(y_genes.sum())
        )
    return cells


def proof_of(path: Path, kits: Mapping[str, Chemistry]) -> Row:
    """Return column → value of PROOF, of the verdict on the roles of its reads (units/read_roles/{unit}.json)."""
    if not path.is_file():
        return {}
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"].values()
    judged = next((run for run in runs if "fault" not in run), None)
    if judged is None:
        return {}
    figures = judged["figures"]
    kit = kits.get(judged["chemistry"] or judged["candidates"][0])
    names = "+".join(kit.lists) if kit else ""
    own = next((one for one in figures if one["inclusion_list"] == names), None)
    other = next((one for one in figures if one["inclusion_list"] != names), None)
    row = {"read_roles": judged["roles"], "evidence": judged["evidence"], "inclusion_list": names}
    if own:
        row |= {"list_share": f"{own['share']:.4f}", "list_chance": f"{own['chance']:.4f}"}
    return row | ({"next_list": other["inclusion_list"], "next_share": f"{other['share']:.4f}"} if other else {})


def list_size(path: Path, kit: Chemistry | None, known: Mapping[str, InclusionList], barcode: str) -> int:
    """Return how many barcodes the kit of a library has; of every sequence of the length of a barcode without lists."""
    here = json.loads(path.read_text(encoding="utf-8"))["inclusion_lists"] if path.is_file() else {}
    size = 1
    for segment in kit.barcode if kit else ():
        of_list = here.get(segment.list) or (known[segment.list].barcodes if segment.list in known else 0)
        size *= of_list or 4**segment.length
    return size if size > 1 else 4 ** min(len(barcode), 30)


def number_in(row: Row, column: str) -> float:
    """Return a number of a row, NaN where it has none."""
    try:
        return float(row.get(column, ""))
    except ValueError:
        return float("nan")


def genefull_ratio(row: Row) -> str:
    """Return reads in genes with introns for each in exons, empty where one of them is not known."""
    genes = number_in(row, "Reads Mapped to Gene: Unique Gene")
    ratio = number_in(row, "GeneFull: Reads Mapped to GeneFull: Unique GeneFull") / genes if genes else float("nan")
    return f"{ratio:.4f}" if ratio == ratio else ""


def flags_of_figures(row: Row) -> Iterable[str]:
    """Yield the flags of a library by the figures in its row."""
    prefix = "GeneFull: " if row.get("matrix") == "GeneFull" else ""
    reads, antisense = (number_in(row, name) for name in ("gene_reads", "antisense_reads"))
    bounds = {
        "LOW_MAPPING": 100 * number_in(row, "Reads Mapped to Genome: Unique+Multiple") < flags.LOW_MAPPED,
        "HIGH_MISMATCH": number_in(row, "Mismatch rate per base, %") > flags.HIGH_MISMATCH,
        "LOW_VALID_BARCODES": 100 * number_in(row, "Reads With Valid Barcodes") < flags.LOW_VALID_BARCODES,
        "LOW_Q30": 100 * number_in(row, "Q30 Bases in RNA read") < flags.LOW_Q30,
        "LOW_READS_IN_CELLS": 100 * number_in(row, f"{prefix}Fraction of Unique Reads in Cells")
        < flags.LOW_READS_IN_CELLS,
        "ANTISENSE_READS": reads + antisense >= flags.FEWEST_COUNTS
        and 100 * antisense > flags.HIGH_ANTISENSE * (reads + antisense),
        "INTRONIC_READS": row.get("matrix") == "Gene" and number_in(row, "genefull_ratio") >= flags.INTRONIC_RATIO,
    }  # none of them holds of NaN
    yield from (code for code, holds in bounds.items() if holds)


def keys_of(rows: Sequence[Row]) -> list[Key]:
    """Return series, species and experiment of each row."""
    return [(row["series"], row["species"], row["experiment"]) for row in rows]


def texts_of(values: Mapping[str, Any]) -> Row:
    """Return column → value as text: whole numbers as they are, others with two digits, empty for None."""
    return {
        name: "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }
