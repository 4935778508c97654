"""Label decoders: the names of label codes, of one atlas or of several together.

``label_decoders.json`` is ``{class: {"0": name, …}}``, as the notebook of the public atlas's author reads it; class
names in any of their spellings. Without it there are only codes: they are shown as codes, and every table says so in
its heading (``cell_type_code`` rather than ``cell_type``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.atlas.store.files import is_whole, read_json
from scripts.atlas.store.layout import standard_name
from scripts.core.errors import InputError

if TYPE_CHECKING:
    from scripts.atlas.store.shards import Atlas


MOST_CODE = 65535
"""The greatest code of a label (uint16)."""


@dataclass(frozen=True)
class LabelNames:
    """The labels of a class in one or several atlases: codes common to all, and the name of each."""

    label: str
    """The class, e.g. cell_type."""
    known: tuple[str, ...] | None
    """Names in the order of common codes; None where codes stand for themselves."""
    common: tuple[Mapping[int, int], ...]
    """For each atlas code → common code; empty where codes stand for themselves."""
    sources: tuple[str, ...]
    """The atlases, for messages."""

    @property
    def heading(self) -> str:
        """The class as it heads a column: with ``_code`` where codes stand in it."""
        return f"{self.label}_code" if self.known is None else self.label

    def names(self, size: int) -> list[str]:
        """Return the name of each common code, of ``size`` codes where codes stand for themselves."""
        return [str(code) for code in range(size)] if self.known is None else list(self.known)

    def joined(self, tables: Sequence[np.ndarray], axis: int = 0) -> list[np.ndarray]:
        """Return the tables of all atlases, with common codes along ``axis``, which gets the same length in all.

        Raises InputError where something was counted for a code without a name.
        """
        size = max((table.shape[axis] for table in tables), default=0) if self.known is None else len(self.known)
        joined = []
        for atlas, table in enumerate(tables):
            by_code = np.moveaxis(table, axis, 0)
            common = self.by_code(atlas)[: len(by_code)]
            counted = by_code.any(axis=tuple(range(1, by_code.ndim))) if by_code.ndim > 1 else by_code > 0
            self.refuse(atlas, np.flatnonzero(counted & (common < 0)).tolist())
            out = np.zeros((size, *by_code.shape[1:]), table.dtype)
            np.add.at(out, common[counted], by_code[counted])
            joined.append(np.moveaxis(out, 0, axis))
        return joined

    def by_code(self, atlas: int) -> np.ndarray:
        """Return the common code of each code of an atlas, int32 [65536]; -1 where the code has no name."""
        if self.known is None:
            return np.arange(1 << 16, dtype=np.int32)
        common = np.full(1 << 16, -1, np.int32)
        common[list(self.common[atlas])] = list(self.common[atlas].values())
        return common

    def refuse(self, atlas: int, nameless: Sequence[int]) -> None:
        """Raise InputError where there are codes without a name."""
        if nameless:
            codes = ", ".join(map(str, nameless[:8])) + (f" and {len(nameless) - 8:,} more" if nameless[8:] else "")
            raise InputError(
                f"{self.sources[atlas]}: {self.label} has cells with code{'s'[: len(nameless) - 1]} {codes}, for which"
                f" the label decoders have no name (they name {len(self.common[atlas]):,}). Are they those of the model"
                " that made this atlas?"
            )


def read_decoders(path: str | Path) -> dict[str, dict[str, str]]:
    """Return class → code → name of a file of label decoders. Raises InputError where it is none."""
    decoders = read_json(Path(path))
    if not isinstance(decoders, dict) or not all(map(is_decoder, decoders.values())):
        raise InputError(
            f'{path}: label decoders are {{"cell_type": {{"0": "CL:0000084", …}}, …}}, with codes to {MOST_CODE}.'
        )
    return {standard_name(label): codes for label, codes in decoders.items()}


def is_decoder(codes: object) -> bool:
    """Return whether a value is code (as text) → name, both such as an atlas can have."""
    return isinstance(codes, dict) and all(
        is_whole(code, 5) and int(code) <= MOST_CODE and isinstance(name, str) and " ".join(name.split()).isprintable()
        for code, name in codes.items()
    )


def label_names(label: str, atlases: Sequence["Atlas"]) -> LabelNames:
    """Return the names of the codes of a class in atlases, by their decoders.

    Atlases with different decoders are joined by name: common codes are those of the first, then what others add.
    Raises InputError where only some of the atlases have a decoder of this class.
    """
    label = standard_name(label)
    sources = tuple(str(atlas.path) for atlas in atlases)
    mine = [atlas.decoders.get(label, {}) for atlas in atlases]
    without = [source for source, codes in zip(sources, mine, strict=True) if not codes]
    if len(without) == len(mine):
        return LabelNames(label, None, tuple({} for _ in mine), sources)
    if without:
        named = next(source for source, codes in zip(sources, mine, strict=True) if codes)
        raise InputError(
            f"{named} has names for the codes of {label}, but {', '.join(without)} has none, so that their labels"
            " cannot be joined; give --decoders, or one atlas at a time."
        )
    known: dict[str, int] = {}
    common = []
    for codes in mine:
        ordered = sorted((int(code), name) for code, name in codes.items())
        common.append({code: known.setdefault(" ".join(name.split()), len(known)) for code, name in ordered})
    return LabelNames(label, tuple(known), tuple(common), sources)
