"""Plate or droplet, and which read is which, as far as the records say.

"Is this run a droplet?" is answered by, in this order: the user (:meth:`scripts.plan.choices.Choices.assay_of`), this
module, and, where it leaves the roles of the reads open, the reads themselves (:mod:`scripts.droplets.read_roles`).

Evidence of the assay, best first: a 10x BAM that the submitter deposited; the loader's options; the lengths of the
reads; the words of titles and protocol; the number of spots. Evidence of the roles: the loader's options; the lengths;
the names of the files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from scripts.core.secrets import mask
from scripts.records.run_parts import (
    BARCODE_LENGTHS,
    CDNA_LENGTH,
    INDEX_LENGTH,
    file_read,
    kind_by_length,
    lengths_of,
    long_reads,
)
from scripts.records.sra_xml import Experiment, RemoteFile, SraRun

TRIMMED_CDNA = 25  # nt; cDNA of a library that is known to be a droplet one
BARCODE_AND_UMI = (24, 26, 28)  # nt; of the 10x kits
CYCLES = frozenset((50, 51, 55, 56, 57, 58, 75, 76, 90, 91, 98, 100, 101, 125, 126, 150, 151))  # nt; usual cDNA reads
LONGEST_CDNA = 151  # nt; of the instruments on which droplet libraries are sequenced
FEW_SPOTS = 10_000_000  # as many as one cell of a plate usually has
MANY_SPOTS = 40_000_000  # more than anybody sequences one cell of a plate

# Words of protocols and titles: first names of methods (not of solutions: 10X PBS), then words that are also used with
# the other assay (droplet kits end in a 96-well plate, inDrops copies CEL-Seq) and count only where no method is named.
_WORDS = {
    "droplet": (
        r"10x[-\s_]*(?:genomics|chromium|single|v[1-4]\b|3['′’p]|5['′’p]|next|gem)|chromium|cell\s?ranger|gemcode"
        r"|drop[-\s]?seq|in[-\s]?drops?\b|seq[-\s]?well|rhapsody|single cell [35]['′’]|ddseq|dnbelab"
        r"|\b10x\s*(?:sc|sn)?rna|rna[-\s]?seq 10x\b",
        r"gel bead|droplets?\b|microfluidic chip|split[-\s]?seq|parse biosci|microwell[-\s]?seq",
    ),
    "plate": (
        r"smart[-\s]?seq|fluidigm|\bC1\b(?=.{0,40}(?:chip|system|auto|IFC|single))|mars[-\s]?seq|quartz[-\s]?seq"
        r"|\bSTRT\b|scrb[-\s]?seq|suPeR-?seq|hand[-\s]?picked|mouth pipett",
        r"smart[-\s]?er\b|nextera xt|(?:96|384)[-\s]?well|cel[-\s]?seq|\bwell[-\s]?plates?\b|tang (?:et al|protocol)",
    ),
}
_PATTERNS = {
    assay: tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns) for assay, patterns in _WORDS.items()
}


class Judgement(NamedTuple):
    """What the records say of an experiment.

    ``roles`` maps run → roles of its reads in archive order, where they are known, and ``roles_from`` run → OPTIONS,
    LENGTHS or NAMES; ``open``: the reads must decide; ``fault`` is BARCODE_LOST (with a sentence) or empty; ``bams``
    maps run → the 10x BAM that anybody may fetch instead, where every run of the experiment has one; ``evidence`` are
    sentences for a person.
    """

    assay: str
    roles: dict[str, tuple[str, ...]]
    open: bool
    fault: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = ()
    bams: Mapping[str, RemoteFile] = MappingProxyType({})
    roles_from: Mapping[str, str] = MappingProxyType({})


OPTIONS, LENGTHS, NAMES = "loader options", "read lengths", "names of the files"
"""Evidence of the roles of reads, best first. Names say which files there are, and not their order."""


def words_of(text: str) -> frozenset[str]:
    """Return which assays a text speaks of: by the names of their methods, else by words that are used with them."""
    for rank in (0, 1):
        found = frozenset(assay for assay, patterns in _PATTERNS.items() if patterns[rank].search(text))
        if found:
            return found
    return frozenset()


def judge_experiment(
    experiment: Experiment, own_words: frozenset[str], protocol_words: frozenset[str], given: str = ""
) -> Judgement:
    """Judge an experiment by its runs, its texts, and the assays that GEO's own words and protocol speak of.

    ``given`` is the assay that the user has decided on, empty when it is to be judged.
    """
    own_words |= words_of("\n".join((experiment.title, experiment.library, experiment.sample_title)))
    protocol_words |= words_of("\n".join((experiment.protocol, experiment.study_title)))
    evidence = [f"the configuration says {given}"] if given else []
    signs = list(_signs_of_droplets(experiment.runs))
    evidence += signs
    assay = given or ("droplet" if signs else "")
    certain = bool(assay)
    for kind, words in (("name", own_words), ("protocol", protocol_words)):
        if len(words) == 1:
            (word,) = words
            evidence.append(f"its {kind} speaks of a {word} method")
            if assay not in ("", word):
                evidence.append(f"the reads do not confirm that: taken for {assay}")
            assay, certain = assay or word, True
            break
    if not assay:
        assay, sentence, certain = _by_spots(experiment)
        evidence.append(sentence)
    if assay == "droplet":
        return _judge_droplet(experiment, certain, evidence)
    return Judgement(assay, {}, not certain, evidence=tuple(evidence))


def _judge_droplet(experiment: Experiment, certain: bool, evidence: list[str]) -> Judgement:
    runs = experiment.runs
    described = [run for run in runs if run.reads]
    lost = [run for run in described if not run.variable and long_reads(run) == 1]
    if lost and len(lost) == len(described):
        bams = {run.run: bam for run in runs if (bam := ten_x_bam(run)) and bam.anonymous}
        if len(bams) < len(runs):
            bams = {}
        return Judgement("droplet", {}, False, *_one_read_fault(lost[0], experiment.starts), tuple(evidence), bams)
    found = {run.run: judged for run in runs if (judged := find_roles(run))}
    roles_from = {run: source for run, (_, source) in found.items()}
    by_names = NAMES in roles_from.values()
    if by_names:
        evidence.append("its files are named R1 and R2: that order is assumed until the reads are examined")
    if len(found) < len(runs):
        evidence.append("the reads must show which of them holds the barcode")
    still_open = not certain or by_names or len(found) < len(runs)
    roles = {run: by_read for run, (by_read, _) in found.items()}
    return Judgement("droplet", roles, still_open, evidence=tuple(evidence), roles_from=roles_from)


def find_roles(run: SraRun) -> tuple[tuple[str, ...], str] | None:
    """Return the role of each read of a droplet run in archive order, and what they are taken from; None if unknown."""
    if run.variable:
        return None
    for source, find in ((OPTIONS, _roles_by_options), (LENGTHS, _roles_by_lengths), (NAMES, _roles_by_names)):
        if roles := find(run):
            return roles, source
    return None


def _roles_by_options(run: SraRun) -> tuple[str, ...]:
    """By the original file of each read. Not of kits that call the cDNA R1 (10x v1) or R3 (ATAC)."""
    lengths = [read.length for read in run.reads]
    names = [file_read(file) for file in run.read_files]
    if len(names) != len(lengths) or not {"R1", "R2"} <= set(names) <= {"R1", "R2", "I1", "I2"}:
        return ()
    barcode, cdna = lengths[names.index("R1")], lengths[names.index("R2")]
    if len(set(names)) < len(names) or barcode < BARCODE_LENGTHS[0] or cdna < TRIMMED_CDNA:
        return ()
    return tuple({"R1": "barcode", "R2": "cdna"}.get(name, "index") for name in names)


def _roles_by_lengths(run: SraRun) -> tuple[str, ...]:
    kinds = [kind_by_length(read) for read in run.reads]
    if kinds.count("barcode") == 1 and kinds.count("cdna") == 1 and "" not in kinds:
        return tuple(kinds)
    return ()


def _roles_by_names(run: SraRun) -> tuple[str, ...]:
    """By the submitted files: index reads are known by length, the others are R1 before R2, as loaders take them."""
    names = [file_read(file.name) for file in run.files if file.kind == "fastq"]
    kinds = sorted(set(names))
    numbers = {names.count(kind) for kind in kinds}
    if kinds not in (["R1", "R2"], ["I1", "R1", "R2"], ["I1", "I2", "R1", "R2"]) or len(numbers) > 1:
        return ()
    long = [index for index, read in enumerate(run.reads) if read.length > INDEX_LENGTH]
    if len(run.reads) != len(kinds) or len(long) != 2 or any(not read.length for read in run.reads):
        return ()
    barcode, cdna = (run.reads[index].length for index in long)
    if barcode < BARCODE_LENGTHS[0] or cdna < CDNA_LENGTH:
        return ()
    roles = ["index"] * len(kinds)
    roles[long[0]], roles[long[1]] = "barcode", "cdna"
    return tuple(roles)


def ten_x_bam(run: SraRun) -> RemoteFile | None:
    """Return the submitter's BAM of Cell Ranger, where it is on offer."""
    return next((file for file in run.files if file.kind.lower().startswith("10x genomics bam")), None)


