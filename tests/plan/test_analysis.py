"""What the rules ask of an analysis: its units, references, options and the files that are wanted."""

from pathlib import Path

import pytest
import yaml

from scripts.core.errors import InputError
from scripts.plan.analysis import Analysis, counted_features, source_identity
from scripts.plan.choices import parse_choices
from scripts.plan.configuration import with_defaults
from scripts.plan.local_files import FileDigests
from scripts.plan.matrices import write_archive_list
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Unit, is_shard

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA, REFERENCES, KITS = (
    yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))
    for name in ("config.schema.yaml", "references.yaml", "chemistries.yaml")
)


def unit(name: str, **sizes: int) -> Unit:
    series, species, part = name.split(".", 2)
    return Unit(
        series,
        species,
        part,
        **{"bytes": 0, "bases": 0, "spots": 0, "runs": 1, "fastq": 0, "converting": 0, "counting": 0} | sizes,
        digest="d",
    )


def analysis(*units: str, **values: object) -> Analysis:
    config = with_defaults({"series": ["GSE1"], **values}, SCHEMA)
    config["references"] = {**REFERENCES, **config["references"]}
    return Analysis(config, KITS, lambda: {name: unit(name) for name in units})


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


FOUR = ("GSE1.homo.0000", "GSE1.mus.SRX1", "GSE2.homo.SRX9", "GSE2.mus.SRX9")


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


def test_layers_of_velocyto_are_there_where_it_is_counted():
    droplets = {"features": ["Gene", "Velocyto"], "layers": ["Velocyto_spliced", "Gene_EM"]}
    assert analysis("GSE1.mus.SRX1").layers() == []
    expected = ["Velocyto_spliced", "Gene_EM", "Velocyto_unspliced", "Velocyto_ambiguous"]
    assert analysis("GSE1.mus.SRX1", droplets=droplets).layers() == expected


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


def test_sources_of_a_reference_have_no_path_of_this_machine():
    reference = {"fasta": "/home/me/hg38.fa", "gtf": {"address": "https://x.org/a.gtf.gz", "sha256": "0"}}
    species = {"homo": {"tax_id": 9606, "reference": "own"}}
    made = analysis("GSE1.homo.SRX1", references={"own": reference}, species=species)
    assert made.source_names("homo") == ["gtf=https://x.org/a.gtf.gz"]
    reference = {"fasta": "http://127.0.0.1:4711/files/a.fa.gz", "gtf": "a.gtf"}
    assert analysis("GSE1.homo.SRX1", references={"own": reference}, species=species).source_names("homo") == [
        "fasta=a.fa.gz"
    ]


def test_without_a_cell_filter_there_are_archives_and_no_h5ad():
    made = analysis("GSE1.homo.0000", "GSE1.mus.SRX1")
    assert made.archives() == ["units/archives/GSE1.mus.SRX1.tsv", "results/droplets/GSE1.mus.h5ad"]
    assert made.matrices("mus") == {"droplets.GSE1": "results/droplets/GSE1.mus.h5ad"}
    kept = analysis("GSE1.mus.SRX1", droplets={"keep_bam": True}).archives()
    assert kept == [
        "units/archives/GSE1.mus.SRX1.tsv",
        "results/bam/GSE1.mus.SRX1",
        "results/droplets/GSE1.mus.h5ad",
    ]
    made = analysis("GSE1.homo.0000", "GSE1.mus.SRX1", droplets={"cell_filter": "None"})
    assert made.archives() == ["units/archives/GSE1.mus.SRX1.tsv"]
    assert made.matrices("mus") == {}
    assert made.matrices("homo") == {"plates": "results/homo.h5ad"}


def test_a_library_of_two_species_has_two_folders():
    made = analysis(*FOUR)
    assert made.folders == {
        "GSE1.mus.SRX1": "SRX1",
        "GSE2.homo.SRX9": "SRX9.homo",
        "GSE2.mus.SRX9": "SRX9.mus",
    }
    assert made.archive_folder("GSE2.mus.SRX9") == "results/mex/SRX9.mus"
    assert made.series_archives("GSE2", "homo") == ["units/archives/GSE2.homo.SRX9.tsv"]
    with pytest.raises(InputError, match=r"The plan has no droplet library of GSE7 of species 'homo'\."):
        made.series_archives("GSE7", "homo")


