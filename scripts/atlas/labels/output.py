"""The folders of tables, notes and a page that the commands on labels write, and the checks that they share.

Tables are tab-separated UTF-8 with ``\\n`` line ends and a header line.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scripts.atlas.store.part import EXAMPLES
from scripts.atlas.store.shards import Atlas
from scripts.core.errors import InputError, raise_faults
from scripts.core.files import write_atomic


def fraction(value: float) -> str:
    """Return a number as it stands in tables: six digits; empty where it is undefined."""
    return "" if value != value else f"{value:.6g}"


def write_frame(path: Path, frame: pd.DataFrame, index: str | None = None) -> None:
    """Write a table, fractions as :func:`fraction` does; ``index`` is the heading of its index, None without one."""
    frame.to_csv(
        path,
        sep="\t",
        lineterminator="\n",
        float_format="%.6g",
        quoting=csv.QUOTE_NONE,
        index=index is not None,
        index_label=index,
    )


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Write notes.txt, a line for each thing to know before reading the tables; and print them."""
    write_atomic(folder / "notes.txt", "".join(f"{note}\n" for note in notes))
    for note in notes:
        print(note, file=sys.stderr)


def some(names: Sequence[str]) -> str:
    """Return the first few of many names."""
    return ", ".join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else "")


def code_words(labels: Sequence[str]) -> str:
    """Return the note on labels that are shown as codes."""
    return (
        f"Labels of {', '.join(labels)} are shown as codes: the atlas has no decoders for them (label_decoders.json),"
        " without which nobody can say what a code means."
    )


def score_words(kind: str | None) -> str:
    """Return what a score is, as text; ``kind`` is the manifest's, None without a manifest."""
    words = {"logit": "logits: 0 is even odds, each label for itself", "cosine": "cosines: 1 is the same direction"}
    return words.get(kind or "", "as stored, taken for logits, as the public atlas has them")


def check_layouts(atlases: Sequence[Atlas], *, embeddings: bool) -> None:
    """Raise InputError, naming both, where atlases differ from the first in labels, or in embeddings if asked."""
    faults = []
    for kind in ("embeddings", "labels") if embeddings else ("labels",):
        (path, known), *others = ((atlas.path, _blocks(getattr(atlas.layout, kind))) for atlas in atlases)
        faults += [f"{path}: {kind} {known}; but {other}: {blocks}." for other, blocks in others if blocks != known]
    raise_faults("What is read together", faults)


def _blocks(parts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {width}" for name, width in parts) or "none"


def check_models(atlases: Sequence[Atlas]) -> None:
    """Raise InputError, naming both, where different models made the vectors of atlases."""
    (path, known), *others = ((atlas.path, _model(atlas)) for atlas in atlases)
    faults = [f"{path}: {known}; but {other}: {model}." for other, model in others if model != known]
    if faults:
        raise InputError("\n".join(["Vectors of different models cannot be compared.", *faults]))


def _model(atlas: Atlas) -> str:
    if atlas.manifest is None:
        return "no manifest that names its model"
    weights = (atlas.backend.get("weights_sha256") or "none")[:16]
    return f"{atlas.backend.get('name', 'unknown')} {atlas.backend.get('version', '')}, weights {weights}"


def score_kind(atlases: Sequence[Atlas]) -> str | None:
    """Return what the scores are, by the manifests: logit or cosine; None where they do not say.

    Raises InputError, naming both, where atlases differ.
    """
    kinds = [atlas.backend.get("score_kind") for atlas in atlases]
    for atlas, kind in zip(atlases, kinds, strict=True):
        if kind != kinds[0]:
            raise InputError(
                f"{atlases[0].path}: scores are {kinds[0] or 'not described'}, but {atlas.path}:"
                f" {kind or 'not described'}. They cannot be counted together; give one atlas at a time."
            )
    return kinds[0]


def atlas_notes(atlases: Sequence[Atlas]) -> list[str]:
    """Return the note on several atlases; none for one."""
    names = ", ".join(atlas.path.name for atlas in atlases)
    return [f"{len(atlases)} atlases are counted as one: {names}."] if len(atlases) > 1 else []
