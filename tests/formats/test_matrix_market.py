"""Matrix Market text: read and filtered as scipy and plain Python would."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.core.errors import InputError
from scripts.formats import matrix_market
from scripts.formats.matrix_market import (
    FormatError,
    Shape,
    append_columns,
    filter_columns,
    matrix_text,
    parse_head,
    read_columns,
    read_matrix,
    sum_columns,
)

HEAD = b"%%MatrixMarket matrix coordinate integer general\n%\n"
REAL = HEAD.replace(b"integer", b"real")


def read(text: bytes, piece: int = 7) -> scipy.sparse.csc_matrix:
    return read_matrix((text[start : start + piece] for start in range(0, len(text), piece)), len(text))


def entries(lines: bytes, rows: int = 9, columns: int = 9, head: bytes = HEAD) -> bytes:
    return head + b"%d %d %d\n" % (rows, columns, lines.count(b"\n")) + lines


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11, 64, 1000])
def test_a_matrix_cut_anywhere_is_the_same(piece):
    text = entries(b"1 1 3\n9 1 12345678\n2 4 123456789\n5 9 1\n", 9, 9)
    expected = np.zeros((9, 9), dtype=np.int64)
    expected[0, 0], expected[8, 0], expected[1, 3], expected[4, 8] = 3, 12345678, 123456789, 1
    assert (read(text, piece).toarray() == expected).all()


def test_values_above_int32_are_kept():
    assert read(entries(b"1 1 3\n2 1 99999999999\n")).toarray()[1, 0] == 99999999999


def test_long_numbers_of_columns_and_rows_are_read():
    text = entries(b"123456789 1234567890 1\n", 2**31 - 1, 2**31)
    with pytest.raises(FormatError, match="outside the 1000 columns: b'123456789 1234567890 1'"):
        read(text.replace(b"2147483648 1\n", b"1000 1\n"))


def test_entries_in_any_order_are_sorted():
    text = entries(b"3 2 5\n1 1 4\n1 2 7\n2 1 6\n")
    matrix = read(text)
    assert matrix.has_sorted_indices
    assert matrix[2, 1] == 5 and matrix[0, 0] == 4 and matrix[0, 1] == 7 and matrix[1, 0] == 6


def test_real_values_are_those_of_float():
    values = [b"0.5", b"1", b"0.333333", b"12.25", b"1e-05", b"123456.7", b"0.0123457", b"7", b".5", b"1.5e+06"]
    lines = b"".join(b"%d 1 %s\n" % (row, value) for row, value in enumerate(values, 1))
    matrix = read(entries(lines, len(values), 1, REAL), 13)
    assert matrix.toarray()[:, 0].tolist() == [float(value) for value in values]


@pytest.mark.parametrize("piece", [1, 5, 1 << 20])
@pytest.mark.parametrize("kind", [b"integer", b"real"])
def test_matrices_as_others_write_them(piece, kind):
    head = b"%%MatrixMarket  MATRIX Coordinate " + kind + b"\tgeneral\n"
    text = head + b" % a note\n\n%\n  3\t2  4 \n 1   1     5\n\n2\t1\t6  \n% between\n  % more\n3 1 +7\n  1  2  8\n\n"
    for made in (text, text.replace(b"\n", b"\r\n")):
        assert read(made, piece).toarray().tolist() == [[5, 8], [6, 0], [7, 0]]
        pieces = [made[start : start + piece] for start in range(0, len(made), piece)]
        assert read_columns(pieces, len(made), (3, 2), np.array([1])).toarray().tolist() == [[8], [0], [0]]


def test_a_head_that_lies_costs_no_memory():
    text = HEAD + b"2 3 %d\n1 1 99999999999\n" % 10**9
    tracemalloc.start()
    with pytest.raises(FormatError, match="1 entries, but 1000000000 are promised"):
        read_matrix([text], 10**10, (2, 3))
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_matrices_are_joined_with_the_text_of_their_values():
    first = HEAD.replace(b"integer", b"real") + b"2 2 3\n1 1 1234567.25\n2 1 0.12345678901234567\n2 2 1.50\n"
    second = HEAD + b"2 2 3\r\n1 2 7\r\n1 1 123456789012345678\r\n2 1 1\r\n"
    target = io.BytesIO()
    assert append_columns([first], len(first), (2, 2), target, 0).entries == 3
    shape = append_columns([second[:50], second[50:]], len(second), (2, 2), target, 2, np.array([4, 0]))
    assert (shape.kind, shape.entries) == ("integer", 3)
    assert target.getvalue().splitlines() == [
        *(b"1 1 1234567.25", b"2 1 0.12345678901234567", b"2 2 1.50"),
        *(b"1 3 1", b"5 3 123456789012345678", b"5 4 7"),
    ]
    with pytest.raises(FormatError, match="3 entries, but 4 are promised"):
        append_columns([first.replace(b"2 2 3", b"2 2 4")], len(first), (2, 2), target, 4)


def test_empty_matrix():
    assert read(entries(b"", 4, 0)).shape == (4, 0)
    assert read(entries(b"", 4, 5)).nnz == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "it has no head"),
        (b"hello\n", "not a Matrix Market coordinate file: it begins with b'hello'"),
        (b"%%MatrixMarket matrix array integer general\n1 1 1\n", "not a Matrix Market coordinate file"),
        (b"%%MatrixMarket matrix coordinate complex general\n1 1 1\n", "a matrix of kind 'complex'"),
        (HEAD + b"1 1\n", "expected 'rows columns entries', but found b'1 1'"),
        (HEAD + b"9 9 1000000000000\n1 1 1\n", "more than its 75 bytes can hold"),
        (HEAD + b"9 2147483648 1\n1 1 1\n", "9 rows and 2147483648 columns are more than can be read"),
        (HEAD + b"2147483648 9 1\n1 1 1\n", "2147483648 rows and 9 columns are more than can be read"),
        (HEAD + b"-1 -1 -1\n", "expected 'rows columns entries', but found b'-1 -1 -1'"),
        (entries(b"1 1 " + b"1" * 100_000 + b"\n"), "an entry of more than 1,024 characters: b'1 1 1111"),
        (entries(b"1 1 " + b"1" * 100_000), "an entry of more than 1,024 characters: b'1 1 1111"),
        (HEAD + b"9 9 2\n1 1 1\n", "1 entries, but 2 are promised"),
        (HEAD + b"9 9 1\n1 1 1\n2 2 1\n", "more entries than the 1 promised"),
        (HEAD + b"9 9 1\n1 1 1", "the last line is cut short"),
        (entries(b"10 1 1\n"), "outside the 9 rows"),
        (entries(b"0 1 1\n"), "outside the 9 rows"),
        (entries(b"1 10 1\n"), "outside the 9 columns"),
        (entries(b"1 0 1\n"), "outside the 9 columns"),
        (entries(b"1 1 1\n1 1\n"), "entry 2 is not 'row column value' with a value of kind integer: b'1 1'"),
        (entries(b"1 1\n1 1 1 1\n"), "entry 1 is not"),
        (entries(b"1 1 1 1\n1 1\n"), "entry 1 is not"),
        (entries(b" 1 1\n"), "entry 1 is not"),
        (HEAD + b"9 9 2\n1 1 1\n% 2 2 1\n", "1 entries, but 2 are promised"),
        (HEAD.replace(b"general", b"symmetric") + b"9 9 0\n", "a b'symmetric' matrix; those called general are read"),
        (entries(b"1  1\n"), "entry 1 is not"),
        (entries(b"1 1 \n"), "entry 1 is not"),
        (entries(b"a 1 1\n"), "entry 1 is not"),
        (entries(b"1 1 x\n"), "entry 1 is not"),
        (entries(b"1 1 -5\n"), "entry 1 is not"),
        (entries(b"1 1 1.5\n"), "entry 1 is not"),
        (entries(b"1 1 5 6\n"), "entry 1 is not"),
        (entries(b"1 1 99999999999999999999\n"), "a value of the entries from 1 on is too large"),
        (entries(b"1 1 zz\n", head=REAL), "with a value of kind real: b'1 1 zz'"),
        (entries(b"1 1 nan\n", head=REAL), "entry 1 is not"),
        (entries(b"1 1 1_0\n", head=REAL), "entry 1 is not"),
        (entries(b"1 1 1.5.2\n", head=REAL), "entry 1 is not"),
        (entries(b"1 1 1e999\n", head=REAL), "too large"),
    ],
)
def test_faults_are_reported(text, words):
    with pytest.raises(FormatError) as raised:
        read(text)
    assert words in str(raised.value)


def write(path: Path, matrix: np.ndarray, kind: bytes = b"integer") -> None:
    lines = [
        b"%d %d %s\n" % (row + 1, column + 1, str(matrix[row, column]).encode())
        for column in range(matrix.shape[1])
        for row in range(matrix.shape[0])
        if matrix[row, column]
    ]
    head = HEAD.replace(b"integer", kind) + b"%d %d %d\n" % (*matrix.shape, len(lines))
    path.write_bytes(head + b"".join(lines))


@given(st.data())
@settings(max_examples=60)
def test_filtered_columns_are_those_of_the_matrix(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("filter")
    rows, columns = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 30))
    seed = data.draw(st.integers(0, 1000))
    dice = np.random.default_rng(seed)
    matrix = dice.integers(0, 4, (rows, columns)) * dice.integers(0, 2, (rows, columns))
    matrix *= dice.choice([1, 1, 33], (rows, columns))
    kept = np.array(data.draw(st.lists(st.integers(0, columns - 1), unique=True)), dtype=np.int64)
    write(folder / "raw.mtx", matrix)
    before = matrix_market.BLOCK
    matrix_market.BLOCK = data.draw(st.sampled_from([16, 40, 1 << 20]))
    try:
        count = filter_columns(folder / "raw.mtx", folder / "kept.mtx", kept)
    finally:
        matrix_market.BLOCK = before
    write(folder / "expected.mtx", matrix[:, kept])
    assert (folder / "kept.mtx").read_bytes() == (folder / "expected.mtx").read_bytes()
    assert count == np.count_nonzero(matrix[:, kept])


def test_filter_is_that_of_the_published_writer(tmp_path):
    from mex_gene_archive.filter import write_filtered_mtx

    dice = np.random.default_rng(3)
    matrix = np.where(dice.random((50, 400)) < 0.2, dice.integers(1, 300, (50, 400)) / 4, 0)
    write(tmp_path / "raw.mtx", matrix, b"real")
    barcodes = [f"BC{number:04d}" for number in range(400)]
    kept = [3, 17, 18, 250, 399]
    (tmp_path / "raw.tsv").write_text("".join(f"{barcode}\n" for barcode in barcodes))
    (tmp_path / "kept.tsv").write_text("".join(f"{barcodes[column]}\n" for column in kept))
    write_filtered_mtx(tmp_path / "raw.tsv", tmp_path / "raw.mtx", tmp_path / "kept.tsv", tmp_path / "theirs.mtx")
    filter_columns(tmp_path / "raw.mtx", tmp_path / "ours.mtx", np.array(kept))
    assert (tmp_path / "ours.mtx").read_bytes() == (tmp_path / "theirs.mtx").read_bytes()


def test_unsorted_source_comes_out_sorted(tmp_path):
    (tmp_path / "raw.mtx").write_bytes(entries(b"3 2 5\n1 1 4\n1 2 7\n2 1 6\n2 3 9\n", 3, 3))
    filter_columns(tmp_path / "raw.mtx", tmp_path / "kept.mtx", np.array([0, 1]))
    assert (tmp_path / "kept.mtx").read_bytes() == HEAD + b"3 2 4\n1 1 4\n2 1 6\n1 2 7\n3 2 5\n"


def test_filter_names_the_file_that_is_cut(tmp_path):
    path = tmp_path / "raw.mtx"
    path.write_bytes(HEAD + b"9 9 2\n1 1 1\n")
    with pytest.raises(InputError, match=r"raw\.mtx: 1 entries, but 2 are promised\.$"):
        filter_columns(path, tmp_path / "kept.mtx", np.array([0]))
    assert not (tmp_path / "kept.mtx").exists()


@given(st.integers(0, 200), st.integers(0, 10_000))
@settings(max_examples=40)
def test_reader_agrees_with_scipy(entries_made, seed):
    dice = np.random.default_rng(seed)
    made = scipy.sparse.random(30, 20, density=entries_made / 600, format="coo", random_state=dice)
    made.data = np.round(made.data * 100, 3)
    buffer = io.BytesIO()
    scipy.io.mmwrite(buffer, made.tocsc().tocoo(), precision=17)
    text = buffer.getvalue()
    assert (read(text, 100) != scipy.io.mmread(io.BytesIO(text)).tocsc()).nnz == 0


@pytest.mark.parametrize(
    "values", [[3, 0, 70_000, 2], [0.5, 0.333333, 1e-05, 2.0], [1234567.25, 0.12345678901234567, 1 / 3, 1e300]]
)
def test_written_matrix_is_read_back(values):
    matrix = scipy.sparse.csc_matrix(np.array(values).reshape(2, 2))
    text = b"".join(matrix_text(matrix))
    assert (read(text).toarray() == matrix.toarray()).all()


def test_head_comes_with_its_length():
    assert parse_head(HEAD + b"1 2 3\n4") == (Shape("integer", 1, 2, 3, (b"%",)), len(HEAD) + 6)
    assert parse_head(HEAD) is None


def test_a_matrix_of_another_shape_than_expected_is_refused():
    text = HEAD + b"2 3 1\n1 1 4\n"
    assert read_matrix([text], len(text), (2, 3)).toarray().tolist() == [[4, 0, 0], [0, 0, 0]]
    lie = HEAD + b"2 67108865 1\n1 1 4\n"
    for expected in ((2, 4), None):
        with pytest.raises(FormatError):
            read_matrix([lie], len(lie), expected)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_columns_are_added_up_with_weights(step):
    text = HEAD + b"2 3 4\n1 1 1\n2 1 7\n2 2 5\n1 3 12\n"
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    weights = np.array([10, 2**63], np.uint64)
    assert sum_columns(pieces, len(text), (2, 3), weights).tolist() == [[10 + 2**63, 2**63, 120]]  # odd times 2**63
    both = np.array([[1, 1], [0, 1]], np.uint64)
    assert sum_columns(pieces, len(text), (2, 3), both).tolist() == [[8, 5, 12], [7, 5, 0]]
    with pytest.raises(FormatError, match="the matrix is of 2 features and 3 barcodes, but there are 2 and 2"):
        sum_columns(pieces, len(text), (2, 2), weights)
    with pytest.raises(FormatError, match="4 entries, but 5 are promised"):
        sum_columns([text.replace(b"2 3 4", b"2 3 5")], len(text), (2, 3), weights)
    real = text.replace(b"integer", b"real").replace(b"1 1 1\n", b"1 1 0.5\n")
    bits = np.array([0.5]).view(np.uint64)[0]
    sums = sum_columns([real], len(real), (2, 3), np.array([1, 0], np.uint64))[0]
    assert sums[0] == bits


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_some_columns_are_read_in_the_order_given(step):
    text = HEAD + b"2 4 4\n1 1 1\n2 1 7\n2 2 5\n1 4 12\n"
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    for columns, rows in (([3, 0, 2], [[12, 1, 0], [0, 7, 0]]), ([], [[], []]), ([1], [[0], [5]])):
        chosen = read_columns(pieces, len(text), (2, 4), np.array(columns, np.int64))
        assert chosen.toarray().tolist() == rows
    real = text.replace(b"integer", b"real").replace(b"2 1 7", b"2 1 0.25")
    assert read_columns([real], len(real), (2, 4), np.array([0])).toarray().tolist() == [[1], [0.25]]
    with pytest.raises(FormatError, match="4 entries, but 5 are promised"):
        read_columns([text.replace(b"2 4 4", b"2 4 5")], len(text), (2, 4), np.array([0]))