def _signs_of_droplets(runs: tuple[SraRun, ...]) -> Iterator[str]:
    """Yield what files, loader's options and lengths say of droplets."""
    if bam := next(filter(None, map(ten_x_bam, runs)), None):
        yield f"the submitter's 10x BAM {bam.name!r} is on offer"
    for run in runs:
        long_technical = [read for read in run.reads if read.kind == "T" and read.length >= BARCODE_LENGTHS[0]]
        if len(long_technical) == 1 and any(read.kind == "B" and read.length >= CDNA_LENGTH for read in run.reads):
            kinds = "".join(read.kind for read in run.reads)
            yield f"the loader's options say {kinds}: a technical read beside the cDNA"
            break
    described = [run for run in runs if run.reads and not run.variable]
    shapes = [[kind_by_length(read) for read in run.reads] for run in described]
    if shapes and all(shape.count("barcode") == 1 and shape.count("cdna") == 1 for shape in shapes):
        lengths = ", ".join(f"{read.length:g}" for read in described[0].reads)
        yield f"its reads are of {lengths} nt: one holds a barcode, one cDNA"


def _by_spots(experiment: Experiment) -> tuple[str, str, bool]:
    for run in experiment.runs:
        files = [*run.read_files, *(file.name for file in run.files if file.kind == "fastq")]
        if "SINGLE CELL" in experiment.source.upper() and {"I1", "R1", "R2"} <= {file_read(file) for file in files}:
            return "droplet", "an index read was deposited beside R1 and R2, as for droplet libraries", False
    spots = sum(int(run.spots) for run in experiment.runs if run.spots.isdecimal())
    described = all(run.reads for run in experiment.runs)
    paired = any(long_reads(run) >= 2 for run in experiment.runs)
    if spots > MANY_SPOTS and "SINGLE CELL" in experiment.source.upper() and (paired or not described):
        return "droplet", f"{spots:,} spots of a single-cell library are too many for one cell of a plate", False
    if spots > FEW_SPOTS:
        return "plate", f"nothing speaks of droplets, though {spots:,} spots are many for one cell", False
    return "plate", "nothing speaks of droplets", described


