"""STARsolo's options for a library: where its kit keeps barcode and UMI, what is counted, and what is configured."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scripts.droplets.chemistries import Chemistry
from scripts.droplets.library_reads import LibraryReads
from scripts.star.presets import DROPLET_PRESETS, as_arguments

TEMPLATE_SWITCH = 13
"""Bases of the template switch oligo between UMI and cDNA of a 5′ library's long barcode read."""
LONG_BARCODE_READ = 50


class Settings(NamedTuple):
    """What is configured for droplet libraries: what is counted, STAR's options, and the floors of quality."""

    features: Sequence[str]
    multireads: Sequence[str]
    cell_filter: str
    preset: str
    star_options: Mapping[str, str]
    min_valid_barcodes: float
    min_gene_share: float


def barcode_options(kit: Chemistry, offset: int, lists: Mapping[str, str], umi_length: int = 0) -> dict[str, str]:
    """Return STARsolo's options for the positions of barcode and UMI; the reads may hold fewer bases of the UMI.

    ``lists`` is list name → path for STAR.
    """
    if kit.umi_own_read:  # the reads are joined: the barcode from its first base on, then the UMI
        offset, umi_start = 1 - kit.barcode[0].start, kit.barcode[0].length + 1
    else:
        umi_start = offset + kit.umi_start
    names = " ".join(lists[segment.list] if segment.list else "None" for segment in kit.barcode)
    if kit.simple:
        options = {
            "soloType": "CB_UMI_Simple",
            "soloCBwhitelist": names,
            "soloCBstart": str(offset + kit.barcode[0].start),
            "soloCBlen": str(kit.barcode[0].length),
            "soloUMIstart": str(umi_start),
            "soloUMIlen": str(umi_length or kit.umi_length),
            "soloBarcodeReadLength": "0",
        }
        if names == "None":
            options["soloCBmatchWLtype"] = "Exact"
        return options
    positions = [f"0_{offset + part.start - 1}_0_{offset + part.start + part.length - 2}" for part in kit.barcode]
    return {
        "soloType": "CB_UMI_Complex",
        "soloCBwhitelist": names,
        "soloCBposition": " ".join(positions),
        "soloUMIposition": f"0_{umi_start - 1}_0_{umi_start + kit.umi_length - 2}",
        "soloCBmatchWLtype": "1MM",
    }


def solo_arguments(
    kit: Chemistry,
    library: LibraryReads,
    reads: tuple[str, str],
    lists: Mapping[str, str],
    index: str,
    settings: Settings,
    threads: int,
) -> list[str]:
    """Return STAR's arguments for a library; ``reads`` are its lists of cDNA and of barcode files.

    Every path is relative to the folder in which STAR runs. Cells are not called here: that is a step of its own. The
    barcode reads of a 5′ kit that are longer than LONG_BARCODE_READ hold cDNA too, and are aligned as mates of the cDNA
    reads.
    """
    cdna, barcode = reads
    options = {
        "runThreadN": str(threads),
        "genomeDir": index,
        "genomeLoad": "NoSharedMemory",
        "readFilesIn": f"{cdna} {barcode}",
        "outSAMtype": "None",
        "outFileNamePrefix": "./",
        **DROPLET_PRESETS[settings.preset],
        "soloStrand": kit.strand,
        **barcode_options(kit, library.offset, lists, library.umi_length()),
        "soloFeatures": " ".join(settings.features),
        "soloMultiMappers": " ".join(settings.multireads),
        "soloCellFilter": "None",
    }
    if kit.mates and library.barcode_read_length() > LONG_BARCODE_READ:
        clipped = library.offset + kit.read_end + TEMPLATE_SWITCH
        options |= {
            "readFilesIn": f"{barcode} {cdna}",
            "soloBarcodeMate": "1",
            "clip5pNbases": f"{clipped} 0",
            "soloStrand": "Forward",
            "clipAdapterType": "Hamming",  # that of Cell Ranger takes no second mate
        }
    return as_arguments(options | dict(kit.solo) | dict(settings.star_options))
