"""The files that were submitted, where the archives have lost reads: taken, proved and named."""

import gzip

import pytest

from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, write_statuses
from scripts.reads.lost_reads import find_loss
from scripts.records.answers.sra_xml import Read
from tests.reads import aligned_archives
from tests.reads.analysis_directory import Analysis
from tests.reads.test_conversion import cell_ranger_bam, random_reads
from tests.reads.test_transfer_fastq import ARCHIVES, V2, convert, library

pytestmark = pytest.mark.tools

PAIRED, SINGLE = "SRR9000001", "SRR9000002"


def fastq_of(world, run):
    """Return name → FASTQ as a submitter names and writes it, and the bases of its reads."""
    files, bases = {}, []
    for number in (1, 2):
        lines = (
            gzip.decompress((world.folder / "fastq" / f"{run}_{number}.fastq.gz").read_bytes()).decode().splitlines()
        )
        lines[::4] = [f"@M1:7:FC:1:1:{spot} {number}:N:0:ACGT" for spot in range(len(lines) // 4)]
        bases.append(lines[1::4])
        text = "".join(f"{line}\n" for line in lines)
        files[f"cell_S1_R{number}_001.fastq.gz"] = gzip.compress(text.encode(), mtime=0)
    return files, bases


@pytest.fixture
def submitted(tmp_path, server, world, resolver):
    """An analysis of a run whose submitted FASTQ ENA has, and the bases of its reads."""
    analysis = Analysis(tmp_path, server, world, [PAIRED], layout="paired")
    resolver.files, analysis.bases = fastq_of(world, PAIRED)
    analysis.offer("submitted", resolver.url, resolver.files)
    return analysis


def check_reads(analysis):
    statuses, reads = convert(analysis)
    status = statuses[PAIRED]
    assert (status.state, status.source) == ("ok", "submitted")
    assert int(status.spots) == analysis.world.archives[PAIRED].spots
    assert [[read[1] for read in reads[f"{PAIRED}_{number}.fastq"]] for number in (1, 2)] == analysis.bases


def test_archives_come_first(submitted, resolver):
    assert submitted.run()[PAIRED].source == "sra"
    assert not resolver.asked


def test_submitted_files_are_taken_where_no_archive_has_the_run(submitted, server):
    server.fault(ARCHIVES, 404)
    status = submitted.run()[PAIRED]
    assert (status.state, status.source, status.detail) == ("ok", "submitted", "")
    check_reads(submitted)


def test_submitted_files_are_taken_where_the_archive_has_lost_spots(submitted, server, world):
    """NCBI's record leads to an archive of fewer spots than it says."""
    spots = world.archives[PAIRED].spots
    fewer = min(world.archives, key=lambda run: world.archives[run].spots or spots)
    assert 0 < world.archives[fewer].spots < spots
    text = gzip.decompress(submitted.xml.read_bytes()).decode()
    text = text.replace(f"sra-pub-run-odp/sra/{PAIRED}/{PAIRED}", f"sra-pub-run-odp/sra/{fewer}/{fewer}")
    facts, other = world.archives[PAIRED], world.archives[fewer]
    text = text.replace(f'md5="{facts.md5}"', f'md5="{other.md5}"').replace(f'"{facts.size}"', f'"{other.size}"')
    submitted.xml.write_bytes(gzip.compress(text.encode()))
    submitted.plan([PAIRED], layout="paired", md5="")
    assert submitted.run("--order", "ncbi")[PAIRED].source == "submitted"
    check_reads(submitted)


def test_an_archive_of_fewer_spots_is_left_to_the_conversion_where_nothing_was_submitted(tmp_path, server, world):
    analysis = Analysis(tmp_path, server, world, [PAIRED], layout="paired", spots="99999")
    assert analysis.run()[PAIRED].source == "sra"


@pytest.mark.parametrize("runs", [(0, 2), (1, 2)])
def test_submitted_files_are_taken_where_the_fastq_of_ena_has_lost_spots(submitted, server, world, resolver, runs):
    """ENA's FASTQ ends early, in both files or in one, as the sizes and checksums of its record have it."""
    server.fault(ARCHIVES, 404)
    cut = {}
    for number in (1, 2):
        name = f"{PAIRED}_{number}.fastq.gz"
        lines = gzip.decompress((world.folder / "fastq" / name).read_bytes()).splitlines(keepends=True)
        cut[name] = gzip.compress(b"".join(lines[:-40] if number in range(runs[0], runs[1] + 1) else lines), mtime=0)
    resolver.files |= cut
    submitted.offer("fastq", resolver.url, cut)
    assert submitted.run()[PAIRED].source == "submitted"
    check_reads(submitted)


def test_submitted_files_are_taken_where_the_mates_of_ena_disagree(submitted, server, world, resolver):
    server.fault(ARCHIVES, 404)
    names = [f"{PAIRED}_{number}.fastq.gz" for number in (1, 2)]
    resolver.files |= {name: (world.folder / "fastq" / name).read_bytes() for name in names}
    lines = gzip.decompress(resolver.files[names[1]]).splitlines(keepends=True)
    resolver.files[names[1]] = gzip.compress(b"".join(lines[4:] + lines[:4]), mtime=0)
    submitted.offer("fastq", resolver.url, {name: resolver.files[name] for name in names})
    assert submitted.run()[PAIRED].source == "submitted"
    check_reads(submitted)


def test_ena_is_not_asked_for_submitted_files_while_archives_serve(submitted, server):
    submitted.ena.unlink()
    server.clear()
    assert submitted.run("--order", "ncbi")[PAIRED].source == "ncbi"
    assert not server.asked("filereport")


@pytest.mark.parametrize(
    ("reads", "row", "reason", "words"),
    [
        ((90, 90), {"layout": "paired"}, "", ""),
        ((90, 60), {"layout": "paired"}, "", ""),
        ((90, 40), {"layout": "paired"}, "READS_MISSING", "40 of 90 spots are pairs, by the record."),
        ((90,), {"layout": "paired"}, "READS_MISSING", "0 of 90 spots are pairs, by the record."),
        ((90, 0), {"layout": "paired"}, "READS_MISSING", "0 of 90 spots are pairs, by the record."),
        ((90,), {"layout": "single"}, "", ""),
        ((), {"layout": "paired"}, "", ""),
        ((90,), {"assay": "droplet"}, "BARCODE_LOST", "a spot has 1 read of more than 12 bases, by the record."),
        ((90, 90), {"assay": "droplet"}, "", ""),
    ],
)
def test_what_a_record_shows_to_be_lost(reads, row, reason, words):
    statistics = [Read(50.0 if count else 0.0, 0.0, count) for count in reads]
    fault = find_loss(Run(**{"run": "SRR1", "assay": "plate", **row}), statistics, [], {})
    assert (fault.reason, fault.detail) == (reason, words) if reason else fault is None


def test_a_run_whose_archive_lost_reads_is_tried_again_with_what_was_submitted(submitted, tmp_path):
    for reason, source in (("READS_MISSING", "submitted"), ("DOWNLOAD_FAILED", "sra")):
        write_statuses(tmp_path / "failed.tsv", [RunStatus(PAIRED, "failed", reason, source="sra")])
        assert submitted.run("--kept", str(tmp_path))[PAIRED].source == source


def test_a_run_that_is_planned_so_has_no_other_source(submitted, server):
    submitted.plan([PAIRED], layout="paired", source="submitted")
    assert submitted.run()[PAIRED].source == "submitted"
    assert not server.asked(ARCHIVES)
    submitted.ena.write_bytes(gzip.compress(b"run_accession\n"))
    assert submitted.run()[PAIRED].detail == "the records name no file of the run at submitted."


def test_the_bam_of_a_library_is_taken_where_the_record_shows_that_its_barcodes_are_lost(
    tmp_path, server, world, resolver
):
    analysis = library(tmp_path, server, world, V2)
    server.clear()
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    assert text.count('average="26"') == 1
    analysis.xml.write_bytes(gzip.compress(text.replace('average="26"', 'average="0"').encode()))
    spots = list(
        zip(random_reads(world.archives[V2].spots, 28), random_reads(world.archives[V2].spots, 90), strict=True)
    )
    bam = cell_ranger_bam(tmp_path / "possorted.bam", spots)
    resolver.files = {"possorted.bam": bam.read_bytes()}
    analysis.offer("submitted", resolver.url, resolver.files)
    analysis.run("--runs", f"{analysis.unit}.tsv", "--order", "ncbi")
    status = analysis.statuses()[V2]
    assert (status.state, status.source) == ("ok", "submitted")
    statuses, reads = convert(analysis)
    assert (statuses[V2].state, statuses[V2].source) == ("ok", "submitted")
    assert [read[1] for read in reads[f"{V2}_1.fastq"]] == [first[0] for first, _ in spots]


def test_submitted_files_of_fewer_spots_are_refused(submitted, server, world):
    server.fault(ARCHIVES, 404)
    submitted.plan([PAIRED], layout="paired", spots="99,999".replace(",", ""))
    assert submitted.run()[PAIRED].source == "submitted"
    status = convert(submitted)[0][PAIRED]
    spots = world.archives[PAIRED].spots
    assert (status.reason, status.detail) == ("READS_MISSING", f"the record has 99,999 spots, the files {spots:,}.")


def test_submitted_mates_whose_names_differ_are_refused(submitted, server, resolver):
    server.fault(ARCHIVES, 404)
    second = gzip.decompress(resolver.files["cell_S1_R2_001.fastq.gz"])
    resolver.files["cell_S1_R2_001.fastq.gz"] = gzip.compress(second.replace(b":1:1:7 ", b":1:1:8 "), mtime=0)
    submitted.offer("submitted", resolver.url, resolver.files)
    assert submitted.run()[PAIRED].source == "submitted"
    assert convert(submitted)[0][PAIRED].reason == "MATES_DISAGREE"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html></html>", "submitted: the answer is a web page, not what was asked."),
        (b"something else", "submitted: cell_R1.fastq.gz is something else."),
    ],
)
def test_what_is_no_fastq_is_refused(tmp_path, server, world, resolver, content, words):
    analysis = Analysis(tmp_path, server, world, [SINGLE], layout="single")
    server.fault(ARCHIVES, 404)
    resolver.files = {"cell_R1.fastq.gz": content}
    analysis.offer("submitted", resolver.url, resolver.files)
    status = analysis.run("--order", "ncbi")[SINGLE]
    assert (status.state, status.reason) == ("failed", "DOWNLOAD_FAILED")
    assert status.detail.startswith("ncbi: the server answered 404 Not Found; submitted: ")
    assert status.detail.endswith(words) or "page" in words


