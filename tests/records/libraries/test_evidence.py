"""Pieces of evidence in single texts: what words give which piece, and what words give none."""

import re
from pathlib import Path

import pytest

from scripts.records.libraries.evidence import RULES, RecordText, Scope, evidence_in

N, T, D, P, C = Scope.NAME, Scope.TRAIT, Scope.DESCRIPTION, Scope.PROTOCOL, Scope.CULTURE
TITLE, DESIGN, SUMMARY = Scope.SERIES_TITLE, Scope.DESIGN, Scope.SUMMARY


def codes(scope: Scope, text: str) -> str:
    return " ".join(sorted({piece.code for piece in evidence_in(RecordText(scope, "somewhere", text))}))


@pytest.mark.parametrize(
    ("scope", "text", "expected"),
    [
        (N, "", ""),
        (N, "liver 3", ""),
        (N, "islet_single_cell_4", "CELL_NUMBER NAME_SINGLE_CELL"),
        (N, "single.fibroblast", "NAME_SINGLE_CELL"),
        (N, "scRNAseq of cortex", "NAME_SINGLE_CELL"),
        (N, "single mouse oocyte 3", "GERM_CELL NAME_SINGLE_CELL"),
        (N, "single dose T cells", ""),
        (N, "CD4 single positive thymocytes", ""),
        (N, "single-cell suspension", ""),
        (N, "single cell clone 3", ""),
        (N, "single T cell clone 3", ""),
        (N, "individual donors, B cells", ""),
        (N, "Individual 12 macrophages", ""),
        (N, "individual H5 monocytes", ""),
        (N, "individual neuron 7", "NAME_SINGLE_CELL"),
        (N, "single pulse labelled cells", ""),
        (N, "single CD4+ T cell 8", "CELL_NUMBER NAME_SINGLE_CELL"),
        (N, "microglia, pseudobulk", ""),
        (N, "bulky tumour", ""),
        (N, "WT_4_bulkRNA", "BULK_WORD"),
        (N, "minibulk_Th1", "BULK_WORD"),
        (N, "islet_500_cells_1", "CELL_COUNT_MANY"),
        (N, "2,000 CD4 T cells", "CELL_COUNT_MANY"),
        (N, "10^5 cells", "CELL_COUNT_MANY"),
        (N, "one hundred neurons", "CELL_COUNT_MANY"),
        (N, "day 14 cells A05", "CELL_NUMBER"),
        (N, "14 day old cells", ""),
        (N, "Th17 cells", ""),
        (N, "mouse 8-cell 2", ""),
        (N, "16-cell 3", ""),
        (N, "human 8-cell pooled", "POOL"),
        (N, "CD8 T, pooled mice", ""),
        (N, "morula 2", "MANY_CELLED"),
        (N, "inner cell mass 2", "MANY_CELLED"),
        (N, "late blastocyst #2, cell#7", "CELL_NUMBER"),
        (N, "early blastocyst 2-11", ""),
        (N, "negative control", "NEGATIVE_CONTROL"),
        (N, "negative control siRNA", ""),
        (N, "NTC_H12", "CELL_NUMBER NEGATIVE_CONTROL"),
        (N, "empty well", "EMPTY_WELL"),
        (N, "empty vector", ""),
        (N, "UHRR 100 pg", "PURIFIED_RNA"),
        (N, "Ribo-seq ctrl", "RIBOSOME_PROFILING"),
        (N, "liver homogenate", "LYSATE"),
        (N, "1-cell embryo", "NAME_ONE_CELL"),
        (T, "cell count: 1", "CELL_COUNT_ONE"),
        (T, "number of cells: one", "CELL_COUNT_ONE"),
        (T, "cell count: 500", "CELL_COUNT_MANY"),
        (T, "cell count: 1 million", "CELL_COUNT_MANY"),
        (T, "cell count: 1e5", "CELL_COUNT_MANY"),
        (T, "cell count: 1-5", "CELL_COUNT_MANY"),
        (T, "cell count: 1 cell (sorted)", "CELL_COUNT_ONE"),
        (T, "cells per sample: ~2k", "CELL_COUNT_MANY"),
        (T, "cell number: pool", "CELL_COUNT_MANY"),
        (T, "cell count: 0", "EMPTY_WELL"),
        (T, "cell_count: not counted", ""),
        (T, "well: A07", "WELL"),
        (T, "well: NA", ""),
        (T, "tsne_cluster: 11", "CELL_CLUSTER"),
        (T, "seurat cluster id: 3", "CELL_CLUSTER"),
        (T, "cluster: 3", ""),
        (T, "tsne_cluster: NA", ""),
        (T, "sample type: negative control", "NEGATIVE_CONTROL"),
        (T, "treatment: negative control", ""),
        (T, "cell type: empty", "EMPTY_WELL"),
        (T, "tissue: pooled hippocampi of 3 mice", ""),
        (T, "source name: 5.pooled.fibroblasts", "POOL"),
        (T, "cell type: single fibroblast", "NAME_SINGLE_CELL"),
        (T, "bulk: yes", "BULK_WORD"),
        (T, "bulk: FALSE", ""),
        (T, "single_cell: TRUE", "NAME_SINGLE_CELL"),
        (T, "single cell: no", "BULK_WORD"),
        (T, "RIN: 8.1", "RNA_KIT_OF_POPULATIONS"),
        (P, "Single cells were sorted into 96-well plates.", "PROTOCOL_SINGLE_CELL"),
        (P, "T cells were index-sorted.", "PROTOCOL_SINGLE_CELL"),
        (P, "Cells were deposited, one cell per well.", "PROTOCOL_SINGLE_CELL"),
        (P, "RNA was isolated from single cells.", "PROTOCOL_SINGLE_CELL"),
        (P, "Individual neurons were moved by pipetting into PCR tubes.", "PROTOCOL_SINGLE_CELL"),
        (P, "Individual neurons were sucked into a pipette and put in a well of a plate.", "PROTOCOL_SINGLE_CELL"),
        (P, "Tissue was dissociated into single cells and plated in 6-well plates.", ""),
        (P, "Single cells were sorted into 96-well plates and clones were expanded.", ""),
        (P, "Colonies were manually picked.", ""),
        (P, "Live single cells were sorted into RLT.", ""),
        (P, "RNA was extracted with TRIzol.", "RNA_KIT_OF_POPULATIONS"),
        (P, "100 ng of total RNA", "RNA_KIT_OF_POPULATIONS"),
        (P, "TruSeq stranded mRNA kit", "LIBRARY_KIT_OF_POPULATIONS"),
        (P, "TruSeq SBS kit v3", ""),
        (P, "1,000 cells were sorted into lysis buffer", "CELLS_TOGETHER"),
        (P, "libraries of 96 cells were pooled", ""),
        (P, "seeded at 100,000 cells per ml", ""),
        (P, "Smart-seq2", "METHOD_OF_LOW_INPUT"),
        (P, "SMART-Seq v4 Ultra Low Input", ""),
        (P, "captured on a Fluidigm C1 chip", "METHOD_OF_ONE_CELL"),
        (P, "C1 neurons were dissected", ""),
        (P, "BRB-seq", "BARCODED_BULK"),
        (C, "Single cells were sorted into 96-well plates with lysis buffer.", "PROTOCOL_SINGLE_CELL"),
        (TITLE, "A single-cell atlas", "SERIES_SINGLE_CELL"),
        (TITLE, "Single-cell ATAC-seq of T cells", ""),
        (TITLE, "Transcriptomes of individual cell types", ""),
        (TITLE, "Inter-individual variation in monocytes", ""),
        (TITLE, "Individual neurons of the retina", "SERIES_SINGLE_CELL"),
        (DESIGN, "RNA-seq of inter-individual differences in macrophages", ""),
        (TITLE, "A single-cell atlas [bulk RNA-seq]", "SERIES_BULK SERIES_SINGLE_CELL"),
        (TITLE, "A single-cell atlas [RNA-seq]", "SERIES_OF_ANOTHER_KIND SERIES_SINGLE_CELL"),
        (TITLE, "A single-cell atlas [scRNA-seq]", "SERIES_SINGLE_CELL"),
        (DESIGN, "RNA-seq of 4 mice", ""),
        (DESIGN, "single-cell RNA-seq of blastomeres", "SERIES_SINGLE_CELL"),
        (SUMMARY, "We compared our data with published single-cell RNA-seq data.", ""),
        (SUMMARY, "Which cell types contribute to the bulk transcriptomic changes?", ""),
        (SUMMARY, "We used bulk and single-cell RNA sequencing.", "SERIES_BULK SERIES_SINGLE_CELL"),
    ],
)
def test_words(scope: Scope, text: str, expected: str) -> None:
    assert codes(scope, text) == expected


def test_a_piece_says_where_it_was_found() -> None:
    (piece,) = evidence_in(RecordText(T, "characteristics", "cell count: 500"))
    assert piece._asdict() == {
        "code": "CELL_COUNT_MANY",
        "weight": -20,
        "where": "characteristics 'cell count'",
        "words": "500",
    }
    assert piece.sentence == "characteristics 'cell count' says '500'"


def test_a_long_text_is_searched_in_bounded_time() -> None:
    for text in ("1" * 20_000, "[" * 20_000, "single " * 3_000, "1,000 " * 3_000):
        for scope in Scope:
            codes(scope, text)


def test_the_page_on_evidence_has_every_code() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "evidence.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (root / "scripts" / "records").rglob("*.py"))
    codes = {rule.code for rule in RULES} | set(re.findall(r'\bEvidence\("([A-Z_]+)"', sources))
    assert sorted(code for code in codes if f"`{code}`" not in page) == []
