"""BAM files of Cell Ranger give back the reads of which they were made, or say why they cannot."""

import gzip
import random
import struct
import zlib
from collections import Counter

import pysam
import pytest

from scripts.core.errors import RunFault
from scripts.reads import tenx_bam

USUAL = ["10x_bam_to_fastq:R1(CR:CY,UR:UY)", "10x_bam_to_fastq:R2(SEQ:QUAL)", "10x_bam_to_fastq:I1(BC:QT)"]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def made_spots(number, seed=1):
    dice = random.Random(seed)

    def piece(length):
        return "".join(dice.choices("ACGTN", k=length)), "".join(dice.choices("#+5?I", k=length))

    return [(f"M1:{spot}", piece(16), piece(12), piece(40)) for spot in range(number)]


def record(name, sequence, quality, tags, flag=0):
    made = pysam.AlignedSegment()
    made.query_name = name
    if flag & 0x10:
        sequence, quality = sequence.translate(COMPLEMENT)[::-1], quality[::-1]
    made.query_sequence = sequence
    made.query_qualities = pysam.qualitystring_to_array(quality)
    made.flag = flag
    if not flag & 4:
        made.reference_id, made.reference_start, made.cigartuples = 0, 10, [(0, len(sequence))]
    made.set_tags([(tag, value, "Z") for tag, value in tags.items()])
    return made


def write_bam(path, records, comments=USUAL):
    header = {"HD": {"VN": "1.4"}, "SQ": [{"SN": "chr1", "LN": 10000}], "CO": list(comments)}
    if not comments:
        del header["CO"]
    with pysam.AlignmentFile(str(path), "wb", header=header) as handle:
        for made in records:
            handle.write(made)
    return path


def tags_of(barcode, umi, without=()):
    tags = {"CR": barcode[0], "CY": barcode[1], "UR": umi[0], "UY": umi[1], "BC": "ACGTACGT", "QT": "IIIIIIII"}
    return {tag: value for tag, value in tags.items() if tag not in without}


def usual_records(spots, without=()):
    """One record a spot, forward, reverse and not aligned in turn; some align to a second locus, too."""
    for number, (name, barcode, umi, cdna) in enumerate(spots):
        flag = (0, 16, 4)[number % 3]
        yield record(name, *cdna, tags_of(barcode, umi, without), flag)
        if number % 5 == 0:
            yield record(name, *cdna, tags_of(barcode, umi), 256)
        if number % 7 == 0:
            yield record(name, cdna[0][:10], cdna[1][:10], tags_of(barcode, umi), 2048)


def expected(run, spots):
    first = "".join(
        f"@{run}.{number} {name}\n{barcode[0]}{umi[0]}\n+\n{barcode[1]}{umi[1]}\n"
        for number, (name, barcode, umi, _) in enumerate(spots, 1)
    )
    second = "".join(
        f"@{run}.{number} {name}\n{cdna[0]}\n+\n{cdna[1]}\n" for number, (name, _, _, cdna) in enumerate(spots, 1)
    )
    return first, second


@pytest.mark.parametrize("comments", [USUAL, [], ["something else"]])
def test_the_reads_come_back(tmp_path, comments):
    spots = made_spots(30)
    path = write_bam(tmp_path / "x.bam", usual_records(spots), comments)
    files, spots_written, _ = tenx_bam.to_fastq(path, "SRR1", tmp_path)
    assert spots_written == 30
    assert [file.name for file in files] == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"]
    assert tuple(gzip.decompress(file.read_bytes()).decode() for file in files) == expected("SRR1", spots)


