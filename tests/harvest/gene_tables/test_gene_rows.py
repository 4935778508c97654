"""Tables of decimals, of TPM and with names of genes, equal to those of the most straightforward program."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.harvest import counts_table, tpm_table
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Cut, cut_into_units, write_units
from scripts.plates.shard_counts import TALLIES, ShardCounts, write_shard_counts
from scripts.references.genes_table import GeneRow, write_genes

GENES = [f"g{number:02d}" for number in range(30)]
NAMES = {gene: f"name, {gene}" if gene == "g07" else f"N{gene}" for gene in GENES}
LENGTHS = {gene: 100 + 37 * number for number, gene in enumerate(GENES)}
ROWS = [
    Run("GSE1", "GSE1", f"GSM{cell}", f"SRX{cell}", f"SRR{cell}", species="mus", assay="plate", status="counted")
    for cell in range(5)
]


def lay_out(folder: Path, counts: np.ndarray) -> list[str]:
    """Write shards of two cells each, and what else the tables are made from; return the options of the commands."""
    write_runs(folder / "runs.tsv", ROWS)
    write_genes(folder / "genes.tsv", [GeneRow(gene, NAMES[gene], "", LENGTHS[gene], "chr1") for gene in GENES])
    write_units(
        folder / "units", cut_into_units([row._replace(status="planned") for row in ROWS], Cut(2)), "experiment"
    )
    for number, start in enumerate(range(0, len(ROWS), 2)):
        some = ROWS[start : start + 2]
        names = [row.experiment for row in some]
        shard = ShardCounts(
            GENES,
            names,
            [row.run for row in some],
            scipy.sparse.csc_matrix(counts[start : start + 2]),
            np.arange(5 * len(some)).reshape(-1, 5),
            [{} for _ in some],
        )
        write_shard_counts(folder / f"GSE1.mus.{number:04d}.h5ad", shard)
    options = [*("--units", str(folder / "units"), "--ledger", str(folder / "runs.tsv"), "--species", "mus")]
    return [*options, "--counts", str(folder / "{unit}.h5ad"), "--output", str(folder / "table.csv.gz")]


def read(folder: Path) -> list[list[str]]:
    return list(csv.reader(gzip.decompress((folder / "table.csv.gz").read_bytes()).decode().splitlines()))


def random_counts(whole: bool = True) -> np.ndarray:
    random = np.random.default_rng(1)
    counts = np.where(random.random((5, 30)) < 0.6, random.integers(1, 5000, (5, 30)), 0)
    counts[3] = 0
    return counts if whole else counts / 3


@pytest.mark.parametrize("workers", ["1", "4"])
def test_fractions_are_written_as_htseq_count_does(tmp_path: Path, workers: str) -> None:
    counts = random_counts(whole=False)
    counts_table.main([*lay_out(tmp_path, counts), "--workers", workers])
    rows = {name: values for name, *values in read(tmp_path)[4:]}
    for number, gene in enumerate(GENES):
        assert rows[gene] == [str(count) if count else "0" for count in counts[:, number].tolist()]
    assert rows[TALLIES[1]] == ["1", "6", "1", "6", "1"]


def test_tpm_are_those_of_the_formula(tmp_path: Path) -> None:
    counts = random_counts()
    options = lay_out(tmp_path, counts)
    tpm_table.main([*options, "--genes", str(tmp_path / "genes.tsv")])
    header, rows = read(tmp_path)[:4], read(tmp_path)[4:]
    assert header[0] == ["GENENAME", *(row.run for row in ROWS)]
    assert [name for name, *_ in rows] == GENES
    rates = counts / np.array(list(LENGTHS.values()))
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(1e6 * rates.T / rates.sum(axis=1))
    assert np.array([values for _, *values in rows], float) == pytest.approx(expected, rel=1e-5)
    assert {values[3] for _, *values in rows} == {"0"}
    write_genes(tmp_path / "genes.tsv", [GeneRow("g00", "", "", 1, "chr1")])
    with pytest.raises(InputError, match=r"29 of the 30 genes of the counts have no length, e\.g\. g01\."):
        tpm_table.main([*options, "--genes", str(tmp_path / "genes.tsv")])


def test_names_of_genes_are_a_column(tmp_path: Path) -> None:
    options = lay_out(tmp_path, random_counts())
    counts_table.main(options)
    plain = read(tmp_path)
    counts_table.main([*options, "--gene-names", str(tmp_path / "genes.tsv")])
    named = read(tmp_path)
    assert [line[1] for line in named] == ["gene_name", "", "", "", *(NAMES.get(line[0], "") for line in plain[4:])]
    assert [[line[0], *line[2:]] for line in named] == plain
    tpm_table.main([*options, "--genes", str(tmp_path / "genes.tsv"), "--gene-names", str(tmp_path / "genes.tsv")])
    assert [line[:2] for line in read(tmp_path)[4:]] == [[gene, NAMES[gene]] for gene in GENES]
