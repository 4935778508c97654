"""GEO family files, in SOFT and in MINiML: what a plain reading gives, and what is refused."""

import gzip
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan import accessions
from scripts.records.answers import family_files
from tests.records.small_archives import family, sample


def entities(tmp_path: Path, text: str | bytes, pack: bool = True) -> list[family_files.Entity]:
    body = text.encode() if isinstance(text, str) else text
    path = tmp_path / "GSE1_family.soft.gz"
    path.write_bytes(gzip.compress(body) if pack else body)
    return list(family_files.read_family(path))


def test_entities_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = family("GSE1", [sample("GSM1", ["SRX1"]), sample("GSM2")], platforms=["GPL1", "GPL2"], table_rows=3)
    found = entities(tmp_path, text)
    assert [(entity.kind, entity.accession) for entity in found] == [
        ("database", "GeoMiame"),
        ("series", "GSE1"),
        ("platform", "GPL1"),
        ("platform", "GPL2"),
        ("sample", "GSM1"),
        ("sample", "GSM2"),
    ]
    assert found[1].fields["summary"] == ["First = second, über"]
    assert found[1].first("title") == "Title of GSE1"
    assert found[1].first("no such field") == ""


def test_a_family_need_not_be_packed(tmp_path: Path) -> None:
    assert len(entities(tmp_path, family("GSE1"), pack=False)) == 3


def test_tables_are_skipped_whatever_they_hold(tmp_path: Path) -> None:
    text = "^SAMPLE = GSM1\n!Sample_title = a\n#ID_REF = \n!sample_table_begin\n^SAMPLE = GSM2\n!Sample_title = b\n"
    text += "!sample_table_end\n!Sample_description = after\n"
    (only,) = entities(tmp_path, text)
    assert only.fields == {"title": ["a"], "description": ["after"]}


def test_a_field_may_repeat_be_empty_and_hold_an_equals_sign(tmp_path: Path) -> None:
    text = "^SAMPLE = GSM1\n!Sample_a = 1 = 2\n!Sample_a = \n!Sample_b =\n!Sample_a = 3 \n"
    (only,) = entities(tmp_path, text)
    assert only.fields == {"a": ["1 = 2", "", "3 "], "b": [""]}


def test_line_ends_and_a_short_last_line(tmp_path: Path) -> None:
    (only,) = entities(tmp_path, "^SAMPLE = GSM1\r\n!Sample_title = a\r\n!Sample_last = b")
    assert only == family_files.Entity("sample", "GSM1", {"title": ["a"], "last": ["b"]})


def test_text_that_is_not_utf_8_is_read_as_windows_1252(tmp_path: Path) -> None:
    (only,) = entities(tmp_path, "^SAMPLE = GSM1\n!Sample_title = 4 °C – 5′\n".encode() + b"!Sample_old = 4 \xb0C\n")
    assert only.fields == {"title": ["4 °C – 5′"], "old": ["4 °C"]}


def test_relations(tmp_path: Path) -> None:
    relations = [
        "SuperSeries of: GSE2",
        "SuperSeries of: GSE2",
        "SuperSeries of: ../../etc/passwd",
        "SubSeries of: GSE9",
        "BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA7",
        "SRA: https://www.ncbi.nlm.nih.gov/sra?term=SRP8",
    ]
    text = family("GSE1", [sample("GSM1", ["SRX2", "ERX3", "SRX2"], more=["relation = BioSample: SAMN1"])])
    series = entities(tmp_path, family("GSE1", relations=relations))[1]
    assert series.linked("parts") == ["GSE2"]
    assert series.linked("projects") == ["PRJNA7"]
    assert series.linked("studies") == ["SRP8"]
    assert entities(tmp_path, text)[-1].linked("experiments") == ["SRX2", "ERX3"]


def test_taxa_of_all_channels(tmp_path: Path) -> None:
    both = (("9606", "Homo sapiens"), ("10090", "Mus musculus"))
    text = sample("GSM1", taxa=both, more=["taxid_ch2 = 9606", "organism_ch2 = Homo sapiens"])
    assert entities(tmp_path, text)[0].taxa() == dict(both)
    text = sample("GSM1", taxa=(), more=["taxid_ch1 = 9606", "taxid_ch1 = 10090", "organism_ch1 = Homo sapiens"])
    assert entities(tmp_path, text)[0].taxa() == {"9606": "", "10090": ""}


