"""Which kind of library a name speaks of, in the words that submitters use.

A word that can also describe the cells ("TCR-stimulated", "BCR-ABL", "ST-HSC", "after ADT") counts only where the words
around it make it a label. What the words mean: the user guides of 10x Genomics, and the papers of the methods.
"""

import functools
import re
from typing import NamedTuple

TAGS, HASHTAGS, FEATURES, VDJ = "antibody tags", "hashtags", "feature barcodes", "V(D)J"
OPEN_CHROMATIN, CHROMATIN, DNA, GUIDES = "open chromatin", "chromatin", "genomic DNA", "guides"
AMPLICONS, RIBOSOMES, BOUND = "amplicons", "ribosome profiling", "RNA bound by a protein"
NASCENT, SMALL = "nascent RNA", "small RNA"
SPOTS, FLEX, LONG_READS = "spots of a tissue", "10x Flex", "long reads"
REASONS = {SPOTS: "NOT_SINGLE_CELL", FLEX: "CHEMISTRY_UNKNOWN", LONG_READS: "CHEMISTRY_UNKNOWN"}
"""Kind → reason code; NOT_RNA for all others."""

_ABOUT_THE_CELLS = frozenset({VDJ, GUIDES, OPEN_CHROMATIN, CHROMATIN, DNA, AMPLICONS})
_NEVER_EXPRESSION = frozenset({FLEX, LONG_READS, RIBOSOMES, BOUND, NASCENT})  # "Flex gene expression"
_LONGEST = 20_000  # characters of a name or a protocol that are read
_RUNS = re.compile(r"([-_ ][-_ ])[-_ ]+")
_FOLDED = str.maketrans("′ʹ’‘`´αβγδ", "''''''abgd")


class Found(NamedTuple):
    """A kind of library that a name speaks of, and the word that says so."""

    kind: str
    word: str


_NUMBERS = r"[)\]]?(?:[-_ ,.#]*(?:S|L|rep(?:licate)?|lane|run|pool|BC)?[-_ #]?\d+[)\]]?){0,4}$"  # that end a name


def _word(*patterns: str) -> re.Pattern[str]:
    """Patterns that stand alone among letters; '_' and digits may be their neighbours, as in ``S1_ADT2``."""
    return re.compile(rf"(?<![A-Za-z])(?:{'|'.join(patterns)})(?![A-Za-z])", re.IGNORECASE)


def _label(*patterns: str) -> re.Pattern[str]:
    """Patterns that are the last label of a name but for numbers, as in ``S1_CSP_S3``, or all of it."""
    return re.compile(rf"(?:^|(?<=[-_,;:/.\[( ]))(?:{'|'.join(patterns)})(?={_NUMBERS})", re.IGNORECASE)


