"""The figures of cells are read from any h5ad of this workflow."""

import pytest

from scripts.core.errors import InputError
from scripts.harvest.cell_figures import read_cells
from tests.harvest.test_report import write_all_cells


def test_figures_of_plate_cells(tmp_path):
    write_all_cells(tmp_path)
    cells, notes = read_cells(tmp_path / "mus.h5ad")
    assert notes == {"reference": "mm10 sha256:1", "mode": "union"}
    assert cells[["series", "experiment", "counts", "genes", "reads", "mapped"]].values.tolist() == [
        ["GSE1", "SRX1", 10, 2, 1000, 70],
        ["GSE1", "SRX2", 30, 3, 3000, 90],
    ]


def test_figures_of_droplet_cells(tmp_path):
    write_all_cells(tmp_path)
    cells, notes = read_cells(tmp_path / "droplets" / "GSE2.homo.h5ad")
    assert notes == {"mode": "union"}
    assert cells.values.tolist() == [["GSE2", "SRX4", 3, 2], ["GSE2", "SRX4", 5, 1], ["GSE2", "SRX9", 18, 2]]


def test_an_h5ad_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "mus.h5ad").write_bytes(b"no")
    with pytest.raises(InputError, match=r"mus\.h5ad: cannot be read as counts of cells"):
        read_cells(tmp_path / "mus.h5ad")
