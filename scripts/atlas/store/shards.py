"""An atlas of cells: a folder of shards with a file each for embeddings, labels and scores.

The files are those of the public atlas, ``step_{step}_{name}_predict_part_{part}_{gpu}_{kind}.npz``; manifest, map and
decoders are read where they exist. :class:`Atlas` reads, :class:`ShardWriter` writes. The format is described in
docs/formats.md.
"""

import bisect
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from scripts.atlas.store.decoders import read_decoders
from scripts.atlas.store.layout import PUBLIC, Layout, read_layout, standard_name
from scripts.atlas.store.manifest import read_manifest
from scripts.atlas.store.npz import FORTRAN, ArrayFile, NpzWriter
from scripts.atlas.store.part import TYPES, has_exponent_31, to_codes, to_half
from scripts.core.errors import InputError, raise_faults, try_all

MANIFEST, SEGMENTS, DROPPED, DECODERS = "manifest.json", "segments.tsv", "dropped.tsv", "label_decoders.json"
MODEL = "model.npz"
LABEL_KINDS = ("top3", "scores")
BARCODES = "barcodes"
ROWS = 1 << 16  # rows of a chunk, unless another number is given
_NAME = re.compile(
    r"(?P<shard>step_(?P<step>[0-9]+)_(?P<name>.*)_predict_part_(?P<part>[0-9]+)_(?P<gpu>[0-9]+))"
    r"_(?P<kind>embs|top3|scores|barcodes)\.npz(?:\.npy)?"
)
_LIKE = re.compile(r"step_.*\.(npz|npy)")
_OWN_NAMES = {"scprint2": ""}  # the public files name no model


class ShardNumbers(NamedTuple):
    """The numbers in a shard's name; shards are sorted by them, so that part 10 comes after part 9."""

    step: int
    part: int
    gpu: int
    name: str


def shard_name(backend: str, part: int, gpu: int = 0, step: int = 0) -> str:
    """Return the name of a shard: ``step_0_svdbaseline_predict_part_3_0``; scprint2 has no name between."""
    name = _OWN_NAMES.get(backend, re.sub(r"[^A-Za-z0-9]", "", backend))
    return f"step_{step}_{name}_predict_part_{part}_{gpu}"


def shard_numbers(name: str) -> ShardNumbers | None:
    """Return the numbers in the name of a shard; None where it is none."""
    found = _NAME.fullmatch(f"{name}_embs.npz")
    if found is None:
        return None
    return ShardNumbers(int(found["step"]), int(found["part"]), int(found["gpu"]), found["name"])


class Shard(NamedTuple):
    """A shard: its files, and the position of its rows in the atlas."""

    name: str
    rows: int
    first: int
    """The global row of its first row."""
    files: Mapping[str, ArrayFile]
    """embs, top3, scores, barcodes → its file, those that exist."""


