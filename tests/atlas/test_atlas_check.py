import json
import os
import shutil

import numpy as np
import pytest

from scripts.atlas import atlas_check, atlas_pack
from scripts.atlas.store.files import write_table
from scripts.atlas.store.layout import PUBLIC
from scripts.atlas.store.row_map import Segment, file_sum, read_segments
from scripts.atlas.store.shards import Atlas, ShardWriter, shard_name
from scripts.core.errors import InputError
from tests.atlas.small_atlases import write_shard
from tests.atlas.small_parts import DECODERS, LAYOUT, write_both, write_part

FIRST, SECOND = "step_0_toy_predict_part_0_0", "step_0_toy_predict_part_1_0"


@pytest.fixture
def atlas(tmp_path):
    atlas_pack.main(["--parts", *write_both(tmp_path), "--output", str(tmp_path / "atlas"), "--shard-rows", "3"])
    return tmp_path / "atlas"


def faults_of(*folders, options=()):
    with pytest.raises(InputError) as caught:
        atlas_check.main([*map(str, folders), *options])
    return str(caught.value)


def sign(folder, *names):
    """Write the sums of changed files into the manifest, as somebody would who packs what is wrong."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in [manifest, *manifest["shards"]]:
        for name in names:
            if name in shard["files"]:
                shard["files"][name] = file_sum(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def public(folder, parts=(0,), rows=4, save=np.savez):
    folder.mkdir(exist_ok=True)
    for part in parts:
        name = shard_name("scprint2", part)
        dice = np.random.default_rng(part)
        save(folder / f"{name}_embs.npz", dice.normal(size=(rows, 424)).astype(np.float16))
        save(folder / f"{name}_top3.npz", dice.integers(0, 9, (rows, 23)).astype(np.uint16))
        save(folder / f"{name}_scores.npz", dice.normal(size=(rows, 23)).astype(np.float16))
    return folder


def test_an_atlas_that_is_well(atlas, capsys):
    atlas_check.main([str(atlas)])
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[1:] == [
        "  by toy 1.0, weights " + "a" * 64,
        "  embeddings: other 3, cell_type 2",
        "  labels: cell_type 2, sex 1",
        "  map: the rows come from 7 runs or plate cells; 3 cells were dropped",
    ]
    assert out.startswith(f"{atlas}: 7 rows in 2 shards, ")


def test_the_public_atlas_has_no_map(tmp_path, capsys):
    atlas_check.main([str(public(tmp_path / "a", (0, 2))), str(public(tmp_path / "b", save=np.savez_compressed))])
    out = capsys.readouterr().out
    assert "no map (segments.tsv): the cells of its rows are unknown" in out
    assert "are shown as codes: label_decoders.json is not there" in out
    assert "not complete? step_0_, GPU 0: no part 1, though there is a part 2." in out
    assert "3 files are deflated" in out


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_bit_is_reported(tmp_path, capsys, save):
    folder = public(tmp_path / "a", rows=50, save=save)
    paths = sorted(folder.iterdir())
    for path in paths:
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)
    reported = faults_of(folder)
    assert "needs 3 corrections" in reported
    for path in paths:
        assert f"{path.name}: " in reported
    if save is np.savez:
        assert reported.count("damaged: the CRC of its numbers is") == 3


def test_all_faults_of_several_atlases_are_reported(tmp_path):
    one, two = public(tmp_path / "one", (0, 1, 2)), public(tmp_path / "two")
    cut = one / f"{shard_name('scprint2', 1)}_top3.npz"
    cut.write_bytes(cut.read_bytes()[:300])
    (one / f"{shard_name('scprint2', 2)}_scores.npz").unlink()
    bad = np.ones((4, 424), np.float16)
    bad[2, 3] = np.nan
    bad[3] = np.inf
    np.savez(one / f"{shard_name('scprint2', 0)}_embs.npz", bad)
    np.savez(two / f"{shard_name('scprint2', 0)}_scores.npz", np.full((4, 23), -np.inf, np.float16))
    reported = faults_of(one, two)
    assert "part_1_0_top3.npz: no whole npz" in reported
    assert "part_2_0_scores.npz: not there" in reported
    assert "part_0_0_embs.npz: 2 rows have a number that is not finite, the first is row 2." in reported
    assert "two needs 1 correction" in reported
    assert "part_0_0_scores.npz: 4 rows have a number that is not finite, the first is row 0." in reported


def test_a_layout_may_be_given(tmp_path, capsys):
    folder = public(tmp_path / "a")
    for kind in ("top3", "scores"):
        path = folder / f"{shard_name('scprint2', 0)}_{kind}.npz"
        np.savez(path, np.load(path)["arr_0"][:, :22])
    assert "22 columns, but the layout has 23" in faults_of(folder)
    labels = "labels=cell_type:3,tissue:3,disease:3,age_group:3,assay:3,self_reported_ethnicity:3,sex:1,organism:3"
    atlas_check.main([str(folder), "--layout", labels])
    assert "organism 3\n" in capsys.readouterr().out


def test_codes_that_no_decoder_knows(tmp_path):
    folder = public(tmp_path / "a")
    (folder / "label_decoders.json").write_text(
        json.dumps(
            {"cell_type": {str(code): "x" for code in range(9)}, "tissue_ontology_term_id": {"0": "x", "8": "y"}}
        )
    )
    path = folder / f"{shard_name('scprint2', 0)}_top3.npz"
    labels = np.load(path)["arr_0"]
    labels[:, :6] = [0, 5, 8, 0, 8, 8]
    labels[3, 0] = 4000
    labels[1, 3] = 5
    np.savez(path, labels)
    reported = faults_of(folder)
    assert "needs 2 corrections" in reported
    assert "top3.npz: column 0 (cell_type) has codes that its decoder does not know: 4000." in reported
    assert "top3.npz: column 3 (tissue) has codes that its decoder does not know: 5." in reported


def test_files_that_are_not_as_the_manifest_says(atlas):
    (atlas / "dropped.tsv").write_text((atlas / "dropped.tsv").read_text().replace("FEW_GENES", "NO_COUNTS"))
    write_shard(
        atlas, FIRST, LAYOUT, np.ones((4, 5)), np.zeros((4, 3), int), np.zeros((4, 3)), np.array([b"A" * 8] * 4)
    )
    (atlas / "label_decoders.json").unlink()
    reported = faults_of(atlas)
    for kind in ("embs", "top3", "scores", "barcodes"):
        assert f"{FIRST}_{kind}.npz: changed; its sha256 is not that of the manifest." in reported
    assert "dropped.tsv: changed" in reported
    assert "label_decoders.json: in the manifest, but not there." in reported
    assert (
        f"{FIRST}_barcodes.npz: the barcodes of SRR1;SRR2 are not those of segments.tsv (barcode_sha256)." in reported
    )
    assert f"{FIRST}_barcodes.npz: SRR1;SRR2 has the barcode AAAAAAAA in more than one row." in reported


def test_files_of_the_manifest_that_are_not_there(atlas):
    for path in atlas.glob(f"{SECOND}*"):
        path.unlink()
    (atlas / f"{FIRST}_barcodes.npz").unlink()
    reported = faults_of(atlas)
    assert f"{SECOND}: in manifest.json, but none of its files exists." in reported
    assert f"{FIRST}_barcodes.npz: in the manifest, but not there." in reported
    assert f"{FIRST}_barcodes.npz: not there, though there is a map." in reported
    assert f"segments.tsv: {SECOND} is no shard of this atlas." in reported
    assert "the manifest says 7 rows, but the shards have 4." in reported


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[1:], f"segments.tsv: {FIRST}: rows 0 to 1 are in no segment."),
        (lambda rows: rows[:-1], f"segments.tsv: {SECOND}: rows 2 to 2 are in no segment."),
        (lambda rows: [*rows, rows[1]], f"segments.tsv: {FIRST}: the segment of SRR3 begins at row 2, where another"),
        (
            lambda rows: [rows[0]._replace(rows=3), *rows[1:]],
            f"segments.tsv: {FIRST}: the segment of SRR3 begins at row 2, where another",
        ),
        (lambda rows: [*rows[:-1], rows[-1]._replace(rows=2)], f"segments.tsv: {SECOND}: its segments have 4 rows"),
        (lambda rows: [rows[0]._replace(dropped=0), *rows[1:]], "dropped.tsv: 3 cells, but the segments dropped 2."),
        (lambda rows: [rows[0]._replace(barcode_sha256="0"), *rows[1:]], "the barcodes of SRR1;SRR2 are not those of"),
        (
            lambda rows: [rows[0]._replace(row_start="x"), *rows[1:]],
            "segments.tsv, line 2: row_start, rows and dropped",
        ),
    ],
)
def test_segments_that_do_not_cover_every_row_once(atlas, change, words):
    write_table(atlas / "segments.tsv", Segment._fields, change(list(read_segments(atlas / "segments.tsv"))))
    sign(atlas, "segments.tsv")
    reported = faults_of(atlas)
    assert words in reported
    assert "sha256 is not that" not in reported


def test_numbers_of_rows_that_differ_from_the_manifest(atlas):
    manifest = json.loads((atlas / "manifest.json").read_text())
    manifest["shards"][0]["rows"] = 9
    (atlas / "manifest.json").write_text(json.dumps(manifest))
    assert f"{FIRST}: 4 rows, but the manifest says 9." in faults_of(atlas)


def test_an_atlas_without_rows_is_well(tmp_path, capsys):
    part = write_part(tmp_path / "a", [])
    atlas_pack.main(["--parts", part, "--output", str(tmp_path / "atlas")])
    capsys.readouterr()
    atlas_check.main([str(tmp_path / "atlas")])
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'atlas'}: 0 rows in 0 shards, 0 bytes.")
    assert json.loads((tmp_path / "atlas/label_decoders.json").read_text()) == DECODERS


def test_what_is_deflated_is_checked_against_the_manifest_too(atlas, capsys):
    path = atlas / f"{FIRST}_embs.npz"
    np.savez_compressed(path, np.load(path)["arr_0"])
    assert f"{path.name}: " in faults_of(atlas)
    sign(atlas, path.name)
    atlas_check.main([str(atlas)])


def test_shards_that_the_manifest_does_not_know(atlas):
    for path in atlas.glob(f"{SECOND}*"):
        shutil.copy(path, atlas / path.name.replace("part_1", "part_2"))
    reported = faults_of(atlas)
    assert "step_0_toy_predict_part_2_0: not in manifest.json." in reported
    assert "step_0_toy_predict_part_2_0: rows 0 to 2 are in no segment." in reported


def test_the_whole_layout_of_the_public_atlas_is_written_and_read(tmp_path, capsys):
    dice = np.random.default_rng(1)
    with ShardWriter(tmp_path, shard_name("scprint2", 0), PUBLIC, 9) as shard:
        for rows in (4, 0, 5):
            shard.append(dice.normal(size=(rows, 424)), dice.integers(0, 9, (rows, 23)), dice.normal(size=(rows, 23)))
    atlas_check.main([str(tmp_path)])
    assert Atlas(tmp_path).rows_total == 9


def test_what_is_not_in_the_manifest_is_reported_and_nothing_waits(atlas):
    (atlas / ".snakemake_timestamp").touch()  # marks a folder that a rule of the workflow makes
    atlas_check.main([str(atlas)])
    (atlas / "more.txt").touch()
    (atlas / "evil").symlink_to("/etc")
    os.mkfifo(atlas / "fifo")
    (atlas / "dropped.tsv").unlink()
    os.mkfifo(atlas / "dropped.tsv")
    (atlas / f"{FIRST}_embs.npz").unlink()
    (atlas / f"{FIRST}_embs.npz").symlink_to("/dev/zero")
    reported = faults_of(atlas)
    assert "evil: a link that is not in the manifest." in reported
    assert "fifo: a FIFO that is not in the manifest." in reported
    assert "more.txt: a file that is not in the manifest." in reported
    assert f"{atlas / 'dropped.tsv'}: a FIFO, not a file." in reported
    assert f"{atlas / f'{FIRST}_embs.npz'}: a device, not a file." in reported


def test_a_manifest_names_no_file_elsewhere(atlas):
    manifest = json.loads((atlas / "manifest.json").read_text())
    manifest["files"]["/etc/passwd"] = {"bytes": 1, "sha256": "0" * 64}
    (atlas / "manifest.json").write_text(json.dumps(manifest))
    assert f"files: '/etc/passwd' cannot be the name of a file or folder in {atlas}: it has a slash." in faults_of(
        atlas
    )
