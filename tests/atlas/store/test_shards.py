import json
import shutil

import numpy as np
import pytest

from scripts.atlas.store.layout import PUBLIC, Layout
from scripts.atlas.store.shards import Atlas, ShardWriter, open_atlases, shard_name
from scripts.core.errors import InputError
from tests.atlas.small_atlases import rows_of, write_shard

KINDS = ("embs", "top3", "scores")


def made_up(rows, seed=0):
    """Return embeddings, labels and scores as the public atlas has them."""
    dice = np.random.default_rng([seed, rows])
    embs = dice.normal(size=(rows, 424)).astype(np.float16)
    top3 = dice.integers(0, 9, (rows, 23)).astype(np.uint16)
    return embs, top3, dice.normal(size=(rows, 23)).astype(np.float16)


def by_the_document(folder, part=0, gpu=0, rows=5, step=0, save=np.savez):
    """Write a shard by the documented recipe."""
    folder.mkdir(exist_ok=True)
    arrays = made_up(rows, part * 10 + gpu)
    for kind, array in zip(KINDS, arrays, strict=True):
        save(folder / f"step_{step}__predict_part_{part}_{gpu}_{kind}.npz", array)
    return arrays


def name_of(kind, part=0, gpu=0):
    return f"step_0__predict_part_{part}_{gpu}_{kind}.npz"


def faults_of(folder, layout=None):
    with pytest.raises(InputError) as caught:
        Atlas(folder, layout)
    return str(caught.value)


def test_the_documented_files_load_in_ours(tmp_path):
    embs, top3, scores = by_the_document(tmp_path)
    atlas = Atlas(tmp_path)
    assert (atlas.layout, atlas.rows_total, atlas.manifest, atlas.decoders) == (PUBLIC, 5, None, {})
    for size in (1, 2, 100):
        assert np.array_equal(rows_of(atlas, size=size), embs)
        assert np.array_equal(rows_of(atlas, "cell_type", size), embs[:, 256:320])
        assert np.array_equal(rows_of(atlas, "age", size, "top3"), top3[:, 9:12])
        assert np.array_equal(rows_of(atlas, "cell_culture", size, "scores"), scores[:, 22:])
        assert np.array_equal(rows_of(atlas, "organism", size), embs[:, 414:422])
    assert next(atlas.decoder_notes()).endswith(
        "are shown as codes: label_decoders.json is not there, and without it the codes mean nothing."
    )


def test_ours_load_as_the_document_says(tmp_path):
    arrays = made_up(7)
    write_shard(tmp_path, shard_name("scprint2", 3, 1), PUBLIC, *arrays)
    for kind, array in zip(KINDS, arrays, strict=True):
        path = tmp_path / f"step_0__predict_part_3_1_{kind}.npz"
        assert np.array_equal(np.load(path)["arr_0"], array)


def save_npy_as_npz(path, array):
    np.save(path, array)
    shutil.move(f"{path}.npy", path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, np.save, save_npy_as_npz])
def test_every_form_of_the_files_gives_the_same(tmp_path, save):
    embs, top3, _ = by_the_document(tmp_path, save=save)
    by_the_document(tmp_path, part=1, rows=3)
    atlas = Atlas(tmp_path)
    assert atlas.rows_total == 8
    assert np.array_equal(rows_of(atlas, "tissue", 2)[:5], embs[:, 320:352])
    assert np.array_equal(rows_of(atlas, "tissue", 2, start=1, stop=4), embs[1:4, 320:352])
    assert np.array_equal(atlas.select("sex", [4, 0, 4], "top3"), top3[[4, 0, 4], 18:19])
    assert [len(chunk) for chunk in atlas.scan(None, 3)] == [3, 2, 3]
    assert np.array_equal(rows_of(atlas, None, 3)[:5], embs)


def test_shards_are_sorted_by_their_numbers(tmp_path):
    for part, gpu, step in ((10, 0, 0), (9, 1, 0), (9, 0, 0), (0, 0, 10), (0, 0, 2)):
        by_the_document(tmp_path, part, gpu, 1, step)
    names = [shard.name for shard in Atlas(tmp_path).shards]
    assert names == [
        "step_0__predict_part_9_0",
        "step_0__predict_part_9_1",
        "step_0__predict_part_10_0",
        "step_2__predict_part_0_0",
        "step_10__predict_part_0_0",
    ]


