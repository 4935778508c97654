"""MEX archives: one matrix with its barcodes, features and metadata in a gzip'd tar (docs/formats.md).

The writer gives the same bytes for the same content on every machine, at any number of threads. The reader takes
archives from anywhere and refuses what is no archive of four regular files of one folder.
"""

import csv
import hashlib
import io
import re
import struct
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from scripts.core.errors import InputError
from scripts.core.files import atomic_path

if TYPE_CHECKING:
    import anndata
    import numpy
    import scipy.sparse

TYPE = "MexGeneArchive_v1"
METADATA_NAMES = ("metadata.tsv", "manifest.tsv")
"""Names of the metadata: the specification's, and the one that the published reader looks for."""
FIELDS = (
    "type",
    "software",
    "software_version",
    "arguments",
    "output_type",
    "experiment_accession",
    "description",
    "library_accession",
)
"""Names in the metadata before those of the members, in this order."""
SJ_COLUMNS = ("contig", "start", "end", "strand", "intron_motif", "annotated", "unique", "multi", "overhang")
GENE_COLUMNS = ("gene_id", "gene_name", "feature_type")

PIECE = 1 << 19
"""Bytes that are deflated by themselves; a fixed number, so that threads do not change the bytes. They are read, hashed
and deflated while they are in the processor's cache."""
LEVEL = 3
BARCODE_LEVEL = 1
"""Level of ISA-L; sequences shrink to the two bits of a base at any of them, and level 1 is faster."""
_BLOCK = tarfile.BLOCKSIZE
_STORED = 0xFFFF
_READ = 1 << 20
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time
_LAST_BLOCK = b"\x03\x00"
_LIMITS = {"metadata": 1 << 22, "barcodes.tsv": 1 << 31, "features.tsv": 1 << 31}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_MD5 = "md5sum:"
_MAX_TAIL = 1 << 20


# ------------------------------------------------------------------------------------------------------------ writing


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    info.uname = info.gname = "root"
    # Sizes from 8 GiB on need GNU's binary field; below, the two formats differ in nothing but USTAR's magic.
    return info.tobuf(tarfile.GNU_FORMAT if size >= 1 << 33 else tarfile.USTAR_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % _BLOCK)


def metadata_text(fields: Mapping[str, str], members: Mapping[str, str]) -> bytes:
    """Return the text of metadata.tsv; ``members`` is path in the archive → md5 in hexadecimal digits.

    White space inside a value becomes a blank, so that a line is a name, a tab and a value. Only a value that begins
    with a quote is quoted, as csv readers (the published one, and ours) expect it.
    """
    lines = ["name\tvalue"]
    for name, value in fields.items():
        told = " ".join(value.split())
        if told.startswith('"'):
            told = '"' + told.replace('"', '""') + '"'
        lines.append(f"{name}\t{told}")
    lines += [f"{path}\t{_MD5}{digest}" for path, digest in members.items()]
    return ("\n".join(lines) + "\n").encode()


def _store(content: bytes) -> bytes:
    """Return content as stored deflate blocks: its length is known before its bytes are."""
    pieces = []
    for start in range(0, len(content), _STORED):
        part = content[start : start + _STORED]
        pieces.append(struct.pack("<BHH", 0, len(part), len(part) ^ _STORED) + part)
    return b"".join(pieces)


def _deflate(piece: memoryview, level: int) -> tuple[bytes, int, int]:
    from isal import isal_zlib

    packer = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
    packed = packer.compress(piece) + packer.flush(isal_zlib.Z_FULL_FLUSH)
    return packed, isal_zlib.crc32(piece), len(piece)


