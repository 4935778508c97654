"""Two analyses at once with one folder of resources: what they share is made once; and what their jobs teach."""

import contextlib
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from scripts.core.workflow.snakemake import read_benchmarks
from scripts.plan.run_table import iterate_runs
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.learning import errors_of, jobs_done, learn
from scripts.plan.sizes.size_model import SizeModel, reference_sizes
from scripts.plan.units import Cut, cut_into_units, summarize_unit
from scripts.records import plan
from tests.toy import catalogue
from tests.toy.demo import HOME
from tests.toy.server import Server

pytestmark = pytest.mark.tools


class Analysis:
    """An analysis whose ``resources`` is a link to a folder that it shares."""

    def __init__(self, folder: Path, shared: Path, values: dict) -> None:
        self.folder = folder
        (folder / "config").mkdir(parents=True)
        (folder / "resources").symlink_to(shared, target_is_directory=True)
        (folder / "config/config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    def start(self, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--directory", self.folder]
        with (self.folder / "reported").open("ab") as reported:
            return subprocess.Popen(
                [*command, "--cores", "2", *options],
                stdin=subprocess.DEVNULL,
                stdout=reported,
                stderr=subprocess.STDOUT,
            )

    def reported(self) -> str:
        return (self.folder / "reported").read_text(encoding="utf-8")

    def results(self) -> dict[str, str]:
        results = self.folder / "results"
        paths = (path for path in sorted(results.rglob("*")) if path.is_file())
        return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def shared_files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of all that analyses share, but for the archives' records."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "records" not in path.parts)
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture(scope="module")
def together(world, tmp_path_factory):
    """Two analyses of the same series, run at the same time, and one with resources of its own."""
    place = tmp_path_factory.mktemp("together")
    for name in ("shared", "own"):
        (place / name).mkdir()
    with Server(world) as server:
        values = {**world.configuration(server), "series": [catalogue.MIXED, catalogue.DROPLET]}
        values["leave_out"] = {catalogue.LIBRARY_V3: "for speed"}
        both = [Analysis(place / name, place / "shared", values) for name in ("one", "two")]
        running = [analysis.start() for analysis in both]
        try:
            for analysis, workflow in zip(both, running, strict=True):
                assert workflow.wait(timeout=240) == 0, analysis.reported()
        finally:
            for workflow in running:
                with contextlib.suppress(ProcessLookupError):
                    workflow.kill()
                workflow.wait()
    return place, both, values


def test_two_analyses_at_once_make_what_they_share_once(together):
    place, both, _ = together
    assert both[0].results() == both[1].results()
    assert "SHA256SUMS" in both[0].results()
    made = Counter(path.parents[1].name for path in place.glob("shared/*/.made/*.json"))
    assert made["hg38"] == made["mm10"] == 4
    left = [path.name for path in place.glob("shared/*/.*") if path.name != ".made" and path.parent.name != "records"]
    assert left == []
    for analysis in both:
        links = list((analysis.folder / "units/references/hg38").iterdir())
        names = {"annotation.gtf", "count_index.npz", "exons.gtf", "features.tsv", "genes.tsv", "genome.fa"}
        assert {path.name for path in links} == names | {"kmers.npz", "reference.json", "star"}
        assert all(path.is_symlink() and path.exists() for path in links)


def test_neither_of_them_makes_anything_anew(together, world):
    place, both, values = together
    before = shared_files(place / "shared")
    assert any(path.name == "SA" for path in before)
    with Server(world):
        for analysis in both:
            reported = subprocess.run(
                [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "-n"],
                cwd=analysis.folder, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert "Nothing to be done" in reported.stdout + reported.stderr
        third = Analysis(place / "three", place / "shared", values)  # one that comes later takes what is there
        assert third.start("references").wait(timeout=120) == 0, third.reported()
    assert shared_files(place / "shared") == before
    assert (third.folder / "units/references/hg38/star").samefile(place / "shared/hg38/star")


def test_another_genome_of_the_same_name_is_refused_and_nothing_is_touched(together, world, tmp_path):
    place, _, values = together
    before = shared_files(place / "shared")
    other = {**values["references"], "hg38": {**values["references"]["hg38"], "sjdb_overhang": 50}}
    fourth = Analysis(place / "four", place / "shared", {**values, "references": other})
    assert fourth.start("references").wait(timeout=120) == 1
    assert "resources/hg38: star was made from something else (sjdb_overhang)" in fourth.reported()
    assert shared_files(place / "shared") == before


def test_what_one_analysis_teaches_is_nearer_to_the_jobs_of_another(together, monkeypatch):
    _, both, values = together
    species = {"homo": "hg38", "mus": "mm10"}
    shard_size = values.get("plates", {}).get("shard_size", 96)
    done = []
    for analysis in both:
        rows = iterate_runs(analysis.folder / "results/plan.tsv")
        units = {name: summarize_unit(runs) for name, runs in cut_into_units(rows, Cut(shard_size)).items()}
        sizes = {name: reference_sizes(analysis.folder / "resources" / name) for name in species.values()}
        estimator = Estimator(SizeModel(), sizes, species, shard_size)
        jobs, others = jobs_done(read_benchmarks(analysis.folder / "logs/benchmarks"), units, estimator)
        assert not others
        assert {job.stage for job in jobs} >= {"download", "fastq", "align", "count", "solo", "mex_archive", "table"}
        done.append(jobs)
    before = errors_of(SizeModel(), done[1])
    after = errors_of(SizeModel(learn(done[0])), done[1])
    assert after["minutes"]["all"] < 0.8 * before["minutes"]["all"]  # what is shipped was measured, so that it is near
    assert after["minutes"]["download"] < before["minutes"]["download"]  # but for archives on loopback
    for kind in ("minutes", "memory_mb"):
        for name in before[kind]:
            assert after[kind][name] < 1.3 * before[kind][name]

    monkeypatch.chdir(both[0].folder)
    first = (both[0].folder / "units/cost.tsv").read_text()  # what `snakemake resolve` reported
    assert "What it will cost:" in both[0].reported()
    plan.main(["--learn", "logs/benchmarks"])
    second = (both[0].folder / "units/cost.tsv").read_text()
    hours = [float(text.splitlines()[-1].split("\t")[5]) for text in (first, second)]
    took = sum(job.minutes * job.sizes["threads"] for job in done[0]) / 60
    assert abs(hours[1] - took) < abs(hours[0] - took)
