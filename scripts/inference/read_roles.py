"""What each read of a spot is: cDNA, barcode, UMI or index, judged from ranked evidence.

Ranks: 0 the user says so; 1 the options of the archive's loader name the files; 2 the lengths of the reads; 3 the
barcodes themselves (:mod:`scripts.inference.chemistry`). Without evidence a run is a RunFault, never a guess.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.formats.chemistries import Chemistry
from scripts.formats.errors import RunFault
from scripts.formats.fastq_sample import ReadSample
from scripts.inference.chemistry import (
    MARGIN,
    MIN_SHARE,
    Alternative,
    Lists,
    Place,
    find_rival,
    find_trimmed,
    measure_alternatives,
    testable_places,
)

INDEX_LENGTH = 12
"""A read of at most this many bases, no barcode or UMI, is a sample index."""
LONG_BARCODE_READ = 50
"""A barcode read longer than this in the mean holds cDNA as well."""
RANKS = {0: "named by the user", 1: "loader options", 2: "read lengths", 3: "barcodes"}
_FEW_SEQUENCES = 0.01

_FILE_OPTION = re.compile(r"--read([1-9])PairFiles?$")
_ILLUMINA = re.compile(r"(?:^|[._-])([RI])([1-4])(?:[._-]|$)", re.I)


@dataclass
class Verdict:
    """What a run's reads are; ``candidates`` are the kits that the evidence leaves, which differ in strand only."""

    roles: tuple[str, ...]
    candidates: tuple[Chemistry, ...]
    offset: int
    rank: int
    alternatives: list[Alternative] = field(default_factory=list)
    mean_lengths: tuple[float, ...] = ()

    @property
    def strand(self) -> str:
        """The strand, empty where the candidates differ in it."""
        strands = {candidate.strand for candidate in self.candidates}
        return strands.pop() if len(strands) == 1 else ""


def labels_of_loader_options(options: str) -> tuple[str, ...]:
    """Return the Illumina label (R1, R2, I1, I2, …) of each read in archive order that the loader's options name.

    ``options`` is what an SRA record holds as the run's attribute ``options``. Empty where a file has no such label or
    the label of another one.
    """
    try:
        words = shlex.split(options)
    except ValueError:
        words = options.split()
    labels: dict[int, set[str]] = {}
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if not (match := _FILE_OPTION.match(name)):
            continue
        value = value or (words[place + 1] if place + 1 < len(words) else "")
        for file in value.split(","):
            found = _ILLUMINA.findall(file.rpartition("/")[2])
            labels.setdefault(int(match[1]), set()).add("".join(found[-1]).upper() if found else "")
    ordered = [labels[number] for number in sorted(labels)]
    if any(len(found) != 1 or "" in found for found in ordered):
        return ()
    named = tuple(next(iter(found)) for found in ordered)
    return named if len(set(named)) == len(named) else ()


