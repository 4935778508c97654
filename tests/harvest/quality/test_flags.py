"""The table of flags: complete, in order, and the same in the manual."""

import re
from pathlib import Path

import pytest

from scripts.harvest import libraries_table
from scripts.harvest.quality import cells
from scripts.harvest.quality.flags import FLAGS, SEVERITIES, flags_table, join_flags


def test_the_manual_has_the_flags():
    text = (Path(__file__).parents[3] / "docs" / "quality.md").read_text(encoding="utf-8")
    assert flags_table() in text


def test_flags_are_sorted_by_severity():
    severities = [flag.severity for flag in FLAGS.values()]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert {subject for flag in FLAGS.values() for subject in flag.subjects} <= {"cell", "library", "sample"}


def test_codes_are_joined_in_the_order_of_the_table():
    assert join_flags(["FEW_READS", "LOW_MAPPING", "FEW_READS"]) == "LOW_MAPPING;FEW_READS"
    assert join_flags([]) == ""
    with pytest.raises(KeyError, match="ODD"):
        join_flags(["ODD"])


def test_the_manual_has_the_columns():
    """Ranges (`a` to `b`) stand for the columns between them in the other table."""
    text = (Path(__file__).parents[3] / "docs" / "quality.md").read_text(encoding="utf-8")
    quality = text[: text.index("**Z-scores.**")]
    of_cells, of_libraries = quality.split("Columns of `libraries.csv`:")
    named = [set(re.findall(r"`(\w+)`", part)) for part in (of_cells, of_libraries)]
    assert set(cells.COLUMNS) <= named[0]
    assert set(libraries_table.COLUMNS) - set(cells.COLUMNS) <= named[1]
