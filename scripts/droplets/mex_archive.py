"""Pack the matrices of a droplet library into MEX archives; merge, show, verify, unpack or convert such archives."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, atomic_path, path_below, remove_folder
from scripts.core.errors import InputError, is_of_machine
from scripts.core.version import VERSION
from scripts.droplets.barcodes import probe_set, wells
from scripts.droplets.features.feature_reference import TAGS
from scripts.droplets.kept.cell_calls import CalledCells
from scripts.droplets.kept.kept_library import KeptLibrary
from scripts.droplets.mex.mex_merge import join_features, join_matrices
from scripts.droplets.mex.mex_reader import (
    MexParts,
    parse_barcodes,
    parse_features,
    read_archive,
    read_parts,
    unpack_archive,
    verify_archive,
)
from scripts.droplets.mex.mex_writer import METADATA_NAMES, TYPE, write_archive
from scripts.droplets.starsolo import find_barcodes, stable_arguments
from scripts.formats.matrix_market import filter_columns, matrix_text
from scripts.plan.matrices import (
    VELOCYTO,
    add_features_option,
    add_multireads_option,
    archive_name,
    archives_of,
    matrix_name,
    output_type,
    write_archive_list,
)
from scripts.plan.run_table import Run
from scripts.plan.status import is_whole, read_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.records.answers.family_files import read_family
from scripts.records.answers.sra_xml import read_experiments
from scripts.star.presets import as_arguments

if TYPE_CHECKING:
    import scipy.sparse


SOFTWARE = "sra2matrix"


def find_title(row: Run, records: Path) -> str:
    """Return the title of a run's sample in GEO, else that of its experiment in the SRA's record, else nothing."""
    family = path_below(records, row.series, f"{row.series}_family.soft.gz")
    if row.sample and family.is_file():
        for entity in read_family(family):
            if entity.kind == "sample" and entity.accession == row.sample:
                return entity.first("title")
    record = path_below(records, row.series, "sra.xml.gz")
    if record.is_file():
        for experiment in read_experiments(record):
            if experiment.experiment == row.experiment:
                return experiment.title
    return ""


def describe_library(title: str, counted: Path) -> str:
    """Return the title of a library, with a word on wells whose two barcodes were joined, and on its probe set."""
    words = [title]
    if (counted / wells.TABLE).is_file():
        words.append("the oligo-dT and the hexamer barcode of each well are joined")
    if (counted / probe_set.NOTE).is_file():
        name = (counted / probe_set.NOTE).read_text(encoding="utf-8").partition("\t")[0]
        words.append(f"counted on the probe set {name}")
    return "; ".join(filter(None, words))


def cells_feature(feature: str) -> str:
    """Return the feature by which cells are called: the feature itself, for Velocyto Gene, as STAR does."""
    return "Gene" if feature == VELOCYTO else feature


class LibraryPacker:
    """Packs the matrices of a library into a folder of archives; ``described`` are the fields that describe it."""

    def __init__(
        self,
        library: KeptLibrary,
        cells: CalledCells,
        target: Path,
        described: Mapping[str, str],
        metadata_name: str = METADATA_NAMES[0],
        threads: int = 1,
    ) -> None:
        self.library, self.cells, self.target = library, cells, target
        self.described, self.metadata_name, self.threads = described, metadata_name, threads

    def pack(self, features: Sequence[str], multireads: Sequence[str]) -> list[Path]:
        """Write an archive for every matrix of these features, or of the tags of a library of features.

        EM, Rescue and Velocyto matrices of the cells are cut out of the raw ones, and so are those of unique reads.
        Where no cells were called, there are no filtered archives. Returns the paths.
        """
        with tempfile.TemporaryDirectory(prefix=".mex.", dir=self.target) as temporary:
            folder = Path(temporary)
            barcodes = self.library.unpack_barcodes(folder / "barcodes.tsv")
            if self.library.has(TAGS):
                options = self.library.options
                output = "unfiltered sparse feature count matrix of unique reads"
                matrix = self.library.unpack(TAGS, "matrix.mtx", folder / "matrix.mtx")
                return [self._pack_matrix(folder, (TAGS, "Unique", "raw"), options, output, barcodes, matrix)]
            options = self.library.options | {
                "soloFeatures": " ".join(features),
                "soloMultiMappers": " ".join(multireads),
                "soloCellFilter": self.cells.cell_filter,
            }
            written = []
            for feature, way, matrix_kind in archives_of(features, multireads):
                raw, named = folder / "matrix.mtx", barcodes
                cells = self.cells.barcodes(cells_feature(feature))
                if matrix_kind == "raw":
                    self.library.unpack(feature, matrix_name(way), raw)
                elif cells is None:
                    continue
                else:
                    filter_columns(raw, folder / "cells.mtx", find_barcodes(barcodes, cells))
                    raw, named = folder / "cells.mtx", cells
                archive = feature, way, matrix_kind
                written.append(self._pack_matrix(folder, archive, options, output_type(*archive), named, raw))
            return written

    def _pack_matrix(
        self,
        folder: Path,
        archive: tuple[str, str, str],
        options: Mapping[str, str],
        output: str,
        barcodes: Path,
        matrix: Path,
    ) -> Path:
        """Write the archive of a feature, way and kind of matrix; return its path."""
        feature, way, kind = archive
        path = self.target / archive_name(*archive)
        arguments = stable_arguments(["STAR", *as_arguments(options)])
        skipped = self.cells.skipped.get(cells_feature(feature))
        if kind == "filtered" and skipped:
            arguments += f" ; {skipped.words}"
        write_archive(
            path,
            f"{feature}/{kind}",
            matrix_name(way),
            fields={
                "type": TYPE,
                "software": "STAR",
                "software_version": self.library.star_version,
                "arguments": arguments,
                "output_type": output,
                **self.described,
            },
            barcodes=barcodes,
            features=self.library.unpack(feature, "features.tsv", folder / "features.tsv"),
            matrix=matrix,
            metadata_name=self.metadata_name,
            threads=self.threads,
        )
        return path


def pack(args: argparse.Namespace) -> None:
    """Pack a library, and write which archives it has; of one that failed there is no folder."""
    rows = read_unit_rows(args.runs)
    statuses = read_statuses(args.status)
    written: list[Path] = []
    if all(row.run in statuses for row in rows) and is_whole(statuses[row.run] for row in rows):
        described = {
            "experiment_accession": rows[0].experiment,
            "description": describe_library(find_title(rows[0], args.records), args.solo),
            "library_accession": rows[0].sample or rows[0].experiment,
        }
        library, cells = KeptLibrary(args.solo), CalledCells(args.cells)
        with atomic_folder(args.output) as target:
            packer = LibraryPacker(library, cells, target, described, args.metadata_name, args.threads)
            written = packer.pack(args.features, args.multireads)
    else:
        print(f"{args.runs.stem}: not counted, no archives", file=sys.stderr)
        remove_folder(args.output.parent, args.output.name)
    sizes = {path.name: (args.output / path.name).stat().st_size for path in written}
    for name, size in sizes.items():
        print(f"{name}: {size} bytes", file=sys.stderr)
    if args.list:
        write_archive_list(args.list, sizes)


def own_fields(
    arguments: str, output: str, experiments: Iterable[str], description: str, libraries: str
) -> dict[str, str]:
    """Return the metadata of an archive that is not STAR's alone."""
    return {
        "type": TYPE,
        "software": SOFTWARE,
        "software_version": VERSION,
        "arguments": arguments,
        "output_type": output,
        "experiment_accession": ";".join(experiments),
        "description": description,
        "library_accession": libraries,
    }


