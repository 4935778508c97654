"""The folder of alignments."""

import gzip
import struct
from pathlib import Path

from scripts.plates.alignments import star_versions


def write_bam(path: Path, header: str) -> Path:
    """Write a BAM file without contigs and records."""
    text = header.encode()
    path.write_bytes(gzip.compress(b"BAM\1" + struct.pack("<I", len(text)) + text + struct.pack("<I", 0)))
    return path


def test_versions_of_star_stand_in_the_headers(tmp_path: Path) -> None:
    line = "@PG\tID:STAR\tPN:STAR\tVN:{}\tCL:STAR --x VN:9\n"
    first = write_bam(tmp_path / "a.bam", "@HD\tVN:1.4\n" + line.format("2.7.10b") + "@CO\tuser command line: STAR\n")
    second = write_bam(tmp_path / "b.bam", "@PG\tID:samtools\tVN:1.16\n@PG\tID:STAR\tVN:2.7.11b")
    none = write_bam(tmp_path / "c.bam", "@HD\tVN:1.4\n@PG\tID:samtools\tPP:STAR\tVN:1.16\n")
    torn = tmp_path / "d.bam"
    torn.write_bytes(first.read_bytes()[:40])
    assert star_versions([first, first]) == {"2.7.10b"}
    assert star_versions([first, second, none, torn]) == {"2.7.10b", "2.7.11b"}
    assert star_versions([none, torn]) == star_versions([]) == set()
