"""Reads of one's own: a run table whose rows name files, without any archive."""

import bz2
import gzip
import os
import random
import re
import shutil
from pathlib import Path

import anndata
import pandas as pd
import pytest

from scripts.droplets.mex.mex_reader import read_archive
from scripts.harvest import verify
from scripts.plan.run_table import Run, read_runs, write_runs
from tests.toy.demo import run_workflow
from tests.toy.server import Server
from tests.workflow.test_incremental import jobs

pytestmark = pytest.mark.tools


def test_files_go_through_the_same_rules(world, tmp_path, capfd):
    fastq = world.folder / "fastq"
    rows = [
        Run(run="cell1", species="mus", assay="plate", source=f"file:{world.sra / 'SRR9000003.sra'}"),
        Run(
            run="cell2",
            tax_id="10090",
            assay="plate",
            source=f"file:{fastq / 'SRR9000001_1.fastq.gz'};{fastq / 'SRR9000001_2.fastq.gz'}",
        ),
        Run(run="cell3", species="mus", assay="plate", source="file:reads/none.fastq"),
        Run(run="plate.A4", species="mus", assay="plate", source="file:windows_1.fastq;windows_2.fastq.bz2"),
        Run(run="cell5", species="mus", assay="plate", source="file:windows_1.fastq;shifted_2.fastq"),
        Run(run="cell6", species="mus", assay="plate", source="file:empty.sra"),
        Run(
            run="lane1",
            experiment="lib.1",
            species="homo",
            assay="droplet",
            source=f"file:{fastq / 'SRR9000103_1.fastq.gz'};{fastq / 'SRR9000103_2.fastq.gz'}",
        ),
    ]
    first, second = (gzip.decompress((fastq / f"SRR9000001_{mate}.fastq.gz").read_bytes()) for mate in (1, 2))
    (tmp_path / "windows_1.fastq").write_bytes(first.replace(b"\n", b"\r\n"))
    (tmp_path / "windows_2.fastq.bz2").write_bytes(bz2.compress(second[:-1]))
    lines = second.splitlines(keepends=True)
    (tmp_path / "shifted_2.fastq").write_bytes(b"".join(lines[4:] + lines[:4]))
    (tmp_path / "empty.sra").touch()
    rows += [
        Run(run=f"half{mate}", experiment="halves", species="homo", assay="droplet", source=f"file:{path}")
        for mate, path in enumerate((fastq / "SRR9000103_1.fastq.gz", fastq / "SRR9000103_2.fastq.gz"), 1)
    ]
    (tmp_path / "index.fastq").write_text("@a\nACGTACGT\n+\nFFFFFFFF\n")
    rows.append(rows[-1]._replace(run="index", source="file:index.fastq"))
    rows += plant_faults(fastq, tmp_path)
    write_runs(tmp_path / "runs.tsv", rows)
    lines = (tmp_path / "runs.tsv").read_text().splitlines()
    own = {"run": "Patient\tseries_geo", "cell1": "P 1\t", "cell2": "P2\tx", "lane1": "P1\t=1+1", "half1": "a\t"}
    column = lines[0].split("\t").index("run")
    (tmp_path / "runs.tsv").write_text(
        "".join(f"{line}\t{own.get(line.split(chr(9))[column], chr(9))}\n" for line in lines)
    )
    with Server(world) as server:  # a file that is missing is known before any job
        assert run_workflow(tmp_path, world.configuration(server) | {"run_table": "runs.tsv"}) != 0
        assert not server.requests
    lost = f"cell3: source: no such file, or not readable: reads/none.fastq; it is relative to {tmp_path}."
    assert lost in capfd.readouterr().err
    (tmp_path / "reads").mkdir()
    (tmp_path / "reads" / "none.fastq").write_text("@r\nAC-T\n+\nIIII\n")
    with Server(world) as server:
        configuration = world.configuration(server) | {"run_table": "runs.tsv", "max_failed": 0.5}
        assert run_workflow(tmp_path, configuration) == 0
        assert not [request for request in server.requests if not request.path.startswith("/files/")]
    check_output(tmp_path, capfd.readouterr().err)
    ledger = {row.run: row for row in read_runs(tmp_path / "results" / "runs.tsv")}
    assert {run: (row.status, row.reason) for run, row in ledger.items()} == {
        "cell1": ("counted", ""),
        "cell2": ("counted", ""),
        "cell3": ("failed", "READS_MISSING"),
        "plate.A4": ("counted", ""),
        "cell5": ("failed", "MATES_DISAGREE"),
        "cell6": ("left_out", "EMPTY_READS"),
        "human": ("counted", ""),  # its spike-ins map
        "shuffled": ("counted", ""),
        "mates": ("counted", ""),
        "day1": ("counted", ""),
        "day2": ("counted", ""),
        "lane1": ("counted", ""),
        "half1": ("counted", ""),
        "half2": ("counted", ""),
        "index": ("left_out", "INDEX_READS_ONLY"),
    }
    assert ledger["cell3"].detail == "none.fastq: read 1 has '-' among its bases; the file is damaged."
    assert ledger["cell5"].detail.startswith("pair 1 is called ")
    assert ledger["cell6"].detail == "no read in empty.sra."
    assert ledger["lane1"].chemistry == "10x_3p_v2"
    with gzip.open(tmp_path / "results" / "mus.htseq-count.csv.gz", "rt", encoding="utf-8") as lines:
        table = [line.rstrip("\n").split(",") for line in lines]
    assert table[0] == ["GENENAME", "cell1", "cell2", "day1;day2", "human", "mates", "plate.A4", "shuffled"]
    truth = world.plate_truth()
    for column, run in ((1, "SRR9000003"), (2, "SRR9000001"), (6, "SRR9000001"), (7, "SRR9000003")):
        made = truth[next(name for name, made in world.experiments.items() if run in made.runs)]
        counted = {row[0]: int(row[column]) for row in table[4:] if row[column] != "0"}
        assert counted == {gene: count for gene, count in made.items() if count}
    assert (tmp_path / "results" / "mex" / "lib.1" / "Gene_Unique_raw.tar.gz").exists()
    # two runs that are R1 and R2 of a library are counted as the library, and nothing is lost or there twice
    whole, halves = (
        read_archive(tmp_path / "results" / "mex" / name / "Gene_Unique_raw.tar.gz") for name in ("lib.1", "halves")
    )
    assert (whole.matrix != halves.matrix).nnz == 0
    cells = anndata.read_h5ad(tmp_path / "results" / "droplets" / "local.homo.h5ad").obs
    assert set(zip(cells.experiment, cells.run, strict=True)) == {("halves", "half1;half2"), ("lib.1", "lane1")}
    spots = gzip.decompress((fastq / "SRR9000103_1.fastq.gz").read_bytes()).count(b"\n") // 4
    assert dict(zip(cells.experiment, cells.Patient, strict=True)) == {"lib.1": "P1", "halves": "a"}
    plate = anndata.read_h5ad(tmp_path / "results" / "mus.h5ad").obs
    assert plate.Patient.astype(object).where(plate.Patient.notna(), None).tolist() == ["P 1", "P2", *[None] * 5]
    samples = pd.read_csv(tmp_path / "results" / "mus.metadata.samples.csv").set_index("geo_accession")
    assert samples.Patient.dropna().to_dict() == {"cell1": "P 1", "cell2": "P2"}
    assert samples.characteristics_ch1["cell2"] == "Patient: P2;series_geo: x"
    assert ",P1,'=1+1\n" in (tmp_path / "results" / "homo.metadata.samples.csv").read_text()
    assert set(cells.spots) == {spots}  # the run table does not say, but the reads do; those of two halves once
    verify.main([str(tmp_path / "results")])
    check_flags(tmp_path / "results" / "quality")


