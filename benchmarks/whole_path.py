"""The whole path from archives to tables: ours, a plain script of the tools, and the steps of 2017 for each cell.

    python -m benchmarks.whole_path [--quick] [--folder FOLDER] [--cells N] [--libraries N] [--ways …]

The world is that of benchmarks.inputs.real_world: a series of plate cells and one of droplet libraries, whose archives
prefetch fetches from a loopback server. STAR's index, and what else we make of a reference, is made before, by our
target `references`. Ways:

ours       `snakemake`, as a user calls it, for each of both series: with report, h5ad, archives and checksums
script     `prefetch; fasterq-dump; pigz`, STAR for each cell on a shared genome, htseq-count on all cells at once;
           for libraries the same with STARsolo
smartseq   the same for plates, with one call of STARsolo (SmartSeq) for all cells, which counts otherwise
2017       `prefetch; fastq-dump; STAR; samtools sort; samtools sort; htseq-count` for each of a few cells, then a join
           with pandas of as many columns as there are cells. CPU and wall of all cells are those of a line through
           these cells (a share for the cell and one for its reads), bytes written are scaled by reads

CPU is user and system time of all processes; memory that of the process tree, in which shared memory is counted once;
scratch the most bytes in the folder of the work (the index is elsewhere). Our counts must be those of `script`: as many
as differ are reported, and for libraries the matrices that do.
"""

import argparse
import csv
import gzip
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from benchmarks.inputs import peers, real_world
from benchmarks.inputs.process_tree import Usage, run_watched
from scripts.plan.run_table import Run, read_runs, write_runs
from scripts.plates.smartseq import solo_options
from scripts.reads.sources.sra_archive import write_settings
from scripts.star.presets import DROPLET_PRESETS, PLATE_PRESETS, as_arguments

HOME = Path(__file__).resolve().parents[1]
REFERENCE = "real"
WAYS = ("ours", "script", "smartseq", "2017")
_NAMESPACE = ["unshare", "--user", "--map-root-user", "--ipc"]  # frees the genome, should a script fail
_FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS", "SJ")
_MATRICES = {"Unique": "matrix.mtx", "EM": "UniqueAndMult-EM.mtx"}
_KIT = {  # 10x 3′ v3, as STARsolo's documentation has it
    "soloType": "CB_UMI_Simple",
    "soloCBstart": "1",
    "soloCBlen": "16",
    "soloUMIstart": "17",
    "soloUMIlen": "12",
    "soloBarcodeReadLength": "0",
    "soloStrand": "Forward",
    "soloFeatures": " ".join(_FEATURES),
    "soloMultiMappers": " ".join(_MATRICES),
    "soloCellFilter": "EmptyDrops_CR",
    "outSAMtype": "None",
}


class Work(NamedTuple):
    """What is measured: rows of the run table by assay, the world, resources with the index, the resolver's address."""

    rows: Mapping[str, list[Run]]
    world: real_world.World
    resources: Path
    resolver: str
    interval: float

    @property
    def star_index(self) -> Path:
        return self.resources / REFERENCE / "star"

    def libraries(self) -> dict[str, list[str]]:
        """Return experiment → its runs."""
        found: dict[str, list[str]] = {}
        for row in self.rows["droplet"]:
            found.setdefault(row.experiment, []).append(row.run)
        return found


def choose(rows: Sequence[Run], cells: int | None, libraries: int | None) -> dict[str, list[Run]]:
    """Return assay → rows: of the cells by size every n-th, the first libraries."""
    plate = sorted((row for row in rows if row.assay == "plate"), key=lambda row: -int(row.spots))
    if cells and cells < len(plate):
        plate = [plate[int(len(plate) * (number + 0.5) / cells)] for number in range(cells)]
    droplet = [row for row in rows if row.assay == "droplet"]
    kept = sorted({row.experiment for row in droplet})[:libraries]
    return {"plate": plate, "droplet": [row for row in droplet if row.experiment in kept]}


