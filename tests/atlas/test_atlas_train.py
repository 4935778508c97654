"""Models trained on an atlas: labels joined through the map, whole series held out, figures as plain numpy has them."""

import numpy as np
import pytest

from scripts.atlas import atlas_train
from scripts.atlas.labels.classifier import read_model
from scripts.atlas.labels.split import hold_out
from scripts.atlas.store.layout import PUBLIC
from scripts.core.errors import InputError
from tests.atlas.small_atlases import (
    DECODERS,
    ONLY_OTHER,
    TWO_LABELS,
    made_up,
    table_of,
    write_mapped,
    write_public,
)
from tests.formats.test_pages import Page

KINDS = ("B cell", "T cell", "neuron")
MIDDLES = np.array([[3.0, 0, 0, 1], [0, 3.0, 0, 1], [0, 0.5, 3.0, 1]])


def cells(rows, seed):
    """Return vectors of ``rows`` cells of three kinds, and the kinds."""
    dice = np.random.default_rng(seed)
    kinds = dice.choice(3, rows, p=[0.5, 0.3, 0.2])
    vectors = (MIDDLES[kinds] + dice.normal(size=(rows, 4)) @ np.diag([1, 0.5, 1.5, 0.7])).astype("<f2")
    return vectors, kinds


def barcodes(rows):
    return [f"{number:06b}".replace("0", "A").replace("1", "C").encode() for number in range(rows)]


def make(folder, series=("GSE1", "GSE2", "GSE3"), rows=40, **options):
    """Write an atlas of droplet runs without labels, two a series, and the truth by run and barcode."""
    truth, shards = {}, []
    for number, name in enumerate(series):
        pieces = []
        for part in range(2):
            vectors, kinds = cells(rows, [number, part])
            run = f"SRR{number}{part}"
            pieces.append({"series": name, "run": run, "arrays": [vectors], "barcodes": barcodes(rows)})
            truth[run] = (vectors, kinds)
        shards.append(pieces)
    return write_mapped(folder, shards, ONLY_OTHER, **options), truth


def write_truth(path, truth, column="run", label="cell_type", suffix="", prefix=""):
    lines = [f"{column}\tbarcode\t{label}\tnotes\n"]
    for run, (vectors, kinds) in truth.items():
        names = barcodes(len(vectors))
        lines += [f"{prefix}{run}\t{names[row].decode()}{suffix}\t{KINDS[kind]}\t\n" for row, kind in enumerate(kinds)]
    path.write_text("".join(lines))
    return path


def run(folder, *options, labels=None):
    folders = folder if isinstance(folder, list) else [folder]
    output = folders[0].parent / "trained"
    reported = ["--labels", str(labels)] if labels else []
    atlas_train.main([*map(str, folders), "--output", str(output), "--label", "cell_type", *reported, *options])
    return output


def figures_of(output):
    return {row[0]: [float(value) for value in row[1:]] for row in table_of(output / "figures.tsv")[1]}


def fault_of(*arguments, **options):
    with pytest.raises(InputError) as caught:
        run(*arguments, **options)
    return str(caught.value)


def plain_discriminant(vectors, kinds, shrinkage=0.01):
    """Return weights and intercepts, computed from the definition."""
    vectors = vectors.astype(float)
    means = np.array([vectors[kinds == kind].mean(axis=0) for kind in range(3)])
    rest = vectors - means[kinds]
    within = rest.T @ rest / (len(vectors) - 3)
    shape = (1 - shrinkage) * within + shrinkage * np.trace(within) / 4 * np.eye(4)
    inverse = np.linalg.inv(shape)
    shares = np.bincount(kinds) / len(kinds)
    return means @ inverse, np.log(shares) - np.einsum("ij,jk,ik->i", means, inverse, means) / 2


def gathered(truth, runs):
    return tuple(np.concatenate([truth[run][place] for run in runs]) for place in (0, 1))


TRAINING, TEST = ("SRR00", "SRR01", "SRR20", "SRR21"), ("SRR10", "SRR11")


