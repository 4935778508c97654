"""Labels of an atlas across each other: tables, what is missing, pages; with and without decoders and map."""

import itertools
import re

import numpy as np
import pytest

from scripts.atlas import atlas_distribution
from scripts.atlas.store.layout import PUBLIC, Layout
from scripts.core.errors import InputError
from tests.atlas.small_atlases import DECODERS, ONLY_OTHER, TWO_LABELS, made_up, table_of, write_mapped, write_public
from tests.formats.test_pages import Page


def run(folder, *options):
    atlases = [str(path) for path in (folder if isinstance(folder, list) else [folder])]
    output = (folder if not isinstance(folder, list) else folder[0]).parent / "found"
    atlas_distribution.main([*atlases, "--output", str(output), *options])
    return output


def counts_of(path):
    """Return {(row, column): cells} of a table."""
    head, rows = table_of(path)
    for row in rows:
        assert int(row[1]) == sum(map(int, row[2:]))
    return {
        (row[0], name): int(cells)
        for row in rows
        for name, cells in zip(head[2:], row[2:], strict=True)
        if cells != "0"
    }


def pairs_of(top3, first, second, kept=slice(None)):
    """Return {(code, code): cells}, computed plainly."""
    columns = PUBLIC.label(first).start, PUBLIC.label(second).start
    found, times = np.unique(top3[kept][:, columns], axis=0, return_counts=True)
    return {(str(a), str(b)): n for (a, b), n in zip(found.tolist(), times.tolist(), strict=True)}


def test_the_public_atlas_is_counted_and_its_codes_are_said_to_be_codes(tmp_path, capsys):
    shards = [made_up(rows, seed=rows) for rows in (40, 7, 300)]
    found = run(write_public(tmp_path / "atlas", shards))
    top3 = np.concatenate([shard[1] for shard in shards])
    for column in ("tissue", "disease", "age_group", "assay", "organism"):
        path = found / f"cell_type_code_by_{column}_code.tsv"
        assert counts_of(path) == pairs_of(top3, "cell_type", column)
    head, rows = table_of(found / "labels.tsv")
    assert head == ["class", "label", "cells", "share"]
    tissues = {row[1]: int(row[2]) for row in rows if row[0] == "tissue_code"}
    assert tissues == {str(code): n for code, n in enumerate(np.bincount(top3[:, 3]).tolist()) if n}
    cells = [int(row[2]) for row in rows if row[0] == "tissue_code"]
    assert cells == sorted(cells, reverse=True)
    page = Page((found / "distribution.html").read_text())
    words = " ".join(page.text)
    for reported in (words, capsys.readouterr().err):
        assert (
            "Labels of cell_type, tissue, disease, age_group, assay, organism are shown as codes: the atlas has no"
            " decoders for them (label_decoders.json), without which nobody can say what a code means." in reported
        )
        assert "A label is the first guess of the model that made the atlas" in reported
    assert "347 cells." in words


def test_shares_add_up_and_what_is_missing_is_reported(tmp_path):
    embs, top3, scores = made_up(6)
    top3[:, 0] = [4, 4, 4, 4, 2, 1]
    top3[:, 3] = [0, 0, 1, 0, 1, 0]
    found = run(write_public(tmp_path / "atlas", [(embs, top3, scores)]), "--columns", "tissue")
    assert table_of(found / "cell_type_code_by_tissue_code.tsv") == (
        ["cell_type_code", "cells", "0", "1"],
        [["4", "4", "3", "1"], ["1", "1", "1", "0"], ["2", "1", "0", "1"]],
    )
    assert table_of(found / "cell_type_code_by_tissue_code.shares.tsv")[1][0] == ["4", "4", "0.75", "0.25"]
    assert table_of(found / "missing.tsv")[1] == [
        ["cell_type_code", "2", "tissue_code", "0", "1", "4", "0.666667"],
        ["cell_type_code", "1", "tissue_code", "1", "1", "2", "0.333333"],
    ]
    head, rows = table_of(found / "tables.tsv")
    assert dict(zip(head, rows[0], strict=True)) == {
        **{"rows": "cell_type_code", "columns": "tissue_code", "cells": "6", "left_out": "0", "row_labels": "3"},
        **{"column_labels": "2", "pairs": "6", "found": "4", "missing": "2", "missing_share": "0.333333"},
    }
    words = " ".join(Page((found / "distribution.html").read_text()).text)
    assert "Of 6 pairs, 4 occur and 2 (33%) are missing" in words
    assert "4 × 0: 3 cells, 75.00% of the row" in words


