"""What a configuration may say of STAR's options: those that the workflow sets itself, and the cell filters.

The configuration (``star_options``, ``cell_filter``) is checked with them, and so are the commands that call STAR.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from scripts.core.errors import InputError
from scripts.core.untrusted import nearest

_CALL = "the workflow calls STAR"
_FILES = "the workflow names the files of STAR"
_READS = "the workflow passes the reads to STAR"
_GENOME = "it belongs to the index; see references"
_KIT = "the kit decides; see droplets.chemistry and config/chemistries.yaml"

OWNED: Mapping[str, str] = {
    **dict.fromkeys(("outFileNamePrefix", "outTmpDir", "outTmpKeep", "outStd", "soloOutFileNames"), _FILES),
    **dict.fromkeys(("outReadsUnmapped", "outWigType", "outSJtype", "quantMode", "sjdbInsertSave"), _FILES),
    **dict.fromkeys(("parametersFiles", "sysShell", "runDirPerm", "runMode", "versionGenome"), _CALL),
    **dict.fromkeys(("readFilesIn", "readFilesType", "readFilesPrefix", "readFilesCommand"), _READS),
    **dict.fromkeys(("readFilesManifest", "readFilesSAMattrKeep", "readMapNumber", "inputBAMfile"), _READS),
    **dict.fromkeys(("genomeDir", "genomeFastaFiles", "genomeFileSizes", "genomeType", "genomeSAindexNbases"), _GENOME),
    **dict.fromkeys(("genomeSAsparseD", "genomeChrBinNbits", "genomeSuffixLengthMax", "sjdbOverhang"), _GENOME),
    **dict.fromkeys(("sjdbGTFfile", "sjdbFileChrStartEnd", "sjdbGTFchrPrefix", "sjdbGTFfeatureExon"), _GENOME),
    "genomeLoad": "the workflow shares a genome in memory or does not",
    "runThreadN": "threads are those of the rule; see the profile (set-threads)",
    "outBAMsortingThreadN": "threads are those of the rule; see the profile (set-threads)",
    "limitBAMsortRAM": "memory is that of the rule; see the profile (set-resources)",
    "outSAMtype": "see keep_bam",
    "outSAMmode": "see keep_bam",
    "soloType": _KIT,
    "soloCBwhitelist": "see droplets.inclusion_lists",
    "soloFeatures": "see droplets.features",
    "soloMultiMappers": "see droplets.multireads",
    "soloCellFilter": "see droplets.cell_filter",
}
"""Option (without dashes) → who sets it, or the key that does."""


OWNED_OF_PLATES: Mapping[str, str] = {
    "outSAMunmapped": "reads that STAR does not map are counted in its log",
    "outSAMorder": "mates lie side by side, as they are counted",
    "outSAMprimaryFlag": "each read has one primary alignment, as they are counted",
    "outSAMfilter": "all alignments are counted; see mode and nonunique",
    "outSAMreadID": "reads keep their names, by which mates are found",
}
"""Further ones of plates, whose alignments are counted."""


def plate_option_faults(options: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each option of STAR that plates cannot have, see :func:`option_faults`."""
    yield from option_faults(options)
    for name, value in options.items():
        if name in OWNED_OF_PLATES:
            yield f"{name}: it cannot be set, {OWNED_OF_PLATES[name]}"
        elif name.startswith("solo"):
            yield f"{name}: it is an option of STARsolo; plates are counted by htseq-count's rules"
        elif name == "outSAMattributes" and not {"NH", "Standard", "All"} & set(str(value).split()):
            yield f"{name}: {value!r} lacks NH, by which reads of several loci are known"


def parse_options(words: Sequence[str]) -> dict[str, str]:
    """Return option → value of words like ``outFilterScoreMin=20``. Raises InputError for others."""
    if bad := [word for word in words if not word.partition("=")[2]]:
        raise InputError(f"--set takes OPTION=VALUE, e.g. outFilterScoreMin=20, but was given {', '.join(bad)}.")
    return dict(word.split("=", 1) for word in words)


def option_faults(options: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each option of STAR that is set by the workflow, or whose value would set another one."""
    for name, value in options.items():
        if name in OWNED:
            yield f"{name}: it cannot be set, {OWNED[name]}"
        if words := [word for word in str(value).split() if word.startswith("--")]:
            yield f"{name}: its value has {words[0]}, which is an option of its own; give it a key of its own"


CELL_FILTERS: Mapping[str, tuple[int, ...]] = {
    "None": (0,),
    "TopCells": (1,),
    "CellRanger2.2": (0, 3),
    "EmptyDrops_CR": (0, 10),
}
"""STAR's cell filters (``soloCellFilter``) → how many numbers may follow."""


def cell_filter_fault(cell_filter: str) -> str:
    """Return what is wrong with a cell filter and its numbers; empty where STAR takes it."""
    word, *numbers = cell_filter.split() or [""]
    if word not in CELL_FILTERS:
        close = nearest(word, CELL_FILTERS, 0.4)
        near = f"did you mean {close!r}?" if close else f"known are {', '.join(CELL_FILTERS)}"
        return f"{word!r} is no cell filter of STAR; {near}"
    if len(numbers) not in CELL_FILTERS[word]:
        count = " or ".join(map(str, CELL_FILTERS[word]))
        return f"{word} takes {count} numbers, but {len(numbers)} are given"
    if wrong := [number for number in numbers if not is_number(number)]:
        return f"{wrong[0]!r} is not a number from 0"
    if word == "TopCells" and not (numbers[0].isdecimal() and int(numbers[0])):
        return f"TopCells takes a whole number of cells from 1, not {numbers[0]!r}"
    return ""


def is_number(text: str) -> bool:
    """Return whether a text is a number from 0, as STAR reads it."""
    try:
        return text.isascii() and 0 <= float(text) < math.inf
    except ValueError:
        return False
