"""The layout of an atlas: named blocks of embedding columns, and the number of labels of each class.

The public atlas has 424 columns of embeddings and 23 of labels and of their scores (:data:`PUBLIC`). Other models have
others, so a layout is data: in the manifest of an atlas, in the description of a back end, or an option.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.atlas.store.files import read_json
from scripts.core.errors import InputError

_SPELLINGS = {"age": "age_group", "ethnicity": "self_reported_ethnicity", "remaining": "other"}
_TAIL = "_ontology_term_id"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def standard_name(name: str) -> str:
    """Return the standard name of a block or class: age → age_group, tissue_ontology_term_id → tissue."""
    name = name.removesuffix(_TAIL)
    return _SPELLINGS.get(name, name)


@dataclass(frozen=True)
class Layout:
    """The columns of an atlas, in their order."""

    embeddings: tuple[tuple[str, int], ...]
    """Blocks of the embeddings: name, columns."""
    labels: tuple[tuple[str, int], ...] = ()
    """Classes of the labels and scores: name, number of labels (best first)."""

    def __post_init__(self) -> None:
        for what, parts in (("embeddings", self.embeddings), ("labels", self.labels)):
            names = [name for name, _ in parts]
            for name, width in parts:
                if not _NAME.fullmatch(name) or isinstance(width, bool) or not isinstance(width, int) or width < 1:
                    raise InputError(f"The {what} of a layout: {name!r} with {width!r} columns is no block.")
                if names.count(name) > 1:
                    raise InputError(f"The {what} of a layout: {name!r} is duplicated.")
        if not self.embeddings:
            raise InputError("A layout needs at least one block of embeddings.")

    @property
    def embedding_width(self) -> int:
        return sum(width for _, width in self.embeddings)

    @property
    def label_width(self) -> int:
        return sum(width for _, width in self.labels)

    def block(self, name: str) -> slice:
        """Return the columns of a block of the embeddings. Raises InputError that lists them."""
        return _columns("block of embeddings", self.embeddings, name)

    def block_of(self, label: str) -> str:
        """Return the block of a class of labels: that of its name, else ``other``, else the first."""
        blocks = [name for name, _ in self.embeddings]
        return next((name for name in (standard_name(label), "other") if name in blocks), blocks[0])

    def label(self, name: str) -> slice:
        """Return the columns of a class in labels and scores, best first. Raises InputError that lists them."""
        return _columns("class of labels", self.labels, name)

    def width(self, kind: str) -> int:
        """Return how many columns the files of a kind have: embs, top3 or scores."""
        return self.embedding_width if kind == "embs" else self.label_width

    def columns(self, kind: str, name: str | None) -> slice:
        """Return the columns of a block or class in the files of a kind; all for None."""
        if name is None:
            return slice(0, self.width(kind))
        return self.block(name) if kind == "embs" else self.label(name)

    def to_json(self) -> dict[str, list[list[Any]]]:
        """Return the layout as it stands in a manifest."""
        return {"embeddings": [list(part) for part in self.embeddings], "labels": [list(part) for part in self.labels]}

    @classmethod
    def from_json(cls, value: Any) -> "Layout":
        """Return the layout of :meth:`to_json`; names may be spelled as in the document of the public atlas."""
        try:
            embeddings, labels = (
                tuple((standard_name(name), width) for name, width in value.get(key, ()))
                for key in ("embeddings", "labels")
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                'A layout is {"embeddings": [["other", 256], …], "labels": [["cell_type", 3], …]},'
                f" but found {json.dumps(value)[:200]}."
            ) from error
        return cls(embeddings, labels)


def _columns(what: str, parts: Sequence[tuple[str, int]], name: str) -> slice:
    wanted = standard_name(name)
    start = 0
    for known, width in parts:
        if known == wanted:
            return slice(start, start + width)
        start += width
    known = ", ".join(known for known, _ in parts) or "none"
    raise InputError(f"{name!r} is no {what} of this atlas; it has {known}.")


PUBLIC = Layout(
    (
        ("other", 256),
        ("cell_type", 64),
        ("tissue", 32),
        ("disease", 32),
        ("age_group", 8),
        ("assay", 12),
        ("self_reported_ethnicity", 8),
        ("sex", 2),
        ("organism", 8),
        ("cell_culture", 2),
    ),
    (
        ("cell_type", 3),
        ("tissue", 3),
        ("disease", 3),
        ("age_group", 3),
        ("assay", 3),
        ("self_reported_ethnicity", 3),
        ("sex", 1),
        ("organism", 3),
        ("cell_culture", 1),
    ),
)
"""The layout of the public atlas: 424 columns of embeddings, 23 of labels."""


def read_layout(text: str) -> Layout:
    """Return the layout of the option --layout.

    ``text`` is the path of a JSON file (a layout, or a manifest with one), or the layout itself, as
    ``embeddings=other:256,cell_type:64;labels=cell_type:3,tissue:3``. A part that it does not name is that of the
    public atlas.
    """
    if "=" not in text:
        value = read_json(Path(text))
        if isinstance(value, Mapping) and "layout" in value:
            value = value["layout"]
        return Layout.from_json(value)
    parts: dict[str, list[list[Any]]] = PUBLIC.to_json()
    for part in text.split(";"):
        kind, _, blocks = part.strip().partition("=")
        pairs = [block.partition(":") for block in blocks.split(",") if block]
        if kind not in parts or any(not width.isdecimal() for _, _, width in pairs):
            raise InputError(
                f"--layout: {part!r} is neither 'embeddings=name:columns,…' nor 'labels=name:labels,…'"
                " (the two are separated by ';')."
            )
        parts[kind] = [[name.strip(), int(width)] for name, _, width in pairs]
    return Layout.from_json(parts)
