"""Whether a library is of RNA, and of single cells, by what its record says of it.

Libraries that a series holds beside gene expression (antibody tags, hashtags, V(D)J, chromatin, guides, genomes) mostly
have the right strategy and source; where they do not, their names decide. A name counts only where it does not speak of
gene expression as well, since ``GEX + ADT`` may be one archive of both.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from scripts.records.sra_xml import Experiment

NAMING_ATTRIBUTES = frozenset(
    ["library", "library type", "library_type", "modality", "assay", "data type", "feature type", "molecule subtype"]
)
"""Attributes (GEO's characteristics, SRA's sample attributes) whose value names the kind of a library."""
_NOT_RNA_STRATEGIES = frozenset(
    """
    WGS WGA WXS WCS AMPLICON ATAC-SEQ BISULFITE-SEQ CHIA-PET CHIP-SEQ CLONE CLONEEND CTS CUT&RUN CUT&TAG
    DNASE-HYPERSENSITIVITY FAIRE-SEQ FINISHING GBS HI-C MBD-SEQ MEDIP-SEQ MNASE-SEQ MRE-SEQ NOME-SEQ POOLCLONE RAD-SEQ
    RESTRICTION-SEQ SELEX SYNTHETIC-LONG-READ TARGETED-CAPTURE TN-SEQ VALIDATION
    """.split()
) | {"TETHERED CHROMATIN CONFORMATION CAPTURE", "DNA-SEQ"}
_RNA_STRATEGIES = frozenset("RNA-SEQ SSRNA-SEQ FL-CDNA EST SNRNA-SEQ SCRNA-SEQ".split())
_RNA_SELECTIONS = frozenset(
    ["CDNA", "POLYA", "OLIGO-DT", "RT-PCR", "CDNA_OLIGO_DT", "CDNA_RANDOMPRIMING", "CAGE", "RACE", "INVERSE RRNA"]
)


def _word(pattern: str) -> re.Pattern[str]:
    """A pattern that stands alone among letters; '_' and digits may be its neighbours, as in ``S1_ADT2``."""
    return re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", re.IGNORECASE)


_KINDS = (
    ("antibody tags", _word(r"ADTs?|antibody[-_ ]?(?:derived|capture|tags?)[a-z-]*|TotalSeq(?:[-_ ]?[ABC])?|AbSeq")),
    ("hashtags", _word(r"HTOs?|hashtags?(?:[-_ ]?oligos?)?|cell[-_ ]?hashing|hashing|multiseq[-_ ]?barcodes?")),
    ("feature barcodes", _word(r"feature[-_ ]?barcod(?:e|es|ing)")),
    ("V(D)J", _word(r"(?:sc)?V\(?D\)?J(?:[-_ ]?(?:seq|library|enriched|[TB]))?|(?:sc)?[TB]CR[-_ ]?seq")),
    (
        "V(D)J",
        re.compile(r"(?:^|[-_ \[(])(?:sc)?[TB]CR(?:[-_ ](?:library|enriched|enrichment|amplicon)|[\])]|$)", re.I),
    ),
    ("open chromatin", _word(r"(?:sc|sn)?ATAC(?:[-_ ]?seq)?")),
    ("guides", _word(r"(?:sg|g|guide[-_ ]?)RNA[-_ ]?(?:library|seq|capture|enrich\w*|amplicons?)")),
    ("guides", _word(r"CRISPR[-_ ]?(?:guides?|capture|screen(?:ing)?[-_ ]?library)|guide[-_ ]?(?:capture|library)")),
    (
        "genomic DNA",
        _word(r"genomic[-_ ]?DNA|gDNA|whole[-_ ]?(?:genome|exome)|WGS|WES|(?:sc)?DNA[-_ ]?seq|exome"),
    ),
    ("chromatin", _word(r"ChIP[-_ ]?seq|CUT&(?:RUN|TAG)|Hi-?C|bisulfite|WGBS|RRBS|(?:DNA[-_ ]?)?methylome")),
)
# Words that say that the reads are (also) those of gene expression. The first overrule any name, the second only names
# that may speak of the cells rather than of the library.
_EXPRESSION = _word(
    r"GEX|gene[-_ ]?expression|mRNA|cDNA|RNA[-_ ]?library|[35]['′]?[-_ ]?(?:RNA|expression)|RNA ?[+&/]|[+&/] ?RNA"
)
_RNA_SEQ = _word(r"(?:sc|sn|single[-_ ](?:cell|nucle(?:us|i|ar))[-_ ])?RNA[-_ ]?seq|transcriptom(?:e|ics?)")
_ABOUT_THE_CELLS = frozenset({"V(D)J", "guides", "open chromatin", "chromatin", "genomic DNA"})
_BULK = _word(r"bulk(?:[-_ ]?(?:m?RNA|tissue|samples?|cells?|population|controls?|libraries|library)?(?:[-_ ]?seq)?)?")
_SPATIAL = _word(r"visium|spatial[-_ ]transcriptom(?:e|ics?)|slide[-_ ]?seq(?:v2)?|stereo[-_ ]?seq|geomx|cosmx|merfish")
_PSEUDOBULK = re.compile(r"pseudo[-_ ]?bulk", re.IGNORECASE)


class LibraryType(NamedTuple):
    """Why a library is left out (a reason code and a sentence, empty when it is not), and what was seen."""

    reason: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = ()


def library_names(experiment: Experiment, of_geo: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a library by SRA and by GEO, without what SRA adds (accession, organism, strategy)."""
    title = re.sub(r"^.*?\bGSM\d+:\s*", "", experiment.title)
    pieces = title.split("; ")
    if title != experiment.title and len(pieces) >= 3:
        title = "; ".join(pieces[:-2])
    library = "" if re.fullmatch(r"GSM\d+(_r\d+)?", experiment.library) else experiment.library
    attributes = [value for tag, value in experiment.attributes if tag.lower().strip() in NAMING_ATTRIBUTES]
    names = (library, title, experiment.sample_title, *of_geo, *attributes)
    return tuple(dict.fromkeys(name for name in names if name))


