"""Plate or droplet, single cells or not, and which read is which, as far as the records say.

"Is this run a droplet?" is answered by, in this order: the user (:meth:`scripts.plan.choices.Choices.assay_of`), this
module, and, where it leaves the roles of the reads open, the reads themselves (:mod:`scripts.droplets.read_roles`).

Evidence of the assay, best first: a 10x BAM that the submitter deposited; the loader's options; the lengths of the
reads; methods that titles, protocol and series name; what siblings in the study are; the names of the files; the number
of spots. A library of many barcoded cells is a droplet one, whatever vessel they were sorted into. Whether a library is
of single cells at all: :mod:`.single_cell`. Evidence of the roles: the loader's options; the lengths;
the names of the files.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from scripts.core.secrets import mask
from scripts.records.answers.sra_xml import Experiment, RemoteFile, SraRun
from scripts.records.libraries.evidence import Evidence, RecordText, Scope
from scripts.records.libraries.run_parts import (
    BARCODE_LENGTHS,
    CDNA_LENGTH,
    INDEX_LENGTH,
    file_read,
    kind_by_length,
    lengths_of,
    long_reads,
)
from scripts.records.libraries.single_cell import (
    CELLS_OF_A_PLATE,
    FAR_TOO_MANY_SPOTS,
    FEW_SPOTS,
    LIKELY,
    MANY_SPOTS,
    SHOWN,
    CellVerdict,
    Siblings,
    against,
    gather_evidence,
    says_single_cell,
    spots_of,
)

TRIMMED_CDNA = 25  # nt; cDNA of a library that is known to be a droplet one
BARCODE_AND_UMI = (24, 26, 28)  # nt; of the 10x kits
SAMPLE_INDEX = 10  # nt; a read of a plate cell no longer than this is its index
SHORT_BARCODES = (6, 19)  # nt; barcode and UMI of methods that pool the cells of a plate
CYCLES = frozenset((50, 51, 55, 56, 57, 58, 75, 76, 90, 91, 98, 100, 101, 125, 126, 150, 151))  # nt; usual cDNA reads
LONGEST_CDNA = 151  # nt; of the instruments on which droplet libraries are sequenced

PLATE, DROPLET, POOLED = "plate", "droplet", "pooled"
"""One cell a library; many barcoded cells, of a kit that may be known; many barcoded cells of a plate, of none."""

# Words of texts: first names of methods (not of solutions: 10X PBS), then words that are also used with the other
# assay (droplet kits end in a 96-well plate) and count only where no method is named.
_WORDS = {
    DROPLET: (
        r"10x[-\s_]*(?:genomics|chromium|single|v[1-4]\b|3['′’p]|5['′’p]|next|gem|droplet)|cell\s?ranger|gemcode"
        r"|(?<!valent )chromium(?!\W*(?:vi\b|iii\b|6|picolin|chlor|expos|trioxid))(?=.{0,60}(?:controller|single|chip"
        r"|next|gem|10x|kit|v[1-4]\b|platform|system|instrument|library))"
        r"|drop[-\s]?seq|in[-\s]?drops?\b|seq[-\s]?well|rhapsody|single cell [35]['′’]|ddseq|dnbelab|dronc[-\s]?seq"
        r"|\b10x\s*(?:sc|sn)?rna|rna[-\s]?seq 10x\b|pip[-\s]?seq|gexscope|singleron"
        r"|split[-\s]?seq|parse biosci|evercode|microwell[-\s]?seq",
        r"gel bead|(?:cells|nuclei|in(?:to)?|oil|microfluidic|nano\w+|single) droplets?\b"
        r"|droplet[-\s](?:based|microfluid\w*|sequenc\w*|generat\w*|encapsul\w*)",
    ),
    POOLED: (
        r"m?cel[-\s]?seq\s?2?\b|mars[-\s]?seq|(?:mc)?scrb[-\s]?seq|\bSTRT\b|quartz[-\s]?seq[-\s]?2|\bsort[-\s]seq\b"
        r"|\bsci[-\s]?(?:RNA|plex|fate)\w*|combinatorial[-\s](?:cellular )?index\w*|share[-\s]?seq"
        r"|vasa[-\s]?(?:plate|seq)|icell8|fb5p[-\s]?seq",
        r"(?:cell|well)[-\s](?:specific|identifying) (?:\w+ )?(?:primers?|barcod\w+)"
        r"|barcoded (?:RT\b|reverse|oligo|poly|primers?|cDNA|template|TSO)"
        r"|unique molecular identifiers?|\bUMIs?\b|\bcell[-\s]barcod\w+",
    ),
    PLATE: (
        r"smart[-\s]?seq|fluidigm|\bC1\b(?=.{0,40}(?:chip|system|auto|IFC|single))|quartz[-\s]?seq(?![-\s]?2)"
        r"|suPeR-?seq|hand[-\s]?picked|mouth pipett|patch[-\s]?seq|ramda[-\s]?seq|g&t[-\s]?seq|flash[-\s]seq",
        r"smart[-\s]?er\b|nextera xt|(?:96|384)[-\s]?well|\bwell[-\s]?plates?\b|tang (?:et al|protocol)",
    ),
}
_PATTERNS = {
    assay: tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns) for assay, patterns in _WORDS.items()
}
_BARE_10X = re.compile(
    r"\b10x\b(?!\s*(?:PBS|TE\b|TBE|buffer|magnif|cover|object|depth|concentr|dilut|volume|more|higher|fold|excess|stock"
    r"|dose|MIC|IC50|LPS))",
    re.IGNORECASE,
)
_CELL_BARCODES = re.compile(
    r"\b(?:cell|well)[-\s](?:specific|identifying|unique) (?:\w+ )?(?:primers?|barcod\w+|ind(?:ex|ices)\b)"
    r"|\bbarcoded (?:RT\b|reverse|oligo|poly|TSO|template[-\s]switch)",
    re.IGNORECASE,
)
_WELLS = re.compile(r"\b(?:96|384|wells?|plates?|microfluidic)\b", re.IGNORECASE)
_FILE_SAMPLE = re.compile(r"_S(\d{1,6})_(?:L\d{3}_)?[RI]\d")  # by bcl2fastq: a 10x sample has four indexes
_SAMPLE_INDEX = re.compile(r"(?<![A-Z])SI[-_](?:GA|NA|TT|NT|TS|3A|P\d+)[-_][A-H]\d{1,2}(?!\d)")  # 10x's own names
_GROUPS = (
    ("name", (Scope.NAME, Scope.TRAIT, Scope.DESCRIPTION)),
    ("protocol", (Scope.PROTOCOL, Scope.CULTURE)),
    ("data processing", (Scope.PROCESSING,)),
    ("series", (Scope.SERIES_TITLE, Scope.DESIGN)),
    ("summary", (Scope.SUMMARY,)),
)


class Judgement(NamedTuple):
    """What the records say of an experiment.

    ``roles`` maps run → roles of its reads in archive order, where they are known, and ``roles_from`` run → OPTIONS,
    LENGTHS or NAMES; ``open``: the reads must decide; ``fault`` is a reason code (with a sentence) or empty; ``bams``
    maps run → the 10x BAM that anybody may fetch instead, where every run of the experiment has one; ``evidence`` are
    sentences for a person on the assay and the roles, ``pieces`` is the evidence of single cells, ``method`` is what
    the texts name as the method, in their words.
    """

    assay: str
    roles: dict[str, tuple[str, ...]]
    open: bool
    fault: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = ()
    bams: Mapping[str, RemoteFile] = MappingProxyType({})
    roles_from: Mapping[str, str] = MappingProxyType({})
    pieces: tuple[Evidence, ...] = ()
    method: str = ""


class _LibraryKind(NamedTuple):
    """What a library is (PLATE, DROPLET or POOLED), whether that is certain, why, and the method that is named."""

    kind: str
    certain: bool
    said: str
    method: str = ""


OPTIONS, LENGTHS, NAMES = "loader options", "read lengths", "names of the files"
"""Evidence of the roles of reads, best first. Names say which files there are, and not their order."""


@functools.lru_cache(maxsize=4096)  # most samples of a series share their protocol
def methods_in(text: str) -> Mapping[str, str]:
    """Return kind → the words that name it in a text: names of methods, else words that are used with them."""
    for rank in (0, 1):
        found = {kind: words[0] for kind, patterns in _PATTERNS.items() if (words := patterns[rank].search(text))}
        if DROPLET in found:
            found.pop(POOLED, None)  # inDrops makes its libraries as CEL-Seq does
        elif POOLED in found and rank == 1:
            found.pop(PLATE, None)  # barcodes are given to cells in a plate, too
        if found:
            return found
    return {}


def judge_experiment(
    experiment: Experiment,
    texts: Sequence[RecordText] = (),
    siblings: Siblings | None = None,
    *,
    source: str = "",
    given: str = "",
    pinned: bool = False,
) -> Judgement:
    """Judge an experiment by its runs, its texts (and those of its sample and series) and its siblings.

    ``source`` is the library source by GEO, where SRA does not say; ``given`` the assay that the user has decided on,
    empty when it is to be judged; ``pinned``: the user names the chemistry of all droplet libraries.
    """
    siblings = siblings or Siblings()
    verdict = gather_evidence(experiment, texts, experiment.source or source, siblings)
    evidence = [f"the configuration says {given}"] if given else []
    signs = list(signs_of_droplets(experiment.runs))
    evidence += signs
    named = _by_methods(texts, evidence)
    pooled = named is not None and named.kind == POOLED and named.certain and not _has_bam(experiment)
    if named is not None and pooled and signs and not given:
        kind = named  # CEL-Seq2 and its like may have as long a barcode read
    elif given or signs:
        kind = _LibraryKind(given or DROPLET, True, evidence[0])
        if named is not None and named.kind != kind.kind:
            evidence.append(f"the reads do not confirm that: taken for {kind.kind}")
    else:
        kind = _kind_of(experiment, texts, verdict, siblings, named, evidence)
    if kind.kind == PLATE:
        judged = Judgement(PLATE, {}, not kind.certain, evidence=tuple(evidence))
    else:
        judged = _judge_droplet(experiment, kind.certain, evidence)
    of_droplets = () if kind.kind == PLATE else (_barcodes_of_cells(kind, signs),)
    method = named.method if named is not None else ""
    judged = judged._replace(pieces=(*of_droplets, *verdict.pieces), method=method)
    shown = verdict.total(of_many=kind.kind != PLATE) + sum(piece.weight for piece in of_droplets)
    if shown < SHOWN and not given:
        fault, detail = "NOT_SINGLE_CELL", against(verdict, _accession(experiment), judged.assay)
        return judged._replace(open=False, fault=fault, detail=detail)
    if kind.kind == POOLED:
        if pinned:
            return judged._replace(open=True, fault="", detail="")
        fault, detail = "CHEMISTRY_UNKNOWN", _pooled(kind, _accession(experiment))
        return judged._replace(open=False, fault=fault, detail=detail)
    return judged


def _barcodes_of_cells(kind: _LibraryKind, signs: Sequence[str]) -> Evidence:
    """Return what the assay itself says of single cells: a library with barcodes of cells is one of them."""
    if signs:
        return Evidence("READS_OF_DROPLETS", 12, "", signs[0])
    if kind.certain:
        return Evidence("METHOD_OF_DROPLETS", 8, "", kind.said)
    return Evidence("SIGN_OF_DROPLETS", SHOWN - LIKELY, "", kind.said)


def _by_methods(texts: Sequence[RecordText], evidence: list[str]) -> _LibraryKind | None:
    """Return the kind of the one method that the texts nearest to the library name, None without one."""
    for name, scopes in _GROUPS:
        text = "\n".join(text.text.replace("_", " ") for text in texts if text.scope in scopes)
        found = dict(methods_in(text))
        if name in ("name", "protocol") and PLATE in found and DROPLET not in found:
            barcodes = _CELL_BARCODES.search(text)
            if POOLED in found or barcodes:  # Smart-seq2 and STRT with a barcode for each cell of a pool
                found = {POOLED: found.get(POOLED) or (barcodes[0] if barcodes else "")}
        if len(found) != 1:
            continue
        ((kind, words),) = found.items()
        if name in ("data processing", "summary") and kind != DROPLET:
            continue
        is_name = any(pattern.search(words) for pattern in (_PATTERNS[kind][0], _CELL_BARCODES))
        if kind == PLATE and not is_name:
            evidence.append(f"its {name} speaks of {words}, as for cells of a plate")
            continue  # wells hold cultures and populations, too
        if kind == POOLED and not is_name and not _WELLS.search(text):
            evidence.append(f"its {name} speaks of {words}, as for many barcoded cells")
            return _LibraryKind(DROPLET, False, evidence[-1])
        evidence.append(f"its {name} speaks of a {kind} method ({words})")
        certain = name in ("name", "protocol") and (is_name or kind == DROPLET)
        return _LibraryKind(kind, certain, evidence[-1], words)
    return None


def _kind_of(
    experiment: Experiment,
    texts: Sequence[RecordText],
    verdict: CellVerdict,
    siblings: Siblings,
    named: _LibraryKind | None,
    evidence: list[str],
) -> _LibraryKind:
    """Return what a library is by the method that its texts name, else by its reads, siblings, files and spots."""
    unsure = named is None or (named.kind == PLATE and not named.certain)
    least = SHORT_BARCODES[0] if unsure else SAMPLE_INDEX + 1
    if (unsure or (named is not None and named.kind == PLATE)) and (short := _short_barcode(experiment.runs, least)):
        evidence.append(short)
        named = _LibraryKind(POOLED, True, short)
    if named is not None and named.kind == POOLED and _demultiplexed(experiment, verdict, siblings):
        evidence.append("its cells were separated by their barcodes: each is an experiment of its own")
        return _LibraryKind(PLATE, True, evidence[-1])
    if named is not None and named.certain:
        return named
    among_droplets = siblings.droplets > 0 and 3 * siblings.droplets >= siblings.experiments - 1
    if among_droplets or verdict.total(of_many=True) >= LIKELY:
        signs = _signs_of_many_cells(experiment, texts, verdict, siblings, named is not None)
        if among_droplets:
            signs = [f"{siblings.droplets} experiments of its study are droplet libraries by their reads", *signs]
        if signs:
            evidence += signs
            return _LibraryKind(DROPLET, False, signs[0])
    if named is not None:
        return named
    spots = spots_of(experiment)
    many = f", though {spots:,} spots are many for one cell" if spots > FEW_SPOTS else ""
    evidence.append(f"nothing speaks of droplets{many}")
    return _LibraryKind(PLATE, all(run.reads for run in experiment.runs) and not many, evidence[-1])


def _short_barcode(runs: Sequence[SraRun], least: int) -> str:
    """Return a sentence where every run has a read of ``least`` to 19 nt beside its cDNA that is no index read."""
    described = [run for run in runs if run.reads and not run.variable]
    for run in described:
        lengths = sorted(read.length for read in run.reads if read.length)
        if len(lengths) != 2 or "I1" in map(file_read, _file_names(run)):
            return ""
        if not least <= lengths[0] <= SHORT_BARCODES[1] or lengths[1] < TRIMMED_CDNA:
            return ""
    if not described:
        return ""
    return f"its reads are of {lengths_of(described[0])}: a short one, as of barcodes of pooled cells, beside the cDNA"


def _demultiplexed(experiment: Experiment, verdict: CellVerdict, siblings: Siblings) -> bool:
    """Whether the experiments of a study of pooled cells hold one cell each: no barcode read, small, and many."""
    reads = [[read.length for read in run.reads if read.length > 0] for run in experiment.runs]
    if any(length < CDNA_LENGTH for lengths in reads if len(lengths) > 1 for length in lengths):
        return False
    if verdict.total() < SHOWN or spots_of(experiment) > FEW_SPOTS:
        return False
    many = max(siblings.small, siblings.unknown)
    return many >= 4 * CELLS_OF_A_PLATE or (many >= CELLS_OF_A_PLATE and verdict.named_one_cell())


def _signs_of_many_cells(
    experiment: Experiment, texts: Sequence[RecordText], verdict: CellVerdict, siblings: Siblings, named: bool
) -> list[str]:
    """Return what makes it likely that a library of single cells holds many of them.

    Names of methods in its series (``named``) say more than its files and spots.
    """
    signs = []
    names = "\n".join(text.text.replace("_", " ") for text in texts if text.scope is Scope.NAME)
    if _BARE_10X.search(names):
        signs.append("its name says 10x")
    if named:
        return signs
    files = [name for run in experiment.runs for name in _file_names(run)]
    if any(map(_SAMPLE_INDEX.search, files)):
        signs.append("its files are named after a sample index of 10x")
    numbers = sorted({int(found[1]) for name in files if (found := _FILE_SAMPLE.search(name))})
    if any(numbers[begin + 3] == number + 3 for begin, number in enumerate(numbers[:-3])):
        signs.append("its files are of four sample indexes in a row, as of one sample of 10x")
    if says_single_cell(experiment.source) and {"I1", "R1", "R2"} <= set(map(file_read, files)):
        signs.append("an index read was deposited beside R1 and R2, as for droplet libraries")
    return signs if verdict.refused() else [*signs, *_signs_of_spots(experiment, verdict, siblings)]


def _signs_of_spots(experiment: Experiment, verdict: CellVerdict, siblings: Siblings) -> Iterator[str]:
    if all(run.reads for run in experiment.runs) and not any(long_reads(run) >= 2 for run in experiment.runs):
        return
    spots = spots_of(experiment)
    if not verdict.of_itself():
        if spots > FAR_TOO_MANY_SPOTS:
            yield f"{spots:,} spots are too many for one cell of a plate"
        return
    if spots > MANY_SPOTS:
        yield f"{spots:,} spots of a single-cell library are too many for one cell of a plate"
    elif spots > FEW_SPOTS and siblings.experiments < CELLS_OF_A_PLATE and not verdict.one_cell_each():
        few = f"its study has {siblings.experiments} experiment(s)"
        yield f"{spots:,} spots are many for one cell, {few}, and nothing says one cell each"


def _file_names(run: SraRun) -> list[str]:
    """Return the names of the files that were loaded or submitted."""
    return [*run.read_files, *(file.name for file in run.files if file.kind in ("fastq", "submitted"))]


def _has_bam(experiment: Experiment) -> bool:
    return any(map(ten_x_bam, experiment.runs))


def _accession(experiment: Experiment) -> str:
    return experiment.experiment or next((run.run for run in experiment.runs), "ACCESSION")


def _pooled(kind: _LibraryKind, accession: str) -> str:
    shown = (
        f"speak of a method that pools barcoded cells ({kind.method})" if kind.method else "have a short barcode read"
    )
    subject = "its records" if kind.method else "its spots"
    return (
        f"Many cells are in one library: {subject} {shown}, and no chemistry for it is configured. "
        f"If it is one cell, set `assay: {{{accession}: plate}}`."
    )


def _judge_droplet(experiment: Experiment, certain: bool, evidence: list[str]) -> Judgement:
    runs = experiment.runs
    described = [run for run in runs if run.reads]
    lost = [run for run in described if not run.variable and long_reads(run) == 1]
    if lost and len(lost) == len(described):
        bams = {run.run: bam for run in runs if (bam := ten_x_bam(run)) and bam.anonymous}
        if len(bams) < len(runs):
            bams = {}
        return Judgement("droplet", {}, False, *one_read_fault(lost[0], experiment.starts), tuple(evidence), bams)
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


def signs_of_droplets(runs: tuple[SraRun, ...]) -> Iterator[str]:
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


def shape_of(experiment: Experiment) -> tuple[float, float] | None:
    """Return the lengths of the barcode and the cDNA read of a droplet library, None where they do not show."""
    for run in experiment.runs:
        lengths = {kind_by_length(read): read.length for read in run.reads}
        if not run.variable and {"barcode", "cdna"} <= set(lengths):
            return lengths["barcode"], lengths["cdna"]
    return None


def one_read_fault(run: SraRun, starts: Sequence[int], shapes: Iterable[tuple[float, float]] = ()) -> tuple[str, str]:
    """Return reason and sentence of a droplet run that has one read a spot: it holds cDNA, or barcodes, or both.

    ``starts`` are the first bases of the reads by the record's spot descriptor, ``shapes`` those of the other libraries
    of its study, see :func:`shape_of`.
    """
    (read,) = (read for read in run.reads if read.length > INDEX_LENGTH)
    if kind_by_length(read) == "barcode":
        reason = "READS_MISSING"
        sentence = f"The archive holds only the barcode read of this droplet library ({lengths_of(run)}), and no cDNA"
    elif joined := _joined_parts(read.length, starts, sorted(shapes)):
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


def _joined_parts(length: float, starts: Sequence[int], shapes: Sequence[tuple[float, float]]) -> str:
    """Return of what a read may be joined, in nt: by the spot descriptor, other libraries or its length; or nothing."""
    if len(starts) > 1 and starts[0] == 1 and length >= starts[1] + TRIMMED_CDNA:
        return f"the record's spot descriptor begins its second read at base {starts[1]}"
    for barcode, cdna in shapes:
        if length == barcode + cdna:
            return f"{length:g} is {barcode:g} + {cdna:g}, the reads of other libraries of the study"
    longest = max((cdna for _, cdna in shapes), default=0)
    if longest and length >= longest + BARCODE_LENGTHS[0]:
        return f"it is longer than the cDNA reads of other libraries of the study, of {longest:g} nt"
    if length in CYCLES:
        return ""
    sums = [(first, length - first) for first in (*BARCODE_AND_UMI, length / 2) if length - first in CYCLES]
    if sums:
        return f"{length:g} is {sums[0][0]:g} + {sums[0][1]:g}"
    return f"it is longer than any cDNA read, of at most {LONGEST_CDNA} nt" if length > LONGEST_CDNA else ""
