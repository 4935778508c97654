"""From shards and status tables to checked results: the commands of the harvest, one after the other."""

import hashlib

import anndata
import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.harvest import (
    accept,
    cells_table,
    checksums,
    counts_h5ad,
    counts_table,
    ledger,
    log_table,
    report,
    verify,
)
from scripts.plan.run_table import Run, columns_of, read_runs, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import Cut, cut_into_units, write_units
from scripts.plates.shard_counts import ShardCounts, write_shard_counts
from scripts.references.genes_table import GeneRow, write_genes

GENES = ["ENSG1.1", "ENSG2.3", "a,b", "z"]


class Analysis:
    """A folder of an analysis with a plan of two species; what the count stage of each shard would leave is written."""

    def __init__(self, folder, failed=("SRR5",), cells=9):
        self.folder, self.failed = folder, set(failed)
        self.plan = [Run("GSE9", "GSE9", "GSM99", status="left_out", reason="NO_RUN", detail="The sample has no run.")]
        for cell in range(cells):
            row = Run(f"GSE{cell % 2}", f"GSE{cell % 2}", f"GSM{cell}", f"SRX{cell}", species="mus", assay="plate")
            row = row._replace(status="planned", tax_id="10090")
            self.plan += [row._replace(run=f"SRR{cell}"), row._replace(run=f"SRR{cell}b")][: 2 - cell % 2]
        self.plan.append(self.plan[-1]._replace(run="SRR77", species="homo", series="GSE7"))
        for name in ("work", "results"):
            (folder / name).mkdir(parents=True)
        write_runs(folder / "results/plan.tsv", self.plan)
        units = cut_into_units(self.plan, Cut(3))
        write_units(folder / "work/units", units, "experiment")
        write_genes(folder / "genes.tsv", [GeneRow(gene, gene, "x", 1, "chr1") for gene in GENES])
        for unit, rows in units.items():
            self.write_unit(unit, rows)

    def write_unit(self, unit, rows):
        statuses = [RunStatus(row.run, spots="100") for row in rows]
        lost = [status._replace(state="failed", reason="EMPTY_READS", detail="No reads.") for status in statuses]
        chosen = zip(statuses, lost, strict=True)
        write_statuses(
            self.folder / f"work/{unit}.tsv", [bad if good.run in self.failed else good for good, bad in chosen]
        )
        columns = {
            name: runs
            for name, runs in columns_of(rows, "experiment").items()
            if not {row.run for row in runs} & self.failed
        }
        random = np.random.default_rng(len(unit))
        counts = random.integers(0, 20, (len(columns), len(GENES)))
        tallies = random.integers(0, 20, (len(columns), 5))
        mapped = (counts.sum(axis=1) + tallies.sum(axis=1)).tolist()
        logs = [{"Number of input reads": "999", "Uniquely mapped reads number": str(reads)} for reads in mapped]
        runs = [";".join(row.run for row in rows) for rows in columns.values()]
        matrix = scipy.sparse.csc_matrix(counts)
        shard = ShardCounts(GENES, list(columns), runs, matrix, tallies, logs, "mm10 sha256:1")
        write_shard_counts(self.folder / f"work/{unit}.h5ad", shard)

    def harvest(self, max_failed="0.5"):
        results, work = f"{self.folder}/results", f"{self.folder}/work"
        plan, runs = ["--plan", f"{results}/plan.tsv"], ["--ledger", f"{results}/runs.tsv"]
        units = ["--units", f"{work}/units"]
        ledger.main([*plan, *units, "--statuses", f"{work}/{{unit}}.tsv", "--output", f"{results}/runs.tsv"])
        accept.main([*runs, "--max-failed", max_failed, "--output", f"{work}/accepted"])
        genes = [f"{species}={self.folder}/genes.tsv" for species in ("mus", "homo")]
        quality = [*units, *runs, "--counts", f"{work}/{{unit}}.h5ad", "--genes", *genes]
        cells_table.main([*quality, "--output", f"{results}/quality/cells.csv.gz"])
        for species in ("mus", "homo"):
            common = [*units, *runs, "--counts", f"{work}/{{unit}}.h5ad", "--species", species, "--output"]
            counts_table.main([*common, f"{results}/{species}.htseq-count.csv.gz"])
            log_table.main([*common, f"{results}/{species}.log.csv.gz"])
            more = ["--genes", f"{self.folder}/genes.tsv", "--records", f"{self.folder}/records"]
            more += ["--quality", f"{results}/quality/cells.csv.gz"]
            counts_h5ad.main([*common, f"{results}/{species}.h5ad", *more])
        report.main([*plan, *runs, "--output", f"{results}/report.html"])
        checksums.main(["--results", results, "--output", f"{results}/SHA256SUMS"])
        return self.folder / "results"


def test_results_are_whole_and_agree(tmp_path):
    results = Analysis(tmp_path).harvest()
    verify.main([str(results)])
    rows = read_runs(results / "runs.tsv")
    statuses = [row.status for row in rows]
    assert (statuses.count("counted"), statuses.count("failed"), statuses.count("left_out")) == (14, 1, 1)
    assert anndata.read_h5ad(results / "mus.h5ad").n_obs == 8


def test_two_folders_have_the_same_bytes(tmp_path):
    sums = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in results.rglob("*.*")}
        for results in (Analysis(tmp_path / "one").harvest(), Analysis(tmp_path / "other").harvest())
    ]
    assert len(sums[0]) == 10
    assert sums[0] == sums[1]


def test_one_run_of_two_takes_the_experiment_with_it(tmp_path):
    results = Analysis(tmp_path, failed=["SRR2b"]).harvest()
    verify.main([str(results)])
    rows = {row.run: row for row in read_runs(results / "runs.tsv")}
    assert rows["SRR2"].reason == "INCOMPLETE_EXPERIMENT"
    assert rows["SRR2b"].reason == "EMPTY_READS"


def test_every_cell_of_a_species_may_fail(tmp_path):
    results = Analysis(tmp_path, failed=["SRR77"]).harvest(max_failed="1")
    verify.main([str(results)])
    assert anndata.read_h5ad(results / "homo.h5ad").shape == (0, len(GENES))


def test_a_harvest_of_too_many_failures_stops(tmp_path):
    with pytest.raises(InputError, match="GSE7: 1 of 1 runs failed"):
        Analysis(tmp_path, failed=["SRR77"]).harvest()
