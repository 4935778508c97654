"""Reading, checking and writing an embedding atlas, beside cat, numpy.savez and the way of the published notebook.

    python -m benchmarks.atlas [--quick]

Shards of the public layout (100,080 rows: 85 MB of embeddings, 4.6 MB of labels and of scores) are made from a seed.
Atlases are these shards under many names: the labels of 20 million rows are copies (920 MB, more than the processor's
cache holds), all else is hard links, so that 200 million rows are the same files again and again. All lies in the page
cache. Every measurement is a process of its own: CPU is the user and system time of the work itself, without starting
Python and importing numpy; memory is the peak of the whole process. Rates are bytes of the files read or written for
each second of CPU.
"""

import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.command import command_parser

SEED = 11
SHARD_ROWS = 100_080
PIECES = 12
"""Chunks in which a shard is written."""
LABELS = (900, 320, 220, 40, 30, 20, 2, 16, 2)
"""Labels of each class, as many as the public atlas might have."""
HOME = Path(__file__).parent.parent


class Size(NamedTuple):
    """Sizes of the input, and repeats of each measurement."""

    shards: int
    """Different ones."""
    table_millions: tuple[int, ...]
    """Rows of the cross tables; the second is the reference."""
    sum_shards: int
    """Shards whose embeddings are added up, searched and checked."""
    small_shards: int
    """Shards for the notebook's way, which holds all rows."""
    written: int
    """Shards that are written."""
    table_repeats: int
    repeats: int


FULL = Size(8, (2, 20, 200), 20, 20, 30, 9, 5)
QUICK = Size(4, (2, 20, 200), 6, 4, 12, 7, 3)


class Cost(NamedTuple):
    """CPU and wall seconds of the work, peak memory (MB) of its process."""

    cpu: float
    wall: float
    peak: float


# What is measured: each is run by a Python of its own, which prints its costs ----------------------------------------

FRAME = """
import json, os, resource, sys, time
import numpy as np
{setup}
def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
cpu, wall = spent(), time.monotonic()
{work}
cpu, wall = spent() - cpu, time.monotonic() - wall
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([cpu, wall, peak]))
"""
CROSS = (
    """
from scripts.atlas.labels.tables import TABLE_ROWS, PairCounter
from scripts.atlas.store.shards import Atlas
""",
    """
atlas, counter = Atlas({folder!r}), PairCounter()
columns = [atlas.columns("top3", name).start for name in ("cell_type", "tissue")]
for top in atlas.scan(None, TABLE_ROWS, "top3"):
    first, second = (top[:, column].astype(np.intp) for column in columns)
    counter.add(first, int(first.max()), second, int(second.max()))
counter.table()
""",
)
PANEL = (
    """
from scripts.atlas.atlas_distribution import COLUMNS, count
from scripts.atlas.store.row_map import MapCodes
from scripts.atlas.store.shards import Atlas
""",
    """
atlas = Atlas({folder!r})
names = [name for name, _ in atlas.layout.labels]
count(atlas, MapCodes([]), names, [("cell_type", name) for name in COLUMNS], None)
""",
)
DISTRIBUTION = (
    "from scripts.atlas import atlas_distribution",
    """
sys.stderr = open(os.devnull, "w")
atlas_distribution.main([{folder!r}, "--rows", "cell_type", "--columns", "tissue", "--output", {output!r}])
""",
)
MEANS = (
    """
import scipy.sparse
from scripts.atlas.labels.tables import LabelSums, sum_rows
from scripts.atlas.store.shards import Atlas
""",
    """
atlas = Atlas({folder!r})
columns, size = atlas.columns("embs", {block!r}), sum_rows(atlas)
sums = LabelSums(columns.stop - columns.start)
for embs, top in zip(atlas.scan({block!r}, size), atlas.scan(None, size, "top3")):
    sums.add(top[:, 0].astype(np.int32), embs)
sums.result().means
""",
)
CHECK = ("from scripts.atlas.atlas_check import check", "assert not check({folder!r})[2]")
SEARCH = (
    "from scripts.atlas.store.shards import Atlas\nfrom scripts.atlas.nearest import nearest_rows",
    """
atlas = Atlas({folder!r})
nearest_rows(atlas, "cell_type", atlas.select("cell_type", range(100)), 10)
""",
)
NOTEBOOK = (  # as the published analysis reads all files: a list of arrays, one great array of them
    "import glob",
    """
parts = [np.load(path)["arr_0"] for path in sorted(glob.glob({folder!r} + "/*_top3.npz"))]
labels = np.vstack(parts)
first, second = labels[:, 0], labels[:, 3]
table = np.zeros((int(first.max()) + 1, int(second.max()) + 1), int)
np.add.at(table, (first, second), 1)
""",
)
NOTEBOOK_MEANS = (
    "import glob",
    """
embs = np.vstack([np.load(path)["arr_0"] for path in sorted(glob.glob({folder!r} + "/*_embs.npz"))])
codes = np.vstack([np.load(path)["arr_0"] for path in sorted(glob.glob({folder!r} + "/*_top3.npz"))])[:, 0]
means = [embs[codes == code, 256:320].mean(axis=0, dtype=np.float64) for code in np.unique(codes)]
""",
)
WRITE = (
    """
from scripts.atlas.store.layout import PUBLIC, Layout
from scripts.atlas.store.shards import ShardWriter
part, layout = np.load({part!r}), Layout(PUBLIC.embeddings)
""",
    """
for number in range({times}):
    with ShardWriter({folder!r}, f"step_0__predict_part_{{number % 2}}_0", layout, {pieces} * len(part)) as shard:
        for _ in range({pieces}):
            shard.append(part)
""",
)
SAVEZ = (
    "embs = np.tile(np.load({part!r}), ({pieces}, 1))",
    """
for number in range({times}):
    np.savez(f"{folder}/theirs_{{number % 2}}_embs.npz", embs)
""",
)