def _text(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_CHAINS = r"(?:[-_ /]?(?:ab|gd|a/b|g/d|alpha|beta|gamma|delta)|[abgd])"
_RECEPTOR = rf"(?:sc|ab|gd|bulk[-_ ]?)?[TB]CRs?{_CHAINS}{{0,3}}"
_SEGMENTS = r"(?:sc)?V(?:\(?D\)?|-D-)J"
_MADE = r"[-_ ]?(?:seq\w*|lib(?:s|rar\w*)?|enrich(?:ed|ment)|amplicons?|repertoires?|profil\w*|amplif\w*|clonotyp\w*)"
_NOT_WITH = r"(?<!by )(?<!with )(?<!using )(?<!via )"  # "multiplexed with hashtags"
_SLICES = (
    r"(?:tumou?r|tissue|sections?|slice|biops(?:y|ies)|brain|cortex|hippocampus|heart|kidney|lung|liver|skin|breast"
    r"|prostate|colon|intestine|pancreas|melanoma|glioma|GBM|PDAC|HCC|cancer|carcinoma|node|spleen|embryo|FFPE|frozen)"
)
_PATTERNS = (
    (
        TAGS,
        _word(
            r"antibody[-_ ]?(?:derived|capture(?!d)|tags?(?!g)|librar|barcode(?!d))[a-z-]*",
            r"TotalSeq(?:[-_ ]?[ABC])?(?![-_ ]*(?:stain|label|hash|tagged))",
            rf"{_NOT_WITH}ADTs?(?:[-_ ]?(?:lib(?:s|rar\w*)?|seq\w*))?",
            r"AbSeq|(?:CSP|surface[-_ ]protein)[-_ ]lib(?:s|rar\w*)?",
        ),
    ),
    (TAGS, _label("CSP", r"(?:cell[-_ ])?surface[-_ ]protein(?:[-_ ]expression)?s?", r"protein[-_ ]lib(?:s|rar\w*)?")),
    (
        HASHTAGS,
        _word(
            rf"{_NOT_WITH}HTOs?|multi[-_ ]?seq[-_ ]?barcodes?|(?:sample|cell)[-_ ]?tag[-_ ]lib(?:s|rar\w*)?",
            rf"{_NOT_WITH}(?:hashtags?(?:[-_ ]?oligos?)?|cell[-_ ]?hashing|hashing)"
            r"(?![-_ ]*(?:label|stain|tagged|positive|negative|sort|barcoded|multiplex|pool))",
            r"multiplexing[-_ ]?(?:capture|lib(?:s|rar\w*)?|oligos?)|(?:cell[-_ ]?plex|[CL]MO)[-_ ]lib(?:s|rar\w*)?",
        ),
    ),
    (
        HASHTAGS,
        _label(r"CMOs?(?![-_ ]?3\d\d)", r"LMOs?(?!\d)", r"(?<! )cell[-_ ]?plex", "cell[-_ ]multiplexing"),
    ),  # CMO301: a sample
    (
        FEATURES,
        _word(
            r"feature[-_ ]?(?:barcod(?:es?|ing)|lib(?:s|rar\w*)?|capture)|FBC?[-_ ]lib(?:s|rar\w*)?",
            r"(?:dextramer|tetramer|multimer)[-_ ](?:lib(?:s|rar\w*)?|barcodes?)|antigen[-_ ]capture",
        ),
    ),
    (FEATURES, _label("FBC", r"BEAM(?:[-_ ](?:T|Ab))?")),
    (
        VDJ,
        _word(
            rf"{_SEGMENTS}(?:[-_ ]?[TB])?{_MADE}",
            rf"{_RECEPTOR}(?:[-_ ](?:heavy|light)[-_ ]chains?)?(?:{_MADE}|[-_ ]?V\(?D\)?J)",
            rf"[TB][-_ ]?cell[-_ ]?receptors?(?:[-_ ]?(?:alpha|beta))*(?:[-_ ]?V\(?D\)?J|{_MADE})",
            r"(?:immune(?:[-_ ]receptor)?|heavy[-_ ]chain|VH|Ab|AIRR?|Ig[GMADEHKL]?|antibody|immunoglobulin"
            r"|[TB][-_ ]cell)[-_ ]?(?:repertoires?|rep[-_ ]?seq)",
            rf"(?:IGHV?|TRB|TRA|Ig[HKL]){_MADE}|AIRR[-_ ]?seq|(?:V[HL]|Ig)[-_]?seq|CDR3[-_ ]?\w*seq\w*",
            r"[TB][-_ ]cell[-_ ]clonotypes?|clonotypes?[-_ ]seq\w*",
            r"TRAC?[-_/+ ]+TRBC?|IGH[-_/+ ]+IGK(?:[-_/+ ]+IGL)?|IgH[-_/+ ]+Ig[KL]",
        ),
    ),
    (VDJ, _label("(?-i:TR[BGD]|IG[HKL]|Ig[HKL])")),
    (OPEN_CHROMATIN, _word(r"(?:sc|sn|mtsc|mt)?ATAC(?:[-_ ]?seq\w*)?", "ASAP[-_ ]seq", "chromatin[-_ ]accessibility")),
    (
        GUIDES,
        _word(
            r"(?:sg|g|guide[-_ ]?)RNAs?[-_ ]?(?:lib(?:s|rar\w*)?|seq\w*|capture|enrich\w*|amplicons?|barcodes?|PCR)",
            r"CRISPR[-_ ]?(?:guides?|capture|screen(?:ing)?[-_ ]?library|lib(?:s|rar\w*)?)",
            r"guides?[-_ ]?(?:capture|lib(?:s|rar\w*)?)",
        ),
    ),
    (GUIDES, _label("GDOs?")),
    (
        DNA,
        _word(
            r"genomic[-_ ]?DNA|gDNA|mtDNA|whole[-_ ]?(?:genome|exome)|(?:WGS|WES)(?!\d)|exome",
            r"(?:sc|sn)?DNA[-_ ]?seq\w*|(?:GUIDE|CHANGE|CIRCLE)[-_ ]seq|tapestri",
        ),
    ),
    (
        CHROMATIN,
        _word(
            r"(?:sc|Hi)?ChIP[-_ ]?(?:seq\w*|exo|mentation)|HiChIP|(?:sc|sn)?(?-i:Hi-?C)",
            r"(?:sc)?CUT ?[-_&n]+ ?(?:RUN|TAG)|CUT and (?:RUN|TAG)",
            r"bisulfite(?:[-_ ]?seq\w*)?|(?:sc|WG|RR|oxWG)?BS[-_ ]seq|s?c?WGBS|RRBS|PBAT",
            r"snmC\w*[-_ ]?seq\w*|EM[-_ ]seq",
            r"(?:DNA[-_ ]?)?methyl(?:ome|ation[-_ ](?:profil\w*|seq\w*)|[-_ ]?seq\w*)|MeDIP(?:[-_ ]?seq)?",
            r"(?:DNase|MNase|FAIRE|Repli|4C|Capture[-_ ]?C|DamID)[-_ ]seq\w*|DamID",
        ),
    ),
    (
        AMPLICONS,
        _word(
            r"(?:targeted|genotyping)[-_ ]amplicons?|amplicons?[-_ ]?(?:seq\w*|lib(?:s|rar\w*)?)",
            r"genotyping[-_ ]lib(?:s|rar\w*)?",
            r"(?:lineage|clonal|LARRY|CellTag|transcribed)[-_ ]?barcodes?[-_ ](?:librar|amplicon|enrich|seq)\w*",
        ),
    ),
    (
        RIBOSOMES,
        _word(
            r"(?:sc)?ribo[-_ ]?seq\w*|ribosom(?:e|al)[-_ ](?:profil\w*|foot[-_ ]?print\w*|protected\w*)|RPFs?",
            r"polysom\w*[-_ ]?(?:profil\w*|seq\w*)",
        ),
    ),
    (
        BOUND,
        _word(
            r"(?:i|e|mi|PAR[-_ ]?|HITS[-_ ]?)CLIP(?:[-_ ]?seq\w*)?|CLIP[-_ ]seq\w*",
            r"(?:Me|f)?RIP[-_ ]seq\w*|m6A[-_ ]seq\w*",
        ),
    ),
    (
        NASCENT,
        _word(
            r"(?:sc|ch|q)?(?:(?:PRO|GRO|m?NET|TT(?:chem)?)[-_ ]seq\w*|(?-i:PRO|GRO|m?NET|TT(?:chem)?)(?-i:[sS]eq))",
            r"(?:4[-_ ]?sU|SLAM|EU|TimeLapse|Bru)[-_ ]?seq\w*",
        ),
    ),
    (
        SMALL,
        _word(
            r"(?:mi|micro|pi|si|sn?o|t|small[-_ ]?|sm?|ex)RNAs?[-_ ]?(?:seq\w*|lib(?:s|rar\w*)?)",
            r"small[-_ ]RNAs?(?! ?(?:sponge|inhibitor|virus))",
        ),
    ),
    (
        SPOTS,
        _word(
            r"visium(?:[-_ ]?HD)?|cyt[-_ ]?assist|slide[-_ ]?seq(?:v2)?|stereo[-_ ]?seq|HDST|DBiT[-_ ]?seq",
            r"curio[-_ ]?seeker|spatial(?:ly)?[-_ ]?(?:transcriptom\w*|gene[-_ ]expression|RNA[-_ ]?seq\w*)",
            r"spatial(?:ly)?[-_ ]?(?:seq\w*|lib(?:s|rar\w*)?|omics|resolved)",
            r"geomx|cosmx|merfish|merscope|xenium|seq[-_ ]?scope|open[-_ ]?ST|pixel[-_ ]?seq|tomo[-_ ]?seq",
            r"ST[-_ ](?:lib(?:s|rar\w*)?|sections?|slides?|spots?|arrays?|seq)|10x[-_ ]ST",
        ),
    ),
    (
        SPOTS,
        _text(
            r"(?:^|(?<=[-_ ,;:(\[]))spatial(?=$|[_\]);,:]|[-_ ]?\d)(?!.?(?:memory|learn|navig|task|train))",
            # ST alone may be a short-term stem cell or a strain.
            rf"{_SLICES}[-_ ]*(?:[A-Z]{{0,2}}\d*)?[-_ ]+(?-i:ST)(?=[-_ ]*(?:S|rep|replicate)?[-_ ]?[A-D]?\d*$)",
            rf"^(?-i:ST)[-_ ]+{_SLICES}",
        ),
    ),
    (
        FLEX,
        _word(
            r"(?:10x|chromium|gem[-_ ]?x)[-_ ]*flex",
            r"flex[-_ ]*(?:gene|sc|sn|single|RNA|kit|assay|lib(?:s|rar\w*)?|probes?|GEX)\w*",
            r"(?:sc|sn)(?:RNA)?(?:[-_ ]?seq)?[-_ ,(\[]+flex|FRP(?!\+)",
            r"fixed[-_ ]RNA[-_ ]profil\w*|(?<!-)fixed[-_ ]RNA(?![-_ ]?seq)",
            r"(?:sc|sn)?FFPE[-_ ]?seq|snPATHO[-_ ]?seq|probe[-_ ]based|(?:RNA|gene[-_ ]expression)[-_ ]probes?",
        ),
    ),
    (  # not the switch of an AAV
        FLEX,
        _text(
            r"^flex(?: v\d)?$|^flex_(?!cre|tdT|GFP)",
            rf"(?:^|(?<!AAV)(?<!DIO)(?<!lox)(?<!Cre)(?<!knee)(?<!hip)[-_ (\[])flex(?={_NUMBERS})",
        ),
    ),
)
_LONG = _word(
    r"PacBio|(?:oxford[-_ ])?nanopore|long[-_ ]reads?|(?:sc)?(?:Iso|MAS|R2C2|ScISOr)[-_ ]?seq\w*|(?-i:ONT)|kinnex"
)

# A receptor, or V(D)J, without a word of a library: what is written before and after it decides.
_BARE = re.compile(
    rf"(?<![A-Za-z])(?P<word>{_SEGMENTS}(?:[-_ ]?[TB](?![A-Za-z]))?|{_RECEPTOR}|[TB][-_ ]?cell[-_ ]receptors?)"
    r"(?![A-Za-zΑ-ω])",
    re.IGNORECASE,
)
_OF_CELLS_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:anti|a|pre|p?MHC|via|by|through|with|without|w/o|no|non|to|of|and|or|on|in|per"
    r"|strong|weak|stimulated|activated|stim|avidity|lacking|against|targeting|deleted"
    r"|transgenic|tg|engineered|transduced|expressing|specific|reactive|OT-?I{1,2}|OT-?[12]|P14|SMARTA|1G4"
    r"|NY-?ESO(?:-?1)?|pmel(?:-?1)?|DO11\.10|MART-?1|CAR|synthetic|high|low|affinity|endogenous|mutant|dual|chimeric"
    r"|public|restricted)[- ]+|[+>]\s*|\ba|(?<![A-Za-z])V[abgd]\d[\d.]*[- ]|\bCD3[-/ ]*)$",
    re.IGNORECASE,
)
_STEMS_AFTER = "|".join(
    r"""
    sup deplet replet cre high stim restim activat signal trans(?:genic|duc|fect) knock defici engineer redirect
    edit mut delet flox cross ligat ligand engag trigger induc depend independ specific reactiv express inhib block
    sort agonis antagonis affinity avidity peptide pathway respon strength tetramer antigen locus recombin reporter
    rearrang complex like cd3 tonic excision loss ablat usage therap product infus treat vacc complement convert
    divers kit reagent p?MHC downreg upreg internali V[abgd]\d T?[-_ ]?lymphocyte
    """.split()
)
_WORDS_AFTER = "|".join("negative neg positive pos hi lo low int null ko fl tg del genes? mice clones?".split())
_OF_CELLS_AFTER = _text(
    r"\+(?!\s*(?:[TB]CR|V\(?D\)?J|ADT|HTO))|-(?=$|[\s,;)\]])|[-+]/[-+]|::|[-_/: ]*ABL|\s*\^",
    rf"(?:[-_ ]*chains?|\d{{1,2}})?[-_ ]*(?:{_STEMS_AFTER})|(?:[-_ ]*chains?)?[-_ ]*(?:{_WORDS_AFTER})(?![A-Za-z])",
    r"[-_ /]+(?:CD40|CD28|TLR\d?|CpG|IL-?\d)|[-_ ]*\d+ ?(?:h|hr|hrs|hours?|min)(?![A-Za-z])",
    r"[-_ ]?(?:\d{1,2}[A-Z]?|[A-Z])[-_ ]+T[-_ ]?cells?",  # TCR-A T cells
)
_AT_END = re.compile(rf"[-_ ]*{_NUMBERS}", re.IGNORECASE)
_CELLS_AFTER = _text(r"[- ]*T(?![A-Za-z])|[-_ ]*(?:T[- ]?)?cells?(?![A-Za-z])")  # TCR-T
_LABEL_WORD = _text(
    r"[A-Za-z]*\d[\w.-]*|(?-i:[A-Z]{1,6})|rep\w*|donor|patient|subject|sample|run|lane|pool|batch|library|set|data|part|plate"
    r"|mouse|human|case|control|ctrl|healthy|normal|tumou?r|tissue|biopsy|blood|PBMCs?|spleen|lung|liver|skin|colon|node"
    r"|marrow|thymus|day|week|pre|post|naive|baseline|exp(?:eriment)?|10x|5'|cells?|single[-_]cell"
)
_CELLS = _text(r"cells?\b|IELs?\b|thymocyte|lymphocyte|splenocyte|sort|CD\d")  # beside TCRab or TCRgd, not TCR
_OF_CHAINS = re.compile(rf".*R{_CHAINS}", re.IGNORECASE)
_SPATIAL = _text(r"spatial(?:ly)?[- ]+(?:transcript|resolved|barcod|gene)|\bvisium\b")
_ST = re.compile(r"(?:^|[-_ ])ST(?=[-_ ]*(?:[Rr]ep(?:licate)?|S|section)?[-_ ]?[A-D]?\d*$)")
_PROSTATE = _text(
    r"prostat|androgen|castrat|(?<![A-Za-z])[mn]?(?:CRPC|HSPC)(?![A-Za-z])|biochemical recurrence|LNCaP|VCaP|22Rv1"
)
_AROUND_THERAPY = _text(
    r"(?<![A-Za-z])(?:pre|post|neo|after|before|on|during|no|naive|under|long[- ]term|short[- ]term)[- ]*ADT",
    r"ADT[- ]*(?:naive|treat|resist|therap|respon|arm|group|plus|[+] ?(?:enza|abi|doce))",
)

