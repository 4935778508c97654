"""The runs of a series, study or project: the record that is kept, completed by what the archives answer.

NCBI is asked first; ENA's report of the same study is compared with its answer run by run, and stands in for it. What
could not be asked ends the look-up (:class:`~scripts.records.client.Unanswered`): it is never taken for something that
does not exist.
"""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scripts.core.disk.files import remove_abandoned_files
from scripts.core.disk.shared_cache import exclusive
from scripts.core.http import RemoteError
from scripts.records.answers import record_files, run_reports
from scripts.records.answers.record_files import Answers, RecordWriter
from scripts.records.answers.series_record import Note, SeriesRecord, fetch_series_record
from scripts.records.answers.sra_xml import Experiment
from scripts.records.client import Archives, DamagedError, IncompleteError, Take, Unanswered, Unfound, answer_of

FROM_ENA = Note("Runs from ENA, not from NCBI.")
_IN_ENA = Note("The run is in ENA, not in NCBI.")
_NO_PUBLIC_RUN = "The archive has no public run of the experiment."
_FEW = 50  # experiments that ENA is asked for one by one
_FEW_NAMES = 10  # of runs that a message names


@dataclass
class RunRecord:
    """What is known of the runs of a series, study or project.

    ``source`` is ``SRA``, ``ENA`` or the name of a table of runs; ``notes`` are those of an experiment or a run;
    ``absent`` says of an experiment that GEO names why it has no run.
    """

    source: str = "SRA"
    experiments: dict[str, Experiment] = field(default_factory=dict)
    notes: dict[str, list[Note]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, experiment: Experiment) -> None:
        """Add an experiment, or those of its runs that are not there yet."""
        key = experiment.experiment or f"{len(self.experiments)}"  # one without an accession is one by itself
        known = self.experiments.setdefault(key, experiment)
        if known is not experiment:
            names = {run.run for run in known.runs}
            more = (run for run in experiment.runs if run.run not in names)
            self.experiments[key] = known._replace(runs=(*known.runs, *more))

    def add_of_ena(self, experiments: Iterable[Experiment]) -> None:
        """Add the runs that only ENA has, and to all others the files that were submitted."""
        known = {run.run for experiment in self.experiments.values() for run in experiment.runs}
        for experiment in experiments:
            runs = tuple(run for run in experiment.runs if run.run not in known)
            mine = self.experiments.get(experiment.experiment)
            if mine is not None:
                mine = _with_files(mine, experiment)
                self.experiments[experiment.experiment] = mine
            if mine is None and runs:
                self.experiments[experiment.experiment] = experiment._replace(runs=runs)
                self.notes[experiment.experiment] = [FROM_ENA]
            elif mine is not None and runs:
                self.experiments[experiment.experiment] = mine._replace(runs=(*mine.runs, *runs))
                self.notes.update({run.run: [_IN_ENA] for run in runs})


def _with_files(experiment: Experiment, other: Experiment) -> Experiment:
    """Return an experiment whose runs have the files, too, that another record names of them."""
    files = {run.run: run.files for run in other.runs}
    runs = (run._replace(files=tuple(dict.fromkeys((*run.files, *files.get(run.run, ()))))) for run in experiment.runs)
    return experiment._replace(runs=tuple(runs))


def fetch_run_record(name: str, geo: SeriesRecord, archives: Archives) -> RunRecord:
    """Return the record of the runs of a series (with what GEO says of it), study or project; keep it.

    Raises Unanswered where an archive that should know of its runs could not be asked.
    """
    record = _fetch(name, geo, archives)
    if archives.describes:
        archives.digests[name] = _digest(record.experiments)
    return record


