"""The toy archives' answers and the server that gives them, over a world of which only the records are there."""

import csv
import gzip
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.records.discovery.summaries import SeriesSummary, read_summaries
from tests.toy import catalogue
from tests.toy.records import ENA_FIELDS, HOST, Records
from tests.toy.server import Server
from tests.toy.world import World

FIRST = "SRR9000001"
CONTENT = b"NCBI.sra" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world without reads: every archive holds the same few bytes."""
    folder = tmp_path_factory.mktemp("hollow")
    for name in ("sra", "lite", "fastq", "references"):
        (folder / name).mkdir()
    facts = {}
    for series in catalogue.toy_series().values():
        for one in series.experiments:
            for run in one.runs if one.kind in ("plate", "droplet") else ():
                ends = 3 if one.kit == "v3" else one.ends
                md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
                read_types = "TTB" if ends == 3 else "B" * ends
                reads = [[10, 75.0, 0.0]] * ends
                facts[run] = {"spots": 10, "bases": 750 * ends, "size": len(CONTENT), "md5": md5}
                facts[run] |= {"reads": reads, "read_types": read_types}
                if run != catalogue.GONE:
                    (folder / "sra" / f"{run}.sra").write_bytes(CONTENT)
    for name in ("SRR9000017.fastq.gz", "SRR9000017_1.fastq.gz", "SRR9000017_2.fastq.gz"):
        (folder / "fastq" / name).write_bytes(gzip.compress(name.encode(), mtime=0))
    (folder / "references" / "mm10.fa.gz").write_bytes(gzip.compress(b">chr1\nACGT\n", mtime=0))
    (folder / "archives.json").write_text(json.dumps({"seed": 1, "archives": facts, "lite": {}}))
    return World(folder)


@pytest.fixture
def toy(hollow: World) -> Iterator[Server]:
    with Server(hollow) as running:
        yield running


def _get(url: str, data: dict[str, str] | None = None, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    body = None if data is None else urllib.parse.urlencode(data).encode()
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def _eutils(toy: Server, tool: str, post: bool = False, **values: str) -> bytes:
    query = urllib.parse.urlencode(values)
    status, body, _ = _get(f"{toy.url}/eutils/{tool}.fcgi" + ("" if post else f"?{query}"), values if post else None)
    assert status == 200
    return body


def _object(toy: Server, run: str = FIRST) -> str:
    return f"{toy.url}/sra-pub-run-odp/sra/{run}/{run}"


# GEO ------------------------------------------------------------------------------------------------------------------


def _entities(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return accession → attributes in order, of a SOFT text."""
    found: dict[str, list[tuple[str, str]]] = {}
    table = False
    for line in text.splitlines():
        table = (table or line == "!platform_table_begin") and line != "!platform_table_end"
        if line.startswith("^") and not table:
            found[line.split(" = ")[1]] = attributes = []
        elif line.startswith("!") and " = " in line and not table:
            attributes.append(tuple(line.split(" = ", 1)))
    return found


def test_a_family_file_joins_samples_and_experiments(toy: Server):
    status, body, _ = _get(f"{toy.url}/geo/series/GSE900nnn/GSE900003/soft/GSE900003_family.soft.gz")
    assert status == 200
    entities = _entities(gzip.decompress(body).decode())
    assert [name for name in entities if name.startswith("GPL")] == ["GPL90001", "GPL90003", "GPL90002"]
    samples = {name: attributes for name, attributes in entities.items() if name.startswith("GSM")}
    assert len(samples) == 15
    sra = {name: [v for k, v in a if k == "!Sample_relation" and "SRA:" in v] for name, a in samples.items()}
    assert sra["GSM9000201"] == ["SRA: https://www.ncbi.nlm.nih.gov/sra?term=SRX9000201"]
    assert sra["GSM9000212"] == []
    assert [v for k, v in samples["GSM9000213"] if k == "!Sample_taxid_ch1"] == ["9606", "10090"]
    assert ("!Series_relation", "SRA: https://www.ncbi.nlm.nih.gov/sra?term=SRP900003") in entities["GSE900003"]


