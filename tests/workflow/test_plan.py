"""The dry run: which rules, how often, from a run table alone; and every fault of the configuration at once."""

import json
import os
import re
import shutil

import pytest

from scripts.plan.run_table import Run
from scripts.plan.sizes.size_model import expected_index_mb
from tests.workflow.conftest import HOME, Analysis

pytestmark = pytest.mark.tools  # each test is a dry run of the workflow

SOURCES = {
    name: {"fasta": f"https://example.org/{name}.fa.gz", "gtf": f"https://example.org/{name}.gtf.gz"}
    for name in ("hg38", "mm10")
}


def plates(series: str, count: int, species: str = "mus", start: int = 0) -> list[Run]:
    return [
        Run(
            series=series,
            experiment=f"SRX{number:04d}",
            run=f"SRR{number:04d}",
            species=species,
            assay="plate",
            layout="paired",
        )
        for number in range(start, start + count)
    ]


def library(series: str, number: int, runs: int = 1, species: str = "homo") -> list[Run]:
    return [
        Run(
            series=series,
            experiment=f"SRX{number:04d}",
            run=f"SRR{number:04d}{lane}",
            species=species,
            assay="droplet",
        )
        for lane in range(runs)
    ]


def test_shards_fit_below_the_limit_of_scratch_also_when_it_is_lowered(analysis):
    """Before anything is counted a lower limit cuts smaller shards; one that has begun stays as it is."""
    rows = [row._replace(bases="4000000000", spots="20000000", bytes="1000000000") for row in plates("GSE1", 12)]

    def shards(answer):
        assert answer.status == 0, answer.text
        return answer.jobs.get("align", 0), answer.jobs.get("resolve", 0)

    for limit, cut, steps in ((200, 1, 1), (60, 2, 1), (10, 12, 1)):
        analysis.configure(run_table=analysis.run_table(rows), references=SOURCES, scratch={"limit_gb": limit})
        assert shards(analysis.snakemake("-n")) == (cut, steps)
        assert analysis.snakemake("resolve").status == 0
        assert shards(analysis.snakemake("-n")) == (cut, 0)
    status = analysis.folder / "units/status/GSE1.mus.0002.tsv"
    status.parent.mkdir(exist_ok=True)
    status.touch()
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES, scratch={"limit_gb": 200})
    assert shards(analysis.snakemake("-n")) == (2, 1)


def test_the_whole_plan_from_a_run_table(analysis):
    rows = [*plates("GSE1", 5), *plates("GSE2", 2, "homo", 10), *library("GSE2", 50, 2), *library("GSE2", 51)]
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES, plates={"shard_size": 2})
    answer = analysis.snakemake("-n")
    assert answer.status == 0, answer.text
    known = {
        "resolve": 1,
        "reference": 2,
        "star_index": 2,
        "count_index": 2,
        "kmers": 2,
        "download": 3 + 1 + 2,
        "fastq": 3 + 1 + 2,
        "align": 3 + 1,
        "count": 3 + 1,
        "read_roles": 2,
        "solo": 2,
        "cells": 2,
        "mex_archive": 2,
        "droplets_h5ad": 1,
        "ledger": 1,
        "evidence": 1,
        "accept": 1,
        "wanted": 1,
        "counts_table": 2,
        "log_table": 2,
        "libraries_table": 1,
        "counts_h5ad": 2,
        "cells_table": 1,
        "metadata": 2,
        "provenance": 1,
        "report": 1,
        "checksums": 1,
        "all": 1,
    }
    assert {rule: count for rule, count in answer.jobs.items() if rule != "total"} == known
    # What makes results waits for the list of them: a result that no list names would never be removed.
    makers = re.findall(r"^(?:local)?rule (\w+):\n    input: (.+)\n    output: .*results/", answer.text, re.M)
    listed = {rule for rule, inputs in makers if "units/wanted.txt" in inputs.split(", ")}
    assert listed == {rule for rule, _ in makers} - {"ledger"}
    assert listed >= {"counts_table", "metadata", "libraries_table", "droplets_h5ad", "report", "checksums"}
    assert re.search(r"rule mex_archive:\n    input: .*units/wanted.txt", answer.text)


def test_one_species_asks_for_one_reference(analysis):
    analysis.configure(run_table=analysis.run_table(plates("GSE1", 1)), references=SOURCES)
    jobs = analysis.snakemake("-n").jobs
    assert jobs["reference"] == 1
    assert jobs["solo"] == jobs["mex_archive"] == jobs["droplets_h5ad"] == 0


