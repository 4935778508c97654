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
from scripts.plan.units import Cut, cut_into_units, write_units
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
    write_units(folder / "units", cut_into_units(rows, Cut(99)), "experiment")
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


def test_copies_of_counts_and_the_other_sex_are_flagged(tmp_path):
    random = np.random.default_rng(5)
    genes = [*(f"g{at:03}" for at in range(200)), "x", "y"]
    shares = random.dirichlet(np.full(200, 0.5))

    def cell(total, seed, sexes=(0, 0)):
        return [*np.random.default_rng(seed).multinomial(total, shares).tolist(), *sexes]

    cells = {"X1": cell(20_000, 1, (0, 30)), "X2": cell(20_000, 2), "X3": cell(20_000, 1), "X4": cell(300, 4)}
    cells |= {"X5": cell(300, 4), "X6": cell(20_000, 1, (1, 0)), "X7": cell(3, 9), "X8": cell(3, 9)}
    cells["X6"][0] += 1  # nearly a copy
    cells["X2"][-2] = 40
    rows = [Run("GSE1", "GSE1", f"GSM{name}", name, f"R{name}", species="mus", assay="plate") for name in cells]
    write_units(
        tmp_path / "units", cut_into_units([row._replace(status="planned") for row in rows], Cut(99)), "experiment"
    )
    write_runs(tmp_path / "runs.tsv", [row._replace(status="counted") for row in rows])
    logs = [log(sum(counts), sum(counts)) for counts in cells.values()]
    counts = scipy.sparse.csc_matrix(np.array(list(cells.values()), np.int64))
    names = {"x": "Xist", "y": "Uty"}
    write_genes(tmp_path / "genes.tsv", [GeneRow(gene, names.get(gene, gene), "", 9, "chr1") for gene in genes])
    shard = ShardCounts(genes, list(cells), [row.run for row in rows], counts, np.zeros((len(cells), 5), int), logs)
    write_shard_counts(tmp_path / "GSE1.mus.0000.h5ad", shard)
    (tmp_path / "own.tsv").write_text("run\tGender\nRX1\tfemale\nRX2\tF\nRX3\tfemale\n")
    options = ["--units", str(tmp_path / "units"), "--ledger", str(tmp_path / "runs.tsv")]
    options += ["--counts", str(tmp_path / "{unit}.h5ad"), "--genes", f"mus={tmp_path / 'genes.tsv'}"]
    output = tmp_path / "cells.csv.gz"
    cells_table.main([*options, "--own-metadata", str(tmp_path / "own.tsv"), "--output", str(output)])
    made = {row["cell"]: row for row in csv.DictReader(io.StringIO(gzip.decompress(output.read_bytes()).decode()))}
    of_copies = {name: row["same_counts_as"] for name, row in made.items() if "DUPLICATE_COUNTS" in row["flags"]}
    assert of_copies.keys() == {"X1", "X3", "X6", "X4", "X5"}
    assert (of_copies["X4"], of_copies["X5"]) == ("X5", "X4")
    assert {name for name, row in made.items() if "SEX_MISMATCH" in row["flags"]} == {"X1"}
    assert [made["X1"][name] for name in ("sex_of_record", "sex_of_genes", "y_counts")] == ["female", "male", "30"]
    assert [made["X2"][name] for name in ("sex_of_record", "sex_of_genes", "xist_counts")] == ["female", "female", "40"]
