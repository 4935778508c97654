"""What names of libraries say, as submitters write them: of another kind, or of the cells."""

import time

import pytest

from scripts.records.libraries.library_kinds import is_expression, kinds_in, kit_in, kit_of_attribute, long_reads_in

NAMES_OF = {
    "V(D)J": """
        TCR_1 | BALF, C141 (scTCR-seq) | C1-TCR | scRNA-seq of P1, TCR library | P1 scRNA-seq [TCR] | scRNA-seq_P1_VDJ
        CSF TCR S12 | TCR-P3-LN | 7dpi lung BCR | HD1 BCR heavy chain library | P1 TCR S3 | TCRab | TCRαβ
        TCR repertoire donor 1 | BCR rep2 | Patient 1, PBMC, scTCR-seq | LN_TCR | K409_LN_VDJ | P4_LNM_vdj
        TCR library of tumor A | TCR_P01_Pre | TCR_post | TCR beta chain | immune receptor repertoire
        heavy chain repertoire | T cell clonotypes | V-D-J | LN_d7 TCR, replicate 1 | Treg VDJ_1
        PBMC, TCR V(D)J, rep 2 | TCR_WT, replicate 1 | V(D)J_B cells rep2 | sample1_TCR_VDJ | P1-T TCR | scBCR-seq
        IgG repertoire, donor 1 | BCR_HV_1 | 5'VDJ | 5' TCR | VDJ-T | VDJ_B_2 | T cell receptor sequencing | TRA_TRB
        TCRalpha/beta library | TCRseq | immune repertoire of P3 | tumour [TCR] | P1 (TCR) | TCR: donor 3 | TCR+BCR
        donor 5 V(D)J enriched library | Liver TCR | TCR Liver 2 | TCR blood 3 | B cell receptor repertoire
        mouse 3 TCR | TCR_S1_L001 | CRC01_N_TCR | IGH library | IgH_IgK_IgL | P10.TCR | TCR profiling of TILs
        T_cell_VDJ | gdTCR | TCR amplified from cDNA | CDR3 sequencing | TCRβ sequencing | AIRR-seq of PBMC | Ig-seq
        P2_TRB | T cell receptor 1 | single-cell BCR, donor 4 | D0 PBMC TCR rep 1 | bulk TCR-seq | CTCL_1_TCR
        """,
    "spots of a tissue": """
        tumor_ST_1 | colon spatial 1 | GBM spatial | slideseq puck 1 | tumor_P1_ST_1 | ST_brain_A1 | breast_ST_B2
        melanoma ST rep1 | GBM4_ST | brain Visium A1 | P1_Visium | Visium_HD_colon | spatial transcriptomics of heart
        Slide-seqV2 puck 3 | Stereo-seq E14.5 | HDST_CN21 | DBiT-seq E10 | GeoMx ROI 4
        10x Visium spatial gene expression, kidney | P3_spatial | Spatial_1 | Xenium brain | CytAssist FFPE A1
        Seq-Scope liver | MERFISH | ST section 4
        """,
    "antibody tags": """
        PBMC_ADT | P4 (ADT) | S1 antibody library | PBMC CITE-seq, ADT library | D1-ADT2 | antibody-derived tags
        TotalSeq-B | antibody capture | S1_CSP | S1_CSP_S3 | day 14 CSP, replicate 1 | P1_post_ADT | P4_CSP library
        cell surface protein library | AbSeq | CITE-seq ADT rep 1 | protein library
        """,
    "hashtags": """
        scRNA-seq day 3 HTO | Hashtag library of donor 2 | cell hashing | HTO_pool1 | CMO library | pool1_CMO
        MULTI-seq barcodes | multiplexing capture | CellPlex library 2
        """,
    "feature barcodes": "feature barcode library | FB library | Feature library 3 | S2_FBC | dextramer library",
    "open chromatin": """
        multiome ATAC | chromatin accessibility | snATAC-seq rep 1 | scATAC | 10x Multiome (ATAC) | ATACseq
        mtscATAC-seq
        """,
    "guides": """
        sgRNA library, day 7 | sgRNA_lib | sgRNA PCR | CRISPR guide capture | gRNA enrichment | P1_GDO
        guide RNA capture
        """,
    "genomic DNA": "genomic DNA | exome of tumour | WGS of blood | scDNA-seq",
    "chromatin": """
        H3K27ac ChIP-seq | CUT&Tag H3K4me3 | CUT&RUN CTCF | CUT and RUN | Hi-C | WGBS liver | snmC-seq2 | methylome
        """,
    "ribosome profiling": "Ribo-seq WT rep1 | ribosome profiling, 10 min | RPF_KO_2 | ribosome footprints | scRibo-seq",
    "RNA bound by a protein": "eCLIP HNRNPK | iCLIP | PAR-CLIP | CLIP-seq | RIP-seq AGO2 | MeRIP-seq",
    "nascent RNA": "PRO-seq | GRO-seq rep 2 | 4sU-seq | TT-seq | SLAM-seq",
    "small RNA": "miRNA-seq | small RNA library | smallRNA-seq rep 1 | small RNA | microRNA-seq, heart",
    "10x Flex": """
        10x Flex | Sample 1 [Flex] | FLEX_1 | Lung FFPE, Flex | Flex | Chromium Fixed RNA Profiling | FRP_1
        GEM-X Flex P3 | Flex gene expression | scRNA-seq (Flex) | P1_Flex | scFFPE-seq | 10x_FLEX_pool2
        Fixed RNA Profiling, GEX | probe-based scRNA-seq
        """,
    "amplicons": "genotyping library | targeted amplicon | LARRY barcode library",
}
OF_EXPRESSION = """
    TCR-stimulated T cells | BALF, C141 (scRNA-seq) | C1-CD3 | TCR_6h_rep2 | TCR 24h | BCR/CD40 stim | TCR/CD28
    TCR1 T cells | TCR-A T cells | TCRαβ CD8αα IELs | TCRγδ thymocytes | KRAS G12D TCR T cells | scRNA-seq + TCR P1
    scRNA-seq and TCR-seq, P2 | scRNA-seq with V(D)J | antibody-captured T cells | dextramer sorted | ADT_CRPC_1
    M1_ST_rep1 | P1_anti-TCR, rep 1 | P1_1G4 TCR | T cells, multiplexed with HTO | pMHC-TCR | strong TCR
    TCR2 transgenic | TCR Vb8+ | Va7.2 TCR MAIT | TCR downregulated | TCR-MHC | TCRζ | ADT rep1 LNCaP | AAV FLEX
    FLEX-Cre mouse | LMO2 KO | anti-TCR treated | TCRb-/- mouse | TCRα-/- | BCR-ABL | BCR::ABL1 | BCR/ABL1 patient 2
    TCRhi | TCR transgenic OT-I, GEX | OT-I TCR transgenic T cells | CAR-T scRNA | VDJ-sorted | TCR_KO cells
    TCR- cells | TCRgd+ | TCRβ+ DP thymocytes | TCRgd T cells, scRNA-seq | TCR-T cell product, day 0
    TCR signalling inhibitor | TCR Tg mouse 1 | γδ TCR+ cells 10x | post-BCR stimulation | BCR crosslinking 2h
    pre-BCR+ cells | CD8 T cells stimulated through TCR | T cells without TCR | TCR_stim_1 | TCR-negative | TCR low
    TCRδ CreERT2 | VDJ recombination reporter | TCR clone 5 | high affinity TCR | scRNA-seq of TCR-seq sorted clones
    5' gene expression and VDJ | T cells expressing TCR 868 | TCRab depleted graft | TRA-1-60+ iPSC
    IgA+ plasma cells | IGH-MYC lymphoma | IGHV mutated CLL | T cell receptor signaling | ST cells | ST-HSC rep1
    ST_HSC_1 | ST_1 | BM_ST_1 | STAT3 | ST2+ ILC2 | spatial memory trained mice | test_1 | snRNA-seq of Visium block
    scRNA-seq matched to Visium | Flexor muscle | AAV-FLEX-tdTomato neurons | Cre-FLEX | methanol-fixed PBMC
    methanol-fixed RNA-seq | FRP+ cells | prostate tumor post-ADT | ADT-naive patient 2 | ADT_prostate_2
    BCR prostate tumor 2 | PBMC CITE-seq, GEX | PBMC CITE-seq rep1 | GEX+ADT+HTO | ADTRP knock-out
    hashtag-labelled T cells | pool 1, multiplexed with hashtags | TotalSeq-A labelled PBMC GEX | WT1 (CMO301) | S1_T
    P1_B | FB_1 | AB_1 | CSP-specific CD8 T cells | RNA + ATAC | RNA_ATAC | 10x Multiome GEX | Multiome RNA-seq
    multiome_RNA | sgRNA_1 KO | Tet2_sgRNA | control_gRNA | CROP-seq | ribo-depleted total | RiboTag | CLIP170 KO
    RIP1 KO | Pro-B | GRO_1 | Hic-5 KO | HIC1+ cells | chip1_A01 | scSLAM-seq cell 3 | 4sU-labelled scRNA-seq
    miR-155 KO | LARRY-barcoded HSC | HER2 amplicon tumor | shadti | Phototransduction | cortex_plate1_H08 | 10x 3' v3
    PBMC 10x 5' v2 | 5GE_P1 | cDNA
    """


