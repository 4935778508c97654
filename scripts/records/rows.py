"""The rows of the plan: experiments as their records describe them, joined with their samples, judged run by run."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from scripts.plan.choices import Choices, foreign_species, left_out_by_user
from scripts.plan.run_table import Run
from scripts.records.answers.run_reports import ORIGINAL
from scripts.records.answers.series_record import Note, Sample, SeriesRecord
from scripts.records.answers.sra_xml import Experiment, RemoteFile, SraRun
from scripts.records.libraries.assay import Judgement, judge_experiment, one_read_fault, shape_of, signs_of_droplets
from scripts.records.libraries.library_siblings import Beside, Neighbour, kinds_by_neighbours
from scripts.records.libraries.library_type import (
    LibraryType,
    background_of,
    has_long_reads,
    judge_library,
    library_names,
)
from scripts.records.libraries.run_parts import RunParts, lone_fault, sort_runs
from scripts.records.libraries.single_cell import Siblings, siblings_of, study_of
from scripts.records.libraries.texts import texts_of_experiment

_MIXTURE = re.compile(r"\bmixed\b|metagenome|\bhybrid\b|\bsynthetic\b| x ", re.IGNORECASE)
_READ_FILE = re.compile(r"\.f(?:ast)?q(?:\.\w+)?$", re.IGNORECASE)
_BOTH_READS = re.compile(r"[_.-](?:R|read)?([12])(?:_\d{3})?\.f(?:ast)?q(?:\.\w+)?$", re.IGNORECASE)
FULL_QUALITY, LITE = "SRA Normalized", "SRA Lite"  # NCBI's kinds of archives: true and simplified qualities
_OF_ALL_RUNS = ("NOT_SINGLE_CELL", "CHEMISTRY_UNKNOWN")  # faults of an experiment, whatever its runs hold
_EXPERIMENT_FIELDS = ("experiment", "strategy", "source", "selection", "layout", "instrument")  # part of the evidence
_FAULTS = 3  # that a detail quotes


class Plan:
    """The rows of the plan, each run once, under the series asked for first."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.rows: dict[str, list[Run]] = {}  # run (or, without one, experiment, sample or series) → its rows
        self.also_in: dict[str, list[str]] = {}  # the same → further accessions asked for that lead to it
        self.evidence: dict[str, str] = {}  # run → JSON
        self.open: set[str] = set()  # runs whose reads must decide what the records leave open
        self.remarks: dict[str, str] = {}  # run → what a person should look at
        self.barcode_reads: dict[str, float] = {}  # run → length of its barcode read in nt
        self.mates: dict[str, str] = {}  # run → the run that has the other read of its spots
        self.accounted: set[str] = set()  # accessions that a row or its detail names

    def add(self, key: str, rows: list[Run], asked: str, notes: Sequence[Note] = ()) -> bool:
        """Add the rows of a run (or of a sample or experiment without one) that ``asked`` led to.

        ``notes`` are those in their details. Returns False when the run is in the plan already: then its detail names
        what was asked for.
        """
        added = key not in self.rows
        if added:
            self.rows[key] = rows
            self.accounted.update(*map(_accessions_of, rows))
            if rows[0].reason != "LEFT_OUT_BY_USER":  # whose detail is the user's own
                self.accounted.update(*({asked} & set(note.samples) for note in notes))
        if asked not in (self.accounted if added else _accessions_of(self.rows[key][0])):
            also = self.also_in.setdefault(key, [])
            if asked not in also:
                also.append(asked)
            self.accounted.add(asked)
        return added

    def no_run(self, asked: str, row: Run, sentence: str, notes: Sequence[Note] = (), key: str = "") -> None:
        """Add a row without a run that can be used, which is for what was asked for or for a part of it.

        ``key`` distinguishes it from other rows; by default its experiment, its sample or its series.
        """
        detail = sentences(sentence, *(note.text for note in notes))
        row = row._replace(exp_id=self.choices.exp_id_of(row.series), status="left_out", reason="NO_RUN", detail=detail)
        if not any(_accessions_of(row)):
            self.accounted.add(asked)  # by the sentence
        key = key or row.experiment or row.sample or row.series or asked
        self.add(key, [left_out_by_user(row, self.choices)], asked, notes)

    def all_rows(self) -> list[Run]:
        """Return all rows; the detail of each names the other accessions asked for that lead to its run."""
        rows = []
        for key, group in self.rows.items():
            names = ", ".join(self.also_in.get(key, ()))
            for row in map(self._with_mate, group):
                rows.append(row._replace(detail=sentences(row.detail, f"Also in {names}.")) if names else row)
        return rows

    def nameless_rows(self) -> dict[str, Run]:
        """Return accession asked for → its row, where no column but the detail has it: that of a run that is absent."""
        return {key: group[0] for key, group in self.rows.items() if not any(_accessions_of(group[0]))}

    def _with_mate(self, row: Run) -> Run:
        """Return a row, left out where it has one read of its spots and the run with the other one is not planned."""
        mate = self.mates.get(row.run)
        if mate is None or row.status != "planned":
            return row
        others = self.rows.get(mate, [])
        if any(other.status == "planned" and other.species == row.species for other in others):
            return row
        fate = f"is left out ({others[0].reason})" if others else "was not asked for"
        detail = f"The other read of its spots is {mate}, which {fate}; a spot is counted with both."
        return row._replace(status="left_out", reason="READS_MISSING", detail=detail)


