"""Text tables for a terminal."""

from collections.abc import Iterable, Sequence


def format_table(rows: Iterable[Sequence[str]], left: int = 1, indent: str = "") -> list[str]:
    """Return the lines of a table whose first ``left`` columns are flush left, the others flush right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
