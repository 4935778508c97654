"""Gather the counts of all plate cells of a species into one AnnData file (h5ad), in bounded memory.

- X: counts as STAR and htseq-count gave them, csr_matrix of whole numbers (float64 with nonunique: fraction)
- obs: index = experiment (or run, with count_by: run); columns of the run table (several runs of a cell joined by ';',
  their spots and bases added up); tallies of htseq-count; star_…: the numbers of STAR's log, whole numbers and
  decimals, NaN where the log has none; geo_…: title, source and characteristics of the sample in GEO (see
  scripts/records/obs_columns.py); with --quality, the figures and flags of results/quality/cells.csv.gz; the user's
  own columns of a run table
- layers: with --tpm, tpm (float32): transcripts per million, see scripts/harvest/gene_tables/tpm.py
- var: index = gene_id; gene_name, biotype, length (bases in exons, or in the features that are counted)
- uns: reference (name and fingerprint), reference_release, parameters, tools (versions of STAR and HTSeq, and who
  counted; where shards differ, all of them, joined by ', ')

Cells are in the order of the table of counts, genes in byte order.
"""

import functools
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path
from scripts.core.errors import InputError
from scripts.core.numeric import tune_for_arrays
from scripts.formats import h5ad
from scripts.harvest.gene_tables.columns import TableColumn, add_table_options, columns_of_options, open_shards
from scripts.harvest.gene_tables.tpm import tpm_of
from scripts.harvest.quality.obs import quality_columns
from scripts.plan.own_metadata import OwnMetadata, read_own_metadata
from scripts.plates.shard_counts import TALLIES, ShardReader, merge_tools
from scripts.records.obs_columns import add_own, plate_columns
from scripts.references.genes_table import GeneRow, read_genes
from scripts.references.releases import read_release

KEPT_SHARDS = 24
"""Shards that are kept in memory at a time, for series whose runs are not in the order of their experiments."""


def read_rows(path: str) -> scipy.sparse.csr_matrix:
    """Return the counts of a shard, cells × genes."""
    with ShardReader(path) as reader:
        return reader.matrix().tocsr()


def select_rows(positions: Iterable[tuple[str, int]]) -> Iterator[scipy.sparse.csr_matrix]:
    """Yield the counts of cells (path of a shard, index in it) in their order, neighbours in one shard together."""
    read = functools.lru_cache(KEPT_SHARDS)(read_rows)
    for path, group in itertools.groupby(positions, lambda position: position[0]):
        cells = [cell for _, cell in group]
        counts = read(path)
        yield counts if cells == list(range(counts.shape[0])) else counts[cells]


def check_genes(genes: Sequence[GeneRow], counted: Sequence[str], path: str) -> None:
    """Raise InputError where the table of genes is not that of the counts."""
    if [gene.gene_id for gene in genes] != list(counted):
        surplus = sorted({gene.gene_id for gene in genes} ^ set(counted))[:3]
        examples = f", e.g. {', '.join(surplus)}" if surplus else ""
        raise InputError(
            f"{path}: its {len(genes)} genes are not the {len(counted)} genes of the counts{examples}."
            " Give the table of genes of the reference that the counts were made with."
        )


