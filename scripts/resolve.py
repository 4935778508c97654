"""Find the runs of every accession asked for, or the reason why there is none, and write the plan.

GEO's family files name samples and experiments, SRA's XML (or, where it fails, ENA's filereport) names runs. What the
archives answer is kept below --records, a folder an accession, and is not asked for again: a record that lies there is
used. The plan (--output) has a row for every run, also for those that are left out, and a row without a run for every
accession that has none. A table for a person goes to standard output, progress to standard error.
"""

import argparse
import gzip
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from scripts.formats import ena, records, remote, soft, sra_xml
from scripts.formats.configuration import ACCESSION, asked_for
from scripts.formats.errors import InputError, raise_faults, run_command
from scripts.formats.remote import Asking, RateLimit, RemoteError, UnreachableError
from scripts.formats.run_table import Run, write_runs
from scripts.formats.sra_xml import Experiment, SraRun
from scripts.inference import assay as assays
from scripts.inference.library import Verdict, judge_library
from scripts.inference.plan import Choices, add_choices, choices_of, left_out_by_user, plan_from_table
from scripts.inference.plan_table import plan_table

if TYPE_CHECKING:
    import requests

BATCH = 250  # accessions in one request to E-utilities
_MIXTURE = re.compile(r"\bmixed\b|metagenome|\bhybrid\b|\bsynthetic\b| x ", re.IGNORECASE)
_NAMING_ATTRIBUTES = frozenset(
    ["library", "library type", "library_type", "modality", "assay", "data type", "feature type", "molecule subtype"]
)


_LONG_READS = re.compile(r"Sequel|\bRS II\b|PacBio|Revio|MinION|GridION|PromethION", re.IGNORECASE)
_FROM_ENA = "Runs from ENA, not from NCBI."


class Sample(NamedTuple):
    """What a family file says of a sample, as far as the plan needs it."""

    title: str
    taxa: dict[str, str]
    experiments: tuple[str, ...]
    series: tuple[str, ...]
    library: tuple[str, ...]  # strategy, source, selection
    own_words: frozenset[str]
    protocol_words: frozenset[str]
    names: tuple[str, ...]


class Family(NamedTuple):
    """What the family files of a series (and of its parts) say; ``samples`` maps GSM → Sample."""

    samples: dict[str, Sample]
    parts: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    ill_named: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()  # samples that the series names, described or not

    def part_of(self, gsm: str) -> str:
        """Return a sentence that names the part of the SuperSeries to which a sample belongs, if it is one."""
        of = [part for part in self.samples[gsm].series if part in self.parts] if gsm in self.samples else ()
        return f"Of {', '.join(of)}, a part of the SuperSeries." if of else ""


