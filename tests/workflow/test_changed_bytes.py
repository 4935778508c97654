"""After changes the results are those of a fresh run, byte for byte."""

import gzip
import os
import shutil

import pytest

from scripts.plan.run_table import read_runs
from tests.checksums import sums
from tests.workflow.changed import changed, fetched, run
from tests.workflow.test_changes import cells

pytestmark = pytest.mark.tools

LEFT_OUT, CORRECTED, NEW = "SRR9000003", "SRR9000001", "SRR9000008"
FLOOR = 450  # reads


def change_rows(folder):
    """Leave a cell of three shards out, correct the source of another, add one, and replace the files of one's own."""
    cells(LEFT_OUT)(folder)
    cells(CORRECTED, source="file:mine/cell_1.fastq.gz;mine/cell_2.fastq.gz")(folder)
    table = folder / "mine/runs.tsv"
    header, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    new = dict.fromkeys(header.rstrip("\n").split("\t"), "") | {"run": NEW, "series": "GSE900001", "source": "sra"}
    new |= {"experiment": "SRX9000008", "sample": "GSM9000008", "species": "mus", "assay": "plate"}
    table.write_text("".join([header, *rows, "\t".join(new.values()) + "\n"]), encoding="utf-8")
    for mate in (1, 2):
        reads = folder / f"mine/cell_{mate}.fastq.gz"
        reads.write_bytes(2 * reads.read_bytes())
        os.utime(reads, (1, 1))


def write_annotation(world, folder):
    """Write the human annotation without its last gene."""
    lines = gzip.decompress(world.references["hg38"]["gtf"].read_bytes()).decode().splitlines(keepends=True)
    gene = lines[-1].partition('gene_id "')[2].partition('"')[0]
    kept = [line for line in lines if gene not in line]
    assert 0 < len(kept) < len(lines)
    (folder / "mine/hg38.gtf").write_text("".join(kept))


def test_changes_end_in_the_bytes_of_a_fresh_run(world, archives, finished, tmp_path):
    before, configuration = finished
    folder = tmp_path / "changed"
    shutil.copytree(before, folder, symlinks=True)
    shutil.rmtree(folder / "work")
    change_rows(folder)
    first = changed(
        configuration,
        {"plates.min_reads": FLOOR, "harvest": {"gene_name": True}, "atlas.components": 3, "max_failed": 0.2},
    )
    asked = len(archives.requests)
    run(folder, first)
    assert fetched(archives, asked) == {NEW}
    reasons = {row.run: row.reason for row in read_runs(folder / "results/runs.tsv")}
    assert LEFT_OUT not in reasons and "EMPTY_READS" in reasons.values() and not reasons[NEW]

    write_annotation(world, folder)
    second = changed(
        first,
        {
            "references.hg38.gtf": "mine/hg38.gtf",
            "leave_out": {"SRX9000213": "of two species"},
            "droplets.cell_filter": "TopCells 20",
            "droplets.counts": "GeneFull",
            "mex.metadata_name": "manifest.tsv",
        },
    )
    asked = len(archives.requests)
    run(folder, second)
    assert not any(run.startswith("SRR90000") for run in fetched(archives, asked))  # of the mouse

    fresh = tmp_path / "fresh"
    shutil.copytree(folder / "mine", fresh / "mine")
    shutil.copytree(before / "resources/records", fresh / "resources/records")  # which a run table does not ask for
    (fresh / "config").mkdir()
    for path in (before / "config").glob("*.*"):
        shutil.copyfile(path, fresh / "config" / path.name)
    run(fresh, second)
    assert sums(folder / "results") == sums(fresh / "results")