def test_a_deleted_archive_is_noticed_by_the_list_of_its_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert analysis(*FOUR).broken_archives == set()  # nothing is packed yet
    for name in ("SRX9.homo", "SRX9.mus"):
        (tmp_path / "results/mex" / name).mkdir(parents=True)
        (tmp_path / "results/mex" / name / "a.tar.gz").write_bytes(b"xyz")
        write_archive_list(Path(f"units/archives/GSE2.{name.partition('.')[2]}.SRX9.tsv"), {"a.tar.gz": 3})
    assert analysis(*FOUR).broken_archives == set()
    (tmp_path / "results/mex/SRX9.mus/a.tar.gz").unlink()
    assert analysis(*FOUR).broken_archives == {"units/archives/GSE2.mus.SRX9.tsv"}


def test_names_of_libraries_may_have_dots():
    made = analysis("local.mus.lib.A.1")
    assert list(made.archives()) == ["units/archives/local.mus.lib.A.1.tsv", "results/droplets/local.mus.h5ad"]
    assert made.archive_folder("local.mus.lib.A.1") == "results/mex/lib.A.1"
    assert made.shards("mus") == []


def test_results_follow_from_what_is_planned():
    made = analysis(*FOUR, plates={"keep_bam": True})
    assert list(made.tables()) == [
        "results/homo_meta.tgz",
        "results/homo.metadata.samples.csv",
        "results/homo.metadata.series.csv",
        "results/homo.htseq-count.csv.gz",
        "results/homo.log.csv.gz",
        "results/homo.h5ad",
        "results/bam/GSE1.homo.0000",
        "results/mus_meta.tgz",
        "results/mus.metadata.samples.csv",
        "results/mus.metadata.series.csv",
        "results/quality/cells.csv.gz",
    ]
    assert made.archives() == [
        *(f"units/archives/{library}.tsv" for library in ("GSE1.mus.SRX1", "GSE2.homo.SRX9", "GSE2.mus.SRX9")),
        *("results/droplets/GSE1.mus.h5ad", "results/droplets/GSE2.homo.h5ad", "results/droplets/GSE2.mus.h5ad"),
    ]
    assert list(analysis().tables()) == []


def test_an_atlas_embeds_plates_and_each_droplet_series():
    made = analysis(*FOUR, atlas={"enabled": True})
    assert made.matrices("homo") == {"plates": "results/homo.h5ad", "droplets.GSE2": "results/droplets/GSE2.homo.h5ad"}
    assert made.matrix("mus", "droplets.GSE1") == "results/droplets/GSE1.mus.h5ad"
    with pytest.raises(InputError, match="The plan has no cells 'plates' of mus"):
        made.matrix("mus", "plates")
    assert list(made.atlases())[:3] == [
        *("results/atlas/homo", "units/atlas/homo.checked", "results/atlas/homo.distribution")
    ]
    assert list(analysis(*FOUR).atlases()) == []


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


def test_sources_of_a_reference():
    spike_ins = {"fasta": "ercc.fa", "gtf": "ercc.gtf"}
    fasta = {"address": "https://example.org/hg38.fa.gz", "sha256": "a" * 64}
    made = analysis(references={"hg38": {"fasta": fasta, "gtf": "mine/genes.gtf", "spike_ins": spike_ins}})
    assert made.local_sources("hg38") == ["mine/genes.gtf", "ercc.fa", "ercc.gtf"]
    assert made.source_options("hg38") == [
        *("--fasta", "https://example.org/hg38.fa.gz", "--fasta-sha256", "a" * 64),
        *("--gtf", "mine/genes.gtf", "--spike-in-fasta", "ercc.fa", "--spike-in-gtf", "ercc.gtf"),
    ]
    assert [source_identity(source) for source in made.sources("hg38").values()][:2] == ["a" * 64, "genes.gtf"]


def test_reads_are_looked_for_of_planned_species_and_of_those_that_are_asked_for():
    paths = {name: f"units/references/{reference}/kmers.npz" for name, reference in (("homo", "hg38"), ("mus", "mm10"))}
    assert analysis("GSE1.mus.0000").kmers() == {"mus": paths["mus"]}
    assert analysis("GSE1.mus.0000", "GSE1.homo.SRX1").kmers() == paths
    species = {"homo": {"tax_id": 9606, "reference": "hg38", "look_for": True}}
    species["mus"] = {"tax_id": 10090, "reference": "mm10"}
    assert analysis("GSE1.mus.0000", species=species).kmers() == paths
    assert analysis("GSE1.homo.SRX1", species=species).kmers() == {"homo": paths["homo"]}


