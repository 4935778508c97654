"""STAR's options: the presets of plates and droplets, and every option of a plate cell.

What a droplet library has beside its preset depends on its chemistry: :mod:`scripts.droplets.starsolo`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_LONG_RNA = {
    "outFilterType": "BySJout",
    "outFilterMultimapNmax": "20",
    "alignSJoverhangMin": "8",
    "alignSJDBoverhangMin": "1",
    "outFilterMismatchNmax": "999",
    "alignIntronMin": "20",
    "alignIntronMax": "1000000",
    "alignMatesGapMax": "1000000",
    "outSAMstrandField": "intronMotif",
}
PLATE_PRESETS: Mapping[str, Mapping[str, str]] = {
    "census2017": {**_LONG_RNA, "outFilterMismatchNoverLmax": "0.04", "outSAMattributes": "NH HI NM MD"},
    "encode": {
        **_LONG_RNA,
        "outFilterMismatchNoverReadLmax": "0.04",
        "sjdbScore": "1",
        "outSAMattributes": "NH HI AS NM MD",
    },
    "star_defaults": {"outSAMattributes": "NH HI AS nM"},
}
"""``census2017``: the plates of 2017 were aligned with these; ``encode``: ENCODE's options for long RNA;
``star_defaults``: what STAR does by itself."""

_CELL_RANGER_4 = {
    "clipAdapterType": "CellRanger4",
    "outFilterScoreMin": "30",
    "soloCBmatchWLtype": "1MM_multi_Nbase_pseudocounts",
    "soloUMIfiltering": "MultiGeneUMI_CR",
    "soloUMIdedup": "1MM_CR",
}
DROPLET_PRESETS: Mapping[str, Mapping[str, str]] = {
    "encode": {
        "outFilterType": "BySJout",
        "outFilterMultimapNmax": "20",
        "outFilterMismatchNmax": "999",
        "outFilterMismatchNoverReadLmax": "0.04",
        "alignSJoverhangMin": "8",
        "alignSJDBoverhangMin": "1",
        "alignIntronMin": "20",
        "alignIntronMax": "1000000",
        "alignMatesGapMax": "1000000",
        "sjdbScore": "1",
        **_CELL_RANGER_4,
    },
    "cellranger4": _CELL_RANGER_4,
    "star_defaults": {},
}
"""``encode``: ENCODE's single-cell pipeline; ``cellranger4``: STARsolo's documentation on matching Cell Ranger 4;
``star_defaults``: what STAR does by itself."""


def changes_genome(star_options: Mapping[str, str]) -> bool:
    """Return whether STAR adds junctions to the genome of a cell (two passes): then no other may share it in memory."""
    return star_options.get("twopassMode", "None") != "None"


def plate_options(preset: str, spots: int, star_options: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the options of a plate cell of so many spots; ``star_options`` win over all others.

    STAR clears every byte of its room for a million junctions, which takes longer than a small cell. A smaller room
    (limitOutSJcollapsed) holds all that its reads can have: 20 alignments (outFilterMultimapNmax of the presets, or
    more where that is configured) of 20 exons (STAR's MAX_N_EXONS) each. STAR does not check the bounds.

    It clears its buffer of 30 MB for input (limitIObufferSize) as well. A smaller one is filled more often. For each
    mate it must hold what STAR keeps free at its end, 2 * 651 + 2 * 50,000 bytes (Parameters.cpp), and a read. The
    buffer of 50 MB for output is not cleared; its size is STAR's own.
    """
    options = {"outSAMtype": "BAM Unsorted", **PLATE_PRESETS[preset]}
    loci = star_options.get("outFilterMultimapNmax", "20")
    room = 10_000 + 20 * max(20, int(loci)) * spots if loci.isdecimal() else 1_000_000
    if room < 1_000_000:
        options["limitOutSJcollapsed"] = str(room)
    buffer = 1_000_000 + 1_000 * spots
    if buffer < 30_000_000:
        options["limitIObufferSize"] = f"{buffer} 50000000"
    return options | dict(star_options)


def as_arguments(options: Mapping[str, str]) -> list[str]:
    """Return options as words of a command line."""
    return [word for name, value in options.items() for word in (f"--{name}", *value.split())]
