"""Local files of run tables: which cannot be read, and which were replaced."""

import bz2
import gzip
import os
from pathlib import Path

import pytest

from scripts.plan import local_files
from scripts.plan.local_files import FileDigests, FileFaults
from scripts.plan.run_table import Run


def file_faults(rows: list[Run]) -> list[str]:
    faults = FileFaults()
    return [sentence for row in rows for sentence in faults.of_row(row)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "there.fq").touch()
    rows = [
        Run(run="A", status="planned", source=f"file:{tmp_path}/there.fq"),
        Run(run="B", status="planned", source=f"file:{tmp_path}/there.fq;{tmp_path};{tmp_path}/none.fq"),
        Run(run="C", status="planned", source="file:"),
        Run(run="D", status="planned", source="sra"),
        Run(run="E", status="left_out", source="file:nowhere"),
    ]
    assert file_faults(rows) == [
        f"B: source: no such file, or not readable: {tmp_path}/none.fq; a folder, name the files in it: {tmp_path}.",
        "C: source: names no file.",
    ]
    assert file_faults([]) == []


def test_files_that_hold_no_reads(tmp_path: Path) -> None:
    contents = {
        "note.txt": b"no reads\n",
        "table.gz": gzip.compress(b"a\tb\n"),
        "text.bz2": bz2.compress(b"none"),
        "r.fq": b"@r\nA\n+\nI\n",
        "r.fq.gz": gzip.compress(b"@r\nA\n+\nI\n"),
        "r.sra": b"NCBI.sra",
        "r.bam": gzip.compress(b"BAM\1\0\0\0\0"),
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    strange, several = (
        "neither an archive nor FASTQ nor BAM",
        "a run is several FASTQ files, or one archive, or one BAM",
    )
    cases = {
        "note.txt": f"{strange}: {{0}}/note.txt",
        "r.fq;table.gz;text.bz2": f"{strange}: {{0}}/table.gz, {{0}}/text.bz2",
        "r.fq;r.sra": several,
        "r.bam;r.fq.gz": several,
        "pipe;r.fq": "a pipe or a device, which is read only once; write its reads to a file: {0}/pipe",
        "r.fq;r.fq.gz;empty": "",
        "r.sra": "",
        "r.bam": "",
    }
    sources = {
        words: "file:" + ";".join(f"{tmp_path}/{name}" for name in names.split(";")) for names, words in cases.items()
    }
    for words, source in sources.items():
        expected = [f"A: source: {words.format(tmp_path)}."] if words else []
        assert file_faults([Run(run="A", status="planned", source=source)]) == expected
    addresses = "https://a.org/R1.fq.gz;s3://a/R2.fq.gz"
    assert file_faults([Run(run="A", status="planned", source=f"file:{addresses}")]) == [
        "A: source: an address, not a path; download the file and name that: https://a.org/R1.fq.gz, s3://a/R2.fq.gz."
    ]


def test_sra_tools_read_nothing_at_a_path_with_a_percent_sign(tmp_path: Path) -> None:
    folder = tmp_path / "50%off"
    folder.mkdir()
    (folder / "a.sra").write_bytes(b"NCBI.sra")
    (folder / "a.fastq").touch()
    (tmp_path / "link.sra").symlink_to(folder / "a.sra")
    row = Run(run="A", status="planned", source=f"file:{folder}/a.fastq")
    assert not file_faults([row])
    words = "A: source: sra-tools do not read an archive at a path with '%'; rename the folder or the file."
    for path in (folder / "a.sra", tmp_path / "link.sra"):
        assert file_faults([row._replace(source=f"file:{path}")]) == [words]


def test_an_experiment_has_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "1.fq").touch()
    (tmp_path / "link.fq").symlink_to("1.fq")
    shared = Run(experiment="E", run="A", species="homo", status="planned", source=f"file:{tmp_path}/1.fq")
    linked = shared._replace(run="B", source=f"file:{tmp_path}/link.fq")
    assert file_faults([shared, linked]) == [
        f"B: source: {tmp_path}/link.fq is a file of A, too; experiment E would have it twice."
    ]
    assert not file_faults([shared, linked._replace(experiment="F"), linked._replace(species="mus")])
    assert not file_faults([shared._replace(experiment=""), linked._replace(experiment="")])


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "a.fastq"
    path.write_bytes(b"@r\nACGT\n+\nFFFF\n")
    return path


def digest(*paths: Path, keep: bool = True) -> str:
    return FileDigests(paths[0].with_name("record.tsv"), keep).digest(list(map(str, paths)))


def test_content_decides_whatever_size_and_times_are(reads: Path) -> None:
    first = digest(reads)
    os.utime(reads, (1, 1))
    assert digest(reads) == first
    state = reads.stat()
    reads.write_bytes(b"@r\nACGA\n+\nFFFF\n")
    os.utime(reads, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and the same time
    assert digest(reads) != first
    reads.write_bytes(b"@r\nACGT\n+\nFFFF\n")
    assert digest(reads) == first
    reads.write_bytes(b"")
    assert digest(reads) != first


def test_a_file_that_did_not_change_is_read_once(reads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(local_files, "hash_file", lambda path: read.append(path) or "d")
    first = digest(reads, reads)
    assert read == [str(reads)]
    assert digest(reads, reads, keep=False) == first
    assert read == [str(reads)]


def test_a_dry_run_reads_only_what_has_changed_and_records_nothing(reads: Path) -> None:
    record = reads.with_name("record.tsv")
    unknown = digest(reads, keep=False)
    assert not record.exists()
    first = digest(reads)
    assert first != unknown
    recorded = record.read_bytes()
    reads.write_bytes(b"@other")
    assert digest(reads, keep=False) not in (first, unknown)
    assert record.read_bytes() == recorded


def test_a_missing_file_counts_as_it_was(reads: Path) -> None:
    first = digest(reads)
    reads.unlink()
    assert digest(reads) == first
    reads.with_name("record.tsv").unlink()
    assert digest(reads) != first


def test_a_record_that_was_cut_off(reads: Path) -> None:
    first = digest(reads)
    record = reads.with_name("record.tsv")
    record.write_bytes(record.read_bytes() + b"17\t1")
    assert digest(reads) == first
    assert record.read_text().count("\n") == 1 and record.read_text().endswith(f"\t{reads}\n")


def test_the_record_does_not_grow_when_files_are_touched(reads: Path) -> None:
    other = reads.with_name("b.fastq")
    other.write_bytes(b"@r\nA\n+\nF\n")
    first, record = digest(reads, other), reads.with_name("record.tsv")
    size = record.stat().st_size
    for _ in range(3):
        reads.touch()
        assert digest(reads, other) == first
    assert record.stat().st_size == size
    record.write_bytes(2 * record.read_bytes())  # as earlier versions left it
    assert digest(reads, other) == first
    assert record.stat().st_size == size