def test_the_linear_model_is_the_one_that_plain_numpy_gives(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    output = run(folder, "--test-series", "GSE2", labels=write_truth(tmp_path / "truth.tsv", truth))
    weights, intercepts = plain_discriminant(*gathered(truth, TRAINING))
    model = read_model(output / "model.npz")
    assert model.classes == KINDS
    assert np.allclose(model.weights, weights, rtol=1e-9)
    assert np.allclose(model.intercepts, intercepts, rtol=1e-9)
    assert (model.kind, model.block, model.label, model.source["labels"]) == ("linear", "other", "cell_type", "table")

    vectors, kinds = gathered(truth, TEST)
    reported = (vectors.astype(float) @ weights.T + intercepts).argmax(axis=1)
    with np.load(output / "model.npz") as arrays:  # as its page says
        assert np.array_equal(
            (vectors.astype(float) @ arrays["weights"].T + arrays["intercepts"]).argmax(axis=1), reported
        )
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (kinds, reported), 1)
    head, rows = table_of(output / "confusion.tsv")
    order = [KINDS.index(name) for name in head[1:]]
    assert [row[0] for row in rows] == head[1:]
    assert np.array_equal(np.array([row[1:] for row in rows], int), confusion[np.ix_(order, order)])

    figures = figures_of(output)
    recall = np.diag(confusion) / confusion.sum(axis=1)
    f1 = 2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))
    share = (kinds == 0).mean()
    assert figures["accuracy"] == pytest.approx([(reported == kinds).mean(), share], abs=1e-6)
    assert figures["balanced_accuracy"] == pytest.approx([recall.mean(), 1 / 3], abs=1e-6)
    assert figures["macro_f1"] == pytest.approx([f1.mean(), 2 * share / (1 + share) / 3], abs=1e-6)
    assert [figures[name][0] for name in ("train_cells", "test_cells", "train_series", "test_series")] == [
        160,
        80,
        2,
        1,
    ]
    assert table_of(output / "split.tsv")[1] == [
        ["GSE1", "train", "80"],
        ["GSE3", "train", "80"],
        ["GSE2", "test", "80"],
    ]
    by_label = {row[0]: row[1:] for row in table_of(output / "labels.tsv")[1]}
    for kind, name in enumerate(KINDS):
        mine = by_label[name]
        assert [int(mine[0]), int(mine[1])] == [(gathered(truth, TRAINING)[1] == kind).sum(), (kinds == kind).sum()]
        assert [float(mine[4]), float(mine[5])] == pytest.approx([recall[kind], f1[kind]], abs=1e-6)
    assert figures["accuracy"][0] > 0.9
    notes = (output / "notes.txt").read_text()
    assert "240 of 240 cells have a label in truth.tsv." in notes
    assert "WARNING: only 80 cells were tested on: the accuracy may be anywhere in 89.5%–98.7%." in notes
    assert notes.count("WARNING") == 1
    assert "Fewer than 20 cells to test on have this label, whose figures say little: neuron." in notes


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_nearest_mean_is_the_one_that_plain_numpy_gives(tmp_path, metric):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", truth)
    options = ("--test-series", "GSE2", "--model", "centroid", "--metric", metric)
    output = run(folder, *options, labels=labels)
    vectors, kinds = gathered(truth, TRAINING)
    means = np.array([vectors[kinds == kind].astype(float).mean(axis=0) for kind in range(3)])
    vectors, kinds = gathered(truth, TEST)
    vectors = vectors.astype(float)
    if metric == "cosine":
        lengths = np.linalg.norm(vectors, axis=1)[:, None] * np.linalg.norm(means, axis=1)
        reported = (vectors @ means.T / lengths).argmax(axis=1)
    else:
        reported = ((vectors[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert figures_of(output)["accuracy"][0] == pytest.approx((reported == kinds).mean(), abs=1e-6)
    predicted = apply(folder, output / "model.npz")
    assert [row[3] for row in predicted if row[8] in TEST] == [KINDS[kind] for kind in reported]


def apply(folder, model, *options):
    output = folder.parent / "applied"
    atlas_train.main([str(folder), "--output", str(output), "--apply", str(model), *options])
    return table_of(output / "predictions.tsv")[1]


def test_a_model_predicts_the_labels_of_an_atlas_with_their_cells(tmp_path, capsys):
    folder, truth = make(tmp_path / "atlas")
    output = run(folder, "--test-series", "GSE2", labels=write_truth(tmp_path / "truth.tsv", truth))
    rows = apply(folder, output / "model.npz")
    model = read_model(output / "model.npz")
    assert len(rows) == 240
    assert rows[40][:3] == ["atlas", "step_0_svdbaseline_predict_part_0_0", "40"]
    assert rows[40][5:] == ["GSE1", "GSM-SRR01", "SRX-SRR01", "SRR01", "homo", "AAAAAA"]
    scores = truth["SRR01"][0][:1].astype(float) @ model.weights.T + model.intercepts
    shares = np.exp(scores) / np.exp(scores).sum()
    assert rows[40][3:5] == [KINDS[shares.argmax()], f"{shares.max():.4g}"]
    assert (
        "cell_type as predicted by model.npz, from the block other: predictions, with the share"
        in capsys.readouterr().err
    )
    other, _ = make(tmp_path / "other", weights="1" * 64)
    with pytest.raises(InputError, match=r"other: its vectors are not of the model on whose vectors .*model\.npz was"):
        apply(other, output / "model.npz")
    with pytest.raises(InputError, match=r"its block other has 256 columns, but .*model\.npz takes 4"):
        apply(write_public(tmp_path / "public", [made_up(3)]), output / "model.npz")


def test_labels_of_runs_experiments_samples_and_barcodes(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    expected = figures_of(run(folder, "--seed", "7", labels=write_truth(tmp_path / "truth.tsv", truth)))
    for column, prefix in (("experiment", "SRX-"), ("sample", "GSM-")):
        labels = write_truth(tmp_path / "other.tsv", truth, column, suffix="-1", prefix=prefix, label="label")
        assert figures_of(run(folder, "--seed", "7", labels=labels)) == expected
    table = tmp_path / "whole.tsv"
    table.write_text(
        "experiment\trun\tbarcode\tcell_type\n\tSRR00\t\tB cell\nSRX-SRR10\t\t\tT cell\n\tSRR10\tAAAAAA\tneuron\n"
    )
    output = run(folder, "--test-series", "GSE1", labels=table)
    assert table_of(output / "split.tsv")[1] == [["GSE2", "train", "40"], ["GSE1", "test", "40"]]
    assert {row[0]: row[1:3] for row in table_of(output / "labels.tsv")[1]} == {
        "B cell": ["0", "40"],
        "T cell": ["39", "0"],
        "neuron": ["1", "0"],
    }
    notes = (output / "notes.txt").read_text()
    assert "40 cells to test on have labels that no training cell has (B cell): the model cannot predict them" in notes
    assert "80 of 240 cells have a label in whole.tsv." in notes
    assert figures_of(output)["accuracy"] == [0, 0]


def test_unknown_runs_and_repeated_rows_are_reported(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", truth)
    strange = "".join(f"SRR9{number}\t\tneuron\t\n" for number in range(7))
    labels.write_text(labels.read_text() + strange + "SRR90\t\tneuron\t\nSRR00\tCCCCCC\t\t\n")
    notes = (run(folder, labels=labels) / "notes.txt").read_text()
    assert (
        "7 of 13 runs, experiments or samples of the table are not in the atlas: SRR90, SRR91, SRR92, SRR93, SRR94 and"
        " 2 more." in notes
    )
    assert "Rows of the table: 249, 1 repeated, 1 without label." in notes
    labels.write_text("run\tcell_type\nSRR98\tneuron\nSRR99\tB cell\n")
    reported = fault_of(folder, labels=labels)
    assert "No cell has a label: there is nothing to train on." in reported
    assert "names 2 runs, experiments or samples, of which the atlas does not have 2: SRR98, SRR99." in reported


def test_two_runs_of_a_cell_that_have_different_labels(tmp_path):
    vectors = [cells(1, number)[0] for number in range(3)]
    pieces = [
        {"series": f"GSE{number}", "run": run, "arrays": [vectors[number]]}
        for number, run in enumerate(("SRR1;SRR2", "SRR3", "SRR4"))
    ]
    folder = write_mapped(tmp_path / "atlas", [pieces], ONLY_OTHER)
    table = tmp_path / "labels.tsv"
    table.write_text("run\tcell_type\nSRR1\tB cell\nSRR2\tT cell\nSRR3\tT cell\nSRR4\tB cell\n")
    reported = fault_of(folder, labels=table)
    assert "SRR1;SRR2 (SRX-SRR1;SRR2), row 0 of step_0_svdbaseline_predict_part_0_0: 'B cell' and 'T cell'" in reported
    table.write_text("run\tcell_type\nSRR2\tB cell\nSRR3\tT cell\nSRR4\tB cell\n")
    output = run(folder, "--test-series", "GSE2", labels=table)
    assert figures_of(output)["train_cells"] == [2, 2]


def test_series_are_held_out_whole_and_by_their_names(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", truth)
    for seed in range(3):
        (held,) = hold_out(["GSE1", "GSE2", "GSE3"], 0.2, seed)
        rows = table_of(run(folder, "--seed", str(seed), labels=labels) / "split.tsv")[1]
        assert rows[-1] == [held, "test", "80"]


def test_series_that_share_a_run_are_held_out_together(tmp_path):
    shards = [
        [
            {"series": series, "run": name, "arrays": [cells(20, number)[0]]}
            for number, (series, name) in enumerate(
                (("GSE5", "SRR1"), ("GSE9", "SRR2"), ("GSE7", "SRR1"), ("GSE8", "SRR3"))
            )
        ]
    ]
    folder = write_mapped(tmp_path / "atlas", shards, ONLY_OTHER)
    table = tmp_path / "labels.tsv"
    table.write_text("run\tcell_type\nSRR1\tB cell\nSRR2\tT cell\nSRR3\tB cell\n")
    output = run(folder, "--test-series", "GSE7", labels=table)
    assert table_of(output / "split.tsv")[1] == [
        ["GSE8", "train", "20"],
        ["GSE9", "train", "20"],
        ["GSE5", "test", "40"],
    ]
    assert (
        "series that share runs, experiments or samples are held out together, under the name of the first: GSE7 with"
        in (output / "notes.txt").read_text()
    )


def test_what_cannot_be_held_out_is_reported(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", {name: truth[name] for name in ("SRR00", "SRR01", "SRR10")})
    reported = fault_of(folder, "--test-series", "GSE3", "GSE4", labels=labels)
    assert "GSE3: no cell with a label." in reported
    assert "GSE4: no series of the atlas." in reported
    reported = fault_of(folder, "--test-series", "GSE1", "GSE2", labels=labels)
    assert "nothing is left to train on; there are GSE1, GSE2." in reported
    one, truth = make(tmp_path / "one", series=["GSE1"])
    labels = write_truth(tmp_path / "truth.tsv", truth)
    reported = fault_of(one, labels=labels)
    assert (
        "All 80 cells with a label are of one series (GSE1), so that a model cannot be tested on another one."
        in reported
    )
    assert "or --split sample holds out samples of it; figures then say less." in reported
    output = run(one, "--split", "sample", labels=labels)
    assert "WARNING: cells are held out by sample." in (output / "notes.txt").read_text()
    assert [row[1:] for row in table_of(output / "split.tsv")[1]] == [["train", "40"], ["test", "40"]]


def test_the_public_atlas_cannot_be_split_by_series(tmp_path, capsys):
    shards = [made_up(rows, seed=rows, most=4) for rows in (300, 200, 100)]
    for embs, top3, _ in shards:
        embs[:, PUBLIC.block("tissue")] += np.eye(32)[top3[:, 3]] * 5
    folder = write_public(tmp_path / "public", shards)
    reported = fault_of(folder, "--label", "tissue")
    assert "no map (segments.tsv), so the series of its rows are unknown, and a model cannot be tested on" in reported
    assert "--split shard holds out shards instead, but cells of one data set may then be on both sides" in reported
    table = tmp_path / "labels.tsv"
    table.write_text("run\ttissue\nSRR1\tlung\n")
    assert "a table of labels cannot be joined" in fault_of(folder, "--label", "tissue", labels=table)
    output = run(folder, "--label", "tissue", "--split", "shard")
    notes, err = (output / "notes.txt").read_text(), capsys.readouterr().err
    for words in (
        "WARNING: these labels (tissue) are themselves predictions, the first guesses of the model that made the",
        "The block tissue is what they were predicted from: the test is circular.",
        "Labels of tissue are shown as codes",
        "WARNING: cells are held out by shard. Cells of one data set may be on both sides",
    ):
        assert words in notes
        assert words in err
        assert words in " ".join(Page((output / "train.html").read_text()).text)
    assert table_of(output / "labels.tsv")[0][0] == "tissue_code"
    assert figures_of(output)["accuracy"][0] > 0.95
    model = read_model(output / "model.npz")
    assert (model.classes, model.block, model.weights.shape) == (("0", "1", "2", "3"), "tissue", (4, 32))
    output = run(folder, "--label", "tissue_ontology_term_id", "--split", "shard", "--block", "other")
    assert "circle" not in (output / "notes.txt").read_text()
    assert apply(folder, output / "model.npz")[0][5:] == [""] * 6


def test_the_labels_of_our_own_atlases_are_learnt_by_name(tmp_path):
    def labelled(folder, decoders, seed, weights="0" * 64):
        shards = [
            [
                {
                    "series": f"GSE{seed}{part}",
                    "run": f"SRR{seed}{part}",
                    "arrays": made_up(50, TWO_LABELS, [seed, part], 4),
                }
            ]
            for part in range(2)
        ]
        return write_mapped(folder, shards, TWO_LABELS, decoders, weights=weights), shards

    first, shards = labelled(tmp_path / "a", DECODERS, 1)
    turned = {**DECODERS, "cell_type": {str(code): f"CL:{3 - code:07d}" for code in range(4)}}
    second, others = labelled(tmp_path / "b", turned, 2)
    output = run([first, second], "--test-series", "GSE10")
    names = np.array([f"CL:{code:07d}" for code in range(4)])
    known = names[np.concatenate([shards[1][0]["arrays"][1][:, 0]])]
    known = [*known, *(names[::-1][code] for part in others for code in part[0]["arrays"][1][:, 0])]
    rows = {row[0]: int(row[1]) for row in table_of(output / "labels.tsv")[1]}
    assert rows == {name: known.count(name) for name in names}
    assert "WARNING: these labels (cell_type) are themselves predictions" in (output / "notes.txt").read_text()
    third, _ = labelled(tmp_path / "c", DECODERS, 3, weights="f" * 64)
    reported = fault_of([first, third])
    assert "Vectors of different models cannot be compared." in reported
    assert "a: svd-baseline 1, weights 0000000000000000; but " in reported
    assert "c: svd-baseline 1, weights ffffffffffffffff." in reported
    bare = write_public(tmp_path / "bare", [made_up(5, TWO_LABELS)], TWO_LABELS)
    (bare / "segments.tsv").write_text("")
    text = "embeddings=other:4,cell_type:3;labels=cell_type:3,tissue:3"
    assert "bare: no manifest that names its model." in fault_of([first, bare], "--layout", text)
    plain, _ = make(tmp_path / "plain")
    assert "embeddings other 4, cell_type 3; but" in fault_of([first, plain])


def test_labels_that_cannot_be_learnt(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    assert "has no labels: its back end gives none." in fault_of(folder)
    table = tmp_path / "labels.tsv"
    table.write_text("run\tcell_type\n" + "".join(f"{name}\tB cell\n" for name in truth))
    assert "at least two labels, but the training cells have only 'B cell'." in fault_of(folder, labels=table)
    assert "'cell' is no block of embeddings" in fault_of(folder, "--block", "cell", labels=table)
    table.write_text(
        "run\tbarcode\tcell_type\n"
        + "".join(
            f"SRR{n}{p}\t{b.decode()}\t{n}{p}{b.decode()}\n" for n in range(3) for p in range(2) for b in barcodes(40)
        )
    )
    atlas_train.MOST_LABELS, before = 100, atlas_train.MOST_LABELS
    try:
        assert "160 labels, but at most 100 are possible: is this column a label?" in fault_of(folder, labels=table)
    finally:
        atlas_train.MOST_LABELS = before
    empty = write_mapped(tmp_path / "empty", [], ONLY_OTHER)
    assert "No cell has a label: there is nothing to train on." in fault_of(empty, labels=table)
    assert not (tmp_path / "trained").exists()


def test_a_label_that_is_never_predicted(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", truth)
    lines = labels.read_text().splitlines(keepends=True)
    noise = next(line for line in lines[1:] if line.startswith("SRR00") and "B cell" in line)
    seldom = next(line for line in lines[1:] if line.startswith("SRR10") and "B cell" in line)
    text = "".join(lines).replace(noise, noise.replace("B cell", "seldom"))
    labels.write_text(text.replace(seldom, seldom.replace("B cell", "seldom")))
    output = run(folder, "--test-series", "GSE2", labels=labels)
    row = next(row for row in table_of(output / "labels.tsv")[1] if row[0] == "seldom")
    assert row[1:4] == ["1", "1", "0"]
    assert row[4:] == ["", "0", "0", "", "", "0", "0.793451"]  # of one cell, by Wilson
    shown = " ".join(Page((output / "train.html").read_text()).text)
    assert "Vectors by" in shown
    assert "95 % interval" in shown
    assert "–" in Page((output / "train.html").read_text()).text


def test_the_same_bytes_and_a_page_that_stands_alone(tmp_path):
    folder, truth = make(tmp_path / "atlas")
    labels = write_truth(tmp_path / "truth.tsv", truth)
    first = {path.name: path.read_bytes() for path in run(folder, labels=labels).iterdir()}
    assert {path.name: path.read_bytes() for path in run(folder, labels=labels).iterdir()} == first
    assert sorted(first) == [
        "confusion.tsv",
        "figures.tsv",
        "labels.tsv",
        "model.npz",
        "notes.txt",
        "split.tsv",
        "train.html",
    ]
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]
    page = Page(first["train.html"].decode())
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object")]
    words = " ".join(page.text)
    assert "the baseline: always B cell, the most frequent in training" in words
    assert "On 80 cells that the model has not seen; fitted to 160." in words
