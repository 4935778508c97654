"""Read MEX archives (docs/formats.md) from paths, addresses and open files.

An archive may come from anywhere: what is not four regular files of one folder is refused.
"""

import csv
import filecmp
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from isal import igzip

from scripts.core.disk.files import path_below
from scripts.core.disk.gzip_files import BoundedGzip
from scripts.core.errors import InputError
from scripts.droplets.mex.mex_writer import CONTROL, MD5, METADATA_NAMES, TYPE

if TYPE_CHECKING:
    import anndata
    import scipy.sparse

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
PARTS = ("metadata", "barcodes.tsv", "features.tsv", "matrix")
_BLOCK = tarfile.BLOCKSIZE
_READ = 1 << 22
_LIMITS = {"metadata": 1 << 22, "barcodes.tsv": 1 << 31, "features.tsv": 1 << 31}
_MOST_INFLATED = 100  # times its own size; barcodes and counts inflate to five or ten times
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_MAX_TAIL = 1 << 20
_LONGEST_BARCODE = 1 << 10
_MOST_GENES = 1 << 20  # of a matrix that is added up
_MOST_NAMES = 1 << 27  # bytes of barcodes or of features of a matrix that is added up


@dataclass
class MexArchive:
    """An archive in memory; ``matrix`` is features × barcodes."""

    folder: str
    metadata: dict[str, str]
    """The metadata without the lines of the members."""
    barcodes: np.ndarray
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
        known = SJ_COLUMNS if self.folder.split("/")[0] == "SJ" else GENE_COLUMNS
        return known[:width] + tuple(f"column_{number}" for number in range(len(known) + 1, width + 1))

    def to_anndata(self) -> "anndata.AnnData":
        """Return the archive as AnnData: barcodes × features, metadata in ``uns``; junctions are named by position."""
        import anndata
        import pandas

        frame = pandas.DataFrame(self.features, columns=list(self.feature_columns), dtype=object)
        if self.folder.split("/")[0] == "SJ":
            frame.index = pandas.Index([":".join(row[:4]) for row in self.features])
            whole = [name for name in frame if all(value.isdecimal() and len(value) < 19 for value in frame[name])]
            frame = frame.astype(dict.fromkeys(whole, "int64"))
        elif self.features:
            frame = frame.set_index("gene_id").rename_axis(None)
        return anndata.AnnData(
            X=self.matrix.T.tocsr(),
            obs=pandas.DataFrame(index=self.barcodes.astype(str)),
            var=frame,
            uns=dict(self.metadata),
        )


class MexParts(NamedTuple):
    """An archive whose matrix is a file."""

    name: str
    """What errors call it."""
    folder: str
    metadata: dict[str, str]
    barcodes: np.ndarray
    features: list[tuple[str, ...]]
    matrix_name: str
    matrix: Path

    @property
    def is_of_junctions(self) -> bool:
        """Whether its features are splice junctions."""
        return self.folder.split("/")[0] == "SJ"


class Member(NamedTuple):
    """The next file of an archive: its path there, its size, and what part it is."""

    path: str
    size: int
    part: str
    """One of PARTS."""


