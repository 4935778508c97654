"""An embedded part: the vectors of one matrix's cells, which a back end writes and ``atlas_pack`` reads.

A back end writes ``describe.json``, ``embs.npy``, ``top3.npy`` and ``scores.npy`` where it gives labels, ``kept.npy``
and ``dropped.tsv``: every array has a row for every cell of the matrix, in its order. ``atlas_embed`` adds
``cells.tsv`` and ``matrix.json``. The format is described in docs/formats.md. Back ends run in environments of their
own, so this module needs nothing but numpy.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import numpy as np
from numpy.lib import format as npy

from scripts.atlas.store.decoders import is_decoder
from scripts.atlas.store.files import is_whole, read_json, read_table, write_json, write_table
from scripts.atlas.store.layout import Layout
from scripts.core.errors import InputError, raise_faults
from scripts.formats.npz import map_npy

DESCRIPTION, KEPT, DROPPED, CELLS, MATRIX = "describe.json", "kept.npy", "dropped.tsv", "cells.tsv", "matrix.json"
TYPES = {"embs": "<f2", "top3": "<u2", "scores": "<f2"}  # kind of array → its type, in parts and in shards
GREATEST = 65504.0  # the greatest number that float16 holds
SCORE_KINDS = ("logit", "cosine")
EXAMPLES = 5  # faults of one kind that a message lists
_CHUNK = 1 << 16
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "a text"),
    "version": ((str, int, float), "a text"),
    "weights_sha256": (str, "a text"),
    "seed_policy": (str, "a text"),
    "decoders": (dict, "an object"),
    "notes": (list, "a list"),
}
"""Key of a description → its types, also in words."""
_REASON = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True)
class Description:
    """What a back end is, and what its numbers mean."""

    name: str
    version: str
    layout: Layout
    weights_sha256: str | None = None
    """Of the model or checkpoint; None where there is none."""
    score_kind: str | None = None
    """What the scores are: logit or cosine; None without labels."""
    seed_policy: str = ""
    decoders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Class → code (as text) → label."""
    notes: tuple[str, ...] = ()

    @property
    def has_labels(self) -> bool:
        return bool(self.layout.labels)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of arrays that the back end gives."""
        return tuple(TYPES) if self.has_labels else ("embs",)

    def to_json(self, decoders: bool = True) -> dict[str, Any]:
        """Return the description as in describe.json; without the decoders as in a manifest."""
        description: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "blocks": [list(part) for part in self.layout.embeddings],
            "labels": [list(part) for part in self.layout.labels],
            "score_kind": self.score_kind,
            "seed_policy": self.seed_policy,
            "notes": list(self.notes),
        }
        if decoders:
            description["decoders"] = {name: dict(codes) for name, codes in self.decoders.items()}
        return description

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the description in a JSON file. Raises InputError with all faults."""
        if not isinstance(value, Mapping):
            raise InputError(f"expected a JSON object, but found {json.dumps(value)[:80]}.")
        faults = [f"{key!r} is missing." for key in ("name", "version", "blocks") if not value.get(key)]
        faults += [
            f"{key}: {value[key]!r:.80} is not {words}."
            for key, (kind, words) in _KINDS.items()
            if value.get(key) is not None and not isinstance(value[key], kind)
        ]
        raise_faults("The description of the back end", faults)
        layout = Layout.from_json({"embeddings": value["blocks"], "labels": value.get("labels") or []})
        score_kind = value.get("score_kind")
        if layout.labels and score_kind not in SCORE_KINDS:
            faults.append(f"score_kind {score_kind!r} is not one of {', '.join(SCORE_KINDS)}.")
        decoders = value.get("decoders") or {}
        known = {name for name, _ in layout.labels}
        for name, codes in decoders.items():
            if name not in known:
                faults.append(f"decoders: {name!r} is no class of its labels ({', '.join(sorted(known)) or 'none'}).")
            elif not is_decoder(codes):
                faults.append(f'decoders: those of {name!r} must be {{"0": label, …}}.')
        raise_faults("The description of the back end", faults)
        return cls(
            name=str(value["name"]),
            version=str(value["version"]),
            layout=layout,
            weights_sha256=value.get("weights_sha256"),
            score_kind=score_kind,
            seed_policy=value.get("seed_policy") or "",
            decoders=decoders,
            notes=tuple(map(str, value.get("notes") or ())),
        )


