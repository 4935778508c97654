import dataclasses
import hashlib
import zipfile

import numpy as np
import pytest

from scripts.atlas.labels.classifier import Model, Sums, fit, judge, predict_one, read_model, write_model
from scripts.core.errors import InputError
from scripts.formats import npz


def test_figures_that_are_known():
    confusion = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])
    figures = judge(confusion)
    assert figures.cells == 14
    assert figures.accuracy == pytest.approx(11 / 14)
    assert figures.balanced_accuracy == pytest.approx((0.8 + 0.75) / 2)
    assert figures.macro_f1 == pytest.approx((16 / 19 + 6 / 9) / 2)
    assert np.isnan([figures.precision[2], figures.recall[2], figures.f1[2]]).all()
    baseline = judge(predict_one(confusion, 0))
    assert (baseline.accuracy, baseline.balanced_accuracy) == (pytest.approx(10 / 14), 0.5)
    nothing = judge(np.zeros((2, 2), int))
    assert nothing.cells == 0
    assert np.isnan([nothing.accuracy, nothing.balanced_accuracy, nothing.macro_f1]).all()


def test_rows_that_are_all_the_same_make_a_model():
    sums = Sums(2)
    sums.add(np.array([0, 1, 1], np.int32), np.array([[1, 0], [0, 1], [0, 1]], "<f2"))
    for kind in ("linear", "centroid"):
        model = fit(sums, ["a", "b"], kind, metric="cosine", shrinkage=0.01, equal=True)
        best, scores = model.predict(np.array([[1, 0.2], [0, 2], [0, 0]], "<f2"))
        assert best.tolist()[:2] == [0, 1]
        assert np.isfinite(scores).all()
    nothing = model.predict(np.zeros((0, 2), "<f2"))
    assert [len(part) for part in nothing] == [0, 0]


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model.npz"
    model = Model("linear", "", ("a", "b"), np.zeros((2, 3)), np.zeros(2), "other", "cell_type", {"codes": False})
    write_model(path, model)
    first = path.read_bytes()
    write_model(path, model)
    assert path.read_bytes() == first
    back = read_model(path)
    for name in ("kind", "metric", "block", "label", "classes", "source"):
        assert getattr(back, name) == getattr(model, name)
    for content, words in (
        (b"no", "cannot be read as a model of atlas_train"),
        (first[:-50], "cannot be read as a model of atlas_train"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_model(path)
    np.savez(path, np.zeros(3))
    with pytest.raises(InputError, match=r"no model of atlas_train: it has no format, kind, metric, block"):
        read_model(path)
    with path.open("wb") as handle:
        np.save(handle, np.zeros(3))
    with pytest.raises(InputError, match="cannot be read as a model of atlas_train: File is not a zip file"):
        read_model(path)
    write_model(path, dataclasses.replace(model, weights=np.zeros((3, 3))))
    with pytest.raises(InputError, match=r"2 classes, but weights of \(3, 3\) and intercepts of \(2,\)"):
        read_model(path)
    with pytest.raises(InputError, match=r"nowhere\.npz: cannot be read"):
        read_model(tmp_path / "nowhere.npz")


def test_a_model_has_the_same_bytes_on_every_python(tmp_path):
    weights = np.array([[0.5, -1, 2], [3, 0, 0.25]])
    model = Model("linear", "", ("a", "b"), weights, np.array([0, 1.5]), "other", "cell_type", {"codes": False})
    write_model(tmp_path / "model.npz", model)
    assert (
        hashlib.sha256((tmp_path / "model.npz").read_bytes()).hexdigest()
        == "ecf4dc2710a5ba80cbf6951f7d696717b2194b4a99e87d80942eb6b72a9ad5ff"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("format", np.array("x"), "format is <U1 (), expected a whole number."),
        ("format", np.array([1, 2]), "format is int64 (2,), expected a whole number."),
        ("format", np.array(2), "a model of format 2; this version reads format 1."),
        ("classes", np.array("a"), "classes is <U1 (), expected a list of text."),
        ("classes", np.array(["a\x1b[31m", "b"]), "its classes have control characters."),
        ("weights", np.full((2, 3), np.nan), "its weights or intercepts have numbers that are not finite."),
        ("weights", np.array([["a"] * 3] * 2), "weights is <U1 (2, 3), expected a table of numbers."),
        ("source", np.array("[]"), "no model of atlas_train: kind 'linear', metric '', source '[]'."),
        ("source", np.array("{"), "source: cannot be read as JSON: Expecting property name enclosed in double quotes"),
        ("source", np.array("[" * 100_000), "source: cannot be read as JSON: its values are nested too deep."),
        ("kind", np.array("evil"), "no model of atlas_train: kind 'evil', metric '', source '{}'."),
    ],
)
def test_models_that_lie_are_refused(tmp_path, name, value, words):
    path = tmp_path / "model.npz"
    write_model(path, Model("linear", "", ("a", "b"), np.zeros((2, 3)), np.zeros(2), "other", "cell_type", {}))
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, name: value})
    with pytest.raises(InputError) as error:
        read_model(path)
    assert str(error.value).startswith(f"{path}: {words}")


def test_a_model_that_inflates_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("weights.npy", "w") as member:
        member.write(npz.array_header(np.dtype("<f8"), (2, 8 << 20)))
        for _ in range(128):
            member.write(bytes(1 << 20))
    with pytest.raises(
        InputError, match=r"cannot be read as a model of atlas_train: its arrays inflate to 134,217,856"
    ):
        read_model(path)
