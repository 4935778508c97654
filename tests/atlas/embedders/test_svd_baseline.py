"""The baseline back end: rows are those of a direct computation, whatever they are computed together with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from scripts.atlas import atlas_model
from scripts.atlas.embedders import expression, svd_baseline
from scripts.atlas.store.count_matrix import CountMatrix
from scripts.atlas.store.part import EmbeddedPart
from scripts.core.errors import InputError
from tests.atlas.small_matrices import GENES, draw_counts, plate_columns, write_droplets, write_matrix

HOME = Path(__file__).parents[3]


def logarithms(counts):
    """The definition, with dense numbers."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.log1p(10_000.0 * counts / np.where(sums, sums, 1))


def fit(output, *matrices, **options):
    arguments = ["--matrices", *map(str, matrices), "--output", str(output)]
    for name, values in options.items():
        arguments += [f"--{name.replace('_', '-')}", *(map(str, values) if isinstance(values, list) else [str(values)])]
    atlas_model.main(arguments)
    return svd_baseline.Basis.read(output)


def embed(matrix, model, output, *more):
    arguments = ["--matrix", matrix, "--model", model, "--species", "homo", "--tax-id", "9606", "--output", output]
    svd_baseline.main([*map(str, arguments), *more])
    return EmbeddedPart(output, complete=False)


def write_reference(path, counts, labels, genes=GENES, **more):
    """Labelled cells, as anndata writes them."""
    obs = pd.DataFrame({name: pd.Categorical(values) for name, values in labels.items()})
    obs.index = [f"cell{number}" for number in range(len(obs))]
    whole = scipy.sparse.csr_matrix(counts.astype(np.float32))
    anndata.AnnData(whole, obs=obs, var=pd.DataFrame(index=genes), **more).write_h5ad(path)
    return path


def test_rows_are_those_of_a_direct_computation(tmp_path):
    counts = draw_counts(60)
    matrix = write_matrix(tmp_path / "m.h5ad", counts)
    model = fit(tmp_path / "model.npz", matrix, components=7)
    part = embed(matrix, tmp_path / "model.npz", tmp_path / "part")
    assert part.description.layout.embeddings == (("other", 7),)
    direct = logarithms(counts) @ model.components.astype(np.float64).T
    assert (part.arrays["embs"] == direct.astype(np.float16)).all()
    assert ([*part.arrays], part.description.score_kind) == (["embs"], None)


def test_the_basis_is_that_of_an_exact_decomposition(tmp_path):
    counts = draw_counts(60)
    model = fit(tmp_path / "model.npz", write_matrix(tmp_path / "m.h5ad", counts), components=30)
    _, values, vectors = np.linalg.svd(logarithms(counts), full_matrices=False)
    assert np.allclose(model.singular_values, values[:30], rtol=1e-12)
    assert np.allclose(np.abs(np.sum(model.components * vectors[:30], axis=1)), 1, atol=1e-6)
    greatest = np.abs(model.components).argmax(axis=1)
    assert (model.components[np.arange(30), greatest] > 0).all()
    assert np.allclose(model.components @ model.components.T, np.eye(30), atol=1e-6)


def test_components_end_at_the_rank(tmp_path):
    kinds = draw_counts(3)  # three kinds of cells, ten times each
    path = write_matrix(tmp_path / "m.h5ad", np.repeat(kinds, 10, axis=0))
    assert len(fit(tmp_path / "model.npz", path).components) == 3
    one = write_matrix(tmp_path / "one.h5ad", kinds[:1])
    assert len(fit(tmp_path / "one.npz", one).components) == 1


def test_a_bigger_matrix_is_decomposed_well():
    random = np.random.RandomState(1)
    strong = random.standard_normal((400, 12)) * np.geomspace(50, 5, 12)
    dense = strong @ np.linalg.qr(random.standard_normal((700, 12)))[0].T + 0.02 * random.standard_normal((400, 700))
    values, vectors = expression.truncated_svd(scipy.sparse.csr_matrix(dense), 12, 0)
    _, exact, axes = np.linalg.svd(dense, full_matrices=False)
    assert np.allclose(values, exact[:12], rtol=1e-9)
    assert np.allclose(np.abs((vectors * axes[:12]).sum(axis=1)), 1)


