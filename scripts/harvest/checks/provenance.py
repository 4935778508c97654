"""provenance.json and methods.txt: their facts are those of the ledger and of the other files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from scripts.core.disk.files import parse_json, read_bounded
from scripts.core.errors import InputError
from scripts.core.version import VERSION
from scripts.harvest.checks.tables import read_note
from scripts.harvest.origins.facts import FORMAT, count_by_assay
from scripts.harvest.origins.methods import write_methods
from scripts.harvest.results import FINAL
from scripts.plan.run_table import Run

FACTS, METHODS = "provenance.json", "methods.txt"
_MOST = 1 << 26  # bytes of each file
_UNLIKE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


def provenance_faults(results: Path, files: Iterable[str], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a sentence for each fact that is not as in the ledger, the h5ad files or methods.txt."""
    facts = parse_json(read_bounded(results / FACTS, _MOST), FACTS)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        yield f"{FACTS}: not of format {FORMAT}, the one that is known."
        return
    try:
        yield from _ledger_faults(facts, ledger)
        counted = {row.species for row in ledger if row.assay == "plate" and row.status == "counted"}
        yield from _matrix_faults(results, files, facts, counted)
        if METHODS not in files:
            yield f"{METHODS}: missing, though {FACTS} exists."
        elif facts["workflow"]["harvested_with"] != VERSION:
            return  # another version has other words
        elif read_bounded(results / METHODS, _MOST) != write_methods(facts).encode():
            yield f"{METHODS}: not the text that {FACTS} makes."
    except InputError:
        raise
    except _UNLIKE as error:
        yield f"{FACTS}: its facts are not those of docs/formats.md: {type(error).__name__} {str(error)[:80]}".rstrip()


def _ledger_faults(facts: Mapping[str, Any], ledger: Sequence[Run]) -> Iterator[str]:
    statuses = Counter(row.status for row in ledger)
    if facts["runs"] != {status: statuses[status] for status in FINAL}:
        yield f"{FACTS}: its numbers of runs are not those of the ledger."
    counted = [row for row in ledger if row.status == "counted"]
    if facts["counted"] != count_by_assay(counted):
        yield f"{FACTS}: what it says was counted is not what the ledger says."
    if [row["series"] for row in facts["series"]] != sorted({row.series for row in counted}):
        yield f"{FACTS}: its series are not those of the counted runs."
    if sum(row["runs"] for row in facts["reads"]) != len(counted):
        yield f"{FACTS}: the runs of its archives do not add up to the counted ones."


def _matrix_faults(results: Path, files: Iterable[str], facts: Mapping[str, Any], counted: Set[str]) -> Iterator[str]:
    """Yield a sentence where the plate counts of a species name another reference or version of STAR.

    The tools are those of counted runs: of a species that is not ``counted`` they are not known.
    """
    prints = {reference["name"]: reference["fingerprint"] for reference in facts["references"]}
    known = {tool["version"] for tool in facts["tools"] if tool["program"] == "STAR"}
    for species in facts["species"]:
        name = f"{species['label']}.h5ad"
        if name not in files:
            continue
        reference, star = (read_note(results / name, path) for path in ("uns/reference", "uns/tools/STAR"))
        expected = f"{species['reference']} sha256:{prints.get(species['reference'], '')}"
        if reference not in ("", expected):
            yield f"{FACTS}: {name} was counted with the reference {reference[:100]}, not {expected[:100]}."
        if species["label"] in counted and (other := sorted({*star.split(", ")} - known - {""})):
            yield f"{FACTS}: {name} was aligned with STAR {', '.join(other)[:100]}, which is not among its tools."
