"""What fails ends well: nothing is done in vain, and the last words say why and what to type."""

import re

import pytest

from scripts.plan.run_table import iterate_runs
from tests.toy import catalogue
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools


def test_nothing_is_fetched_for_a_reference_that_fails(world, tmp_path, capfd):
    with Server(world) as server:
        values = {**world.configuration(server), "series": [catalogue.MIXED]}
        address = f"{server.url}/files/references/mm10"
        values["references"]["mm10"] = {"fasta": f"{address}.fa.gz", "gtf": f"{address}.gtf.gz"}
        server.fault("references/mm10.gtf", "404")
        assert run_workflow(tmp_path, values, ["--cores", "2"]) == 1
        rows = [row for row in iterate_runs(tmp_path / "results/plan.tsv") if row.status == "planned"]
        of = {species: {row.run for row in rows if row.species == species} for species in ("homo", "mus")}
        fetched = {run for run in of["homo"] | of["mus"] if server.asked(f"sra-pub-run-odp.*{run}")}
    assert of["mus"] - of["homo"]
    assert fetched == of["homo"]
    # Its reads are there for the next call: to convert them, the k-mers of every species are needed.
    assert [path.name for path in tmp_path.glob("work/download/*")] == ["GSE900003.homo.0000"]
    words = capfd.readouterr().err.splitlines()
    told = ["Failed: reference mm10 (logs/reference/mm10.log):", "    The reference mm10 needs 1 correction:"]
    at = words.index(told[0])  # when it fails, and at the end
    assert words[at : at + 3] == [*told, f"    {address}.gtf.gz: the server answered 404 Not Found."]
    assert any(re.fullmatch(r"\d+ of \d+ jobs done, 1 failed in .+\.", line) for line in words)
    assert not any(word in line for line in words for word in ("rule reference:", "Error in rule", "At least one job"))
    assert words[-5:-2] == [
        "  reference mm10 (logs/reference/mm10.log):",
        "    The reference mm10 needs 1 correction:",
        f"    {address}.gtf.gz: the server answered 404 Not Found.",
    ]