def test_parts_that_are_not_there_are_reported(tmp_path):
    for part, gpu in ((0, 0), (1, 0), (5, 0), (0, 2), (2, 2)):
        by_the_document(tmp_path, part, gpu, 1)
    assert list(Atlas(tmp_path).gap_notes()) == [
        "step_0_: no shard of GPU 1, though there are some of GPU 2.",
        "step_0_, GPU 0: no part 2-4, though there is a part 5.",
        "step_0_, GPU 2: no part 1, though there is a part 2.",
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([5], r"no row 5; its rows are 0 to 4"),
        ([-1], r"no row -1"),
    ],
)
def test_rows_that_are_not_there(tmp_path, rows, words):
    by_the_document(tmp_path)
    with pytest.raises(InputError, match=words):
        Atlas(tmp_path).select("sex", rows)


def test_rows_and_shards(tmp_path):
    by_the_document(tmp_path, 0, rows=5)
    by_the_document(tmp_path, 1, rows=3)
    atlas = Atlas(tmp_path)
    for row in range(8):
        shard, local = atlas.shard_of(row)
        assert atlas.global_row(shard.name, local) == row
        assert shard.name == f"step_0__predict_part_{row // 5}_0"
    with pytest.raises(InputError, match="no row 3; its rows are 0 to 2"):
        atlas.global_row("step_0__predict_part_1_0", 3)
    with pytest.raises(InputError, match="no shard 'x'"):
        atlas.global_row("x", 0)


# Faults --------------------------------------------------------------------------------------------------------------


def test_all_faults_are_reported_at_once(tmp_path):
    for part in range(7):
        by_the_document(tmp_path, part)
    embs, top3, scores = made_up(5)
    (tmp_path / name_of("scores", 0)).unlink()
    whole = (tmp_path / name_of("embs", 1)).read_bytes()
    (tmp_path / name_of("embs", 1)).write_bytes(whole[:-30])
    np.savez(tmp_path / name_of("top3", 2), top3[:4])
    np.savez(tmp_path / name_of("embs", 3), np.asfortranarray(embs))
    np.savez(tmp_path / name_of("top3", 4), top3.astype(np.int64))
    np.savez(tmp_path / name_of("scores", 5), scores.astype(">f2"))
    (tmp_path / "step_0_predict_part_0_embs.npz").write_bytes(b"")
    np.save(tmp_path / name_of("embs", 6), embs)
    reported = faults_of(tmp_path)
    assert "needs 8 corrections" in reported
    for words in (
        "step_0__predict_part_0_0_scores.npz: not there; a shard has embs, top3, scores.",
        "step_0__predict_part_1_0_embs.npz: no whole npz (File is not a zip file); the file is cut short or damaged.",
        "step_0__predict_part_2_0: its files have different numbers of rows: embs 5, scores 5, top3 4.",
        "step_0__predict_part_3_0_embs.npz: it is in Fortran order",
        "step_0__predict_part_4_0_top3.npz: its numbers are int64; those of top3 are uint16.",
        "step_0__predict_part_5_0_scores.npz: its numbers are float16 (big-endian); those of scores are float16.",
        "step_0_predict_part_0_embs.npz: no name of an atlas; expected step_<run>__predict_part_<subset>_<gpu>_",
        "step_0__predict_part_6_0_embs.npz.npy: the same array is in step_0__predict_part_6_0_embs.npz too",
    ):
        assert words in reported


def test_22_columns_of_labels_need_a_layout(tmp_path):
    _, top3, scores = by_the_document(tmp_path, 0)
    for part in (0, 1):
        by_the_document(tmp_path, part)
        for kind, array in (("top3", top3), ("scores", scores)):
            np.savez(tmp_path / name_of(kind, part), np.delete(array, 18, axis=1))
    reported = faults_of(tmp_path)
    assert "needs 2 corrections" in reported
    option = (
        "labels=cell_type:3,tissue:3,disease:3,age_group:3,assay:3,self_reported_ethnicity:3,organism:3,cell_culture:1"
    )
    assert (
        f"step_0__predict_part_0_0_top3.npz and 1 more: 22 columns, but the layout has 23 (that of the public atlas);"
        f" say which class is not there. without sex: --layout '{option}'; or without cell_culture: --layout '"
    ) in reported
    (atlas,) = open_atlases([tmp_path], option)
    assert np.array_equal(next(atlas.scan("organism", kind="top3")), top3[:, 19:22])
    with pytest.raises(InputError, match="'sex' is no class of labels"):
        next(atlas.scan("sex", kind="top3"))


