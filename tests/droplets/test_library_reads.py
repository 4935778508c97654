"""The reads of a library as STAR takes them."""

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.library_reads import join_reads


def test_joined_reads_are_barcode_and_umi(tmp_path):
    (tmp_path / "b").write_text("@1\nxAACCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n@2\nxTTCCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n")
    (tmp_path / "u").write_text("@1\nTTTTTTTTTTyy\n+\nUUUUUUUUUUyy\n@2\nGGGGGGGGGGyy\n+\nUUUUUUUUUUyy")
    join_reads(tmp_path / "b", tmp_path / "u", tmp_path / "j", slice(1, 15), slice(0, 10))
    assert (tmp_path / "j").read_text() == (
        "@1\nAACCGGTTAACCGGTTTTTTTTTT\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
        "@2\nTTCCGGTTAACCGGGGGGGGGGGG\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
    )
    (tmp_path / "u").write_text("@1\nTTTTTTTTTT\n+\nUUUUUUUUUU\n")
    with pytest.raises(RunFault, match="b and u do not have the same number of reads"):
        join_reads(tmp_path / "b", tmp_path / "u", tmp_path / "j", slice(0, 14), slice(0, 10))
