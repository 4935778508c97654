"""FASTQ files: reads counted by bytes, and no cut of a file passes as whole."""

import bz2
import gzip
import lzma

import pytest

from scripts.core.errors import RunFault
from scripts.formats import fastq_files

READS = b"@r1 length=4\nACGT\n+r1\nIIII\n@r2\nGG\n+\n@@\n@r3\nACGTACGTAC\n+\nIIIIIIIII+\n"


def write(path, content):
    path.write_bytes(content)
    return path


def test_reads_are_counted(tmp_path):
    assert fastq_files.count_reads(write(tmp_path / "three.fastq", READS)) == 3
    assert fastq_files.count_reads(write(tmp_path / "one.fastq", READS[:27])) == 1
    assert fastq_files.count_reads(write(tmp_path / "none.fastq", b"")) == 0


def test_a_last_line_without_its_end_counts(tmp_path):
    assert fastq_files.count_reads(write(tmp_path / "short.fastq", READS[:-1])) == 3


def test_reads_are_counted_over_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(fastq_files, "_TAIL", 64)
    for piece in (64, 65, 100, 1000):
        monkeypatch.setattr(fastq_files, "_PIECE", piece)
        assert fastq_files.count_reads(write(tmp_path / "many.fastq", READS * 50)) == 150


def test_no_cut_of_a_file_passes_as_more_or_less_than_its_whole_reads(tmp_path):
    """Cut after each byte: the number of reads that end there, else READS_MISSING."""
    ends = {0: 0, 27: 1, 39: 2, len(READS): 3}
    assert READS[:27].endswith(b"IIII\n") and READS[:39].endswith(b"@@\n")
    ends.update({end - 1: number for end, number in ends.items() if end})
    for cut in range(len(READS) + 1):
        path = write(tmp_path / "cut.fastq", READS[:cut])
        if cut in ends:
            assert fastq_files.count_reads(path) == ends[cut], cut
        else:
            with pytest.raises(RunFault, match=r"READS_MISSING: cut\.fastq is cut off: its last read") as fault:
                fastq_files.count_reads(path)
            assert fault.value.reason == "READS_MISSING"


def test_a_cut_inside_the_qualities_is_refused_by_number(tmp_path):
    path = write(tmp_path / "cut.fastq", READS[:-4])
    with pytest.raises(RunFault, match=r"cut.fastq is cut off: its last read, number 3, is not whole\."):
        fastq_files.count_reads(path)


def test_what_is_not_fastq_is_refused(tmp_path):
    path = write(tmp_path / "page.fastq", b"<html>sorry</html>\n")
    with pytest.raises(RunFault, match=r"page.fastq is not FASTQ: it begins with b'<' instead of '@'\."):
        fastq_files.count_reads(path)


def test_a_read_longer_than_what_is_kept_is_counted_by_its_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(fastq_files, "_TAIL", 64)
    long = b"@r\n" + b"A" * 100 + b"\n+\n" + b"I" * 100 + b"\n"
    assert fastq_files.count_reads(write(tmp_path / "long.fastq", long * 3)) == 3
    with pytest.raises(RunFault, match="cut off"):
        fastq_files.count_reads(write(tmp_path / "long.fastq", long * 3 + b"@r\nA"))


def test_compressed_reads_are_packed_anew_and_counted(tmp_path):
    packed = write(tmp_path / "reads.fastq.gz", gzip.compress(READS[:-1]))
    assert fastq_files.repack(packed, tmp_path / "new.gz", "reads.fastq.gz") == 3
    assert gzip.decompress((tmp_path / "new.gz").read_bytes()) == READS


def test_a_last_read_of_no_base_without_line_end_counts(tmp_path):
    packed = write(tmp_path / "reads.fastq.gz", gzip.compress(READS + b"@r4\n\n+\n"))
    assert fastq_files.repack(packed, tmp_path / "new.gz", "reads.fastq.gz") == 4
    assert gzip.decompress((tmp_path / "new.gz").read_bytes()) == READS + b"@r4\n\n+\n\n"


def test_several_gzip_members_are_one_file(tmp_path):
    packed = write(tmp_path / "reads.fastq.gz", gzip.compress(READS) + gzip.compress(READS))
    assert fastq_files.repack(packed, tmp_path / "new.gz", "reads.fastq.gz") == 6


@pytest.mark.parametrize("cut", [12, -9, -1])
def test_a_broken_gzip_file_is_refused(tmp_path, cut):
    packed = write(tmp_path / "reads.fastq.gz", gzip.compress(READS)[:cut])
    with pytest.raises(RunFault, match=r"ARCHIVE_CORRUPT: reads\.fastq\.gz is a broken gzip file"):
        fastq_files.repack(packed, tmp_path / "new.gz", "reads.fastq.gz")


