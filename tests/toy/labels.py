"""What somebody knows of the toy mouse cells: labelled counts, for nearest centroids, and a table to train from."""

import filecmp
from pathlib import Path

from tests.toy import catalogue
from tests.toy.world import World

LABEL = "cell_type"
SPECIES = "mus"
LABELLED = "config/labelled.mus.h5ad"
TABLE = "config/cell_types.tsv"
_TAG = "cell type: "


def cell_types(world: World) -> dict[str, str]:
    """Return experiment → type of the cell, as the samples of the plate series tell it."""
    return {
        experiment.accession: text.removeprefix(_TAG)
        for experiment in world.series[catalogue.PLATE].experiments
        for text in experiment.characteristics
        if text.startswith(_TAG)
    }


def ask_for_atlas(world: World, directory: Path, configuration: dict) -> dict:
    """Return the configuration with an atlas, whose labels are written below an analysis directory.

    Mouse cells get the label of the nearest centroid of the plate cells as they were made; a model is trained on their
    types, which the mouse cells of the other series are given by turns.
    """
    for name, write in ((LABELLED, _write_labelled_cells), (TABLE, _write_table)):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        write(world, aside)
        if path.exists() and filecmp.cmp(aside, path, shallow=False):
            aside.unlink()  # a newer file would make the atlas anew
        else:
            aside.replace(path)
    atlas = {
        "enabled": True,
        "components": 16,
        "references": {SPECIES: LABELLED},
        "labels": [LABEL],
        "train": {SPECIES: {LABEL: TABLE}},
    }
    return {**configuration, "atlas": atlas}


def _write_labelled_cells(world: World, path: Path) -> None:
    import anndata
    import numpy as np
    import pandas as pd

    types, truth = cell_types(world), world.plate_truth()
    cells = sorted(types)
    genes = sorted({gene for cell in cells for gene in truth[cell] if not gene.startswith("__")})
    counts = np.array([[truth[cell].get(gene, 0) for gene in genes] for cell in cells], np.float32)
    obs = pd.DataFrame({LABEL: [types[cell] for cell in cells]}, index=cells)
    anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(path)


def _write_table(world: World, path: Path) -> None:
    types = cell_types(world)
    kinds = sorted(set(types.values()))
    others = [
        experiment.accession
        for experiment in world.series[catalogue.MIXED].experiments
        if experiment.kind == "plate" and catalogue.MOUSE in experiment.tax_ids
    ]
    types |= {cell: kinds[number % len(kinds)] for number, cell in enumerate(others)}
    lines = (f"{cell}\t{types[cell]}\n" for cell in sorted(types))
    path.write_text("".join([f"experiment\t{LABEL}\n", *lines]), encoding="utf-8")
