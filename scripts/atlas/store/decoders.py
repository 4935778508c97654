"""What the codes of labels mean: names from label decoders, of one atlas or of several together, or the codes alone.

``label_decoders.json`` is ``{class: {"0": name, …}}``, as the author's notebook reads it; class names in any of their
spellings. An atlas without one has codes and nothing else: they are shown as codes, and every table says so in its
heading (``cell_type_code`` rather than ``cell_type``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.atlas.store.layout import standard_name
from scripts.core.errors import InputError

if TYPE_CHECKING:
    import numpy

Decoders = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class LabelNames:
    """The labels of a class in one or several atlases: joint places, and what stands at each."""

    label: str
    """The class, e.g. cell_type."""
    known: tuple[str, ...] | None
    """Names in the order of places; None where codes stand for themselves."""
    places: tuple[Mapping[int, int], ...]
    """For each atlas code → place; empty where codes stand for themselves."""
    sources: tuple[str, ...]
    """The atlases, for sentences."""

    @property
    def heading(self) -> str:
        """The class as it heads a column: with ``_code`` where codes stand in it."""
        return f"{self.label}_code" if self.known is None else self.label

    def names(self, size: int) -> list[str]:
        """Return what stands at each place, of ``size`` places where codes stand for themselves."""
        return [str(code) for code in range(size)] if self.known is None else list(self.known)

    def joined(self, tables: Sequence["numpy.ndarray"], axis: int = 0) -> list["numpy.ndarray"]:
        """Return tables, one for each atlas, with codes along ``axis`` replaced by places; all get the same length.

        Raises InputError where something was counted for a code without a name.
        """
        import numpy as np

        if self.known is None:
            size = max((table.shape[axis] for table in tables), default=0)
            return [
                np.pad(table, [(0, size - table.shape[axis] if at == axis else 0) for at in range(table.ndim)])
                for table in tables
            ]
        moved = []
        for number, (table, places) in enumerate(zip(tables, self.places, strict=True)):
            by_code = np.moveaxis(table, axis, 0)
            out = np.zeros((len(self.known), *by_code.shape[1:]), table.dtype)
            there = np.flatnonzero(by_code.reshape(len(by_code), -1).any(axis=1)).tolist() if by_code.size else []
            self.refuse(number, [code for code in there if code not in places])
            for code in there:
                out[places[code]] += by_code[code]
            moved.append(np.moveaxis(out, 0, axis))
        return moved

    def by_code(self, atlas: int) -> "numpy.ndarray":
        """Return the place of each code of an atlas, int32 [65536]; -1 where the code has no name."""
        import numpy as np

        if self.known is None:
            return np.arange(1 << 16, dtype=np.int32)
        places = np.full(1 << 16, -1, np.int32)
        places[list(self.places[atlas])] = list(self.places[atlas].values())
        return places

    def refuse(self, atlas: int, nameless: Sequence[int]) -> None:
        """Raise InputError where there are codes without a name."""
        if nameless:
            raise InputError(
                f"{self.sources[atlas]}: {self.label} has cells with {_several_codes([*map(str, nameless)])}, for which"
                f" the label decoders have no name (they name {len(self.places[atlas]):,}). Are they those of the model"
                " that made this atlas?"
            )


def _several_codes(codes: Sequence[str]) -> str:
    told = ", ".join(codes[:8]) + (f" and {len(codes) - 8:,} more" if len(codes) > 8 else "")
    return f"code{'' if len(codes) == 1 else 's'} {told}"


def read_decoders(path: str | Path) -> dict[str, dict[str, str]]:
    """Return class → code → name of a file of label decoders. Raises InputError where it is none."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as label decoders: {error}.") from error
    good = isinstance(told, dict) and all(
        isinstance(codes, dict) and all(code.isdecimal() and isinstance(name, str) for code, name in codes.items())
        for codes in told.values()
    )
    if not good:
        raise InputError(f'{path}: label decoders are {{"cell_type": {{"0": "CL:0000084", …}}, …}}.')
    return {standard_name(label): codes for label, codes in told.items()}


def label_names(label: str, decoders: Sequence[Decoders], sources: Sequence[str]) -> LabelNames:
    """Return what the codes of a class mean in atlases that have these decoders.

    Atlases with different decoders are joined by name: places are the codes of the first, then what others add.
    Raises InputError where some of the atlases have a decoder of this class and others none.
    """
    label = standard_name(label)
    mine = [
        next((codes for name, codes in known.items() if standard_name(name) == label), None) or {} for known in decoders
    ]
    without = [source for source, codes in zip(sources, mine, strict=True) if not codes]
    if len(without) == len(mine):
        return LabelNames(label, None, tuple({} for _ in mine), tuple(sources))
    if without:
        there = next(source for source, codes in zip(sources, mine, strict=True) if codes)
        raise InputError(
            f"{there} has names for the codes of {label}, but {', '.join(without)} has none, so that their labels"
            " cannot be put together; give --decoders, or one atlas at a time."
        )
    known: dict[str, int] = {}
    places = []
    for codes in mine:
        ordered = sorted((int(code), name) for code, name in codes.items())
        places.append({code: known.setdefault(" ".join(name.split()), len(known)) for code, name in ordered})
    return LabelNames(label, tuple(known), tuple(places), tuple(sources))
