"""Find the rows of an atlas that are nearest to given rows or vectors, exactly.

Every row is compared, in bounded memory; a query row is its own nearest one. Equally near rows come in the order of the
atlas. Prints a table: query, rank, cosine similarity or Euclidean distance, the row, its cell where the atlas has a
map, and the first label of the classes of --labels.
"""

import sys
from collections.abc import Sequence

import numpy as np

from scripts.atlas.nearest import METRICS, nearest_rows
from scripts.atlas.options import add_layout_option
from scripts.atlas.store.files import is_whole
from scripts.atlas.store.npz import ArrayFile
from scripts.atlas.store.row_map import AtlasMap, Row, has_map
from scripts.atlas.store.shards import SEGMENTS, Atlas, open_atlases
from scripts.core.command import command_parser
from scripts.core.errors import InputError, try_all

MOST_VECTORS = 1 << 26
"""Bytes of vectors that are read."""
VALUES = {"cosine": "similarity", "euclidean": "distance"}


def rows_like(atlas: Atlas, row_map: AtlasMap | None, texts: Sequence[str]) -> list[int]:
    """Return the global rows of ``shard:row`` or cells. Raises InputError with all that do not exist."""

    def row_like(text: str) -> int:
        shard, colon, row = text.rpartition(":")
        if colon and is_whole(row):
            return atlas.global_row(shard, int(row))
        if row_map is not None:
            return row_map.row_of(text).global_row
        raise InputError(f"{text}: {atlas.path} has no {SEGMENTS}, so that a row can only be named SHARD:ROW.")

    return try_all(row_like, texts)


def read_vectors(path: str) -> np.ndarray:
    """Return the vectors of an npy file: one, or a row each."""
    try:
        file = ArrayFile(path)
    except InputError as error:
        raise InputError(f"--vectors {path}: cannot be read as an npy file: {error}") from error
    if file.dtype.kind not in "fiu" or len(file.shape) not in (1, 2):
        raise InputError(f"--vectors {path}: expected an npy file of numbers, one vector or a row each.")
    if file.rows * file.row_bytes > MOST_VECTORS:
        raise InputError(f"--vectors {path}: more than {MOST_VECTORS:,} bytes; give fewer vectors at a time.")
    return np.atleast_2d(file.read())


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlas", help="the folder of the atlas")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--like", nargs="+", metavar="CELL", help="rows: SHARD:ROW, a plate cell, or EXPERIMENT_BARCODE")
    asked.add_argument("--vectors", metavar="FILE", help="an npy file: one vector, or a row each")
    parser.add_argument("--block", default="other", help="of the embeddings, or 'all'")
    parser.add_argument("--k", type=int, default=10, help="rows for each")
    parser.add_argument("--metric", choices=METRICS, default="cosine", help="similarity or distance")
    parser.add_argument(
        "--labels", nargs="+", default=[], metavar="CLASS", help="show the first label of these classes"
    )
    add_layout_option(parser)
    options = parser.parse_args(argv)
    if options.k < 1:
        parser.error("--k: a number from 1")
    (atlas,) = open_atlases([options.atlas], options.layout)
    row_map = AtlasMap(atlas) if has_map(atlas) else None
    block = None if options.block == "all" else options.block
    for name in options.labels:
        atlas.columns("top3", name)
    if options.like:
        names = options.like
        vectors = atlas.select(block, rows_like(atlas, row_map, names)).astype(np.float64)
    else:
        vectors = read_vectors(options.vectors)
        names = [str(number) for number in range(len(vectors))]
    found, zeros = nearest_rows(atlas, block, vectors, options.k, options.metric)
    columns = Row._fields if row_map is not None else Row._fields[:3]
    print("\t".join(["query", "rank", VALUES[options.metric], *columns, *options.labels]))
    for name, nearest in zip(names, found, strict=True):
        labels = [atlas.select(each, nearest.rows.tolist(), "top3")[:, 0].tolist() for each in options.labels]
        for rank, (row, value) in enumerate(zip(nearest.rows.tolist(), nearest.values.tolist(), strict=True), 1):
            shard, local = atlas.shard_of(row)
            cell = (shard.name, local, row) if row_map is None else row_map.cell_at(row)
            shown = [atlas.label_text(of, codes[rank - 1]) for of, codes in zip(options.labels, labels, strict=True)]
            print("\t".join(map(str, [name, rank, f"{value:.9g}", *cell, *shown])))
    if zeros and options.metric == "cosine":
        print(f"{zeros:,} rows are all zeros in {options.block}: their cosine is taken as 0.", file=sys.stderr)
    if options.labels:
        for note in atlas.decoder_notes():
            print(note, file=sys.stderr)
