"""The steps of solo that need no STAR: options, statuses, strand, joined reads; and what it leaves behind."""

from pathlib import Path

import numpy as np
import pytest

from scripts.core.errors import InputError, RunFault
from scripts.droplets import droplets_h5ad, mex_archive, solo
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.library_reads import join_reads
from scripts.droplets.mex import write_archive
from scripts.droplets.solo_options import barcode_options
from scripts.droplets.solo_out import find_barcodes, read_command, read_summary, share_of, stable_arguments
from scripts.droplets.strand import tell_strand
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses

KITS, _ = read_chemistries(Path(__file__).parents[2] / "config/chemistries.yaml")


def test_places_of_simple_and_of_joined_kits():
    options = barcode_options(KITS["10x_3p_v2"], 3, {"737K-august-2016": "list.txt"})
    assert options == {
        "soloType": "CB_UMI_Simple",
        "soloCBwhitelist": "list.txt",
        "soloCBstart": "4",
        "soloCBlen": "16",
        "soloUMIstart": "20",
        "soloUMIlen": "10",
        "soloBarcodeReadLength": "0",
    }
    joined = barcode_options(KITS["10x_3p_v1"], 3, {"737K-april-2014_rc": "list.txt"})
    assert (joined["soloCBstart"], joined["soloUMIstart"], joined["soloUMIlen"]) == ("1", "15", "10")
    assert barcode_options(KITS["drop_seq"], 0, {})["soloCBwhitelist"] == "None"
    complex_kit = barcode_options(KITS["split_seq"], 0, {"split-seq-round1": "a", "split-seq-round23": "b"})
    assert complex_kit["soloCBwhitelist"] == "b b a"
    assert complex_kit["soloCBposition"] == "0_10_0_17 0_48_0_55 0_86_0_93"
    assert complex_kit["soloUMIposition"] == "0_0_0_9"


def test_strand_tells_the_kit_or_nothing():
    candidates = [KITS["10x_3p_v2"], KITS["10x_5p_v2"]]
    assert tell_strand(candidates, [(90, 3), (40, 2)])[0].name == "10x_3p_v2"
    kit, figures = tell_strand(candidates, [(3, 90), (2, 40)])
    assert kit.name == "10x_5p_v2"
    assert figures == (
        "10x Chromium 3′ v2 and 10x Chromium 5′ v1 or v2 share their barcodes; the strand tells 10x Chromium 5′ v1 or"
        " v2: of the probed reads 5 are on the genes' strand and 130 on the other."
    )
    for counts in ([(30, 20)], [(9, 1)], []):
        with pytest.raises(RunFault) as told:
            tell_strand(candidates, counts)
        assert told.value.reason == "CHEMISTRY_UNKNOWN"
    assert told.value.detail == (
        "10x Chromium 3′ v2 and 10x Chromium 5′ v1 or v2 share their barcodes, and the strand does not tell which: of"
        " the probed reads 0 are on the genes' strand and 0 on the other."
    )


def test_joined_reads_are_barcode_and_umi(tmp_path):
    (tmp_path / "b").write_text("@1\nxAACCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n@2\nxTTCCGGTTAACCGG\n+\nxBBBBBBBBBBBBBB\n")
    (tmp_path / "u").write_text("@1\nTTTTTTTTTTyy\n+\nUUUUUUUUUUyy\n@2\nGGGGGGGGGGyy\n+\nUUUUUUUUUUyy")
    join_reads(tmp_path / "b", tmp_path / "u", tmp_path / "j", slice(1, 15), slice(0, 10))
    assert (tmp_path / "j").read_text() == (
        "@1\nAACCGGTTAACCGGTTTTTTTTTT\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
        "@2\nTTCCGGTTAACCGGGGGGGGGGGG\n+\nBBBBBBBBBBBBBBUUUUUUUUUU\n"
    )
    (tmp_path / "u").write_text("@1\nTTTTTTTTTT\n+\nUUUUUUUUUU\n")
    with pytest.raises(RunFault, match="b and u do not have the same number of reads"):
        join_reads(tmp_path / "b", tmp_path / "u", tmp_path / "j", slice(0, 14), slice(0, 10))


def test_a_fault_of_one_run_is_told_for_all():
    rows = [Run(run="R1"), Run(run="R2"), Run(run="R3")]
    statuses = {"R1": RunStatus("R1"), "R2": RunStatus("R2"), "R3": RunStatus("R3")}
    good = {"roles": "barcode,cdna", "chemistry": "10x_3p_v3"}
    fault = {"fault": {"reason": "BARCODE_TRIMMED", "detail": "short."}}
    after = solo.gather_faults(rows, statuses, {"R1": good, "R2": good | fault})
    assert (after["R2"].reason, after["R2"].read_roles) == ("BARCODE_TRIMMED", "barcode,cdna")
    assert after["R3"].reason == "LAYOUT_AMBIGUOUS"
    assert after["R1"].reason == "INCOMPLETE_EXPERIMENT"
    assert after["R1"].detail == "run R2 of the same library failed (BARCODE_TRIMMED): short."
    assert all(status.ok for status in solo.gather_faults(rows[:1], statuses, {"R1": good}).values())
    assert solo.gather_faults(rows[:1], {}, {"R1": good})["R1"].reason == "READS_MISSING"


