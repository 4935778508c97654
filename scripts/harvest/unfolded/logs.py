"""Logs of plate cells, a file a cell, as STAR and htseq-count write them.

MultiQC's module for STAR reads ``{sample}.Log.final.out``; that for HTSeq takes two columns, adds up the counts of
genes, and reads the five tallies by their names. Genes are one row here: their sum is all that it shows.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.disk.files import path_below
from scripts.harvest.results import LOGS
from scripts.star.log import format_log

STAR_LOG, HTSEQ = ".Log.final.out", ".htseq-count.txt"
"""Endings of the files."""
CELLS = "quality/cells.csv.gz"
_HEAD = ("EXP_ID", "TAXON", "GSM")  # rows of the log table that are no fields
_NEEDED = {
    "Number of input reads",
    "Uniquely mapped reads number",
    "Uniquely mapped reads %",
    "Number of reads mapped to multiple loci",
    "% of reads mapped to multiple loci",
}
"""Fields without which, or with no number, MultiQC's module for STAR breaks, for all samples."""
_NOT_A_NUMBER = re.compile(r"-?nan", re.I)  # where STAR divided by no reads
_TALLIES = ("no_feature", "ambiguous", "too_low_aQual", "not_aligned", "alignment_not_unique")


def write_logs(results: Path, folder: Path) -> int:
    """Write the logs of all plate cells in a folder of results; return how many cells there are."""
    cells = list(read_cells(results / CELLS))
    names = sample_names(cells)
    for cell in cells:
        lines = [("in_genes", cell["total_counts"]), *((f"__{name}", cell[name]) for name in _TALLIES)]
        text = "".join(f"{name}\t{round(float(value or 0))}\n" for name, value in lines)
        path_below(folder, f"{names[cell['runs'], cell['species']]}{HTSEQ}").write_text(text, encoding="utf-8")
    for table in sorted(results.glob(f"*{LOGS}")):
        species = table.name.removesuffix(LOGS)
        for runs, fields in read_log_table(table):
            if not fields.keys() >= _NEEDED:
                continue
            name = names.get((runs, species), runs.replace(";", "_"))
            path_below(folder, f"{name}{STAR_LOG}").write_text(format_log(fields), encoding="utf-8")
    return len(cells)


def read_cells(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the counted cells of a table of cells; none where there is no table."""
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            yield from (row for row in csv.DictReader(lines) if row["status"] == "counted")


def sample_names(cells: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], str]:
    """Return runs and species of a cell → its name: its accession, with the species where it is counted in several."""
    numbers = Counter(cell["cell"] for cell in cells)
    return {
        (cell["runs"], cell["species"]): (
            cell["cell"] if numbers[cell["cell"]] == 1 else f"{cell['cell']}_{cell['species']}"
        )
        for cell in cells
    }


def read_log_table(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return runs and fields of each cell of a log table; fields that it does not have are left out."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        lines = csv.reader(handle)
        columns = next(lines, [])[1:]
        logs: list[dict[str, str]] = [{} for _ in columns]
        for name, *values in lines:
            if name in _HEAD:
                continue
            for log, value in zip(logs, values, strict=True):
                value = _NOT_A_NUMBER.sub("0.00", value)
                if value or name.isupper():  # a section has no values
                    log[name] = value
    return list(zip(columns, logs, strict=True))
