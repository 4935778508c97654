"""The curve of a library has its barcodes by molecules, and says which of them were called cells."""

import gzip

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.harvest.report_page.barcode_ranks import read_called, read_curve


def keep(folder, molecules):
    path = folder / "Solo.out" / "Gene" / "UMIperCellSorted.txt.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{number}\n" for number in molecules).encode()))
    return path


def test_called_cells_are_found_by_their_molecules(tmp_path):
    keep(tmp_path, [100, 90, 80, 5, 5, 5, 1, 1])
    curve = read_curve(tmp_path, "Gene", np.array([5, 100, 80, 90]))
    assert [tuple(point) for point in curve] == [
        (1, 100, 1.0),
        (2, 90, 1.0),
        (3, 80, 1.0),
        *((rank, 5, pytest.approx(1 / 3)) for rank in (4, 5, 6)),
        (7, 1, 0.0),
        (8, 1, 0.0),
    ]


def test_a_curve_of_many_barcodes_has_few_points_and_one_at_the_last_cell(tmp_path):
    molecules = [9000 - rank for rank in range(5000)] + [9] * 95_000
    keep(tmp_path, molecules)
    curve = read_curve(tmp_path, "Gene", np.array(molecules[:5000]))
    assert len(curve) < 70
    assert (curve[0].rank, curve[-1].rank, curve[-1].molecules) == (1, 100_000, 9)
    called = {point.rank: point.called for point in curve}
    assert (called[4999 + 1], called[5001]) == (1.0, 0.0)
    assert all(point.molecules == molecules[point.rank - 1] for point in curve)


@pytest.mark.parametrize("molecules", [[], [7]])
def test_no_barcode_and_one(tmp_path, molecules):
    keep(tmp_path, molecules)
    assert [point.rank for point in read_curve(tmp_path, "Gene", np.zeros(0))] == [1] * len(molecules)
    assert read_curve(tmp_path / "none", "Gene", np.zeros(0)) == []


def test_cells_of_another_count_than_the_barcodes_are_not_called(tmp_path):
    keep(tmp_path, [5, 4, 3])
    assert [point.called for point in read_curve(tmp_path, "Gene", np.array([900.0]))] == [0, 0, 0]


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"5\nfive\n1\n"), gzip.compress(b"5\n4\n")[:-9]])
def test_a_broken_list_is_an_error_that_names_it(tmp_path, content):
    path = keep(tmp_path, [])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"UMIperCellSorted\.txt\.gz: cannot be read as molecules of barcodes"):
        read_curve(tmp_path, "Gene", np.array([1.0]))


def test_a_broken_h5ad_is_an_error_that_names_it(tmp_path):
    (tmp_path / "GSE1.mus.h5ad").write_bytes(b"no")
    with pytest.raises(InputError, match=r"GSE1\.mus\.h5ad: cannot be read as counts of cells"):
        read_called(tmp_path / "GSE1.mus.h5ad")
