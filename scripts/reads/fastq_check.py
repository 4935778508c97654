"""FASTQ files of people and of ENA, read through once side by side, before STAR gets them.

The reads of a spot have one name in all its files: the first word of the header, without a mate's ``/1`` or ``/2``, or
without ``.1`` and ``.2``, ``_R1`` and ``_R2``, ``/f`` and ``/r``, … where the names of the two files end so.
fastq-dump writes the names of all reads of a spot from one number, so that its files need no such check.

Files are mended (:func:`mend`) where STAR would stop at what does not change a read: CRLF line ends, no line end behind
the last read, blank lines at the end, reads of no base, and names of more letters than BAM has room for. U, which STAR
takes for N, is T in the copy.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, NoReturn

from scripts.core.errors import RunFault
from scripts.formats.fastq_files import LONGEST_LINE, Room, open_packed, open_reads, whole_stream

LONGEST_READ = 649
"""Bases that STAR aligns at once, of a read or both mates: less than DEF_readSeqLengthMax of its IncludeDefine.h."""
LONGEST_NAME = 254
"""Letters of a read's name in BAM: SAM specification, section 4.2."""
_BASES = b"ACGTNacgtnRYSWKMBDHVryswkmbdhv."
"""What STAR reads as it is meant: IUPAC's letters, of which all but A, C, G and T are N to it, and the dot."""
_RNA = bytes.maketrans(b"Uu", b"Tt")
_PIECE = 1 << 20
_COMMENT = re.compile(rb"[ \t][^\n]*")
_MATE = re.compile(rb"[._/-](?:R?[1-4]|[fr])\Z")
_SHOWN = 100  # letters of a name in a sentence


class Checked(NamedTuple):
    """A file's number of reads, whether it must be mended for STAR, and its number of bases."""

    reads: int
    odd: bool
    bases: int