# Words that say that the reads are (also) those of gene expression. The first overrule most names, the second those
# that may speak of the cells rather than of the library, the third those of spots.
_EXPRESSION = _word(
    r"[35]?'?[-_ ]?GEX\d*|gene[-_ ]?expression|mRNA|cDNA|(?<!small[-_ ])RNA[-_ ]?library",
    r"[35]'[-_ ]?(?:RNA|expression|GE)|[35]GE|RNA ?[+&/;|]|[+&/;|] ?RNA",
    r"RNA[-_ ](?:and[-_ ])?ATAC|ATAC[-_ ](?:and[-_ ])?RNA",
)
_RNA_SEQ = _word(r"(?:sc|sn|single[-_ ](?:cell|nucle(?:us|i|ar))[-_ ])?RNA[-_ ]?seq\w*", "transcriptom(?:e|ics?)")
_SINGLE_CELL_RNA = _word(r"(?:sc|sn|single[-_ ](?:cell|nucle(?:us|i|ar))[-_ ])RNA(?:[-_ ]?seq\w*)?")
_LABELLED_VDJ = _text(  # "scRNA-seq of P1, TCR library", not "scRNA-seq of TCR-seq clones"
    rf"(?:{_SEGMENTS}(?:[-_ ]?[TB])?|{_RECEPTOR})[-_ ]?(?:librar|enrich|amplicon)\w*",
    rf"[_,;:\[] *(?:{_SEGMENTS}(?:[-_ ]?[TB])?|{_RECEPTOR})(?:[-_ ]?seq)?\]?$",
)
_RNA_SEQ_AND = _text(
    r"(?:RNA[-_ ]?seq\w*|transcriptomics?|transcriptome) ?(?:\+|&|/|and|with)|(?:\+|&|/|and|with) ?(?:sc|sn)?RNA"
)
_MADE_OF_CDNA = _word(rf"(?:{_SEGMENTS}|{_RECEPTOR}){_MADE}")  # "TCR amplified from cDNA"