def reads_of(fastq, run, mate=""):
    """Return the reads of a run of the toy world, four lines each."""
    lines = gzip.decompress((fastq / f"{run}{mate}.fastq.gz").read_bytes()).splitlines(keepends=True)
    return [lines[at : at + 4] for at in range(0, len(lines), 4)]


def check_output(folder: Path, said: str) -> None:
    """Check what a run shows that ended well: lines of progress in place of Snakemake's, and what was made."""
    lines = said.splitlines()
    log = max((folder / ".snakemake" / "log").glob("*.log"))
    begin = next(number for number, line in enumerate(lines) if line.startswith("Snakemake's full output"))
    assert lines[begin] == f"Snakemake's full output (here with -p) goes to {log}"
    end = next(number for number, line in enumerate(lines) if re.fullmatch(r"(\S+) of \1 jobs done in .+\.", line))
    assert 5 < end - begin < 20
    assert all(" jobs done" in line for line in lines[begin + 1 : end])
    assert "\x1b" not in said and "rule align:" not in said
    assert "rule align:" in log.read_text(encoding="utf-8")
    assert lines[end + 1] == f"What was made, in {folder}/results/:"
    assert any(line.split()[0] == "mus.h5ad" for line in lines[end + 2 :])
    assert "Of 15 runs: 11 counted, 2 left out, 2 failed." in lines
    assert "Left out: EMPTY_READS (1), INDEX_READS_ONLY (1)." in lines
    assert lines[-1] == f"Open {folder}/results/report.html."


