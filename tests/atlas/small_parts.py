"""Two small embedded parts, as atlas_embed writes them: a droplet matrix and a plate matrix."""

import numpy as np

from scripts.atlas import atlas_pack
from scripts.atlas.store.files import write_json, write_table
from scripts.atlas.store.layout import Layout
from scripts.atlas.store.part import CELLS, MATRIX, Cell, Description, Matrix, PartWriter

LAYOUT = Layout((("other", 3), ("cell_type", 2)), (("cell_type", 2), ("sex", 1)))
DECODERS = {"cell_type": {"0": "CL:1", "1": "CL:2", "2": "CL:3"}, "sex": {"0": "PATO:1", "1": "PATO:2"}}
TOY = Description(
    "toy", "1.0", LAYOUT, weights_sha256="a" * 64, score_kind="logit", seed_policy="none", decoders=DECODERS
)


def droplet(experiment, barcode, run="", sample="GSM1"):
    return Cell("GSE1", sample, experiment, run or experiment.replace("X", "R"), "homo", barcode)


DROPLETS = [
    droplet("SRX1", "AAAC", "SRR1;SRR2"),
    droplet("SRX1", "CCCA", "SRR1;SRR2"),
    droplet("SRX1", "GGGT", "SRR1;SRR2"),
    droplet("SRX3", "AAAC"),  # a barcode of another run too
    droplet("SRX4", "AAAC"),
    droplet("SRX4", "TTTT"),
    droplet("SRX5", "ACGTACGT"),
]
REASONS = ["", "FEW_GENES", "", "", "NO_COUNTS", "NO_COUNTS", ""]
PLATES = [Cell("GSE2", f"GSM{number}", f"SRX{number}", f"SRR{number}", "homo", "") for number in (11, 12, 13)]


def numbers(rows, first=0.0, description=TOY):
    """Return embeddings, labels and scores of which every row is another."""
    embs = first + np.arange(rows * 5).reshape(rows, 5) / 8
    if not description.has_labels:
        return embs, None, None
    top3 = np.stack([np.arange(rows) % 3, (np.arange(rows) + 1) % 3, np.arange(rows) % 2], axis=1)
    return embs, top3, np.stack([np.full(rows, 1.5), np.zeros(rows), -np.ones(rows)], axis=1)


def write_part(folder, cells, reasons=None, first=0.0, description=TOY, matrix="droplets/GSE1.homo.h5ad", sha="b" * 64):
    """Write a part of these cells."""
    with PartWriter(folder, description, len(cells)) as part:
        if cells:
            part.append(*numbers(len(cells), first, description), reasons=reasons)
    write_table(folder / CELLS, Cell._fields, cells)
    write_json(folder / MATRIX, Matrix(matrix, sha, len(cells))._asdict())
    return str(folder)


def write_both(folder):
    """Write the droplets and the plates; return the two folders."""
    return [
        write_part(folder / "droplets", DROPLETS, REASONS),
        write_part(folder / "plates", PLATES, first=100.0, matrix="homo.h5ad", sha="c" * 64),
    ]


KEPT = [cell for cell, reason in zip(DROPLETS, REASONS, strict=True) if not reason] + PLATES


def packed(folder, *options):
    """Pack both parts; return the atlas."""
    atlas_pack.main(["--parts", *write_both(folder), "--output", str(folder / "atlas"), *options])
    return folder / "atlas"
