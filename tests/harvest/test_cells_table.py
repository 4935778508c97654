"""The table of the quality of plate cells."""

import csv
import gzip
import io

import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.harvest import cells_table
from scripts.harvest.checks.quality import cell_faults
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import cut_into_units, write_units
from scripts.plates.shard_counts import ShardCounts, write_shard_counts
from scripts.references.genes_table import GeneRow, write_genes


def log(reads, once, several=0, **more):
    return {
        "Number of input reads": str(reads),
        "Uniquely mapped reads number": str(once),
        "Mismatch rate per base, %": "0.43%",
        "Number of reads mapped to multiple loci": str(several),
    } | more


def make(folder, cells, species="mus", **statuses):
    """Write the table of cells: name → (log, counts of two genes); ``statuses``: experiment → (status, reason)."""
    rows = [
        Run("GSE1", "GSE1", f"GSM{name}", name, f"SRR{name}", species=species, assay="plate", status="planned")
        for name in cells
    ]
    write_units(folder / "units", cut_into_units(rows, 99), "experiment")
    ends = [statuses.get(row.experiment, ("counted", "")) for row in rows]
    ledger = [row._replace(status=status, reason=reason) for row, (status, reason) in zip(rows, ends, strict=True)]
    write_runs(folder / "runs.tsv", ledger)
    counts = np.array([counts for _, counts in cells.values()], np.int64).reshape(-1, 2)
    tallies = np.arange(5 * len(cells)).reshape(-1, 5)
    logs = [log for log, _ in cells.values()]
    runs = [f"SRR{name}" for name in cells]
    write_genes(folder / "genes.tsv", [GeneRow(gene, gene, "", 9, "chr1") for gene in "ab"])
    shard = ShardCounts(["a", "b"], list(cells), runs, scipy.sparse.csc_matrix(counts), tallies, logs)
    write_shard_counts(folder / f"GSE1.{species}.0000.h5ad", shard)
    output = folder / "quality" / "cells.csv.gz"
    cells_table.main(
        [
            *("--units", str(folder / "units"), "--ledger", str(folder / "runs.tsv"), "--output", str(output)),
            *("--counts", str(folder / "{unit}.h5ad"), "--genes", f"{species}={folder / 'genes.tsv'}"),
        ]
    )
    table = list(csv.DictReader(io.StringIO(gzip.decompress(output.read_bytes()).decode())))
    return {row["cell"]: row for row in table}, ledger


def test_a_row_has_the_figures_of_a_cell(tmp_path):
    rows, _ = make(tmp_path, {"SRX1": (log(1000, 700, 100), [3, 0])})
    found = rows["SRX1"]
    assert (found["series"], found["sample"], found["runs"], found["status"]) == (
        "GSE1",
        "GSMSRX1",
        "SRRSRX1",
        "counted",
    )
    assert (found["reads"], found["mapped_once"], found["mapped_several"]) == ("1000", "700", "100")
    assert (found["pct_mapped"], found["pct_mismatch"], found["unmapped_short"]) == ("80.00", "0.43", "")
    assert (found["total_counts"], found["n_genes_by_counts"]) == ("3", "1")
    assert [found[name] for name in ("no_feature", "ambiguous", "too_low_aQual", "not_aligned")] == ["0", "1", "2", "3"]
    assert found["alignment_not_unique"] == "4"
    assert found["flags"] == ""


def test_a_rate_of_no_base_is_empty(tmp_path):
    rows, _ = make(tmp_path, {"SRX1": (log(1000, 0, **{"Mismatch rate per base, %": "-nan%"}), [0, 0])})
    assert rows["SRX1"]["pct_mismatch"] == ""


@pytest.mark.parametrize(
    ("reads", "mapped", "counts", "flags"),
    [
        (1000, 200, [1, 0], ""),
        (1000, 199, [1, 0], "LOW_MAPPING"),
        (1000, 0, [0, 0], "LOW_MAPPING;NO_GENES"),
        (100, 100, [1, 0], ""),
        (99, 99, [1, 0], "FEW_READS"),
        (10, 10, [1, 0], "FEW_READS"),
        (9, 9, [1, 0], "EMPTY_WELL"),
        (0, 0, [0, 0], "EMPTY_WELL"),
    ],
)
def test_flags_name_what_needs_a_look(tmp_path, reads, mapped, counts, flags):
    others = {f"SRX{number}": (log(1000, 900), [5, 5]) for number in range(4)}
    rows, _ = make(tmp_path, {**others, "SRX9": (log(reads, mapped), counts)})
    assert {name: row["flags"] for name, row in rows.items()} == dict.fromkeys(others, "") | {"SRX9": flags}


def test_a_series_of_few_cells_has_no_depth_to_compare_with(tmp_path):
    rows, _ = make(tmp_path, {"SRX1": (log(9999, 9999), [1, 1]), "SRX2": (log(1, 1), [1, 0])})
    assert rows["SRX2"]["flags"] == ""


def test_a_cell_that_a_floor_failed_is_in_it(tmp_path):
    cells = {"SRX1": (log(9, 9), [1, 1]), "SRX2": (log(1000, 0), [0, 0])}
    rows, ledger = make(tmp_path, cells, SRX2=("failed", "LOW_MAPPING"))
    assert (rows["SRX2"]["status"], rows["SRX2"]["reason"]) == ("failed", "LOW_MAPPING")
    assert not list(cell_faults(tmp_path / "quality" / "cells.csv.gz", ledger))
    changed = [row._replace(status="counted") for row in ledger]
    assert list(cell_faults(tmp_path / "quality" / "cells.csv.gz", changed)) == [
        "quality/cells.csv.gz: SRRSRX2 is 'failed', but 'counted' in the ledger."
    ]
    more = [*ledger, ledger[0]._replace(run="SRR77")]
    assert list(cell_faults(tmp_path / "quality" / "cells.csv.gz", more)) == [
        "quality/cells.csv.gz: SRR77 is counted in the ledger, but not in it."
    ]


def test_cells_of_another_plan_are_not_in_it(tmp_path):
    make(tmp_path, {"SRX1": (log(9, 9), [1, 1]), "SRX2": (log(9, 9), [1, 1])})
    row = Run("GSE1", "GSE1", "GSM1", "SRX1", "SRRSRX1", species="mus", assay="plate", status="counted")
    write_runs(tmp_path / "runs.tsv", [row])
    output = tmp_path / "cells.csv.gz"
    options = ["--units", str(tmp_path / "units"), "--ledger", str(tmp_path / "runs.tsv"), "--output", str(output)]
    options += ["--genes", f"mus={tmp_path / 'genes.tsv'}"]
    cells_table.main([*options, "--counts", str(tmp_path / "{unit}.h5ad")])
    assert len(gzip.decompress(output.read_bytes()).splitlines()) == 2


def test_a_shard_of_which_every_cell_failed_has_no_row(tmp_path):
    rows, _ = make(tmp_path, {})
    assert rows == {}
    with pytest.raises(InputError, match=r"there must be \{unit\} in it"):
        cells_table.main(["--units=u", "--ledger=l", "--counts=c.h5ad", "--output=o"])