def _accessions_of(row: Run) -> tuple[str, ...]:
    return row.series, row.sample, row.experiment, row.run


class Origin(NamedTuple):
    """How experiments were found: the series of their rows, what was asked for, and what GEO and the archives say.

    ``only`` are the runs, experiments, samples and submissions that are wanted, all when it is empty; ``own_notes`` are
    those of an experiment or a run.
    """

    series: str
    asked: str
    series_record: SeriesRecord
    source: str  # of the record of its runs
    notes: tuple[Note, ...] = ()
    only: frozenset[str] = frozenset()
    own_notes: Mapping[str, Sequence[Note]] = MappingProxyType({})

    def wants(self, experiment: Experiment, named: Sequence[str]) -> bool:
        """Whether an experiment or one of its runs is wanted; ``named`` are the samples that name it in GEO."""
        return self._wants_whole(experiment, named) or any(run.run in self.only for run in experiment.runs)

    def wanted_runs(self, experiment: Experiment, named: Sequence[str]) -> list[SraRun]:
        """Return the runs of an experiment that are wanted."""
        whole = self._wants_whole(experiment, named)
        return [run for run in experiment.runs if whole or run.run in self.only]

    def asked_for(self, *accessions: str) -> list[str]:
        """Return what was asked for and led to these accessions."""
        return [name for name in dict.fromkeys(accessions) if name in self.only] or [self.asked]

    def _wants_whole(self, experiment: Experiment, named: Sequence[str]) -> bool:
        names = (experiment.experiment, *experiment.samples, *experiment.others, *named)
        return not self.only or not self.only.isdisjoint(names)


class Around(NamedTuple):
    """What the other experiments of its study say of one: of its assay, and of what it holds."""

    siblings: Siblings
    beside: Beside | None
    shapes: frozenset[tuple[float, float]]  # lengths of the barcode and cDNA reads of droplet libraries


class Library(NamedTuple):
    """An experiment, its sample in GEO, and how both are judged."""

    experiment: Experiment
    parts: RunParts
    origin: Origin
    gsm: str
    sample: Sample
    names: tuple[str, ...]
    judgement: Judgement
    library_type: LibraryType
    notes: list[Note]

    def roles(self, run: SraRun) -> tuple[str, ...]:
        """Return the roles of the reads of a run, as far as the record shows them."""
        return self.parts.roles(run, self.judgement.roles, self.judgement.assay)

    def roles_from(self, run: SraRun) -> str:
        """Return what these roles are taken from, empty without any."""
        mate = self.parts.mates.get(run.run, "")
        return self.judgement.roles_from.get(run.run) or self.judgement.roles_from.get(mate, "")


def sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def add_experiments(
    experiments: Iterable[Experiment], origin: Origin, named: Mapping[str, Sequence[str]], plan: Plan
) -> None:
    """Add the rows of the experiments of a series or study, which are given all together.

    ``named`` maps an experiment to the samples (GSM) that name it in GEO. Experiments that are not wanted
    (``origin.only``) get no row.
    """
    together = list(experiments)
    whole = [sort_runs(item).whole for item in together]
    siblings = siblings_of(whole, (item.experiment for item in whole if any(signs_of_droplets(item.runs))))
    beside = kinds_by_neighbours(_neighbour(item, origin, named.get(item.experiment, ())) for item in whole)
    shapes: dict[str, set[tuple[float, float]]] = {}
    for item in whole:
        if shape := shape_of(item):
            shapes.setdefault(study_of(item)[0], set()).add(shape)
    for experiment in together:
        of_geo = named.get(experiment.experiment, ())
        if origin.wants(experiment, of_geo):
            study = study_of(experiment)
            around = Around(siblings[study], beside.get(experiment.experiment), frozenset(shapes.get(study[0], ())))
            _add_experiment(experiment, origin, of_geo, around, plan)


def _gsm_of(experiment: Experiment, named: Sequence[str]) -> str:
    return named[0] if named else next(iter(experiment.samples), experiment.sample)


def _neighbour(experiment: Experiment, origin: Origin, named: Sequence[str]) -> Neighbour:
    """Return an experiment as far as those beside it are judged by it."""
    sample = origin.series_record.sample(_gsm_of(experiment, named))
    return Neighbour(
        experiment.experiment,
        study_of(experiment)[0],
        experiment.sample,
        experiment.strategy,
        experiment.source,
        library_names(experiment, sample.title, sample.names),
        (experiment.strategy, experiment.selection, *(round(read.length) for read in experiment.runs[0].reads))
        if experiment.runs
        else (),
    )


def _add_experiment(experiment: Experiment, origin: Origin, named: Sequence[str], around: Around, plan: Plan) -> None:
    gsm = _gsm_of(experiment, named)
    sample = origin.series_record.sample(gsm)
    notes = [*origin.notes, *map(Note, experiment.faults)]
    if len(named) > 1:
        notes.append(Note(f"GEO names the experiment for {', '.join(named)}.", tuple(named)))
    if named and experiment.samples and gsm not in experiment.samples:
        text = f"GEO says that the sample is {gsm}, SRA {', '.join(experiment.samples)}."
        notes.append(Note(text, experiment.samples))
    notes += origin.series_record.part_notes(gsm)
    notes += origin.own_notes.get(experiment.experiment, ())
    names = (experiment.experiment, gsm, *named, *experiment.samples, *experiment.others)
    row = Run(series=origin.series, sample=gsm, experiment=experiment.experiment)
    row = with_taxon(row, dict(experiment.taxa) or sample.taxa, plan.choices)
    if not experiment.runs:
        plan.no_run(origin.asked_for(*names)[0], row, "The archive has the experiment, but no run of it.", notes)
        return
    asked = origin.asked_for(*names)[0]
    _add_faulty([run for run in origin.wanted_runs(experiment, named) if run.fault], asked, row, notes, plan)
    experiment = experiment._replace(runs=tuple(run for run in experiment.runs if not run.fault))
    runs = origin.wanted_runs(experiment, named)
    if not runs:
        return
    others = [run.run for run in experiment.runs if run not in runs and run.run not in plan.rows]
    if others:
        were = "was" if len(others) == 1 else "were"
        notes.append(Note(f"Of the runs of {experiment.experiment}, {', '.join(others)} {were} not asked for."))
    library = _judge(experiment, gsm, named, origin, around, plan.choices, notes)
    plan.mates.update(library.parts.mates)
    for run in runs:
        rows, notes = _rows_of_run(library, run, plan.choices)
        added = [plan.add(run.run, rows, asked, notes) for asked in origin.asked_for(run.run, *names)]
        if not added[0]:
            continue
        if "barcode" in (roles := library.roles(run)):
            plan.barcode_reads[run.run] = run.reads[roles.index("barcode")].length
        plan.evidence[run.run] = json.dumps(_evidence(library, run, notes), ensure_ascii=False, sort_keys=True)
        remarks = [note.text for note in notes if not note.routine]
        plan.remarks[run.run] = sentences(_reason(library, run)[1], *remarks)
        if library.judgement.open and not _reason(library, run)[0]:
            plan.open.add(run.run)


