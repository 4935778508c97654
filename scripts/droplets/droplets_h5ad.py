"""Gather the cells of a series' droplet libraries into one AnnData file (h5ad), read from their archives.

- X: raw counts of the filtered cells (Gene_Unique_filtered, or GeneFull_Unique_filtered where introns are counted,
  which uns/matrix says), csr_matrix of whole numbers; zeros are not stored
- layers: the same cells in other matrices, when asked for: GeneFull_Unique, Gene_EM; Velocyto's are called spliced,
  unspliced and ambiguous; their counts are those of the raw matrix, whichever cells are called by it
- obs: index = experiment_barcode; columns of the run table (the runs of a library joined by ';', their spots and
  bases added up, NaN where unknown); library, barcode; total_counts, n_genes_by_counts, pct_counts_mt, _ribo, _ig, _tr,
  _spike_in as scanpy has them; counts on XIST and on genes of Y; robust z-scores in the library, and flags of outliers;
  geo_…: title, source and characteristics of the sample in GEO
- var: index = gene_id; gene_name, gene_ids, feature_types, genome, chromosome, biotype
- uns: series, species, matrix, counts_chosen (why X counts what it does), reference (name and fingerprint),
  reference_sources (addresses, release, and sha256 of genome and annotation), tools (the version of STAR; where
  libraries differ, all of them), libraries (of each experiment its kit, the proof of it, and STAR's arguments)

Cells are in the order of the experiments, then of their barcodes in the archive. Without a cell the file has the genes.
"""

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path
from scripts.core.errors import InputError
from scripts.droplets.cell_columns import EXONS, WITH_INTRONS, cell_figures, choose_feature, gene_columns, group_genes
from scripts.droplets.features.features_h5ad import ARCHIVE as FEATURE_ARCHIVE
from scripts.droplets.features.features_h5ad import CellsOfLibrary, write_features_h5ad
from scripts.droplets.mex.mex_reader import MexArchive, read_archive, read_cells
from scripts.formats import h5ad
from scripts.plan.matrices import MATRIX_NAMES, VELOCYTO, add_features_option, archive_folders, archive_name
from scripts.plan.own_metadata import OwnMetadata, read_own_metadata
from scripts.plan.status import is_whole, read_statuses
from scripts.plan.units import check_field, is_shard, read_unit_rows, unit_names, unit_tables
from scripts.records.obs_columns import add_own, describe_samples, droplet_columns, library_fields
from scripts.references.gene_kinds import spike_in_contigs
from scripts.references.genes_table import GeneRow, read_genes
from scripts.references.releases import read_release

if TYPE_CHECKING:
    import h5py
    import scipy.sparse

_SHARED = tuple(f"_{way}" for way in MATRIX_NAMES if way != "Unique")  # ways that share molecules out, real numbers


class Contents(NamedTuple):
    """What a file is of, and what is in it."""

    series: str
    species: str
    feature: str
    """Whose counts are in X, and whose cells they are."""
    chosen: str
    """Why it is that feature."""
    layers: Sequence[str]
    """Matrices, ``GeneFull_Unique`` and so on."""
    genes: Mapping[str, GeneRow]
    reference: Mapping[str, str]
    """The reference.json of the reference, all values as text."""
    sources: Mapping[str, str]
    spike_ins: frozenset[str] = frozenset()
    """Their contigs."""


class CountedLibrary(NamedTuple):
    """A counted library: the folder of its archives, and its obs columns, the same for all of its cells."""

    experiment: str
    folder: Path
    fields: dict[str, Any]
    proof: str = ""
    own: Mapping[str, str] = {}

    def cells(self, feature: str) -> MexArchive:
        """Return the archive of the cells of a feature. Raises InputError where it is missing."""
        return read_archive(self.folder / archive_name(feature, "Unique", "filtered"))

    def layer(self, matrix: str, cells: np.ndarray) -> MexArchive:
        """Return the cells, given by their barcodes, in a raw matrix, ``GeneFull_Unique`` and so on.

        Raises InputError where it is missing, or lacks one of them.
        """
        feature, _, way = matrix.rpartition("_")
        return read_cells(self.folder / archive_name(feature, way, "raw"), cells)


