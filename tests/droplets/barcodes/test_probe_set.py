"""Probes of 10x Flex are counted on a probe set: a probe is its gene's, a sample is known by its probe barcode."""

import json
import random
import shutil
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.droplets import read_roles
from scripts.droplets.barcodes.probe_set import Probe, make_probe_index, read_probe_set, with_probe_barcode
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.mex.mex_reader import read_archive
from scripts.droplets.mex_archive import describe_library
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from tests.droplets.counting import count_library, pack_counted

CHEMISTRIES = Path(__file__).parents[3] / "config/chemistries.yaml"
HEAD = "#probe_set_file_format=1.0\n#panel_name=toy\ngene_id,probe_seq,probe_id,included,region\n"
CONSTANT = "ACGCGGTTAGCACGTANN"  # between the probe and the probe barcode


def dna(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("ACGT", k=length))


def write_set(path: Path, probes: list[Probe]) -> Path:
    rows = [f"{probe.gene_id},{probe.bases},{probe.probe_id},TRUE,spliced\n" for probe in probes]
    path.write_text(HEAD + "".join(rows))
    return path


def test_probes_that_are_included_are_read(tmp_path):
    path = tmp_path / "set.csv"
    path.write_text(
        HEAD + "E1,ACGT,E1|ABC|1a,TRUE,spliced\nE2,ACGG,E2|DEF|2b,FALSE,spliced\nE3,acgc,OWN,TRUE,other\n"
        "E1,AACC,E1|ABC|1b,TRUE,spliced\n"
    )
    assert read_probe_set(path) == [
        Probe("E1|ABC|1a", "E1", "ABC", "ACGT"),
        Probe("E1|ABC|1b", "E1", "ABC", "AACC"),
        Probe("OWN", "E3", "E3", "ACGC"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no probe set; the columns gene_id, probe_seq, probe_id are missing"),
        ("gene_id,probe_seq\n", "the columns probe_id are missing"),
        (HEAD, "the probe set has no probe that is included"),
        (HEAD + "E1,ACGT,E1|A|1,FALSE,x\n", "the probe set has no probe that is included"),
        (HEAD + "E1,ACGT,E1|A|1,TRUE,x\nE2,ACXT,E2|B|2,TRUE,x\n", "probe 2: it needs gene_id, probe_id and the bases"),
        (HEAD + "E1\n", "probe 1: it needs"),
    ],
)
def test_what_is_no_probe_set_is_refused(tmp_path, text, words):
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_probe_set(tmp_path / "set.csv")
    with pytest.raises(InputError, match=r"none\.csv: the probe set cannot be read"):
        read_probe_set(tmp_path / "none.csv")


