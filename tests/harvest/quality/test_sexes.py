"""The sex in records in all their spellings, and by the counts on XIST and genes of Y."""

import gzip

import pytest

from scripts.harvest.quality.sexes import is_other_sex, sex_of_counts, sex_of_record, sexes_of_records


@pytest.mark.parametrize(
    "columns, sex",
    [
        ({"geo_sex": "male"}, "male"),
        ({"geo_gender": "Female"}, "female"),
        ({"geo_sex": "M"}, "male"),
        ({"geo_sex": "F;"}, "female"),
        ({"geo_donor_sex": "♀"}, "female"),
        ({"geo_sex_of_donor": "46,XY"}, "male"),
        ({"geo_sex": "pooled male and female"}, "mixed"),
        ({"geo_sex": "M/F"}, "mixed"),
        ({"geo_gender": "mixed"}, "mixed"),
        ({"geo_sex": "male;male"}, "male"),
        ({"geo_sex": "unknown", "geo_strain": "female F1"}, ""),
        ({"geo_sex": "not determined"}, ""),
        ({"geo_characteristics": "adult male"}, "male"),
        ({"geo_donor": "woman of 35 years"}, "female"),
        ({"geo_title": "F1 M2 well", "geo_strain": "C57BL/6J"}, ""),
        ({"geo_title": "female to male swap"}, "mixed"),
        ({"geo_unisex_label": "male"}, "male"),
        ({"Patient sex": "m", "Gender": "M"}, "male"),
        ({}, ""),
    ],
)
def test_sex_of_a_record(columns, sex):
    assert sex_of_record(columns) == sex


@pytest.mark.parametrize(
    "xist, y_genes, sex",
    [(20, 0, "female"), (0, 20, "male"), (19, 0, ""), (95, 5, "female"), (94, 6, "mixed"), (5, 95, "male")],
)
def test_sex_of_counts(xist, y_genes, sex):
    assert sex_of_counts(xist, y_genes) == sex


def test_only_the_other_sex_differs():
    assert is_other_sex("male", "female") and is_other_sex("female", "male")
    for pair in (("male", "male"), ("mixed", "male"), ("female", "mixed"), ("", "male"), ("male", "")):
        assert not is_other_sex(*pair)


def test_sexes_are_read_from_the_records_of_each_series(tmp_path):
    folder = tmp_path / "GSE1"
    folder.mkdir()
    lines = ["^SERIES = GSE1", "!Series_geo_accession = GSE1", "^SAMPLE = GSM1", "!Sample_title = a"]
    lines += ["!Sample_geo_accession = GSM1", "!Sample_characteristics_ch1 = Sex: F", "^SAMPLE = GSM2"]
    lines += ["!Sample_geo_accession = GSM2", "!Sample_title = b", ""]
    (folder / "GSE1_family.soft.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    samples = [("GSE1", "GSM1"), ("GSE1", "GSM2"), ("GSE2", "GSM3")]
    assert sexes_of_records(tmp_path, samples) == {("GSE1", "GSM1"): "female", ("GSE1", "GSM2"): ""}
