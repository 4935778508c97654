"""The figures of the cells of an h5ad of this workflow: what the report shows of them."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from scripts.core.errors import InputError
from scripts.formats import h5ad, h5ad_checked
from scripts.plates.shard_counts import TALLIES

_FIGURES = {
    "star_number_of_input_reads": "reads",
    "star_uniquely_mapped_reads_percent": "mapped",
    **{name: name for name in TALLIES},
}


def read_cells(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return a frame with a row a cell, and the notes on the reference and the parameters.

    Columns are series, experiment, counts (reads or molecules that count for a gene), genes (with a count) and, for
    plates, reads, mapped (uniquely mapped, percent) and the tallies of htseq-count; a figure that no cell has is not
    there. Raises InputError where the file cannot be read.
    """
    try:
        with h5py.File(path, "r") as root:
            obs = root["obs"]
            index = h5ad.read_texts(obs[obs.attrs["_index"]])
            columns = {
                "series": h5ad.read_column(obs, "series") if "series" in obs else path.name.partition(".")[0],
                "experiment": h5ad.read_column(obs, "experiment")
                if "experiment" in obs
                else [name.partition("_")[0] for name in index],
                "counts": h5ad_checked.sum_rows(root, "X", real=True).astype(float),
                "genes": np.diff(root["X/indptr"][()]).astype(float),
            }
            for name, figure in _FIGURES.items():
                if name in obs:
                    columns[figure] = np.nan_to_num(obs[name][()].astype(float))
            return pd.DataFrame(columns, range(len(index))), _read_notes(root)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as counts of cells: {error}.") from error


def _read_notes(root: h5py.File) -> dict[str, str]:
    """Return the texts of uns that name the reference, and those of uns/parameters."""
    uns = root.get("uns", {})
    notes = {"reference": uns["reference"].asstr()[()]} if "reference" in uns else {}
    parameters = uns.get("parameters", {})
    texts = [name for name in sorted(parameters) if h5py.check_string_dtype(parameters[name].dtype)]
    return notes | {name: parameters[name].asstr()[()] for name in texts}