def test_a_library_of_two_species_has_two_folders_of_archives(analysis):
    rows = [*library("GSE1", 1), *library("GSE1", 1, species="mus"), *library("GSE1", 2)]
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES)
    answer = analysis.snakemake("-n")
    assert answer.jobs["mex_archive"] == 3
    for unit in ("GSE1.homo.SRX0001", "GSE1.mus.SRX0001", "GSE1.homo.SRX0002"):
        assert f"output: units/archives/{unit}.tsv\n" in answer.text


def test_hundreds_of_libraries_that_wait_for_one_another_are_planned(analysis):
    rows = [row for n in range(300) for row in library("GSE1", n)]
    large = [row._replace(spots="300000000", bases="45000000000", bytes="18000000000") for row in rows]
    analysis.configure(run_table=analysis.run_table(large), references=SOURCES, scratch={"limit_gb": 1})
    assert analysis.snakemake("-n", "--quiet", "rules").jobs["solo"] == 300
    answer = analysis.snakemake("--rulegraph")  # not a dry run, in which nothing waits
    assert answer.status == 0, answer.text
    assert "digraph" in answer.text


def test_a_plan_in_parts_the_last_of_which_harvests(analysis):
    rows = [row for number in range(9) for row in plates(f"GSE{number}", 1, "mus", number)]
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES)
    (analysis.folder / "units/runs").mkdir(parents=True)  # made by the first part
    (analysis.folder / "units/references/mm10").mkdir(parents=True)
    (analysis.folder / "units/references/mm10/reference.json").touch()
    (analysis.folder / "results").mkdir()
    (analysis.folder / "results/plan.tsv").touch()
    found = []
    for part in (1, 2, 3):
        answer = analysis.snakemake("-n", "--batch", f"ledger={part}/3")
        assert answer.status == 0, answer.text
        shards = re.findall("output: units/counts/(.+).h5ad", answer.text)
        assert answer.jobs["download"] == len(shards)
        harvest = [answer.jobs[rule] for rule in ("ledger", "counts_table", "counts_h5ad", "checksums")]
        assert harvest == [int(part == 3)] * 4
        found += shards
        for shard in shards:
            for path in (f"units/status/{shard}.tsv", f"units/counts/{shard}.h5ad"):
                (analysis.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (analysis.folder / path).touch()
    assert sorted(found) == [f"GSE{number}.mus.0000" for number in range(9)]


def test_without_a_plan_only_the_look_up_is_planned(analysis):
    analysis.configure(series=["GSE1"])
    answer = analysis.snakemake("-n")
    assert answer.status == 0, answer.text
    assert set(answer.jobs) == {"resolve", "all", "total"} or answer.jobs["resolve"] == 1
    assert answer.jobs["download"] == 0


@pytest.mark.parametrize("missing", ["index.tsv", "runs", "records.jsonl", "cost.tsv", "own_metadata.tsv"])
def test_a_deleted_part_of_the_plan_is_made_again(analysis, missing):
    """Also where all results but one are there: Snakemake itself asks for the first output of a checkpoint alone."""
    analysis.configure(series=["GSE1"])
    made = ("plan.tsv", "runs.tsv", "report.html", "SHA256SUMS")
    planned = ("evidence.jsonl", "index.tsv", "records.jsonl", "cost.tsv", "own_metadata.tsv", "runs/GSE1.mus.0000.tsv")
    for name in [f"results/{name}" for name in made] + [f"units/{name}" for name in planned]:
        path = analysis.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("unit\n", encoding="utf-8")
    assert not analysis.snakemake("-n").jobs["resolve"]
    path = analysis.folder / "units" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert analysis.snakemake("-n").jobs["resolve"] == 1


def test_a_run_table_with_an_older_time_makes_a_new_plan(analysis):
    analysis.configure(run_table=analysis.run_table(plates("GSE1", 2)), references=SOURCES)
    assert analysis.snakemake("--cores", "1", "resolve").status == 0
    assert not analysis.snakemake("-n", "resolve").jobs["resolve"]
    # A file of a unit is a target; its resources come from the plan.
    answer = analysis.snakemake("-n", "units/counts/GSE1.mus.0000.h5ad")
    assert (answer.jobs["count"], answer.jobs["resolve"]) == (1, 0), answer.text
    path = analysis.folder / analysis.run_table(plates("GSE1", 3))
    os.utime(path, (0, 0))
    assert analysis.snakemake("-n", "resolve").jobs["resolve"] == 1


def test_targets(analysis):
    analysis.configure(series=["GSE1"], references=SOURCES)
    assert set(analysis.snakemake("-n", "resolve").jobs) == {"resolve", "total"}
    assert analysis.snakemake("-n", "references").jobs["star_index"] == 2
    answer = analysis.snakemake("reslove", "--cores", "1")
    assert answer.status == 1
    assert answer.text.endswith(
        "reslove: neither a rule of this workflow nor a file that it makes; did you mean 'resolve'?\n"
    )


def test_every_fault_is_reported_at_once_and_no_job_starts(analysis):
    analysis.configure(
        series=[],
        sries=["GSE1"],
        species={"homo": {"tax_id": 9606, "reference": "hg83"}},
        references={"hg38": {"fasta": "no/such/genome.fa", "gtf": "https://example.org/x.gtf"}},
    )
    answer = analysis.snakemake()
    assert answer.status == 1
    assert "The configuration (config/config.yaml) needs 3 corrections:" in answer.text
    assert answer.text.splitlines()[-1].startswith("series: nothing is asked for")
    assert "sries: unknown key; did you mean 'series'?" in answer.text
    assert "series: nothing is asked for" in answer.text
    assert "species.homo.reference: 'hg83' is neither" in answer.text
    assert "Traceback" not in answer.text
    assert not (analysis.folder / "results").exists()


def test_an_option_that_star_does_not_have_is_reported_before_any_job(analysis):
    analysis.configure(
        series=["GSE1"], references=SOURCES, plates={"star_options": {"outFilterMultimapNmx": 3, "outSAMmultNmax": 1}}
    )
    answer = analysis.snakemake("-n")
    assert answer.status == 1
    assert answer.text.endswith("outFilterMultimapNmx: STAR has no such option; did you mean outFilterMultimapNmax?\n")


def test_an_older_snakemake_is_refused_before_any_rule_is_read():
    lines = (HOME / "Snakefile").read_text(encoding="utf-8").splitlines()
    assert lines.index('min_version("9.14")') < lines.index('include: "rules/common.smk"')


def test_malformed_accession_and_unreadable_path(analysis):
    analysis.configure(
        series=["GSE1", "gse75140"],
        references={"hg38": {"fasta": "no/such/genome.fa", "gtf": "https://example.org/x.gtf"}},
    )
    answer = analysis.snakemake("-n")
    assert answer.status == 1
    assert "series.1: 'gse75140' is not an accession" in answer.text
    assert "references.hg38.fasta: 'no/such/genome.fa' cannot be read: No such file or directory" in answer.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"species": "rat"}, "species 'rat' is not configured"),
        ({"assay": "bulk"}, "assay 'bulk' is neither plate nor droplet"),
        ({"run": "SRR 1"}, "run 'SRR 1' is no accession"),
    ],
)
def test_faults_of_a_run_table_are_reported_before_any_job(analysis, change, words):
    row = plates("GSE1", 1)[0]._replace(**change)
    analysis.configure(run_table=analysis.run_table([row, *plates("GSE1", 1, start=5)]), references=SOURCES)
    answer = analysis.snakemake("-n")
    assert answer.status == 1
    assert words in answer.text
    assert "Traceback" not in answer.text


