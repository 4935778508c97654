"""Trying again: only the runs that failed for the reasons named, and the results are those of a run without a fault."""

import json

import pytest

from scripts.core.errors import DISK_FULL
from scripts.plan.counted import read_counted
from scripts.plan.run_table import read_runs
from tests.checksums import sums
from tests.toy.demo import HUMAN, run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

LOST = "SRR9000204"


@pytest.fixture(scope="module")
def configuration(world):
    def configure(server, **changes):
        small = {**world.configuration(server), "series": ["GSE900003"], "species": HUMAN, "droplets": {}}
        small["max_failed"] = 0.5
        small["archives"]["retries"] = 0  # what is lost here is not found by waiting
        return {**small, **changes}

    return configure


@pytest.fixture(scope="module")
def undisturbed(world, configuration, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    with Server(world) as server:
        assert run_workflow(folder, configuration(server), ["--quiet"]) == 0
    return sums(folder / "results")


def test_only_what_failed_is_tried_again(world, configuration, undisturbed, tmp_path):
    with Server(world) as server:
        server.fault(LOST, "404")
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
    rows = {row.run: row for row in read_runs(tmp_path / "results" / "runs.tsv")}
    assert (rows[LOST].status, rows[LOST].reason) == ("failed", "DOWNLOAD_FAILED")
    assert sums(tmp_path / "results") != undisturbed

    with Server(world) as server:  # the archive has the run now, but nobody asked to try it again
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
        assert not server.requests

    with Server(world) as server:  # another reason: nothing to do
        assert run_workflow(tmp_path, configuration(server, retry=["EMPTY_READS"]), ["--quiet"]) == 0
        assert not server.requests

    with Server(world) as server:
        assert run_workflow(tmp_path, configuration(server, retry=["DOWNLOAD_FAILED"]), ["--quiet"]) == 0
        asked = [request.path for request in server.requests if "sra-pub" in request.path]
        assert asked
        assert all(LOST in path for path in asked)
    assert sums(tmp_path / "results") == undisturbed

    with Server(world) as server:  # all is well: neither with nor without `retry` is there anything left to do
        for retry in (["DOWNLOAD_FAILED"], []):
            assert run_workflow(tmp_path, configuration(server, retry=retry), ["--quiet"]) == 0
        assert not server.requests


def test_what_fails_again_may_be_tried_again(world, configuration, undisturbed, tmp_path):
    for _ in range(2):
        with Server(world) as server:
            server.fault(LOST, "404")
            assert run_workflow(tmp_path, configuration(server, retry="all"), ["--quiet"]) == 0
            assert any(LOST in request.path or LOST in request.form for request in server.requests)
    with Server(world) as server:
        assert run_workflow(tmp_path, configuration(server, retry="all"), ["--quiet"]) == 0
    assert sums(tmp_path / "results") == undisturbed


def rewrite(path, cause=""):
    """Say in the record of the lost run's shard that it failed for a lack of room."""
    counted = read_counted(path)
    path.write_text(json.dumps(counted._replace(failed=[["DISK_LIMIT", cause]])._asdict()))


def test_a_disk_that_was_full_is_tried_again_by_the_same_command(world, configuration, undisturbed, tmp_path):
    with Server(world) as server:
        server.fault(LOST, "404")
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
    (status,) = (path for path in (tmp_path / "units/status").iterdir() if f"{LOST}\tfailed" in path.read_text())
    status.write_text(status.read_text().replace("DOWNLOAD_FAILED", "DISK_LIMIT"))
    record = tmp_path / f"units/counted/{status.stem}.json"
    rewrite(record)
    with Server(world) as server:  # a limit is not passed by itself
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
        assert not server.requests
    rewrite(record, DISK_FULL)
    with Server(world) as server:
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
        asked = [request.path for request in server.requests if "sra-pub" in request.path]
        assert asked
        assert all(LOST in path for path in asked)
        assert sums(tmp_path / "results") == undisturbed
        server.clear()
        assert run_workflow(tmp_path, configuration(server), ["--quiet"]) == 0
        assert not server.requests


def test_too_many_failed_runs_stop_the_harvest(world, configuration, tmp_path, capfd):
    with Server(world) as server:
        server.fault(LOST, "404")
        assert run_workflow(tmp_path, configuration(server, max_failed=0.05)) == 1
        reported = capfd.readouterr().err
        assert LOST in reported
        assert "DOWNLOAD_FAILED" in reported
        results = tmp_path / "results"
        assert (results / "runs.tsv").exists()
        assert not (results / "homo.htseq-count.csv.gz").exists()
        assert run_workflow(tmp_path, configuration(server, max_failed=0.5), ["--quiet"]) == 0
    assert (results / "homo.htseq-count.csv.gz").exists()
