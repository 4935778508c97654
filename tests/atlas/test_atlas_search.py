import numpy as np
import pytest

from scripts.atlas import atlas_pack, atlas_search
from scripts.atlas.store.layout import PUBLIC
from scripts.atlas.store.shards import shard_name
from scripts.core.errors import InputError
from tests.atlas.small_atlases import TWO_LABELS, made_up, write_mapped, write_shard
from tests.atlas.small_parts import write_both


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
    assert "2 rows are all zeros in cell_type: their cosine is taken as 0.\n" in err
    assert "are shown as codes" in err
    with pytest.raises(InputError, match=r"SRX1: .* has no segments.tsv, so that a row can only be named SHARD:ROW"):
        atlas_search.main([str(tmp_path), "--like", "SRX1"])
    (tmp_path / "vector.npy").write_text("x")
    with pytest.raises(InputError, match="cannot be read as an npy file"):
        atlas_search.main(list(map(str, asked)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 0), np.float16), "has rows without any bytes"),
        (np.full((1, 4), np.nan, np.float16), "not finite"),
        (np.zeros((1, 4), complex), "expected an npy file of numbers, one vector or a row each."),
    ],
)
def test_vectors_that_are_none_are_refused(tmp_path, values, words):
    np.save(tmp_path / "vectors.npy", values)
    shard = [{"series": "GSE1", "run": "SRR1", "arrays": made_up(3, TWO_LABELS)}]
    atlas = write_mapped(tmp_path / "atlas", [shard], TWO_LABELS)
    with pytest.raises(InputError, match=words):
        atlas_search.main([str(atlas), "--vectors", str(tmp_path / "vectors.npy")])
