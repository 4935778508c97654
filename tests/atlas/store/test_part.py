import json

import numpy as np
import pytest

from scripts.atlas.store.files import write_json, write_table
from scripts.atlas.store.layout import Layout
from scripts.atlas.store.part import (
    Cell,
    Description,
    EmbeddedPart,
    Matrix,
    PartWriter,
    to_codes,
    to_half,
)
from scripts.core.errors import InputError

LAYOUT = Layout((("other", 2), ("sex", 1)), (("cell_type", 2), ("sex", 1)))
DECODERS = {"cell_type": {"0": "CL:1", "1": "CL:2"}, "sex": {"0": "PATO:1"}}
WITH_LABELS = Description("toy", "1", LAYOUT, score_kind="logit", decoders=DECODERS, notes=("made up",))
CELLS = [Cell("GSE1", "GSM1", "SRX1", "SRR1", "homo", barcode) for barcode in ("AAAA", "CCCC", "GGGG")]


def write(folder, **changes):
    """Write a part of three cells, the second of which is dropped."""
    embs = np.array([[1, 2, 3], [np.nan, 0, 0], [4, 5, 6]], np.float32)
    top3 = np.array([[0, 1, 0], [-1, -1, -1], [1, 0, 0]])
    with PartWriter(folder, WITH_LABELS, 3) as part:
        part.append(embs[:1], top3[:1], np.ones((1, 3)))
        part.append(embs[1:], top3[1:], np.full((2, 3), -0.5), reasons=["NO_COUNTS", ""])
    write_table(folder / "cells.tsv", Cell._fields, CELLS)
    write_json(folder / "matrix.json", Matrix("droplets/GSE1.homo.h5ad", "0" * 64, 3)._asdict())
    for name, values in changes.items():
        np.save(folder / f"{name}.npy", values)


def faults_of(folder):
    with pytest.raises(InputError) as caught:
        EmbeddedPart(folder)
    return str(caught.value)


def test_a_part_is_read_back_as_it_was_written(tmp_path):
    write(tmp_path)
    part = EmbeddedPart(tmp_path)
    assert part.arrays["embs"].tolist() == [[1, 2, 3], [0, 0, 0], [4, 5, 6]]
    assert part.arrays["top3"].tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert part.arrays["scores"].tolist() == [[1, 1, 1], [0, 0, 0], [-0.5, -0.5, -0.5]]
    assert [array.dtype.str for array in part.arrays.values()] == ["<f2", "<u2", "<f2"]
    assert part.kept.tolist() == [True, False, True]
    assert part.dropped == {1: "NO_COUNTS"}
    assert list(part.cells()) == CELLS
    assert part.matrix == Matrix("droplets/GSE1.homo.h5ad", "0" * 64, 3)
    assert part.description == WITH_LABELS
    assert list(part.faults()) == []
    reported = json.loads((tmp_path / "describe.json").read_text())
    assert reported["blocks"] == [["other", 2], ["sex", 1]]
    assert reported["decoders"] == DECODERS


def test_a_part_without_cells_and_without_labels(tmp_path):
    bare = Description("svd-baseline", "1", Layout((("other", 4),)))
    with PartWriter(tmp_path, bare, 0):
        pass
    part = EmbeddedPart(tmp_path, complete=False)
    assert (part.rows, [*part.arrays], part.arrays["embs"].shape, list(part.faults())) == (0, ["embs"], (0, 4), [])


def test_an_unfinished_part_is_none(tmp_path):
    words = "1 rows were written, but the matrix has 2 cells"
    bare = Description("toy", "1", Layout((("other", 1),)))
    with pytest.raises(ValueError, match=words), PartWriter(tmp_path, bare, 2) as part:
        part.append(np.ones((1, 1)))
    assert "describe.json: not there" in faults_of(tmp_path)


def test_every_file_that_does_not_fit_is_reported_at_once(tmp_path):
    write(tmp_path, embs=np.zeros((3, 3), np.float32), top3=np.zeros((3, 4), np.uint16))
    (tmp_path / "scores.npy").unlink()
    reported = faults_of(tmp_path)
    assert "needs 3 corrections" in reported
    assert "embs.npy: its numbers are float32, expected float16." in reported
    assert "top3.npy: its shape is (3, 4), but the description has 3 columns." in reported
    assert "scores.npy: not there." in reported


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embs": np.zeros((2, 3), np.float16)}, "different numbers of rows: kept.npy 3, embs.npy 2, top3.npy 3"),
        ({"embs": np.asfortranarray(np.ones((3, 3), np.float16))}, r"Fortran order"),
        ({"kept": np.array([True, True, True])}, "kept.npy drops 0 rows, dropped.tsv 1"),
    ],
)
def test_files_that_disagree(tmp_path, changes, words):
    write(tmp_path, **changes)
    assert words in faults_of(tmp_path)


def test_numbers_that_are_wrong(tmp_path):
    bad = np.ones((3, 3), np.float16)
    bad[2, 1] = np.inf
    write(tmp_path, embs=bad, top3=np.array([[0, 1, 0], [0, 0, 0], [7, 0, 1]], np.uint16))
    assert list(EmbeddedPart(tmp_path).faults()) == [
        "embs.npy: 1 rows have a number that is not finite.",
        "top3.npy: 1 rows have a label of cell_type that its decoder does not know.",
        "top3.npy: 1 rows have a label of sex that its decoder does not know.",
        "embs.npy: 1 dropped rows are not zeros, e.g. 1.",
    ]


def test_cells_that_are_not_as_many_as_the_rows(tmp_path):
    write(tmp_path)
    write_table(tmp_path / "cells.tsv", Cell._fields, CELLS[:2])
    with pytest.raises(InputError, match=r"cells.tsv: 2 cells, but the arrays have 3 rows"):
        list(EmbeddedPart(tmp_path).cells())


@pytest.mark.parametrize("value", [np.nan, np.inf, 65505.0, -70000.0])
def test_numbers_that_float16_cannot_hold(value):
    with pytest.raises(InputError, match=r"x: row 11, column 1 is .*finite and not beyond ±65504"):
        to_half(np.array([[0, 0], [0, value]]), "x", 10)
    assert to_half(np.array([[65504.0]]), "x").tolist() == [[65504.0]]


def test_codes_that_uint16_cannot_hold():
    for value in (-1, 65536):
        with pytest.raises(InputError, match=f"x: row 0, column 0 is {value}; a code is from 0 to 65535"):
            to_codes(np.array([[value]]), "x")
    with pytest.raises(InputError, match="codes"):
        to_codes(np.array([[1.0]]), "x")
    assert to_codes(np.array([[65535]]), "x").dtype.str == "<u2"


def test_a_description_of_other_types_is_refused():
    with pytest.raises(InputError) as error:
        Description.from_json({"name": 1, "version": "1", "blocks": [["other", 2]], "notes": 1, "decoders": [1]})
    assert str(error.value).splitlines() == [
        "The description of the back end needs 3 corrections:",
        "name: 1 is not a text.",
        "decoders: [1] is not an object.",
        "notes: 1 is not a list.",
    ]
