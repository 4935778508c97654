"""The counts as AnnData: read back by anndata itself."""

import gzip
import shutil

import anndata
import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.formats import h5ad
from scripts.harvest import counts_h5ad
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Cut, cut_into_units, write_units
from scripts.plates.shard_counts import TALLIES, ShardCounts, read_shard_counts, write_shard_counts
from scripts.references.genes_table import GeneRow, write_genes

GENES = [f"ENSG{number:05d}" for number in range(40)]
SOFT = """\
^SERIES = GSE1
!Series_title = one
^SAMPLE = GSM2
!Sample_title = cell two
!Sample_source_name_ch1 = cortex
!Sample_characteristics_ch1 = cell type: neuron
!Sample_characteristics_ch1 = Age/sex: 3 d: m
!Sample_characteristics_ch1 = no name
^SAMPLE = GSM99
!Sample_title = not counted
!Sample_characteristics_ch1 = secret: yes
"""


class Made:
    """Two series; in the first the order of runs is the reverse of that of experiments, so its shards interleave."""

    def __init__(self, folder, cells=7, seed=0, greatest=300, logs=None):
        random = np.random.default_rng(seed)
        self.folder = folder
        self.rows, self.counts, self.tallies, self.logs = [], {}, {}, {}
        self.star = {}  # series.shard → version of STAR, where it is not the usual one
        for cell in range(cells):
            series = f"GSE{1 + cell // 5}"
            run = f"SRR{90 - cell}" if series == "GSE1" else f"SRR{cell}"
            row = Run(series, "", f"GSM{cell}", f"SRX{cell}", run, "10090", "Mus musculus", "mus", "plate", spots="5")
            self.rows += [row, row._replace(run=f"{run}b", spots="6")] if cell == 2 else [row]
            dense = np.where(random.random(40) < 0.5, random.integers(1, greatest, 40, np.int64), 0)
            self.counts[row.experiment] = dense
            self.tallies[row.experiment] = random.integers(0, 99, 5)
            self.logs[row.experiment] = {"Started job on": "x", "Number of input reads": str(cell), "UNIQUE READS:": ""}
        self.logs["SRX0"] |= {"Mismatch rate per base, %": "0.43%", "Number of splices: GT/AG": "7"}
        if "SRX1" in self.logs:
            self.logs["SRX1"] |= {"Mismatch rate per base, %": "-nan%"}
        self.write()

    def write(self):
        planned = [row._replace(status="planned") for row in self.rows]
        write_units(self.folder / "units", cut_into_units(planned, Cut(2)), "experiment")
        write_runs(self.folder / "runs.tsv", [row._replace(status=row.status or "counted") for row in self.rows])
        write_genes(self.folder / "genes.tsv", [GeneRow(gene, f"n{gene}", "lncRNA", 7, "chr1") for gene in GENES])
        of_series = {}
        for row in self.rows:
            of_series.setdefault(row.series, {}).setdefault(row.experiment, []).append(row.run)
        for series, experiments in of_series.items():
            names = sorted(experiments)
            for number in range(0, len(names), 2):
                part = names[number : number + 2]
                shard = ShardCounts(
                    GENES,
                    part,
                    [";".join(experiments[name]) for name in part],
                    scipy.sparse.csc_matrix(np.stack([self.counts[name] for name in part])),
                    np.stack([self.tallies[name] for name in part]),
                    [self.logs[name] for name in part],
                    "mm10 sha256:1",
                    {"STAR": self.star.get(f"{series}.{number // 2}", "2.7.10b"), "counter": "native"},
                )
                write_shard_counts(self.folder / f"{series}.mus.{number // 2:04d}.h5ad", shard)

    def make(self, *more):
        counts_h5ad.main(
            [
                *("--units", str(self.folder / "units"), "--ledger", str(self.folder / "runs.tsv")),
                *("--counts", str(self.folder / "{unit}.h5ad"), "--genes", str(self.folder / "genes.tsv")),
                *("--records", str(self.folder / "records"), "--species", "mus"),
                *("--output", str(self.folder / "mus.h5ad"), *more),
            ]
        )
        return anndata.read_h5ad(self.folder / "mus.h5ad")


def test_counts_genes_and_cells(tmp_path):
    made = Made(tmp_path)
    read = made.make("--parameters", "mode=union")
    assert list(read.obs_names) == ["SRX4", "SRX3", "SRX2", "SRX1", "SRX0", "SRX5", "SRX6"]
    assert isinstance(read.X, scipy.sparse.csr_matrix)
    assert read.X.dtype == np.int32
    assert (read.X.toarray() == np.stack([made.counts[name] for name in read.obs_names])).all()
    assert list(read.var_names) == list(read.var["gene_id"]) == GENES
    assert list(read.var["gene_name"]) == [f"n{gene}" for gene in GENES]
    assert set(read.var["biotype"]) == {"lncRNA"}
    assert set(read.var["length"]) == {7}
    assert read.uns["reference"] == "mm10 sha256:1"
    assert read.uns["parameters"] == {"mode": "union"}