def test_labels_with_low_scores_are_left_out(tmp_path):
    shards = [made_up(60), made_up(50, seed=1)]
    found = run(write_public(tmp_path / "atlas", shards), "--columns", "tissue", "assay", "--min-score", "0.5")
    top3, scores = (np.concatenate([shard[place] for shard in shards]) for place in (1, 2))
    for name in ("tissue", "assay"):
        kept = (scores[:, 0] >= 0.5) & (scores[:, PUBLIC.label(name).start] >= 0.5)
        assert 0 < kept.sum() < 110
        path = found / f"cell_type_code_by_{name}_code.tsv"
        assert counts_of(path) == pairs_of(top3, "cell_type", name, kept)
    _, rows = table_of(found / "tables.tsv")
    assert [int(row[2]) + int(row[3]) for row in rows] == [110, 110]
    words = " ".join(Page((found / "distribution.html").read_text()).text)
    assert "A label counts where its score is 0.5 or more. Scores are as stored, taken for logits" in words
    assert f"{rows[0][3]} cells left out, whose scores are too low" in words


def mapped(folder, decoders=DECODERS, layout=TWO_LABELS, seed=0, **options):
    shards = [
        [
            {
                "series": f"GSE{number}",
                "run": f"SRR{number}{piece}",
                "arrays": made_up(30 + number, layout, seed + number),
            }
            for piece in range(2)
        ]
        for number in (1, 2)
    ]
    if not layout.labels:
        for piece in itertools.chain.from_iterable(shards):
            piece["arrays"] = piece["arrays"][:1]
    return write_mapped(folder, shards, layout, decoders, **options), shards


def test_names_of_decoders_and_labels_that_never_occur(tmp_path):
    decoders = {**DECODERS, "cell_type": {**DECODERS["cell_type"], "9": "never"}}
    folder, shards = mapped(tmp_path / "atlas", decoders)
    found = run(folder)
    top3 = np.concatenate([piece["arrays"][1] for shard in shards for piece in shard])
    found_pairs, times = np.unique(top3[:, [0, 3]], axis=0, return_counts=True)
    assert counts_of(found / "cell_type_by_tissue.tsv") == {
        (f"CL:{a:07d}", f"UBERON:{b:07d}"): n for (a, b), n in zip(found_pairs.tolist(), times.tolist(), strict=True)
    }
    assert ["cell_type", "never", "0", "0"] in table_of(found / "labels.tsv")[1]
    text = " ".join(Page((found / "distribution.html").read_text()).text)
    assert "9 labels (1 more of the decoder on no cell)" in text
    assert "shown as codes" not in text


def test_labels_across_what_the_map_knows(tmp_path):
    folder, shards = mapped(tmp_path / "atlas")
    found = run(folder, "--rows", "cell_type", "--columns", "series", "run", "tissue_ontology_term_id")
    for column in ("series", "run"):
        expected = {}
        for piece in itertools.chain.from_iterable(shards):
            for code in piece["arrays"][1][:, 0].tolist():
                pair = (f"CL:{code:07d}", piece[column])
                expected[pair] = expected.get(pair, 0) + 1
        assert counts_of(found / f"cell_type_by_{column}.tsv") == expected
    assert (found / "cell_type_by_tissue.tsv").exists()


def test_an_atlas_without_labels_is_shown_by_its_map(tmp_path, capsys):
    folder, _ = mapped(tmp_path / "atlas", {}, ONLY_OTHER)
    found = run(folder)
    assert counts_of(found / "series_by_species.tsv") == {("GSE1", "homo"): 62, ("GSE2", "homo"): 64}
    reported = "This atlas has no labels, its back end gives none: cells are shown by what the map knows."
    assert reported in capsys.readouterr().err
    assert reported in (found / "distribution.html").read_text()