def counted_libraries(
    units: str, series: str, species: str, archives: str, statuses: str, records: Path, own: OwnMetadata
) -> list[CountedLibrary]:
    """Return the libraries of a series and species whose runs were all counted, in the order of their accessions.

    ``units`` is the folder of the units' run tables, which has those of all species.
    """
    planned = [name.split(".", 2) for name in unit_names(units) if not is_shard(name)]
    folders = archive_folders((experiment, of) for _, of, experiment in planned)
    tables = unit_tables(units, species, series)
    rows = {unit: read_unit_rows(path) for unit, path in tables.items() if not is_shard(unit)}
    geo = describe_samples(records, series, sorted({row.sample for mine in rows.values() for row in mine}))
    libraries = []
    for unit, mine in rows.items():
        status = read_statuses(statuses.replace("{unit}", unit))
        if not all(row.run in status for row in mine) or not is_whole(status[row.run] for row in mine):
            continue
        counted = [row for row in mine if status[row.run].state != "left_out"]
        experiment = mine[0].experiment
        name = folders[experiment, species]
        first = next(status[row.run] for row in mine if status[row.run].ok)
        rows_told = [
            row._replace(
                read_roles=status[row.run].read_roles or row.read_roles, spots=status[row.run].spots or row.spots
            )
            for row in counted
        ]
        fields = library_fields(rows_told, first.chemistry, first.read_roles, geo.get(mine[0].sample, {}))
        folder = Path(archives.replace("{experiment}", name))
        libraries.append(CountedLibrary(experiment, folder, fields, first.detail, own.of_cell(counted)))
    return libraries


def cell_rows(archive: MexArchive) -> "scipy.sparse.csr_matrix":
    """Return the counts of an archive, a row a cell; zeros are not stored."""
    rows = archive.matrix.T.tocsr()
    rows.eliminate_zeros()
    rows.sort_indices()
    return rows


def layer_name(matrix: str) -> str:
    """Return what the layer of a matrix is called: Velocyto's by the kind of molecules, as its tools expect it."""
    return matrix.removeprefix(f"{VELOCYTO}_")


def write_h5ad(path: Path, libraries: Sequence[CountedLibrary], contents: Contents) -> int:
    """Write the file and return how many cells it has. Raises InputError where libraries do not have the same genes."""
    import h5py

    index: list[str] = []
    obs: list[dict[str, Any]] = []
    features: list[tuple[str, ...]] | None = None
    var: dict[str, list[str]] = {}
    groups = group_genes({name: [] for name in ("gene_id", "gene_name", "biotype", "chromosome")})
    about: dict[str, dict[str, str]] = {}
    main_name = f"{contents.feature}_Unique"
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        main = h5ad.CsrWriter(root, "X", "int32")
        group = h5ad.create_group(root, "layers")
        others = {
            name: h5ad.CsrWriter(group, layer_name(name), "float64" if name.endswith(_SHARED) else "int32")
            for name in contents.layers
        }
        for library in libraries:
            archive = library.cells(contents.feature)
            if features is None:
                features = archive.features
                var = gene_columns(features, contents.genes, contents.reference.get("name", ""))
                groups = group_genes(var, contents.spike_ins)
            for name in (main_name, *contents.layers):
                other = archive if name == main_name and name not in others else library.layer(name, archive.barcodes)
                if other.features != features:
                    raise InputError(
                        f"{library.folder}: the genes of {name} are not those of {libraries[0].folder}; count all"
                        " libraries of a species with one reference."
                    )
                if name in others:
                    others[name].append(cell_rows(other))
            rows = cell_rows(archive)
            main.append(rows)
            barcodes = archive.barcodes.astype(str).tolist()
            index += [f"{library.experiment}_{barcode}" for barcode in barcodes]
            obs.append({"barcode": barcodes, **cell_figures(rows, groups)})
            about[library.experiment] = {
                "arguments": archive.metadata.get("arguments", ""),
                "chemistry": library.fields.get("chemistry", ""),
                "proof": library.proof,
                "star": archive.metadata.get("software_version", ""),
            }
        if features is None:
            features = [(gene.gene_id, gene.gene_name) for gene in contents.genes.values()]
            var = gene_columns(features, contents.genes, contents.reference.get("name", ""))
        main.finish(len(features))
        for matrix in others.values():
            matrix.finish(len(features))
        h5ad.write_frame(root, "obs", index, obs_columns(libraries, obs))
        h5ad.write_frame(root, "var", [row[0] for row in features], var)
        write_uns(root, contents, about)
        h5ad.write_empty_parts(root, ("obsm", "obsp", "varm", "varp"))
    return len(index)