def test_an_archive_without_its_references_is_replaced_by_fastq(tmp_path, server, world, resolver):
    """The record leads to an aligned archive whose references nobody has; ENA has FASTQ."""
    made = aligned_archives.make(tmp_path)
    folder = tmp_path / "analysis"
    folder.mkdir()
    spots = aligned_archives.SPOTS
    analysis = Analysis(
        folder, server, world, [PAIRED], layout="paired", spots=str(spots), bases=str(spots * 100), md5=""
    )
    content = made.external.read_bytes()
    resolver.files[PAIRED] = content
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    facts = world.archives[PAIRED]
    for url in {word.split('"')[0] for word in text.split('url="')[1:] if word.split('"')[0].endswith(f"/{PAIRED}")}:
        text = text.replace(f'"{url}"', f'"{resolver.url}/{PAIRED}"')
    text = text.replace(f'md5="{facts.md5}"', "").replace(f'size="{facts.size}"', f'size="{len(content)}"')
    analysis.xml.write_bytes(gzip.compress(text.replace('average="75"', 'average="50"').encode()))
    for number in (1, 2):
        reads = "".join(
            f"@{PAIRED}.{spot} {spot}/{number}\n{mates[number - 1]}\n+\n{'F' * 50}\n"
            for spot, mates in enumerate(made.mates, 1)
        )
        resolver.files[f"{PAIRED}_{number}.fastq.gz"] = gzip.compress(reads.encode(), mtime=0)
    offered = {name: content for name, content in resolver.files.items() if name.endswith(".gz")}
    analysis.offer("fastq", resolver.url, offered)
    words = ("--resolver", f"{resolver.url}/sdl", "--order", "ncbi", "ena")
    status = analysis.run(*words)[PAIRED]
    assert (status.state, status.source) == ("ok", "ena_fastq")
    statuses, reads = convert(analysis)
    assert statuses[PAIRED].ok and [read[1] for read in reads[f"{PAIRED}_1.fastq"]] == [one for one, _ in made.mates]
    status = analysis.run(*words[:-1])[PAIRED]  # without ENA
    assert (status.state, status.reason) == ("failed", "REFERENCE_MISSING")
    assert status.detail == (
        "ncbi: it is aligned to references that it does not hold, and 1 of 1 cannot be had: NC_000001.10 (the resolver"
        " answers 404, Cannot resolve accession)."
    )
    resolver.files["NC_000001.10"] = made.reference.read_bytes()
    assert analysis.run(*words)[PAIRED].source == "ncbi"
    statuses, reads = convert(analysis)
    assert sorted(read[1] for read in reads[f"{PAIRED}_1.fastq"]) == sorted(one for one, _ in made.mates)
