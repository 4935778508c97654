import numpy as np
import pytest

from scripts.atlas import atlas_locate
from scripts.atlas.store.row_map import AtlasMap, read_segments
from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError
from tests.atlas.small_atlases import rows_of
from tests.atlas.small_parts import KEPT, numbers, packed


def reported(capsys, atlas, *options):
    """Return the rows that locate prints, and what it says on stderr."""
    capsys.readouterr()
    atlas_locate.main([str(atlas), *options])
    out, err = capsys.readouterr()
    head, *rows = (line.split("\t") for line in out.splitlines())
    assert head == "shard row global_row series sample experiment run species barcode".split()
    return rows, err


def test_every_row_is_located_and_back(tmp_path, capsys):
    atlas = packed(tmp_path, "--shard-rows", "3")
    opened = Atlas(atlas)
    assert [(shard.name, shard.rows) for shard in opened.shards] == [
        ("step_0_toy_predict_part_0_0", 4),  # closed after the run with which it has more than 3
        ("step_0_toy_predict_part_1_0", 3),
    ]
    expected = np.concatenate([numbers(7)[0][[0, 2, 3, 6]], numbers(3, 100.0)[0]])
    assert np.array_equal(rows_of(opened), expected)
    where = AtlasMap(opened)
    for number, cell in enumerate(KEPT):
        row = where.cell_at(number)
        assert (row.series, row.sample, row.experiment, row.run, row.species, row.barcode) == cell
        assert where.cell_of(row.shard, row.row) == row
        (back,) = where.rows_of(cell.experiment, cell.barcode)
        assert back == row
        assert where.row_of(f"{cell.experiment}_{cell.barcode}" if cell.barcode else cell.run) == row
    rows, err = reported(
        capsys, atlas, "--global-rows", "3", "--rows", "step_0_toy_predict_part_1_0:2", "--cells", "SRR2"
    )
    assert rows == [
        ["step_0_toy_predict_part_1_0", "2", "6", "GSE2", "GSM13", "SRX13", "SRR13", "homo", ""],
        ["step_0_toy_predict_part_0_0", "3", "3", "GSE1", "GSM1", "SRX5", "SRR5", "homo", "ACGTACGT"],
        ["step_0_toy_predict_part_0_0", "0", "0", "GSE1", "GSM1", "SRX1", "SRR1;SRR2", "homo", "AAAC"],
        ["step_0_toy_predict_part_0_0", "1", "1", "GSE1", "GSM1", "SRX1", "SRR1;SRR2", "homo", "GGGT"],
    ]
    assert err == "SRX1_CCCA has no row: FEW_GENES\n"


def test_the_same_barcode_of_two_runs(tmp_path, capsys):
    atlas = packed(tmp_path)
    assert [reported(capsys, atlas, "--cells", f"{name}_AAAC")[0][0][1:3] for name in ("SRX1", "SRR3")] == [
        ["0", "0"],
        ["2", "2"],
    ]


def test_a_run_without_kept_cells(tmp_path, capsys):
    atlas = packed(tmp_path)
    segments = {segment.experiment: segment for segment in read_segments(atlas / "segments.tsv")}
    assert segments["SRX4"][:3] == ("", 0, 0)
    assert segments["SRX4"].dropped == 2
    rows, err = reported(capsys, atlas, "--cells", "SRX4")
    assert rows == []
    assert err == "SRX4_AAAC has no row: NO_COUNTS\nSRX4_TTTT has no row: NO_COUNTS\n"
    with pytest.raises(InputError, match=r"SRX4_AAAC: has no row; it was dropped \(NO_COUNTS\)"):
        AtlasMap(atlas).row_of("SRX4_AAAC")


def test_what_cannot_be_located(tmp_path):
    atlas = packed(tmp_path)
    with pytest.raises(InputError) as caught:
        atlas_locate.main(
            f"{atlas} --rows x:0 5 step_0_toy_predict_part_0_0:7 --global-rows 7 --cells SRX9 SRX1_TTTT".split()
        )
    for words in (
        "no shard 'x'.",
        "5: not SHARD:ROW",
        "step_0_toy_predict_part_0_0: no row 7; its rows are 0 to 6.",
        "no row 7; its rows are 0 to 6.",
        "SRX9: no run or experiment of",
        "SRX1_TTTT: SRX1 is in",
        "but no cell of it has the barcode TTTT.",
    ):
        assert words in str(caught.value)
    with pytest.raises(InputError, match=r"SRX1: 2 rows; name one of them, such as SRX1_AAAC\."):
        AtlasMap(atlas).row_of("SRX1")
    (atlas / "segments.tsv").unlink()
    with pytest.raises(InputError, match=r"has no segments.tsv, so the cells of its rows are unknown"):
        atlas_locate.main([str(atlas), "--global-rows", "0"])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (1, "9" * 5000, "line 2: row_start, rows and dropped must be whole numbers."),
        (2, "٣", "line 2: row_start, rows and dropped must be whole numbers."),
        (2, "9" * 15, "it has 999,999,999,999,999 rows from row 0 of step_0_toy_predict_part_0_0 of 4 rows."),
        (0, "../../x", "the atlas has no shard ../../x."),
    ],
)
def test_a_map_that_lies_is_refused(tmp_path, column, value, words):
    atlas = packed(tmp_path, "--shard-rows", "3")
    head, first, *rest = (atlas / "segments.tsv").read_text().splitlines()
    values = first.split("\t")
    values[column] = value
    (atlas / "segments.tsv").write_text("\n".join([head, "\t".join(values), *rest, ""]))
    with pytest.raises(InputError) as error:
        atlas_locate.main([str(atlas), "--cells", "SRR1"])
    assert str(error.value).endswith(words)


def test_barcodes_that_are_none_are_refused(tmp_path):
    atlas = packed(tmp_path, "--shard-rows", "3")
    path = atlas / "step_0_toy_predict_part_0_0_barcodes.npz"
    np.savez(path, np.full(4, b"\xff\x1b[3", "S4"))
    run = read_segments(atlas / "segments.tsv").__next__().run.split(";")[0]
    with pytest.raises(InputError, match=r"_barcodes\.npz: b'\\xff\\x1b\[3' is no barcode\.$"):
        atlas_locate.main([str(atlas), "--cells", run])
