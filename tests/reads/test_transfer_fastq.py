"""ENA's FASTQ where no source has the archive: the same reads and the same counts, or a sentence why not."""

import gzip
import os
from pathlib import Path

import pytest

from scripts.formats.fastq_files import read_pieces
from scripts.plan.run_table import read_runs
from scripts.plan.status import read_statuses
from scripts.reads import download, fastq
from scripts.reads.sources.remote_files import UnitRecords
from scripts.reads.sources.source_order import SourceOrder
from scripts.reads.sources.transfer import TransferSettings
from tests.reads.analysis_directory import UNIT, Analysis
from tests.toy.catalogue import ORPHANS
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

PAIRED, SINGLE, ORPHAN_RUN = "SRR9000001", "SRR9000002", "SRR9000017"
V3, V2 = "SRR9000101", "SRR9000103"
ARCHIVES = "/sdl/|sra-pub-run-odp|/vol1/srr/"
FILES = "/vol1/fastq/"


def made(folder, server, world, runs, **changes):
    """An analysis directory where no source has an archive, but ENA's record names FASTQ."""
    folder.mkdir(exist_ok=True)
    analysis = Analysis(folder, server, world, runs, **changes)
    analysis.offer_fastq()
    server.fault(ARCHIVES, 404)
    return analysis


def library(folder, server, world, run):
    """The same for a run of a droplet library, whose statistics stand in the record."""
    analysis = made(folder, server, world, [run], assay="droplet", experiment="SRX1")
    analysis.unit = "GSE900001.mus.SRX1"
    (analysis.folder / f"{UNIT}.tsv").rename(analysis.folder / f"{analysis.unit}.tsv")
    return analysis


def convert(analysis):
    """Convert what was downloaded; return run → status, file name → [(name, bases, qualities)]."""
    unit = getattr(analysis, "unit", UNIT)
    here = Path.cwd()
    os.chdir(analysis.folder)
    try:
        words = ["--runs", f"{unit}.tsv", "--archives", str(analysis.output)]
        fastq.main([*words, "--output", "work/fastq"])
    finally:
        os.chdir(here)
    folder = analysis.folder / "work/fastq"
    reads = {}
    for path in folder.glob("*.fastq*"):
        lines = b"".join(read_pieces(path)).decode().splitlines()
        names = [line.split()[0] for line in lines[::4]]
        reads[path.name.removesuffix(".gz")] = list(zip(names, lines[1::4], lines[3::4], strict=True))
    return read_statuses(folder / "status.tsv"), reads


def test_the_reads_are_those_of_the_archive(tmp_path, server, world):
    runs = [PAIRED, SINGLE, ORPHAN_RUN]
    assert ORPHAN_RUN in world.experiments[ORPHANS].runs
    expected = Analysis(tmp_path, server, world, runs)
    expected.run()
    _, from_archives = convert(expected)
    other = made(tmp_path / "other", server, world, runs)
    statuses = other.run()
    assert {(status.state, status.source, status.detail) for status in statuses.values()} == {("ok", "ena_fastq", "")}
    assert len(list(other.output.glob("*.fastq.gz"))) == 6 and not list(other.output.glob("*.sra"))
    statuses, from_ena = convert(other)
    assert {run: (status.state, status.source, int(status.spots)) for run, status in statuses.items()} == {
        run: ("ok", "ena_fastq", world.archives[run].spots) for run in runs
    }
    for name, reads in from_ena.items():
        if name.startswith(ORPHAN_RUN):  # the toy's loader puts orphans behind all pairs, and so gives other numbers
            assert [read[1:] for read in reads] == [read[1:] for read in from_archives[name]]
        else:
            assert reads == from_archives[name]
    assert from_ena.keys() == from_archives.keys()
    assert len(from_ena[f"{ORPHAN_RUN}.fastq"]) == 12


def test_two_reads_of_a_library_are_taken(tmp_path, server, world):
    analysis = library(tmp_path, server, world, V2)
    analysis.run("--runs", f"{analysis.unit}.tsv")
    status, reads = convert(analysis)
    assert (status[V2].state, status[V2].source) == ("ok", "ena_fastq")
    assert {name: len(found) for name, found in reads.items()} == {
        f"{V2}_{number}.fastq": world.archives[V2].spots for number in (1, 2)
    }