class _Deflater:
    """Deflates a stream in pieces of PIECE bytes, ``threads`` at a time, and writes them in order."""

    def __init__(self, handle: BinaryIO, threads: int, pool: ThreadPoolExecutor | None) -> None:
        self.handle, self.threads, self.pool = handle, threads, pool
        self.crc, self.length = 0, 0
        self._waiting: deque[tuple[Future[tuple[bytes, int, int]], bytearray]] = deque()
        self._free: list[bytearray] = []
        self._piece = bytearray(PIECE)
        self._filled = 0
        self.level = self._piece_level = LEVEL  # a piece has the level of its first byte

    def write(self, content: bytes) -> None:
        """Take a few bytes."""
        source = io.BytesIO(content)
        while self.take(source, len(content)):
            pass

    def take(self, source: BinaryIO, most: int) -> memoryview:
        """Take at most so many bytes of a source and return them, good until the next call; empty at its end."""
        first = self._filled
        if first == PIECE:
            self._submit(self._piece, PIECE)
            self._piece, first = self._free.pop() if self._free else bytearray(PIECE), 0
            self._piece_level = self.level
        view = memoryview(self._piece)[first : first + most]
        read = source.readinto(view)  # type: ignore[attr-defined]
        self._filled = first + read
        return view[:read]

    def _submit(self, piece: bytearray, size: int) -> None:
        content = memoryview(piece)[:size]
        if self.pool is None:
            self._put(_deflate(content, self._piece_level))
            self._free.append(piece)
            return
        while len(self._waiting) > self.threads:
            self._take_first()
        self._waiting.append((self.pool.submit(_deflate, content, self._piece_level), piece))

    def _take_first(self) -> None:
        future, piece = self._waiting.popleft()
        self._put(future.result())
        self._free.append(piece)

    def _put(self, result: tuple[bytes, int, int]) -> None:
        from isal import isal_zlib

        packed, crc, length = result
        self.handle.write(packed)
        self.crc = isal_zlib.crc32_combine(self.crc, crc, length)
        self.length += length

    def close(self) -> None:
        """Deflate what is left and wait for all."""
        if self._filled:
            self._submit(self._piece, self._filled)
        while self._waiting:
            self._take_first()


@contextmanager
def _opened(sources: Sequence[str | Path | bytes]) -> Iterator[list[tuple[BinaryIO, int]]]:
    with ExitStack() as stack:
        handles: list[tuple[BinaryIO, int]] = []
        for source in sources:
            if isinstance(source, bytes):
                handles.append((io.BytesIO(source), len(source)))
            else:
                handle = stack.enter_context(Path(source).open("rb", buffering=0))
                handles.append((handle, handle.seek(0, 2)))  # type: ignore[arg-type]
                handle.seek(0)
        yield handles


def write_archive(
    target: str | Path,
    folder: str,
    matrix_name: str,
    *,
    fields: Mapping[str, str],
    barcodes: str | Path | bytes,
    features: str | Path | bytes,
    matrix: str | Path | bytes,
    metadata_name: str = METADATA_NAMES[0],
    threads: int = 1,
) -> dict[str, str]:
    """Write an archive and return path in the archive → md5 of its three parts.

    ``folder`` is that of the members, ``Gene/raw``; ``fields`` are the metadata before those of the members, in their
    order; the parts are paths or bytes. Each is read once; memory holds some pieces of it. Raises InputError where
    a part is no regular text of its kind: a link that leads nowhere, no last line end, a matrix without head or with
    another number of entries than it says.
    """
    names = [f"{folder}/barcodes.tsv", f"{folder}/features.tsv", f"{folder}/{matrix_name}"]
    for source in (barcodes, features, matrix):
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise InputError(f"{source}: there is no such file to be packed.")
    blank = metadata_text(fields, dict.fromkeys(names, "0" * 32))
    with ExitStack() as stack:
        parts = stack.enter_context(_opened([barcodes, features, matrix]))
        handle = stack.enter_context(stack.enter_context(atomic_path(target)).open("wb"))
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        head = _tar_header(f"{folder}/{metadata_name}", len(blank))
        handle.write(_GZIP_HEAD + _store(head + blank + _padding(len(blank))))
        deflater = _Deflater(handle, threads, pool)
        total = len(head) + len(blank) + len(_padding(len(blank)))
        digests = {}
        for name, (source, size) in zip(names, parts, strict=True):
            deflater.write(_tar_header(name, size))
            digests[name] = _pack_part(deflater, source, size, name, matrix=name == names[2])
            total += _BLOCK + size + len(_padding(size))
        deflater.write(b"\0" * (2 * _BLOCK + -(total + 2 * _BLOCK) % tarfile.RECORDSIZE))
        deflater.close()
        _finish(handle, head, metadata_text(fields, digests), deflater)
    return digests


def _lines_of_matrix(source: BinaryIO, name: str) -> int:
    """Return how many lines a matrix must have by its head, and leave its file at the beginning."""
    from scripts.formats.matrix_market import FormatError, parse_head

    start = source.read(1 << 17)
    source.seek(0)
    try:
        told = parse_head(start)
    except FormatError as error:
        raise InputError(f"{name}: {error}.") from error
    if told is None:
        raise InputError(f"{name}: not a Matrix Market file; it has no head.")
    return told[0].entries + start[: told[1]].count(b"\n")


