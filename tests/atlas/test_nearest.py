import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.atlas import nearest as kernel
from scripts.atlas.nearest import nearest_rows
from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError
from tests.atlas.small_atlases import WIDE, nearest_by_hand, write_wide


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [None, 77])
@pytest.mark.parametrize("block", ["other", None])
def test_the_nearest_rows_are_those_of_double_precision(tmp_path, monkeypatch, metric, rows, block):
    dice = np.random.default_rng(5)
    embs = dice.normal(size=(1000, 8)).astype(np.float16)
    embs[dice.integers(0, 1000, 300)] = embs[0]  # many that are equally near
    embs[500:700] = (embs[1] + dice.normal(size=(200, 8)) * 1e-3).astype(np.float16)  # and many nearly so
    embs[900] = 0
    atlas = write_wide(tmp_path / "atlas", embs, rows)
    columns = atlas.columns("embs", block)
    vectors = np.concatenate([embs[[0, 1, 999]].astype(float), dice.normal(size=(2, 8))])[:, columns]
    for chunk in (1, 1 << 22):
        monkeypatch.setattr(kernel, "CHUNK", chunk)
        found, zeros = nearest_rows(atlas, block, vectors, 20, metric)
        assert zeros == 1
        for vector, nearest in zip(vectors, found, strict=True):
            assert (nearest.rows.tolist(), nearest.values.tolist()) == nearest_by_hand(
                embs[:, columns], vector, 20, metric
            )


@settings(max_examples=60)
@given(bits=st.lists(st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7C00 != 0x7C00), min_size=1, max_size=40))
def test_every_half_is_the_same_single(bits):
    half = np.array([bits], np.uint16).view(np.float16)
    assert np.array_equal(kernel._to_single(half).view(np.uint32), half.astype(np.float32).view(np.uint32))


def test_more_rows_are_asked_for_than_there_are(tmp_path):
    atlas = write_wide(tmp_path, np.eye(8, dtype=np.float16)[:3])
    ((rows, values),), _ = nearest_rows(atlas, "other", np.eye(8)[1:2, :6], 10)
    assert rows.tolist() == [1, 0, 2]
    assert values.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.ones((1, 5)), r"The vectors have the shape \(1, 5\); other has 6 columns"),
        (np.full((1, 6), np.nan), "not finite"),
        (np.full((1, 6), 1e16), "beyond 1e\\+15 cannot be compared"),
        (np.zeros((1, 6)), "Vector 0 is all zeros in other: it has no direction"),
    ],
)
def test_vectors_that_cannot_be_compared(tmp_path, vectors, words):
    with pytest.raises(InputError, match=words):
        nearest_rows(write_wide(tmp_path, np.ones((2, 8))), "other", vectors, 1, "cosine")


def test_rows_that_are_not_finite_are_not_passed_over(tmp_path):
    atlas = write_wide(tmp_path, np.ones((9, 8)))
    bad = np.ones((9, 8), np.float16)
    bad[7, 2] = np.nan
    np.savez(atlas.shards[0].files["embs"].path, bad)
    with pytest.raises(InputError, match="row 7 of its embs is not finite; 'python -m scripts atlas_check' finds all"):
        nearest_rows(Atlas(tmp_path, WIDE), "other", np.ones((1, 6)), 1)
