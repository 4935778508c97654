"""The metadata of a species: a JSON file of a series each, and the tables of samples and series, fit the ledger."""

import codecs
import csv
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.disk.files import bounded_lines, open_regular
from scripts.core.disk.gzip_files import open_bounded
from scripts.core.errors import InputError
from scripts.harvest.results import SAMPLE_COLUMNS, SERIES_COLUMNS
from scripts.plan.run_table import Run

ARCHIVE, SAMPLES, SERIES = "_meta.tgz", ".metadata.samples.csv", ".metadata.series.csv"
PARTS = {"platform_data": list, "sample_data": dict, "series_data": dict}
"""What there is of a sample: name → type."""
MOST_SAMPLE = 1 << 24
"""Characters of the JSON of one sample that are read."""
MOST_LINE = 1 << 24
"""Characters of a line of a table that are read."""
_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 16
_MOST_EXTENSION = 1 << 16  # bytes of a header that has a long name
_BLANK = re.compile(r"[ \t\r\n]*")


class Known(NamedTuple):
    """What the ledger has of a species."""

    exp_ids: set[str]
    accessions: set[str]
    """Of counted samples and experiments."""


def known_to(ledger: Sequence[Run], species: str) -> Known:
    """Return what the ledger has of a species' counted rows."""
    rows = [row for row in ledger if row.species == species and row.status == "counted"]
    accessions = {name for row in rows for name in (row.sample, row.experiment, row.run)}
    return Known({row.exp_id or row.series for row in rows}, accessions - {""})


