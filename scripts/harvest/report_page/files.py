"""The files of a folder of results, each with what it is and a link; those of one library or atlas in one row."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from scripts.core.output import printable
from scripts.formats.pages import short_number
from scripts.harvest.results import list_files

_FOLDERS = (
    (r"(mex/[^/]+/).+\.tar\.gz", "droplet counts: an archive for each matrix, with its barcodes and features"),
    (r"(atlas/[^/]+\.distribution/).+", "cells of the atlas by pairs of labels"),
    (r"(atlas/[^/]+\.agreement/).+", "agreement of the first, second and third label of cells of the atlas"),
    (r"(atlas/[^/]+\.train/[^/]+/).+", "a classifier of a label, tested on series that it has not seen"),
    (r"(atlas/[^/]+/).+", "the cells as vectors, and the map from each row to its cell"),
    (r"(multiqc/).+", "the same logs in MultiQC"),
)
"""Files that are shown in one row: their folder, and what they are."""
_FILES = {
    "plan.tsv": "the plan: every run that entered, before work",
    "runs.tsv": "the ledger: every run that entered, with its final status",
    ".htseq-count.csv.gz": "plate counts: a row a gene, a column a cell",
    ".tpm.csv.gz": "transcripts per million of plate cells",
    ".log.csv.gz": "STAR's logs: a row a field, a column a cell",
    "_meta.tgz": "GEO's records of series, platforms and samples, as JSON",
    ".metadata.samples.csv": "the samples of the counted cells",
    ".metadata.series.csv": "the series of the counted cells",
    ".h5ad": "counts as AnnData",
    "quality/cells.csv.gz": "the quality of every plate cell, with flags",
    "quality/libraries.csv": "the quality of every droplet library, with flags",
    "provenance.json": "versions, configuration, references and options",
    "methods.txt": "a paragraph on the methods, for a paper",
    "changes.tsv": "what is new since the last time",
    ".bam": "alignments",
}
"""What other files are, by the end of their names."""
_WITHOUT_SIZE = ("plan.tsv", "runs.tsv", "provenance.json", "methods.txt")
"""Their size depends on the archive that served a run, which changes nothing else on the page."""
NOT_LISTED = ("report.html",)


def link_to(name: str, words: str = "") -> Markup:
    """Return a link to a file or folder of the results."""
    return Markup('<a href="./{}">{}</a>').format(quote(name), printable(words or name))


def _row_of(name: str) -> tuple[str, str]:
    """Return under which name a file is shown, and what it is."""
    for pattern, meaning in _FOLDERS:
        if found := re.fullmatch(pattern, name):
            return found[1], meaning
    return name, next((meaning for ending, meaning in _FILES.items() if name.endswith(ending)), "")


def file_rows(results: Path) -> list[list[Any]]:
    """Return link, content, number and size of the files; archives of a library, and files of an atlas, in one row."""
    sizes: dict[tuple[str, str], list[int]] = {}
    for name in list_files(results):
        if name not in NOT_LISTED and not name.endswith(".part"):
            sizes.setdefault(_row_of(name), []).append((results / name).stat().st_size)
    return [
        [link_to(name), meaning, len(of_row), None if name in _WITHOUT_SIZE else f"{short_number(sum(of_row))}B"]
        for (name, meaning), of_row in sizes.items()
    ]