class Archives:
    """The archives and what they answered; each record is asked for once and kept as it came."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder = Path(options.records)
        self.geo, self.eutils, self.ena = options.geo, options.eutils, options.ena
        self.use_ena = "ena" in options.order
        self.key = os.environ.get("NCBI_API_KEY", "")
        self.email = options.email
        limit = RateLimit(self.folder / ".rates", "eutils", 10 if self.key else 3)
        self.asking = Asking(options.retries, min(2, options.retries), options.first_wait)
        self.limited = self.asking._replace(limit=limit)
        self.unreachable: set[str] = set()
        self.reached = False  # whether any archive has answered
        self.requests = 0
        self._session: requests.Session | None = None

    def family(self, series: str) -> Path:
        """Return the family file of a series, fetched unless it lies there. Raises RemoteError."""
        folder = self.folder / series
        found = records.family_of(folder, series)
        if found is not None:
            return found
        path = folder / records.FAMILY.format(series=series)
        tell(f"{series}: asking GEO for its family file")
        url = soft.family_address(self.geo, series)
        with self._asked(url) as asking:
            remote.fetch(url, path, check=_check_family, asking=asking, session=self._open())
        return path

    def experiments_xml(self, accessions: Sequence[str]) -> tuple[list[bytes], list[str]]:
        """Return the answers of E-utilities for experiments or runs, and the errors they tell. Raises RemoteError."""
        bodies: list[bytes] = []
        errors: list[str] = []
        for begin in range(0, len(accessions), BATCH):
            self._batch(accessions[begin : begin + BATCH], bodies, errors)
        found = set().union(*map(_accessions_in, bodies))
        missing = [accession for accession in accessions if accession not in found]
        if missing and len(missing) < min(len(accessions), BATCH):  # a long answer may lack what a second one has
            self._batch(missing, bodies, errors)
        return bodies, errors

    def _batch(self, accessions: Sequence[str], bodies: list[bytes], errors: list[str]) -> None:
        tell(f"asking NCBI for {len(accessions)} experiments from {accessions[0]} on")
        body = self._eutils("efetch.fcgi", {"id": ",".join(accessions), "rettype": "full"}, _check_xml)
        told = sra_xml.answer_errors(body)
        if told and not sra_xml.packages_of(body) and len(accessions) > 1:  # one bad accession spoils the whole answer
            middle = len(accessions) // 2
            self._batch(accessions[:middle], bodies, errors)
            self._batch(accessions[middle:], bodies, errors)
            return
        errors += told
        bodies.append(body)

    def search_xml(self, term: str) -> tuple[list[bytes], list[str]]:
        """Return the answers for all that a search of accessions finds, and the errors told. Raises RemoteError."""
        tell(f"asking NCBI for {term[:60]}{'…' if len(term) > 60 else ''}")
        found = self._eutils("esearch.fcgi", {"term": term, "usehistory": "y", "retmax": "0"}, _check_search)
        count = int(_tag(found, "Count") or 0)
        key, web = _tag(found, "QueryKey"), _tag(found, "WebEnv")
        bodies: list[bytes] = []
        errors = sra_xml.answer_errors(found)
        for begin in range(0, count, BATCH):
            fields = {"query_key": key, "WebEnv": web, "retstart": str(begin), "retmax": str(BATCH), "rettype": "full"}
            body = self._eutils("efetch.fcgi", fields, _check_xml)
            errors += sra_xml.answer_errors(body)
            bodies.append(body)
        return bodies, errors

    def ena_report(self, accession: str, folder: str) -> Path:
        """Return ENA's filereport of an accession, fetched unless it lies there. Raises RemoteError."""
        path = self.folder / folder / records.ENA_REPORT
        found = records.ena_report_of(self.folder / folder)
        if found is not None:
            return found
        tell(f"{accession}: asking ENA for its runs")
        url = ena.report_address(self.ena, accession)
        with self._asked(url) as asking:
            body = remote.get(url, asking=asking, session=self._open(), check=_check_report)
        remote.write_whole(path, packed(body))
        return path

    def keep_xml(self, folder: str, packages: Iterable[bytes]) -> Path | None:
        """Keep packages as one record; None when there is none."""
        parts = [part for part in packages if part]
        if not parts:
            return None
        path = self.folder / folder / records.SRA_XML
        remote.write_whole(path, packed(sra_xml.package_set(parts)))
        return path

    def _eutils(self, tool: str, fields: Mapping[str, str], check: Callable[[bytes], None]) -> bytes:
        url = f"{self.eutils.rstrip('/')}/{tool}"
        data = {"db": "sra", "tool": "sra2matrix", **fields}
        if self.email:
            data["email"] = self.email
        if self.key:
            data["api_key"] = self.key
        with self._asked(url, self.limited) as asking:
            return remote.post(url, data, asking=asking, session=self._open(), check=check)

    def _asked(self, url: str, asking: Asking | None = None) -> "_Host":
        self.requests += 1
        return _Host(self, urlsplit(url).netloc, asking or self.asking)

    def _open(self) -> "requests.Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
        return self._session


class _Host:
    """A request to a host: once it could not be reached it is tried only once more each time."""

    def __init__(self, archives: Archives, host: str, asking: Asking) -> None:
        self.archives, self.host, self.asking = archives, host, asking

    def __enter__(self) -> Asking:
        gone = self.host in self.archives.unreachable
        return self.asking._replace(unreachable_retries=0) if gone else self.asking

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, UnreachableError):
            self.archives.unreachable.add(self.host)
        else:
            self.archives.reached = True
            self.archives.unreachable.discard(self.host)


def tell(message: str) -> None:
    """Tell progress to the person who waits."""
    print(message, file=sys.stderr, flush=True)


def packed(body: bytes) -> bytes:
    """Return bytes gzipped, the same for the same bytes."""
    held = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=held, mtime=0, compresslevel=6) as file:
        file.write(body)
    return held.getvalue()