def test_atlases_are_counted_as_one_by_name(tmp_path):
    folders = [mapped(tmp_path / "a")[0], mapped(tmp_path / "b", seed=5)[0]]
    turned = {**DECODERS, "cell_type": {str(code): f"CL:{8 - code:07d}" for code in range(9)}}
    other, shards = mapped(tmp_path / "c", turned, seed=5)
    together = counts_of(run(folders) / "cell_type_by_tissue.tsv")
    alone = [counts_of(run(folder) / "cell_type_by_tissue.tsv") for folder in folders]
    assert together == {pair: alone[0].get(pair, 0) + alone[1].get(pair, 0) for pair in alone[0] | alone[1]}
    by_name = counts_of(run([folders[0], other]) / "cell_type_by_tissue.tsv")
    codes = np.concatenate([piece["arrays"][1][:, 0] for shard in shards for piece in shard])
    first = sum(cells for (row, _), cells in alone[0].items() if row == "CL:0000002")
    assert sum(cells for (row, _), cells in by_name.items() if row == "CL:0000002") == first + (codes == 6).sum()


def test_atlases_that_do_not_fit_are_reported(tmp_path):
    ours, _ = mapped(tmp_path / "ours")
    bare, _ = mapped(tmp_path / "bare", {})
    public = write_public(tmp_path / "public", [made_up(3)])
    with pytest.raises(InputError) as caught:
        run([ours, public])
    assert "ours: labels cell_type 3, tissue 3; but " in str(caught.value)
    assert "public: cell_type 3, tissue 3, disease 3, " in str(caught.value)
    with pytest.raises(InputError, match=r"ours has names for the codes of cell_type, but .*bare has none, so that"):
        run([ours, bare])
    logits, _ = mapped(tmp_path / "logits", kind="logit")
    with pytest.raises(InputError, match=r"counted together\.\n.*ours: scores are cosine; but .*logits: logit\.$"):
        run([ours, logits], "--min-score", "0")
    assert run([ours, bare], "--decoders", str(ours / "label_decoders.json")).is_dir()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "tissu"], "tissu: neither a class of labels nor of the map; there are cell_type, tissue, dis"),
        (["--rows", "series"], "series: only an atlas with a map (segments.tsv) has it."),
        (["--decoders", "nowhere.json"], "nowhere.json: cannot be read: "),
        (["--layout", "labels=cell_type:3"], "23 columns, but the layout has 3"),
    ],
)
def test_wrong_options_are_reported(tmp_path, options, words):
    with pytest.raises(InputError) as caught:
        run(write_public(tmp_path / "atlas", [made_up(3)]), *options)
    assert words in str(caught.value)
    assert not (tmp_path / "found").exists()
    assert not (tmp_path / "found.part").exists()


def test_neither_labels_nor_map(tmp_path):
    folder, _ = mapped(tmp_path / "atlas", {}, ONLY_OTHER)
    (folder / "segments.tsv").unlink()
    with pytest.raises(InputError, match=r"it has neither labels nor a map \(segments\.tsv\): nothing to count"):
        run(folder)


def test_a_map_that_does_not_have_every_row(tmp_path):
    folder, _ = mapped(tmp_path / "atlas")
    lines = (folder / "segments.tsv").read_text().splitlines(keepends=True)
    for kept, words in (
        (lines[:-1], "66 rows of step_0_svdbaseline_predict_part_1_0 one after the other, but 32 and then no more."),
        ([*lines, lines[1]], "row 0 of step_0_svdbaseline_predict_part_0_0 is no row of a shard, or out of order."),
    ):
        (folder / "segments.tsv").write_text("".join(kept))
        with pytest.raises(InputError) as caught:
            run(folder, "--columns", "series")
        assert words.replace("66", "64") in str(caught.value)


def test_a_code_that_the_decoders_do_not_name(tmp_path):
    folder, _ = mapped(tmp_path / "atlas", {**DECODERS, "cell_type": {"0": "CL:0", "1": "CL:1"}})
    with pytest.raises(InputError) as caught:
        run(folder)
    assert "cell_type has cells with codes 2, 3, 4, 5, 6, 7, 8, for which the label decoders have no name" in str(
        caught.value
    )