def plant_faults(fastq, folder):
    """Write reads with faults that only a look at the reads finds, and return their rows."""
    mouse = Run(species="mus", assay="plate")
    rows = [mouse._replace(run="human", source=f"file:{fastq / 'SRR9000202.fastq.gz'}")]
    pairs = list(zip(reads_of(fastq, "SRR9000003", "_1"), reads_of(fastq, "SRR9000003", "_2"), strict=True))
    random.Random(1).shuffle(pairs)
    # mates of two cells under one name
    others = zip(reads_of(fastq, "SRR9000001", "_1"), reads_of(fastq, "SRR9000005", "_2"), strict=False)
    strange = [[[b"@r.%d\n" % number, *read[1:]] for read in pair] for number, pair in enumerate(others, 1)]
    for name, written in (("shuffled", pairs), ("mates", strange)):
        for mate in (0, 1):
            (folder / f"{name}_{mate + 1}.fastq").write_bytes(b"".join(b"".join(pair[mate]) for pair in written))
        rows.append(mouse._replace(run=name, source=f"file:{name}_1.fastq;{name}_2.fastq"))
    runs = (("day1", "SRR9000002"), ("day2", "SRR9000204"))  # the second is of a human
    rows += [
        mouse._replace(run=name, sample="days", experiment="days", source=f"file:{fastq / f'{run}.fastq.gz'}")
        for name, run in runs
    ]
    return rows


def check_flags(quality):
    """Check that each planted fault is flagged, with the name of the other one, and that nothing else is."""
    cells = pd.read_csv(quality / "cells.csv.gz", dtype=str, keep_default_na=False).set_index("cell")
    assert cells["flags"].to_dict() == {
        "cell1": "DUPLICATE_READS;DUPLICATE_COUNTS",
        "cell2": "DUPLICATE_READS;DUPLICATE_COUNTS",
        "human": "SPECIES_MISMATCH;LOW_MAPPING",
        "shuffled": "DUPLICATE_READS;DUPLICATE_COUNTS",
        "mates": "DUPLICATE_READS;MATES_DIFFER;LOW_MAPPING",  # the first mates are those of cell2
        "days": "LANES_DIFFER;SPECIES_MIXED",
        "plate.A4": "DUPLICATE_READS;DUPLICATE_COUNTS",
    }
    assert cells.same_reads_as[["cell1", "shuffled", "cell2"]].tolist() == ["shuffled", "cell1", "mates"]
    assert cells.same_counts_as[["cell1", "shuffled", "cell2"]].tolist() == ["shuffled", "cell1", "plate.A4"]
    assert cells.other_species["human"] == "homo" and float(cells.pct_other_species["human"]) > 99
    libraries = pd.read_csv(quality / "libraries.csv", dtype=str, keep_default_na=False).set_index("experiment")
    assert {tuple(flags.split(";")) for flags in libraries["flags"]} == {
        ("DUPLICATE_READS", "DUPLICATE_COUNTS", "BARCODE_OVERLAP", "EMPTYDROPS_SKIPPED")
    }
    assert libraries.same_counts_as["lib.1"] == libraries.barcodes_shared_with["lib.1"] == "halves"
    assert (libraries.same_reads_as["halves"], libraries.pct_same_reads["halves"]) == ("lane1", "100.00")


