"""Join the evidence on the reads of each run: the records, a sample of the reads, and the final status.

One JSON object a line for each row of the ledger that names a run, in the ledger's order:

- series, experiment, run, species, assay, read_roles, chemistry, status, reason, detail: as in the ledger
- strand: of the cDNA read of that kit (Forward or Reverse), empty for plates and where no kit is known
- rank, evidence: of the read roles, as a rank (3 barcodes, 2 read lengths, 1 run table; 0 where the reads do not show
  them) and in words; for a run whose reads were not sampled, the evidence in the records
- records: the judgement from the records before any download, null where a run table was given
- reads: the judgement from a sample of the reads: roles, candidates, offset, rank of the evidence and its name,
  mean_lengths, tag_share (reads of a few sequences, as tags of antibodies are), figures (share of barcodes on an
  inclusion list and the share by chance, for every alternative), the configured inclusion lists, the kits that were
  not tried and why; null for plates and where there were no reads
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_text
from scripts.core.errors import InputError
from scripts.droplets.chemistries import Chemistry, read_chemistries
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.units import check_field

LEDGER_FIELDS = "series experiment run species assay read_roles chemistry status reason detail".split()


def read_records(path: str | Path) -> dict[str, Any]:
    """Return run → object of a JSON-lines file, an object a run. Raises InputError for any other line."""
    records = {}
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                records[record["run"]] = record
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{path}, line {number}: not a JSON object with a run.") from error
    return records


def read_verdicts(path: Path) -> dict[str, Any]:
    """Return run → verdict of a library, with the configured inclusion lists; nothing where there is no file."""
    if not path.is_file():
        return {}
    library = json.loads(path.read_text(encoding="utf-8"))
    shared = {"inclusion_lists": library["inclusion_lists"], "not_tried": library["not_tried"]}
    return {run: verdict | shared for run, verdict in library["runs"].items()}


def join_evidence(
    rows: Iterable[Run], records: Mapping[str, Any], verdicts: str, chemistries: Mapping[str, Chemistry]
) -> Iterator[dict[str, Any]]:
    """Yield an object for each row with a run; ``verdicts`` is the path of a library's verdicts with ``{unit}``."""
    unit, library = "", {}
    for row in rows:
        if not row.run:
            continue
        judged: dict[str, Any] = {}
        if row.assay == "droplet":
            name = f"{row.series}.{row.species}.{row.experiment}"
            if name != unit:
                unit, library = name, read_verdicts(Path(verdicts.replace("{unit}", name)))
            judged = library.get(row.run, {})
        recorded = records.get(row.run) or {}
        yield {name: getattr(row, name) for name in LEDGER_FIELDS} | {
            "strand": chemistries[row.chemistry].strand if row.chemistry in chemistries else "",
            "rank": judged.get("rank", 0),
            "evidence": judged.get("evidence") or ("" if judged else recorded.get("told_by", "")),
            "records": recorded or None,
            "reads": judged or None,
        }


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--records", required=True, help="judgements from the records (units/records.jsonl)")
    parser.add_argument("--roles", required=True, help="path of the verdicts of read_roles, with {unit} in it")
    parser.add_argument("--chemistries", required=True, help="the kits: config/chemistries.yaml")
    parser.add_argument("--output", required=True, help="the evidence to write (units/evidence.jsonl)")
    args = parser.parse_args(argv)
    check_field("--roles", args.roles)
    chemistries, _ = read_chemistries(args.chemistries)
    records = read_records(args.records)
    with atomic_text(args.output) as handle:
        for evidence in join_evidence(iterate_runs(args.ledger), records, args.roles, chemistries):
            handle.write(json.dumps(evidence, ensure_ascii=False) + "\n")
