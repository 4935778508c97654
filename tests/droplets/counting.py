"""A library counted, its cells called and its matrices packed, as the rules do it one after the other."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from scripts.droplets import cells, solo
from scripts.droplets.kept.cell_calls import CalledCells
from scripts.droplets.kept.kept_library import KeptLibrary
from scripts.droplets.mex_archive import LibraryPacker


def folder_of_cells(counted: Path) -> Path:
    """Return the folder of the cells of a library."""
    return counted.with_name(f"{counted.name}.cells")


def count_library(words: Sequence[object]) -> None:
    """Call solo, then cells, with these options of both; ``--output`` is what the library is counted to."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--status")
    parser.add_argument("--cell-filter")
    parser.add_argument("--min-valid-barcodes")
    parser.add_argument("--min-gene-share")
    parser.add_argument("--bounds", nargs="+", default=[])
    parser.add_argument("--features", nargs="+", default=[])
    known, others = parser.parse_known_args([str(word) for word in words])
    features = ["--features", *known.features] if known.features else []
    figures = known.output.with_name(f"{known.output.name}.json")
    known.output.parent.mkdir(parents=True, exist_ok=True)
    scratch = known.scratch or known.output.parent
    counted = [f"--output={known.output}", f"--scratch={scratch}", f"--figures={figures}"]
    solo.main([*others, *features, *counted])
    options = {"cell-filter": known.cell_filter, "min-valid-barcodes": known.min_valid_barcodes}
    options["min-gene-share"] = known.min_gene_share
    chosen = [f"--{name}={value}" for name, value in options.items() if value is not None]
    bounds = ["--bounds", *known.bounds] if known.bounds else []
    places = [f"--solo={known.output}", f"--output={folder_of_cells(known.output)}", f"--status={known.status}"]
    cells.main([*places, f"--figures={figures}", *features, *chosen, *bounds])


def pack_counted(
    counted: Path, target: Path, features: Sequence[str] = ("Gene",), multireads: Sequence[str] = ("Unique",)
) -> list[Path]:
    """Pack a library into a folder; return the paths of the archives."""
    target.mkdir(parents=True, exist_ok=True)
    packer = LibraryPacker(KeptLibrary(counted), CalledCells(folder_of_cells(counted)), target, {})
    return packer.pack(features, multireads)
