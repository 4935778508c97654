"""Rows of counts as text: written and read like the most straightforward program."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.formats import csv_gz
from scripts.harvest.gene_tables.counts_text import (
    format_decimals,
    format_rows,
    parse_decimals,
    parse_numbers,
    parse_row,
)

COUNTS = st.one_of(
    st.just(0), st.integers(0, 12), st.integers(95, 105), st.integers(0, 2**32), st.integers(0, 2**63 - 1)
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 5).flatmap(
        lambda width: st.lists(st.tuples(st.text(max_size=5), st.lists(COUNTS, min_size=width, max_size=width)))
    )
)
def test_rows_are_formatted_as_text(rows):
    names = [csv_gz.csv_value(name).encode() for name, _ in rows]
    width = len(rows[0][1]) if rows else 0
    dense = np.array([values for _, values in rows], np.int64).reshape(len(rows), width)
    row, column = np.nonzero(dense)
    bounds = np.searchsorted(row, np.arange(len(rows) + 1))
    counts = dense[row, column].astype(np.uint32 if dense.max(initial=0) < 2**32 else np.uint64)
    text = bytes(format_rows(names, width, bounds, 2 * column.astype(np.int32), counts))
    expected = [
        name + "".join(f",{value}" for value in values).encode() for name, values in zip(names, dense, strict=True)
    ]
    assert text == b"".join(line + b"\n" for line in expected)


def test_rows_are_read_as_they_are_written():
    random = np.random.default_rng(0)
    for width in (0, 1, 7, 300):
        counts = (10 ** (random.random(width) * 12)).astype(np.int64) * (random.random(width) < 0.5)
        columns = np.flatnonzero(counts)
        there = counts[columns].astype(np.uint64)
        text = bytes(format_rows([b"g"], width, np.array([0, len(columns)]), 2 * columns.astype(np.int32), there))
        assert (parse_row(text[1:-1], width) == counts).all()


@pytest.mark.parametrize(
    "body", [b",1,", b"1,2", b",1,x", b",1", b",1,2,3", b",1, 2", b",-1,2", b",1,1234567890123456789"]
)
def test_a_row_of_anything_else_is_an_error(body):
    with pytest.raises(ValueError, match="not 2 whole numbers, each after a comma"):
        parse_row(body, 2)


def test_numbers_are_read_where_they_end():
    raw = np.frombuffer(b"a 7\tb 450\nc x9", np.uint8)
    values = parse_numbers(raw, np.array([2, 8]), np.array([1, 3]))
    assert values is not None
    assert values.tolist() == [7, 450]
    assert parse_numbers(raw, np.array([13]), np.array([2])) is None
    assert parse_numbers(raw, np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_decimals_are_written_as_htseq_count_writes_them():
    values = np.array([5.0, 1 / 3, 2.5, 7.0])
    text = format_decimals(
        [b"g", b"none", b"__tally"], 3, np.array([0, 3, 3, 4]), np.array([0, 2, 4, 2]), values, np.array([0, 0, 1])
    )
    assert bytes(text) == b"g,5.0,0.3333333333333333,2.5\nnone,0,0,0\n__tally,0,7,0\n"
    assert parse_decimals(b",5.0,0.3333333333333333,2.5", 3).tolist() == values[:3].tolist()
    for body in (b",1.5", b",1.5,", b",1.5,-2.0", b",1.5,nan", b",1.5,1e999", b"1.5,2"):
        with pytest.raises(ValueError, match="not 2 numbers, each after a comma"):
            parse_decimals(body, 2)
