"""Accessions of GEO, SRA and other archives: the one parser through which all of them come in, and tax ids.

An accession names folders, goes to archives and to programs, so whatever comes from a record, a table or a person is
parsed here before anything else sees it. Patterns: https://ena-docs.readthedocs.io/en/latest/submit/general-guide/accessions.html,
https://www.ncbi.nlm.nih.gov/geo/info/overview.html.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NamedTuple

from scripts.core.untrusted import quoted, strip_blanks


class Accession(NamedTuple):
    """An accession and what it names, a key of KINDS or OTHER_KINDS."""

    kind: str
    text: str


_NUMBER = r"[0-9]{1,12}"
KINDS = {
    "series": "GSE",
    "sample": "GSM",
    "study": "[SED]RP",
    "project": "PRJ(?:NA|EB|DB|EA|DA)",
    "experiment": "[SED]RX",
    "run": "[SED]RR",
    "biosample": "SAM(?:N|D|E[AG]?)",
    "sra_sample": "[SED]RS",
    "submission": "[SED]RA",
}
"""Kinds that archives are asked for: what they begin with, before a number."""
_TABLE = "download its files there and count them with a run table (run_table:)"
OTHER_KINDS = {
    "analysis": ("[SED]RZ", "is an analysis, which has no reads of its own; name its study (SRP…) or its runs (SRR…)"),
    "data_set": ("GDS", "is a curated data set of GEO; name the series that it was made of (GSE…)"),
    "platform": ("GPL", "is a platform of GEO; name series of it (GSE…)"),
    "gsa": (
        "(?:CR[AXR]|HR[ASIXR]|PRJCA|SAMC)",
        f"is of GSA (CNCB-NGDC, https://ngdc.cncb.ac.cn/gsa), which is another archive; {_TABLE}",
    ),
    "cngb": ("CN[PXRS]", f"is of CNGBdb (https://db.cngb.org), which is another archive; {_TABLE}"),
    "ega": ("EGA[A-Z]", f"is of EGA, where access is controlled; apply for it, then {_TABLE}"),
    "jga": ("JGA[A-Z]", f"is of JGA, where access is controlled; apply for it, then {_TABLE}"),
    "dbgap": (
        r"phs(?=[0-9]{6}(?:\.|$))",
        f"is of dbGaP, where access is controlled; apply for it, then {_TABLE}",
    ),
    "arrayexpress": (
        "E-[A-Z]{4}-",
        "is of ArrayExpress; name the study that holds its reads (ERP… or PRJEB…): its page has it, "
        "https://www.ebi.ac.uk/biostudies/arrayexpress/studies/{accession}",
    ),
}
"""Kinds that no archive is asked for: what they begin with, and what to do."""
_ALL = KINDS | {kind: start for kind, (start, _) in OTHER_KINDS.items()}
_ENDS = {"dbgap": r"(?:\.v[0-9]{1,3})?(?:\.p[0-9]{1,3})?"}  # versions
_PATTERN = re.compile(
    "|".join(f"(?P<{kind}>{start}{_NUMBER}{_ENDS.get(kind, '')})" for kind, start in _ALL.items()), re.ASCII
)
_OF_KIND = {kind: re.compile(f"{start}{_NUMBER}") for kind, start in KINDS.items()}
_STARTS = {kind: re.compile(f"{start}{_NUMBER}(?![0-9])") for kind, start in KINDS.items()}
_GEO_AT_ARRAYEXPRESS = re.compile(f"E-GEOD-({_NUMBER})")
_EXAMPLES = "e.g. GSE67835, GSM1657871, SRP057196, PRJNA281204, SRX995861, SRR1974543"
_NUMBER_ALONE = re.compile(r"[0-9]{3,6}")
_LIKE_ACCESSION = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2,5})[ _:#-]{0,2}([0-9][0-9OoIl]{0,11})(?![A-Za-z0-9])")
_ALIKE = 0.66  # as GES and GSE
_LIKE_DIGITS = str.maketrans("OIL", "011")
_STARTERS = (
    "GSE GSM SRP ERP DRP PRJNA PRJEB PRJDB SRX ERX DRX SRR ERR DRR SAMN SAMEA SAMD SRS ERS DRS SRA ERA DRA".split()
)
_TAX_ID = re.compile(r"[1-9][0-9]{0,9}")
_TAX_IDS = {
    "9606": ("homo sapiens", "human", "humans", "h. sapiens", "man"),
    "10090": ("mus musculus", "mouse", "house mouse", "m. musculus", "mice"),
    "10116": ("rattus norvegicus", "rat", "norway rat", "brown rat", "r. norvegicus"),
    "7955": ("danio rerio", "zebrafish", "zebra fish", "d. rerio"),
    "7227": ("drosophila melanogaster", "fruit fly", "d. melanogaster"),
    "6239": ("caenorhabditis elegans", "c. elegans"),
    "9544": ("macaca mulatta", "rhesus monkey", "rhesus macaque"),
    "9541": ("macaca fascicularis", "crab-eating macaque", "cynomolgus monkey"),
    "9823": ("sus scrofa", "pig"),
    "9031": ("gallus gallus", "chicken"),
    "9913": ("bos taurus", "cattle"),
    "9615": ("canis lupus familiaris", "dog"),
    "9598": ("pan troglodytes", "chimpanzee"),
    "9483": ("callithrix jacchus", "white-tufted-ear marmoset", "common marmoset"),
    "9986": ("oryctolagus cuniculus", "rabbit"),
    "9940": ("ovis aries", "sheep"),
    "8355": ("xenopus laevis", "african clawed frog"),
    "8364": ("xenopus tropicalis", "tropical clawed frog"),
    "3702": ("arabidopsis thaliana", "thale cress"),
    "4932": ("saccharomyces cerevisiae", "baker's yeast"),
}
_OF_NAMES = {name: tax_id for tax_id, names in _TAX_IDS.items() for name in names}


def parse_accession(word: str) -> Accession | None:
    """Return the accession that a word is, from its first character to its last; None for anything else.

    A series of GEO under ArrayExpress's name (``E-GEOD-67835``) comes back under GEO's.
    """
    if found := _GEO_AT_ARRAYEXPRESS.fullmatch(word):
        return Accession("series", f"GSE{found[1]}")
    found = _PATTERN.fullmatch(word)
    return Accession(str(found.lastgroup), word) if found else None


def accession_of(word: str, *kinds: str) -> str:
    """Return a word that is an accession of one of these kinds, empty otherwise."""
    return word if any(_OF_KIND[kind].fullmatch(word) for kind in kinds) else ""


def accessions_in(kind: str, values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the accessions of a kind with which values begin, each once: a value may have a suffix (``GSM1_r1``)."""
    pattern = _STARTS[kind]
    return tuple(dict.fromkeys(found[0] for value in values if value and (found := pattern.match(value.strip()))))


