"""A first judgement, from the records alone, of how a library was made: plate or droplet, and which read is which.

Order of evidence: the submitter's 10x BAM on offer; the loader's options; the lengths of the reads; the words of the
protocol; the number of spots. What these leave undecided is said to be open: the reads themselves decide it later.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from scripts.formats.sra_xml import Experiment, Offer, Read, SraRun

INDEX_LENGTH = 12  # nt; a read no longer than this holds a sample index
BARCODE_LENGTHS = (20, 34)  # nt; barcode and UMI of every droplet kit that sequences them alone
CDNA_LENGTH = 45  # nt; the cDNA read of a droplet library is at least this long
MANY_SPOTS = 40_000_000  # more than any one cell of a plate is worth

# What a protocol or title says; the words of a kit, not of a solution (10X PBS).
_WORDS = {
    "droplet": re.compile(
        r"10x[-\s_]*(?:genomics|chromium|single|v[1-4]\b|3['′’p]|5['′’p]|visium|next|gem)|chromium|cell\s?ranger"
        r"|gemcode|drop[-\s]?seq|in[-\s]?drops?\b|microwell[-\s]?seq|seq[-\s]?well|rhapsody|split[-\s]?seq"
        r"|parse biosci|gel bead|single cell [35]['′’]|ddseq|dnbelab|\b10x\s*(?:sc|sn)?rna|rna[-\s]?seq 10x\b",
        re.IGNORECASE,
    ),
    "plate": re.compile(
        r"smart[-\s]?seq|smart[-\s]?er\b|fluidigm|\bC1\b(?=.{0,40}(?:chip|system|auto|IFC|single))|nextera xt"
        r"|(?:96|384)[-\s]?well|cel[-\s]?seq|mars[-\s]?seq|quartz[-\s]?seq|\bSTRT\b|scrb[-\s]?seq|fac[-\s]?sorted into"
        r"|single cells? (?:was|were) (?:picked|sorted into)|\bwell[-\s]?plates?\b|suPeR-?seq|tang (?:et al|protocol)",
        re.IGNORECASE,
    ),
}
_FILE_READ = re.compile(r"(?:^|[_.-])([RI][1-4])(?:[_.-]|$)")


class Judgement(NamedTuple):
    """What the records say of an experiment.

    ``roles`` maps run → roles of its reads in archive order, only where they are certain; ``open``: the reads must
    decide; ``fault`` is BARCODE_LOST (with a sentence) or empty; ``evidence`` are sentences for a person.
    """

    assay: str
    roles: dict[str, tuple[str, ...]]
    open: bool
    fault: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = ()


def words_of(text: str) -> frozenset[str]:
    """Return which assays a text speaks of."""
    return frozenset(assay for assay, pattern in _WORDS.items() if pattern.search(text))


def judge_experiment(
    experiment: Experiment, own_words: frozenset[str], protocol_words: frozenset[str], given: str = ""
) -> Judgement:
    """Judge an experiment by its runs and by the assays that its own name and its protocol speak of.

    ``given`` is the assay that the user has decided on, empty when it is to be judged.
    """
    runs = experiment.runs
    evidence: list[str] = []
    assay, certain = given, bool(given)
    if given:
        evidence.append(f"the configuration says {given}")
    for decide in (_by_offers, _by_options, _by_lengths):
        found = decide(runs)
        if found:
            evidence.append(found[1])
            if not assay:
                assay, certain = found[0], True
    spoken = own_words if len(own_words) == 1 else protocol_words if len(protocol_words) == 1 else frozenset()
    if spoken:
        (word,) = spoken
        evidence.append(f"its {'name' if spoken is own_words else 'protocol'} speaks of a {word} method")
        if not assay:
            assay, certain = word, True
        elif assay != word:
            evidence.append(f"which the reads do not bear out: taken for {assay}")
    if not assay:
        assay, reason = _by_spots(experiment)
        evidence.append(reason)
    roles = {run.run: found for run in runs if assay == "droplet" and (found := roles_of(run))}
    if assay == "droplet":
        lost = [run for run in runs if run.reads and not run.variable and len(_informative(run.reads)) == 1]
        if lost and len(lost) == len([run for run in runs if run.reads]):
            return Judgement(assay, {}, False, "BARCODE_LOST", _lost(lost[0]), tuple(evidence))
        if len(roles) < len(runs):
            evidence.append("which read holds the barcode is left for the reads to tell")
    still_open = not certain or (assay == "droplet" and len(roles) < len(runs))
    return Judgement(assay, roles, still_open, evidence=tuple(evidence))


def roles_of(run: SraRun) -> tuple[str, ...]:
    """Return the role of each read of a droplet run in archive order, where options or lengths leave no doubt."""
    lengths = [read.length for read in run.reads]
    if run.variable:
        return ()
    if run.read_files and len(run.read_files) == len(lengths):
        names = [found[-1] if (found := _FILE_READ.findall(name)) else "" for name in run.read_files]
        if "R3" not in names and {"R1", "R2"} <= set(names) and len(set(names)) == len(names) and "" not in names:
            barcode, cdna = lengths[names.index("R1")], lengths[names.index("R2")]
            if barcode >= BARCODE_LENGTHS[0] and cdna >= CDNA_LENGTH:
                return tuple({"R1": "barcode", "R2": "cdna"}.get(name, "index") for name in names)
    kinds = [_kind_by_length(read) for read in run.reads]
    if kinds.count("barcode") == 1 and kinds.count("cdna") == 1 and "" not in kinds:
        return tuple(kinds)
    return ()


def ten_x_bam(run: SraRun) -> Offer | None:
    """Return the submitter's BAM of Cell Ranger, where it is on offer."""
    return next((offer for offer in run.offers if offer.kind.lower().startswith("10x genomics bam")), None)