# What a protocol has to say of the kits whose libraries are of cells or tissue, but not countable, and what it says
# where it is also that of others. A guide of 10x for nuclei has the name of two kits.
_GUIDE_OF_NUCLEI = _text(r"single cell gene expression\s*(?:&(?:amp;)?|and)\s*(?:chromium\s*)?fixed RNA profiling")
_KITS = {
    FLEX: (
        _text(
            r"fixed RNA (?:profiling|feature|kit|sample)|(?:10x|chromium|gem-?x)(?: genomics)?[\s-]*flex\b",
            r"\bflex (?:gene expression|assay|kit|reagent|single)",
        ),
        _text(
            r"[35] ?'|[35][- ]prime|three prime|five prime|multiome|smart-?seq|drop-?seq|in-?drop|rhapsody",
            r"V\(D\)J|\bv[23]\b",
        ),
    ),
    SPOTS: (
        _text(
            r"\bvisium\b|slide-?seq|stereo-?seq|\bDBiT-?seq|spatially barcoded",
            r"spatial (?:gene expression|transcriptomics) (?:slide|kit|array|librar|protocol|method|technology)",
        ),
        _text(r"single[- ]?(?:cell|nucle)|scRNA|snRNA|dissociat|nuclei|droplet|suspension|\bGEMs?\b|chromium"),
    ),
}


