"""What the reads of cells and libraries show: their species, whether mates and runs belong together, and copies.

The figures of each run were found when its reads were converted, see :mod:`scripts.reads.read_figures`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from scripts.harvest.quality import flags
from scripts.harvest.quality.copies import find_alike
from scripts.plan.run_table import iterate_runs
from scripts.plan.units import read_unit_rows, unit_names
from scripts.reads.read_figures import SKETCH, ReadFigures, read_figures, sketch_of

COLUMNS = (
    *("sampled_reads", "pct_known_reads", "pct_own_species", "other_species", "pct_other_species"),
    *("pct_mates_agree", "pct_runs_agree", "same_reads_as", "pct_same_reads"),
)
_FEWEST_OF_RUN = 100
"""Reads of a run with a locus from which on its loci are compared with those of another one."""
_MOST_RUNS = 10
"""Runs that a sequence may be in; those of adapters, spike-ins and ends of frequent transcripts are in more."""
_FEWEST_COINCIDENCES = 20
"""Pairs of reads of one locus in a run from which on they say how even its loci are."""


class SameReads(NamedTuple):
    """The run that shares most sequences with a run."""

    run: str
    percent: float
    is_copy: bool


class ReadsOfAnalysis:
    """The figures of the reads of all runs of an analysis, and which of them are copies."""

    def __init__(
        self, figures: Mapping[str, ReadFigures], experiments: Mapping[str, str], mixed: Iterable[str]
    ) -> None:
        """``experiments`` is run → its experiment; ``mixed`` are runs of samples of several species."""
        self.figures = figures
        self.mixed = frozenset(mixed)
        self.same = find_same_reads(figures, experiments)

    def describe(self, runs: Sequence[str], species: str) -> tuple[dict[str, Any], set[str]]:
        """Return column → value of what is known of a cell or library of some runs, and its flags."""
        known = [self.figures[run] for run in runs if run in self.figures]
        if not known:
            return {}, set()
        values, found = species_of_reads(known, species)
        if self.mixed & set(runs):
            found = set()
        pairs, agree = (sum(of_run.get(name, 0) for of_run in known) for name in ("pairs", "agree"))
        if pairs:
            values["pct_mates_agree"] = 100 * agree / pairs
            if pairs >= flags.FEWEST_PAIRS and values["pct_mates_agree"] < flags.MATES_AGREE:
                found.add("MATES_DIFFER")
        alike, differ = compare_runs(known)
        if alike is not None:
            values["pct_runs_agree"] = alike
        found |= {"LANES_DIFFER"} if differ else set()
        of_runs = [self.same[run] for run in runs if run in self.same]
        same = max(of_runs, key=lambda one: (one.is_copy, one.percent), default=None)
        if same:
            values |= {"same_reads_as": same.run, "pct_same_reads": same.percent}
        found |= {"DUPLICATE_READS"} if same and same.is_copy else set()
        return values, found


def read_reads(units: str | Path, ledger: str | Path, path: str) -> ReadsOfAnalysis:
    """Return what is known of the reads of the ledger's runs; ``path`` is that of a unit's file, with {unit} in it."""
    experiments: dict[str, str] = {}
    species: dict[str, set[str]] = {}
    for row in iterate_runs(ledger):
        if row.run:
            experiments[row.run] = row.experiment
            species.setdefault(row.run, set()).add(row.species)
    figures: dict[str, ReadFigures] = {}
    for unit in unit_names(units) if path else ():
        of_unit = read_figures(path.replace("{unit}", unit))
        # of a run that is left out since then the figures stay, for the day on which it comes back
        planned = {row.run for row in read_unit_rows(Path(units) / f"{unit}.tsv")} if of_unit else set()
        figures |= {run: of_run for run, of_run in of_unit.items() if run in experiments and run in planned}
    return ReadsOfAnalysis(figures, experiments, (run for run, labels in species.items() if len(labels) > 1))


def species_of_reads(known: Sequence[ReadFigures], species: str) -> tuple[dict[str, Any], set[str]]:
    """Return the columns on the species of the reads of some runs, and their flags; ``species`` is the declared one."""
    sampled = sum(of_run["sampled"] for of_run in known)
    reads: Counter[str] = Counter()
    for of_run in known:
        reads.update(of_run["species"])
    total = reads.total()
    values: dict[str, Any] = {"sampled_reads": sampled}
    if sampled:
        values["pct_known_reads"] = 100 * total / sampled
    if not total or len(reads) < 2:
        return values, set()
    other = max((label for label in sorted(reads) if label != species), key=lambda label: reads[label])
    own_share, other_share = 100 * reads[species] / total, 100 * reads[other] / total
    values |= {"pct_own_species": own_share, "other_species": other, "pct_other_species": other_share}
    if total < flags.FEWEST_KNOWN_READS:
        return values, set()
    if own_share < flags.OWN_SPECIES:
        return values, {"SPECIES_MISMATCH"}
    return values, {"SPECIES_MIXED"} if other_share >= flags.OTHER_SPECIES else set()


def compare_runs(known: Sequence[ReadFigures]) -> tuple[float | None, bool]:
    """Return how alike the loci of runs of an experiment are (percent, the least like two), and whether runs differ."""
    alike: list[float] = []
    differ = False
    for one, other in combinations(known, 2):
        lengths = sorted((one["length"], other["length"]))
        differ |= lengths[0] > 0 and 100 * (lengths[1] - lengths[0]) > flags.RUNS_LENGTH * lengths[1]
        majorities = [_majority(of_run["species"]) for of_run in (one, other)]
        differ |= len(set(filter(None, majorities))) > 1
        if (index := morisita(one["loci"], other["loci"])) is not None:
            alike.append(100 * index)
    least = min(alike, default=None)
    return least, differ or (least is not None and least < flags.RUNS_AGREE)


def _majority(reads: Mapping[str, int]) -> str:
    """Return the species of most reads of a run, empty where they are too few to say."""
    total = sum(reads.values())
    most = max(sorted(reads), key=lambda label: reads[label], default="")
    return most if total >= flags.FEWEST_KNOWN_READS and 2 * reads[most] > total else ""


def morisita(one: Mapping[str, int], other: Mapping[str, int]) -> float | None:
    """Return Morisita's index of overlap of two samples of reads by locus, at most 1; None where they are too small.

    It is 1 for samples of one population, whatever their size, and 0 where nothing is shared (Morisita 1959):
    2·Σxy / ((λx + λy)·X·Y) with λx = Σx(x − 1) / (X(X − 1)).
    """
    sums = [sum(counts.values()) for counts in (one, other)]
    pairs = [sum(count * (count - 1) for count in counts.values()) for counts in (one, other)]
    if min(sums) < _FEWEST_OF_RUN or min(pairs) < 2 * _FEWEST_COINCIDENCES:
        return None
    evenness = sum(pair / (total * (total - 1)) for pair, total in zip(pairs, sums, strict=True))
    shared = sum(count * other.get(locus, 0) for locus, count in one.items())
    return min(1.0, 2 * shared / (evenness * sums[0] * sums[1]))


def find_same_reads(figures: Mapping[str, ReadFigures], experiments: Mapping[str, str]) -> dict[str, SameReads]:
    """Return run → the run that shares most of its sequences, for those that share enough."""
    runs = sorted(figures)
    sketches = [sketch_of(figures[run]["sketch"]) for run in runs]
    same: dict[str, SameReads] = {}
    for likeness in find_alike(sketches, SKETCH, flags.FEWEST_SAME_READS, _MOST_RUNS):
        pair = runs[likeness.one], runs[likeness.other]
        is_one_experiment = experiments[pair[0]] == experiments[pair[1]]
        least = flags.SAME_READS_OF_RUNS if is_one_experiment else flags.SAME_READS
        percent = 100 * likeness.share
        for run, other in (pair, pair[::-1]):
            found = SameReads(other, percent, percent >= least)
            if run not in same or (found.is_copy, percent) > (same[run].is_copy, same[run].percent):
                same[run] = found
    return same
