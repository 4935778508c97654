"""Small atlases for tests: folders of shards, as the public atlas has them or as this workflow packs them."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np

from scripts.atlas.store.files import write_table
from scripts.atlas.store.layout import PUBLIC, Layout
from scripts.atlas.store.part import Description
from scripts.atlas.store.row_map import Segment, write_manifest
from scripts.atlas.store.shards import Atlas, ShardWriter, shard_name

WIDE = Layout((("other", 6), ("cell_type", 2)), (("sex", 1),))

DECODERS = {
    "cell_type": {str(code): f"CL:{code:07d}" for code in range(9)},
    "tissue": {str(code): f"UBERON:{code:07d}" for code in range(9)},
}


def made_up(rows, layout=PUBLIC, seed=0, most=9):
    """Return embeddings, labels (best first, all different within a class) and scores (descending)."""
    dice = np.random.default_rng([seed, rows])
    embs = dice.normal(size=(rows, layout.embedding_width)).astype("<f2")
    top3 = np.zeros((rows, layout.label_width), "<u2")
    scores = np.zeros((rows, layout.label_width), "<f2")
    for name, width in layout.labels:
        columns = layout.label(name)
        top3[:, columns] = np.argsort(dice.random((rows, most)), axis=1)[:, :width]
        scores[:, columns] = -np.sort(-dice.normal(size=(rows, width)), axis=1)
    return embs, top3, scores


def write_public(folder, shards, layout=PUBLIC):
    """Write shards, each embeddings, labels and scores, and nothing beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, arrays in enumerate(shards):
        for kind, array in zip(("embs", "top3", "scores"), arrays, strict=bool(layout.labels)):
            np.savez(folder / f"step_0__predict_part_{part}_0_{kind}.npz", array)
    return folder


def write_shard(folder, name, layout, embs, top3=None, scores=None, barcodes=None):
    """Write a shard from memory."""
    width = None if barcodes is None else barcodes.dtype.itemsize
    with ShardWriter(folder, name, layout, len(embs), width) as shard:
        shard.append(embs, top3, scores, barcodes)


def write_mapped(folder, shards, layout, decoders=None, kind="cosine", weights="0" * 64):
    """Write an atlas with map and manifest.

    A shard is its segments, each a dictionary: series, run, arrays (embeddings, labels, scores; or embeddings alone),
    and sample, experiment, species, barcodes where they matter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    segments, reported = [], {}
    for part, pieces in enumerate(shards):
        name = shard_name("svd-baseline", part)
        arrays = [np.concatenate(parts) for parts in zip(*(piece["arrays"] for piece in pieces), strict=True)]
        barcodes = [piece.get("barcodes") or [b""] * len(piece["arrays"][0]) for piece in pieces]
        row = 0
        for piece, own in zip(pieces, barcodes, strict=True):
            rows = len(piece["arrays"][0])
            run = piece["run"]
            origin = (piece.get("sample", f"GSM-{run}"), piece.get("experiment", f"SRX-{run}"), run)
            digest = hashlib.sha256(b"".join(barcode + b"\n" for barcode in own)).hexdigest()
            species = piece.get("species", "homo")
            segments.append(
                Segment(name, row, rows, piece["series"], *origin, species, "homo.h5ad", "0" * 64, digest, 0)
            )
            row += rows
        if not layout.labels:
            arrays = [arrays[0], None, None]
        write_shard(folder, name, layout, *arrays, np.array([*itertools.chain.from_iterable(barcodes)], "S8"))
        reported[name] = (row, sorted(folder.glob(f"{name}_*.npz")))
    write_table(folder / "segments.tsv", Segment._fields, segments)
    (folder / "label_decoders.json").write_text(json.dumps(decoders or {}))
    backend = Description("svd-baseline", "1", layout, weights, kind if layout.labels else None)
    write_manifest(folder, backend, reported, ["segments.tsv", "label_decoders.json"])
    return folder


def rows_of(atlas, block=None, size=1 << 16, kind="embs", **bounds):
    """Return the rows of an atlas in an array, read in chunks."""
    return np.concatenate([chunk.copy() for chunk in atlas.scan(block, size, kind, **bounds)])


def table_of(path):
    """Return the head and the rows of a table."""
    head, *rows = [line.split("\t") for line in Path(path).read_text().splitlines()]
    return head, rows


ONLY_OTHER = Layout((("other", 4),))
TWO_LABELS = Layout((("other", 4), ("cell_type", 3)), (("cell_type", 3), ("tissue", 3)))


def write_wide(folder, embs, rows=None):
    """Write an atlas of the layout WIDE, of ``rows`` rows a shard."""
    folder.mkdir(exist_ok=True)
    for part, start in enumerate(range(0, len(embs), rows or len(embs))):
        here = embs[start : start + (rows or len(embs))]
        labels = np.zeros((len(here), 1), np.uint16)
        write_shard(folder, shard_name("scprint2", part), WIDE, here, labels, labels.astype(np.float16))
    return Atlas(folder, WIDE)


def nearest_by_hand(embs, vector, most, metric):
    """Return rows and values in double precision, without any short cut."""
    embs = embs.astype(np.float64)
    if metric == "cosine":
        lengths = np.sqrt((embs * embs).sum(axis=1))
        unit = vector / np.sqrt((vector * vector).sum())
        values = (embs * unit).sum(axis=1) / np.where(lengths == 0, 1, lengths)
        order = np.lexsort((np.arange(len(embs)), -values))[:most]
    else:
        values = np.sqrt(((embs - vector) ** 2).sum(axis=1))
        order = np.lexsort((np.arange(len(embs)), values))[:most]
    return order.tolist(), values[order].tolist()
