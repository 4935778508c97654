"""Which libraries are of RNA, and of single cells."""

import pytest

from scripts.records.answers.sra_xml import Experiment
from scripts.records.libraries.library_type import Background, judge_library, library_names

RNA = ("RNA-Seq", "TRANSCRIPTOMIC SINGLE CELL", "cDNA")
BULKY = ("RNA-Seq", "TRANSCRIPTOMIC", "cDNA")


@pytest.mark.parametrize(
    "declared",
    [
        ("WGS", "GENOMIC", "RANDOM"),
        ("ATAC-seq", "GENOMIC", "other"),
        ("ATAC-Seq", "TRANSCRIPTOMIC", "cDNA"),
        ("ChIP-Seq", "GENOMIC", "ChIP"),
        ("AMPLICON", "TRANSCRIPTOMIC", "PCR"),
        ("Bisulfite-Seq", "genomic", "RANDOM"),
        ("OTHER", "GENOMIC SINGLE CELL", "other"),
        ("RNA-Seq", "GENOMIC", "RANDOM"),
        ("OTHER", "OTHER", "other"),
        ("OTHER", "SYNTHETIC", "PCR"),
    ],
)
def test_declared_as_something_else(declared: tuple[str, str, str]) -> None:
    assert judge_library(*declared, ("sample 1",)).reason == "NOT_RNA"


@pytest.mark.parametrize(
    "name",
    [
        "PBMC_ADT",
        "PBMC CITE-seq, ADT library",
        "D1-ADT2",
        "scRNA-seq day 3 HTO",
        "Hashtag library of donor 2",
        "cell hashing",
        "antibody-derived tags",
        "feature barcode library",
        "TotalSeq-B",
        "P1_VDJ",
        "patient 1 V(D)J T",
        "TCR-seq of T cells",
        "scTCR",
        "P1_BCR",
        "tumour [TCR]",
        "P3 BCR enriched",
        "multiome ATAC",
        "snATAC-seq rep 1",
        "sgRNA library, day 7",
        "CRISPR guide capture",
        "genomic DNA",
        "exome of tumour",
        "H3K27ac ChIP-seq",
    ],
)
def test_named_as_something_else(name: str) -> None:
    verdict = judge_library(*RNA, (name,))
    assert verdict.reason == "NOT_RNA"
    assert repr(name) in verdict.detail


@pytest.mark.parametrize(
    "name",
    [
        "cortex_plate1_H08",
        "PBMC CITE-seq, GEX",
        "GEX+ADT+HTO",
        "5' gene expression and VDJ",
        "RNA + ATAC",
        "OT-I TCR transgenic T cells",
        "TCR_KO cells",
        "scRNA-seq of TCR-seq sorted clones",
        "ADTRP knock-out",
        "shadti",
        "Phototransduction",
        "10x 3' v3",
        "Batch 3, hashtagged? no",
        "sgRNA_1 KO",
        "NAc Setd1+/- scRNA-Seq Sample2",
    ],
)
def test_names_of_gene_expression(name: str) -> None:
    assert judge_library(*RNA, (name,)).reason == ""


def test_a_genomic_source_is_not_believed_against_strategy_and_selection() -> None:
    verdict = judge_library("RNA-Seq", "GENOMIC", "cDNA", ("cell",))
    assert verdict.reason == ""
    assert verdict.evidence[0] == "the source is GENOMIC, but strategy RNA-Seq and selection cDNA are those of RNA"


def test_other_strategies_of_rna_are_kept() -> None:
    assert judge_library("OTHER", "TRANSCRIPTOMIC", "cDNA", ("cell",)).reason == ""
    assert judge_library("", "", "", ("cell",)).reason == ""


@pytest.mark.parametrize("name", ["WT_4_bulkRNA", "bulk RNA-seq, rep 1", "Bulk control", "cortex bulk"])
def test_bulk_by_name(name: str) -> None:
    assert judge_library(*BULKY, (name,)).reason == "NOT_SINGLE_CELL"
    assert judge_library(*RNA, (name,)).reason == ""


@pytest.mark.parametrize("name", ["brain Visium A1", "spatial transcriptomics of heart", "Slide-seqV2 puck 3"])
def test_spots_of_a_tissue_are_no_cells(name: str) -> None:
    assert judge_library(*RNA, (name,)).reason == "NOT_SINGLE_CELL"


def test_attributes_do_not_count_beside_a_title_of_gene_expression() -> None:
    attributes = (("library type", "5' V(D)J"),)  # the kit of both
    assert library_names(Experiment("SRX1", title="P1 GEX", attributes=attributes)) == ("P1 GEX",)
    assert library_names(Experiment("SRX1", title="P1", attributes=attributes)) == ("P1", "5' V(D)J")
    assert library_names(Experiment("SRX1", title="P1, GEX + ADT", attributes=attributes))[1:] == ("5' V(D)J",)
    assert library_names(Experiment("SRX1", title="RNA-Seq of Mus musculus: TCR of spleen")) == ("TCR of spleen",)


@pytest.mark.parametrize(
    ("molecule", "name", "source", "reason"),
    [
        ("protein", "P1", "TRANSCRIPTOMIC SINGLE CELL", "NOT_RNA"),
        ("protein", "P1, GEX and antibodies", "TRANSCRIPTOMIC SINGLE CELL", ""),
        ("genomic DNA", "P1", "OTHER", "NOT_RNA"),
        ("genomic DNA", "P1", "TRANSCRIPTOMIC", ""),
        ("polyA RNA", "P1", "TRANSCRIPTOMIC", ""),
        ("other", "P1", "TRANSCRIPTOMIC", ""),
    ],
)
def test_the_molecule_by_geo(molecule: str, name: str, source: str, reason: str) -> None:
    verdict = judge_library("RNA-Seq", source, "cDNA", (name,), Background(molecule=molecule))
    assert verdict.reason == reason
    assert verdict.detail == (f"GEO says that the molecule is {molecule}." if reason else "")


def test_bulk_is_not_guessed() -> None:
    verdict = judge_library(*BULKY, ("liver, rep 1", "pseudobulk", "bulky tumour"))
    assert verdict.reason == ""
    assert verdict.evidence == ()