@pytest.mark.parametrize("limits", [{"rows": 1}, {"rows": 13}, {"entries": 200}, {}])
def test_blocks_change_no_bit(tmp_path, limits):
    counts = draw_counts(70, seed=3)
    path = write_matrix(tmp_path / "m.h5ad", counts)
    labels = {"cell_type": [f"type {number % 5}" for number in range(70)]}
    reference = write_reference(tmp_path / "r.h5ad", counts, labels)
    model = fit(tmp_path / "model.npz", path, reference=reference, labels=["cell_type"])
    with CountMatrix(path) as matrix:
        axes, _ = model.axes(matrix.gene_ids)
        whole = svd_baseline.embed_rows(next(matrix.blocks())[1], axes)
        parts = [svd_baseline.embed_rows(block, axes) for _, block in matrix.blocks(**limits)]
    assert (np.concatenate(parts) == whole).all()
    reported = svd_baseline.nearest_labels(whole, model.centroids["cell_type"], 3)
    by_part = [svd_baseline.nearest_labels(part, model.centroids["cell_type"], 3) for part in parts]
    for place in (0, 1):
        assert (np.concatenate([part[place] for part in by_part]) == reported[place]).all()


def run_fit(folder, output, *matrices, threads="2"):
    """In a process of its own, as the workflow does it."""
    environment = {**os.environ, "PYTHONPATH": str(HOME), "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, "-m", "scripts", "atlas_model", "--seed", "5", "--cells", "40"]
    subprocess.run([*command, "--matrices", *matrices, "--output", output], cwd=folder, env=environment, check=True)
    return (folder / output).read_bytes()


def test_the_order_of_files_and_cells_changes_no_byte(tmp_path):
    counts = draw_counts(90, seed=4)
    write_matrix(tmp_path / "a.h5ad", counts[:50])
    write_droplets(tmp_path / "b.h5ad", counts[50:], {"SRX100": 25, "SRX101": 15})
    first = run_fit(tmp_path, "first.npz", "a.h5ad", "b.h5ad")
    assert first == run_fit(tmp_path, "again.npz", "a.h5ad", "b.h5ad", threads="1")
    order = np.random.RandomState(0).permutation(50)
    obs = {name: [values[place] for place in order] for name, values in plate_columns(50).items()}
    mixed = np.random.RandomState(1).permutation(120)
    genes = [GENES[place] for place in mixed]
    names = [f"SRX{place}" for place in order]
    write_matrix(tmp_path / "c.h5ad", counts[:50][order][:, mixed], names, obs, genes)
    assert first == run_fit(tmp_path, "turned.npz", "b.h5ad", "c.h5ad")


def test_the_sample_is_stated(tmp_path):
    counts = draw_counts(30)
    counts[4] = 0
    path = write_matrix(tmp_path / "m.h5ad", counts)
    about = fit(tmp_path / "model.npz", path, cells=20, seed=9).sample
    digest = about.pop("drawn_sha256")
    assert about == {
        "cells": 20,
        "cells_asked_for": 20,
        "cells_with_counts": 29,
        "components_asked_for": 256,
        "rule": "the cells with the least sha256 of '{seed}:{series}:{cell}'",
        "seed": 9,
    }
    assert fit(tmp_path / "other.npz", path, cells=20, seed=8).sample["drawn_sha256"] != digest


def test_a_cell_of_two_series_may_be_drawn_twice_but_one_of_a_series_only_once(tmp_path):
    first = write_matrix(tmp_path / "a.h5ad", draw_counts(5))
    other = write_matrix(tmp_path / "b.h5ad", draw_counts(5), obs=plate_columns(5, series="GSE9"))
    assert fit(tmp_path / "model.npz", first, other).sample["cells"] == 10
    with pytest.raises(InputError) as caught:
        fit(tmp_path / "model.npz", first, first)
    reported = str(caught.value).splitlines()
    assert reported[0] == "The sample of cells needs 5 corrections:"
    assert reported[1].endswith(f"a cell of this name occurs twice in {first}.")


def test_labels_are_those_of_the_nearest_mean(tmp_path):
    counts = draw_counts(80, seed=6)
    kinds = ["neuron", "glia", "", "T cell", "Unknown", "B cell", "neuron", "glia"]
    labels = {"cell_type": [kinds[number % 8] for number in range(80)], "donor sex": ["f", "m"] * 40}
    bare = [gene.split(".")[0] for gene in GENES]  # labelled cells of others have no versions
    reference = write_reference(tmp_path / "r.h5ad", counts, labels, bare)
    matrix = write_matrix(tmp_path / "m.h5ad", counts)
    options = {"reference": reference, "labels": ["cell_type", "sex=donor sex"], "components": 11}
    model = fit(tmp_path / "model.npz", matrix, **options)
    assert model.labels == {"cell_type": ["B cell", "T cell", "glia", "neuron"], "sex": ["f", "m"]}
    assert model.centroid_cells["cell_type"].tolist() == [10, 10, 20, 20]
    part = embed(matrix, tmp_path / "model.npz", tmp_path / "part")
    assert part.description.layout.labels == (("cell_type", 3), ("sex", 2))
    assert part.description.decoders["cell_type"]["3"] == "neuron"
    assert part.description.score_kind == "cosine"
    points = logarithms(counts) @ model.components.astype(np.float64).T
    means = np.stack([points[np.array(labels["cell_type"]) == kind].mean(axis=0) for kind in model.labels["cell_type"]])
    cosines = points @ means.T / np.outer(np.linalg.norm(points, axis=1), np.linalg.norm(means, axis=1))
    best = np.argsort(-cosines, axis=1)[:, :3]
    assert (part.arrays["top3"][:, :3] == best).all()
    assert (part.arrays["scores"][:, :3] == np.take_along_axis(cosines, best, 1).astype(np.float16)).all()
    assert not list(part.faults())


def test_cells_without_counts_are_dropped_and_said_to_be(tmp_path, capsys):
    counts = draw_counts(20)
    matrix = write_matrix(tmp_path / "m.h5ad", counts)
    fit(tmp_path / "model.npz", matrix)
    counts[[2, 7]] = 0
    more = np.hstack([counts, np.zeros((20, 1), int)])
    more[7, -1] = 3  # nothing but a gene that the model does not know
    path = write_matrix(tmp_path / "n.h5ad", more, genes=[*GENES, "ENSG99999999999.1"])
    part = embed(path, tmp_path / "model.npz", tmp_path / "part")
    assert part.dropped == {2: "NO_COUNTS", 7: "NO_KNOWN_GENES"}
    assert not part.arrays["embs"][[2, 7]].any()
    share = f"{counts.sum() / more.sum():.1%}"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{path}: 100.0% of the model's genes are in it, {share} of its counts are of these genes; 20 cells, 2 dropped."
    )


