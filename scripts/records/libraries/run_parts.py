"""What the runs of an experiment are to each other: whole ones, index reads of another one, halves of the same spots.

Submitters load the files of one library as several runs, too: I1 and I2 beside R1 and R2 (GSE274763), or R1 and R2 each
by itself. A run that holds only index reads, or no spot, is left out by itself. Two runs that are R1 and R2 of the same
spots are counted as one; the stage ``reads`` joins them after it has compared the name of every spot.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from scripts.records.answers.sra_xml import Experiment, Read, SraRun

INDEX_LENGTH = 12  # nt; a read no longer than this holds a sample index
BARCODE_LENGTHS = (20, 34)  # nt; barcode and UMI of every droplet kit that sequences them alone
CDNA_LENGTH = 45  # nt; the cDNA read of a droplet library is at least this long, unless it was trimmed

_FILE_READ = re.compile(r"(?<![a-z0-9])[RI][1-4](?![a-z0-9])", re.IGNORECASE)  # the last one in a file's name
_MATE = re.compile(r"(?<=[._-])[12](?=\.f(?:ast)?q\b)", re.IGNORECASE)  # of a file that is called _1.fastq
_NAMED = 3  # runs that a sentence names


class RunParts(NamedTuple):
    """The runs of an experiment, sorted out.

    ``whole`` is the experiment as it is counted: without runs that are left out, a pair being one run that has the name
    of its first half and the reads of both. ``left_out`` maps run → reason code and sentence, ``mates`` run → the run
    that has the other read of its spots, for both halves; ``first_halves`` are those whose read comes first.
    """

    whole: Experiment
    left_out: Mapping[str, tuple[str, str]]
    mates: Mapping[str, str]
    first_halves: frozenset[str]

    def roles(self, run: SraRun, roles: Mapping[str, Sequence[str]], assay: str) -> tuple[str, ...]:
        """Return the roles of the reads of a run; ``roles`` are those of the runs of ``whole``, as far as known."""
        mate = self.mates.get(run.run)
        if mate is None:
            return tuple(roles.get(run.run, ()))
        is_first = run.run in self.first_halves
        if assay == "plate":
            return tuple(_plate_role(read, "cdna" if is_first else "cdna2") for read in run.reads)
        found = tuple(roles.get(run.run if is_first else mate, ()))
        return found[: len(run.reads)] if is_first else found[len(found) - len(run.reads) :] if found else ()


def kind_by_length(read: Read) -> str:
    """Return ``none``, ``index``, ``barcode`` or ``cdna`` by the length of a read; empty where it says nothing."""
    if read.length == 0:
        return "none"
    if read.length <= INDEX_LENGTH:
        return "index"
    if BARCODE_LENGTHS[0] <= read.length <= BARCODE_LENGTHS[1] and read.stdev <= 1:
        return "barcode"
    return "cdna" if read.length >= CDNA_LENGTH else ""


def long_reads(run: SraRun) -> int:
    """Return how many reads can hold a barcode or cDNA: they are longer than an index."""
    return sum(read.length > INDEX_LENGTH for read in run.reads)


def file_read(file: str) -> str:
    """Return R1, R2, I1 …, as the last such word of a file's name says, empty without one."""
    found = _FILE_READ.findall(file)
    return found[-1].upper() if found else ""


def lengths_of(run: SraRun) -> str:
    """Return the lengths of the reads of a run for a sentence: ``28, 91 nt``."""
    return f"{', '.join(f'{read.length:g}' for read in run.reads)} nt"


def sort_runs(experiment: Experiment) -> RunParts:
    """Return what the runs of an experiment are to each other, as far as its record shows it."""
    index_runs = [run for run in experiment.runs if _holds_index_only(run)]
    empty = [run for run in experiment.runs if _has_no_spot(run)]
    others = [run for run in experiment.runs if run not in index_runs and run not in empty]
    left_out = {run.run: ("INDEX_READS_ONLY", _index_sentence(run, others)) for run in index_runs}
    if others or index_runs:
        left_out |= {run.run: ("EMPTY_READS", _empty_sentence(others)) for run in empty}
    pairs = list(_find_pairs(others))
    left_out |= _unpaired(others, pairs)
    joined = {first.run: _join(first, second) for first, second in pairs}
    seconds = {second.run for _, second in pairs}
    mates = {first.run: second.run for first, second in pairs}
    runs = tuple(joined.get(run.run, run) for run in others if run.run not in left_out and run.run not in seconds)
    return RunParts(
        experiment._replace(runs=runs) if runs else experiment,
        left_out,
        mates | {second: first for first, second in mates.items()},
        frozenset(mates),
    )


def lone_fault(run: SraRun, assay: str) -> tuple[str, str] | None:
    """Return why a run is left out though no other run of its experiment has spots, None where it is not.

    A plate cell without a spot is an empty well, which is counted where the archive has a file of it.
    """
    if _has_no_spot(run) and (assay == "droplet" or run.size == "0"):
        return "EMPTY_READS", "The run has no spot."
    return None


def _has_no_spot(run: SraRun) -> bool:
    return run.spots == "0" or (not run.spots and run.bases == "0")


def _holds_index_only(run: SraRun) -> bool:
    lengths = [read.length for read in run.reads]
    return not run.variable and any(lengths) and max(lengths) <= INDEX_LENGTH


