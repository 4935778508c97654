"""Refitting the size model: what is learnt from the benchmarks of jobs."""

import math
import random

import pytest

from scripts.core.workflow.snakemake import Benchmark
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.learning import Job, errors_of, fit, jobs_done, learn
from scripts.plan.sizes.size_model import SHIPPED, SizeModel, amount, read_model, write_model
from scripts.plan.units import Unit
from tests.plan.sizes.test_size_model import HUMAN, SIZED


def jobs(number: int, seed: int, scale: dict[str, float], noise: float = 0.1) -> list[Job]:
    """Jobs of a site at which each term of time is so many times the shipped one."""
    dice = random.Random(seed)
    made = []
    for _ in range(number):
        sizes = {**SIZED, "runs": float(dice.randrange(1, 97)), "mspots": dice.uniform(1, 400), "threads": 8.0}
        terms = {term: factor * scale.get(term, 1.0) for term, factor in SHIPPED["align"].minutes.items()}
        minutes = sum(factor * amount(term, sizes) for term, factor in terms.items())
        made.append(Job("align", sizes, minutes * math.exp(dice.gauss(0, noise)), 40_000 * dice.uniform(0.9, 1.1)))
    return made


def test_what_is_learnt_of_some_jobs_is_nearer_to_others():
    site = {"mspots/threads": 3.0, "index_mb": 0.2}
    learnt = learn(jobs(20, 1, site))
    assert learnt["align"].jobs == 20
    assert learnt["align"].minutes["mspots/threads"] == pytest.approx(7.5, rel=0.15)
    others = jobs(50, 2, site)
    before, after = errors_of(SizeModel(), others), errors_of(SizeModel(learnt), others)
    assert before["minutes"]["all"] > 2
    assert after["minutes"]["all"] < 1.15
    assert after["memory_mb"]["all"] < min(1.1, before["memory_mb"]["all"])
    for job in others:  # and all of them are given enough
        assert SizeModel(learnt).asked_minutes("align", job.sizes) > job.minutes
        assert SizeModel(learnt).asked_mb("align", job.sizes) > job.memory_mb


def test_few_jobs_move_little_and_a_wild_one_does_not_lead_astray():
    shipped = SHIPPED["align"].minutes
    (one,) = jobs(1, 3, {"mspots/threads": 2.0}, noise=0)
    learnt = fit(shipped, [(one.sizes, one.minutes)], "minutes")
    assert shipped["mspots/threads"] < learnt["mspots/threads"] < 2 * shipped["mspots/threads"]
    many = jobs(20, 4, {})
    wild = many[0]._replace(minutes=many[0].minutes * 1000)
    learnt = learn([*many, wild])["align"]
    assert learnt.minutes["mspots/threads"] == pytest.approx(shipped["mspots/threads"], rel=0.25)


def test_toys_teach_what_a_start_takes_and_nothing_of_genomes():
    toy = {"threads": 2.0, "runs": 5.0, "mspots": 0.003, "genome_mb": 0.2, "index_mb": 2.0}
    learnt = learn([Job("align", toy, 0.03, 250.0)] * 50)["align"]
    assert learnt.minutes["mspots/threads"] == pytest.approx(2.5, rel=0.5)
    assert learnt.minutes["index_mb"] == pytest.approx(1 / 6000, rel=0.1)
    assert learnt.minutes["one"] >= 0.1 * SHIPPED["align"].minutes["one"]  # nor below a floor
    assert learnt.memory_mb["index_mb"] == 1.0
    assert SizeModel({"align": learnt}).asked_mb("align", SIZED) > 1.2 * 29_000
    assert SizeModel({"align": learnt}).asked_mb("align", toy) >= 1000


def test_no_coefficient_is_negative_and_the_same_jobs_give_the_same_bytes(tmp_path):
    made = [*jobs(5, 5, {"mspots/threads": 1e-6}), Job("count", {**SIZED, "threads": 2.0}, 1e-4, None)]
    learnt = learn(made)
    assert all(value > 0 for stage in learnt.values() for value in (*stage.minutes.values(), *stage.memory_mb.values()))
    assert learnt["count"].memory_mb == dict(SHIPPED["count"].memory_mb)
    for name in ("a", "b"):
        write_model(tmp_path / name / "model.json", learn(made))
    assert (tmp_path / "a/model.json").read_bytes() == (tmp_path / "b/model.json").read_bytes()
    assert read_model(tmp_path / "a/model.json").stages == {**SHIPPED, **learnt}
    assert read_model(tmp_path / "none.json").stages == SHIPPED


def test_benchmarks_are_those_of_jobs_of_the_plan():
    units = {
        "GSE1.mus.0000": Unit("GSE1", "mus", "SRX1", 10**9, 10**9, 10**6, 3, 0, 0, 0, ""),
        "GSE1.mus.SRX9": Unit("GSE1", "mus", "SRX9", 10**9, 10**9, 2 * 10**6, 1, 0, 0, 0, ""),
    }
    estimator = Estimator(SizeModel(), {"mm10": HUMAN}, {"mus": "mm10"}, 96)
    done = [
        Benchmark("align", "GSE1.mus.0000", 60.0, 9.0, 4),
        Benchmark("mex_archive", "GSE1.mus.SRX9", 1.0, 9.0, 1),
        Benchmark("star_index", "mm10", 60.0, None, 8),
        Benchmark("counts_h5ad", "mus", 60.0, 9.0, 1),
        Benchmark("bam", "GSE1.mus.0000", 60.0, 9.0, 1),
        Benchmark("align", "GSE7.mus.0000", 60.0, 9.0, 1),
    ]
    found, others = jobs_done(done, units, estimator)
    assert [(job.stage, job.minutes, job.memory_mb) for job in found] == [
        ("align", 1.0, 9.0),
        ("mex_archive", 1 / 60, None),  # too short for its memory to be seen
        ("star_index", 1.0, None),
        ("table", 1.0, 9.0),
    ]
    assert found[0].sizes["mspots"] == 1.0 and found[0].sizes["threads"] == 4.0
    assert found[1].sizes["mspots"] == 2.0 and found[3].sizes["cells"] == 3.0
    assert others == ["align/GSE7.mus.0000"]