def write_h5ad(
    path: str | Path,
    columns: Sequence[TableColumn],
    units: Sequence[str],
    counts: str,
    genes_path: str,
    records: str | Path,
    parameters: Mapping[str, str],
    tpm: bool = False,
    own: OwnMetadata = OwnMetadata(),  # noqa: B008, it is empty and never changed
    quality: str | Path | None = None,
    release: str = "",
) -> None:
    """Write the file, see :func:`~scripts.harvest.gene_tables.columns.open_shards`; with ``tpm`` it has a layer of TPM.

    ``own`` are the user's own columns, ``quality`` is the table of the quality of the cells, for obs,
    ``release`` that of the reference, in words.

    Raises InputError where shards do not fit each other, the columns or the table of genes.
    """
    logs: list[dict[str, str]] = [{} for _ in columns]
    positions: list[tuple[str, int]] = [("", 0)] * len(columns)
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    strands: list[str] = []
    dtype: type = np.int32
    stored = 0
    tools = []
    counted: list[str] = []
    for reader, indices, cells in open_shards(columns, units, counts):
        counted = counted or reader.genes()
        of_shard = reader.logs()
        tallies[indices] = reader.tallies()[cells]
        tools.append(reader.tools())
        if of_cells := reader.strands():
            strands = strands or ["none"] * len(columns)  # of shards that no entry of a map names
            for index, cell in zip(indices, cells, strict=True):
                strands[index] = of_cells[cell]
        stored_as = reader.file["X/data"].dtype
        if stored_as.kind == "f":
            dtype = np.float64
        elif stored_as.itemsize > 4 and dtype is np.int32:
            dtype = np.int64
        stored += reader.file["X/data"].shape[0]
        for index, cell in zip(indices, cells, strict=True):
            logs[index] = of_shard[cell]
            positions[index] = (reader.path, cell)
    genes = read_genes(genes_path)
    check_genes(genes, counted, genes_path)
    tally_columns: dict[str, Any] = {name: tallies[:, number].copy() for number, name in enumerate(TALLIES)}
    if strands:
        tally_columns["strand"] = strands
    names = [column.accession for column in columns]
    obs = plate_columns([column.rows for column in columns], tally_columns, logs, records)
    if quality:
        runs = [[row.run for row in column.rows] for column in columns]
        obs |= quality_columns(quality, columns[0].rows[0].species if columns else "", runs)
    add_own(obs, [own.of_cell(column.rows) for column in columns])
    del logs
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.CsrWriter(root, "X", dtype, (len(columns), len(genes)), wide=stored >= 2**31)
        layers = h5ad.create_group(root, "layers") if tpm else None
        layer = (
            h5ad.CsrWriter(layers, "tpm", np.float32, (len(columns), len(genes)), wide=stored >= 2**31) if tpm else None
        )
        lengths = np.array([gene.length for gene in genes], np.int64)
        for rows in select_rows(positions):
            matrix.append(rows)
            if layer:
                layer.append(tpm_of(rows, lengths))
        for written in filter(None, (matrix, layer)):
            written.finish(len(genes))
        h5ad.write_frame(root, "obs", names, obs)
        var = {
            "gene_id": [gene.gene_id for gene in genes],
            "gene_name": [gene.gene_name for gene in genes],
            "biotype": [gene.biotype for gene in genes],
            "length": lengths,
        }
        h5ad.write_frame(root, "var", counted, var)
        uns = h5ad.create_group(root, "uns")
        h5ad.write_text(uns, "genes_sha256", reader.genes_sha256)
        h5ad.write_text(uns, "reference", reader.reference)
        h5ad.write_text(uns, "reference_release", release)
        h5ad.write_text_group(uns, "parameters", parameters)
        h5ad.write_text_group(uns, "tools", merge_tools(tools))
        h5ad.write_empty_parts(root, [name for name in h5ad.EMPTY_PARTS if name not in root])


def parse_parameters(texts: Iterable[str]) -> dict[str, str]:
    """Return name → value of ``name=value`` texts. Raises InputError for others."""
    parameters = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            raise InputError(f"--parameters: {text!r} is not name=value, e.g. mode=intersection-nonempty.")
        parameters[name] = value
    return parameters


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_table_options(parser)
    parser.add_argument("--genes", required=True, help="the reference's table of genes (genes.tsv)")
    parser.add_argument("--reference", help="fingerprint of the reference (reference.json), for its release")
    parser.add_argument("--records", required=True, help="folder of the archives' answers (resources/records)")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="written to uns")
    parser.add_argument("--own-metadata", help="the user's own columns (units/own_metadata.tsv)")
    parser.add_argument("--tpm", action="store_true", help="add the layer tpm, see tpm_table")
    parser.add_argument("--quality", help="table of the quality of the cells (results/quality/cells.csv.gz), for obs")
    parser.add_argument("--output", required=True, help="the file to write ({species}.h5ad)")
    options = parser.parse_args(argv)
    tune_for_arrays()
    parameters = parse_parameters(options.parameters)
    units, columns = columns_of_options(options)
    sources = options.counts, options.genes, options.records
    own = read_own_metadata(options.own_metadata)
    release = str(read_release(options.reference)) if options.reference else ""
    write_h5ad(options.output, columns, units, *sources, parameters, options.tpm, own, options.quality, release)
    print(f"{options.output}: {len(columns)} cells.", file=sys.stderr)
