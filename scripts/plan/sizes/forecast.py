"""What of a plan will fail, told before any download: missing inclusion lists, too little memory or scratch.

Faults of lists stop the plan or the jobs of the libraries; what the size model estimates is a warning. The
contigs of genome and annotation are compared where the reference is made (:mod:`scripts.references.annotation`).
"""

import argparse
import contextlib
import importlib.util
import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.yaml_text import load_yaml
from scripts.plan.hints import kit_hint
from scripts.plan.run_table import Run
from scripts.plan.sizes.cost import DROPLET_STAGES, PLATE_STAGES, Estimator
from scripts.plan.sizes.footprint import format_gb
from scripts.plan.units import Unit, is_shard

THIS, NODE = "this machine", "the largest node"
"""Where jobs run: what has too little memory is called so."""
PACKAGE = "ngs-tools"
"""A source of inclusion lists: the Python package of that name."""
PROBE_SET = "probe-set"
"""What stands for a configured probe set among the sources of inclusion lists."""
MOST_UNITS, UNITS_A_BATCH = 40_000, 10_000
"""Units that one call of Snakemake plans at most, and that it should plan where it is called for a part of them."""
_JOB_MB, _JOB_MINUTES = 0.022, 0.000036  # of Snakemake 9, for each job that it plans; see benchmarks/plan_scale.py
_NAMED = 3  # libraries or units that a sentence names
_GROUPS, _GROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def add_forecast_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the forecast of a plan depends on, beside those of its cost."""
    parser.add_argument("--chemistries", help="the droplet kits, to see which inclusion lists a plan needs")
    parser.add_argument(
        "--inclusion-lists",
        nargs="*",
        default=[],
        metavar="NAME",
        help=f"inclusion lists that are configured; NAME={PACKAGE} where they are those of the package",
    )
    parser.add_argument("--scratch", default="work", help="the scratch folder")
    parser.add_argument(
        "--memory-gb", type=float, help="memory of the machine on which the jobs run, where it is known"
    )
    parser.add_argument("--machine", default=THIS, help="what that machine is called")


class Forecast(NamedTuple):
    """What of a plan will fail, and what may: sentences."""

    sure: list[str]
    likely: list[str]


def forecast(
    options: argparse.Namespace,
    rows: Sequence[Run],
    units: Mapping[str, Unit],
    estimator: Estimator,
    missing: Iterable[str],
    barcode_reads: Mapping[str, float],
) -> Forecast:
    """Return what of a plan will fail, as far as parsed options say what it depends on.

    ``missing`` names the references that are still to be made, ``barcode_reads`` maps run → length of its barcode read.
    """
    found = Forecast([], [])
    if fault := graph_fault(units, len(units)):
        found.sure.append(fault)
    if options.chemistries:
        kits = load_yaml(Path(options.chemistries).read_text(encoding="utf-8"))
        sources = {name: source for name, _, source in (word.partition("=") for word in options.inclusion_lists)}
        libraries = libraries_of(rows)
        found.sure.extend(list_faults(libraries, sources, kits))
        if not kit_fault("", sources, kits):
            lengths = {row.experiment: round(barcode_reads[row.run]) for row in rows if row.run in barcode_reads}
            unpinned = {name: lengths[name] for name, kit in libraries.items() if not kit and name in lengths}
            found.likely.extend(length_warnings(unpinned, sources, kits))
    if options.limit_gb:
        found.sure.extend(limit_faults(units, options.limit_gb))
        found.likely.extend(disk_warnings(units, options.limit_gb, free_gb(options.scratch)))
    if options.memory_gb:
        found.likely.extend(memory_warnings(units, estimator, missing, options.memory_gb, options.machine))
    return found


def graph_fault(units: Collection[str], planned: int) -> str:
    """Return why Snakemake is not to plan these units in one call, and what to do; empty where it may.

    ``planned`` is how many units the plan has in all. Snakemake holds all jobs of a call in memory. Many small series
    make many units: a shard has cells of one series.
    """
    if len(units) <= MOST_UNITS:
        return ""
    jobs = sum(len(PLATE_STAGES if is_shard(name) else DROPLET_STAGES) for name in units)
    batches = math.ceil(planned / UNITS_A_BATCH)
    return (
        f"{len(units):,} units of work and {jobs:,} jobs are too many for one call: Snakemake needs about "
        f"{jobs * _JOB_MB / 1000:,.0f} GB of memory and {jobs * _JOB_MINUTES:,.0f} minutes to plan them. Call it "
        f"{batches} times, with --batch ledger=1/{batches} to {batches}/{batches}, which harvests (docs/cluster.md, "
        "Very many series), or share the series out to several analyses with the same resources/."
    )


def libraries_of(rows: Iterable[Run]) -> dict[str, str]:
    """Return droplet library → the kit that is pinned for it, empty where the reads must prove it."""
    return {row.experiment: row.chemistry for row in rows if row.status == "planned" and row.assay == "droplet"}


def list_faults(libraries: Mapping[str, str], sources: Mapping[str, str], kits: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each reason for which droplet libraries surely cannot be counted.

    ``libraries`` is library → pinned kit, see :func:`libraries_of`; ``sources`` and ``kits`` as :func:`kit_fault` takes
    them.
    """
    by_kit: dict[str, list[str]] = {}
    for library, kit in sorted(libraries.items()):
        by_kit.setdefault(kit, []).append(library)
    faults = []
    for kit, names in sorted(by_kit.items()):
        if fault := kit_fault(kit, sources, kits):
            faults.append(f"{_libraries(names)}: {fault}")
    if libraries and PACKAGE in sources.values() and importlib.util.find_spec("ngs_tools") is None:
        key = f"droplets.inclusion_lists.{next(name for name, source in sources.items() if source == PACKAGE)}"
        faults.append(f"{key}: the package {PACKAGE} is not installed; install it, or give the path of the list.")
    return faults


