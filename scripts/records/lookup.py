"""Find the runs of what is asked for: series of GEO, studies and projects, and single samples, experiments and runs.

GEO's family files name samples and experiments. Runs come from the record that is kept, else from NCBI (SRA's XML),
else from ENA (filereport).
"""

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from scripts.core.errors import InputError, raise_faults
from scripts.core.http import RemoteError
from scripts.core.secrets import mask
from scripts.plan.choices import Choices
from scripts.plan.run_table import Run
from scripts.records import record_files, run_reports, sra_xml
from scripts.records.client import Archives, report, report_failure
from scripts.records.record_files import RunRecord
from scripts.records.rows import Origin, Plan, add_experiments, sentences, with_taxon
from scripts.records.series_record import Note, SeriesRecord, fetch_series_record
from scripts.records.sra_xml import Experiment

_FROM_ENA = Note("Runs from ENA, not from NCBI.")
_NO_PUBLIC_RUN = "The archives know of no public run."
_NOT_ASKED = "No archive could be asked for its runs."

RecordOf = Callable[[str], tuple[SeriesRecord, list[Note]]]


def look_up(asked: Sequence[str], archives: Archives, choices: Choices) -> Plan:
    """Return the plan of all accessions asked for, in their order. Raises InputError, naming all that failed."""
    plan = Plan(choices)
    faults: list[str] = []
    for in_batches, group in itertools.groupby(asked, lambda name: name[2] in "MXR"):
        accessions = list(group)
        for part in [accessions] if in_batches else [[accession] for accession in accessions]:
            add = _add_accessions if in_batches else _add_series if part[0].startswith("GSE") else _add_study
            try:
                add(part, archives, plan)
            except InputError as error:
                faults.append(str(error))
    raise_faults("The look-up", faults)
    missing = [accession for accession in asked if accession not in plan.accounted]
    if missing:
        raise RuntimeError(f"accessions asked for stand in no row of the plan: {', '.join(missing)}")
    return plan


