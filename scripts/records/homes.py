"""The home of a run, an experiment, a sample or a submission: the series in GEO that its record names, else its study.

A home is looked up as if it had been asked for, so that a run is judged alike whatever accession led to it. What was
answered is kept in ``homes.tsv`` in the folder of records: an accession, its homes joined by ``,`` (a sample may have
several), and what archives say of one that they do not have. ``ENA`` stands there for one that ENA gave in place of
NCBI, which is asked again the next time.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.core.disk.files import write_atomic
from scripts.core.disk.shared_cache import exclusive
from scripts.core.http import RemoteError
from scripts.core.untrusted import open_lines
from scripts.plan.accessions import kind_of
from scripts.records.answers import record_files, run_reports
from scripts.records.answers.sra_xml import Experiment
from scripts.records.client import Archives, answer_of

HOMES = "homes.tsv"
HOMES_OF_ENA = "ENA"
HOME_KINDS = ("series", "study", "project")


@dataclass
class Homes:
    """Accession → its homes; what archives say of one that they do not have; why there is no answer for one."""

    found: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    by_ena: dict[str, list[str]] = field(default_factory=dict)  # those of `found` that NCBI could not be asked for

    def add(self, experiment: Experiment, names: Iterable[str]) -> None:
        """Add the home of an experiment for those accessions that are its own, its samples' or its runs'."""
        home = next(iter(experiment.series), "") or experiment.study or experiment.project
        runs = (run.run for run in experiment.runs)
        mine = {experiment.experiment, *experiment.samples, *experiment.others, *runs}
        for name in names if home else ():
            if name in mine and home not in self.found.setdefault(name, []):
                self.found[name].append(home)

    def left(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name not in self.found]


def find_homes(names: Sequence[str], archives: Archives) -> Homes:
    """Return the homes of accessions; ask the archives for those that are not kept."""
    homes = Homes()
    wanted = set(names)
    for name, found, says in _read_table(archives.folder):
        if name not in wanted or archives.renews(f"home of {name}", name):
            continue
        if says == HOMES_OF_ENA:
            homes.by_ena[name] = found.split(",")
        elif found:
            homes.found[name] = found.split(",")
        else:
            homes.absent[name] = says
    for name in homes.left(names):
        kept = record_files.read_any_runs(archives.folder / name)
        for experiment in kept.experiments if kept else ():
            homes.add(experiment, [name])
    unknown = [name for name in homes.left(names) if name not in homes.absent]
    if unknown:
        _HomeSearch(unknown, homes, archives).ask()
        _write_table(unknown, homes, archives.folder)
    return homes


class _HomeSearch:
    """Asks NCBI, then ENA, for the homes of accessions."""

    def __init__(self, names: Sequence[str], homes: Homes, archives: Archives) -> None:
        self.names, self.homes, self.archives = names, homes, archives

    def ask(self) -> None:
        homes, archives = self.homes, self.archives
        wanted = set(self.names)

        def take(experiment: Experiment, _: bytes) -> None:
            homes.add(experiment, wanted)

        by_id = [name for name in self.names if kind_of(name) in ("experiment", "run")]
        by_search = [name for name in self.names if name not in set(by_id)]
        unfound = archives.fetch_experiments(by_id, take)
        is_down = False
        try:
            # Experiments whose packages are damaged may be those that were searched for.
            faults = [*archives.search_words(by_search, take).failed.values()]
        except RemoteError as error:
            faults, is_down = [error], True
        for fault in faults:
            unfound.failed.update(dict.fromkeys(homes.left(by_search), fault))
        homes.failed.update({name: answer_of("NCBI", error) for name, error in unfound.failed.items()})
        earlier, homes.by_ena = homes.by_ena, {}
        for name in homes.left(by_search):
            if kind_of(name) == "sample" and not is_down:
                self._ask_geo(name)
        for name in homes.left(self.names):
            if name not in homes.found and (kind_of(name) != "sample" or name in homes.failed):
                self._ask_ena(name)
        for name in self.names:
            if name in homes.failed and (found := homes.found.get(name) or earlier.get(name)):
                homes.found[name] = homes.by_ena[name] = found
                del homes.failed[name]
            elif name in homes.found:
                continue
            elif name not in homes.failed:
                homes.absent[name] = unfound.absent.get(name, "")

    def _ask_geo(self, sample: str) -> None:
        """Ask GEO's search for the series of a sample that SRA's search does not know."""
        try:
            if series := self.archives.series_of_sample(sample):
                # A SuperSeries is younger than its parts.
                self.homes.found[sample] = [min(series, key=lambda name: int(name[3:]))]
        except RemoteError as error:
            self.homes.failed[sample] = answer_of("NCBI", error)

    def _ask_ena(self, name: str) -> None:
        """Ask ENA for an accession that NCBI does not have or was not able to answer, and for all of its study."""
        homes = self.homes
        try:
            experiments = self._of_ena(name)
            for experiment in experiments:
                homes.add(experiment, self.names)
            if experiments and homes.left(self.names):
                for other in self._of_ena(experiments[0].study or experiments[0].project):
                    homes.add(other, homes.left(self.names))
        except RemoteError as error:
            if name.startswith("E") or name in homes.failed:  # ENA's own, or one that nobody has answered
                homes.failed[name] = " ".join(filter(None, (homes.failed.get(name), answer_of("ENA", error))))
            return
        if name.startswith("E"):
            homes.failed.pop(name, None)
        elif name in homes.failed and name not in homes.found:
            homes.failed[name] += " ENA knows of no run of it."

    def _of_ena(self, accession: str) -> list[Experiment]:
        lines = run_reports.parse_report(self.archives.ena_report(accession), "ENA") if accession else []
        return run_reports.experiments_of_report(lines)


def _read_table(folder: Path) -> Iterator[tuple[str, str, str]]:
    path = folder / HOMES
    if path.is_file():
        for line in itertools.islice(open_lines(path), 1, None):
            name, found, says = (*line.split("\t"), "", "")[:3]
            if all(kind_of(home) in HOME_KINDS for home in found.split(",") if home):
                yield name, found, says


def _write_table(names: Sequence[str], homes: Homes, folder: Path) -> None:
    new = {
        name: (
            ",".join(homes.found.get(name, ())),
            HOMES_OF_ENA if name in homes.by_ena else homes.absent.get(name, ""),
        )
        for name in names
        if name not in homes.failed
    }
    with exclusive(folder, "homes"):  # several analyses may share the folder
        rows = {name: (found, says) for name, found, says in _read_table(folder)} | new
        texts = ((name, found, " ".join(says.split())) for name, (found, says) in sorted(rows.items()))
        lines = ["accession\thomes\tanswer", *map("\t".join, texts)]
        write_atomic(folder / HOMES, "".join(f"{line}\n" for line in lines), shared=True)
