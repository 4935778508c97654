"""Alignments that are kept: sorted, indexed, with a header that says what they are, the same bytes each time."""

import json
import random
from pathlib import Path

import pysam
import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.plates import bam, bam_files

pytestmark = pytest.mark.tools

UNIT = "GSE1.mus.0000"
HEADER = """@HD\tVN:1.4\tSO:unknown
@SQ\tSN:chr1\tLN:1000
@PG\tID:STAR\tPN:STAR\tVN:2.7.10b\tCL:/bin/STAR   {options}   --outSAMtype BAM   Unsorted
@CO\tuser command line: STAR {options}
"""

OF_THE_JOB = "--runThreadN {threads}   --genomeDir x   --limitIObufferSize 1{threads}   9"


def write_alignments(folder: Path, threads: int, seed: int) -> Path:
    """Write an unsorted file of pairs and one of single reads, in an order that depends on the seed."""
    dice = random.Random(seed)
    folder.mkdir()
    header = pysam.AlignmentHeader.from_text(HEADER.format(options=OF_THE_JOB.format(threads=threads)))
    for name, flags in (("SRX1.bam", (99, 147)), ("SRX1.single.bam", (0,))):
        with pysam.AlignmentFile(str(folder / name), "wb", header=header) as out:
            numbers = list(range(60))
            dice.shuffle(numbers)
            for number in numbers:
                for flag in flags:
                    read = pysam.AlignedSegment(header)
                    read.query_name, read.flag, read.mapping_quality = f"{name}.{number}", flag, 255
                    read.reference_id, read.reference_start, read.cigartuples = 0, number % 7 * 40, [(0, 10)]
                    out.write(read)
    write_statuses(folder / "status.tsv", [RunStatus("SRR1"), RunStatus("SRR2"), RunStatus("SRR3", state="failed")])
    return folder


def keep(tmp_path: Path, alignments: Path, output: str, *more: str) -> Path:
    rows = [
        Run("GSE1", experiment=experiment, run=run, species="mus", assay="plate", status="planned")
        for experiment, run in (("SRX1", "SRR1"), ("SRX1", "SRR2"), ("SRX2", "SRR3"))
    ]
    write_runs(tmp_path / f"{UNIT}.tsv", rows)
    (tmp_path / "reference.json").write_text(json.dumps({"name": "mm10", "fingerprint": "12ab"}))
    bam.main(
        [
            f"--runs={tmp_path / UNIT}.tsv", f"--alignments={alignments}",
            f"--reference={tmp_path / 'reference.json'}", f"--output={tmp_path / output}", *more,
        ]
    )  # fmt: skip
    return tmp_path / output


def test_kept_alignments_are_sorted_and_say_what_they_are(tmp_path: Path) -> None:
    kept = keep(tmp_path, write_alignments(tmp_path / "aligned", 4, 1), "bam")
    assert sorted(path.name for path in kept.iterdir()) == ["SRX1.bam", "SRX1.bam.bai"]
    with pysam.AlignmentFile(str(kept / "SRX1.bam")) as file:
        assert str(file.header) == (
            "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:1000\n"
            "@PG\tID:STAR\tPN:STAR\tVN:2.7.10b\tCL:STAR --outSAMtype BAM Unsorted\n"
            "@CO\treference: mm10 sha256:12ab\n@CO\trun: SRR1\n@CO\trun: SRR2\n"
        )
        starts = [read.reference_start for read in file.fetch()]
    assert starts == sorted(starts)
    assert len(starts) == 180


def test_the_same_reads_give_the_same_bytes(tmp_path: Path) -> None:
    one = keep(tmp_path, write_alignments(tmp_path / "a", 1, 1), "one")
    two = keep(tmp_path, write_alignments(tmp_path / "b", 8, 2), "two", "--threads=3")
    for name in ("SRX1.bam", "SRX1.bam.bai"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    alignments = write_alignments(tmp_path / "a", 1, 1)
    path = alignments / "SRX1.single.bam"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"samtools cat \| samtools sort \| samtools sort failed: "):
        keep(tmp_path, alignments, "kept")
    assert not (tmp_path / "kept").exists()


def test_the_results_have_the_files_of_planned_cells_alone(tmp_path):
    kept = tmp_path / "units"
    kept.mkdir()
    for name in ("SRX1", "SRX2"):
        for ending in ("bam", "bam.bai"):
            (kept / f"{name}.{ending}").write_text(f"{name} {ending}")
    row = Run("GSE1", species="mus", assay="plate", status="planned")
    for experiments in (["SRX1", "SRX2", "SRX3"], ["SRX2"], ["SRX1", "SRX2"]):  # SRX3 failed; SRX1 is left out once
        write_runs(tmp_path / f"{UNIT}.tsv", [row._replace(experiment=one, run=f"R{one}") for one in experiments])
        output = tmp_path / "bam"
        bam_files.main([f"--runs={tmp_path / UNIT}.tsv", f"--alignments={kept}", f"--output={output}"])
        names = {f"{one}.{ending}" for one in experiments if one != "SRX3" for ending in ("bam", "bam.bai")}
        assert {path.name for path in output.iterdir()} == names
        assert all((output / name).samefile(kept / name) for name in names)
