"""A finished analysis that has something of everything that can be changed, and what a dry run of a change plans.

It was made in two steps: from series that were looked up (:func:`looked_up`), then from a run table with the same rows
and a cell of files of one's own (:func:`by_table`), of which nothing else was counted again.
"""

import copy
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.plan.run_table import COLUMNS, Run, read_runs, write_table
from tests.toy import catalogue, labels
from tests.toy.demo import run_workflow
from tests.toy.server import Server
from tests.toy.world import World

LIBRARY = f"{catalogue.DROPLET}.homo.{catalogue.LIBRARY_V2}"
OWN = "mine.mus.0000"
PLATE = [f"{catalogue.PLATE}.mus.000{number}" for number in range(3)]
MUS = {*PLATE, f"{catalogue.MIXED}.mus.0000", OWN}
HOMO = {f"{catalogue.MIXED}.homo.0000"}
SHARDS = MUS | HOMO
CELL = "SRX9000001"
REST = {f"SRX90000{number:02d}": "six cells are enough here" for number in range(7, 45)} | {
    f"SRX9000{number}": "three are enough" for number in (*range(202, 207), 208, 209)
}
TAGS = "name,sequence,read,pattern\ntag1,AACAAGACCCTTGAG,R2,^(BC)\n"
PROBES = f"gene_id,probe_seq,probe_id,included\nENSG1,{'ACGTT' * 10},p1,TRUE\n"


def write_files(world: World, folder: Path) -> None:
    """Write the files of one's own: a reference, a list, tables, the reads of a cell."""
    mine = folder / "mine"
    mine.mkdir(parents=True)
    for name, path in world.references["mm10"].items():
        shutil.copyfile(path, mine / f"mm10.{name}.gz")
    for name, path in world.spike_ins.items():
        shutil.copyfile(path, mine / f"spike_ins.{name}")
    shutil.copyfile(world.inclusion_lists["737K-august-2016"], mine / "list.txt")
    for mate in (1, 2):
        shutil.copyfile(world.folder / f"fastq/SRR9000001_{mate}.fastq.gz", mine / f"cell_{mate}.fastq.gz")
    (mine / "tags.csv").write_text(TAGS)
    (mine / "probes.csv").write_text(PROBES)
    (mine / "series.txt").write_text(f"{catalogue.PLATE}\n{catalogue.MIXED}\n{catalogue.LIBRARY_V2}\n")


def looked_up(world: World, server: Server, folder: Path) -> dict[str, Any]:
    """Return the configuration of the first step."""
    configuration = labels.ask_for_atlas(world, folder, world.configuration(server))
    configuration["references"]["mm10"] |= {
        **{name: f"mine/mm10.{name}.gz" for name in ("fasta", "gtf")},
        "spike_ins": {name: f"mine/spike_ins.{name}" for name in ("fasta", "gtf")},
    }
    return configuration | {
        "series": ["mine/series.txt"],
        "leave_out": REST,
        "plates": {"shard_size": 2},
        "droplets": {
            "inclusion_lists": {"737K-august-2016": "mine/list.txt"},
            "features_reference": "mine/tags.csv",
            "probe_sets": {"homo": "mine/probes.csv"},
        },
        "harvest": {"tpm": True},
    }


def by_table(configuration: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the configuration of the second step, and write its run table, which has a column of one's own."""
    source = "file:mine/cell_1.fastq.gz;mine/cell_2.fastq.gz"
    own = Run(series="mine", sample="GSM1", experiment="cell", run="cell", species="mus", assay="plate", source=source)
    rows = [row for row in read_runs(folder / "results/plan.tsv") if row.status == "planned"]
    write_table(folder / "mine/runs.tsv", (*COLUMNS, "donor"), ((*row, "D1") for row in (*rows, own)))
    return {**configuration, "run_table": "mine/runs.tsv", "leave_out": {}}


def write_configuration(folder: Path, configuration: Mapping[str, Any]) -> None:
    (folder / "config/config.yaml").write_text(yaml.safe_dump(dict(configuration)), encoding="utf-8")


def changed(configuration: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with other values: keys, joined by dots, → value."""
    new = copy.deepcopy(dict(configuration))
    for key, value in changes.items():
        *way, last = key.split(".")
        block = new
        for name in way:
            block = block.setdefault(name, {})
        block[last] = value
    return new


def run(folder: Path, configuration: Mapping[str, Any], *options: str) -> None:
    assert run_workflow(folder, dict(configuration), ["--quiet", "all", "--cores", "2", *options]) == 0


def fetched(server: Server, since: int = 0) -> set[str]:
    """Return the runs whose archives were asked for, from this request on."""
    paths = [request.path for request in server.requests[since:] if "sra-pub" in request.path]
    return {found for path in paths for found in re.findall(r"[SED]RR[0-9]+", path)}
