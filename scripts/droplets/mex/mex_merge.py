"""Join the same matrix of several libraries, entry by entry: values keep their text, junctions are united."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from scripts.core.errors import InputError
from scripts.droplets.mex.mex_reader import SJ_COLUMNS, MexParts
from scripts.formats.matrix_market import BLOCK, FormatError, Shape, append_columns, head_bytes

_KEY = 4  # columns that tell junctions apart: contig, start, end, strand
_DIGITS = 15  # of a number, at most
Features = list[tuple[str, ...]]


def join_features(parts: Sequence[MexParts]) -> tuple[Features, list[np.ndarray | None]]:
    """Return the features of a merged archive and, for each part, the new index of its features (None: the same).

    Raises InputError where the parts are not of one kind of matrix or, but for junctions, have other features.
    """
    first = parts[0]
    for part in parts[1:]:
        kinds = [(one.folder, one.matrix_name, one.metadata.get("output_type")) for one in (part, first)]
        has_others = part.features != first.features and not part.is_of_junctions
        if kinds[0] != kinds[1] or has_others:
            what = "kind of matrix" if kinds[0] != kinds[1] else "features"
            raise InputError(f"{part.name}: it does not have the {what} of {first.name}; such are not merged.")
    if not first.is_of_junctions:
        return first.features, [None] * len(parts)
    return unite_junctions(parts)


def unite_junctions(parts: Sequence[MexParts]) -> tuple[Features, list[np.ndarray | None]]:
    """Return every junction of some archives once, in the order of the genome, and where those of each part are.

    Reads of a junction are added up, its overhang is the longest, and it is annotated where it is so in any. Raises
    InputError for what is no table of junctions, and where they are of different genomes.
    """
    united: dict[tuple[str, ...], list[int]] = {}
    contigs: list[str] = []
    for part in parts:
        _add_contigs(contigs, [row[0] for row in part.features])
        keys = {row[:_KEY] for row in part.features}
        if len(keys) < len(part.features):
            raise InputError(f"{part.name}: features.tsv has a junction twice.")
        for row in part.features:
            if len(row) != len(SJ_COLUMNS) or not all(map(_is_number, row[1:])):
                raise InputError(f"{part.name}: not a junction as STAR writes it: {' '.join(row)[:80]!r}.")
            numbers = [int(value) for value in row[_KEY:]]
            known = united.setdefault(row[:_KEY], numbers)
            if known is numbers:
                continue
            if known[0] != numbers[0]:
                where = ":".join(row[:_KEY])
                raise InputError(f"{part.name}: the motif of junction {where} differs; it is of another genome.")
            known[1:] = [
                max(known[1], numbers[1]),
                known[2] + numbers[2],
                known[3] + numbers[3],
                max(known[4], numbers[4]),
            ]
    ranks = {contig: rank for rank, contig in enumerate(contigs)}
    ordered = sorted(united, key=lambda key: (ranks[key[0]], *map(int, key[1:])))
    index = {key: number for number, key in enumerate(ordered)}
    features = [(*key, *map(str, united[key])) for key in ordered]
    return features, [np.array([index[row[:_KEY]] for row in part.features], np.int64) for part in parts]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _add_contigs(contigs: list[str], of_rows: Sequence[str]) -> None:
    """Add contigs of a table behind those before which they are in it."""
    position = 0
    for contig in dict.fromkeys(of_rows):
        if contig in contigs:
            position = contigs.index(contig) + 1
        else:
            contigs.insert(position, contig)
            position += 1


def join_matrices(parts: Sequence[MexParts], rows: Sequence[np.ndarray | None], features: int, target: Path) -> None:
    """Write the matrix of all barcodes of some archives; ``rows`` as :func:`join_features` gives them.

    Memory holds a piece of a matrix. Raises InputError, naming the archive, for what is no matrix.
    """
    body = target.with_name(f"{target.name}.body")
    columns = entries = 0
    kinds = set()
    with body.open("w+b") as writer:
        for part, new_rows in zip(parts, rows, strict=True):
            shape = len(part.features), part.barcodes.size
            try:
                with part.matrix.open("rb") as handle:
                    pieces = iter(partial(handle.read, BLOCK), b"")
                    size = part.matrix.stat().st_size
                    head = append_columns(pieces, size, shape, writer, columns, new_rows)
            except FormatError as error:
                raise InputError(f"{part.name}: {part.matrix_name}: {error}.") from error
            part.matrix.unlink()
            columns += shape[1]
            entries += head.entries
            kinds.add(head.kind)
        writer.seek(0)
        with target.open("wb") as merged:
            kind = "real" if "real" in kinds else "integer"
            merged.write(head_bytes(Shape(kind, features, columns, entries, (b"%",))))
            shutil.copyfileobj(writer, merged, BLOCK)
    body.unlink()