def resources_of(text: str, rule: str) -> dict[str, int]:
    """Return the resources of the first job of a rule as a dry run prints them."""
    job = text[text.index(f"rule {rule}:") :]
    line = next(line for line in job.splitlines() if line.strip().startswith("resources:"))
    pairs = (word.split("=") for word in line.split(":", 1)[1].split(", "))
    return {name.strip(): int(value) for name, value in pairs if value.isdigit()}


def test_memory_time_and_scratch_come_from_the_plan_and_grow_with_each_attempt(analysis):
    rows = [row._replace(bytes="9000000000", bases="1000000000", spots="10000000") for row in plates("GSE1", 2)]
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES)
    first = analysis.snakemake("-n", "--cores", "8")
    second = analysis.snakemake("-n", "--cores", "8", "--attempt", "2")
    assert first.status == second.status == 0, first.text
    align = resources_of(first.text, "align")
    index_mb = expected_index_mb(3200)
    assert align["mem_mb"] == int(1.1 * (900 + index_mb + 8 * 360))  # a human index, for there is none yet
    assert align["scratch_mb"] == 2 * 2 * (1250 + 600) + 1  # two runs: FASTQ, and as much again for alignments
    assert align["runtime"] == int(30 + 2 * (0.1 + index_mb / 6000 + 2 * 0.015 / 8 + 20 / 0.4 / 8))
    download = resources_of(first.text, "download")
    assert (download["runtime"], download["scratch_mb"], download["downloads"]) == (
        30 + int(2 * (0.18 + 18000 / 10 / 60)),
        18001,
        1,
    )
    again = resources_of(second.text, "align")
    for name in ("mem_mb", "runtime", "scratch_mb"):
        assert again[name] == pytest.approx(1.5 * align[name], abs=1)
    (analysis.folder / "resources/mm10/star").mkdir(parents=True)
    with (analysis.folder / "resources/mm10/star/SA").open("wb") as handle:
        handle.truncate(10**9)
    known = resources_of(analysis.snakemake("-n", "--cores", "8", "--rerun-triggers", "input").text, "align")
    assert known["mem_mb"] == int(1.1 * (900 + 1000 + 8 * 360))