def roles_of_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the roles of a 3′ or 5′ 10x library's reads by their labels: R1 barcode, R2 cDNA, I1 and I2 index.

    Empty where that is not what the labels say (an R3, or no R1 and R2).
    """
    roles = {"R1": "barcode", "R2": "cdna", "I1": "index", "I2": "index"}
    if not {"R1", "R2"} <= set(labels) or not set(labels) <= set(roles):
        return ()
    return tuple(roles[label] for label in labels)


def roles_of_lengths(lengths: Sequence[float]) -> tuple[str, ...]:
    """Return the roles that the mean lengths of a droplet run's reads prove; empty where they prove nothing.

    Reads of at most 12 bases are indices; of the two others one must have 24 to 32 bases, the other 40 or more.
    """
    roles = ["none" if not length else "index" if length <= INDEX_LENGTH else "" for length in lengths]
    rest = sorted((length, number) for number, length in enumerate(lengths) if not roles[number])
    if len(rest) != 2 or not 24 <= rest[0][0] <= 32 or rest[1][0] < 40:
        return ()
    roles[rest[0][1]], roles[rest[1][1]] = "barcode", "cdna"
    return tuple(roles)


def _distinct_share(sample: ReadSample) -> float:
    """Share of distinct sequences (first 32 bases) among the reads."""
    if not sample.lengths.size:
        return 0.0
    return np.unique(sample.codes[:, :32], axis=0).shape[0] / sample.lengths.size


def _assign_roles(
    samples: Mapping[int, ReadSample], reads: int, barcode_read: int, chemistry: Chemistry
) -> tuple[str, ...]:
    """Return the roles of all reads, given the one with the barcode. Raises RunFault where a role is in doubt."""
    roles = ["none"] * reads
    roles[barcode_read] = "barcode"
    rest = {read: sample for read, sample in samples.items() if read != barcode_read and sample.lengths.any()}
    if chemistry.umi_own_read:
        umis = [
            read
            for read, sample in rest.items()
            if chemistry.umi_start + chemistry.umi_length - 1 <= np.median(sample.lengths) <= INDEX_LENGTH + 2
            and _distinct_share(sample) > _FEW_SEQUENCES
        ]
        if len(umis) != 1:
            raise RunFault(
                "LAYOUT_AMBIGUOUS",
                f"{chemistry.title} keeps its UMI of {chemistry.umi_length} bases in a read of its own, but {len(umis)}"
                " reads of that length vary from spot to spot.",
            )
        roles[umis[0]] = "umi"
        del rest[umis[0]]
    long = []
    for read, sample in sorted(rest.items()):
        mean = float(sample.lengths.mean())
        if mean <= INDEX_LENGTH or (mean < 25 and _distinct_share(sample) < _FEW_SEQUENCES):
            roles[read] = "index"
        else:
            long.append(read)
    if not long:
        raise RunFault(
            "READS_MISSING", f"read {barcode_read + 1} holds the barcodes, but there is no read long enough for cDNA."
        )
    if len(long) > 1:
        names = " and ".join(str(read + 1) for read in long)
        raise RunFault(
            "LAYOUT_AMBIGUOUS",
            f"read {barcode_read + 1} holds the barcodes, but reads {names} could each be the cDNA; name read_roles in"
            " the run table.",
        )
    roles[long[0]] = "cdna"
    return tuple(roles)


def _barcode_read_by_length(samples: Mapping[int, ReadSample], chemistry: Chemistry) -> int:
    """Return the read whose length is that of the kit's barcode read. Raises RunFault where not exactly one is."""
    exact = [read for read, sample in samples.items() if np.median(sample.lengths) == chemistry.read_end]
    near = [read for read, sample in samples.items() if chemistry.read_end <= np.median(sample.lengths) <= 32]
    for found in (exact, near):
        if len(found) == 1:
            return found[0]
    raise RunFault(
        "LAYOUT_AMBIGUOUS",
        f"neither barcodes nor lengths tell which read is the barcode read of {chemistry.title}; name read_roles in the"
        " run table.",
    )


def _check_length(sample: ReadSample, read: int, chemistry: Chemistry, offset: int) -> None:
    needed = chemistry.read_end + offset
    short = float((sample.lengths < needed).mean())
    if short > 0.5:
        raise RunFault(
            "BARCODE_TRIMMED",
            f"read {read + 1} holds the barcodes of {chemistry.title}, but {short:.0%} of its reads are shorter than"
            f" the {needed} bases of barcode and UMI.",
        )


def _narrow_by_umi(candidates: Sequence[Chemistry], sample: ReadSample, offset: int) -> list[Chemistry]:
    """Of kits that differ in the UMI's length keep those whose barcode read has exactly the length of this one's."""
    if len({candidate.read_end for candidate in candidates}) < 2:
        return list(candidates)
    length = int(np.median(sample.lengths)) - offset
    exact = [candidate for candidate in candidates if candidate.read_end == length]
    if exact:
        return exact
    titles = " and ".join(candidate.title for candidate in candidates)
    raise RunFault(
        "CHEMISTRY_UNKNOWN", f"{titles} share their barcodes, and reads of {length} bases do not tell which."
    )