def obs_columns(libraries: Sequence[CountedLibrary], obs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return column → values of all cells; ``obs`` has those of each library's cells that differ from cell to cell."""
    sizes = [len(one["barcode"]) for one in obs]
    columns = droplet_columns([library.fields for library in libraries], sizes)
    names = [library.experiment for library in libraries]
    columns["library"] = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    for name in obs[0] if obs else ():
        parts = [one[name] for one in obs]
        columns[name] = list(itertools.chain(*parts)) if name in ("barcode", "flags") else np.concatenate(parts)
    add_own(columns, [library.own for library, size in zip(libraries, sizes, strict=True) for _ in range(size)])
    return columns


def write_uns(root: "h5py.File", contents: Contents, about: Mapping[str, Mapping[str, str]]) -> None:
    """Write what is known of the file as a whole; ``about`` is experiment → name → text."""
    uns = h5ad.create_group(root, "uns")
    texts = {
        "series": contents.series,
        "species": contents.species,
        "matrix": f"{contents.feature}_Unique_filtered",
        "counts_chosen": contents.chosen,
        "reference": f"{contents.reference.get('name', '')} sha256:{contents.reference.get('fingerprint', '')}",
    }
    for name, value in texts.items():
        h5ad.write_text(uns, name, value)
    h5ad.write_text_group(uns, "reference_sources", dict(contents.reference) | dict(contents.sources))
    versions = sorted({one["star"] for one in about.values()})
    h5ad.write_text_group(uns, "tools", {"STAR": ", ".join(versions)} if versions else {})
    group = h5ad.create_group(uns, "libraries")
    for experiment, fields in sorted(about.items()):
        h5ad.write_text_group(group, experiment, {name: text for name, text in fields.items() if name != "star"})


def read_reference(path: Path | None) -> dict[str, str]:
    """Return the values of a reference.json as text, and the release in words; none without a file."""
    if path is None:
        return {}
    described = json.loads(path.read_text(encoding="utf-8")) | {"release": str(read_release(path))}
    return {name: str(value) for name, value in described.items() if not isinstance(value, dict)}


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--units", required=True, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--series", required=True, help="accession of the series")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--archives", required=True, help="folder of a library's archives, with {experiment} in it")
    parser.add_argument("--statuses", required=True, help="status table of a library, with {unit} in it")
    parser.add_argument("--records", required=True, type=Path, help="folder {series}/ with the archives' answers")
    parser.add_argument("--layers", nargs="*", default=[], metavar="MATRIX", help="e.g. GeneFull_Unique Gene_EM")
    parser.add_argument(
        "--counts", default="auto", choices=("auto", EXONS, WITH_INTRONS), help="whose counts and cells are X"
    )
    add_features_option(parser)
    parser.add_argument("--genes", type=Path, help="the reference's table of genes (genes.tsv)")
    parser.add_argument("--reference", type=Path, help="fingerprint of the reference (reference.json)")
    parser.add_argument(
        "--sources", nargs="*", default=[], metavar="NAME=TEXT", help="where the reference is from, for uns"
    )
    parser.add_argument("--own-metadata", help="the user's own columns (units/own_metadata.tsv)")
    parser.add_argument("--features-output", type=Path, help="the file of the features of the cells")
    parser.add_argument("--output", required=True, type=Path, help="the file to write")
    args = parser.parse_args(argv)
    check_field("--archives", args.archives, "{experiment}")
    check_field("--statuses", args.statuses)
    own = read_own_metadata(args.own_metadata)
    libraries = counted_libraries(
        args.units, args.series, args.species, args.archives, args.statuses, args.records, own
    )
    of_features = [one for one in libraries if (one.folder / FEATURE_ARCHIVE).is_file()]
    libraries = [one for one in libraries if one not in of_features]
    described = {one.experiment: (one.fields.get("chemistry", ""), geo_texts(one.fields)) for one in libraries}
    feature, chosen = choose_feature(args.counts, args.features, described)
    contents = Contents(
        args.series,
        args.species,
        feature,
        chosen,
        args.layers,
        {gene.gene_id: gene for gene in read_genes(args.genes)} if args.genes else {},
        read_reference(args.reference),
        {name: text for name, _, text in (word.partition("=") for word in args.sources)},
        spike_in_contigs(args.reference) if args.reference else frozenset(),
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    cells = write_h5ad(args.output, libraries, contents)
    if args.features_output:
        gathered = [CellsOfLibrary(one.experiment, one.cells(feature).barcodes) for one in libraries]
        args.features_output.parent.mkdir(parents=True, exist_ok=True)
        tagged = [(one.experiment, one.folder) for one in of_features]
        for words in write_features_h5ad(args.features_output, gathered, tagged):
            print(words, file=sys.stderr)
    print(f"{args.output}: {cells} cells of {len(libraries)} libraries by {feature}: {chosen}.", file=sys.stderr)


def geo_texts(fields: Mapping[str, Any]) -> list[str]:
    """Return what GEO says of the sample of a library."""
    return [value for name, value in fields.items() if name.startswith("geo_") and isinstance(value, str)]
