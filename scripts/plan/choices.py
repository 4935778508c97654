"""The user's choices applied to rows of a plan, and a plan from a hand-made run table.

Standard library only, so that the workflow may plan from a run table before any tool is installed.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import raise_faults
from scripts.core.untrusted import strip_blanks, whole_number
from scripts.plan.accessions import KINDS, accession_of, gds_uid, taxon
from scripts.plan.local_files import FileFaults
from scripts.plan.own_metadata import OwnMetadata, column_faults, own_columns
from scripts.plan.run_table import (
    ASSAYS,
    COLUMNS,
    NUMBERS,
    ORDERED,
    SOURCES,
    Fault,
    Run,
    RunFaults,
    as_run,
    iterate_values,
    local_files,
)

LOCAL = "local"  # the series of a run table that names none


class Choices(NamedTuple):
    """What the configuration says of the plan; ``species`` maps label → tax id, ``assay``, ``leave_out`` accessions."""

    species: dict[str, str]
    assay: dict[str, str]
    any_assay: str  # for all that `assay` does not name: auto, plate or droplet
    leave_out: dict[str, str]
    exp_id: str
    chemistry: str
    order: tuple[str, ...]

    def label_of(self, tax_id: str) -> str:
        """Return the label of a tax id, empty when it is not configured."""
        return next((label for label, known in self.species.items() if known == tax_id), "")

    def assay_of(self, *accessions: str, otherwise: str = "") -> str:
        """Return what the user decided for the first accession that is named, else ``otherwise``, else for all."""
        for accession in accessions:
            if accession in self.assay:
                return self.assay[accession]
        return otherwise or ("" if self.any_assay == "auto" else self.any_assay)

    def exp_id_of(self, series: str) -> str:
        """Return what joins the rows of a series to its metadata."""
        return gds_uid(series) if self.exp_id == "gds_uid" else series

    def source_for(self, assay: str) -> str:
        """Return the archive to ask first: not ENA for droplets, of which it keeps no technical reads."""
        order = (
            self.order if assay != "droplet" else [*(name for name in self.order if not name.startswith("ena")), "ena"]
        )
        return order[0]


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options that make up :class:`Choices`."""
    parser.add_argument(
        "--species",
        nargs="+",
        action="extend",
        default=[],
        metavar="LABEL=TAXID",
        help="label and NCBI taxonomy id of each species, as homo=9606",
    )
    parser.add_argument(
        "--assay",
        nargs="+",
        action="extend",
        default=[],
        metavar="ASSAY",
        help="auto, plate or droplet, or ACCESSION=ASSAY for a run, experiment, sample or series (default: auto)",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        action="extend",
        default=[],
        metavar="ACCESSION=REASON",
        help="runs, samples, experiments or series that are not wanted, and why",
    )
    parser.add_argument("--exp-id", choices=("accession", "gds_uid"), default="accession", help="kind of the exp_id")
    parser.add_argument("--chemistry", default="auto", help="pin the kit of all droplet libraries (default: auto)")
    parser.add_argument(
        "--order", nargs="+", default=list(SOURCES), metavar="ARCHIVE", help="archives in the order to ask them in"
    )


def choices_of(options: argparse.Namespace) -> Choices:
    """Return the choices that parsed options make. Raises InputError, with every fault."""
    faults: list[str] = []
    species: dict[str, str] = {}
    for word in options.species:
        label, _, species[label] = word.partition("=")
        if not label or not species[label].isdecimal():
            faults.append(f"--species {word}: write LABEL=TAXID, e.g. homo=9606.")
    assay: dict[str, str] = {}
    any_assay = "auto"
    for word in options.assay:
        accession, given, value = word.rpartition("=")
        if value not in (*ASSAYS, "auto"):
            faults.append(f"--assay {word}: {value!r} is not one of auto, plate, droplet.")
        elif given and value != "auto":
            assay[accession] = value
        elif not given:
            any_assay = value
    leave_out: dict[str, str] = {}
    for word in options.leave_out:
        accession, _, reason = word.partition("=")
        leave_out[accession] = reason.strip()
    faults += [
        f"--order: {name!r} is not one of {', '.join(ORDERED)}." for name in options.order if name not in ORDERED
    ]
    raise_faults("The choices of the plan", faults)
    return Choices(species, assay, any_assay, leave_out, options.exp_id, options.chemistry, tuple(options.order))


def parse_choices(words: Sequence[str]) -> Choices:
    """Return the choices among the words of a command line of ``python -m scripts resolve``; others are ignored."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_choices(parser)
    parser.add_argument("--series", nargs="*")
    parser.add_argument("--run-table")
    return choices_of(parser.parse_known_args([str(word) for word in words])[0])


def left_out_by_user(row: Run, choices: Choices) -> Run:
    """Return the row, left out where the user's `leave_out` names its run, experiment, sample or series."""
    for accession in (row.run, row.experiment, row.sample, row.series):
        if accession and accession in choices.leave_out:
            detail = choices.leave_out[accession] or f"The configuration leaves {accession} out."
            return row._replace(status="left_out", reason="LEFT_OUT_BY_USER", detail=detail)
    return row


def foreign_species(tax_id: str, organism: str) -> tuple[str, str]:
    """Return why a run of no configured species is left out: reason and detail, by what its record says."""
    if tax_id or organism:
        reason = "OTHER_SPECIES"
        return reason, f"{organism or 'The species'} (tax id {tax_id or 'unknown'}) is not configured."
    reason = "SPECIES_UNKNOWN"
    return reason, "The record does not name a species; give it as species or tax_id in a run table."


