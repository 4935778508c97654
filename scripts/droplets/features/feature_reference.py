"""Features that are counted by a tag in the reads: antibodies, sample tags (hashtags) and guides.

The feature reference is a table, CSV or TSV, as Cell Ranger's: ``name``, ``sequence``, ``read`` (R2), ``pattern``, and
if there are, ``id`` and ``feature_type``. A pattern has ``(BC)`` where the sequence is, behind ``5P`` or ``^`` where
the read begins, with bases or N between; without either the sequence may be anywhere in the read.

STAR counts them: each read becomes 60 bases that stand for its feature, and the genome is those of all features. So
barcodes and UMIs are corrected as for genes. One base of a tag may be wrong where its position is known.
"""

import csv
import functools
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import InputError, raise_faults
from scripts.droplets.barcodes.probe_set import Probe
from scripts.droplets.fastq_sample import ReadSample, in_blocks, read_blocks
from scripts.droplets.inclusion_lists import BASE_CODES, pack_codes, packed_type
from scripts.droplets.roles.barcode_search import pack_windows
from scripts.star.read_pipes import Source

TAGS = "Features"
"""What Solo.out and the archives call the counts of features."""
MIN_SHARE = 0.3
"""Share of reads with a tag of the reference above which a library is one of features."""
FEWEST_BASES, MOST_BASES = 8, 32
"""Of a tag; shorter ones are in reads of cDNA by chance."""
_REQUIRED = ("name", "sequence", "read", "pattern")
_PATTERN = re.compile(r"(5P|\^)?([ACGTN]*)\(BC\)([ACGTN]*)(3P|\$)?")
_STAND_IN = 60  # bases that stand for a feature


class Feature(NamedTuple):
    """A feature: ``offset`` is the base of the read with which its sequence begins, from 0; -1: it may be anywhere."""

    feature_id: str
    name: str
    sequence: str
    offset: int
    kind: str

    @property
    def stand_in(self) -> str:
        """The bases that stand for the feature."""
        digests = (hashlib.sha256(f"{number} {self.feature_id}".encode()).digest() for number in range(2))
        return "".join("ACGT"[byte & 3] for digest in digests for byte in digest)[:_STAND_IN]


def read_features(path: str | Path) -> list[Feature]:
    """Return the features of a feature reference. Raises InputError with all faults of the table."""
    try:
        with open_bytes(path) as handle:
            text = handle.read().decode("utf-8-sig")
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the feature reference cannot be read: {error}.") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    table = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=delimiter)
    if missing := [name for name in _REQUIRED if name not in (table.fieldnames or ())]:
        raise InputError(f"{path}: no feature reference; the columns {', '.join(missing)} are missing.")
    rows = [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in table]
    faults = [fault for number, row in enumerate(rows, 1) for fault in _row_faults(number, row)]
    ids = [row.get("id") or row["name"] for row in rows]
    faults += [f"feature {one!r}: there more than once." for one in dict.fromkeys(ids) if ids.count(one) > 1]
    if not rows:
        faults.append("it has no feature.")
    raise_faults(f"The feature reference ({path})", faults)
    return [_feature_of(row, one) for row, one in zip(rows, ids, strict=True)]


def _row_faults(number: int, row: dict[str, str]) -> Iterator[str]:
    where = f"feature {number} ({row['name'] or 'without a name'})"
    if not re.fullmatch(f"[ACGTacgt]{{{FEWEST_BASES},{MOST_BASES}}}", row["sequence"]):
        yield f"{where}: sequence {row['sequence']!r} is not {FEWEST_BASES} to {MOST_BASES} bases of A, C, G and T."
    if row["read"] != "R2":
        yield f"{where}: read {row['read']!r} is not R2, the read beside the barcodes."
    if not _PATTERN.fullmatch(row["pattern"]):
        yield f"{where}: pattern {row['pattern']!r} is not like 5PNNNNNNNNNN(BC), ^(BC) or (BC)."
    if not row["name"]:
        yield f"{where}: it needs a name."


