"""Find for each run of a droplet library which read is the barcode and which kit made it, proved by the reads."""

import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from scripts.core.command import command_parser
from scripts.core.disk.files import write_atomic
from scripts.core.disk.folders import require_whole
from scripts.core.errors import InputError, RunFault, fault_of_run
from scripts.droplets.barcodes.library_lists import list_path
from scripts.droplets.chemistries import Chemistry, InclusionList, chemistry_named, read_chemistries
from scripts.droplets.fastq_sample import SKIP, sample_reads
from scripts.droplets.features.feature_counter import as_feature_kit, feature_share, is_of_features
from scripts.droplets.features.feature_reference import read_matcher
from scripts.droplets.inclusion_lists import read_packed
from scripts.droplets.roles.barcode_search import Alternative, PackedLists, testable_layouts
from scripts.droplets.roles.feature_runs import leave_out_features, tag_share
from scripts.droplets.roles.role_evidence import INDEX_LENGTH, RANKS, Verdict, holds_index_only, judge_run
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses
from scripts.plan.units import add_runs_option, read_unit_rows


def load_lists(
    folder: Path, chemistries: Mapping[str, Chemistry], known: Mapping[str, InclusionList] = MappingProxyType({})
) -> PackedLists:
    """Return the inclusion lists that prove kits: those in the folder as ``{name}.txt``, and the public ones."""
    packed, lengths, public = {}, {}, set()
    names = {name for chemistry in chemistries.values() if chemistry.proof == "list" for name in chemistry.lists}
    for name in sorted(names):
        path = list_path(name, folder, known)
        if path is not None:
            packed[name], lengths[name] = read_packed(path)
            if path.parent != folder:
                public.add(name)
    return PackedLists(packed, lengths, frozenset(public))


def read_files(folder: Path, run: str) -> dict[int, Path]:
    """Return read number of the archive (from 0) → FASTQ file of a run, by the names ``{run}_{number}.fastq(.gz)``."""
    files = {}
    for path in sorted(folder.glob(f"{run}*.fastq*")):
        if match := re.fullmatch(rf"{re.escape(run)}(?:_(\d+))?\.fastq(?:\.gz)?", path.name):
            files[int(match[1] or 1) - 1] = path
    return files


def judge_files(
    row: Run,
    files: Mapping[int, Path],
    chemistries: Mapping[str, Chemistry],
    lists: PackedLists,
    chemistry: str,
    size: int,
    figures: list[Alternative],
) -> Verdict:
    """Return what the reads of one run are; for its faults see :func:`judge_run` in role_evidence."""
    if not files:
        raise RunFault("READS_MISSING", "there is no FASTQ file of the run.")
    name = row.chemistry or ("" if chemistry == "auto" else chemistry)
    samples = {read: sample_reads(path, size, SKIP) for read, path in files.items()}
    if len({sample.lengths.size for sample in samples.values()}) > 1:
        counts = ", ".join(f"{files[read].name} {sample.lengths.size}" for read, sample in samples.items())
        raise RunFault("READS_MISSING", f"the files of the run do not have the same number of reads: {counts}.")
    if not next(iter(samples.values())).lengths.size:
        raise RunFault("EMPTY_READS", "the run has no reads.")
    roles = tuple(row.read_roles.split(",")) if row.read_roles else ()
    if holds_index_only(samples, roles):
        lengths = ", ".join(f"{sample.lengths.mean():g}" for sample in samples.values())
        raise RunFault("INDEX_READS_ONLY", f"the run holds only index reads ({lengths} nt).")
    verdict = judge_run(
        samples,
        max(max(files) + 1, len(roles)),
        list(chemistries.values()),
        lists,
        given_roles=roles,
        given_chemistry=chemistry_named(name, chemistries) if name else None,
        figures=figures,
    )
    return verdict._replace(tag_share=tag_share(samples[verdict.roles.index("cdna")]))


def _largest_tag_share(files: Mapping[int, Path], size: int) -> float:
    """Return the tag share of the read with the largest one, beside sample indices."""
    samples = [sample_reads(path, size, SKIP) for path in files.values()]
    return round(max((tag_share(one) for one in samples if np.median(one.lengths) > INDEX_LENGTH), default=0.0), 4)


def _figures_json(figures: Sequence[Alternative]) -> list[dict[str, Any]]:
    return [
        {
            "read": one.read + 1,
            "inclusion_list": one.names,
            "start": one.start,
            "orientation": "reverse" if one.reverse else "forward",
            "share": round(one.share, 6),
            "chance": round(one.chance, 6),
        }
        | ({} if one.first is None else {"first_read": one.first + 1})
        for one in figures
    ]


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "roles": ",".join(verdict.roles),
        "chemistry": verdict.candidates[0].name if verdict.strand else "",
        "candidates": [candidate.name for candidate in verdict.candidates],
        "strand": verdict.strand,
        "offset": verdict.offset,
        "umi_length": verdict.umi_length,
        "rank": verdict.rank,
        "evidence": RANKS[verdict.rank],
        "words": verdict.words,
        "mean_lengths": [round(length, 2) for length in verdict.mean_lengths],
        "tag_share": round(verdict.tag_share, 4),
    }


def _name_sibling(fault: dict[str, str], row: Run, verdicts: Collection[str], spots: Mapping[str, str]) -> None:
    """Add to the fault of a run of index reads which run of its library has the reads of the same spots."""
    same = [run for run in verdicts if spots[row.run] and spots[run] == spots[row.run]]
    if same:
        fault["detail"] = f"{fault['detail'].rstrip('.')}, those of the {int(spots[row.run]):,} spots of {same[0]}."


