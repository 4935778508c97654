"""Fit the basis of svd-baseline to a sample of a species' cells.

It writes model.npz, the file for ``atlas_embed --backend svd-baseline --model``.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.atlas.embedders.svd_baseline import add_labels, fit
from scripts.atlas.options import share
from scripts.atlas.store.count_matrix import CountMatrix
from scripts.core.command import command_parser
from scripts.core.errors import InputError


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--matrices", required=True, nargs="+", type=Path, help="counts (h5ad) of cells of a species")
    parser.add_argument("--components", type=int, default=256, help="columns; fewer where the sample's rank is smaller")
    parser.add_argument("--cells", type=int, default=10_000, help="cells of the sample, at most")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other cells")
    parser.add_argument("--reference", nargs="*", type=Path, default=[], help="labelled cells (an AnnData file)")
    parser.add_argument(
        "--labels", nargs="*", default=[], metavar="COLUMN", help="columns of its obs; class=column names a class"
    )
    parser.add_argument("--min-found", type=share, default=0.5, help="share of the reference's counts in known genes")
    parser.add_argument("--output", required=True, type=Path, help="the file to write (model.npz)")
    options = parser.parse_args(argv)
    if len(options.reference) > 1 or (options.reference and not options.labels):
        raise InputError("--reference takes one file of labelled cells, and --labels the columns of its obs to use.")
    if options.components < 1 or options.cells < 1:
        raise InputError("--components and --cells are whole numbers from 1.")
    with contextlib.ExitStack() as stack:
        matrices = [stack.enter_context(CountMatrix(path)) for path in options.matrices]
        model = fit(matrices, options.components, options.cells, options.seed)
    print(
        f"{options.output}: {len(model.components)} components of {len(model.gene_ids)} genes, fitted to"
        f" {model.sample['cells']} of {model.sample['cells_with_counts']} cells.",
        file=sys.stderr,
    )
    for path in options.reference:
        with CountMatrix(path, raw=True) as reference:
            found = add_labels(model, reference, options.labels, options.min_found)
        labels = ", ".join(f"{len(known)} of {name}" for name, known in model.labels.items())
        print(f"{path}: {found}; labels: {labels}.", file=sys.stderr)
    model.write(options.output)
