"""The quality of plate cells: figures of known counts, and flags of cells that stand out."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest.quality.cells import (
    COLUMNS,
    add_scores,
    count_figures,
    describe_genes,
    flags_of_cells,
    read_cells,
    shown,
)
from scripts.harvest.quality.obs import quality_columns
from scripts.plates.shard_counts import ShardCounts, write_shard_counts
from scripts.references.genes_table import GeneRow

GENES = [
    GeneRow("E1", "Actb", "protein_coding", 9, "chr5"),
    GeneRow("E2", "mt-Nd1", "protein_coding", 9, "chrM"),
    GeneRow("E3", "Rpl3", "protein_coding", 9, "chr15"),
    GeneRow("E4", "spike1", "", 9, "phiX"),
    GeneRow("E5", "Xist", "lncRNA", 9, "chrX"),
    GeneRow("E6", "Ddx3y", "protein_coding", 9, "chrY"),
]


def test_shares_are_of_all_counts_and_spike_ins_of_the_reference():
    counts = scipy.sparse.csr_matrix(np.array([[40, 30, 20, 5, 3, 2], [0] * 6], np.uint8))
    figures = count_figures(counts, describe_genes(GENES, frozenset({"phiX"})))
    assert figures["total_counts"].tolist() == [100, 0]
    assert figures["n_genes_by_counts"].tolist() == [6, 0]
    assert [figures[f"pct_counts_{kind}"][0] for kind in ("spike_in", "mt", "ribo")] == [5, 30, 20]
    assert np.isnan(figures["pct_counts_mt"][1])
    assert (figures["xist_counts"].tolist(), figures["y_counts"].tolist()) == ([3, 0], [2, 0])


def frame(cells=24, **changed):
    """Cells of a series that vary a little; ``changed``: column → value of the last one."""
    at = np.arange(cells)
    columns = {
        "reads": (100_000 + 1000 * (at % 7)).astype(str).astype(object),
        "mapped_once": (80_000 + 1000 * (at % 7)).astype(str).astype(object),
        "pct_mismatch": np.full(cells, "0.4", object),
        "pct_mapped": np.full(cells, 85.0),
        "total_counts": 50_000 + 1000 * (at % 7),
        "n_genes_by_counts": 4000 + 100 * (at % 5),
        "no_feature": np.full(cells, 10_000),
        "pct_ambiguous": np.full(cells, 4.0),
        "pct_counts_spike_in": 3.0 + at % 3,
        "pct_counts_mt": 4.0 + at % 4,
        "pct_counts_ribo": np.full(cells, 9.0),
    }
    made = pd.DataFrame({"series": "GSE1", "species": "mus"} | columns)
    for name, value in changed.items():
        made.loc[cells - 1, name] = value
    return made


def all_flags(cells):
    return [one | other for one, other in zip(add_scores(cells), flags_of_cells(cells), strict=True)]


def flags(**changed):
    cells = frame(**changed)
    *others, last = all_flags(cells)
    assert all(not found for found in others)
    return last


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({}, set()),
        ({"total_counts": 20_000}, {"OUTLIER_COUNTS"}),
        ({"total_counts": 110_000}, {"OUTLIER_COUNTS"}),
        ({"total_counts": 30_000}, set()),  # far by its z-score, but not half of the median
        ({"n_genes_by_counts": 1500}, {"OUTLIER_GENES"}),
        ({"pct_counts_mt": 20.0}, {"OUTLIER_MITOCHONDRIAL"}),
        ({"pct_counts_mt": 0.0}, set()),
        ({"pct_counts_mt": 40.0}, {"OUTLIER_MITOCHONDRIAL", "HIGH_MITOCHONDRIAL"}),
        ({"pct_counts_spike_in": 50.0}, {"OUTLIER_SPIKE_IN"}),
        ({"pct_counts_spike_in": 95.0}, {"OUTLIER_SPIKE_IN", "EMPTY_WELL"}),
        ({"pct_counts_ribo": 70.0}, {"HIGH_RIBOSOMAL"}),
        ({"pct_ambiguous": 25.0}, {"HIGH_AMBIGUOUS"}),
        ({"no_feature": 79_000}, {"HIGH_NO_FEATURE"}),
        ({"pct_mismatch": "4.1"}, {"HIGH_MISMATCH"}),
        ({"pct_mismatch": ""}, set()),
        ({"pct_mapped": 19.9}, {"LOW_MAPPING"}),
        ({"reads": "9000"}, {"FEW_READS"}),
        ({"reads": "900"}, {"EMPTY_WELL"}),
        ({"total_counts": 0, "n_genes_by_counts": 0}, {"OUTLIER_COUNTS", "OUTLIER_GENES", "NO_GENES"}),
    ],
)
def test_flags_of_one_cell_of_a_series(changed, expected):
    if changed.get("total_counts") == 0:
        expected = {"NO_GENES"}  # without counts there is no logarithm
    assert flags(**changed) == expected


def test_a_small_series_has_no_outliers():
    cells = frame(19, total_counts=10)
    assert all_flags(cells)[-1] == set()
    assert cells.z_counts.isna().all()


def test_cells_are_compared_within_their_series_and_species():
    cells = pd.concat([frame(24), frame(24).assign(series="GSE2", total_counts=500)], ignore_index=True)
    assert all_flags(cells) == [set()] * 48


def test_genes_of_another_table_are_refused(tmp_path):
    shard = ShardCounts(["E1"], ["X1"], ["R1"], scipy.sparse.csc_matrix([[1]]), np.zeros((1, 5), int), [{}])
    write_shard_counts(tmp_path / "shard.h5ad", shard)
    with pytest.raises(InputError, match="its genes are not those of the table of genes"):
        read_cells(tmp_path / "shard.h5ad", {}, describe_genes(GENES, frozenset()))


def test_values_as_text():
    assert [shown(value) for value in ("a", 3, np.int64(4), 2.005, float("nan"), np.float64(7))] == [
        *("a", "3", "4", "2.00", "", "7.00"),
    ]


def test_columns_of_obs_have_the_values_of_the_table(tmp_path):
    rows = [
        {"cell": "X1", "runs": "R1;R0", "species": "mus", "flags": "NO_GENES", "reads": "10", "pct_mapped": "1.50"},
        {"cell": "X2", "runs": "R2", "species": "mus", "reads": "20", "pct_mapped": ""},
        {"cell": "X1", "runs": "R1", "species": "homo", "reads": "30", "pct_mapped": "7.00"},
    ]
    path = tmp_path / "cells.csv.gz"
    write_csv_gz(path, [COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)])
    columns = quality_columns(path, "mus", [["R2"], ["R0", "R1"]])
    assert columns["flags"] == ["", "NO_GENES"]
    assert columns["reads"].tolist() == [20, 10] and columns["reads"].dtype == np.int64
    assert np.isnan(columns["pct_mapped"][0]) and columns["pct_mapped"][1] == 1.5
    assert "cell" not in columns and "status" not in columns
    with pytest.raises(InputError, match="no row for R9 of mus"):
        quality_columns(path, "mus", [["R9"]])
