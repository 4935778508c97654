"""What libraries show: their cells in the h5ad, the proof of the kit, and flags of figures beyond their bounds."""

import json

import h5py
import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.droplets.chemistries import BarcodeSegment, Chemistry, InclusionList
from scripts.formats import h5ad
from scripts.harvest.quality.libraries import flags_of_figures, genefull_ratio, list_size, proof_of, read_matrix

KIT = Chemistry("kit", "Kit", (BarcodeSegment(1, 16, "big"),))
FIGURES = [
    {"read": 2, "inclusion_list": "big", "start": 1, "orientation": "forward", "share": 0.95, "chance": 0.001},
    {"read": 2, "inclusion_list": "big", "start": 2, "orientation": "forward", "share": 0.2, "chance": 0.001},
    {"read": 1, "inclusion_list": "small", "start": 1, "orientation": "forward", "share": 0.02, "chance": 0.01},
]
JUDGED = {
    "roles": "barcode,cdna",
    "chemistry": "kit",
    "candidates": ["kit"],
    "evidence": "barcodes",
    "figures": FIGURES,
}


def roles(tmp_path, *runs):
    path = tmp_path / "roles.json"
    content = {"inclusion_lists": {"big": 2000}, "runs": {f"R{number}": run for number, run in enumerate(runs)}}
    path.write_text(json.dumps(content))
    return path


def test_the_proof_is_that_of_the_first_run_that_has_one(tmp_path):
    path = roles(tmp_path, {"fault": {"reason": "EMPTY_READS", "detail": ""}, "figures": []}, JUDGED)
    assert proof_of(path, {"kit": KIT}) == {
        "read_roles": "barcode,cdna",
        "evidence": "barcodes",
        "inclusion_list": "big",
        "list_share": "0.9500",
        "list_chance": "0.0010",
        "next_list": "small",
        "next_share": "0.0200",
    }


def test_a_kit_without_list_or_verdict_has_no_proof(tmp_path):
    assert proof_of(tmp_path / "none.json", {}) == {}
    assert proof_of(roles(tmp_path, {"fault": {}, "figures": []}), {}) == {}
    named = JUDGED | {"chemistry": "", "candidates": ["drop"], "evidence": "run table", "figures": []}
    bare = Chemistry("drop", "Drop", (BarcodeSegment(1, 12, ""),))
    assert proof_of(roles(tmp_path, named), {"drop": bare}) == {
        "read_roles": "barcode,cdna",
        "evidence": "run table",
        "inclusion_list": "",
    }


def test_the_size_of_the_list_is_that_here_else_the_known_one_else_all_sequences(tmp_path):
    known = {"other": InclusionList("other", "", "", 96, 8)}
    path = roles(tmp_path, JUDGED)
    assert list_size(path, KIT, {}, "A" * 16) == 2000
    assert list_size(tmp_path / "none", KIT._replace(barcode=(BarcodeSegment(1, 8, "other"),) * 3), known, "") == 96**3
    assert list_size(path, KIT._replace(barcode=(BarcodeSegment(1, 12, ""),)), {}, "A" * 12) == 4**12
    assert list_size(path, None, {}, "A" * 10) == 4**10


def matrix(path, libraries):
    """Write the h5ad of a series: library → (barcode, counts) of its cells."""
    cells = [(name, *cell) for name, of_library in libraries.items() for cell in of_library]
    counts = np.array([cell[2] for cell in cells], np.int64)
    with h5py.File(path, "w") as root:
        h5ad.write_text(h5ad.create_group(root, "uns"), "matrix", "GeneFull_Unique_filtered")
        columns = {"library": [cell[0] for cell in cells], "barcode": [cell[1] for cell in cells]} if cells else {}
        columns |= {"total_counts": counts, "n_genes_by_counts": counts // 2, "pct_counts_mt": counts / 10}
        columns |= {"xist_counts": counts // 5, "y_counts": np.zeros(len(cells), np.int64)}
        h5ad.write_frame(root, "obs", [f"{name}_{barcode}" for name, barcode, _ in cells], columns)
    return path


def test_cells_of_each_library(tmp_path):
    made = read_matrix(matrix(tmp_path / "GSE1.mus.h5ad", {"X1": [("A", 10), ("C", 30)], "X2": [("G", 7)]}))
    assert list(made) == [("GSE1", "mus", "X1"), ("GSE1", "mus", "X2")]
    assert made["GSE1", "mus", "X1"].figures == {
        "matrix": "GeneFull",
        "cells": "2",
        "median_counts": "20",
        "median_genes": "10",
        "median_pct_mt": "2",
    }
    assert (made["GSE1", "mus", "X1"].xist, made["GSE1", "mus", "X1"].y_genes) == (8, 0)
    assert made["GSE1", "mus", "X1"].sketch.size == 2
    assert made["GSE1", "mus", "X2"].sketch.size == 0  # too few counts to be compared


def test_a_series_without_cells_and_a_damaged_file(tmp_path):
    assert read_matrix(matrix(tmp_path / "GSE1.mus.h5ad", {})) == {}
    (tmp_path / "GSE2.mus.h5ad").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as cells of droplet libraries"):
        read_matrix(tmp_path / "GSE2.mus.h5ad")


@pytest.mark.parametrize(
    "row, flags",
    [
        ({}, []),
        ({"Reads Mapped to Genome: Unique+Multiple": "0.19"}, ["LOW_MAPPING"]),
        ({"Reads Mapped to Genome: Unique+Multiple": "0.2"}, []),
        ({"Mismatch rate per base, %": "3.1"}, ["HIGH_MISMATCH"]),
        ({"Reads With Valid Barcodes": "0.74"}, ["LOW_VALID_BARCODES"]),
        ({"Q30 Bases in RNA read": "0.6"}, ["LOW_Q30"]),
        ({"Q30 Bases in RNA read": ""}, []),
        ({"Fraction of Unique Reads in Cells": "0.5"}, ["LOW_READS_IN_CELLS"]),
        ({"Fraction of Unique Reads in Cells": "0.5", "matrix": "GeneFull"}, []),
        ({"GeneFull: Fraction of Unique Reads in Cells": "0.5", "matrix": "GeneFull"}, ["LOW_READS_IN_CELLS"]),
        ({"gene_reads": "890", "antisense_reads": "110"}, ["ANTISENSE_READS"]),
        ({"gene_reads": "89", "antisense_reads": "10"}, []),
        ({"genefull_ratio": "2.5", "matrix": "Gene"}, ["INTRONIC_READS"]),
        ({"genefull_ratio": "2.5", "matrix": "GeneFull"}, []),
        ({"Sequencing Saturation": "0.01"}, []),  # low saturation is no fault
    ],
)
def test_flags_of_figures(row, flags):
    assert list(flags_of_figures(row)) == flags


def test_reads_in_introns_for_each_in_exons():
    names = "Reads Mapped to Gene: Unique Gene", "GeneFull: Reads Mapped to GeneFull: Unique GeneFull"
    assert genefull_ratio(dict(zip(names, ("0.4", "0.6"), strict=True))) == "1.5000"
    assert genefull_ratio(dict(zip(names, ("0", "0"), strict=True))) == genefull_ratio({}) == ""