def _add_faulty(runs: Sequence[SraRun], asked: str, row: Run, notes: Sequence[Note], plan: Plan) -> None:
    """Add the rows of runs that cannot be used: one each where it has an accession, one for all others."""
    for run in runs:
        if run.run:
            plan.no_run(asked, row._replace(run=run.run), run.fault, notes, key=run.run)
    unnamed = [run.fault for run in runs if not run.run]
    if unnamed:
        more = f"There are {len(unnamed) - _FAULTS:,} more." if len(unnamed) > _FAULTS else ""
        plan.no_run(asked, row, sentences(*unnamed[:_FAULTS], more), notes, key=f"{row.experiment}: {unnamed[0]}")


def _judge(
    experiment: Experiment,
    gsm: str,
    named: Sequence[str],
    origin: Origin,
    around: Around,
    choices: Choices,
    notes: list[Note],
) -> Library:
    parts = sort_runs(experiment)
    sample = origin.series_record.sample(gsm)
    given = choices.assay_of(*filter(None, _names_of(experiment, gsm, named, origin)))
    texts = (*origin.series_record.texts_of(gsm), *texts_of_experiment(experiment))
    judgement = judge_experiment(
        parts.whole,
        texts,
        around.siblings,
        source=sample.library[1],
        given=given,
        pinned=choices.chemistry != "auto",
    )
    if judgement.fault == "BARCODE_LOST":
        described = next(run for run in parts.whole.runs if run.reads)
        reason, detail = one_read_fault(described, experiment.starts, around.shapes)
        judgement = judgement._replace(fault=reason, detail=detail)
    names = library_names(experiment, sample.title, sample.names)
    declared = (experiment.strategy, experiment.source, experiment.selection)
    if not any(declared) or (experiment.strategy.upper() == "OTHER" and sample.library[0].upper() not in ("", "OTHER")):
        declared = sample.library
    background = background_of(texts, experiment.instrument, sample.molecule, around.beside)
    library_type = judge_library(*declared, names, background)
    overruled = given and library_type.reason in ("NOT_SINGLE_CELL", "CHEMISTRY_UNKNOWN")
    by_name = {experiment.experiment, gsm, *(run.run for run in experiment.runs)} & choices.assay.keys()
    if overruled or (by_name and library_type.by_words):
        library_type = LibraryType(evidence=(*library_type.evidence, library_type.detail), pieces=library_type.pieces)
    elif library_type.by_words:
        overrule = f"If that misleads, set `assay: {{{experiment.experiment}: {judgement.assay}}}`."
        library_type = library_type._replace(detail=sentences(library_type.detail, overrule))
    return Library(experiment, parts, origin, gsm, sample, names, judgement, library_type, notes)


def _names_of(experiment: Experiment, gsm: str, named: Sequence[str], origin: Origin) -> Iterator[str]:
    """Yield the accessions by which a person may name an experiment, the narrowest first."""
    yield from (run.run for run in experiment.runs)
    yield from (experiment.experiment, gsm, *named, *experiment.samples, experiment.sample)
    yield from (origin.series, *experiment.series, *origin.series_record.sample(gsm).series)
    yield from (experiment.study, experiment.project, *experiment.parents)


