"""Accessions: what is asked for, from words and from lists in files, and GEO's identifiers in Entrez."""

import pytest

from scripts.plan.accessions import ACCESSION, asked_for, gds_uid


@pytest.mark.parametrize("word", "GSE1 GSM1 SRP1 ERP1 DRP1 SRX1 SRR1 PRJNA1 PRJEB1 PRJDB1".split())
def test_accessions_of_geo_and_sra(word):
    assert ACCESSION.fullmatch(word)


@pytest.mark.parametrize("word", ["gse1", "GSE", "GSE1x", "SRS1", "SAMN1", "PRJ1", ""])
def test_words_that_are_no_accessions(word):
    assert not ACCESSION.fullmatch(word)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])  # some editors begin a text with a byte order mark
def test_lists_in_files_are_read_line_by_line(tmp_path, start):
    path = tmp_path / "series.txt"
    path.write_bytes(start + b"GSE1\r\n\r\n# all of a consortium\r\n GSE2 # the other one")
    assert list(asked_for(["GSE9", str(path)])) == [
        ("series.0", "GSE9"),
        (f"{path}, line 1", "GSE1"),
        (f"{path}, line 4", "GSE2"),
    ]
    assert list(asked_for("GSE9")) == [("series.0", "GSE9")]
    with pytest.raises(FileNotFoundError):
        list(asked_for(str(tmp_path / "absent.txt")))


def test_uid_of_a_series_in_entrez():
    assert [gds_uid(word) for word in ("GSE67835", "GSE1", "SRP1")] == ["200067835", "200000001", "SRP1"]
