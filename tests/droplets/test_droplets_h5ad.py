"""The h5ad of a series' droplets, gathered from small archives."""

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.droplets import droplets_h5ad
from scripts.droplets.mex_writer import write_archive
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, write_statuses
from scripts.plan.units import cut_into_units, write_units


def plan_of(folder, *experiments):
    rows = [
        Run(
            series="S",
            experiment=one,
            run=f"R{one}",
            sample=f"G{one}",
            species="homo",
            assay="droplet",
            status="planned",
        )
        for one in experiments
    ]
    write_units(folder / "units", cut_into_units(rows, 96), "experiment")


def gather(folder, *more):
    arguments = ["--units", folder / "units", "--series", "S", "--species", "homo", "--records", folder / "records"]
    arguments += ["--archives", folder / "mex/{experiment}", "--statuses", folder / "status/{unit}.tsv"]
    droplets_h5ad.main([*map(str, arguments), "--output", str(folder / "out.h5ad"), *more])
    import anndata

    return anndata.read_h5ad(folder / "out.h5ad")


def library(folder, experiment, genes=("G1", "G2"), counts=((1, 0), (2, 3)), state="ok", star="2.7.10b"):
    (folder / "status").mkdir(exist_ok=True)
    run = f"R{experiment}"
    status = RunStatus(run) if state == "ok" else RunStatus(run, "failed", "ALIGN_FAILED", "x")
    write_statuses(folder / f"status/S.homo.{experiment}.tsv", [status])
    target = folder / "mex" / experiment
    target.mkdir(parents=True)
    dense = np.array(counts)
    lines = [f"{row + 1} {cell + 1} {dense[cell, row]}\n" for cell in range(2) for row in range(2) if dense[cell, row]]
    write_archive(
        target / "Gene_Unique_filtered.tar.gz",
        "Gene/filtered",
        "matrix.mtx",
        fields={"type": "MexGeneArchive_v1", "software": "STAR", "software_version": star},
        barcodes=b"AAAA\nCCCC\n",
        features="".join(f"{gene}\tname{gene}\tGene Expression\n" for gene in genes).encode(),
        matrix=(f"%%MatrixMarket matrix coordinate integer general\n%\n2 2 {len(lines)}\n" + "".join(lines)).encode(),
    )


def raw_archive(folder, experiment, name, barcodes, entries, kind="integer"):
    """Write a raw archive; ``entries`` are lines 'row column value'."""
    feature, _, way = name.rpartition("_")
    matrix = f"%%MatrixMarket matrix coordinate {kind} general\n%\n2 {len(barcodes)} {len(entries)}\n"
    write_archive(
        folder / "mex" / experiment / f"{name}_raw.tar.gz",
        f"{feature}/raw",
        "matrix.mtx" if way == "Unique" else f"UniqueAndMult-{way}.mtx",
        fields={"type": "MexGeneArchive_v1", "software": "STAR", "software_version": "2.7.10b"},
        barcodes="".join(f"{barcode}\n" for barcode in barcodes).encode(),
        features=b"G1\tnameG1\tGene Expression\nG2\tnameG2\tGene Expression\n",
        matrix=(matrix + "".join(f"{entry}\n" for entry in entries)).encode(),
    )


def test_layers_have_the_counts_of_the_raw_matrices(tmp_path):
    """The cells of Gene, whether or not the other feature's filter called them: AAAA first, though last in the list."""
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1")
    raw_archive(tmp_path, "X1", "GeneFull_Unique", ["CCCC", "GGGG", "AAAA"], ["2 1 9", "1 2 4", "1 3 2", "2 3 1"])
    raw_archive(tmp_path, "X1", "Gene_EM", ["GGGG", "AAAA", "CCCC"], ["1 2 1.5", "2 3 3.25"], "real")
    data = gather(tmp_path, "--layers", "GeneFull_Unique", "Gene_EM")
    assert data.obs_names.tolist() == ["X1_AAAA", "X1_CCCC"]
    assert data.layers["GeneFull_Unique"].toarray().tolist() == [[2, 1], [0, 9]]
    assert data.layers["GeneFull_Unique"].dtype == np.int32
    assert data.layers["Gene_EM"].toarray().tolist() == [[1.5, 0], [0, 3.25]]


def test_a_layer_that_lacks_a_cell_is_refused(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1")
    raw_archive(tmp_path, "X1", "GeneFull_Unique", ["AAAA", "GGGG"], ["1 1 4"])
    with pytest.raises(InputError, match="its barcodes do not have each of the 2 cells once"):
        gather(tmp_path, "--layers", "GeneFull_Unique")


def test_no_counted_library_gives_a_file_without_cells(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1", state="failed")
    data = gather(tmp_path)
    assert data.shape == (0, 0)
    assert data.uns["series"] == "S"
    assert data.uns["tools"] == {}


def test_cells_of_two_libraries_keep_their_names_and_counts(tmp_path):
    plan_of(tmp_path, "X2", "X1")
    library(tmp_path, "X1")
    library(tmp_path, "X2", counts=((0, 7), (5, 0)))
    data = gather(tmp_path)
    assert data.obs_names.tolist() == ["X1_AAAA", "X1_CCCC", "X2_AAAA", "X2_CCCC"]
    assert data.X.toarray().tolist() == [[1, 0], [2, 3], [0, 7], [5, 0]]
    assert data.var["gene_name"].tolist() == ["nameG1", "nameG2"]
    assert data.obs["spots"].tolist() == [-1] * 4
    assert data.X.dtype == np.int32
    assert data.uns["tools"] == {"STAR": "2.7.10b"}


def test_all_versions_of_star_are_named(tmp_path):
    plan_of(tmp_path, "X1", "X2")
    library(tmp_path, "X1", star="2.7.11b")
    library(tmp_path, "X2", star="2.7.10b")
    assert gather(tmp_path).uns["tools"] == {"STAR": "2.7.10b, 2.7.11b"}


def test_libraries_of_two_references_are_refused(tmp_path):
    plan_of(tmp_path, "X1", "X2")
    library(tmp_path, "X1")
    library(tmp_path, "X2", genes=("G1", "G3"))
    with pytest.raises(InputError, match=r"X2: the genes of Gene_Unique are not those of .*X1; count all libraries"):
        gather(tmp_path)


def test_patterns_need_their_field(tmp_path):
    plan_of(tmp_path)
    with pytest.raises(InputError, match=r"--statuses x: there must be \{unit\} in it\."):
        gather(tmp_path, "--statuses", "x")