def test_a_superseries_names_its_parts_and_holds_their_samples(hollow: World):
    entities = _entities(gzip.decompress(hollow.records.soft("GSE900004")).decode())
    relations = [value for name, value in entities["GSE900004"] if name == "!Series_relation"]
    assert relations[:2] == ["SuperSeries of: GSE900001", "SuperSeries of: GSE900002"]
    assert not any(value.startswith("SRA:") for value in relations)
    assert sum(name.startswith("GSM") for name in entities) == 46
    assert ("!Sample_series_id", "GSE900004") in entities["GSM9000001"]
    part = _entities(gzip.decompress(hollow.records.soft("GSE900001")).decode())
    assert ("!Series_relation", "SubSeries of: GSE900004") in part["GSE900001"]
    assert any("Müller" in value for _, value in part["GSM9000003"])


def test_an_unknown_series_is_not_found(toy: Server):
    for path in ("GSE900nnn/GSE900009/soft/GSE900009", "GSE90nnn/GSE900001/soft/GSE900001"):
        assert _get(f"{toy.url}/geo/series/{path}_family.soft.gz")[0] == 404


# E-utilities ----------------------------------------------------------------------------------------------------------


def test_search_gives_twenty_ids_unless_asked_for_more(toy: Server):
    told = json.loads(_eutils(toy, "esearch", db="sra", term="GSE900001", retmode="json"))["esearchresult"]
    assert (told["count"], told["retmax"], len(told["idlist"])) == ("44", "20", 20)
    assert "webenv" not in told
    root = ET.fromstring(_eutils(toy, "esearch", db="sra", term="SRP900003[accn] OR SRX9000001", retmax="100"))
    assert root.findtext("Count") == "15"
    assert len(root.findall("IdList/Id")) == 15


def test_history_is_fetched_in_slices(toy: Server):
    told = ET.fromstring(_eutils(toy, "esearch", post=True, db="sra", term="PRJNA900001", usehistory="y", retmax="0"))
    assert told.find("IdList/Id") is None
    history = {"WebEnv": told.findtext("WebEnv"), "query_key": told.findtext("QueryKey")}
    found = []
    for start in range(0, 50, 25):
        answer = _eutils(toy, "efetch", db="sra", retstart=str(start), retmax="25", **history)
        found += [e.get("accession") for e in ET.fromstring(answer).iterfind("EXPERIMENT_PACKAGE/EXPERIMENT")]
    assert sorted(found) == [f"SRX90{number:05d}" for number in range(1, 45)]
    posted = ET.fromstring(_eutils(toy, "epost", post=True, db="sra", id="SRX9000101,SRX9000102"))
    answer = _eutils(toy, "efetch", db="sra", WebEnv=posted.findtext("WebEnv"), query_key=posted.findtext("QueryKey"))
    assert len(ET.fromstring(answer)) == 2


def test_packages_tell_what_the_loader_was_given(toy: Server):
    root = ET.fromstring(_eutils(toy, "efetch", db="sra", id="SRX9000101,SRR9000007,SRX1"))
    first, second = root.findall("EXPERIMENT_PACKAGE")
    assert [run.get("accession") for run in first.iter("RUN")] == ["SRR9000101", "SRR9000102"]
    assert [run.get("accession") for run in second.iter("RUN")] == ["SRR9000007", "SRR9000045"]
    run = first.find("RUN_SET/RUN")
    options = {a.findtext("TAG"): a.findtext("VALUE") for a in run.iter("RUN_ATTRIBUTE")}["options"]
    assert options == (
        "--readTypes=TTB --read1PairFiles=organoid40_S1_L001_I1_001.fastq.gz"
        " --read2PairFiles=organoid40_S1_L001_R1_001.fastq.gz --read3PairFiles=organoid40_S1_L001_R2_001.fastq.gz"
    )
    assert [read.get("index") for read in run.iterfind("Statistics/Read")] == ["0", "1", "2"]
    file = run.find("SRAFiles/SRAFile[@semantic_name='SRA Normalized']")
    assert file.get("md5") == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert file.find("Alternatives").get("url") == _object(toy, "SRR9000101")
    assert int(run.get("size")) < int(file.get("size")) == len(CONTENT)
    assert run.find("Pool/Member").get("tax_id") == "9606"


def test_a_run_under_control_is_marked_and_refused(toy: Server):
    root = ET.fromstring(_eutils(toy, "efetch", db="sra", id="SRX9000214"))
    assert root.find(".//RUN").get("cluster_name") == "dbgap"
    told = json.loads(_get(f"{toy.url}/sdl/2/retrieve?acc=SRR9000214")[1])["result"][0]
    assert (told["status"], "files" in told) == (403, False)