def test_a_library_of_which_only_the_cdna_is_there_is_refused(tmp_path, server, world):
    analysis = library(tmp_path, server, world, V3)
    analysis.run("--runs", f"{analysis.unit}.tsv")
    status = analysis.statuses()[V3]
    assert status.reason == "DOWNLOAD_FAILED"
    assert status.detail.endswith("; ena_fastq: ENA's FASTQ has 1 of the 3 reads of a spot.")
    assert not server.asked(FILES)


def test_archives_are_asked_twice_before(tmp_path, server, world):
    analysis = made(tmp_path, server, world, [PAIRED])
    server.clear()
    server.fault(ARCHIVES, 503)
    analysis.run("--order", "ncbi", "ena")
    assert analysis.statuses()[PAIRED].source == "ena_fastq"
    asked = [request.path for request in server.asked(f"{ARCHIVES}|{FILES}")]
    assert [path.split("/")[1:3] for path in asked] == [
        *([["sra-pub-run-odp", "sra"], ["vol1", "srr"]] * 2),
        *([["vol1", "fastq"]] * 2),
    ]


def test_without_ena_among_the_sources_there_is_no_fastq(tmp_path, server, world):
    analysis = made(tmp_path, server, world, [PAIRED])
    analysis.run("--order", "sra", "ncbi")
    assert analysis.statuses()[PAIRED].reason == "DOWNLOAD_FAILED"
    assert not server.asked(FILES)


def test_a_cut_transfer_is_resumed_where_it_broke(tmp_path, server, world):
    analysis = made(tmp_path, server, world, [PAIRED])
    fault = server.fault(f"{FILES}.*_2", "cut", times=1, share=0.3)
    analysis.run()
    assert analysis.statuses()[PAIRED].ok and fault.left == 0
    size = sum(path.stat().st_size for path in (world.folder / "fastq").glob(f"{PAIRED}*"))
    assert size <= sum(request.bytes for request in server.asked(FILES)) <= 1.1 * size


def test_other_bytes_than_ena_promises_are_refused(tmp_path, server, world):
    analysis = made(tmp_path, server, world, [SINGLE])
    text = gzip.decompress(analysis.ena.read_bytes()).decode()
    lines = [line.split("\t") for line in text.splitlines()]
    lines[1][lines[0].index("fastq_md5")] = "0" * 32
    analysis.ena.write_bytes(gzip.compress("".join("\t".join(line) + "\n" for line in lines).encode()))
    analysis.run()
    status = analysis.statuses()[SINGLE]
    assert status.reason == "CHECKSUM_MISMATCH"
    assert status.detail.endswith(f", but {'0' * 32} was promised.") and "ena_fastq: its md5 is " in status.detail
    assert [path.name for path in analysis.output.iterdir()] == ["status.tsv"]


def test_where_the_record_has_other_lengths_the_files_are_not_those_reads(tmp_path, server, world):
    analysis = library(tmp_path, server, world, V2)
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    assert text.count('average="26"') == 1
    analysis.xml.write_bytes(gzip.compress(text.replace('average="26"', 'average="28"').encode()))
    analysis.run("--runs", f"{analysis.unit}.tsv")
    detail = f"ena_fastq: {V2}_1.fastq.gz has reads of 26 bases, the record of 28."
    assert analysis.statuses()[V2].detail.endswith(detail)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"bases": "7"}, "the record has 7 bases, ENA's FASTQ {bases:,}."),
        ({"spots": "7", "bases": ""}, "the record has 7 spots, ENA's FASTQ {spots:,}."),
    ],
)
def test_reads_that_are_not_all_there_are_reported(tmp_path, server, world, changes, detail):
    analysis = made(tmp_path, server, world, [PAIRED], **changes)
    analysis.run()
    status = convert(analysis)[0][PAIRED]
    assert (status.reason, status.detail) == ("READS_MISSING", detail.format(**world.archives[PAIRED]._asdict()))


def simplified(content):
    lines = gzip.decompress(content).decode().splitlines()
    lines[3::4] = ["?" * len(line) for line in lines[3::4]]
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def made_of_lite(folder, server, world, resolver, **changes):
    """An analysis whose archives are gone, and ENA's FASTQ has no quality but 30."""
    analysis = Analysis(folder, server, world, [SINGLE], **changes)
    server.fault(ARCHIVES, 404)
    name = f"{SINGLE}.fastq.gz"
    resolver.files = {name: simplified((world.folder / "fastq" / name).read_bytes())}
    analysis.offer("fastq", resolver.url, resolver.files)
    return analysis


