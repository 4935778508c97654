"""A library whose lanes differ, with a run of antibody tags and a spot that lacks a read: its counts are those made."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from scripts.droplets import read_roles
from scripts.droplets.mex.mex_reader import read_archive
from scripts.harvest.ledger import settle_unit
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import read_unit_rows
from scripts.reads import fastq
from tests.droplets.counting import count_library, pack_counted
from tests.droplets.test_solo_kits import CHEMISTRIES, EXON, dna, make_genome

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]

SPOTS = 1500
LOST = 77


class Maker:
    """Writes runs of one library into a folder, and keeps the molecules that can be counted."""

    def __init__(self, folder: Path, genes: list[str], barcodes: list[str]) -> None:
        self.dice = random.Random(3)
        self.folder, self.genes, self.cells = folder, genes, self.dice.sample(barcodes, 20)
        self.tags = [dna(self.dice, 15) for _ in range(10)]
        self.molecules: set[tuple[str, str, str]] = set()

    def write(self, run: str, umi_length: int, lost: int = -1, tags: bool = False) -> None:
        """Write a run; the barcode of one spot may be lost."""
        files = [], []
        for spot in range(SPOTS):
            cell, umi = self.dice.choice(self.cells), dna(self.dice, umi_length)
            gene = self.dice.randrange(len(self.genes))
            start = self.dice.randrange(EXON - 90)
            cdna = self.genes[gene][start : start + 90]
            if tags:
                cdna = dna(self.dice, 10) + self.dice.choice(self.tags) + dna(self.dice, 9) + self.genes[0][:20]
            for number, bases in enumerate((cell + umi, cdna)):
                if number or spot != lost:
                    files[number].append(f"@M:{run}:{spot} {number + 1}:N\n{bases}\n+\n{'F' * len(bases)}\n")
            if not tags and spot != lost:
                self.molecules.add((cell, f"G{gene}", umi[:10]))
        for number, reads in enumerate(files, 1):
            (self.folder / f"{run}_{number}.fastq").write_text("".join(reads))


def test_lanes_are_counted_together_without_what_is_no_cdna(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index, genes = make_genome(tmp_path, [f"N{number}" for number in range(30)])
    dice = random.Random(2)
    barcodes = sorted({dna(dice, 16) for _ in range(1000)})
    Path("lists").mkdir()
    Path("lists/3M-february-2018.txt").write_text("".join(f"{barcode}\n" for barcode in barcodes))
    made = Maker(tmp_path, genes, barcodes)
    made.write("R1", 12)
    made.write("R2", 10, lost=LOST)
    made.write("R3", 12, tags=True)
    row = Run(series="S", experiment="X", species="homo", assay="droplet", status="planned")
    table = "S.homo.X.tsv"
    write_runs(table, [row._replace(run=run, source=f"file:{run}_1.fastq;{run}_2.fastq") for run in ("R1", "R2", "R3")])
    Path("archives").mkdir()
    write_statuses("archives/status.tsv", [RunStatus(run) for run in ("R1", "R2", "R3")])
    fastq.main(["--runs", table, "--archives", "archives", "--output", "fastq"])
    common = ["--runs", table, "--fastq", "fastq", "--chemistries", str(CHEMISTRIES), "--inclusion-lists", "lists"]
    read_roles.main([*common, "--output", "roles.json"])
    options = ["--features", "Gene", "--multireads", "Unique", "--cell-filter", "None"]
    outputs = ["--output", "solo", "--status", "status.tsv"]
    count_library([*common, "--roles", "roles.json", "--index", str(index), *options, *outputs])
    statuses = read_statuses("status.tsv")
    settled = {one.run: one for one in settle_unit([read_unit_rows(table)], statuses)}
    assert [(one.status, one.reason, one.spots) for one in settled.values()] == [
        ("counted", "", f"{SPOTS}"),
        ("counted", "", f"{SPOTS - 1}"),
        ("left_out", "NOT_RNA", f"{SPOTS}"),
    ]
    lanes = (
        "The barcode reads have 28 bases in R1, 26 bases in R2. STAR takes UMIs of one length: those of all runs are"
        " cut to 10 bases."
    )
    assert lanes in settled["R1"].detail and lanes in settled["R2"].detail
    assert settled["R2"].detail.startswith(f"1 of {SPOTS:,} spots lack a read and are dropped. Proved by barcodes")
    assert settled["R3"].detail.endswith("; the library is counted from R1, R2.")
    assert json.loads(Path("solo.json").read_text())["genes"] == 30
    pack_counted(tmp_path / "solo", tmp_path / "mex")
    archive = read_archive(tmp_path / "mex/Gene_Unique_raw.tar.gz")
    matrix = archive.matrix.tocoo()
    counted = {
        (archive.barcodes[column].decode(), archive.features[row][0]): int(value)
        for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
    }
    assert counted == Counter((cell, gene) for cell, gene, _ in made.molecules)
