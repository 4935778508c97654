import dataclasses
import hashlib
import json

import numpy as np
import pytest

from scripts.atlas import atlas_locate, atlas_pack
from scripts.atlas.store.layout import Layout
from scripts.atlas.store.row_map import AtlasMap, read_dropped, read_segments
from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError
from tests.atlas.small_parts import (
    DECODERS,
    DROPLETS,
    KEPT,
    LAYOUT,
    PLATES,
    TOY,
    packed,
    write_part,
)


def reported(capsys, atlas, *options):
    """Return the rows that locate prints, and what it says on stderr."""
    capsys.readouterr()
    atlas_locate.main([str(atlas), *options])
    out, err = capsys.readouterr()
    head, *rows = (line.split("\t") for line in out.splitlines())
    assert head == "shard row global_row series sample experiment run species barcode".split()
    return rows, err


def test_what_stands_beside_the_shards(tmp_path):
    atlas = packed(tmp_path)
    name = "step_0_toy_predict_part_0_0"
    first, *_, last = read_segments(atlas / "segments.tsv")
    barcodes = hashlib.sha256(b"AAAC\nGGGT\n").hexdigest()
    matrix = ("droplets/GSE1.homo.h5ad", "b" * 64)
    assert first == (name, 0, 2, "GSE1", "GSM1", "SRX1", "SRR1;SRR2", "homo", *matrix, barcodes, 1)
    assert last[:3] == (name, 6, 1)
    assert [(cell.experiment, cell.barcode, cell.reason) for cell in read_dropped(atlas / "dropped.tsv")] == [
        ("SRX1", "CCCA", "FEW_GENES"),
        ("SRX4", "AAAC", "NO_COUNTS"),
        ("SRX4", "TTTT", "NO_COUNTS"),
    ]
    assert np.load(atlas / f"{name}_barcodes.npz")["arr_0"].tolist() == [cell.barcode.encode() for cell in KEPT]
    assert json.loads((atlas / "label_decoders.json").read_text()) == DECODERS
    manifest = json.loads((atlas / "manifest.json").read_text())
    assert (manifest["format"], manifest["rows"], manifest["has_labels"]) == (1, 7, True)
    assert manifest["backend"]["name"] == "toy"
    assert "decoders" not in manifest["backend"]
    assert manifest["layout"] == LAYOUT.to_json()
    files = manifest["files"] | manifest["shards"][0]["files"]
    assert sorted([*files, "manifest.json"]) == sorted(path.name for path in atlas.iterdir())
    for file, sums in files.items():
        content = (atlas / file).read_bytes()
        assert sums == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert str(tmp_path) not in (atlas / "manifest.json").read_text()


def test_the_same_parts_give_the_same_bytes(tmp_path):
    one, two = (packed(tmp_path / name, "--shard-rows", "3") for name in ("one", "two"))
    assert [path.name for path in sorted(one.iterdir())] == [path.name for path in sorted(two.iterdir())]
    assert all(path.read_bytes() == (two / path.name).read_bytes() for path in one.iterdir())
    before = {path.name: path.read_bytes() for path in one.iterdir()}
    packed(tmp_path / "one", "--shard-rows", "3")  # again, over what is there
    assert {path.name: path.read_bytes() for path in one.iterdir()} == before


def test_chunks_do_not_matter(tmp_path, monkeypatch):
    whole = packed(tmp_path / "whole")
    monkeypatch.setattr(atlas_pack, "CHUNK", 2)
    parts = packed(tmp_path / "parts")
    assert all(path.read_bytes() == (parts / path.name).read_bytes() for path in whole.iterdir())


def test_a_back_end_without_labels_and_cells(tmp_path):
    bare = dataclasses.replace(TOY, layout=Layout(LAYOUT.embeddings), score_kind=None, decoders={})
    folders = [
        write_part(tmp_path / "a", DROPLETS, ["NO_COUNTS"] * 7, description=bare),
        write_part(tmp_path / "b", [], description=bare),
    ]
    atlas_pack.main(["--parts", *folders, "--output", str(tmp_path / "atlas"), "--model"])
    atlas = Atlas(tmp_path / "atlas")
    assert (atlas.rows_total, atlas.shards, atlas.has_labels) == (0, [], False)
    assert len(list(read_dropped(tmp_path / "atlas/dropped.tsv"))) == 7
    assert (tmp_path / "atlas/label_decoders.json").read_text(encoding="utf-8") == "{}\n"
    with pytest.raises(InputError, match="no row 0"):
        AtlasMap(atlas).cell_at(0)


def test_the_model_lies_with_the_atlas(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"numbers")
    digest = hashlib.sha256(b"numbers").hexdigest()
    part = write_part(tmp_path / "a", PLATES, description=dataclasses.replace(TOY, weights_sha256=digest))
    atlas_pack.main(["--parts", part, "--output", str(tmp_path / "atlas"), "--model", str(tmp_path / "model.npz")])
    assert (tmp_path / "atlas/model.npz").read_bytes() == b"numbers"
    (tmp_path / "model.npz").write_bytes(b"others")
    with pytest.raises(InputError, match="not the model that the parts were made with"):
        atlas_pack.main(["--parts", part, "--output", str(tmp_path / "atlas"), "--model", str(tmp_path / "model.npz")])
    with pytest.raises(InputError, match=r"none.npz: not there"):
        atlas_pack.main(["--parts", part, "--output", str(tmp_path / "atlas"), "--model", str(tmp_path / "none.npz")])


def test_parts_of_two_back_ends_are_no_atlas(tmp_path):
    part = write_part(tmp_path / "a", DROPLETS)
    other = write_part(tmp_path / "b", PLATES, description=dataclasses.replace(TOY, version="2.0"))
    with pytest.raises(InputError) as caught:
        atlas_pack.main(["--parts", part, other, str(tmp_path / "c"), "--output", str(tmp_path / "atlas")])
    reported = str(caught.value)
    assert (
        f"{part} and {other} do not come from one back end: version differ (1.0; 2.0). Make an atlas of each."
        in reported
    )
    assert "describe.json: not there" in reported
    assert not (tmp_path / "atlas").exists()


def test_numbers_that_are_wrong_stay_out(tmp_path):
    part = write_part(tmp_path / "a", PLATES)
    np.save(tmp_path / "a/embs.npy", np.full((3, 5), np.nan, np.float16))
    with pytest.raises(InputError, match=r"embs.npy: 3 rows have a number that is not finite"):
        atlas_pack.main(["--parts", part, "--output", str(tmp_path / "atlas")])


def test_a_run_that_is_in_two_parts(tmp_path):
    parts = [write_part(tmp_path / name, PLATES) for name in ("a", "b")]
    with pytest.raises(InputError, match=r"needs 3 corrections(?s:.*)SRR11 homo: in .*/a, and in .*/b too"):
        atlas_pack.main(["--parts", *parts, "--output", str(tmp_path / "atlas")])


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas/thesis.txt").write_text("x")
    with pytest.raises(InputError, match="the folder has other files"):
        packed(tmp_path)
    assert (tmp_path / "atlas/thesis.txt").read_text() == "x"