def _pack_part(deflater: _Deflater, source: BinaryIO, size: int, name: str, *, matrix: bool) -> str:
    import numpy as np

    expected = _lines_of_matrix(source, name) if matrix else 0
    deflater.level = BARCODE_LEVEL if name.endswith("/barcodes.tsv") else LEVEL
    digest = hashlib.md5(usedforsecurity=False)
    read = lines = 0
    last = 10
    while len(piece := deflater.take(source, size - read)):
        if matrix:
            lines += int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8) == 10))
        digest.update(piece)
        read += len(piece)
        last = piece[-1]
    if read != size or source.read(1):
        raise InputError(f"{name}: the file changed while it was packed.")
    if last != 10:
        raise InputError(f"{name}: the last line is cut short; was the disk full?")
    if matrix and lines != expected:
        raise InputError(f"{name}: {lines} lines, but its head promises {expected}; was the disk full?")
    deflater.write(_padding(size))
    return digest.hexdigest()


def _finish(handle: BinaryIO, head: bytes, metadata: bytes, deflater: _Deflater) -> None:
    """Write gzip's end, and the true metadata over the blank ones, which are as long."""
    from isal import isal_zlib

    first = head + metadata + _padding(len(metadata))
    crc = isal_zlib.crc32_combine(isal_zlib.crc32(first), deflater.crc, deflater.length)
    handle.write(_LAST_BLOCK + struct.pack("<II", crc, (len(first) + deflater.length) & 0xFFFFFFFF))
    handle.seek(len(_GZIP_HEAD))
    handle.write(_store(first))


# ------------------------------------------------------------------------------------------------------------ reading


@dataclass
class MexArchive:
    """An archive in memory; ``matrix`` is features × barcodes."""

    folder: str
    metadata: dict[str, str]
    """The metadata without the lines of the members."""
    barcodes: "numpy.ndarray"
    """Bytes (dtype S): a barcode each."""
    features: list[tuple[str, ...]]
    matrix: "scipy.sparse.csc_matrix"
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def matrix_name(self) -> str:
        """Name of the matrix in the archive, ``matrix.mtx`` and so on."""
        return next(path.rpartition("/")[2] for path in self.digests if path.endswith(".mtx"))

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """Names of the columns of the features."""
        width = len(self.features[0]) if self.features else 0
        if self.folder.split("/")[0] == "SJ":
            return SJ_COLUMNS[:width]
        return GENE_COLUMNS[:width] + tuple(f"column_{number}" for number in range(4, width + 1))

    def to_anndata(self) -> "anndata.AnnData":
        """Return the archive as AnnData: barcodes × features, metadata in ``uns``; junctions are named by place."""
        import anndata
        import pandas

        columns = self.feature_columns
        if columns and columns == SJ_COLUMNS[: len(columns)]:
            index = [":".join(row[:4]) for row in self.features]
            table = {name: [row[place] for row in self.features] for place, name in enumerate(columns)}
            whole = {name: all(value.isdecimal() for value in values) for name, values in table.items()}
            frame = pandas.DataFrame(
                {name: list(map(int, values)) if whole[name] else values for name, values in table.items()}, index=index
            )
        else:
            index = [row[0] for row in self.features]
            frame = pandas.DataFrame(
                {name: [row[place] for row in self.features] for place, name in enumerate(columns) if place},
                index=index,
            )
        return anndata.AnnData(
            X=self.matrix.T.tocsr(),
            obs=pandas.DataFrame(index=self.barcodes.astype(str)),
            var=frame,
            uns=dict(self.metadata),
        )


class Member(NamedTuple):
    """A file of an archive as it comes by: its path there, its size, and what part it is."""

    path: str
    size: int
    part: str
    """``metadata``, ``barcodes.tsv``, ``features.tsv`` or ``matrix``."""


