"""Libraries that are one cell, many cells, or no single cells at all."""

import pytest

from scripts.records.answers.sra_xml import Experiment, Read, SraRun
from scripts.records.libraries.evidence import RecordText, Scope
from scripts.records.libraries.single_cell import Siblings, against, gather_evidence, siblings_of, study_of
from tests.records.libraries.library_cases import SINGLE_CELL, Case, case, read_cases


def title_of(one: Case) -> str:
    return one.experiment.title


@pytest.mark.parametrize("one", read_cases("not_one_cell"), ids=title_of)
def test_bulk_pools_and_controls_are_no_cell(one: Case) -> None:
    judged = one.judge()
    assert judged.fault == "NOT_SINGLE_CELL"
    assert f"set `assay: {{SRX1: {judged.assay}}}`" in judged.detail
    assert not judged.open


@pytest.mark.parametrize("one", read_cases("one_cell"), ids=title_of)
def test_one_cell(one: Case) -> None:
    judged = one.judge()
    assert (judged.assay, judged.fault) == ("plate", "")


@pytest.mark.parametrize("one", read_cases("pooled"), ids=title_of)
def test_pooled_cells_are_never_a_plate_cell(one: Case) -> None:
    judged = one.judge()
    assert (judged.assay, judged.fault, judged.open) == ("droplet", "CHEMISTRY_UNKNOWN", False)
    assert "Many cells are in one library" in judged.detail


@pytest.mark.parametrize("one", read_cases("droplets"), ids=title_of)
def test_droplets(one: Case) -> None:
    judged = one.judge()
    assert (judged.assay, judged.fault) == ("droplet", "")
    assert sum(piece.code.endswith("_OF_DROPLETS") for piece in judged.pieces) == 1


def test_silence_is_no_single_cell() -> None:
    judged = case("sample 7").judge()
    assert judged.detail == (
        "Nothing says that it is a single cell: looked for in its library source, names, characteristics and protocols,"
        " and the title, summary and design of its series. If it is a single cell, set `assay: {SRX1: plate}`."
    )


def test_the_deciding_pieces_are_named() -> None:
    judged = case("islet_500_cells_1", series="Single-cell RNA-seq of islets", spots=1_000_000).judge()
    assert judged.detail == (
        "Not shown to be a single cell: sample title says '500 cells', though series title says 'Single-cell'. "
        "If it is a single cell, set `assay: {SRX1: plate}`."
    )
    judged = case("cell", summary="Single-cell RNA-seq was done.", spots=1_000_000).judge()
    assert judged.detail == (
        "That it is a single cell is not shown: summary says 'Single-cell RNA', which is not enough. "
        "If it is a single cell, set `assay: {SRX1: plate}`."
    )


def test_a_piece_of_a_kind_counts_once() -> None:
    texts = [RecordText(Scope.NAME, f"title {number}", "single cell") for number in range(3)]
    verdict = gather_evidence(Experiment("SRX1"), texts, "", Siblings())
    assert [(piece.code, piece.where) for piece in verdict.pieces] == [("NAME_SINGLE_CELL", "title 0")]
    assert verdict.total() == 8


def test_siblings_are_those_of_the_study_and_layout() -> None:
    def experiment(name: str, study: str, layout: str, spots: int, source: str = "TRANSCRIPTOMIC") -> Experiment:
        run = SraRun(f"SRR{name}", spots=str(spots) if spots else "", reads=(Read(50, 0, spots),))
        return Experiment(f"SRX{name}", study=study, layout=layout, source=source, runs=(run,))

    together = [
        experiment("1", "SRP1", "paired", 100),
        experiment("2", "SRP1", "paired", 0, SINGLE_CELL),
        experiment("3", "SRP1", "single", 10**8),
        experiment("4", "SRP2", "single", 100),
    ]
    siblings = siblings_of(together, ["SRX3"])
    assert siblings == {
        ("SRP1", "paired"): Siblings(2, 1, 1, 1, 0),
        ("SRP1", "single"): Siblings(1, 0, 0, 1, 1),
        ("SRP2", "single"): Siblings(1, 1, 0, 0, 0),
    }
    assert [study_of(item) for item in together[:1]] == [("SRP1", "paired")]
    assert siblings_of([], []) == {}
    sizes = [SraRun("SRR1", bases="500000000"), SraRun("SRR1", size="500000000"), SraRun("SRR1", bases="5000000000")]
    of_sizes = [Experiment("SRX1", study="SRP1", runs=(run,)) for run in (*sizes, SraRun("SRR1", spots="0"))]
    assert siblings_of(of_sizes, []) == {("SRP1", ""): Siblings(4, 2, 1)}


def test_a_bare_source_beside_single_cell_ones_is_suspicious() -> None:
    """In a series of both, each sample has its own verdict."""
    of_both = "RNAseq and single cell RNAseq of cells in differentiation"
    bulk = case("ESC_RNAseq_rep1", design=of_both, siblings=Siblings(18, single_cell=12))
    cells = case("NPC_day3_scRNAseq_rep1", design=of_both, source="single cell", spots=3_000_000)
    assert "other experiment(s) of its study have a single-cell source, and it has none" in bulk.judge().detail
    assert cells.judge().fault == ""


def test_against_without_any_evidence_names_the_run_of_an_experiment_without_accession() -> None:
    verdict = gather_evidence(Experiment(""), (), "", Siblings())
    assert "{SRR7: plate}" in against(verdict, "SRR7")


def test_an_experiment_of_many_runs_may_hold_a_cell_a_run() -> None:
    runs = tuple(SraRun(f"SRR{number}", spots="1000000", reads=(Read(75, 0, 1),)) for number in range(96))
    judged = case("plate 1", source="single cell")._replace(experiment=Experiment("SRX1", runs=runs)).judge()
    assert judged.detail.startswith(
        "Not shown to be a single cell: it has 96 runs, each of which may be a cell (then set `count_by: run`, too)"
    )


def test_hundreds_of_small_samples_are_no_cells_by_themselves() -> None:
    """A screen of bulk samples is as large, too: siblings add to what texts say, and no more than that."""
    assert case("x", spots=1_000_000, siblings=400).judge().detail.startswith("Nothing says")
    weights = {
        piece.code: piece.weight
        for piece in case("A01", summary="Single-cell RNA-seq was done.", spots=1_000_000, siblings=400).judge().pieces
    }
    assert weights == {"CELL_NUMBER": 1, "SERIES_SINGLE_CELL": 2, "MANY_SMALL_SIBLINGS": 3}