def test_what_was_learnt_here_counts_and_faults_of_it_are_reported(analysis):
    rows = [row._replace(bytes="9000000000", bases="1000000000", spots="10000000") for row in plates("GSE1", 2)]
    analysis.configure(run_table=analysis.run_table(rows), references=SOURCES)
    learnt = {
        "jobs": 3,
        "minutes": {"one": 1, "index_mb": 0, "runs/threads": 0, "mspots/threads": 8},
        "memory_mb": {"one": 500, "index_mb": 1, "threads": 0},
        "minutes_margin": 3,
        "memory_margin": 2,
    }
    path = analysis.folder / "resources/size_model.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"align": learnt}))
    align = resources_of(analysis.snakemake("-n", "--cores", "8").text, "align")
    assert (align["mem_mb"], align["runtime"]) == (int(2 * (500 + expected_index_mb(3200))), 93)
    path.write_text(json.dumps({"align": {**learnt, "memory_margin": 0.5}, "algin": learnt}))
    answer = analysis.snakemake("-n")
    assert answer.status == 1
    assert "align.memory_margin: not a number of 1 or more." in answer.text
    assert "algin: not a stage with minutes, memory_mb" in answer.text
    assert "Traceback" not in answer.text


def test_a_table_of_runs_is_judged_as_it_comes(analysis):
    lines = ["Run,Experiment,SRA Study,Organism,LibrarySource,Assay Type,Bytes"]
    lines += [f"SRR{n},SRX{n},SRP1,Mus musculus,TRANSCRIPTOMIC SINGLE CELL,RNA-Seq,1000" for n in range(3)]
    (analysis.folder / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-16")
    analysis.configure(run_table="mine.csv", references=SOURCES)
    answer = analysis.snakemake("-n")
    assert (answer.jobs["resolve"], answer.jobs["download"]) == (1, 0), answer.text
    answer = analysis.snakemake("resolve", "--cores", "1")
    assert answer.status == 0, answer.text
    assert analysis.snakemake("-n").jobs["download"] == 1
    (analysis.folder / "mine.csv").write_text("\n".join([*lines, "SRR 3,SRX3,SRP1,,,,"]) + "\n")
    answer = analysis.snakemake("resolve", "--cores", "1")
    assert answer.status != 0
    assert "mine.csv, line 5: 'SRR 3' in column Run is not a run" in answer.text


@pytest.mark.parametrize("name", ["50%off", "per cent %25 ü"])
def test_a_folder_in_which_no_archive_can_be_read_is_refused(tmp_path, name):
    analysis = Analysis(tmp_path / name)
    (analysis.folder / "a.fastq").touch()
    (analysis.folder / "a.sra").write_bytes(b"NCBI.sra")
    run = Run(run="SRR1", species="mus", assay="plate")
    for source, is_refused in (("file:a.fastq", False), ("file:a.sra", True), ("", True)):
        analysis.configure(run_table=analysis.run_table([run._replace(source=source)]))
        answer = analysis.snakemake("-n")
        assert (answer.status != 0) == is_refused, answer.text
        assert ("has '%' in its path, where sra-tools do not" in answer.text) == (source == "")
    assert not (analysis.folder / "results").exists()
    analysis.configure(series=["GSE1"])
    assert "has '%' in its path, where sra-tools do not read an archive; rename it." in analysis.snakemake("-n").text


def test_what_an_earlier_version_has_counted_is_not_counted_again_unasked(analysis):
    analysis.configure(series=["GSE1"])
    (analysis.folder / "work/plan").mkdir(parents=True)
    answer = analysis.snakemake("-n")
    assert answer.status != 0
    assert "work/: an earlier version has counted here, and its counts are not read." in answer.text
    (analysis.folder / "units").mkdir()
    assert analysis.snakemake("-n").status == 0
