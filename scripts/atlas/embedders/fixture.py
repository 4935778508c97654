"""Embed cells as random numbers in the layout of the public atlas, for tests.

Only the number of cells matters: the numbers are drawn for each run, and the labels are made up. Cells without counts
are dropped. Readers of the public atlas read the files.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from scripts.atlas.embedders.command_line import backend_parser, check_species
from scripts.atlas.embedders.expression import seed_of
from scripts.atlas.store.count_matrix import CountMatrix
from scripts.atlas.store.layout import PUBLIC
from scripts.atlas.store.part import Description, PartWriter
from scripts.core.command import run_command

LABELS = {"sex": 2, "cell_culture": 2}  # class → how many labels it has
FEW = 12  # labels of every other class
_ROWS = 4096


def decoders() -> dict[str, dict[str, str]]:
    """Return class → code → made-up label."""
    return {
        name: {str(code): f"fixture:{name}:{code}" for code in range(LABELS.get(name, FEW))}
        for name, _ in PUBLIC.labels
    }


def draw(seed: int, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield embeddings, codes and scores of the cells of a run."""
    random = np.random.RandomState(seed)
    for start in range(0, rows, _ROWS):
        number = min(_ROWS, rows - start)
        codes, scores = [], []
        embeddings = random.standard_normal((number, PUBLIC.embedding_width))
        for name, best in PUBLIC.labels:
            logits = random.standard_normal((number, LABELS.get(name, FEW)))
            order = np.argsort(-logits, axis=1, kind="stable")[:, :best]
            codes.append(order.astype(np.uint16))
            scores.append(np.take_along_axis(logits, order, axis=1))
        yield embeddings, np.concatenate(codes, axis=1), np.concatenate(scores, axis=1)


def main(argv: Sequence[str] | None = None) -> None:
    options = backend_parser(__doc__, needs_model=False).parse_args(argv)
    description = Description(
        name="fixture",
        version="1",
        layout=PUBLIC,
        score_kind="logit",
        seed_policy="a run's rows are drawn one after the other, seeded by sha256 of '{seed}:{run}'",
        decoders=decoders(),
        notes=("random numbers, no embeddings: for tests only",),
    )
    with CountMatrix(options.matrix) as matrix:
        check_species(matrix, options.species, options.tax_id)
        stored = matrix.stored().tolist()
        runs = [cell.run for cell in matrix.read_cells()]
        row = 0
        with PartWriter(options.output, description, rows=matrix.cells) as part:
            for run, cells in groupby(runs):
                for embeddings, codes, scores in draw(seed_of(options.seed, run), sum(1 for _ in cells)):
                    reasons = ["" if counts else "NO_COUNTS" for counts in stored[row : row + len(embeddings)]]
                    part.append(embeddings, codes, scores, reasons=reasons)
                    row += len(embeddings)


if __name__ == "__main__":
    run_command(main)
