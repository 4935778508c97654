"""SRA's XML: what a plain reading gives, and what is refused."""

import gzip
import io
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import sra_xml
from scripts.records.sra_xml import Experiment, Read
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
    assert sra_xml.answer_errors(body) == ["SRR1 is not public"]
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


def test_answers_are_kept_as_they_came() -> None:
    answers = [package_set(package("SRX1", [run("SRR1")])).encode(), package_set().encode()]
    parts = [sra_xml.packages_of(answer) for answer in answers]
    assert parts[1] == b""
    whole = sra_xml.package_set([*parts, parts[0]])
    assert parts[0] in whole
    assert [item.experiment for item in parse(whole)] == ["SRX1", "SRX1"]
    assert sra_xml.packages_of(b"<eFetchResult/>") == b""