def test_summary_and_shares(tmp_path):
    (tmp_path / "Summary.csv").write_text("Number of Reads,9\nReads With Valid Barcodes,0.98\nA,b,-nan\nC,nan")
    summary = read_summary(tmp_path / "Summary.csv")
    assert summary["A,b"] == "-nan"
    shares = {name: share_of(summary, name) for name in ("Reads With Valid Barcodes", "A,b", "C", "none")}
    assert shares == {"Reads With Valid Barcodes": 0.98, "A,b": 0, "C": 0, "none": 0}


def test_arguments_are_those_of_no_machine(tmp_path):
    (tmp_path / "Log.out").write_text(
        "STAR version=2.7.10b\nx\n##### Command Line:\n/usr/lib/rna-star/bin/STAR-avx2 --runThreadN 8 --genomeDir /x/y"
        " --readFilesIn /a/1.fastq,/b/2.fastq c/3.fastq --outTmpDir /t/1 --soloCBwhitelist /l/list.txt --sjdbScore 1\n"
    )
    version, words = read_command(tmp_path / "Log.out")
    assert version == "2.7.10b"
    assert stable_arguments(words) == (
        "STAR --readFilesIn 1.fastq,2.fastq 3.fastq --soloCBwhitelist list.txt --sjdbScore 1"
    )
    (tmp_path / "Log.out").write_text("something\n")
    with pytest.raises(InputError, match=r"not a Log\.out of STAR; it has no version and command line"):
        read_command(tmp_path / "Log.out")


@pytest.mark.parametrize("raw", [["AAC", "CCC", "GTG", "TTT"], ["SRR1", "A", "GTG", "CCC", "AAAAAAA", "AAC"]])
def test_barcodes_are_found_in_the_raw_list(tmp_path, raw):
    (tmp_path / "raw").write_text("".join(f"{one}\n" for one in raw))
    for kept in (["GTG", "AAC"], ["CCC"], []):
        (tmp_path / "kept").write_text("".join(f"{one}\n" for one in kept))
        assert find_barcodes(tmp_path / "raw", tmp_path / "kept").tolist() == [raw.index(one) for one in kept]
    (tmp_path / "kept").write_text("GTG\nGGG\n")
    with pytest.raises(InputError, match="its 2 barcodes are not each once among those of"):
        find_barcodes(tmp_path / "raw", tmp_path / "kept")


# h5ad and packing without libraries ----------------------------------------------------------------------------------


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
    write_runs(folder / "plan.tsv", rows)


def gather(folder, *more):
    arguments = ["--plan", folder / "plan.tsv", "--series", "S", "--species", "homo", "--records", folder / "records"]
    arguments += ["--archives", folder / "mex/{experiment}", "--statuses", folder / "status/{unit}.tsv"]
    droplets_h5ad.main([*map(str, arguments), "--output", str(folder / "out.h5ad"), *more])
    import anndata

    return anndata.read_h5ad(folder / "out.h5ad")


def library(folder, experiment, genes=("G1", "G2"), counts=((1, 0), (2, 3)), state="ok"):
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
        fields={"type": "MexGeneArchive_v1"},
        barcodes=b"AAAA\nCCCC\n",
        features="".join(f"{gene}\tname{gene}\tGene Expression\n" for gene in genes).encode(),
        matrix=(f"%%MatrixMarket matrix coordinate integer general\n%\n2 2 {len(lines)}\n" + "".join(lines)).encode(),
    )


def test_no_counted_library_gives_a_file_without_cells(tmp_path):
    plan_of(tmp_path, "X1")
    library(tmp_path, "X1", state="failed")
    data = gather(tmp_path)
    assert data.shape == (0, 0)
    assert data.uns["series"] == "S"


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


def test_failed_library_leaves_an_empty_folder(tmp_path):
    plan_of(tmp_path, "X1")
    write_statuses(tmp_path / "s.tsv", [RunStatus("RX1", "failed", "ALIGN_FAILED", "x")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.tar.gz").write_bytes(b"x")
    arguments = ["pack", "--plan", tmp_path / "plan.tsv", "--unit", "S.homo.X1", "--solo", tmp_path / "solo"]
    arguments += ["--status", tmp_path / "s.tsv", "--records", tmp_path, "--output", tmp_path / "out"]
    mex_archive.main(list(map(str, arguments)))
    assert list((tmp_path / "out").iterdir()) == []
