"""Count a droplet library with STARsolo: all its runs in one call, which calls the cells, too.

STAR works in a folder beside the output (.{unit}.solo). Where a floor was not reached, the counts of the alignment stay
there, and the next call for the same reads and options uses them.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.errors import MACHINE, InputError, RunFault, fault_of_run, raise_faults
from scripts.core.files import atomic_path, path_below, remove_folder, replace_folder
from scripts.core.folders import require_whole, seal
from scripts.core.subprocesses import ends_with_command
from scripts.core.version import own_versions
from scripts.droplets.barcodes.probe_set import FOLDER, NOTE, make_probe_index, with_probe_barcode
from scripts.droplets.chemistries import Chemistry, InclusionList, read_chemistries
from scripts.droplets.features.feature_counter import FeatureCounter
from scripts.droplets.library_figures import Bounds, write_figures
from scripts.droplets.library_reads import LibraryReads
from scripts.droplets.solo_steps import STAMP, LibraryCounter, describe_cells
from scripts.droplets.starsolo import ALIGNMENTS, Settings, keep_outputs, read_command
from scripts.formats.fastq_files import count_reads
from scripts.plan.counted import add_round_options, record_round
from scripts.plan.matrices import ALL_FEATURES, FEATURES, MATRIX_NAMES
from scripts.plan.run_table import Run
from scripts.plan.star_options import cell_filter_fault, option_faults, parse_options
from scripts.plan.status import RunStatus, is_whole, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.star.presets import DROPLET_PRESETS
from scripts.star.program import REFUSED, raise_if_broken, require_index, require_options, run_star


def gather_faults(
    rows: Sequence[Run], statuses: Mapping[str, RunStatus], verdicts: Mapping[str, Mapping[str, Any]]
) -> dict[str, RunStatus]:
    """Return run → status after the verdicts; a library with a failed run is incomplete, and its other runs say so.

    Runs that are left out or joined to another one do not make it so.
    """
    after: dict[str, RunStatus] = {}
    for row in rows:
        status = statuses.get(row.run) or RunStatus(row.run).failed(
            RunFault("READS_MISSING", "the stage before left no status of the run.")
        )
        verdict = {} if status.is_aside else verdicts.get(row.run, {})
        if status.ok and (fault := verdict.get("fault")):
            status = status.failed(RunFault(fault["reason"], fault["detail"]))
        elif status.ok and not verdict:
            status = status.failed(RunFault("LAYOUT_AMBIGUOUS", "there is no verdict on the reads of the run."))
        if verdict.get("roles"):
            status = status._replace(read_roles=verdict["roles"], chemistry=verdict["chemistry"])
        after[row.run] = status
    failed = sorted(run for run, status in after.items() if not (status.ok or status.is_aside))
    if failed:
        first = after[failed[0]]
        incomplete = RunFault(
            "INCOMPLETE_EXPERIMENT", f"run {first.run} of the same library failed ({first.reason}): {first.detail}"
        )
        after = {run: status.failed(incomplete) if status.ok else status for run, status in after.items()}
    return after


def count_spots(library: LibraryReads, statuses: Mapping[str, RunStatus]) -> int:
    """Return how many spots a library has: by the statuses, else the run table, else the files of cDNA."""
    spots = 0
    for row in library.rows:
        known = statuses[row.run].spots or row.spots
        spots += int(known) if known else count_reads(library.files(row.run, "cdna")[0])
    return spots


def add_proof(status: RunStatus, verdict: Mapping[str, Any], kit: Chemistry, strand: str, figures: str) -> RunStatus:
    """Return the status of a counted run with its kit and, in the detail, how that was found."""
    proof = f"{verdict['words']}; strand {strand}."
    return status._replace(chemistry=kit.name, detail=" ".join(filter(None, [status.detail, proof, figures])))


def fault_of_library(error: Exception, index: Path, folder: Path) -> RunFault:
    """Return the fault of a library; raise what is one of the machine."""
    if isinstance(error, OSError):  # of our own files
        raise error
    fault = fault_of_run(error, "COUNT_FAILED")
    if fault.cause in (MACHINE, REFUSED):
        with ends_with_command():
            raise_if_broken(run_star, ["--genomeDir", str(index.absolute())], folder)
    return fault


def clear_work(folder: Path) -> None:
    """Remove what STAR needed but nobody reads later."""
    names = ("reads", "probe", FOLDER, "_STARtmp", "index", "SJ.out.tab", "Log.progress.out", "messages")
    lists = (path for path in folder.glob("*.txt") if path.is_symlink())
    for path in [*(folder / name for name in names), *lists]:
        if path.is_dir() and not path.is_symlink():
            remove_folder(folder, path.name)
        else:
            path.unlink(missing_ok=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--fastq", required=True, type=Path, help="folder with {run}_{read}.fastq and status.tsv")
    parser.add_argument("--roles", required=True, type=Path, help="the verdicts of read_roles (JSON)")
    parser.add_argument("--index", required=True, type=Path, help="STAR's index of the reference, with annotation")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--inclusion-lists", required=True, type=Path, help="folder with {name}.txt")
    parser.add_argument("--features", nargs="+", default=list(FEATURES), choices=ALL_FEATURES)
    parser.add_argument("--multireads", nargs="+", default=["Unique", "EM"], choices=list(MATRIX_NAMES))
    parser.add_argument("--cell-filter", default="EmptyDrops_CR", help="STAR's cell filter with its numbers, or None")
    parser.add_argument("--keep-bam", action="store_true", help="write sorted alignments, {experiment}.bam, too")
    parser.add_argument("--preset", default="encode", choices=sorted(DROPLET_PRESETS), help="options of STAR")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of STAR that overrides the preset"
    )
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
    parser.add_argument(
        "--join-wells",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="give the two primers of a well one barcode",
    )
    parser.add_argument("--features-reference", type=Path, help="table of features (antibodies, sample tags, guides)")
    parser.add_argument("--probe-set", type=Path, help="probe set (CSV of 10x) on which ligated probes are counted")
    add_round_options(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="folder for partial results, default beside the output")
    parser.add_argument("--output", required=True, type=Path, help="folder of Solo.out, Log.final.out and Log.out")
    parser.add_argument("--status", required=True, type=Path, help="status table of the library, for the ledger")
    parser.add_argument("--kept", type=Path, help="folder of STAR's logs and statistics, also of a failed library")
    parser.add_argument("--figures", type=Path, help="what the library shows (JSON), for results/quality/libraries.csv")
    return parser


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


def read_settings(args: argparse.Namespace) -> Settings:
    """Return what the options configure.

    Raises InputError for an option of STAR without a value, or one that the workflow sets.
    """
    star_options = parse_options(args.set)
    raise_faults("--set", option_faults(star_options))
    if fault := cell_filter_fault(args.cell_filter):
        raise InputError(f"--cell-filter: {fault}.")
    options = vars(args) | {
        "star_options": star_options,
        "bounds": read_bounds(args.bounds),
        "cell_filter": " ".join(args.cell_filter.split()),
    }
    return Settings(**{name: options[name] for name in Settings._fields})


def make_counter(
    library: LibraryReads,
    candidates: list[Chemistry],
    spots: int,
    folder: Path,
    args: argparse.Namespace,
    known: Mapping[str, InclusionList],
    settings: Settings,
) -> LibraryCounter:
    """Return what counts a library: its features where read_roles found it to be one of features, else its genes."""
    common = (args.inclusion_lists, known, settings)
    if args.features_reference and any(verdict.get("features") for verdict in library.verdicts.values()):
        return FeatureCounter(library, candidates[0], spots, folder, args.features_reference, *common)
    candidates, index, probes = choose_index(candidates, library, folder, args)
    counter = LibraryCounter(library, candidates, spots, folder, index, *common)
    counter.notes += probes
    return counter


def choose_index(
    candidates: list[Chemistry], library: LibraryReads, folder: Path, args: argparse.Namespace
) -> tuple[list[Chemistry], Path, list[str]]:
    """Return the kits, the index and a sentence on it: those of the reference, or of the probe set of a kit of probes.

    Raises RunFault (CHEMISTRY_UNKNOWN) where a kit of probes has no probe set, InputError for a bad one.
    """
    kit = candidates[0]
    (folder / NOTE).unlink(missing_ok=True)
    if kit.probes is None:
        return candidates, args.index, []
    if args.probe_set is None or library.offset:
        raise RunFault("CHEMISTRY_UNKNOWN", f"libraries of {kit.title} are not counted: {kit.refused}.")
    index, words = make_probe_index(args.probe_set, folder, args.threads)
    counted = with_probe_barcode(kit, library.cdna_read_length())
    if not counted.prefix[1]:
        words += " The reads end before the probe barcode: all cells are taken for those of one sample."
    return [counted], index, [words]


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    settings = read_settings(args)
    require_options(settings.star_options)
    chemistries, known = read_chemistries(args.chemistries)
    rows = read_unit_rows(args.runs)
    verdicts = json.loads(args.roles.read_text(encoding="utf-8"))["runs"]
    require_whole(args.fastq)
    require_index(args.index)
    statuses = gather_faults(rows, read_statuses(args.fastq / "status.tsv"), verdicts)
    partial = (args.scratch or args.output.parent) / f".{args.runs.stem}.solo"
    counter = None
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if is_whole(statuses.values()):
        counted = [row for row in rows if statuses[row.run].ok]
        library = LibraryReads(counted, {row.run: verdicts[row.run] for row in counted}, args.fastq)
        candidates = [chemistries[name] for name in library.candidates]
        partial.mkdir(parents=True, exist_ok=True)
        try:
            with ends_with_command():  # SIGTERM ends STAR as well
                spots = count_spots(library, statuses)
                counter = make_counter(library, candidates, spots, partial, args, known, settings)
                kit, figures = counter.count(args.threads)
            words = " ".join(filter(None, [figures, library.lane_words(kit)]))
            log = partial / "Log.out"  # none of a library of features
            used = own_versions() | ({"STAR": read_command(log)[0]} if log.is_file() else {})
            for run in library.verdicts:
                status = add_proof(statuses[run], verdicts[run], kit, counter.strand(kit), words)
                statuses[run] = status.made_with(used)
            if cells := describe_cells(partial):
                print(f"{args.runs.stem}: {cells}", file=sys.stderr)
            clear_work(partial)
            if settings.keep_bam:
                (partial / ALIGNMENTS).replace(path_below(partial, f"{rows[0].experiment}.bam"))
            replace_folder(partial, args.output)
            (args.output / STAMP).unlink()
        except Exception as error:
            clear_work(partial)
            if not (partial / STAMP).is_file():
                remove_folder(partial.parent, partial.name)
            fault = fault_of_library(error, args.index, args.output.parent)
            statuses = {run: status.failed(fault) if status.ok else status for run, status in statuses.items()}
    if args.kept:
        keep_outputs(args.output if is_whole(statuses.values()) else partial, args.kept)
    if not is_whole(statuses.values()):
        remove_folder(args.output.parent, args.output.name, ignore_errors=True)
        args.output.mkdir()
    for status in statuses.values():
        print(f"{status.run}: {status.state} {status.reason} {status.detail}".rstrip(), file=sys.stderr)
    if args.figures:
        write_figures(args.figures, counter.figures if counter else None)
    with atomic_path(args.status) as table:
        write_statuses(table, statuses.values())
        shutil.copyfile(table, args.output / "status.tsv")
        seal(args.output)
    record_round(args, statuses.values())