def fold(name: str) -> str:
    """Return a name, or its beginning, with primes as ``'`` and the Greek letters of receptor chains as Latin ones."""
    return _RUNS.sub(r"\1", name[:_LONGEST].translate(_FOLDED))


def kinds_in(name: str, about: str = "") -> tuple[Found, ...]:
    """Return the kinds other than gene expression that a name speaks of; ``about`` are texts on the whole study."""
    return _kinds_in(name, *_subjects(about))


@functools.lru_cache(maxsize=64)
def _subjects(about: str) -> tuple[bool, bool]:
    """Return whether texts on a study speak of the prostate, and of spots of a tissue."""
    return _PROSTATE.search(about) is not None, _SPATIAL.search(about) is not None


@functools.lru_cache(maxsize=4096)  # a sample has several names that are the same
def _kinds_in(name: str, of_prostate: bool, of_spots: bool) -> tuple[Found, ...]:
    name = fold(name)
    of_prostate = of_prostate or _PROSTATE.search(name) is not None
    found = []
    for kind, pattern in _PATTERNS:
        hit = pattern.search(name)
        if hit and not (hit[0].upper().startswith("ADT") and (of_prostate or _AROUND_THERAPY.search(name))):
            found.append(Found(kind, hit[0].strip(" -_[(,;:.")))
    if (word := _bare_receptor(name)) and not (of_prostate and "BCR" in word.upper()):  # biochemical recurrence
        found.append(Found(VDJ, word))
    if of_spots and (hit := _ST.search(name)):
        found.append(Found(SPOTS, hit[0].strip(" -_")))
    return tuple(found)


