"""Embed the cells of a matrix with a back end, and check and complete its output.

The back end runs as a program of its own. The output is an embedded part (see docs/formats.md), which atlas_pack reads;
the folder appears when it is complete. Options after -- are passed to the back end;
'python -m scripts.atlas.embedders.scprint2 --help' lists those of scprint2.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.atlas.store.count_matrix import CountMatrix
from scripts.atlas.store.files import write_json, write_table
from scripts.atlas.store.part import CELLS, MATRIX, Cell, EmbeddedPart, Matrix, chunks
from scripts.core import subprocesses
from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, hash_file
from scripts.core.disk.folders import seal
from scripts.core.errors import InputError, raise_faults

BACK_ENDS = {
    "svd-baseline": "scripts.atlas.embedders.svd_baseline",
    "scprint2": "scripts.atlas.embedders.scprint2",
    "fixture": "scripts.atlas.embedders.fixture",
}
"""Name → program."""
HOME = Path(__file__).resolve().parents[2]
LINES = 20  # last lines of a back end that failed, which are shown
RESULTS = "results"


def run_backend(name: str, python: str, arguments: Sequence[str]) -> None:
    """Run a back end: its standard output is shown at once, the last lines of its errors at its end.

    Raises InputError with its last lines where it fails, and Interrupted where a signal ended it.
    """
    if shutil.which(python) is None:
        raise InputError(
            f"--python {python}: no such program; give the Python of the back end's environment, see"
            " scripts/atlas/embedders/README.md."
        )
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONHASHSEED": "0"}
    with subprocesses.ends_with_command():
        sys.stderr.flush()
        process = subprocesses.start(
            [python, "-m", BACK_ENDS[name], *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=subprocess.PIPE,
        )
        last: deque[str] = deque(maxlen=LINES)
        try:
            assert process.stderr is not None
            with process.stderr as errors:
                last.extend(line.decode("utf-8", "replace").rstrip() for line in errors)
            status = process.wait()
        finally:
            if process.poll() is None:
                subprocesses.end_all()
            subprocesses.release(process)
    subprocesses.raise_if_killed(f"The back end {name}", status)
    if status == 0:
        print(*last, sep="\n", end="\n" if last else "", file=sys.stderr)
    elif status == 2:
        raise InputError("\n".join([f"The back end {name} cannot embed this:", *last]))
    else:
        lines = [f"The back end {name} ended with exit status {status}; its last lines:", *last]
        if any("ModuleNotFoundError" in line for line in last):
            lines.append(f"Is {python} the Python of its environment? --python names another one.")
        raise InputError("\n".join(lines))


def part_faults(part: EmbeddedPart, name: str, cells: int) -> Iterator[str]:
    """Yield a sentence for each fault of the part that a back end wrote for a matrix of so many cells."""
    if part.description.name != name:
        yield f"describe.json: it is of the back end {part.description.name}, expected {name}."
    if part.rows != cells:
        yield f"embs.npy: {part.rows} rows, but the matrix has {cells} cells; a back end drops cells in kept.npy only."
    yield from part.faults()
    for label, _ in part.description.layout.labels:
        scores = part.arrays["scores"][:, part.description.layout.label(label)]
        rows = sum(int((chunk[:, 1:] > chunk[:, :-1]).any(axis=1).sum()) for chunk in chunks(scores))
        if rows:
            yield f"scores.npy: {rows} rows of {label} do not have their best label first."


def result_path(matrix: Path, results: str = RESULTS) -> str:
    """Return the path of a matrix below the results folder, or its name where it is elsewhere."""
    _, found, below = f"/{matrix.as_posix()}".rpartition(f"/{results}/")
    return below if found else matrix.name


def embed(name: str, python: str, matrix: Path, arguments: Sequence[str], output: Path) -> EmbeddedPart:
    """Run a back end on a matrix, check its part, complete it, and return it.

    Raises InputError where the matrix cannot be read or the back end fails, and with all faults of its part.
    """
    with CountMatrix(matrix) as counts:
        cells = counts.cells
        origins = list(counts.read_cells())
    with atomic_folder(output) as unfinished:
        run_backend(name, python, ["--matrix", str(matrix), "--output", str(unfinished), *arguments])
        title = f"What the back end {name} made of {matrix}"
        try:
            part = EmbeddedPart(unfinished, complete=False)
        except InputError as error:
            raise InputError(f"{title}: {error}") from error
        raise_faults(title, part_faults(part, name, cells))
        write_table(unfinished / CELLS, Cell._fields, origins)
        write_json(unfinished / MATRIX, Matrix(result_path(matrix), hash_file(matrix), cells)._asdict())
        seal(unfinished)
    return EmbeddedPart(output)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--backend", required=True, choices=BACK_ENDS, help="what embeds the cells")
    parser.add_argument("--matrix", required=True, type=Path, help="the counts (h5ad): plate cells or a droplet series")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--tax-id", required=True, help="its number in NCBI's taxonomy, e.g. 9606")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--model", nargs="?", help="weights: model.npz of svd-baseline, or a checkpoint of scprint2")
    parser.add_argument("--python", default=sys.executable, help="the Python of the back end's environment")
    parser.add_argument("--output", required=True, type=Path, help="folder of the embedded part")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="passed to the back end")
    options = parser.parse_args(argv)
    arguments = ["--species", options.species, "--tax-id", options.tax_id, "--seed", str(options.seed)]
    if options.model:
        arguments += ["--model", options.model]
    part = embed(options.backend, options.python, options.matrix, [*arguments, *options.options], options.output)
    dropped = Counter(part.dropped.values())
    words = "".join(f", {number} dropped ({reason})" for reason, number in sorted(dropped.items()))
    print(f"{options.output}: {part.rows} cells of {options.matrix}{words}.", file=sys.stderr)
