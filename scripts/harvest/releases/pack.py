"""Write a release: copies of the results and the files beside them, as a folder or one archive without times."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from scripts.core.disk.files import atomic_folder, atomic_path, open_regular, path_below
from scripts.core.errors import InputError, is_of_machine

_BLOCK = 1 << 20


class ReleasedFile(NamedTuple):
    """A file of a release: its name in it, where it is copied from, and its sha256."""

    name: str
    source: Path
    sha256: str


class _CheckedReader(io.RawIOBase):
    """Reads a file and takes its checksum meanwhile."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._sum = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._handle.read(size)
        self._sum.update(block)
        return block

    def check(self, member: ReleasedFile) -> None:
        """Raise InputError where what was read has another checksum."""
        self._sum.update(self._handle.read(1))  # it has grown
        if self._sum.hexdigest() != member.sha256:
            raise InputError(f"{member.source}: changed while it was copied; make the release again.")


def write_folder(output: Path, members: Iterable[ReleasedFile]) -> None:
    """Write a release as a folder, which appears when it is whole."""
    with atomic_folder(output) as partial:
        for member in members:
            path = path_below(partial, *member.name.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_regular(member.source) as handle, path.open("xb") as copy:
                reader = _CheckedReader(handle)
                while block := reader.read(_BLOCK):
                    copy.write(block)
                reader.check(member)


def write_archive(output: Path, top: str, members: Iterable[ReleasedFile]) -> None:
    """Write a release as a tar file below the folder ``top``; owner, mode and time of all members are the same.

    It is not compressed: what is in it is.
    """
    with atomic_path(output) as partial, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            with open_regular(member.source) as handle:
                reader = _CheckedReader(handle)
                described = tarfile.TarInfo(path_below(top, *member.name.split("/")).as_posix())
                described.size = member.source.stat().st_size
                described.mode, described.uname, described.gname = 0o644, "root", "root"
                try:
                    archive.addfile(described, reader)
                except OSError as error:  # it has shrunk
                    if is_of_machine(error):
                        raise
                reader.check(member)


_LARGEST = 1 << 30  # bytes of a file of an earlier release that is read


def extract(archive: Path, names: Iterable[str], folder: Path) -> str:
    """Copy some files of a release in an archive into a folder; return the folder that it has in the archive.

    Raises InputError where it is no tar file. Nothing else of it is written.
    """
    wanted = set(names)
    top = ""
    try:
        with open_regular(archive) as handle, tarfile.open(fileobj=handle, mode="r|") as members:
            for member in members:
                head, _, name = member.name.partition("/")
                if not member.isreg() or name not in wanted or head != (top or head):
                    continue
                top = head
                wanted.discard(name)
                content = members.extractfile(member)
                if member.size > _LARGEST or content is None:
                    raise InputError(f"{archive}: {name} has {member.size:,} bytes, more than such a file.")
                path = path_below(folder, *name.split("/"))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                if not wanted:
                    break
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{archive}: not a folder, and not a tar file of a release: {error}.") from error
    return top


def sums_text(members: Iterable[ReleasedFile]) -> str:
    """Return SHA256SUMS of a release, sorted by name."""
    lines = sorted(((member.name, member.sha256) for member in members), key=lambda pair: pair[0].encode())
    return "".join(f"{digest}  {name}\n" for name, digest in lines)


Digest = Callable[[Path], str]


def members_of(folder: Path, names: Iterable[str], digest: Digest) -> Iterator[ReleasedFile]:
    """Yield the files of a folder of their own as members."""
    for name in names:
        yield ReleasedFile(name, folder / name, digest(folder / name))


def members_of_results(results: Path, sums: Mapping[str, str]) -> Iterator[ReleasedFile]:
    """Yield the results that have a checksum as members below ``results/``."""
    for name, digest in sums.items():
        yield ReleasedFile(f"results/{name}", results / name, digest)
