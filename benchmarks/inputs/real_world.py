"""A world of real size, from a seed: genome, annotation, a series of plate cells, a series of droplet libraries.

    python -m benchmarks.inputs.real_world [--quick] [--folder FOLDER]

Reads are packed as .sra archives. What is made is kept, by default in $XDG_CACHE_HOME/sra2matrix/benchmarks (or
~/.cache/…), in a folder named after this code and the size; the end mark ``world.json`` is written last.
"""

import argparse
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from benchmarks.inputs import droplet_reads, genomes, plates, sequencing
from benchmarks.inputs.archive_server import Archives, served
from scripts.core.disk.files import hash_file
from scripts.droplets.chemistries import read_chemistries
from scripts.plan.run_table import Run, read_runs, write_runs

SEED = 1130
LIST, KIT = "3M-february-2018", "10x_3p_v3"
PLATE_SERIES, DROPLET_SERIES = "GSE900001", "GSE900002"
_MARK = "world.json"
_CHEMISTRIES = Path(__file__).resolve().parents[2] / "config" / "chemistries.yaml"
Result = TypeVar("Result")


class WorldSize(NamedTuple):
    """How much is made. ``libraries`` has the spots of every run of every library."""

    bases: int
    contigs: int
    genes: int
    large_cells: tuple[int, ...]
    cells: int
    median_pairs: int
    libraries: tuple[tuple[int, ...], ...]
    droplet_cells: int
    list_share: float
    """How long the inclusion list is, of the true one's 6,794,880 barcodes."""


FULL = WorldSize(
    bases=250_000_000,
    contigs=25,
    genes=60_000,
    large_cells=(2_000_000, 1_000_000, 500_000, *[200_000] * 5),
    cells=384,
    median_pairs=3_500,
    libraries=((5_000_000,), (5_000_000, 5_000_000)),
    droplet_cells=3_000,
    list_share=1.0,
)
QUICK = WorldSize(
    bases=3_000_000,
    contigs=3,
    genes=800,
    large_cells=(20_000, 5_000),
    cells=16,
    median_pairs=500,
    libraries=((20_000,), (10_000, 10_000)),
    droplet_cells=60,
    list_share=0.01,
)


class World(NamedTuple):
    """What was made, below ``folder``."""

    folder: Path
    genome: Path
    """FASTA, not compressed."""
    annotation: Path
    """GTF, not compressed."""
    archives: dict[str, Path]
    """Run → its .sra archive; all are in the folder ``archives``."""
    inclusion_list: Path
    """Of the kit ``KIT``, whose list is called ``LIST``; plain text."""
    run_table: Path
    """In the form of plan.tsv; the runs are fetched from a server, see :func:`served_world`."""
    local_table: Path
    """The same with the archives as local files."""
    plate: dict[str, list[str]]
    """Experiment → its runs, of the plate series."""
    droplets: dict[str, list[str]]
    """Experiment → its runs, of the droplet series."""
    seconds: dict[str, float]
    """Wall seconds of each step of its making."""

    @property
    def experiments(self) -> dict[str, list[str]]:
        return {**self.plate, **self.droplets}


@contextmanager
def served_world(world: World, latency: float = 0.0) -> Iterator[str]:
    """Serve the archives of a world on a loopback port; give the resolver's address (``archives: {sra: …}``)."""
    sums = {row.run: row.md5 for row in read_runs(world.run_table)}
    with served(Archives(world.archives, sums), latency) as resolver:
        yield resolver