def _digest(experiments: Mapping[str, Experiment]) -> str:
    """Return what changes with what a record says of experiments, but for their runs, of which files may move."""
    digest = hashlib.sha256()
    for name in sorted(experiments):
        digest.update(repr(experiments[name]._replace(runs=())).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _fetch(name: str, geo: SeriesRecord, archives: Archives) -> RunRecord:
    remove_abandoned_files(archives.folder / name)
    anew = archives.renews(f"runs of {name}", name)
    look_up = _LookUp(name, geo, archives)
    if look_up.is_complete and not anew:
        return look_up.result()
    with exclusive(archives.folder, f"runs.{name}"):  # several analyses may share the folder
        record = _LookUp(name, geo, archives, anew).ask()
    if anew and look_up.is_kept:
        archives.news.append(f"{name}, asked for again: {_changes(look_up.result(), record)}.")
    return record


def _changes(old: RunRecord, new: RunRecord) -> str:
    """Return what is new, gone or other in a record."""
    before, after = (
        {run.run: run for item in record.experiments.values() for run in item.runs} for record in (old, new)
    )
    changes = {
        "new": after.keys() - before.keys(),
        "gone": before.keys() - after.keys(),
        "with other counts of spots": {run for run in after if run in before and after[run].spots != before[run].spots},
    }
    words = []
    for change, runs in changes.items():
        if runs:
            named = ", ".join(sorted(runs)[:_FEW_NAMES]) + (" …" if len(runs) > _FEW_NAMES else "")
            words.append(f"{len(runs):,} run(s) {change} ({named})")
    return "; ".join(words) or f"no run is new or gone ({len(after):,})"


class _LookUp:
    """A look-up of the runs of ``name``: what is kept of them, and what is missing."""

    def __init__(self, name: str, geo: SeriesRecord, archives: Archives, anew: bool = False) -> None:
        self.name, self.geo, self.archives = name, geo, archives
        self.folder = archives.folder / name
        self.record = RunRecord()
        self.answers: Answers | None = None
        self.ena_runs: int | None = None  # in ENA's report; None where there is none
        self.of_ena: list[Experiment] = []  # those of them that are of the series: a report is that of a study
        # Whether ENA knows the studies and so may stand in for NCBI; not for a record of NCBI that is asked for anew.
        self.ena_stands_in = False
        self.anew = anew
        self.replaces_sra = anew and record_files.sra_xml_of(self.folder) is not None
        self.wanted = geo.samples_of_experiments()
        self.without_experiment = set(geo.samples_without_experiment())
        if not anew and not record_files.is_unfinished(self.folder):
            self._read_kept()
        known = self.record.experiments
        self.is_kept = self.answers is not None or bool(known or self.ena_runs)
        self.absent: dict[str, str] = dict(self.answers.absent) if self.answers else {}
        found = {*known, *self.absent, *(item.experiment for item in self.of_ena)}
        self.waits_for_ncbi = self.answers is not None and not self.answers.ncbi  # ENA stood in for it
        if self.waits_for_ncbi:
            found = {*known, *self.absent}
        self.missing = [item for item in self.wanted if item not in found]
        if self.missing and known and self.record.source != "SRA":  # NCBI's record replaces a table of runs
            self.missing = list(self.wanted)
        linked = {gsm for experiment in known.values() for gsm in experiment.samples}
        searched = self.answers.unlinked if self.answers else ()
        self.unlinked = self.without_experiment - linked - set(searched)

    def _read_kept(self) -> None:
        self.answers = record_files.answers_of(self.folder)
        if path := record_files.ena_report_of(self.folder):
            self.read_ena([run_reports.read_report(path)])
        kept = record_files.read_any_runs(self.folder)
        if kept is not None and kept.source != "ENA":
            self.record.source = kept.source
            for experiment in kept.experiments:
                self.record.add(experiment)

    def read_ena(self, reports: Sequence[list[dict[str, str]]]) -> None:
        """Take the lines of ENA's reports."""
        self.ena_runs = sum(map(len, reports))
        self.ena_stands_in = all(reports) and not self.replaces_sra
        self.of_ena = [
            experiment
            for experiment in run_reports.experiments_of_report(itertools.chain(*reports))
            if not self.wanted
            or experiment.experiment in self.wanted
            or not self.without_experiment.isdisjoint(experiment.samples)
        ]

    def read_kept_ena(self) -> bool:
        """Take ENA's kept report where ENA was not asked anew, or did not answer: no run is gone by that."""
        path = record_files.ena_report_of(self.folder) if self.anew and self.ena_runs is None else None
        if path is None:
            return False
        stands_in = self.ena_stands_in
        self.read_ena([run_reports.read_report(path)])
        self.ena_stands_in = stands_in
        return True

    @property
    def studies(self) -> list[str]:
        """The accessions by which NCBI's search and ENA know the series, or the study itself."""
        if not self.name.startswith("GSE"):
            return [self.name]
        found = [item.project or item.study for item in self.record.experiments.values()]
        return list(dict.fromkeys(self.geo.projects or self.geo.studies or filter(None, found)))

    @property
    def is_of_ena(self) -> bool:
        """Whether ENA, not NCBI, is the archive to which this was submitted."""
        return any(name.startswith(("E", "PRJEB")) for name in (*self.studies, *self.wanted))

    @property
    def is_complete(self) -> bool:
        if not self.is_kept or self.waits_for_ncbi or self.missing or (self.unlinked and self.studies):
            return False
        return self.answers is None or self.ena_runs is not None or not self.compares_with_ena

    @property
    def compares_with_ena(self) -> bool:
        """Whether ENA is asked even where NCBI answers."""
        return bool(self.studies) and (self.archives.use_ena or self.is_of_ena)

    def result(self) -> RunRecord:
        """Return the record, with the runs that only ENA has and why experiments have none."""
        record = self.record
        if not record.experiments and self.of_ena:
            record.source = "ENA"
        record.add_of_ena(self.of_ena)
        if record.source not in ("SRA", "ENA"):
            record.notes = {experiment: [Note(f"Runs from {record.source}.")] for experiment in record.experiments}
        for experiment in dict.fromkeys((*self.wanted, *self.absent)):
            if experiment not in record.experiments and experiment not in record.absent:
                words = [_NO_PUBLIC_RUN, self.absent.get(experiment, "")]
                words.append(FROM_ENA.text if record.source == "ENA" else "")
                record.absent[experiment] = " ".join(filter(None, words))
        return record

    def ask(self) -> RunRecord:
        """Ask the archives for what is missing; keep it with what was kept before, and return the whole."""
        before = self.is_kept and self.answers is None and not self.is_complete
        with RecordWriter(self.folder) as writer:
            seen = set[str]()
            if self.record.source == "SRA" and self.record.experiments:
                seen |= self.record.experiments.keys()
                for package in record_files.packages_of(self.folder):
                    writer.add(package)

            def take(experiment: Experiment, package: bytes) -> None:
                if experiment.experiment in seen:
                    return
                if self.record.source != "SRA":
                    self.record = RunRecord()
                if experiment.experiment:
                    seen.add(experiment.experiment)
                self.record.add(experiment)
                writer.add(package)

            asking = _Asking(self, take)
            asking.ask()
            if asking.faults and before and not self.archives.reached:
                return self._offline()
            if asking.faults:
                raise Unanswered(f"{self.name}: " + " ".join(dict.fromkeys(asking.faults)))
            searched = tuple(sorted(self.without_experiment)) if asking.ncbi_answered else ()
            answers = Answers(self.absent, searched, tuple(self.geo.not_at_geo), asking.ncbi_answered)
            writer.commit(asking.report, answers)
        return self.result()

    def _offline(self) -> RunRecord:
        """Return what a person placed in the folder, where there is no network to complete it."""
        sentence = f"The record that is kept of {self.name} has no such experiment, and no archive could be asked."
        result = self.result()
        result.absent |= dict.fromkeys((item for item in self.missing if item not in result.experiments), sentence)
        return result


class _Asking:
    """What the archives answer to a look-up. ``take`` gets the packages that are of it."""

    def __init__(self, look_up: _LookUp, take: Take) -> None:
        self.look_up, self.archives, self.take = look_up, look_up.archives, take
        self.unfound = Unfound({}, {})
        self.search_fault: RemoteError | None = None
        self.ena_fault: RemoteError | None = None
        self.ncbi_answered = True
        self.report: bytes | None = None  # of ENA
        self.faults: list[str] = []

    def ask(self) -> None:
        """Ask NCBI, then ENA; ``faults`` says of what there is no answer."""
        look_up = self.look_up
        if look_up.missing:
            self.unfound = self.archives.fetch_experiments(look_up.missing, self.take)
        elif not look_up.is_kept or look_up.waits_for_ncbi:
            self._search()
        self._ask_ena()
        self._complete_search()
        if look_up.is_kept or look_up.wanted:
            self._link_samples()
        self._find_faults()

    def _search(self) -> None:
        for term in self.look_up.studies or [self.look_up.name]:
            try:
                self.unfound.add(self.archives.search(term, self._take_own))
            except RemoteError as error:
                self.search_fault = error

    def _take_own(self, item: Experiment, package: bytes) -> None:
        """Take an experiment that is one of the studies: a search finds words, also of others."""
        if {self.look_up.name, *self.look_up.studies} & {item.study, item.project, *item.parents, *item.series}:
            self.take(item, package)

    def _ask_ena(self) -> None:
        look_up = self.look_up
        names = look_up.studies
        if not names and len(self.unfound.failed) <= _FEW:
            names = list(self.unfound.failed)
        is_needed = look_up.compares_with_ena or self.unfound.failed or self.search_fault
        if look_up.ena_runs is not None or not names or not is_needed:
            return
        try:
            bodies = [self.archives.ena_report(name) for name in names]
            look_up.read_ena([run_reports.parse_report(body, "ENA") for body in bodies])
            self.report = run_reports.join_reports(bodies)
        except RemoteError as error:
            self.ena_fault = error

    def _complete_search(self) -> None:
        """Ask NCBI by accession for what its search left out: what ENA has of the study, and GEO of its series."""
        if not isinstance(self.search_fault, IncompleteError):
            return
        known = self.look_up.record.experiments
        names = {item.experiment: None for item in self.look_up.of_ena}
        for series in {series: None for item in known.values() for series in item.series}:
            geo = fetch_series_record(series, self.archives, [], lenient=True)
            names |= dict.fromkeys(geo.samples_of_experiments())
        self.archives.fetch_experiments([name for name in names if name not in known], self._take_own)
        if len(known) >= self.search_fault.count:
            self.search_fault = None

    def _link_samples(self) -> None:
        """Find the experiments of samples for which GEO names none: in ENA's report, then in the studies at NCBI."""
        look_up = self.look_up
        known = look_up.record.experiments
        named = [item for item in look_up.of_ena if not look_up.unlinked.isdisjoint(item.samples)]
        self.archives.fetch_experiments([item.experiment for item in named if item.experiment not in known], self.take)
        linked = {gsm for item in (*named, *known.values()) for gsm in item.samples}

        def take(item: Experiment, package: bytes) -> None:
            if not left.isdisjoint(item.samples):
                self.take(item, package)

        if left := look_up.unlinked - linked:
            for study in look_up.studies:
                try:
                    self.archives.search(study, take)
                except RemoteError as error:
                    self.ncbi_answered = False
                    if not look_up.ena_stands_in:
                        self.faults.append(f"The samples for which GEO names no experiment: {answer_of('NCBI', error)}")

    def _find_faults(self) -> None:
        look_up = self.look_up
        kept = look_up.read_kept_ena()
        found = {*look_up.record.experiments, *(item.experiment for item in look_up.of_ena)}
        look_up.absent |= {name: says for name, says in self.unfound.absent.items() if name not in found}
        for words, names in self._unanswered(found).items():
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            self.faults.append(f"{', '.join(names[:3])}{more}: {words}")
        if self.search_fault is not None:
            self.ncbi_answered = False
            count = self.search_fault.count if isinstance(self.search_fault, IncompleteError) else 0
            if not look_up.ena_stands_in or len(found) < count:
                self.faults.append(answer_of("NCBI", self.search_fault))
        studies = ", ".join(look_up.studies)
        if self.ena_fault is not None:
            words = answer_of("ENA", self.ena_fault)
            if self.faults or look_up.is_of_ena:
                self.faults.append(words)
            else:
                fate = "as they were when ENA answered" if kept else "not in the plan"
                self.archives.warn(f"{look_up.name}: runs of {studies} that only ENA has are {fate}. {words}")
        elif self.faults and look_up.ena_runs == 0:
            self.faults.append(f"ENA knows of no run of {studies}.")

    def _unanswered(self, found: set[str]) -> dict[str, list[str]]:
        """Return what NCBI answered instead → experiments that nobody gave an answer for; ``found`` has the others."""
        unanswered: dict[str, list[str]] = {}
        for name, error in self.unfound.failed.items():
            if isinstance(error, DamagedError) and (name in found or self.look_up.ena_runs is not None):
                if name not in found:
                    self.look_up.absent[name] = f"NCBI says of it: {error.fault}"
                continue
            self.ncbi_answered = False
            if not self.look_up.ena_stands_in and (name not in found or self.look_up.replaces_sra):
                unanswered.setdefault(answer_of("NCBI", error), []).append(name)
        return unanswered