def call_ours(folder: Path, work: Work, assay: str, targets: Sequence[str] = ()) -> Usage:
    """Run the workflow for the rows of an assay in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_runs(folder / "runs.tsv", work.rows[assay])
    configuration = {
        "run_table": "runs.tsv",
        "species": {"homo": {"tax_id": 9606, "reference": REFERENCE}},
        "references": {REFERENCE: {"fasta": str(work.world.genome), "gtf": str(work.world.annotation)}},
        "droplets": {"inclusion_lists": {real_world.LIST: str(work.world.inclusion_list)}},
        "archives": {"sra": work.resolver, "order": ["sra"]},
    }
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(configuration))
    if not (folder / "resources").exists():
        work.resources.mkdir(parents=True, exist_ok=True)
        (folder / "resources").symlink_to(work.resources)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile"), "--directory", str(folder)]
    return run_watched([*command, "--cores", "2", *targets], folder, interval=work.interval)


def run_ours(folder: Path, work: Work, assay: str) -> Usage:
    """Return the usage of the workflow, whose reference is there."""
    call_ours(folder, work, assay, ["references"])
    return call_ours(folder, work, assay)


def run_script(folder: Path, work: Work, script: str, files: Mapping[str, str], **settings: str) -> Usage:
    """Return the usage of a script of benchmarks.inputs.peers in a folder with these files."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = write_settings(folder / "settings.mkfg", work.resolver) | {
        "INDEX": str(work.star_index.resolve()),
        "ANNOTATION": str(work.world.annotation),
        "PYTHON": sys.executable,
        "PACK": _packer(),
        "PRESET": " ".join(as_arguments(PLATE_PRESETS["census2017"])),
        **settings,
    }
    return run_watched([*_NAMESPACE, "bash", "-c", script], folder, environment, work.interval)


def _packer() -> str:
    return "pigz" if shutil.which("pigz") else "gzip"


def _lines(rows: Sequence[Run]) -> str:
    return "".join(f"{row.run}\n" for row in rows)


def run_plates(folder: Path, work: Work) -> Usage:
    return run_script(folder, work, peers.PLATES, {"runs.txt": _lines(work.rows["plate"])})


def run_smartseq(folder: Path, work: Work) -> Usage:
    options = solo_options("census2017", "none") | {"outSAMtype": "None"}
    kept = {name: value for name, value in options.items() if name not in ("outSAMmode", "outSAMattributes")}
    settings = {"SMARTSEQ_OPTIONS": " ".join(as_arguments(kept))}
    return run_script(folder, work, peers.SMARTSEQ, {"runs.txt": _lines(work.rows["plate"])}, **settings)


def run_libraries(folder: Path, work: Work) -> Usage:
    options = {**DROPLET_PRESETS["encode"], **_KIT, "soloCBwhitelist": str(work.world.inclusion_list)}
    listed = "".join(f"{experiment} {' '.join(runs)}\n" for experiment, runs in work.libraries().items())
    settings = {"SOLO_OPTIONS": " ".join(as_arguments(options))}
    return run_script(folder, work, peers.LIBRARIES, {"libraries.txt": listed}, **settings)


def run_2017(folder: Path, work: Work, cells: int) -> Usage:
    """Return the usage of the steps of 2017 for all cells, from that of some: quantiles of their sizes."""
    rows = sorted(work.rows["plate"], key=lambda row: int(row.spots))
    places = np.unique(np.linspace(0, 1, cells) * (len(rows) - 1) * 0.98).round().astype(int)
    some = [rows[place] for place in np.unique(places)]
    counted = "".join(f"{row.run} {some[number % len(some)].run}\n" for number, row in enumerate(rows))
    files = {"runs.txt": _lines(some), "all_runs.txt": counted}
    used = run_script(folder, work, peers.STEPS_OF_2017, files, JOIN=peers.JOIN)
    times = np.array([line.split() for line in (folder / "times.txt").read_text().splitlines()], float)
    walls, cpus = times[:, 0], times[:, 1] + times[:, 2]
    sizes = np.array([int(row.spots) for row in some], float)
    every = np.array([int(row.spots) for row in rows], float)
    wall, cpu = (_of_all(sizes, taken[:-1], every) + float(taken[-1]) for taken in (walls, cpus))
    share = float(every.sum() / sizes.sum())
    steps = {step: seconds * cpu / used.cpu for step, seconds in used.steps.items()}  # about: each has its own line
    return used._replace(cpu=cpu, wall=wall, written_mb=used.written_mb * share, steps=steps)


