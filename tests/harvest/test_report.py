"""The report shows what was asked for and what came of it, on one page that stands alone."""

import base64
import hashlib
import json
import re

import h5py
import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.formats import csv_gz, h5ad
from scripts.harvest import report
from scripts.harvest.report_page import files
from scripts.plan.run_table import Run, write_runs
from tests.formats.test_pages import EVIL, Page

FAILED = Run("GSE1", "GSE1", "GSM3", "SRX3", "SRR3", species="mus", assay="plate", status="failed")
ROWS = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR2", species="mus", assay="plate", status="counted"),
    FAILED._replace(reason="DOWNLOAD_FAILED", detail="404 <at> all & every archive."),
    Run("GSE2", "GSE2", "GSM4", "SRX4", "SRR4", species="homo", assay="droplet", chemistry="10xv3", status="counted"),
    Run("GSE2", "GSE2", "GSM5", status="left_out", reason="NO_RUN", detail="The sample has no run."),
]
CELLS = [
    *(["cell", "series", "sample", "experiment", "runs", "species", "status", "reason", "flags", "reads"],),
    *(["SRX1", "GSE1", "GSM1", "SRX1", "SRR1", "mus", "counted", "", "", "1000"],),
    *(["SRX2", "GSE1", "GSM2", "SRX2", "SRR2", "mus", "counted", "", "FEW_READS", "3000"],),
]
"""Without the figures; see :func:`write_quality`."""
FIGURES = {
    "mapped_once": (600, 2400),
    "mapped_several": (100, 300),
    "too_many_loci": (20, 0),
    "unmapped_mismatches": (0, 0),
    "unmapped_short": (280, 270),
    "unmapped_other": (0, 30),
    "pct_mapped": (70, 90),
    "total_counts": (500, 2000),
    "n_genes_by_counts": (200, 301),
    "no_feature": (80, 300),
    "ambiguous": (20, 100),
    "too_low_aQual": (0, 0),
    "not_aligned": (300, 300),
    "alignment_not_unique": (100, 300),
    "pct_counts_mt": (4.5, 12.25),
}
LIBRARY = {
    "series": "GSE2",
    "species": "homo",
    "experiment": "SRX4",
    "runs": "SRR4",
    "chemistry": "10xv3",
    "status": "counted",
    "Number of Reads": "20000",
    "Reads With Valid Barcodes": "0.98",
    "Sequencing Saturation": "0.6255",
    "Reads Mapped to Gene: Unique Gene": "0.74",
    "GeneFull: Reads Mapped to GeneFull: Unique GeneFull": "0.88",
    "Estimated Number of Cells": "3",
    "Fraction of Unique Reads in Cells": "0.9",
    "Mean Reads per Cell": "5000",
    "Median UMI per Cell": "5",
    "flags": "",
}


def write_quality(folder, cells=CELLS, library=LIBRARY):
    (folder / "quality").mkdir(parents=True, exist_ok=True)
    rows = [[*row, *values] for row, values in zip(cells, zip(*FIGURES.values(), strict=True), strict=False)]
    rows = [
        [*cells[0], *FIGURES],
        *([*row, *map(str, of)] for row, of in zip(cells[1:], zip(*FIGURES.values(), strict=True), strict=True)),
    ]
    csv_gz.write_csv_gz(folder / "quality" / "cells.csv.gz", rows)
    text = "\n".join(",".join(f'"{value}"' for value in row) for row in (library, library.values()))
    (folder / "quality" / "libraries.csv").write_text(f"{text}\n", encoding="utf-8")


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
    write_quality(folder)
    write_cells(folder / "mus.h5ad", ["SRX1", "SRX2"], [[5, 0, 5], [1, 1, 28]], {}, [("reference", "mm10 sha256:1")])
    obs = {"experiment": ["SRX4"] * 3, "total_counts": np.array([3, 5, 18]), "n_genes_by_counts": np.array([2, 1, 2])}
    write_cells(folder / "droplets" / "GSE2.homo.h5ad", ["SRX4_A", "SRX4_C", "SRX4_G"], [[1, 2], [0, 5], [9, 9]], obs)


