"""Strands that are given and strands that are proved. From reads: test_count_options.py."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run
from scripts.plates.strands import StrandChoice, parse_strands, settle_strands

ROW = Run("GSE1", sample="GSM1", experiment="SRX1", run="SRR1")


def test_the_nearest_accession_decides() -> None:
    choice = parse_strands(["none", "GSE1=reverse", "SRX1=forward"])
    assert choice == StrandChoice("none", {"GSE1": "reverse", "SRX1": "forward"})
    assert choice.strand_of("SRX1", [ROW]) == "forward"
    assert choice.strand_of("SRX2", [ROW._replace(experiment="SRX2")]) == "reverse"
    assert choice.strand_of("SRX2", [ROW._replace(experiment="SRX2", series="GSE2")]) == "none"
    assert [parse_strands(words).is_fixed for words in (["reverse"], ["auto"], ["none", "GSE1=none"])] == [
        *(True, False, False)
    ]


def test_every_wrong_word_is_reported() -> None:
    with pytest.raises(InputError) as raised:
        parse_strands(["yes", "GSE1=plus"])
    assert str(raised.value).splitlines()[1:] == [
        "--strand yes: 'yes' is not one of none, forward, reverse, auto.",
        "--strand GSE1=plus: 'plus' is not one of none, forward, reverse, auto.",
    ]


def test_runs_of_one_cell_are_of_one_strand() -> None:
    choice = StrandChoice("none", {"SRR1": "forward"})
    with pytest.raises(InputError, match="the runs of SRX1 are given two strands, forward and none; give one"):
        choice.strand_of("SRX1", [ROW, ROW._replace(run="SRR2")])


def test_a_cell_of_few_fragments_is_of_the_strand_of_its_shard() -> None:
    strands, words = settle_strands({"SRX1": (900, 20), "SRX2": (0, 19), "SRX3": (150, 160), "SRX4": (0, 0)})
    assert strands == {"SRX1": "forward", "SRX2": "forward", "SRX3": "none", "SRX4": "forward"}
    assert words == (
        "Strand: 1050 fragments are on the genes' strand and 199 on the other; cells: 1 none, 3 forward, 0 reverse."
    )
    assert settle_strands({"SRX1": (10, 0)})[0] == {"SRX1": "none"}
    assert settle_strands({})[0] == {}
