"""A counted library against its floors and bounds."""

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.kept.floors import check_library
from scripts.droplets.kept.kept_library import KeptLibrary, keep_library
from scripts.droplets.library_figures import Bounds, LibraryFigures
from tests.droplets.kept.counted import write_counted

FIGURES = LibraryFigures(1000, 0, 500, 300.0, "ACTB", 0.1, 0.0, 0.0, 0.5, 0.2, 3000)


@pytest.fixture
def library(tmp_path):
    (tmp_path / "kept").mkdir()
    keep_library(write_counted(tmp_path / "star"), tmp_path / "kept", ["Gene"], ["Unique"])
    return KeptLibrary(tmp_path / "kept")


@pytest.mark.parametrize(
    "barcodes, genes, most, fault",
    [
        (0.9, 0.55, 0.5, ""),
        (0.91, 0.9, 0.1, "90.0% of the reads have a barcode of the inclusion list; the floor is 91.0%."),
        (0.5, 0.56, 0.1, "55.0% of the reads are in a gene (Gene); the floor is 56.0%."),
        (0.5, 0.5, 0.4, "of the 1,000 reads in genes 50.0% are of mitochondria (bound 40.0%)"),
    ],
)
def test_the_first_floor_that_is_not_reached_is_told(library, barcodes, genes, most, fault):
    bounds = Bounds(max_mitochondrial_share=most)
    if not fault:
        check_library(library, ["Gene", "SJ"], FIGURES, barcodes, genes, bounds)
        return
    with pytest.raises(RunFault) as raised:
        check_library(library, ["Gene", "SJ"], FIGURES, barcodes, genes, bounds)
    assert raised.value.detail.startswith(fault)


def test_without_genes_there_is_nothing_to_judge(library):
    check_library(library, ["SJ"], None, 1, 1, Bounds())
