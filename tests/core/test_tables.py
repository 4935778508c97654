"""Tables for a terminal: words flush left, numbers flush right."""

from scripts.core.tables import format_table


def test_columns_are_aligned():
    rows = [("stage", "jobs", "GB"), ("download", "7", "0.5"), ("", "12", "")]
    assert format_table(rows) == ["stage     jobs   GB", "download     7  0.5", "            12"]
    assert format_table(rows[:2], left=2, indent="  ") == ["  stage     jobs   GB", "  download  7     0.5"]
    assert format_table([]) == []
