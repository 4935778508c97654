"""Read groups of a BAM file, many at once, in bounded memory, paired as HTSeq pairs them.

BAM is BGZF (gzip members) around a header and records; a record is its size (int32) and fixed fields, then name, CIGAR,
sequence, qualities, tags (SAM specification, section 4.2). Records are decoded with numpy, chunk by chunk; a chunk ends
between two read groups. A read group is a series of records of one name. Only groups of more than two records are
looked at one by one.

A file counts as paired when its first record is. Then each fragment is a pair of which one mate may be missing, and
secondary and supplementary records are skipped before groups are formed, unless one of the two kinds is scored;
otherwise each record is a fragment.
"""

import contextlib
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.core.disk.gzip_files import deflate_error
from scripts.core.errors import InputError

CHUNK_BYTES = 1 << 24
PAIRED, UNMAPPED, MATE_UNMAPPED, FIRST, SECOND = 0x1, 0x4, 0x8, 0x40, 0x80
SECONDARY, SUPPLEMENTARY = 0x100, 0x800
NOT_PRIMARY = SECONDARY | SUPPLEMENTARY
NO_TAG = -1  # a record without NH
_FIXED_FIELDS = (
    *("size <u4", "contig <i4", "position <i4", "name_length u1", "quality u1", "bin <u2", "operations <u2"),
    *("flag <u2", "bases <i4", "mate_contig <i4", "mate_position <i4", "template <i4"),
)
_FIXED = np.dtype([tuple(field.split()) for field in _FIXED_FIELDS])
_FIXED_BYTES = _FIXED.itemsize
_USUAL_RATIO = 8  # up to this compression a small file is read in one go
_SIZE = struct.Struct("<I").unpack_from  # unsigned, so that a loop along sizes always ends
_TAG_SIZES = {b"A": 1, b"c": 1, b"C": 1, b"s": 2, b"S": 2, b"i": 4, b"I": 4, b"f": 4, b"d": 8}
_NUMBERS = {b"c": "<b", b"C": "<B", b"s": "<h", b"S": "<H", b"i": "<i", b"I": "<I", b"f": "<f", b"d": "<d"}
# By CIGAR operation (MIDNSHP=X): whether it consumes the reference, whether it is aligned
_CONSUMES_REFERENCE = (1, 0, 1, 1, 0, 0, 0, 1, 1)
_IS_ALIGNED = (1, 0, 0, 0, 0, 0, 0, 1, 1)


_FIRST_BYTES = b"\x1f\x8b\x08\x04"
_LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2


class BamError(InputError):
    """A BAM file that cannot be counted; htseq-count stops at such a file too."""


def is_whole_bam(path: str | Path) -> bool:
    """Whether a BAM file is not cut short: it begins with a block of BGZF and ends with its end-of-file block."""
    with Path(path).open("rb") as handle:
        if handle.read(len(_FIRST_BYTES)) != _FIRST_BYTES:
            return False
        size = handle.seek(0, 2)
        handle.seek(max(0, size - len(_LAST_BLOCK)))
        return handle.read() == _LAST_BLOCK and size > len(_LAST_BLOCK)