def first_few(faults: Sequence[str]) -> list[str]:
    """Return the first of many faults, and how many more there are."""
    more = len(faults) - EXAMPLES
    return [*faults[:EXAMPLES], *([f"and {more:,} more."] if more > 0 else [])]


class Cell(NamedTuple):
    """Where a row comes from; the barcode of a plate cell is empty, several runs are joined by ``;``."""

    series: str = ""
    sample: str = ""
    experiment: str = ""
    run: str = ""
    species: str = ""
    barcode: str = ""


class Matrix(NamedTuple):
    """The matrix that was embedded: its path below the folder of results, its sha256 and its number of cells."""

    path: str
    sha256: str
    cells: int


def has_exponent_31(values: np.ndarray) -> bool:
    """Return whether a number of a float16 array is infinite or NaN, ten times as fast as numpy.isfinite."""
    return bool(values.size) and int((values.view("u2") & 0x7FFF).max()) >= 0x7C00


def to_half(values: np.ndarray, what: str, first: int = 0) -> np.ndarray:
    """Return numbers as float16. Raises InputError for NaN, infinity and what float16 cannot hold.

    ``first`` is the number of the first row, for the message; ``values`` is 2-D.
    """
    half = values.dtype == np.float16
    if half and not has_exponent_31(values):
        return values.astype("<f2", copy=False)
    bad = ~np.isfinite(values) if half else ~(np.abs(values) <= GREATEST)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        value = values[row, column]
        raise InputError(
            f"{what}: row {first + row}, column {column} is {value}; a number of an atlas is finite and not beyond"
            f" ±{GREATEST:g}, which is what float16 holds."
        )
    return values.astype("<f2", copy=False)


def to_codes(values: np.ndarray, what: str, first: int = 0) -> np.ndarray:
    """Return whole numbers as uint16. Raises InputError for what it cannot hold; -1 (unknown) is no code."""
    if values.dtype == np.uint16:
        return values.astype("<u2", copy=False)
    if values.dtype.kind not in "iu":
        raise InputError(f"{what}: labels are whole numbers (codes), but found {values.dtype}.")
    bad = (values < 0) | (values > 65535)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InputError(
            f"{what}: row {first + row}, column {column} is {values[row, column]}; a code is from 0 to 65535 (uint16)."
        )
    return values.astype("<u2")