def _feature_of(row: dict[str, str], feature_id: str) -> Feature:
    found = _PATTERN.fullmatch(row["pattern"])
    assert found is not None
    offset = len(found[2]) if found[1] else -1
    return Feature(
        feature_id, row["name"], row["sequence"].upper(), offset, row.get("feature_type") or "Antibody Capture"
    )


class _Tags:
    """The sequences of one length, sorted as packed numbers, and the number of the feature of each."""

    def __init__(self, features: Sequence[Feature], numbers: Sequence[int], mismatch: bool) -> None:
        codes = np.array(
            [BASE_CODES[np.frombuffer(features[number].sequence.encode(), dtype=np.uint8)] for number in numbers]
        )
        length = codes.shape[1]
        exact = dict(zip(pack_codes(codes).tolist(), numbers, strict=True))
        near: dict[int, set[int]] = {}
        for code, number in exact.items() if mismatch else ():
            for place in range(length):
                for change in range(1, 4):
                    near.setdefault(code ^ (change << 2 * place), set()).add(number)
        known = {code: own.pop() for code, own in near.items() if len(own) == 1} | exact
        self.packed = np.array(sorted(known), dtype=packed_type(length))
        self.numbers = np.array([known[code] for code in self.packed.tolist()], dtype=np.int64)

    def find(self, packed: np.ndarray) -> np.ndarray:
        """Return the number of the feature of each packed sequence, -1 without any."""
        index = np.minimum(np.searchsorted(self.packed, packed), self.packed.size - 1)
        return np.where(self.packed[index] == packed, self.numbers[index], -1)


class FeatureMatcher:
    """Finds the feature of each read."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.features = features
        groups: dict[tuple[int, int], list[int]] = {}
        for number, feature in enumerate(features):
            groups.setdefault((feature.offset, len(feature.sequence)), []).append(number)
        self._groups = [
            (offset, length, _Tags(features, numbers, offset >= 0)) for (offset, length), numbers in groups.items()
        ]

    def match(self, sample: ReadSample) -> np.ndarray:
        """Return the number of the feature of each read, -1 where it has none, or those of two patterns differ."""
        found = np.full(sample.lengths.size, -1, dtype=np.int64)
        for offset, length, tags in self._groups:
            reach = min(int(sample.lengths.max(initial=0)), sample.codes.shape[1])
            places = [offset] if offset >= 0 else range(max(0, reach - length + 1))
            for place in places:
                if place + length > sample.codes.shape[1]:
                    continue
                packed, _ = pack_windows(sample.codes, place, length, 1, reverse=False)
                whole = (sample.codes[:, place : place + length] <= 3).all(axis=1)
                here = np.where(whole, tags.find(packed[:, 0]), -1)
                found = np.where((found < 0) & (here >= 0), here, found)
        return found

    def share(self, sample: ReadSample) -> float:
        """Return the share of reads with a feature."""
        return float((self.match(sample) >= 0).mean()) if sample.lengths.size else 0.0

    def stand_ins(self, source: Source) -> Iterator[bytes]:
        """Yield a FASTQ with the bases that stand for the feature of each read, N where it has none."""
        bases = [feature.stand_in.encode() for feature in self.features] + [b"N" * _STAND_IN]
        quality = b"F" * _STAND_IN
        names = _names(source)
        for block in read_blocks(source):
            found = self.match(block).tolist()
            lines = (
                b"%s\n%s\n+\n%s\n" % (name, bases[number], quality) for number, name in zip(found, names, strict=False)
            )
            yield b"".join(lines)

    def probes(self) -> list[Probe]:
        """Return the features as probes, which are STAR's genome."""
        return [Probe(one.feature_id, one.feature_id, one.name, one.stand_in) for one in self.features]


def _names(source: Source) -> Iterator[bytes]:
    """Yield the name lines of a FASTQ."""
    rest = b""
    for block in in_blocks(source):
        lines = (rest + block).split(b"\n")
        whole = (len(lines) - 1) // 4 * 4
        yield from lines[:whole:4]
        rest = b"\n".join(lines[whole:])
    if rest.strip():
        yield rest.split(b"\n", 1)[0]


@functools.cache
def read_matcher(path: Path) -> FeatureMatcher:
    """Return the matcher of a feature reference; raises as :func:`read_features`."""
    return FeatureMatcher(read_features(path))