class ArchiveStream:
    """The members of an archive, one after the other; every departure from the format is an InputError.

    ``digests`` holds path → md5 of the members read so far, the metadata left out.
    """

    def __init__(self, handle: BinaryIO, name: str) -> None:
        from isal import igzip

        self.name = name
        self._stream = igzip.IGzipFile(fileobj=handle, mode="rb")
        self.metadata: dict[str, str] = {}
        self.promised: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def refuse(self, fault: str) -> InputError:
        """Return the error that tells a fault of this archive."""
        return InputError(f"{self.name}: not a MEX archive: {fault}.")

    def _read(self, size: int) -> bytes:
        import zlib

        from isal import isal_zlib

        try:
            return self._stream.read(size)
        except EOFError as error:
            raise InputError(f"{self.name}: the archive is cut short.") from error
        except (OSError, zlib.error, isal_zlib.error) as error:
            raise InputError(f"{self.name}: the archive cannot be read: {error}.") from error

    def _read_whole(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self._read(min(size, _READ))
            if not piece:
                raise InputError(f"{self.name}: the archive is cut short.")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield the content of the member at hand; must be read to its end. Its md5 is checked at the end."""
        digest = hashlib.md5(usedforsecurity=False)
        left = member.size
        while left:
            piece = self._read(min(left, _READ))
            if not piece:
                raise InputError(f"{self.name}: the archive is cut short.")
            digest.update(piece)
            left -= len(piece)
            yield piece
        if self._read_whole(-member.size % _BLOCK).strip(b"\0"):
            raise self.refuse(f"{member.path} is longer than its header says")
        if member.part != "metadata":
            self.digests[member.path] = digest.hexdigest()

    def members(self) -> Iterator[Member]:
        """Yield the four members in their order; each must be read through :meth:`pieces` before the next."""
        seen: dict[str, str] = {}
        while (header := self._read_whole(_BLOCK)) != b"\0" * _BLOCK:
            member = self._member_of(header, next(iter(seen.values()), ""))
            if member.part in seen:
                raise self.refuse(f"{member.path} is the second {member.part}")
            if not seen and member.part != "metadata":
                raise self.refuse(f"the first member is {member.path}, but must be metadata.tsv or manifest.tsv")
            seen[member.part] = member.path
            yield member
        missing = [part for part in ("metadata", "barcodes.tsv", "features.tsv", "matrix") if part not in seen]
        if missing:
            raise self.refuse(f"it has no {', '.join(missing)}")
        tail = 0
        while piece := self._read(_READ):
            tail += len(piece)
            if piece.strip(b"\0") or tail > _MAX_TAIL:
                raise self.refuse("there is more behind its four members")
        if unknown := sorted(set(self.promised) - set(seen.values())):
            raise self.refuse(f"its metadata name {', '.join(unknown)}, which is not there")

    def _member_of(self, header: bytes, first: str) -> Member:
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise self.refuse(f"a tar header is broken ({error})") from error
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise self.refuse(f"{info.name!r} is no regular file (a link, folder, device or extension of tar)")
        folder, _, name = info.name.rpartition("/")
        if not all(_NAME.fullmatch(step) for step in info.name.split("/")):
            raise self.refuse(f"the name {info.name!r} is not a plain relative path")
        if first and first.rpartition("/")[0] != folder:
            raise self.refuse(f"{info.name} is in another folder than {first}")
        part = "metadata" if name in METADATA_NAMES else "matrix" if name.endswith(".mtx") else name
        if part not in ("metadata", "matrix", "barcodes.tsv", "features.tsv"):
            raise self.refuse(f"{info.name} is none of metadata.tsv, barcodes.tsv, features.tsv and a .mtx")
        if info.size < 0 or info.size > _LIMITS.get(part, info.size):
            raise self.refuse(f"{info.name} of {info.size} bytes is larger than any {part}")
        return Member(info.name, info.size, part)

    def take_metadata(self, member: Member) -> bytes:
        """Read the metadata and return their bytes: ``metadata`` gets fields, ``promised`` path → md5 of members."""
        content = b"".join(self.pieces(member))
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), delimiter="\t"))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self.refuse(f"{member.path} is no table ({error})") from error
        if not rows or rows[0] != ["name", "value"]:
            raise self.refuse(f"{member.path} does not begin with the line 'name<TAB>value'")
        folder = member.path.rpartition("/")[0]
        for row in rows[1:]:
            if len(row) != 2:
                raise self.refuse(f"{member.path} has a line of {len(row)} values: {row!r:.80}")
            name, value = row
            if name in FIELDS:
                self.metadata[name] = value
            elif value.startswith(_MD5):  # older writers name the member by the path it had on their machine
                self.promised[f"{folder}/{name.rpartition('/')[2]}"] = value.removeprefix(_MD5)
            else:
                self.metadata[name] = value
        if self.metadata.get("type") != TYPE:
            raise self.refuse(f"its type is {self.metadata.get('type', 'missing')!r}, but {TYPE!r} is read")
        return content

    def differing(self) -> list[str]:
        """Return the members read so far that do not have the md5 that the metadata promise, or have none there."""
        return [path for path, digest in self.digests.items() if self.promised.get(path) != digest]


@contextmanager
def open_archive(source: str | Path | BinaryIO) -> Iterator[ArchiveStream]:
    """Open an archive from a path, an http(s) address or an open file."""
    if not isinstance(source, str | Path):
        yield ArchiveStream(source, getattr(source, "name", None) or "the archive")
        return
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        import urllib.request

        try:
            handle = urllib.request.urlopen(source, timeout=60)
        except OSError as error:
            raise InputError(f"{source}: cannot be reached: {error}.") from error
    else:
        try:
            handle = Path(source).open("rb")
        except OSError as error:
            raise InputError(f"{source}: cannot be read: {error.strerror}.") from error
    with handle:
        yield ArchiveStream(handle, str(source))


def _barcodes_of(content: bytes) -> "numpy.ndarray":
    import numpy as np

    content = content.replace(b"\r\n", b"\n")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    length = content.find(b"\n")
    letters = np.frombuffer(content, dtype=np.uint8)
    if length > 0 and letters.size % (length + 1) == 0:
        table = letters.reshape(-1, length + 1)
        if (table[:, -1] == 10).all() and np.count_nonzero(letters == 10) == table.shape[0]:
            return np.ascontiguousarray(table[:, :-1]).view(f"S{length}")[:, 0]
    lines = content.split(b"\n")[:-1]
    return np.array(lines, dtype=np.bytes_) if lines else np.zeros(0, dtype="S1")


def read_archive(source: str | Path | BinaryIO) -> MexArchive:
    """Return an archive from a path, an http(s) address or an open file, its md5 checked on the way.

    Raises InputError for whatever is not as the format says: links, absolute names, ``..``, members that are missing
    or too many, wrong sizes and checksums, a matrix that does not fit its barcodes and features.
    """
    from scripts.formats.matrix_market import FormatError, read_matrix

    with open_archive(source) as stream:
        folder = ""
        contents: dict[str, bytes] = {}
        matrix = None
        for member in stream.members():
            if member.part == "metadata":
                folder = member.path.rpartition("/")[0]
                stream.take_metadata(member)
            elif member.part == "matrix":
                try:
                    matrix = read_matrix(stream.pieces(member), member.size)
                except FormatError as error:
                    raise InputError(f"{stream.name}: {member.path}: {error}.") from error
            else:
                contents[member.part] = b"".join(stream.pieces(member))
        if differing := stream.differing():
            raise InputError(f"{stream.name}: {', '.join(differing)} differ(s) from the md5 in the metadata.")
        assert matrix is not None
        barcodes = _barcodes_of(contents.pop("barcodes.tsv"))
        try:
            lines = contents.pop("features.tsv").decode("utf-8").replace("\r\n", "\n").split("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{stream.name}: features.tsv is not UTF-8: {error}.") from error
        features = [tuple(line.split("\t")) for line in (lines[:-1] if lines[-1] == "" else lines)]
        if len({len(row) for row in features}) > 1:
            raise InputError(f"{stream.name}: the lines of features.tsv do not have the same number of columns.")
        if matrix.shape != (len(features), barcodes.size):
            raise InputError(
                f"{stream.name}: the matrix is of {matrix.shape[0]} features and {matrix.shape[1]} barcodes, but there"
                f" are {len(features)} and {barcodes.size}."
            )
        return MexArchive(folder, stream.metadata, barcodes, features, matrix, dict(stream.digests))


def verify_archive(source: str | Path | BinaryIO) -> dict[str, bool]:
    """Return path → whether a member has the md5 that the metadata promise. Raises InputError for no archive."""
    with open_archive(source) as stream:
        for member in stream.members():
            if member.part == "metadata":
                stream.take_metadata(member)
            else:
                for _ in stream.pieces(member):
                    pass
        differing = set(stream.differing())
        return {path: path not in differing for path in stream.digests}


def unpack_archive(source: str | Path | BinaryIO, target: str | Path) -> list[Path]:
    """Write the members below a folder, under their names in the archive; return their paths.

    Nothing is left there when the archive is refused. Raises InputError as :func:`read_archive`, the matrix unread.
    """
    import shutil
    import tempfile

    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    with open_archive(source) as stream, tempfile.TemporaryDirectory(prefix=".unpack.", dir=target) as held:
        paths = []
        for member in stream.members():
            path = Path(held, member.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.part == "metadata":
                path.write_bytes(stream.take_metadata(member))
            else:
                with path.open("wb") as writer:
                    for piece in stream.pieces(member):
                        writer.write(piece)
            paths.append(member.path)
        if differing := stream.differing():
            raise InputError(f"{stream.name}: {', '.join(differing)} differ(s) from the md5 in the metadata.")
        for path in paths:
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(held, path), place)
        return [target / path for path in paths]
