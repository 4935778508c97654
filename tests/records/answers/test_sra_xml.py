"""SRA's XML: what a plain reading gives, and what is refused."""

import gzip
import io
import re
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records.answers import sra_xml
from scripts.records.answers.sra_xml import Experiment, Read
from tests.records.small_archives import package, package_set, run


def parse(text: str | bytes) -> list[Experiment]:
    return list(sra_xml.parse_experiments(io.BytesIO(text.encode() if isinstance(text, str) else text), "answer"))


def test_an_experiment_with_its_runs() -> None:
    files = [("a.bam", "10X Genomics bam file", 7, "1" * 32), ("SRR1", "SRA Normalized", 5, "2" * 32)]
    members = [("GSM1", "10090", "Mus musculus")]
    text = package(
        "SRX1",
        [run("SRR1", spots=9, lengths=(8, 28, 91), files=files, members=members), run("SRR2", lengths=())],
        gsm="GSM1",
        library="lib",
    )
    (found,) = parse(package_set(text))
    assert found.experiment == "SRX1"
    assert found.samples == ("GSM1",)
    assert (found.study, found.project, found.series) == ("SRP1", "PRJNA1", ("GSE1",))
    assert (found.strategy, found.selection, found.layout, found.library) == ("RNA-Seq", "cDNA", "paired", "lib")
    assert found.taxa == (("10090", "Mus musculus"),)
    assert found.attributes == (("tissue", "brain"),)
    first, second = found.runs
    assert (first.run, first.spots, first.bases, first.size) == ("SRR1", "9", str(9 * 127), "990")
    assert first.reads == (Read(8, 0, 9), Read(28, 0, 9), Read(91, 0, 9))
    url = "https://example.org/a.bam"
    assert first.files[0] == sra_xml.RemoteFile("a.bam", "10X Genomics bam file", 7, "1" * 32, url, (url,))
    assert (first.taxa, first.samples, first.closed) == ((("10090", "Mus musculus"),), ("GSM1",), "")
    assert second.reads == ()


def test_loader_options_name_kinds_and_files() -> None:
    options = "--readTypes=TB --read1PairFiles=x_R1_001.fastq.gz --read2PairFiles=x_R2_001.fastq.gz,y_R2_001.fastq.gz"
    (found,) = parse(package_set(package("SRX1", [run("SRR1", lengths=(28, 91), options=options)])))
    assert [read.kind for read in found.runs[0].reads] == ["T", "B"]
    assert found.runs[0].read_files == ("x_R1_001.fastq.gz", "x_R2_001.fastq.gz")


def test_quoted_options_and_several_attributes_of_them() -> None:
    first, second = "--read1PairFiles='x_R1.fq' --read2PairFiles \"x_R2.fq\"", "--readTypes='TB' --useAndDiscardNames"
    text = package_set(package("SRX1", [run("SRR1", lengths=(28, 91), options=first)]))
    more = f"<RUN_ATTRIBUTE><TAG>options</TAG><VALUE>{second}</VALUE></RUN_ATTRIBUTE></RUN_ATTRIBUTES>"
    (found,) = parse(text.replace("</RUN_ATTRIBUTES>", more))
    assert [read.kind for read in found.runs[0].reads] == ["T", "B"]
    assert found.runs[0].read_files == ("x_R1.fq", "x_R2.fq")


def test_a_read_descriptor_names_kinds_in_older_records() -> None:
    spec = "".join(
        f"<READ_SPEC><READ_INDEX>{place}</READ_INDEX><READ_CLASS>{kind} Read</READ_CLASS>"
        f"<READ_TYPE>Forward</READ_TYPE><BASE_COORD>{1 + 28 * place}</BASE_COORD></READ_SPEC>"
        for place, kind in enumerate(("Technical", "Application"))
    )
    text = package("SRX1", [run("SRR1", lengths=(28, 91))]).replace(
        "<DESIGN>", f"<DESIGN><SPOT_DESCRIPTOR><SPOT_DECODE_SPEC>{spec}</SPOT_DECODE_SPEC></SPOT_DESCRIPTOR>"
    )
    (found,) = parse(package_set(text))
    assert [read.kind for read in found.runs[0].reads] == ["T", "B"]
    assert found.starts == (1, 29)


