"""Pieces of evidence on whether a library holds one cell, found in the texts of its records.

A text is searched for the words of :data:`RULES`. Which rules apply, and how much they count, depends on its scope:
names (titles, source name) and traits (characteristics) are about the one library, a protocol is often shared by all
libraries of a series, and the texts of a series are about all of them. Phrases that speak of single cells or of bulk
without saying that this library is one (``single-cell suspension``, ``pseudobulk``) are taken out before.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from scripts.core.untrusted import decimal_number


class Scope(StrEnum):
    """What a text is about, from the library itself to all of its study."""

    NAME = "name"
    TRAIT = "trait"  # tag: value
    DESCRIPTION = "description"
    PROTOCOL = "protocol"
    CULTURE = "culture"  # how cells were grown and treated
    PROCESSING = "processing"
    SERIES_TITLE = "series title"
    DESIGN = "design"
    SUMMARY = "summary"


class RecordText(NamedTuple):
    """A text of a record: its scope, where it is, as a person would say it, and the text."""

    scope: Scope
    where: str
    text: str


class Evidence(NamedTuple):
    """A piece of evidence. ``weight`` counts for a library of one cell where it is positive, else against it."""

    code: str
    weight: int
    where: str
    words: str

    @property
    def sentence(self) -> str:
        """Half a sentence for a person: ``sample title says '500 cells'``."""
        return f"{self.where} says {self.words!r}" if self.where else self.words


class Rule(NamedTuple):
    """A code, the words that give it, and its weight by scope."""

    code: str
    pattern: re.Pattern[str]
    weights: Mapping[Scope, int]


VETO = -20
"""The weight of what the name of a library says against one cell: more than all that other texts can say for it."""

NAME, TRAIT, DESCRIPTION, PROTOCOL, CULTURE, PROCESSING, TITLE, DESIGN, SUMMARY = Scope


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_KIND = r"(?:cells?|nucle(?:us|i|ar)|[a-z]*(?:cytes?|blasts?|neurons?|blastomeres?|zygotes?|spermatids?|macrophages?))"
_NOT_ONE = (  # "single dose T cells", "single-positive thymocytes", "individual donors' cells"
    r"(?!dose|end|read|clon|donor|animal|patient|inject|strand|time|guide|gene|mutant|knock|hit|agent|treat|index|copy"
    r"|allele|culture|layer|molecule|subject|sample|litter|tumou?r|well|embryo|blastocyst|organoid|fib(?:er|re)|islet"
    r"|colon|population|nucleotide|batch|lane|wildtype|base|positive|negative|hous|cross|type|lineage|subset|pulse|label|stain|round|site|step|cohort|person|study)"
)
_NO_OTHER = (  # "single T cell clones", "individual cell types"
    r"(?![-\s]*(?:clon|lines?\b|deriv|colon|suspen|dissoc|digest|prepar|pellet|types?\b|populat|lineages?|subset|state))"
)
_ONE = rf"\b(?:single[-\s]*|individual[-\s]+){_NOT_ONE}(?:[\w+/-]+[-\s]+){{0,2}}?{_KIND}\b{_NO_OTHER}"
_ONE_BY_NAME = (  # in names, where an individual is mostly a person
    rf"\b(?:single[-\s]*{_NOT_ONE}(?:[\w+/-]+[-\s]+)?(?:[TB][-\s]+|NK[-\s]+)?|individual[-\s]+){_KIND}\b{_NO_OTHER}"
)
_ONE_OF_SERIES = rf"\b(?:single[-\s]*{_NOT_ONE}(?:[\w+/-]+[-\s]+){{0,2}}?|individual[-\s]+){_KIND}\b{_NO_OTHER}"
_SC_SEQ = (
    r"\b(?:sc|sn)[-\s]?RNA[-\s]?seq\w*|\bsc[-\s]?(?:m?RNA|transcriptom)\w*|\bsingle[-\s]?(?:cell|nucle(?:us|i|ar))"
)
_NOT_RNA = r"(?![-\s]*(?:ATAC|DNA|WGS|genom|methyl|proteo|ChIP|CUT|Hi-?C|epigen|chromatin|imag|TCR|BCR))"
_SEQUENCED = (
    r"(?:\s*\([^)]{0,30}\))?[-\s]+(?:m?RNA|transcript\w*|cDNA|full[-\s]length|whole[-\s]transcriptom|librar\w+"
    r"|sequenc\w+|RT\b|lys(?:is|ates?)|amplif\w+|omics|seq\b|gene[-\s]expression|tagged|smart|auto|[35]['′’])"
)
_PUT = (
    r"(?:sort|deposit|pick|collect|captur|dispens|transfer|aspirat|isolat|plac|lys|suck|pipett|releas|expel|inject"
    r"|load|distribut)\w*"
)
_VESSEL = (
    r"\b(?:(?:96|384|1536|\d+ ?x ?96)[-\s]?wells?|PCR (?:plates?|tubes?|strips?)"
    r"|(?:individual|separate) (?:wells?|tubes?)"
    r"|(?:each|a|one|single|per|the) well|wells? of|(?:tube|well|plate)s? (?:with|containing)|lysis (?:buffer|plates?)"
    r"|0\.[25] ?ml|strip|chips?|IFCs?|microfluidic\w*|nano\w*well\w*|C1)\b"
)
_NO_CLONING = (
    r"(?![^.]{0,120}\b(?:expan|cultur|grow)\w*)"
    r"(?!.{0,160}?\b(?:clones|clonal|cloned|cloning|colony|colonies|were expanded)\b)"
)
_MANY = (
    r"(?<![\w.,^/-])(?:\d{1,3}(?:,\d{3})+|\d{2,}(?:\.\d+)?|\d+(?:\.\d+)?\s*(?:k|[x×*]\s*10\s*[\^eE]?\s*\d+|[eE]\d+)"
    r"|10\s*\^\s*\d+|(?:one |two |five |ten |several )?(?:hundred|thousand|million)s?(?: of)?)"
)
_NO_UNIT = (
    r"(?![-\s]*(?:days?|d|weeks?|wks?|w|months?|mo|years?|yrs?|y|h|hrs?|hours?|min|%|[munµμ]M|ng|ug|µg|mg|ml|µl|ul|kb|bp"
    r"|°|x|nt)\b)"
)
_MANY_CELLS = rf"{_MANY}{_NO_UNIT}[-\s]*(?:[\w+-]+[-\s]+){{0,2}}?(?:cells|nuclei|oocytes|neurons|embryos)\b"
_COUNTED_PREFIX = re.compile(
    r"(?:\b(?:days?|weeks?|months?|hours?|stage|passage|rep(?:licate)?|donor|patient|clone|line|no|number|id|plate|batch"
    r"|mouse|sample|well|cluster|th|cd|type|group|layer|chip|lane|run|subject|case|control|p|d|e|w)[\s.:#-]*|#)$",
    re.IGNORECASE,
)
_NOT_OF_REAGENTS = (
    r"(?!\s*(?:(?:si|sh|sg|g|mi|cr)?RNA|guide|oligo|vector|antibody"
    r"|group|mice|mouse|virus|peptide|treat|plasmid|lentivir|AAV|mimic|inhibitor))"
)

RULES = (
    # For one cell.
    Rule("NAME_SINGLE_CELL", _words(_ONE_BY_NAME, _SC_SEQ, r"\bsingle[-\s]?cell"), {NAME: 8, TRAIT: 6, DESCRIPTION: 5}),
    Rule("NAME_SINGLE", _words(r"\bsingle$", r"\bsc[-#]?\d+\b"), {NAME: 3}),
    Rule(
        "NAME_ONE_CELL",
        _words(r"(?<![\w.])(?:1|one)[-\s]?cell\b(?![-\s]*(?:lines?|pellet|lysate|culture|type|layer|popul))"),
        {NAME: 5},
    ),
    Rule("GERM_CELL", _words(r"\boocyte\b", r"\bzygote\b", r"\bblastomere\b", r"\bpolar body\b"), {NAME: 2, TRAIT: 2}),
    Rule(
        "CELL_NUMBER",
        _words(r"(?<!\d[-\s])\bcell[-\s#]*(?:no\.?\s*)?\d+\b", r"(?:^|[\s.])[A-P](?:0\d|1\d|2[0-4])$"),
        {NAME: 1},
    ),
    Rule(
        "PATCH_SEQ",
        _words(r"\bpatch[-\s]?seq"),
        {NAME: 5, TRAIT: 5, DESCRIPTION: 4, PROTOCOL: 4, CULTURE: 4, TITLE: 4, DESIGN: 3, SUMMARY: 2},
    ),
    Rule(
        "PROTOCOL_SINGLE_CELL",
        _words(
            rf"\b(?:single|individual)[-\s]?(?:cells?|nucle(?:us|i|ar)){_SEQUENCED}",
            r"\b(?:sc|sn)RNA[-\s]?seq\w*",
            rf"{_ONE}[^.]{{0,100}}?\b{_PUT}\b[^.]{{0,120}}?{_VESSEL}{_NO_CLONING}",
            rf"\b{_PUT}\b[^.]{{0,60}}?{_ONE}[^.]{{0,100}}?{_VESSEL}{_NO_CLONING}",
            r"\b(?:one|1|a|single)\s+(?:single\s+)?(?:cell|nucleus)\s*(?:\w+\s+)?(?:per|/|in each|in a)\s*(?:single )?"
            r"(?:well|tube|chamber)",
            r"\b(?:m?RNA|cDNA|librar\w+|transcriptom\w+|lysates?|amplif\w+|transcribed)\b[^.]{0,40}? "
            rf"(?:from|of|in|for) (?:an? |each )?{_ONE}",
            rf"\beach {_ONE}",
            r"\bindex[-\s]sort\w*|\bsingly[-\s](?:sort|pick)\w*|\bindividually (?:[\w-]+ )?sort\w*",
            r"\b(?:cells?|neurons?|oocytes?|blastomeres?|nuclei|CTCs?)\b[^.]{0,40}?\b(?:hand|manually|individually|micro)"
            r"[-\s]?(?:pick|collect|isolat|select|manipulat)\w*",
            rf"{_ONE}[^.]{{0,60}}?\b(?:pick|collect|isolat|select|aspirat)\w*[^.]{{0,20}}?\b(?:by hand|manually)\b",
            r"\b(?:hand|manually|individually)[-\s]?(?:picked|collected|isolated)\b[^.]{0,20}?"
            r"\b(?:cells?|neurons?|oocytes?|blastomeres?|nuclei|CTCs?)\b",
        ),
        {PROTOCOL: 4, DESCRIPTION: 4, CULTURE: 3},
    ),
    Rule(
        "PICKED",
        _words(
            r"\bmouth[-\s]pipett\w*|\bmicromanipulat\w+|\bglass (?:capillar|pipett)\w*",
            rf"\b(?:hand|manually)[-\s]?picked [^.]{{0,30}}?{_KIND}\b",
            rf"{_KIND}\b[^.]{{0,40}}?\bpicked (?:by hand|manually)\b",
        ),
        {PROTOCOL: 2, CULTURE: 2},
    ),
    Rule(
        "METHOD_OF_ONE_CELL",
        _words(
            r"\bfluidigm\b",
            r"\bC1\b(?=.{0,40}(?:chip|system|auto|IFC|single))",
            r"\bsuper-?seq\b",
            r"\bSTRT[-/\s]?C1\b",
            r"\bs?nuc[-\s]?seq\b|\bdiv[-\s]?seq\b",
            r"\bTang\b[^.]{0,40}?(?:et al|protocol|method)",
            r"\bquartz[-\s]?seq\b(?![-\s]?2)",
        ),
        {NAME: 3, TRAIT: 3, DESCRIPTION: 3, PROTOCOL: 3, CULTURE: 3, TITLE: 2, DESIGN: 2, SUMMARY: 2},
    ),
    Rule(
        "METHOD_OF_LOW_INPUT",
        _words(r"\bsmart[-\s]?seq(?![-\s]?(?:®|v4|stranded|HT|total|mRNA|pico))\w*", r"\bSS[23]\b"),
        {NAME: 2, TRAIT: 2, DESCRIPTION: 1, PROTOCOL: 1, CULTURE: 1, TITLE: 1, DESIGN: 1, SUMMARY: 1},
    ),
    Rule("SERIES_SINGLE_CELL", _words(rf"(?:{_SC_SEQ}|{_ONE_OF_SERIES}){_NOT_RNA}"), {TITLE: 4}),
    Rule(
        "SERIES_SINGLE_CELL",
        _words(
            rf"\b(?:single|individual)[-\s]?(?:cells?|nucle(?:us|i|ar)){_SEQUENCED}{_NOT_RNA}",
            r"\b(?:sc|sn)[-\s]?RNA[-\s]?seq\w*",
            r"\b(?:one|single) (?:cell|nucleus) (?:\w+ )?per (?:\w+ )?well\b",
            rf"\bsingle[-\s]?(?:cell|nucle(?:us|ar|i))s?{_NOT_RNA}"
            r"[-\s]+(?:level|resolution|profil\w+|analys\w+|atlas|data|samples?)",
            r"\b(?:transcriptom\w+|RNA[-\s]?seq\w*|sequenc\w+|expression|profil\w+|librar\w+)\b[^.]{0,60}? "
            rf"(?:from|of|in|for|on) (?:\S+ ){{0,4}}?{_ONE_OF_SERIES}",
            rf"{_ONE_OF_SERIES}[^.]{{0,60}}? (?:was|were) (?:\w+ly )?"
            r"(?:sequenc|profil|process|sort|captur|collect|pick|analy)",
        ),
        {DESIGN: 3, SUMMARY: 2},
    ),
    Rule(
        "PROCESSING_OF_CELLS",
        _words(
            r"\b(?:single[-\s]?(?:cell|nucle)|scRNA|snRNA[-\s]?seq)",
            r"\b(?:low[-\s]quality )?cells (?:with|that|having|expressing)\b[^.]{0,40}? (?:genes|reads|counts|mapp)",
            r"\bseurat\b|\bscater\b|\bscran\b|\bmonocle\b|\bscanpy\b|\bgenes per cell\b",
        ),
        {PROCESSING: 2},
    ),
    # Against it.
    Rule("BULK_WORD", _words(r"\b(?:mini[-\s]?)?bulk\w*"), {NAME: VETO, TRAIT: -10, DESCRIPTION: -10}),
    Rule(
        "CELL_COUNT_MANY",
        _words(_MANY_CELLS, r"\b(?:\d{2,})[-\s]?cell\b", r"\b\d+k?[-\s]+(?:cell[-\s]+)?pop(?:ulation)?s?\b"),
        {NAME: VETO, TRAIT: -10, DESCRIPTION: -10},
    ),
    Rule(
        "CELL_COUNT_MANY",
        _words(
            r"\b(?:two|three|four|five|ten|twenty|fifty|hundred|thousand)\s*cells\b|(?:^|[,(+]\s*)[2-9] cells\b",
            r"(?<![\w.])(?:10|20|50|[1-9]\d*00)c\b",
        ),
        {NAME: VETO},
    ),
    Rule(
        "POOL",
        _words(
            r"\b\d*pooled\b(?!\s*(?:librar|lane|sequenc|index|run|mice|mouse|animal|donor|litter|tissue|spleen"
            r"|patient|embryos|organs?\b))"
        ),
        {NAME: VETO},
    ),
    Rule("POOL", _words(r"\bpool(?:s|\d+)?\b(?!\s*(?:librar|lane|sequenc|index|run))"), {NAME: -8}),
    Rule("POOL", _words(r"^(?!.*(?:cell|[A-P]\d\d)).*\bpools?[-\s]*\d*$"), {NAME: VETO}),  # the library is a pool
    Rule(
        "POOL",
        _words(
            rf"\b\d*pooled[-\s]+(?:[\w+-]+[-\s]+){{0,2}}?{_KIND}\b",
            rf"\bpools? of (?:\d+\s+)?(?:[\w+-]+\s+){{0,2}}?{_KIND}\b",
        ),
        {TRAIT: VETO, DESCRIPTION: -10},
    ),
    Rule(
        "NEGATIVE_CONTROL",
        _words(
            rf"\bneg(?:ative)?[-\s]?(?:control|ctrl)s?\b{_NOT_OF_REAGENTS}",
            r"\bno[-\s]?(?:template|cells?|RT)\b(?:[-\s]controls?)?",
            r"\bNTC\b",
            r"\bwater[-\s](?:control|blank|well)|^water[-\s\d]*$|\b(?:buffer|water|medium)[-\s]only\b",
            r"\bblank\b(?!\s*vector)",
            r"(?<![\w.,#])(?:0|zero)[-\s]cells?\b",
            r"\bERCCs?[-\s]*(?:only|control)",
        ),
        {NAME: VETO, DESCRIPTION: -10},
    ),
    Rule(
        "CONTROL_OF_MANY_CELLS",  # on a chip or a plate: in a tube, or of what surely gives a library
        _words(
            rf"(?:^|\b(?:c1|bulk|population|control|[a-z]*\d+)[-\s]+)tube[-\s]?(?:control|ctrl)s?\b{_NOT_OF_REAGENTS}",
            rf"\bpos(?:itive)?[-\s]?(?:control|ctrl)s?\b{_NOT_OF_REAGENTS}",
            r"\bdoublets?\b(?![-\s]*(?:remov|filter|exclu|discrim|free))|\bCTC[-\s]clusters?\b",
        ),
        {NAME: VETO},
    ),
    Rule(
        "EMPTY_WELL",
        _words(r"\bempty[-\s](?:wells?|chambers?|capture|sites?|control)\b(?! vector)", r"\bempty(?: ?[A-P]?\d*)$"),
        {NAME: VETO},
    ),
    Rule(
        "PURIFIED_RNA",
        _words(
            r"\bUHRR?\b",
            r"\bHBRR\b",
            r"\bSIRVs?\b",
            r"\bRNA standards?\b",
            r"\b(?:reference|purified|total|input)[-\s]RNA\b(?![-\s]?seq)",
            r"\d\s?pg\b(?!/)|\d\s?ng (?:of )?(?:total )?RNA\b(?!-?seq)|(?<!si )(?<!sh )(?<!sg )\bRNA controls?\b",
        ),
        {NAME: VETO, TRAIT: -10, DESCRIPTION: -4},
    ),
    Rule(
        "RIBOSOME_PROFILING",
        _words(
            r"\bribo[-\s]?seq\b|\bribosome[-\s](?:profil\w+|footprint\w*|protected)|\bpolysom\w+|\btranslatom\w+",
            r"\bTRAP[-\s]?seq\b|\bRPF\b",
        ),
        {NAME: VETO, TRAIT: VETO, DESCRIPTION: -10, PROTOCOL: -6},
    ),
    Rule(
        "OTHER_RNA_METHOD",
        _words(
            r"\b(?:mi|micro|small|pi|circ)[-\s]?RNA[-\s]?seq\w*|\b(?:PRO|GRO|TT|NET|SLAM|CAGE|RIP|CLIP|MeRIP|m6A)-?seq\b",
            r"\b[ie]?CLIP\b|\bnascent RNA\b",
        ),
        {NAME: VETO, TRAIT: -10},
    ),
    Rule("POPULATION", _words(r"\bpop(?:ulation)?s?\b"), {NAME: -6, DESCRIPTION: -4}),
    Rule("LYSATE", _words(r"\b(?:tissue|cell|brain|organ)?[-\s]?(?:lysates?|pellets?|homogenates?)\b"), {NAME: -8}),
    Rule(
        "TISSUE",
        _words(
            r"\bwhole[-\s](?:tissue|brain|liver|embryo|blood|lung|kidney|heart|spleen|organ)s?\b(?!.*\bcell\b)",
            r"\bbiops(?:y|ies)\b",
        ),
        {NAME: -5},
    ),
    Rule("TISSUE", _words(r"\btissues?$", r"\bprimary tumou?rs?$"), {NAME: -8}),
    Rule(
        "LASER_CAPTURE",
        _words(r"\bLCM\b", r"\blaser[-\s]?captur\w*", r"\bmicro-?dissect\w+"),
        {NAME: -3, PROTOCOL: -2, DESCRIPTION: -2},
    ),
    Rule(
        "MANY_CELLED",
        _words(r"\bmorulae?\b", r"\bblastocysts?\b", r"\bICM\d*\b", r"\binner cell mass\b", r"\btrophectoderm\b"),
        {NAME: -6},
    ),
    Rule("MANY_CELLED", _words(r"\bgastrula\w*", r"\b(?<!1-cell )(?<!one-cell )embryos?\b"), {NAME: -4}),
    Rule("REPLICATE", _words(r"\b(?:bio\w*[-\s]*)?rep(?:licate)?s?[-\s.#]*\d+\b", r"\bbiological rep"), {NAME: -2}),
    Rule("CULTURE", _words(r"\bcultur(?:e|es|ed)\b", r"\borganoids?\b", r"\bcell line\b"), {NAME: -1}),
    Rule(
        "RNA_KIT_OF_POPULATIONS",
        _words(
            r"\b(?:mi|micro)?RNeasy\b|\btri-?zol\b|\bTRI[-\s]reagent|\bqiazol\b|\bmirvana\b|\bdirect-?zol\b|\bpicopure\b",
            r"\bnucleospin\b|\bRNAqueous\b|\bmagmax\b|\bnorgen\b|\bpurelink\b|\bRNAzol\b|\bquick-?RNA\b|\bRNA-?bee\b"
            r"|\bReliaPrep\b|\bPAXgene\b|\bAllPrep\b",
            r"\bRNA (?:plus |mini|micro|extraction |isolation |purification )+kit",
            r"\btotal RNA\b(?!-)[^.]{0,60}?\b(?:extract|isolat|purif|prepar|obtain|collect|harvest|made|quantif)\w*"
            rf"(?! (?:directly )?from {_ONE})",
            rf"\b(?:extract|isolat|purif|prepar|obtain)\w*(?: of)? total RNA\b(?! from {_ONE})",
            r"\bRNA (?:was|were|samples were) (?:extracted|isolated|purified|obtained)\b"
            r"(?! (?:directly )?from (?:\S+ ){0,2}(?:single|individual|each))",
            r"\bRIN\b|\bRNA integrity\b",
            r"(?<!without )\bRNA (?:extraction|isolation|purification)\b(?! (?:from|of) (?:single|individual))",
            r"\d[\d.,]*\s*(?:ng|[uµμ]g|pg)\s+(?:of\s+)?"
            r"(?:total |input |purified |high[-\s]quality |isolated |each )*RNA\b",
        ),
        {PROTOCOL: -4, CULTURE: -4, DESCRIPTION: -8},
    ),
    Rule(
        "LIBRARY_KIT_OF_POPULATIONS",
        _words(
            r"\bTruSeq\b(?![-\s]*(?:SBS|PE|SR|cluster|nano|DNA|adapt|ind(?:ex|ic)|primer|dual|rapid|v3|barcod|read|R[12]"
            r"|universal|style|sequencing))",
            r"\bNEBNext\b[^.]{0,20}?(?:Ultra|poly|RNA|rRNA)(?!\s*(?:II )?(?:FS )?DNA)|\bKAPA (?:stranded|m?RNA)",
            r"\bribo-?zero\b|\brRNA[-\s](?:deplet|remov)\w*|\bribosom\w+ RNA (?:deplet|remov|was)\w*|\bribo-?deplet\w*"
            r"|\bribosome RNA remov\w*|\bglobin-?(?:zero|clear)",
            r"\bpoly[-\s]?\(?A\)?\+?[-\s](?:RNA |mRNA )?(?:select|enrich|pull|purif)\w*|\bpoly-?T oligo-attached",
            r"\bm?RNA (?:was|were) (?:enriched|fragmented|purified)\b|\boligo[-\s(]*dT\)?[-\s](?:magnetic )?beads?\b",
            r"\bquantseq\b|\bsureselect strand|\bovation\b|\bscriptseq\b|\bstranded (?:total |m)?RNA",
        ),
        {PROTOCOL: -3, DESCRIPTION: -8, NAME: -5},
    ),
    Rule(
        "BARCODED_BULK",
        _words(
            r"\b(?:brb|prime|drug|plate|dru|mace|decode)-?seq\b|\bsmart[-\s]?3[-\s]?seq\b|\b3['′]? ?-?pool-?seq\b",
            r"\bbulk RNA barcoding",
        ),
        {NAME: VETO, TRAIT: VETO, DESCRIPTION: -16, PROTOCOL: -16, TITLE: -12, DESIGN: -12},
    ),
    Rule(
        "CELLS_TOGETHER",
        _words(
            rf"{_MANY_CELLS}(?: \S+){{0,4}}? (?:were|was|are) (?:\w+ly )?(?:sort|collect|FACS|lys|pick|harvest)",
            rf"\b(?:sort|collect|pool|lys|pick|isolat)\w*(?: \S+){{0,5}}? {_MANY_CELLS}",
            rf"{_MANY_CELLS} (?:per|for each|from each|in each) (?:sample|replicate|library|population|reaction|tube)",
        ),
        {PROTOCOL: -8, DESCRIPTION: -8},
    ),
    Rule(
        "CELLS_TOGETHER",
        _words(
            r"\bbulk\b",
            r"\bsorted (?:cell )?populations?\b|\bpopulations? of cells\b|\bpooled cells\b|\bcells were pooled\b"
            r"|\bpools? of (?:\d+ )?cells\b",
        ),
        {PROTOCOL: -6},
    ),
    Rule(  # counts where the name is that of an embryo
        "WHOLE_EMBRYOS",
        _words(r"\b(?:single|individual|whole|each) (?:\w+ )?(?:embryos?|blastocysts?|morulae?|organoids?)\b"),
        {PROTOCOL: -8, DESCRIPTION: -8},
    ),
    Rule("SERIES_BULK", _words(r"\bbulk\b"), {TITLE: -2, DESIGN: -1, SUMMARY: -1}),
    Rule("SERIES_BULK", _words(r"[\[(][^\])]{0,60}\bbulk\b[^\])]{0,60}[\])]\s*$"), {TITLE: -8}),
    Rule(
        "SERIES_OF_ANOTHER_KIND",
        _words(
            r"[\[(](?!.*(?:\bsc|\bsn|single|smart|cell|bulk))[^\])]{0,60}\b(?:RNA[-\s]?seq|micro-?array|array)\b[^\])]{0,60}[\])]\s*$"
        ),
        {TITLE: -3},
    ),
)

# Phrases without meaning for this question, by what they leave.
_CELLS = r"single[-\s]*(?:cell|nucle(?:us|i))s?"
_NEUTRAL = _words(
    r"\bpseudo[-\s]?bulk\w*",
    rf"\b{_CELLS}[-\s]+(?:suspen\w+|digest\w*|dissociat\w*|disaggreg\w*|solutions?|gat(?:e|es|ed|ing)\b|clon\w+|derived"
    r"|lines?\b|colon(?:y|ies)|sorted populations?|organisms?|electropor\w+|imaging|tracking|force|western|homogenates?"
    r"|slurry|prep\b|preparations?|cultures?|types?)",
    r"\bsingle[-\s]celled\b",
    rf"\bas {_CELLS}\b",
    rf"\b(?:in)?to (?:(?:a|obtain|generate|yield|get|produce|make|form) )*{_CELLS}\b(?!{_SEQUENCED})",
    rf"\b(?:gated?|gating) (?:on|for) (?:\S+ )?{_CELLS}\b",
    r"\bsinglets?\b",
    r"\b(?:librar\w+|cDNAs?|products?|amplicons?) (?:of|from|for) (?:\S+ ){0,4}cells (?:were )?pool\w*",
    r"\bnon[-\s]bulk\b|\bbulky\b",
)
_NOT_OURS = _words(
    r"\b(?:not|non|without|unlike|versus|vs\.?|instead of|rather than|than|previous(?:ly)?|published|publicly available"
    r"|public|existing|available|(?:compar|integrat|combin|overlap|overlay)\w* (?:to|with|of|our|and)"
    r"|deconvol\w+|using a)(?: (?!single|bulk|sc|sn)\S+){0,3}? (?:bulk\b(?:[-\s]\w+)?|sc[-\s]?RNA\S*|sn[-\s]?RNA\S*"
    rf"|{_CELLS}(?:[-\s]\w+){{0,2}})",
    r"\b(?:bulk|primarily been described with) (?:transcriptom\w+ )?(?:changes|mixtures?|averages?)",
    r"\bbulk (?:mixtures?|averag\w+|measurements?|stud\w+|approach\w*|methods?) (?:of|mask|obscur|fail|can)\w*",
)
_COUNT_TAG = re.compile(
    r"(?:no\.?|num(?:ber)?|#|n)[-_ ]*(?:of)?[-_ ]*(?:input |sorted )?(?:cells?|nuclei)"
    r"|cells?[-_ ](?:count|number|num|no\.?)"
    r"|(?:cells?|nuclei)[-_ ](?:per|/|in|in the|in each)[-_ ]?(?:well|sample|library|reaction|tube|chamber)"
    r"|input[-_ ]cells?|ncells?|cells? input|amount of cells|starting cells|(?:number|count)[-_ ]cells?"
    r"|# ?cells? ?(?:\(.*\))?",
    re.IGNORECASE,
)
_PLACE_TAG = re.compile(
    r"(?:(?:sort(?:ing)?|cell|plate|c1|384|96)[-_ ])*(?:well|plate|chip|ifc)(?:[-_ ](?:id|position|number|no|name))?"
    r"|cell[-_ ](?:id|name|index|label)|experiment[-_ ]sample[-_ ]name",
    re.IGNORECASE,
)
_CLUSTER_TAG = re.compile(
    r"(?:t-?sne|umap|seurat|louvain|leiden|sc3|cell)[-_ .]*clusters?(?:[-_ .]\w+)?", re.IGNORECASE
)
_RNA_TAG = re.compile(
    r"rin(?:[-_ ](?:score|value|number))?|rna[-_ ]integrity.*|rna[-_ ](?:input|amount).*", re.IGNORECASE
)
_KIND_TAG = re.compile(
    r"(?:sample|well|cell|library|control)[-_ ]?(?:type|content|kind|description)?|type|control", re.I
)
_JUST_ONE = re.compile(r"~?\s*(?:1(?:\.0+)?|one|single)\s*(?:cells?|nucle\w+)?\s*(?:\(.*\))?")
_NUMBER = re.compile(r"\s*(?:~|ca\.?|about|approx\w*)?\s*(\d[\d,.]*)\s*(k|[x×e^])?", re.IGNORECASE)
_BY_SCOPE = {scope: tuple(rule for rule in RULES if scope in rule.weights) for scope in Scope}
_ONE_OF_EMBRYO = re.compile(r"\bcells?\b|blastomere|\d[-. ]\d+\w?$", re.IGNORECASE)  # embryo 2, cell 11: ``2-11``
_OTHER_SAMPLES = re.compile(
    r"\b(?:population|bulk|pooled) (?:samples?|controls?)\b|\bas (?:a )?controls?\b", re.IGNORECASE
)
_NO_ONE_CELL = re.compile(r"\b\d+-?cell\b|\binner cell mass\b", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d{11,}")
_LONGEST = {NAME: 1_000, TITLE: 1_000}  # characters of a text that are searched
_STAGES = frozenset("16 32 64 128".split())  # cells of an embryo


def evidence_in(text: RecordText) -> tuple[Evidence, ...]:
    """Return the pieces of evidence in a text, in the order of the rules."""
    return _evidence_in(*text)


@functools.lru_cache(maxsize=4096)  # most samples of a series share their protocol and many of their traits
def _evidence_in(scope: Scope, where: str, text: str) -> tuple[Evidence, ...]:
    return tuple(_search(scope, where, text))


def _search(scope: Scope, where: str, text: str) -> Iterator[Evidence]:
    tag, colon, value = text.partition(":") if scope is TRAIT else ("", "", "")
    if colon:
        where = f"{where} {tag.strip()!r}"
        yield from _by_tag(where, tag.strip(), value.strip())
        text = value.strip()
    text = _plain(text, scope)
    for rule in _BY_SCOPE[scope]:
        if found := _first(rule, text):
            weight = rule.weights[scope]
            if rule.code == "CELLS_TOGETHER" and _OTHER_SAMPLES.search(_sentence_of(found, text)):
                weight = weight // 2
            yield Evidence(rule.code, weight, where, found)
    if scope is TRAIT and _KIND_TAG.fullmatch(tag.strip()):
        for rule in _BY_SCOPE[NAME]:
            if rule.code in ("NEGATIVE_CONTROL", "EMPTY_WELL", "BULK_WORD") and (found := _first(rule, text)):
                yield Evidence(rule.code, VETO, where, found)


def _first(rule: Rule, text: str) -> str:
    """Return the first words of a rule in a text, empty without any."""
    for found in rule.pattern.finditer(text):
        words = found[0].strip()
        counts = rule.code == "CELL_COUNT_MANY" or words[:1] == "0"
        if counts and not _is_count(text[: found.start()], words):
            continue
        if rule.code == "MANY_CELLED" and _ONE_OF_EMBRYO.search(_NO_ONE_CELL.sub("", text)):
            continue
        return words if len(words) < 90 else f"{words[:86]} …"
    return ""


def _sentence_of(words: str, text: str) -> str:
    """Return the sentence of a text that has some words."""
    start = max(text.find(words), 0)
    end = text.find(". ", start + len(words))
    return text[text.rfind(". ", 0, start) + 1 : end if end >= 0 else len(text)]


def _is_count(before: str, words: str) -> bool:
    """Whether a number before ``cells`` counts them: not in ``day 14 cells``, ``32-cell`` (an embryo)."""
    if _COUNTED_PREFIX.search(before):
        return False
    number = re.match(r"\d*", words)
    return not (number and number[0] in _STAGES and not words.endswith("s"))


def _by_tag(where: str, tag: str, value: str) -> Iterator[Evidence]:
    """Yield what a characteristic says whose tag is known: a number of cells, the well of a plate, a cell's cluster."""
    if value.lower() not in ("", "na", "n/a", "none", "missing"):
        if _PLACE_TAG.fullmatch(tag):
            yield Evidence("WELL", 1, where, value)
        if _CLUSTER_TAG.fullmatch(tag):
            yield Evidence("CELL_CLUSTER", 3, where, value)
    yield from _by_flag(where, tag.lower(), value)
    if _RNA_TAG.fullmatch(tag) and value[:1].isdigit():
        yield Evidence("RNA_KIT_OF_POPULATIONS", -8, where, value)
    if not _COUNT_TAG.fullmatch(tag):
        return
    low = value.lower()
    number = _NUMBER.match(value)
    if number and not number[2] and decimal_number(number[1].replace(",", "")) == 0:
        yield Evidence("EMPTY_WELL", VETO, where, value)
    elif _JUST_ONE.fullmatch(low):
        yield Evidence("CELL_COUNT_ONE", 6, where, value)
    elif number or re.search(r"bulk|pool|population|many|multiple|mini", low):
        yield Evidence("CELL_COUNT_MANY", VETO, where, value)


def _by_flag(where: str, tag: str, value: str) -> Iterator[Evidence]:
    """Yield what a characteristic says that is a flag: ``bulk: yes``, ``single cell: no``."""
    flags = {"yes": True, "true": True, "y": True, "1": True, "no": False, "false": False, "n": False, "0": False}
    flag = flags.get(value.lower())
    if flag is not None and re.fullmatch(r"(?:is[-_ ])?(?:bulk|single[-_ ]?cells?)", tag):
        if flag == ("bulk" in tag):
            yield Evidence("BULK_WORD", VETO, where, value)
        elif "single" in tag:
            yield Evidence("NAME_SINGLE_CELL", 6, where, value)


def _plain(text: str, scope: Scope) -> str:
    """Return a text without phrases that mean nothing here, with blanks for the separators of names."""
    if scope in (NAME, TRAIT, DESCRIPTION):
        text = re.sub(r"_+|(?<=\w)\.(?=[A-Za-z])", " ", text)
    text = _NEUTRAL.sub(" ~ ", _LONG_NUMBER.sub("9999999999", text[: _LONGEST.get(scope, 20_000)]))
    return text if scope in (NAME, TRAIT) else _NOT_OURS.sub(" ~ ", text)
