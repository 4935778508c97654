"""What each read of a spot is (cDNA, barcode, UMI or index), proved by the reads themselves.

The barcodes decide (:mod:`~scripts.droplets.roles.barcode_search`), also against the roles in the run table, be they
from the records or from the user. Where barcodes allow two answers, or no inclusion list is configured for a kit that
the user named, the run table decides, then the lengths of the reads. Without evidence a run is a RunFault, never a
guess.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scripts.core.errors import RunFault
from scripts.droplets.chemistries import BarcodeLayout, Chemistry
from scripts.droplets.fastq_sample import ReadSample
from scripts.droplets.inclusion_lists import BASE_CODES
from scripts.droplets.library_reads import LONG_BARCODE_READ
from scripts.droplets.roles.barcode_search import (
    MARGIN,
    MIN_SHARE,
    Alternative,
    PackedLists,
    choose_best,
    find_rival,
    find_trimmed,
    measure_alternatives,
    testable_layouts,
)
from scripts.droplets.roles.feature_runs import NoRna

INDEX_LENGTH = 12
"""A read of at most this many bases, no barcode or UMI, is a sample index."""
RANKS = {1: "run table", 2: "read lengths", 3: "barcodes"}
"""What a verdict rests on; the barcodes are the strongest."""
BARCODE_LENGTHS = (20, 34)
"""Bases of a read that holds barcode and UMI alone."""
LONGEST_CDNA = 151
"""Bases of the longest cDNA reads of droplet libraries."""
_LONGEST_UMI = 24  # bases behind the barcode that hold a UMI and hardly any cDNA
_SEQUENCES_OF_INDEX = 16
_SHARE_OF_INDEX = 0.3
MIN_OF_OLIGO = 0.25
"""Share of barcodes that only one of a bead's oligos has, above which the library is of that one; half of its barcodes
have it."""


class _BarcodeRead(NamedTuple):
    """Which read has the barcode, and by which evidence; fields as in :class:`Verdict`."""

    read: int
    candidates: tuple[Chemistry, ...]
    rank: int
    best: Alternative | None = None


class Verdict(NamedTuple):
    """What a run's reads are; ``candidates`` are the kits that the evidence leaves, which differ in strand only.

    ``rank`` is one of RANKS, ``umi_length`` the bases of the UMI that the reads hold, ``best`` what the barcodes showed
    where they decided, ``doubt`` what speaks against a kit that the user named. ``tag_share``: see
    :func:`scripts.droplets.roles.feature_runs.tag_share`, of the cDNA.
    """

    roles: tuple[str, ...]
    candidates: tuple[Chemistry, ...]
    rank: int
    best: Alternative | None
    mean_lengths: tuple[float, ...]
    umi_length: int
    doubt: str = ""
    tag_share: float = 0.0

    @property
    def offset(self) -> int:
        """Bases by which the barcode starts later than the kit's own position."""
        return self.best.offset if self.best else 0

    @property
    def words(self) -> str:
        """The evidence, in few words."""
        cut = f", UMIs cut to {self.umi_length} bases" if self.umi_length < self.candidates[0].umi_length else ""
        cut += f"; {self.doubt}" if self.doubt else ""
        if self.best is None:
            return f"Chosen by the {RANKS[self.rank]}{cut}"
        chosen = "" if self.rank == 3 else f", of the read that the {RANKS[1]} names"
        return f"Proved by {RANKS[3]}{chosen}: {self.best.words}{cut}"

    @property
    def strand(self) -> str:
        """The strand, empty where the candidates differ in it."""
        strands = {candidate.strand for candidate in self.candidates}
        return strands.pop() if len(strands) == 1 else ""


def _is_index(sample: ReadSample) -> bool:
    """Whether the reads are of few sequences (by their first 32 bases), some of them with errors."""
    _, counts = np.unique(sample.codes[:, :32], axis=0, return_counts=True)
    return float(np.sort(counts)[-_SEQUENCES_OF_INDEX:].sum()) > _SHARE_OF_INDEX * sample.lengths.size