@pytest.mark.parametrize("barcode_first", [True, False])
def test_the_last_piece_of_a_read_may_lack(tmp_path, barcode_first):
    """As in files of Cell Ranger 1.2: TR and TQ are in the header, but only one record of three has them."""
    layout = ["R1(CR:CY,UR:UY,TR:TQ)", "R2(SEQ:QUAL)"]
    if not barcode_first:  # of the first kit
        layout = ["I1(CR:CY)", "I2(BC:QT)", "R1(SEQ:QUAL)", "R2(UR:UY,TR:TQ)"]
    spots = made_spots(9)
    records = [
        record(name, *cdna, tags_of(barcode, umi) | ({"TR": "GAT", "TQ": "#II"} if number % 3 == 0 else {}))
        for number, (name, barcode, umi, cdna) in enumerate(spots)
    ]
    path = write_bam(tmp_path / "x.bam", records, [f"10x_bam_to_fastq:{line}" for line in layout])
    files, spots_written, _ = tenx_bam.to_fastq(path, "R", tmp_path)
    trimmed = [("GAT", "#II") if number % 3 == 0 else ("", "") for number in range(9)]
    joined = [(umi[0] + end[0], umi[1] + end[1]) for (_, _, umi, _), end in zip(spots, trimmed, strict=True)]
    if barcode_first:
        joined = [(b[0] + one[0], b[1] + one[1]) for (_, b, _, _), one in zip(spots, joined, strict=True)]
    with_ends = [(name, barcode, one, cdna) for (name, barcode, _, cdna), one in zip(spots, joined, strict=True)]
    assert spots_written == 9
    assert reads_of(files[0 if barcode_first else 1]) == [one for _, _, one, _ in with_ends]
    assert reads_of(files[1 if barcode_first else 0]) == [cdna for *_, cdna in spots]
    if not barcode_first:
        assert reads_of(files[2]) == [barcode for _, barcode, _, _ in spots]


