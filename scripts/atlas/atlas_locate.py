"""Find the cell of a row of an atlas, or the rows of a run, an experiment or a cell.

Prints a table: shard, row in it, row among those of the whole atlas, series, sample, experiment, run, species and
barcode (empty for plate cells). Cells that were dropped have no row; they are listed, with the reason, on stderr.
"""

import sys
from collections.abc import Sequence
from functools import partial

from scripts.atlas.options import add_layout_option
from scripts.atlas.store.files import is_whole
from scripts.atlas.store.row_map import AtlasMap, DroppedCell, Row
from scripts.atlas.store.shards import open_atlases
from scripts.core.command import command_parser
from scripts.core.errors import InputError, try_all


def locate(
    atlas: AtlasMap, rows: Sequence[str], global_rows: Sequence[int], cells: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """Return the rows asked for, in the order asked for, and a sentence for each dropped cell.

    ``rows`` are ``shard:row``. Raises InputError with all that do not exist.
    """

    def row_at(text: str) -> tuple[list[Row], list[DroppedCell]]:
        shard, colon, row = text.rpartition(":")
        if not colon or not is_whole(row):
            raise InputError(f"{text}: not SHARD:ROW, e.g. step_0_svdbaseline_predict_part_0_0:17")
        return [atlas.cell_of(shard, int(row))], []

    searches = [partial(row_at, text) for text in rows]
    searches += [partial(lambda number: ([atlas.cell_at(number)], []), number) for number in global_rows]
    searches += [partial(atlas.find, text) for text in cells]
    found = try_all(lambda search: search(), searches)
    notes = [
        f"{'_'.join(filter(None, [cell.experiment or cell.run, cell.barcode]))} has no row: {cell.reason}"
        for _, dropped in found
        for cell in dropped
    ]
    return [row for mine, _ in found for row in mine], notes


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("atlas", help="the folder of the atlas")
    parser.add_argument("--rows", nargs="+", default=[], metavar="SHARD:ROW", help="rows by their shard, from 0")
    parser.add_argument("--global-rows", nargs="+", default=[], type=int, metavar="N", help="rows of the whole atlas")
    parser.add_argument(
        "--cells", nargs="+", default=[], metavar="CELL", help="RUN, EXPERIMENT, or either followed by _BARCODE"
    )
    add_layout_option(parser)
    options = parser.parse_args(argv)
    if not (options.rows or options.global_rows or options.cells):
        parser.error("give what to locate: --rows, --global-rows or --cells")
    (atlas,) = open_atlases([options.atlas], options.layout)
    found, notes = locate(AtlasMap(atlas), options.rows, options.global_rows, options.cells)
    print("\t".join(Row._fields))
    for row in found:
        print("\t".join(map(str, row)))
    for note in notes:
        print(note, file=sys.stderr)
