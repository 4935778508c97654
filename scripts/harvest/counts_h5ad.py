"""Gather the counts of all plate cells of a species into one AnnData file (h5ad), in bounded memory.

- X: counts as STAR and htseq-count gave them, csr_matrix of whole numbers
- obs: index = experiment (or run, with --count-by run); columns of the run table (several runs of a cell joined by
  ';', their spots and bases added up); tallies of htseq-count; star_…: the numbers of STAR's log, whole numbers and
  decimals, -1 and NaN where the log has none; geo_…: title, source and characteristics of the sample in GEO
- var: index = gene_id; gene_name, biotype, length (bases in exons)
- uns: reference (name and fingerprint), parameters, tools (versions of STAR and HTSeq, and who counted; where shards
  differ, all of them, joined by ', ')

Cells are in the order of the table of counts, genes in byte order.
"""

import itertools
import math
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.files import atomic_path
from scripts.core.numeric import tune_for_arrays
from scripts.formats import h5ad
from scripts.harvest.columns import (
    TableColumn,
    add_table_options,
    check_reference,
    check_shard_columns,
    columns_of_options,
    group_by_unit,
)
from scripts.plates.shard_counts import TALLIES, ShardReader, merge_tools
from scripts.records.sample_fields import SUMS, add_numbers, column_name, describe_samples, join_values
from scripts.references.genes_table import GeneRow, read_genes
from scripts.star.log import CLOCK_FIELDS, merge_fields

if TYPE_CHECKING:
    import numpy
    import scipy.sparse

KEPT_SHARDS = 24
"""Shards that are held in memory at a time, for series whose runs are not in the order of their experiments."""
CHUNK = 1 << 16
"""Elements in a chunk of the matrix."""

_TEXTS = ("series", "exp_id", "sample", "experiment", "tax_id", "organism", "species", "layout", "source")
_WHOLE = re.compile(r"-?[0-9]+")


def run_table_columns(columns: Sequence[TableColumn]) -> dict[str, Any]:
    """Return name → values for the columns that come from the run table; an unknown number is -1."""
    import numpy as np

    told: dict[str, Any] = {"runs": [column.runs for column in columns]}
    for name in _TEXTS:
        told[name] = [join_values(column.rows, name) for column in columns]
    for name in SUMS:
        told[name] = np.array([add_numbers(column.rows, name) for column in columns], np.int64)
    return told


def star_log_columns(logs: Sequence[Mapping[str, str]]) -> dict[str, "numpy.ndarray"]:
    """Return name → values for the fields of STAR's logs that are numbers, in STAR's order.

    int64 where all values are whole numbers, -1 where a log has none; else float64, and NaN.
    """
    import numpy as np

    told = {}
    for field in merge_fields(log.keys() for log in logs):
        texts = [log.get(field, "").removesuffix("%") for log in logs]
        if field in CLOCK_FIELDS or not any(texts):
            continue
        if all(not text or _WHOLE.fullmatch(text) for text in texts):
            values = np.array([int(text) if text else -1 for text in texts], np.int64)
        else:
            values = np.array([_number(text) for text in texts])
        told[f"star_{column_name(field)}"] = values
    return told


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return math.nan if math.isnan(value) else value


def geo_columns(columns: Sequence[TableColumn], records: str | Path) -> dict[str, list[str | None]]:
    """Return name → values for what GEO's family files say of the samples; None where nothing is said."""
    of_series: dict[str, dict[str, list[int]]] = {}
    for place, column in enumerate(columns):
        row = column.rows[0]
        of_series.setdefault(row.series, {}).setdefault(row.sample, []).append(place)
    told: dict[str, list[str | None]] = {}
    for series, places in sorted(of_series.items()):
        for sample, fields in describe_samples(records, series, places).items():
            for name, text in fields.items():
                cells = told.setdefault(name, [None] * len(columns))
                for place in places[sample]:
                    cells[place] = text
    return dict(sorted(told.items()))


class Rows:
    """The counts of shards as rows, a few shards held at a time."""

    def __init__(self, paths: Mapping[str, str], genes: int) -> None:
        self.paths = paths
        self.genes = genes
        self._held: OrderedDict[str, scipy.sparse.csr_matrix] = OrderedDict()

    def of_unit(self, unit: str) -> "scipy.sparse.csr_matrix":
        """Return the counts of a shard, cells × genes."""
        import numpy as np
        import scipy.sparse

        if unit in self._held:
            self._held.move_to_end(unit)
            return self._held[unit]
        with ShardReader(self.paths[unit]) as reader:
            indptr, cells, counts = reader.blocks().read(0, self.genes)
            shape = (len(reader.columns), self.genes)
        counts = counts.astype(np.int64 if counts.dtype.itemsize > 4 else f"u{counts.dtype.itemsize}")
        rows = scipy.sparse.csc_matrix((counts, cells.astype(np.int32), indptr), shape=shape).tocsr()
        self._held[unit] = rows
        while len(self._held) > KEPT_SHARDS:
            self._held.popitem(last=False)
        return rows