def test_nothing_asked_for_is_an_error(toy: Server):
    status, body, _ = _get(f"{toy.url}/eutils/efetch.fcgi?db=sra&id=")
    assert status == 400
    assert b"<ERROR>Empty id list" in body
    assert _get(f"{toy.url}/eutils/efetch.fcgi?db=sra&WebEnv=MCID_other&query_key=1")[0] == 400
    assert len(ET.fromstring(_eutils(toy, "efetch", db="sra", id="SRX1"))) == 0


def test_runinfo_has_its_columns_and_quoted_commas(toy: Server):
    text = _eutils(toy, "efetch", db="sra", id="SRX9000007", rettype="runinfo", retmode="text").decode()
    rows = list(csv.DictReader(line for line in text.splitlines() if line))
    assert [row["Run"] for row in rows] == ["SRR9000007", "SRR9000045"]
    assert len(rows[0]) == 47
    assert rows[0]["CenterName"] == "INSTITUTE OF TOYS, ZURICH"
    assert rows[0]["SampleName"] == rows[0]["LibraryName"] == "GSM9000007"


def test_series_have_a_uid(toy: Server):
    told = json.loads(_eutils(toy, "esearch", db="gds", term="GSE900001[ACCN] AND gse[ETYP]", retmode="json"))
    assert told["esearchresult"]["idlist"] == ["200900001"]
    summary = json.loads(_eutils(toy, "esummary", db="gds", id="200900001", retmode="json"))
    assert summary["result"]["200900001"]["accession"] == "GSE900001"


def _found(toy: Server, term: str) -> ET.Element:
    return ET.fromstring(_eutils(toy, "esearch", db="gds", term=term))


def test_series_are_found_by_their_fields(toy: Server):
    terms = {
        "gse[ETYP]": ["200900004", "200900003", "200900002", "200900001"],
        'gse[ETYP] AND "Homo sapiens"[Organism] NOT fish': ["200900004", "200900002"],
        "gse[ETYP] AND (txid10090[Organism:exp] AND organoids)": [],
        '"Droplets of toy" AND gse[Entry Type]': ["200900002"],
        "gse[ETYP] AND 2021/03/01:3000[PDAT] AND toy cortex": ["200900001"],
        "gse[ETYP] AND 2021/03/05:3000[UDAT]": [],
    }
    for term, uids in terms.items():
        assert [uid.text for uid in _found(toy, term).iterfind("IdList/Id")] == uids, term


def test_a_search_says_what_it_does_not_find(toy: Server):
    root = _found(toy, 'gse[ETYP] AND (cortexx OR "no such" OR toy[bodypart])')
    assert [(item.tag, item.text) for item in root.iterfind("ErrorList/*")] == [
        ("PhraseNotFound", "cortexx"),
        ("FieldNotFound", "bodypart"),
    ]
    assert [(item.tag, item.text) for item in root.iterfind("WarningList/*")] == [("QuotedPhraseNotFound", '"no such"')]


def test_summaries_are_the_same_in_all_forms(toy: Server):
    forms = ({"retmode": "json"}, {"version": "2.0"}, {})
    answers = [_eutils(toy, "esummary", db="gds", id="200900001,200999999", **form) for form in forms]
    summary = SeriesSummary(
        *("GSE900001", "Single cells of the toy mouse cortex", "2021-03-04", "Mus musculus", 44, ("99999901",))
    )
    for answer in map(read_summaries, answers):
        assert answer["200900001"] == summary
        assert "cannot get document summary" in str(answer["200999999"])


def test_series_are_published_grow_and_are_withdrawn(hollow: World):
    records = Records(hollow)
    records.publish("GSE900003", "2026-12-01", today="2026-11-30")
    assert records.find_series("GSE900003[ACCN] AND gse[ETYP]").uids == []
    assert records.summary("200900003") is None
    assert records.experiments_of("PRJNA900003") == []
    records.publish("GSE900003", "2026-12-01", today="2026-12-01")
    assert records.find_series("gse[ETYP] AND 2026/12/01[PDAT]").uids == ["200900003"]
    assert b"!Series_status = Public on Dec 01 2026" in gzip.decompress(records.soft("GSE900003"))
    records.show("GSE900001", 3)
    assert [len(records.series[name].experiments) for name in ("GSE900001", "GSE900004")] == [3, 5]
    records.show("GSE900001", 44)
    assert len(records.find_experiments("SRP900001")) == 44
    records.withdraw("GSE900002")
    assert b"!Series_status = Withdrawn" in gzip.decompress(records.soft("GSE900002"))
    assert records.experiments_of("GSE900002") == []
    assert records.find_series('gse[ETYP] AND organoids AND "Homo sapiens"[Organism]').uids == ["200900002"]
    assert Records(hollow).experiments_of("GSE900002")  # the world is as it was