def test_the_sum_of_a_cell_is_that_of_all_its_genes(tmp_path):
    counts = draw_counts(20)
    fit(tmp_path / "model.npz", write_matrix(tmp_path / "m.h5ad", counts))
    model = svd_baseline.Basis.read(tmp_path / "model.npz")
    more = np.hstack([counts, np.full((20, 1), 50)])
    path = write_matrix(tmp_path / "n.h5ad", more, genes=[*GENES, "other"])
    part = embed(path, tmp_path / "model.npz", tmp_path / "part", "--min-found", "0.1")
    direct = logarithms(more)[:, :-1] @ model.components.astype(np.float64).T
    assert (part.arrays["embs"] == direct.astype(np.float16)).all()


def test_another_species_is_refused(tmp_path):
    counts = draw_counts(20)
    fit(tmp_path / "model.npz", write_matrix(tmp_path / "m.h5ad", counts))
    genes = GENES[:40] + [f"ENSMUSG{number}" for number in range(80)]
    path = write_matrix(tmp_path / "n.h5ad", counts, genes=genes)
    with pytest.raises(InputError, match=r"33.3% of the model's 120 genes are in it; less than 50% is too little"):
        embed(path, tmp_path / "model.npz", tmp_path / "part")
    counts[:, 1:] = 0
    counts = np.hstack([counts, np.full((20, 1), 9)])
    path = write_matrix(tmp_path / "n.h5ad", counts, genes=[*GENES, "other"])
    with pytest.raises(InputError, match=r"of its counts are of these genes; less than 50% of the counts is too"):
        embed(path, tmp_path / "model.npz", tmp_path / "part")
    mouse = write_matrix(tmp_path / "o.h5ad", counts[:, :-1], obs=plate_columns(20, "mus", "10090"))
    with pytest.raises(
        InputError, match=r"(?s)its species is mus, but homo is to.*its tax_id is 10090, but 9606 is to"
    ):
        embed(mouse, tmp_path / "model.npz", tmp_path / "part")


