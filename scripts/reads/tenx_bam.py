"""BAM files of Cell Ranger, converted back to the reads from which they were made.

The header says how, in a comment line a read (the format that 10x's bamtofastq reads)::

    @CO	10x_bam_to_fastq:R1(CR:CY,UR:UY)
    @CO	10x_bam_to_fastq:R2(SEQ:QUAL)

A read is its pieces one after the other, each a pair of tags (bases, qualities), or ``SEQ:QUAL`` for the record's own
sequence as the sequencer read it. CR and CY are the barcode as it was read, UR and UY the UMI. As for bamtofastq the
last piece of a read may be missing from a record, unless it is barcode or UMI: Cell Ranger 1.2 names TR and TQ, the
bases that it cut from the end of a read, but writes them only where it cut some. A header without these lines is that
of one record a spot: R1 is CR and UR, R2 the record. Sample index reads (BC:QT alone) are left out. Reads keep the
order of the file.
"""

import contextlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.disk.files import path_below
from scripts.core.errors import RunFault, is_of_machine
from scripts.formats.fastq_files import Room, open_packed

if TYPE_CHECKING:
    import pysam

Piece = tuple[str, str]  # tag of the bases, tag of the qualities

_LINE = re.compile(r"10x_bam_to_fastq:([RI]\d)\(([^)]*)\)")
_OWN: Piece = ("SEQ", "QUAL")
_BARCODE, _UMI = "CR", "UR"
_INDEX = (("BC", "QT"),)
_USUAL: dict[str, tuple[Piece, ...]] = {"R1": (("CR", "CY"), ("UR", "UY")), "R2": (_OWN,)}
_EXAMINED = 1000  # records whose tags are checked before anything is written
_BUFFER = 1 << 20  # bytes written at a time


def pieces_of_header(comments: Sequence[str]) -> dict[str, tuple[Piece, ...]]:
    """Return read name (R1, R2, …) → its pieces, by the comment lines; sample indices are left out."""
    found: dict[str, tuple[Piece, ...]] = {}
    for comment in comments:
        if match := _LINE.search(comment):
            pieces = tuple(tuple((piece + ":").split(":")[:2]) for piece in match[2].split(","))
            if pieces != _INDEX:
                found[match[1]] = pieces
    return dict(sorted(found.items(), key=lambda item: (item[0][0] != "R", item[0])))


def to_fastq(
    path: str | Path, run: str, folder: str | Path, most: float = math.inf, plain: bool = False
) -> tuple[list[Path], int, int]:
    """Write ``{run}_{n}.fastq.gz`` of a BAM file, n the number of the read among those of the header.

    ``plain``: of a file without barcodes, whose reads are its records or mates, whatever aligned them.

    Return the files in read order, the number of spots, and that of spots left out since they have lost their mate.
    Raises RunFault: BAM_TAGS_STRIPPED where barcodes or UMIs (or their qualities) are not in the records,
    ARCHIVE_CORRUPT for a file that is cut short or broken, EMPTY_READS for one without records, READS_MISSING for a
    read with more bases than qualities, DISK_LIMIT where the files have more than ``most`` bytes.
    """
    import pysam

    before = pysam.set_verbosity(0)
    try:
        return _convert(Path(path), run, Path(folder), most, plain)
    except (OSError, ValueError, AssertionError, NotImplementedError) as error:  # pysam raises all at broken files
        if is_of_machine(error):
            raise
        words = str(error).replace(f" '{path}'", "").replace(str(path), Path(path).name).rstrip(".")
        raise RunFault("ARCHIVE_CORRUPT", f"the BAM file cannot be read: {words}.") from error
    finally:
        pysam.set_verbosity(before)


def _records(path: Path) -> Iterator["pysam.AlignedSegment"]:
    """Yield the primary records."""
    import pysam

    # Without ignore_truncation htslib raises OSError where the end-of-file block is missing.
    with pysam.AlignmentFile(str(path), "rb", check_sq=False) as handle:
        for record in handle.fetch(until_eof=True):
            if not record.flag & 0x900:
                yield record


def _convert(path: Path, run: str, folder: Path, most: float, plain: bool) -> tuple[list[Path], int, int]:
    import pysam

    with pysam.AlignmentFile(str(path), "rb", check_sq=False) as handle:
        header = handle.header.to_dict()
    if plain:
        paired = any(record.is_paired for record in islice(_records(path), _EXAMINED))
        layout: Mapping[str, tuple[Piece, ...]] = dict.fromkeys(("R1", "R2") if paired else ("R1",), (_OWN,))
    else:
        in_header = pieces_of_header(header.get("CO", []))
        paired = _check_tags(path, in_header)
        layout = in_header or _USUAL
    builders = {name: _builder(pieces) for name, pieces in layout.items()}
    files = [path_below(folder, f"{run}_{number}.fastq.gz") for number in range(1, len(layout) + 1)]
    spots = lost = 0
    with ExitStack() as stack:
        room = Room(path.name, most)
        packed = [stack.enter_context(open_packed(file, room)) for file in files]
        outputs = [stack.enter_context(io.BufferedWriter(one, _BUFFER)) for one in packed]
        for name, mates in _spots(path, paired, folder):
            records = [record for read in layout if (record := mates.get(read, mates.get(""))) is not None]
            if len(records) < len(layout):
                lost += 1
                continue
            spots += 1
            for output, record, build in zip(outputs, records, builders.values(), strict=True):
                bases, qualities = build(record)
                if "\n" in name:
                    raise RunFault("ARCHIVE_CORRUPT", f"the name of spot {spots:,} of the BAM file has a line end.")
                output.write(f"@{run}.{spots} {name}\n{bases}\n+\n{qualities}\n".encode("ascii"))
    if not spots + lost:
        raise RunFault("EMPTY_READS", "the BAM file has no reads.")
    return files, spots, lost


