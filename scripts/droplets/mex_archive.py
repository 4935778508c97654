"""Pack the matrices of a droplet library into MEX archives; merge, show, verify, unpack or convert such archives."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.core.command import command_parser
from scripts.core.errors import InputError, is_of_machine
from scripts.core.files import atomic_folder, atomic_path, path_below
from scripts.core.folders import require_whole
from scripts.core.version import VERSION
from scripts.droplets.barcodes import probe_set, wells
from scripts.droplets.features.feature_reference import TAGS
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
from scripts.droplets.starsolo import find_barcodes, read_command, read_skipped_filters, stable_arguments
from scripts.formats.matrix_market import filter_columns, matrix_text
from scripts.plan.matrices import (
    ALL_FEATURES,
    FEATURES,
    MATRIX_NAMES,
    VELOCYTO,
    archive_name,
    archives_of,
    matrix_name,
    output_type,
)
from scripts.plan.run_table import Run
from scripts.plan.status import is_whole, read_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.records.family_files import read_family
from scripts.records.sra_xml import read_experiments

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


def describe_library(title: str, solo: Path) -> str:
    """Return the title of a library, with a word on wells whose two barcodes were joined, and on its probe set."""
    words = [title]
    if (solo / wells.TABLE).is_file():
        words.append("the oligo-dT and the hexamer barcode of each well are joined")
    if (solo / probe_set.NOTE).is_file():
        name = (solo / probe_set.NOTE).read_text(encoding="utf-8").partition("\t")[0]
        words.append(f"counted on the probe set {name}")
    return "; ".join(filter(None, words))


def cells_feature(feature: str) -> str:
    """Return the feature by which cells are called: the feature itself, for Velocyto Gene, as STAR does."""
    return "Gene" if feature == VELOCYTO else feature


def aligner_fields(solo: Path, feature: str, matrix: str) -> dict[str, str]:
    """Return the fields of the metadata that describe STAR; for cells also the filter that it skipped, if any."""
    version, words = read_command(solo / "Log.out")
    arguments = stable_arguments(words)
    skipped = read_skipped_filters(solo / "Log.out").get(cells_feature(feature))
    if matrix == "filtered" and skipped:
        arguments += f" ; {skipped.words}"
    return {"software": "STAR", "software_version": version, "arguments": arguments}


def pack_library(
    solo: Path,
    target: Path,
    features: Sequence[str],
    multireads: Sequence[str],
    library: dict[str, str],
    metadata_name: str,
    threads: int,
) -> list[Path]:
    """Write an archive for every matrix that STARsolo wrote to ``solo/Solo.out``; return their paths.

    EM, Rescue and Velocyto matrices of the cells are cut out of the raw ones. Where no cells were called (no
    ``filtered`` folder), there are no filtered archives.
    """
    written = []
    cells: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory(prefix=".mex.", dir=target) as temporary:
        for feature, way, matrix in archives_of(features, multireads):
            raw = solo / "Solo.out" / feature / "raw"
            folder = solo / "Solo.out" / (feature if matrix == "raw" else cells_feature(feature)) / matrix
            if not folder.is_dir():
                continue
            source = folder / matrix_name(way)
            if matrix == "filtered" and way != "Unique":
                if feature not in cells:
                    cells[feature] = find_barcodes(raw / "barcodes.tsv", folder / "barcodes.tsv")
                source = Path(temporary, "matrix.mtx")
                filter_columns(raw / matrix_name(way), source, cells[feature])
            fields = {
                "type": TYPE,
                **aligner_fields(solo, feature, matrix),
                "output_type": output_type(feature, way, matrix),
                **library,
            }
            path = target / archive_name(feature, way, matrix)
            write_archive(
                path,
                f"{feature}/{matrix}",
                matrix_name(way),
                fields=fields,
                barcodes=folder / "barcodes.tsv",
                features=raw / "features.tsv",
                matrix=source,
                metadata_name=metadata_name,
                threads=threads,
            )
            written.append(path)
        if (solo / "Solo.out" / TAGS).is_dir():
            written.append(pack_features(solo, target, library, metadata_name, threads))
    return written


def pack_features(solo: Path, target: Path, library: dict[str, str], metadata_name: str, threads: int) -> Path:
    """Write the archive of a library of features; return its path."""
    raw = solo / "Solo.out" / TAGS / "raw"
    path = target / archive_name(TAGS, "Unique", "raw")
    output = "unfiltered sparse feature count matrix of unique reads"
    fields = {"type": TYPE, **aligner_fields(solo, TAGS, "raw"), "output_type": output, **library}
    write_archive(
        path,
        f"{TAGS}/raw",
        "matrix.mtx",
        fields=fields,
        barcodes=raw / "barcodes.tsv",
        features=raw / "features.tsv",
        matrix=raw / "matrix.mtx",
        metadata_name=metadata_name,
        threads=threads,
    )
    return path


def pack(args: argparse.Namespace) -> None:
    """Pack a library; a failed one leaves the folder empty."""
    rows = read_unit_rows(args.runs)
    statuses = read_statuses(args.status)
    require_whole(args.solo)
    with atomic_folder(args.output) as target:
        if not all(row.run in statuses for row in rows) or not is_whole(statuses[row.run] for row in rows):
            print(f"{args.runs.stem}: not counted, no archives", file=sys.stderr)
            return
        library = {
            "experiment_accession": rows[0].experiment,
            "description": describe_library(find_title(rows[0], args.records), args.solo),
            "library_accession": rows[0].sample or rows[0].experiment,
        }
        options = (args.features, args.multireads, library, args.metadata_name, args.threads)
        for path in pack_library(args.solo, target, *options):
            print(f"{path.name}: {path.stat().st_size} bytes", file=sys.stderr)


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
            one.add_argument("--metadata-name", default=METADATA_NAMES[0], choices=METADATA_NAMES)
        return one

    one = add(pack, "pack the matrices of a library", "folder of the archives")
    one.add_argument("--solo", required=True, type=Path, help="folder with Solo.out and Log.out")
    one.add_argument("--status", required=True, type=Path, help="status table of the library")
    add_runs_option(one)
    one.add_argument("--records", required=True, type=Path, help="folder {series}/ with the archives' answers")
    one.add_argument("--features", nargs="+", default=list(FEATURES), choices=ALL_FEATURES)
    one.add_argument("--multireads", nargs="+", default=["Unique", "EM"], choices=list(MATRIX_NAMES))
    one.add_argument("--threads", type=int, default=1)
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
