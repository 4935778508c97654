"""The table of what droplet libraries show: a row a library, failed ones too."""

import csv
import itertools
import json
from pathlib import Path

import h5py
import numpy as np

from scripts.formats import h5ad
from scripts.harvest import libraries_table
from scripts.harvest.libraries_table import COLUMNS, FIGURES
from scripts.plan.run_table import Run, write_runs


def table(tmp_path, rows, figures):
    write_runs(tmp_path / "runs.tsv", rows)
    for unit, shown in figures.items():
        (tmp_path / f"{unit}.json").write_text(json.dumps(shown))
    arguments = ["--ledger", str(tmp_path / "runs.tsv"), "--figures", f"{tmp_path}/{{unit}}.json"]
    arguments += ["--kept", f"{tmp_path}/{{unit}}", "--cells", f"{tmp_path}/{{unit}}.cells"]
    libraries_table.main([*arguments, "--output", str(tmp_path / "quality/libraries.csv")])
    return (tmp_path / "quality/libraries.csv").read_text()


def test_a_row_for_each_library(tmp_path):
    kept = Run(series="S", species="homo", assay="droplet", chemistry="10x_3p_v3", spots="500", status="counted")
    failed = kept._replace(experiment="X3", status="failed", chemistry="", spots="")
    rows = [
        kept._replace(experiment="X1", run="R1"),
        kept._replace(experiment="X1", run="R2", spots="250"),
        kept._replace(experiment="X1", run="R3", status="left_out", reason="INDEX_READS_ONLY"),
        kept._replace(experiment="X2", run="R4", status="failed", reason="ENRICHED_LIBRARY"),
        failed._replace(run="R5", reason="INCOMPLETE_EXPERIMENT"),
        failed._replace(run="R6", reason="DOWNLOAD_FAILED"),
        kept._replace(experiment="X4", run="R7", status="left_out", reason="NOT_RNA"),
        kept._replace(experiment="X5", run="R8", assay="plate"),
    ]
    shown = {
        "gene_reads": 400,
        "antisense_reads": 9,
        "genes": 120,
        "genes_per_1000": 101.5,
        "top_gene": "MALAT1",
        "top_gene_share": 0.51,
        "ig_share": 0.0,
        "tr_share": 0.012345,
        "mitochondrial_share": 0.31,
        "ribosomal_share": 0.2,
        "annotated": 3000,
    }
    made = table(tmp_path, rows, {"S.homo.X1": shown, "S.homo.X2": shown | {"tr_share": 0.9}, "S.homo.X3": {}})
    first, second, third = csv.DictReader(made.splitlines())
    ledger = ("series", "species", "experiment", "runs", "chemistry", "status", "reason", "spots")
    assert [first[name] for name in ledger] == ["S", "homo", "X1", "R1;R2", "10x_3p_v3", "counted", "", "750"]
    assert [second[name] for name in ledger[2:7]] == ["X2", "R4", "10x_3p_v3", "failed", "ENRICHED_LIBRARY"]
    assert [third[name] for name in ledger[2:]] == ["X3", "R5;R6", "", "failed", "DOWNLOAD_FAILED", ""]
    assert [first[name] for name in FIGURES] == [
        *("400", "9", "120", "101.5000", "MALAT1", "0.5100", "0.0000", "0.0123", "0.3100", "0.2000"),
    ]
    assert {third[name] for name in third if name not in ledger} == {""}
    assert [row["flags"] for row in (first, second)] == [
        "HIGH_MITOCHONDRIAL;HIGH_TOP_GENE",
        "HIGH_MITOCHONDRIAL;HIGH_TR;HIGH_TOP_GENE",
    ]
    assert len({len(row) for row in csv.reader(made.splitlines())}) == 1


def test_without_a_library_there_is_the_header(tmp_path):
    assert table(tmp_path, [], {}) == ",".join(COLUMNS) + "\n"


def cells_of(folder, series, libraries):
    """Write the h5ad of a series: library → barcodes, each of 30 counts, and counts on XIST and on genes of Y."""
    cells = [(library, barcode, *sexes) for library, (barcodes, sexes) in libraries.items() for barcode in barcodes]
    counts = {"total_counts": 30, "n_genes_by_counts": 9, "pct_counts_mt": 1}
    with h5py.File(folder / f"{series}.homo.h5ad", "w") as root:
        h5ad.write_text(h5ad.create_group(root, "uns"), "matrix", "Gene_Unique_filtered")
        columns = {name: [cell[at] for cell in cells] for at, name in enumerate(("library", "barcode"))}
        columns |= {name: np.full(len(cells), value) for name, value in counts.items()}
        columns |= {
            "xist_counts": np.array([cell[2] for cell in cells]),
            "y_counts": np.array([cell[3] for cell in cells]),
        }
        h5ad.write_frame(root, "obs", [f"{cell[0]}_{cell[1]}" for cell in cells], columns)
    return str(folder / f"{series}.homo.h5ad")


