"""Small matrices of counts, written as the workflow writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse

from scripts.formats import h5ad

GENES = [f"ENSG{number:011d}.{number % 9 + 1}" for number in range(120)]


def draw_counts(cells: int, genes: int = len(GENES), seed: int = 0, rank: int = 6) -> np.ndarray:
    """Return counts of a few kinds of cells; every cell has some."""
    random = np.random.default_rng(seed)
    kinds = random.gamma(0.5, 4.0, (rank, genes))
    weights = random.dirichlet(np.ones(rank) * 0.3, cells)
    counts = random.poisson(weights @ kinds)
    counts[:, 0] += 1
    return counts


def plate_columns(cells: int, species: str = "homo", tax_id: str = "9606", series: str = "GSE1") -> dict[str, Any]:
    """Return the columns of obs of plate cells."""
    return {
        "runs": [f"SRR{number}" for number in range(cells)],
        "series": [series] * cells,
        "sample": [f"GSM{number}" for number in range(cells)],
        "experiment": [f"SRX{number}" for number in range(cells)],
        "tax_id": [tax_id] * cells,
        "species": [species] * cells,
    }


def write_matrix(
    path: Path,
    counts: Any,
    names: Sequence[str] | None = None,
    obs: Mapping[str, Any] | None = None,
    genes: Sequence[str] = GENES,
) -> Path:
    """Write counts (cells × genes); plate cells by default."""
    rows = scipy.sparse.csr_matrix(counts)
    rows.sort_indices()
    cells = rows.shape[0]
    names = [f"SRX{number}" for number in range(cells)] if names is None else names
    with h5py.File(path, "w") as root:
        h5ad.set_encoding(root, "anndata", "0.1.0")
        matrix = h5ad.create_group(root, "X", "csr_matrix")
        matrix.attrs["shape"] = np.array(rows.shape, np.int64)
        data = rows.data if rows.data.dtype.kind == "f" else rows.data.astype(np.int32)
        matrix.create_dataset("data", data=data)
        matrix.create_dataset("indices", data=rows.indices.astype(np.int32))
        matrix.create_dataset("indptr", data=rows.indptr.astype(np.int32))
        h5ad.write_frame(root, "obs", list(names), plate_columns(cells) if obs is None else obs)
        h5ad.write_frame(root, "var", list(genes), {"gene_id": list(genes)})
    return path


def write_droplets(path: Path, counts: Any, libraries: Mapping[str, int], species: str = "homo", **more: Any) -> Path:
    """Write droplet cells: library → how many of them, in this order."""
    names, obs = [], {name: [] for name in ("series", "sample", "experiment", "run", "tax_id", "species")}
    for library, cells in libraries.items():
        for number in range(cells):
            barcode = "".join("ACGT"[number >> (2 * place) & 3] for place in range(8))
            names.append(f"{library}_{barcode}")
        fields = ("GSE2", f"GSM{library}", library, f"SRR1{library};SRR2{library}", "9606", species)
        for name, value in zip(obs, fields, strict=True):
            obs[name] += [value] * cells
    return write_matrix(path, counts, names, obs, **more)
