"""Find the runs of every accession asked for, or the reason why there is none, and write the plan.

GEO's family files name samples and experiments, SRA's XML (or, where it fails, ENA's filereport) names runs. What the
archives answer is kept below --records, a folder an accession, and is not asked for again: a record that lies there is
used. The plan (--output) has a row for every run, also for those that are left out, and a row without a run for every
accession that has none. A table for a person goes to standard output, progress to standard error.
"""

import argparse
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from scripts.core.errors import InputError, raise_faults
from scripts.core.files import atomic_path, write_atomic
from scripts.core.http import RemoteError
from scripts.plan.accessions import ACCESSION, asked_for
from scripts.plan.choices import Choices, add_choices, choices_of, plan_from_table
from scripts.plan.cost import add_cost_options, reckoner_of, write_costs
from scripts.plan.cost_table import plan_table, tell_costs
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import cut_into_units, summarize_unit
from scripts.records import ena, record_files, sra_xml
from scripts.records.client import Archives, tell, told_missing
from scripts.records.rows import Origin, Plan, add_experiment, sentences, with_taxon
from scripts.records.series_record import Family, read_family
from scripts.records.sra_xml import Experiment

_FROM_ENA = "Runs from ENA, not from NCBI."


# ---------------------------------------------------------------------------------------------------------------------
# Series of GEO


def family_of_series(series: str, archives: Archives, notes: list[str]) -> Family | None:
    """Return the family of a series with those of its parts whose samples it does not hold itself.

    None, and a note, when GEO does not give it. Relations may go round in circles.
    """
    try:
        family = read_family(archives.family(series), {})
    except RemoteError as error:
        notes.append(told_missing(f"GEO's family file of {series}", error))
        return None
    held = {name for sample in family.samples.values() for name in sample.series}
    seen = {series}
    waiting = list(family.parts)
    studies, projects = list(family.studies), list(family.projects)
    ill_named, listed = list(family.ill_named), list(family.listed)
    while waiting:
        part = waiting.pop(0)
        if part in seen:
            continue
        seen.add(part)
        if part in held:
            continue
        try:
            below = read_family(archives.family(part), family.samples)
        except RemoteError as error:
            notes.append(told_missing(f"GEO's family file of {part} (a part of {series})", error))
            continue
        waiting += below.parts
        studies += below.studies
        projects += below.projects
        ill_named += below.ill_named
        listed += below.listed
    return Family(
        family.samples,
        tuple(sorted(seen - {series})),
        tuple(dict.fromkeys(studies)),
        tuple(dict.fromkeys(projects)),
        tuple(ill_named),
        tuple(dict.fromkeys(listed)),
    )


def resolve_geo_series(series: str, archives: Archives, plan: Plan) -> None:
    """Add the rows of a GEO series, which may be a SuperSeries.

    Raises InputError when no archive told its runs, though some could be reached.
    """
    notes: list[str] = []
    family = family_of_series(series, archives, notes)
    samples: dict[str, list[str]] = {}
    for gsm, sample in family.samples.items() if family else ():
        for experiment in sample.experiments:
            samples.setdefault(experiment, []).append(gsm)
    found = _runs_of_series(series, family, samples, archives, notes)
    if found is None and archives.reached:
        raise InputError(sentences(f"{series}: its runs could not be looked up; try again later.", *notes))
    record, experiments = found or ("", iter(()))
    origin = Origin(series, series, family, record, tuple(notes))
    met: set[str] = set()
    with_rows: set[str] = set()
    for experiment in experiments:
        met.add(experiment.experiment)
        with_rows.update(experiment.samples)
        add_experiment(experiment, origin, samples, plan)
    why = "The archive has no public run of the experiment." if found else "No archive could be asked for its runs."
    for gsm, sample in family.samples.items() if family else ():
        part = family.part_of(gsm)
        row = with_taxon(Run(series=series, sample=gsm), sample.taxa, plan.choices)
        if not sample.experiments and gsm not in with_rows:
            plan.no_run(series, sentences("GEO names no SRA experiment for the sample.", part, *notes), row)
        for experiment in sample.experiments:
            if experiment not in met:
                plan.no_run(series, sentences(why, part, *notes), row._replace(experiment=experiment))
    for gsm in family.listed if family else ():
        if gsm not in family.samples and gsm not in with_rows:
            told = "GEO lists the sample, but does not describe it."
            plan.no_run(series, sentences(told, *notes), Run(series=series, sample=gsm))
    for name in family.ill_named if family else ():
        tell(f"{series}: its family file has a sample named {name!r}, which is no GSM accession; it is passed over.")
    if series not in plan.told:
        told = "The series has no sample with a run." if found else "No archive could be asked for its runs."
        plan.no_run(series, sentences(told, *notes), Run(series=series))


