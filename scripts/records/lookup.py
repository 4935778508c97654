"""Find the runs of what is asked for: series of GEO, studies and projects, and single samples, experiments and runs.

GEO's family files name samples and experiments (:mod:`scripts.records.answers.series_record`), SRA and ENA their runs
(:mod:`scripts.records.answers.run_record`). What is not a series or a study is looked up with all of its series or
study (:mod:`scripts.records.homes`), of which it selects the rows.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

from scripts.core.errors import InputError, raise_faults
from scripts.core.http import RemoteError
from scripts.plan.accessions import kind_of
from scripts.plan.choices import Choices
from scripts.plan.run_table import Run
from scripts.records.answers import record_files
from scripts.records.answers.run_record import FROM_ENA, fetch_run_record
from scripts.records.answers.series_record import Note, SeriesRecord, fetch_series_record
from scripts.records.answers.sra_xml import Experiment
from scripts.records.client import Archives, Unanswered, report
from scripts.records.homes import find_homes
from scripts.records.rows import Origin, Plan, add_experiments, sentences, with_taxon

_NO_PUBLIC_RUN = "The archives know of no public run."

RecordOf = Callable[[str], tuple[SeriesRecord, list[Note]]]


def look_up(asked: Sequence[str], archives: Archives, choices: Choices) -> Plan:
    """Return the plan of all accessions asked for.

    Raises InputError, naming all that failed: what the user can correct, and what no archive could be asked for.
    """
    plan = Plan(choices)
    faults: list[str] = []
    unanswered: list[str] = []

    def attempt(add: Callable[[], None]) -> None:
        try:
            add()
        except (Unanswered, RemoteError) as error:
            unanswered.extend(str(error).splitlines())
        except InputError as error:
            faults.append(str(error))

    for name in asked:
        if not _is_single(name):
            attempt(functools.partial(_add_home, name, frozenset(), archives, plan))
    attempt(lambda: unanswered.extend(_add_singles([*filter(_is_single, asked)], archives, plan, attempt)))
    if unanswered:
        heading = "The look-up could not be completed: no plan is written, and the same command asks again."
        raise InputError("\n".join([*faults, heading, *dict.fromkeys(unanswered)]))
    raise_faults("The look-up", faults)
    missing = [accession for accession in asked if accession not in plan.accounted]
    if missing:
        raise RuntimeError(f"accessions asked for stand in no row of the plan: {', '.join(missing)}")
    return plan


def look_up_home(name: str, archives: Archives, choices: Choices) -> Plan:
    """Return the plan of one series, study or project.

    Raises Unanswered or RemoteError where an archive could not be asked, InputError for what the user can correct.
    """
    plan = Plan(choices)
    _add_home(name, frozenset(), archives, plan)
    return plan


def _is_single(accession: str) -> bool:
    """Whether an accession is of a part of a series or study: a run, an experiment, a sample, a submission."""
    return kind_of(accession) not in ("series", "study", "project")


def _add_home(name: str, only: frozenset[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of a series, study or project, or only those of some of its samples, experiments and runs.

    Raises Unanswered.
    """
    with archives.replacing_families():
        (_add_series if name.startswith("GSE") else _add_study)(name, only, archives, plan)


