"""Folders of plain files, one for each run and named after it, as other workflows leave them.

``SRR1274127.homo.htseq-count.txt`` and ``SRR1274127.homo.Log.final.out`` (or, as STAR names it by itself,
``SRR1274127Log.final.out``, or ``SRR1274127/Log.final.out``); the label of the species may be left out, subfolders are
looked into, and any file may be gzipped.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError, raise_faults
from scripts.harvest.columns import TableColumn, sort_columns
from scripts.plan.run_table import Run, column_of


class Kind(NamedTuple):
    """A kind of file."""

    ending: str
    """What its name ends in, behind the run and the species."""
    word: str
    """What stands in the names of such files and of no others."""
    pattern: re.Pattern[str]


def _kind(ending: str, word: str, dot: str) -> Kind:
    return Kind(ending, word, re.compile(rf"([^.]+?)(?:\.([^.]+?))?{dot}{re.escape(ending)}(?:\.gz)?"))


COUNTS = _kind("htseq-count.txt", "htseq-count", r"\.")
LOG = _kind("Log.final.out", "Log.final", r"\.?")
_NAMED = 5
"""Files that are named one by one in a note."""


def find_files(folder: str | Path, kind: Kind, species: str) -> dict[str, Path]:
    """Return run → its file of a kind. Files of another species or of no such kind are passed over, which is told.

    Raises InputError naming every file whose name is not understood and every second file of a run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder.")
    files: dict[str, Path] = {}
    faults, strange = [], []
    expected = f"RUN.{species}.{kind.ending}"
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file():
            continue
        found = kind.pattern.fullmatch(path.name)
        if found is None and path.name.removesuffix(".gz") == kind.ending and path.parent != folder:
            run, label = path.parent.name, None
        elif found is None:
            if kind.word in path.name:
                faults.append(f"{name}: not named {expected}.")
            else:
                strange.append(name)
            continue
        else:
            run, label = found.groups()
        if label not in (None, species):
            strange.append(name)
        elif run in files:
            faults.append(f"{name}: a second file of {run}, beside {files[run].relative_to(folder).as_posix()}.")
        else:
            files[run] = path
    if not files:
        faults.append(f"no file is named {expected}, e.g. SRR1274127.{species}.{kind.ending}.")
    raise_faults(f"The folder {folder}", faults)
    if strange:
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        print(f"{folder}: passed over {', '.join(strange[:_NAMED])}{more}: not named {expected}.", file=sys.stderr)
    return files


def columns_of_folder(
    folder: str | Path, kind: Kind, species: str, ledger: Sequence[Run] | None, count_by: str
) -> list[tuple[TableColumn, list[Path]]]:
    """Return the columns of a folder, sorted, with the files of each.

    With a ledger, the counted runs of the species are the columns, and each needs its file (named after the run or,
    for all runs of an experiment together, after the experiment). Without one, each file is a column, and EXP_ID and
    GSM stay empty. Raises InputError naming every file and run that does not fit.
    """
    files = find_files(folder, kind, species)
    if ledger is None:
        rows = [Run(run=name, species=species, experiment=name) for name in files]
        return [(TableColumn("", row.run, (row,)), [files[row.run]]) for row in sorted(rows, key=lambda row: row.run)]
    gathered: dict[tuple[str, str], list[Run]] = {}
    for row in ledger:
        if row.species == species and row.assay == "plate" and row.status == "counted":
            gathered.setdefault((row.series, column_of(row, count_by)), []).append(row)
    faults = []
    found = {}
    for (_, accession), runs in gathered.items():
        column = TableColumn("", accession, tuple(sorted(runs, key=lambda row: row.run)))
        if accession in files:
            found[column] = [files.pop(accession)]
            continue
        found[column] = [files.pop(row.run) for row in column.rows if row.run in files]
        if len(found[column]) < len(column.rows):
            faults.append(f"{column.runs}: counted in the ledger, but a run of it has no file.")
    faults += [f"{path.name}: {name} is not counted in the ledger." for name, path in sorted(files.items())]
    raise_faults(f"The folder {folder}", faults)
    return [(column, found[column]) for column in sort_columns(found)]
