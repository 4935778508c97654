"""A series more: only its own runs are worked on, and the results are those of both series from the start."""

import re

import pytest

from tests.checksums import sums
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

FIRST, SECOND = "GSE900003", "GSE900001"
OF_UNITS = ("download", "fastq", "align", "count")
REST = {f"SRX90000{number:02d}": "one shard of a few cells is enough here" for number in range(4, 45)}
OF_TABLES = ("counts_table", "log_table", "metadata", "counts_h5ad")


def jobs(reported):
    """Return rule → what it was run for, from Snakemake's list of jobs."""
    done = {}
    for rule, text in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: {4}.+\n)+)", reported, re.M):
        wildcards = re.search(r"wildcards: (.+)", text)
        done.setdefault(rule, []).extend(wildcards[1].split("=")[1:] if wildcards else [""])
    return {rule: sorted(names) for rule, names in done.items()}


@pytest.fixture(scope="module")
def run(world):
    def run(folder, series, *options):
        with Server(world) as server:
            small = {**world.configuration(server), "series": series, "droplets": {}, "max_failed": 1.0}
            leave_out = REST if SECOND in series else {}
            assert run_workflow(folder, small | {"leave_out": leave_out}, ["--cores", "2", "-p", *options]) == 0
            return [request.path for request in server.requests]

    return run


def test_a_series_more_is_worked_on_alone(run, tmp_path, capfd):
    run(tmp_path / "grown", [FIRST])
    before = jobs(capfd.readouterr().err)
    assert set(OF_UNITS) <= set(before)
    assert all(name.startswith(f"{FIRST}.") for rule in OF_UNITS for name in before[rule])

    requests = run(tmp_path / "grown", [FIRST, SECOND])
    after = jobs(capfd.readouterr().err)
    shards = sorted(path.name.removesuffix(".h5ad") for path in (tmp_path / "grown/units/counts").glob(f"{SECOND}*"))
    assert shards
    assert {rule: after[rule] for rule in OF_UNITS} == dict.fromkeys(OF_UNITS, shards)
    assert not {"reference", "star_index", "count_index"} & set(after)
    species = sorted({shard.split(".")[1] for shard in shards} | {name.split(".")[1] for name in before["count"]})
    assert {rule: after[rule] for rule in OF_TABLES} == dict.fromkeys(OF_TABLES, species)
    assert requests
    assert not any(FIRST in path for path in requests if "sra-pub" in path)

    run(tmp_path / "whole", [FIRST, SECOND], "--quiet")
    assert sums(tmp_path / "grown/results") == sums(tmp_path / "whole/results")

    run(tmp_path / "grown", [FIRST, SECOND])
    assert not set(jobs(capfd.readouterr().err)) & {*OF_UNITS, *OF_TABLES}
