"""Whether a library is of RNA, and of single cells, by what its record says of it.

Libraries that a series holds beside gene expression (antibody tags, hashtags, V(D)J, chromatin, guides, genomes) mostly
have the right strategy and source; where they do not, their names decide (:mod:`.library_kinds`), or
the libraries beside them (:mod:`.library_siblings`). A name counts only where it does not speak of gene
expression as well, since ``GEX + ADT`` may be one archive of both. Protocols are often shared by all libraries of a
sample, so they count only where they name a kit of spots or probes and no other.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scripts.records.answers.sra_xml import Experiment
from scripts.records.libraries.evidence import VETO, Evidence, RecordText, Scope
from scripts.records.libraries.library_kinds import (
    FLEX,
    LONG_READS,
    REASONS,
    Found,
    is_expression,
    kinds_in,
    kit_in,
    kit_of_attribute,
    long_reads_in,
    says_expression,
)
from scripts.records.libraries.library_siblings import Beside
from scripts.records.libraries.texts import own_title

# Attributes (GEO's characteristics, SRA's sample attributes) whose value names the kind of a library, and a kit.
_NAMING_ATTRIBUTES = frozenset(
    "library,library type,library name,library strategy,library kind,modality,assay,assay type,data type,datatype,"
    "omics,feature type,molecule subtype,experiment type,sequencing type,seq type,technique".split(",")
)
_KIT_ATTRIBUTES = frozenset(
    "technology,platform,kit,library kit,library prep,library preparation,library preparation kit,library construction,"
    "library preparation method,library construction method,library preparation protocol,method,library method,"
    "library construction protocol,chemistry,chemistry version,10x chemistry,10x version,sequencing technology,"
    "single cell platform".split(",")
)
_NOT_RNA_STRATEGIES = frozenset(
    """
    WGS WGA WXS WCS AMPLICON ATAC-SEQ BISULFITE-SEQ CHIA-PET CHIP-SEQ CLONE CLONEEND CTS CUT&RUN CUT&TAG
    DNASE-HYPERSENSITIVITY FAIRE-SEQ FINISHING GBS HI-C MBD-SEQ MEDIP-SEQ MNASE-SEQ MRE-SEQ NOME-SEQ POOLCLONE RAD-SEQ
    RESTRICTION-SEQ SELEX SYNTHETIC-LONG-READ TARGETED-CAPTURE TN-SEQ VALIDATION
    MIRNA-SEQ NCRNA-SEQ RIBO-SEQ RIP-SEQ CLIP-SEQ CHM-SEQ
    """.split()
) | {"TETHERED CHROMATIN CONFORMATION CAPTURE", "DNA-SEQ"}
_RNA_STRATEGIES = frozenset("RNA-SEQ SSRNA-SEQ FL-CDNA EST SNRNA-SEQ SCRNA-SEQ".split())
_RNA_SELECTIONS = frozenset(
    ["CDNA", "POLYA", "OLIGO-DT", "RT-PCR", "CDNA_OLIGO_DT", "CDNA_RANDOMPRIMING", "CAGE", "RACE", "INVERSE RRNA"]
)
_BULK = re.compile(
    r"(?<![A-Za-z])bulk(?:[-_ ]?(?:m?RNA|tissue|samples?|cells?|population|controls?|libraries|library)?"
    r"(?:[-_ ]?seq)?)?(?![A-Za-z])",
    re.IGNORECASE,
)
_OF_ORGANISM = re.compile(r"^[A-Za-z-]+ of [A-Za-z ]+: ")  # "RNA-Seq of Mus musculus: spleen", as NCBI suggests it
_STRATEGY = re.compile(r"\s*[*]?\s*library[ _]strategy\s*:\s*(.+)", re.IGNORECASE)
_PSEUDOBULK = re.compile(r"pseudo[-_ ]?bulk", re.IGNORECASE)
_LONG_READS = re.compile(r"Sequel|\bRS II\b|PacBio|Revio|Vega|MinION|GridION|PromethION", re.IGNORECASE)
_CONSEQUENCES = {
    "NOT_SINGLE_CELL": "not cells",
    FLEX: "whose ligated probes are counted against a probe set and not against the genome",
    LONG_READS: "for which the alignment is not made",
}


class LibraryType(NamedTuple):
    """Why a library is left out (a reason code and a sentence, empty when it is not), and what was seen.

    ``evidence`` are sentences on what did not decide, ``pieces`` are what did. ``by_words``: it is left out for the
    words of its names, its siblings or its protocol alone, which may mislead.
    """

    reason: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = ()
    by_words: bool = False
    pieces: tuple[Evidence, ...] = ()


class Background(NamedTuple):
    """What else the records say of a library; empty where they do not."""

    strategies: tuple[str, ...] = ()
    """What GEO's curators note as the strategies of the sample, where the list of strategies has none for it."""
    kits: tuple[str, ...] = ()
    """Values of attributes that name a kit or a method, which libraries of one sample share."""
    protocol: str = ""
    study: str = ""
    """Title and abstract: they tell androgen deprivation from antibody tags."""
    instrument: str = ""
    molecule: str = ""
    """What GEO says was extracted: total RNA, genomic DNA, protein …"""
    beside: Beside | None = None