@pytest.mark.parametrize("name", ["../../GSM1", "GSM1/../x", "GSE1", "", "GSM1\t", "gsm1"])
def test_a_path_in_a_name_is_no_accession(tmp_path: Path, name: str) -> None:
    (only,) = entities(tmp_path, f"^SAMPLE = x{name}\n")
    assert not only.well_named


def test_addresses() -> None:
    base = "https://ftp.ncbi.nlm.nih.gov/geo/"
    assert family_files.family_address(base, "GSE56785").endswith(
        "/geo/series/GSE56nnn/GSE56785/soft/GSE56785_family.soft.gz"
    )
    assert "/series/GSE3nnn/GSE3105/" in family_files.family_address(base, "GSE3105")
    assert "/series/GSEnnn/GSE105/" in family_files.family_address(base, "GSE105")
    assert "/series/GSEnnn/GSE1/" in family_files.family_address(base, "GSE1")
    assert accessions.gds_uid("GSE67835") == "200067835"
    assert accessions.gds_uid("SRP1") == "SRP1"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it has no line that begins with"),
        (b"<!DOCTYPE html><html>", "not a family file in SOFT format; it begins with"),
        (gzip.compress(family("GSE1", table_rows=9).encode())[:-9], "it is cut short; delete it to have it fetched"),
        (gzip.compress(b"^SERIES = GSE1\n!platform_table_begin\n1\n"), "it is cut short"),
        (gzip.compress(b"^SERIES = GSE1\n") + b"\x1f\x8b\x08\x00garbage", "it is "),
    ],
)
def test_what_is_no_whole_family_file_is_refused(tmp_path: Path, body: bytes, words: str) -> None:
    path = tmp_path / "family"
    path.write_bytes(body)
    with pytest.raises(InputError, match=rf"family: .*{words}"):
        list(family_files.read_family(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it cannot be read: No such file"):
        list(family_files.read_family(tmp_path / "family"))


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
    assert family_files.is_miniml(path)
    platform, sample, series = family_files.read_family(path)
    assert (platform.kind, platform.accession) == ("platform", "GPL1")
    assert sample.linked("experiments") == ["SRX1"]
    assert sample.taxa() == {"9606": "Homo sapiens", "10090": "Mus musculus"}
    assert sample.fields["characteristics_ch1"] == ["age: P1"]
    assert sample.fields["platform_id"] == ["GPL1"]
    assert (series.linked("parts"), series.linked("studies")) == (["GSE2"], ["SRP1"])
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
        list(family_files.read_family(path))


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    text = "\ufeff^SAMPLE = GSM1\n!Sample_title = a\u2028b\x0bc\x85d\re\n!Sample_description = f\n"
    (only,) = entities(tmp_path, text)
    assert only == family_files.Entity("sample", "GSM1", {"title": ["a\u2028b\x0bc\x85d e"], "description": ["f"]})
    with pytest.raises(InputError, match="not a family file in SOFT format"):
        entities(tmp_path, "^SAMPLE = GSM1\r!Sample_title = a\r")


def test_a_name_without_a_tax_id_is_a_species(tmp_path: Path) -> None:
    text = "^SAMPLE = GSM1\n!Sample_organism_ch1 = Mus musculus\n!Sample_organism_ch2 = Ambystoma mexicanum\n"
    (only,) = entities(tmp_path, text)
    assert only.taxa() == {"10090": "Mus musculus", "": "Ambystoma mexicanum"}


@pytest.mark.parametrize("target", ["SRX/../x", "SRX1x", "SRX" + "1" * 40, "/home/x", "SRX١"])
def test_relations_name_accessions_only(tmp_path: Path, target: str) -> None:
    text = f"^SAMPLE = GSM1\n!Sample_relation = SRA: https://www.ncbi.nlm.nih.gov/sra?term={target}\n"
    (only,) = entities(tmp_path, text)
    assert only.linked("experiments") == []


def test_a_line_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_files, "LONGEST_LINE", 20)
    assert entities(tmp_path, "^SAMPLE = GSM1\n!Sample_title = a")[0].first("title") == "a"
    with pytest.raises(InputError, match="a line of more than 20 bytes is not read"):
        entities(tmp_path, "^SAMPLE = GSM1\n!Sample_title = abcdefgh\n")


def test_an_entity_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "GSE1_family.soft").write_bytes(b"^SERIES = GSE1\n" + b"!Series_summary = x\n" * 1_000_000)
    with pytest.raises(InputError, match="series 'GSE1' has more text than any of GEO"):
        list(family_files.read_family(tmp_path / "GSE1_family.soft"))
