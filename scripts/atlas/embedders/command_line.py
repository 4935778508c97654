"""Options and checks that all back ends share."""

import argparse
from pathlib import Path

from scripts.atlas.options import share
from scripts.atlas.store.count_matrix import CountMatrix
from scripts.core.command import command_parser
from scripts.core.errors import raise_faults


def backend_parser(description: str | None, needs_model: bool) -> argparse.ArgumentParser:
    """Return a parser with the options that every back end takes."""
    parser = command_parser(description)
    parser.add_argument("--matrix", required=True, type=Path, help="the counts (h5ad)")
    parser.add_argument("--species", required=True, help="label of the species")
    parser.add_argument("--tax-id", required=True, help="its number in NCBI's taxonomy, e.g. 9606")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--model", required=needs_model, type=Path, help="the weights" if needs_model else "not used")
    parser.add_argument("--output", required=True, type=Path, help="folder to write the part into")
    if needs_model:
        words = "share of the model's genes, and of the counts, to be found"
        parser.add_argument("--min-found", type=share, default=0.5, help=words)
    return parser


def check_species(matrix: CountMatrix, species: str, tax_id: str) -> None:
    """Raise InputError where the obs of a matrix names another species."""
    faults = []
    for column, wanted in (("species", species), ("tax_id", tax_id)):
        if column in matrix.columns:
            labels = matrix.labels(column)
            others = sorted({labels.categories[code] for code in set(labels.codes.tolist()) if code >= 0} - {wanted})
            if others:
                faults.append(f"obs: its {column} is {', '.join(others)}, but {wanted} is to be embedded.")
    raise_faults(matrix.title, faults)
