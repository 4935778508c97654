"""The reads of a library as STAR takes them."""

from pathlib import Path

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.library_reads import LibraryReads, join_reads


def test_joined_reads_are_barcode_and_umi(tmp_path):
    (tmp_path / "b").write_text("@1\nxAACCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n@2\nxTTCCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n")
    (tmp_path / "u").write_text("@1\nTTTTTTTTTTyy\n+\nUUUUUUUUUUyy\n@2\nGGGGGGGGGGyy\n+\nUUUUUUUUUUyy")
    joined = b"".join(join_reads((tmp_path / "b", slice(1, 15)), (tmp_path / "u", slice(0, 10))))
    assert joined == (
        b"@1\nAACCGGTTAACCGGTTTTTTTTTT\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
        b"@2\nTTCCGGTTAACCGGGGGGGGGGGG\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
    )


@pytest.mark.parametrize(("some", "others"), [(1, 2), (2, 1), (0, 1), (1, 0), (10_000, 10_001), (10_001, 10_000)])
def test_reads_of_other_numbers_are_not_joined(tmp_path, some, others):
    for name, number in (("b", some), ("u", others)):
        (tmp_path / name).write_text("@1\nAACC\n+\nFFFF\n" * number)
    with pytest.raises(RunFault, match="b and u do not have the same number of reads"):
        list(join_reads((tmp_path / "b", slice(0, 14)), (tmp_path / "u", slice(0, 10))))


def test_a_read_that_ends_before_the_bases_asked_for_is_one_unread_base(tmp_path):
    """STAR ends at an empty read."""
    (tmp_path / "c").write_bytes(b"@a\nACGTACGTAC\n+\nABCDEFGHIJ\n@b\nACGT\n+\nABCD\n")
    joined = b"".join(join_reads((tmp_path / "c", slice(7, None))))
    assert joined == b"@a\nTAC\n+\nHIJ\n@b\nN\n+\n#\n"


def lanes(kit: str, **lengths: float) -> str:
    """Return what is said of lanes with barcode reads of these mean lengths."""
    kits, _ = read_chemistries(Path(__file__).parents[2] / "config/chemistries.yaml")
    verdicts = {
        run: {
            "roles": "index,barcode,cdna",
            "mean_lengths": [8, length, 90],
            "umi_length": kits[kit].umi_bases(length),
            "offset": 0,
            "candidates": [kit],
        }
        for run, length in lengths.items()
    }
    return LibraryReads([], verdicts, Path()).lane_words(kits[kit])


def test_lanes_whose_barcode_reads_differ_are_said_so():
    assert lanes("10x_3p_v3", R1=28) == lanes("10x_3p_v3", R1=28, R2=28.2) == ""
    assert lanes("10x_3p_v3", R1=28, R2=26) == (
        "The barcode reads have 28 bases in R1, 26 bases in R2. STAR takes UMIs of one length: those of all runs are"
        " cut to 10 bases."
    )
    assert lanes("10x_3p_v3", R1=28, R2=150) == "The barcode reads have 28 bases in R1, 150 bases in R2."
    assert lanes("10x_5p_v2", R2=150, R1=26) == (
        "The barcode reads have 26 bases in R1, 150 bases in R2. The cDNA in the barcode reads of R2 is not aligned,"
        " since the others have none."
    )