def judge_run(
    samples: Mapping[int, ReadSample],
    reads: int,
    chemistries: Sequence[Chemistry],
    lists: Lists,
    *,
    pinned_roles: Sequence[str] = (),
    pinned_chemistry: Chemistry | None = None,
    figures: list[Alternative] | None = None,
) -> Verdict:
    """Return what the reads of a run are.

    ``samples`` is read number (from 0) → sampled reads of the same spots; ``reads`` the number of reads a spot has in
    the archive. ``figures`` is filled with what was measured also when a RunFault is raised: LAYOUT_AMBIGUOUS,
    CHEMISTRY_UNKNOWN, BARCODE_TRIMMED, BARCODE_LOST or READS_MISSING.
    """
    if pinned_roles and len(pinned_roles) != reads:
        raise RunFault(
            "LAYOUT_AMBIGUOUS", f"read_roles names {len(pinned_roles)} reads, but a spot of the run has {reads}."
        )
    filled = {read: sample for read, sample in samples.items() if sample.lengths.any()}
    if len(filled) < 2:
        raise RunFault("BARCODE_LOST", "a spot has one read only, so that barcode and UMI are not among the reads.")
    looked_at = filled
    if pinned_roles:
        if list(pinned_roles).count("barcode") != 1 or list(pinned_roles).count("cdna") != 1:
            raise RunFault("LAYOUT_AMBIGUOUS", "read_roles must name one barcode read and one cdna read.")
        looked_at = {read: filled[read] for read in filled if pinned_roles[read] == "barcode"}
        if not looked_at:
            raise RunFault("BARCODE_LOST", "the read that read_roles calls barcode is not in the archive.")
    kits = [pinned_chemistry] if pinned_chemistry else list(chemistries)
    places, _ = testable_places(kits, lists)
    found = measure_alternatives(looked_at, list(places), lists)
    if figures is not None:
        figures.extend(found)
    if pinned_chemistry:
        verdict = _judge_pinned(looked_at, found, pinned_chemistry)
    else:
        verdict = _judge_by_barcodes(looked_at, found, places, lists)
    read = next(number for number, role in enumerate(verdict.roles) if role == "barcode")
    kit = verdict.candidates[0]
    _check_length(filled[read], read, kit, verdict.offset)
    verdict.roles = tuple(pinned_roles) if pinned_roles else _assign_roles(filled, reads, read, kit)
    if pinned_roles:
        verdict.rank = 0
    verdict.mean_lengths = tuple(
        float(samples[number].lengths.mean()) if number in filled else 0.0 for number in range(reads)
    )
    return verdict


def _only_barcode(read: int) -> tuple[str, ...]:
    return (*["none"] * read, "barcode")


def _judge_pinned(samples: Mapping[int, ReadSample], found: list[Alternative], chemistry: Chemistry) -> Verdict:
    if chemistry.refused:
        raise RunFault("CHEMISTRY_UNKNOWN", f"libraries of {chemistry.title} are not counted: {chemistry.refused}.")
    forward = [one for one in found if not one.reverse]
    if forward and forward[0].share > MARGIN * forward[0].chance and find_rival(forward[0], forward) is None:
        best = forward[0]
        return Verdict(_only_barcode(best.read), (chemistry,), best.offset, 3, found)
    read = next(iter(samples)) if len(samples) == 1 else _barcode_read_by_length(samples, chemistry)
    return Verdict(_only_barcode(read), (chemistry,), 0, 2, found)


def _judge_by_barcodes(
    samples: Mapping[int, ReadSample],
    found: list[Alternative],
    places: Mapping[Place, list[Chemistry]],
    lists: Lists,
) -> Verdict:
    if not places:
        raise RunFault(
            "CHEMISTRY_UNKNOWN",
            "no inclusion list is at hand to prove a kit; configure droplets.inclusion_lists, or name the chemistry.",
        )
    best = found[0] if found else None
    if best is None or best.share <= max(MIN_SHARE, MARGIN * best.chance):
        if trimmed := find_trimmed(samples, list(places), lists):
            read, name, length = trimmed
            raise RunFault(
                "BARCODE_TRIMMED", f"read {read + 1} holds barcodes of {name} cut to {length} bases, without UMI."
            )
        told = f"the best is {best.words}" if best else "no read is long enough for a barcode"
        names = ", ".join(sorted(lists.packed))
        raise RunFault("CHEMISTRY_UNKNOWN", f"no read has its barcodes on an inclusion list at hand ({names}); {told}.")
    if rival := find_rival(best, found):
        raise RunFault("LAYOUT_AMBIGUOUS", f"two readings explain the run: {best.words}, and {rival.words}.")
    kits = places[best.place]
    if refused := [kit for kit in kits if kit.refused]:
        raise RunFault(
            "CHEMISTRY_UNKNOWN",
            f"libraries of {refused[0].title} are not counted: {refused[0].refused}; {best.words}.",
        )
    if best.reverse:
        raise RunFault(
            "LAYOUT_AMBIGUOUS", f"the barcodes stand in reverse complement, which cannot be counted: {best.words}."
        )
    kits = _narrow_by_umi(kits, samples[best.read], best.offset)
    return Verdict(_only_barcode(best.read), tuple(kits), best.offset, 3, found)
