"""GEO family files in MINiML."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import miniml, soft

FAMILY = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<MINiML xmlns="http://www.ncbi.nlm.nih.gov/geo/info/MINiML" version="0.5.0">
  <Contributor iid="contrib1"><Person><First>Ada</First></Person></Contributor>
  <Platform iid="GPL1"><Title>NextSeq</Title><Accession database="GEO">GPL1</Accession></Platform>
  <Sample iid="GSM1"><Title>cell ü</Title><Accession database="GEO">GSM1</Accession>
    <Channel position="1"><Source>brain</Source><Organism taxid="9606">Homo sapiens</Organism>
      <Organism taxid="10090">Mus musculus</Organism>
      <Characteristics tag="age">
P1
      </Characteristics></Channel>
    <Platform-Ref ref="GPL1"/>
    <Relation type="SRA" target="https://www.ncbi.nlm.nih.gov/sra?term=SRX1"/></Sample>
  <Series iid="GSE1"><Title>Title</Title><Accession database="GEO">GSE1</Accession><Pubmed-ID>1</Pubmed-ID>
    <Relation type="SuperSeries of" target="GSE2"/>
    <Relation type="SRA" target="https://www.ncbi.nlm.nih.gov/sra?term=SRP1"/></Series>
</MINiML>
"""


def test_entities_have_the_fields_of_soft(tmp_path: Path) -> None:
    path = tmp_path / "GSE1_family.xml.gz"
    path.write_bytes(gzip.compress(FAMILY.encode()))
    assert miniml.is_miniml(path)
    platform, sample, series = miniml.read_miniml(path)
    assert (platform.kind, platform.accession) == ("platform", "GPL1")
    assert soft.experiments_of(sample) == ["SRX1"]
    assert soft.taxa_of(sample) == {"9606": "Homo sapiens", "10090": "Mus musculus"}
    assert sample.fields["characteristics_ch1"] == ["age: P1"]
    assert sample.fields["platform_id"] == ["GPL1"]
    assert (soft.parts_of(series), soft.studies_of(series)) == (["GSE2"], ["SRP1"])
    assert series.fields["pubmed_id"] == ["1"]
    assert series.fields["sample_id"] == ["GSM1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FAMILY[:-20], "cut short or not well-formed XML"),
        ("<MINiMLs/>", "its outermost element is 'MINiMLs'"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><MINiML>&a;</MINiML>', "the document declares entities"),
    ],
)
def test_what_is_no_whole_family_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "family.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        list(miniml.read_miniml(path))
