import argparse

import pytest

from scripts.atlas.options import share


def test_shares_are_from_0_to_1():
    assert [share(text) for text in ("0", "0.25", "1")] == [0, 0.25, 1]
    for text in ("-0.1", "1.1", "nan", "half"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is no share; give a number from 0 to 1"):
            share(text)