def judge_library(strategy: str, source: str, selection: str, names: tuple[str, ...]) -> LibraryType:
    """Judge a library by its strategy, source and selection (the words of SRA or GEO) and by its names and titles."""
    kind = strategy.upper().replace("_", "-").strip()
    origin = source.upper().strip()
    if kind in _NOT_RNA_STRATEGIES:
        return LibraryType("NOT_RNA", f"The library strategy is {strategy}.")
    if origin in ("GENOMIC", "GENOMIC SINGLE CELL", "METAGENOMIC", "VIRAL RNA") and not (
        kind in _RNA_STRATEGIES and selection.upper().strip() in _RNA_SELECTIONS
    ):
        return LibraryType("NOT_RNA", f"The library source is {source}.")
    notes = []
    if origin.startswith("GENOMIC"):
        notes.append(f"the source is {source}, but strategy {strategy} and selection {selection} are those of RNA")
    names = tuple(dict.fromkeys(names))
    declared_rna = kind in _RNA_STRATEGIES or "TRANSCRIPTOMIC" in origin
    if detail := _named_otherwise(names, declared_rna, notes):
        return LibraryType("NOT_RNA", detail)
    if kind == "OTHER" and origin in ("OTHER", "SYNTHETIC", ""):
        return LibraryType("NOT_RNA", f"Strategy {strategy} and source {source or 'unknown'} do not speak of RNA.")
    for name in names:
        if found := _SPATIAL.search(name):
            return LibraryType("NOT_SINGLE_CELL", f"Its name {name!r} says spots of a tissue ({found[0]}), not cells.")
    if "SINGLE CELL" not in origin:
        for name in names:
            if _BULK.search(name) and not _PSEUDOBULK.search(name):
                return LibraryType(
                    "NOT_SINGLE_CELL", f"Its name {name!r} says bulk, and its source is not single cell."
                )
    return LibraryType(evidence=tuple(notes))


def _named_otherwise(names: Iterable[str], declared_rna: bool, notes: list[str]) -> str:
    """Return a sentence for the first name of another kind of library, empty without one; note names of both kinds."""
    for name in names:
        for kind, pattern in _KINDS:
            found = pattern.search(name)
            if not found:
                continue
            about_cells = kind in _ABOUT_THE_CELLS and declared_rna and _RNA_SEQ.search(name)
            if not (about_cells or _EXPRESSION.search(name)):
                return f"Its name {name!r} says {kind} ({found[0].strip(' -_[(')})."
            notes.append(f"{name!r} speaks of {kind} and of gene expression")
    return ""
