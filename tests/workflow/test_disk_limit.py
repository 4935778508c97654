"""A unit larger than the bound on scratch fails with DISK_LIMIT, the others go on; disk use of stages is in logs/."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.plan.run_table import read_runs
from scripts.plan.sizes.footprint import format_gb, unit_footprint
from scripts.plan.units import Cut, cut_into_units, summarize_unit
from tests.toy.catalogue import LIBRARY_V3
from tests.toy.demo import HOME
from tests.toy.server import Server

pytestmark = pytest.mark.tools

SHARDS = ["GSE900003.homo.0000", "GSE900003.mus.0000"]
LIMIT = 4e6  # bytes: each of the shards has room, the library has not


def call(folder: Path, configuration: dict, **changes) -> subprocess.CompletedProcess:
    """Call the workflow with a changed configuration."""
    values = {**configuration, "series": ["GSE900003", LIBRARY_V3], "max_failed": 1, **changes}
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", folder]
    command += ["--cores", "2", "-p", "--resources", "downloads=30"]
    return subprocess.run(command, timeout=120, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def analysis(world, tmp_path_factory) -> Path:
    """The directory of an analysis of plate cells and of a library that has no room."""
    folder = tmp_path_factory.mktemp("limit")
    stale = folder / "work/partial/GSE1.mus.0000/SRR1/ncbi/SRR1.sra.part"  # of a plan that is no more
    stale.parent.mkdir(parents=True)
    stale.write_bytes(bytes(1000))
    with Server(world) as server:
        done = call(folder, world.configuration(server), scratch={"limit_gb": LIMIT / 1e9})
        assert done.returncode == 0, done.stderr
        (folder / "reported").write_text(done.stderr, encoding="utf-8")
        assert not server.asked("sra-pub-run-odp.*SRR900010")
    return folder


def test_a_unit_without_room_is_reported_and_the_others_are_counted(analysis, world):
    rows = read_runs(analysis / "results/runs.tsv")
    plan = cut_into_units(read_runs(analysis / "results/plan.tsv"), Cut(16))
    (library,) = plan.keys() - set(SHARDS)
    assert all(unit_footprint(plan[shard]).peak < LIMIT < unit_footprint(plan[library]).peak for shard in SHARDS)
    failed = {row.run: (row.reason, row.detail) for row in rows if row.status == "failed"}
    assert failed.keys() == set(world.experiments[LIBRARY_V3].runs)
    enough = format_gb(unit_footprint(plan[library]).peak).removesuffix(" GB")
    for reason, detail in failed.values():
        assert reason == "DISK_LIMIT"
        words = rf"with its FASTQ it may need [\d.]+ GB, which passes scratch\.limit_gb, {LIMIT / 1e9:g}; "
        assert re.fullmatch(words + rf"set that to {enough} or more, and retry to \[DISK_LIMIT\]\.", detail)
    counted = {row.run for row in rows if row.status == "counted"}
    assert counted == {row.run for shard in SHARDS for row in plan[shard]}


def test_no_stage_uses_more_disk_than_estimated(analysis):
    plan = cut_into_units(read_runs(analysis / "results/plan.tsv"), Cut(16))
    for shard in SHARDS:
        unit = summarize_unit(plan[shard])
        asked = {"download": unit.bytes, "fastq": unit_footprint(plan[shard]).converting}
        assert asked["fastq"] == unit.converting
        for stage, most in asked.items():
            log = (analysis / f"logs/{stage}/{shard}.log").read_text(encoding="utf-8")
            used, estimate = re.search(r"Disk: at most ([\d.]+) MB; the estimate was ([\d.]+) MB\.", log).groups()
            assert 0 < float(used) <= float(estimate) == round(most / 1e6, 1)


def test_all_units_together_open_no_more_transfers_than_configured(analysis):
    """20 to a host, as a unit opens 2: 10 units at most, whatever more the user gives."""
    reported = (analysis / "reported").read_text(encoding="utf-8")
    assert re.search(r"Provided resources: .*\bdownloads=\D*10\b", reported), reported[:3000]


def test_nothing_is_left_of_runs_that_failed(analysis):
    for stage in ("partial", "download", "fastq", "align", "solo"):
        assert not [path for path in (analysis / "work" / stage).rglob("*") if path.is_file()]


def test_with_what_it_says_set_the_unit_is_counted(analysis, world):
    detail = next(row.detail for row in read_runs(analysis / "results/runs.tsv") if row.reason == "DISK_LIMIT")
    enough = float(re.search(r"set that to ([\d.]+) or more, and retry to \[DISK_LIMIT\]", detail)[1])
    with Server(world) as server:
        done = call(analysis, world.configuration(server), scratch={"limit_gb": enough}, retry=["DISK_LIMIT"])
        assert done.returncode == 0, done.stderr
    rows = read_runs(analysis / "results/runs.tsv")
    assert {row.status for row in rows if row.experiment == LIBRARY_V3} == {"counted"}
    assert not [row for row in rows if row.status == "failed"]
