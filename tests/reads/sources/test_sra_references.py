"""Archives that are aligned to references outside: found beside the archive, in the cache or by the resolver."""

import hashlib
import shutil

import pytest

from scripts.formats.fastq_files import find_reads, read_pieces
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import read_statuses
from scripts.reads import download, fastq
from scripts.reads.sources import sra_references
from tests.reads import aligned_archives
from tests.reads.aligned_archives import BASES, SPOTS

pytestmark = pytest.mark.tools

RUN, UNIT, NAME = "SRR1", "GSE1.mus.0000", "NC_000001.10"
CACHE = "resources/sra_references"
NOT_HAD = "it is aligned to references that it does not hold, and 1 of 1 cannot be had: "


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    return aligned_archives.make(tmp_path_factory.mktemp("aligned"))


@pytest.fixture
def local(tmp_path, monkeypatch, resolver):
    """An analysis directory with a local archive; a call downloads and converts it, and returns status and mates."""
    folder = tmp_path / "an 'analysis' \"of\" $(HOME) ü"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def go(archive, runs=(RUN,)):
        (folder / "own").mkdir(exist_ok=True)
        shutil.copy(archive, folder / "own/cell.sra")
        rows = [
            Run("GSE1", experiment=f"SRX{run}", run=run, species="mus", assay="plate", source="file:own/cell.sra")
            for run in runs
        ]
        write_runs(f"{UNIT}.tsv", [row._replace(status="planned") for row in rows])
        words = ["--runs", f"{UNIT}.tsv", "--records", "records", "--resolver", f"{resolver.url}/sdl"]
        download.main([*words, "--more-passes", "0", "--patience", "5", "--output", f"work/download/{UNIT}"])
        words = ["--runs", f"{UNIT}.tsv", "--archives", f"work/download/{UNIT}", "--output", "work/fastq"]
        fastq.main(words)
        reads = [
            b"".join(read_pieces(path)).decode().splitlines()[1::4]
            for n in (1, 2)
            if (path := find_reads(folder / "work/fastq", f"{RUN}_{n}"))
        ]
        return read_statuses("work/fastq/status.tsv")[RUN], sorted(zip(*reads, strict=True)) if reads else []

    go.folder = folder
    return go


def check_missing(status, clause):
    assert (status.state, status.reason, status.detail) == ("failed", "REFERENCE_MISSING", f"{NOT_HAD}{clause}.")


def test_a_reference_of_the_resolver_is_fetched_proved_and_kept(local, aligned, resolver):
    resolver.files[NAME] = aligned.reference.read_bytes()
    status, mates = local(aligned.external, runs=(RUN, "SRR2"))
    assert (status.state, status.spots, status.layout) == ("ok", str(SPOTS), "paired")
    assert mates == sorted(aligned.mates)
    assert (local.folder / CACHE / NAME).is_file()
    assert [path.name for path in (local.folder / CACHE).iterdir()] == [NAME]
    assert resolver.asked == [NAME, f"/{NAME}"]
    assert local(aligned.external)[1] == sorted(aligned.mates)
    assert resolver.asked == [NAME, f"/{NAME}"]  # the next unit has it from the cache


def test_a_reference_beside_the_archive_is_taken_without_a_question(local, aligned, resolver):
    (local.folder / "own").mkdir()
    shutil.copy(aligned.reference, local.folder / "own" / NAME)
    assert local(aligned.external)[1] == sorted(aligned.mates)
    assert not resolver.asked


def test_an_archive_that_holds_its_reference_needs_none(local, aligned, resolver):
    assert local(aligned.whole)[1] == sorted(aligned.mates)
    assert not resolver.asked and not (local.folder / "resources").exists()


def test_a_damaged_reference_in_the_cache_is_fetched_again(local, aligned, resolver):
    resolver.files[NAME] = aligned.reference.read_bytes()
    (local.folder / CACHE).mkdir(parents=True)
    (local.folder / CACHE / NAME).write_bytes(b"NCBI.sra of something else")
    assert local(aligned.external)[1] == sorted(aligned.mates)


def test_a_reference_that_somebody_put_into_the_cache_is_taken(local, aligned, resolver):
    (local.folder / CACHE).mkdir(parents=True)
    shutil.copy(aligned.reference, local.folder / CACHE / NAME)
    for _ in range(2):
        assert local(aligned.external)[1] == sorted(aligned.mates)
    assert not resolver.asked


def test_a_reference_that_nobody_has_is_named(local, aligned):
    check_missing(local(aligned.external)[0], f"{NAME} (the resolver answers 404, Cannot resolve accession)")