def test_22_columns_no_cells_and_one_label(tmp_path):
    layout = Layout(PUBLIC.embeddings, PUBLIC.labels[:-1])
    folder = write_public(tmp_path / "atlas", [made_up(9, layout)], layout)
    option = ["--layout", "labels=" + ",".join(f"{name}:{width}" for name, width in layout.labels)]
    found = run(folder, *option, "--columns", "sex", "organism")
    assert sum(counts_of(found / "cell_type_code_by_sex_code.tsv").values()) == 9
    empty = run(write_public(tmp_path / "empty", [made_up(0)]))
    assert table_of(empty / "cell_type_code_by_tissue_code.tsv") == (["cell_type_code", "cells"], [])
    assert "No cell has a label of both." in Page((empty / "distribution.html").read_text()).text
    embs, top3, scores = made_up(5)
    top3[:] = 0
    one = run(write_public(tmp_path / "one", [(embs, top3, scores)]))
    assert counts_of(one / "cell_type_code_by_assay_code.tsv") == {("0", "0"): 5}
    assert table_of(one / "missing.tsv")[1] == []
    none = mapped(tmp_path / "none", {}, ONLY_OTHER)[0]
    write_mapped(none, [], TWO_LABELS, DECODERS)
    for path in none.glob("*.npz"):
        path.unlink()
    assert table_of(run(none) / "tables.tsv")[1][0][2] == "0"


def test_wrong_codes_do_not_fill_the_memory(tmp_path):
    embs, top3, scores = made_up(5000)
    top3[:, 0] = np.arange(5000) * 13
    top3[:, 3] = np.arange(5000) * 13
    with pytest.raises(InputError, match=r"cell_type by tissue: a table of 64,988 × 64,988 is too large"):
        run(write_public(tmp_path / "atlas", [(embs, top3, scores)]))


def test_the_same_atlas_gives_the_same_bytes_and_a_folder_is_replaced(tmp_path):
    folder, _ = mapped(tmp_path / "atlas")
    found = run(folder)
    first = {path.name: path.read_bytes() for path in found.iterdir()}
    (found / "stale.tsv").write_text("")
    assert {path.name: path.read_bytes() for path in run(folder).iterdir()} == first
    assert not [name for name, text in first.items() if str(tmp_path).encode() in text]
    assert not (tmp_path / "found.part").exists()
    (found / "distribution.html").unlink()
    with pytest.raises(InputError, match=r"the folder has other files \(it has no distribution\.html\)"):
        run(folder)


def test_a_page_of_very_many_labels_shows_the_first_and_joins_the_others(tmp_path):
    dice = np.random.default_rng(0)
    embs, top3, scores = made_up(4_000)
    top3[:, 0] = np.minimum(dice.zipf(1.3, 4_000), 800) - 1
    top3[:, 3] = np.minimum(dice.zipf(1.3, 4_000), 320) - 1
    found = run(write_public(tmp_path / "atlas", [(embs, top3, scores)]), "--columns", "tissue")
    head, rows = table_of(found / "cell_type_code_by_tissue_code.tsv")
    text = (found / "distribution.html").read_text()
    words = " ".join(Page(text).text)
    assert (
        f"The 50 with most cells of each are shown, the others joined ({len(rows) - 50} of cell_type_code and"
        f" {len(head) - 52} of tissue_code)" in words
    )
    assert f"{len(rows) - 50} others" in words
    assert len(text) < 600_000
    assert len(re.findall(r"h13v13h-13Z", text)) == 51 * 51


def test_the_page_stands_alone(tmp_path):
    folder, _ = mapped(tmp_path / "atlas", {**DECODERS, "tissue": {str(code): f"<b> & {code}" for code in range(9)}})
    text = (run(folder) / "distribution.html").read_text()
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object", "b>")]
    assert "://" not in text
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert {link[1:] for link in links} <= {attributes.get("id") for _, attributes in page.tags}
    assert "<b> & 3" in " ".join(page.text)
