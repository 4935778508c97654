"""Count a droplet library with STARsolo: all its runs in one call. Cells are called afterwards, see cells.

STAR works in a folder of its own, .{unit}.solo in the scratch folder.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, path_below, remove_folder
from scripts.core.disk.folders import require_whole, seal
from scripts.core.errors import MACHINE, RunFault, fault_of_run, raise_faults
from scripts.core.subprocesses import ends_with_command
from scripts.core.version import own_versions
from scripts.droplets.barcodes.probe_set import NOTE, make_probe_index, with_probe_barcode
from scripts.droplets.chemistries import Chemistry, InclusionList, read_chemistries
from scripts.droplets.features.feature_counter import FeatureCounter
from scripts.droplets.kept.kept_library import keep_library
from scripts.droplets.library_figures import write_figures
from scripts.droplets.library_reads import LibraryReads
from scripts.droplets.solo_steps import LibraryCounter
from scripts.droplets.starsolo import ALIGNMENTS, Settings, read_command
from scripts.formats.fastq_files import count_reads
from scripts.plan.counted import add_round_options, record_round
from scripts.plan.matrices import add_features_option, add_multireads_option
from scripts.plan.run_table import Run
from scripts.plan.star_options import option_faults, parse_options
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


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--fastq", required=True, type=Path, help="folder with {run}_{read}.fastq and status.tsv")
    parser.add_argument("--roles", required=True, type=Path, help="the verdicts of read_roles (JSON)")
    parser.add_argument("--index", required=True, type=Path, help="STAR's index of the reference, with annotation")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--inclusion-lists", required=True, type=Path, help="folder with {name}.txt")
    add_features_option(parser)
    add_multireads_option(parser)
    parser.add_argument("--preset", default="encode", choices=sorted(DROPLET_PRESETS), help="options of STAR")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of STAR that overrides the preset"
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
    parser.add_argument("--threads", type=int, default=1, help="threads of STAR")
    parser.add_argument("--scratch", required=True, type=Path, help="folder for partial results")
    parser.add_argument("--output", required=True, type=Path, help="folder of what is kept of the library")
    parser.add_argument("--alignments", type=Path, help="folder of sorted alignments, {experiment}.bam, where wanted")
    parser.add_argument("--figures", type=Path, help="what the library shows (JSON), for results/quality/libraries.csv")
    return parser


def read_settings(args: argparse.Namespace) -> Settings:
    """Return what the options configure.

    Raises InputError for an option of STAR without a value, or one that the workflow sets.
    """
    star_options = parse_options(args.set)
    raise_faults("--set", option_faults(star_options))
    options = vars(args) | {"star_options": star_options, "keep_bam": args.alignments is not None}
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
    partial = args.scratch / f".{args.runs.stem}.solo"
    remove_folder(partial.parent, partial.name)
    counter, kit, words = None, None, ""
    try:
        if is_whole(statuses.values()):
            counted = [row for row in rows if statuses[row.run].ok]
            library = LibraryReads(counted, {row.run: verdicts[row.run] for row in counted}, args.fastq)
            candidates = [chemistries[name] for name in library.candidates]
            partial.mkdir(parents=True)
            try:
                with ends_with_command():  # SIGTERM ends STAR as well
                    spots = count_spots(library, statuses)
                    counter = make_counter(library, candidates, spots, partial, args, known, settings)
                    kit, figures = counter.count(args.threads)
                words = library.lane_words(kit)
                log = partial / "Log.out"  # none of a library of features
                used = own_versions() | ({"STAR": read_command(log)[0]} if log.is_file() else {})
                for run in library.verdicts:
                    status = add_proof(statuses[run], verdicts[run], kit, counter.strand(kit), figures)
                    statuses[run] = status.made_with(used)
            except Exception as error:
                fault = fault_of_library(error, args.index, args.scratch)
                statuses = {run: status.failed(fault) if status.ok else status for run, status in statuses.items()}
        for status in statuses.values():
            print(f"{status.run}: {status.state} {status.reason} {status.detail}".rstrip(), file=sys.stderr)
        with atomic_folder(args.output) as kept:
            if is_whole(statuses.values()) and counter and kit:
                keep_library(
                    partial, kept, counter.features, counter.settings.multireads, counter.archive_options(kit), words
                )
            else:
                keep_library(partial, kept)
            write_statuses(kept / "status.tsv", statuses.values())
        if args.alignments:
            keep_alignments(partial, rows[0].experiment, statuses, args.alignments)
    finally:
        remove_folder(partial.parent, partial.name, ignore_errors=True)
    if args.figures:
        write_figures(args.figures, counter.figures if counter else None)
    record_round(args, statuses.values())


def keep_alignments(partial: Path, experiment: str, statuses: Mapping[str, RunStatus], target: Path) -> None:
    """Write the folder of a library's alignments, with the status of its runs; without a file where it failed."""
    remove_folder(target.parent, target.name)
    target.mkdir(parents=True)
    write_statuses(target / "status.tsv", statuses.values())
    if is_whole(statuses.values()) and (partial / ALIGNMENTS).is_file():
        shutil.move(partial / ALIGNMENTS, path_below(target, f"{experiment}.bam"))
    seal(target)
