"""The report shows what was asked for and what came of it, on one page that stands alone."""

import json

import h5py
import numpy as np
import pandas

from scripts.formats import csv_gz, h5ad
from scripts.harvest import report
from scripts.plan.run_table import Run, write_runs
from scripts.plates.shard_counts import TALLIES
from tests.formats.test_pages import Page

FAILED = Run("GSE1", "GSE1", "GSM3", "SRX3", "SRR3", species="mus", assay="plate", status="failed")
ROWS = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR2", species="mus", assay="plate", status="counted"),
    FAILED._replace(reason="DOWNLOAD_FAILED", detail="404 <at> all & every archive."),
    Run("GSE2", "GSE2", "GSM4", "SRX4", "SRR4", species="homo", assay="droplet", chemistry="10xv3", status="counted"),
    Run("GSE2", "GSE2", "GSM5", status="left_out", reason="NO_RUN", detail="The sample has no run."),
]


def write_cells(path, index, counts, obs, notes=()):
    path.parent.mkdir(exist_ok=True)
    dense = np.array(counts, np.int32)
    with h5py.File(path, "w") as root:
        matrix = h5ad.create_group(root, "X", "csr_matrix")
        matrix.attrs["shape"] = np.array(dense.shape, np.int64)
        h5ad.write_array(matrix, "data", dense[dense > 0])
        h5ad.write_array(matrix, "indices", np.nonzero(dense)[1])
        h5ad.write_array(matrix, "indptr", np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))]))
        h5ad.write_frame(root, "obs", index, obs)
        uns = h5ad.create_group(root, "uns")
        for name, value in notes:
            h5ad.write_text(uns, name, value)
        h5ad.write_text(h5ad.create_group(uns, "parameters"), "mode", "union")


def make(folder, rows=ROWS, *more):
    write_runs(folder / "runs.tsv", rows)
    planned = [row if row.status == "left_out" else row._replace(status="planned", reason="") for row in rows]
    write_runs(folder / "plan.tsv", planned)
    report.main(
        [
            *("--plan", str(folder / "plan.tsv"), "--ledger", str(folder / "runs.tsv")),
            *("--output", str(folder / "report.html"), *more),
        ]
    )
    return (folder / "report.html").read_text()


def write_all_cells(folder):
    obs = {"series": ["GSE1", "GSE1"], "experiment": ["SRX1", "SRX2"]}
    obs |= {name: np.array([number, 0]) for number, name in enumerate(TALLIES)}
    obs |= {"star_number_of_input_reads": np.array([1000, 3000])}
    obs |= {"star_uniquely_mapped_reads_percent": np.array([70.0, 90.0])}
    write_cells(folder / "mus.h5ad", ["SRX1", "SRX2"], [[5, 0, 5], [1, 1, 28]], obs, [("reference", "mm10 sha256:1")])
    write_cells(folder / "droplets" / "GSE2.homo.h5ad", ["SRX4_A", "SRX4_C", "SRX9_G"], [[1, 2], [0, 5], [9, 9]], {})


def test_the_page_shows_what_came_of_the_plan(tmp_path):
    write_all_cells(tmp_path)
    (tmp_path / "mex" / "SRX4").mkdir(parents=True)
    for name in ("Gene_Unique_raw.tar.gz", "Gene_Unique_filtered.tar.gz"):
        (tmp_path / "mex" / "SRX4" / name).write_bytes(b"x" * 10_000)
    page = Page(make(tmp_path))
    text = " ".join(page.text)
    for words in (
        "2 series, 5 rows in the ledger, 4 of them planned for work.",
        "2 plate cells counted 1 droplet libraries counted 3 runs counted 1 left out 1 failed",
        "GSE1 mus plate 3 2 1 – counted: 66.7% failed: 33.3% GSE2 homo droplet 1 1 – 1 counted: 50.0% left out: 50.0%",
        "DOWNLOAD_FAILED could not be downloaded 1 GSE1 (1)",
        "NO_RUN no run in the archive 1 GSE2 (1)",
        "The 1 failed run",
        "GSE1 GSM3 SRR3 mus DOWNLOAD_FAILED 404 <at> all & every archive.",
        "Plate cells: mus 2 cells. reference: mm10 sha256:1; mode: union",
        "GSE1 2 2k 80 2.5",
        "in genes 80.0%",
        "GSE2 homo SRX4 10xv3 1 – 2 8 4 1.5",
        "mex/SRX4/*.tar.gz droplet counts: a matrix with its barcodes and features 2 20kB",
    ):
        assert words in text, text


def test_the_page_stands_alone_and_is_the_same_each_time(tmp_path):
    write_all_cells(tmp_path)
    text = make(tmp_path)
    assert make(tmp_path) == text
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object")]
    links = [attributes[name] for _, attributes in page.tags for name in ("href", "src") if name in attributes]
    assert links
    assert all(link.startswith("#") for link in links)
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert {link[1:] for link in links} <= targets
    assert "://" not in text
    assert str(tmp_path) not in text


def test_what_was_noted_of_counted_runs_is_shown_once_a_series(tmp_path):
    noted = "counted by htseq-count: in SRX1, which both counted, 2 of 60 numbers of the native counter differed"
    rows = [row._replace(detail=noted) if row.status == "counted" and row.series == "GSE1" else row for row in ROWS]
    page = Page(make(tmp_path, rows))
    assert page.text.count(noted) == 1
    found = page.text.index(noted)
    assert page.text[found - 3 : found] == ["GSE1", "2", "SRR1"]
    proof = "read 1 on 3M (9%d.1%% of spots, chance 0.16%%); strand Forward."
    library = ROWS[3]._replace(read_roles="barcode,cdna")
    rows = [library._replace(run=f"SRR{run}", detail=proof % run) for run in range(4, 7)]
    rows.append(library._replace(run="SRR7", chemistry="10xv2", detail=proof % 7))
    text = Page(make(tmp_path, rows)).text
    assert [text[index - 2 : index + 1] for index, words in enumerate(text) if words.startswith("read 1 on 3M")] == [
        ["1", "SRR7", proof % 7],
        ["3", "SRR4", proof % 4],
    ]
    assert "Notes on counted runs" not in Page(make(tmp_path)).text