def test_a_variable_number_of_reads() -> None:
    (found,) = parse(package_set(package("SRX1", [run("SRR1").replace('nreads="2"', 'nreads="variable"')])))
    assert found.runs[0].variable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (run("SRR1", public=False), "the record says that the run is not public"),
        (run("SRR1", cluster="dbgap"), "its files lie in the cluster 'dbgap', not in the public one"),
        (run("SRR1"), ""),
    ],
)
def test_closed_runs(text: str, words: str) -> None:
    (found,) = parse(package_set(package("SRX1", [text])))
    assert found.runs[0].closed == words


def test_an_experiment_without_runs_and_a_set_without_experiments() -> None:
    assert parse(package_set(package("SRX1", [])))[0].runs == ()
    assert parse(package_set()) == []


@pytest.mark.parametrize("pad", [0, 1, 5, sra_xml._PIECE - 700, sra_xml._PIECE])
def test_answers_one_after_the_other(pad: int) -> None:
    first = package_set(package("SRX1", [run("SRR1")], title="x" * pad))
    found = parse(first + package_set(package("SRX2", [run("SRR2")])) + package_set())
    assert [item.experiment for item in found] == ["SRX1", "SRX2"]


def test_documents_are_cut_at_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    text = package_set(package("SRX1", [])) + package_set(package("SRX2", []))
    for piece in range(1, 60):
        monkeypatch.setattr(sra_xml, "_PIECE", piece)
        assert [item.experiment for item in parse(text)] == ["SRX1", "SRX2"], piece


def test_an_error_answer_is_empty_and_says_why() -> None:
    body = b'<?xml version="1.0" ?>\n<eFetchResult>\n<ERROR>SRR1 is\n not public</ERROR></eFetchResult>'
    assert parse(body) == []
    assert sra_xml.read_answer(body) == ([], [], ["SRR1 is not public"])
    assert parse(b'<?xml version="1.0" ?><ERROR>no</ERROR>') == []


BOMB = """<?xml version="1.0"?>
<!DOCTYPE EXPERIMENT_PACKAGE_SET [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<EXPERIMENT_PACKAGE_SET>&c;</EXPERIMENT_PACKAGE_SET>"""


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        BOMB.replace('"1.0"', '"1.0" encoding="UTF-16"').encode("utf-16"),
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><EXPERIMENT_PACKAGE_SET>&f;</EXPERIMENT_PACKAGE_SET>',
    ],
)
def test_a_document_that_declares_entities_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match=r"answer: the document declares entities"):
        parse(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (package_set(package("SRX1", [run("SRR1")]))[:-40], "cut short or not well-formed XML"),
        (package_set(package("SRX1", [run("SRR1")]))[:300], "cut short or not well-formed XML"),
        ("<html></html>", "outermost element is 'html'"),
        ("no XML at all", "cut short or not well-formed XML"),
        ("", "it is empty"),
    ],
)
def test_what_is_no_whole_record_is_refused(body: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(body)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sra.xml.gz"
    path.write_bytes(gzip.compress(package_set(package("SRX1", [run("SRR1")])).encode())[:-10])
    with pytest.raises(InputError, match=r"sra\.xml\.gz: it is cut short"):
        list(sra_xml.read_experiments(path))


def test_a_bad_run_is_that_run_alone() -> None:
    runs = [run("/home/x/data"), run("SRR2"), run("--option-file=x"), run("")]
    (found,) = parse(package_set(package("SRX1", runs)))
    assert [(item.run, item.fault) for item in found.runs] == [
        ("", "The record names the run '/home/x/data', which is no accession."),
        ("SRR2", ""),
        ("", "The record names the run '--option-file=x', which is no accession."),
        ("", "The record has a run without an accession."),
    ]


def test_a_bad_experiment_spoils_its_runs() -> None:
    (found,) = parse(package_set(package("/home/x", [run("SRR2")])))
    fault = "The record names the experiment '/home/x', which is no accession."
    assert (found.experiment, found.runs[0].run, found.runs[0].fault) == ("", "SRR2", fault)


def test_other_bad_accessions_are_not_used() -> None:
    text = package("SRX1", [run("SRR1")], gsm="GSM1/../x", gse="/GSE1", study="../SRP1", project="PRJNA1\n")
    (found,) = parse(package_set(text.replace('SAMPLE accession="SRS1"', 'SAMPLE accession="SRS 1"')))
    assert (found.study, found.sample, found.samples, found.series) == ("", "", ("GSM1",), ())
    assert found.faults == (
        "The record names the sample 'SRS 1', which is no accession.",
        "The record names the study '../SRP1', which is no accession.",
    )


def test_samples_and_submission_by_all_their_names() -> None:
    ids = '<IDENTIFIERS><EXTERNAL_ID namespace="BioSample">SAMN1</EXTERNAL_ID></IDENTIFIERS><TITLE>cell</TITLE>'
    text = package("SRX1", [run("SRR1")]).replace("<TITLE>cell</TITLE><SAMPLE_NAME>", f"{ids}<SAMPLE_NAME>")
    text = text.replace("<STUDY ", '<SUBMISSION accession="SRA9"/><STUDY ')
    (found,) = parse(package_set(text))
    assert (found.sample, found.others) == ("SRS1", ("SRS1", "SAMN1", "SRA9"))


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "abc", "1e3", "²", "NaN"])
def test_numbers_that_are_none(number: str) -> None:
    text = package("SRX1", [run("SRR1")])
    for name in ("total_spots", "total_bases", "size", "index", "count", "average", "stdev"):
        text = re.sub(rf' {name}="[^"]*"', f' {name}="{number}"', text)
    (found,) = parse(package_set(text))
    (item,) = found.runs
    assert (item.spots, item.bases, item.size, item.files[0].size) == ("", "", "", 0)
    assert [fault.partition(" as ")[0] for fault in found.faults] == [
        f"The record gives the {what} of SRR1" for what in ("spots", "bases", "size")
    ]
    assert all(read.length in (0, 1000) and read.stdev in (0, 1000) and read.spots == 0 for read in item.reads)