def write_matrix(
    target: Path,
    folder: str,
    name: str,
    fields: dict[str, str],
    barcodes: Sequence[str],
    features: Sequence[Sequence[str]],
    matrix: "scipy.sparse.csc_matrix",
    metadata_name: str,
) -> None:
    """Write an archive of a matrix (features × barcodes) in memory."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mex.", dir=target.parent) as temporary:
        text = Path(temporary, "matrix.mtx")
        with text.open("wb") as writer:
            writer.writelines(matrix_text(matrix))
        write_names(target, folder, name, fields, barcodes, features, text, metadata_name)


def merge(args: argparse.Namespace) -> None:
    """Put the same matrix of several libraries into one archive; barcodes get the experiment before them.

    Splice junctions (SJ) are united: reads of a junction in features.tsv are those of all libraries. Raises InputError
    where the archives are not of one kind of matrix or do not have the same genes.
    """
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mex.", dir=args.output.parent) as temporary:
        parts: dict[str, MexParts] = {}
        for number, name in enumerate(args.archives):
            part = read_parts(name, Path(temporary, f"{number}.mtx"))
            experiment = part.metadata.get("experiment_accession", "")
            if not experiment or experiment in parts:
                raise InputError(f"{name}: its experiment ({experiment or 'none named'}) must be there, and once only.")
            parts[experiment] = part
        features, rows = join_features(list(parts.values()))
        matrix = Path(temporary, "matrix.mtx")
        join_matrices(list(parts.values()), rows, len(features), matrix)
        descriptions, libraries = (
            ";".join(dict.fromkeys(part.metadata.get(field, "") for part in parts.values()))
            for field in ("description", "library_accession")
        )
        first = next(iter(parts.values()))
        fields = own_fields(
            " ; ".join(f"{name}: {part.metadata.get('arguments', '')}" for name, part in parts.items()),
            first.metadata.get("output_type", ""),
            parts,
            args.description or descriptions,
            libraries,
        )
        barcodes = [f"{name}_{code}" for name, part in parts.items() for code in part.barcodes.astype(str).tolist()]
        write_names(
            args.output, first.folder, first.matrix_name, fields, barcodes, features, matrix, args.metadata_name
        )


def write_names(
    target: Path,
    folder: str,
    name: str,
    fields: dict[str, str],
    barcodes: Sequence[str],
    features: Sequence[Sequence[str]],
    matrix: Path,
    metadata_name: str,
) -> None:
    """Write an archive of a matrix in a file. Raises InputError for names that no archive can have."""
    texts = ("".join(f"{barcode}\n" for barcode in barcodes), "".join("\t".join(row) + "\n" for row in features))
    content = [text.encode() for text in texts]
    try:
        parse_barcodes(content[0])
        parse_features(content[1])
    except ValueError as error:
        raise InputError(f"{target}: cannot be written: {error}.") from error
    write_archive(
        target,
        folder,
        name,
        fields=fields,
        barcodes=content[0],
        features=content[1],
        matrix=matrix,
        metadata_name=metadata_name,
    )


def plates(args: argparse.Namespace) -> None:
    """Pack the counts of plate cells ({species}.h5ad): barcodes.tsv names their experiments or runs."""
    import anndata
    import scipy.sparse

    try:
        data = anndata.read_h5ad(args.counts)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{args.counts}: cannot be read as an h5ad file: {error}.") from error
    experiments, samples = (
        list(dict.fromkeys(data.obs[column].astype(str))) if column in data.obs else []
        for column in ("experiment", "sample")
    )
    names = data.var["gene_name"].astype(str) if "gene_name" in data.var else data.var_names
    arguments = " ".join(f"{name}={value}" for name, value in sorted(data.uns.get("parameters", {}).items()))
    output = output_type("Gene", "Unique", "raw")
    fields = own_fields(arguments, output, experiments, args.description, ";".join(samples))
    features = [(gene, name, "Gene Expression") for gene, name in zip(data.var_names, names, strict=True)]
    matrix = scipy.sparse.csc_matrix(data.X.T)
    if not (np.isfinite(matrix.data).all() and (matrix.data >= 0).all()):
        raise InputError(f"{args.counts}: its X has values that are no counts: below zero, or no numbers.")
    write_matrix(
        args.output, "Gene/raw", "matrix.mtx", fields, list(data.obs_names), features, matrix, args.metadata_name
    )


def show(args: argparse.Namespace) -> None:
    """Print the metadata and the size of each archive."""
    for number, name in enumerate(args.archives):
        archive = read_archive(name)
        print(f"{chr(10) if number else ''}{name}")
        for key, value in archive.metadata.items():
            print(f"  {key}\t{' '.join(value.split())}")
        rows, columns = archive.matrix.shape
        total = f"{archive.matrix.nnz} entries, sum {archive.matrix.sum():.15g}"
        print(f"  matrix\t{rows} features × {columns} barcodes, {total}")


def verify(args: argparse.Namespace) -> None:
    """Check each archive's members against their md5; raises InputError that names those that differ."""
    faults = []
    for name in args.archives:
        try:
            members = verify_archive(name)
        except InputError as error:
            faults.append(str(error))
            continue
        for path, same in members.items():
            print(f"{name}\t{path}\t{'ok' if same else 'differs'}")
        faults += [
            f"{name}: {path} differs from the md5 in the metadata." for path, same in members.items() if not same
        ]
    if faults:
        raise InputError("\n".join(faults))


