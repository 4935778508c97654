"""The file of a model that tells a label from the vectors of an atlas: model.npz of ``atlas train``.

An npz as ``numpy.savez`` writes it (stored, no clock), without pickles:

- ``format`` (1), ``kind`` (linear or centroid), ``metric`` (cosine or euclidean, of a centroid model)
- ``block`` and ``columns``: the block of embeddings it takes, and how many columns that has
- ``label``: the class or column that it tells; ``classes`` [classes]: names of its labels
- ``weights`` float64 [classes, columns] and ``intercepts`` float64 [classes]
- ``source``: JSON, the back end of the atlas it was trained on (null where there was no manifest) and what labels were

The label of a row is ``classes[(row[block] @ weights.T + intercepts).argmax()]``; the first where several are equal.
Its score is the softmax of these (linear), or these divided by the length of the row (cosine), or these minus half the
squared length of the row (euclidean).
"""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.core.errors import InputError
from scripts.core.files import atomic_path

if TYPE_CHECKING:
    import numpy

FORMAT = 1
_NAMES = ("format", "kind", "metric", "block", "label", "classes", "weights", "intercepts", "source")


class SavedModel(NamedTuple):
    """What a file of a model holds."""

    kind: str
    metric: str
    block: str
    label: str
    classes: tuple[str, ...]
    weights: "numpy.ndarray"
    intercepts: "numpy.ndarray"
    source: dict[str, Any]


def write_model(path: str | Path, model: SavedModel) -> None:
    """Write a model: the same model, the same bytes."""
    import numpy as np

    arrays = {
        "format": np.array(FORMAT, "<i8"),
        **{name: np.array(getattr(model, name)) for name in ("kind", "metric", "block", "label")},
        "columns": np.array(model.weights.shape[1], "<i8"),
        "classes": np.array(model.classes, np.str_),
        "weights": model.weights.astype("<f8"),
        "intercepts": model.intercepts.astype("<f8"),
        "source": np.array(json.dumps(model.source, sort_keys=True, ensure_ascii=False)),
    }
    with atomic_path(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **arrays)


def read_model(path: str | Path) -> SavedModel:
    """Read a model. Raises InputError where the file is none."""
    import numpy as np

    try:
        with Path(path).open("rb") as handle:
            arrays = np.load(handle, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise InputError(f"{path}: no model of 'atlas train', but a bare array.")
            missing = [name for name in _NAMES if name not in arrays]
            if missing:
                raise InputError(f"{path}: no model of 'atlas train': it has no {', '.join(missing)}.")
            told = {name: arrays[name] for name in _NAMES}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a model of 'atlas train': {error}.") from error
    if int(told["format"]) != FORMAT:
        raise InputError(f"{path}: a model of format {int(told['format'])}; this program knows format {FORMAT}.")
    classes, weights, intercepts = told["classes"], told["weights"], told["intercepts"]
    if weights.ndim != 2 or weights.shape[0] != len(classes) or intercepts.shape != (len(classes),):
        raise InputError(
            f"{path}: {len(classes)} classes, but weights of {weights.shape} and intercepts of {intercepts.shape}."
        )
    texts = (str(told[name]) for name in ("kind", "metric", "block", "label"))
    return SavedModel(*texts, tuple(classes.tolist()), weights, intercepts, json.loads(str(told["source"])))
