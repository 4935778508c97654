"""Barcode ranks of droplet libraries, from what the rule ``solo`` keeps: Solo.out/{feature}/UMIperCellSorted.txt.gz.

That file has the molecules of each barcode, one a line, the most first. A curve has some points of it.
"""

import bisect
import gzip
from pathlib import Path

import h5py
import numpy as np

from scripts.core.errors import InputError
from scripts.formats import h5ad
from scripts.harvest.report_page.charts import RankPoint

MOST_POINTS = 60
MOST_BYTES = 400_000_000
"""Of a list of molecules: a hundred million barcodes."""


def read_curve(kept: Path, feature: str, called: np.ndarray) -> list[RankPoint]:
    """Return the curve of a library, empty where nothing is kept of it.

    ``kept`` is its folder, ``called`` the molecules of its called cells in any order, none where they are not known.
    Raises InputError where the list is broken.
    """
    path = kept / "Solo.out" / feature / "UMIperCellSorted.txt.gz"
    if not path.is_file():
        return []
    try:
        with gzip.open(path) as stream:
            text = stream.read(MOST_BYTES)
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        if not len(ends):
            return []
        starts = np.concatenate([[0], ends[:-1] + 1])

        def molecules(rank: int) -> int:
            return int(text[starts[rank - 1] : ends[rank - 1]])

        ranks = {*np.geomspace(1, len(ends), MOST_POINTS).round().astype(int).tolist(), len(ends)}
        shares = np.zeros(0)
        if len(called):
            least = int(called.min())
            with_called = bisect.bisect_right(range(1, len(ends) + 1), -least, key=lambda rank: -molecules(rank))
            ranks |= {with_called, min(with_called + 1, len(ends))} - {0}
            shares = _called_shares(np.array(text[: ends[with_called - 1]].split(), np.int64), called)
        shown = sorted(ranks)
        return [
            RankPoint(rank, molecules(rank), _mean(shares[rank - 1 : following - 1]))
            for rank, following in zip(shown, [*shown[1:], shown[-1] + 1], strict=True)
        ]
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as molecules of barcodes: {error}.") from error


def _called_shares(molecules: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return for each barcode the share of called cells among the barcodes of as many molecules."""
    values, index, barcodes = np.unique(molecules, return_inverse=True, return_counts=True)
    ascending = np.sort(called)
    cells = np.searchsorted(ascending, values, "right") - np.searchsorted(ascending, values, "left")
    return np.minimum(cells / barcodes, 1)[index]


def _mean(shares: np.ndarray) -> float:
    return float(shares.mean()) if len(shares) else 0.0


def _known(values: np.ndarray) -> np.ndarray:
    """Return figures in which what is no number, or none that a cell can have, is 0."""
    return np.where(np.isfinite(values) & (values >= 0), values, 0)


def read_called(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return experiment → molecules of its called cells, and the figures of all cells of a droplets h5ad by column.

    Both are empty for a file of a version that has no such columns. Raises InputError where it cannot be read.
    """
    try:
        with h5py.File(path, "r") as root:
            obs = root["obs"]
            figures = {
                name: _known(np.asarray(obs[name][()], np.float32))
                for name in ("total_counts", "n_genes_by_counts", "pct_counts_mt")
                if name in obs and isinstance(obs[name], h5py.Dataset)
            }
            if "total_counts" not in figures or "experiment" not in obs:
                return {}, figures
            experiments = np.asarray(h5ad.read_column(obs, "experiment"), dtype=object)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as counts of cells: {error}.") from error
    return {name: figures["total_counts"][experiments == name] for name in sorted(set(experiments))}, figures