def measure(code: tuple[str, str], **values: object) -> Cost:
    """Run a piece of code in a Python of its own and return what it cost."""
    setup, work = (text.format(**values) for text in code)
    environment = os.environ | {"PYTHONPATH": str(HOME), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FRAME.format(setup=setup, work=work)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return Cost(*json.loads(done.stdout))


def cat(paths: Sequence[Path]) -> Cost:
    """Return what cat needs to read the files."""
    started = time.monotonic()
    process = os.fork()
    if not process:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp("cat", ["cat", *map(str, paths)])
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit("cat could not read the files")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def in_turn(repeats: int, *works: Callable[[], Cost]) -> list[Cost]:
    """Return the medians of several works, measured in turn."""
    costs: list[list[Cost]] = [[] for _ in works]
    for _ in range(repeats):
        for cost, work in zip(costs, works, strict=True):
            cost.append(work())
    return [Cost(*(statistics.median(values) for values in zip(*several, strict=True))) for several in costs]


# What is made ---------------------------------------------------------------------------------------------------------


def make_shards(folder: Path, size: Size) -> None:
    """Write different shards, as the documented recipe does, and one of them deflated."""
    (folder / "made").mkdir()
    dice = np.random.default_rng(SEED)
    for number in range(size.shards):
        columns = []
        for index, labels in enumerate(LABELS):
            for _ in range(1 if index in (6, 8) else 3):
                columns.append(np.minimum(dice.zipf(1.4, SHARD_ROWS) - 1, labels - 1).astype(np.uint16))
        top3 = np.stack(columns, axis=1)
        embs = dice.standard_normal((SHARD_ROWS, 424), dtype=np.float32).astype(np.float16)
        np.savez(folder / f"made/{number}_embs.npz", embs)
        np.savez(folder / f"made/{number}_top3.npz", top3)
        np.savez(folder / f"made/{number}_scores.npz", dice.standard_normal((SHARD_ROWS, 23)).astype(np.float16))
        if not number:
            np.save(folder / "part.npy", embs[: SHARD_ROWS // PIECES])
            (folder / "deflated").mkdir()
            np.savez_compressed(folder / "deflated/0_top3.npz", top3)


def atlas_of(folder: Path, name: str, shards: int, made: int, copies: int = 0) -> Path:
    """Return a folder that has the made shards, again and again, under the names of an atlas.

    ``copies``: how many files of labels are there at least, so that they are not all in the processor's cache.
    """
    atlas = folder / name
    if not atlas.exists():
        atlas.mkdir()
        for number in range(shards):
            for kind in ("embs", "top3", "scores"):
                target = atlas / f"step_0__predict_part_{number}_0_{kind}.npz"
                source = folder / f"made/{number % made}_{kind}.npz"
                if kind == "top3" and name.startswith("deflated_"):
                    source = folder / "deflated/0_top3.npz"
                elif kind == "top3" and copies:
                    source = folder / f"copies/{number % copies}_top3.npz"
                    if not source.exists():
                        source.parent.mkdir(exist_ok=True)
                        shutil.copyfile(folder / f"made/{number % made}_top3.npz", source)
                target.hardlink_to(source)
    return atlas


def bytes_of(atlas: Path, *kinds: str) -> int:
    """Return the bytes of an atlas' files of some kinds."""
    return sum(path.stat().st_size for kind in kinds for path in atlas.glob(f"*_{kind}.npz"))


# The figures ----------------------------------------------------------------------------------------------------------


def run(folder: Path, size: Size, show: Callable[[str], None]) -> dict[str, float]:
    """Make the input, measure everything, print a table, and return the figures."""
    maker = os.fork()  # its memory would count as that of the processes measured
    if not maker:
        make_shards(folder, size)
        os._exit(0)
    if os.waitpid(maker, 0)[1]:
        raise SystemExit("the input could not be made")
    figures: dict[str, float] = {"shard_rows": SHARD_ROWS}
    show(f"{'':46}{'rows':>12}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'GB/CPU s':>10}")

    def row(name: str, rows: int, cost: Cost, work: int, key: str) -> None:
        rate = work / cost.cpu / 1e9
        show(f"{name:46}{rows:>12,}{cost.cpu:8.2f}{cost.wall:8.2f}{cost.peak:9.0f}{rate:10.2f}")
        figures[f"{key}_cpu"], figures[f"{key}_peak_mb"] = round(cost.cpu, 3), round(cost.peak)
        figures[f"{key}_gb_per_cpu_s"] = round(rate, 3)

    for millions in size.table_millions:
        shards = round(millions * 1e6 / SHARD_ROWS)
        atlas = atlas_of(folder, f"atlas_{millions}", shards, size.shards, copies=200)
        labels = sorted(atlas.glob("*_top3.npz"))
        work, rows = bytes_of(atlas, "top3"), shards * SHARD_ROWS
        repeats = size.table_repeats if millions <= 20 else 1
        read, ours = in_turn(
            repeats, lambda paths=labels: cat(paths), lambda atlas=atlas: measure(CROSS, folder=str(atlas))
        )
        row(f"cat, {millions} M rows of labels", rows, read, work, f"cat_{millions}m")
        row(f"cross table, {millions} M rows", rows, ours, work, f"cross_{millions}m")
        figures[f"cross_{millions}m_share_of_cat"] = round(read.cpu / ours.cpu, 3)
    atlas = atlas_of(folder, "atlas_20", 0, 0)
    rows, work = len(list(atlas.glob("*_top3.npz"))) * SHARD_ROWS, bytes_of(atlas, "top3")
    (panel,) = in_turn(1, lambda: measure(PANEL, folder=str(atlas)))
    row("5 cross tables and 9 lists of labels, one pass", rows, panel, work, "panel")

    (command,) = in_turn(1, lambda: measure(DISTRIBUTION, folder=str(atlas), output=str(folder / "distribution")))
    row("atlas distribution, table and page", rows, command, work, "distribution")

    deflated = atlas_of(folder, "deflated_20", 200, size.shards)
    rows, plain = 200 * SHARD_ROWS, 200 * SHARD_ROWS * 46
    (slow,) = in_turn(1, lambda: measure(CROSS, folder=str(deflated)))
    row("cross table, deflated labels", rows, slow, plain, "cross_deflated")

    small = atlas_of(folder, "small", size.small_shards, size.shards)
    rows, work = size.small_shards * SHARD_ROWS, bytes_of(small, "top3")
    theirs, ours = in_turn(
        size.repeats, lambda: measure(NOTEBOOK, folder=str(small)), lambda: measure(CROSS, folder=str(small))
    )
    row("cross table, list and vstack", rows, theirs, work, "vstack_cross")
    row("cross table, ours", rows, ours, work, "small_cross")

    work = bytes_of(small, "embs", "top3")
    theirs, ours = in_turn(
        1,
        lambda: measure(NOTEBOOK_MEANS, folder=str(small)),
        lambda: measure(MEANS, folder=str(small), block="cell_type"),
    )
    row("means of a block, list and vstack", rows, theirs, work, "vstack_means")
    row("means of a block, ours", rows, ours, work, "block_centroids")

    atlas = atlas_of(folder, "sums", size.sum_shards, size.shards)
    rows = size.sum_shards * SHARD_ROWS
    work = bytes_of(atlas, "embs", "top3")
    (ours,) = in_turn(size.repeats, lambda: measure(MEANS, folder=str(atlas), block=None))
    row("centroids of 900 labels, all 424 columns", rows, ours, work, "centroids")
    work = bytes_of(atlas, "embs", "top3", "scores")
    read, ours = in_turn(
        size.repeats,
        lambda: cat(sorted(atlas.glob("step*.npz"))),
        lambda: measure(CHECK, folder=str(atlas)),
    )
    row("cat, all files", rows, read, work, "cat_all")
    row("check, all files", rows, ours, work, "check")
    work = bytes_of(atlas, "embs")
    (ours,) = in_turn(1, lambda: measure(SEARCH, folder=str(atlas)))
    row("10 nearest rows of 100 vectors, 64 columns", rows, ours, work, "search")

    times = size.written
    work = times * (folder / "made/0_embs.npz").stat().st_size
    (folder / "written").mkdir()
    where = {"folder": str(folder / "written"), "part": str(folder / "part.npy"), "times": times, "pieces": PIECES}
    theirs, ours = in_turn(size.repeats, lambda: measure(SAVEZ, **where), lambda: measure(WRITE, **where))
    row("write shards, numpy.savez", times * SHARD_ROWS, theirs, work, "savez")
    row("write shards, ours, streamed and checked", times * SHARD_ROWS, ours, work, "write")
    written = [folder / f"written/{name}_embs.npz" for name in ("theirs_0", "step_0__predict_part_0_0")]
    same = filecmp.cmp(*written, shallow=False)
    show(f"what we write is {'' if same else 'not '}what numpy.savez writes, byte for byte")
    figures["write_identical_to_savez"] = int(same)

    def write_large() -> Cost:
        for path in (folder / "written").glob("*"):
            path.unlink()
        return measure(WRITE, **where | {"times": 1, "pieces": 10 * PIECES})

    (large,) = in_turn(3, write_large)  # memory that a virtual machine has never used costs the first one more
    row("write one shard of ten times the rows", 10 * SHARD_ROWS, large, work // times * 10, "write_large")
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer shards and repeats, at most a minute")
    parser.add_argument("--folder", type=Path, help="where the shards are made; default: a temporary folder")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        figures = run(Path(folder), QUICK if args.quick else FULL, print)
    print(json.dumps({"benchmark": "atlas", "quick": args.quick, **figures}))


if __name__ == "__main__":
    main()
