"""An embedded part: the vectors of one matrix's cells, as a back end leaves them for ``embed`` and ``pack``.

A back end writes ``describe.json``, ``embs.npy``, ``top3.npy`` and ``scores.npy`` where it gives labels, ``kept.npy``
and ``dropped.tsv``: every array has a row for every cell of the matrix, in its order. ``embed`` adds ``cells.tsv`` and
``matrix.json``. The page of this format is in docs/formats.md. Back ends run in environments of their own, so
that nothing but numpy is needed here.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from scripts.atlas.store.layout import Layout
from scripts.core.errors import InputError, raise_faults

if TYPE_CHECKING:
    import numpy

DESCRIPTION, KEPT, DROPPED, CELLS, MATRIX = "describe.json", "kept.npy", "dropped.tsv", "cells.tsv", "matrix.json"
ARRAYS = {"embs": "<f2", "top3": "<u2", "scores": "<f2"}
"""Kind of array → its type; each is in {kind}.npy."""
GREATEST = 65504.0
"""The greatest number that float16 holds."""
SCORE_KINDS = ("logit", "cosine")
TOLD = 5
"""Rows that are told one by one."""
_CHUNK = 1 << 16
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
        return tuple(ARRAYS) if self.has_labels else ("embs",)

    def to_json(self, decoders: bool = True) -> dict[str, Any]:
        """Return the description as in describe.json; without the decoders as in a manifest."""
        told: dict[str, Any] = {
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
            told["decoders"] = {name: dict(codes) for name, codes in self.decoders.items()}
        return told

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """Return the description that stands in a JSON file. Raises InputError, telling all faults."""
        if not isinstance(told, Mapping):
            raise InputError(f"expected a JSON object, but found {json.dumps(told)[:80]}.")
        faults = [f"{key!r} is missing." for key in ("name", "version", "blocks") if not told.get(key)]
        raise_faults("The description of the back end", faults)
        layout = Layout.from_json({"embeddings": told["blocks"], "labels": told.get("labels") or []})
        score_kind = told.get("score_kind")
        if layout.labels and score_kind not in SCORE_KINDS:
            faults.append(f"score_kind {score_kind!r} is not one of {', '.join(SCORE_KINDS)}.")
        decoders = told.get("decoders") or {}
        known = {name for name, _ in layout.labels}
        for name, codes in decoders.items():
            if name not in known:
                faults.append(f"decoders: {name!r} is no class of its labels ({', '.join(sorted(known)) or 'none'}).")
            elif not isinstance(codes, Mapping) or any(not code.isdecimal() for code in codes):
                faults.append(f'decoders: those of {name!r} must be {{"0": label, …}}.')
        raise_faults("The description of the back end", faults)
        return cls(
            name=str(told["name"]),
            version=str(told["version"]),
            layout=layout,
            weights_sha256=told.get("weights_sha256"),
            score_kind=score_kind,
            seed_policy=told.get("seed_policy") or "",
            decoders=decoders,
            notes=tuple(told.get("notes") or ()),
        )


class Cell(NamedTuple):
    """Where a row comes from; a plate cell has an empty barcode, several runs are joined by ``;``."""

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


def has_exponent_31(values: "numpy.ndarray") -> bool:
    """Whether a number of a float16 array is infinite or NaN; ten times as fast as numpy.isfinite tells it."""
    return bool(values.size) and int((values.view("u2") & 0x7FFF).max()) >= 0x7C00


def to_half(values: "numpy.ndarray", what: str, first: int = 0) -> "numpy.ndarray":
    """Return numbers as float16. Raises InputError for NaN, infinity and what float16 cannot hold.

    ``first`` is the number of the first row, for the message; ``values`` is 2-D.
    """
    import numpy as np

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


def to_codes(values: "numpy.ndarray", what: str, first: int = 0) -> "numpy.ndarray":
    """Return whole numbers as uint16. Raises InputError for what it cannot hold; -1 (unknown) is no code."""
    import numpy as np

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
    """Writes what a back end gives, rows after rows; ``rows`` is the number of cells of the matrix.

    Use it as a context manager: describe.json is written last, when all rows are there, so that a part without it is
    an unfinished one. ::

        with PartWriter(folder, description, rows=matrix.shape[0]) as part:
            part.append(embs, top3, scores)                           # a chunk of rows
            part.append(embs, top3, scores, reasons=["", "NO_COUNTS"])  # the second one is dropped
    """

    def __init__(self, folder: str | Path, description: Description, rows: int) -> None:
        self.folder = Path(folder)
        self.description = description
        self.rows = rows
        self.written = 0
        self._kept: list[bool] = []
        self._dropped: list[tuple[int, str]] = []
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from numpy.lib import format as npy

        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (DESCRIPTION, CELLS, MATRIX, *(f"{kind}.npy" for kind in ARRAYS)):
            (self.folder / name).unlink(missing_ok=True)
        with ExitStack() as stack:
            for kind in self.description.kinds:
                shape = (self.rows, self.description.layout.width(kind))
                handle = stack.enter_context((self.folder / f"{kind}.npy").open("wb"))
                npy.write_array_header_1_0(handle, {"descr": ARRAYS[kind], "fortran_order": False, "shape": shape})
                self._files[kind] = handle
            self._stack = stack.pop_all()
        return self

    def append(
        self,
        embs: "numpy.ndarray",
        top3: "numpy.ndarray | None" = None,
        scores: "numpy.ndarray | None" = None,
        reasons: Sequence[str] | None = None,
    ) -> None:
        """Append rows. ``reasons``: one per row, empty where the cell is kept; a dropped row is written as zeros."""
        import numpy as np

        given = {"embs": embs, "top3": top3, "scores": scores}
        rows = len(embs)
        for kind, values in given.items():
            if (values is None) != (kind not in self._files):
                raise ValueError(f"{kind}: given or not, against the description")
            if values is not None and values.shape != (rows, self.description.layout.width(kind)):
                raise ValueError(f"{kind}: {values.shape}, but {(rows, self.description.layout.width(kind))} is due")
        if self.written + rows > self.rows or (reasons is not None and len(reasons) != rows):
            raise ValueError("more rows than the matrix has cells, or not a reason for each row")
        kept = np.ones(rows, bool) if reasons is None else np.array([not reason for reason in reasons], bool)
        for place in np.flatnonzero(~kept).tolist():
            assert reasons is not None
            if not _REASON.fullmatch(reasons[place]):
                raise ValueError(f"{reasons[place]!r} is no reason; one looks like NO_COUNTS")
            self._dropped.append((self.written + place, reasons[place]))
        for kind, values in given.items():
            if values is None:
                continue
            if not kept.all():
                values = np.where(kept[:, None], values, np.zeros((), values.dtype))
            convert = to_codes if kind == "top3" else to_half
            part = convert(values, f"{kind} of {self.description.name}", self.written)
            self._files[kind].write(np.ascontiguousarray(part).data)
        self._kept.extend(kept.tolist())
        self.written += rows

    def __exit__(self, kind: object, *error: object) -> None:
        self._stack.close()
        if kind is None:
            self._finish()

    def _finish(self) -> None:
        import numpy as np

        if self.written != self.rows:
            raise ValueError(f"{self.written} rows were written, but the matrix has {self.rows} cells")
        np.save(self.folder / KEPT, np.array(self._kept, bool))
        write_table(self.folder / DROPPED, ("row", "reason"), self._dropped)
        text = json.dumps(self.description.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
        (self.folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8", newline="\n")


def write_cells(folder: str | Path, cells: Iterable[Cell]) -> None:
    """Write cells.tsv: a row for each cell of the matrix, in its order."""
    write_table(Path(folder) / CELLS, Cell._fields, cells)


def write_matrix(folder: str | Path, matrix: Matrix) -> None:
    """Write matrix.json."""
    text = json.dumps(matrix._asdict(), indent=1, sort_keys=True, ensure_ascii=False)
    (Path(folder) / MATRIX).write_text(text + "\n", encoding="utf-8", newline="\n")


class EmbeddedPart:
    """A part that is there: its arrays are memory maps. Raises InputError, telling every file that does not fit.

    ``complete``: cells.tsv and matrix.json must be there too, as ``embed`` leaves a part.
    """

    def __init__(self, folder: str | Path, complete: bool = True) -> None:
        import numpy as np

        self.folder = Path(folder)
        self.title = f"The embedded part {self.folder}"
        if not (self.folder / DESCRIPTION).is_file():
            raise_faults(self.title, [f"{DESCRIPTION}: not there, so that it is no part, or its back end has failed."])
        self.description = Description.from_json(_read_json(self.folder / DESCRIPTION))
        self.arrays: dict[str, numpy.ndarray] = {}
        faults = []
        for kind in self.description.kinds:
            array, fault = _load(self.folder / f"{kind}.npy", ARRAYS[kind])
            if fault is None and (array.ndim != 2 or array.shape[1] != self.description.layout.width(kind)):
                width = self.description.layout.width(kind)
                fault = f"{kind}.npy: its shape is {array.shape}, but the description has {width} columns."
            if fault is not None:
                faults.append(fault)
            self.arrays[kind] = array
        if not self.description.has_labels:
            faults += [
                f"{kind}.npy: there, but the description has no labels."
                for kind in ("top3", "scores")
                if (self.folder / f"{kind}.npy").exists()
            ]
        self.kept, fault = _load(self.folder / KEPT, "|b1")
        faults += [fault] if fault else []
        raise_faults(self.title, faults)
        counts = {KEPT: len(self.kept)} | {f"{kind}.npy": len(array) for kind, array in self.arrays.items()}
        self.matrix: Matrix | None = None
        if complete:
            if not (self.folder / MATRIX).is_file() or not (self.folder / CELLS).is_file():
                raise_faults(self.title, [f"{CELLS} and {MATRIX}: not there; 'atlas embed' writes them."])
            told = _read_json(self.folder / MATRIX)
            if not isinstance(told, dict) or set(told) != set(Matrix._fields):
                raise_faults(self.title, [f"{MATRIX}: must have {', '.join(Matrix._fields)}."])
            self.matrix = Matrix(**told)
            counts[MATRIX] = self.matrix.cells
        if len(set(counts.values())) > 1:
            told_counts = ", ".join(f"{name} {rows}" for name, rows in counts.items())
            raise_faults(self.title, [f"its files have different numbers of rows: {told_counts}."])
        self.rows: int = len(self.kept)
        self.dropped = self._read_dropped()
        missing = np.flatnonzero(~self.kept).tolist()
        if missing != sorted(self.dropped):
            raise_faults(
                self.title,
                [f"{KEPT} drops {len(missing)} rows, {DROPPED} {len(self.dropped)}; they are not the same rows."],
            )

    @property
    def embs(self) -> "numpy.ndarray":
        """float16 [rows, columns]"""
        return self.arrays["embs"]

    @property
    def top3(self) -> "numpy.ndarray | None":
        """uint16 [rows, labels]; None where the back end gives no labels."""
        return self.arrays.get("top3")

    @property
    def scores(self) -> "numpy.ndarray | None":
        """float16 [rows, labels]; None where the back end gives no labels."""
        return self.arrays.get("scores")

    def _read_dropped(self) -> dict[int, str]:
        """Return row → reason."""
        dropped: dict[int, str] = {}
        for number, values in read_table(self.folder / DROPPED, ("row", "reason")):
            row, reason = values
            if not row.isdecimal() or int(row) >= self.rows or int(row) in dropped or not _REASON.fullmatch(reason):
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
        """Read all arrays and yield a sentence for each thing that is wrong with their numbers."""
        import numpy as np

        for kind in ("embs", "scores"):
            if (array := self.arrays.get(kind)) is None:
                continue
            bad = sum(
                int(((chunk.view("<u2") & 0x7C00) == 0x7C00).any(axis=1).sum()) for chunk in _chunks(array)
            )  # the exponent of infinity and NaN
            if bad:
                yield f"{kind}.npy: {bad} rows have a number that is not finite."
        if self.top3 is not None:
            start = 0
            for name, width in self.description.layout.labels:
                codes = self.description.decoders.get(name)
                if codes:
                    known = np.zeros(65536, bool)
                    known[[int(code) for code in codes]] = True
                    unknown = sum(
                        int((~known[chunk[:, start : start + width]]).any(axis=1)[kept].sum())
                        for chunk, kept in zip(_chunks(self.top3), _chunks(self.kept), strict=True)
                    )
                    if unknown:
                        yield f"top3.npy: {unknown} rows have a label of {name} that its decoder does not know."
                start += width
        for kind, array in self.arrays.items():
            left = [
                row for row in sorted(self.dropped) if np.asarray(array[row]).view("<u2").any()
            ]  # every bit of a dropped row is 0
            if left:
                rows = ", ".join(map(str, left[:TOLD]))
                yield f"{kind}.npy: {len(left)} dropped rows are not zeros, e.g. {rows}."


def _chunks(array: "numpy.ndarray") -> "Iterator[numpy.ndarray]":
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]


def _load(path: Path, dtype: str) -> "tuple[Any, str | None]":
    """Return a memory map of an array and None; or an empty array and what is wrong with the file."""
    import numpy as np

    nothing = np.zeros((0, 0) if dtype != "|b1" else 0, dtype)
    try:
        array = np.load(path, mmap_mode=None if path.name == KEPT else "r")
    except FileNotFoundError:
        return nothing, f"{path.name}: not there."
    except (OSError, ValueError, EOFError) as error:
        return nothing, f"{path.name}: cannot be read as an array: {error}."
    if array.dtype != np.dtype(dtype):
        return nothing, f"{path.name}: its numbers are {array.dtype}, expected {np.dtype(dtype)}."
    if not array.flags.c_contiguous:
        return nothing, f"{path.name}: its columns, not its rows, lie together (Fortran order); expected C order."
    return array, None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}.") from error


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated table; white space in values is reduced to single blanks."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write("\t".join(header) + "\n")
        for row in rows:
            handle.write("\t".join(" ".join(str(value).split()) for value in row) + "\n")


def read_table(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the values of each row of a table. Raises InputError for another header."""
    try:
        handle = path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    with handle:
        lines = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if next(lines, None) != list(header):
            raise InputError(f"{path}: its first line must be {' '.join(header)!r}, separated by tabs.")
        for values in lines:
            if len(values) != len(header):
                raise InputError(f"{path}, line {lines.line_num}: {len(values)} values, expected {len(header)}.")
            yield lines.line_num, values
