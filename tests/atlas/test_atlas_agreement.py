"""First, second and third guesses: scores, margins, confusion and cosines as plain numpy has them."""

import itertools

import numpy as np
import pytest

from scripts.atlas import atlas_agreement
from scripts.atlas.store.layout import PUBLIC, Layout
from scripts.core.errors import InputError
from tests.atlas.small_atlases import DECODERS, ONLY_OTHER, TWO_LABELS, made_up, table_of, write_mapped, write_public
from tests.formats.test_pages import Page

pytestmark = pytest.mark.tools  # most pages are drawn with thousands of labels


def run(folder, *options):
    folders = folder if isinstance(folder, list) else [folder]
    output = folders[0].parent / "agreed"
    atlas_agreement.main([*map(str, folders), "--output", str(output), *options])
    return output


def fault_of(*arguments):
    with pytest.raises(InputError) as caught:
        run(*arguments)
    return str(caught.value)


def by_head(path, keys=1):
    head, rows = table_of(path)
    found = {tuple(row[:keys]) if keys > 1 else row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert len(found) == len(rows)
    return found


def square(path):
    """Return {(row, column): value} of a table of labels by labels."""
    head, rows = table_of(path)
    assert head[1:] == [row[0] for row in rows]
    return {(row[0], name): value for row in rows for name, value in zip(head[1:], row[1:], strict=True)}


def plain_cosines(vectors, labels):
    """Return {(label, label): cosine of their means}, computed plainly."""
    means = {str(code): vectors[labels == code].astype(float).mean(axis=0) for code in np.unique(labels).tolist()}
    return {
        (one, other): float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for (one, a), (other, b) in itertools.product(means.items(), means.items())
    }


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A public atlas of three shards, what was found in it, and its arrays."""
    shards = [made_up(rows, seed=rows) for rows in (60, 1, 300)]
    for embs, top3, _ in shards:
        embs[:, PUBLIC.block("cell_type")] += np.linspace(0, 1, 64) * top3[:, :1]
        top3[:, 1][top3[:, 1] == 8] = 20  # never a first guess
    folder = write_public(tmp_path_factory.mktemp("public") / "atlas", shards)
    return run(folder), [np.concatenate(arrays) for arrays in zip(*shards, strict=True)]


def test_scores_and_margins(public):
    found, (_, _, scores) = public
    rows = by_head(found / "scores.tsv", 2)
    assert len(rows) == 7 * 5 + 2
    wide = scores.astype(float)
    for name in ("cell_type", "organism"):
        first = PUBLIC.label(name).start
        for rank in range(3):
            row, mine = rows[f"{name}_code", f"top{rank + 1}"], wide[:, first + rank]
            assert float(row["mean"]) == pytest.approx(mine.mean(), rel=1e-5)
            assert float(row["percentile_50"]) == pytest.approx(
                np.percentile(mine, 50, method="inverted_cdf"), rel=1e-5
            )
            assert float(row["percentile_95"]) == pytest.approx(
                np.percentile(mine, 95, method="inverted_cdf"), rel=1e-5
            )
            assert float(row["mean_sigmoid"]) == pytest.approx((1 / (1 + np.exp(-mine))).mean(), rel=1e-5)
            assert row["cells"] == "361"
        for rank in range(2):
            margin = (wide[:, first + rank] - wide[:, first + rank + 1]).astype(np.float16).astype(float)
            row = rows[f"{name}_code", f"top{rank + 1}-top{rank + 2}"]
            assert float(row["mean"]) == pytest.approx(margin.mean(), rel=1e-5)
            assert row["mean_sigmoid"] == ""
    assert ("sex_code", "top2") not in rows


def test_confusion_of_first_and_second_guess(public):
    found, (_, top3, _) = public
    table, times = np.unique(top3[:, :2], axis=0, return_counts=True)
    expected = {(str(a), str(b)): n for (a, b), n in zip(table.tolist(), times.tolist(), strict=True)}
    counts = {pair: int(cells) for pair, cells in square(found / "cell_type_code.top1_top2.tsv").items()}
    assert {pair: cells for pair, cells in counts.items() if cells} == expected
    for (row, column), share in square(found / "cell_type_code.top1_top2.shares.tsv").items():
        whole = sum(cells for (first, _), cells in counts.items() if first == row)
        assert float(share) == pytest.approx(counts[row, column] / max(whole, 1), rel=1e-5)
    order = [row[0] for row in table_of(found / "cell_type_code.top1_top2.tsv")[1]]
    firsts = np.bincount(top3[:, 0], minlength=21)
    assert [int(firsts[int(name)]) for name in order] == sorted(
        firsts[[int(name) for name in order]].tolist(), reverse=True
    )


def test_cosines_of_the_means_of_all_rows_in_the_own_block(public):
    found, (embs, top3, _) = public
    expected = plain_cosines(embs[:, PUBLIC.block("cell_type")], top3[:, 0])
    table = square(found / "cell_type_code.cosine.tsv")
    assert all(float(table[pair]) == pytest.approx(value, abs=1e-5) for pair, value in expected.items())
    assert {pair for pair, value in table.items() if value} == set(expected)
    similar = by_head(found / "similarity.tsv", 3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        row = similar["cell_type_code", "cell_type", f"top{first + 1}-top{second + 1}"]
        pairs = [(str(a), str(b)) for a, b in top3[:, [first, second]].tolist()]
        known = [expected[pair] for pair in pairs if pair in expected]
        assert float(row["mean_cosine"]) == pytest.approx(np.mean(known), abs=1e-5)
        assert int(row["cells_without_cosine"]) == len(pairs) - len(known)
        assert int(row["cells"]) == 361
    assert (
        int(similar["cell_type_code", "cell_type", "top1-top2"]["cells_without_cosine"]) == (top3[:, 1] == 20).sum() > 0
    )


def test_each_label(public):
    found, (embs, top3, scores) = public
    rows = by_head(found / "cell_type_code.labels.tsv")
    cosine = plain_cosines(embs[:, PUBLIC.block("cell_type")], top3[:, 0])
    for name, row in rows.items():
        mine = top3[:, 0] == int(name)
        assert int(row["cells"]) == mine.sum()
        if not mine.any():
            assert (name, row["mean_top1"], row["second"], row["nearest"]) == ("20", "", "", "")
            continue
        own = scores[mine][:, :3].astype(float)
        for rank in range(3):
            assert float(row[f"mean_top{rank + 1}"]) == pytest.approx(own[:, rank].mean(), rel=1e-4, abs=1e-5)
        assert float(row["mean_margin"]) == pytest.approx((own[:, 0] - own[:, 1]).mean(), rel=1e-4)
        assert float(row["mean_sigmoid"]) == pytest.approx((1 / (1 + np.exp(-own[:, 0]))).mean(), rel=1e-4)
        seconds = np.bincount(top3[mine][:, 1])
        assert int(row["second_cells"]) == seconds.max() == seconds[int(row["second"])]
        assert float(row["second_share"]) == pytest.approx(seconds.max() / mine.sum(), rel=1e-5)
        others = {other: value for (one, other), value in cosine.items() if one == name != other}
        assert row["nearest"] == max(others, key=others.get)


def test_what_is_said_of_the_public_atlas(public):
    found, _ = public
    notes = (found / "notes.txt").read_text()
    for words in (
        "Scores are as stored, taken for logits, as the public atlas has them.",
        "Shares are the sigmoid of a label's own score: those of a cell do not add up to 1.",
        "Labels of cell_type, tissue, disease, age_group, assay, self_reported_ethnicity, sex, organism, cell_culture",
        "Of sex, cell_culture there is one guess only: no second one to agree with.",
    ):
        assert words in notes
        assert words in " ".join(Page((found / "agreement.html").read_text()).text)
    shown = " ".join(Page((found / "agreement.html").read_text()).text)
    assert "Species: unknown. Vectors by an unknown back end (there is no manifest)." in shown
    assert "95 % interval" in shown
    assert not (found / "sex_code.top1_top2.tsv").exists()
    assert (found / "sex_code.cosine.tsv").exists()


def mapped(folder, decoders=DECODERS, seed=0, rows=40, **options):
    shards = [
        [{"series": f"GSE{part}", "run": f"SRR{part}", "arrays": made_up(rows, TWO_LABELS, [seed, part])}]
        for part in range(2)
    ]
    arrays = [np.concatenate([shard[0]["arrays"][place] for shard in shards]) for place in range(3)]
    return write_mapped(folder, shards, TWO_LABELS, decoders, **options), arrays


def test_our_own_atlas_has_names_cosines_and_another_block(tmp_path):
    folder, (embs, top3, _) = mapped(tmp_path / "atlas")
    found = run(folder)
    notes = (found / "notes.txt").read_text()
    assert "Scores are cosines: 1 is the same direction." in notes
    assert "Without columns of their own in the vectors, so that means of others are compared: tissue (other)." in notes
    assert "sigmoid" not in notes
    assert "codes" not in notes
    rows = by_head(found / "scores.tsv", 2)
    assert rows["cell_type", "top1"]["mean_sigmoid"] == ""
    for name, block, column in (("cell_type", slice(4, 7), 0), ("tissue", slice(0, 4), 3)):
        for (one, other), value in plain_cosines(embs[:, block], top3[:, column]).items():
            pair = tuple(DECODERS[name][code] for code in (one, other))
            assert float(square(found / f"{name}.cosine.tsv")[pair]) == pytest.approx(value, abs=1e-5)
    alone = run(folder, "--labels", "tissue_ontology_term_id")
    assert {path.name.partition(".")[0] for path in alone.glob("*.*.tsv")} == {"tissue"}


def test_without_embeddings(tmp_path):
    folder, (_, top3, _) = mapped(tmp_path / "atlas")
    whole = {path.name: path.read_bytes() for path in run(folder).iterdir()}
    found = run(folder, "--labels-only")
    assert "Embeddings were not read (--labels-only): no cosines." in (found / "notes.txt").read_text()
    assert not list(found.glob("*.cosine.tsv"))
    for name in ("scores.tsv", "cell_type.top1_top2.tsv", "tissue.top1_top2.shares.tsv"):
        assert (found / name).read_bytes() == whole[name]
    assert by_head(found / "similarity.tsv", 3)["tissue", "", "top1-top3"]["mean_cosine"] == ""
    assert len(by_head(found / "tissue.labels.tsv")) == len(np.unique(top3[:, 3:5]))


def test_several_atlases_are_counted_as_one(tmp_path):
    first, (embs, top3, _) = mapped(tmp_path / "a")
    turned = {**DECODERS, "cell_type": {str(code): f"CL:{8 - code:07d}" for code in range(9)}}
    second, (others, codes, _) = mapped(tmp_path / "b", turned, seed=1)
    found = run([first, second])
    labels = np.concatenate([top3[:, 0], 8 - codes[:, 0]])
    for (one, other), value in plain_cosines(np.concatenate([embs, others])[:, 4:7], labels).items():
        pair = tuple(f"CL:{int(code):07d}" for code in (one, other))
        assert float(square(found / "cell_type.cosine.tsv")[pair]) == pytest.approx(value, abs=1e-5)
    assert "2 atlases are counted as one: a, b." in (found / "notes.txt").read_text()
    third, _ = mapped(tmp_path / "c", weights="1" * 64)
    assert "Vectors of different models cannot be compared." in fault_of([first, third])
    assert run([first, third], "--labels-only").is_dir()
    logits, _ = mapped(tmp_path / "d", kind="logit")
    assert "a: scores are cosine; but" in fault_of([first, logits])
    assert "d: logit." in fault_of([first, logits])


def test_what_cannot_be_shown_is_reported(tmp_path):
    folder, _ = mapped(tmp_path / "atlas", {**DECODERS, "tissue": {"0": "U:0"}})
    assert "tissue has cells with codes 1, 2, 3, 4, 5, 6, 7, 8, for which the label decoders have no name" in fault_of(
        folder
    )
    assert "'cell' is no class of labels of this atlas; it has cell_type, tissue." in fault_of(
        folder, "--labels", "cell"
    )
    plain = write_mapped(
        tmp_path / "plain", [[{"series": "G", "run": "S", "arrays": [made_up(3, ONLY_OTHER)[0]]}]], ONLY_OTHER
    )
    assert "has no labels: its back end gives none." in fault_of(plain)
    embs, top3, scores = made_up(2100)
    top3[:, 0] = np.arange(2100)
    strange = write_public(tmp_path / "strange", [(embs, top3, scores)])
    words = "cell_type: 2,100 labels, more than 2,048; look for wrong codes with 'python -m scripts atlas_check'."
    assert words in fault_of(strange, "--labels", "cell_type", "--labels-only")
    assert not (tmp_path / "agreed").exists()


def test_22_columns_no_cells_and_one_label(tmp_path):
    layout = Layout(PUBLIC.embeddings, PUBLIC.labels[:-1])
    option = ["--layout", "labels=" + ",".join(f"{name}:{width}" for name, width in layout.labels)]
    found = run(write_public(tmp_path / "atlas", [made_up(9, layout)], layout), *option)
    assert ("cell_culture_code", "top1") not in by_head(found / "scores.tsv", 2)
    empty = run(write_public(tmp_path / "empty", [made_up(0)]))
    assert by_head(empty / "scores.tsv", 2)["tissue_code", "top1"]["mean"] == ""
    assert by_head(empty / "similarity.tsv", 3)["tissue_code", "tissue", "top1-top2"]["cells"] == "0"
    assert "No cell." in Page((empty / "agreement.html").read_text()).text
    embs, top3, scores = made_up(5)
    top3[:], scores[:] = 0, 1
    one = run(write_public(tmp_path / "one", [(embs, top3, scores)]))
    assert square(one / "assay_code.top1_top2.tsv") == {("0", "0"): "5"}
    assert by_head(one / "assay_code.labels.tsv")["0"]["nearest"] == ""
    Page((one / "agreement.html").read_text())


def test_the_same_bytes_and_a_page_that_stands_alone(tmp_path):
    folder, _ = mapped(tmp_path / "atlas")
    first = {path.name: path.read_bytes() for path in run(folder).iterdir()}
    assert {path.name: path.read_bytes() for path in run(folder).iterdir()} == first
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]
    page = Page(first["agreement.html"].decode())
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object")]
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert {link[1:] for link in links} <= {attributes.get("id") for _, attributes in page.tags}


def test_very_many_labels_are_joined_on_the_page(tmp_path):
    embs, top3, scores = made_up(3000, most=120)
    found = run(write_public(tmp_path / "atlas", [(embs, top3, scores)]), "--labels", "tissue")
    text = (found / "agreement.html").read_text()
    words = " ".join(Page(text).text)
    assert (
        "The 40 labels with most cells are shown, 80 others joined; all of them stand in tissue_code.top1_top2.tsv."
        in words
    )
    assert "The first 40 labels; all are in tissue_code.cosine.tsv." in words
    assert len(text) < 900_000
