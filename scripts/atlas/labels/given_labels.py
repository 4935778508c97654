"""A table of labels that somebody gave to cells: tab-separated, with a header line.

Columns ``run``, ``experiment`` or ``sample`` name cells; where a row has several of them, the first of these counts.
``barcode`` is there for cells of droplet libraries: a row without one is for every cell of the run, experiment or
sample, and gives way to a row with a barcode. ``-1`` behind a barcode, as some programs write it, is left away. The
label stands in a column of its own name, or in ``label``; a row without one says nothing. Other columns are not read.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import InputError, raise_faults

if TYPE_CHECKING:
    import numpy

    from scripts.atlas.store.row_map import Segment

KEYS = ("run", "experiment", "sample")
NONE = -1
"""The code of a cell without a label."""
_TOLD = 5
_SUFFIX = re.compile(rb"(?<=[ACGTN])-[0-9]+$")


@dataclass
class GivenLabels:
    """Labels by run, experiment or sample, and by barcode."""

    path: str
    label: str
    """The column."""
    names: list[str] = field(default_factory=list)
    """Labels in alphabetical order: the name of each code."""
    whole: dict[str, int] = field(default_factory=dict)
    """Run, experiment or sample → code of all of its cells."""
    barcodes: "dict[str, tuple[numpy.ndarray, numpy.ndarray]]" = field(default_factory=dict)
    """Run, experiment or sample → barcodes in order, and the code of each."""
    rows: int = 0
    repeated: int = 0
    """Rows that say again what another one says."""
    empty: int = 0
    """Rows without a label."""
    met: set[str] = field(default_factory=set)
    """Runs, experiments and samples that cells were asked for."""
    clashes: list[str] = field(default_factory=list)
    """Segments of which one name has another label than another, e.g. two runs of one cell."""

    @property
    def keys(self) -> set[str]:
        return self.whole.keys() | self.barcodes.keys()

    def codes(self, segment: "Segment", barcodes: "numpy.ndarray | None") -> "numpy.ndarray":
        """Return the code of each row of a segment, int32; :data:`NONE` where there is no label.

        ``barcodes``: bytes of each row, None where there are none.
        """
        import numpy as np

        codes = np.full(segment.rows, NONE, np.int32)
        names = [
            name
            for name in dict.fromkeys([*segment.run.split(";"), segment.run, segment.experiment, segment.sample])
            if name in self.whole or name in self.barcodes
        ]
        self.met.update(names)
        for name in names:
            if name not in self.barcodes or barcodes is None:
                continue
            known, told = self.barcodes[name]
            places = np.minimum(np.searchsorted(known, barcodes), len(known) - 1)
            mine = np.where(known[places] == barcodes, told[places], NONE)
            self._merge(codes, mine, segment)
        general = np.full(segment.rows, NONE, np.int32)
        for name in names:
            if name in self.whole:
                self._merge(general, np.full(segment.rows, self.whole[name], np.int32), segment)
        return np.where(codes == NONE, general, codes)

    def _merge(self, codes: "numpy.ndarray", more: "numpy.ndarray", segment: "Segment") -> None:
        """Put labels where there are none yet; tell where there is another one."""
        clash = (codes != NONE) & (more != NONE) & (codes != more)
        if clash.any():
            first = int(clash.argmax())
            labels = (repr(self.names[int(each[first])]) for each in (codes, more))
            place = f"row {segment.row_start + first} of {segment.shard}"
            self.clashes.append(f"{segment.run} ({segment.experiment}), {place}: {' and '.join(labels)}")
        empty = codes == NONE
        codes[empty] = more[empty]


def read_labels(path: str | Path, label: str) -> GivenLabels:
    """Read a table of labels. Raises InputError, telling all faults."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as handle:
            return _read(csv.reader(handle, delimiter="\t"), str(path), label)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}.") from error


def _read(lines: Iterable[list[str]], path: str, label: str) -> GivenLabels:
    import numpy as np

    source = iter(lines)
    head = [name.strip() for name in next(source, [])]
    column = next((name for name in (label, "label") if name in head), None)
    keys = [head.index(name) for name in KEYS if name in head]
    faults = []
    if column is None:
        faults.append(f"no column {label!r}, nor one named 'label'; it has {', '.join(head) or 'none'}.")
    if not keys:
        faults.append(f"no column that names cells: {', '.join(KEYS)}; it has {', '.join(head) or 'none'}.")
    raise_faults(path, faults)
    assert column is not None
    place, barcode_place = head.index(column), head.index("barcode") if "barcode" in head else None
    table = GivenLabels(path, column)
    numbers: dict[str, int] = {}
    gathered: dict[str, dict[bytes, int]] = {}
    for line, row in enumerate(source, 2):
        if not row:
            continue
        if len(row) != len(head):
            faults.append(f"line {line}: {len(row)} values, but the header has {len(head)}.")
            continue
        table.rows += 1
        name = next((row[key].strip() for key in keys if row[key].strip()), "")
        text = " ".join(row[place].split())
        if not name:
            faults.append(f"line {line}: no {' or '.join(head[key] for key in keys)}.")
            continue
        if not text:
            table.empty += 1
            continue
        code = numbers.setdefault(text, len(numbers))
        barcode = _SUFFIX.sub(b"", row[barcode_place].strip().encode()) if barcode_place is not None else b""
        known = gathered.setdefault(name, {})
        if barcode in known:
            table.repeated += 1
            if known[barcode] != code:
                other = next(other for other, number in numbers.items() if number == known[barcode])
                cell = f"{name} {barcode.decode()}".strip()
                faults.append(f"line {line}: {cell} is {text!r}, but {other!r} before.")
        known.setdefault(barcode, code)
    if len(faults) > _TOLD:
        faults = [*faults[:_TOLD], f"and {len(faults) - _TOLD:,} more."]
    raise_faults(path, faults)
    table.names = sorted(numbers)
    order = {numbers[name]: code for code, name in enumerate(table.names)}
    for name in sorted(gathered):
        known = gathered.pop(name)
        if b"" in known:
            table.whole[name] = order[known.pop(b"")]
        if known:
            barcodes = np.array(sorted(known), np.bytes_)
            codes = np.array([order[known[barcode]] for barcode in sorted(known)], np.int32)
            table.barcodes[name] = (barcodes, codes)
    return table
