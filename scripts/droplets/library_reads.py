"""The reads of a droplet library whose roles are known, laid out as STARsolo takes them: two files a run.

Barcode and UMI are in one read; kits that keep them in two get both joined.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from scripts.core.errors import RunFault
from scripts.droplets.chemistries import Chemistry
from scripts.plan.run_table import Run

TAIL_BYTES = 1 << 16


def tell_apart(path: Path) -> list[int]:
    """Return what tells a file of reads from others: its size and a checksum of its first and last bytes."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        check = zlib.crc32(handle.read(TAIL_BYTES))
        handle.seek(max(0, size - TAIL_BYTES))
        return [size, zlib.crc32(handle.read(TAIL_BYTES), check)]


def place_link(folder: Path, name: str, target: Path) -> str:
    """Make a link of a name without blanks, since STAR splits paths at blanks and commas; return its relative path."""
    link = folder / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())
    return name


def join_reads(barcodes: Path, umis: Path, target: Path, barcode: slice, umi: slice) -> None:
    """Write one FASTQ of bases of one read followed by those of another, for kits that keep barcode and UMI in two.

    Slices count from 0.

    Raises RunFault (READS_MISSING) where one file ends before the other.
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


class Library:
    """A droplet library whose roles are known: its files, kit and places, ready to be given to STAR."""

    def __init__(self, rows: Sequence[Run], verdicts: Mapping[str, Mapping[str, Any]], fastq: Path) -> None:
        self.rows = sorted(rows, key=lambda row: row.run)
        self.verdicts = verdicts
        self.fastq = fastq
        self.offset = int(next(iter(verdicts.values()))["offset"])

    def numbers(self, run: str, role: str) -> list[int]:
        """Return the reads of this role of a run, counted from 1; a barcode in two reads begins in the shorter one."""
        verdict = self.verdicts[run]
        found = [number for number, one in enumerate(verdict["roles"].split(","), 1) if one == role]
        return sorted(found, key=lambda number: (verdict["mean_lengths"][number - 1], number))

    def file(self, run: str, role: str, place: int = 0) -> Path:
        """Return the file of a run's (first) read of this role.

        Raises RunFault (READS_MISSING) where it is not there.
        """
        number = self.numbers(run, role)[place]
        for path in (self.fastq / f"{run}_{number}.fastq", self.fastq / f"{run}.fastq"):
            if path.is_file():
                return path
        raise RunFault("READS_MISSING", f"there is no file {run}_{number}.fastq with the {role} read of {run}.")

    def files(self) -> list[Path]:
        """Return the files of all reads that are given to STAR, in the order of the runs."""
        return [
            self.file(row.run, role, place)
            for row in self.rows
            for role in ("barcode", "umi", "cdna")
            for place in range(len(self.numbers(row.run, role)))
        ]

    def barcode_read_length(self) -> float:
        """Mean length of the barcode reads, the least of the runs."""
        return min(
            verdict["mean_lengths"][verdict["roles"].split(",").index("barcode")] for verdict in self.verdicts.values()
        )

    def umi_length(self) -> int:
        """Bases of the UMI that the reads hold, the least of the runs."""
        return min(verdict["umi_length"] for verdict in self.verdicts.values())

    def place_reads(self, folder: Path, kit: Chemistry) -> tuple[str, str]:
        """Put the reads into ``folder/reads``; return STAR's lists of cDNA files and of barcode files."""
        cdna, barcode = [], []
        for row in self.rows:
            cdna.append(place_link(folder, f"reads/{row.run}_cdna.fastq", self.file(row.run, "cdna")))
            name = f"reads/{row.run}_barcode.fastq"
            if kit.umi_own_read:
                first = self.offset + kit.barcode[0].start - 1
                join_reads(
                    self.file(row.run, "barcode"),
                    self.file(row.run, "umi"),
                    folder / name,
                    slice(first, first + kit.barcode[0].length),
                    slice(kit.umi_start - 1, kit.umi_start - 1 + kit.umi_length),
                )
                barcode.append(name)
            elif kit.split:
                first, second = (self.file(row.run, "barcode", place) for place in range(2))
                join_reads(first, second, folder / name, slice(kit.split), slice(None))
                barcode.append(name)
            else:
                barcode.append(place_link(folder, name, self.file(row.run, "barcode")))
        return ",".join(cdna), ",".join(barcode)
