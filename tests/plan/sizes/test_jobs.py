"""Memory, time and scratch of jobs, and which units wait for which."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.sizes.jobs import JobResources, unit_name
from scripts.plan.sizes.size_model import SizeModel
from scripts.plan.units import Unit
from tests.plan.analyses import KITS, analysis

SHARD = Unit("GSE1", "mus", "SRX1", 10**9, 0, 10**6, 96, 5 * 10**9, 7 * 10**9, 6 * 10**9, "d")


def resources(**values: object) -> JobResources:
    units = {
        "GSE1.mus.0000": SHARD,
        "GSE1.mus.0001": SHARD._replace(converting=3 * 10**9, counting=10**9),
        "GSE2.mus.SRX9": SHARD,
    }
    return JobResources(Analysis(analysis(**values).config, KITS, lambda: units), SizeModel())


def test_a_job_is_known_by_the_wildcard_of_its_unit():
    assert unit_name({"unit": "a"}) == unit_name({"shard": "a"}) == unit_name({"library": "a"}) == "a"
    assert unit_name({"species": "mus"}) == ""


def test_sizes_are_those_of_the_unit_and_its_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = resources().sizes("align", {"shard": "GSE1.mus.0000"}, 16)
    assert (sizes["threads"], sizes["runs"], sizes["mspots"], sizes["genome_mb"]) == (16, 96, 1.0, 3200.0)
    assert resources().sizes("mex_archive", {"library": "GSE2.mus.SRX9"}, 2)["mspots"] == 1.0
    assert resources().sizes("table", {"species": "mus"}, 1)["cells"] == 2 * 96
    assert resources().sizes("table", {"species": "homo"}, 1)["cells"] == 0
    assert resources().sizes("report", {}, 1)["cells"] == 2 * 96  # of all species
    with pytest.raises(InputError, match="The plan has no unit 'GSE7'"):
        resources().sizes("align", {"shard": "GSE7"}, 1)


def test_an_attempt_asks_for_half_as_much_again():
    made, job = resources(), {"shard": "GSE1.mus.0000"}
    first, second = (made.memory_mb("count", job, 4, attempt) for attempt in (1, 2))
    assert second == pytest.approx(1.5 * first, abs=1)
    assert made.scratch_mb("fastq", "GSE1.mus.0000") == 7001
    assert made.scratch_mb("fastq", "GSE1.mus.0000", 3) == 14001


def test_units_that_are_done_or_started_wait_for_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = resources(scratch={"limit_gb": 8})
    assert made.waits_for(made.analysis.units) == {"GSE2.mus.SRX9": "GSE1.mus.0000", "GSE1.mus.0001": "GSE2.mus.SRX9"}
    Path("units/status").mkdir(parents=True)
    Path("units/status/GSE1.mus.0000.tsv").touch()
    Path("work/fastq/GSE1.mus.0001").mkdir(parents=True)
    assert made.waits_for(made.analysis.units) == {"GSE2.mus.SRX9": "GSE1.mus.0001"}
    again = made.waits_for(made.analysis.units, lambda unit: unit == "GSE1.mus.0000")  # it is counted once more
    assert again == {"GSE1.mus.0000": "GSE1.mus.0001", "GSE2.mus.SRX9": "GSE1.mus.0000"}


def test_transfers_of_all_units_keep_within_the_bound_of_a_host():
    assert resources(archives={"per_host": 20, "parallel": 4}).downloads_at_once() == 5
    assert resources(archives={"per_host": 2, "parallel": 4}).downloads_at_once() == 1


def test_jobs_are_expected_to_take_what_the_model_says_of_their_stage():
    made, shard = resources(), {"shard": "GSE1.mus.0000"}
    sizes = made.sizes("align", shard, 16)
    assert made.expected_minutes("align", shard, 16) == made.model.minutes("align", sizes)
    table = made.model.minutes("table", {"threads": 1, "cells": 192})
    assert made.expected_minutes("counts_table", {"species": "mus"}, 1) == table
    assert made.expected_minutes("cells_table", {}, 1) == made.expected_minutes("report", {}, 1)
    assert made.expected_minutes("ledger", {}, 1) < 1


def test_cost_options_name_references_and_threads():
    options = resources().cost_options({"align": 16, "counts_table": 3}, 8)
    assert options[:4] == ["--references", "homo=hg38", "mus=mm10", "--fasta"]
    assert [word.partition("=")[0] for word in options[4:6]] == ["hg38", "mm10"]
    assert {"align=8", "table=3", "count=1"} <= set(options)
    assert "align=16" in resources().cost_options({"align": 16}, None)


def test_a_genome_of_unknown_size_is_left_to_the_summary_of_the_plan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = JobResources(resources().analysis, SizeModel(), lambda: ("this machine", 8.0), guesses=False)
    made.memory_mb("align", {"shard": "GSE1.mus.0000"}, 8, 1)
    assert capsys.readouterr().err == ""
    Path("resources/mm10").mkdir(parents=True)
    with Path("resources/mm10/genome.fa").open("wb") as genome:
        genome.truncate(3_000_000_000)  # now it is known
    made.memory_mb("align", {"shard": "GSE1.mus.0000"}, 8, 1)
    assert capsys.readouterr().err.startswith("align: about ")


def test_a_job_that_never_fits_is_named_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = resources()
    for machine, words in (
        (None, ""),
        (64.0, ""),
        (8.0, "align: about 35 GB of memory are needed, this machine has 8;"),
    ):
        made = JobResources(made.analysis, made.model, lambda machine=machine: machine and ("this machine", machine))
        for _ in range(2):
            made.memory_mb("align", {"shard": "GSE1.mus.0000"}, 8, 1)
        said = capsys.readouterr().err
        assert said.startswith(words)
        assert said.count("\n") == bool(words)
