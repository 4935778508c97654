"""Whether a library is of single cells: the sum of the evidence in its texts, its series and its siblings.

A library is not taken for one of single cells unless its records show it. Of each kind of evidence the strongest piece
counts, once, so that a text that several records repeat does not count several times.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scripts.records.answers.sra_xml import Experiment
from scripts.records.libraries.evidence import VETO, Evidence, RecordText, evidence_in

SHOWN = 4
"""The sum of the weights from which on a library is one of single cells."""
LIKELY = 2
"""The sum from which on single cells are likely, so that other signs may tell what the library holds."""
FEW_SPOTS = 10_000_000  # as many as one cell of a plate usually has
MANY_SPOTS = 40_000_000  # more than anybody sequences one cell of a plate
FAR_TOO_MANY_SPOTS = 100_000_000  # more than most sequence of bulk, too
CELLS_OF_A_PLATE = 24  # experiments of one study and layout, from which on they may be the cells of a plate
_SMALL = 6_000_000  # spots of one cell
_SMALL_BASES = 1_200_000_000  # the same in bases; archives take up to a byte a base
_STRONG = -3  # from which on a piece against single cells is named
_OTHER_STRATEGIES = frozenset(["MIRNA-SEQ", "NCRNA-SEQ", "RIP-SEQ", "RIBO-SEQ"])
_OF_ONE_CELL = frozenset(  # against one cell in a library, but not against many barcoded ones
    """
    CELL_COUNT_MANY POOL CELLS_TOGETHER POPULATION TISSUE MANY_CELLED REPLICATE CULTURE WHOLE_EMBRYOS LASER_CAPTURE
    MANY_SPOTS MANY_RUNS NEGATIVE_CONTROL CONTROL_OF_MANY_CELLS EMPTY_WELL PURIFIED_RNA
    """.split()
)
_ONE_CELL_EACH = frozenset("GERM_CELL PATCH_SEQ PICKED METHOD_OF_ONE_CELL METHOD_OF_LOW_INPUT WELL".split())
_OF_BOTH = frozenset("PROTOCOL_SINGLE_CELL NAME_SINGLE_CELL NAME_SINGLE METHOD_OF_ONE_CELL".split())
_KITS = frozenset(["RNA_KIT_OF_POPULATIONS", "LIBRARY_KIT_OF_POPULATIONS"])
_CIRCUMSTANCES = frozenset("MANY_SMALL_SIBLINGS MANY_SIBLINGS CELL_NUMBER WELL METHOD_OF_LOW_INPUT".split())
"""What bulk libraries of a screen or a cohort have as well: alone they never show a single cell."""
_OF_ITSELF = frozenset("SOURCE_SINGLE_CELL NAME_SINGLE_CELL NAME_SINGLE PROTOCOL_SINGLE_CELL".split())
_LOOKED_FOR = (
    "its library source, names, characteristics and protocols, and the title, summary and design of its series"
)


class Siblings(NamedTuple):
    """What the experiments of a study (of one layout) have in common, as far as one says something of another."""

    experiments: int = 1
    small: int = 0  # those with few enough spots (or bases) for one cell each
    unknown: int = 0  # those whose size the record does not say
    single_cell: int = 0  # those whose library source says single cell
    droplets: int = 0  # those whose reads are those of a droplet library


class CellVerdict(NamedTuple):
    """The pieces of evidence, at most one of a kind."""

    pieces: tuple[Evidence, ...] = ()

    def total(self, of_many: bool = False) -> int:
        """Return the sum of the weights; ``of_many``: for a library that may hold many barcoded cells."""
        ignored = _OF_ONE_CELL if of_many else frozenset[str]()
        if of_many and self.codes() & {"SOURCE_SINGLE_CELL", "NAME_SINGLE_CELL"}:
            ignored |= {"BULK_WORD"}  # cells that were not sorted
        total = sum(piece.weight for piece in self.pieces if piece.code not in ignored)
        shown = any(piece.weight > 0 and piece.code not in _CIRCUMSTANCES for piece in self.pieces)
        return total if shown else min(total, SHOWN - 1)

    def codes(self) -> set[str]:
        return {piece.code for piece in self.pieces}

    def of_itself(self) -> bool:
        """Whether its own record says that the library is of single cells, and not only its series."""
        return bool(self.codes() & _OF_ITSELF)

    def refused(self) -> bool:
        """Whether the library's own name says that it is not of one cell."""
        return any(piece.weight <= VETO for piece in self.pieces)

    def named_one_cell(self) -> bool:
        """Whether its own name or a count says that the library holds one cell, not only that it is of single cells."""
        single = (piece for piece in self.pieces if piece.code == "NAME_SINGLE_CELL")
        counted = self.codes() & {"CELL_COUNT_ONE", "NAME_ONE_CELL"}
        return bool(counted) or any(not _names_many(piece.words) for piece in single)

    def one_cell_each(self) -> bool:
        """Whether something says that a library holds one cell."""
        return self.named_one_cell() or bool(self.codes() & _ONE_CELL_EACH)