class ArchiveStream:
    """The members of an archive, one after the other; every departure from the format is an InputError.

    ``digests`` and ``expected`` are path → md5 of the members: of those read so far, and as the metadata have it.
    """

    def __init__(self, handle: BinaryIO, name: str) -> None:
        self.name = name
        self._stream = BoundedGzip(handle, name, _MOST_INFLATED)
        self.metadata: dict[str, str] = {}
        self.expected: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def error(self, fault: str) -> InputError:
        """Return the error of an archive that breaks the format."""
        return InputError(f"{self.name}: not a MEX archive: {fault}.")

    def _read_pieces(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._stream.read(min(size, _READ))
            if not piece:
                raise InputError(f"{self.name}: cannot be read to its end: it is cut short.")
            size -= len(piece)
            yield piece

    def _member_pieces(self, member: Member) -> Iterator[bytes]:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self._read_pieces(member.size):
            digest.update(piece)
            yield piece
        if b"".join(self._read_pieces(-member.size % _BLOCK)).strip(b"\0"):
            raise self.error(f"{member.path} is longer than its header says")
        if member.part != "metadata":
            self.digests[member.path] = digest.hexdigest()

    def members(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield the four members in their order, each with its content, to be read to its end before the next one."""
        seen: dict[str, str] = {}
        while (header := b"".join(self._read_pieces(_BLOCK))) != b"\0" * _BLOCK:
            member = self._parse_header(header, next(iter(seen.values()), ""))
            if member.part in seen:
                raise self.error(f"{member.path} is the second {member.part}")
            if not seen and member.part != "metadata":
                raise self.error(f"the first member is {member.path}, but must be metadata.tsv or manifest.tsv")
            seen[member.part] = member.path
            pieces = self._member_pieces(member)
            if member.part == "metadata":
                content = b"".join(pieces)
                self._parse_metadata(member.path, content)
                pieces = iter([content])
            yield member, pieces
        if missing := [part for part in PARTS if part not in seen]:
            raise self.error(f"it has no {', '.join(missing)}")
        tail = 0
        while piece := self._stream.read(_READ):
            tail += len(piece)
            if piece.strip(b"\0") or tail > _MAX_TAIL:
                raise self.error("there is more behind its four members")
        if unknown := sorted(set(self.expected) - set(seen.values())):
            raise self.error(f"its metadata name {', '.join(unknown)}, which is not there")

    def _parse_header(self, header: bytes, first: str) -> Member:
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise self.error(f"a tar header is broken ({error})") from error
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise self.error(f"{info.name!r} is no regular file (a link, folder, device or extension of tar)")
        folder, _, name = info.name.rpartition("/")
        if not all(_NAME.fullmatch(step) for step in info.name.split("/")):
            raise self.error(f"the name {info.name!r} is not a plain relative path")
        if first and first.rpartition("/")[0] != folder:
            raise self.error(f"{info.name} is in another folder than {first}")
        part = "metadata" if name in METADATA_NAMES else "matrix" if name.endswith(".mtx") else name
        if part not in PARTS:
            raise self.error(f"{info.name} is none of metadata.tsv, barcodes.tsv, features.tsv and a .mtx")
        if info.size < 0 or info.size > _LIMITS.get(part, info.size):
            raise self.error(f"{info.name} of {info.size} bytes is larger than any {part}")
        return Member(info.name, info.size, part)

    def _parse_metadata(self, path: str, content: bytes) -> None:
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), delimiter="\t"))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self.error(f"{path} is no table ({error})") from error
        if control := CONTROL.search(content.decode()):
            raise self.error(f"{path} has the control character {control[0]!r}")
        if rows and rows[0] and rows[0][0].startswith("\ufeff"):
            raise self.error(f"{path} begins with a byte order mark")
        if not rows or rows[0] != ["name", "value"]:
            raise self.error(f"{path} does not begin with the line 'name<TAB>value'")
        folder = path.rpartition("/")[0]
        if twice := sorted(name for name, times in Counter(row[0] for row in rows[1:] if row).items() if times > 1):
            raise self.error(f"{path} has {twice[0]!r:.80} more than once")
        for row in rows[1:]:
            if len(row) != 2:
                raise self.error(f"{path} has a line of {len(row)} values: {row!r:.80}")
            name, value = row
            if not re.search(r"\w", name):
                raise self.error(f"{path} has the name {name!r:.80}, which is none")
            if name not in FIELDS and value.startswith(MD5):  # some writers name members by their own machine's path
                self.expected[f"{folder}/{name.rpartition('/')[2]}"] = value.removeprefix(MD5)
            else:
                self.metadata[name] = value
        if self.metadata.get("type") != TYPE:
            raise self.error(f"its type is {self.metadata.get('type', 'missing')!r}, but {TYPE!r} is read")

    def skim(self) -> None:
        """Read all members, which must be as the format says; for :meth:`differing`."""
        for _, pieces in self.members():
            for _ in pieces:
                pass

    def differing(self) -> list[str]:
        """Return the members read so far whose md5 is not that in the metadata, or has none there."""
        return [path for path, digest in self.digests.items() if self.expected.get(path) != digest]

    def check_digests(self) -> None:
        """Raise InputError where a member read so far differs from the metadata."""
        if differing := self.differing():
            raise InputError(f"{self.name}: {', '.join(differing)} differ(s) from the md5 in the metadata.")


@contextmanager
def open_archive(source: str | Path | BinaryIO, name: str = "") -> Iterator[ArchiveStream]:
    """Open an archive from a path, an http(s) address or an open file, which errors call ``name``."""
    if not isinstance(source, str | Path):
        yield ArchiveStream(source, name or str(getattr(source, "name", None) or "the archive"))
        return
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        import http.client
        import urllib.request

        try:
            handle = urllib.request.urlopen(source, timeout=60)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InputError(f"{source}: cannot be reached: {error or type(error).__name__}.") from error
        with handle:
            try:
                yield ArchiveStream(handle, source)
            except http.client.HTTPException as error:
                raise InputError(f"{source}: cannot be read to its end: {error!r}.") from error
        return
    try:
        opened = Path(source).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    with opened:
        yield ArchiveStream(opened, str(source))


def read_archive(source: str | Path | BinaryIO) -> MexArchive:
    """Return an archive from a path, an http(s) address or an open file; md5 are checked.

    Raises InputError for whatever is not as the format says: links, absolute names, ``..``, members that are missing
    or too many, wrong sizes and checksums, a matrix that does not fit its barcodes and features.
    """
    with open_archive(source) as stream, tempfile.TemporaryFile() as spool:
        contents: dict[str, bytes] = {}
        matrix = None
        for member, pieces in stream.members():
            if member.part != "matrix":
                contents[member.part] = b"".join(pieces)
                continue
            path, size = member.path, member.size
            if len(contents) < len(PARTS) - 1:  # what it must be is only known behind it
                spool.writelines(pieces)
                continue
            matrix = _read_matrix(stream, path, pieces, size, contents)
        if matrix is None:
            spool.seek(0)
            matrix = _read_matrix(stream, path, iter(partial(spool.read, _READ), b""), size, contents)
        stream.check_digests()
        barcodes, features = _parse_names(stream, contents)
        folder = path.rpartition("/")[0]
        return MexArchive(folder, stream.metadata, barcodes, features, matrix, dict(stream.digests))


def _read_matrix(
    stream: ArchiveStream, path: str, pieces: Iterator[bytes], size: int, contents: Mapping[str, bytes]
) -> "scipy.sparse.csc_matrix":
    """Return the matrix of an archive, which has as many rows and columns as there are features and barcodes."""
    from scripts.formats.matrix_market import FormatError, read_matrix

    shape = _count_lines(contents["features.tsv"]), _count_lines(contents["barcodes.tsv"])
    try:
        return read_matrix(pieces, size, shape)
    except FormatError as error:
        raise InputError(f"{stream.name}: {path}: {error}.") from error


def _parse_names(stream: ArchiveStream, contents: Mapping[str, bytes]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    try:
        return parse_barcodes(contents["barcodes.tsv"]), parse_features(contents["features.tsv"])
    except ValueError as error:
        raise InputError(f"{stream.name}: {error}.") from error


def read_parts(source: str | Path, matrix: Path) -> MexParts:
    """Return an archive from a path or an http(s) address, and write its matrix to a file as it is; md5 are checked.

    Raises InputError as :func:`read_archive`, the matrix unread.
    """
    with open_archive(source) as stream:
        contents: dict[str, bytes] = {}
        for member, pieces in stream.members():
            if member.part == "matrix":
                folder, _, name = member.path.rpartition("/")
                with matrix.open("wb") as writer:
                    writer.writelines(pieces)
            else:
                contents[member.part] = b"".join(pieces)
        stream.check_digests()
        barcodes, features = _parse_names(stream, contents)
        return MexParts(stream.name, folder, stream.metadata, barcodes, features, name, matrix)


def _count_lines(content: bytes) -> int:
    return content.count(b"\n") + (content[-1:] not in (b"\n", b""))


def read_cells(source: str | Path | BinaryIO, barcodes: np.ndarray) -> MexArchive:
    """Return some of the barcodes (bytes, each once) of an archive, in this order; md5 are checked.

    Memory holds their counts and the text of barcodes and features. Raises InputError as :func:`read_archive`, and
    where a barcode is missing.
    """
    from scripts.formats.matrix_market import FormatError, read_columns

    with open_archive(source) as stream:
        contents: dict[str, bytes] = {}
        for member, pieces in stream.members():
            if member.part != "matrix":
                contents[member.part] = b"".join(pieces)
                continue
            if len(contents) < len(PARTS) - 1:
                raise stream.error(f"{member.path} is before its barcodes and features")
            try:
                every = parse_barcodes(contents["barcodes.tsv"])
                features = parse_features(contents["features.tsv"])
                columns = positions_of(barcodes, every)
                matrix = read_columns(pieces, member.size, (len(features), every.size), columns)
            except FormatError as error:
                raise InputError(f"{stream.name}: {member.path}: {error}.") from error
            except ValueError as error:
                raise InputError(f"{stream.name}: {error}.") from error
            folder = member.path.rpartition("/")[0]
        stream.check_digests()
        return MexArchive(folder, stream.metadata, barcodes, features, matrix, dict(stream.digests))


def positions_of(wanted: np.ndarray, barcodes: np.ndarray) -> np.ndarray:
    """Return the index among all barcodes of each wanted one. Raises ValueError where one is not there exactly once."""
    found = np.flatnonzero(np.isin(barcodes, wanted))
    order = np.argsort(barcodes[found], kind="stable")
    ranks = np.argsort(wanted, kind="stable")
    if not np.array_equal(barcodes[found][order], wanted[ranks]):
        raise ValueError(f"its barcodes do not have each of the {wanted.size} cells once")
    positions = np.empty(wanted.size, np.int64)
    positions[ranks] = found[order]
    return positions


class BarcodeSums(NamedTuple):
    """What :func:`sum_cells` returns."""

    barcodes: np.ndarray
    """Bytes (dtype S)."""
    features: int
    sums: np.ndarray
    """uint64: weights × barcodes."""


def sum_cells(stream: ArchiveStream, weigh: Callable[[Iterable[bytes]], np.ndarray], most: int) -> BarcodeSums | None:
    """Read an archive; return its barcodes, its number of features, and the sums of each barcode.

    Each count is taken times the weight (uint64) of its feature, which ``weigh`` gives for the first columns of all:
    an array of features, or several of them; sums are as of :func:`scripts.formats.matrix_market.sum_columns`. Memory
    holds barcodes and features, not the counts. An archive of more than ``most`` barcodes is read without being added
    up: None. Raises InputError for what is no such archive; for md5 see :meth:`ArchiveStream.differing`.
    """
    from scripts.formats.matrix_market import FormatError, sum_columns

    contents: dict[str, bytes] = {}
    result = None
    too_many = False
    for member, pieces in stream.members():
        if member.part == "barcodes.tsv" and member.size > _MOST_NAMES:
            too_many = True
        if too_many:
            for _ in pieces:
                pass
            continue
        if member.part != "matrix":
            if member.part == "features.tsv" and member.size > _MOST_NAMES:
                raise stream.error(f"{member.path} of {member.size:,} bytes is larger than that of any cells")
            contents[member.part] = b"".join(pieces)
            lines = _count_lines(contents[member.part])
            if member.part == "features.tsv" and lines > _MOST_GENES:
                raise stream.error(f"{member.path} has more than {_MOST_GENES:,} lines")
            too_many = member.part == "barcodes.tsv" and lines > most
            continue
        if not {"barcodes.tsv", "features.tsv"} <= contents.keys():
            raise stream.error(f"{member.path} is before its barcodes and features")
        try:
            barcodes = parse_barcodes(contents["barcodes.tsv"])
            genes = parse_features(contents["features.tsv"])
            weights = weigh(row[0].encode() for row in genes)
            sums = sum_columns(pieces, member.size, (len(genes), barcodes.size), weights)
        except FormatError as error:
            raise InputError(f"{stream.name}: {member.path}: {error}.") from error
        except ValueError as error:
            raise InputError(f"{stream.name}: {error}.") from error
        result = BarcodeSums(barcodes, len(genes), sums)
    return result


def parse_barcodes(content: bytes) -> np.ndarray:
    """Return barcodes (dtype S). Raises ValueError where one is empty, too long, not printable ASCII or there twice."""
    barcodes = _split_barcodes(content)
    if not barcodes.size:
        return barcodes
    letters = barcodes.view(np.uint8).reshape(barcodes.size, -1)
    if letters.min() < 33 or letters.max() > 126:
        # What is shorter than the longest ends with zeros, so that a zero is followed by zeros only.
        strange = (((letters < 33) | (letters > 126)) & (letters != 0)).any(axis=1) | (letters[:, 0] == 0)
        strange |= ((letters[:, :-1] == 0) & (letters[:, 1:] != 0)).any(axis=1)
        if strange.any():
            line = int(strange.argmax())
            shown = letters[line].tobytes()[:40].rstrip(b"\0")
            raise ValueError(f"barcodes.tsv, line {line + 1}: {shown!r} is no barcode")
    if not (barcodes[1:] > barcodes[:-1]).all():  # as STAR's are, by their list
        names, times = np.unique(barcodes, return_counts=True)
        if times.max() > 1:
            raise ValueError(f"barcodes.tsv has {names[times > 1][0].decode()!r} more than once")
    return barcodes


def _split_barcodes(content: bytes) -> np.ndarray:
    content = content.replace(b"\r\n", b"\n")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    length = content.find(b"\n")
    letters = np.frombuffer(content, dtype=np.uint8)
    if 0 < length <= _LONGEST_BARCODE and letters.size % (length + 1) == 0:
        table = letters.reshape(-1, length + 1)
        if (table[:, -1] == 10).all() and np.count_nonzero(letters == 10) == table.shape[0]:
            return np.ascontiguousarray(table[:, :-1]).view(f"S{length}")[:, 0]
    lines = content.split(b"\n")[:-1]
    if max(map(len, lines), default=0) > _LONGEST_BARCODE:
        raise ValueError(f"barcodes.tsv has a barcode of more than {_LONGEST_BARCODE:,} characters")
    return np.array(lines, dtype=np.bytes_) if lines else np.zeros(0, dtype="S1")


def parse_features(content: bytes) -> list[tuple[str, ...]]:
    """Return the columns of each feature. Raises ValueError where they are no table of text."""
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"features.tsv is not UTF-8: {error}") from error
    if control := CONTROL.search(text):
        raise ValueError(f"features.tsv has the control character {control[0]!r}")
    if text.startswith("\ufeff"):
        raise ValueError("features.tsv begins with a byte order mark")
    lines = text.split("\n")
    features = [tuple(line.split("\t")) for line in (lines if lines[-1] else lines[:-1])]
    if len({len(row) for row in features}) > 1:
        raise ValueError("the lines of features.tsv do not have the same number of columns")
    if unnamed := next((number for number, row in enumerate(features, 1) if not row[0]), 0):
        raise ValueError(f"features.tsv, line {unnamed} has no name")
    return features


def verify_archive(source: str | Path | BinaryIO) -> dict[str, bool]:
    """Return path → whether a member has the md5 in the metadata. Raises InputError for what is no archive."""
    with open_archive(source) as stream:
        stream.skim()
        differing = set(stream.differing())
        return {path: path not in differing for path in stream.digests}


def unpack_archive(source: str | Path | BinaryIO, target: str | Path, tenx: bool = False) -> list[Path]:
    """Write the members below a folder, under their names in the archive; return their paths.

    With ``tenx`` all but the metadata are gzip'd, and the matrix is ``matrix.mtx.gz``, as readers of 10x matrices
    expect. A file that is there already stays if it has the same content; another one is never overwritten. Nothing is
    left there when the archive is refused. Raises InputError as :func:`read_archive`, the matrix unread.
    """
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    with open_archive(source) as stream, tempfile.TemporaryDirectory(prefix=".unpack.", dir=target) as partial_folder:
        paths = []
        for member, pieces in stream.members():
            path = path_below(partial_folder, *member.path.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as writer:
                writer.writelines(pieces)
            paths.append(_gzip_for_tenx(path) if tenx and member.part != "metadata" else path)
        stream.check_digests()
        names = [path.relative_to(partial_folder) for path in paths]
        new = [name for name in names if not _is_there(Path(partial_folder, name), target / name)]
        for name in new:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(partial_folder, name), target / name)
        return [target / name for name in names]


def _gzip_for_tenx(path: Path) -> Path:
    """Replace a member by its gzip'd file under the name that readers of 10x matrices expect; return that."""
    packed = path.with_name(f"{'matrix.mtx' if path.suffix == '.mtx' else path.name}.gz")
    with (
        path.open("rb") as reader,
        packed.open("wb") as handle,
        igzip.IGzipFile("", "wb", 2, handle, mtime=0) as writer,
    ):
        shutil.copyfileobj(reader, writer, 1 << 20)
    path.unlink()
    return packed


def _is_there(made: Path, target: Path) -> bool:
    """Return whether a file is there already. Raises InputError where it has another content."""
    if not target.is_symlink() and not target.exists():
        return False
    if not target.is_file() or not filecmp.cmp(made, target, shallow=False):
        raise InputError(f"{target}: is there already, from another archive; give another folder as --output.")
    return True