def iterate_rows(rows: Rows, places: Iterable[tuple[str, int]]) -> Iterator["scipy.sparse.csr_matrix"]:
    """Yield the counts of cells (unit, place in it) in their order, neighbours of one unit together."""
    for unit, group in itertools.groupby(places, lambda place: place[0]):
        gathered = [place for _, place in group]
        counts = rows.of_unit(unit)
        yield counts if gathered == list(range(counts.shape[0])) else counts[gathered]


def check_genes(genes: Sequence[GeneRow], counted: Sequence[str], path: str) -> None:
    """Raise InputError where the table of genes is not that of the counts."""
    if [gene.gene_id for gene in genes] != list(counted):
        surplus = sorted({gene.gene_id for gene in genes} ^ set(counted))[:3]
        told = f", e.g. {', '.join(surplus)}" if surplus else ""
        raise InputError(
            f"{path}: its {len(genes)} genes are not the {len(counted)} genes of the counts{told}."
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
) -> None:
    """Write the file. ``counts`` is the path of a shard's counts, with ``{unit}`` in it.

    Raises InputError where shards do not fit each other, the columns or the table of genes.
    """
    import h5py
    import numpy as np

    of_unit = group_by_unit(columns)
    paths = {unit: counts.replace("{unit}", unit) for unit in units}
    needed = [unit for unit in units if unit in of_unit] or list(units[:1])
    logs: list[dict[str, str]] = [{} for _ in columns]
    places: list[tuple[str, int]] = [("", 0)] * len(columns)
    tallies = np.zeros((len(columns), len(TALLIES)), np.int64)
    dtype: type = np.int32
    stored = 0
    tools = []
    with ShardReader(paths[needed[0]]) as first:
        counted = first.genes()
    genes = read_genes(genes_path)
    check_genes(genes, counted, genes_path)
    for unit in needed:
        with ShardReader(paths[unit]) as reader:
            check_reference(first, reader)
            mine = of_unit.get(unit, [])
            in_shard = check_shard_columns(reader, [columns[place] for place in mine])
            of_shard, tallied = reader.logs(), reader.tallies()
            tools.append(reader.tools())
            if reader.file["X/data"].dtype.itemsize > 4:
                dtype = np.int64
            stored += reader.file["X/data"].shape[0]
        for place, cell in zip(mine, in_shard, strict=True):
            logs[place] = {sys.intern(name): sys.intern(value) for name, value in of_shard[cell].items()}
            tallies[place] = tallied[cell]
            places[place] = (unit, cell)
    obs = run_table_columns(columns)
    obs |= {name: tallies[:, place].copy() for place, name in enumerate(TALLIES)}
    obs |= star_log_columns(logs)
    del logs
    obs |= geo_columns(columns, records)
    index_type = np.int32 if stored < 2**31 else np.int64  # one for both: scipy's conversions refuse a mixture
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.create_group(root, "X", "csr_matrix")
        matrix.attrs["shape"] = np.array([len(columns), len(genes)], np.int64)
        data = h5ad.ArrayWriter(matrix, "data", dtype, CHUNK)
        indices = h5ad.ArrayWriter(matrix, "indices", index_type, CHUNK)
        lengths = [np.zeros(1, np.int64)]
        for rows in iterate_rows(Rows(paths, len(genes)), places):
            data.append(rows.data)
            indices.append(rows.indices.astype(index_type, copy=False))
            lengths.append(np.diff(rows.indptr))
        data.finish()
        indices.finish()
        h5ad.write_array(matrix, "indptr", np.cumsum(np.concatenate(lengths), dtype=np.int64).astype(index_type))
        h5ad.write_frame(root, "obs", [column.accession for column in columns], obs)
        var = {
            "gene_id": [gene.gene_id for gene in genes],
            "gene_name": [gene.gene_name for gene in genes],
            "biotype": [gene.biotype for gene in genes],
            "length": np.array([gene.length for gene in genes], np.int64),
        }
        h5ad.write_frame(root, "var", counted, var)
        uns = h5ad.create_group(root, "uns")
        h5ad.write_text(uns, "genes_sha256", first.genes_sha256)
        h5ad.write_text(uns, "reference", first.reference)
        h5ad.write_text_group(uns, "parameters", parameters)
        h5ad.write_text_group(uns, "tools", merge_tools(tools))
        h5ad.write_empty_parts(root)


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
    parser.add_argument("--records", required=True, help="folder of what the archives answered (resources/records)")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="noted in uns")
    parser.add_argument("--output", required=True, help="the file to write ({species}.h5ad)")
    options = parser.parse_args(argv)
    tune_for_arrays()
    parameters = parse_parameters(options.parameters)
    units, columns = columns_of_options(options)
    write_h5ad(options.output, columns, units, options.counts, options.genes, options.records, parameters)
    print(f"{options.output}: {len(columns)} cells.", file=sys.stderr)
