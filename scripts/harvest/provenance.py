"""Write what the results were made from and with (provenance.json), and the paragraph for a paper (methods.txt).

Versions are those that the jobs recorded when they worked on each run, not those of this machine. There is no clock,
user, machine, folder or number of threads in either file: same input, same bytes. See docs/formats.md.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.core.command import command_parser
from scripts.core.disk.files import parse_json, write_atomic
from scripts.core.errors import InputError
from scripts.core.secrets import mask
from scripts.harvest.origins.facts import Asked, Folders, gather
from scripts.harvest.origins.methods import write_methods
from scripts.plan.lists import asked_for
from scripts.plan.run_table import read_runs


def as_map(option: str, words: Iterable[str]) -> dict[str, str]:
    """Return name → value of ``name=value`` words. Raises InputError for others."""
    pairs = [word.partition("=") for word in words]
    for name, equals, value in pairs:
        if not equals:
            raise InputError(f"{option}: {name + value!r} is not name=value.")
    return {name: value for name, _, value in pairs}


def as_settings(words: Iterable[str]) -> dict[str, Any]:
    """Return key path → value of ``key=JSON`` words. Raises InputError for others."""
    return {name: parse_json(value, f"--settings {name}") for name, value in as_map("--settings", words).items()}


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--ledger", required=True, help="the ledger, results/runs.tsv")
    parser.add_argument("--results", required=True, type=Path, help="the folder of results")
    parser.add_argument("--units", default="units", type=Path, help="folder of what units were counted to (units)")
    parser.add_argument("--references", nargs="*", default=[], help="reference.json of each reference")
    parser.add_argument("--chemistries", required=True, type=Path, help="the kits: config/chemistries.yaml")
    parser.add_argument("--asked", nargs="*", default=[], help="accessions, or files of them, that were asked for")
    parser.add_argument("--run-table", default="", help="the run table that was used instead of a look-up")
    parser.add_argument(
        "--species", nargs="*", default=[], metavar="LABEL=TAXID:REFERENCE", help="species with their references"
    )
    parser.add_argument(
        "--sources", nargs="*", default=[], metavar="REFERENCE.ROLE=ADDRESS", help="where references are from"
    )
    parser.add_argument(
        "--promised", nargs="*", default=[], metavar="REFERENCE.ROLE=SHA256", help="checksums in the configuration"
    )
    parser.add_argument(
        "--settings",
        nargs="*",
        default=[],
        metavar="KEY=JSON",
        help="the configuration that decides what is in results",
    )
    parser.add_argument("--output", required=True, help="the facts to write (results/provenance.json)")
    parser.add_argument("--methods", required=True, help="the paragraph to write (results/methods.txt)")
    options = parser.parse_args(argv)
    asked = Asked(
        asked_for(options.asked)[0],
        options.run_table,
        as_map("--species", options.species),
        as_map("--sources", options.sources),
        as_map("--promised", options.promised),
        as_settings(options.settings),
    )
    folders = Folders(options.results, options.units, options.references, options.chemistries)
    facts = gather(read_runs(options.ledger), asked, folders)
    text = mask(json.dumps(facts, indent=2, ensure_ascii=False)) + "\n"
    write_atomic(options.output, text)
    write_atomic(options.methods, write_methods(json.loads(text)))