def spots_of(experiment: Experiment) -> int:
    """Return the spots of an experiment over all runs, 0 where the record does not say."""
    return sum(int(run.spots) for run in experiment.runs if run.spots.isdecimal())


def _is_small(experiment: Experiment) -> bool | None:
    """Whether an experiment is as small as one cell, by spots, else by bases or bytes; None where none is known."""
    if spots := spots_of(experiment):
        return spots <= _SMALL
    bases = sum(int(next(filter(str.isdecimal, (run.bases, run.size)), "0")) for run in experiment.runs)
    return bases <= _SMALL_BASES if bases else None


def study_of(experiment: Experiment) -> tuple[str, str]:
    """Return the key of an experiment's siblings: its study and its layout."""
    return experiment.study or experiment.project or next(iter(experiment.series), ""), experiment.layout


def siblings_of(experiments: Iterable[Experiment], droplets: Iterable[str]) -> dict[tuple[str, str], Siblings]:
    """Return study and layout → siblings; ``droplets`` are the experiments whose reads show a droplet library."""
    by_reads = frozenset(droplets)
    counts: dict[tuple[str, str], Counter[str]] = {}
    single: Counter[str] = Counter()
    for experiment in experiments:
        study = study_of(experiment)
        count = counts.setdefault(study, Counter())
        small = _is_small(experiment)
        count["experiments"] += 1
        count["small"] += small is True
        count["unknown"] += small is None
        count["droplets"] += experiment.experiment in by_reads
        single[study[0]] += says_single_cell(experiment.source)
    return {study: Siblings(**count, single_cell=single[study[0]]) for study, count in counts.items()}


def says_single_cell(source: str) -> bool:
    return "SINGLE CELL" in source.upper()


def gather_evidence(
    experiment: Experiment, texts: Iterable[RecordText], source: str, siblings: Siblings
) -> CellVerdict:
    """Return the verdict on an experiment by its texts, its library source and its siblings."""
    best: dict[str, Evidence] = {}
    pieces = [*_of_record(experiment, source, siblings)]
    for text in texts:
        pieces += evidence_in(text)
    for piece in pieces:
        known = best.get(piece.code)
        if known is None or abs(piece.weight) > abs(known.weight):
            best[piece.code] = piece
    _put_in_context(best)
    return CellVerdict(tuple(sorted(best.values(), key=lambda piece: (-abs(piece.weight), piece.code))))