def long_reads_in(name: str) -> Found | None:
    """Return what a name says of long reads."""
    found = _LONG.search(name)
    return Found(LONG_READS, found[0]) if found else None


@functools.lru_cache(maxsize=64)  # most samples of a series share theirs
def kit_in(protocol: str) -> Found | None:
    """Return the kit that a protocol names, if its libraries are not countable and it names no other kit."""
    protocol = _GUIDE_OF_NUCLEI.sub(" ", fold(protocol))
    for kind, (pattern, others) in _KITS.items():
        if (found := pattern.search(protocol)) and not others.search(protocol):
            return Found(kind, found[0])
    return None


def kit_of_attribute(value: str) -> Found | None:
    """Return the kit that an attribute names, if its libraries are not countable and it names no other kit."""
    for found in kinds_in(value):
        if found.kind in _KITS and not _KITS[found.kind][1].search(fold(value)):
            return found
    return None


def is_expression(kind: str, name: str, declared_rna: bool) -> bool:
    """Whether a name that speaks of a kind speaks of gene expression as well, or of the kind only to name the cells."""
    name = fold(name)
    if kind == SPOTS or (kind == NASCENT and declared_rna):
        return _SINGLE_CELL_RNA.search(name) is not None
    if kind in _NEVER_EXPRESSION:
        return False
    if kind in _ABOUT_THE_CELLS and declared_rna and _RNA_SEQ.search(name):
        return kind != VDJ or _LABELLED_VDJ.search(name) is None or _RNA_SEQ_AND.search(name) is not None
    if kind == VDJ and _MADE_OF_CDNA.search(name):
        name = re.sub("cDNA", "", name, flags=re.IGNORECASE)
    return _EXPRESSION.search(name) is not None


