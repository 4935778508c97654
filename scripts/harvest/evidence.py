"""Join what is known of the reads of each run: what the records said, what the reads proved, what became of it.

One JSON object a line for each row of the ledger that names a run, in the ledger's order:

- series, experiment, run, species, assay, read_roles, chemistry, status, reason, detail: as in the ledger
- strand: of the cDNA read of that kit (Forward or Reverse), empty for plates and where no kit is known
- rank, evidence: what the roles rest on, as a rank (3 barcodes, 2 read lengths, 1 run table; 0 where the reads did not
  tell) and in words; of a run whose reads were not looked at, what the records tell them by
- records: what was judged from the records before any download, null where a run table was given
- reads: what a sample of the reads showed: roles, candidates, offset, rank of the evidence and its name, mean_lengths,
  figures (share of barcodes on an inclusion list and the share by chance, for every alternative), the inclusion lists
  at hand, the kits that were not tried and why; null for plates and where no reads were to be had
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.files import atomic_text
from scripts.droplets.chemistries import Chemistry, read_chemistries
from scripts.plan.run_table import Run, iterate_runs

TOLD = (
    "series",
    "experiment",
    "run",
    "species",
    "assay",
    "read_roles",
    "chemistry",
    "status",
    "reason",
    "detail",
)


def read_records(path: str | Path) -> dict[str, Any]:
    """Return run → object of a JSON-lines file, an object a run. Raises InputError for a line that is none."""
    records = {}
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                told = json.loads(line)
                records[told["run"]] = told
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{path}, line {number}: not a JSON object with a run.") from error
    return records


def read_verdicts(path: Path) -> dict[str, Any]:
    """Return run → verdict of a library, with the lists that were at hand; nothing where there is no file."""
    if not path.is_file():
        return {}
    library = json.loads(path.read_text(encoding="utf-8"))
    shared = {"inclusion_lists": library["inclusion_lists"], "not_tried": library["not_tried"]}
    return {run: verdict | shared for run, verdict in library["runs"].items()}


def join_evidence(
    rows: Iterable[Run], records: Mapping[str, Any], verdicts: str, chemistries: Mapping[str, Chemistry]
) -> Iterator[dict[str, Any]]:
    """Yield an object for each row with a run; ``verdicts`` is the path of a library's verdicts with ``{unit}``."""
    unit, of_library = "", {}
    for row in rows:
        if not row.run:
            continue
        name = f"{row.series}.{row.species}.{row.experiment}"
        if row.assay == "droplet" and name != unit:
            unit, of_library = name, read_verdicts(Path(verdicts.replace("{unit}", name)))
        told: dict[str, Any] = {field: getattr(row, field) for field in TOLD}
        told["strand"] = chemistries[row.chemistry].strand if row.chemistry in chemistries else ""
        said = records.get(row.run) or {}
        seen = (of_library.get(row.run) if row.assay == "droplet" and name == unit else None) or {}
        told["rank"] = seen.get("rank", 0)
        told["evidence"] = seen.get("evidence") or ("" if seen else said.get("told_by", ""))
        told["records"] = said or None
        told["reads"] = seen or None
        yield told


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="what became of every run (results/runs.tsv)")
    parser.add_argument("--records", required=True, help="what the records said (work/plan/records.jsonl)")
    parser.add_argument("--roles", required=True, help="path of the verdicts of read_roles, with {unit} in it")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--output", required=True, help="the evidence to write (work/plan/evidence.jsonl)")
    args = parser.parse_args(argv)
    if "{unit}" not in args.roles:
        raise InputError(f"--roles {args.roles}: there must be {{unit}} in it.")
    chemistries, _ = read_chemistries(args.chemistries)
    records = read_records(args.records)
    with atomic_text(args.output) as handle:
        for told in join_evidence(iterate_runs(args.ledger), records, args.roles, chemistries):
            handle.write(json.dumps(told, ensure_ascii=False) + "\n")
