"""Gather the cells of a series' droplet libraries into one AnnData file (h5ad), read from their archives.

- X: raw counts of the filtered cells (Gene_Unique_filtered), csr_matrix of whole numbers; zeros are not stored
- layers: the same cells in other matrices, when asked for: GeneFull_Unique, Gene_EM, Velocyto_spliced; their counts are
  those of the raw matrix (GeneFull_Unique_raw), whichever cells are called by it
- obs: index = experiment_barcode; columns of the run table (the runs of a library joined by ';', their spots and
  bases added up, -1 where unknown); geo_…: title, source and characteristics of the sample in GEO
- var: index = gene_id; gene_name
- uns: series, species, matrix, tools (the version of STAR; where libraries differ, all of them)

Cells are in the order of the experiments, then of their barcodes in the archive.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.files import atomic_path
from scripts.droplets.mex_reader import MexArchive, read_archive, read_cells
from scripts.formats import h5ad
from scripts.plan.matrices import MATRIX_NAMES, archive_folders, archive_name
from scripts.plan.status import is_whole, read_statuses
from scripts.plan.units import check_field, is_shard, read_unit_rows, unit_names, unit_tables
from scripts.records.obs_columns import describe_samples, droplet_columns, library_fields

if TYPE_CHECKING:
    import scipy.sparse

MAIN = "Gene_Unique"


class CountedLibrary(NamedTuple):
    """A counted library: the folder of its archives, and its obs columns, the same for all of its cells."""

    experiment: str
    folder: Path
    fields: dict[str, Any]

    def cells(self) -> MexArchive:
        """Return the archive of the cells, Gene_Unique_filtered. Raises InputError where it is missing."""
        feature, _, way = MAIN.rpartition("_")
        return read_archive(self.folder / archive_name(feature, way, "filtered"))

    def layer(self, matrix: str, cells: np.ndarray) -> MexArchive:
        """Return the cells, given by their barcodes, in a raw matrix, ``GeneFull_Unique`` and so on.

        Raises InputError where it is missing, or lacks one of them.
        """
        feature, _, way = matrix.rpartition("_")
        return read_cells(self.folder / archive_name(feature, way, "raw"), cells)


def counted_libraries(
    units: str, series: str, species: str, archives: str, statuses: str, records: Path
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
        rows_told = [row._replace(read_roles=status[row.run].read_roles or row.read_roles) for row in counted]
        fields = library_fields(rows_told, first.chemistry, first.read_roles, geo.get(mine[0].sample, {}))
        libraries.append(CountedLibrary(experiment, Path(archives.replace("{experiment}", name)), fields))
    return libraries


def cell_rows(archive: MexArchive) -> "scipy.sparse.csr_matrix":
    """Return the counts of an archive, a row a cell; zeros are not stored."""
    rows = archive.matrix.T.tocsr()
    rows.eliminate_zeros()
    rows.sort_indices()
    return rows


def write_h5ad(
    path: Path, libraries: Sequence[CountedLibrary], layers: Sequence[str], series: str, species: str
) -> int:
    """Write the file and return how many cells it has. Raises InputError where libraries do not have the same genes."""
    import h5py

    index: list[str] = []
    sizes: list[int] = []
    genes: list[tuple[str, ...]] | None = None
    versions: set[str] = set()
    with atomic_path(path) as partial, h5py.File(partial, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        main = h5ad.CsrWriter(root, "X", "int32")
        group = h5ad.create_group(root, "layers")
        shared = tuple(f"_{way}" for way in MATRIX_NAMES if way != MAIN.rpartition("_")[2])
        others = {name: h5ad.CsrWriter(group, name, "float64" if name.endswith(shared) else "int32") for name in layers}
        for library in libraries:
            archive = library.cells()
            versions.add(archive.metadata["software_version"])
            if genes is None:
                genes = archive.features
            for name in (MAIN, *layers):
                other = archive if name == MAIN else library.layer(name, archive.barcodes)
                if other.features != genes:
                    raise InputError(
                        f"{library.folder}: the genes of {name} are not those of {libraries[0].folder}; count all"
                        " libraries of a species with one reference."
                    )
                if name != MAIN:
                    others[name].append(cell_rows(other))
            main.append(cell_rows(archive))
            index += [f"{library.experiment}_{barcode}" for barcode in archive.barcodes.astype(str).tolist()]
            sizes.append(archive.barcodes.size)
        genes = genes or []
        main.finish(len(genes))
        for matrix in others.values():
            matrix.finish(len(genes))
        obs = droplet_columns([library.fields for library in libraries], sizes)
        h5ad.write_frame(root, "obs", index, obs)
        ids = [row[0] for row in genes]
        h5ad.write_frame(root, "var", ids, {"gene_id": ids, "gene_name": [(row[1:2] or row[:1])[0] for row in genes]})
        uns = h5ad.create_group(root, "uns")
        for name, value in (("series", series), ("species", species), ("matrix", f"{MAIN}_filtered")):
            h5ad.write_text(uns, name, value)
        h5ad.write_text_group(uns, "tools", {"STAR": ", ".join(sorted(versions))} if versions else {})
        h5ad.write_empty_parts(root, ("obsm", "obsp", "varm", "varp"))
    return len(index)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--units", required=True, help="folder of the units' run tables (units/runs)")
    parser.add_argument("--series", required=True, help="accession of the series")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--archives", required=True, help="folder of a library's archives, with {experiment} in it")
    parser.add_argument("--statuses", required=True, help="status table of a library, with {unit} in it")
    parser.add_argument("--records", required=True, type=Path, help="folder {series}/ with the archives' answers")
    parser.add_argument("--layers", nargs="*", default=[], metavar="MATRIX", help="e.g. GeneFull_Unique Gene_EM")
    parser.add_argument("--output", required=True, type=Path, help="the file to write")
    args = parser.parse_args(argv)
    check_field("--archives", args.archives, "{experiment}")
    check_field("--statuses", args.statuses)
    libraries = counted_libraries(args.units, args.series, args.species, args.archives, args.statuses, args.records)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    cells = write_h5ad(args.output, libraries, args.layers, args.series, args.species)
    print(f"{args.output}: {cells} cells of {len(libraries)} libraries.", file=sys.stderr)
