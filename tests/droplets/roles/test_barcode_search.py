"""Barcodes at every offset of a read."""

import numpy as np

from scripts.droplets.fastq_sample import make_sample
from scripts.droplets.inclusion_lists import pack_codes
from scripts.droplets.roles.barcode_search import pack_windows


def test_windows_are_the_sequences_at_their_offsets():
    sample = make_sample(["ACGTACGTNN", "TTTTTTTTAC"])
    packed, informative = pack_windows(sample.codes, 0, 4, 7, False)
    expected = [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2], [0, 1, 2, 3]]
    assert packed[0, :5].tolist() == pack_codes(np.array(expected, dtype=np.uint8)).tolist()
    assert informative[0].tolist() == [True, True, True, True, True, False, False]
    assert informative[1].tolist() == [False] * 6 + [True]
    turned, _ = pack_windows(sample.codes, 0, 4, 1, True)
    assert turned[0, 0] == packed[0, 0]  # ACGT is its own reverse complement
    assert turned[1, 0] == 0  # TTTT turned is AAAA