@pytest.mark.parametrize(("module", "kind"), [(bz2, "bzip2"), (lzma, "xz")])
def test_reads_of_other_compressions(tmp_path, module, kind):
    packed = write(tmp_path / "reads", module.compress(READS) + module.compress(READS[:-1]))
    assert fastq_files.repack(packed, tmp_path / "new.gz", "reads.fastq.gz") == 6
    assert gzip.decompress((tmp_path / "new.gz").read_bytes()) == READS * 2
    whole = module.compress(READS)
    for broken in (whole[:-9], whole[:30] + bytes(20) + whole[50:]):
        with pytest.raises(RunFault, match=f"ARCHIVE_CORRUPT: reads is a broken {kind} file"):
            fastq_files.repack(write(tmp_path / "reads", broken), tmp_path / "new.gz", "reads")


def test_the_first_bytes_decide_the_kind(tmp_path):
    kinds = {
        b"NCBI.sra\x88\x19": "sra",
        READS: "fastq",
        b"": "fastq",
        gzip.compress(READS): "fastq.gz",
        gzip.compress(b""): "fastq.gz",
        bz2.compress(READS): "fastq.bz2",
        lzma.compress(READS): "fastq.xz",
        bz2.compress(b"hello"): "",
        lzma.compress(READS)[:20]: "fastq.xz",
        bz2.compress(READS)[:-9]: "fastq.bz2",
        b"\n\r\n": "fastq",
        gzip.compress(b"\n"): "fastq.gz",
        b"BZhello": "",
        gzip.compress(b"BAM\x01...."): "bam",
        gzip.compress(b"hello"): "",
        b"\x1f\x8bnot gzip at all": "",
        b"<html>": "",
    }
    for content, kind in kinds.items():
        assert fastq_files.kind_of(write(tmp_path / "misnamed.bam", content)) == kind, content


def test_a_link_has_an_absolute_target_and_replaces_what_was_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reads.fastq", READS)
    (tmp_path / "there").mkdir()
    for _ in range(2):
        fastq_files.link("reads.fastq", "there/SRR1.fastq")
    assert (tmp_path / "there/SRR1.fastq").readlink() == tmp_path / "reads.fastq"


def test_the_lengths_of_the_first_reads(tmp_path):
    plain = write(tmp_path / "some.fastq", READS)
    packed = write(tmp_path / "some.fastq.gz", gzip.compress(READS))
    for path in (plain, packed):
        assert fastq_files.first_lengths(path) == [4, 2, 10]
        assert fastq_files.first_lengths(path, 2) == [4, 2]
    broken = write(tmp_path / "broken.fastq.gz", gzip.compress(READS * 9000)[:-200])
    assert fastq_files.first_lengths(broken, 10**6)[:3] == [4, 2, 10]


def test_a_file_is_packed_into_no_more_than_there_is_room_for(tmp_path):
    packed = write(tmp_path / "a.fastq.bz2", bz2.compress(b"@r\nACGT\n+\nIIII\n" * 500_000))
    assert fastq_files.repack(packed, tmp_path / "new.gz", "a.fastq.bz2", 1e6) == 500_000
    assert len(gzip.decompress((tmp_path / "new.gz").read_bytes())) == 7_500_000
    size = (tmp_path / "new.gz").stat().st_size
    with pytest.raises(RunFault) as fault:
        fastq_files.repack(packed, tmp_path / "new.gz", "a.fastq.bz2", size - 1)
    assert str(fault.value).startswith("DISK_LIMIT: a.fastq.bz2 has more than the ")
    assert (tmp_path / "new.gz").stat().st_size < size


@pytest.mark.parametrize("packer", [None, gzip, bz2, lzma])
def test_reads_are_counted_and_read_whatever_packs_them(tmp_path, packer):
    path = write(tmp_path / "reads", packer.compress(READS) if packer else READS)
    assert fastq_files.count_reads(path) == 3
    assert b"".join(fastq_files.read_pieces(path)) == READS
    assert fastq_files.is_packed(path) == (packer is not None)


def test_files_of_reads_are_found_by_their_names(tmp_path):
    assert fastq_files.find_reads(tmp_path, "SRR1_1") is None
    plain = write(tmp_path / "SRR1_1.fastq", READS)
    assert fastq_files.find_reads(tmp_path, "SRR1_1") == plain
    write(tmp_path / "SRR1_1.fastq.gz", gzip.compress(READS))
    found = fastq_files.find_reads(tmp_path, "SRR1_1")
    assert found is not None and fastq_files.suffix_of(found) == ".fastq.gz"


def test_packed_reads_have_no_name_and_no_time(tmp_path):
    for name in ("a.gz", "b.gz"):
        with fastq_files.open_packed(tmp_path / name) as handle:
            handle.write(READS)
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "b.gz").read_bytes() and gzip.decompress(content) == READS
    assert content[3:8] == bytes(5)  # RFC 1952: no flags, so no name; no time


def test_lines_without_end_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(fastq_files, "LONGEST_LINE", 1000)
    path = write(tmp_path / "a.fastq", b"@r\n" + b"A" * (3 << 20))
    assert fastq_files.first_lengths(path, 1) == [1000]