def test_a_matrix_without_cells_has_no_rows(tmp_path):
    fit(tmp_path / "model.npz", write_matrix(tmp_path / "m.h5ad", draw_counts(20)), components=4)
    path = write_matrix(tmp_path / "n.h5ad", np.zeros((0, 0)), obs={"series": []}, genes=[])
    assert embed(path, tmp_path / "model.npz", tmp_path / "part").arrays["embs"].shape == (0, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "R"}, "--reference takes one file of labelled cells, and --labels the columns of its obs"),
        ({"components": 0}, "--components and --cells are whole numbers from 1."),
        (
            {"reference": "R", "labels": ["a b=empty"]},
            "--labels: 'a b' cannot be the name of a class; give another one",
        ),
        ({"reference": "R", "labels": ["kind"]}, "obs: has no column 'kind'; its columns are cell_type, empty."),
        ({"reference": "R", "labels": ["empty"]}, "obs: 0 labels of empty on cells with counts; from 1 to 65536 can"),
        (
            {"reference": "R", "labels": ["a=empty", "a=cell_type"]},
            "--labels a=empty a=cell_type: a class occurs twice",
        ),
    ],
)
def test_what_is_wrong_with_a_fit_is_reported(tmp_path, options, words):
    counts = draw_counts(10)
    reference = write_reference(
        tmp_path / "r.h5ad", counts, {"cell_type": ["a", "b"] * 5, "empty": ["unknown", "NaN"] * 5}
    )
    options = {name: reference if value == "R" else value for name, value in options.items()}
    with pytest.raises(InputError) as caught:
        fit(tmp_path / "model.npz", write_matrix(tmp_path / "m.h5ad", counts), **options)
    assert words in str(caught.value)
    assert not (tmp_path / "model.npz").exists()


def test_a_reference_of_another_species_is_refused(tmp_path):
    counts = draw_counts(10)
    genes = [f"ENSMUSG{number}" for number in range(120)]
    reference = write_reference(tmp_path / "r.h5ad", counts, {"cell_type": ["a", "b"] * 5}, genes)
    with pytest.raises(InputError, match=r"0.0% of its counts are of these genes; less than 50% of the counts is too"):
        fit(tmp_path / "m.npz", write_matrix(tmp_path / "m.h5ad", counts), reference=reference, labels=["cell_type"])


@pytest.mark.parametrize("cells", [0, 4])
def test_cells_of_which_none_has_counts_are_all_dropped(tmp_path, cells):
    path = write_matrix(tmp_path / "m.h5ad", np.zeros((cells, 120), int))
    reference = write_reference(tmp_path / "r.h5ad", draw_counts(10), {"cell_type": ["a", "b"] * 5})
    fit(tmp_path / "model.npz", path, reference=reference, labels=["cell_type"])
    part = embed(path, tmp_path / "model.npz", tmp_path / "part")
    assert part.dropped == dict.fromkeys(range(cells), "NO_COUNTS")
    assert part.description.decoders == {"cell_type": {"0": "a", "1": "b"}}
    counted = write_matrix(tmp_path / "counted.h5ad", draw_counts(3))
    with pytest.raises(InputError, match=r"less than 50% is too little|the model was fitted to no cell; fit another"):
        embed(counted, tmp_path / "model.npz", tmp_path / "other")


def test_no_basis_from_genes_that_are_there_twice(tmp_path):
    path = write_matrix(tmp_path / "n.h5ad", draw_counts(4, 2), genes=["g", "g"])
    with pytest.raises(InputError, match=r"n.h5ad: gene 'g' occurs twice."):
        fit(tmp_path / "model.npz", path)


def test_a_model_that_is_none(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(4))
    with pytest.raises(InputError, match=r"gone.npz: cannot be read: No such file"):
        embed(matrix, tmp_path / "gone.npz", tmp_path / "part")
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(InputError, match=rf"{name}: .* model of svd-baseline \(.*atlas_model' makes one"):
            embed(matrix, tmp_path / name, tmp_path / "part")
    fit(tmp_path / "model.npz", matrix)
    with np.load(tmp_path / "model.npz") as arrays:
        reported = dict(arrays)
    reported["about"] = np.array(json.dumps({"format": 2}).encode())
    np.savez(tmp_path / "new.npz", **reported)
    with pytest.raises(InputError, match=r"new.npz: its format is 2, but only 1 can be read"):
        embed(matrix, tmp_path / "new.npz", tmp_path / "part")


def test_a_back_end_uses_one_thread_whatever_the_user_sets():
    script = "import os, scripts.atlas.embedders.svd_baseline; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {**os.environ, "PYTHONPATH": str(HOME), "OPENBLAS_NUM_THREADS": "4"}
    assert subprocess.check_output([sys.executable, "-c", script], env=environment, text=True) == "1\n"
