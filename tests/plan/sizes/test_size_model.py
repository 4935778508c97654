"""The size model: estimates of what jobs take, its file, and the benchmarks that it is refitted to."""

import pytest

from scripts.core.errors import InputError
from scripts.core.workflow.snakemake import Benchmark, read_benchmarks
from scripts.plan.run_table import Run
from scripts.plan.sizes.footprint import archive_bytes
from scripts.plan.sizes.size_model import (
    LEAST_MB,
    SHIPPED,
    SIZES,
    SizeModel,
    amount,
    expected_index_mb,
    read_model,
    reference_sizes,
    scratch_mb,
    unit_sizes,
)
from scripts.plan.units import summarize_unit

HUMAN = {"genome_mb": 3200.0, "index_mb": 31_429.0, "kjunctions": 400.0}
INDEX_MB = HUMAN["index_mb"]
SIZED = {
    **HUMAN,
    "threads": 16.0,
    "runs": 96.0,
    "archive_mb": 6000.0,
    "fastq_mb": 40_000.0,
    "converting_mb": 55_000.0,
    "counting_mb": 60_000.0,
    "mspots": 100.0,
}


def test_every_term_is_of_a_known_size():
    sizes = dict.fromkeys(SIZES, 1.0)
    for stage in SHIPPED.values():
        for term in (*stage.minutes, *stage.memory_mb):
            assert amount(term, sizes) == 1.0


def test_a_job_is_the_sum_of_its_terms():
    model = SizeModel()
    minutes = 0.1 + INDEX_MB / 6000 + 96 / 16 * 0.015 + 100 / 16 * 2.5
    assert model.minutes("align", SIZED) == pytest.approx(minutes)
    assert model.memory_mb("align", SIZED) == 900 + INDEX_MB + 16 * 360
    assert model.asked_minutes("align", SIZED) == int(30 + 2 * minutes)
    assert model.asked_mb("align", SIZED) == int(1.1 * (INDEX_MB + 6660))
    assert model.asked_mb("align", SIZED, attempt=3) == int(2 * 1.1 * (INDEX_MB + 6660))
    assert model.asked_mb("count", {**SIZED, "threads": 0.0, "runs": 0.0}) == LEAST_MB
    assert [scratch_mb(stage, SIZED) for stage in ("download", "fastq", "align", "solo", "count")] == [
        6000, 55_000, 60_000, 60_000, 0,
    ]  # fmt: skip
    assert model.needed("align") == {"one", "index_mb", "runs", "threads", "mspots"}


def test_sizes_of_a_unit_and_of_a_reference(tmp_path):
    rows = [
        Run(series="GSE1", species="mus", experiment="SRX1", run="SRR1", bytes="7", bases="100", spots="1"),
        Run(series="GSE1", species="mus", experiment="SRX1", run="SRR2", bases="1000", spots="10"),
    ]
    assert list(map(archive_bytes, [*rows, Run()])) == [7, 400, 0]
    unit = summarize_unit(rows)
    assert unit[:7] == ("GSE1", "mus", "SRX1", 407, 1100, 11, 2)
    fastq = (32 * 100 + 135 * 7) // 100 + 30 + 1000 * 5 // 4 + 600  # of the second one no archive is known
    sizes = {"runs": 2, "archive_mb": 407e-6, "fastq_mb": fastq / 1e6, "mspots": 11e-6}
    sizes |= {"converting_mb": (fastq + 407) / 1e6}  # with both archives
    sizes |= {"counting_mb": 2 * fastq / 1e6}
    assert unit_sizes(unit) == pytest.approx(sizes)
    assert reference_sizes(tmp_path) == pytest.approx(HUMAN, rel=1e-3)
    (tmp_path / "genome.fa").write_bytes(bytes(5000))
    (tmp_path / "star").mkdir()
    (tmp_path / "star/SA").write_bytes(bytes(2000))
    assert reference_sizes(tmp_path) == {"genome_mb": 0.005, "index_mb": 0.002, "kjunctions": 0.008}


def test_the_index_of_a_genome_that_is_not_made_yet_follows_from_its_sequence(tmp_path):
    # GRCh38 (3,138,387,968 bases with their padding, 5,891,698,134 suffixes; alexdobin/STAR, issue 569), GENCODE's
    # 350,000 junctions, which STAR 2.7.10b made of 250 Mb into 324 + 2640 + 98 MB, and yeast
    junctions = 350_000 * 201 * (1 + 2 * 33 / 8)
    human = (3_138_387_968 + 5_891_698_134 * 33 / 8 + 1_565_873_619 + junctions) / 1e6
    assert 1 < expected_index_mb(3151) / human < 1.06
    assert 1 < expected_index_mb(254.2) / (324 + 2640 + 98) < 1.06
    assert expected_index_mb(12) == pytest.approx(120, rel=0.4)
    fasta = tmp_path / "own.fa.gz"
    fasta.write_bytes(bytes(1_000_000))
    assert reference_sizes(tmp_path / "resources", fasta)["genome_mb"] == 4.0
    assert reference_sizes(tmp_path / "resources", tmp_path / "own.fa") == pytest.approx(HUMAN, rel=1e-3)
    (tmp_path / "genome.fa").write_bytes(bytes(2_000_000))  # made, but for its index
    assert reference_sizes(tmp_path, fasta)["genome_mb"] == 2.0
    assert reference_sizes(tmp_path, fasta)["index_mb"] == expected_index_mb(2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a size model"),
        ("[]", "it is not a JSON object."),
        ('{"algin": {}}', "algin: not a stage with minutes, memory_mb, minutes_margin, memory_margin, jobs."),
    ],
)
def test_faults_of_the_file_are_reported(tmp_path, text, words):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError) as reported:
        read_model(tmp_path / "model.json")
    assert words in str(reported.value)
    assert "delete it to use the shipped model" in str(reported.value).lower()


HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"


def write_benchmark(folder, rule, job, line, more=""):
    path = folder / rule / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{more}\n{line}\n")


def test_benchmarks_are_read_in_both_formats(tmp_path, capsys):
    write_benchmark(tmp_path, "align", "GSE1.mus.0000", "12.5\t0:00:12\t300.5\t9\t9\t250.5\t0\t0\t370.00\t4")
    write_benchmark(
        tmp_path, "count", "GSE1.mus.0000", "3\t0:00:03\t80\t-\t-\t-\t0\t0\t0\t0\t(1,)\t4", "\tjobid\tthreads"
    )
    write_benchmark(tmp_path, "solo", "GSE1.mus.SRX1", "1\t0:00:01" + 8 * "\tNA")
    write_benchmark(tmp_path, "bam", "broken", "what?")
    assert list(read_benchmarks(tmp_path)) == [
        Benchmark("align", "GSE1.mus.0000", 12.5, 250.5, 4),
        Benchmark("count", "GSE1.mus.0000", 3.0, 80.0, 4),
        Benchmark("solo", "GSE1.mus.SRX1", 1.0, None, 1),
    ]
    assert "broken.tsv: not a benchmark of a job" in capsys.readouterr().err