def _add_series(series: str, only: frozenset[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of a GEO series, which may be a SuperSeries."""
    notes: list[Note] = []
    is_placed = record_files.is_placed(archives.folder / series)
    geo = fetch_series_record(series, archives, notes, lenient=is_placed)
    for name in geo.ill_named:
        report(f"{series}: its family file has a sample named {name!r}, which is no GSM accession; it is skipped.")
    record = fetch_run_record(series, geo, archives)
    origin = Origin(series, series, geo, record.source, tuple(notes), only, record.notes)
    add_experiments(record.experiments.values(), origin, geo.samples_of_experiments(), plan)
    with_runs = {gsm for experiment in record.experiments.values() for gsm in experiment.samples}

    def no_run(row: Run, sentence: str, more: Iterable[Note] = ()) -> None:
        names = {row.sample, row.experiment}
        if not only or only & names:
            plan.no_run(next(iter(sorted(only & names)), series), row, sentence, [*more, *notes])

    for gsm, sample in geo.samples.items():
        row = with_taxon(Run(series=series, sample=gsm), sample.taxa, plan.choices)
        if not sample.experiments and gsm not in with_runs:
            no_run(row, geo.no_experiment(gsm), geo.part_notes(gsm))
        for experiment in sample.experiments:
            if experiment in record.absent:
                no_run(row._replace(experiment=experiment), record.absent[experiment], geo.part_notes(gsm))
    for gsm in dict.fromkeys(geo.listed):
        if gsm not in geo.samples and gsm not in with_runs:
            no_run(Run(series=series, sample=gsm), "GEO lists the sample, but does not describe it.")
    if not only and series not in plan.accounted:
        plan.no_run(series, Run(series=series), "The series has no sample with a run.", notes)


def _add_study(study: str, only: frozenset[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of an SRA study or a BioProject."""
    record = fetch_run_record(study, SeriesRecord(), archives)
    is_placed = record_files.is_placed(archives.folder / study)
    origin = Origin(study, study, SeriesRecord(), record.source, (), only, record.notes)
    _add_found(record.experiments.values(), origin, _series_records(archives, is_placed), plan)
    for experiment, sentence in record.absent.items():
        if not only or experiment in only:
            plan.no_run(study, Run(series=study, experiment=experiment), sentence)
    if not only and study not in plan.accounted:
        plan.no_run(study, Run(series=study), _NO_PUBLIC_RUN)


def _add_singles(
    names: Sequence[str], archives: Archives, plan: Plan, attempt: Callable[[Callable[[], None]], None]
) -> list[str]:
    """Add the rows of parts of series and studies; return for which there is no answer, and why."""
    homes = find_homes([name for name in names if name not in plan.accounted], archives)
    groups: dict[str, list[str]] = {}
    for name, found in homes.found.items():
        for home in found:
            groups.setdefault(home, []).append(name)
        if not archives.refresh.isdisjoint({"all", name}):
            archives.refresh.update(found)
    for home, of_home in groups.items():
        attempt(functools.partial(_add_of_home, home, of_home, archives, plan))
    for name, says in homes.absent.items():
        _add_absent(name, says, plan)
    by_answer: dict[str, list[str]] = {}
    for name, answer in homes.failed.items():
        by_answer.setdefault(answer, []).append(name)
    return [f"{', '.join(of_answer)}: {answer}" for answer, of_answer in by_answer.items()]


def _add_of_home(home: str, names: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of some accessions of a series or study. Raises Unanswered."""
    notes: list[Note] = []
    try:
        _add_home(home, frozenset(names), archives, plan)
    except (Unanswered, RemoteError) as error:
        if not all(record_files.is_placed(archives.folder / name) for name in names):
            raise
        report(f"{home} could not be looked up; what is kept of {', '.join(names)} is used. {error}")
        notes.append(Note(f"Judged by itself: {home} could not be looked up."))
    for name in names:
        if name not in plan.accounted:
            with archives.replacing_families():
                _add_own(name, home, archives, notes, plan)


def _add_own(name: str, home: str, archives: Archives, notes: Sequence[Note], plan: Plan) -> None:
    """Add the rows of an accession from its own record, kept or asked for, where that of its home does not have it."""
    experiments: list[Experiment] = []
    kept = record_files.read_any_runs(archives.folder / name)
    if kept is not None:
        experiments += kept.experiments
    else:
        ask = archives.fetch_experiments if kind_of(name) in ("experiment", "run") else archives.search_words
        for error in ask([name], lambda item, _: experiments.append(item)).failed.values():
            raise error
    source = kept.source if kept else "SRA"
    if source != "SRA":
        notes = [*notes, FROM_ENA if source == "ENA" else Note(f"Runs from {source}.")]
    origin = Origin(home, name, SeriesRecord(), source, tuple(notes), frozenset([name]))
    _add_found(experiments, origin, _series_records(archives, lenient=kept is not None), plan)
    if name not in plan.accounted:
        _add_absent(name, "", plan)


def _add_absent(name: str, says: str, plan: Plan) -> None:
    """Add the row of an accession that no archive has; ``says`` has the words of one."""
    kind = kind_of(name)
    row = Run(sample=name if kind == "sample" else "", experiment=name if kind == "experiment" else "")
    plan.no_run(name, row, sentences(f"{name}: {_NO_PUBLIC_RUN}", says))


def _add_found(experiments: Iterable[Experiment], origin: Origin, record_of: RecordOf, plan: Plan) -> None:
    """Add experiments that were not found through their series, with what GEO says of their samples."""
    by_series: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        by_series.setdefault(next(iter(experiment.series), ""), []).append(experiment)
    for series, group in by_series.items():
        geo, notes = record_of(series)
        named = {
            item.experiment: [gsm for gsm in item.samples if item.experiment in geo.sample(gsm).experiments]
            for item in group
        }
        add_experiments(group, origin._replace(series_record=geo, notes=(*origin.notes, *notes)), named, plan)


def _series_records(archives: Archives, lenient: bool) -> RecordOf:
    """Return a function that gives the record of a series, read once, and a note for each file that is missing."""

    @functools.cache
    def record_of(series: str) -> tuple[SeriesRecord, list[Note]]:
        notes: list[Note] = []
        return fetch_series_record(series, archives, notes, lenient) if series else SeriesRecord(), notes

    return record_of
