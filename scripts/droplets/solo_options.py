"""Options of STARsolo beside its presets: where a kit keeps barcode and UMI, and what is counted."""

from collections.abc import Mapping, Sequence

from scripts.droplets.chemistries import Chemistry
from scripts.star.presets import DROPLET_PRESETS

TEMPLATE_SWITCH = 13
"""Bases of the template switch oligo between UMI and cDNA of a 5′ library's long barcode read."""
LONG_BARCODE_READ = 50


def barcode_options(kit: Chemistry, offset: int, lists: Mapping[str, str], umi_length: int = 0) -> dict[str, str]:
    """Return STARsolo's options for the place of barcode and UMI, of which the reads may hold fewer bases.

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
    places = [f"0_{offset + part.start - 1}_0_{offset + part.start + part.length - 2}" for part in kit.barcode]
    return {
        "soloType": "CB_UMI_Complex",
        "soloCBwhitelist": names,
        "soloCBposition": " ".join(places),
        "soloUMIposition": f"0_{umi_start - 1}_0_{umi_start + kit.umi_length - 2}",
        "soloCBmatchWLtype": "1MM",
    }


def solo_options(
    kit: Chemistry,
    reads: tuple[str, str],
    lists: Mapping[str, str],
    *,
    offset: int,
    umi_length: int,
    barcode_read_length: float,
    features: Sequence[str],
    multireads: Sequence[str],
    preset: str,
) -> dict[str, str]:
    """Return STAR's options for a library; ``reads`` are its lists of cDNA and of barcode files.

    Cells are not told here: that is a step of its own. The barcode reads of a 5′ kit that are longer than
    LONG_BARCODE_READ hold cDNA too, and are aligned together with the cDNA reads.
    """
    cdna, barcode = reads
    options = {
        "readFilesIn": f"{cdna} {barcode}",
        "outSAMtype": "None",
        "outFileNamePrefix": "./",
        **DROPLET_PRESETS[preset],
        "soloStrand": kit.strand,
        **barcode_options(kit, offset, lists, umi_length),
        "soloFeatures": " ".join(features),
        "soloMultiMappers": " ".join(multireads),
        "soloCellFilter": "None",
    }
    if kit.mates and barcode_read_length > LONG_BARCODE_READ:
        clipped = offset + kit.read_end + TEMPLATE_SWITCH
        options |= {
            "readFilesIn": f"{barcode} {cdna}",
            "soloBarcodeMate": "1",
            "clip5pNbases": f"{clipped} 0",
            "soloStrand": "Forward",
            "clipAdapterType": "Hamming",  # that of Cell Ranger takes no second mate
        }
    return options | dict(kit.solo)