def _put_in_context(best: dict[str, Evidence]) -> None:
    """Change the weights of pieces that mean something else beside others."""
    if "MANY_CELLED" not in best:
        best.pop("WHOLE_EMBRYOS", None)
    if "CELLS_TOGETHER" in best and best.keys() & _OF_BOTH:  # its protocol is also that of other libraries
        _halve(best, "CELLS_TOGETHER")
    if "MANY_SMALL_SIBLINGS" in best and best.keys() & _KITS and not best.keys() & _OF_BOTH:
        _halve(best, "MANY_SMALL_SIBLINGS")  # bulk beside cells
    for code in ("MANY_SMALL_SIBLINGS", "MANY_SIBLINGS"):  # many samples alone are no cells
        others = sum(piece.weight for piece in best.values() if piece.weight > 0 and piece.code != code)
        if code in best and not others:
            del best[code]
        elif code in best:
            best[code] = best[code]._replace(weight=min(best[code].weight, others))


def _halve(best: dict[str, Evidence], code: str) -> None:
    best[code] = best[code]._replace(weight=best[code].weight // 2)


def _of_record(experiment: Experiment, source: str, siblings: Siblings) -> Iterator[Evidence]:
    """Yield what the fields of the record and the siblings say."""
    spots = spots_of(experiment)
    strategy = experiment.strategy.upper().replace("_", "-")
    if strategy in _OTHER_STRATEGIES:
        yield Evidence("OTHER_RNA_METHOD", VETO, "library strategy", experiment.strategy)
    if says_single_cell(source):
        yield Evidence("SOURCE_SINGLE_CELL", 8, "library source", source)
    elif siblings.single_cell:
        words = f"{siblings.single_cell} other experiment(s) of its study have a single-cell source, and it has none"
        yield Evidence("SIBLINGS_SINGLE_CELL", -4, "", words)
    if len(experiment.runs) >= CELLS_OF_A_PLATE:
        words = f"it has {len(experiment.runs)} runs, each of which may be a cell (then set `count_by: run`, too)"
        yield Evidence("MANY_RUNS", VETO, "", words)
    small = _is_small(experiment)
    if siblings.small >= CELLS_OF_A_PLATE and (small or 0 < spots <= FEW_SPOTS):
        words = f"{siblings.small} experiments of its study are as small as libraries of one cell"
        yield Evidence("MANY_SMALL_SIBLINGS", 4 if siblings.small >= 4 * CELLS_OF_A_PLATE else 2, "", words)
    elif siblings.unknown >= 2 * CELLS_OF_A_PLATE and small is None:
        yield Evidence("MANY_SIBLINGS", 2, "", f"its study has {siblings.experiments} experiments")
    if spots > 2 * FEW_SPOTS or (spots > FEW_SPOTS and siblings.experiments < 2 * CELLS_OF_A_PLATE):
        weight = -16 if spots > FAR_TOO_MANY_SPOTS else -2 if spots > MANY_SPOTS else -1
        yield Evidence("MANY_SPOTS", weight, "", f"{spots:,} spots are many for one cell")


def _names_many(words: str) -> bool:
    """Whether words such as ``scRNA-seq`` or ``single cells`` may also name a library of many cells."""
    return bool(re.search(r"s$|\bs[cn]", words.lower())) or "rna" in words.lower()


def against(verdict: CellVerdict, accession: str, assay: str = "plate") -> str:
    """Return the sentence of a library that is not shown to be of single cells."""
    pro = [piece for piece in verdict.pieces if piece.weight > 0]
    con = [piece for piece in verdict.pieces if piece.weight <= _STRONG]
    what = "a single cell" if assay == "plate" else "of single cells"
    overrule = f"If it is {what}, set `assay: {{{accession}: {assay}}}`."
    if not con:
        if pro:
            said = " and ".join(piece.sentence for piece in pro[:2])
            return f"That it is {what} is not shown: {said}, which is not enough. {overrule}"
        return f"Nothing says that it is {what}: looked for in {_LOOKED_FOR}. {overrule}"
    said = " and ".join(piece.sentence for piece in con[:2])
    though = f", though {pro[0].sentence}" if pro else f", and nothing says that it is {what}"
    return f"Not shown to be {what}: {said}{though}. {overrule}"
