"""What a person may have meant by values, names of kits and paths that cannot be used."""

import pytest

from scripts.plan.accessions import accessions_meant
from scripts.plan.hints import kit_hint, path_hint, value_hint

KITS = ("10x_3p_v2", "10x_3p_v3", "10x_3p_v4", "10x_5p_v2", "10x_5p_v3", "10x_multiome", "drop_seq", "indrops_v3")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("gse900003", ["GSE900003"]),
        ("GSE 900003", ["GSE900003"]),
        ("GSE-900003", ["GSE900003"]),
        (" srr_123456 ", ["SRR123456"]),
        ("GES67835", ["GSE67835"]),
        ("GS67835", ["GSE67835"]),
        ("GSE1O0", ["GSE100"]),
        ("PRJ12345", ["PRJNA12345"]),
        ("gse67835, GSE75140;GSE67835", ["GSE67835", "GSE75140"]),
        ("https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE67835", ["GSE67835"]),
        ("67835", ["GSE67835"]),
        ("gsm 1", ["GSM1"]),
        ("day 1", []),
        ("liver", []),
        ("", []),
        ("10x3000", []),
        ("series.txt", []),
    ],
)
def test_accessions_that_are_meant(word, meant):
    assert accessions_meant(word) == meant


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("10xv3", "; did you mean '10x_3p_v3'?"),
        ("10X 3' v3", "; did you mean '10x_3p_v3'?"),
        ("10xv2", "; did you mean '10x_3p_v2'?"),
        ("SC5P-R2", "; did you mean '10x_5p_v2'?"),
        ("ARC-v1", "; did you mean '10x_multiome'?"),
        ("Drop-seq", "; did you mean 'drop_seq'?"),
        ("multiome", "; did you mean '10x_multiome'?"),
        ("v3", "; did you mean one of 10x_3p_v3, 10x_5p_v3, indrops_v3?"),
        ("Smart-seq2", "; it has no barcodes in the reads: set `assay: plate`"),
        ("", f"; known are {', '.join(KITS)}"),
        ("chromium", f"; known are {', '.join(KITS)}"),
    ],
)
def test_kits_that_are_meant(word, hint):
    assert kit_hint(word, KITS) == hint


def test_hints_for_values():
    assay = {"anyOf": [{"enum": ["auto", "plate"]}, {"type": "object"}]}
    assert value_hint("plates", assay) == "; did you mean 'plate'?"
    assert value_hint(7, assay) == ""
    assert value_hint("Gene", {"type": "array", "items": {"enum": ["Gene"]}}) == "; write it as a list: [Gene]"
    assert value_hint("GSE1", {"anyOf": [{"type": "string"}, {"type": "array"}]}) == ""
    assert value_hint(None, {"type": "array"}) == ""


def test_a_path_is_looked_for_where_the_command_was_called_and_beside_the_configuration(tmp_path, monkeypatch):
    analysis = tmp_path / "liver"
    (analysis / "config").mkdir(parents=True)
    (analysis / "config" / "list.txt").touch()
    (tmp_path / "runs.tsv").touch()
    monkeypatch.chdir(analysis)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert path_hint("runs.tsv") == f"; it is relative to {analysis}: did you mean '../runs.tsv'?"
    assert path_hint("list.txt") == f"; it is relative to {analysis}: did you mean 'config/list.txt'?"
    assert path_hint("none.txt") == f"; it is relative to {analysis}"
    assert path_hint(analysis / "none.txt") == ""
    assert path_hint("config/list.txt") == ""
