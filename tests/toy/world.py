"""The toy world: genomes, reads with known counts, archives and inclusion lists in one folder, built once and cached.

    python -m tests.toy.world --output DIR

The folder holds

- ``references/``: ``{hg38,mm10}.fa.gz`` and ``.gtf.gz``, ``spike_ins.fa`` and ``.gtf``
- ``inclusion_lists/``: ``3M-february-2018.txt.gz`` and ``737K-august-2016.txt``, a barcode a line
- ``sra/{run}.sra``, ``lite/{run}.sra`` (the same reads, every quality 30), ``fastq/{run}*.fastq.gz`` as ENA has them
- ``archives.json``: what the records tell of every run; the records themselves are written by
  :mod:`tests.toy.records` and served by :mod:`tests.toy.server`
- ``truth/``: tab-separated tables of what must be counted, see the methods of :class:`World`
"""

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from tests.toy import archives as packing
from tests.toy import catalogue
from tests.toy.archives import Archive
from tests.toy.catalogue import MOUSE, Experiment
from tests.toy.genomes import (
    Genome,
    fasta_lines,
    gencode_lines,
    joined,
    make_genome,
    make_spike_ins,
    spike_in_lines,
    write_text,
)
from tests.toy.reads import (
    DROPPED,
    FEATURES,
    KITS,
    CountModel,
    Fragment,
    Read,
    droplet_library,
    inclusion_lists,
    plate_cell,
    tally,
)

if TYPE_CHECKING:
    from tests.toy.records import Records
    from tests.toy.server import Server

SEED = 1
PLAYED = "http://127.0.0.1:48620"  # the address of the server in config.yaml
LIST_SIZES = {"3M-february-2018": 2000, "737K-august-2016": 1500}
LIST_FILES = {"3M-february-2018": "3M-february-2018.txt.gz", "737K-august-2016": "737K-august-2016.txt"}
READ_LENGTH = {1: 76, 2: 75}  # of single and paired plate cells
CELLS = {"v3": 40, "v2": 36}
LITE_RUNS = ("SRR9000001", "SRR9000002")
_SOURCES = ("genomes.py", "reads.py", "catalogue.py", "archives.py", "world.py")

Spots = list[tuple[Read | None, ...]]