def _index_sentence(run: SraRun, others: Sequence[SraRun]) -> str:
    sentence = f"The run holds only index reads ({lengths_of(run)})"
    same = [other.run for other in others if run.spots and other.spots == run.spots]
    if len(same) == 1:
        return f"{sentence}, those of the {int(run.spots):,} spots of {same[0]}; the experiment is counted without it."
    if others:
        return f"{sentence}; the experiment is counted from {_named(others)}."
    return f"{sentence}, and no other run of its experiment has any other reads."


def _empty_sentence(others: Sequence[SraRun]) -> str:
    return (
        f"The run has no spot; the experiment is counted from {_named(others)}." if others else "The run has no spot."
    )


def _named(runs: Sequence[SraRun]) -> str:
    names = ", ".join(run.run for run in runs[:_NAMED])
    return f"{names} and {len(runs) - _NAMED} more runs" if len(runs) > _NAMED else names


def _plate_role(read: Read, role: str) -> str:
    return role if read.length > INDEX_LENGTH else "index" if read.length else "none"


def _find_pairs(runs: Sequence[SraRun]) -> Iterator[tuple[SraRun, SraRun]]:
    """Yield the runs that are R1 and R2 of the same spots, by the names of their files, else by their lengths.

    Halves have one read a spot beside index reads, and the same number of spots. By names: one file is R1 and the other
    one R2 of the same name. By lengths: of all runs of so many spots one holds barcodes and one cDNA.
    """
    groups: dict[str, list[SraRun]] = {}
    for run in runs:
        if run.spots and not run.variable and long_reads(run) == 1:
            groups.setdefault(run.spots, []).append(run)
    for group in groups.values():
        by_name: dict[tuple[str, str], list[SraRun]] = {}
        for run in group:
            if named := _mate_name(run):
                by_name.setdefault(named, []).append(run)
        paired = set()
        for (stem, read), firsts in by_name.items():
            seconds = by_name.get((stem, "2"), [])
            if read == "1" and len(firsts) == len(seconds) == 1 and _fit(firsts[0], seconds[0]):
                paired |= {firsts[0].run, seconds[0].run}
                yield firsts[0], seconds[0]
        rest = [run for run in group if run.run not in paired]
        barcodes, cdna = (_of_kind(rest, kind) for kind in ("barcode", "cdna"))
        if len(barcodes) == len(cdna) == 1:
            yield barcodes[0], cdna[0]


def _long_read(run: SraRun) -> Read:
    return next(read for read in run.reads if read.length > INDEX_LENGTH)


def _of_kind(runs: Iterable[SraRun], kind: str) -> list[SraRun]:
    return [run for run in runs if kind_by_length(_long_read(run)) == kind]


def _fit(first: SraRun, second: SraRun) -> bool:
    """Whether R1 and R2 can be mates of a cell, of equal lengths, or barcodes and cDNA of a library."""
    lengths = _long_read(first).length, _long_read(second).length
    return abs(lengths[0] - lengths[1]) <= 1 or (lengths[0] >= BARCODE_LENGTHS[0] and lengths[1] >= CDNA_LENGTH)


def _mate_name(run: SraRun) -> tuple[str, str] | None:
    """Return what the files of both mates have in common in their names, and which mate this run is: 1 or 2."""
    names = [*run.read_files, *(file.name for file in run.files if file.kind in ("fastq", "submitted"))]
    for name in names:
        for found in reversed([*_FILE_READ.finditer(name), *_MATE.finditer(name)]):
            if found[0].upper() in ("R1", "R2", "1", "2"):
                return f"{name[: found.start()]}*{name[found.end() :]}", found[0][-1]
    return None


def _join(first: SraRun, second: SraRun) -> SraRun:
    """Return both halves as one run, under the name of the first."""
    names = [_files_by_read(half) for half in (first, second)]
    return first._replace(
        reads=first.reads + second.reads,
        read_files=names[0] + names[1] if all(names) else (),
        files=first.files + second.files,
    )


def _files_by_read(run: SraRun) -> tuple[str, ...]:
    if run.read_files:
        return run.read_files
    names = tuple(file.name for file in run.files if file.kind in ("fastq", "submitted"))
    return names if len(names) == len(run.reads) == 1 else ()


def _unpaired(runs: Sequence[SraRun], pairs: Sequence[tuple[SraRun, SraRun]]) -> dict[str, tuple[str, str]]:
    """Return run → reason and sentence of halves that no other run completes, though there are such of both kinds."""
    paired = {run.run for pair in pairs for run in pair}
    halves = [run for run in runs if not run.variable and run.run not in paired and long_reads(run) == 1]
    barcodes, cdna = (_of_kind(halves, kind) for kind in ("barcode", "cdna"))
    if not barcodes or not cdna:
        return {}
    spots = " and ".join(f"{int(run.spots):,}" if run.spots else "unknown" for run in (barcodes[0], cdna[0]))
    sentence = (
        f"{_named(barcodes)} ({lengths_of(barcodes[0])}) may hold the barcodes and {_named(cdna)} "
        f"({lengths_of(cdna[0])}) the cDNA of the same spots, but their numbers of spots ({spots}) and the names of "
        "their files do not show which belongs to which."
    )
    return {run.run: ("LAYOUT_AMBIGUOUS", sentence) for run in (*barcodes, *cdna)}
