"""What STARsolo says of droplet libraries, as custom content of MultiQC: files ``*_mqc.yaml``.

A section is an object with ``id``, ``section_name``, ``description``, ``plot_type`` (table, linegraph), ``pconfig`` and
``data``: sample → column → value, or sample → x → y.
"""

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

COLUMNS = {
    "Number of Reads": "reads (or pairs) of the library",
    "Reads With Valid Barcodes": "share of reads whose barcode is on the inclusion list",
    "Sequencing Saturation": "share of reads that are copies of a molecule that was seen already",
    "Q30 Bases in CB+UMI": "share of bases of barcode and UMI with a quality of 30 or more",
    "Q30 Bases in RNA read": "share of bases of the cDNA read with a quality of 30 or more",
    "Reads Mapped to Genome: Unique+Multiple": "share of reads that map to the genome",
    "Reads Mapped to Genome: Unique": "share of reads that map to one locus",
    "Reads Mapped to Gene: Unique Gene": "share of reads that count for one gene",
    "Estimated Number of Cells": "barcodes that were called cells",
    "Fraction of Unique Reads in Cells": "share of the reads in genes that are of cells",
    "Median Reads per Cell": "reads in genes of the median cell",
    "Median UMI per Cell": "molecules of the median cell",
    "Median Gene per Cell": "genes of the median cell",
}
"""Rows of Summary.csv that are shown, and what they are."""
_POINTS = 40  # of a curve, for each power of ten


def write_custom_content(results: Path, solo: Path, folder: Path) -> int:
    """Write what there is of droplet libraries (``solo`` is units/solo, beside units/cells), and the versions of tools.

    Return how many libraries there are.
    """
    summaries: dict[str, dict[str, float]] = {}
    curves: dict[str, dict[int, int]] = {}
    for name, kept in _libraries(results, solo):
        summaries[name] = dict(_figures(solo.with_name("cells") / kept.name / "Gene" / "Summary.csv"))
        curves[name] = dict(_curve(kept / "Solo.out" / "Gene" / "UMIperCellSorted.txt.gz"))
        log = kept / "Log.final.out"
        if log.is_file():
            (folder / f"{name}.Log.final.out").write_bytes(log.read_bytes())
    if summaries:
        _write(folder / "starsolo_mqc.yaml", _table(summaries))
        _write(folder / "barcode_ranks_mqc.yaml", _ranks(curves))
    if versions := _versions(results / "provenance.json"):
        _write(folder / "sra2matrix_mqc_versions.yml", versions)
    return len(summaries)


def _libraries(results: Path, solo: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of STAR's logs of each counted droplet library."""
    table = results / "quality" / "libraries.csv"
    if not table.is_file():
        return
    with table.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            folder = solo / f"{row['series']}.{row['species']}.{row['experiment']}"
            if row["status"] == "counted" and folder.is_dir():
                yield row["experiment"], folder


def _figures(path: Path) -> Iterator[tuple[str, float]]:
    """Yield name and number of the rows of a Summary.csv that are shown; where STAR divided by zero there is none."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        name, _, value = line.rpartition(",")
        if name in COLUMNS and not math.isnan(number := float(value)):
            yield name, number


def _curve(path: Path) -> Iterator[tuple[int, int]]:
    """Yield rank and molecules of barcodes, some for each power of ten."""
    if not path.is_file():
        return
    following = 1
    with gzip.open(path, "rb") as lines:
        for rank, line in enumerate(lines, 1):
            if rank >= following:
                yield rank, int(line)
                following = max(rank + 1, math.floor(rank * 10 ** (1 / _POINTS)))


def _table(summaries: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the table of figures; shares are shown in percent."""
    headers: dict[str, dict[str, Any]] = {}
    for name, words in COLUMNS.items():
        is_share = words.startswith("share")
        headers[name] = {"title": name, "description": words, "format": "{:,.1f}" if is_share else "{:,.0f}"}
        if is_share:
            headers[name] |= {"suffix": " %", "min": 0, "max": 100}
    data = {
        library: {
            name: round(100 * value, 2) if COLUMNS[name].startswith("share") else value
            for name, value in figures.items()
        }
        for library, figures in summaries.items()
    }
    return {
        "id": "starsolo",
        "section_name": "STARsolo",
        "description": "What STARsolo says of each droplet library (Solo.out/Gene/Summary.csv).",
        "plot_type": "table",
        "pconfig": {"id": "starsolo_table", "title": "STARsolo: summary of libraries", "namespace": "STARsolo"},
        "headers": headers,
        "data": data,
    }


def _ranks(curves: Mapping[str, Mapping[int, int]]) -> dict[str, Any]:
    return {
        "id": "barcode_ranks",
        "section_name": "Barcode ranks",
        "description": "Molecules (UMIs) of each barcode, the most first. Cells are left of the steep fall.",
        "plot_type": "linegraph",
        "pconfig": {
            "id": "barcode_ranks_plot",
            "title": "STARsolo: molecules by rank of the barcode",
            "xlab": "Rank of the barcode",
            "ylab": "Molecules",
            "xlog": True,
            "ylog": True,
        },
        "data": curves,
    }


def _versions(path: Path) -> dict[str, list[str]]:
    """Return program → versions that worked on the runs; none where the results do not say."""
    if not path.is_file():
        return {}
    versions: dict[str, list[str]] = {}
    for tool in json.loads(path.read_text(encoding="utf-8"))["tools"]:
        versions.setdefault(tool["program"], []).append(tool["version"])
    return versions


def _write(path: Path, content: Mapping[str, Any]) -> None:
    # In JSON the ranks would be text, which MultiQC sorts as such.
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True), encoding="utf-8")