def _add_series(asked: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of a GEO series, which may be a SuperSeries.

    Raises InputError when no archive gave its runs, though some could be reached.
    """
    (series,) = asked
    notes: list[Note] = []
    geo = fetch_series_record(series, archives, notes)
    for name in geo.ill_named:
        report(f"{series}: its family file has a sample named {name!r}, which is no GSM accession; it is skipped.")
    samples = geo.samples_of_experiments()
    found = _answered(series, _runs_of_series(series, geo, samples, archives, notes), archives, notes)
    origin = Origin(series, series, geo, found.source, tuple(notes))
    experiments: set[str] = set()
    samples_with_runs: set[str] = set()

    def noted() -> Iterator[Experiment]:
        for experiment in found.experiments:
            experiments.add(experiment.experiment)
            samples_with_runs.update(experiment.samples)
            yield experiment

    add_experiments(noted(), origin, samples, plan)
    missing = "The archive has no public run of the experiment." if found.source else _NOT_ASKED
    for gsm, sample in geo.samples.items():
        row = with_taxon(Run(series=series, sample=gsm), sample.taxa, plan.choices)
        of_sample = [*geo.part_notes(gsm), *notes]
        if not sample.experiments and gsm not in samples_with_runs:
            plan.no_run(series, row, "GEO names no SRA experiment for the sample.", of_sample)
        for accession in sample.experiments:
            if accession not in experiments:
                plan.no_run(series, row._replace(experiment=accession), missing, of_sample)
    for gsm in dict.fromkeys(geo.listed):
        if gsm not in geo.samples and gsm not in samples_with_runs:
            row = Run(series=series, sample=gsm)
            plan.no_run(series, row, "GEO lists the sample, but does not describe it.", notes)
    if series not in plan.accounted:
        sentence = "The series has no sample with a run." if found.source else _NOT_ASKED
        plan.no_run(series, Run(series=series), sentence, notes)


def _add_study(asked: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of an SRA study or a BioProject. Raises InputError as for a series."""
    (accession,) = asked
    notes: list[Note] = []
    found = _kept(accession, archives, notes) or _runs_of_study(accession, archives, notes)
    found = _answered(accession, found, archives, notes)
    _add_found(found, accession, accession, notes, _series_records(archives), plan)
    if accession not in plan.accounted:
        plan.no_run(accession, Run(series=accession), _NO_PUBLIC_RUN if found.source else _NOT_ASKED, notes)


def _add_accessions(asked: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of samples, experiments and runs. Raises InputError as for a series."""
    notes: dict[str, list[Note]] = {name: [] for name in asked}
    missing = [name for name in asked if record_files.read_any_runs(archives.folder / name) is None]
    failed = _fetch_accessions([name for name in missing if not name.startswith("GSM")], archives, notes)
    failed += _fetch_accessions([name for name in missing if name.startswith("GSM")], archives, notes)
    if failed and archives.reached:
        raise InputError(f"{', '.join(failed)}: no archive could be asked for them; try again later.")
    record_of = _series_records(archives)
    for name in asked:
        _add_found(_kept(name, archives, notes[name]) or RunRecord(), "", name, notes[name], record_of, plan)
        if name not in plan.accounted:
            row = Run(sample=name) if name.startswith("GSM") else Run(experiment=name if name[1:3] == "RX" else "")
            plan.no_run(name, row, f"{name}: {_NOT_ASKED if name in failed else _NO_PUBLIC_RUN}", notes[name])


def _add_found(
    found: RunRecord, label: str, asked: str, notes: Sequence[Note], record_of: RecordOf, plan: Plan
) -> None:
    """Add experiments that were not found through their series, with what GEO says of their samples.

    ``label`` is the series of their rows; empty: the series, study or project that each experiment names.
    """
    only = frozenset([asked]) if asked[1:3] == "RR" else frozenset()
    homes: dict[tuple[str, str], list[Experiment]] = {}  # (series of the rows, series in GEO) → experiments
    for experiment in found.experiments:
        accession = next(iter(experiment.series), "")
        series = label or accession or experiment.study or experiment.project
        homes.setdefault((series, accession), []).append(experiment)
    for (series, accession), experiments in homes.items():
        geo, more = record_of(accession)
        named = {
            item.experiment: [gsm for gsm in item.samples if item.experiment in geo.sample(gsm).experiments]
            for item in experiments
        }
        add_experiments(experiments, Origin(series, asked, geo, found.source, (*notes, *more), only), named, plan)


def _series_records(archives: Archives) -> RecordOf:
    """Return a function that gives the record of a series, read once, and a note for each file that is missing."""

    @functools.cache
    def record_of(series: str) -> tuple[SeriesRecord, list[Note]]:
        notes: list[Note] = []
        return fetch_series_record(series, archives, notes) if series else SeriesRecord(), notes

    return record_of


def _answered(accession: str, found: RunRecord | None, archives: Archives, notes: Sequence[Note]) -> RunRecord:
    """Return a record of runs. Raises InputError where there is none, though some archive could be reached."""
    if found is None and archives.reached:
        texts = [note.text for note in notes]
        raise InputError(sentences(f"{accession}: its runs could not be looked up; try again later.", *texts))
    return found or RunRecord()


def _kept(accession: str, archives: Archives, notes: list[Note]) -> RunRecord | None:
    """Return the record of runs that is kept of an accession; adds a note where it is not SRA's."""
    found = record_files.read_any_runs(archives.folder / accession)
    if found is not None and found.source != "SRA":
        notes.append(_FROM_ENA if found.source == "ENA" else Note(f"Runs from {found.source}."))
    return found


def _runs_of_series(
    series: str, geo: SeriesRecord, wanted: Collection[str], archives: Archives, notes: list[Note]
) -> RunRecord | None:
    """Return the record of a series' runs; ``wanted`` are its experiments by GEO. None when no archive answered."""

    def only_wanted(record: RunRecord) -> RunRecord:
        # ENA's report is that of a project, which may hold more than the series.
        if record.source != "ENA" or not wanted:
            return record
        return record._replace(experiments=(item for item in record.experiments if item.experiment in wanted))

    kept = _kept(series, archives, notes)
    if kept is not None:
        return only_wanted(kept)
    accessions = geo.accessions()
    if geo.found and not wanted and not accessions:
        return RunRecord("GEO")

    def search() -> tuple[list[bytes], Iterable[bytes]]:
        if wanted:
            bodies = archives.experiments_xml(list(wanted))
            return bodies, map(sra_xml.packages_of, bodies)
        bodies = archives.search_xml(next(iter(accessions), series))
        return bodies, _belonging({series, *accessions}, bodies)

    found = _runs_from_ncbi(series, f"the runs of {series}", search, accessions[:1], archives, notes)
    if found is not None:
        return found
    for accession in accessions:
        if found := _runs_from_ena(accession, series, archives, notes):
            return only_wanted(found)
    return None


def _runs_of_study(accession: str, archives: Archives, notes: list[Note]) -> RunRecord | None:
    """Ask NCBI for a study, and ENA where NCBI fails or does not have it; None when neither answered."""

    def search() -> tuple[list[bytes], Iterable[bytes]]:
        bodies = archives.search_xml(accession)
        if not any(map(sra_xml.packages_of, bodies)):
            bodies = archives.experiments_xml([accession])
        return bodies, _belonging({accession}, bodies)

    found = _runs_from_ncbi(accession, accession, search, [accession], archives, notes)
    if found is not None and found.experiments:
        return found
    return _runs_from_ena(accession, accession, archives, notes) or found


def _runs_from_ncbi(
    name: str,
    what: str,
    search: Callable[[], tuple[list[bytes], Iterable[bytes]]],
    of_ena: Sequence[str],
    archives: Archives,
    notes: list[Note],
) -> RunRecord | None:
    """Keep and return what NCBI has of a series or study, whose report at ENA is kept too; None without an answer.

    ``search`` returns NCBI's answers and the packages among them that are wanted.
    """
    try:
        bodies, packages = search()
    except RemoteError as error:
        report_failure(f"NCBI's record of {what}", error)
        return None
    path = archives.keep_xml(name, packages)
    notes += _ncbi_notes(bodies)
    if path is None:
        return RunRecord("SRA")
    if archives.use_ena:
        for accession in of_ena:
            _ena_report(accession, name, archives)  # for its files; the plan does without
    return RunRecord("SRA", sra_xml.read_experiments(path))


def _fetch_accessions(names: Sequence[str], archives: Archives, notes: dict[str, list[Note]]) -> list[str]:
    """Fetch the packages of samples, or of experiments and runs; keep each under its accession.

    Returns those for which no archive answered.
    """
    if not names:
        return []
    try:
        ask = archives.samples_xml if names[0].startswith("GSM") else archives.experiments_xml
        bodies = ask(names)
    except RemoteError as error:
        report_failure(f"NCBI's record of {', '.join(names[:3])}{'…' if len(names) > 3 else ''}", error)
        return [name for name in names if name.startswith("GSM") or _ena_report(name, name, archives) is None]
    wanted = set(names)
    found: dict[str, list[bytes]] = {}
    for item, package in sra_xml.split_packages(bodies):
        for name in {item.experiment, *item.samples, *(run.run for run in item.runs)} & wanted:
            found.setdefault(name, []).append(package)
    for name, packages in found.items():
        archives.keep_xml(name, packages)
    for name in names:
        if record_files.sra_xml_of(archives.folder / name) is None:
            notes[name] += _ncbi_notes(bodies)
    return []


def _belonging(accessions: set[str], bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the packages of a study, project or series among those that a search for its accession found.

    A search finds words; only an accession that is the same makes an experiment one of a study.
    """
    for item, package in sra_xml.split_packages(bodies):
        if accessions & {item.study, item.project, *item.parents, *item.series}:
            yield package


def _ncbi_notes(bodies: Iterable[bytes]) -> list[Note]:
    errors = [error for body in bodies for error in sra_xml.answer_errors(body)]
    return [Note(f"NCBI says: {mask(error).rstrip('.')}.") for error in dict.fromkeys(errors)]


def _runs_from_ena(accession: str, folder: str, archives: Archives, notes: list[Note]) -> RunRecord | None:
    """Return ENA's record of runs, with a note; None where ENA does not answer or knows of no run."""
    rows = _ena_report(accession, folder, archives)
    if not rows:
        if rows is not None:
            report(f"ENA knows of no run of {accession}.")
        return None
    notes.append(_FROM_ENA)
    return RunRecord("ENA", run_reports.experiments_of_report(rows))


def _ena_report(accession: str, folder: str, archives: Archives) -> list[dict[str, str]] | None:
    """Keep ENA's report of an accession in a folder and return its lines; None where ENA does not answer."""
    try:
        return run_reports.read_report(archives.ena_report(accession, folder))
    except RemoteError as error:
        report_failure(f"ENA's record of {accession}", error)
        return None