def _one_read_fault(run: SraRun, starts: Sequence[int]) -> tuple[str, str]:
    """Return reason and sentence of a droplet run that has one read a spot: it holds cDNA, or barcodes, or both.

    ``starts`` are the first bases of the reads by the record's spot descriptor.
    """
    (read,) = (read for read in run.reads if read.length > INDEX_LENGTH)
    if kind_by_length(read) == "barcode":
        reason = "READS_MISSING"
        sentence = f"The archive holds only the barcode read of this droplet library ({lengths_of(run)}), and no cDNA"
    elif joined := _joined_parts(read.length, starts):
        reason = "LAYOUT_AMBIGUOUS"
        sentence = (
            f"The archive holds one read a spot ({lengths_of(run)}) of this droplet library, in which barcode, UMI and "
            f"cDNA may be joined ({joined}); count the reads from files with a run table, divided into two"
        )
    else:
        reason = "BARCODE_LOST"
        sentence = (
            f"The archive holds only the cDNA read of this droplet library ({lengths_of(run)}); the barcodes are lost"
        )
    bam = ten_x_bam(run)
    if bam is None:
        return reason, f"{sentence}."
    return (
        reason,
        f"{sentence}, but the submitter's BAM is on offer: {bam.name}, {bam.size / 1e9:.1f} GB, {mask(bam.url)}",
    )


def _joined_parts(length: float, starts: Sequence[int]) -> str:
    """Return of what a read may be joined, in nt, by the spot descriptor or by its length; empty where it is not."""
    if len(starts) > 1 and starts[0] == 1 and length >= starts[1] + TRIMMED_CDNA:
        return f"the record's spot descriptor begins its second read at base {starts[1]}"
    if length in CYCLES:
        return ""
    sums = [(first, length - first) for first in (*BARCODE_AND_UMI, length / 2) if length - first in CYCLES]
    if sums:
        return f"{length:g} is {sums[0][0]:g} + {sums[0][1]:g}"
    return f"it is longer than any cDNA read, of at most {LONGEST_CDNA} nt" if length > LONGEST_CDNA else ""