def _evidence(library: Library, run: SraRun, notes: Sequence[Note]) -> dict[str, object]:
    """Return what the judgement of a run rests on."""
    experiment, judgement = library.experiment, library.judgement
    return {
        **{field: getattr(experiment, field) for field in _EXPERIMENT_FIELDS},
        "run": run.run,
        "sample": library.gsm,
        "series": library.origin.series,
        "record": library.origin.source,
        "names": list(library.names),
        "reads": [
            {"length": read.length, "stdev": read.stdev, "count": read.spots, "kind": read.kind} for read in run.reads
        ],
        "variable": run.variable,
        "options": run.options,
        "files": [file._asdict() for file in run.files],
        "full_quality": _file_of_kind(run, FULL_QUALITY) is not None,
        "lite": _file_of_kind(run, LITE) is not None,
        "assay": judgement.assay,
        "method": judgement.method,
        "read_roles": ",".join(library.roles(run)),
        "told_by": library.roles_from(run),
        "open": judgement.open,
        "evidence": [piece._asdict() for piece in (*judgement.pieces, *library.library_type.pieces)],
        "judged_by": [*judgement.evidence, *library.library_type.evidence],
        "notes": [note.text for note in notes],
    }


def with_taxon(row: Run, taxa: Mapping[str, str], choices: Choices) -> Run:
    """Return a row without a run with the first species that its record names."""
    tax_id = next(iter(taxa), "")
    return row._replace(tax_id=tax_id, organism=taxa.get(tax_id, ""), species=choices.label_of(tax_id))


def _rows_of_run(library: Library, run: SraRun, choices: Choices) -> tuple[list[Run], list[Note]]:
    """Return a row a species, and the notes in their details."""
    experiment, assay = library.experiment, library.judgement.assay
    notes = [*library.notes, *_notes_of_run(library, run)]
    taxa = _taxa(run, experiment, library.sample, notes)
    archive = _file_of_kind(run, FULL_QUALITY)
    if archive is None and _file_of_kind(run, LITE):
        notes.append(Note("Only SRA Lite (simplified qualities) is on offer; archives: {accept_lite: true} takes it."))
    known = [(tax_id, organism, label) for tax_id, organism in taxa if (label := choices.label_of(tax_id))]
    foreign = [
        f"{organism} (tax id {tax_id or 'unknown'})" for tax_id, organism in taxa if not choices.label_of(tax_id)
    ]
    if len(known) > 1:
        labels = " and ".join(label for _, _, label in known)
        notes.append(Note(f"A sample of {labels}, counted in each.", routine=True))
    if known and foreign:
        notes.append(Note(f"It also holds {', '.join(foreign)}, not configured."))
    reason, detail = _reason(library, run)
    source = choices.source_for(assay)
    if not known:
        tax_id, organism = taxa[0] if taxa else ("", "")
        known = [(tax_id, organism, "")]
        reason, detail = foreign_species(tax_id, organism)
    elif not reason and (bam := _bam_instead(library, run)):
        archive, source = bam, "bam"
    elif not reason and (originals := _originals_instead(library, run)):
        size = sum(file.size for file in originals)
        archive, source = RemoteFile("", "", size, "", ""), "submitted"
    row = Run(
        series=library.origin.series,
        exp_id=choices.exp_id_of(library.origin.series),
        sample=library.gsm,
        experiment=experiment.experiment,
        run=run.run,
        assay=assay,
        chemistry=choices.chemistry if assay == "droplet" and choices.chemistry != "auto" else "",
        layout=experiment.layout,
        read_roles=",".join(library.roles(run)),
        spots=run.spots,
        bases=run.bases,
        bytes=str(archive.size) if archive is not None and (archive.size or source == "bam") else run.size,
        md5=archive.md5 if archive is not None else "",
        source=source,
        status="left_out" if reason else "planned",
        reason=reason,
        detail=sentences(detail, *(note.text for note in notes)),
    )
    rows = [row._replace(tax_id=tax_id, organism=organism, species=label) for tax_id, organism, label in known]
    return [left_out_by_user(row, choices) for row in rows], notes