class Atlas:
    """An atlas in a folder: one that this workflow packed, or one with only shards, as the public one.

    ``layout``: which columns are what; by default that of the manifest, else that of the public atlas, checked against
    the files. Raises InputError with every fault of the folder: names, missing files, types, widths, numbers of rows.
    Given a list of ``faults``, adds them there instead, and goes on with the files that are correct. Only heads of
    files are read; ``atlas_check`` reads all.
    """

    def __init__(self, path: str | Path, layout: Layout | None = None, faults: list[str] | None = None) -> None:
        self.path = Path(path)
        self.title = f"The atlas {self.path}"
        if not self.path.is_dir():
            raise_faults(self.title, ["not a folder; give the folder that has its shards (…_embs.npz)."])
        path = self.path / MANIFEST
        self.manifest: dict[str, Any] | None = read_manifest(path) if path.is_file() else None
        decoders = self.path / DECODERS
        self.decoders = read_decoders(decoders) if decoders.is_file() else {}
        own = (self.manifest or {}).get("layout")
        self.layout: Layout = layout or (Layout.from_json(own) if own is not None else PUBLIC)
        self.has_labels: bool = (self.manifest or {}).get("has_labels", True)
        if not self.has_labels:
            self.layout = Layout(self.layout.embeddings)
        found: list[str] = []
        names = self._find_files(found)
        self.shards = self._open_shards(names, found)
        self._by_name = {shard.name: shard for shard in self.shards}
        self.rows_total = sum(shard.rows for shard in self.shards)
        """Rows of all shards."""
        if self.manifest is not None:
            listed = [shard["name"] for shard in self.manifest["shards"]]
            found += [f"{name}: in {MANIFEST}, but none of its files exists." for name in listed if name not in names]
            found += [f"{name}: not in {MANIFEST}." for name in names if name not in listed]
        elif not names:
            found.append("no shard in it (step_…_predict_part_…_embs.npz).")
        if faults is None:
            raise_faults(self.title, found)
        else:
            faults += found

    @property
    def backend(self) -> dict[str, Any]:
        """What the manifest says of the back end; empty without a manifest."""
        return (self.manifest or {}).get("backend", {})

    def _find_files(self, faults: list[str]) -> dict[str, dict[str, Path]]:
        """Return shard → kind → path; doubled and strange names are faults."""
        names: dict[str, dict[str, Path]] = {}
        for file in sorted(path.name for path in self.path.iterdir()):
            found = _NAME.fullmatch(file)
            if found is None:
                if _LIKE.fullmatch(file):
                    faults.append(
                        f"{file}: no name of an atlas; expected step_<run>__predict_part_<subset>_<gpu>_, then"
                        " embs.npz, top3.npz or scores.npz."
                    )
                continue
            kinds = names.setdefault(found["shard"], {})
            if found["kind"] in kinds:
                faults.append(f"{file}: the same array is in {kinds[found['kind']].name} too; keep one of them.")
            kinds[found["kind"]] = self.path / file
        numbers = Counter(shard_numbers(name) for name in names)
        twice = (name for name in names if numbers[shard_numbers(name)] > 1)
        faults += [f"{name}: another shard has the same numbers in its name." for name in twice]
        return names

    def _open_shards(self, names: Mapping[str, Mapping[str, Path]], faults: list[str]) -> list[Shard]:
        """Open the files of all shards, sorted by their numbers."""
        shards: list[Shard] = []
        first = 0
        for name, paths in sorted(names.items(), key=lambda item: shard_numbers(item[0]) or ()):
            shards.append(self._open_shard(name, paths, first, faults))
            first += shards[-1].rows
        for kind in TYPES:
            widths: defaultdict[int, list[str]] = defaultdict(list)
            for file in (shard.files[kind] for shard in shards if kind in shard.files):
                widths[file.shape[1]].append(file.path.name)
            widths.pop(self.layout.width(kind), None)
            faults += [self._width_fault(kind, width, files) for width, files in widths.items()]
        return shards

    def _open_shard(self, name: str, paths: Mapping[str, Path], first: int, faults: list[str]) -> Shard:
        files: dict[str, ArrayFile] = {}
        rows: dict[str, int] = {}
        kinds = TYPES if self.has_labels else ("embs",)
        for kind in kinds:
            if kind not in paths:
                faults.append(f"{name}_{kind}.npz: not there; a shard has {', '.join(kinds)}.")
        for kind, path in sorted(paths.items()):
            if kind in LABEL_KINDS and not self.has_labels:
                faults.append(f"{path.name}: there, but {MANIFEST} says that this atlas has no labels.")
                continue
            try:
                file = ArrayFile(path)
            except InputError as error:
                faults.append(str(error))
                continue
            rows[kind] = file.rows
            fault = self._shape_fault(kind, file)
            if fault:
                faults.append(f"{path.name}: {fault}")
                continue
            files[kind] = file
        if len(set(rows.values())) > 1:
            each = ", ".join(f"{kind} {count}" for kind, count in rows.items())
            faults.append(f"{name}: its files have different numbers of rows: {each}.")
        return Shard(name, rows.get("embs", max(rows.values(), default=0)), first, files)

    def _shape_fault(self, kind: str, file: ArrayFile) -> str | None:
        if kind == BARCODES:
            if len(file.shape) != 1 or file.dtype.kind != "S":
                return f"its array is {file.dtype} {file.shape}; barcodes are text of a fixed width, one per row."
            return None
        if file.dtype.str != TYPES[kind]:
            names = {"<f2": "float16", "<u2": "uint16"}
            order = " (big-endian)" if file.dtype.str.startswith(">") else ""
            return f"its numbers are {file.dtype.name}{order}; those of {kind} are {names[TYPES[kind]]}."
        if len(file.shape) != 2:
            return f"its shape is {file.shape}; expected rows and columns."
        return FORTRAN if file.fortran else None

    def _width_fault(self, kind: str, width: int, files: Sequence[str]) -> str:
        name = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        expected = self.layout.width(kind)
        fault = f"{name}: {width} columns, but the layout has {expected}"
        if self.layout is PUBLIC and kind in LABEL_KINDS:
            fault += " (that of the public atlas)"
            near = []
            for missing in (part for part in PUBLIC.labels if PUBLIC.label_width - part[1] == width):
                labels = ",".join(f"{name}:{best}" for name, best in PUBLIC.labels if name != missing[0])
                near.append(f"without {missing[0]}: --layout 'labels={labels}'")
            if near:
                return f"{fault}; say which class is not there. {'; or '.join(near)}."
        part = "embeddings=name:columns,…" if kind == "embs" else "labels=name:labels,…"
        return f"{fault}; say which columns they are: --layout '{part}'."

    def scan(
        self, block: str | None = None, size: int = ROWS, kind: str = "embs", start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield rows in chunks of at most ``size``, a chunk within one shard: ``array[rows, columns of the block]``.

        ``kind``: embs (float16), top3 (uint16) or scores (float16); ``block``: a block of embeddings or a class of
        labels, None for all columns; ``start`` and ``stop`` are global rows. The next chunk overwrites the buffer of a
        chunk. The CRC of stored files is left to ``atlas_check``. Raises InputError for a row that is not finite.
        """
        columns = self.columns(kind, block)
        stop = self.rows_total if stop is None else min(stop, self.rows_total)
        for shard in self.shards:
            first, last = max(start - shard.first, 0), min(stop - shard.first, shard.rows)
            if first < last:
                row = shard.first + first
                for chunk in shard.files[kind].scan(size, first, last):
                    if kind != "top3" and has_exponent_31(chunk):
                        bad = row + int(np.argmax(~np.isfinite(chunk).all(axis=1)))
                        raise InputError(
                            f"{self.path}: row {bad} of its {kind} is not finite; 'python -m scripts atlas_check' finds"
                            " all such rows."
                        )
                    yield chunk[:, columns]
                    row += len(chunk)

    def columns(self, kind: str, block: str | None) -> slice:
        """Return the columns of a block or class in files of a kind. Raises InputError where it does not exist."""
        if kind not in TYPES:
            raise ValueError(f"{kind!r} is none of {', '.join(TYPES)}")
        if kind in LABEL_KINDS and not self.has_labels:
            raise InputError(f"{self.title} has no labels: its back end gives none.")
        return self.layout.columns(kind, block)

    def select(self, block: str | None, rows: "Iterable[int]", kind: str = "embs") -> np.ndarray:
        """Return some rows (global numbers, in the order given) of a block, as a new array.

        Raises InputError for rows that do not exist.
        """
        wanted = np.fromiter(rows, np.int64)
        columns = self.columns(kind, block)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.rows_total:
            bad = wanted[(wanted < 0) | (wanted >= self.rows_total)][0]
            raise InputError(f"{self.title}: no row {bad}; its rows are 0 to {self.rows_total - 1}.")
        found = np.empty((wanted.size, columns.stop - columns.start), TYPES[kind])
        order = np.argsort(wanted, kind="stable")
        for shard in self.shards:
            begin, end = np.searchsorted(wanted[order], [shard.first, shard.first + shard.rows])
            if begin == end:
                continue
            index, local = order[begin:end], wanted[order[begin:end]] - shard.first
            self._select_here(shard.files[kind], local, columns, found, index)
        return found

    def _select_here(
        self, file: ArrayFile, local: np.ndarray, columns: slice, found: np.ndarray, index: np.ndarray
    ) -> None:
        """Copy ascending rows of a file to ``found[index]``; of a deflated file memory holds a chunk."""
        if file.kind != "deflated":
            found[index] = file.map()[local, columns]
            return
        for first, chunk in zip(range(0, file.rows, ROWS), file.scan(ROWS), strict=True):
            begin, end = np.searchsorted(local, [first, first + len(chunk)])
            found[index[begin:end]] = chunk[local[begin:end] - first, columns]

    def shard_of(self, row: int) -> tuple[Shard, int]:
        """Return the shard of a global row and the row in it. Raises InputError where there is none."""
        if not 0 <= row < self.rows_total:
            raise InputError(f"{self.title}: no row {row}; its rows are 0 to {self.rows_total - 1}.")
        shard = self.shards[bisect.bisect_right(self.shards, row, key=lambda shard: shard.first) - 1]
        return shard, row - shard.first

    def global_row(self, shard: str, row: int) -> int:
        """Return the global row of a shard's row. Raises InputError where there is none."""
        found = self.shard(shard)
        if not 0 <= row < found.rows:
            raise InputError(f"{shard}: no row {row}; its rows are 0 to {found.rows - 1}.")
        return found.first + row

    def shard(self, name: str) -> Shard:
        """Return the shard of this name. Raises InputError where there is none."""
        if name not in self._by_name:
            raise InputError(f"{self.title}: no shard {name!r}.")
        return self._by_name[name]

    def label_text(self, name: str, code: int) -> str:
        """Return the label of a code, or the code itself where no decoder knows it."""
        return self.decoders.get(standard_name(name), {}).get(str(code), str(code))

    def decoder_notes(self) -> Iterator[str]:
        """Yield a sentence for the classes whose labels can only be shown as codes."""
        bare = [name for name, _ in self.layout.labels if not self.decoders.get(name)]
        if bare:
            yield (
                f"{self.path}: labels of {', '.join(bare)} are shown as codes: {DECODERS}"
                f" {'does not have them' if self.decoders else 'is not there'}, and without it the codes mean nothing."
            )

    def gap_notes(self) -> Iterator[str]:
        """Yield a sentence for parts that are missing though later ones exist."""
        parts: defaultdict[tuple[int, str, int], set[int]] = defaultdict(set)
        gpus: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
        for step, part, gpu, name in filter(None, (shard_numbers(shard.name) for shard in self.shards)):
            parts[step, name, gpu].add(part)
            gpus[step, name].add(gpu)
        for (step, name), ranks in sorted(gpus.items()):
            if missing := _gaps(ranks):
                yield f"step_{step}_{name}: no shard of GPU {missing}, though there are some of GPU {max(ranks)}."
        for (step, name, gpu), numbers in sorted(parts.items()):
            if missing := _gaps(numbers):
                yield f"step_{step}_{name}, GPU {gpu}: no part {missing}, though there is a part {max(numbers)}."


def _gaps(numbers: set[int]) -> str:
    """Return the missing numbers from 0 to the greatest, as text: ``3, 7-9``."""
    gaps = []
    before = -1
    for number in sorted(numbers):
        if number == before + 2:
            gaps.append(str(before + 1))
        elif number > before + 2:
            gaps.append(f"{before + 1}-{number - 1}")
        before = number
    return ", ".join(gaps)


def open_atlases(paths: Sequence[str | Path], layout: str | None = None, decoders: str | None = None) -> list[Atlas]:
    """Open several atlases. Raises InputError with the faults of all of them.

    ``layout`` is the option --layout, ``decoders`` the label decoders for atlases without any.
    """
    given = read_layout(layout) if layout else None
    atlases = try_all(lambda path: Atlas(path, given), paths)
    names = read_decoders(decoders) if decoders else {}
    for atlas in atlases:
        atlas.decoders = atlas.decoders or names
    return atlases


class ShardWriter:
    """Write the files of a shard in chunks of rows, in bounded memory; they appear when all are complete.

    ``rows`` is the final number of rows; ``barcodes`` the width of the longest one, None for no file of barcodes.
    Raises InputError for numbers that an atlas cannot hold (NaN, infinity, beyond ±65504, codes beyond 65535). ::

        with ShardWriter(folder, shard_name("svd-baseline", 0), layout, rows, barcodes=16) as shard:
            shard.append(embs, barcodes=barcodes)
    """

    def __init__(self, folder: str | Path, name: str, layout: Layout, rows: int, barcodes: int | None = None) -> None:
        if shard_numbers(name) is None:
            raise ValueError(f"{name!r} is no name of a shard")
        self.folder = Path(folder)
        self.name = name
        self.written = 0
        kinds = TYPES if layout.labels else ("embs",)
        self._writers = {
            kind: NpzWriter(self.folder / f"{name}_{kind}.npz", TYPES[kind], (rows, layout.width(kind)))
            for kind in kinds
        }
        if barcodes is not None:
            path = self.folder / f"{name}_{BARCODES}.npz"
            self._writers[BARCODES] = NpzWriter(path, f"S{max(1, barcodes)}", (rows,))
        self._stack = ExitStack()

    @property
    def barcode_type(self) -> str:
        """The type of an array of barcodes, such as S16."""
        return f"S{self._writers[BARCODES].dtype.itemsize}"

    @property
    def paths(self) -> dict[str, Path]:
        """Kind → file."""
        return {kind: writer.path for kind, writer in self._writers.items()}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def append(
        self,
        embs: np.ndarray,
        top3: np.ndarray | None = None,
        scores: np.ndarray | None = None,
        barcodes: np.ndarray | None = None,
    ) -> None:
        """Append rows; ``barcodes`` is an array of bytes, empty where a row has none."""
        given = {"embs": embs, "top3": top3, "scores": scores, BARCODES: barcodes}
        for kind, values in given.items():
            if (values is None) != (kind not in self._writers):
                raise ValueError(f"{kind}: given or not, against the layout of {self.name}")
            if values is not None and len(values) != len(embs):
                raise ValueError(f"{kind}: {len(values)} rows, but {len(embs)} embeddings")
        for kind, values in given.items():
            if values is None:
                continue
            writer = self._writers[kind]
            if kind == BARCODES:
                if values.dtype.itemsize > writer.dtype.itemsize:
                    raise ValueError(f"{self.name}: barcodes are longer than {writer.dtype.itemsize}")
                writer.append(values.astype(writer.dtype, copy=False))
                continue
            convert = to_codes if kind == "top3" else to_half
            step = max(1, (1 << 19) // max(1, values.shape[1] * 2))  # checked and written while in the cache
            for start in range(0, len(values), step):
                rows = convert(values[start : start + step], f"{self.name}_{kind}", self.written + start)
                writer.append(rows)
        self.written += len(embs)

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