def kit_fault(name: str, sources: Collection[str], kits: Mapping[str, Any]) -> str:
    """Return why libraries of a kit surely cannot be counted, empty where they may; an empty name: any kit.

    ``sources`` are the inclusion lists that are configured, with PROBE_SET among them where a probe set is; ``kits`` is
    the content of config/chemistries.yaml.
    """
    known = kits["chemistries"]
    if not name:
        provable = [kit for kit in known.values() if _is_provable(kit) or _is_of_probes(kit, sources)]
        if any(_needs(kit, kits) <= set(sources) for kit in provable if _needs(kit, kits)):
            return ""
        public = ", ".join(
            f"{key} ({kit['title']})"
            for key, kit in known.items()
            if _lists_of(kit) and not _needs(kit, kits) and kit.get("source")
        )
        return (
            "no inclusion list is configured, and only barcodes prove a kit; set droplets.inclusion_lists to the lists "
            f"of the kits that may be among them: {_choice(kits)} (for more kits see config/chemistries.yaml), or to "
            f"{{all: ngs-tools}}. Kits whose barcodes are public need only be named as droplets.chemistry: {public}."
        )
    if name not in known:
        return f"chemistry {name!r} is not in config/chemistries.yaml{kit_hint(name, known)}"
    kit = known[name]
    if kit.get("refused") and not _is_of_probes(kit, sources):
        return f"libraries of {kit['title']} are not counted: {kit['refused']}."
    lacking = [] if kit.get("found") else [one for one in _lists_of(kit) if one in _needs(kit, kits) - set(sources)]
    missing = " and ".join(f"droplets.inclusion_lists.{one}" for one in lacking)
    if missing:
        return f"no inclusion list is configured for {kit['title']}; set {missing} to its path or address."
    return ""


def length_warnings(lengths: Mapping[str, int], sources: Collection[str], kits: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each length of barcode reads of which no kit has its list configured.

    ``lengths`` is library → length; a length does not tell a kit for sure.
    """
    by_length: dict[int, list[str]] = {}
    for library, length in sorted(lengths.items()):
        by_length.setdefault(length, []).append(library)
    for length, names in sorted(by_length.items()):
        fitting = [kit for kit in kits["chemistries"].values() if _is_provable(kit) and _read_end(kit) == length]
        if fitting and not any(_needs(kit, kits) <= set(sources) for kit in fitting):
            lists = ", ".join(dict.fromkeys(f"{_lists_of(kit)[0]} ({kit['title']})" for kit in fitting))
            yield (
                f"{_libraries(names)}: barcode reads of {length} nt, as of kits whose inclusion list is not configured;"
                f" set droplets.inclusion_lists to the one that fits: {lists}."
            )


def _read_end(kit: Mapping[str, Any]) -> int:
    """Return the last base of barcode and UMI on the barcode read, 0 where they are in reads of their own."""
    umi = kit.get("umi") or {}
    if len(kit["barcode"]) != 1 or umi.get("own_read") or kit.get("split"):
        return 0
    part = kit["barcode"][0]
    return int(max(part["start"] + part["length"], umi.get("start", 0) + umi.get("length", 0)) - 1)


def _libraries(names: Sequence[str]) -> str:
    number = "1 droplet library" if len(names) == 1 else f"{len(names):,} droplet libraries"
    return f"{number} ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _lists_of(kit: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(part["list"] for part in kit["barcode"] if part.get("list")))


def _needs(kit: Mapping[str, Any], kits: Mapping[str, Any]) -> set[str]:
    """Return the lists of a kit that do not come with the workflow."""
    return {name for name in _lists_of(kit) if not kits["lists"][name].get("file")}


def _is_of_probes(kit: Mapping[str, Any], sources: Collection[str]) -> bool:
    """Whether a kit is counted on a probe set, and one is configured."""
    return bool(kit.get("probes")) and PROBE_SET in sources


def _is_provable(kit: Mapping[str, Any]) -> bool:
    return kit.get("proof", "list") == "list" and not kit.get("refused")


def _choice(kits: Mapping[str, Any]) -> str:
    """Return the lists of the kits whose barcode is one list, each with its kits."""
    titles: dict[str, list[str]] = {}
    for kit in kits["chemistries"].values():
        if _is_provable(kit) and len(kit["barcode"]) == 1 and _needs(kit, kits):
            titles.setdefault(kit["barcode"][0]["list"], []).append(kit["title"])
    return ", ".join(f"{name} ({' or '.join(of_list)})" for name, of_list in titles.items())


def machine_memory_gb() -> float:
    """Return the GB of memory of this machine, or of a control group of this process if that has less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_group_limits()]) / 1e9