def _assign_roles(
    samples: Mapping[int, ReadSample], reads: int, barcode_read: int, chemistry: Chemistry, first: int | None = None
) -> tuple[str, ...]:
    """Return the roles of all reads; the barcode is in ``barcode_read``, and its ``first`` bases may be in another one.

    Raises RunFault where a role is in doubt.
    """
    barcodes = (first, barcode_read)
    roles = ["barcode" if read in barcodes else "none" for read in range(reads)]
    rest = {read: sample for read, sample in samples.items() if read not in barcodes and sample.lengths.any()}
    if chemistry.umi_own_read:
        umis = [
            read
            for read, sample in rest.items()
            if chemistry.umi_start + chemistry.umi_length - 1 <= np.median(sample.lengths) <= INDEX_LENGTH + 2
            and not _is_index(sample)
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
        if mean <= INDEX_LENGTH or (mean < 25 and _is_index(sample)):
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
    end = chemistry.read_end - chemistry.before
    for longest in (end, 32):
        found = [one for one, sample in samples.items() if end <= np.median(sample.lengths) <= longest]
        if len(found) == 1:
            return found[0]
    raise RunFault(
        "LAYOUT_AMBIGUOUS",
        f"neither barcodes nor lengths tell which read is the barcode read of {chemistry.title}; name read_roles in the"
        " run table.",
    )


def _check_length(sample: ReadSample, read: int, chemistry: Chemistry, offset: int) -> None:
    needed = chemistry.read_least - chemistry.before + offset
    short = float((sample.lengths < needed).mean())
    if short > 0.5:
        raise RunFault(
            "BARCODE_TRIMMED",
            f"read {read + 1} holds the barcodes of {chemistry.title}, but {short:.0%} of its reads are shorter than"
            f" the {needed} bases of barcode and UMI.",
        )


def _narrow_by_umi(candidates: Sequence[Chemistry], sample: ReadSample, offset: int) -> tuple[Chemistry, ...]:
    """Of kits that differ in the UMI's length keep those whose barcode read has exactly the length of this one's."""
    if len({candidate.read_end for candidate in candidates}) < 2:
        return tuple(candidates)
    length = int(np.median(sample.lengths)) - offset
    if exact := tuple(candidate for candidate in candidates if candidate.read_end == length):
        return exact
    titles = " and ".join(candidate.title for candidate in candidates)
    raise RunFault(
        "CHEMISTRY_UNKNOWN", f"{titles} share their barcodes, and reads of {length} bases do not tell which."
    )


def judge_run(
    samples: Mapping[int, ReadSample],
    reads: int,
    chemistries: Sequence[Chemistry],
    lists: PackedLists,
    *,
    given_roles: Sequence[str] = (),
    given_chemistry: Chemistry | None = None,
    figures: list[Alternative] | None = None,
) -> Verdict:
    """Return what the reads of a run are.

    ``samples`` is read number (from 0) → sampled reads of the same spots; ``reads`` the number of reads a spot has in
    the archive; what is given is the run table's. ``figures`` is filled with what was measured also when a RunFault
    is raised: LAYOUT_AMBIGUOUS, CHEMISTRY_UNKNOWN, BARCODE_TRIMMED, BARCODE_LOST or READS_MISSING.
    """
    filled = {read: sample for read, sample in samples.items() if sample.lengths.any()}
    layouts, _ = testable_layouts([given_chemistry] if given_chemistry else chemistries, lists)
    found = measure_alternatives(filled, list(layouts), lists)
    if figures is not None:
        figures.extend(found)
    if len(filled) < 2:
        raise _one_read_fault(filled, choose_best(found))
    given_read = _given_barcode_read(given_roles, reads, filled, given_chemistry)
    if given_chemistry:
        chosen = _judge_given(filled, found, given_chemistry, given_read)
        if chosen.best is None:
            _check_other_kits(filled, given_chemistry, chemistries, lists)
    else:
        try:
            chosen = _judge_by_barcodes(filled, found, layouts, lists)
        except RunFault as fault:
            if fault.reason != "LAYOUT_AMBIGUOUS" or given_read is None:
                raise
            of_read = [one for one in found if one.read == given_read]
            chosen = _judge_by_barcodes({given_read: filled[given_read]}, of_read, layouts, lists)._replace(rank=1)
    read, kit = chosen.read, chosen.candidates[0]
    offset, first = (chosen.best.offset, chosen.best.first) if chosen.best else (0, None)
    _check_length(filled[read], read, kit, offset)
    roles = tuple(given_roles) if read == given_read else _assign_roles(filled, reads, read, kit, first)
    if kit.umi_own_read and "umi" not in roles:
        roles = _assign_roles(filled, reads, read, kit)
    lengths = tuple(float(samples[number].lengths.mean()) if number in filled else 0.0 for number in range(reads))
    umi_length = kit.umi_bases(float(np.median(filled[read].lengths)) + kit.before, offset)
    doubt = _doubt(filled[read], found, chosen) if given_chemistry else ""
    return Verdict(roles, chosen.candidates, chosen.rank, chosen.best, lengths, umi_length, doubt)


def holds_index_only(samples: Mapping[int, ReadSample], given_roles: Sequence[str] = ()) -> bool:
    """Whether no read is longer than a sample index, unless the run table says that one is barcode, UMI or cDNA."""
    longest = max((int(sample.lengths.max()) for sample in samples.values() if sample.lengths.size), default=0)
    return 0 < longest <= INDEX_LENGTH and set(given_roles) <= {"index", "none"}


def _one_read_fault(filled: Mapping[int, ReadSample], best: Alternative | None) -> RunFault:
    """Return the fault of a run that has one read a spot, or none: it may hold cDNA, barcodes, or both."""
    length = next((int(np.median(sample.lengths)) for sample in filled.values()), 0)
    if best and not best.reverse and best.share > max(MIN_SHARE, MARGIN * best.chance):
        behind = length - best.offset - best.layout.end
        if behind > _LONGEST_UMI:
            return RunFault(
                "LAYOUT_AMBIGUOUS",
                f"the only read of a spot, of {length} bases, holds its barcode ({best.words}): barcode, UMI and cDNA"
                " are joined in it; divide it into two files.",
            )
        return RunFault("READS_MISSING", f"a spot has one read only, which holds its barcode ({best.words}).")
    if BARCODE_LENGTHS[0] <= length <= BARCODE_LENGTHS[1]:
        return RunFault(
            "READS_MISSING",
            f"a spot has one read only, of {length} bases as barcode and UMI have; the cDNA is not among the reads.",
        )
    if length > LONGEST_CDNA:
        return RunFault(
            "LAYOUT_AMBIGUOUS",
            f"a spot has one read only, of {length} bases, more than the cDNA has: barcode, UMI and cDNA may be joined"
            " in it, though its first bases are on no configured inclusion list; divide it into two files.",
        )
    return RunFault("BARCODE_LOST", "a spot has one read only, so that barcode and UMI are not among the reads.")


def _given_barcode_read(
    roles: Sequence[str], reads: int, filled: Mapping[int, ReadSample], kit: Chemistry | None
) -> int | None:
    """Return the read that the run table calls barcode, None without roles and where it names two of them.

    Of two it is the longer one where no list can prove the kit. Raises RunFault for unusable roles.
    """
    if not roles:
        return None
    if len(roles) != reads:
        raise RunFault("LAYOUT_AMBIGUOUS", f"read_roles names {len(roles)} reads, but a spot of the run has {reads}.")
    if list(roles).count("barcode") not in (1, 2) or list(roles).count("cdna") != 1:
        raise RunFault("LAYOUT_AMBIGUOUS", "read_roles must name one barcode read and one cdna read.")
    if missing := [role for read, role in enumerate(roles) if role in ("barcode", "cdna") and read not in filled]:
        raise RunFault("READS_MISSING", f"the archive does not hold what read_roles calls {' and '.join(missing)}.")
    barcodes = [read for read, role in enumerate(roles) if role == "barcode"]
    if len(barcodes) == 2 and kit is not None and kit.split and not kit.lists:
        return max(barcodes, key=lambda read: float(np.median(filled[read].lengths)))
    return barcodes[0] if len(barcodes) == 1 else None


def _judge_given(
    samples: Mapping[int, ReadSample], found: list[Alternative], chemistry: Chemistry, given_read: int | None
) -> _BarcodeRead:
    """Return where a kit that the user named has its barcode: by barcodes, else the run table, else lengths."""
    if chemistry.refused:
        raise RunFault("CHEMISTRY_UNKNOWN", f"libraries of {chemistry.title} are not counted: {chemistry.refused}.")
    forward = [one for one in found if not one.reverse]
    if forward and forward[0].share > max(MIN_SHARE, MARGIN * forward[0].chance):
        best = forward[0]
        if find_rival(best, forward) is None:
            _check_oligo(samples[best.read], best, chemistry)
            return _BarcodeRead(best.read, (chemistry,), 3, best)
    if chemistry.split and chemistry.lists:
        raise RunFault(
            "LAYOUT_AMBIGUOUS",
            f"{chemistry.title} keeps its barcode in two reads, and no two reads have theirs on"
            f" {' and '.join(chemistry.lists)}.",
        )
    if chemistry.split and given_read is None:
        raise RunFault(
            "LAYOUT_AMBIGUOUS",
            f"{chemistry.title} keeps its barcode in two reads; name both as barcode in the column read_roles of the"
            " run table.",
        )
    if given_read is not None:
        return _BarcodeRead(given_read, (chemistry,), 1)
    return _BarcodeRead(_barcode_read_by_length(samples, chemistry), (chemistry,), 2)


def _check_other_kits(
    samples: Mapping[int, ReadSample], named: Chemistry, chemistries: Sequence[Chemistry], lists: PackedLists
) -> None:
    """Raise RunFault (CHEMISTRY_UNKNOWN) where barcodes that do not prove the kit that the user named prove another."""
    layouts, _ = testable_layouts([kit for kit in chemistries if kit.layout != named.layout], lists)
    best = choose_best(measure_alternatives(samples, list(layouts), lists))
    if best and best.share > max(MIN_SHARE, MARGIN * best.chance):
        kits = layouts[best.layout]
        titles = " or ".join(kit.title for kit in kits)
        raise (NoRna if kits[0].refused and not kits[0].umi_length else RunFault)(
            "CHEMISTRY_UNKNOWN", f"{named.title} is named, but {best.words}, as of {titles}; name that kit, or none."
        )


def _doubt(sample: ReadSample, found: Sequence[Alternative], chosen: _BarcodeRead) -> str:
    """Return what speaks against the kit that the user named, empty where nothing does."""
    kit, doubts = chosen.candidates[0], []
    tried = [one for one in found if one.read == chosen.read and not one.reverse]
    if chosen.best is None and tried:
        best = max(tried, key=lambda one: one.share + one.few)
        where = f"of the barcodes of read {chosen.read + 1} are on {' or '.join(kit.lists)}"
        if best.few > max(MIN_SHARE, MARGIN * best.chance):
            doubts.append(f"{best.share + best.few:.1%} {where}, most of them the same barcode or one of two")
        else:
            doubts.append(f"only {best.share + best.few:.1%} {where}")
    length = int(np.median(sample.lengths)) + kit.before
    needed = kit.read_end + (chosen.best.offset if chosen.best else 0)
    if needed < length <= LONG_BARCODE_READ:
        doubts.append(f"the barcode reads have {length} bases, barcode and UMI of {kit.title} {needed}")
    return "; ".join(doubts)


def _check_oligo(sample: ReadSample, best: Alternative, kit: Chemistry) -> None:
    """Raise RunFault (CHEMISTRY_UNKNOWN) where the barcodes are those of the bead's oligo that captures features."""
    if kit.oligo is None or best.reverse:
        return
    first = best.start + kit.oligo.start - 2
    bases = sample.codes[best.hits, first : first + len(kit.oligo.rna)]
    rna, feature = (
        float((bases == BASE_CODES[np.frombuffer(word.encode(), dtype=np.uint8)]).all(axis=1).mean())
        for word in (kit.oligo.rna, kit.oligo.feature)
    )
    if feature > MIN_OF_OLIGO and feature > MIN_OF_OLIGO / MIN_SHARE * rna:
        raise NoRna(
            "CHEMISTRY_UNKNOWN",
            f"feature barcodes (antibodies, guides or sample tags) beside {kit.title} are not counted: {feature:.0%} of"
            f" the barcodes are surely of the oligo for features, {rna:.0%} of the one for RNA; {best.words}.",
        )


def _judge_by_barcodes(
    samples: Mapping[int, ReadSample],
    found: list[Alternative],
    layouts: Mapping[BarcodeLayout, list[Chemistry]],
    lists: PackedLists,
) -> _BarcodeRead:
    """Return where the barcode is by the alternatives that were measured, and the kits that have it there."""
    if not layouts:
        raise RunFault(
            "CHEMISTRY_UNKNOWN",
            "no inclusion list that could prove a kit is configured; set droplets.inclusion_lists, or name the"
            " chemistry.",
        )
    best = choose_best(found)
    if best is None or best.share <= max(MIN_SHARE, MARGIN * best.chance):
        if trimmed := find_trimmed(samples, list(layouts), lists):
            read, name, length = trimmed
            raise RunFault(
                "BARCODE_TRIMMED", f"read {read + 1} holds barcodes of {name} cut to {length} bases, without UMI."
            )
        constant = max(found, key=lambda one: one.few, default=None)
        if constant and constant.few > max(MIN_SHARE, MARGIN * constant.chance):
            raise RunFault(
                "CHEMISTRY_UNKNOWN",
                f"{constant.few:.1%} of the spots have the same barcode, or one of two, of {constant.names} in read"
                f" {constant.read + 1}; so few prove no kit. If it is right, name the chemistry in the run table.",
            )
        nearest = f"the best is {best.words}" if best else "no read is long enough for a barcode"
        names = ", ".join(sorted(set(lists.packed) - lists.public))
        raise RunFault(
            "CHEMISTRY_UNKNOWN", f"no read has its barcodes on a configured inclusion list ({names}); {nearest}."
        )
    if rival := find_rival(best, found):
        named = [" or ".join(kit.title for kit in layouts[one.layout]) for one in (best, rival)]
        raise RunFault(
            "LAYOUT_AMBIGUOUS",
            f"two readings explain the run: {best.words}, as of {named[0]}, and {rival.words}, as of {named[1]}.",
        )
    kits = layouts[best.layout]
    if refused := [kit for kit in kits if kit.refused]:
        raise (RunFault if refused[0].umi_length else NoRna)(  # kits without UMI measure no RNA
            "CHEMISTRY_UNKNOWN",
            f"libraries of {refused[0].title} are not counted: {refused[0].refused}; {best.words}.",
        )
    _check_oligo(samples[best.read], best, kits[0])
    if best.reverse:
        raise RunFault(
            "LAYOUT_AMBIGUOUS", f"the barcodes stand in reverse complement, which cannot be counted: {best.words}."
        )
    return _BarcodeRead(best.read, _narrow_by_umi(kits, samples[best.read], best.offset), 3, best)
