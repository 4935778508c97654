"""Options of STAR that the workflow sets are refused, and so is a cell filter that STAR does not have."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.star_options import OWNED, cell_filter_fault, option_faults, parse_options, plate_option_faults


def test_options_of_the_workflow_are_refused_and_say_what_sets_them():
    assert list(option_faults({"outFilterScoreMin": 20, "soloUMIdedup": "Exact", "alignEndsType": "EndToEnd"})) == []
    assert list(option_faults({"genomeLoad": "LoadAndKeep", "soloCellFilter": "None", "runThreadN": 3})) == [
        "genomeLoad: it cannot be set, the workflow shares a genome in memory or does not",
        "soloCellFilter: it cannot be set, see droplets.cell_filter",
        "runThreadN: it cannot be set, threads are those of the rule; see the profile (set-threads)",
    ]
    assert {"outFileNamePrefix", "genomeDir", "readFilesIn", "outSAMtype", "outTmpDir"} <= OWNED.keys()


def test_a_value_sets_no_other_option():
    assert list(option_faults({"outFilterScoreMin": "20 --genomeLoad LoadAndKeep"})) == [
        "outFilterScoreMin: its value has --genomeLoad, which is an option of its own; give it a key of its own"
    ]
    assert list(option_faults({"clip5pNbases": "3 -1"})) == []


@pytest.mark.parametrize(
    "cell_filter",
    [
        "None",
        "TopCells 3000",
        "CellRanger2.2",
        "CellRanger2.2 3000 0.99 10",
        "EmptyDrops_CR",
        "EmptyDrops_CR 3000 0.99 10 45000 90000 500 0.01 20000 0.01 10000",
    ],
)
def test_cell_filters_that_star_takes(cell_filter):
    assert cell_filter_fault(cell_filter) == ""


@pytest.mark.parametrize(
    "cell_filter, fault",
    [
        ("EmptyDrops", "'EmptyDrops' is no cell filter of STAR; did you mean 'EmptyDrops_CR'?"),
        ("cellranger2.2", "'cellranger2.2' is no cell filter of STAR; did you mean 'CellRanger2.2'?"),
        ("none", "'none' is no cell filter of STAR; did you mean 'None'?"),
        ("", "'' is no cell filter of STAR; known are None, TopCells, CellRanger2.2, EmptyDrops_CR"),
        ("EmptyDrops_CR 1 2", "EmptyDrops_CR takes 0 or 10 numbers, but 2 are given"),
        ("TopCells", "TopCells takes 1 numbers, but 0 are given"),
        ("TopCells 0", "TopCells takes a whole number of cells from 1, not '0'"),
        ("TopCells 2.5", "TopCells takes a whole number of cells from 1, not '2.5'"),
        ("CellRanger2.2 3000 x 10", "'x' is not a number from 0"),
        ("CellRanger2.2 3000 nan 10", "'nan' is not a number from 0"),
    ],
)
def test_cell_filters_that_star_refuses(cell_filter, fault):
    assert cell_filter_fault(cell_filter) == fault


def test_plates_refuse_what_would_make_their_alignments_uncountable():
    fine = {"twopassMode": "Basic", "outSAMattributes": "NH HI AS", "chimSegmentMin": 20}
    assert list(plate_option_faults(fine)) == []
    assert list(
        plate_option_faults({"outSAMunmapped": "Within", "soloType": "SmartSeq", "outSAMattributes": "AS"})
    ) == [
        "soloType: it cannot be set, the kit decides; see droplets.chemistry and config/chemistries.yaml",
        "outSAMunmapped: it cannot be set, reads that STAR does not map are counted in its log",
        "soloType: it is an option of STARsolo; plates are counted by htseq-count's rules",
        "outSAMattributes: 'AS' lacks NH, by which reads of several loci are known",
    ]


def test_words_become_options():
    assert parse_options(["outFilterScoreMin=20", "clip5pNbases=3 -1"]) == {
        "outFilterScoreMin": "20",
        "clip5pNbases": "3 -1",
    }
    with pytest.raises(InputError, match=r"--set takes OPTION=VALUE, e\.g\. .* but was given twopassMode, x="):
        parse_options(["twopassMode", "x=", "a=b"])
