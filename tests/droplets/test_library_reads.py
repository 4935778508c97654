"""The reads of a library as STAR takes them."""

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.library_reads import join_reads


def test_joined_reads_are_barcode_and_umi(tmp_path):
    (tmp_path / "b").write_text("@1\nxAACCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n@2\nxTTCCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n")
    (tmp_path / "u").write_text("@1\nTTTTTTTTTTyy\n+\nUUUUUUUUUUyy\n@2\nGGGGGGGGGGyy\n+\nUUUUUUUUUUyy")
    joined = b"".join(join_reads(tmp_path / "b", tmp_path / "u", slice(1, 15), slice(0, 10)))
    assert joined == (
        b"@1\nAACCGGTTAACCGGTTTTTTTTTT\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
        b"@2\nTTCCGGTTAACCGGGGGGGGGGGG\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
    )


@pytest.mark.parametrize(("some", "others"), [(1, 2), (2, 1), (0, 1), (1, 0), (10_000, 10_001), (10_001, 10_000)])
def test_reads_of_other_numbers_are_not_joined(tmp_path, some, others):
    for name, number in (("b", some), ("u", others)):
        (tmp_path / name).write_text("@1\nAACC\n+\nFFFF\n" * number)
    with pytest.raises(RunFault, match="b and u do not have the same number of reads"):
        list(join_reads(tmp_path / "b", tmp_path / "u", slice(0, 14), slice(0, 10)))
