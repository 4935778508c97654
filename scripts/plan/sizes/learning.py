"""Refit the size model to jobs that are done."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from scripts.core.workflow.snakemake import Benchmark
from scripts.plan.sizes.cost import DROPLET_STAGES, PLATE_STAGES, REFERENCE_STAGES, Estimator
from scripts.plan.sizes.size_model import (
    SHIPPED,
    STAGE_OF_RULE,
    SizeModel,
    Stage,
    amount,
    total,
    unit_sizes,
)
from scripts.plan.units import Unit


class Job(NamedTuple):
    """A job that is done: its stage, its sizes and what it took; memory is None where it was not seen."""

    stage: str
    sizes: Mapping[str, float]
    minutes: float
    memory_mb: float | None


# How far the coefficients may be from the shipped ones: few jobs, or toys, must not lead far astray.
_SHORTEST = 0.1
_LONGEST = 10.0
_LEAST_MEMORY = {"index_mb": 1.0}  # STAR holds its index whole, whatever was measured
_LESS_MEMORY = 0.25
_TRUST = 1.0  # the shipped coefficients count as so many jobs
_ROBUST = 1.5  # a job that is off by more than this (in natural logarithms) pulls no harder
_MEMORY_SEEN = 2.0  # seconds; Snakemake looks every half second, and may not have seen what a shorter job held
_BLUR = {"minutes": 0.02, "memory_mb": 100.0}  # differences below this are no matter


def learn(jobs: Iterable[Job]) -> dict[str, Stage]:
    """Return the stages that have jobs, fitted to these jobs, starting from the shipped coefficients.

    The fit is one of ratios, so that short and long jobs count alike; a coefficient moves as far as the jobs depend on
    it, against a shipped one that counts as one job, and not beyond bounds. The margins cover every job seen: time by
    half as much again, memory by a tenth, and no less than the shipped ones or, for memory, a quarter.
    """
    done: dict[str, list[Job]] = {}
    for job in jobs:
        done.setdefault(job.stage, []).append(job)
    refitted = {}
    for name in sorted(done.keys() & SHIPPED.keys()):
        shipped = SHIPPED[name]
        minutes = fit(shipped.minutes, [(job.sizes, job.minutes) for job in done[name]], "minutes")
        seen = [(job.sizes, job.memory_mb) for job in done[name] if job.memory_mb is not None]
        memory = fit(shipped.memory_mb, seen, "memory_mb")
        late = _furthest(minutes, [(job.sizes, job.minutes) for job in done[name]], "minutes")
        large = _furthest(memory, seen, "memory_mb")
        refitted[name] = Stage(
            minutes,
            memory,
            _digits(max(shipped.minutes_margin, 1.5 * late)),
            _digits(max(1.25, 1.1 * large)) if seen else shipped.memory_margin,
            len(done[name]),
        )
    return refitted


def fit(
    shipped: Mapping[str, float], points: Sequence[tuple[Mapping[str, float], float]], kind: str
) -> dict[str, float]:
    """Return the coefficients of ``shipped`` moved towards points of (sizes, what was measured).

    Minimised is the sum of the squared logarithms of measured / estimated (beyond a factor of 4.5 no longer squared),
    and of the squared logarithms of the coefficients over the shipped ones.
    """
    if not points:
        return dict(shipped)
    import numpy as np
    from scipy.optimize import least_squares

    terms = list(shipped)
    parts = np.array([[shipped[term] * amount(term, sizes) for term in terms] for sizes, _ in points])
    measured = np.array([value for _, value in points]) + _BLUR[kind]
    least = [_LEAST_MEMORY.get(term, _LESS_MEMORY) if kind == "memory_mb" else _SHORTEST for term in terms]

    def residuals(moved: "np.ndarray") -> "np.ndarray":
        estimated = parts @ np.exp(moved) + _BLUR[kind]
        return np.concatenate([np.log(measured / estimated), np.sqrt(_TRUST) * moved])

    moved = least_squares(
        residuals,
        np.zeros(len(terms)),
        bounds=(np.log(least), np.log(_LONGEST)),
        method="dogbox",  # some coefficients start at their bound
        loss="huber",
        f_scale=_ROBUST,
    ).x
    return {term: _digits(shipped[term] * math.exp(value)) for term, value in zip(terms, moved, strict=True)}


def _furthest(terms: Mapping[str, float], points: Sequence[tuple[Mapping[str, float], float]], kind: str) -> float:
    """Return the largest of measured / estimated."""
    blur = _BLUR[kind]
    return max(((measured + blur) / (total(terms, sizes) + blur) for sizes, measured in points), default=1.0)


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def errors_of(model: SizeModel, jobs: Iterable[Job]) -> dict[str, dict[str, float]]:
    """Return ``minutes`` and ``memory_mb`` → stage, and ``all`` → by which factor jobs are off (geometric mean)."""
    offs: dict[str, dict[str, list[float]]] = {"minutes": {}, "memory_mb": {}}
    for job in jobs:
        for kind, measured in (("minutes", job.minutes), ("memory_mb", job.memory_mb)):
            if measured is None:
                continue
            estimated = getattr(model, kind)(job.stage, job.sizes)
            off = abs(math.log((measured + _BLUR[kind]) / (estimated + _BLUR[kind])))
            for name in (job.stage, "all"):
                offs[kind].setdefault(name, []).append(off)
    return {
        kind: {name: math.exp(sum(values) / len(values)) for name, values in of.items()} for kind, of in offs.items()
    }


def memory_seen(seconds: float) -> bool:
    """Return whether a job ran long enough for Snakemake to see its memory."""
    return seconds >= _MEMORY_SEEN


def jobs_done(
    benchmarks: Iterable[Benchmark], units: Mapping[str, Unit], estimator: Estimator
) -> tuple[list[Job], list[str]]:
    """Return the jobs of a plan that have a benchmark, and the names of benchmarks of no job of it."""
    jobs, others = [], []
    for benchmark in benchmarks:
        stage = STAGE_OF_RULE.get(benchmark.rule, benchmark.rule)
        if stage not in estimator.model.stages:
            continue
        sizes = _sizes_of(stage, benchmark.job, units, estimator)
        if sizes is None:
            others.append(f"{benchmark.rule}/{benchmark.job}")
            continue
        memory = benchmark.memory_mb if memory_seen(benchmark.seconds) else None
        jobs.append(Job(stage, {**sizes, "threads": float(benchmark.threads)}, benchmark.seconds / 60, memory))
    return jobs, others


def _sizes_of(stage: str, job: str, units: Mapping[str, Unit], estimator: Estimator) -> Mapping[str, float] | None:
    """Return the sizes of a job, None where the plan has no such job."""
    if stage in REFERENCE_STAGES:
        return estimator.references.get(job)
    if stage in ("table", "report"):
        return {"cells": estimator.cells_of(job if stage == "table" else None, units)}
    if stage not in (*PLATE_STAGES, *DROPLET_STAGES):
        return {}
    unit = units.get(job)
    return unit and {**unit_sizes(unit), **estimator.references[estimator.species[unit.species]]}