class PartWriter:
    """Write what a back end computes in chunks of rows; ``rows`` is the number of cells of the matrix.

    Use it as a context manager: describe.json is written last, after all rows, so that a part without it is
    unfinished. ::

        with PartWriter(folder, description, rows=matrix.shape[0]) as part:
            part.append(embs, top3, scores)                           # a chunk of rows
            part.append(embs, top3, scores, reasons=["", "NO_COUNTS"])  # the second one is dropped
    """

    def __init__(self, folder: str | Path, description: Description, rows: int) -> None:
        self.folder = Path(folder)
        self.description = description
        self.rows = rows
        self.written = 0
        self._kept = np.zeros(rows, bool)
        self._dropped: list[tuple[int, str]] = []
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (DESCRIPTION, CELLS, MATRIX, *(f"{kind}.npy" for kind in TYPES)):
            (self.folder / name).unlink(missing_ok=True)
        for kind in self.description.kinds:
            shape = (self.rows, self.description.layout.width(kind))
            self._files[kind] = (self.folder / f"{kind}.npy").open("wb")
            header = {"descr": TYPES[kind], "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(self._files[kind], header)
        return self

    def append(
        self,
        embs: np.ndarray,
        top3: np.ndarray | None = None,
        scores: np.ndarray | None = None,
        reasons: Sequence[str] | None = None,
    ) -> None:
        """Append rows. ``reasons``: one per row, empty where the cell is kept; a dropped row is written as zeros."""
        given = {"embs": embs, "top3": top3, "scores": scores}
        rows = len(embs)
        for kind, values in given.items():
            if (values is None) != (kind not in self._files):
                raise ValueError(f"{kind}: given or not, against the description")
            expected = rows, self.description.layout.width(kind)
            if values is not None and values.shape != expected:
                raise ValueError(f"{kind}: {values.shape}, expected {expected}")
        if self.written + rows > self.rows or (reasons is not None and len(reasons) != rows):
            raise ValueError("more rows than the matrix has cells, or not a reason for each row")
        kept = np.ones(rows, bool) if reasons is None else np.array([not reason for reason in reasons], bool)
        for row, reason in enumerate(reasons or (), self.written):
            if reason and not _REASON.fullmatch(reason):
                raise ValueError(f"{reason!r} is no reason; one looks like NO_COUNTS")
            if reason:
                self._dropped.append((row, reason))
        for kind, values in given.items():
            if values is None:
                continue
            if not kept.all():
                values = np.where(kept[:, None], values, np.zeros((), values.dtype))
            convert = to_codes if kind == "top3" else to_half
            part = convert(values, f"{kind} of {self.description.name}", self.written)
            self._files[kind].write(np.ascontiguousarray(part).data)
        self._kept[self.written : self.written + rows] = kept
        self.written += rows

    def __exit__(self, kind: object, *error: object) -> None:
        for file in self._files.values():
            file.close()
        if kind is not None:
            return
        if self.written != self.rows:
            raise ValueError(f"{self.written} rows were written, but the matrix has {self.rows} cells")
        np.save(self.folder / KEPT, self._kept)
        write_table(self.folder / DROPPED, ("row", "reason"), self._dropped)
        write_json(self.folder / DESCRIPTION, self.description.to_json())


class EmbeddedPart:
    """A part in a folder; its arrays are memory maps. Raises InputError with every file that does not fit.

    ``complete``: cells.tsv and matrix.json are required too, as ``atlas_embed`` writes them.
    """

    def __init__(self, folder: str | Path, complete: bool = True) -> None:
        self.folder = Path(folder)
        self.title = f"The embedded part {self.folder}"
        if not (self.folder / DESCRIPTION).is_file():
            raise_faults(self.title, [f"{DESCRIPTION}: not there: this is no part, or its back end has failed."])
        self.description = Description.from_json(read_json(self.folder / DESCRIPTION))
        self.arrays: dict[str, np.ndarray] = {}
        faults = []
        for kind in self.description.kinds:
            self.arrays[kind], fault = _load(self.folder / f"{kind}.npy", TYPES[kind])
            width = self.description.layout.width(kind)
            if fault is None and self.arrays[kind].shape[1:] != (width,):
                fault = f"{kind}.npy: its shape is {self.arrays[kind].shape}, but the description has {width} columns."
            faults += [fault] if fault else []
        faults += [
            f"{kind}.npy: there, but the description has no labels."
            for kind in TYPES
            if kind not in self.description.kinds and (self.folder / f"{kind}.npy").exists()
        ]
        self.kept, fault = _load(self.folder / KEPT, "|b1")
        faults += [fault] if fault else []
        raise_faults(self.title, faults)
        rows = {KEPT: len(self.kept)} | {f"{kind}.npy": len(array) for kind, array in self.arrays.items()}
        self.matrix = self._read_matrix() if complete else None
        if self.matrix is not None:
            rows[MATRIX] = self.matrix.cells
        if len(set(rows.values())) > 1:
            each = ", ".join(f"{name} {number}" for name, number in rows.items())
            raise_faults(self.title, [f"its files have different numbers of rows: {each}."])
        self.rows: int = len(self.kept)
        self.dropped = self._read_dropped()
        missing = np.flatnonzero(~self.kept).tolist()
        if missing != sorted(self.dropped):
            raise_faults(
                self.title,
                [f"{KEPT} drops {len(missing)} rows, {DROPPED} {len(self.dropped)}; they are not the same rows."],
            )

    def _read_matrix(self) -> Matrix:
        if not (self.folder / MATRIX).is_file() or not (self.folder / CELLS).is_file():
            raise_faults(self.title, [f"{CELLS} and {MATRIX}: not there; atlas_embed writes them."])
        value = read_json(self.folder / MATRIX)
        if not isinstance(value, dict) or set(value) != set(Matrix._fields):
            raise_faults(self.title, [f"{MATRIX}: must have {', '.join(Matrix._fields)}."])
        if not isinstance(value["cells"], int) or not all(isinstance(value[key], str) for key in ("path", "sha256")):
            raise_faults(self.title, [f"{MATRIX}: path and sha256 must be text, cells a number."])
        return Matrix(**value)

    def _read_dropped(self) -> dict[int, str]:
        """Return row → reason."""
        dropped: dict[int, str] = {}
        for number, values in read_table(self.folder / DROPPED, ("row", "reason")):
            row, reason = values
            if not is_whole(row) or int(row) >= self.rows or int(row) in dropped or not _REASON.fullmatch(reason):
                raise_faults(self.title, [f"{DROPPED}, line {number}: {row!r} {reason!r} is no dropped row."])
            dropped[int(row)] = reason
        return dropped

    def cells(self) -> Iterator[Cell]:
        """Yield the cells of the matrix, in its order. Raises InputError where they are not as many as the rows."""
        count = 0
        for _, values in read_table(self.folder / CELLS, Cell._fields):
            count += 1
            yield Cell._make(values)
        if count != self.rows:
            raise_faults(self.title, [f"{CELLS}: {count} cells, but the arrays have {self.rows} rows."])

    def faults(self) -> Iterator[str]:
        """Read all arrays and yield a sentence for each fault of their numbers."""
        for kind, array in self.arrays.items():
            bad = [chunk for chunk in chunks(array) if kind != "top3" and has_exponent_31(chunk)]
            if bad:
                number = sum(int((~np.isfinite(chunk)).any(axis=1).sum()) for chunk in bad)
                yield f"{kind}.npy: {number} rows have a number that is not finite."
        for name, _ in self.description.layout.labels:
            codes = self.description.decoders.get(name)
            if not codes:
                continue
            columns = self.description.layout.label(name)
            known = np.zeros(65536, bool)
            known[[int(code) for code in codes]] = True
            unknown = sum(
                int((~known[chunk[:, columns]]).any(axis=1)[kept].sum())
                for chunk, kept in zip(chunks(self.arrays["top3"]), chunks(self.kept), strict=True)
            )
            if unknown:
                yield f"top3.npy: {unknown} rows have a label of {name} that its decoder does not know."
        for kind, array in self.arrays.items():
            # Every bit of a dropped row is 0.
            left = [row for row in sorted(self.dropped) if np.asarray(array[row]).view("<u2").any()]
            if left:
                rows = ", ".join(map(str, left[:EXAMPLES]))
                yield f"{kind}.npy: {len(left)} dropped rows are not zeros, e.g. {rows}."


def chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of an array in chunks."""
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]


def _load(path: Path, dtype: str) -> tuple[np.ndarray, str | None]:
    """Return a memory map of an array and None; or an empty array and the fault of the file."""
    nothing = np.zeros((0, 0) if dtype != "|b1" else 0, dtype)
    if not path.exists():
        return nothing, f"{path.name}: not there."
    try:
        array = map_npy(path)
    except (InputError, OSError, ValueError) as error:
        return nothing, f"{path.name}: cannot be read as an array: {str(error).rstrip('.')}."
    if array.dtype != np.dtype(dtype):
        return nothing, f"{path.name}: its numbers are {array.dtype}, expected {np.dtype(dtype)}."
    if not array.flags.c_contiguous:
        return nothing, f"{path.name}: it is in Fortran order; expected C order."
    if array.ndim != nothing.ndim:
        return nothing, f"{path.name}: its shape is {array.shape}; expected {nothing.ndim} dimension(s)."
    return array, None
