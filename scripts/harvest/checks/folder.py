"""A folder of results as a whole: its files are those of SHA256SUMS, and agree with the ledger and each other."""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.disk.files import hash_file, open_regular
from scripts.core.errors import InputError, raise_faults
from scripts.harvest.checks import archives, atlas, changes, metadata, provenance, quality, tables
from scripts.harvest.results import (
    CHANGES,
    COUNTS,
    DISCOVERED,
    LOGS,
    MOST_ROWS,
    MULTIQC,
    SUMS,
    TIME_STAMP,
    TPM,
    archive_files,
    conservation_faults,
    look_through,
    read_ledger,
    read_sums,
    species_of,
)
from scripts.plan.run_table import Run

LEDGER, PLAN = "runs.tsv", "plan.tsv"
UNREADABLE = (OSError, UnicodeDecodeError, ValueError, csv.Error, MemoryError)
"""What is raised for a file that is damaged, or was removed meanwhile."""


def sum_faults(results: Path, files: dict[str, int], strange: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each file that is not as SHA256SUMS says, and for what is no file."""
    if SUMS not in files:
        yield from strange
        yield f"{SUMS}: missing, so changed files cannot be found."
        return
    faults = dict(fault.split(": ", 1) for fault in strange)
    sums = read_sums(results / SUMS)
    # Snakemake marks folders with an empty file.
    found = {name for name, size in files.items() if name != SUMS and (size or Path(name).name != TIME_STAMP)}
    aside = {CHANGES, *DISCOVERED, *(name for name in found if name.startswith(MULTIQC))}
    found -= aside - sums.keys()
    for name in sorted(sums.keys() | found | faults.keys(), key=lambda name: name.encode(errors="surrogateescape")):
        if name in faults:
            yield f"{name}: {faults[name]}"
        elif name not in sums:
            yield f"{name}: not in {SUMS}."
        elif name not in found:
            yield f"{name}: in {SUMS}, but missing."
        else:
            yield from readable(name, one_sum_faults(results / name, name, sums[name]))


def one_sum_faults(path: Path, name: str, expected: str) -> Iterator[str]:
    """Yield a sentence where a file does not have the sha256 of SHA256SUMS."""
    open_regular(path).close()
    if hash_file(path) != expected:
        yield f"{name}: changed; its sha256 is not that of {SUMS}."


def readable(name: str, faults: Iterator[str]) -> Iterator[str]:
    """Yield faults, and one more where a file turns out to be wrong, cut short or damaged."""
    try:
        yield from faults
    except InputError as error:
        yield from (str(error).splitlines() if str(error).startswith(SUMS) else [" ".join(str(error).splitlines())])
    except UNREADABLE as error:
        yield f"{name}: cannot be read to its end: {error}."


def table_faults(results: Path, files: dict[str, int], species: str, ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fault of a table of counts, and of the log table and the h5ad of the same cells."""
    name, logs, matrix = f"{species}{COUNTS}", f"{species}{LOGS}", f"{species}.h5ad"
    if matrix not in files:
        yield f"{matrix}: missing, though {name} exists."
    noted = results / matrix if matrix in files else None
    table = tables.add_up(results / name, ledger, tables.has_fractions(noted))
    yield from tables.header_faults(table, ledger, species, name)
    if logs in files:
        yield from readable(logs, tables.log_faults(table, results / logs, ledger, noted))
    if (shares := f"{species}{TPM}") in files:
        yield from readable(shares, tables.tpm_faults(table, results / shares, ledger))
    if matrix in files:
        yield from readable(matrix, tables.h5ad_faults(table, results / matrix))


def droplet_faults(results: Path, files: dict[str, int], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fault of the archives, and of the h5ad of a series that was made from them."""
    matrices = [name for name in files if name.endswith(".h5ad") and name.rpartition("/")[0] == "droplets"]
    described = [archives.layers_of(results / name) for name in matrices]
    layers, mains = {layer for _, names in described for layer in names}, {main for main, _ in described}
    checks: dict[str, archives.LibraryCheck] = {}
    unread = set()
    # The cells are known before the raw matrices are read.
    for name in sorted(archive_files(files), key=lambda name: (name.split("/")[1], name.endswith("_raw.tar.gz"))):
        library = Path(name).parent.name
        check = checks.setdefault(library, archives.LibraryCheck(layers, mains))
        yield from readable(name, check.archive_faults(results / name, name))
        if Path(name).name == archives.MAIN and "Gene" not in check.cells:
            unread.add(library)
    for name in matrices:
        yield from readable(name, archives.h5ad_faults(results / name, name, ledger, checks, unread))
        yield from readable(name, quality.droplet_obs_faults(results / name, name))


def metadata_faults(results: Path, files: dict[str, int], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fault of the metadata of all species."""
    samples: dict[str, set[tuple[str, str]]] = {}
    for species in species_of(files, metadata.ARCHIVE):
        name = f"{species}{metadata.ARCHIVE}"
        found: set[tuple[str, str]] = set()
        faults = [*readable(name, metadata.archive_faults(results / name, ledger, found))]
        if not faults:
            samples[species] = found
        yield from faults
    for ending in (metadata.SAMPLES, metadata.SERIES):
        for species in species_of(files, ending):
            name = f"{species}{ending}"
            yield from readable(name, metadata.table_faults(results / name, ledger, samples.get(species)))


def atlas_faults(results: Path, files: dict[str, int]) -> Iterator[str]:
    """Yield a sentence for each file of an atlas that is not as its manifest says."""
    names = atlas.manifests(files)
    if names and SUMS in files:
        sums = read_sums(results / SUMS)
        for name in names:
            yield from readable(name, atlas.manifest_faults(results, name, sums))


def quality_faults(results: Path, files: dict[str, int], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fault of the table of plate cells, and of its figures in the h5ad files."""
    cells: dict[str, dict[str, quality.CellFigures]] = {}
    yield from readable(quality.CELLS, quality.cell_faults(results / quality.CELLS, ledger, cells))
    for matrix in (f"{species}.h5ad" for species in species_of(files, COUNTS)):
        if matrix in files:
            of_species = cells.get(matrix.removesuffix(".h5ad"), {})
            yield from readable(matrix, quality.obs_faults(results / matrix, of_species))


def content_faults(results: Path, files: dict[str, int], most: int) -> Iterator[str]:
    """Yield a sentence for everything that is wrong in the files of a folder of results."""
    ledger = read_ledger(results / LEDGER, most)
    if PLAN not in files:
        yield f"{PLAN}: missing, so rows that were taken out of the ledger cannot be found."
    yield from conservation_faults(results, ledger, most)
    for species in species_of(files, COUNTS):
        yield from readable(f"{species}{COUNTS}", table_faults(results, files, species, ledger))
    if quality.CELLS in files:
        yield from quality_faults(results, files, ledger)
    if provenance.FACTS in files:
        yield from readable(provenance.FACTS, provenance.provenance_faults(results, files, ledger))
    if CHANGES in files:
        yield from readable(CHANGES, changes.change_faults(results / CHANGES))
    if quality.LIBRARIES in files:
        yield from readable(quality.LIBRARIES, quality.library_faults(results / quality.LIBRARIES, ledger))
    yield from droplet_faults(results, files, ledger)
    yield from metadata_faults(results, files, ledger)
    with contextlib.suppress(InputError):  # SHA256SUMS that cannot be read are reported already
        yield from atlas_faults(results, files)


def check_results(results: Path, most: int = MOST_ROWS) -> int:
    """Check a folder of results; return how many files it has.

    Raises InputError, with every fault. ``most`` are the rows of a ledger that are read.
    """
    files, strange = look_through(results)
    if LEDGER not in files:
        raise InputError(f"{results}: not a folder of results; it has no ledger (runs.tsv).")
    faults = [
        *readable(SUMS, sum_faults(results, files, strange)),
        *readable(LEDGER, content_faults(results, files, most)),
    ]
    raise_faults(f"The folder {results}", faults)
    aside = {SUMS, *DISCOVERED}
    return sum(name not in aside and Path(name).name != TIME_STAMP and not name.startswith(MULTIQC) for name in files)