def kind_of(word: str) -> str:
    """Return the kind of an accession that archives are asked for, empty for any other word."""
    found = parse_accession(word)
    return found.kind if found and found.kind in KINDS and found.text == word else ""


def why_not_asked(word: str) -> str:
    """Return why no archive can be asked for a word, and what to do; empty where one can."""
    found = parse_accession(word)
    if found and found.kind in KINDS:
        return ""
    if found:
        return f"{word} {OTHER_KINDS[found.kind][1].format(accession=word)}."
    if near := accessions_meant(word):
        return f"{quoted(word)} is not an accession that can be looked up; did you mean {', '.join(near)}?"
    return f"{quoted(word)} is not an accession that can be looked up; {_EXAMPLES}."


def accessions_meant(word: str) -> list[str]:
    """Return the accessions that a person may have meant by a word that is none, e.g. ``gse 67835`` or an address."""
    if _NUMBER_ALONE.fullmatch(strip_blanks(word)):
        return [f"GSE{strip_blanks(word)}"]
    found = []
    for letters, digits in _LIKE_ACCESSION.findall(word):
        number = digits.upper().translate(_LIKE_DIGITS)
        likeness = {start: SequenceMatcher(None, letters.upper(), start).ratio() for start in _STARTERS}
        start = max(_STARTERS, key=lambda start: likeness[start])
        least = _ALIKE if len(number) > 2 else 1.0  # "day 1" means no accession
        if likeness[start] >= least and kind_of(start + number):
            found.append(start + number)
    return list(dict.fromkeys(found))


def gds_uid(series: str) -> str:
    """Return the identifier of a GEO series in Entrez: 200000000 plus its number; any other accession unchanged."""
    return str(200_000_000 + int(series[3:])) if kind_of(series) == "series" else series


def taxon(tax_id: str, organism: str) -> tuple[str, str]:
    """Return (tax id, organism) as a record has them: the tax id by the name where the record has the name alone.

    The tax id is empty where it is none, and the name is not one of a common organism.
    """
    if _TAX_ID.fullmatch(tax_id):
        return tax_id, organism
    return _OF_NAMES.get(" ".join(organism.split()).lower(), ""), organism


def organism_of(tax_id: str) -> str:
    """Return the scientific name of a common organism, empty for others."""
    return _TAX_IDS.get(tax_id, ("",))[0].capitalize()