def test_copies_shared_barcodes_and_the_other_sex_are_flagged(tmp_path):
    kept = Run(series="S", species="homo", assay="droplet", status="counted")
    rows = [kept._replace(experiment=f"X{number}", run=f"R{number}", sample=f"GSM{number}") for number in range(4)]
    rows.append(rows[0]._replace(series="T", experiment="X9", run="R9", sample="GSM9"))
    write_runs(tmp_path / "runs.tsv", rows)
    barcodes = ["".join(letters) for letters in itertools.product("ACGT", repeat=5)]
    libraries = {f"X{at}": (barcodes[200 * at : 200 * at + 100], (0, 1)) for at in range(4)}
    libraries["X1"] = ([*barcodes[:40], *barcodes[900:960]], (1, 0))  # 40 of 100 are those of X0
    (tmp_path / "own.tsv").write_text("run\tsex\nR0\tmale\nR1\tM\nR2\tfemale\nR3\tboth\n")
    matrices = [cells_of(tmp_path, "S", libraries), cells_of(tmp_path, "T", {"X9": libraries["X2"]})]
    paths = [f"--{name}={tmp_path}/none/{{unit}}" for name in ("figures", "kept", "cells", "roles")]
    output = tmp_path / "libraries.csv"
    arguments = [*paths, "--own-metadata", str(tmp_path / "own.tsv"), "--matrices", *matrices, "--output", str(output)]
    libraries_table.main(["--ledger", str(tmp_path / "runs.tsv"), *arguments])
    made = {row["experiment"]: row for row in csv.DictReader(output.read_text().splitlines())}
    assert {name: list(filter(None, row["flags"].split(";"))) for name, row in made.items()} == {
        "X0": ["BARCODE_OVERLAP"],
        "X1": ["SEX_MISMATCH", "BARCODE_OVERLAP"],
        "X2": ["DUPLICATE_COUNTS", "SEX_MISMATCH"],
        "X3": [],
        "X9": ["DUPLICATE_COUNTS"],
    }
    assert (made["X2"]["same_counts_as"], made["X9"]["same_counts_as"]) == ("X9", "X2")
    assert (made["X0"]["barcodes_shared_with"], made["X0"]["barcodes_shared"]) == ("X1", "40")
    assert [made["X1"][name] for name in ("sex_of_record", "sex_of_genes", "cells")] == ["male", "female", "100"]


SUMMARY = """Number of Reads,500
Reads With Valid Barcodes,0.98
Sequencing Saturation,-nan
Reads Mapped to Genome: Unique,0.9
Reads Mapped to {0}: Unique {0},0.7
Estimated Number of Cells,{1}
Median UMI per Cell,{1}2
"""


def keep(folder, feature, cells, filters):
    """Write the figures of a library, as STAR has them without cells, and the cells that were called."""
    text = SUMMARY.format(feature, cells)
    for path, lines in ((folder / "Solo.out", text.splitlines()[:-2]), (Path(f"{folder}.cells"), text.splitlines())):
        (path / feature).mkdir(parents=True)
        (path / feature / "Summary.csv").write_text("".join(f"{line}\n" for line in lines))
    Path(f"{folder}.cells", feature, "barcodes.tsv").write_text("ACGT\n" * cells)
    Path(f"{folder}.cells", "cells.json").write_text(json.dumps(filters))


def test_figures_of_star_are_under_their_own_names_and_no_cells_have_none(tmp_path):
    """A library without cells has no mean of them."""
    kept = Run(series="S", species="homo", assay="droplet", status="counted")
    rows = [kept._replace(experiment=f"X{number}", run=f"R{number}") for number in (1, 2, 3)]
    skipped = {"cell_filter": "EmptyDrops_CR", "skipped": {"Gene": [169, 45000, "CellRanger2.2 3000 0.99 10"]}}
    keep(tmp_path / "S.homo.X1", "Gene", 7, skipped)
    keep(tmp_path / "S.homo.X1", "GeneFull", 8, skipped)
    keep(tmp_path / "S.homo.X2", "Gene", 0, {"cell_filter": "EmptyDrops_CR 1 2", "skipped": {}})
    first, second, third = csv.DictReader(table(tmp_path, rows, {}).splitlines())
    assert (first["Number of Reads"], first["Sequencing Saturation"]) == ("500", "")
    assert (first["Estimated Number of Cells"], first["GeneFull: Estimated Number of Cells"]) == ("7", "8")
    assert (first["Median UMI per Cell"], first["GeneFull: Median UMI per Cell"]) == ("72", "82")
    assert first["GeneFull: Reads Mapped to GeneFull: Unique GeneFull"] == "0.7"
    assert "GeneFull: Number of Reads" not in first
    assert (first["cell_filter"], first["flags"]) == ("CellRanger2.2 3000 0.99 10", "EMPTYDROPS_SKIPPED")
    assert (second["Estimated Number of Cells"], second["Median UMI per Cell"]) == ("", "")
    assert (second["cell_filter"], second["flags"]) == ("EmptyDrops_CR 1 2", "NO_CELLS")
    assert {third[name] for name in ("Number of Reads", "cell_filter", "flags")} == {""}
