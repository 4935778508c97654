"""What the reads of cells and libraries show: species, mates, runs, and copies; and nothing of sound ones."""

import base64
import json

import numpy as np
import pytest

from scripts.harvest.quality.reads import ReadsOfAnalysis, morisita, read_reads
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Cut, cut_into_units, write_units

LOCI = {"homo:1": 60, "homo:2": 40, "homo:3": 20}


def sketch(first, number=100):
    hashes = np.sort(np.random.default_rng(first).integers(0, 2**63, 100, np.uint64))
    others = np.sort(np.random.default_rng(first + 1000).integers(0, 2**63, 100, np.uint64))
    mixed = np.sort(np.concatenate([hashes[:number], others[: 100 - number]]))
    return base64.b64encode(mixed.astype("<u8").tobytes()).decode()


def figures(first=1, **changed):
    sound = {"reads": 900, "length": 100.0, "sampled": 400, "species": {"homo": 200, "mus": 1}, "loci": LOCI}
    return sound | {"pairs": 50, "agree": 49, "sketch": sketch(first)} | changed


def describe(of_runs, runs="R1", experiments=None, mixed=()):
    names = experiments or {run: f"X{run[1:]}" for run in of_runs}
    return ReadsOfAnalysis(of_runs, names, mixed).describe(runs.split(";"), "homo")


def test_a_sound_cell_has_figures_and_no_flag():
    values, found = describe({"R1": figures(), "R2": figures(2)})
    assert found == set()
    assert values == {
        "sampled_reads": 400,
        "pct_known_reads": 50.25,
        "pct_own_species": 100 * 200 / 201,
        "other_species": "mus",
        "pct_other_species": 100 / 201,
        "pct_mates_agree": 98.0,
    }


@pytest.mark.parametrize(
    "changed, flags",
    [
        ({"species": {"homo": 10, "mus": 190}}, {"SPECIES_MISMATCH"}),
        ({"species": {"homo": 150, "mus": 50}}, {"SPECIES_MIXED"}),
        ({"species": {"homo": 1, "mus": 40}}, set()),  # too few to say
        ({"species": {"homo": 200}}, set()),
        ({"species": {}}, set()),
        ({"sampled": 0, "species": {"homo": 0, "mus": 0}, "pairs": 0, "agree": 0}, set()),
        ({"pairs": 50, "agree": 10}, {"MATES_DIFFER"}),
        ({"pairs": 10, "agree": 0}, set()),
    ],
)
def test_flags_of_the_reads_of_a_run(changed, flags):
    assert describe({"R1": figures(**changed)})[1] == flags


def test_a_sample_of_two_species_is_no_mixture():
    assert describe({"R1": figures(species={"homo": 90, "mus": 110})}, mixed=["R1"])[1] == set()


@pytest.mark.parametrize(
    "changed, alike, flags",
    [
        ({}, 100.0, set()),
        ({"length": 90.0}, 100.0, set()),
        ({"length": 75.0}, 100.0, {"LANES_DIFFER"}),
        ({"loci": {"homo:7": 100, "homo:8": 50}}, 0.0, {"LANES_DIFFER"}),
        ({"loci": {"homo:7": 20}}, None, set()),  # too few to say
        ({"species": {"homo": 20, "mus": 180}, "loci": {}}, None, {"LANES_DIFFER", "SPECIES_MIXED"}),
    ],
)
def test_runs_of_one_experiment_are_compared(changed, alike, flags):
    of_runs = {"R1": figures(), "R2": figures(2, **changed)}
    values, found = describe(of_runs, "R1;R2", {"R1": "X1", "R2": "X1"})
    assert values.get("pct_runs_agree") == alike
    assert found == flags


def test_morisitas_index_of_samples_of_one_population_is_1_whatever_their_size():
    random = np.random.default_rng(7)
    shares = random.dirichlet(np.full(300, 0.2))
    samples = [dict(enumerate(random.multinomial(size, shares).tolist())) for size in (400, 3000)]
    assert morisita(*samples) > 0.85
    assert morisita(samples[0], dict(enumerate(random.multinomial(900, shares[::-1]).tolist()))) < 0.5


def test_the_same_reads_under_another_experiment_are_named_on_both_sides():
    of_runs = {"R1": figures(1), "R2": figures(2), "R3": figures(1), "R4": figures(1)}
    of_runs["R3"]["sketch"] = sketch(1, 60)
    reads = ReadsOfAnalysis(of_runs, {run: f"X{run}" for run in of_runs}, [])
    values, found = reads.describe(["R1"], "homo")
    assert (values["same_reads_as"], values["pct_same_reads"], found) == ("R4", 100.0, {"DUPLICATE_READS"})
    assert reads.describe(["R4"], "homo")[0]["same_reads_as"] == "R1"
    assert "DUPLICATE_READS" in reads.describe(["R3"], "homo")[1]
    assert reads.describe(["R2"], "homo")[1] == set()


def test_runs_of_one_experiment_may_share_copies_made_by_pcr():
    of_runs = {"R1": figures(1), "R2": figures(1)}
    of_runs["R2"]["sketch"] = sketch(1, 70)
    one = {"R1": "X1", "R2": "X1"}
    values, found = describe(of_runs, "R1;R2", one)
    assert (values["same_reads_as"], found) == ("R2", set())
    of_runs["R2"]["sketch"] = sketch(1)
    assert describe(of_runs, "R1;R2", one)[1] == {"DUPLICATE_READS"}


def test_a_run_of_an_earlier_version_has_no_figures():
    assert describe({}, "R1") == ({}, set())


def test_figures_are_those_of_the_runs_in_the_ledger(tmp_path):
    rows = [
        Run("GSE1", "GSE1", "GSM1", f"X{at}", f"R{at}", species=species, assay="plate", status="planned")
        for at, species in ((1, "homo"), (2, "homo"), (2, "mus"))
    ]
    write_units(tmp_path / "units", cut_into_units(rows, Cut(99)), "experiment")
    write_runs(tmp_path / "runs.tsv", [row._replace(status="counted") for row in rows])
    content = {"version": 1, "runs": {"R1": figures(1), "R2": figures(2), "R9": figures(1)}}
    (tmp_path / "GSE1.homo.0000.json").write_text(json.dumps(content))
    reads = read_reads(tmp_path / "units", tmp_path / "runs.tsv", str(tmp_path / "{unit}.json"))
    assert (sorted(reads.figures), reads.mixed, reads.same) == (["R1", "R2"], {"R2"}, {})
    assert read_reads(tmp_path / "units", tmp_path / "runs.tsv", "").figures == {}