def split(names: str) -> list[str]:
    return [name.strip() for line in names.splitlines() for name in line.split(" | ") if name.strip()]


def verdict(name: str, about: str = "") -> str:
    kinds = [found.kind for found in kinds_in(name, about) if not is_expression(found.kind, name, declared_rna=True)]
    return kinds[0] if kinds else ""


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES_OF.items() for name in split(names)])
def test_a_name_of_another_kind(kind: str, name: str) -> None:
    assert verdict(name) == kind


@pytest.mark.parametrize("name", split(OF_EXPRESSION))
def test_a_name_of_gene_expression(name: str) -> None:
    assert verdict(name) == ""


def test_the_study_tells_a_therapy_from_tags_and_a_recurrence_from_a_receptor() -> None:
    assert verdict("P1_ADT") == "antibody tags"
    assert verdict("P1_ADT", about="Castration-resistant prostate cancer") == ""
    assert verdict("P1_BCR") == "V(D)J"
    assert verdict("P2_ST_rep1") == ""
    assert verdict("P2_ST_rep1", about="Spatial transcriptomics of carcinomas") == "spots of a tissue"
    assert verdict("P1_BCR", about="Biochemical recurrence after prostatectomy") == ""


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [
        ("Nuclei were fixed and hybridized by the Chromium Fixed RNA Profiling kit (10x Genomics).", "10x Flex"),
        ("Libraries were made with GEM-X Flex Gene Expression.", "10x Flex"),
        ("Sections were put on a Visium Spatial Gene Expression slide and permeabilized.", "spots of a tissue"),
        ("Single Cell Gene Expression & Chromium Fixed RNA Profiling protocol (CG000505 Rev A) for nuclei", ""),
        ("Fixed RNA Profiling kit for PBMC; Chromium Next GEM Single Cell 3ʹ kit v3.1 for tumours", ""),
        ("Visium slides; the rest of the tissue was dissociated for scRNA-seq", ""),
        ("Chromium Single Cell V(D)J Reagent Kits; gene expression and V(D)J libraries", ""),
        ("Total RNA of fixed cells, RNA sequencing", ""),
        ("", ""),
    ],
)
def test_a_protocol_counts_where_it_names_one_kit(protocol: str, kind: str) -> None:
    found = kit_in(protocol)
    assert (found.kind if found else "") == kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Flex", "10x Flex"),
        ("10x Visium", "spots of a tissue"),
        ("10x Chromium and Visium", ""),  # of all samples of the study
        ("10x Flex, 10x 3' v3", ""),
        ("Chromium Single Cell V(D)J", ""),
        ("CITE-seq", ""),
    ],
)
def test_a_kit_of_an_attribute(value: str, kind: str) -> None:
    found = kit_of_attribute(value)
    assert (found.kind if found else "") == kind


@pytest.mark.parametrize(
    ("name", "word"),
    [("PBMC PacBio", "PacBio"), ("scIso-seq 1", "scIso-seq"), ("S1_ONT", "ONT"), ("long-read, P1", "long-read")],
)
def test_names_of_long_reads(name: str, word: str) -> None:
    found = long_reads_in(name)
    assert found is not None and found.word == word


@pytest.mark.parametrize("name", ["front", "contig", "isolated cells", "mass"])
def test_names_without_long_reads(name: str) -> None:
    assert long_reads_in(name) is None


@pytest.mark.parametrize("piece", ["ab", "_", " ", "TCR_", "tumor_", "RNA-seq ", "1_", "flex "])
def test_a_long_name_is_read_in_time(piece: str) -> None:
    name = f"tumor TCR{piece * 3000}x"
    start = time.process_time()
    kinds_in(name)
    kit_in(name)
    assert time.process_time() - start < 2