def default_folder(size: WorldSize) -> Path:
    """Return where a world of a size is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(repr(size).encode())
    for module in (__file__, genomes.__file__, sequencing.__file__, plates.__file__, droplet_reads.__file__):
        digest.update(Path(str(module)).read_bytes())
    return cache / "sra2matrix" / "benchmarks" / digest.hexdigest()[:16]


def make_world(folder: Path | None, size: WorldSize) -> World:
    """Return the world of a size in a folder (None: :func:`default_folder`), made where it is not there yet."""
    folder = (folder or default_folder(size)).absolute()
    if not (folder / _MARK).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder, size)
    made = json.loads((folder / _MARK).read_text())
    rows = read_runs(folder / "runs.tsv")
    experiments: dict[str, dict[str, list[str]]] = {"plate": {}, "droplet": {}}
    for row in rows:
        experiments[row.assay].setdefault(row.experiment, []).append(row.run)
    return World(
        folder,
        folder / "genome.fa",
        folder / "annotation.gtf",
        {row.run: folder / "archives" / f"{row.run}.sra" for row in rows},
        folder / f"{LIST}.txt",
        folder / "runs.tsv",
        folder / "local.tsv",
        experiments["plate"],
        experiments["droplet"],
        made["seconds"],
    )


class _Task(NamedTuple):
    """A run that is made: its experiment, spots and seed, and the library where it is one."""

    run: str
    experiment: str
    spots: int
    seed: int
    library: sequencing.Library | None = None


def _make(folder: Path, size: WorldSize) -> None:
    seconds: dict[str, float] = {}
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:  # our own memory stays small
        _timed(seconds, "genome and annotation", lambda: pool.submit(_make_reference, folder, size).result())
        known = _timed(seconds, "inclusion list", lambda: pool.submit(_make_list, folder, size.list_share).result())
        tasks = [*_plate_tasks(size), *_droplet_tasks(size, known)]
        order = sorted(tasks, key=lambda task: -task.spots)
        _timed(seconds, "reads and archives", lambda: list(pool.map(_make_run, [folder] * len(order), order)))
    rows = [_row(folder, task) for task in tasks]
    write_runs(folder / "runs.tsv", rows)
    write_runs(folder / "local.tsv", [row._replace(source=f"file:{folder}/archives/{row.run}.sra") for row in rows])
    shutil.rmtree(folder / "source")
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / _MARK).write_text(json.dumps({"size": size._asdict(), "seconds": seconds}, indent=1) + "\n")


def _timed(seconds: dict[str, float], step: str, work: Callable[[], Result]) -> Result:
    started = time.monotonic()
    result = work()
    seconds[step] = round(time.monotonic() - started, 1)
    print(f"{step}: {seconds[step]} s", flush=True)
    return result


def _make_reference(folder: Path, size: WorldSize) -> None:
    annotation = genomes.make_genes(SEED, size.genes, size.bases, size.contigs)
    plates.write_gtf(folder / "annotation.gtf", annotation)
    sequences = genomes.make_genome(annotation, SEED)
    genomes.write_fasta(folder / "genome.fa", sequences)
    sequencing.save_source(folder / "source", sequencing.make_source(annotation, sequences, SEED))


def _make_list(folder: Path, share: float) -> np.ndarray:
    """Write random barcodes, sorted; return them packed."""
    _, known = read_chemistries(_CHEMISTRIES)
    packed = droplet_reads.make_lists(known, [LIST], share, SEED).packed[LIST]
    text = np.full((packed.size, known[LIST].length + 1), 10, np.uint8)
    text[:, :-1] = genomes.LETTERS[droplet_reads.unpack(packed, known[LIST].length)]
    (folder / f"{LIST}.txt").write_bytes(text.tobytes())
    return packed


def _plate_tasks(size: WorldSize) -> Iterable[_Task]:
    """Yield the cells: a few large ones, the others lognormal, in a random order."""
    random = np.random.default_rng(SEED)
    others = random.lognormal(np.log(size.median_pairs), 1.0, size.cells - len(size.large_cells))
    pairs = random.permutation([*size.large_cells, *np.maximum(20, others).astype(int).tolist()])
    for number, spots in enumerate(pairs.tolist(), 1):
        yield _Task(f"SRR91{number:05d}", f"SRX91{number:05d}", spots, SEED + number)


def _droplet_tasks(size: WorldSize, known: np.ndarray) -> Iterable[_Task]:
    """Yield the runs of the libraries."""
    number = 0
    for which, lanes in enumerate(size.libraries, 1):
        library = sequencing.make_library(known, size.droplet_cells, sum(lanes), SEED + 100_000 * which)
        for spots in lanes:
            number += 1
            yield _Task(f"SRR92{number:05d}", f"SRX92{which:05d}", spots, library.seed + number, library)


def _make_run(folder: Path, task: _Task) -> None:
    source = sequencing.load_source(folder / "source")
    work = folder / "work" / task.run
    work.mkdir(parents=True)
    (folder / "archives").mkdir(exist_ok=True)
    first, second = work / "1.fastq", work / "2.fastq"
    if task.library is None:
        sequencing.write_cell(first, second, source, task.spots, task.seed)
    else:
        sequencing.write_library(first, second, source, task.library, task.spots, task.seed)
    sequencing.pack_archive(first, second, folder / "archives" / f"{task.run}.sra", work)
    shutil.rmtree(work)


def _row(folder: Path, task: _Task) -> Run:
    archive = folder / "archives" / f"{task.run}.sra"
    lengths = (sequencing.MATE_LENGTH,) * 2
    row = Run(PLATE_SERIES, assay="plate", layout="PAIRED")
    if task.library is not None:
        lengths = (sequencing.BARCODE_LENGTH + sequencing.UMI_LENGTH, sequencing.CDNA_LENGTH)
        row = Run(DROPLET_SERIES, assay="droplet", layout="PAIRED", chemistry=KIT)
    return row._replace(
        exp_id=row.series,
        sample=task.experiment.replace("SRX", "GSM"),
        experiment=task.experiment,
        run=task.run,
        tax_id="9606",
        organism="Homo sapiens",
        species="homo",
        spots=str(task.spots),
        bases=str(task.spots * sum(lengths)),
        bytes=str(archive.stat().st_size),
        md5=hash_file(archive, "md5"),
        source="sra",
        status="planned",
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small world")
    parser.add_argument("--folder", type=Path, help="make it here")
    options = parser.parse_args(argv)
    world = make_world(options.folder, QUICK if options.quick else FULL)
    packed = sum(path.stat().st_size for path in world.archives.values()) / 1e6
    print(f"{world.folder}: {len(world.plate)} cells, {len(world.droplets)} libraries, archives of {packed:.0f} MB")
    for step, seconds in world.seconds.items():
        print(f"{step:<24}{seconds:>8.1f} s")


if __name__ == "__main__":
    main()
