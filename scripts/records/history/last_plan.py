"""The last plan, kept in a folder (``units/last_plan``) that is replaced as a whole when a new plan is complete.

``plan.tsv`` are its rows. ``withdrawn.tsv`` are the rows of runs that an earlier look-up found and a later one did not,
as they were found. ``described.jsonl`` has what the records said of each sample and series. ``state.json`` has what
was asked for, whether archives were looked up, the kept records (``files``) from which tables are made, and a token:
another plan, or other records, another token.

The folder is no output of the job that writes it: Snakemake removes outputs before a job starts, and what is new is
what the last plan did not have.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import atomic_folder, hash_file, parse_json
from scripts.core.errors import InputError
from scripts.plan.run_table import Run, read_runs, write_runs

PLAN, WITHDRAWN, DESCRIBED, STATE = "plan.tsv", "withdrawn.tsv", "described.jsonl", "state.json"


class LastPlan(NamedTuple):
    """A plan as it was."""

    rows: Sequence[Run] = ()
    withdrawn: Sequence[Run] = ()
    described: Mapping[str, str] = {}  # accession → see describe()
    asked: Sequence[str] = ()
    looked_up: bool = False
    sha256: str = ""  # of its run table; empty where there was no plan

    @property
    def is_there(self) -> bool:
        return bool(self.sha256)


def read_last_plan(folder: str | Path) -> LastPlan:
    """Return the last plan; an empty one where there is none. Raises InputError for a damaged folder."""
    folder = Path(folder)
    if not (folder / STATE).is_file():
        return LastPlan()
    advice = f"Delete {folder} to go on without what it says of earlier plans."
    try:
        state = parse_json((folder / STATE).read_bytes(), str(folder / STATE))
        lines = (folder / DESCRIBED).read_text(encoding="utf-8").splitlines()
        described = dict(json.loads(line) for line in lines)
        rows, withdrawn = (read_runs(folder / name) for name in (PLAN, WITHDRAWN))
        return LastPlan(rows, withdrawn, described, state["asked"], state["looked_up"], hash_file(folder / PLAN))
    except (InputError, OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder}: not the last plan as this version keeps it ({error}). {advice}") from error


def write_last_plan(folder: str | Path, plan: LastPlan, files: Iterable[Path], digests: Mapping[str, str]) -> None:
    """Replace the last plan by another one; ``files`` and ``digests`` are of the records on which results rest."""
    with atomic_folder(folder) as partial:
        write_runs(partial / PLAN, plan.rows)
        write_runs(partial / WITHDRAWN, plan.withdrawn)
        lines = (json.dumps(pair, ensure_ascii=False) for pair in sorted(plan.described.items()))
        (partial / DESCRIBED).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
        files = set(files)
        words = [hash_file(partial / PLAN), *(f"{path} {hash_file(path)}" for path in sorted(files))]
        words += [f"{name} {digest}" for name, digest in sorted(digests.items())]
        state = {
            "asked": list(plan.asked),
            "looked_up": plan.looked_up,
            "files": sorted({str(path) for path in files}),
            "token": hashlib.sha256("\n".join(words).encode()).hexdigest()[:16],
        }
        (partial / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8", newline="")