@dataclass
class Fragments:
    """Fragments of a chunk. Arrays over records; ``first`` and ``second`` over fragments, -1 where there is no mate."""

    flag: np.ndarray
    contig: np.ndarray
    position: np.ndarray
    quality: np.ndarray
    hits: np.ndarray  # NH; NO_TAG where a record has none
    first: np.ndarray
    second: np.ndarray
    tags: np.ndarray  # where the tags of a record begin in ``raw``
    ends: np.ndarray  # and end
    raw: np.ndarray  # the bytes of the chunk
    _cigar: np.ndarray
    _operations: np.ndarray

    def spans(self, records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the aligned spans (M, = and X of the CIGAR, longer than 0) of some records.

        Three arrays: the index in ``records``, the first base on the contig (from 0), the length.
        """
        counts = self._operations[records]
        owner = np.repeat(np.arange(len(records)), counts)
        begins = np.cumsum(counts) - counts
        within = np.arange(len(owner)) - begins[owner]
        words = _view(self.raw, "<u4")[self._cigar[records][owner] + 4 * within]
        kind = words & 15
        if len(kind) and kind.max() > 8:
            raise BamError("a CIGAR has an operation beyond MIDNSHP=X.")
        length = (words >> 4).astype(np.int64)
        taken = length * np.array(_CONSUMES_REFERENCE)[kind]
        reached = np.cumsum(taken) - taken
        base = np.zeros(len(records), np.int64)
        some = counts > 0
        base[some] = reached[begins[some]]
        start = self.position[records][owner] + reached - base[owner]
        kept = np.array(_IS_ALIGNED, bool)[kind] & (length > 0)
        return owner[kept], start[kept], length[kept]


class BamReader:
    """Reads a BAM file from its start; use as a context manager.

    ``contigs`` are the names in the header's order. Raises BamError for a file that is no BAM, is cut short or fails
    its checksums.
    """

    def __init__(self, path: str | Path, chunk_bytes: int = CHUNK_BYTES) -> None:
        from isal import igzip

        self.path = str(path)
        self.chunk_bytes = chunk_bytes
        self._errors = (EOFError, OSError, ValueError, deflate_error())
        try:
            self._file = igzip.open(path, "rb")
        except OSError as error:
            raise BamError(f"{path}: it cannot be read: {error.strerror}.") from error
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "BamReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self, size: int) -> bytes:
        try:
            got = self._file.read(size)
        except self._errors as error:
            raise BamError(f"{self.path}: the file is damaged or cut short ({error}).") from error
        if len(got) != size:
            raise BamError(f"{self.path}: not a BAM file, or cut short within its header.")
        return got

    def _read_header(self) -> None:
        if self._read(4) != b"BAM\1":
            raise BamError(f"{self.path}: not a BAM file; it does not begin with BAM\\1.")
        self.text = self._read(_SIZE(self._read(4))[0]).rstrip(b"\0").decode("utf-8", "replace")
        self.contigs = []
        for _ in range(_SIZE(self._read(4))[0]):
            name = self._read(_SIZE(self._read(4))[0])
            self._read(4)  # length
            self.contigs.append(name.rstrip(b"\0").decode("utf-8", "replace"))

    def fragments(self, primary_only: bool = True) -> Iterator[Fragments]:
        """Yield all fragments, chunk by chunk; a chunk is valid until the next one is read.

        With ``primary_only`` those of secondary and supplementary records are left out. Raises BamError for records
        that htseq-count refuses as well.
        """
        whole = Path(self.path).stat().st_size * _USUAL_RATIO + 4  # a small file needs no large buffer
        buffer = bytearray(min(self.chunk_bytes, whole))
        filled = 0
        paired: bool | None = None
        while True:
            ended = False
            while filled < len(buffer) and not ended:
                try:
                    got = self._file.readinto(memoryview(buffer)[filled:])
                except self._errors as error:
                    raise BamError(f"{self.path}: the file is damaged or cut short ({error}).") from error
                ended = not got
                filled += got
            starts, end = _record_starts(buffer, filled)
            if ended and end != filled:
                raise BamError(f"{self.path}: the file is cut short within a record.")
            if starts:
                chunk = _Chunk(self.path, buffer, starts, primary_only)
                if paired is None:
                    paired = bool(chunk.fixed["flag"][0] & PAIRED)
                kept = len(starts) if ended else chunk.end_of_whole_groups(paired)
                if kept:
                    yield chunk.fragments(kept, paired)
                    end = starts[kept] if kept < len(starts) else end
                else:
                    end = 0
            if ended:
                return
            rest = filled - end
            if not end or len(buffer) < self.chunk_bytes:  # a group that does not fit, or a file that is larger
                larger = bytearray(max(self.chunk_bytes, 2 * rest))
                larger[:rest] = buffer[end:filled]
                buffer = larger
            else:
                buffer[:rest] = buffer[end:filled]
            filled = rest


def star_versions(paths: Iterable[str | Path]) -> set[str]:
    """Return the versions of STAR that wrote some BAM files, from their headers (``@PG``, ``VN``)."""
    versions = set()
    for path in paths:
        with contextlib.suppress(BamError), BamReader(path) as reader:
            versions.update(re.findall(r"^@PG\tID:STAR\t(?:.*\t)?VN:([^\t\n]+)", reader.text, re.M))
    return versions


def _record_starts(buffer: bytearray, filled: int) -> tuple[list[int], int]:
    """Return the starts of the whole records in a buffer, and the end of the last one."""
    starts = []
    position = 0
    while position + 4 <= filled:  # the only loop over single records
        starts.append(position)
        position += _SIZE(buffer, position)[0] + 4
    if position > filled:
        position = starts.pop()
    return starts, position


def _view(raw: np.ndarray, dtype: str) -> np.ndarray:
    """Return an array whose item i is the number that begins at byte i."""
    size = np.dtype(dtype).itemsize
    return np.ndarray((max(len(raw) - size + 1, 0),), dtype, raw.data, 0, (1,))


class _Chunk:
    """Whole records in a buffer."""

    def __init__(self, path: str, buffer: bytearray, starts: list[int], primary_only: bool) -> None:
        self.path = path
        self.skipped = NOT_PRIMARY if primary_only else 0
        self.raw = np.frombuffer(buffer, np.uint8)
        self.starts = np.array(starts, np.int64)
        damaged = BamError(f"{path}: a record is smaller than its fields: the file is damaged.")
        if starts[-1] + _FIXED_BYTES > len(buffer):
            raise damaged
        rows = np.lib.stride_tricks.sliding_window_view(self.raw, _FIXED_BYTES)[self.starts]
        self.fixed = rows.view(_FIXED)[:, 0]
        least = _FIXED_BYTES - 4 + self.fixed["name_length"] + 4 * self.fixed["operations"].astype(np.int64)
        if (self.fixed["size"] < least).any() or (self.fixed["bases"] < 0).any():
            raise damaged

    def _same_name_as_next(self, records: np.ndarray) -> np.ndarray:
        """Return for each of some records but the last whether the next one has the same name."""
        lengths = self.fixed["name_length"][records]
        names = self.starts[records] + _FIXED_BYTES
        same = lengths[1:] == lengths[:-1]
        words = _view(self.raw, "<u8")
        for length in np.unique(lengths[1:][same]).tolist():
            chosen = np.flatnonzero(same & (lengths[1:] == length))
            left, right = names[chosen], names[chosen + 1]
            # 8 bytes at a time from the end, where names differ; then the bytes that are left at the start.
            alike = np.ones(len(chosen), bool)
            for offset in range(length - 8, -1, -8):
                alike &= words[left + offset] == words[right + offset]
            for offset in range(length % 8):
                alike &= self.raw[left + offset] == self.raw[right + offset]
            same[chosen] = alike
        return same

    def end_of_whole_groups(self, paired: bool) -> int:
        """Return the number of records before the last group, which may continue in the next chunk."""
        if not paired:
            return len(self.starts)
        grouped = np.flatnonzero((self.fixed["flag"] & self.skipped) == 0)
        if not len(grouped):
            return len(self.starts)
        for looked_at in (grouped[-200:], grouped):
            ends = np.flatnonzero(~self._same_name_as_next(looked_at))
            if len(ends):
                return int(looked_at[ends[-1] + 1])
        return 0

    def fragments(self, records: int, paired: bool) -> Fragments:
        """Return the fragments among the first ``records`` records."""
        fixed = self.fixed[:records]
        starts = self.starts[:records]
        flag = fixed["flag"].astype(np.int64)
        kept = (flag & self.skipped) == 0
        aligned = (flag & UNMAPPED) == 0
        self._refuse(fixed, flag, aligned, paired)
        if paired:
            first, second = self._pair(np.flatnonzero(kept), fixed, flag, aligned)
        else:
            first = np.flatnonzero(kept | ~aligned)
            second = np.full(len(first), -1)
        cigar = starts + _FIXED_BYTES + fixed["name_length"]
        operations = fixed["operations"].astype(np.int64)
        used = np.zeros(records, bool)
        used[first[first >= 0]] = True
        used[second[second >= 0]] = True
        tags = cigar + 4 * operations + (fixed["bases"].astype(np.int64) + 1) // 2 + fixed["bases"]
        ends = starts + 4 + fixed["size"]
        hits = self._hits(tags, ends, used)
        contig, position, quality = (fixed[name].astype(np.int64) for name in ("contig", "position", "quality"))
        return Fragments(flag, contig, position, quality, hits, first, second, tags, ends, self.raw, cigar, operations)

    def _refuse(self, fixed: np.ndarray, flag: np.ndarray, aligned: np.ndarray, paired: bool) -> None:
        if paired and not (flag & PAIRED).all():
            raise BamError(f"{self.path}: single-end reads among paired-end reads.")
        if paired and not (flag & (FIRST | SECOND)).all():
            raise BamError(f"{self.path}: a paired-end read that is neither the first nor the second of its pair.")
        if (aligned & ((fixed["contig"] < 0) | (fixed["position"] < 0) | (fixed["operations"] == 0))).any():
            raise BamError(f"{self.path}: a read flagged as aligned has no position or no CIGAR.")

    def _pair(
        self, kept: np.ndarray, fixed: np.ndarray, flag: np.ndarray, aligned: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the second mate of each fragment, in the order of the file."""
        if not len(kept):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        breaks = np.flatnonzero(~self._same_name_as_next(kept)) + 1
        begins = np.append(0, breaks)
        sizes = np.diff(np.append(begins, len(kept)))
        is_first = (flag & FIRST) != 0
        mate_aligned = ((flag & MATE_UNMAPPED) == 0) & (fixed["mate_contig"] != -1)

        def mates(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            both = aligned[left] & aligned[right]
            there = (
                (fixed["contig"][left] == fixed["mate_contig"][right])
                & (fixed["position"][left] == fixed["mate_position"][right])
                & (fixed["contig"][right] == fixed["mate_contig"][left])
                & (fixed["position"][right] == fixed["mate_position"][left])
            )
            return (
                (is_first[left] != is_first[right])
                & (aligned[left] == mate_aligned[right])
                & (mate_aligned[left] == aligned[right])
                & (~both | there)
            )

        leads, partners = [kept[begins[sizes == 1]]], []
        partners.append(np.full(len(leads[0]), -1))
        twos = begins[sizes == 2]
        left, right = kept[twos], kept[twos + 1]
        joined = mates(left, right)
        apart = np.concatenate([left[~joined], right[~joined]])
        leads += [left[joined], apart]
        partners += [right[joined], np.full(len(apart), -1)]
        odd: list[tuple[int, int]] = []
        for begin, size in zip(begins[sizes > 2].tolist(), sizes[sizes > 2].tolist(), strict=True):
            group = kept[begin : begin + size].tolist()
            while group:
                lead = group.pop(0)
                fits = mates(np.full(len(group), lead), np.array(group, np.int64))
                odd.append((lead, group.pop(int(fits.argmax())) if fits.any() else -1))
        leads.append(np.array([lead for lead, _ in odd], np.int64))
        partners.append(np.array([partner for _, partner in odd], np.int64))
        lead, partner = np.concatenate(leads), np.concatenate(partners)
        leads_first = is_first[lead]
        return np.where(leads_first, lead, partner), np.where(leads_first, partner, lead)

    def _hits(self, tags: np.ndarray, ends: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Return the NH tag of the records in ``used``; STAR writes it first and in one byte, others anywhere."""
        hits = np.full(len(tags), NO_TAG, np.int64)
        near = np.flatnonzero(used & (ends - tags >= 4))
        words = _view(self.raw, "<u4")[tags[near]]
        # "NH" and type C or c, then the byte; with type c it is positive, or the slow way is taken
        known = ((words & 0xDFFFFF) == int.from_bytes(b"NHC", "little")) & (words < 1 << 31)
        hits[near[known]] = words[known] >> 24
        for record in near[~known].tolist():
            hits[record] = _find_hits(self.raw[tags[record] : ends[record]].tobytes())
        return hits


def _find_hits(tags: bytes) -> int:
    """Return the value of NH among a record's tags (a fraction above 1 as 2), NO_TAG where there is none."""
    position = 0
    while position + 3 <= len(tags):
        name, kind = tags[position : position + 2], tags[position + 2 : position + 3]
        position += 3
        if name == b"NH":
            if kind not in _NUMBERS:
                raise BamError(f"a tag NH of type {kind.decode('latin-1')!r}; it must be a number.")
            value = struct.unpack_from(_NUMBERS[kind], tags, position)[0]
            return max(NO_TAG + 1, 2 if 1 < value < 2 else int(value))
        if kind in _TAG_SIZES:
            position += _TAG_SIZES[kind]
        elif kind in (b"Z", b"H"):
            position = tags.find(b"\0", position) + 1 or len(tags)
        elif kind == b"B":
            item = _TAG_SIZES.get(tags[position : position + 1], 1)
            position += 5 + item * struct.unpack_from("<I", tags, position + 1)[0]
        else:
            raise BamError(f"a tag of the unknown type {kind.decode('latin-1')!r}.")
    return NO_TAG