def _notes_of_run(library: Library, run: SraRun) -> list[Note]:
    gsm, experiment = library.gsm, library.experiment
    notes = [note for note in library.origin.own_notes.get(run.run, ()) if note not in library.notes]
    if len(run.samples) > 1:
        notes.append(Note(f"The run pools the samples {', '.join(run.samples)}.", run.samples))
    elif run.samples and gsm.startswith("GSM") and gsm not in run.samples and run.samples != experiment.samples:
        notes.append(Note(f"SRA's pool names the sample {run.samples[0]}.", run.samples))
    if mate := library.parts.mates.get(run.run):
        own, other = (1, 2) if run.run in library.parts.first_halves else (2, 1)
        notes.append(Note(f"Read {own} of the spots whose read {other} is {mate}; both are joined.", routine=True))
    if has_long_reads(experiment.instrument) and not library.library_type.reason:
        notes.append(Note(f"The reads are long ones ({experiment.instrument}), for which the alignment is not made."))
    return notes


def _reason(library: Library, run: SraRun) -> tuple[str, str]:
    """Return why a run of a configured species is left out, empty if it is not, and the start of its detail."""
    if library.library_type.reason:
        return library.library_type.reason, library.library_type.detail
    if run.closed:
        return "CONTROLLED_ACCESS", f"{run.closed[0].upper()}{run.closed[1:]}."
    if library.judgement.fault in _OF_ALL_RUNS:
        return library.judgement.fault, library.judgement.detail
    if aside := library.parts.left_out.get(run.run) or lone_fault(run, library.judgement.assay):
        return aside
    if bam := _bam_instead(library, run):
        lost = library.judgement.fault == "BARCODE_LOST"
        clause = (
            "The archive lost the barcodes" if lost else "The archive has no read of barcodes alone beside the cDNA"
        )
        return "", f"{clause}; the reads are those of the submitter's BAM, {bam.name}."
    if originals := _originals_instead(library, run):
        names = ", ".join(file.name for file in originals)
        return "", f"The archive lost the barcodes; the reads are those that were submitted, {names}."
    return library.judgement.fault, library.judgement.detail


def _bam_instead(library: Library, run: SraRun) -> RemoteFile | None:
    """Return the BAM to read where the archive lost the barcodes."""
    return library.judgement.bams.get(run.run)


def _originals_instead(library: Library, run: SraRun) -> list[RemoteFile]:
    """Return the submitted files to read where the archive lost the barcodes: FASTQ of both reads, or one BAM."""
    if library.judgement.fault != "BARCODE_LOST":
        return []
    files = [file for file in run.files if file.kind in ("fastq", ORIGINAL) and file.anonymous]
    fastq = [file for file in files if _READ_FILE.search(file.name)]
    reads = [found[1] for file in files if (found := _BOTH_READS.search(file.name))]
    bams = [file for file in files if file.name.lower().endswith(".bam")]
    if sorted(reads) == ["1", "2"] and not bams:
        return fastq
    return bams if len(bams) == 1 and not fastq else []


def _file_of_kind(run: SraRun, kind: str) -> RemoteFile | None:
    return next((file for file in run.files if file.kind == kind), None)


def _taxa(run: SraRun, experiment: Experiment, sample: Sample, notes: list[Note]) -> list[tuple[str, str]]:
    """Return (tax id, organism) of a run: SRA's, and those that GEO adds. Adds a note where they disagree."""
    of_sra = dict(run.taxa or experiment.taxa)
    of_geo = dict(sample.taxa)
    if not any(of_sra) or not any(of_geo):  # one of them has no tax id, only names that are not known, or nothing
        return list((of_sra if any(of_sra) else of_geo or of_sra).items())
    if set(of_sra) & set(of_geo):
        return list({**of_sra, **of_geo, **of_sra}.items())
    by_sra, by_geo = (" and ".join(f"{name} ({tax_id})" for tax_id, name in taxa.items()) for taxa in (of_sra, of_geo))
    if all(_MIXTURE.search(name) for name in of_sra.values()):
        notes.append(Note(f"SRA says {by_sra}, GEO {by_geo}: GEO is followed, which names the species of the mixture."))
        return list(of_geo.items())
    notes.append(Note(f"SRA says {by_sra}, GEO {by_geo}: SRA is followed."))
    return list(of_sra.items())
