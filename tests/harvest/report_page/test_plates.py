"""Reads of plate cells are shown once each, and all of them."""

import numpy as np
import pandas as pd
import pytest

from scripts.harvest.report_page.plates import flagged_rows, plate_part, read_parts

SUMS = {
    **{"reads": 1000, "mapped_once": 600, "mapped_several": 100, "too_many_loci": 20, "unmapped_mismatches": 0},
    **{"unmapped_short": 250, "unmapped_other": 30},
    **{"total_counts": 450, "no_feature": 100, "ambiguous": 50, "too_low_aQual": 0, "alignment_not_unique": 100},
}


def test_the_parts_of_the_reads_are_all_of_them():
    aligned, counted = read_parts(SUMS, True)
    assert {words: share for _, words, share in aligned} == {
        **{"mapped once": 0.6, "mapped several times": 0.1, "mapped too often": 0.02, "unmapped: too short": 0.25},
        **{"unmapped: mismatches": 0, "unmapped: other": 0.03},
    }
    assert sum(share for _, _, share in aligned) == pytest.approx(1)
    assert {words: share for _, words, share in counted} == {
        **{"in genes": 0.45, "in no gene": 0.1, "in several genes": 0.05, "low quality": 0, "of several loci": 0.1}
    }


def test_a_read_is_shown_once_where_ambiguous_ones_count_for_genes():
    counted = read_parts(SUMS | {"total_counts": 600}, False).counted
    assert [(words, share) for _, words, share in counted] == [
        ("in genes", 0.6),
        ("in no gene", 0.1),
        ("low quality", 0),
    ]


def test_shares_are_at_most_all_where_a_read_counts_twice():
    counted = read_parts(SUMS | {"total_counts": 1900}, False).counted
    assert sum(share for _, _, share in counted) == pytest.approx(1)


def test_a_series_has_the_medians_of_its_cells():
    cells = pd.DataFrame(
        {
            **{"series": ["GSE1"] * 3 + ["GSE2"], "experiment": list("abcd"), "flags": ["", "FEW_READS", "", ""]},
            **{"reads": [10.0, 1000.0, 30.0, 7.0], "n_genes_by_counts": [1.0, 2.0, 9.0, np.nan]},
        }
    )
    part = plate_part("mus", cells, {})
    assert part["head"] == ["series", "#cells", "#flagged", "#reads", "|spread", "#genes", "|spread"]
    first, second = part["rows"]
    assert first[:4] == ["GSE1", 3, 1, 30.0]
    assert first[4].title == "GSE1: median 30; half of the cells 20 to 515; 90 % of them 12 to 903"
    assert (first[5], second[5], second[6]) == (2.0, None, None)
    assert part["reads_head"] == ["series", "#reads"]
    assert [row[1] for row in part["reads"]] == [1040.0, 7.0]


def test_cells_with_the_worst_flags_come_first():
    rows = [("a", "FEW_READS", ""), ("b", "", ""), ("c", "FEW_READS;SPECIES_MISMATCH", "homo")]
    cells = pd.DataFrame(rows, columns=["experiment", "flags", "other_species"]).assign(series="GSE1", species="mus")
    head, shown = flagged_rows(cells.assign(status="counted", pct_other_species=96.0))
    assert [row[0] for row in shown] == ["c", "a"]
    assert head[-1] == "~in what"
    assert [row[-1] for row in shown] == ["96 % of its reads are of homo", ""]


def test_a_cell_without_reads_is_not_drawn_on_a_logarithmic_axis():
    cells = pd.DataFrame(
        {
            **{"series": "GSE1", "experiment": list("abc"), "flags": ["EMPTY_WELL", "", ""]},
            **{"reads": [0.0, 1000.0, 3000.0], "n_genes_by_counts": [0.0, 20.0, 30.0]},
        }
    )
    charts = {name: (str(chart), str(words)) for chart, name, words in plate_part("mus", cells, {})["charts"]}
    for name in ("Reads", "Genes by reads"):
        assert charts[name][1].endswith("; 1 cell without reads is not drawn"), charts[name][1]
        assert ": 0" not in charts[name][0]
    assert "not drawn" not in charts["Genes"][1]
    assert "median 2k" in charts["Reads"][0]
    empty = cells.assign(reads=0.0)
    words = {name: str(words) for _, name, words in plate_part("mus", empty, {})["charts"]}
    assert words["Reads"].endswith("; 3 cells without reads are not drawn")