def _find_disagreement(verdicts: Mapping[str, Verdict]) -> RunFault | None:
    """Return the fault of a library whose runs are of two kits or start the barcode at two offsets, or None."""
    (first, of_first), *others = verdicts.items()
    for run, verdict in others:
        if verdict.candidates != of_first.candidates:
            kits = [" or ".join(kit.title for kit in one.candidates) for one in (of_first, verdict)]
            differing = f"{first} is {kits[0]}, but {run} is {kits[1]}"
        elif verdict.offset != of_first.offset:
            differing = f"the barcode of {first} starts {of_first.offset} bases late, that of {run} {verdict.offset}"
        else:
            continue
        return RunFault("LAYOUT_AMBIGUOUS", f"the runs of the library disagree: {differing}.")
    return None


def judge_library(
    rows: Sequence[Run],
    folder: Path,
    chemistries: Mapping[str, Chemistry],
    lists: PackedLists,
    chemistry: str = "auto",
    size: int = 100_000,
) -> dict[str, Any]:
    """Return the verdict on each run of a library that has not failed before, as the command writes it.

    Raises Interrupted where the folder is not whole.
    """
    require_whole(folder)
    statuses = read_statuses(folder / "status.tsv")
    _, not_tried = testable_layouts(chemistries.values(), lists)
    runs: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, Verdict] = {}
    faults: dict[str, RunFault] = {}
    spots: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.run):
        status = statuses.get(row.run) or RunStatus(row.run)
        if not status.ok:
            continue
        spots[row.run] = status.spots or row.spots
        if status.read_roles:  # of a run to which another one was joined
            row = row._replace(read_roles=status.read_roles)
        figures: list[Alternative] = []
        try:
            verdict = judge_files(row, read_files(folder, row.run), chemistries, lists, chemistry, size, figures)
            verdicts[row.run] = verdict
            runs[row.run] = _verdict_json(verdict)
        except Exception as error:
            fault = faults[row.run] = fault_of_run(error, "READS_MISSING")
            runs[row.run] = {"fault": {"reason": fault.reason, "detail": fault.detail}}
            if fault.reason == "CHEMISTRY_UNKNOWN" and len(rows) > 1:
                runs[row.run]["tag_share"] = _largest_tag_share(read_files(folder, row.run), size)
        runs[row.run]["figures"] = _figures_json(figures)
    for row in rows:
        given = runs.get(row.run, {}).get("fault", {})
        if given.get("reason") == "INDEX_READS_ONLY":
            _name_sibling(given, row, verdicts, spots)
    leave_out_features(runs, faults)
    verdicts = {run: verdict for run, verdict in verdicts.items() if "fault" not in runs[run]}
    if verdicts and (disagreement := _find_disagreement(verdicts)):
        for run in verdicts:
            runs[run]["fault"] = {"reason": disagreement.reason, "detail": disagreement.detail}
    return {
        "inclusion_lists": {
            name: int(packed.size) for name, packed in lists.packed.items() if name not in lists.public
        },
        "not_tried": not_tried,
        "runs": runs,
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--fastq", required=True, type=Path, help="folder with {run}_{read}.fastq and status.tsv")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--inclusion-lists", required=True, type=Path, help="folder with {name}.txt")
    parser.add_argument("--chemistry", default="auto", help="a kit's name, or auto: prove it by the reads")
    parser.add_argument("--probe-set", action="store_true", help="there is a probe set: judge kits of probes, too")
    parser.add_argument("--features-reference", type=Path, help="table of features (antibodies, sample tags, guides)")
    parser.add_argument("--sample", type=int, default=100_000, help="spots of each run to look at")
    parser.add_argument("--output", required=True, type=Path, help="the verdicts (JSON)")
    args = parser.parse_args(argv)
    chemistries, known = read_chemistries(args.chemistries)
    if args.probe_set:
        chemistries = {name: kit._replace(refused="") if kit.probes else kit for name, kit in chemistries.items()}
    share = 0.0
    if args.features_reference:
        runs = [row.run for row in read_unit_rows(args.runs)]
        share = feature_share(runs, args.fastq, read_matcher(args.features_reference))
    if is_of_features(share):
        chemistries = {name: as_feature_kit(kit) for name, kit in chemistries.items()}
    if args.sample < 1:
        raise InputError(f"--sample must be above 0, but is {args.sample}.")
    if args.chemistry != "auto":
        chemistry_named(args.chemistry, chemistries)
    rows = read_unit_rows(args.runs)
    lists = load_lists(args.inclusion_lists, chemistries, known)
    judged = judge_library(rows, args.fastq, chemistries, lists, args.chemistry, args.sample)
    for run, verdict in judged["runs"].items():
        if is_of_features(share) and "fault" not in verdict:
            verdict["features"] = round(share, 4)
        fault = verdict.get("fault")
        words = (
            f"{fault['reason']}: {fault['detail']}"
            if fault
            else f"{verdict['roles']} {' or '.join(verdict['candidates'])}. {verdict['words']}"
        )
        print(f"{run}: {words}", file=sys.stderr)
    write_atomic(args.output, json.dumps({"library": args.runs.stem} | judged, indent=1, ensure_ascii=False) + "\n")
