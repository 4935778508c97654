"""The table of the quality of plate cells: its cells are those of the ledger."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.gzip_files import open_bounded
from scripts.harvest.checks.tables import first_faults
from scripts.harvest.quality.cells import COLUMNS
from scripts.harvest.results import longest_line, split_line
from scripts.plan.run_table import Run

CELLS = "quality/cells.csv.gz"
_LONGEST_FIGURES = 4096  # bytes of a row beside its accessions


def cell_faults(path: Path, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each cell whose status is not the ledger's, or that is missing."""
    settled = {(row.species, row.run): row.status for row in ledger if row.assay == "plate"}
    counted = {key for key, status in settled.items() if status == "counted"}
    faults = []
    longest = longest_line(ledger) + _LONGEST_FIGURES
    with open_bounded(path, CELLS) as handle:
        if split_line(handle.line(longest))[: len(COLUMNS)] != list(COLUMNS):
            yield f"{CELLS}: its first row must be {','.join(COLUMNS)}."
            return
        while line := handle.line(longest):
            values = dict(zip(COLUMNS, split_line(line), strict=False))
            for run in values.get("runs", "").split(";"):
                key = (values.get("species", ""), run)
                counted.discard(key)
                if settled.get(key) != values.get("status"):
                    faults.append(f"{run[:80]} is {values.get('status')!r}, but {settled.get(key)!r} in the ledger.")
    faults += [f"{run} is counted in the ledger, but not in it." for _, run in sorted(counted)]
    yield from first_faults(CELLS, faults)