# ENA and SDL ----------------------------------------------------------------------------------------------------------


def _report(toy: Server, accession: str, fields: str) -> list[dict[str, str]]:
    query = urllib.parse.urlencode({"accession": accession, "result": "read_run", "fields": fields, "limit": "0"})
    status, body, _ = _get(f"{toy.url}/ena/portal/api/filereport?{query}")
    assert status == 200
    return list(csv.DictReader(body.decode().splitlines(), delimiter="\t"))


def test_a_file_report_has_the_fields_asked_for_in_their_order(toy: Server):
    (row,) = _report(toy, "SRR9000017", "tax_id,fastq_ftp,run_accession,fastq_md5,fastq_bytes,sra_ftp")
    assert list(row) == ["tax_id", "fastq_ftp", "run_accession", "fastq_md5", "fastq_bytes", "sra_ftp"]
    addresses = row["fastq_ftp"].split(";")
    assert [address.rpartition("/")[2] for address in addresses] == [
        "SRR9000017.fastq.gz",
        "SRR9000017_1.fastq.gz",
        "SRR9000017_2.fastq.gz",
    ]
    for address, md5, size in zip(addresses, row["fastq_md5"].split(";"), row["fastq_bytes"].split(";"), strict=True):
        content = _get(f"http://{address}")[1]
        assert (hashlib.md5(content, usedforsecurity=False).hexdigest(), str(len(content))) == (md5, size)
    assert _get(f"http://{row['sra_ftp']}")[1] == CONTENT
    assert list(_report(toy, "SRP900001", "tax_id")[0]) == ["run_accession", "tax_id"]


def test_ena_knows_what_it_knows(toy: Server):
    assert len(_report(toy, "PRJNA900001", "tax_id")) == 44  # the lost run is not there
    assert len(_report(toy, "SRX9000007", "tax_id")) == 2
    assert len(_report(toy, "SRR9000045", "tax_id")) == 1
    assert _report(toy, "SRP999999", "tax_id") == []
    assert _get(f"{toy.url}/ena/portal/api/filereport?accession=GSE900001&result=read_run")[0] == 400


@pytest.mark.parametrize("post", [False, True])
def test_the_resolver_names_size_sum_and_address(toy: Server, post):
    url = f"{toy.url}/sdl/2/retrieve"
    values = {"acc": f"{FIRST},{catalogue.GONE},SRR1"}
    body = _get(url, values)[1] if post else _get(f"{url}?{urllib.parse.urlencode(values)}")[1]
    told = json.loads(body)
    assert told["version"] == "2"
    assert [(bundle["bundle"], bundle["status"]) for bundle in told["result"]] == [
        (FIRST, 200),
        (catalogue.GONE, 404),
        ("SRR1", 404),
    ]
    (file,) = told["result"][0]["files"]
    assert (file["size"], file["noqual"]) == (len(CONTENT), False)
    assert file["locations"][0]["link"] == _object(toy)
    assert _get(_object(toy, catalogue.GONE))[0] == 404


def test_records_are_written_as_a_workflow_keeps_them(hollow: World, tmp_path: Path):
    hollow.records.write(tmp_path, ["GSE900002"])
    place = tmp_path / "GSE900002"
    assert sorted(path.name for path in place.iterdir()) == ["GSE900002_family.soft.gz", "ena.tsv.gz", "sra.xml.gz"]
    assert len(ET.fromstring(gzip.decompress((place / "sra.xml.gz").read_bytes()))) == 2
    report = gzip.decompress((place / "ena.tsv.gz").read_bytes()).decode()
    assert report.split("\n")[0] == "\t".join(ENA_FIELDS)
    assert HOST in report


# Serving --------------------------------------------------------------------------------------------------------------


