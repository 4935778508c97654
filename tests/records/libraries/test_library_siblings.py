"""What libraries are by the libraries beside them."""

import pytest

from scripts.records.libraries.library_siblings import Neighbour, kinds_by_neighbours


def study(*names: str, sample: str = "", strategy: str = "RNA-Seq") -> list[Neighbour]:
    """Libraries SRX0, SRX1 … of one study, by their names."""
    return [
        Neighbour(f"SRX{number}", "SRP1", sample and f"SRS{sample}", strategy, "TRANSCRIPTOMIC SINGLE CELL", (name,))
        for number, name in enumerate(names)
    ]


def kinds(siblings: list[Neighbour]) -> dict[str, str]:
    return {experiment: beside.kind for experiment, beside in kinds_by_neighbours(siblings).items()}


@pytest.mark.parametrize(
    ("expression", "other", "kind"),
    [
        ("P1_GEX", "P1_T", "V(D)J"),
        ("P1_GEX", "P1_B", "V(D)J"),
        ("P1_RNA", "P1_AB", "antibody tags"),
        ("S1_GEX_S1_L001", "S1_CITE_S9_L001", "antibody tags"),
        ("Patient 1, 5' gene expression", "Patient 1, 5' V(D)J library", "V(D)J"),
        ("Patient 1 5'GE", "Patient 1 T", "V(D)J"),
        ("GEX_tumour_3", "TCR_tumour_3", "V(D)J"),
        ("donor 2 scRNA-seq", "donor 2 protein", "antibody tags"),
        ("pool1-RNA", "pool1-FB", "feature barcodes"),
        ("S4_RNA", "S4_ST", "spots of a tissue"),
        ("S4 gene expression", "S4 cell surface protein", "antibody tags"),
        ("Donor 2, gene expression", "Donor 2, surface", "antibody tags"),
        ("S4_RNA", "S4_DNA", "genomic DNA"),
        ("OT1_ctrl_GEX", "OT1_ctrl_hash", "hashtags"),
        ("CD8_T_GEX", "CD8_T_TCR", "V(D)J"),
        ("scRNA-seq_GEX_P1", "scRNA-seq_TCR_P1", "V(D)J"),
        ("P1_GEX", "P1_ADT_HTO", "antibody tags"),
        ("P1_GEX1", "P1_ADT1", "antibody tags"),
    ],
)
def test_one_word_differs_from_gene_expression(expression: str, other: str, kind: str) -> None:
    for siblings in (study(expression, other), study(other, expression)):
        (experiment,) = [item.experiment for item in siblings if item.names == (other,)]
        assert kinds(siblings) == {experiment: kind}


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("P1_GEX",),
        ("P1_GEX", "P2_T"),  # another sample
        ("P1_T", "P1_B"),  # T and B cells
        ("P1_T", "P1_N"),  # tumour and normal tissue
        ("P1_RNA", "P1_T", "P1_N"),
        ("P1", "P1_AB"),
        ("CD8_T_GEX", "CD8_B_GEX", "NK_GEX"),
        ("GEX_1", "GEX_2"),
        ("FB_GEX", "AB_GEX", "T_GEX"),
        ("S1-G", "S1-T"),  # gut and tumour, of which nothing else differs
        ("GEX", "T"),
        ("P1 " * 50 + "GEX", "P1 " * 50 + "T"),  # texts, not names
    ],
)
def test_nothing_is_said_without_a_partner(names: tuple[str, ...]) -> None:
    assert kinds(study(*names)) == {}


def test_a_partner_of_one_letter_needs_another_make() -> None:
    first, second = study("S1-G", "S1-T")
    assert kinds([first._replace(made=("cDNA", 90)), second._replace(made=("PCR", 150))]) == {"SRX1": "V(D)J"}


def test_studies_are_apart() -> None:
    first, second = study("P1_GEX", "P1_T")
    assert kinds([first, second._replace(study="SRP2")]) == {}


def test_the_sentence_names_both() -> None:
    (beside,) = kinds_by_neighbours(study("P1_GEX", "P1_T")).values()
    assert beside.sentence == "Its name 'P1_T' differs from 'P1_GEX' (SRX0) in one word: V(D)J beside gene expression."


def test_libraries_of_one_sample() -> None:
    siblings = study("lib1 GEX, tumour FB", "lib2 CSP, tumour FB", "lib3, tumour FB", sample="7")
    assert kinds(siblings) == {"SRX1": "antibody tags"}  # FB is of the sample
    (beside,) = kinds_by_neighbours(siblings).values()
    assert beside.sentence == "Its name says CSP: antibody tags beside gene expression of the same sample (SRX0)."
    assert kinds([siblings[0], siblings[1]._replace(sample="SRS8")]) == {}


def test_another_strategy_for_the_same_sample() -> None:
    first, second = study("a", "b", sample="7")
    (beside,) = kinds_by_neighbours([first, second._replace(strategy="OTHER")]).values()
    assert beside == ("", "Its strategy is OTHER, beside RNA-Seq of the same sample (SRX0).")
    bulk = first._replace(source="TRANSCRIPTOMIC")
    assert kinds_by_neighbours([bulk, second._replace(strategy="OTHER")]) == {}
