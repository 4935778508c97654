"""Figures of droplet cells in obs: shares, genes of the sexes, z-scores in the library and outliers by them."""

import numpy as np
import scipy.sparse

from scripts.droplets.cell_columns import cell_figures, group_genes
from scripts.harvest.quality.flags import FLAGS

VAR = {
    "gene_id": ["E1", "E2", "E3", "E4", "E5", "ERCC-00002"],
    "gene_name": ["Actb", "mt-Nd1", "Rpl3", "Xist", "Ddx3y", "ERCC-00002"],
    "biotype": [""] * 6,
    "chromosome": ["chr5", "chrM", "chr15", "chrX", "chrY", "ERCC-00002"],
}


def figures(counts):
    return cell_figures(scipy.sparse.csr_matrix(np.array(counts, np.int32)), group_genes(VAR))


def test_shares_and_counts_of_groups():
    found = figures([[40, 30, 20, 3, 2, 5], [7, 0, 0, 0, 0, 0]])
    assert found["total_counts"].tolist() == [100, 7]
    assert found["n_genes_by_counts"].tolist() == [6, 1]
    assert [found[f"pct_counts_{kind}"].tolist() for kind in ("mt", "ribo", "spike_in")] == [[30, 0], [20, 0], [5, 0]]
    assert (found["xist_counts"].tolist(), found["y_counts"].tolist()) == ([3, 0], [2, 0])
    assert np.isnan(found["z_counts"]).all()
    assert found["flags"] == ["", ""]


def test_outliers_of_a_library_are_flagged():
    cells = [[900 + 10 * (at % 7), 40 + at % 5, 30, 0, 0, 0] for at in range(24)]
    cells[5] = [9000, 40, 30, 0, 0, 0]
    cells[9] = [500, 450, 30, 0, 0, 0]
    found = figures(cells)
    assert {at: flags for at, flags in enumerate(found["flags"]) if flags} == {
        5: "OUTLIER_COUNTS",
        9: "OUTLIER_MITOCHONDRIAL",
    }
    assert found["z_counts"][5] > 3.5 and found["z_mt"][9] > 3.5
    assert set(found["flags"]) - {""} <= FLAGS.keys()


def test_a_library_without_cells_and_one_of_equal_cells_have_no_scores():
    assert figures(np.zeros((0, 6)))["flags"] == []
    equal = figures([[5, 1, 0, 0, 0, 0]] * 30)
    assert np.isnan(equal["z_counts"]).all() and set(equal["flags"]) == {""}
