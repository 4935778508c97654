"""What the rules ask of an analysis: its units, and how they are counted."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.decisions.analysis import Analysis, counted_features
from scripts.plan.local_files import FileDigests
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import is_shard
from tests.plan.analyses import FOUR, KITS, REFERENCES, analysis, unit


def test_a_replaced_file_changes_the_digest_of_its_unit_alone(tmp_path):
    files = {name: tmp_path / f"{name}.fq" for name in ("a", "b")}
    for path in files.values():
        path.write_text("@r")
    units = {f"local.mus.{name}": unit(f"local.mus.{name}")._replace(files=str(path)) for name, path in files.items()}
    units["GSE1.mus.0000"] = unit("GSE1.mus.0000")

    def digests():
        made = Analysis(analysis().config, KITS, lambda: units, files=FileDigests(tmp_path / "record.tsv", keep=True))
        return {name: made.digest(name) for name in units}

    before = digests()
    assert before["GSE1.mus.0000"] == "d"
    files["a"].write_text("@s")
    after = digests()
    assert {name for name in units if before[name] != after[name]} == {"local.mus.a"}


def test_units_do_not_depend_on_the_order_of_a_run_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"GSE{number % 2}\tSRR{number}\tmus\tplate\n" for number in range(4)]
    made = analysis(run_table="runs.tsv", plates={"shard_size": 1})
    units = []
    for ordered in (sorted(lines), lines):
        (tmp_path / "runs.tsv").write_text("".join(["series\trun\tspecies\tassay\n", *ordered]))
        units.append(list(made.units_of_run_table().items()))
    assert units[0] == units[1]
    assert [name for name, _ in units[0]] == ["GSE0.mus.0000", "GSE0.mus.0001", "GSE1.mus.0000", "GSE1.mus.0001"]


def test_units_are_loaded_when_they_are_first_needed_and_once():
    loaded = []
    made = Analysis(analysis().config, KITS, lambda: loaded.append(1) or {})
    assert not loaded
    assert (made.units, made.units, loaded) == ({}, {}, [1])


def test_units_by_species_and_series():
    made = analysis(*FOUR)
    assert made.shards("homo") == ["GSE1.homo.0000"]
    assert made.libraries("mus") == ["GSE1.mus.SRX1", "GSE2.mus.SRX9"]
    assert made.libraries("mus", "GSE2") == ["GSE2.mus.SRX9"]
    assert made.planned_species == ["homo", "mus"]
    with pytest.raises(InputError, match=r"The plan has no unit 'GSE9\.mus\.0000'"):
        made.unit("GSE9.mus.0000")


def test_analyses_share_a_scratch_folder_outside_without_sharing_files(tmp_path, monkeypatch):
    found = set()
    for name in ("one/cells", "two/cells"):
        (tmp_path / name).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        found.add(analysis(scratch={"directory": str(tmp_path / "big")}).scratch)
        assert analysis(scratch={"directory": "../big"}).scratch.startswith("../big/cells.")
        assert analysis().scratch == "work"
        assert analysis(scratch={"directory": "tmp/./x"}).scratch == "tmp/x"
    assert len(found) == 2
    assert all(path.startswith(f"{tmp_path}/big/cells.") for path in found)


def test_what_decides_the_counts_of_a_shard_changes_its_digest():
    shard = "GSE1.homo.0000"
    digests = [
        analysis(*FOUR, **values).options_digest(shard)
        for values in (
            {},
            {"plates": {"strand": "reverse"}},
            {"references": {"hg38": {"fasta": "other.fa", "gtf": "other.gtf"}}},
            {"references": {"hg38": {**REFERENCES["hg38"], "sjdb_overhang": 75}}},
            {"species": {"homo": {"tax_id": 9606, "reference": "mm10"}}},
        )
    ]
    assert len(set(digests)) == len(digests)
    same = analysis(*FOUR, plates={"shard_size": 7, "keep_bam": True}, max_failed=0.5).options_digest(shard)
    assert same == digests[0]


def test_reads_are_looked_for_of_planned_species_and_of_those_that_are_asked_for():
    paths = {name: f"units/references/{reference}/kmers.npz" for name, reference in (("homo", "hg38"), ("mus", "mm10"))}
    assert analysis("GSE1.mus.0000").kmers() == {"mus": paths["mus"]}
    assert analysis("GSE1.mus.0000", "GSE1.homo.SRX1").kmers() == paths
    species = {"homo": {"tax_id": 9606, "reference": "hg38", "look_for": True}}
    species["mus"] = {"tax_id": 10090, "reference": "mm10"}
    assert analysis("GSE1.mus.0000", species=species).kmers() == paths
    assert analysis("GSE1.homo.SRX1", species=species).kmers() == {"homo": paths["homo"]}


def test_options_of_counting_are_passed_where_they_are_not_the_defaults():
    shard = "GSE1.homo.0000"
    plain = analysis(*FOUR)
    assert plain.count_options(shard) == ["--mode", "intersection-nonempty", "--strand", "none"]
    assert (plain.counted, counted_features(plain.counted)) == ("", ("exon", "gene_id"))
    assert plain.parameters() == [
        *("preset=census2017", "mode=intersection-nonempty", "strand=none", "count_by=experiment")
    ]
    chosen = {"type": "gene", "id_attribute": "gene_name", "nonunique": "random", "seed": 7, "min_quality": 0}
    made = analysis(*FOUR, plates=chosen)
    assert made.count_options(shard)[4:] == ["--nonunique=random", "--seed=7", "--min-quality=0"]
    assert (made.counted, counted_features(made.counted)) == (".gene.gene_name", ("gene", "gene_name"))
    assert made.parameters()[3:] == [
        *("type=gene", "id_attribute=gene_name", "nonunique=random", "seed=7", "min_quality=0", "count_by=experiment")
    ]
    assert made.options_digest(shard) != plain.options_digest(shard)


def test_kept_alignments_are_no_scratch_and_change_no_count():
    shard = "GSE1.homo.0000"
    plain, kept = analysis(*FOUR), analysis(*FOUR, plates={"keep_alignments": True})
    assert (plain.alignments, kept.alignments) == ("work/align", "units/align")
    assert plain.options_digest(shard) == kept.options_digest(shard)


def test_a_map_of_strands_counts_the_shards_of_its_series_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [Run("GSE1", experiment="SRX5", run="SRR5"), Run("GSE2", experiment="SRX6", run="SRR6")]
    write_runs(tmp_path / "plan.tsv", rows)
    (tmp_path / "results").mkdir()
    (tmp_path / "plan.tsv").replace(tmp_path / "results" / "plan.tsv")
    units = ("GSE1.homo.0000", "GSE2.homo.0000")
    made = analysis(*units, plates={"strand": {"GSE1": "reverse", "SRX6": "auto", "SRX9": "forward"}})
    assert [made.count_options(name)[2:] for name in units] == [
        *(["--strand", "none", "GSE1=reverse"], ["--strand", "none", "SRX6=auto"])
    ]
    assert "strand=GSE1: reverse, SRX6: auto, SRX9: forward" in made.parameters()
    assert capsys.readouterr().err == "plates.strand: SRX9 is not in the plan.\n"
    other = analysis(*units, plates={"strand": {"GSE1": "reverse", "SRX6": "forward"}})
    digests = [[some.options_digest(name) for name in units] for some in (made, other)]
    assert [left == right for left, right in zip(*digests, strict=True)] == [True, False]
    assert capsys.readouterr().err == ""


def test_a_probe_set_is_that_of_the_species():
    made = analysis(*FOUR, droplets={"probe_sets": {"mus": "mouse.csv"}})
    for name, planned in made.units.items():
        assert made.probe_set(name) == (["mouse.csv"] if planned.species == "mus" and not is_shard(name) else [])
    assert made.forecast_options("kits")[-2:] == ["--inclusion-lists", "probe-set"]
    assert "probe-set" not in analysis(*FOUR).forecast_options("kits")


def test_starsolo_counts_while_it_aligns():
    made = analysis(*FOUR, plates={"counter": "starsolo", "strand": "forward"})
    assert made.solo_options() == ["--solo-strand", "forward"]
    assert made.count_options("GSE1.homo.0000") == []
    assert made.parameters() == ["preset=census2017", "strand=forward", "counter=starsolo", "count_by=experiment"]
    shard = "GSE1.homo.0000"
    other = analysis(*FOUR, plates={"strand": "forward"})
    assert other.solo_options() == []
    assert made.options_digest(shard) != other.options_digest(shard)