def test_the_page_shows_what_came_of_the_plan(tmp_path):
    write_all_cells(tmp_path)
    (tmp_path / "mex" / "SRX4").mkdir(parents=True)
    for name in ("Gene_Unique_raw.tar.gz", "Gene_Unique_filtered.tar.gz"):
        (tmp_path / "mex" / "SRX4" / name).write_bytes(b"x" * 10_000)
    page = Page(make(tmp_path))
    text = " ".join(page.text)
    for words in (
        "2 plate cells and 1 droplet library of 2 series were counted;\n1 run left out, 1 failed."
        " 1 warning , 1 note : see Needs a look .",
        "warning 1 run: not counted: could not be downloaded Run again with --config retry='[DOWNLOAD_FAILED]'.",
        "SRR3. See the rows of DOWNLOAD_FAILED",
        "note 1 plate cell: less than 10 % of the median number of reads of the series",
        "SRX2 GSE1 GSM2 mus FEW_READS counted 3,000 90.0 301 12.2",
        "2 series 5 samples − 1 without a run 4 runs 4 runs planned − 1 failed 3 runs counted 2 plate cells"
        " 1 droplet libraries",
        "GSE1 mus plate 3 2 1 0 counted: 66.7 % failed: 33.3 % GSE2 homo droplet 1 1 0 1 counted: 50.0 %",
        "DOWNLOAD_FAILED failed could not be downloaded",
        "failed GSE1 GSM3 SRR3 mus DOWNLOAD_FAILED could not be downloaded 404 <at> all & every archive.",
        "left out GSE2 GSM5 – – NO_RUN no run in the archive The sample has no run.",
        "mode union reference mm10 sha256:1",
        "mapped once 75.0 % mapped several times 10.0 % mapped too often 0.5 % unmapped: too short 13.8 %",
        "in genes 62.5 % in no gene 9.5 % in several genes 3.0 % low quality 0.0 % of several loci 10.0 %",
        "SRX4 GSE2 homo 10xv3 – 1 20,000 3 90.0 5,000 5",
        "SRX4 GSE2 homo 98.0 62.5 74.0 88.0",
        "mex/SRX4/ droplet counts: an archive for each matrix, with its barcodes and features 2 20kB",
    ):
        assert words in text, (words, text)


def test_the_page_stands_alone_and_is_the_same_each_time(tmp_path):
    write_all_cells(tmp_path)
    text = make(tmp_path)
    assert make(tmp_path) == text
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "object")]
    links = [attributes[name] for _, attributes in page.tags for name in ("href", "src") if name in attributes]
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    of_files = {link[2:] for link in links if not link.startswith("#")}
    assert {"mus.h5ad", "runs.tsv", "droplets/GSE2.homo.h5ad"} <= of_files
    assert [name for name in of_files - {"SHA256SUMS"} if not (tmp_path / name).exists()] == []
    assert "://" not in text
    assert str(tmp_path) not in text


def test_the_page_allows_its_own_style_and_script_alone(tmp_path):
    text = make(tmp_path)
    policy = next(given["content"] for _, given in Page(text).tags if given.get("http-equiv"))
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.S)
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy


def test_what_was_noted_of_counted_runs_is_shown_once_a_series(tmp_path):
    noted = "counted by htseq-count: in SRX1, which both counted, 2 of 60 numbers of the native counter differed"
    rows = [row._replace(detail=noted) if row.status == "counted" and row.series == "GSE1" else row for row in ROWS]
    page = Page(make(tmp_path, rows))
    assert page.text.count(noted) == 1
    found = page.text.index(noted)
    assert page.text[found - 4 : found] == ["GSE1", "2", "SRR1", "–"]
    assert "Notes on counted runs" not in Page(make(tmp_path)).text


def test_how_a_kit_was_found_is_shown_once_a_kit(tmp_path):
    write_all_cells(tmp_path)
    proof = "read 1 on 3M (9%d.1%% of spots, chance 0.16%%); strand Forward."
    library = ROWS[3]._replace(read_roles="barcode,cdna")
    rows = [library._replace(run=f"SRR{run}", detail=proof % run) for run in range(4, 7)]
    rows.append(library._replace(run="SRR7", chemistry="10xv2", detail=proof % 7))
    text = Page(make(tmp_path, rows)).text
    assert [text[index - 3 : index + 1] for index, words in enumerate(text) if words.startswith("read 1 on 3M")] == [
        ["1", "SRR7", "10xv2", proof % 7],
        ["3", "SRR4", "10xv3", proof % 4],
    ]