def test_genes_that_a_reference_has_lost_are_shown(tmp_path):
    lost = {"name": "mm10", "annotation": {"genes": 1000, "lost_genes": 37, "lost_contigs": 1, "lost_names": ["MT"]}}
    (tmp_path / "reference.json").write_text(json.dumps(lost))
    words = "Reference mm10: 37 of 1,000 genes (3.70%) are not counted: the genome lacks their contigs (MT)."
    text = Page(make(tmp_path, ROWS, "--references", str(tmp_path / "reference.json"))).text
    assert text[text.index(words) - 1] == "References: genes that are not counted"
    assert "References: genes" not in make(tmp_path)


def test_nothing_failed_and_nothing_at_all(tmp_path):
    assert "None: every run was counted." in make(tmp_path, ROWS[:1])
    assert "0 rows in the ledger" in make(tmp_path, [])


def test_a_species_without_a_cell_is_shown(tmp_path):
    write_cells(tmp_path / "mus.h5ad", [], np.zeros((0, 3)), {})
    assert "0 cells" in make(tmp_path, [ROWS[2]])


def test_very_many_runs_do_not_make_a_very_long_page(tmp_path):
    failed = [FAILED._replace(run=f"SRR{number}", reason="EMPTY_READS", detail="None.") for number in range(3000)]
    many = [ROWS[0]._replace(run=f"SRR{number}", series=f"GSE{number}") for number in range(3000, 6000)]
    text = make(tmp_path, failed + many)
    assert "The first 500 of 3,000 failed runs; all of them are in runs.tsv." in text
    assert "The first 400 of 3,001 series; all of them are in runs.tsv." in text
    assert len(text) < 400_000


def test_files_of_an_atlas_and_of_a_library_are_a_row_each_and_those_of_snakemake_none(tmp_path):
    for name in (
        "atlas/mus/manifest.json",
        "atlas/mus/segments.tsv",
        "atlas/mus.train/cell_type/model.npz",
        "mex/SRX1/Gene_EM_raw.tar.gz",
        "mex/SRX1/.snakemake_timestamp",
        "runs.tsv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("seven..", encoding="utf-8")
    found = [(name, number) for name, _, number, _ in report.file_rows(tmp_path)]
    assert found == [("atlas/mus.train/cell_type/*", 1), ("atlas/mus/*", 2), ("mex/SRX1/*.tar.gz", 1), ("runs.tsv", 1)]


def test_the_page_is_the_same_whichever_archive_served_a_run(tmp_path):
    pages = set()
    for mirror in ("sra", "ena_fastq"):
        folder = tmp_path / mirror
        folder.mkdir()
        write_all_cells(folder)
        pages.add(make(folder, [row._replace(source=mirror) if row.status == "counted" else row for row in ROWS]))
    assert len(pages) == 1


def test_cells_without_reads_and_tallies_have_genes_alone(tmp_path):
    write_cells(tmp_path / "mus.h5ad", ["SRX1", "SRX2"], [[5, 0, 5], [1, 1, 28]], {"series": ["GSE1", "GSE1"]})
    text = Page(make(tmp_path, ROWS[:2])).text
    assert "GSE1 2 – – 2.5 Files" in " ".join(text)
    assert "Where the mapped reads of all cells went" not in text


def test_plate_cells_that_need_a_look_are_named(tmp_path):
    assert "need a look" not in make(tmp_path)
    header = ["cell", "series", "species", "status", "flags", "reads", "pct_mapped", "n_genes_by_counts"]
    rows = [
        ["SRX1", "GSE1", "mus", "counted", "", "1000", "0.9000", "400"],
        ["SRX2", "GSE1", "mus", "failed", "LOW_MAPPING;NO_GENES", "2000", "0.15", "0"],
        ["SRX3", "GSE1", "mus", "counted", "FEW_READS", "0", "", "0"],
    ]
    (tmp_path / "quality").mkdir()
    csv_gz.write_csv_gz(tmp_path / "quality" / "cells.csv.gz", [header, *rows])
    text = " ".join(Page(make(tmp_path)).text)
    assert "GSE1 SRX2 mus LOW_MAPPING;NO_GENES failed 2,000 0.1% 0 GSE1 SRX3 mus FEW_READS counted 0 – 0" in text
    assert "LOW_MAPPING : less than 20 % of its reads map" in text
    assert "SRX1 mus" not in text


def test_a_read_is_shown_once_where_ambiguous_ones_count_for_genes():
    figures = dict(zip(TALLIES, (10, 5, 0, 0, 20), strict=True))
    cells = pandas.DataFrame([{"series": "GSE1", "experiment": "SRX1", "counts": 90.0, "genes": 3.0, **figures}])
    plain = report.plate_part("mus", cells, {"mode": "union"})["shares"]
    assert [words for _, words in plain[:3]] == ["in genes 72.0%", "no feature 8.0%", "ambiguous 4.0%"]
    shares = report.plate_part("mus", cells, {"nonunique": "fraction"})["shares"]
    assert shares == [
        *(("part-0", "in genes 90.0%"), ("part-1", "no feature 10.0%")),
        *(("part-3", "too low aQual 0.0%"), ("part-4", "not aligned 0.0%")),
    ]