_NO_BACKGROUND = Background()


def library_names(
    experiment: Experiment, title_of_geo: str = "", attributes_of_geo: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the names of a library by SRA and by GEO, without what SRA adds (accession, organism, strategy)."""
    library = "" if re.fullmatch(r"GSM\d+(_r\d+)?", experiment.library) else experiment.library
    title = _OF_ORGANISM.sub("", own_title(experiment.title))
    titles = (library, title, experiment.sample_title, title_of_geo)
    attributes = (*names_in(experiment.attributes), *attributes_of_geo)
    if any(name and says_expression(name) and not kinds_in(name) for name in titles):
        attributes = ()  # they may be those of a kit or a sample that has further libraries
    return tuple(dict.fromkeys(name for name in (*titles, *attributes) if name))


def names_in(attributes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the values of attributes (tag, value) that name the kind of a library, of SRA or of GEO."""
    return tuple(value for tag, value in attributes if _plain(tag) in _NAMING_ATTRIBUTES)


def background_of(
    texts: Iterable[RecordText], instrument: str, molecule: str = "", beside: Beside | None = None
) -> Background:
    """Return the background of a library by the texts of its record."""
    strategies, kits, protocols, study = [], [], [], []
    for text in texts:
        if text.scope in (Scope.PROCESSING, Scope.DESCRIPTION):
            if found := _STRATEGY.match(text.text):
                strategies.append(found[1])
        elif text.scope is Scope.TRAIT:
            tag, _, value = text.text.partition(":")
            if _plain(tag) in _KIT_ATTRIBUTES:
                kits.append(value.strip())
        elif text.scope is Scope.PROTOCOL:
            protocols.append(text.text)
        elif text.scope in (Scope.SERIES_TITLE, Scope.SUMMARY, Scope.DESIGN):
            study.append(text.text)
    return Background(
        strategies=tuple(strategies),
        kits=tuple(kits),
        protocol="\n".join(protocols),
        study="\n".join(study),
        instrument=instrument,
        molecule=molecule,
        beside=beside,
    )


def _plain(tag: str) -> str:
    return tag.lower().strip().replace("_", " ")


def has_long_reads(instrument: str) -> bool:
    """Whether an instrument makes long reads."""
    return _LONG_READS.search(instrument) is not None


def judge_library(
    strategy: str, source: str, selection: str, names: tuple[str, ...], background: Background = _NO_BACKGROUND
) -> LibraryType:
    """Judge a library by its strategy, source and selection (the words of SRA or GEO), its names and its background."""
    kind = strategy.upper().replace("_", "-").strip()
    origin = source.upper().strip()
    if kind in _NOT_RNA_STRATEGIES:
        return _not_rna("LIBRARY_STRATEGY", "library strategy", strategy, f"The library strategy is {strategy}.")
    if origin in ("GENOMIC", "GENOMIC SINGLE CELL", "METAGENOMIC", "VIRAL RNA") and not (
        kind in _RNA_STRATEGIES and selection.upper().strip() in _RNA_SELECTIONS
    ):
        return _not_rna("LIBRARY_SOURCE", "library source", source, f"The library source is {source}.")
    notes = []
    if origin.startswith("GENOMIC"):
        notes.append(f"the source is {source}, but strategy {strategy} and selection {selection} are those of RNA")
    names = tuple(dict.fromkeys(names))
    declared_rna = kind in _RNA_STRATEGIES or "TRANSCRIPTOMIC" in origin
    if left_out := _judge_words(names, strategy, declared_rna, background, notes):
        return left_out
    molecule = background.molecule.lower().strip()
    made_of_rna = kind in _RNA_STRATEGIES and "TRANSCRIPTOMIC" in origin  # a slip in the molecule is likelier
    if (molecule == "protein" and not any(map(says_expression, names))) or (
        molecule == "genomic dna" and not made_of_rna
    ):
        sentence = f"GEO says that the molecule is {background.molecule}."
        return _not_rna("MOLECULE", "molecule", background.molecule, sentence)._replace(by_words=True)
    if kind == "OTHER" and origin in ("OTHER", "SYNTHETIC", ""):
        sentence = f"Strategy {strategy} and source {source or 'unknown'} do not speak of RNA."
        return _not_rna("LIBRARY_SOURCE", "library source", source, sentence)
    if "SINGLE CELL" not in origin:
        for name in names:
            if _BULK.search(name) and not _PSEUDOBULK.search(name):
                return LibraryType(
                    "NOT_SINGLE_CELL", f"Its name {name!r} says bulk, and its source is not single cell."
                )
    return LibraryType(evidence=tuple(notes))


def _judge_words(
    names: tuple[str, ...], strategy: str, declared_rna: bool, background: Background, notes: list[str]
) -> LibraryType | None:
    """Judge a library by its names, its siblings, its kit and its instrument, in this order; None if it stays in."""
    for name in names:
        for found in _others_in(name, background.study, declared_rna):
            return _left_out(found, f"Its name {name!r}")
        notes += [
            f"{name!r} speaks of {found.kind} and of gene expression" for found in kinds_in(name, background.study)
        ]
    for found in kinds_in(strategy):  # archives take new ones, such as "Spatial Transcriptomics"
        return _left_out(found, "Its strategy")
    noted = [next(_others_in(name, background.study, declared_rna), None) for name in background.strategies]
    if noted and noted[0] and all(noted):  # that of another library of the sample may be noted beside it
        return _left_out(noted[0], f"The library strategy {background.strategies[0]!r}")
    if beside := background.beside:
        pieces = (Evidence("KIND_BY_SIBLING", VETO, "", beside.sentence),)
        return LibraryType(REASONS.get(beside.kind, "NOT_RNA"), beside.sentence, by_words=True, pieces=pieces)
    for kit in background.kits:
        if of_kit := kit_of_attribute(kit):
            return _left_out(of_kit, f"Its attribute {kit!r}")
    if of_protocol := kit_in(background.protocol):
        return _left_out(of_protocol, "Its protocol")
    return _judge_read_length(names, background.instrument)


def _others_in(name: str, study: str, declared_rna: bool) -> Iterator[Found]:
    """Yield the kinds that a name speaks of, unless it speaks of gene expression as well."""
    for found in kinds_in(name, study):
        if not is_expression(found.kind, name, declared_rna):
            yield found


def _judge_read_length(names: tuple[str, ...], instrument: str) -> LibraryType | None:
    """Judge by the instrument, and by names only where it is unknown: many samples have long reads beside others."""
    if has_long_reads(instrument):
        return _left_out(Found(LONG_READS, instrument), "Its instrument")._replace(by_words=False)
    for name in () if instrument else names:
        if found := long_reads_in(name):
            return _left_out(found, f"Its name {name!r}")
    return None


def _left_out(found: Found, where: str) -> LibraryType:
    reason = REASONS.get(found.kind, "NOT_RNA")
    consequence = _CONSEQUENCES.get(found.kind) or _CONSEQUENCES.get(reason)
    detail = f"{where} says {found.kind} ({found.word})" + (f", {consequence}." if consequence else ".")
    piece = Evidence("LIBRARY_KIND", VETO, f"{where[0].lower()}{where[1:]}", found.word)
    return LibraryType(reason, detail, by_words=True, pieces=(piece,))


def _not_rna(code: str, where: str, words: str, sentence: str) -> LibraryType:
    return LibraryType("NOT_RNA", sentence, pieces=(Evidence(code, VETO, where, words),))