def test_discover_options_say_what_the_configuration_says():
    discover = {"since": "2026-10-01", "types": ["a type"], "sra": False, "species": ["mus"], "accept_gb": 1.5}
    options = analysis(series="lists/mine.txt", assay={"GSE1": "plate"}, discover=discover).discover_options()
    assert options == [
        *("--since", "2026-10-01", "--date", "published", "--types", "a type", "--limit", "500"),
        *(
            "--accept",
            "results/discovered.accepted.txt",
            "--accept-gb",
            "1.5",
            "--series",
            "lists/mine.txt",
            "--no-sra",
        ),
        *("--species", "mus=10090", "--assay", "GSE1=plate", "--chemistry", "auto", "--exp-id", "accession"),
    ]
    options = analysis(discover={"query": "retina AND mouse", "types": [], "accept": None}).discover_options()
    assert options[:6] == ["--query", "retina AND mouse", "--date", "published", "--limit", "500"]
    assert parse_choices(options).species == {"homo": "9606", "mus": "10090"}


def test_a_list_of_accepted_series_is_asked_for_when_it_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept = "results/discovered.accepted.txt"
    made = analysis(series=["GSE1", accept])
    assert (made.plan_options()[:3], made.accession_files()) == (["--series", "GSE1", "--species"], [])
    (tmp_path / "results").mkdir()
    (tmp_path / accept).write_text("GSE2\n")
    assert (made.plan_options()[:3], made.accession_files()) == (["--series", "GSE1", accept], [accept])
    (tmp_path / accept).write_text("# nothing\n")
    name = "name at least one accession, e.g. GSE67835."
    with pytest.raises(InputError) as caught:
        analysis(series=accept).asked_digest()
    listed = f"{accept} is empty yet: `snakemake discover` fills it; or"
    assert str(caught.value) == f"series: nothing is asked for; {listed} {name}"
    with pytest.raises(InputError) as caught:
        analysis(series=[]).asked_digest()
    assert str(caught.value) == f"series: nothing is asked for; {name}"


def test_plan_options_say_what_the_configuration_says():
    made = analysis(
        series=["GSE1", "lists/mine.txt"],
        assay={"GSE1": "plate"},
        leave_out={"SRR1": "too few reads"},
        droplets={"chemistry": "10x_3p_v3"},
    )
    assert made.accession_files() == ["lists/mine.txt"]
    options = made.plan_options()
    assert options[:3] == ["--series", "GSE1", "lists/mine.txt"]
    choices = parse_choices(options)
    assert choices.species == {"homo": "9606", "mus": "10090"}
    assert (choices.assay, choices.any_assay) == ({"GSE1": "plate"}, "auto")
    assert choices.leave_out == {"SRR1": "too few reads"}
    assert choices.chemistry == "10x_3p_v3"
    assert analysis(series=[], run_table="mine.tsv", assay="droplet").plan_options()[:2] == ["--run-table", "mine.tsv"]
    assert analysis(refresh="all").refresh_options() == ["--refresh", "all"]
    assert analysis(refresh=[]).refresh_options() == []
    assert analysis(refresh=["GSE1", "SRP2"]).plan_options() == analysis().plan_options()
    removing = analysis(withdrawn="remove").plan_options()
    assert removing == [*analysis().plan_options(), "--withdrawn", "remove"]
    assert parse_choices(removing) == parse_choices(analysis().plan_options())


def test_inclusion_lists_are_those_with_a_source():
    configured = {"3M-february-2018": "lists/3M.txt"}
    made = analysis(droplets={"inclusion_lists": configured})
    shipped = sorted(name for name, known in KITS["lists"].items() if known.get("address"))
    assert made.inclusion_lists() == sorted({*shipped, "3M-february-2018"})
    assert made.inclusion_list_source("3M-february-2018") == "lists/3M.txt"


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
    for name, unit in made.units.items():
        assert made.probe_set(name) == (["mouse.csv"] if unit.species == "mus" and not is_shard(name) else [])
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
