"""The folders of tables, notes and a page that the commands on labels write, and the checks that they share.

Tables are tab-separated UTF-8 with ``\\n`` line ends and a header line.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.atlas.labels.scores import wilson
from scripts.atlas.labels.tables import join_square
from scripts.atlas.store.part import EXAMPLES
from scripts.atlas.store.row_map import SEGMENTS, has_map, read_segments
from scripts.atlas.store.shards import Atlas
from scripts.core.disk.files import write_atomic
from scripts.core.errors import InputError, raise_faults
from scripts.formats.charts import Scale, heat_map, short_number
from scripts.formats.pages import several


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
    print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)


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
        blocks = [getattr(atlas.layout, kind) for atlas in atlases]
        texts = [", ".join(f"{name} {width}" for name, width in parts) or "none" for parts in blocks]
        faults += _differences(atlases, texts, f"{kind} ")
    raise_faults("What is read together", faults)


def check_models(atlases: Sequence[Atlas]) -> None:
    """Raise InputError, naming both, where different models made the vectors of atlases."""
    models = []
    for atlas in atlases:
        weights = (atlas.backend.get("weights_sha256") or "none")[:16]
        model = f"{atlas.backend.get('name', 'unknown')} {atlas.backend.get('version', '')}, weights {weights}"
        models.append("no manifest that names its model" if atlas.manifest is None else model)
    if faults := _differences(atlases, models):
        raise InputError("\n".join(["Vectors of different models cannot be compared.", *faults]))


def score_kind(atlases: Sequence[Atlas]) -> str | None:
    """Return what the scores are, by the manifests: logit or cosine; None where they do not say.

    Raises InputError, naming both, where atlases differ.
    """
    kinds = [atlas.backend.get("score_kind") for atlas in atlases]
    if faults := _differences(atlases, [kind or "not described" for kind in kinds], "scores are "):
        raise InputError("\n".join(["Scores of different kinds cannot be counted together.", *faults]))
    return kinds[0]


def _differences(atlases: Sequence[Atlas], texts: Sequence[str], what: str = "") -> list[str]:
    """Return a sentence for each atlas whose text is not that of the first."""
    return [
        f"{atlases[0].path}: {what}{texts[0]}; but {atlas.path}: {text}."
        for atlas, text in zip(atlases, texts, strict=True)
        if text != texts[0]
    ]


def atlas_notes(atlases: Sequence[Atlas]) -> list[str]:
    """Return the note on several atlases; none for one."""
    names = ", ".join(atlas.path.name for atlas in atlases)
    return [f"{len(atlases)} atlases are counted as one: {names}."] if len(atlases) > 1 else []


FEW = 20
"""Cells, or trials, below which a share says little; pages say so."""
_BACK_ENDS = {
    "svd-baseline": "the counts of a cell, normalised and projected on the main components of many cells",
    "scprint2": "the foundation model scPRINT-2",
}


def heading_words(atlases: Sequence[Atlas]) -> str:
    """Return of which species the cells are, and what made their vectors."""
    mapped = {
        segment.species for atlas in atlases if has_map(atlas) for segment in read_segments(atlas.path / SEGMENTS)
    }
    back_ends = dict.fromkeys(map(_back_end_words, atlases))
    return f"Species: {', '.join(sorted(mapped)) or 'unknown'}. Vectors by {' and '.join(back_ends)}."


def _back_end_words(atlas: Atlas) -> str:
    name, version = (str(atlas.backend.get(key) or "") for key in ("name", "version"))
    if atlas.manifest is None or not name:
        return "an unknown back end (there is no manifest)"
    weights = str(atlas.backend.get("weights_sha256") or "")[:12]
    words = f"{name}, version {version or 'unknown'}" + (f", weights {weights}…" if weights else "")
    return f"{words} ({_BACK_ENDS[name]})" if name in _BACK_ENDS else words


def shares_of_rows(counts: np.ndarray) -> np.ndarray:
    """Return cells as shares of their row, which add up to 1; a row without a cell has zeros."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def percent(share: float) -> str:
    """Return a share as a percentage; a dash where it is undefined."""
    return "–" if share != share else f"{share:.1%}"


def interval(successes: float, trials: float) -> str:
    """Return the 95 % interval of a share, ``36.3%–76.9%``; a dash where there is no trial."""
    low, high = (float(end) for end in wilson(successes, trials))
    return "–" if low != low else f"{low:.1%}–{high:.1%}"


def square_map(
    names: Sequence[str], counts: np.ndarray, most: int, *, scale: Scale, title: str, words: str, hint: str
) -> dict[str, Any]:
    """Return the heat map of cells by two labels of a class, as shares of a row's cells.

    ``names`` are those of rows and columns; rows without a cell come last and are not drawn. Labels after the first
    ``most`` are joined; ``joined`` is their number. ``hint`` is a format of the two names.
    """
    names, counts, joined = join_square(names, counts, most)
    rows = len(names) if joined else int(counts.any(axis=1).sum())
    totals = counts[:rows].sum(axis=1)
    shares = shares_of_rows(counts[:rows])

    def words_of(row: int, column: int) -> str:
        cells = several(int(counts[row, column]), "cell")
        return f"{hint.format(names[row], names[column])}: {cells}, {shares[row, column]:.2%}"

    chart = heat_map(
        (names[:rows], names),
        *(np.where(shares > 0, shares, np.nan), scale, title, words, words_of),
        blank="none",
        joined=(joined > 0, joined > 0),
        totals=[short_number(total) for total in totals.tolist()],
    )
    return {"map": chart, "joined": joined}
