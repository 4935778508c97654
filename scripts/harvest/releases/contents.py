"""A release that is there: is it sound, and what is compared of it with the next one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.disk.files import hash_file, parse_json, read_bounded
from scripts.core.errors import InputError, raise_faults
from scripts.harvest.checks.folder import check_results, sum_faults
from scripts.harvest.releases.differences import Side, fates_of
from scripts.harvest.releases.digests import CELLS, digest_cells, read_cells, write_cells
from scripts.harvest.releases.pack import extract
from scripts.harvest.releases.texts import FORMAT, RELEASE
from scripts.harvest.results import MOST_ROWS, SUMS, list_files, look_through, read_ledger, read_sums

LEDGER = "results/runs.tsv"
_COMPARED = (RELEASE, CELLS, SUMS, LEDGER)
_MOST = 1 << 26  # bytes of release.json


class Earlier(NamedTuple):
    """A release before: its version, the checksum of its SHA256SUMS, and what is compared."""

    version: str
    sha256: str
    side: Side


def is_release(folder: Path) -> bool:
    """Whether a folder is that of a release."""
    return (folder / RELEASE).is_file() and (folder / "results").is_dir()


def side_of_results(results: Path, most: int = MOST_ROWS) -> Side:
    """Return what is compared of a folder of results. Raises InputError where it cannot be read."""
    ledger = read_ledger(results / "runs.tsv", most)
    cells, made = digest_cells(results, list_files(results), ledger, read_sums(results / SUMS))
    return Side(cells, fates_of(results / "runs.tsv"), made)


def read_earlier(path: Path) -> Earlier:
    """Return a release before: a folder, its archive, or a folder of results that was never released.

    Raises InputError where it is none of them, or a file of it that is compared was changed.
    """
    if not path.exists():
        raise InputError(f"--since {path}: there is no such release.")
    if path.is_dir() and not is_release(path):
        if not (path / "runs.tsv").is_file():
            raise InputError(f"--since {path}: neither a release nor a folder of results.")
        return Earlier("unreleased", hash_file(path / SUMS), side_of_results(path))
    if path.is_dir():
        return _read(path, path)
    with tempfile.TemporaryDirectory() as folder:
        extract(path, _COMPARED, Path(folder))
        return _read(Path(folder), path)


def _read(folder: Path, path: Path) -> Earlier:
    missing = [name for name in _COMPARED if not (folder / name).is_file()]
    raise_faults(f"The release {path}", (f"{name}: missing." for name in missing))
    sums = read_sums(folder / SUMS)
    changed = [name for name in _COMPARED if name != SUMS and sums.get(name) != hash_file(folder / name)]
    raise_faults(f"The release {path}", (f"{name}: its sha256 is not that of {SUMS}." for name in changed))
    about = _about(folder)
    side = Side(read_cells(folder / CELLS), fates_of(folder / LEDGER), about["made_with"])
    return Earlier(about["version"], hash_file(folder / SUMS), side)


def _about(folder: Path) -> dict[str, Any]:
    """Return release.json. Raises InputError where it is not one of this format."""
    about = parse_json(read_bounded(folder / RELEASE, _MOST), RELEASE)
    known = isinstance(about, dict) and isinstance(about.get("made_with"), dict)
    if not known or about.get("format") != FORMAT or not isinstance(about.get("version"), str):
        raise InputError(f"{RELEASE}: not that of a release of this format ({FORMAT}).")
    return dict(about)


def check_release(folder: Path, most: int = MOST_ROWS) -> int:
    """Check a release: its files have their checksums, its results are sound, its table of cells is theirs.

    Returns the number of files. Raises InputError, with every fault.
    """
    files, strange = look_through(folder)
    faults = list(_faults(folder, files, strange, most))
    raise_faults(f"The release {folder}", faults)
    return len(files) - 1


def _hash_cells(side: Side) -> str:
    """Return the sha256 of the table of cells of a release."""
    with tempfile.TemporaryDirectory() as folder:
        write_cells(Path(folder, CELLS), side.cells)
        return hash_file(Path(folder, CELLS))


def _faults(folder: Path, files: dict[str, int], strange: list[str], most: int) -> Iterator[str]:
    found = []
    try:
        found = list(sum_faults(folder, files, strange))
        yield from found
        if strange:
            return  # a link or a device is not read
        _about(folder)
        check_results(folder / "results", most)
        if CELLS not in files:
            yield f"{CELLS}: missing."
        elif hash_file(folder / CELLS) != _hash_cells(side_of_results(folder / "results", most)):
            yield f"{CELLS}: its digests are not those of the results."
    except InputError as error:
        yield from str(error).splitlines()
    except OSError as error:
        yield f"{error.filename or folder}: cannot be read: {error.strerror or error}."