def test_a_replaced_file_is_counted_again_and_lost_genes_are_shown(world, tmp_path, capfd):
    reads = [world.folder / "fastq" / f"SRR9000001_{mate}.fastq.gz" for mate in (1, 2)]
    rows = []
    for name in ("kept", "replaced"):
        mates = [tmp_path / f"{name}_{mate}.fastq.gz" for mate in (1, 2)]
        for source, mate in zip(reads, mates, strict=True):
            shutil.copyfile(source, mate)
        source = f"file:{' ; '.join(mate.name for mate in mates)}"
        rows.append(Run(series=name, run=name, species="mus", assay="plate", source=source))
    write_runs(tmp_path / "runs.tsv", rows)
    annotation = gzip.decompress((world.folder / "references" / "mm10.gtf.gz").read_bytes())
    lost = b'chrLost\tx\texon\t1\t9\t.\t+\t.\tgene_id "lost"; transcript_id "lost";\n'
    (tmp_path / "mm10.gtf").write_bytes(annotation + lost)
    printed = []

    def counted(*options):
        with Server(world) as server:
            configuration = world.configuration(server) | {"run_table": "runs.tsv"}
            configuration["references"]["mm10"]["gtf"] = "mm10.gtf"
            assert run_workflow(tmp_path, configuration, ["--cores", "2", "-p", *options]) == 0
        printed.append("".join(capfd.readouterr()))
        return jobs(printed[-1]).get("count", [])

    def columns():
        with gzip.open(tmp_path / "results" / "mus.htseq-count.csv.gz", "rt", encoding="utf-8") as lines:
            table = [line.rstrip("\n").split(",") for line in lines]
        assert table[0] == ["GENENAME", "kept", "replaced"]
        return [{row[0]: int(row[column]) for row in table[4:] if row[column] != "0"} for column in (1, 2)]

    truth = world.plate_truth()
    made = truth[next(name for name, made in world.experiments.items() if "SRR9000001" in made.runs)]
    made = {gene: count for gene, count in made.items() if count}
    assert counted() == ["kept.mus.0000", "replaced.mus.0000"]
    assert columns() == [made, made]
    words = "are not counted: the genome lacks their contigs (chrLost)."
    assert len(re.findall(rf"^Reference mm10: 1 of [0-9]+ genes .* {re.escape(words)}$", printed[0], re.M)) == 2
    assert words in (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "replaced_1.fastq.gz").touch()  # the same reads at another time
    assert counted() == []
    for source, mate in zip(reads, (1, 2), strict=True):
        (tmp_path / f"replaced_{mate}.fastq.gz").write_bytes(2 * source.read_bytes())  # each read twice
        os.utime(tmp_path / f"replaced_{mate}.fastq.gz", (1, 1))  # older than what was counted
    assert counted("--dry-run") == ["replaced.mus.0000"]
    assert counted() == ["replaced.mus.0000"]
    assert columns() == [made, {gene: 2 * count for gene, count in made.items()}]
    (tmp_path / "replaced_1.fastq.gz").unlink()  # a finished analysis does without its files
    assert counted() == []
