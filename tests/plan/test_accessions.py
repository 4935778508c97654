"""Accessions: what is one, from its first character to its last, and what to ask for instead of those of others."""

import pytest

from scripts.plan.accessions import (
    Accession,
    accession_of,
    accessions_in,
    gds_uid,
    kind_of,
    parse_accession,
    taxon,
    why_not_asked,
)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("GSE1", "series"),
        ("GSM1", "sample"),
        ("SRP1", "study"),
        ("ERP1", "study"),
        ("DRP1", "study"),
        ("PRJNA1", "project"),
        ("PRJEB1", "project"),
        ("PRJDB1", "project"),
        ("PRJEA61709", "project"),
        ("PRJDA38027", "project"),
        ("SRX1", "experiment"),
        ("ERR1", "run"),
        ("SAMN03485904", "biosample"),
        ("SAMEA2592245", "biosample"),
        ("SAMD00001", "biosample"),
        ("SRS910176", "sra_sample"),
        ("ERA000001", "submission"),
    ],
)
def test_accessions_that_archives_are_asked_for(word: str, kind: str) -> None:
    assert parse_accession(word) == Accession(kind, word)
    assert kind_of(word) == kind
    assert why_not_asked(word) == ""


@pytest.mark.parametrize(
    "word",
    [
        *("gse1", "GSE", "GSE1x", "xGSE1", " GSE1", "GSE1 ", "GSE1\n", "GSE1\x00", "PRJ1", "", "GSE-1", "GSE1.0"),
        *("/home/x/data", "../GSE1", "--option-file=x", "GSE١٢", "GSE" + "1" * 13, "SRR1/../..", "\ufeffGSE1"),
    ],
)
def test_words_that_are_no_accessions(word: str) -> None:
    assert parse_accession(word) is None
    assert kind_of(word) == ""
    assert accession_of(word, "series", "run") == ""


def test_a_field_takes_accessions_of_its_kind_alone() -> None:
    assert accession_of("SRR1", "run") == "SRR1"
    assert accession_of("SRX1", "run") == ""
    assert accession_of("E-GEOD-1", "series") == ""  # only a person is read so


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("gse75140", "'gse75140' is not an accession that can be looked up; did you mean GSE75140?"),
        ("GSE 1", "'GSE 1' is not an accession that can be looked up; did you mean GSE1?"),
        ("GDS5430", "GDS5430 is a curated data set of GEO; name the series that it was made of (GSE…)."),
        ("GPL570", "GPL570 is a platform of GEO; name series of it (GSE…)."),
        ("ERZ1", "ERZ1 is an analysis, which has no reads of its own; name its study (SRP…) or its runs (SRR…)."),
        (
            "CRA002977",
            "CRA002977 is of GSA (CNCB-NGDC, https://ngdc.cncb.ac.cn/gsa), which is another archive; download",
        ),
        ("PRJCA004000", "PRJCA004000 is of GSA (CNCB-NGDC"),
        ("HRA000069", "HRA000069 is of GSA (CNCB-NGDC"),
        ("EGAS00001002325", "EGAS00001002325 is of EGA, where access is controlled; apply for it, then download"),
        ("phs001457.v1.p1", "phs001457.v1.p1 is of dbGaP, where access is controlled; apply for it, then"),
        ("phs001457", "phs001457 is of dbGaP"),
        (
            "E-MTAB-2805",
            "E-MTAB-2805 is of ArrayExpress; name the study that holds its reads (ERP… or PRJEB…): its page has it, "
            "https://www.ebi.ac.uk/biostudies/arrayexpress/studies/E-MTAB-2805.",
        ),
    ],
)
def test_what_to_ask_for_instead(word: str, words: str) -> None:
    assert why_not_asked(word).startswith(words)
    assert kind_of(word) == ""


def test_a_series_of_geo_at_arrayexpress_is_that_of_geo() -> None:
    assert parse_accession("E-GEOD-67835") == Accession("series", "GSE67835")


def test_accessions_with_which_values_begin() -> None:
    assert accessions_in("sample", ["GSM1_r1", None, " GSM2: cell", "x GSM3", "GSM1", "GSM" + "1" * 20]) == (
        "GSM1",
        "GSM2",
    )


def test_uid_of_a_series_in_entrez() -> None:
    assert [gds_uid(word) for word in ("GSE67835", "GSE1", "SRP1")] == ["200067835", "200000001", "SRP1"]


@pytest.mark.parametrize(
    ("tax_id", "organism", "found"),
    [
        ("10090", "Mus musculus", "10090"),
        ("", "Homo sapiens", "9606"),
        ("", "house  mouse", "10090"),
        ("", "Human", "9606"),
        ("x", "Mus musculus", "10090"),
        ("", "Ambystoma mexicanum", ""),
        ("0", "", ""),
        ("9" * 5000, "", ""),
    ],
)
def test_a_name_alone_may_tell_the_species(tax_id: str, organism: str, found: str) -> None:
    assert taxon(tax_id, organism) == (found, organism)