def _runs_of_series(
    series: str, family: Family | None, wanted: Collection[str], archives: Archives, notes: list[str]
) -> tuple[str, Iterator[Experiment]] | None:
    """Return the record of a series' runs and its experiments: what lies there, else SRA's XML, else ENA's report.

    None when no archive answered.
    """
    lying = _lying(archives.folder / series, notes)
    if lying is not None:
        record, experiments = lying
        # ENA's report is that of a project, which may hold more than the series.
        return record, (item for item in experiments if record != "ENA" or not wanted or item.experiment in wanted)
    accessions = [*family.projects, *family.studies] if family else []
    if family is not None and not wanted and not accessions:
        return "GEO", iter(())
    try:
        if wanted:
            bodies, errors = archives.experiments_xml(list(wanted))
        else:
            bodies, errors = archives.search_xml(next(iter(accessions), series))
    except RemoteError as error:
        told_missing(f"NCBI's record of the runs of {series}", error)
    else:
        packages = map(sra_xml.packages_of, bodies) if wanted else _belonging({series, *accessions}, bodies)
        path = archives.keep_xml(series, packages)
        notes += _told_by_ncbi(errors)
        if path is None:
            return "SRA", iter(())
        if archives.use_ena and accessions:
            _ena_beside(series, accessions[0], archives)
        return "SRA", sra_xml.read_experiments(path)
    for accession in accessions:
        try:
            rows = ena.read_report(archives.ena_report(accession, series))
        except RemoteError as error:
            told_missing(f"ENA's record of the runs of {series}", error)
            continue
        if not rows:
            tell(f"{series}: ENA knows of no run of {accession}.")
            continue
        notes.append(_FROM_ENA)
        experiments = ena.experiments_of_report(rows)
        return "ENA", (item for item in experiments if not wanted or item.experiment in wanted)
    return None