def test_obs_has_run_table_tallies_and_log(tmp_path):
    made = Made(tmp_path)
    obs = made.make().obs
    assert obs.loc["SRX2", ["runs", "series", "sample", "spots"]].tolist() == ["SRR88;SRR88b", "GSE1", "GSM2", 11]
    assert np.isnan(obs.loc["SRX2", "bases"])
    assert (obs[list(TALLIES)].to_numpy() == np.stack([made.tallies[name] for name in obs.index])).all()
    assert obs["star_number_of_input_reads"].tolist() == [4, 3, 2, 1, 0, 5, 6]
    assert obs.loc["SRX0", "star_mismatch_rate_per_base_percent"] == 0.43
    assert np.isnan(obs.loc["SRX1", "star_mismatch_rate_per_base_percent"])
    assert obs["star_number_of_splices_gt_ag"].dropna().to_dict() == {"SRX0": 7}
    assert not [name for name in obs.columns if "started" in name or "unique_reads" in name or name.startswith("geo_")]


def test_obs_has_what_geo_says(tmp_path):
    (tmp_path / "records" / "GSE1").mkdir(parents=True)
    (tmp_path / "records" / "GSE1" / "GSE1_family.soft.gz").write_bytes(gzip.compress(SOFT.encode()))
    obs = Made(tmp_path).make().obs
    assert obs.loc["SRX2", [name for name in obs.columns if name.startswith("geo_")]].to_dict() == {
        "geo_age_sex": "3 d: m",
        "geo_cell_type": "neuron",
        "geo_characteristics": "no name",
        "geo_source_name": "cortex",
        "geo_title": "cell two",
    }
    assert obs["geo_title"].isna().sum() == len(obs) - 1


@pytest.mark.parametrize("chunk", [3, 64, 1 << 16])
def test_small_chunks_few_shards_held_and_great_counts(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(h5ad, "MATRIX_CHUNK", chunk)
    monkeypatch.setattr(counts_h5ad, "KEPT_SHARDS", 1)
    made = Made(tmp_path, seed=chunk, greatest=2**34)
    read = made.make()
    assert read.X.dtype == np.int64
    assert (read.X.toarray() == np.stack([made.counts[name] for name in read.obs_names])).all()


def test_the_same_bytes_anywhere(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Made(tmp_path / name).make()
    assert (tmp_path / "one" / "mus.h5ad").read_bytes() == (tmp_path / "two" / "mus.h5ad").read_bytes()
    assert not list(tmp_path.glob("*/*.part"))


def test_uns_has_all_versions_of_the_tools(tmp_path):
    made = Made(tmp_path)
    assert made.make().uns["tools"] == {"STAR": "2.7.10b", "counter": "native"}
    made.star = {"GSE1.1": "2.7.11b", "GSE2.0": "2.5.2b"}
    made.write()
    assert made.make().uns["tools"] == {"STAR": "2.5.2b, 2.7.10b, 2.7.11b", "counter": "native"}


def test_one_cell_and_no_cell(tmp_path):
    made = Made(tmp_path, cells=1)
    assert made.make().shape == (1, 40)
    made.rows = [row._replace(status="failed") for row in made.rows]
    made.write()
    read = made.make()
    assert read.shape == (0, 40)
    assert "star_number_of_input_reads" not in read.obs


def test_genes_of_another_reference_are_reported(tmp_path):
    made = Made(tmp_path)
    shutil.copy(tmp_path / "genes.tsv", tmp_path / "kept.tsv")
    write_genes(tmp_path / "genes.tsv", [GeneRow("ENSG1", "", "", 1, "")])
    with pytest.raises(InputError, match=r"its 1 genes are not the 40 genes of the counts, e\.g\. ENSG00000, ENSG"):
        made.make()
    with pytest.raises(InputError, match="'mode' is not name=value"):
        made.make("--parameters", "mode")
    assert not (tmp_path / "mus.h5ad").exists()


def test_tpm_are_a_layer_on_request(tmp_path):
    made = Made(tmp_path)
    assert not list(made.make().layers)
    read = made.make("--tpm")
    counts = read.X.toarray()
    assert read.layers["tpm"].dtype == np.float32
    expected = 1e6 * counts / counts.sum(axis=1, keepdims=True)  # all genes are of one length
    assert np.allclose(read.layers["tpm"].toarray(), expected, rtol=1e-6)


def test_fractions_and_strands_of_shards_are_kept(tmp_path):
    made = Made(tmp_path)
    path = tmp_path / "GSE1.mus.0000.h5ad"
    shard = read_shard_counts(path)
    shard.counts.data = shard.counts.data / 3
    shard.strands = ["forward"] * len(shard.columns)
    write_shard_counts(path, shard)
    assert (read_shard_counts(path).counts != shard.counts).nnz == 0
    read = made.make()
    assert read.X.dtype == np.float64
    third = [name in shard.columns for name in read.obs_names]
    expected = np.stack(
        [made.counts[name] / (3 if is_third else 1) for name, is_third in zip(read.obs_names, third, strict=True)]
    )
    assert (read.X.toarray() == expected).all()
    assert list(read.obs["strand"]) == ["forward" if is_third else "none" for is_third in third]
