"""The results that are wanted follow from the configuration and what is planned."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.decisions.wanted_results import WantedResults
from scripts.plan.matrices import write_archive_list
from tests.plan.analyses import FOUR, analysis


def results(*units: str, **values: object) -> WantedResults:
    return WantedResults(analysis(*units, **values))


def test_layers_of_velocyto_are_there_where_it_is_counted():
    droplets = {"features": ["Gene", "Velocyto"], "layers": ["Velocyto_spliced", "Gene_EM"]}
    assert results("GSE1.mus.SRX1").layers() == []
    expected = ["Velocyto_spliced", "Gene_EM", "Velocyto_unspliced", "Velocyto_ambiguous"]
    assert results("GSE1.mus.SRX1", droplets=droplets).layers() == expected


def test_sources_of_a_reference_have_no_path_of_this_machine():
    reference = {"fasta": "/home/me/hg38.fa", "gtf": {"address": "https://x.org/a.gtf.gz", "sha256": "0"}}
    species = {"homo": {"tax_id": 9606, "reference": "own"}}
    made = results("GSE1.homo.SRX1", references={"own": reference}, species=species)
    assert made.source_names("homo") == ["gtf=https://x.org/a.gtf.gz"]
    reference = {"fasta": "http://127.0.0.1:4711/files/a.fa.gz", "gtf": "a.gtf"}
    assert results("GSE1.homo.SRX1", references={"own": reference}, species=species).source_names("homo") == [
        "fasta=a.fa.gz"
    ]


def test_without_a_cell_filter_there_are_archives_and_no_h5ad():
    made = results("GSE1.homo.0000", "GSE1.mus.SRX1")
    assert made.archives() == ["units/archives/GSE1.mus.SRX1.tsv", "results/droplets/GSE1.mus.h5ad"]
    assert made.matrices("mus") == {"droplets.GSE1": "results/droplets/GSE1.mus.h5ad"}
    kept = results("GSE1.mus.SRX1", droplets={"keep_bam": True}).archives()
    assert kept == [
        "units/archives/GSE1.mus.SRX1.tsv",
        "results/bam/GSE1.mus.SRX1",
        "results/droplets/GSE1.mus.h5ad",
    ]
    made = results("GSE1.homo.0000", "GSE1.mus.SRX1", droplets={"cell_filter": "None"})
    assert made.archives() == ["units/archives/GSE1.mus.SRX1.tsv"]
    assert made.matrices("mus") == {}
    assert made.matrices("homo") == {"plates": "results/homo.h5ad"}


def test_a_library_of_two_species_has_two_folders():
    made = results(*FOUR)
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
    assert results(*FOUR).broken_archives == set()  # nothing is packed yet
    for name in ("SRX9.homo", "SRX9.mus"):
        (tmp_path / "results/mex" / name).mkdir(parents=True)
        (tmp_path / "results/mex" / name / "a.tar.gz").write_bytes(b"xyz")
        write_archive_list(Path(f"units/archives/GSE2.{name.partition('.')[2]}.SRX9.tsv"), {"a.tar.gz": 3})
    assert results(*FOUR).broken_archives == set()
    (tmp_path / "results/mex/SRX9.mus/a.tar.gz").unlink()
    assert results(*FOUR).broken_archives == {"units/archives/GSE2.mus.SRX9.tsv"}


def test_names_of_libraries_may_have_dots():
    made = results("local.mus.lib.A.1")
    assert list(made.archives()) == ["units/archives/local.mus.lib.A.1.tsv", "results/droplets/local.mus.h5ad"]
    assert made.archive_folder("local.mus.lib.A.1") == "results/mex/lib.A.1"
    assert made.analysis.shards("mus") == []


def test_results_follow_from_what_is_planned():
    made = results(*FOUR, plates={"keep_bam": True})
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
    assert list(results().tables()) == []


def test_an_atlas_embeds_plates_and_each_droplet_series():
    made = results(*FOUR, atlas={"enabled": True})
    assert made.matrices("homo") == {"plates": "results/homo.h5ad", "droplets.GSE2": "results/droplets/GSE2.homo.h5ad"}
    assert made.matrix("mus", "droplets.GSE1") == "results/droplets/GSE1.mus.h5ad"
    with pytest.raises(InputError, match="The plan has no cells 'plates' of mus"):
        made.matrix("mus", "plates")
    assert list(made.atlases())[:3] == [
        *("results/atlas/homo", "units/atlas/homo.checked", "results/atlas/homo.distribution")
    ]
    assert list(results(*FOUR).atlases()) == []