def _kind_by_length(read: Read) -> str:
    if read.length == 0:
        return "none"
    if read.length <= INDEX_LENGTH:
        return "index"
    if BARCODE_LENGTHS[0] <= read.length <= BARCODE_LENGTHS[1] and read.stdev <= 1:
        return "barcode"
    return "cdna" if read.length >= CDNA_LENGTH else ""


def _informative(reads: Iterable[Read]) -> list[Read]:
    """The reads that can hold a barcode or cDNA: longer than an index."""
    return [read for read in reads if read.length > INDEX_LENGTH]


def _by_offers(runs: tuple[SraRun, ...]) -> tuple[str, str] | None:
    bam = next((bam for run in runs if (bam := ten_x_bam(run))), None)
    return None if bam is None else ("droplet", f"the submitter's 10x BAM {bam.name!r} is on offer")


def _by_options(runs: tuple[SraRun, ...]) -> tuple[str, str] | None:
    for run in runs:
        kinds = [read.kind for read in run.reads]
        long_technical = [r for r in run.reads if r.kind == "T" and r.length >= BARCODE_LENGTHS[0]]
        if len(long_technical) == 1 and any(r.kind == "B" and r.length >= CDNA_LENGTH for r in run.reads):
            return "droplet", f"the loader was told the reads are {''.join(kinds)}: a technical read beside the cDNA"
    return None


def _by_lengths(runs: tuple[SraRun, ...]) -> tuple[str, str] | None:
    told = [run for run in runs if run.reads and not run.variable]
    shapes = {tuple(_kind_by_length(read) for read in run.reads) for run in told}
    if not shapes:
        return None
    lengths = ", ".join(f"{read.length:g}" for read in told[0].reads)
    if all(shape.count("barcode") == 1 and shape.count("cdna") == 1 for shape in shapes):
        return "droplet", f"its reads are of {lengths} nt: one holds a barcode, one cDNA"
    return None


def _by_spots(experiment: Experiment) -> tuple[str, str]:
    spots = sum(int(run.spots) for run in experiment.runs if run.spots.isdecimal())
    paired = any(len(_informative(run.reads)) >= 2 for run in experiment.runs)
    single_cell = "SINGLE CELL" in experiment.source.upper()
    if spots > MANY_SPOTS and single_cell and (paired or not any(run.reads for run in experiment.runs)):
        return "droplet", f"{spots:,} spots of a single-cell library are too many for one cell of a plate"
    if spots > MANY_SPOTS:
        return "plate", f"nothing speaks of droplets, though {spots:,} spots are many for one cell"
    return "plate", "nothing speaks of droplets"


def _lost(run: SraRun) -> str:
    lengths = ", ".join(f"{read.length:g}" for read in run.reads)
    told = f"The archive holds only the cDNA read of this droplet library ({lengths} nt); the barcodes are lost"
    bam = ten_x_bam(run)
    if bam is None:
        return f"{told}."
    return f"{told}, but the submitter's BAM is on offer: {bam.name}, {bam.size / 1e9:.1f} GB, {bam.url}"
