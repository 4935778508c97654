"""Which archives a droplet library has, and what they and their folders are called."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.matrices import archive_folders, archives_of, output_type


def test_matrices_of_the_specification():
    assert archives_of(["Gene", "SJ", "Velocyto"], ["Unique", "EM"]) == [
        ("Gene", "Unique", "raw"),
        ("Gene", "Unique", "filtered"),
        ("Gene", "EM", "raw"),
        ("Gene", "EM", "filtered"),
        ("SJ", "Unique", "raw"),
        ("Velocyto", "spliced", "raw"),
        ("Velocyto", "spliced", "filtered"),
        ("Velocyto", "unspliced", "raw"),
        ("Velocyto", "unspliced", "filtered"),
        ("Velocyto", "ambiguous", "raw"),
        ("Velocyto", "ambiguous", "filtered"),
    ]
    assert archives_of([], ["Unique"]) == []


def test_terms_of_the_specification():
    terms = {
        ("Gene", "EM", "filtered"): "sparse gene count matrix of all reads",
        ("GeneFull", "Unique", "filtered"): "sparse gene count matrix of unique reads",
        ("GeneFull_Ex50pAS", "Rescue", "raw"): "unfiltered sparse gene count matrix of all reads",
        ("Gene", "Unique", "raw"): "unfiltered sparse gene count matrix of unique reads",
        ("SJ", "Unique", "raw"): "unfiltered sparse splice junction count matrix of unique reads",
    }
    assert {one: output_type(*one) for one in terms} == terms
    with pytest.raises(InputError, match=r"Splice junctions \(SJ\) have the raw matrix of unique reads only\."):
        output_type("SJ", "EM", "raw")
    with pytest.raises(InputError, match="There is no matrix Velocyto_Unique_raw: features are Gene, GeneFull"):
        output_type("Velocyto", "Unique", "raw")


def test_folder_names_the_species_of_an_experiment_that_is_counted_for_two():
    assert archive_folders([]) == {}
    assert archive_folders([("SRX1", "homo"), ("SRX2", "homo"), ("SRX2", "mus"), ("SRX1", "homo")]) == {
        ("SRX1", "homo"): "SRX1",
        ("SRX2", "homo"): "SRX2.homo",
        ("SRX2", "mus"): "SRX2.mus",
    }


def test_two_libraries_never_share_a_folder():
    libraries = [("lib", "homo"), ("lib", "mus"), ("lib.homo", "mus")]
    assert archive_folders(libraries[:2]) == {("lib", "homo"): "lib.homo", ("lib", "mus"): "lib.mus"}
    with pytest.raises(InputError, match=r"Two libraries would be named lib\.homo; give an experiment another name\."):
        archive_folders(libraries)
