"""The reads of a droplet library whose roles are known, laid out as STARsolo takes them: two files a run.

Barcode and UMI are in one read; kits that keep them in two get both joined.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from scripts.core.errors import RunFault
from scripts.core.files import path_below
from scripts.droplets.chemistries import Chemistry
from scripts.plan.run_table import Run

TAIL_BYTES = 1 << 16


def file_identity(path: Path) -> list[int]:
    """Return what identifies a file of reads without reading all of it: its size, a checksum of its two ends."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        check = zlib.crc32(handle.read(TAIL_BYTES))
        handle.seek(max(0, size - TAIL_BYTES))
        return [size, zlib.crc32(handle.read(TAIL_BYTES), check)]


def link_into(folder: Path, name: str, target: Path) -> str:
    """Link to a file by a name without blanks, since STAR splits paths at blanks and commas; return that name."""
    link = path_below(folder, *name.split("/"))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())
    return name


def join_reads(barcodes: Path, umis: Path, target: Path, barcode: slice, umi: slice) -> None:
    """Write one FASTQ of bases of one read followed by those of another, for kits that keep barcode and UMI in two.

    Slices count from 0. Raises RunFault (READS_MISSING) where one file ends before the other.
    """
    with barcodes.open("rb") as left, umis.open("rb") as right, target.open("wb") as writer:
        for number, (line, other) in enumerate(zip_longest(left, right)):
            if line is None or other is None:
                raise RunFault(
                    "READS_MISSING", f"{barcodes.name} and {umis.name} do not have the same number of reads."
                )
            if number % 2:
                writer.write(line.rstrip()[barcode] + other.rstrip()[umi] + b"\n")
            else:
                writer.write(b"+\n" if number % 4 else line)


class LibraryReads:
    """The runs of a library, the verdicts of read_roles on them, and their files."""

    def __init__(self, rows: Sequence[Run], verdicts: Mapping[str, Mapping[str, Any]], fastq: Path) -> None:
        self.rows = sorted(rows, key=lambda row: row.run)
        self.verdicts = verdicts
        self.fastq = fastq
        first = next(iter(verdicts.values()))
        self.offset = int(first["offset"])
        self.candidates: list[str] = first["candidates"]

    def files(self, run: str, role: str) -> list[Path]:
        """Return the files of a run's reads of this role; of a barcode in two reads the shorter one comes first.

        Raises RunFault (READS_MISSING) where one is missing.
        """
        lengths = self.verdicts[run]["mean_lengths"]
        roles = self.verdicts[run]["roles"].split(",")
        numbers = [number for number, one in enumerate(roles, 1) if one == role]
        files = []
        for number in sorted(numbers, key=lambda one: (lengths[one - 1], one)):
            names = (f"{run}_{number}.fastq", f"{run}.fastq")
            path = next((self.fastq / name for name in names if (self.fastq / name).is_file()), None)
            if path is None:
                raise RunFault("READS_MISSING", f"there is no file {names[0]} with the {role} read of {run}.")
            files.append(path)
        return files

    def identities(self) -> dict[str, list[int]]:
        """Return file name → identity of all files of reads that STAR is given."""
        paths = [path for row in self.rows for role in ("barcode", "umi", "cdna") for path in self.files(row.run, role)]
        return {path.name: file_identity(path) for path in paths}

    def barcode_read_length(self) -> float:
        """Mean length of the barcode reads, the least of the runs."""
        verdicts = self.verdicts.values()
        return min(one["mean_lengths"][one["roles"].split(",").index("barcode")] for one in verdicts)

    def umi_length(self) -> int:
        """Bases of the UMI that the reads hold, the least of the runs."""
        return min(verdict["umi_length"] for verdict in self.verdicts.values())

    def lay_out(self, folder: Path, kit: Chemistry) -> tuple[str, str]:
        """Put the reads into ``folder/reads``; return STAR's lists of cDNA files and of barcode files."""
        cdna, barcode = [], []
        for row in self.rows:
            cdna.append(link_into(folder, f"reads/{row.run}_cdna.fastq", self.files(row.run, "cdna")[0]))
            name = f"reads/{row.run}_barcode.fastq"
            parts = self.files(row.run, "barcode")
            if kit.umi_own_read:
                first, umi = self.offset + kit.barcode[0].start - 1, kit.umi_start - 1
                bases = slice(first, first + kit.barcode[0].length), slice(umi, umi + kit.umi_length)
                join_reads(parts[0], self.files(row.run, "umi")[0], folder / name, *bases)
            elif kit.split:
                join_reads(parts[0], parts[1], folder / name, slice(kit.split), slice(None))
            else:
                link_into(folder, name, parts[0])
            barcode.append(name)
        return ",".join(cdna), ",".join(barcode)