def _check_tags(path: Path, in_header: Mapping[str, tuple[Piece, ...]]) -> bool:
    """Check the tags of the first records; return whether they are mates. Raises RunFault(BAM_TAGS_STRIPPED)."""
    layout = (in_header or _USUAL).values()
    wanted = {
        tag for pieces in layout for piece in pieces if piece != _OWN and piece != may_lack(pieces) for tag in piece
    }
    if _BARCODE not in wanted or not any(_OWN in pieces for pieces in layout):
        raise RunFault("BAM_TAGS_STRIPPED", "the header of the BAM file names no read with a barcode, or none of cDNA.")
    examined, paired = 0, False
    missing: Counter[str] = Counter()
    for record in islice(_records(path), _EXAMINED):
        examined += 1
        paired = paired or record.is_paired
        missing.update(tag for tag in wanted if not record.has_tag(tag))
    if missing:
        counts = ", ".join(f"{tag} in {count:,}" for tag, count in sorted(missing.items()))
        raise RunFault("BAM_TAGS_STRIPPED", f"of the first {examined:,} reads of the BAM file, tags lack: {counts}.")
    if paired and not in_header:
        raise RunFault(
            "BAM_TAGS_STRIPPED", "the BAM file has mates, but no header line says which of them is which read."
        )
    return paired


def may_lack(pieces: Sequence[Piece]) -> Piece | None:
    """Return the piece of a read that records may lack: the last of several, unless it is barcode, UMI or sequence."""
    last = pieces[-1]
    return last if len(pieces) > 1 and last != _OWN and last[0] not in (_BARCODE, _UMI) else None


def _builder(pieces: Sequence[Piece]) -> Callable[["pysam.AlignedSegment"], tuple[str, str]]:
    """Return a function record → (bases, qualities) of one read."""

    optional = may_lack(pieces)

    def build(record: "pysam.AlignedSegment") -> tuple[str, str]:
        bases = qualities = ""
        for piece in pieces:
            if piece == _OWN:
                sequence = record.get_forward_sequence() or ""
                quality = (record.query_qualities_str or "")[:: -1 if record.is_reverse else 1]
            elif piece == optional and not record.has_tag(piece[0]):
                continue
            else:
                sequence, quality = (_text_of(record, tag) for tag in piece)
            bases += sequence
            qualities += quality
        if not (bases + qualities).isascii() or not qualities.isprintable() or not (bases or "N").isalpha():
            words = "bases or qualities that are no letters of FASTQ"
            raise RunFault("ARCHIVE_CORRUPT", f"read {record.query_name!r} of the BAM file has {words}.")
        if len(bases) != len(qualities):
            counts = f"{len(bases)} bases, but {len(qualities)} qualities"
            raise RunFault("READS_MISSING", f"read {record.query_name!r} of the BAM file has {counts}.")
        return bases, qualities

    return build


def _text_of(record: "pysam.AlignedSegment", tag: str) -> str:
    """Return a tag of text. Raises RunFault (BAM_TAGS_STRIPPED) where there is none."""
    value = None
    with contextlib.suppress(KeyError):
        value = record.get_tag(tag)
        if isinstance(value, str):
            return value
    lack = "no tag" if value is None else "no text in its tag"
    raise RunFault("BAM_TAGS_STRIPPED", f"read {record.query_name!r} of the BAM file has {lack} {tag}.")


def _spots(path: Path, paired: bool, folder: Path) -> Iterator[tuple[str, dict[str, "pysam.AlignedSegment"]]]:
    """Yield (name, read → record) of every spot; unpaired records have the empty name of a read."""
    import pysam

    if not paired:
        for record in _records(path):
            yield record.query_name or "", {"": record}
        return
    # Mates are apart in a file sorted by position: collate brings them together without sorting by name.
    together = folder / "collated.bam"
    pysam.collate("-o", str(together), "-l", "1", "-T", str(folder / "collate"), str(path), catch_stdout=False)
    for name, records in groupby(_records(together), lambda record: record.query_name or ""):
        yield name, {"R2" if record.is_read2 else "R1": record for record in records}
    together.unlink()
