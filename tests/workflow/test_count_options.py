"""Cells that are counted with other options than the defaults, and what a change of these makes again."""

import re
from pathlib import Path

import anndata
import numpy as np
import pandas
import pytest

from scripts.harvest import verify
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

SERIES = "GSE900001"
REST = {f"SRX90000{number:02d}": "three cells are enough here" for number in range(4, 45)}
COUNTED = {"type": "gene", "id_attribute": "gene_name", "nonunique": "fraction", "min_quality": 0}
TABLES = {"counts_table", "counts_h5ad", "log_table", "cells_table", "metadata"}


@pytest.fixture
def run(world, tmp_path, capfd):
    def run(plates, harvest=None):
        with Server(world) as server:
            known = world.configuration(server)
            plates = {**known.get("plates", {}), "keep_alignments": True, **plates}
            chosen = {"series": [SERIES], "droplets": {}, "leave_out": REST, "max_failed": 1.0}
            configuration = {**known, **chosen, "plates": plates, "harvest": harvest or {}}
            assert run_workflow(tmp_path, configuration, ["--cores", "2", "-p"]) == 0
        verify.main([str(tmp_path / "results")])
        return set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", capfd.readouterr().err, re.M))

    return run


def table(folder: Path, name: str) -> pandas.DataFrame:
    return pandas.read_csv(folder / f"results/mus.{name}.csv.gz", index_col=[0, 1], skiprows=[1, 2, 3])


def test_other_options_count_again_and_fetch_nothing(run, world, tmp_path):
    assert {"download", "align", "count", "count_index"} <= run({})
    truth = world.plate_truth()

    done = run(COUNTED, {"gene_name": True, "tpm": True})
    assert {"count_index", "count", "tpm_table"} <= done
    assert not done & {"download", "fastq", "align", "reference", "star_index"}
    counts, shares = table(tmp_path, "htseq-count"), table(tmp_path, "tpm")
    assert counts.index.names == shares.index.names == ["GENENAME", "gene_name"]
    assert ((counts * 2) % 1 == 0).to_numpy().all() and (counts % 1 != 0).to_numpy().any()  # of two genes
    read = anndata.read_h5ad(tmp_path / "results/mus.h5ad")
    genes = counts[~counts.index.get_level_values(0).str.startswith("__")]
    assert list(genes.index.get_level_values(0)) == list(read.var_names)
    assert (genes.to_numpy() == read.X.toarray().T).all()
    assert np.allclose(read.layers["tpm"].toarray().T, shares.to_numpy(), rtol=1e-5)
    assert {name: read.uns["parameters"][name] for name in COUNTED} == {key: str(COUNTED[key]) for key in COUNTED}

    assert run(COUNTED, {"gene_name": False, "tpm": True}) & {"count", *TABLES, "tpm_table"} == {
        *("counts_table", "tpm_table")
    }
    done = run({"strand": {SERIES: "auto"}}, {"tpm": True})
    assert {"count", "tpm_table", *TABLES} <= done
    assert not done & {"count_index", "download", "align"}
    read = anndata.read_h5ad(tmp_path / "results/mus.h5ad")
    assert read.X.sum() == sum(
        count for cell in read.obs_names for name, count in truth[cell].items() if not name.startswith("__")
    )
    assert set(read.obs["strand"]) == {"none"}