def test_a_resolver_that_cannot_be_reached_is_told(local, aligned, resolver):
    resolver.url = "http://127.0.0.1:9"
    status, _ = local(aligned.external)
    assert status.reason == "REFERENCE_MISSING"
    assert status.detail.startswith(f"{NOT_HAD}{NAME} (the resolver does not say where it is: ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<!DOCTYPE html>\n<html></html>", "the resolver does not say where it is: the answer is a web page, not wh"),
        (b'{"result": 7}', "the resolver's answer is not what SDL answers)."),
        (b'{"result": []}', "the resolver gives no address for it)."),
        (b'[[["', "the resolver's answer is not what SDL answers)."),
    ],
)
def test_a_resolver_that_answers_something_else(local, aligned, resolver, answer, words):
    resolver.answer = answer
    status, _ = local(aligned.external)
    assert (status.reason, status.detail[: len(NOT_HAD + NAME) + 2]) == ("REFERENCE_MISSING", f"{NOT_HAD}{NAME} (")
    assert words in status.detail


def other(folder, name, bases):
    return aligned_archives.make_reference(folder, name, bases).read_bytes()


@pytest.mark.parametrize(
    ("name", "bases", "words"),
    [
        ("NC_000002.11", BASES, f"its file is 'NC_000002.11' with {BASES:,} bases, not {NAME} with {BASES:,}"),
        (NAME, 10_000, f"its file is '{NAME}' with 10,000 bases, not {NAME} with {BASES:,}"),
    ],
)
def test_another_sequence_is_not_taken(local, aligned, resolver, tmp_path, name, bases, words):
    resolver.files[NAME] = other(tmp_path, name, aligned_archives.sequence(bases))
    check_missing(local(aligned.external)[0], f"{NAME} ({words})")
    assert not any((local.folder / CACHE).iterdir())


def test_another_sequence_beside_the_archive_is_not_taken(local, aligned, resolver, tmp_path):
    (local.folder / "own").mkdir()
    (local.folder / "own" / NAME).write_bytes(other(tmp_path, "NC_000002.11", aligned_archives.sequence()))
    words = f"the file beside the archive is 'NC_000002.11' with {BASES:,} bases, not {NAME} with {BASES:,}"
    check_missing(local(aligned.external)[0], f"{NAME} ({words})")
    assert not resolver.asked


def test_bytes_that_are_not_those_promised_are_not_taken(local, aligned, resolver):
    resolver.files[NAME] = aligned.reference.read_bytes()
    resolver.changes = {"md5": "0" * 32}
    status, _ = local(aligned.external)
    found = hashlib.md5(resolver.files[NAME]).hexdigest()
    promise = f"its file is not what the resolver promises: its md5 is {found}, but {'0' * 32} was promised"
    check_missing(status, f"{NAME} ({promise})")
    assert not any((local.folder / CACHE).iterdir())


def test_damaged_bytes_without_a_checksum_are_not_taken(local, aligned, resolver):
    good = aligned.reference.read_bytes()
    middle = len(good) // 2
    resolver.files[NAME] = (
        good[:middle] + bytes(byte ^ 0x5A for byte in good[middle : middle + 64]) + good[middle + 64 :]
    )
    resolver.changes = {"md5": None}
    status, _ = local(aligned.external)
    assert status.reason == "REFERENCE_MISSING" and f"{NAME} (its file is damaged: " in status.detail


def test_a_file_without_an_end_is_left(local, aligned, resolver, monkeypatch):
    monkeypatch.setattr(sra_references, "_BESIDE_BASES", 1 << 20)
    resolver.files[NAME] = "endless"
    status, _ = local(aligned.external)
    assert status.reason == "REFERENCE_MISSING"
    assert not any((local.folder / CACHE).iterdir())
    resolver.changes = {"size": 10**12}
    check_missing(
        local(aligned.external)[0],
        f"{NAME} (the resolver offers 1,000,000,000,000 bytes for a sequence of {BASES:,} bases)",
    )


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "-rf", "NC_000001.10/../x", "chr1", "CAAA01000001.1"])
def test_a_name_that_is_no_accession_is_neither_asked_for_nor_looked_up(tmp_path, local, aligned, resolver, name):
    archive = aligned_archives.rename(aligned.external, tmp_path, name)
    check_missing(local(archive)[0], f"'{name}' (such a name is no accession of a sequence)")
    assert not resolver.asked and not (local.folder / "resources").exists()


def test_a_reference_that_is_gone_at_the_conversion_is_named(local, aligned, resolver, monkeypatch):
    resolver.files[NAME] = aligned.reference.read_bytes()
    local(aligned.external)
    path = local.folder / CACHE / NAME
    path.unlink()
    fastq.main(["--runs", f"{UNIT}.tsv", "--archives", f"work/download/{UNIT}", "--output", "work/fastq"])
    status = read_statuses("work/fastq/status.tsv")[RUN]
    assert (status.reason, status.detail) == (
        "REFERENCE_MISSING",
        f"{path}, which the download of the run found, is no longer there.",
    )