def unpack(args: argparse.Namespace) -> None:
    """Write the members below a folder; with --tenx as the gzip'd files that readers of 10x matrices expect."""
    for path in unpack_archive(args.archive, args.output, args.tenx):
        print(path)


def convert(args: argparse.Namespace) -> None:
    """Write an archive as AnnData."""
    if args.output.suffix != ".h5ad":
        raise InputError(f"{args.output}: give a name that ends with .h5ad.")
    data = read_archive(args.archive).to_anndata()
    with atomic_path(args.output) as partial:
        data.write_h5ad(partial)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="pack|merge|plates|show|verify|unpack|convert")

    def add(function: Callable[[argparse.Namespace], None], title: str, output: str = "") -> argparse.ArgumentParser:
        one = commands.add_parser(function.__name__, help=title, description=function.__doc__)
        one.set_defaults(do=function)
        if output:
            one.add_argument("--output", required=True, type=Path, help=output)
        if function in (pack, merge, plates):
            one.add_argument(
                "--metadata-name",
                default=METADATA_NAMES[0],
                choices=METADATA_NAMES,
                help="name of the member with the metadata",
            )
        return one

    one = add(pack, "pack the matrices of a library", "folder of the archives")
    one.add_argument("--solo", required=True, type=Path, help="what the library was counted to (units/solo)")
    one.add_argument("--cells", required=True, type=Path, help="the called cells of the library")
    one.add_argument("--status", required=True, type=Path, help="status table of the library")
    add_runs_option(one)
    one.add_argument("--records", required=True, type=Path, help="folder {series}/ with the archives' answers")
    add_features_option(one)
    add_multireads_option(one)
    one.add_argument("--threads", type=int, default=1, help="archives that are packed side by side")
    one.add_argument("--list", type=Path, help="write a table of the archives and their sizes")
    one = add(merge, "merge archives of several libraries", "the merged archive")
    one.add_argument("archives", nargs="+", help="paths or http(s) addresses, all of the same matrix")
    one.add_argument("--description", default="", help="a line of text; default: those of the parts")
    one = add(plates, "pack the counts of plate cells", "the archive")
    one.add_argument("--counts", required=True, help="results/{species}.h5ad")
    one.add_argument("--description", default="", help="a line of text")
    for one in (add(show, "show archives"), add(verify, "verify archives")):
        one.add_argument("archives", nargs="+", help="paths or http(s) addresses")
    one = add(unpack, "unpack an archive", "folder below which the members are written")
    one.add_argument("archive", help="path or http(s) address")
    one.add_argument("--tenx", action="store_true", help="matrix.mtx.gz, barcodes.tsv.gz, features.tsv.gz")
    one = add(convert, "convert an archive to AnnData", "an .h5ad file")
    one.add_argument("archive", help="path or http(s) address")
    args = parser.parse_args(argv)
    if args.do in (merge, plates, convert) and (args.output.is_dir() or not args.output.name):
        raise InputError(f"{args.output}: a folder; give the name of the file to write.")
    try:
        args.do(args)
    except OSError as error:  # of a path that a person gave
        if args.do is pack or is_of_machine(error):
            raise
        raise InputError(f"{error.filename or 'mex_archive'}: {error.strerror or error}.") from error