def test_other_widths_need_a_layout(tmp_path):
    by_the_document(tmp_path)
    np.savez(tmp_path / name_of("embs"), np.zeros((5, 300), np.float16))
    reported = faults_of(tmp_path)
    assert (
        "embs.npz: 300 columns, but the layout has 424; say which columns they are: --layout 'embeddings=" in reported
    )


def test_folders_that_are_no_atlas(tmp_path):
    assert "no shard in it" in faults_of(tmp_path)
    assert "not a folder" in faults_of(tmp_path / "none")
    with pytest.raises(InputError, match=r"(?s)none.*no shard in it"):
        open_atlases([tmp_path / "none", tmp_path])
    (tmp_path / "manifest.json").write_text("{")
    assert "manifest.json: cannot be read as JSON" in faults_of(tmp_path)
    (tmp_path / "manifest.json").unlink()
    by_the_document(tmp_path)
    (tmp_path / "label_decoders.json").write_text('{"sex": ["a"]}')
    assert "label_decoders.json: label decoders are" in faults_of(tmp_path)


def test_an_atlas_without_labels_says_so_in_its_manifest(tmp_path):
    layout = Layout((("other", 4),))
    name = shard_name("svd-baseline", 0)
    assert name == "step_0_svdbaseline_predict_part_0_0"
    write_shard(tmp_path, name, layout, np.ones((3, 4), np.float32), barcodes=np.array([b"ACGT", b"", b"TT"]))
    reported = faults_of(tmp_path, layout)
    assert "top3.npz: not there" in reported
    assert "scores.npz: not there" in reported
    manifest = {"layout": layout.to_json(), "has_labels": False, "shards": [{"name": name}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    atlas = Atlas(tmp_path)
    assert (atlas.layout, atlas.has_labels, atlas.rows_total) == (layout, False, 3)
    assert atlas.shards[0].files["barcodes"].map().tolist() == [b"ACGT", b"", b"TT"]
    with pytest.raises(InputError, match="has no labels: its back end gives none"):
        next(atlas.scan("cell_type", kind="top3"))
    np.savez(tmp_path / f"{name}_top3.npz", np.zeros((3, 1), np.uint16))
    manifest["shards"].append({"name": "step_0_svdbaseline_predict_part_1_0"})
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    reported = faults_of(tmp_path)
    assert "top3.npz: there, but manifest.json says that this atlas has no labels." in reported
    assert "step_0_svdbaseline_predict_part_1_0: in manifest.json, but none of its files exists." in reported


# What the writer refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, 65536.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_writer_refuses_numbers_that_float16_does_not_hold(tmp_path, value, dtype):
    with np.errstate(over="ignore"):
        embs = np.array([[0, 0], [0, value]], dtype)
    shard = ShardWriter(tmp_path, shard_name("toy", 0), Layout((("other", 2),)), 2)
    words = r"step_0_toy_predict_part_0_0_embs: row 1, column 1 is (nan|inf|65536.0); .*finite"
    with pytest.raises(InputError, match=words), shard:
        shard.append(embs)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [-1, 65536])
def test_the_writer_refuses_codes_that_uint16_does_not_hold(tmp_path, code):
    shard = ShardWriter(tmp_path, shard_name("toy", 0), Layout((("other", 1),), (("sex", 1),)), 1)
    with pytest.raises(InputError, match=f"top3: row 0, column 0 is {code}; a code is from 0 to 65535"), shard:
        shard.append(np.ones((1, 1)), np.array([[code]]), np.ones((1, 1)))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_without_rows(tmp_path):
    write_shard(tmp_path, shard_name("scprint2", 0), PUBLIC, *made_up(0))
    atlas = Atlas(tmp_path)
    assert (atlas.rows_total, list(atlas.scan()), atlas.select(None, []).shape) == (0, [], (0, 424))


def test_a_shard_whose_second_file_cannot_be_opened_leaves_nothing(tmp_path):
    (tmp_path / "step_0__predict_part_0_0_scores.npz.part").mkdir()
    with pytest.raises(OSError), ShardWriter(tmp_path, shard_name("scprint2", 0), PUBLIC, 5):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["step_0__predict_part_0_0_scores.npz.part"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_selected_in_the_order_given(tmp_path, save):
    embs = np.concatenate([by_the_document(tmp_path, part, rows=5, save=save)[0] for part in range(3)])
    rows = [14, 0, 7, 7, 3, 12, 5]
    assert np.array_equal(Atlas(tmp_path).select("tissue", rows), embs[rows, 320:352])