def _of_all(sizes: np.ndarray, taken: np.ndarray, every: np.ndarray) -> float:
    """Return what cells of the sizes ``every`` take, by a line through what those of ``sizes`` have taken."""
    slope, start = np.polyfit(sizes, taken, 1) if len(sizes) > 1 else (0.0, float(taken[0]))
    if start < 0:
        slope, start = float(taken.sum() / sizes.sum()), 0.0
    return float(start * len(every) + max(0.0, slope) * every.sum())


def compare_plates(ours: Path, script: Path) -> dict[str, int]:
    """Return how many counts there are, genes and tallies of each cell, and how many differ."""
    with gzip.open(ours / "results/homo.htseq-count.csv.gz", "rt") as handle:
        mine = _table(list(csv.reader(handle)), 4)
    with gzip.open(script / "counts.csv.gz", "rt") as handle:
        theirs = _table(list(csv.reader(handle)), 1)
    names = set(mine) | set(theirs)
    return {"counts": len(names), "differ": sum(mine.get(name) != theirs.get(name) for name in names)}


def _table(rows: Sequence[Sequence[str]], heads: int) -> dict[tuple[str, str], str]:
    """Return run, gene → count of a table whose first row names the runs."""
    runs = rows[0][1:]
    return {(run, row[0]): value for row in rows[heads:] for run, value in zip(runs, row[1:], strict=True)}


def compare_libraries(ours: Path, script: Path, experiments: Sequence[str]) -> dict[str, object]:
    """Return how many raw matrices there are, and which differ from those that STARsolo wrote for the script."""
    differ, compared = [], 0
    for experiment in experiments:
        for feature in _FEATURES:
            for multireads, name in _MATRICES.items():
                path = script / f"solo/{experiment}/Solo.out/{feature}/raw/{name}.gz"
                archive = ours / f"results/mex/{experiment}/{feature}_{multireads}_raw.tar.gz"
                if not path.exists() and not archive.exists():
                    continue
                compared += 1
                if not (path.exists() and archive.exists() and _same_matrix(archive, path)):
                    differ.append(f"{experiment}/{feature}_{multireads}")
    return {"matrices": compared, "differ": differ}


def _same_matrix(archive: Path, path: Path) -> bool:
    """Whether the matrix of a MEX archive has the bytes of a compressed one."""
    with tarfile.open(archive) as members, gzip.open(path) as theirs:
        for member in members:
            handle = members.extractfile(member)
            if handle is not None and member.name.endswith(".mtx"):
                while piece := handle.read(1 << 20):
                    if theirs.read(len(piece)) != piece:
                        return False
                return not theirs.read(1)
    return False


def measure(work: Work, folder: Path, ways: Sequence[str], cells_of_2017: int) -> dict[str, Usage]:
    """Return the usage of each way and assay, which is printed as soon as it is known.

    Folders of ours and of the script are kept for the comparison.
    """
    measured: dict[str, Callable[[], Usage]] = {
        "ours, plate": lambda: run_ours(folder / "ours.plate", work, "plate"),
        "ours, droplet": lambda: run_ours(folder / "ours.droplet", work, "droplet"),
        "script, plate": lambda: run_plates(folder / "script.plate", work),
        "script, droplet": lambda: run_libraries(folder / "script.droplet", work),
        "smartseq, plate": lambda: run_smartseq(folder / "smartseq", work),
        "2017, plate": lambda: run_2017(folder / "2017", work, cells_of_2017),
    }
    used = {}
    for name, call in measured.items():
        if name.partition(",")[0] in ways:
            used[name] = call()
            print_usage(TITLES[name], used[name])
    return used


TITLES = {
    "ours, plate": "plates, ours",
    "script, plate": "  STAR, htseq-count by a script",
    "smartseq, plate": "  STARsolo by a script",
    "2017, plate": "  steps of 2017",
    "ours, droplet": "libraries, ours",
    "script, droplet": "  STARsolo by a script",
    "ours": "both, ours",
    "script": "  by the cheaper script",
}


