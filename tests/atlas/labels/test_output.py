import numpy as np
import pandas as pd

from scripts.atlas.labels.output import fraction, some, write_frame


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
