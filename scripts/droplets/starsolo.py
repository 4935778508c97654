"""How STARsolo (STAR 2.7.10b) is called for a library, and what it writes.

Its options say where the kit keeps barcode and UMI, what is counted, and what is configured.

``Solo.out/{feature}/{raw,filtered}/`` holds ``barcodes.tsv``, ``features.tsv`` and a matrix for each way to count
reads of several genes; ``Solo.out/{feature}/Summary.csv`` has a name and a value a line. Only raw Gene features have
matrices other than the unique one, and SJ has the raw unique one alone. ``Solo.out/Velocyto/`` has three matrices of
unique reads instead of ``matrix.mtx``: ``spliced.mtx``, ``unspliced.mtx`` and ``ambiguous.mtx``; its cells are
those of Gene. Cells are called afterwards (:mod:`scripts.droplets.kept.cell_calls`), of each gene feature by its own
counts.

``ReadsPerGene.out.tab`` has the reads of each gene by strand (``--quantMode GeneCounts``), from which a library's
figures are made, ``CellReads.stats`` those of each barcode (``--soloCellReadStats``). They change no matrix, so that
the command line of an archive leaves these options out.
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.errors import InputError
from scripts.droplets.chemistries import Chemistry
from scripts.droplets.library_reads import LONG_BARCODE_READ, LibraryReads
from scripts.star.presets import DROPLET_PRESETS, as_arguments

TEMPLATE_SWITCH = 13
"""Bases of the template switch oligo between UMI and cDNA of a 5′ library's long barcode read."""
VALID_BARCODES = "Reads With Valid Barcodes"

_DROPPED_OPTIONS = frozenset(
    "--runThreadN --genomeDir --outFileNamePrefix --outTmpDir --limitBAMsortRAM --genomeLoad --quantMode".split()
)

ALIGNMENTS = "Aligned.sortedByCoord.out.bam"
"""File of the alignments, where they are kept."""
_KEEP_BAM = {  # STAR writes CB and UB in no other order; a bin of reads is sorted in memory, of mitochondria many GB
    "outSAMtype": "BAM SortedByCoordinate",
    "outSAMattributes": "NH HI AS nM GX GN CR CY UR UY CB UB",
    "outBAMsortingBinsN": "200",
    "limitBAMsortRAM": "40000000000",
}
_EMPTY_DROPS_NUMBERS = re.compile(r"ParametersSolo: .*EmptyDrops_CR filtering parameters:\s*(\S+ \S+ \S+)")
_EMPTY_DROPS_SKIPPED = re.compile(r"emptyDrops_CR filtering: .*\bnCB=(\d+).*\bemptyCellMinIndex=(\d+)")


_OF_READS = tuple("soloStrand soloCB soloUMIstart soloUMIlen soloUMIposition soloBarcode soloAdapter clip5p".split())
"""How options begin that say where a read has barcode, UMI and cDNA, and on which strand the cDNA is."""


class Settings(NamedTuple):
    """What is configured for droplet libraries: what is counted, and STAR's options."""

    features: Sequence[str]
    multireads: Sequence[str]
    preset: str
    star_options: Mapping[str, str]
    keep_bam: bool = False
    join_wells: bool = True


def barcode_options(kit: Chemistry, offset: int, lists: Mapping[str, str], umi_length: int = 0) -> dict[str, str]:
    """Return STARsolo's options for the positions of barcode and UMI; the reads may hold fewer bases of the UMI.

    ``lists`` is list name → path for STAR; one that is missing there is none for STAR.
    """
    if kit.umi_own_read:  # the reads are joined: the barcode from its first base on, then the UMI
        offset, umi_start = 1 - kit.barcode[0].start, kit.barcode[0].length + 1
    else:
        umi_start = offset + kit.umi_start
    names = " ".join(lists.get(segment.list, "None") for segment in kit.barcode)
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