def test_fastq_of_simplified_qualities_is_lite_where_the_archives_have_lite_of_the_run(
    tmp_path, server, world, resolver
):
    analysis = made_of_lite(tmp_path, server, world, resolver)
    assert "SRA Lite" in gzip.decompress(analysis.xml.read_bytes()).decode()
    status = analysis.run("--order", "ena")[SINGLE]
    assert (status.state, status.reason) == ("failed", "QUALITY_LITE")
    assert status.detail == (
        "ena: the server answered 404 Not Found; ena_fastq: the qualities of ENA's FASTQ are simplified, as those of"
        " SRA Lite."
    )
    status = analysis.run("--order", "ena", "--accept-lite")[SINGLE]
    assert (status.state, status.source) == ("ok", "ena_fastq")
    assert status.detail == "Of SRA Lite: the qualities of ENA's FASTQ are simplified."


def test_fastq_whose_qualities_are_all_one_is_whole_where_no_archive_has_lite_of_the_run(
    tmp_path, server, world, resolver
):
    analysis = made_of_lite(tmp_path, server, world, resolver)
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    analysis.xml.write_bytes(gzip.compress(text.replace("SRA Lite", "SRA Normalized").replace(".lite", "").encode()))
    status = analysis.run("--order", "ena")[SINGLE]
    assert (status.state, status.source, status.detail) == ("ok", "ena_fastq", "")
    size = world.archives[SINGLE].size
    assert f'size="{size * 7 // 10}"' in text
    text = text.replace(f'size="{size * 7 // 10}"', f'size="{size * 99 // 100}"')  # Lite had nothing to take away
    analysis.xml.write_bytes(gzip.compress(text.encode()))
    assert analysis.run("--order", "ena")[SINGLE].source == "ena_fastq"


def test_fastq_may_come_first_in_the_order(tmp_path, server, world):
    analysis = Analysis(tmp_path, server, world, [PAIRED, SINGLE])
    analysis.offer_fastq()
    assert {status.source for status in analysis.run("--order", "ena_fastq", "sra").values()} == {"ena_fastq"}
    assert not server.asked(ARCHIVES)


def test_where_fastq_comes_first_and_is_not_all_there_the_archive_is_asked(tmp_path, server, world):
    analysis = library(tmp_path, server, world, V3)
    server.clear()
    analysis.run("--runs", f"{analysis.unit}.tsv", "--order", "ena_fastq", "ncbi")
    assert analysis.statuses()[V3].source == "ncbi"


def test_what_an_earlier_job_downloaded_is_not_fetched_again(tmp_path, server, world, monkeypatch):
    made(tmp_path, server, world, [PAIRED])
    monkeypatch.chdir(tmp_path)
    rows = read_runs(f"{UNIT}.tsv")
    records = UnitRecords(rows, "resources/records", "http://x", patience=5.0)
    for _ in range(2):
        downloader = download.Downloader(
            rows,
            Path("work/download", UNIT),
            Path("work/partial", UNIT),
            records,
            SourceOrder(["ena"], more_passes=0, first_wait=0.05),
            TransferSettings(server.archives["sra"]),
        )
        assert downloader.run(rows[0]).source == "ena_fastq"
    assert len(server.asked(FILES)) == 2


def test_the_counts_are_the_same_in_the_end(world, tmp_path):
    with Server(world) as server:
        server.fault("sra-pub-run-odp", 403)
        server.fault("/vol1/srr/", 404)
        configuration = world.configuration(server) | {"series": ["GSE900003"], "droplets": {}}
        assert run_workflow(tmp_path, configuration, ["--cores", "2", "--quiet"]) == 0
    rows = [row for row in read_runs(tmp_path / "results/runs.tsv") if row.status == "counted"]
    assert len(rows) >= 10 and {row.source for row in rows} == {"ena_fastq"}
    truth = world.plate_truth()
    for species in ("homo", "mus"):
        with gzip.open(tmp_path / f"results/{species}.htseq-count.csv.gz", "rt", encoding="utf-8") as lines:
            table = [line.rstrip("\n").split(",") for line in lines]
        for column, run in enumerate(table[0][1:], 1):
            (experiment,) = {row.experiment for row in rows if row.run == run}
            expected = truth.get(experiment) or truth[f"{experiment}.{species}"]
            counted = {line[0]: int(line[column]) for line in table[4:] if line[column] != "0"}
            assert counted == {gene: count for gene, count in expected.items() if count}