class World:
    """A built toy world.

    ``folder`` is where it lies; ``references`` is name → {"fasta", "gtf"}, ``spike_ins`` the same for the spike-ins,
    ``inclusion_lists`` name → path, ``sra`` the folder of the archives; all paths are absolute.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        place = folder / "references"
        self.references = {
            name: {"fasta": place / f"{name}.fa.gz", "gtf": place / f"{name}.gtf.gz"} for name in ("hg38", "mm10")
        }
        self.spike_ins = {"fasta": place / "spike_ins.fa", "gtf": place / "spike_ins.gtf"}
        self.inclusion_lists = {name: folder / "inclusion_lists" / file for name, file in LIST_FILES.items()}
        self.sra = folder / "sra"
        self.series = catalogue.toy_series()

    @cached_property
    def _told(self) -> dict:
        return json.loads((self.folder / "archives.json").read_text(encoding="utf-8"))

    def _archives(self, kind: str) -> dict[str, Archive]:
        return {
            run: Archive(**{**facts, "reads": tuple(map(tuple, facts["reads"]))})
            for run, facts in self._told[kind].items()
        }

    @property
    def seed(self) -> int:
        """The seed of which it was made."""
        return self._told["seed"]

    @cached_property
    def archives(self) -> dict[str, Archive]:
        """Run → what the records tell of its archive, for every run that has one, corrupt and gone included."""
        return self._archives("archives")

    @cached_property
    def lite_archives(self) -> dict[str, Archive]:
        """Run → the same of its Lite archive, for the few runs that have one."""
        return self._archives("lite")

    @cached_property
    def records(self) -> "Records":
        """The archives' answers; addresses in them hold a placeholder for the server."""
        from tests.toy.records import Records

        return Records(self)

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """Accession → experiment, over all series; a sample without experiment is not among them."""
        return {
            experiment.accession: experiment
            for series in self.series.values()
            for experiment in series.experiments
            if experiment.accession
        }

    def genome(self, name: str) -> Genome:
        """Return a genome with its spike-ins, as the reads were made from it."""
        return joined(make_genome(name, self.seed), make_spike_ins(self.seed))

    def plate_truth(self) -> dict[str, dict[str, int]]:
        """Return experiment → gene or htseq-count tally → count, zeros included.

        An experiment of two species has two entries, ``{experiment}.homo`` and ``{experiment}.mus``. The lost and the
        corrupt run's experiments are there as well: what they would have counted.
        """
        truth: dict[str, dict[str, int]] = {}
        for experiment, gene, count in self._table("plate.tsv"):
            if gene != DROPPED:
                truth.setdefault(experiment, {})[gene] = int(count)
        return truth

    def dropped(self) -> dict[str, int]:
        """Return experiment (named as in the plate truth) → fragments that STAR does not align, orphans included.

        These and the counts of the plate truth make up the spots of the experiment's runs.
        """
        return {experiment: int(count) for experiment, gene, count in self._table("plate.tsv") if gene == DROPPED}

    def reads_made(self) -> dict[str, int]:
        """Return run → spots, for every run that has an archive."""
        return {run: int(spots) for run, spots in self._table("reads_made.tsv")}

    def droplet_truth(self, experiment: str) -> dict[str, dict[tuple[str, str], int]]:
        """Return feature → (barcode, gene) → distinct UMIs of unique reads (the raw matrix), no zeros."""
        truth: dict[str, dict[tuple[str, str], int]] = {feature: {} for feature in FEATURES}
        for library, feature, barcode, gene, umis in self._table("droplets.tsv"):
            if library == experiment:
                truth[feature][barcode, gene] = int(umis)
        return truth

    def droplet_shared(self, experiment: str) -> dict[str, dict[str, int]]:
        """Return feature → barcode → UMIs with a read that fits two genes.

        EM and Rescue share each of them out, so that a barcode's sum grows by one; STARsolo (2.7.10b) does so even
        where another read of the same UMI fits one gene alone, and has counted it.
        """
        shared: dict[str, dict[str, int]] = {feature: {} for feature in FEATURES}
        for library, feature, barcode, umis in self._table("droplets_shared.tsv"):
            if library == experiment:
                shared[feature][barcode] = int(umis)
        return shared

    def cells(self, experiment: str) -> list[str]:
        """Return the barcodes of a droplet library's real cells, sorted."""
        return sorted(barcode for library, barcode in self._table("cells.tsv") if library == experiment)

    def configuration(self, server: "Server") -> dict:
        """Return the demo's configuration (config.yaml beside this file), its addresses those of ``server``."""
        text = (Path(__file__).parent / "config.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text.replace(PLAYED, server.url))

    def _table(self, name: str) -> Iterator[list[str]]:
        with (self.folder / "truth" / name).open(encoding="utf-8", newline="") as handle:
            rows = csv.reader(handle, delimiter="\t")
            next(rows)
            yield from rows


def default_folder(seed: int = SEED) -> Path:
    """Return the folder of a seed's world in the user's cache; its name tells the sources and the loader it is made of.

    Archives hold the time at which they were loaded: all checkouts of a user share a world, and so the same bytes.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(f"{seed} {packing.tool_version()}".encode())
    for source in _SOURCES:
        digest.update((here / source).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sra2matrix" / f"toy-{digest.hexdigest()[:16]}"


def build(folder: str | Path | None = None, seed: int = SEED) -> World:
    """Return the toy world in ``folder`` (default: the cache), building it where it is not yet there.

    It is built aside and renamed, so that no half world is ever seen. Raises RuntimeError where a loader is missing.
    """
    missing = packing.missing_tools()
    if missing:
        raise RuntimeError(f"The toy world needs sra-tools and their loaders; not found: {', '.join(missing)}.")
    target = (default_folder(seed) if folder is None else Path(folder)).absolute()
    if not (target / "archives.json").exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
        try:
            _make(aside, seed)
            aside.chmod(0o755)
            if target.is_dir() and not any(target.iterdir()):
                target.rmdir()
            aside.rename(target)
        except OSError:
            if not (target / "archives.json").exists():  # else another process was first, and its world is as good
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return World(target)


class _Made(NamedTuple):
    """Reads of all runs, and the rows of the truth tables."""

    spots: dict[str, tuple[str, Spots]]  # run → read types, spots
    plate: list[tuple[str, str, int]]
    droplets: list[tuple[str, str, str, str, int]]
    shared: list[tuple[str, str, str, int]]
    cells: list[tuple[str, str]]


def _make(folder: Path, seed: int) -> None:
    spike_ins = make_spike_ins(seed)
    models = {}
    for tax_id, name in catalogue.REFERENCES.items():
        genome = make_genome(name, seed)
        write_text(folder / "references" / f"{name}.fa.gz", fasta_lines(genome.contigs))
        write_text(folder / "references" / f"{name}.gtf.gz", gencode_lines(genome))
        models[tax_id] = CountModel(joined(genome, spike_ins))
    write_text(folder / "references" / "spike_ins.fa", fasta_lines(spike_ins.contigs))
    write_text(folder / "references" / "spike_ins.gtf", spike_in_lines(spike_ins))
    lists = inclusion_lists(LIST_SIZES, random.Random(f"{seed} inclusion lists"))
    for name, barcodes in lists.items():
        write_text(folder / "inclusion_lists" / LIST_FILES[name], (f"{barcode}\n" for barcode in barcodes))

    made = _Made({}, [], [], [], [])
    for series in catalogue.toy_series().values():
        for experiment in series.experiments if not series.parts else ():
            dice = random.Random(f"{seed} {experiment.sample}")
            if experiment.kind == "plate":
                _make_plate_cell(made, experiment, models, dice)
            elif experiment.kind == "droplet":
                barcodes = lists[KITS[experiment.kit].inclusion_list]
                _make_library(made, experiment, models[experiment.tax_ids[0]], barcodes, dice)
    _write_table(folder / "truth" / "plate.tsv", ("experiment", "gene", "count"), made.plate)
    rows = sorted((run, len(spots)) for run, (_, spots) in made.spots.items())
    _write_table(folder / "truth" / "reads_made.tsv", ("run", "spots"), rows)
    _write_table(folder / "truth" / "droplets.tsv", ("experiment", "feature", "barcode", "gene", "umis"), made.droplets)
    _write_table(folder / "truth" / "droplets_shared.tsv", ("experiment", "feature", "barcode", "umis"), made.shared)
    _write_table(folder / "truth" / "cells.tsv", ("experiment", "barcode"), made.cells)
    told, lite = _pack(folder, made)
    facts = {
        "seed": seed,
        "archives": {run: told[run]._asdict() for run in sorted(told)},
        "lite": {run: lite[run]._asdict() for run in sorted(lite)},
    }
    (folder / "archives.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _make_plate_cell(made: _Made, experiment: Experiment, models: dict[str, CountModel], dice: random.Random) -> None:
    """Make a cell's reads, shuffled over its runs, and its truth: one for each of its species."""
    length = READ_LENGTH[experiment.ends]
    fragments: list[Fragment] = []
    share = experiment.fragments // len(experiment.tax_ids)
    several = len(experiment.tax_ids) > 1
    for tax_id in experiment.tax_ids:
        model = models[tax_id]
        own = plate_cell(model, share, experiment.ends, length, dice, spike_ins=not several)
        counts = tally(own, model.genome.genes)
        counts[DROPPED] += (len(experiment.tax_ids) - 1) * share
        if experiment.accession == catalogue.ORPHANS:
            counts[DROPPED] += 12
        name = f"{experiment.accession}.{catalogue.SPECIES[tax_id]}" if several else experiment.accession
        made.plate.extend((name, gene, count) for gene, count in sorted(counts.items()))
        fragments += own
    spots: Spots = [fragment.reads for fragment in fragments]
    if experiment.accession == catalogue.ORPHANS:  # what lost its mate aligns nowhere: the truth needs no rule for it
        junk = plate_cell(models[MOUSE], 12, 1, length, dice, only_junk=True)
        spots += [(*fragment.reads, None) for fragment in junk]
    dice.shuffle(spots)
    for number, run in enumerate(experiment.runs):
        made.spots[run] = "B" * experiment.ends, spots[number :: len(experiment.runs)]


def _make_library(
    made: _Made, experiment: Experiment, model: CountModel, barcodes: Sequence[str], dice: random.Random
) -> None:
    kit = KITS[experiment.kit]
    library = droplet_library(model, kit, barcodes, len(experiment.runs), CELLS[kit.name], dice)
    for run, spots in zip(experiment.runs, library.spots, strict=True):
        if kit.index:
            made.spots[run] = "TTB", list(spots)
        else:
            made.spots[run] = "BB", [(spot.barcode, spot.cdna) for spot in spots]
    made.cells.extend((experiment.accession, barcode) for barcode in sorted(library.cells))
    for feature, umis in library.truth.items():
        made.droplets.extend((experiment.accession, feature, *where, count) for where, count in umis.items())
    for feature, barcodes_shared in library.shared.items():
        made.shared.extend((experiment.accession, feature, *pair) for pair in barcodes_shared.items())


def _pack(folder: Path, made: _Made) -> tuple[dict[str, Archive], dict[str, Archive]]:
    """Pack every run, some loaders side by side; return run → what the records tell of it, full and Lite."""
    lites: dict[str, Archive] = {}
    for name in ("sra", "lite", "fastq"):
        (folder / name).mkdir()

    def pack(run: str) -> Archive:
        read_types, spots = made.spots[run]
        path = folder / "sra" / f"{run}.sra"
        archive = packing.load(path, spots, read_types)
        if run == catalogue.CORRUPT:
            archive = packing.corrupt(path, archive)
        elif run == catalogue.GONE:
            path.unlink()
        else:  # ENA holds no technical reads
            kept = [tuple(r for r, kind in zip(reads, read_types, strict=True) if kind == "B") for reads in spots]
            for name, content in packing.ena_fastq(run, kept).items():
                (folder / "fastq" / name).write_bytes(content)
        if run in LITE_RUNS:
            dull = [
                tuple(read and read._replace(quality="?" * len(read.sequence)) for read in reads) for reads in spots
            ]
            lites[run] = packing.load(folder / "lite" / f"{run}.sra", dull, read_types)
        return archive

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(made.spots, pool.map(pack, made.spots), strict=True)), lites


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    write_text(path, ("\t".join(map(str, row)) + "\n" for row in (header, *rows)))


def main(argv: Sequence[str] | None = None) -> None:
    """Build the world and tell where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", help="the folder to build in; default: the cache of this checkout")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed makes other genomes, reads and counts")
    options = parser.parse_args(argv)
    print(build(options.output, options.seed).folder)


if __name__ == "__main__":
    main()
