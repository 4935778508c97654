"""A census is kept current and published: only what is new is done, and the tables are those of a fresh run."""

import csv
import re

import pytest

from scripts.harvest import release, verify
from scripts.plan.run_table import read_runs
from tests.checksums import sums
from tests.toy import catalogue, months
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools


class Census:
    """An analysis directory, and what the last call asked the archives for."""

    def __init__(self, folder):
        self.folder, self.results = folder, folder / "results"
        self.port = 0

    def run(self, world, *options):
        """Run the workflow; return the runs whose archives were fetched, and the number of requests."""
        with Server(world, self.port) as server:
            self.port = int(server.host.rpartition(":")[2])  # archives keep their addresses
            configuration = world.configuration(server) | {"series": [catalogue.MIXED], "droplets": {}}
            configuration["species"] = {"homo": {"tax_id": 9606, "reference": "hg38"}}
            assert run_workflow(self.folder, configuration, ["--cores", "2", "--quiet", *options]) == 0
            found = (re.search(r"sra-pub-run-odp/sra/(\w+)", request.path) for request in server.requests)
            return sorted({run[1] for run in found if run}), len(server.requests)

    def release(self, version, *options):
        """Make a release, check it, and return what changed since the one before: run → change, why."""
        release.main([str(self.folder), "--version", version, *options])
        made = self.folder / "releases" / version
        verify.main([str(made)])
        if not options:
            return {}
        with (made / "changes_since.tsv").open(newline="") as handle:
            rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            return {row["runs"]: (row["change"], row["why"]) for row in rows}

    def column(self, run):
        import pandas

        table = pandas.read_csv(self.results / "homo.htseq-count.csv.gz", index_col=0, low_memory=False)
        return list(table[run]) if run in table else None

    def row(self, run):
        (row,) = (row for row in read_runs(self.results / "runs.tsv") if row.run == run)
        return row

    def changes(self):
        with (self.results / "changes.tsv").open(newline="") as handle:
            rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            return {row["run"]: row for row in rows if row["run"]}


def test_a_census_is_kept_current(world, tmp_path):
    census = Census(tmp_path / "census")
    census.run(months.month_before(world, tmp_path / "before"))
    before = {run: census.column(run) for run in (months.REPLACED, months.WITHDRAWN)}
    assert census.column(months.GROWN) is None
    census.release("2026.10")

    now = months.month_after(world)
    fetched, _ = census.run(now, "--config", "refresh=all")
    assert fetched == [months.REPLACED, months.GROWN]
    changes = census.changes()
    assert {run: row["change"] for run, row in changes.items()} == {
        months.GROWN: "new",
        months.REPLACED: "changed",
        months.RETITLED: "changed",
        months.WITHDRAWN: "gone",
    }
    assert changes[months.RETITLED]["what_follows"] == "the tables are made again"
    assert census.column(months.WITHDRAWN) == before[months.WITHDRAWN]  # kept
    assert (census.row(months.WITHDRAWN).status, census.row(months.GROWN).status) == ("counted", "counted")
    assert census.row(months.WITHDRAWN).detail.startswith("It was there on an earlier look-up")
    assert census.column(months.REPLACED) != before[months.REPLACED]
    kept = sums(census.results)
    since = census.release("2026.11", "--since", str(census.folder / "releases/2026.10"))
    assert since.keys() == {months.GROWN, months.REPLACED}
    assert since[months.GROWN] == ("added", f"{months.GROWN}: not in the release before")
    assert since[months.REPLACED][0] == "counts"
    assert f"{months.REPLACED} md5: " in since[months.REPLACED][1]

    stamps = {path: path.stat().st_mtime_ns for path in census.results.glob("homo*")}
    fetched, requests = census.run(now, "--config", "refresh=all")  # nothing is new: nothing is made
    assert (fetched, requests > 0) == ([], True)
    assert {path: path.stat().st_mtime_ns for path in census.results.glob("homo*")} == stamps
    assert census.run(now) == ([], 0)
    assert census.changes() == {}
    assert {**sums(census.results), "changes.tsv": ""} == {**kept, "changes.tsv": ""}

    fetched, _ = census.run(now, "--config", "withdrawn=remove")
    assert fetched == []
    assert census.row(months.WITHDRAWN).reason == "WITHDRAWN"
    since = census.release("2026.12", "--since", str(census.folder / "releases/2026.11"))
    assert since == {months.WITHDRAWN: ("removed", f"{months.WITHDRAWN}: left_out WITHDRAWN")}
    assert census.column(months.WITHDRAWN) is None

    fetched, _ = census.run(world, "--config", "refresh=all")  # it is back, and what was counted of it is there still
    assert fetched == []
    assert {run: row["change"] for run, row in census.changes().items()} == {months.WITHDRAWN: "back"}
    assert census.column(months.WITHDRAWN) == before[months.WITHDRAWN]
    fresh = Census(tmp_path / "fresh")
    fresh.run(world)
    assert (census.results / "SHA256SUMS").read_bytes() == (fresh.results / "SHA256SUMS").read_bytes()
    (census.results / "changes.tsv").unlink()
    assert sums(census.results) == sums(fresh.results)