def _check_family(path: Path) -> None:
    """Raise ValueError for a family file that is cut short or is something else."""
    try:
        kinds = {entity.kind for entity in soft.read_family(path)}
    except InputError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from error
    if not kinds & {"series", "sample"}:
        raise ValueError("the family file names no series.")


def _check_xml(body: bytes) -> None:
    try:
        for _ in sra_xml.parse_experiments(io.BytesIO(body), "the answer"):
            pass
    except InputError as error:
        raise ValueError(str(error)) from error


def _check_search(body: bytes) -> None:
    if not _tag(body, "Count") and not sra_xml.answer_errors(body):
        raise ValueError("the answer is no result of a search.")


def _check_report(body: bytes) -> None:
    if not body:
        raise ValueError("the answer is empty.")
    try:
        ena.parse_report(body, "the answer")
    except InputError as error:
        raise ValueError(str(error)) from error


def _accessions_in(body: bytes) -> set[str]:
    """Return the experiments and runs that an answer holds."""
    found = re.findall(rb'<(?:EXPERIMENT|RUN)\b[^>]*?\saccession="(\w+)"', body)
    return {accession.decode("ascii", "replace") for accession in found}


def _tag(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found[1].decode("ascii", "replace").strip() if found else ""


# ---------------------------------------------------------------------------------------------------------------------
# Families


def read_family(path: Path, samples: dict[str, Sample]) -> Family:
    """Add the samples of a family file to ``samples`` and return what it says of its series."""
    parts: list[str] = []
    studies: list[str] = []
    projects: list[str] = []
    ill_named: list[str] = []
    listed: list[str] = []
    words: dict[int, frozenset[str]] = {}  # of a protocol, by its hash: the samples of a series share one
    for entity in records.read_any_family(path):
        if entity.kind == "series":
            parts += soft.parts_of(entity)
            studies += soft.studies_of(entity)
            projects += soft.projects_of(entity)
            listed += soft.members_of(entity)
        elif entity.kind == "sample":
            if entity.well_named:
                samples.setdefault(entity.accession, _sample(entity, words))
            else:
                ill_named.append(entity.accession)
    return Family(samples, tuple(parts), tuple(studies), tuple(projects), tuple(ill_named), tuple(listed))


def _sample(entity: soft.Entity, words: dict[int, frozenset[str]]) -> Sample:
    fields = entity.fields
    own = [value for name in ("title", "description") for value in fields.get(name, ())]
    protocol = "\n".join(value for name in fields if "protocol" in name for value in fields[name])
    if hash(protocol) not in words:
        words[hash(protocol)] = assays.words_of(protocol)
    named = [value.partition(":") for value in fields.get("characteristics_ch1", ())]
    return Sample(
        title=entity.first("title"),
        taxa={sys.intern(tax_id): sys.intern(name) for tax_id, name in soft.taxa_of(entity).items()},
        experiments=tuple(soft.experiments_of(entity)),
        series=tuple(sys.intern(series.strip()) for series in fields.get("series_id", ())),
        library=tuple(sys.intern(entity.first(f"library_{name}")) for name in ("strategy", "source", "selection")),
        own_words=assays.words_of("\n".join(own)),
        protocol_words=words[hash(protocol)],
        names=tuple(value.strip() for tag, _, value in named if tag.lower().strip() in _NAMING_ATTRIBUTES),
    )


def family_of_series(series: str, archives: Archives, notes: list[str]) -> Family | None:
    """Return the family of a series with those of its parts whose samples it does not hold itself.

    None, and a note, when GEO does not give it. Relations may go round in circles.
    """
    try:
        family = read_family(archives.family(series), {})
    except RemoteError as error:
        notes.append(_not_there(f"GEO's family file of {series}", error))
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
            notes.append(_not_there(f"GEO's family file of {part} (a part of {series})", error))
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


def _not_there(what: str, error: RemoteError) -> str:
    """Tell the fault to whoever waits, and return what the plan says of it: no word that differs from day to day."""
    tell(f"{what} could not be had: {error}")
    return f"{what} could not be had."


# ---------------------------------------------------------------------------------------------------------------------
# Rows


class Plan:
    """The rows of the plan, each run once, under the series asked for first."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.rows: dict[str, list[Run]] = {}
        self.also: dict[str, list[str]] = {}
        self.evidence: dict[str, str] = {}  # run → JSON
        self.open: set[str] = set()  # runs whose reads must decide what the records leave open
        self.told: set[str] = set()  # accessions that stand in a row or its detail

    def add(self, key: str, rows: list[Run], asked: str) -> bool:
        """Add the rows of a run (or of a sample or experiment without one) that ``asked`` led to.

        False when the run stands in the plan already: then what was asked for is named in its detail.
        """
        if key in self.rows:
            if asked not in self.told_by(self.rows[key][0]):
                also = self.also.setdefault(key, [])
                if asked not in also:
                    also.append(asked)
            self.told.add(asked)
            return False
        self.rows[key] = rows
        for row in rows:
            self.told.update(self.told_by(row))
            if re.search(rf"\b{asked}\b", row.detail):
                self.told.add(asked)
        if asked not in self.told:
            self.also.setdefault(key, []).append(asked)
            self.told.add(asked)
        return True

    @staticmethod
    def told_by(row: Run) -> tuple[str, ...]:
        """Return the accessions that a row accounts for."""
        return row.series, row.sample, row.experiment, row.run

    def no_run(self, asked: str, detail: str, row: Run) -> None:
        """Add a row without a run, which is for what was asked for or for a part of it."""
        row = row._replace(exp_id=self.choices.exp_id_of(row.series), status="left_out", reason="NO_RUN", detail=detail)
        self.add(row.experiment or row.sample or row.series or asked, [left_out_by_user(row, self.choices)], asked)

    def all_rows(self) -> list[Run]:
        """Return all rows, with the other series that hold a run named in its detail."""
        rows = []
        for key, group in self.rows.items():
            names = ", ".join(self.also.get(key, ()))
            for row in group:
                rows.append(row._replace(detail=_sentences(row.detail, f"Also in {names}.")) if names else row)
        return rows


class Origin(NamedTuple):
    """Where an experiment was found: the series of its rows, what was asked for, its family and what is to be told."""

    series: str
    asked: str
    family: Family | None
    record: str
    notes: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()  # runs wanted; all when empty


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def add_experiment(experiment: Experiment, origin: Origin, samples: Mapping[str, list[str]], plan: Plan) -> None:
    """Add the rows of an experiment's runs; ``samples`` maps experiment → GSM by the family's relation lines."""
    choices = plan.choices
    named = samples.get(experiment.experiment, [])
    gsm = named[0] if named else next(iter(experiment.samples), experiment.sample)
    sample = origin.family.samples.get(gsm) if origin.family else None
    notes = list(origin.notes)
    if len(named) > 1:
        notes.append(f"GEO names the experiment for {', '.join(named)}.")
    if named and experiment.samples and gsm not in experiment.samples:
        notes.append(f"GEO says that the sample is {gsm}, SRA {', '.join(experiment.samples)}.")
    if origin.family is not None and (part := origin.family.part_of(gsm)):
        notes.append(part)
    runs = [run for run in experiment.runs if not origin.only or run.run in origin.only]
    if not runs:
        detail = _sentences("The archive has the experiment, but no run of it.", *notes)
        row = Run(series=origin.series, sample=gsm, experiment=experiment.experiment)
        plan.no_run(
            origin.asked, detail, _with_taxon(row, dict(experiment.taxa) or (sample.taxa if sample else {}), choices)
        )
        return
    names = _names(experiment, sample)
    own, protocol = _words(experiment, sample)
    given = choices.assay_of(
        *(run.run for run in runs), experiment.experiment, gsm, *filter(None, (origin.series, *experiment.series))
    )
    judged = assays.judge_experiment(experiment, own, protocol, given)
    declared = (experiment.strategy, experiment.source, experiment.selection)
    library = judge_library(*(declared if any(declared) or sample is None else sample.library), names)
    if given and library.reason == "NOT_SINGLE_CELL":
        library = library._replace(reason="", detail="", evidence=(*library.evidence, library.detail))
    for run in runs:
        rows, said = _rows_of_run(experiment, run, gsm, sample, origin, judged, library, notes, choices)
        if not plan.add(run.run, rows, origin.asked):
            continue
        evidence = {
            "run": run.run,
            "experiment": experiment.experiment,
            "sample": gsm,
            "series": origin.series,
            "record": origin.record,
            "names": list(names),
            "strategy": experiment.strategy,
            "source": experiment.source,
            "selection": experiment.selection,
            "layout": experiment.layout,
            "instrument": experiment.instrument,
            "reads": [
                {"length": read.length, "stdev": read.stdev, "count": read.count, "kind": read.kind}
                for read in run.reads
            ],
            "variable": run.variable,
            "options": run.options,
            "files": [offer._asdict() for offer in run.offers],
            "full_quality": full_quality(run) is not None,
            "lite": any(offer.kind == "SRA Lite" for offer in run.offers),
            "assay": judged.assay,
            "open": judged.open,
            "evidence": [*judged.evidence, *library.evidence],
            "notes": said,
        }
        plan.evidence[run.run] = json.dumps(evidence, ensure_ascii=False, sort_keys=True)
        if judged.open and not library.reason:
            plan.open.add(run.run)


def _with_taxon(row: Run, taxa: Mapping[str, str], choices: Choices) -> Run:
    """Return a row without a run with the first species that its record names."""
    tax_id = next(iter(taxa), "")
    return row._replace(tax_id=tax_id, organism=taxa.get(tax_id, ""), species=choices.label_of(tax_id))


def _rows_of_run(
    experiment: Experiment,
    run: SraRun,
    gsm: str,
    sample: Sample | None,
    origin: Origin,
    judged: assays.Judgement,
    library: Verdict,
    notes: Sequence[str],
    choices: Choices,
) -> tuple[list[Run], list[str]]:
    said = list(notes)
    if len(run.samples) > 1:
        said.append(f"The run pools the samples {', '.join(run.samples)}.")
    elif run.samples and gsm.startswith("GSM") and gsm not in run.samples and run.samples != experiment.samples:
        said.append(f"SRA's pool names the sample {run.samples[0]}.")
    if _LONG_READS.search(experiment.instrument):
        said.append(f"The reads are long ones ({experiment.instrument}), for which the alignment is not made.")
    taxa = _taxa(run, experiment, sample, said)
    whole = full_quality(run)
    if whole is None and any(offer.kind == "SRA Lite" for offer in run.offers):
        said.append("Only SRA Lite (simplified qualities) is on offer.")
    base = Run(
        series=origin.series,
        exp_id=choices.exp_id_of(origin.series),
        sample=gsm,
        experiment=experiment.experiment,
        run=run.run,
        assay=judged.assay,
        chemistry=choices.chemistry if judged.assay == "droplet" and choices.chemistry != "auto" else "",
        layout=experiment.layout,
        read_roles=",".join(judged.roles.get(run.run, ())),
        spots=run.spots,
        bases=run.bases,
        bytes=str(whole.size) if whole is not None and whole.size else run.size,
        md5=whole.md5 if whole is not None else "",
        source=choices.source_for(judged.assay),
        status="planned",
    )
    known = [(tax_id, organism, label) for tax_id, organism in taxa if (label := choices.label_of(tax_id))]
    if not known:
        tax_id, organism = taxa[0] if taxa else ("", "")
        detail = f"{organism or 'The species'} (tax id {tax_id or 'unknown'}) is not configured."
        row = base._replace(tax_id=tax_id, organism=organism, status="left_out", reason="OTHER_SPECIES", detail=detail)
        return [_finished(row, run, judged, library, said, choices)], said
    foreign = [f"{organism} (tax id {tax_id})" for tax_id, organism in taxa if not choices.label_of(tax_id)]
    if len(known) > 1:
        said.append(f"A sample of {' and '.join(label for _, _, label in known)}, counted in each.")
    if foreign:
        said.append(f"It also holds {', '.join(foreign)}, not configured.")
    rows = [base._replace(tax_id=tax_id, organism=organism, species=label) for tax_id, organism, label in known]
    return [_finished(row, run, judged, library, said, choices) for row in rows], said


def _finished(
    row: Run, run: SraRun, judged: assays.Judgement, library: Verdict, said: Sequence[str], choices: Choices
) -> Run:
    """Give a row its reason, the first that holds, and its detail."""
    reason, detail = row.reason, row.detail
    if not reason and library.reason:
        reason, detail = library.reason, library.detail
    if not reason and run.closed:
        reason, detail = "CONTROLLED_ACCESS", f"{run.closed[0].upper()}{run.closed[1:]}."
    if not reason and judged.fault:
        reason, detail = judged.fault, judged.detail
    row = row._replace(
        status="left_out" if reason else "planned", reason=reason, source=row.source, detail=_sentences(detail, *said)
    )
    return left_out_by_user(row, choices)


def full_quality(run: SraRun) -> sra_xml.Offer | None:
    """Return the archive of a run with its true qualities, where it is on offer."""
    return next((offer for offer in run.offers if offer.kind == "SRA Normalized"), None)


def _names(experiment: Experiment, sample: Sample | None) -> tuple[str, ...]:
    """Return the names of a library, without what SRA adds to each (accession, organism, strategy)."""
    title = re.sub(r"^.*?\bGSM\d+:\s*", "", experiment.title)
    pieces = title.split("; ")
    if title != experiment.title and len(pieces) >= 3:
        title = "; ".join(pieces[:-2])
    library = "" if re.fullmatch(r"GSM\d+(_r\d+)?", experiment.library) else experiment.library
    told = [value for tag, value in experiment.attributes if tag.lower().strip() in _NAMING_ATTRIBUTES]
    of_geo = () if sample is None else (sample.title, *sample.names)
    return tuple(dict.fromkeys(name for name in (library, title, experiment.sample_title, *of_geo, *told) if name))


def _words(experiment: Experiment, sample: Sample | None) -> tuple[frozenset[str], frozenset[str]]:
    own = assays.words_of("\n".join((experiment.title, experiment.library, experiment.sample_title)))
    protocol = assays.words_of("\n".join((experiment.protocol, experiment.study_title)))
    if sample is not None:
        own |= sample.own_words
        protocol |= sample.protocol_words
    return own, protocol


def _taxa(run: SraRun, experiment: Experiment, sample: Sample | None, notes: list[str]) -> list[tuple[str, str]]:
    """Return (tax id, organism) of a run: SRA's, and those that GEO adds; their disagreement goes into the notes."""
    of_sra = dict(run.taxa or experiment.taxa)
    of_geo = dict(sample.taxa) if sample is not None else {}
    if not of_sra or not of_geo:
        return list((of_sra or of_geo).items())
    if not set(of_sra) & set(of_geo):
        told = [" and ".join(f"{name} ({tax_id})" for tax_id, name in taxa.items()) for taxa in (of_sra, of_geo)]
        if all(_MIXTURE.search(name) for name in of_sra.values()):
            notes.append(f"SRA says {told[0]}, GEO {told[1]}: GEO is followed, which names the species of the mixture.")
            return list(of_geo.items())
        notes.append(f"SRA says {told[0]}, GEO {told[1]}: SRA is followed.")
        return list(of_sra.items())
    return list({**of_sra, **of_geo, **of_sra}.items())


# ---------------------------------------------------------------------------------------------------------------------
# What was asked for


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
    found = _runs_of_series(series, family, list(samples), archives, notes)
    if found is None and archives.reached:
        raise InputError(_sentences(f"{series}: its runs could not be looked up; try again later.", *notes))
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
        row = _with_taxon(Run(series=series, sample=gsm), sample.taxa, plan.choices)
        if not sample.experiments and gsm not in with_rows:
            plan.no_run(series, _sentences("GEO names no SRA experiment for the sample.", part, *notes), row)
        for experiment in sample.experiments:
            if experiment not in met:
                plan.no_run(series, _sentences(why, part, *notes), row._replace(experiment=experiment))
    for gsm in family.listed if family else ():
        if gsm not in family.samples and gsm not in with_rows:
            told = "GEO lists the sample, but does not describe it."
            plan.no_run(series, _sentences(told, *notes), Run(series=series, sample=gsm))
    for name in family.ill_named if family else ():
        tell(f"{series}: its family file has a sample named {name!r}, which is no GSM accession; it is passed over.")
    if series not in plan.told:
        told = "The series has no sample with a run." if found else "No archive could be asked for its runs."
        plan.no_run(series, _sentences(told, *notes), Run(series=series))


def _runs_of_series(
    series: str, family: Family | None, wanted: list[str], archives: Archives, notes: list[str]
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
            bodies, errors = archives.experiments_xml(wanted)
        else:
            bodies, errors = archives.search_xml(next(iter(accessions), series))
    except RemoteError as error:
        _not_there(f"NCBI's record of the runs of {series}", error)
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
            report = archives.ena_report(accession, series)
        except RemoteError as error:
            _not_there(f"ENA's record of the runs of {series}", error)
            continue
        notes.append(_FROM_ENA)
        experiments = ena.experiments_of_report(ena.read_report(report))
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
    found = records.read_any_runs(folder)
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
        _not_there(f"ENA's report of {accession}", error)


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
        raise InputError(_sentences(f"{accession}: its runs could not be looked up; try again later.", *notes))
    record, experiments = found or ("", iter(()))
    families = Families(archives)
    for experiment in experiments:
        add_single(experiment, Origin(accession, accession, None, record, tuple(notes)), families, plan)
    if accession not in plan.told:
        told = "The archives know of no public run." if found else "No archive could be asked for its runs."
        plan.no_run(accession, _sentences(told, *notes), Run(series=accession))


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
        _not_there(f"NCBI's record of {accession}", error)
    try:
        rows = ena.read_report(archives.ena_report(accession, accession))
    except RemoteError as error:
        _not_there(f"ENA's record of {accession}", error)
        return ("SRA", iter(())) if answered else None
    if rows:
        notes.append(_FROM_ENA)
    return "ENA", ena.experiments_of_report(rows)


def resolve_singles(asked: Sequence[str], archives: Archives, plan: Plan) -> None:
    """Add the rows of samples, experiments and runs that were asked for one by one; InputError as for a series."""
    notes: dict[str, list[str]] = {name: [] for name in asked}
    missing = [name for name in asked if records.read_any_runs(archives.folder / name) is None]
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
            plan.no_run(name, _sentences(f"{name}: {why}", *notes[name]), row)


def _fetch_singles(names: Sequence[str], archives: Archives, notes: dict[str, list[str]]) -> list[str]:
    """Fetch the packages of samples, or of experiments and runs; keep each under its accession.

    Returns those for which no archive answered.
    """
    if not names:
        return []
    bodies: list[bytes] = []
    errors: list[str] = []
    try:
        for begin in range(0, len(names), BATCH):
            batch = names[begin : begin + BATCH]
            # NCBI takes no GSM as an identifier: search, and keep what has the very accession.
            if batch[0].startswith("GSM"):
                more, told = archives.search_xml(" OR ".join(batch))
            else:
                more, told = archives.experiments_xml(batch)
            bodies += more
            errors += told
    except RemoteError as error:
        _not_there(f"NCBI's record of {', '.join(names[:3])}{'…' if len(names) > 3 else ''}", error)
        return [name for name in names if name.startswith("GSM") or not _ena_single(name, archives)]
    wanted = set(names)
    found: dict[str, list[bytes]] = {}
    for item, package in sra_xml.split_packages(bodies):
        for name in {item.experiment, *item.samples, *(run.run for run in item.runs)} & wanted:
            found.setdefault(name, []).append(package)
    for name, packages in found.items():
        archives.keep_xml(name, packages)
    for name in names:
        if records.sra_xml_of(archives.folder / name) is None:
            notes[name] += _told_by_ncbi(errors)
    return []


def _ena_single(name: str, archives: Archives) -> bool:
    """Ask ENA for one experiment or run; whether it answered."""
    try:
        archives.ena_report(name, name)
    except RemoteError as error:
        _not_there(f"ENA's record of {name}", error)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{plan.evidence[run]}\n" for run in sorted(plan.evidence))
    remote.write_whole(path, text.encode())


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
    parser.add_argument("--evidence", help="write what each judgement rests on, one JSON object a run")
    parser.add_argument("--output", required=True, help="the plan, a run table")
    options = parser.parse_args(argv)
    choices = choices_of(options)
    if not choices.species:
        raise InputError("No species is configured; give --species, e.g. homo=9606 mus=10090.")
    if options.run_table:
        plan = Plan(choices)
        rows = plan_from_table(options.run_table, choices)
    else:
        archives = Archives(options)
        plan = resolve(read_asked(options.series), archives, choices)
        rows = plan.all_rows()
        tell(f"{archives.requests} requests to the archives")
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(output.name + ".part")
    write_runs(part, rows)
    part.replace(output)
    if options.evidence:
        write_evidence(Path(options.evidence), plan)
    print(plan_table(rows, options.shard_size, plan.open))


if __name__ == "__main__":
    run_command(main)
