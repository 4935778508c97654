import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.atlas import atlas_pack, atlas_search
from scripts.atlas import nearest as kernel
from scripts.atlas.nearest import nearest_rows
from scripts.atlas.store.shards import PUBLIC, Atlas, Layout, shard_name, write_shard
from scripts.core.errors import InputError
from tests.atlas.small_parts import write_both

WIDE = Layout((("other", 6), ("cell_type", 2)), (("sex", 1),))


def write(folder, embs, rows=None):
    """Write an atlas of several shards."""
    folder.mkdir(exist_ok=True)
    for part, start in enumerate(range(0, len(embs), rows or len(embs))):
        here = embs[start : start + (rows or len(embs))]
        labels = np.zeros((len(here), 1), np.uint16)
        write_shard(folder, shard_name("scprint2", part), WIDE, here, labels, labels.astype(np.float16))
    return Atlas(folder, WIDE)


def by_hand(embs, vector, most, metric):
    """Return rows and values in double precision, without any short cut."""
    embs = embs.astype(np.float64)
    if metric == "cosine":
        lengths = np.sqrt((embs * embs).sum(axis=1))
        unit = vector / np.sqrt((vector * vector).sum())
        values = (embs * unit).sum(axis=1) / np.where(lengths == 0, 1, lengths)
        order = np.lexsort((np.arange(len(embs)), -values))[:most]
    else:
        values = np.sqrt(((embs - vector) ** 2).sum(axis=1))
        order = np.lexsort((np.arange(len(embs)), values))[:most]
    return order.tolist(), values[order].tolist()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [None, 77])
@pytest.mark.parametrize("block", ["other", None])
def test_the_nearest_rows_are_those_of_double_precision(tmp_path, monkeypatch, metric, rows, block):
    dice = np.random.default_rng(5)
    embs = dice.normal(size=(1000, 8)).astype(np.float16)
    embs[dice.integers(0, 1000, 300)] = embs[0]  # many that are equally near
    embs[500:700] = (embs[1] + dice.normal(size=(200, 8)) * 1e-3).astype(np.float16)  # and many nearly so
    embs[900] = 0
    atlas = write(tmp_path / "atlas", embs, rows)
    columns = atlas.columns("embs", block)
    vectors = np.concatenate([embs[[0, 1, 999]].astype(float), dice.normal(size=(2, 8))])[:, columns]
    for chunk in (1, 1 << 22):
        monkeypatch.setattr(kernel, "CHUNK", chunk)
        found, zeros = nearest_rows(atlas, block, vectors, 20, metric)
        assert zeros == 1
        for vector, nearest in zip(vectors, found, strict=True):
            assert (nearest.rows.tolist(), nearest.values.tolist()) == by_hand(embs[:, columns], vector, 20, metric)


@settings(max_examples=60, deadline=None)
@given(bits=st.lists(st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7C00 != 0x7C00), min_size=1, max_size=40))
def test_every_half_is_the_same_single(bits):
    half = np.array([bits], np.uint16).view(np.float16)
    assert np.array_equal(kernel._to_single(half).view(np.uint32), half.astype(np.float32).view(np.uint32))


def test_more_rows_are_asked_for_than_there_are(tmp_path):
    atlas = write(tmp_path, np.eye(8, dtype=np.float16)[:3])
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
        nearest_rows(write(tmp_path, np.ones((2, 8))), "other", vectors, 1, "cosine")


def test_rows_that_are_not_finite_are_not_passed_over(tmp_path):
    atlas = write(tmp_path, np.ones((9, 8)))
    bad = np.ones((9, 8), np.float16)
    bad[7, 2] = np.nan
    np.savez(atlas.shards[0].files["embs"].path, bad)
    with pytest.raises(InputError, match="row 7 is not finite; 'atlas check' tells more"):
        nearest_rows(Atlas(tmp_path, WIDE), "other", np.ones((1, 6)), 1)


def printed(capsys, *arguments):
    capsys.readouterr()
    atlas_search.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return [line.split("\t") for line in out.splitlines()], err


def test_cells_are_found_by_name(tmp_path, capsys):
    atlas_pack.main(["--parts", *write_both(tmp_path), "--output", str(tmp_path / "atlas"), "--shard-rows", "3"])
    rows, err = printed(
        capsys, tmp_path / "atlas", "--like", "SRX3_AAAC", "--k", "2", "--metric", "euclidean", "--labels", "cell_type"
    )
    assert rows[0][:3] + rows[0][-1:] == ["query", "rank", "distance", "cell_type"]
    assert [row[:3] + row[6:] for row in rows[1:]] == [
        ["SRX3_AAAC", "1", "0", "GSE1", "GSM1", "SRX3", "SRR3", "homo", "AAAC", "CL:1"],
        ["SRX3_AAAC", "2", f"{np.sqrt(3) * 5 / 8:.9g}", "GSE1", "GSM1", "SRX1", "SRR1;SRR2", "homo", "GGGT", "CL:3"],
    ]
    assert err == ""
    by_place, _ = printed(capsys, tmp_path / "atlas", "--like", "step_0_toy_predict_part_1_0:2", "--k", "1")
    assert by_place[1][:6] == ["step_0_toy_predict_part_1_0:2", "1", "1", "step_0_toy_predict_part_1_0", "2", "6"]
    with pytest.raises(InputError, match=r"(?s)SRX9: no run.*SRX1_CCCA: has no row; it was dropped \(FEW_GENES\)"):
        atlas_search.main([str(tmp_path / "atlas"), "--like", "SRX9", "SRX1_CCCA"])
    with pytest.raises(InputError, match="'colour' is no class of labels"):
        atlas_search.main([str(tmp_path / "atlas"), "--like", "SRX9", "--labels", "colour"])


def test_vectors_in_an_atlas_without_map(tmp_path, capsys):
    embs = np.zeros((3, 424), np.float16)
    embs[1, 256:320] = 1
    labels = np.full((3, 23), 4, np.uint16)
    write_shard(tmp_path, shard_name("scprint2", 0), PUBLIC, embs, labels, labels.astype(np.float16))
    np.save(tmp_path / "vector.npy", np.ones(64))
    asked = [tmp_path, "--vectors", tmp_path / "vector.npy", "--block", "cell_type", "--k", "2", "--labels", "sex"]
    rows, err = printed(capsys, *asked)
    assert rows == [
        ["query", "rank", "similarity", "shard", "row", "global_row", "sex"],
        ["0", "1", "1", "step_0__predict_part_0_0", "1", "1", "4"],
        ["0", "2", "0", "step_0__predict_part_0_0", "0", "0", "4"],
    ]
    assert "2 rows are all zeros in cell_type: their cosine is taken to be 0.\n" in err
    assert "are shown as codes" in err
    with pytest.raises(InputError, match=r"SRX1: .* has no segments.tsv, so that a row can only be named SHARD:ROW"):
        atlas_search.main([str(tmp_path), "--like", "SRX1"])
    (tmp_path / "vector.npy").write_text("x")
    with pytest.raises(InputError, match="cannot be read as an npy file"):
        atlas_search.main(list(map(str, asked)))