def archive_faults(path: Path, ledger: Sequence[Run], samples: set[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence for each fault of the tarball. Raises InputError where it cannot be read.

    Exp_id and accession of each sample are added to ``samples``.
    """
    species = path.name.removesuffix(ARCHIVE)
    known = known_to(ledger, species)
    expected = {f"{species}_meta/{exp_id}.metadata.json" for exp_id in known.exp_ids}
    seen: set[str] = set()
    for member, read in members_of(path):
        name = f"{path.name}: {member}"
        if member in seen or member not in expected:
            yield f"{name}: {'there more than once' if member in seen else 'of no series in the ledger'}."
            continue
        seen.add(member)
        strange, without = set(), ""
        exp_id = member.removeprefix(f"{species}_meta/").removesuffix(".metadata.json")
        for sample, value in samples_of(read, name):
            samples.add((exp_id, sample))
            if sample not in known.accessions:
                strange.add(sample)
            if not isinstance(value, dict) or {key: type(part) for key, part in value.items()} != PARTS:
                without = without or sample[:80]
        if without:
            yield f"{name}: {without!r} does not have {', '.join(PARTS)}."
        if strange:
            some = ", ".join(repr(sample[:80]) for sample in sorted(strange)[:3])
            yield f"{name}: {len(strange)} samples are not counted in the ledger, e.g. {some}."


def members_of(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield name and reader of each file of a gzipped tarball; a reader returns the next piece, nothing at the end.

    Raises InputError where the tarball is damaged, or has other things than files.
    """
    with open_bounded(path, path.name) as stream:

        def take(size: int) -> bytes:
            piece = stream.read(size)
            while len(piece) < size and (more := stream.read(size - len(piece))):
                piece += more
            if len(piece) < size:
                raise InputError(f"{path.name}: cannot be read to its end: it is cut short.")
            return piece

        name = ""
        while (header := take(_BLOCK)) != b"\0" * _BLOCK:
            try:
                info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            except (tarfile.HeaderError, ValueError) as error:
                raise InputError(f"{path.name}: a header is broken: {error}.") from error
            if info.type == tarfile.XHDTYPE and info.size <= _MOST_EXTENSION:
                name = _long_name(take(info.size + -info.size % _BLOCK)[: info.size])
                continue
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
                raise InputError(f"{path.name}: {(name or info.name)[:200]!r} is no file.")
            left = info.size

            def read() -> bytes:
                nonlocal left
                piece = take(min(left, _PIECE))
                left -= len(piece)
                return piece

            yield name or info.name, read
            while read():  # what was not wanted
                pass
            take(-info.size % _BLOCK)
            name = ""
        while stream.read(_PIECE):  # the checksum is at the end
            pass


def _long_name(extension: bytes) -> str:
    """Return the path in an extended header: lines of length, blank, key, ``=``, value."""
    found = re.search(rb"(?:^|\n)[0-9]+ path=([^\n]*)\n", extension)
    return found[1].decode(errors="surrogateescape") if found else ""


def samples_of(read: Callable[[], bytes], name: str) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each item of a JSON object, of which memory holds one at a time.

    Raises InputError, with the name, where it is none, or an item has more than MOST_SAMPLE characters.
    """
    text = _JsonText(read, name)
    text.expect("{")
    if text.next_is("}"):
        return
    keys = set()
    while True:
        key = text.value()
        if not isinstance(key, str) or key in keys:
            raise InputError(f"{name}: cannot be read as JSON: {key!r:.80} is no new key.")
        keys.add(key)
        text.expect(":")
        yield key, text.value()
        if text.next_is("}"):
            break
        text.expect(",")
    if text.rest():
        raise InputError(f"{name}: cannot be read as JSON: there is more behind its end.")


class _JsonText:
    """A JSON text that is read value by value."""

    def __init__(self, read: Callable[[], bytes], name: str) -> None:
        self.name = name
        self._read = read
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0
        self._ended = False

    def error(self, fault: object) -> InputError:
        return InputError(f"{self.name}: cannot be read as JSON: {fault}.")

    def _more(self, size: int) -> None:
        """Read at least ``size`` characters more, or to the end."""
        pieces = [self._text[self._at :]]
        self._at = 0
        while size > 0 and not self._ended:
            piece = self._read()
            self._ended = not piece
            try:
                pieces.append(self._decode(piece, self._ended))
            except UnicodeDecodeError as error:
                raise self.error(error) from error
            size -= len(pieces[-1])
        self._text = "".join(pieces)

    def _skip_blanks(self) -> None:
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or self._ended:
                return
            self._more(1)

    def next_is(self, sign: str) -> bool:
        """Return whether a sign is next, and skip it if so."""
        self._skip_blanks()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def expect(self, sign: str) -> None:
        """Skip a sign. Raises InputError where another is next."""
        if not self.next_is(sign):
            raise self.error(f"{self._text[self._at : self._at + 20]!r} instead of {sign!r}")

    def value(self) -> Any:
        """Return the next value."""
        self._skip_blanks()
        while True:
            try:
                value, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
                return value
            except json.JSONDecodeError as error:
                have = len(self._text) - self._at
                if self._ended or have > MOST_SAMPLE:
                    raise self.error(error.msg if have <= MOST_SAMPLE else "one of its values is too large") from error
                self._more(max(have, _PIECE))
            except RecursionError as error:
                raise self.error("its values are nested too deep") from error
            except ValueError as error:
                raise self.error(error) from error

    def rest(self) -> bool:
        """Return whether there is more than blanks."""
        self._skip_blanks()
        return self._at < len(self._text)


def table_faults(path: Path, ledger: Sequence[Run], samples: Set[tuple[str, str]] | None) -> Iterator[str]:
    """Yield a sentence for each fault of the table of samples, or of series, of a species.

    Its rows must be those of ``samples``, which are in the tarball; None where that could not be read. Raises
    InputError where the table cannot be read.
    """
    of_samples = path.name.endswith(SAMPLES)
    species = path.name.removesuffix(SAMPLES if of_samples else SERIES)
    columns = SAMPLE_COLUMNS if of_samples else SERIES_COLUMNS
    known = known_to(ledger, species)
    with open_regular(path) as handle:
        lines = csv.reader(line.decode() for line in bounded_lines(handle, MOST_LINE, path.name))
        header = next(lines, [])
        if header[: len(columns)] != columns or (len(header) > len(columns) and not of_samples):  # own columns follow
            yield f"{path.name}: its first row must be {', '.join(columns)}."
            return
        seen: set[tuple[str, str]] = set()
        for values in lines:
            row = dict(zip(columns, values, strict=False))
            key = row.get("doc_id", ""), row.get("geo_accession", "")
            if len(values) != len(header):
                fault = f"it has {len(values)} values, expected {len(header)}"
            elif key[0] not in known.exp_ids or (of_samples and key[1] not in known.accessions):
                fault = f"{' '.join(key).strip()[:80]!r} is not counted in the ledger"
            elif key in seen:
                fault = f"{' '.join(key).strip()[:80]!r} is there more than once"
            else:
                seen.add(key)
                continue
            yield f"{path.name}: the row that ends in line {lines.line_num}: {fault}."
            return
    if samples is not None and seen != (samples if of_samples else {(exp_id, "") for exp_id, _ in samples}):
        what = "samples" if of_samples else "series"
        yield f"{path.name}: its {what} are not those of {species}{ARCHIVE}."