@pytest.mark.parametrize("url", ["http://[::1", "file:///etc/passwd", "/etc/passwd", "--upload-file=x", "http://h:x/"])
def test_addresses_that_are_none(url: str) -> None:
    text = package("SRX1", [run("SRR1")]).replace("https://example.org/SRR1", url)
    (found,) = parse(package_set(text))
    assert (found.runs[0].files[0].url, found.runs[0].files[0].anonymous) == ("", ())


def test_a_species_may_have_a_name_alone() -> None:
    (found,) = parse(package_set(package("SRX1", [run("SRR1")], taxon=("", "Mus musculus"))))
    assert found.taxa == (("10090", "Mus musculus"),)
    (found,) = parse(package_set(package("SRX1", [run("SRR1")], taxon=("", ""))))
    assert found.taxa == ()


def test_an_answer_is_read_package_by_package() -> None:
    texts = [package(f"SRX{n}", [run(f"SRR{n}")]) for n in (1, 2, 3, 4)]
    texts[1] = texts[1].replace("<TITLE>cell", "<TITLE>\x01cell")
    texts[2] = texts[2].replace("<TITLE>cell", "<TITLE>&nbsp;cell")
    answer = sra_xml.read_answer(package_set(*texts).encode())
    assert [(item.experiment, package.decode()) for item, package in answer.packages] == [
        ("SRX1", texts[0]),
        ("SRX4", texts[3]),
    ]
    assert (answer.damaged, answer.errors) == (["SRX2", "SRX3"], [])


@pytest.mark.parametrize("tag", ["ERROR", "Error", "error"])
def test_an_error_among_packages_is_read(tag: str) -> None:
    text = package_set(f"<{tag}>database\n down</{tag}>", package("SRX1", [run("SRR1", options="<b>no error</b>")]))
    answer = sra_xml.read_answer(text.encode())
    assert [item.experiment for item, _ in answer.packages] == ["SRX1"]
    assert answer.errors == ["database down"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML; it is empty"),
        (b'{"error":"API rate limit exceeded"}', "not XML; it begins with"),
        (b"<eFetchResult/>", "outermost element is 'eFetchResult'"),
        (package_set(package("SRX1", [run("SRR1")])).encode()[:-40], "cut short or not well-formed XML"),
        (BOMB.encode(), "declares entities"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        sra_xml.read_answer(body)


def test_packages_are_read_as_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [package("SRX1", [run("SRR1")]), package("SRX2", []).replace("PACKAGE>", "PACKAGE >", 1)]
    path = tmp_path / "sra.xml"
    path.write_text(package_set(*texts), encoding="utf-8")
    for piece in (1, 7, 1 << 18):
        monkeypatch.setattr(sra_xml, "_PIECE", piece)
        assert [package.decode() for package in sra_xml.read_packages(path)] == texts
