import numpy as np
import pandas as pd
import pytest

from scripts.atlas.labels.output import fraction, interval, percent, shares_of_rows, some, write_frame


def test_tables_have_six_digits_and_nothing_where_a_number_is_undefined(tmp_path):
    frame = pd.DataFrame({"cells": [3, 1_000_000], "share": [1 / 3, np.nan], "second": ['a "b"', ""]}, index=["x", "y"])
    write_frame(tmp_path / "a.tsv", frame, index="cell_type")
    text = 'cell_type\tcells\tshare\tsecond\nx\t3\t0.333333\ta "b"\ny\t1000000\t\t\n'
    assert (tmp_path / "a.tsv").read_bytes() == text.encode()
    write_frame(tmp_path / "b.tsv", frame[:0])
    assert (tmp_path / "b.tsv").read_bytes() == b"cells\tshare\tsecond\n"
    numbers = [1 / 3, 1e-7, 2e9, -0.0]
    write_frame(tmp_path / "c.tsv", pd.DataFrame({"share": numbers}))
    assert (tmp_path / "c.tsv").read_text().split()[1:] == [fraction(number) for number in numbers]
    assert fraction(float("nan")) == ""


def test_the_first_of_many_names():
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_shares_of_a_row_add_up_to_one():
    counts = np.array([[0, 8, 11], [6, 0, 9], [0, 0, 0]])  # second guesses by first
    shares = shares_of_rows(counts)
    assert shares[0].tolist() == [0, 8 / 19, 11 / 19]  # 57.9 %, not 11 of 20
    assert shares.sum(axis=1) == pytest.approx([1, 1, 0])
    assert percent(shares[0, 2]) == "57.9%"
    assert interval(11, 19) == "36.3%–76.9%"
    assert interval(0, 0) == percent(float("nan")) == "–"
