"""The reads of a droplet library whose roles are known, laid out as STARsolo takes them: two files a run.

Barcode and UMI are in one read; kits that keep them in two or three get them joined.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.core.disk.files import path_below
from scripts.core.errors import RunFault
from scripts.droplets.chemistries import Chemistry
from scripts.formats.fastq_files import find_reads, open_reads
from scripts.plan.run_table import Run
from scripts.star.read_pipes import Source

LONG_BARCODE_READ = 50
"""Bases of a barcode read beyond which it holds cDNA, too."""
_LINES = 4 * 10_000  # of each file that are joined at a time


def link_into(folder: Path, name: str, target: Path) -> str:
    """Link to a file by a name without blanks, since STAR splits paths at blanks and commas; return that name."""
    link = path_below(folder, *name.split("/"))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())
    return name


def join_reads(*parts: tuple[Path, slice]) -> Iterator[bytes]:
    """Yield one FASTQ of bases of one read followed by those of others, for kits that keep barcode and UMI in several.

    Slices count from 0; where they leave nothing, there is one unread base. Raises RunFault (READS_MISSING) where one
    file ends before another.
    """
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(open_reads(path)) for path, _ in parts]
        bases = [part for _, part in parts]
        while True:
            blocks = [list(islice(file, _LINES)) for file in files]
            if len({len(block) for block in blocks}) > 1:
                names = " and ".join(path.name for path, _ in parts)
                raise RunFault("READS_MISSING", f"{names} do not have the same number of reads.")
            lines = blocks[0]
            if not lines:
                return
            for at, nothing in ((1, b"N"), (3, b"#")):  # STAR takes no empty read
                spots = zip(*(block[at::4] for block in blocks), strict=True)
                lines[at::4] = [
                    (b"".join(line.rstrip()[part] for line, part in zip(spot, bases, strict=True)) or nothing) + b"\n"
                    for spot in spots
                ]
            lines[2::4] = [b"+\n"] * len(lines[2::4])
            yield b"".join(lines)


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
            path = find_reads(self.fastq, f"{run}_{number}") or find_reads(self.fastq, run)
            if path is None:
                raise RunFault("READS_MISSING", f"there is no file {run}_{number}.fastq with the {role} read of {run}.")
            files.append(path)
        return files

    def barcode_read_length(self) -> float:
        """Mean length of the barcode reads, the least of the runs."""
        verdicts = self.verdicts.values()
        return min(one["mean_lengths"][one["roles"].split(",").index("barcode")] for one in verdicts)

    def cdna_read_length(self) -> float:
        """Mean length of the cDNA reads, the least of the runs."""
        verdicts = self.verdicts.values()
        return min(one["mean_lengths"][one["roles"].split(",").index("cdna")] for one in verdicts)

    def umi_length(self) -> int:
        """Bases of the UMI that the reads hold, the least of the runs."""
        return min(verdict["umi_length"] for verdict in self.verdicts.values())

    def lane_words(self, kit: Chemistry) -> str:
        """Return how the lanes differ in their barcode reads and what that means, empty where they do not."""
        reads = {
            run: round(one["mean_lengths"][one["roles"].split(",").index("barcode")])
            for run, one in sorted(self.verdicts.items())
        }
        if len({*reads.values()}) < 2:
            return ""
        words = [f"The barcode reads have {', '.join(f'{length} bases in {run}' for run, length in reads.items())}."]
        if len({verdict["umi_length"] for verdict in self.verdicts.values()}) > 1:
            words.append(f"STAR takes UMIs of one length: those of all runs are cut to {self.umi_length()} bases.")
        if kit.mates and min(reads.values()) <= LONG_BARCODE_READ < max(reads.values()):
            long = ", ".join(run for run, length in reads.items() if length > LONG_BARCODE_READ)
            words.append(f"The cDNA in the barcode reads of {long} is not aligned, since the others have none.")
        return " ".join(words)

    def lay_out(self, kit: Chemistry) -> tuple[dict[str, Source], dict[str, Source]]:
        """Return name below STAR's folder → reads: those of the cDNA and those of the barcodes, a run each.

        Bases before the cDNA are cut here: with the adapters of Cell Ranger, STAR 2.7.10b takes clip5pNbases off what
        is aligned, and as many bases of the cDNA would be lost.
        """
        first = kit.cdna_start - 1
        bases = slice(first, first + kit.cdna_length if kit.cdna_length else None)
        cdna: dict[str, Source] = {}
        barcodes: dict[str, Source] = {}
        for row in self.rows:
            read = self.files(row.run, "cdna")[0]
            cut = partial(join_reads, (read, bases))
            cdna[f"reads/{row.run}_cdna.fastq"] = read if bases == slice(0, None) else cut
            barcodes[f"reads/{row.run}_barcode.fastq"] = self._barcode_reads(row.run, kit)
        return cdna, barcodes

    def _barcode_reads(self, run: str, kit: Chemistry) -> Source:
        """Return the reads of a run with barcode and UMI, joined where the kit keeps them in several."""
        parts = self.files(run, "barcode")
        if kit.umi_own_read:
            first, start = self.offset + kit.barcode[0].start - 1, kit.umi_start - 1
            bases = slice(first, first + kit.barcode[0].length), slice(start, start + kit.umi_length)
            return partial(join_reads, (parts[0], bases[0]), (self.files(run, "umi")[0], bases[1]))
        joined = [(parts[0], slice(kit.split)), (parts[1], slice(None))] if kit.split else [(parts[0], slice(None))]
        if kit.prefix[1]:
            first = kit.prefix[0] - 1
            joined.insert(0, (self.files(run, "cdna")[0], slice(first, first + kit.prefix[1])))
        return partial(join_reads, *joined) if len(joined) > 1 else parts[0]