def test_objects_are_given_in_parts(toy: Server):
    assert _get(_object(toy))[1] == CONTENT
    status, body, headers = _get(_object(toy), Range="bytes=100-199")
    assert (status, body, headers["Content-Range"]) == (206, CONTENT[100:200], f"bytes 100-199/{len(CONTENT)}")
    assert _get(_object(toy), Range="bytes=10000-")[1] == CONTENT[10000:]
    assert _get(_object(toy), Range="bytes=-8")[1] == CONTENT[-8:]
    assert _get(_object(toy), Range=f"bytes={len(CONTENT)}-")[0] == 416
    request = urllib.request.Request(_object(toy), method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert int(answer.headers["Content-Length"]) == len(CONTENT)


def test_files_of_the_world_are_served_and_no_others(toy: Server):
    assert _get(f"{toy.url}/files/references/mm10.fa.gz")[0] == 200
    for path in ("references/../archives.json", "archives.json", "references/none.fa"):
        assert _get(f"{toy.url}/files/{path}")[0] == 404


def test_requests_are_logged(toy: Server):
    _get(f"{toy.url}/sdl/2/retrieve", {"acc": FIRST})
    _get(_object(toy), Range="bytes=0-9")
    assert [(r.method, r.status, r.bytes > 0) for r in toy.asked(FIRST)] == [("POST", 200, True), ("GET", 206, True)]
    assert toy.requests[1].bytes == 10
    toy.clear()
    assert toy.requests == []


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_status_is_answered_as_often_as_asked(toy: Server, status):
    fault = toy.fault(FIRST, f"status={status}", times=2)
    assert [_get(_object(toy))[0] for _ in range(3)] == [status, status, 200]
    assert fault.left == 0
    toy.fault(FIRST, status)
    assert {_get(_object(toy))[0] for _ in range(4)} == {status}
    assert _get(_object(toy, "SRR9000002"))[0] == 200


def test_too_many_requests_says_when_to_come_back(toy: Server):
    toy.fault("efetch", 429, times=1, retry_after=7)
    assert _get(f"{toy.url}/eutils/efetch.fcgi?db=sra&id=1")[2]["Retry-After"] == "7"


def test_a_transfer_is_cut(toy: Server):
    toy.fault(FIRST, "cut", share=0.25, times=1)
    with pytest.raises(http.client.IncompleteRead) as raised:
        _get(_object(toy))
    assert raised.value.partial == CONTENT[: len(CONTENT) // 4]
    assert _get(_object(toy))[1] == CONTENT


def test_a_transfer_stalls(toy: Server):
    toy.fault(FIRST, "stall", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(http.client.IncompleteRead):
        _get(_object(toy))
    assert time.monotonic() - began > 0.25


def test_a_stalled_transfer_does_not_hold_up_the_end(hollow: World):
    began = time.monotonic()
    with Server(hollow) as toy:
        toy.fault(FIRST, "stall")
        connection = http.client.HTTPConnection(toy.host, timeout=10)
        connection.request("GET", f"/sra-pub-run-odp/sra/{FIRST}/{FIRST}")
    connection.close()
    assert time.monotonic() - began < 5


def test_a_page_or_nothing_or_a_part_comes_instead_of_a_file(toy: Server):
    toy.fault("SRR9000001", "html")
    toy.fault("SRR9000002", "empty")
    toy.fault("SRR9000003", "truncated", share=0.1)
    status, body, headers = _get(_object(toy))
    assert (status, headers["Content-Type"], body[:9]) == (200, "text/html", b"<!DOCTYPE")
    assert _get(_object(toy, "SRR9000002"))[:2] == (200, b"")
    assert _get(_object(toy, "SRR9000003"))[:2] == (200, CONTENT[: len(CONTENT) // 10])


def test_the_resolver_lies_on_demand(toy: Server):
    toy.fault("SRR9000001", "wrong_md5")
    toy.fault("SRR9000002", "wrong_size", times=1)
    toy.fault("SRR9000003", "lite")
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()

    def told(run: str) -> dict:
        return json.loads(_get(f"{toy.url}/sdl/2/retrieve?acc={run}")[1])["result"][0]["files"][0]

    assert told("SRR9000001")["md5"] != md5
    assert _get(_object(toy))[1] == CONTENT  # the object is as it was
    assert [told("SRR9000002")["size"] == len(CONTENT) for _ in range(2)] == [False, True]
    assert (told("SRR9000003")["noqual"], told("SRR9000003")["name"]) == (True, "SRR9000003.lite")
    assert told("SRR9000003")["locations"][0]["link"].endswith("/sra-pub-zq/SRR9000003/SRR9000003.lite.1")


def test_an_unknown_fault_is_refused(toy: Server):
    with pytest.raises(ValueError, match="'sleepy' is no kind of fault; a status or one of cut, stall, "):
        toy.fault("x", "sleepy")
