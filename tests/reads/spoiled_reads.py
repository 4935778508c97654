"""Cases for tests.fuzzing: BAM files of Cell Ranger and FASTQ with faults, as a run's conversion reads them."""

import gzip

import pysam

from scripts.core.errors import InputError, RunFault
from scripts.formats import fastq_files
from scripts.reads import fastq_check, tenx_bam
from tests import fuzzing

MOST = 20_000  # bytes that FASTQ may be packed into
COMMENTS = ("10x_bam_to_fastq:R1(CR:CY,UR:UY)", "10x_bam_to_fastq:R2(SEQ:QUAL)")
ODD = ("(", ":", ",", "R1", "R9", "SEQ:QUAL", "../../x", "\x1b[31m", "CR", "XX:YY", ")", "é", "@CO", "@RG\tID:x", "%s")
READS = "".join(f"@r{number}\n{'ACGT' * 10}\n+\n{'I' * 40}\n" for number in range(20)).encode()


def prepare(folder):
    folder.mkdir()


def write_bam(path, header):
    with pysam.AlignmentFile(str(path), "wb", text=header) as handle:
        for number in range(5):
            record = pysam.AlignedSegment()
            record.query_name, record.flag = f"r{number}", 4
            record.query_sequence = "ACGTN" * 4
            record.query_qualities = pysam.qualitystring_to_array("I" * 20)
            record.set_tags([(tag, "ACGT", "Z") for tag in ("CR", "CY", "UR", "UY")])
            handle.write(record)


def convert(path, folder):
    try:
        files, spots, _ = tenx_bam.to_fastq(path, "SRR1", folder)
        assert {file.parent for file in files} == {folder}
        assert [fastq_files.count_reads(file) for file in files] == [spots] * len(files)
    except RunFault as fault:
        raise InputError(fault.detail) from fault


def repack(path, folder):
    try:
        target = folder / "SRR1.fastq.gz"
        reads = fastq_files.repack(path, target, "reads", MOST)
        assert target.stat().st_size <= MOST
        assert fastq_files.count_reads(target) == reads
        fastq_check.check_single(target, "reads")
        fastq_files.first_lengths(path)
    except RunFault as fault:
        raise InputError(fault.detail) from fault


def make(dice, folder):
    path = folder / "reads"
    if dice.randrange(2):
        data = READS * 5000 if not dice.randrange(8) else fuzzing.spoil(dice, READS)
        is_broken = not dice.randrange(3)
        packed = gzip.compress(data, 1)
        path.write_bytes(fuzzing.spoil(dice, packed) if is_broken else packed)
        return repr(data[:200]), lambda: repack(path, folder), None
    header = "@HD\tVN:1.4\n@SQ\tSN:chr1\tLN:1000\n" + "".join(f"@CO\t{comment}\n" for comment in COMMENTS)
    for _ in range(dice.randrange(3)):
        place = dice.randrange(len(header) - 40) + 40
        header = header[:place] + dice.choice(ODD) + header[place + dice.randrange(8) :]
    try:
        write_bam(path, header)
    except ValueError:  # htslib writes no such header
        write_bam(path, header[:32])
    if not dice.randrange(3):
        path.write_bytes(fuzzing.spoil(dice, path.read_bytes()))
    elif not dice.randrange(2):
        path.write_bytes(gzip.compress(fuzzing.spoil(dice, gzip.decompress(path.read_bytes()))))
    return header, lambda: convert(path, folder), None