def solo_options(
    kit: Chemistry,
    library: LibraryReads,
    reads: tuple[str, str],
    lists: Mapping[str, str],
    index: str,
    settings: Settings,
    threads: int,
) -> dict[str, str]:
    """Return STAR's options for a library but those of the user; ``reads`` are its lists of cDNA and of barcode files.

    Every path is relative to the folder in which STAR runs. The barcode reads of a 5′ kit that are longer than
    LONG_BARCODE_READ hold cDNA too, and are aligned as mates of the cDNA reads.
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
        "quantMode": "GeneCounts",
    }
    if settings.keep_bam:
        options |= _KEEP_BAM
    if kit.mates and library.barcode_read_length() > LONG_BARCODE_READ:
        clipped = library.offset + kit.read_end + TEMPLATE_SWITCH
        options |= {
            "readFilesIn": f"{barcode} {cdna}",
            "soloBarcodeMate": "1",
            "clip5pNbases": f"{clipped} 0",
            "soloStrand": "Forward",
            "clipAdapterType": "Hamming",  # that of Cell Ranger takes no second mate
        }
    return options | dict(kit.solo)


def solo_arguments(options: Mapping[str, str], settings: Settings) -> list[str]:
    """Return STAR's arguments for these options and those of the user, which win."""
    return as_arguments(dict(options) | dict(settings.star_options) | {"soloCellReadStats": "Standard"})


def replaced_options(options: Mapping[str, str], settings: Settings) -> dict[str, tuple[str, str]]:
    """Return option → its value by the kit and that of the user, for options of strand, barcode and UMI that differ."""
    return {
        name: (options.get(name, "STAR's own"), str(value))
        for name, value in settings.star_options.items()
        if name.startswith(_OF_READS) and str(value) != options.get(name)
    }


def read_summary(path: str | Path) -> dict[str, str]:
    """Return name → value of a Summary.csv; STAR's own spelling, ``-nan`` where it divided by zero."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.rpartition(",")[::2] for line in lines if "," in line)


def share_of(summary: dict[str, str], name: str) -> float:
    """Return a share of a Summary.csv, 0 where it is missing or STAR divided by zero."""
    try:
        share = float(summary.get(name, "0"))
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(share) else share


def read_command(path: str | Path) -> tuple[str, list[str]]:
    """Return STAR's version and its command line, word by word, from a Log.out.

    Raises InputError where the file is no Log.out of STAR.
    """
    version, words = "", []
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("STAR version="):
                version = line.partition("=")[2].strip()
            elif line.startswith("##### Command Line:"):
                words = shlex.split(next(lines, ""))
                break
    if not version or not words:
        raise InputError(f"{path}: not a Log.out of STAR; it has no version and command line.")
    return version, words


class SkippedFilter(NamedTuple):
    """EmptyDrops_CR that STAR skipped, for too few barcodes have reads of a feature."""

    barcodes: int
    most: int
    """The number up to which STAR skips it."""
    instead: str
    """The cell filter that was in effect, with its numbers."""

    @property
    def words(self) -> str:
        """What was done, in words for people."""
        return f"EmptyDrops_CR was skipped ({self.barcodes} barcodes, it needs more than {self.most}): {self.instead}"


def read_skipped_filter(path: str | Path) -> SkippedFilter | None:
    """Return what STAR did instead of EmptyDrops_CR when it called the cells of a feature, None where it did that.

    ``path`` is its Log.out. STAR then keeps the cells of the simple filter with the same first three numbers.
    """
    numbers = ""
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if found := _EMPTY_DROPS_NUMBERS.match(line):
                numbers = found[1]
            elif found := _EMPTY_DROPS_SKIPPED.match(line):
                return SkippedFilter(int(found[1]), int(found[2]), f"CellRanger2.2 {numbers}".rstrip())
    return None


def stable_arguments(words: Sequence[str]) -> str:
    """Return a command line as archives have it: without threads, folders and temporary paths.

    Every path loses its folder; options that name a folder or a machine's resources are left out. The program is
    called STAR, whichever build of it the machine has.
    """
    kept = ["STAR"]
    dropping = False
    for word in words[1:]:
        if word.startswith("--"):
            dropping = word in _DROPPED_OPTIONS
        elif not dropping:
            word = ",".join(part.rpartition("/")[2] for part in word.split(","))
        if not dropping:
            kept.append(word)
    return " ".join(kept)


def find_barcodes(raw: str | Path, filtered: str | Path) -> np.ndarray:
    """Return the index (from 0) in the raw list of each barcode of the filtered one; both are a barcode a line.

    Raises InputError where a barcode is missing from the raw list or duplicated.
    """
    wanted = {barcode + b"\n": number for number, barcode in enumerate(Path(filtered).read_bytes().splitlines())}
    indices = np.full(len(wanted), -1, dtype=np.int64)
    found = 0
    with Path(raw).open("rb") as lines:
        for index, line in enumerate(lines):
            if line in wanted:
                indices[wanted[line]] = index
                found += 1
    if found != len(wanted) or (indices < 0).any():
        raise InputError(f"{filtered}: its {len(wanted)} barcodes are not each once among those of {raw}.")
    return indices
