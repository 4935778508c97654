"""The check of the table of cells: flags, percents, and the same in obs of the h5ad."""

import h5py
import numpy as np
import pytest
import scipy.sparse

from scripts.formats import h5ad
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest.checks.quality import CellFigures, cell_faults, droplet_obs_faults, library_faults, obs_faults
from scripts.harvest.quality.cells import COLUMNS
from scripts.plan.run_table import Run

LEDGER = [Run("GSE1", "GSE1", "GSM1", "X1", "R1", species="mus", assay="plate", status="counted")]
ROW = {"cell": "X1", "runs": "R1", "species": "mus", "status": "counted", "total_counts": "7"}


@pytest.mark.parametrize(
    "changed, fault",
    [
        ({}, ""),
        ({"flags": "LOW_MAPPING;FEW_READS", "pct_mapped": "5.00"}, ""),
        (
            {"flags": "FEW_READS;LOW_MAPPING"},
            "X1 has the flags 'FEW_READS;LOW_MAPPING', which are not codes in their order",
        ),
        ({"flags": "ODD"}, "X1 has the flags 'ODD', which are not codes in their order"),
        ({"pct_mapped": "100.01"}, "X1 has '100.01' as pct_mapped"),
        ({"pct_counts_mt": "x"}, "X1 has 'x' as pct_counts_mt"),
        ({"status": "failed"}, "R1 is 'failed', but 'counted' in the ledger"),
    ],
)
def test_rows(tmp_path, changed, fault):
    path = tmp_path / "cells.csv.gz"
    write_csv_gz(path, [COLUMNS, [(ROW | changed).get(name, "") for name in COLUMNS]])
    assert list(cell_faults(path, LEDGER)) == ([f"quality/cells.csv.gz: {fault}."] if fault else [])


@pytest.mark.parametrize(
    "flags, counts, fault",
    [
        ("NO_GENES", "7", ""),
        ("", "7", "R1 has the flags 'NO_GENES', but '' in quality/cells.csv.gz"),
        ("NO_GENES", "8", "R1 has 7 counts, but '8' in quality/cells.csv.gz"),
    ],
)
def test_obs_is_compared_with_the_table(tmp_path, flags, counts, fault):
    path = tmp_path / "mus.h5ad"
    with h5py.File(path, "w") as root:
        matrix = h5ad.CsrWriter(root, "X", np.int32, (1, 2))
        matrix.append(scipy.sparse.csr_matrix(np.array([[3, 4]], np.int32)))
        matrix.finish(2)
        h5ad.write_frame(root, "obs", ["X1"], {"runs": ["R1"], "flags": ["NO_GENES"]})
    found = list(obs_faults(path, {"R1": CellFigures(flags, counts)}))
    assert found == ([f"mus.h5ad: {fault}."] if fault else [])
    assert list(obs_faults(path, {})) == ["mus.h5ad: R1 is not in quality/cells.csv.gz."]


@pytest.mark.parametrize(
    "status, flags, fault",
    [
        ("counted", "NO_CELLS", ""),
        ("failed", "", "R1 is 'failed', but 'counted' in the ledger"),
        ("counted", "no_cells", "X1 has the flags 'no_cells', which are not codes in their order"),
    ],
)
def test_libraries_are_those_of_the_ledger(tmp_path, status, flags, fault):
    ledger = [LEDGER[0]._replace(assay="droplet")]
    path = tmp_path / "libraries.csv"
    path.write_text(f"species,experiment,runs,status,flags\nmus,X1,R1,{status},{flags}\n")
    assert list(library_faults(path, ledger)) == ([f"quality/libraries.csv: {fault}."] if fault else [])
    more = [*ledger, ledger[0]._replace(experiment="X2", run="R2")]
    assert "quality/libraries.csv: X2 is counted in the ledger, but not in it." in list(library_faults(path, more))


def test_obs_of_droplets_agrees_with_its_counts(tmp_path):
    path = tmp_path / "GSE1.mus.h5ad"
    with h5py.File(path, "w") as root:
        matrix = h5ad.CsrWriter(root, "X", np.int32, (3, 2))
        matrix.append(scipy.sparse.csr_matrix(np.array([[3, 4], [1, 0], [0, 2]], np.int32)))
        matrix.finish(2)
        columns = {"flags": ["OUTLIER_COUNTS", "", "ODD"], "total_counts": np.array([7, 2, 2])}
        h5ad.write_frame(root, "obs", ["X1_A", "X1_C", "X1_G"], columns)
    assert list(droplet_obs_faults(path, "droplets/GSE1.mus.h5ad")) == [
        "droplets/GSE1.mus.h5ad: X1_C has other total_counts than counts.",
        "droplets/GSE1.mus.h5ad: X1_G has the flags 'ODD', which are not codes in their order.",
    ]