def test_short_reads_have_no_probe_barcode():
    kit = read_chemistries(CHEMISTRIES)[0]["10x_flex"]
    assert with_probe_barcode(kit, 60).barcode == kit.barcode
    whole = with_probe_barcode(kit, 90)
    assert [(part.start, part.length, part.list) for part in whole.barcode] == [
        (9, 16, "737K-fixed-rna-profiling"),
        (1, 8, "flex-probe-barcodes"),
    ]
    assert (whole.prefix, whole.umi_start, whole.cdna_length) == ((69, 8), 25, 50)


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")
@pytest.mark.parametrize(("listed", "bases"), [(True, 90), (False, 90), (True, 60)])
def test_probes_are_counted_for_each_cell_of_each_sample(tmp_path, listed, bases):
    dice = random.Random(4)
    probes = [
        Probe(f"E{gene}|N{gene}|{number}", f"E{gene}", f"N{gene}", dna(dice, 50))
        for number in range(2)
        for gene in range(6)
    ]
    path = write_set(tmp_path / "toy_probes.csv", probes)
    cells, samples = ([dna(dice, length) for _ in range(number)] for length, number in ((16, 4), (8, 2)))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/737K-fixed-rna-profiling.txt").write_text("".join(f"{cell}\n" for cell in sorted(cells)))
    if listed:
        (tmp_path / "lists/flex-probe-barcodes.txt").write_text("".join(f"{sample}\n" for sample in samples))
    made: dict[tuple[str, str], int] = {}
    spots = []
    for cell in cells:
        for sample in samples:
            for probe in probes:
                for _ in range(dice.randrange(1, 4)):
                    umi = dna(dice, 12)
                    key = f"{cell}_{sample}" if bases > 76 else cell, probe.gene_id
                    made[key] = made.get(key, 0) + 1
                    read = probe.bases + CONSTANT.replace("N", "C") + sample + dna(dice, 14)
                    spots += [(cell + umi, read)] * 2
    for number in range(40):  # halves of two probes: ligated by mistake, of no gene
        halves = probes[number % 12].bases[:25] + probes[(number + 5) % 12].bases[25:]
        spots.append((cells[0] + dna(dice, 12), halves + CONSTANT + samples[0] + dna(dice, 14)))
    dice.shuffle(spots)
    reads = tmp_path / "fastq"
    reads.mkdir()
    for number in (1, 2):
        column = [spot[number - 1][:bases] for spot in spots]
        lines = (f"@{name}\n{read}\n+\n{'F' * len(read)}\n" for name, read in enumerate(column))
        (reads / f"R1_{number}.fastq").write_text("".join(lines))
    write_statuses(reads / "status.tsv", [RunStatus("R1", spots=str(len(spots)))])
    row = Run(series="S", experiment="X", run="R1", species="homo", assay="droplet", status="planned")
    write_runs(tmp_path / "S.homo.X.tsv", [row])
    common = ["--runs", tmp_path / "S.homo.X.tsv", "--fastq", reads, "--chemistries", CHEMISTRIES]
    common += ["--inclusion-lists", tmp_path / "lists"]
    roles = tmp_path / "roles.json"
    read_roles.main([*map(str, common), "--output", str(roles)])
    fault = json.loads(roles.read_text())["runs"]["R1"]["fault"]
    assert (fault["reason"], "libraries of 10x Chromium Flex" in fault["detail"]) == ("CHEMISTRY_UNKNOWN", True)
    read_roles.main([*map(str, common), "--output", str(roles), "--probe-set"])
    assert json.loads(roles.read_text())["runs"]["R1"]["candidates"] == ["10x_flex"]
    index, _ = make_probe_index(path, tmp_path, 1)  # any other index: it is not used
    more = ["--roles", roles, "--index", index, "--probe-set", path, "--output", tmp_path / "solo"]
    more += ["--status", tmp_path / "status.tsv", "--cell-filter", "None"]
    count_library([*common, *more, "--multireads", "Unique"])
    status = read_statuses(tmp_path / "status.tsv")["R1"]
    assert status.ok, status
    assert "Counted on the probe set toy_probes.csv (12 probes of 6 genes, sha256 " in status.detail
    found = "the 2 barcodes of 8 bases that 0.5% of the reads or more have, together 100.0%, are the list"
    assert (found in status.detail) is not listed
    assert ("all cells are taken for those of one sample" in status.detail) is (bases < 76)
    assert describe_library("", tmp_path / "solo") == "counted on the probe set toy_probes.csv"
    features = ["Gene", "GeneFull", "GeneFull_Ex50pAS", "SJ"]
    written = pack_counted(tmp_path / "solo", tmp_path / "mex", features)
    assert {one.name for one in written} == {f"{feature}_Unique_raw.tar.gz" for feature in features}
    for feature in features[:3]:
        archive = read_archive(tmp_path / f"mex/{feature}_Unique_raw.tar.gz")
        matrix = archive.matrix.tocoo()
        counted = {
            (archive.barcodes[column].decode(), archive.features[row][0]): int(value)
            for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
        }
        assert counted == made
        assert {row[:2] for row in archive.features} == {(f"E{gene}", f"N{gene}") for gene in range(6)}