def _group_limits() -> Iterator[int]:
    """Yield the limits of memory, in bytes, of the control groups of this process and of those above them.

    ``/proc/self/cgroup`` has a line ``number:controllers:path`` a hierarchy; version 2 has number 0 and no controllers
    (man 7 cgroups).
    """
    try:
        lines = _GROUPS_OF_PROCESS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            tops, name = [_GROUPS, _GROUPS / "unified"], "memory.max"
        elif "memory" in controllers.split(","):
            tops, name = [_GROUPS / "memory"], "memory.limit_in_bytes"
        else:
            continue
        for top in tops:
            group = top / path.strip("/")
            for folder in (group, *group.parents) if group.is_relative_to(top) else ():
                with contextlib.suppress(OSError, ValueError):
                    yield int((folder / name).read_text(encoding="ascii"))  # or the word max
                if folder == top:
                    break


def memory_warnings(
    units: Mapping[str, Unit],
    estimator: Estimator,
    missing: Iterable[str],
    memory_gb: float,
    machine: str = THIS,
) -> Iterator[str]:
    """Yield a sentence for each stage with jobs that are expected to hold more memory than the machine has.

    ``missing`` names the references that are still to be made.
    """
    most: dict[str, tuple[int, float]] = {}
    for stage, sizes in estimator.jobs(units, missing):
        held = estimator.model.memory_mb(stage, sizes) / 1000
        if held > memory_gb:
            number, largest = most.get(stage, (0, 0.0))
            most[stage] = number + 1, max(largest, held)
    for stage, (number, largest) in most.items():
        jobs = "1 job" if number == 1 else f"{number:,} jobs"
        yield f"{jobs} of {stage}: {memory_fault(stage, largest, memory_gb, machine)}"


def memory_fault(stage: str, held_gb: float, memory_gb: float, machine: str = THIS) -> str:
    """Return what a machine lacks for a job of a stage, and what can be done."""
    remedy = "run it on a machine with more, or on a cluster (docs/cluster.md)"
    if stage == "star_index":
        remedy = f"give a ready index (references.NAME.index), or {remedy}"
    return f"about {held_gb:,.0f} GB of memory are needed, {machine} has {memory_gb:,.0f}; {remedy}."


def limit_faults(units: Mapping[str, Unit], limit_gb: float) -> Iterator[str]:
    """Yield a sentence where units alone hold more than ``scratch.limit_gb``."""
    peaks = _peaks_gb(units)
    beyond = sorted((name for name, peak in peaks.items() if peak > limit_gb), key=lambda name: -peaks[name])
    if beyond:
        enough = format_gb(peaks[beyond[0]] * 1e9).removesuffix(" GB")
        number = "1 unit" if len(beyond) == 1 else f"{len(beyond):,} units"
        yield (
            f"{number} ({_some(beyond)}): up to {enough} GB of scratch are needed, but scratch.limit_gb is "
            f"{limit_gb:g}: what does not fit fails with DISK_LIMIT. Set scratch.limit_gb to {enough} or more."
        )


def disk_warnings(units: Mapping[str, Unit], limit_gb: float, free: float) -> Iterator[str]:
    """Yield a sentence where units that the limit allows need more GB than are ``free`` on the disk."""
    within = [peak for peak in _peaks_gb(units).values() if peak <= limit_gb]
    together = min(limit_gb, sum(within))
    if within and max(within) > free:
        yield (
            f"The disk of the scratch folder has {free:,.1f} GB free, but the largest unit that scratch.limit_gb "
            f"allows needs {max(within):,.1f}; free some, or set scratch.directory to another disk."
        )
    elif together > free:
        yield (
            f"The disk of the scratch folder has {free:,.1f} GB free, but scratch.limit_gb allows {together:,.1f} for "
            f"units that are worked on together; set it to {math.floor(10 * free) / 10:g}, free some, or set "
            "scratch.directory to another disk."
        )


def _peaks_gb(units: Mapping[str, Unit]) -> dict[str, float]:
    return {name: unit.peak / 1e9 for name, unit in units.items()}


def free_gb(folder: str | Path) -> float:
    """Return the GB that are free on the disk of a folder, or of the nearest one above it that exists."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 1e9
