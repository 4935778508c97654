"""A folder of results with enough rows for everything that a page can show."""

import gzip
import json

import numpy as np

from scripts.formats import csv_gz
from scripts.plan.run_table import Run
from tests.harvest.test_report import LIBRARY, write_cells

CELLS, FLAGGED, LIBRARIES = 60, 30, 10


def write_results(folder):
    """Write 60 plate cells of two species, 30 of them with flags, and 10 libraries; return the ledger."""
    random = np.random.default_rng(7)
    (folder / "quality").mkdir(parents=True)
    rows, cells = [], []
    for number in range(CELLS):
        species, series = ("mus", "homo")[number % 2], f"GSE{number % 4}"
        row = Run(series, series, f"GSM{number}", f"SRX{number}", f"SRR{number}", species=species, assay="plate")
        rows.append(row._replace(status="counted", detail="A note." if number < 30 else ""))
        reads = int(10 ** random.uniform(3, 6))
        shares = random.dirichlet((60, 9, 1, 1, 25, 2))
        flags = ("FEW_READS", "LOW_MAPPING;NO_GENES", "SPECIES_MISMATCH")[number % 3] if number < FLAGGED else ""
        cells.append(
            {
                **{"cell": row.experiment, "series": series, "sample": row.sample, "experiment": row.experiment},
                **{
                    "runs": row.run,
                    "species": species,
                    "status": "counted",
                    "reason": "",
                    "flags": flags,
                    "reads": reads,
                },
                **dict(zip(_READS, (shares * reads).astype(int).tolist(), strict=True)),
                **{
                    "pct_mapped": f"{100 * shares[:2].sum():.2f}",
                    "total_counts": reads // 2,
                    "no_feature": reads // 10,
                },
                **{"n_genes_by_counts": int(random.integers(50, 9000)), "ambiguous": reads // 50, "too_low_aQual": 0},
                **{
                    "alignment_not_unique": int(shares[1] * reads),
                    "pct_counts_spike_in": f"{random.uniform(0, 20):.2f}",
                },
                **{"pct_counts_mt": f"{random.uniform(0, 30):.2f}", "same_reads_as": "SRX59" if number == 3 else ""},
            }
        )
    csv_gz.write_csv_gz(
        folder / "quality" / "cells.csv.gz", [list(cells[0]), *(map(str, cell.values()) for cell in cells)]
    )
    rows += _write_libraries(folder, random)
    failed = Run("GSE9", "GSE9", "GSM900", species="mus", assay="plate", status="failed", reason="DOWNLOAD_FAILED")
    rows += [
        failed._replace(run=f"SRR{900 + number}", experiment=f"SRX{900 + number}", detail="No server answered. " * 9)
        for number in range(5)
    ]
    left_out = failed._replace(status="left_out", reason="NOT_RNA", detail="The library strategy is WGS.")
    rows += [left_out._replace(run=f"SRR{100 + number}", experiment=f"SRX{100 + number}") for number in range(7)]
    (folder / "methods.txt").write_text("Reads were aligned with STAR.\n", encoding="utf-8")
    facts = {"workflow": {"name": "sra2matrix"}, "tools": [{"program": "STAR", "version": "2.7.10b"}], "options": []}
    (folder / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    return rows


_READS = ("mapped_once", "mapped_several", "too_many_loci", "unmapped_mismatches", "unmapped_short", "unmapped_other")


def _write_libraries(folder, random):
    rows, table, index, counts = [], [], [], []
    for number in range(LIBRARIES):
        name = f"SRX{500 + number}"
        row = Run("GSE5", "GSE5", f"GSM{500 + number}", name, f"SRR{500 + number}", species="homo", assay="droplet")
        rows.append(
            row._replace(status="counted", chemistry="10x_3p_v3", detail="Proved by barcodes: read 1 on 3M. " * 4)
        )
        molecules = np.sort(np.concatenate([random.integers(900, 5000, 40), random.integers(1, 90, 400)]))[::-1]
        kept = folder.parent / "units" / "solo" / f"GSE5.homo.{name}" / "Solo.out" / "Gene"
        kept.mkdir(parents=True)
        text = "".join(f"{number}\n" for number in molecules.tolist())
        (kept / "UMIperCellSorted.txt.gz").write_bytes(gzip.compress(text.encode()))
        flags = "LOW_READS_IN_CELLS" if number == 3 else ""
        share = "" if number == 5 else f"{random.uniform(0.4, 0.95):.4f}"
        library = {**LIBRARY, "series": "GSE5", "experiment": name, "runs": row.run, "flags": flags}
        table.append(library | {"Fraction of Unique Reads in Cells": share, "Estimated Number of Cells": "40"})
        index += [f"{name}_{cell}" for cell in range(40)]
        counts += molecules[:40].tolist()
    text = "\n".join(
        ",".join(f'"{value}"' for value in line) for line in (table[0], *(each.values() for each in table))
    )
    (folder / "quality" / "libraries.csv").write_text(f"{text}\n", encoding="utf-8")
    obs = {"experiment": [name.partition("_")[0] for name in index], "total_counts": np.array(counts)}
    obs |= {"n_genes_by_counts": np.array(counts) // 3, "pct_counts_mt": np.array(counts) / 250}
    write_cells(folder / "droplets" / "GSE5.homo.h5ad", index, np.zeros((len(index), 2)), obs)
    return rows
