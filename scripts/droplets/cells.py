"""Call the cells of a library from what it was counted to, and judge it by its floors; no read is needed.

The status of the library follows: a library that is below a floor has failed, until the floor is lowered.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, atomic_path, parse_json
from scripts.core.errors import InputError, RunFault
from scripts.core.subprocesses import ends_with_command
from scripts.droplets.features.feature_reference import TAGS
from scripts.droplets.kept.cell_calls import NO_FILTER, CellCalls, call_cells, write_calls
from scripts.droplets.kept.floors import check_library
from scripts.droplets.kept.kept_library import KeptLibrary
from scripts.droplets.library_figures import Bounds, LibraryFigures
from scripts.plan.counted import write_judged
from scripts.plan.matrices import GENE_FEATURES, add_features_option
from scripts.plan.star_options import cell_filter_fault
from scripts.plan.status import is_whole, read_statuses, write_statuses
from scripts.star.program import installed_version


def describe_filters(cell_filter: str, calls: Mapping[str, CellCalls]) -> str:
    """Return which cell filter was in effect where it is not the one asked for, or none; empty elsewhere."""
    if cell_filter == NO_FILTER:
        return "No cells were called (droplets.cell_filter: None); there are raw matrices only."
    skipped = {feature: called.skipped for feature, called in calls.items() if called.skipped}
    if not skipped:
        return ""
    first = next(iter(skipped.values()))
    barcodes = ", ".join(f"{feature} has {skipped[feature].barcodes}" for feature in sorted(skipped))
    most = f"it needs more than {first.most} barcodes"
    return f"EmptyDrops_CR was skipped, {most} ({barcodes}): cells by {first.instead}."


def call_library(library: KeptLibrary, features: Sequence[str], cell_filter: str, output: Path) -> dict[str, CellCalls]:
    """Write the cells of a library to an empty folder; return feature → its cells. Raises as :func:`call_cells`."""
    if library.has(TAGS):
        write_calls(output, library, [], NO_FILTER, {})
        return {}
    if missing := [feature for feature in features if not library.has(feature)]:
        raise InputError(
            f"{library.folder}: {', '.join(missing)} was not counted. Delete the folder to count the library again."
        )
    genes = [feature for feature in features if feature in GENE_FEATURES and cell_filter != NO_FILTER]
    with ends_with_command():
        calls = {feature: call_cells(library, feature, cell_filter, output / ".star") for feature in genes}
    for feature, called in calls.items():
        medians = [called.figures[f"Median {name} per Cell"] for name in ("UMI", feature)]
        print(
            f"{feature}: {len(called.barcodes)} cells, in the median {medians[0]} UMIs of {medians[1]} genes",
            file=sys.stderr,
        )
    write_calls(output, library, features, cell_filter, calls)
    return calls


def read_figures(path: Path | None) -> LibraryFigures | None:
    """Return the figures of a library, None where it has none."""
    figures = parse_json(path.read_bytes(), str(path)) if path else {}
    return LibraryFigures(**figures) if figures else None


def read_bounds(pairs: Sequence[str]) -> Bounds:
    """Return the bounds of options NAME=VALUE. Raises InputError for any other name or value."""
    values = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            values[name] = float(value)
            Bounds()._replace(**values)
        except ValueError as error:
            known = ", ".join(Bounds._fields)
            raise InputError(f"--bounds {pair}: not NAME=VALUE with a number and a name of {known}.") from error
    return Bounds(**values)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("--solo", required=True, type=Path, help="what the library was counted to (units/solo)")
    parser.add_argument("--figures", type=Path, help="what the library shows (JSON), as solo wrote it")
    add_features_option(parser)
    parser.add_argument("--cell-filter", default="EmptyDrops_CR", help="STAR's cell filter with its numbers, or None")
    parser.add_argument(
        "--min-valid-barcodes", type=float, default=0.5, help="least share of reads with a valid barcode"
    )
    parser.add_argument("--min-gene-share", type=float, default=0.05, help="least share of reads in a gene")
    parser.add_argument(
        "--bounds",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="what a library of gene expression may show, beside "
        + " ".join(f"{name}={value:g}" for name, value in Bounds()._asdict().items()),
    )
    parser.add_argument("--output", required=True, type=Path, help="folder of the called cells")
    parser.add_argument("--status", required=True, type=Path, help="status table of the library, for the ledger")
    parser.add_argument("--counted", type=Path, help="the record of the round (units/counted/{unit}.json)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    bounds = read_bounds(args.bounds)
    cell_filter = " ".join(args.cell_filter.split())
    if fault := cell_filter_fault(cell_filter):
        raise InputError(f"--cell-filter: {fault}.")
    statuses = read_statuses(args.solo / "status.tsv")
    is_counted = is_whole(statuses.values())
    with atomic_folder(args.output) as output:
        if is_counted:
            library = KeptLibrary(args.solo)
            try:
                calls = call_library(library, args.features, cell_filter, output)
                floors = args.min_valid_barcodes, args.min_gene_share, bounds
                check_library(library, args.features, read_figures(args.figures), *floors)
                words = [library.words] if library.has(TAGS) else [describe_filters(cell_filter, calls), library.words]
                used = {"STAR": installed_version()} if calls else {}
                for run, status in statuses.items():
                    if status.ok:
                        statuses[run] = status.made_with(used)._replace(
                            detail=" ".join(filter(None, [status.detail, *words]))
                        )
            except RunFault as error:
                statuses = {run: one.failed(error) if one.ok else one for run, one in statuses.items()}
        for status in statuses.values():
            print(f"{status.run}: {status.state} {status.reason} {status.detail}".rstrip(), file=sys.stderr)
    if args.counted and is_counted:
        write_judged(args.counted, statuses.values())
    with atomic_path(args.status) as table:
        write_statuses(table, statuses.values())
