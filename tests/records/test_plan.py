"""The command plan: what a plan costs, and what it learns of jobs that are done."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, read_runs, write_runs
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.size_model import FILE, LEAST_MB, SizeModel
from scripts.plan.units import Cut, cut_into_units, summarize_unit
from scripts.records import plan
from tests.plan.sizes.test_size_model import HUMAN, write_benchmark


@pytest.fixture
def analysis(tmp_path, monkeypatch):
    """An analysis directory with a plan of two shards and a library."""
    monkeypatch.chdir(tmp_path)
    rows = [
        Run(series="GSE1", experiment=f"SRX{n}", run=f"SRR{n}", species="mus", assay="plate", status="planned",
            bytes="500000000", bases="1000000000", spots="5000000")
        for n in range(3)
    ]  # fmt: skip
    rows.append(rows[0]._replace(experiment="SRX9", run="SRR9", assay="droplet", spots="100000000"))
    (tmp_path / "results").mkdir()
    write_runs(tmp_path / "results/plan.tsv", rows)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("plates: {shard_size: 2}\nscratch: {limit_gb: 10}\n")
    return tmp_path


def test_the_cost_of_a_plan(analysis, capsys):
    plan.main([])
    printed = capsys.readouterr().out
    lines = [line.split("\t") for line in (analysis / "units/cost.tsv").read_text().splitlines()]
    assert lines[0] == "stage jobs download_gb scratch_gb memory_gb core_hours node_hours".split()
    cost = {line[0]: dict(zip(lines[0][1:], map(float, line[1:]), strict=True)) for line in lines[1:]}
    assert {stage: row["jobs"] for stage, row in cost.items()} == {
        "reference": 1, "kmers": 1, "star_index": 1, "count_index": 1, "download": 3, "fastq": 3, "align": 2,
        "count": 2, "read_roles": 1, "solo": 1, "cells": 1, "mex_archive": 1, "table": 3, "droplets_h5ad": 1,
        "report": 1, "all": 23,
    }  # fmt: skip
    assert cost["download"]["download_gb"] == cost["all"]["download_gb"] == 2.0
    assert cost["all"]["scratch_gb"] == cost["solo"]["scratch_gb"] == 25.995  # of the library: its FASTQ, and 22
    align = 2 * 16 * (0.1 + HUMAN["index_mb"] / 6000) / 60 + 3 * (0.015 + 5 * 2.5) / 60
    assert cost["align"]["core_hours"] == pytest.approx(align, abs=0.001)
    assert cost["align"]["node_hours"] == pytest.approx(align / 16, abs=0.001)
    part = max(1 / 16, LEAST_MB / 1000 / 64)  # its core is more of a node than its memory
    assert cost["reference"]["node_hours"] == pytest.approx((0.2 + 3200 / 500) / 60 * part, abs=0.001)
    assert cost["all"]["node_hours"] == pytest.approx(
        sum(row["node_hours"] for stage, row in cost.items() if stage != "all"), abs=0.01
    )
    assert printed.startswith("What it will cost:\n")
    assert "as shipped; a node of 16 cores and 64 GB" in printed
    assert "(the largest unit needs 26 GB of scratch; scratch.limit_gb is 10)" in printed


def test_the_second_estimate_is_nearer(analysis, capsys):
    units = {name: summarize_unit(rows) for name, rows in cut_into_units(_planned(analysis), Cut(2)).items()}
    estimator = Estimator(SizeModel(), {"mm10": HUMAN}, {"mus": "mm10"}, 2)
    for name, unit in units.items():  # a site whose jobs take a third of the time
        for stage, sizes in estimator.unit_jobs(name, unit):
            seconds = SizeModel().minutes(stage, sizes) * 20
            memory = int(SizeModel().memory_mb(stage, sizes) / 2)
            line = f"{seconds}\t-\t9\t9\t9\t{memory}\t0\t0\t0\t0\t{int(sizes['threads'])}"
            write_benchmark(analysis / "logs/benchmarks", stage, name, line, "\tthreads")
    plan.main([])
    first = (analysis / "units/cost.tsv").read_text()
    capsys.readouterr()
    plan.main(["--learn", "logs/benchmarks"])
    printed = capsys.readouterr().out
    all_jobs = next(line.split() for line in printed.splitlines() if line.split()[:1] == ["all"])
    assert all_jobs[1] == "14"
    before, after, memory_before, memory_after = map(float, all_jobs[2:])
    assert 2.5 < before <= 3 and after < 0.7 * before
    assert memory_after < memory_before
    assert "fitted to 14 jobs done here" in printed
    learnt = json.loads((analysis / FILE).read_text())
    assert learnt["align"]["jobs"] == 2
    second = (analysis / "units/cost.tsv").read_text()
    hours = [float(text.splitlines()[-1].split("\t")[5]) for text in (first, second)]
    assert hours[1] < hours[0]
    plan.main([])  # the next plan goes by it
    assert (analysis / "units/cost.tsv").read_text() == second


def _planned(analysis):

    return read_runs(analysis / "results/plan.tsv")


def test_faults(analysis):
    with pytest.raises(InputError, match=r"logs/benchmarks: no benchmark of a job of the plan;"):
        plan.main(["--learn", "logs/benchmarks"])
    with pytest.raises(InputError, match=r"--threads: 'many' is not a number of threads"):
        plan.main(["--threads", "align=many"])
    with pytest.raises(InputError, match=r"--references: 'mm10' is not of the form NAME=VALUE"):
        plan.main(["--references", "mm10"])
    (analysis / "config/config.yaml").write_text("species: {rat: {tax_id: 10116, reference: rn7}}\n")
    with pytest.raises(InputError, match=r"mus is not configured; give --references SPECIES=NAME"):
        plan.main([])
