"""Plates counted by STARsolo from archives to results, and floors that count nothing again."""

import csv
import gzip
import io

import pandas
import pytest

from scripts.harvest import verify
from scripts.plan.run_table import read_runs
from tests.toy.demo import run_workflow
from tests.toy.server import Server
from tests.workflow.test_incremental import OF_UNITS, REST, SECOND, jobs

pytestmark = pytest.mark.tools


def run(world, folder, **plates):
    with Server(world) as server:
        config = {**world.configuration(server), "series": [SECOND], "droplets": {}, "max_failed": 1.0}
        config |= {"leave_out": REST, "plates": {"counter": "starsolo", "shard_size": 2, **plates}}
        assert run_workflow(folder, config, ["--cores", "2", "-p"]) == 0


def cells_of(folder):
    text = gzip.decompress((folder / "results/quality/cells.csv.gz").read_bytes()).decode()
    return {row["cell"]: row for row in csv.DictReader(io.StringIO(text))}


def test_a_shard_is_counted_in_one_call_and_floors_count_nothing_again(world, tmp_path, capfd):
    run(world, tmp_path)
    assert "align" in jobs(capfd.readouterr().err)
    results = tmp_path / "results"
    verify.main([str(results)])
    cells = cells_of(tmp_path)
    counted = {row.experiment for row in read_runs(results / "runs.tsv") if row.status == "counted"}
    assert counted and cells.keys() == counted
    made = world.reads_made()
    for name, cell in cells.items():
        assert int(cell["reads"]) == sum(made[run] for run in world.experiments[name].runs)
        assert int(cell["reads"]) - int(cell["mapped_once"]) - int(cell["mapped_several"]) == sum(
            int(cell[column]) for column in ("too_many_loci", "unmapped_mismatches", "unmapped_short", "unmapped_other")
        )
    species = {cell["species"] for cell in cells.values()}
    for name in species:
        import anndata

        matrix = anndata.read_h5ad(results / f"{name}.h5ad")
        assert matrix.uns["tools"]["counter"] == "STARsolo"
        assert matrix.uns["parameters"]["counter"] == "starsolo" and "mode" not in matrix.uns["parameters"]
        logs = pandas.read_csv(results / f"{name}.log.csv.gz", index_col=0)
        assert "Number of input reads" in logs.index and "Average mapped length" not in logs.index

    run(world, tmp_path, min_mapped=1.0)
    after = jobs(capfd.readouterr().err)
    assert not set(after) & set(OF_UNITS) and "cells_table" in after
    lost = {row.experiment for row in read_runs(results / "runs.tsv") if row.reason == "LOW_MAPPING"}
    low = {name for name, cell in cells.items() if float(cell["pct_mapped"] or 100) < 100}
    assert low and lost == low
    verify.main([str(results)])
    assert {name for name, cell in cells_of(tmp_path).items() if cell["status"] == "failed"} == low