def with_sums(used: Mapping[str, Usage]) -> dict[str, Usage]:
    """Return the usages with those of both assays: ours, and of the script by its best choice for plates."""
    found = dict(used)
    if {"ours, plate", "ours, droplet"} <= set(used):
        found["ours"] = used["ours, plate"].then(used["ours, droplet"])
    choices = [used[name] for name in ("script, plate", "smartseq, plate") if name in used]
    if choices and "script, droplet" in used:
        found["script"] = min(choices, key=lambda choice: choice.cpu).then(used["script, droplet"])
    return {name: found[name] for name in TITLES if name in found}


def ratios(used: Mapping[str, Usage]) -> dict[str, dict[str, float]]:
    """Return way → what ours uses of what it uses, CPU and scratch."""
    found = {}
    for name, usage in used.items():
        way, _, assay = name.partition(", ")
        mine = used.get(f"ours, {assay}" if assay else "ours")
        if way != "ours" and mine:
            found[name] = {
                "cpu": round(mine.cpu / usage.cpu, 3),
                "scratch": round(mine.scratch_mb / usage.scratch_mb, 3),
            }
    return found


def print_usage(title: str, usage: Usage, more: Iterable[float] = ()) -> None:
    """Print a line of the table."""
    print(f"{title:32}" + "".join(f"{figure:>12,.1f}" for figure in usage[:5]), end="")
    print("".join(f"{ratio:>12.2f}" for ratio in more), flush=True)


def report(used: Mapping[str, Usage]) -> None:
    """Print the table, and the steps of each way."""
    columns = ("CPU s", "wall s", "peak MB", "scratch MB", "written MB", "ours: CPU", "scratch")
    print(" " * 32 + "".join(f"{column:>12}" for column in columns))
    found = ratios(used)
    for name, usage in used.items():
        print_usage(TITLES[name], usage, found.get(name, {}).values())
    for name, usage in used.items():
        largest = sorted(usage.steps.items(), key=lambda step: -step[1])
        words = [f"{step} {seconds:.1f}" for step, seconds in largest if seconds > 0.01 * usage.cpu]
        print(f"CPU s of {TITLES[name].strip()}: {', '.join(words)}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small world, within a minute")
    parser.add_argument("--folder", type=Path, help="folder of the world, where it and the index are kept")
    parser.add_argument("--cells", type=int, help="of the cells by size every n-th, so many")
    parser.add_argument("--libraries", type=int, help="only the first libraries")
    parser.add_argument("--cells-2017", type=int, default=6, help="cells that go through the steps of 2017")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="what is measured")
    parser.add_argument("--work", type=Path, help="folder that is made for the work, and kept")
    options = parser.parse_args(argv)
    world = real_world.make_world(options.folder, real_world.QUICK if options.quick else real_world.FULL)
    few: tuple[int | None, int | None] = (6, 1) if options.quick else (None, None)
    rows = choose(read_runs(world.run_table), options.cells or few[0], options.libraries or few[1])
    with tempfile.TemporaryDirectory(prefix="whole_path.") as name, real_world.served_world(world) as resolver:
        work = Work(rows, world, world.folder / "resources", resolver, 0.1 if options.quick else 0.5)
        folder = (options.work or Path(name)).absolute()
        folder.mkdir(exist_ok=True)
        made = call_ours(folder / "references", work, "plate", ["references"])
        cells, spots = len(rows["plate"]), {assay: sum(int(row.spots) for row in rows[assay]) for assay in rows}
        print(f"{cells} cells of {spots['plate']:,} pairs, {len(work.libraries())} libraries of {spots['droplet']:,}")
        used = with_sums(measure(work, folder, options.ways, 2 if options.quick else options.cells_2017))
        report(used)
        figures: dict[str, object] = {"cells": cells, "libraries": len(work.libraries()), **spots}
        figures |= {"packed_by": _packer(), "references_cpu": round(made.cpu, 1)}
        if {"ours", "script"} <= set(options.ways):
            figures["counts"] = compare_plates(folder / "ours.plate", folder / "script.plate")
            both = (folder / "ours.droplet", folder / "script.droplet")
            figures["matrices"] = compare_libraries(*both, list(work.libraries()))
            print(f"beside the script: {figures['counts']}, {figures['matrices']}")
    figures["ratios"] = ratios(used)
    for title, usage in used.items():
        numbers = {name: round(value, 1) for name, value in usage._asdict().items() if name != "steps"}
        figures[title] = numbers | {"steps": {step: round(seconds, 1) for step, seconds in usage.steps.items()}}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
