"""Inclusion lists in memory, and their digests."""

import gzip
import hashlib
import random

import pytest

from scripts.core.errors import InputError
from scripts.droplets import inclusion_lists
from scripts.droplets.inclusion_lists import content_digest, copy_checked, read_packed


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


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(inclusion_lists, "_BLOCK", 8)
    with gzip.open(tmp_path / "list", "wb") as handle:
        handle.write(b"ACGT\r\nTTTT\n" * 5 + b"ACGT")
    assert copy_checked(tmp_path / "list", tmp_path / "plain") == (11, 4)
    assert (tmp_path / "plain").read_bytes() == b"ACGT\nTTTT\n" * 5 + b"ACGT\n"
    with gzip.open(tmp_path / "list", "wb") as handle:
        handle.write(b"ACGT\n" + b"A" * 100)
    with pytest.raises(InputError, match=r"list: a line of more than 8 bytes; is it a list of barcodes"):
        copy_checked(tmp_path / "list", tmp_path / "plain")
