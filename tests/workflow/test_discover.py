"""New series by the workflow: found, accepted, planned; a month later what is new, and nothing else."""

import csv

import pytest

from scripts.plan.run_table import read_runs
from tests.toy.catalogue import DROPLET, MIXED, PLATE, SUPER
from tests.toy.demo import run_workflow
from tests.toy.records import OUTSIDE
from tests.toy.server import Server

pytestmark = pytest.mark.tools

ACCEPTED = "results/discovered.accepted.txt"


@pytest.fixture(scope="module")
def call(world, tmp_path_factory):
    """Return a function that calls the workflow in one folder, and the server."""
    folder = tmp_path_factory.mktemp("analysis")
    with Server(world) as server:
        server.records.publish(PLATE, "2026-10-02", today="2026-10-10")
        server.records.show(PLATE, 40)
        server.records.publish(SUPER, "2026-10-02")
        server.records.publish(MIXED, "2026-11-01")  # private until then
        server.records.publish(OUTSIDE, "2026-10-05")

        def call(target, *options, **changes):
            server.requests.clear()
            configuration = {
                **world.configuration(server),
                "series": [],
                "discover": {"since": "2026-10-01"},
                **changes,
            }
            assert run_workflow(folder, configuration, [target, "--cores", "2", "--quiet", *options]) == 0
            return folder

        yield call, server


def rows_of(folder):
    with (folder / "results/discovered.tsv").open(encoding="utf-8", newline="") as handle:
        return {row["series"]: row for row in csv.DictReader(handle, delimiter="\t")}


def asked(server, pattern):
    return [request.path for request in server.asked(pattern)]


def test_what_is_new_is_found_taken_in_and_found_again(call):
    run, server = call
    folder = run("discover")
    rows = rows_of(folder)
    assert {name: (row["verdict"], row["planned"]) for name, row in rows.items()} == {
        OUTSIDE: ("certain", "1"),
        PLATE: ("certain", "41"),
        SUPER: ("certain", "44"),  # with the libraries of an older part
    }
    assert rows[SUPER]["parts"] == f"{PLATE}, {DROPLET}"
    assert (folder / "results/discovered.html").stat().st_size > 1000
    assert not (folder / "results/plan.tsv").exists()
    assert not asked(server, "sra-pub|filereport|/files/")
    named = [line.split()[0] for line in (folder / ACCEPTED).read_text().splitlines() if line[0] != "#"]
    assert sorted(named) == [OUTSIDE, PLATE]

    run("resolve", series=ACCEPTED)
    assert not asked(server, "eutils|soft")  # ENA is asked beside what is kept
    assert sum(row.status == "planned" for row in read_runs(folder / "results/plan.tsv")) == 42
    run("resolve", series=ACCEPTED)
    assert not server.requests

    # A month later: the series of the analysis has grown, another one is public now.
    server.records.publish(MIXED, "2026-11-01", today="2026-11-10")
    server.records.show(PLATE, 44)
    run("discover", series=ACCEPTED)
    fetched = [path.rpartition("/")[2] for path in asked(server, r"soft\.gz")]
    assert fetched == [f"{series}_family.soft.gz" for series in (MIXED, SUPER)]  # new, and grown outside the analysis
    rows = rows_of(folder)
    assert (rows[PLATE]["in_analysis"], rows[PLATE]["planned"], rows[MIXED]["in_analysis"]) == ("yes", "41", "no")
    assert f"GEO now has 44 samples, its kept record 40; `refresh: [{PLATE}]`" in rows[PLATE]["note"]
    assert rows[MIXED]["left_out"] == "CONTROLLED_ACCESS 1, NOT_RNA 2, NO_RUN 1, OTHER_SPECIES 1"
    run("resolve", series=ACCEPTED, refresh=[PLATE])
    assert sum(row.status == "planned" for row in read_runs(folder / "results/plan.tsv")) == 42 + 4 + 11
