"""Inclusion lists in memory, and their digests."""

import hashlib
import random

import pytest

from scripts.core.errors import InputError
from scripts.droplets.inclusion_lists import content_digest, read_packed


def digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def test_digests_are_those_of_sorted_lines(tmp_path):
    dice = random.Random(2)
    barcodes = ["".join(dice.choices("ACGT", k=17)) for _ in range(500)] * 2
    path = tmp_path / "list"
    path.write_text("".join(f"{barcode}\n" for barcode in barcodes))
    expected = "".join(f"{barcode}\n" for barcode in sorted(set(barcodes))).encode()
    assert content_digest(path, 17) == content_digest(path, 0) == digest_of(expected)


def test_packed_lists_are_sorted_and_of_one_length(tmp_path):
    (tmp_path / "list").write_bytes(b"TTTT\nACGT\n")
    assert read_packed(tmp_path / "list")[0].tolist() == [0b00011011, 255]
    (tmp_path / "list").write_bytes(b"TTTT\nACG\n")
    with pytest.raises(InputError, match="not a list of barcodes of A, C, G and T of one length"):
        read_packed(tmp_path / "list")