def test_genes_that_a_reference_has_lost_are_shown(tmp_path):
    lost = {"name": "mm10", "annotation": {"genes": 1000, "lost_genes": 37, "lost_contigs": 1, "lost_names": ["MT"]}}
    (tmp_path / "reference.json").write_text(json.dumps(lost))
    words = "Reference: Reference mm10: 37 of 1,000 genes (3.70%) are not counted: the genome lacks their contigs (MT)."
    text = Page(make(tmp_path, ROWS, "--references", str(tmp_path / "reference.json"))).text
    assert words in text
    assert words not in make(tmp_path)


def test_nothing_failed_and_nothing_at_all(tmp_path):
    for rows in (ROWS[:1], []):
        text = make(tmp_path, rows)
        assert "Nothing was found: no run failed" in text
        assert "Nothing needs a look." in text
        assert "None: every run was counted." in text


def test_a_series_of_which_every_run_failed_is_an_error(tmp_path):
    write_cells(tmp_path / "mus.h5ad", [], np.zeros((0, 3)), {})
    text = " ".join(Page(make(tmp_path, [ROWS[2]])).text)
    assert "error 1 series: no run was counted: every one failed" in text
    assert "Plate cells: mus" not in text


def test_very_many_runs_do_not_make_a_very_long_page(tmp_path):
    failed = [FAILED._replace(run=f"SRR{number}", reason="EMPTY_READS", detail="None.") for number in range(6000)]
    many = [ROWS[0]._replace(run=f"SRR{number}", series=f"GSE{number}") for number in range(6000, 9000)]
    text = make(tmp_path, failed + many)
    assert "The first 5,000 of 6,000 runs; all of them are in runs.tsv." in text
    assert "The first 1,000 of 3,001 series; all of them are in runs.tsv." in text
    assert len(text) < 2_500_000


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
    found = [(name, number) for name, _, number, _ in files.file_rows(tmp_path)]
    names = ("atlas/mus.train/cell_type/", 1), ("atlas/mus/", 2), ("mex/SRX1/", 1), ("runs.tsv", 1)
    assert found == [(f'<a href="./{name}">{name}</a>', number) for name, number in names]


def test_a_link_to_a_file_leads_to_the_file_whatever_its_name():
    assert files.link_to("javascript:a b#?%.tsv") == (
        '<a href="./javascript%3Aa%20b%23%3F%25.tsv">javascript:a b#?%.tsv</a>'
    )


def test_the_page_is_the_same_whichever_archive_served_a_run(tmp_path):
    pages = set()
    for mirror in ("sra", "ena_fastq"):
        folder = tmp_path / mirror
        folder.mkdir()
        write_all_cells(folder)
        pages.add(make(folder, [row._replace(source=mirror) if row.status == "counted" else row for row in ROWS]))
    assert len(pages) == 1


def test_figures_that_a_table_lacks_are_not_on_the_page(tmp_path):
    header = ["cell", "series", "experiment", "species", "status", "flags", "reads", "n_genes_by_counts"]
    rows = [["SRX1", "GSE1", "SRX1", "mus", "counted", "", "", "2"]]
    (tmp_path / "quality").mkdir()
    csv_gz.write_csv_gz(tmp_path / "quality" / "cells.csv.gz", [header, *rows])
    text = " ".join(Page(make(tmp_path, ROWS[:1])).text)
    assert "genes a cell" in text
    assert "reads a cell" not in text
    assert "Where all reads went" not in text


def test_a_table_of_version_0_1_is_read(tmp_path):
    header = ["cell", "series", "species", "status", "flags", "reads", "mapped_share", "in_genes", "genes"]
    rows = [["SRX2", "GSE1", "mus", "counted", "LOW_MAPPING;NO_GENES", "2000", "0.0015", "0", "0"]]
    (tmp_path / "quality").mkdir()
    csv_gz.write_csv_gz(tmp_path / "quality" / "cells.csv.gz", [header, *rows])
    text = " ".join(Page(make(tmp_path, ROWS[:1])).text)
    assert "SRX2 GSE1 mus LOW_MAPPING NO_GENES counted 2,000 0.1 0" in text