def _belonging(accessions: set[str], bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the packages of a study, project or series among those that a search for its accession found.

    A search finds words; only an accession that is the same makes an experiment one of a study.
    """
    for item, package in sra_xml.split_packages(bodies):
        if accessions & {item.study, item.project, *item.parents, *item.series}:
            yield package


def _lying(folder: Path, notes: list[str]) -> tuple[str, Iterator[Experiment]] | None:
    """Return the record of runs that lies in a folder, with a note where it is not the one of choice."""
    found = record_files.read_any_runs(folder)
    if found is not None and found[0] != "SRA":
        notes.append(_FROM_ENA if found[0] == "ENA" else f"Runs from {found[0]}.")
    return found


def _told_by_ncbi(errors: Iterable[str]) -> list[str]:
    return [f"NCBI says: {error.rstrip('.')}." for error in dict.fromkeys(errors)]


def _ena_beside(folder: str, accession: str, archives: Archives) -> None:
    """Keep ENA's report too, for its files; without it the plan is as good."""
    try:
        archives.ena_report(accession, folder)
    except RemoteError as error:
        told_missing(f"ENA's report of {accession}", error)


# ---------------------------------------------------------------------------------------------------------------------
# Studies, and what is asked for one by one


class Families:
    """The families of the GEO series that experiments of SRA name, each read once."""

    def __init__(self, archives: Archives) -> None:
        self.archives = archives
        self.found: dict[str, tuple[Family | None, list[str]]] = {"": (None, [])}

    def of(self, series: str) -> tuple[Family | None, list[str]]:
        """Return the family of a series, None where it cannot be had, and what is to be told of that."""
        if series not in self.found:
            told: list[str] = []
            self.found[series] = family_of_series(series, self.archives, told), told
        return self.found[series]


def add_single(experiment: Experiment, origin: Origin, families: Families, plan: Plan) -> None:
    """Add an experiment that was not found through its series, with what GEO says of its sample."""
    family, told = families.of(next(iter(experiment.series), ""))
    named = [
        gsm
        for gsm in (experiment.samples if family else ())
        if gsm in family.samples and experiment.experiment in family.samples[gsm].experiments
    ]
    origin = origin._replace(family=family, notes=(*origin.notes, *told))
    add_experiment(experiment, origin, {experiment.experiment: named}, plan)


def resolve_study(accession: str, archives: Archives, plan: Plan) -> None:
    """Add the rows of an SRA study or a BioProject; InputError as for a series."""
    notes: list[str] = []
    found = _lying(archives.folder / accession, notes)
    if found is None:
        found = _runs_of_study(accession, archives, notes)
    if found is None and archives.reached:
        raise InputError(sentences(f"{accession}: its runs could not be looked up; try again later.", *notes))
    record, experiments = found or ("", iter(()))
    families = Families(archives)
    for experiment in experiments:
        add_single(experiment, Origin(accession, accession, None, record, tuple(notes)), families, plan)
    if accession not in plan.told:
        told = "The archives know of no public run." if found else "No archive could be asked for its runs."
        plan.no_run(accession, sentences(told, *notes), Run(series=accession))


def _runs_of_study(accession: str, archives: Archives, notes: list[str]) -> tuple[str, Iterator[Experiment]] | None:
    """Ask NCBI for a study, and ENA where NCBI fails or does not have it; None when neither answered."""
    answered = False
    try:
        bodies, errors = archives.search_xml(accession)
        if not any(map(sra_xml.packages_of, bodies)):
            bodies, errors = archives.experiments_xml([accession])
        answered = True
        if path := archives.keep_xml(accession, _belonging({accession}, bodies)):
            if archives.use_ena:
                _ena_beside(accession, accession, archives)
            return "SRA", sra_xml.read_experiments(path)
        notes += _told_by_ncbi(errors)
    except RemoteError as error:
        told_missing(f"NCBI's record of {accession}", error)
    try:
        rows = ena.read_report(archives.ena_report(accession, accession))
    except RemoteError as error:
        told_missing(f"ENA's record of {accession}", error)
        return ("SRA", iter(())) if answered else None
    if not rows:
        return ("SRA", iter(())) if answered else None
    notes.append(_FROM_ENA)
    return "ENA", ena.experiments_of_report(rows)


def resolve_singles(asked: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of samples, experiments and runs that were asked for one by one; InputError as for a series."""
    notes: dict[str, list[str]] = {name: [] for name in asked}
    missing = [name for name in asked if record_files.read_any_runs(archives.folder / name) is None]
    failed = _fetch_singles([name for name in missing if not name.startswith("GSM")], archives, notes)
    failed += _fetch_singles([name for name in missing if name.startswith("GSM")], archives, notes)
    if failed and archives.reached:
        raise InputError(f"{', '.join(failed)}: no archive could be asked for them; try again later.")
    families = Families(archives)
    for name in asked:
        found = _lying(archives.folder / name, notes[name])
        for experiment in found[1] if found else ():
            label = next(iter(experiment.series), "") or experiment.study or experiment.project
            only = frozenset([name]) if name[1:3] == "RR" else frozenset()
            origin = Origin(label, name, None, found[0], tuple(notes[name]), only)
            add_single(experiment, origin, families, plan)
        if name not in plan.told:
            why = "No archive could be asked for its runs." if name in failed else "The archives know of no public run."
            row = Run(sample=name) if name.startswith("GSM") else Run(experiment=name if name[1:3] == "RX" else "")
            plan.no_run(name, sentences(f"{name}: {why}", *notes[name]), row)


def _fetch_singles(names: Sequence[str], archives: Archives, notes: dict[str, list[str]]) -> list[str]:
    """Fetch the packages of samples, or of experiments and runs; keep each under its accession.

    Returns those for which no archive answered.
    """
    if not names:
        return []
    try:
        ask = archives.samples_xml if names[0].startswith("GSM") else archives.experiments_xml
        bodies, errors = ask(names)
    except RemoteError as error:
        told_missing(f"NCBI's record of {', '.join(names[:3])}{'…' if len(names) > 3 else ''}", error)
        return [name for name in names if name.startswith("GSM") or not _ena_single(name, archives)]
    wanted = set(names)
    found: dict[str, list[bytes]] = {}
    for item, package in sra_xml.split_packages(bodies):
        for name in {item.experiment, *item.samples, *(run.run for run in item.runs)} & wanted:
            found.setdefault(name, []).append(package)
    for name, packages in found.items():
        archives.keep_xml(name, packages)
    for name in names:
        if record_files.sra_xml_of(archives.folder / name) is None:
            notes[name] += _told_by_ncbi(errors)
    return []


def _ena_single(name: str, archives: Archives) -> bool:
    """Ask ENA for one experiment or run; whether it answered."""
    try:
        archives.ena_report(name, name)
    except RemoteError as error:
        told_missing(f"ENA's record of {name}", error)
        return False
    return True


def resolve(asked: Sequence[str], archives: Archives, choices: Choices) -> Plan:
    """Return the plan of all that was asked for, in that order."""
    plan = Plan(choices)
    waiting: list[str] = []
    faults: list[str] = []

    def flush() -> None:
        if waiting:
            resolve_singles(waiting, archives, plan)
            waiting.clear()

    for accession in asked:
        try:
            if accession.startswith("GSE"):
                flush()
                resolve_geo_series(accession, archives, plan)
            elif accession.startswith("PRJ") or accession[2:3] == "P":
                flush()
                resolve_study(accession, archives, plan)
            else:
                waiting.append(accession)
        except InputError as error:
            faults.append(str(error))
    try:
        flush()
    except InputError as error:
        faults.append(str(error))
    raise_faults("The look-up", faults)
    missing = [accession for accession in asked if accession not in plan.told]
    if missing:
        raise RuntimeError(f"accessions asked for stand in no row of the plan: {', '.join(missing)}")
    return plan


def read_asked(words: Sequence[str]) -> list[str]:
    """Return the accessions asked for, each once. Raises InputError, telling all that are malformed or unreadable."""
    accessions: dict[str, None] = {}
    faults = []
    for word in words:
        try:
            for place, accession in asked_for([word]):
                where = "" if place.startswith("series.") else f"{place}: "
                if ACCESSION.fullmatch(accession):
                    accessions.setdefault(accession)
                else:
                    faults.append(f"{where}{_malformed(accession)}")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text"
            faults.append(f"{word}: the list of accessions cannot be read: {reason}.")
    if not faults and not accessions:
        faults.append("nothing is asked for; name at least one accession, e.g. GSE67835.")
    raise_faults("What is asked for", faults)
    return list(accessions)


def _malformed(word: str) -> str:
    told = f"{word!r} is not an accession that can be looked up"
    upper = word.strip().upper()
    if ACCESSION.fullmatch(upper):
        return f"{told}; did you mean {upper}?"
    if re.fullmatch(r"[SED]RS\d+|SAM[NED][A-Z]?\d+", upper):
        return f"{told}; name the sample's experiments (SRX…) or runs (SRR…)."
    return f"{told}; e.g. GSE67835, GSM1657871, SRP057196, PRJNA281204, SRX995861, SRR1974543."


def write_evidence(path: Path, plan: Plan) -> None:
    """Write one JSON object a run, in the order of the runs."""
    write_atomic(path, "".join(f"{plan.evidence[run]}\n" for run in sorted(plan.evidence)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--series", nargs="+", help="accessions, or files with one a line")
    source.add_argument("--run-table", help="a run table to plan from, without any look-up")
    add_choices(parser)
    parser.add_argument("--records", default="resources/records", help="where the archives' answers are kept")
    parser.add_argument("--geo", default="https://ftp.ncbi.nlm.nih.gov/geo", help="GEO's file tree")
    parser.add_argument("--eutils", default="https://eutils.ncbi.nlm.nih.gov/entrez/eutils", help="E-utilities")
    parser.add_argument("--ena", default="https://www.ebi.ac.uk/ena", help="ENA")
    parser.add_argument("--email", default=os.environ.get("NCBI_EMAIL", ""), help="told to NCBI with each request")
    parser.add_argument("--retries", type=int, default=5, help="further tries of a request that failed")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds before the first of them, then doubled")
    parser.add_argument("--shard-size", type=int, default=96, help="experiments a plate shard, to estimate scratch")
    add_cost_options(parser)
    parser.add_argument("--cost", help="write what the plan costs by stage, as a table")
    parser.add_argument("--evidence", help="write what each judgement rests on, one JSON object a run")
    parser.add_argument("--output", required=True, help="the plan, a run table")
    options = parser.parse_args(argv)
    choices = choices_of(options)
    if not choices.species:
        raise InputError("No species is configured; give --species, e.g. homo=9606 mus=10090.")
    reckoner, missing = reckoner_of(options, {label: label for label in choices.species}, options.shard_size)
    if options.run_table:
        plan = Plan(choices)
        rows = plan_from_table(options.run_table, choices)
    else:
        archives = Archives(
            options.records,
            options.geo,
            options.eutils,
            options.ena,
            use_ena="ena" in options.order,
            key=os.environ.get("NCBI_API_KEY", ""),
            email=options.email,
            retries=options.retries,
            first_wait=options.first_wait,
        )
        plan = resolve(read_asked(options.series), archives, choices)
        rows = plan.all_rows()
        tell(f"{archives.requests} requests to the archives")
    with atomic_path(options.output) as partial:
        write_runs(partial, rows)
    if options.evidence:
        write_evidence(Path(options.evidence), plan)
    print(plan_table(rows, reckoner, plan.open))
    units = {name: summarize_unit(runs) for name, runs in cut_into_units(rows, options.shard_size).items()}
    used = {reckoner.species[unit.species] for unit in units.values()}
    costs = reckoner.costs(units, [name for name in missing if name in used])
    if units:
        print(tell_costs(costs, reckoner, options.limit_gb))
    if options.cost:
        write_costs(options.cost, costs)
