"""Read groups of BAM files: what is refused, and tags in any order. Counts: test_counting_differential.py."""

import gzip
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pysam
import pytest

from scripts.plates.bam_groups import NO_TAG, BamError, BamReader, _find_hits, star_versions

HEADER = {"HD": {"VN": "1.4"}, "SQ": [{"SN": "chr1", "LN": 1000}]}


def write(path: Path, *flags: int, names: Sequence[str] = "abcdef", **fields: object) -> Path:
    header = pysam.AlignmentHeader.from_dict(HEADER)
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for name, flag in zip(names, flags, strict=False):
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag, read.mapping_quality = name, flag, 255
            read.reference_id, read.reference_start, read.cigartuples = 0, 5, [(0, 10)]
            for key, value in fields.items():
                setattr(read, key, value)
            out.write(read)
    return path


def read_all(path: Path, chunk_bytes: int = 1 << 16) -> list[tuple[int, int]]:
    with BamReader(path, chunk_bytes) as reader:
        assert reader.contigs == ["chr1"]
        return [
            pair for part in reader.fragments() for pair in zip(part.first.tolist(), part.second.tolist(), strict=True)
        ]


def test_single_reads_are_fragments(tmp_path: Path) -> None:
    assert read_all(write(tmp_path / "a.bam", 0, 16, 256, 4)) == [(0, -1), (1, -1), (3, -1)]
    assert read_all(write(tmp_path / "a.bam")) == []


@pytest.mark.parametrize("chunk_bytes", [10, 60, 100, 1 << 16])
def test_a_group_is_never_torn(tmp_path: Path, chunk_bytes: int) -> None:
    path = write(tmp_path / "a.bam", 99, 147, 99, 147, 99, names="aabbc", next_reference_id=0, next_reference_start=5)
    with BamReader(path, chunk_bytes) as reader:
        pairs = sum(int((part.second >= 0).sum()) for part in reader.fragments())
    assert pairs == 2


@pytest.mark.parametrize("position", range(17))
def test_names_are_alike_only_when_every_byte_is(tmp_path: Path, position: int) -> None:
    name = "SRR12345678901.77"
    other = f"{name[:position]}x{name[position + 1 :]}"
    mates = {"next_reference_id": 0, "next_reference_start": 5}
    path = write(tmp_path / "a.bam", 99, 147, 99, 147, names=[name, name, name, other], **mates)
    assert sorted(read_all(path)) == [(-1, 3), (0, 1), (2, -1)]


@pytest.mark.parametrize(
    ("flags", "fields", "words"),
    [
        ((99, 0), {}, "single-end reads among paired-end reads"),
        ((99, 1), {}, "neither the first nor the second"),
        ((0,), {"reference_start": -1}, "flagged as aligned has no position or no CIGAR"),
        ((0,), {"cigartuples": None}, "flagged as aligned has no position or no CIGAR"),
    ],
)
def test_what_htseq_count_refuses_is_refused(tmp_path: Path, flags: tuple, fields: dict, words: str) -> None:
    with pytest.raises(BamError, match=words):
        read_all(write(tmp_path / "a.bam", *flags, **fields))


def test_files_that_are_no_bam_or_are_cut(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.bam", 0, 0, 0).read_bytes()
    bad = tmp_path / "bad.bam"
    for content, words in (
        (b"", "not a BAM file, or cut short within its header"),
        (b"@HD\tVN:1.4\n", "damaged or cut short"),
        (gzip.compress(b"@HD\tVN:1.4\n"), "it does not begin with BAM"),
        (whole[:60], "damaged or cut short"),
        (gzip.compress(gzip.decompress(whole)[:-3]), "cut short within a record"),
        (bytes([*whole[:-40], whole[-40] ^ 1, *whole[-39:]]), "damaged"),
    ):
        bad.write_bytes(content)
        with pytest.raises(BamError, match=words):
            read_all(bad)
    with pytest.raises(BamError, match="it cannot be read: No such file"):
        BamReader(tmp_path / "none.bam")


def test_a_changed_byte_is_an_error_of_the_file_or_does_not_matter(tmp_path: Path) -> None:
    path, bad = write(tmp_path / "a.bam", *[0] * 300, names=[f"r{number}" for number in range(300)]), tmp_path / "bad"
    whole, pairs = path.read_bytes(), read_all(path)
    errors = 0
    for seed in range(100):
        dice = random.Random(seed)
        changed = bytearray(whole)
        changed[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        bad.write_bytes(changed)
        try:
            assert read_all(bad) == pairs  # a byte of a header of gzip
        except BamError:
            errors += 1
    assert errors > 90


def test_a_record_that_lies_about_its_size(tmp_path: Path) -> None:
    raw = bytearray(gzip.decompress(write(tmp_path / "a.bam", 0).read_bytes()))
    position = raw.index(b"a\0", 60) - 36
    struct.pack_into("<H", raw, position + 16, 9000)  # operations in its CIGAR
    bad = tmp_path / "bad.bam"
    bad.write_bytes(gzip.compress(raw))
    with pytest.raises(BamError, match="smaller than its fields"):
        read_all(bad)


@pytest.mark.parametrize(
    ("tags", "hits"),
    [
        (b"", NO_TAG),
        (b"HIC\x01", NO_TAG),
        (b"NHC\xff", 255),
        (b"NHc\x05", 5),
        (b"NHs\x05\x00", 5),
        (b"NHi\x00\x01\x00\x00", 256),
        (b"NHf" + struct.pack("<f", 1.5), 2),
        (b"XZZNHC\x07\x00NHC\x03", 3),
        (b"XBBS\x02\x00\x00\x00\x01\x00\x02\x00XAAqNHS\x02\x00", 2),
    ],
)
def test_hits_in_any_order_of_tags(tags: bytes, hits: int) -> None:
    assert _find_hits(tags) == hits


def test_hits_that_are_no_number() -> None:
    with pytest.raises(BamError, match="a tag NH of type 'Z'"):
        _find_hits(b"NHZ2\0")
    with pytest.raises(BamError, match="unknown type 'q'"):
        _find_hits(b"XXq2\0")


def write_header(path: Path, header: str) -> Path:
    """Write a BAM file without contigs and records."""
    text = header.encode()
    path.write_bytes(gzip.compress(b"BAM\1" + struct.pack("<I", len(text)) + text + struct.pack("<I", 0)))
    return path


def test_versions_of_star_stand_in_the_headers(tmp_path: Path) -> None:
    line = "@PG\tID:STAR\tPN:STAR\tVN:{}\tCL:STAR --x VN:9\n"
    first = write_header(
        tmp_path / "a.bam", "@HD\tVN:1.4\n" + line.format("2.7.10b") + "@CO\tuser command line: STAR\n"
    )
    second = write_header(tmp_path / "b.bam", "@PG\tID:samtools\tVN:1.16\n@PG\tID:STAR\tVN:2.7.11b")
    none = write_header(tmp_path / "c.bam", "@HD\tVN:1.4\n@PG\tID:samtools\tPP:STAR\tVN:1.16\n")
    torn = tmp_path / "d.bam"
    torn.write_bytes(first.read_bytes()[:40])
    assert star_versions([first, first]) == {"2.7.10b"}
    assert star_versions([first, second, none, torn]) == {"2.7.10b", "2.7.11b"}
    assert star_versions([none, torn]) == star_versions([]) == set()
