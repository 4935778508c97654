"""Answers of E-utilities on GEO's data sets, in each of their forms."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.records.discovery.summaries import SeriesSummary, read_search, read_summaries

FIELDS = {
    "title": "Cells of\n a title",
    "taxon": "Homo sapiens; Mus musculus",
    "PDAT": "2026/10/03",
    "n_samples": 12,
    "PubMedIds": [15036396, 7],
}
SUMMARY = SeriesSummary(
    "GSE4595", "Cells of a title", "2026-10-03", "Homo sapiens; Mus musculus", 12, ("15036396", "7")
)
OLD = """<?xml version="1.0"?>
<!DOCTYPE eSummaryResult PUBLIC "-//NLM//DTD eSummaryResult, 29 October 2004//EN" "http://example.org/x.dtd">
<eSummaryResult><DocSum><Id>200004595</Id><Item Name="title" Type="String">Cells of
 a title</Item><Item Name="taxon" Type="String">Homo sapiens; Mus musculus</Item>
<Item Name="PDAT" Type="String">2026/10/03</Item><Item Name="Samples" Type="List"><Item Name="Sample" Type="Structure">
<Item Name="Accession" Type="String">GSM1</Item></Item></Item><Item Name="Relations" Type="List"></Item>
<Item Name="n_samples" Type="Integer">12</Item><Item Name="PubMedIds" Type="List">
<Item Name="int" Type="Integer">15036396</Item><Item Name="int" Type="Integer">7</Item></Item></DocSum>
<DocSum><Id>472</Id><Item Name="GDS" Type="String">472</Item></DocSum></eSummaryResult>"""
NEW = """<eSummaryResult><DocumentSummarySet status="OK"><DocumentSummary uid="200004595">
<title>Cells of a title</title>
<taxon>Homo sapiens; Mus musculus</taxon><PDAT>2026/10/03</PDAT><n_samples>12</n_samples>
<PubMedIds><int>15036396</int><int>7</int></PubMedIds></DocumentSummary></DocumentSummarySet></eSummaryResult>"""


def as_json(**summaries: object) -> bytes:
    return json.dumps({"header": {}, "result": {"uids": [*summaries], **summaries}}).encode()


@pytest.mark.parametrize(
    "body",
    [as_json(**{"200004595": {key.lower(): value for key, value in FIELDS.items()}}), OLD.encode(), NEW.encode()],
    ids=["JSON", "version 1.0", "version 2.0"],
)
def test_all_forms_of_a_summary_say_the_same(body: bytes):
    assert read_summaries(body) == {"200004595": SUMMARY}  # 472 is a data set, not a series


def test_what_lacks_in_a_summary_is_empty():
    body = as_json(**{"200000001": {"uid": "200000001", "pdat": "soon", "n_samples": "many", "title": None}})
    assert read_summaries(body) == {"200000001": SeriesSummary("GSE1")}


@pytest.mark.parametrize(
    "body",
    [
        as_json(**{"200000001": {"uid": "200000001", "error": "cannot get document summary"}}),
        b"<eSummaryResult><ERROR>UID=200000001: cannot get document summary</ERROR></eSummaryResult>",
        b'<eSummaryResult><DocumentSummarySet><DocumentSummary uid="200000001"><error>cannot get document summary'
        b"</error></DocumentSummary></DocumentSummarySet></eSummaryResult>",
    ],
)
def test_a_uid_without_a_summary_has_the_words_of_the_archive(body: bytes):
    ((uid, said),) = read_summaries(body).items()
    assert uid == "200000001"
    assert isinstance(said, str)
    assert "cannot get document summary" in said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"API rate limit exceeded","count":"11"}', "NCBI says: 'API rate limit exceeded'"),
        (b'{"esummaryresult":["Invalid uid x at position=0"]}', "Invalid uid x"),
        (b'{"result"', "not JSON"),
        (b"<eSummaryResult><ERROR>Backend is down.</ERROR></eSummaryResult>", "NCBI says: Backend is down."),
        (b"<EXPERIMENT_PACKAGE_SET/>", "no summaries; its outermost element is 'EXPERIMENT_PACKAGE_SET'"),
        (b"", "not well-formed XML"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, words: str):
    with pytest.raises(InputError) as caught:
        read_summaries(body)
    assert words in str(caught.value)


def test_a_search_says_what_it_did_not_understand():
    page = read_search(
        b"<eSearchResult><Count>3</Count><RetMax>2</RetMax><IdList><Id>200000001</Id><Id>200000002</Id></IdList>"
        b"<ErrorList><PhraseNotFound>foo</PhraseNotFound><FieldNotFound>bar</FieldNotFound></ErrorList>"
        b"<WarningList><QuotedPhraseNotFound>&quot;a b&quot;</QuotedPhraseNotFound>"
        b"<OutputMessage>No items found.</OutputMessage></WarningList></eSearchResult>"
    )
    assert (page.total, page.uids) == (3, ["200000001", "200000002"])
    assert page.notes == [
        "a phrase is not found: foo",
        "there is no such field: bar",
        'a phrase in quotes is not found: "a b"',
        "it says: No items found.",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<eSearchResult><ERROR>Search Backend failed</ERROR></eSearchResult>", "NCBI says: Search Backend failed."),
        (b"<eSearchResult><Count>many</Count></eSearchResult>", "it is no result of a search"),
        (b"<eSearchResult><Count>1</Count>", "cut short or not well-formed"),
    ],
)
def test_what_is_no_result_of_a_search_is_refused(body: bytes, words: str):
    with pytest.raises(InputError, match=words):
        read_search(body)