def reads_of(path):
    """Return (bases, qualities) of each read of a FASTQ file."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return list(zip(lines[1::4], lines[3::4], strict=True))


def test_mates_are_brought_together(tmp_path):
    comments = ["10x_bam_to_fastq:R1(CR:CY,UR:UY,SEQ:QUAL)", "10x_bam_to_fastq:R2(SEQ:QUAL)"]
    spots = made_spots(12)
    firsts = [record(n, *c, tags_of(b, u), 0x41) for n, b, u, c in spots]
    seconds = [record(n, *c, tags_of(b, u), 0x91) for n, b, u, c in spots]
    path = write_bam(tmp_path / "x.bam", [*firsts, *seconds], comments)
    files, spots_written, _ = tenx_bam.to_fastq(path, "SRR1", tmp_path)
    assert spots_written == 12
    found = {}
    texts = [gzip.decompress(file.read_bytes()).decode() for file in files]
    for first, second in zip(*(text.split("@SRR1.")[1:] for text in texts), strict=True):
        assert first.split("\n")[0] == second.split("\n")[0]
        found[first.split("\n")[0].split()[1]] = (first.split("\n")[1], second.split("\n")[1])
    assert found == {name: (b[0] + u[0] + c[0], c[0]) for name, b, u, c in spots}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz", "x.bam"]


def test_a_lost_mate_is_reported(tmp_path):
    comments = ["10x_bam_to_fastq:R1(CR:CY,UR:UY,SEQ:QUAL)", "10x_bam_to_fastq:R2(SEQ:QUAL)"]
    ((name, barcode, umi, cdna),) = made_spots(1)
    path = write_bam(tmp_path / "x.bam", [record(name, *cdna, tags_of(barcode, umi), 0x41)], comments)
    _, *spots = tenx_bam.to_fastq(path, "SRR1", tmp_path)
    assert spots == [0, 1]


def test_pieces_are_read_from_the_header():
    assert tenx_bam.pieces_of_header(["x", *reversed(USUAL)]) == {
        "R1": (("CR", "CY"), ("UR", "UY")),
        "R2": (("SEQ", "QUAL"),),
    }
    first_kit = ["10x_bam_to_fastq:R1(SEQ:QUAL)", "10x_bam_to_fastq:R2(UR:UY)", "10x_bam_to_fastq:I1(CR:CY)"]
    assert list(tenx_bam.pieces_of_header([*first_kit, "10x_bam_to_fastq:I2(BC:QT)"])) == ["R1", "R2", "I1"]


@pytest.mark.parametrize("without", [("CR", "CY", "UR", "UY"), ("UR",), ("CY",)])
def test_stripped_tags_are_reported_before_anything_is_written(tmp_path, without):
    path = write_bam(tmp_path / "x.bam", usual_records(made_spots(4), without))
    counts = ", ".join(f"{tag} in 4" for tag in sorted(without))
    with pytest.raises(RunFault) as fault:
        tenx_bam.to_fastq(path, "SRR1", tmp_path)
    assert fault.value.reason == "BAM_TAGS_STRIPPED"
    assert fault.value.detail == f"of the first 4 reads of the BAM file, tags lack: {counts}."
    assert not list(tmp_path.glob("*.fastq"))


def test_a_tag_that_lacks_later_on_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(tenx_bam, "_EXAMINED", 3)
    good, bad = made_spots(6)[:5], made_spots(6)[5]
    records = [*usual_records(good), record(bad[0], *bad[3], tags_of(bad[1], bad[2], ("UR",)))]
    path = write_bam(tmp_path / "x.bam", records)
    with pytest.raises(RunFault, match="BAM_TAGS_STRIPPED: read 'M1:5' of the BAM file has no tag"):
        tenx_bam.to_fastq(path, "SRR1", tmp_path)


def test_mates_without_a_header_line_are_reported(tmp_path):
    ((name, barcode, umi, cdna),) = made_spots(1)
    path = write_bam(tmp_path / "x.bam", [record(name, *cdna, tags_of(barcode, umi), 0x41)], [])
    with pytest.raises(RunFault, match="BAM_TAGS_STRIPPED: the BAM file has mates, but no header line"):
        tenx_bam.to_fastq(path, "SRR1", tmp_path)


def test_a_header_without_barcode_is_reported(tmp_path):
    path = write_bam(tmp_path / "x.bam", usual_records(made_spots(1)), ["10x_bam_to_fastq:R1(SEQ:QUAL)"])
    with pytest.raises(RunFault, match="names no read with a barcode, or none of cDNA"):
        tenx_bam.to_fastq(path, "SRR1", tmp_path)


def test_an_empty_file_is_reported(tmp_path):
    path = write_bam(tmp_path / "x.bam", [])
    with pytest.raises(RunFault, match=r"EMPTY_READS: the BAM file has no reads\."):
        tenx_bam.to_fastq(path, "SRR1", tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.9999])
def test_a_file_cut_short_is_reported(tmp_path, share):
    path = write_bam(tmp_path / "x.bam", usual_records(made_spots(5000)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RunFault, match="ARCHIVE_CORRUPT: the BAM file cannot be read: "):
        tenx_bam.to_fastq(path, "SRR1", tmp_path)


@pytest.mark.parametrize(
    ("tags", "reason", "words"),
    [
        ({"CR": 5}, "BAM_TAGS_STRIPPED", "read 'M1:1' of the BAM file has no text in its tag CR."),
        ({"CR": 5, "CY": 5}, "BAM_TAGS_STRIPPED", "read 'M1:1' of the BAM file has no text in its tag CR."),
        ({"UY": 1.5}, "BAM_TAGS_STRIPPED", "read 'M1:1' of the BAM file has no text in its tag UY."),
        ({"CR": "\u00e9" * 16}, "ARCHIVE_CORRUPT", "read 'M1:1' of the BAM file has bases or qualities"),
        ({"CR": "ACGT\n@x\nACGTACGT"}, "ARCHIVE_CORRUPT", "read 'M1:1' of the BAM file has bases or qualities"),
        ({"CY": "II\nIIIIIIIIIIIII"}, "ARCHIVE_CORRUPT", "read 'M1:1' of the BAM file has bases or qualities"),
    ],
)
def test_tags_that_are_no_reads(tmp_path, tags, reason, words):
    records = list(usual_records(made_spots(3)))
    records[3].set_tags([(name, tags.get(name, value)) for name, value in records[3].get_tags()])  # of spot M1:1
    write_bam(tmp_path / "x.bam", records)
    with pytest.raises(RunFault) as caught:
        tenx_bam.to_fastq(tmp_path / "x.bam", "SRR1", tmp_path)
    assert caught.value.reason == reason
    assert words in caught.value.detail


@pytest.mark.parametrize(
    "header",
    [
        b"BAM\1" + b"\xff\xff\xff\x7f" + b"x" * 1000,
        b"BAM\1" + (0).to_bytes(4, "little") + (2**31 - 1).to_bytes(4, "little"),
    ],
)
def test_a_header_that_is_not_as_long_as_it_says(tmp_path, header):
    (tmp_path / "x.bam").write_bytes(gzip.compress(header))
    with pytest.raises(RunFault, match=r"ARCHIVE_CORRUPT: the BAM file cannot be read: "):
        tenx_bam.to_fastq(tmp_path / "x.bam", "SRR1", tmp_path)


def bgzf(content):
    """Return bytes as BGZF, the container of BAM (SAM specification, section 4.1)."""
    blocks = []
    for start in range(0, len(content), 60_000):
        piece = content[start : start + 60_000]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = packer.compress(piece) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
        blocks.append(head + packed + struct.pack("<II", zlib.crc32(piece), len(piece)))
    return b"".join(blocks) + bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def damaged(content, dice):
    """Return bytes of which some are changed, removed or added, or are a number that lies."""
    content = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 5, 20])):
        place = dice.randrange(len(content))
        match dice.randrange(4):
            case 0:
                content[place] = dice.randrange(256)
            case 1:
                content[place : place + 4] = struct.pack("<I", dice.choice([0, 1, 255, 2**16, 2**31 - 1, 2**32 - 1]))
            case 2:
                del content[place : place + dice.randrange(1, 50)]
            case 3:
                content[place:place] = dice.randbytes(dice.randrange(1, 20))
    return bytes(content)


def test_damaged_files_are_refused_or_read(tmp_path):
    whole = gzip.decompress(write_bam(tmp_path / "whole.bam", usual_records(made_spots(40))).read_bytes())
    outcomes = Counter()
    for seed in range(200):
        path = tmp_path / "x.bam"
        path.write_bytes(bgzf(damaged(whole, random.Random(seed))))
        try:
            files, spots, _ = tenx_bam.to_fastq(path, "SRR1", tmp_path)
            assert {gzip.decompress(file.read_bytes()).decode().count("\n") for file in files} == {4 * spots}
            outcomes["read"] += 1
        except RunFault as fault:
            outcomes[fault.reason] += 1
    print(outcomes)
    assert outcomes["read"] > 5 and outcomes["ARCHIVE_CORRUPT"] > 100


def test_a_bam_in_plain_gzip_is_refused(tmp_path):
    write_bam(tmp_path / "sound.bam", usual_records(made_spots(3)))
    with (tmp_path / "sound.bam").open("rb") as handle:
        (tmp_path / "plain.bam").write_bytes(gzip.compress(gzip.decompress(handle.read())))
    with pytest.raises(
        RunFault, match="ARCHIVE_CORRUPT: the BAM file cannot be read: seek not implemented in files com"
    ):
        tenx_bam.to_fastq(tmp_path / "plain.bam", "SRR1", tmp_path)


def test_a_bam_that_unpacks_past_the_limit(tmp_path):
    write_bam(tmp_path / "large.bam", usual_records(made_spots(1000)))
    with pytest.raises(
        RunFault, match=r"DISK_LIMIT: large.bam has more than the 5e-05 GB of reads that scratch.limit_gb"
    ):
        tenx_bam.to_fastq(tmp_path / "large.bam", "SRR1", tmp_path, 50_000)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.fastq")) < 51_000