def plan_from_table(path: str | Path, choices: Choices, check_files: bool = False) -> list[Run]:
    """Return the rows of a hand-made run table, see :func:`iterate_plan`."""
    return list(iterate_plan(path, choices, check_files))


def iterate_plan(path: str | Path, choices: Choices, check_files: bool = False) -> Iterator[Run]:
    """Yield the rows of a hand-made run table, with defaults in its empty cells and the user's choices applied.

    Every row is checked before it is yielded; from the first fault on none is. Raises InputError after the last row,
    with every fault of the table and, with ``check_files``, of the files that it names.
    """
    faults = list(column_faults(own_columns(path)))
    of_values: list[str] = []
    of_files: list[str] = []
    values, files = RunFaults(choices.species), FileFaults()
    labels = {tax_id: label for label, tax_id in choices.species.items()}
    number = 0
    for number, (given, _) in enumerate(_read(path), 1):
        row = _fill(_clean(given), labels, choices)
        if row.status == "planned" and not (row.species and row.assay):
            name = row.run or row.sample or given.series or f"row {number}"
            faults += _missing(row, name, choices)
        of_values += _sentences(values.of_row(row))
        if check_files:
            of_files += files.of_row(row)
        if not (faults or of_values or of_files):
            yield row
    if not number:
        faults.append("it has no row below its header.")
    of_values += _sentences(values.of_names())
    raise_faults(f"The run table ({path})", dict.fromkeys([*faults, *of_values, *of_files]))


def _sentences(faults: Iterable[Fault]) -> Iterator[str]:
    """Yield the sentences of faults but those of an empty species or assay, of which `_missing` says what to do."""
    return (fault.sentence for fault in faults if fault.value or fault.column not in ("species", "assay"))


def _read(path: str | Path) -> Iterator[tuple[Run, list[str]]]:
    """Yield each row of a hand-made run table, and its values of the user's own columns."""
    width = len(COLUMNS)
    for values in iterate_values(path, [*COLUMNS, *own_columns(path)]):
        yield as_run(values[:width]), values[width:]


def own_metadata(path: str | Path) -> OwnMetadata:
    """Return the user's own columns of a hand-made run table. Raises InputError where rows of a run do not agree."""
    names = own_columns(path)
    found: dict[str, list[str]] = {}
    faults = []
    for given, values in _read(path) if names else ():
        run = _clean(given).run
        if run and found.setdefault(run, values) != values:
            faults.append(f"{run}: your own columns differ between its rows.")
    raise_faults(f"The run table ({path})", dict.fromkeys(faults))
    return OwnMetadata(names, found)


def _missing(row: Run, name: str, choices: Choices) -> Iterator[str]:
    if not row.species:
        yield f"{name}: give its species ({', '.join(choices.species)}) or its tax_id."
    if not row.assay:
        yield f"{name}: give its assay (plate or droplet), in the table or in the configuration."


def _clean(row: Run) -> Run:
    """Return a row as meant by a person: whole numbers as such, accessions in upper case, no blanks around paths."""
    values: dict[str, str] = {}
    for name in ("tax_id", *NUMBERS):
        given = getattr(row, name)
        if given and (number := whole_number(given)) is not None and str(number) != given:
            values[name] = str(number)
    if not row.source.startswith("file:"):
        for name in ("series", "sample", "experiment", "run"):
            given, word = getattr(row, name), getattr(row, name).upper()
            if given != word and accession_of(word, *KINDS):
                values[name] = word
    else:
        values["source"] = "file:" + ";".join(map(strip_blanks, local_files(row)))
    if values:
        row = row._replace(**values)
    return row if row.tax_id or row.species else row._replace(tax_id=taxon("", row.organism)[0])


def _fill(row: Run, labels: Mapping[str, str], choices: Choices) -> Run:
    """Return a row with its empty cells filled; ``labels`` is tax id → species."""
    series = row.series or LOCAL
    experiment = row.experiment or row.run
    assay = _assay_of(row, series, experiment, choices)
    pinned = choices.chemistry if assay == "droplet" and choices.chemistry != "auto" else ""
    if len(labels) == 1 and not (row.species or row.tax_id or row.organism):
        row = row._replace(species=next(iter(labels.values())))
    row = row._replace(
        series=series,
        exp_id=row.exp_id or choices.exp_id_of(series),
        experiment=experiment,
        tax_id=row.tax_id or choices.species.get(row.species, ""),
        species=row.species or labels.get(row.tax_id, ""),
        assay=assay,
        chemistry=row.chemistry or pinned,
        layout=row.layout.lower(),
        source=row.source or choices.source_for(assay),
        status=row.status or "planned",
    )
    if row.status in ("counted", "failed"):  # a ledger used as plan: the outcomes of its runs do not count
        row = row._replace(status="planned", reason="", detail="")
    if choices.leave_out:
        row = left_out_by_user(row, choices)
    if row.status == "planned" and row.tax_id and not row.species:
        reason, detail = foreign_species(row.tax_id, row.organism)
        row = row._replace(status="left_out", reason=reason, detail=detail)
    return row


def _assay_of(row: Run, series: str, experiment: str, choices: Choices) -> str:
    assay = row.assay
    if not assay and (row.read_roles or row.chemistry):
        assay = "droplet" if row.chemistry or "barcode" in row.read_roles else "plate"
    if not assay or choices.assay:
        assay = choices.assay_of(row.run, experiment, row.sample, series, otherwise=assay)
    return assay