class FastqReader:
    """The reads of a FASTQ file, in lists of lines without their ends, four a read."""

    def __init__(self, path: Path, title: str) -> None:
        self.path = path
        self.title = title
        self.reads = self.bases = 0
        self.odd = False
        self.longest = 0
        self._ended = False  # whether blank lines followed the last read

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield all reads.

        Raises RunFault: READS_MISSING at the first that is not whole, ARCHIVE_CORRUPT for a broken stream.
        """
        rest = b""
        with whole_stream(self.path, self.title), open_reads(self.path) as handle:
            while piece := handle.read(_PIECE):
                lines = (rest + piece).split(b"\n")
                whole = (len(lines) - 1) // 4 * 4
                if b"\r" in rest or b"\r" in piece:
                    lines[:whole] = self._without_returns(lines[:whole])
                rest = b"\n".join(lines[whole:])
                if len(rest) > LONGEST_LINE:
                    raise RunFault("READS_MISSING", f"{self.title} has a line of more than {LONGEST_LINE:,} bytes.")
                del lines[whole:]
                if lines and (lines := self._checked(lines)):
                    yield lines
        if (lines := self._last(rest)) and (lines := self._checked(lines)):
            yield lines

    def _without_returns(self, lines: list[bytes]) -> list[bytes]:
        plain = [line.removesuffix(b"\r") for line in lines]
        self.odd |= plain != lines
        return plain

    def _last(self, rest: bytes) -> list[bytes]:
        """Return the last read of a file without line end, none where only blank lines follow the one before."""
        if not rest:
            return []
        self.odd = True
        lines = [line.removesuffix(b"\r") for line in rest.split(b"\n")]
        if not any(lines):
            return []
        if len(lines) == 1 and lines[0].count(b"\r") > 2:
            raise RunFault("READS_MISSING", f"{self.title} has line ends of one CR; write it with LF.")
        if len(lines) != 4 or len(lines[1]) != len(lines[3]):
            raise RunFault(
                "READS_MISSING", f"{self.title} is cut off: its last read, number {self.reads + 1:,}, is not whole."
            )
        return lines

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        """Return the reads of some lines, after a check of each; blank lines behind the last one go."""
        heads, sequences, pluses, qualities = (lines[at::4] for at in range(4))
        lengths = list(map(len, sequences))
        if self._ended or not (_begin(b"@", heads) and _begin(b"+", pluses)) or lengths != list(map(len, qualities)):
            before = self._up_to_fault(lines)
            before = self._checked(before) if before else []
            self._ended = True
            return before
        self.longest = max(self.longest, max(lengths))
        if self.longest > LONGEST_READ:
            at = next(number for number, length in enumerate(lengths) if length > LONGEST_READ)
            self._too_long(at + 1, f"has {lengths[at]:,} bases")
        if strange := b"".join(sequences).translate(None, _BASES):
            self._check_strange(strange, sequences)
        self.odd |= not min(lengths) or any(len(name_of(head)) > LONGEST_NAME for head in _long(heads))
        self.reads += len(heads)
        self.bases += sum(lengths)
        return lines

    def _check_strange(self, strange: bytes, sequences: Sequence[bytes]) -> None:
        """Note that U must be mended. Raises RunFault for what is no base."""
        self.odd = True
        if wrong := strange.strip(b"Uu"):
            at = next(number for number, bases in enumerate(sequences, 1) if wrong[:1] in bases)
            self._fail(at, f"has {_sign(wrong)} among its bases")

    def _up_to_fault(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines before the blank ones at the end. Raises RunFault where another fault is first."""
        for at in range(0, len(lines), 4):
            head, sequence, plus, quality = lines[at : at + 4]
            if not any(lines[at:]):
                self.odd = True
                return lines[:at]
            if self._ended or not head.startswith(b"@"):
                self._fail(at // 4 + 1, f"begins with {_sign(head)} instead of '@'")
            if not plus.startswith(b"+"):
                self._fail(at // 4 + 1, f"has {_sign(plus)} instead of '+' in its third line")
            if len(sequence) != len(quality):
                self._fail(at // 4 + 1, f"has {len(sequence):,} bases, but {len(quality):,} qualities")
        return lines

    def _fail(self, number: int, fault: str) -> NoReturn:
        raise RunFault("READS_MISSING", f"{self.title}: read {self.reads + number:,} {fault}; the file is damaged.")

    def _too_long(self, number: int, fault: str) -> NoReturn:
        raise too_long(f"{self.title}: read {self.reads + number:,} {fault}")


def _sign(text: bytes) -> str:
    """Return the first sign of a text in quotes, as a message has it."""
    return ascii(text[:1].decode("latin-1"))


def _begin(sign: bytes, lines: Sequence[bytes]) -> bool:
    """Whether each line begins with a sign."""
    if lines[0] == sign == lines[-1] and lines.count(sign) == len(lines):
        return True
    text = b"\n".join(lines)
    return text.startswith(sign) and text.count(b"\n" + sign) == len(lines) - 1


def too_long(clause: str) -> RunFault:
    """Return the fault of reads that STAR cannot align."""
    return RunFault("CHEMISTRY_UNKNOWN", f"{clause}; STAR aligns at most {LONGEST_READ}, long reads are not counted.")


def _long(heads: Sequence[bytes]) -> list[bytes]:
    if max(map(len, heads)) <= LONGEST_NAME:
        return []
    return [head for head in heads if len(head) > LONGEST_NAME]


def name_of(header: bytes) -> bytes:
    """Return the first word of a header, without its ``@`` and a mate's ``/1`` or ``/2``."""
    words = header[1:].split(None, 1)
    name = words[0] if words else b""
    return name[:-2] if name.endswith((b"/1", b"/2")) else name


def check_files(paths: Sequence[Path], titles: Sequence[str], paired: bool = False) -> list[Checked]:
    """Read FASTQ files through, whose reads at the same place are those of one spot.

    ``titles`` are the names of the files in sentences, ``paired`` says that STAR aligns the two as mates. Raises
    RunFault: MATES_DISAGREE with the first spot whose names differ, and where two files have the same reads,
    READS_MISSING where a read is not whole or a file has fewer reads, CHEMISTRY_UNKNOWN for reads that are too long.
    """
    readers = [FastqReader(path, title) for path, title in zip(paths, titles, strict=True)]
    for one, other in combinations(readers, 2):
        if one.path.samefile(other.path) and one.path.stat().st_size:
            raise RunFault("MATES_DISAGREE", f"{one.title} is given twice; a pair has two files.")
    spots = _SpotReader(readers, paired)
    streams = [reader.blocks() for reader in readers]
    pending: list[list[bytes]] = [[] for _ in readers]
    while True:
        pending = [lines or next(stream, []) for lines, stream in zip(pending, streams, strict=True)]
        size = min(map(len, pending))
        if not size:
            break
        spots.compare([lines[:size] for lines in pending])
        pending = [lines[size:] for lines in pending]
    for stream in streams:  # of files with more reads than others
        for _ in stream:
            pass
    counts = [reader.reads for reader in readers]
    if len(set(counts)) > 1:
        listed = ", ".join(f"{count:,}" for count in counts)
        raise RunFault("READS_MISSING", f"the files do not agree: {listed} reads.")
    spots.end()
    return [Checked(reader.reads, reader.odd, reader.bases) for reader in readers]


class _SpotReader:
    """The spots that were compared so far."""

    def __init__(self, readers: Sequence[FastqReader], paired: bool) -> None:
        self.readers = readers
        self.paired = paired
        self.done = 0
        self.ends: list[MateEnds] = [None] * len(readers)
        self.same = list(combinations(range(len(readers)), 2))

    def compare(self, blocks: Sequence[list[bytes]]) -> None:
        """Compare the next spots. Raises RunFault at the first that differs."""
        heads = [lines[::4] for lines in blocks]
        if not self.done:
            self.ends = [None, *(_mate_ends(heads[0], other) for other in heads[1:])]
        for at in range(1, len(blocks)):
            if (number := find_difference(heads[0], heads[at], self.ends[at])) is not None:
                names = [_shown(heads[which][number]) for which in (0, at)]
                raise RunFault(
                    "MATES_DISAGREE",
                    f"pair {self.done + number + 1:,} is called {names[0]!r} in {self.readers[0].title}, but"
                    f" {names[1]!r} in {self.readers[at].title}: these are not the reads of the same spots in the same"
                    " order.",
                )
        self.same = [
            (one, other)
            for one, other in self.same
            if blocks[one][1::4] == blocks[other][1::4] and blocks[one][3::4] == blocks[other][3::4]
        ]
        if self.paired and sum(reader.longest for reader in self.readers) > LONGEST_READ:
            for number, mates in enumerate(zip(*(lines[1::4] for lines in blocks), strict=True), self.done + 1):
                if sum(map(len, mates)) > LONGEST_READ:
                    titles = " and ".join(reader.title for reader in self.readers)
                    raise too_long(f"{titles}: pair {number:,} has {sum(map(len, mates)):,} bases")
        self.done += len(heads[0])

    def end(self) -> None:
        """Raise RunFault where two files had the same reads throughout."""
        if self.done:
            for one, other in self.same:
                titles = self.readers[one].title, self.readers[other].title
                raise RunFault(
                    "MATES_DISAGREE", f"{titles[0]} and {titles[1]} have the same reads: one file is given twice."
                )


def _shown(header: bytes) -> str:
    words = header[1:].split(None, 1)
    return words[0][:_SHOWN].decode("utf-8", "replace") if words else ""


MateEnds = tuple[bytes, bytes] | None
"""How all names end in one file and in another, ``.1`` and ``.2``; None where that does not name the mate."""


def _mate_ends(one: Sequence[bytes], other: Sequence[bytes]) -> MateEnds:
    """Return how the names of two files end, judged by the first two reads.

    Names that end in the number of the spot (``SRR1.1``, ``SRR1.2``) do not name the mate.
    """
    first, second = ({_mate_end(head) for head in heads[:2]} for heads in (one, other))
    if len(first) == len(second) == 1 and b"" not in first | second and first != second:
        return first.pop(), second.pop()
    return None


def _mate_end(header: bytes) -> bytes:
    found = _MATE.search(_COMMENT.sub(b"", header))
    return found[0] if found else b""


def find_difference(one: Sequence[bytes], other: Sequence[bytes], ends: MateEnds = None) -> int | None:
    """Return the place of the first of as many headers whose names differ, None where all agree."""
    if one == other:
        return None
    texts = [b"\n".join(heads) + b"\n" for heads in (one, other)]
    # As sequencers write them, headers differ in the number of the mate only.
    if ends is None and texts[0].replace(b" 1:", b" 2:").replace(b"/1\n", b"/2\n") == texts[1]:
        return None
    names = [_COMMENT.sub(b"", text) for text in texts]
    if ends is None:
        names = [text.replace(b"/1\n", b"/2\n").replace(b"/2\n", b"\n") for text in names]
    else:
        names = [text.replace(end + b"\n", b"\n") for text, end in zip(names, ends, strict=True)]
    if names[0] == names[1]:
        return None
    pairs = zip(*(text.split(b"\n") for text in names), strict=True)
    return next(number for number, (first, second) in enumerate(pairs) if first != second)


def of_same_spots(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    """Whether as many headers of two files, from their first read on, name the same spots."""
    return find_difference(one, other, _mate_ends(one, other)) is None


class Interleaved(RunFault):
    """A file of single reads has both mates of each pair by turns."""


def check_single(path: Path, title: str) -> Checked:
    """Read a FASTQ file of single reads through, as :func:`check_files`.

    Raises Interleaved (MATES_DISAGREE) where its reads are mates by turns throughout, RunFault (MATES_DISAGREE) where
    most are, or where the names of its second half are those of the first.
    """
    reader = FastqReader(path, title)
    turns, halves = _Turns(), _Halves()
    for lines in reader.blocks():
        heads = lines[::4]
        turns.add(heads)
        halves.add(heads)
    if turns.names > 1 or (reader.reads == 2 and turns.pairs):
        if 2 * turns.pairs == reader.reads:
            raise Interleaved(
                "MATES_DISAGREE",
                f"{title} has both mates of each of its {turns.pairs:,} pairs by turns (interleaved), but is given as"
                " single reads; split it into two files.",
            )
        if 4 * turns.pairs > reader.reads:
            number, head = turns.first_alone()
            raise RunFault(
                "MATES_DISAGREE",
                f"{title} has both mates of {turns.pairs:,} pairs by turns (interleaved), but read {number:,},"
                f" {_shown(head)!r}, has no mate beside it; give the pairs in two files, and reads without a mate as a"
                " run of their own.",
            )
    if halves.agree():
        raise RunFault(
            "MATES_DISAGREE",
            f"{title}: the names of its first {halves.size:,} reads come twice: it is two files in one, but is given as"
            " single reads; split it into the two files.",
        )
    return Checked(reader.reads, reader.odd, reader.bases)


class _Turns:
    """Pairs of reads of one name, one behind the other, counted as long as most reads of a file are of such."""

    def __init__(self) -> None:
        self.reads = self.pairs = 0
        self.names = 0  # of pairs, counted up to 2
        self._pair = b""
        self._ends = re.compile(rb"/[12]\n")
        self._alone: tuple[int, bytes] | None = None
        self._rest: list[bytes] = []
        self._given_up = False

    def add(self, heads: Sequence[bytes]) -> None:
        """Add the headers of the next reads."""
        if self._given_up:
            return
        heads = [*self._rest, *heads]
        names = self._names(heads)
        at = 0
        while at < len(names) - 1:
            if names[at] == names[at + 1]:
                self.pairs += 1
                if self.names < 2 and names[at] != self._pair:
                    self.names += 1
                    self._pair = names[at]
                at += 2
            else:
                self._alone = self._alone or (self.reads + at + 1, heads[at])
                at += 1
        self.reads += at
        self._rest = heads[at:]
        self._given_up = 0 < self.reads >= 4 * self.pairs

    def first_alone(self) -> tuple[int, bytes]:
        """Return number and header of the first read without a mate beside it."""
        return self._alone or (self.reads + 1, self._rest[0])

    def _names(self, heads: Sequence[bytes]) -> list[bytes]:
        text = _COMMENT.sub(b"", b"\n".join(heads) + b"\n")
        names = self._ends.sub(b"\n", text).split(b"\n")[:-1]
        if not self.reads and len(heads) > 3 and not any(map(bytes.__eq__, names, names[1:])):
            ends = {_mate_end(head) for head in heads}
            if len(ends) == 2 and b"" not in ends:
                self._ends = re.compile(b"(?:%s)\n" % b"|".join(map(re.escape, ends)))
                return self._ends.sub(b"\n", text).split(b"\n")[:-1]
        return names


class _Halves:
    """Whether the names of a file's second half are those of its first, judged by the ends of both."""

    def __init__(self) -> None:
        self.size = 0
        """Reads before the one that has the first one's name, 0 where none has."""
        self._reads = 0
        self._first = self._start = self._last = self._middle = b""

    def add(self, heads: Sequence[bytes]) -> None:
        """Add the headers of the next reads."""
        if not self._reads:
            self._first = name_of(heads[0])
            self._start = (heads[0] + b"\n")[: len(self._first) + 2]  # with what is behind the name
        if not self.size and (b"\n".join(heads) + b"\n").find(self._start, not self._reads) >= 0:
            before = self._last
            for number, head in enumerate(heads, self._reads):
                if number and name_of(head) == self._first:
                    self.size, self._middle = number, before
                    break
                before = head
        self._reads += len(heads)
        self._last = heads[-1]

    def agree(self) -> bool:
        """Return whether they are, now that the file is read."""
        return self.size > 1 and self._reads == 2 * self.size and name_of(self._last) == name_of(self._middle)


def split_mates(path: Path, title: str, targets: tuple[Path, Path], most: float = math.inf) -> None:
    """Write the mates of an interleaved FASTQ file to two files, gzipped.

    Raises RunFault(DISK_LIMIT) where these have more than ``most`` bytes together.
    """
    room = Room(title, most)
    with open_packed(targets[0], room) as first, open_packed(targets[1], room) as second:
        rest: list[bytes] = []
        for lines in FastqReader(path, title).blocks():
            rest += lines
            size = len(rest) // 8 * 8
            for at in range(0, size, 8):
                first.write(b"\n".join(rest[at : at + 4]) + b"\n")
                second.write(b"\n".join(rest[at + 4 : at + 8]) + b"\n")
            rest = rest[size:]


def mend(path: Path, title: str, target: Path, most: float = math.inf) -> None:
    """Write a FASTQ file as STAR reads it, gzipped: LF line ends, ``N`` for no base, T for U, names that fit BAM.

    Names that are cut end in the number of the read, so that they differ and mates have the same. Raises
    RunFault(DISK_LIMIT) where the copy has more than ``most`` bytes.
    """
    number = 0
    with open_packed(target, Room(title, most)) as writer:
        for lines in FastqReader(path, title).blocks():
            for at in range(0, len(lines), 4):
                number += 1
                if not lines[at + 1]:
                    lines[at + 1], lines[at + 3] = b"N", b"!"
                lines[at + 1] = lines[at + 1].translate(_RNA)
                name = name_of(lines[at])
                if len(name) > LONGEST_NAME:
                    end = b".%d" % number
                    lines[at] = b"@" + name[: LONGEST_NAME - len(end)] + end
            writer.write(b"\n".join(lines) + b"\n" if lines else b"")
