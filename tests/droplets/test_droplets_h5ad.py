"""The h5ad of a series' droplets, gathered from small archives."""

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.droplets import droplets_h5ad
from scripts.droplets.cell_columns import choose_feature
from scripts.droplets.mex.mex_writer import write_archive
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


def test_cells_and_counts_are_those_of_the_feature_that_is_chosen(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1")
    (tmp_path / "mex/X1/Gene_Unique_filtered.tar.gz").rename(tmp_path / "mex/X1/GeneFull_Unique_filtered.tar.gz")
    raw_archive(tmp_path, "X1", "Gene_Unique", ["CCCC", "GGGG", "AAAA"], ["2 1 1", "1 2 4"])
    data = gather(tmp_path, "--counts", "GeneFull", "--layers", "Gene_Unique")
    assert data.X.toarray().tolist() == [[1, 0], [2, 3]]
    assert data.layers["Gene_Unique"].toarray().tolist() == [[0, 0], [0, 1]]
    assert data.uns["matrix"] == "GeneFull_Unique_filtered"
    assert data.uns["counts_chosen"] == "chosen by droplets.counts"


def test_spots_are_those_of_the_ledger(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1")
    write_statuses(tmp_path / "status/S.homo.X1.tsv", [RunStatus("RX1", spots="1234")])
    assert gather(tmp_path).obs["spots"].tolist() == [1234, 1234]


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


def test_cells_genes_and_reference_are_described_as_scanpy_has_them(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1")
    (tmp_path / "genes.tsv").write_text(GENES)
    (tmp_path / "reference.json").write_text(
        '{"name": "hg38", "fingerprint": "abc", "genome_sha256": "012", "annotation": {"lost_genes": 0}}'
    )
    arguments = ["--genes", tmp_path / "genes.tsv", "--reference", tmp_path / "reference.json"]
    data = gather(tmp_path, *map(str, arguments), "--sources", "fasta=https://x.org/hg38.fa.gz", "gtf=genes.gtf")
    assert list(data.var) == ["gene_id", "gene_name", "gene_ids", "feature_types", "genome", "chromosome", "biotype"]
    assert data.var["chromosome"].tolist() == ["chrM", "chr1"]
    assert data.var["feature_types"].tolist() == ["Gene Expression"] * 2
    assert data.var["genome"].tolist() == ["hg38"] * 2
    assert data.obs["barcode"].tolist() == ["AAAA", "CCCC"]
    assert data.obs["library"].tolist() == ["X1", "X1"]
    assert data.obs["total_counts"].tolist() == [1, 5]
    assert data.obs["n_genes_by_counts"].tolist() == [1, 2]
    assert data.obs["pct_counts_mt"].tolist() == [100, 40]
    assert data.obs["pct_counts_ig"].tolist() == [0, 60]
    assert data.obs["pct_counts_ribo"].tolist() == data.obs["pct_counts_tr"].tolist() == [0, 0]
    assert data.uns["reference"] == "hg38 sha256:abc"
    assert data.uns["reference_sources"]["fasta"] == "https://x.org/hg38.fa.gz"
    assert "annotation" not in data.uns["reference_sources"]  # figures for warnings
    assert data.uns["matrix"] == "Gene_Unique_filtered"
    assert data.uns["libraries"]["X1"] == {"arguments": "", "chemistry": "", "proof": ""}


@pytest.mark.parametrize(
    "asked, features, kit, texts, feature, why",
    [
        ("auto", ["Gene", "GeneFull"], "10x_3p_v3", ["PBMC, donor 1"], "Gene", "nothing speaks of nuclei"),
        ("auto", ["Gene", "GeneFull"], "10x_multiome", [], "GeneFull", "X1 is of the kit 10x_multiome"),
        ("auto", ["Gene", "GeneFull"], "10x_3p_v4", [], "GeneFull", "X1 is of the kit 10x_3p_v4"),
        (
            "auto",
            ["Gene", "GeneFull"],
            "",
            ["brain", "Isolated nuclei"],
            "GeneFull",
            "X1 is of nuclei ('Isolated nuclei')",
        ),
        ("auto", ["Gene", "GeneFull"], "", ["snRNA-seq of heart"], "GeneFull", "X1 is of nuclei ('snRNA')"),
        ("auto", ["Gene", "GeneFull"], "", ["nucleus accumbens", "cerebellar nuclei of mice"], "Gene", "nothing"),
        ("auto", ["Gene"], "10x_multiome", [], "Gene", "nothing speaks of nuclei"),
        ("Gene", ["Gene", "GeneFull"], "10x_multiome", [], "Gene", "chosen by droplets.counts"),
        ("GeneFull", ["Gene", "GeneFull"], "", [], "GeneFull", "chosen by droplets.counts"),
    ],
)
def test_nuclei_are_counted_with_introns(asked, features, kit, texts, feature, why):
    found = choose_feature(asked, features, {"X0": ("10x_3p_v3", []), "X1": (kit, texts)})
    assert found[0] == feature
    assert found[1].startswith(why)


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


GENES = (
    "gene_id\tgene_name\tbiotype\tlength\tcontig\nG1\tMT-ND1\tprotein_coding\t9\tchrM\nG2\tIGHA1\tIG_C_gene\t8\tchr1\n"
)


def test_no_counted_library_gives_a_file_without_cells_but_with_the_genes(tmp_path):
    """A concatenation with a file of no genes would drop every gene of the others."""
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1", state="failed")
    (tmp_path / "genes.tsv").write_text(GENES)
    data = gather(tmp_path, "--genes", str(tmp_path / "genes.tsv"), "--layers", "Gene_EM")
    assert data.shape == (0, 2)
    assert data.var_names.tolist() == ["G1", "G2"]
    assert data.layers["Gene_EM"].shape == (0, 2)
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
    assert data.obs["spots"].isna().tolist() == [True] * 4
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
