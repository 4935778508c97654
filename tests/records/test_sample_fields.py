"""Columns of obs that describe a sample: the same from every kind of record."""

import gzip

import pytest

from scripts.records.sample_fields import column_name, describe_sample, describe_samples

SOFT = """\
^SERIES = GSE1
!Series_title = one
^SAMPLE = GSM1
!Sample_title = cell one
!Sample_source_name_ch1 = brain
!Sample_characteristics_ch1 = age: P1
^SAMPLE = GSM2
!Sample_title = not asked for
"""
MINIML = """<?xml version="1.0" encoding="UTF-8"?>
<MINiML xmlns="http://www.ncbi.nlm.nih.gov/geo/info/MINiML" version="0.5.0">
  <Sample iid="GSM1"><Title>cell one</Title><Accession database="GEO">GSM1</Accession>
    <Channel position="1"><Source>brain</Source><Characteristics tag="age">P1</Characteristics></Channel></Sample>
  <Series iid="GSE1"><Title>one</Title><Accession database="GEO">GSE1</Accession></Series>
</MINiML>
"""
DESCRIBED = {"GSM1": {"geo_title": "cell one", "geo_source_name": "brain", "geo_age": "P1"}}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("GSE1_family.soft.gz", gzip.compress(SOFT.encode())),
        ("GSE1_family.soft", SOFT.encode()),
        ("GSE1_family.xml.gz", gzip.compress(MINIML.encode())),
        ("GSE1_family.xml", MINIML.encode()),
        ("sra.xml.gz", gzip.compress(MINIML.encode())),
    ],
)
def test_every_record_of_a_family_tells_the_same(tmp_path, name, data):
    (tmp_path / "GSE1").mkdir()
    (tmp_path / "GSE1" / name).write_bytes(data)
    assert describe_samples(tmp_path, "GSE1", {"GSM1"}) == DESCRIBED


def test_a_series_of_series_is_followed_to_its_parts(tmp_path):
    for series, text in {
        "GSE9": "^SERIES = GSE9\n!Series_relation = SuperSeries of: GSE8\n!Series_relation = SuperSeries of: GSE1\n",
        "GSE1": SOFT,
    }.items():
        (tmp_path / series).mkdir()
        (tmp_path / series / f"{series}_family.soft").write_text(text)
    assert describe_samples(tmp_path, "GSE9", {"GSM1"}) == DESCRIBED


def test_a_series_without_a_record_tells_nothing(tmp_path):
    assert describe_samples(tmp_path, "GSE1", {"GSM1"}) == {}
    assert describe_samples(tmp_path, "SRP1", {""}) == {}


def test_characteristics_become_columns():
    fields = {
        "characteristics_ch1": ["Age/sex: 3 d: m", "no name", "viability (%): 90", ": odd"],
        "characteristics_ch2": ["Age/sex: other"],
        "taxid_ch1": ["9606"],
        "title": [" a ", "b"],
    }
    assert describe_sample(fields) == {
        "geo_age_sex": "3 d: m;other",
        "geo_characteristics": "no name;: odd",
        "geo_viability_percent": "90",
        "geo_title": "a;b",
    }
    assert column_name("Mismatch rate per base, %") == "mismatch_rate_per_base_percent"
