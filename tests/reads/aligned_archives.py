"""Aligned archives (cSRA), packed by bam-load, whose reference is in them or a file of its own.

general-loader packs the table of a reference from a stream: the events of sra-tools' general-writer.h, version 2.
"""

import contextlib
import random
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pysam

from tests.toy.archives import environment

SPOTS, BASES = 40, 30_000
_ROW = 5000  # bases in a row of a reference's table
_COLUMNS = (
    ("(INSDC:dna:text)READ", 8),
    ("SEQ_ID", 8),
    ("SEQ_START", 32),
    ("SEQ_LEN", 32),
    ("MAX_SEQ_LEN", 32),
    ("CIRCULAR", 8),
    ("DEF_LINE", 8),
)
_SCHEMA = """version 1;
include 'align/refseq.vschema';
database TOY:reference:db #1 { table NCBI:refseq:tbl:reference #2 REFERENCE; };
"""


class Aligned(NamedTuple):
    """An archive whose reference is outside, the same archive with it inside, the reference, and the mates packed."""

    external: Path
    whole: Path
    reference: Path
    mates: list[tuple[str, str]]


def run(folder, *command, stream=None):
    done = subprocess.run([*map(str, command)], input=stream, capture_output=True, cwd=folder, env=environment(folder))
    assert done.returncode == 0, done.stderr.decode()


def sequence(bases=BASES, seed=1):
    return "".join(random.Random(seed).choices("ACGT", k=bases))


def make(folder, name="NC_000001.10"):
    """Pack pairs that are aligned to a reference of this name."""
    genome, mates = sequence(), []
    (folder / "genome.fa").write_text(f">{name}\n{genome}\n")
    dice = random.Random(2)
    places = sorted(dice.randrange(BASES - 300) for _ in range(SPOTS))
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": BASES}],
        "RG": [{"ID": "1", "SM": "s", "PL": "ILLUMINA"}],
    }
    records = []
    for number, place in enumerate(places):
        pair = []
        for second in (False, True):
            start = place + 120 * second
            bases = genome[start : start + 50]
            bases = bases[:7] + "ACGT"[("ACGT".index(bases[7]) + 1) % 4] + bases[8:]  # a mismatch
            pair.append(bases)
            record = pysam.AlignedSegment()
            record.query_name, record.query_sequence = f"r{number}", bases
            record.query_qualities = pysam.qualitystring_to_array("F" * 50)
            record.flag = 0x3 | (0x90 if second else 0x60)
            record.reference_id = record.next_reference_id = 0
            record.reference_start, record.next_reference_start = start, place + 120 * (not second)
            record.mapping_quality, record.cigar = 60, [(0, 50)]
            record.template_length = -170 if second else 170
            record.set_tag("RG", "1")
            records.append(record)
        mates.append((pair[0], pair[1].translate(str.maketrans("ACGT", "TGCA"))[::-1]))
    with pysam.AlignmentFile(str(folder / "pairs.bam"), "wb", header=header) as handle:
        for record in sorted(records, key=lambda record: record.reference_start):
            handle.write(record)
    for _ in range(5):  # bam-load 3.0.3 at times finds no record
        with contextlib.suppress(AssertionError):
            run(folder, "bam-load", "-o", "database", "-r", "genome.fa", "pairs.bam")
            break
    run(folder, "kar", "-c", "whole.sra", "-d", "database")
    run(folder, "rm", "-r", "database/tbl/REFERENCE/col/CMP_READ")
    changes = [
        "col/CMP_READ@type=INSDC:2na:packed",
        rf"col/CMP_READ/row_count=\x{BASES // _ROW:02x}",
        r"col/CMP_READ/start_id=\x01",
        "col/CMP_READ/row@a=1",
    ]
    for change in changes:
        run(folder, "kdbmeta", "-T", "REFERENCE", "database", change)
    run(folder, "kar", "-c", "external.sra", "-d", "database")
    reference = make_reference(folder, name, genome)
    return Aligned(folder / "external.sra", folder / "whole.sra", reference, mates)


def rename(archive, folder, name):
    """Return a copy of an archive that calls its reference by another name."""
    run(folder, "kar", "-x", archive, "-d", "renamed")
    run(folder, "kdbmeta", "-T", "REFERENCE", "renamed", f"col/SEQ_ID/row={name}")
    run(folder, "kar", "-c", "renamed.sra", "-d", "renamed")
    return folder / "renamed.sra"


def make_reference(folder, name, bases):
    """Pack a sequence as NCBI packs those of RefSeq: a table of the schema NCBI:refseq:tbl:reference."""
    (folder / "toy.vschema").write_text(_SCHEMA)
    (folder / "files").mkdir(exist_ok=True)

    def padded(data):
        return data + bytes(-len(data) % 4)

    def event(code, number=0):
        return struct.pack("<I", number | code << 24)

    stream = b"NCBIgnld" + struct.pack("<IIII", 1, 2, 24, 0)
    stream += padded(event(3) + struct.pack("<I", 8) + b"database")
    schema, kind = b"toy.vschema", b"TOY:reference:db"
    stream += padded(event(4) + struct.pack("<II", len(schema), len(kind)) + schema + kind)
    stream += padded(event(5, 1) + struct.pack("<I", 9) + b"REFERENCE")
    for number, (column, bits) in enumerate(_COLUMNS, 1):
        stream += padded(event(6, number) + struct.pack("<III", 1, bits, len(column)) + column.encode())
    stream += event(7)
    for start in range(0, len(bases), _ROW):
        part = bases[start : start + _ROW].encode()
        numbers = (struct.pack("<I", number) for number in (start + 1, len(part), _ROW))
        cells = (part, name.encode(), *numbers, b"\0", b"toy")
        for number, (cell, (_, bits)) in enumerate(zip(cells, _COLUMNS, strict=True), 1):
            stream += padded(event(9, number) + struct.pack("<I", len(cell) * 8 // bits) + cell)
        stream += event(10, 1)
    stream += event(2)
    include = ("--include", "/usr/lib/ncbi-vdb", "--include", folder)
    command = ("general-loader", *include, "--schema", "toy.vschema", "-L", "err", "-T", "reference")
    run(folder, *command, stream=stream)
    path = folder / "files" / name
    run(folder, "kar", "-f", "-c", path, "-d", "reference/tbl/REFERENCE")
    run(folder, "rm", "-r", "reference")
    return path
