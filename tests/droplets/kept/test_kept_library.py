"""What is kept of a counted library: its text comes back as it was, and the same counts have the same bytes."""

import pytest

from scripts.core.errors import InputError
from scripts.droplets.kept.kept_library import KeptLibrary, keep_library
from tests.droplets.kept.counted import BARCODES, MATRIX, SHARED, write_counted

OPTIONS = {"soloFeatures": "Gene", "outFilterScoreMin": "30"}


def keep(tmp_path, name="kept"):
    folder = tmp_path / name
    folder.mkdir()
    if not (tmp_path / "star").exists():
        write_counted(tmp_path / "star")
    keep_library(tmp_path / "star", folder, ["Gene"], ["Unique", "EM"], OPTIONS, "two lanes.")
    return folder


def test_text_comes_back_as_it_was(tmp_path):
    library = KeptLibrary(keep(tmp_path))
    assert (library.options, library.words, library.star_version) == (OPTIONS, "two lanes.", "2.7.10b")
    assert library.has("Gene") and not library.has("SJ")
    for name, text in (("matrix.mtx", MATRIX), ("UniqueAndMult-EM.mtx", SHARED)):
        assert library.unpack("Gene", name, tmp_path / "text").read_text() == text
    assert library.unpack_barcodes(tmp_path / "text").read_text().split() == list(BARCODES)
    assert library.matrix("Gene").toarray().tolist() == [[0, 5, 0, 0], [0, 0, 0, 2], [0, 1, 0, 0]]


def test_barcodes_with_reads_are_in_the_order_of_the_list(tmp_path):
    reads = KeptLibrary(keep(tmp_path)).reads("Gene")
    assert (reads.numbers.tolist(), reads.barcodes, reads.reads.tolist()) == (
        [1, 2, 3],
        ["CCCC", "GGGG", "TTTT"],
        [8, 0, 3],
    )


def test_the_same_counts_have_the_same_bytes(tmp_path):
    first, second = keep(tmp_path), keep(tmp_path, "again")
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert len(files) == 12
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


def test_of_a_library_that_failed_there_are_the_logs_alone(tmp_path):
    write_counted(tmp_path / "star")
    (tmp_path / "kept").mkdir()
    keep_library(tmp_path / "star", tmp_path / "kept")
    names = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    assert names == {
        *("Log.final.out", "Log.out", "Solo.out/Barcodes.stats"),
        *("Solo.out/Gene/Features.stats", "Solo.out/Gene/Summary.csv"),
    }
    with pytest.raises(InputError, match=r"kept: it has no counted\.json, .* Delete the folder to count the library"):
        KeptLibrary(tmp_path / "kept")


def test_what_is_damaged_says_what_to_delete(tmp_path):
    library = KeptLibrary(keep(tmp_path))
    path = library.of("Gene") / "raw/matrix.mtx.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"matrix\.mtx\.gz: .* Delete .*kept to count the library again\."):
        library.matrix("Gene")
    path.unlink()
    with pytest.raises(InputError, match=r"matrix\.mtx\.gz: missing\. Delete .*kept to count the library again\."):
        library.unpack("Gene", "matrix.mtx", tmp_path / "text")