def says_expression(name: str) -> bool:
    """Whether a name speaks of gene expression, whatever else it speaks of."""
    return _EXPRESSION.search(fold(name)) is not None


def _bare_receptor(name: str) -> str:
    """Return a receptor in a name that labels a library by it, empty where the name speaks of cells."""
    for found in _BARE.finditer(name):
        before, after = name[: found.start()], name[found.end() :]
        if found["word"].lower().startswith("sc"):
            return found["word"]
        if _OF_CELLS_BEFORE.search(before) or _OF_CELLS_AFTER.match(after):
            continue
        if "J" not in found["word"].upper() and _CELLS_AFTER.match(after):
            continue
        if _OF_CHAINS.fullmatch(found["word"]) and _CELLS.search(name):
            continue
        at_an_end = not before.strip(" -_") or _AT_END.match(after)
        if at_an_end or (_lets_label(before, -1) and _lets_label(after, 0)):
            return found["word"]
    return ""


def _lets_label(text: str, nearest: int) -> bool:
    """Whether the text on one side of a word lets it be a label: it is empty, a separator, or a word of labels."""
    text = text.strip()
    if not text or not (text[nearest].isalnum() or text[nearest] in "'#"):
        return True
    return _LABEL_WORD.fullmatch(re.split(r"[^\w'.]+|_", text)[nearest].strip(".")) is not None
