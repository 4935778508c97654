"""htseq-count's text output: a line a gene, ``gene<TAB>count``, and the five tallies at the end.

Files of the same genes in the same order, the usual case, are read with whole-array steps: the text with all numbers
set to 0 must be that of the first file, which checks every name at the price of one comparison.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import InputError
from scripts.core.gzip_files import read_bytes, read_text
from scripts.plates.shard_counts import TALLIES, byte_order

if TYPE_CHECKING:
    import numpy


def read_lines(path: str | Path) -> dict[str, int]:
    """Return name → count of a file, line by line, tallies included.

    Raises InputError, naming file and line, for a line that is not ``name<TAB>count``, a name that is there twice and
    a file without the five tallies.
    """
    counts: dict[str, int] = {}
    text = read_text(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        name, tab, count = line.partition("\t")
        if not tab or not (count.isascii() and count.strip().isdigit()):
            if number == len(lines) and not text.endswith("\n"):
                raise InputError(f"{path}: cut short in line {number}: {line!r}.")
            raise InputError(f"{path}, line {number}: not 'gene<TAB>count' as htseq-count writes it: {line!r}.")
        if name in counts:
            raise InputError(f"{path}, line {number}: {name!r} is there twice.")
        counts[name] = int(count)
    missing = [name for name in TALLIES if name not in counts]
    if missing:
        raise InputError(f"{path}: cut short, or not of htseq-count: it has no line {', '.join(missing)}.")
    return counts


def choose_first(paths: Sequence[Path]) -> Path | None:
    """Return a file whose genes are to be those of all: that of the first two of the readable that agree.

    Where no two of the first three agree it is the first one; None where none can be read.
    """
    known: dict[frozenset[str], Path] = {}
    for path in paths:
        try:
            genes = frozenset(read_lines(path))
        except InputError:
            continue
        if genes in known:
            return known[genes]
        known[genes] = path
        if len(known) == 3:
            break
    return next(iter(known.values()), None)


class HtseqReader:
    """Reads files of one set of genes, which is that of the first file."""

    def __init__(self, path: str | Path) -> None:
        import numpy as np

        self.first = str(path)
        names = list(read_lines(path))
        self.genes = sorted((name for name in names if name not in TALLIES), key=byte_order)
        """Gene ids in byte order."""
        places = {name: place for place, name in enumerate([*self.genes, *TALLIES])}
        self._place = np.array([places[name] for name in names], np.int64)
        self._fixed = np.array([len(name.encode()) + 2 for name in names], np.int64)
        self._zeros = "".join(f"{name}\t0\n" for name in names).encode()

    def read(self, path: str | Path) -> "tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]":
        """Return the places (in ``genes``) and values of the counts other than zero, and the five tallies; all int64.

        Raises InputError as :func:`read_lines` does, and where the genes are not those of the first file.
        """
        import numpy as np

        found = self._read_fast(read_bytes(path))
        if found is None:
            found = self._read_lines(path)
        places, values = found
        tallies = np.zeros(len(TALLIES), np.int64)
        tallied = places >= len(self.genes)
        tallies[places[tallied] - len(self.genes)] = values[tallied]
        places, values = places[~tallied], values[~tallied]
        order = np.argsort(places)
        return places[order], values[order], tallies

    def _read_lines(self, path: str | Path) -> "tuple[numpy.ndarray, numpy.ndarray]":
        import numpy as np

        counts = read_lines(path)
        names = [*self.genes, *TALLIES]
        if counts.keys() != set(names):
            only = {"first": counts.keys() - set(names), "second": set(names) - counts.keys()}
            told = [
                f"{', '.join(sorted(some)[:3])}{' and others' if len(some) > 3 else ''} only in the {which}"
                for which, some in only.items()
                if some
            ]
            raise InputError(
                f"{path} and {self.first} are not of the same genes: {'; '.join(told)}."
                " Files of two references cannot stand in one table."
            )
        values = np.array([counts[name] for name in names], np.int64)
        places = np.flatnonzero(values)
        return places, values[places]

    def _read_fast(self, text: bytes) -> "tuple[numpy.ndarray, numpy.ndarray] | None":
        """Return places and values, or None for a file that is not as the first one to the letter."""
        import numpy as np

        raw = np.frombuffer(bytearray(text), np.uint8)
        ends = np.flatnonzero(raw == 10)
        if len(ends) != len(self._fixed) or len(raw) != ends[-1] + 1:
            return None
        surplus = np.diff(ends, prepend=-1) - self._fixed - 1
        if surplus.min() < 0 or surplus.max() > 17:
            return None
        lines = np.flatnonzero((raw[ends - 1] != 48) | (surplus > 0))
        lasts = ends[lines] - 1
        digits = raw[lasts].astype(np.int64) - 48
        values = digits.copy()
        good = (digits >= 0) & (digits <= 9)
        longer = np.flatnonzero(surplus[lines])
        power = 1
        left = surplus[lines][longer]
        behind = longer
        place = lasts[longer]
        while len(behind):
            power *= 10
            place = place - 1
            digits = raw[place].astype(np.int64) - 48
            good[behind] &= (digits >= 0) & (digits <= 9)
            values[behind] += digits * power
            more = left > 1
            left, behind, place = left[more] - 1, behind[more], place[more]
        if not good.all():
            return None
        raw[lasts] = 48
        stops = lasts[longer]
        starts = [0, *stops.tolist()]
        stops = [*(stops - surplus[lines][longer]).tolist(), len(text)]
        zeroed = raw.tobytes()
        if b"".join([zeroed[start:stop] for start, stop in zip(starts, stops, strict=True)]) != self._zeros:
            return None
        return self._place[lines], values