def test_figures_that_no_cell_can_have_are_passed_over(tmp_path):
    header = ["cell", "series", "experiment", "species", "status", "flags", "reads", "n_genes_by_counts", "pct_mapped"]
    values = [("inf", "-5", "nan"), ("1e999", "7", "1e300"), ("12", "1e17", "-inf"), ("x", "", "50")]
    rows = [[f"SRX{row}", "GSE1", f"SRX{row}", "mus", "counted", "", *value] for row, value in enumerate(values)]
    (tmp_path / "quality").mkdir()
    csv_gz.write_csv_gz(tmp_path / "quality" / "cells.csv.gz", [header, *rows])
    obs = {"experiment": ["SRX4"] * 3, "total_counts": np.array([np.nan, np.inf, -1])}
    obs |= {"n_genes_by_counts": np.array([2.0, np.nan, 1e30]), "pct_counts_mt": np.full(3, np.nan)}
    write_cells(tmp_path / "droplets" / "GSE2.homo.h5ad", ["a", "b", "c"], np.zeros((3, 2)), obs)
    text = "\n".join(",".join(row) for row in (LIBRARY, LIBRARY.values()))
    (tmp_path / "quality" / "libraries.csv").write_text(f"{text}\n", encoding="utf-8")
    page = make(tmp_path)
    assert "reads a cell" in page
    assert not re.search(r"\b(NaN|nan|inf)\b", page.partition("<main")[2].partition("<script")[0])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("quality/cells.csv.gz", b"no gzip", "cannot be read as a table of quality"),
        ("quality/libraries.csv", b"\xff\xfe", "cannot be read as a table of quality"),
        ("mus.h5ad", b"no", "cannot be read as counts of cells"),
        ("provenance.json", b"{", "is no JSON"),
        ("provenance.json", b"[1]", "is no JSON object"),
    ],
)
def test_a_broken_file_is_an_error_that_names_it(tmp_path, name, content, words):
    (tmp_path / "quality").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path / name))}: {words}"):
        make(tmp_path, ROWS[:1])


def write_hostile(folder):
    """Write a folder of results in which every text is :data:`EVIL`; return the rows of plan and ledger."""
    evil = dict.fromkeys(("cell", "series", "sample", "experiment", "species", "flags"), EVIL)
    cells = [
        CELLS[0],
        *([evil.get(name, value) for name, value in zip(CELLS[0], row, strict=True)] for row in CELLS[1:]),
    ]
    library = LIBRARY | {
        name: EVIL.replace('"', '""') for name in ("series", "species", "experiment", "chemistry", "flags")
    }
    write_quality(folder, cells, library)
    (folder / "provenance.json").write_text(json.dumps({EVIL: {EVIL: EVIL}, "a": EVIL}), encoding="utf-8")
    (folder / "methods.txt").write_text(EVIL, encoding="utf-8")
    row = Run(*[EVIL] * 8, "plate", EVIL, "single", EVIL, "1", "1", "1", "", "sra", "counted", "", EVIL)
    droplets = row._replace(assay="droplet", reason="")
    return [row, row._replace(status="failed", reason=EVIL), row._replace(status="left_out", reason="NO_RUN"), droplets]


def hostile_page(folder):
    rows = write_hostile(folder)
    return report.draw_page(rows, rows, folder, str(folder / "{unit}"), [EVIL])


def test_text_of_others_stays_text(tmp_path):
    text = hostile_page(tmp_path)
    assert text == hostile_page(tmp_path)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "link"}
    assert [tag for tag, _ in page.tags].count("script") == 1
    attributes = {name for _, given in page.tags for name in given}
    assert not [name for name in attributes if name.startswith("on") or name in ("autofocus", "style", "src")]
    assert {given["tabindex"] for _, given in page.tags if "tabindex" in given} <= {"0", "-1"}
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert any(r"\x1b[2J\u202e" in words for words in page.text)
    links = [given["href"] for _, given in page.tags if "href" in given]
    assert [link for link in links if not link.startswith(("#", "./"))] == []
