"""A table of given labels of cells: tab-separated, with a header line.

Columns ``run``, ``experiment`` or ``sample`` name cells; where a row has several of them, the first of these counts.
``barcode`` is for cells of droplet libraries: a row without one is for every cell of the run, experiment or sample, and
a row with a barcode overrules it. A suffix ``-1`` of a barcode, as some programs write it, is ignored. The label is in
a column of its own name, or in ``label``; a row without one is ignored. Other columns are not read.
"""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scripts.atlas.store.part import first_few
from scripts.atlas.store.row_map import Segment
from scripts.core.errors import InputError, raise_faults
from scripts.core.untrusted import open_lines

KEYS = ("run", "experiment", "sample")
NONE = -1  # the code of a cell without a label
_SUFFIX = re.compile(rb"(?<=[ACGTN])-[0-9]+$")


@dataclass(eq=False)
class GivenLabels:
    """Labels by run, experiment or sample, and by barcode."""

    path: str
    label: str
    """The column."""
    names: list[str] = field(default_factory=list)
    """Labels in alphabetical order: the name of each code."""
    whole: dict[str, int] = field(default_factory=dict)
    """Run, experiment or sample → code of all of its cells."""
    barcodes: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """Run, experiment or sample → barcodes in order, and the code of each."""
    rows: int = 0
    repeated: int = 0
    """Rows that repeat another one."""
    empty: int = 0
    """Rows without a label."""
    used: set[str] = field(default_factory=set)
    """Runs, experiments and samples of cells whose codes were looked up."""
    clashes: list[str] = field(default_factory=list)
    """Segments whose names have different labels, e.g. two runs of one cell."""

    @property
    def keys(self) -> set[str]:
        return self.whole.keys() | self.barcodes.keys()

    @property
    def unused(self) -> list[str]:
        """Names of which no cell's code was looked up."""
        return sorted(self.keys - self.used)

    def codes(self, segment: Segment, barcodes: np.ndarray | None) -> np.ndarray:
        """Return the code of each row of a segment, int32; :data:`NONE` where there is no label.

        ``barcodes``: bytes of each row, None where there are none.
        """
        codes = np.full(segment.rows, NONE, np.int32)
        names = [
            name
            for name in dict.fromkeys([*segment.run.split(";"), segment.run, segment.experiment, segment.sample])
            if name in self.whole or name in self.barcodes
        ]
        self.used.update(names)
        for name in names:
            if name not in self.barcodes or barcodes is None:
                continue
            known, known_codes = self.barcodes[name]
            index = np.minimum(np.searchsorted(known, barcodes), len(known) - 1)
            mine = np.where(known[index] == barcodes, known_codes[index], NONE)
            self._merge(codes, mine, segment)
        general = np.full(segment.rows, NONE, np.int32)
        for name in names:
            if name in self.whole:
                self._merge(general, np.full(segment.rows, self.whole[name], np.int32), segment)
        return np.where(codes == NONE, general, codes)

    def _merge(self, codes: np.ndarray, more: np.ndarray, segment: Segment) -> None:
        """Set labels where there are none yet; note where there is another one."""
        clash = (codes != NONE) & (more != NONE) & (codes != more)
        if clash.any():
            first = int(clash.argmax())
            labels = (repr(self.names[int(each[first])]) for each in (codes, more))
            row = f"row {segment.row_start + first} of {segment.shard}"
            self.clashes.append(f"{segment.run} ({segment.experiment}), {row}: {' and '.join(labels)}")
        empty = codes == NONE
        codes[empty] = more[empty]


def read_labels(path: str | Path, label: str) -> GivenLabels:
    """Read a table of labels. Raises InputError with all faults."""
    lines = (f"{line}\n" for line in open_lines(path))
    try:
        return _read(csv.reader(lines, delimiter="\t"), str(path), label)
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table: {error}.") from error


def _read(lines: Iterator[list[str]], path: str, label: str) -> GivenLabels:
    head = [name.strip() for name in next(lines, [])]
    column = next((name for name in (label, "label") if name in head), None)
    columns = ", ".join(head) or "none"
    faults = []
    if column is None:
        faults.append(f"no column {label!r}, nor one named 'label'; it has {columns}.")
    if not {*KEYS} & {*head}:
        faults.append(f"no column that names cells: {', '.join(KEYS)}; it has {columns}.")
    raise_faults(path, faults)
    table = GivenLabels(path, column or "")
    labels: dict[str, dict[bytes, str]] = {}
    for name, barcode, text, line in _cells(lines, head, table, faults):
        known = labels.setdefault(name, {})
        if barcode in known:
            table.repeated += 1
            if known[barcode] != text:
                cell = f"{name} {barcode.decode()}".strip()
                faults.append(f"line {line}: {cell} is {text!r}, but {known[barcode]!r} before.")
        known.setdefault(barcode, sys.intern(text))
    raise_faults(path, first_few(faults))
    table.names = sorted({text for known in labels.values() for text in known.values()})
    codes = {text: code for code, text in enumerate(table.names)}
    for name in sorted(labels):
        by_barcode = {barcode: codes[text] for barcode, text in sorted(labels[name].items())}
        if b"" in by_barcode:
            table.whole[name] = by_barcode.pop(b"")
        if by_barcode:
            table.barcodes[name] = np.array([*by_barcode], np.bytes_), np.array([*by_barcode.values()], np.int32)
    return table


def _cells(
    lines: Iterator[list[str]], head: Sequence[str], table: GivenLabels, faults: list[str]
) -> Iterator[tuple[str, bytes, str, int]]:
    """Yield name, barcode, label and line of each row that has a label; count the rows, and collect faults."""
    keys = [key for key in KEYS if key in head]
    for line, values in enumerate(lines, 2):
        if not values:
            continue
        if len(values) != len(head):
            faults.append(f"line {line}: {len(values)} values, but the header has {len(head)}.")
            continue
        table.rows += 1
        row = dict(zip(head[::-1], values[::-1], strict=True))  # of two columns of a name the first
        name = next((row[key].strip() for key in keys if row[key].strip()), "")
        text = " ".join(row[table.label].split())
        if not name:
            faults.append(f"line {line}: no {' or '.join(keys)}.")
        elif not text:
            table.empty += 1
        else:
            yield name, _SUFFIX.sub(b"", row.get("barcode", "").strip().encode()), text, line
