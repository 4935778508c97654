"""The rows of the plan: experiments as their records tell them, joined with their samples, judged run by run."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scripts.plan.choices import Choices, left_out_by_user
from scripts.plan.run_table import Run
from scripts.records import assay as assays
from scripts.records import sra_xml
from scripts.records.library_type import Verdict, judge_library
from scripts.records.series_record import NAMING_ATTRIBUTES, Family, Sample
from scripts.records.sra_xml import Experiment, SraRun

_MIXTURE = re.compile(r"\bmixed\b|metagenome|\bhybrid\b|\bsynthetic\b| x ", re.IGNORECASE)
_LONG_READS = re.compile(r"Sequel|\bRS II\b|PacBio|Revio|MinION|GridION|PromethION", re.IGNORECASE)


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
                rows.append(row._replace(detail=sentences(row.detail, f"Also in {names}.")) if names else row)
        return rows


class Origin(NamedTuple):
    """Where an experiment was found: the series of its rows, what was asked for, its family and what is to be told."""

    series: str
    asked: str
    family: Family | None
    record: str
    notes: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()  # runs wanted; all when empty


def sentences(*parts: str) -> str:
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
        detail = sentences("The archive has the experiment, but no run of it.", *notes)
        row = Run(series=origin.series, sample=gsm, experiment=experiment.experiment)
        plan.no_run(
            origin.asked, detail, with_taxon(row, dict(experiment.taxa) or (sample.taxa if sample else {}), choices)
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
            "files": [file._asdict() for file in run.files],
            "full_quality": full_quality(run) is not None,
            "lite": any(file.kind == "SRA Lite" for file in run.files),
            "assay": judged.assay,
            "read_roles": ",".join(judged.roles.get(run.run, ())),
            "told_by": judged.told_by.get(run.run, ""),
            "open": judged.open,
            "evidence": [*judged.evidence, *library.evidence],
            "notes": said,
        }
        plan.evidence[run.run] = json.dumps(evidence, ensure_ascii=False, sort_keys=True)
        if judged.open and not library.reason:
            plan.open.add(run.run)


def with_taxon(row: Run, taxa: Mapping[str, str], choices: Choices) -> Run:
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
    if whole is None and any(file.kind == "SRA Lite" for file in run.files):
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
        return [_finished(row, run, origin, judged, library, said, choices)], said
    foreign = [f"{organism} (tax id {tax_id})" for tax_id, organism in taxa if not choices.label_of(tax_id)]
    if len(known) > 1:
        said.append(f"A sample of {' and '.join(label for _, _, label in known)}, counted in each.")
    if foreign:
        said.append(f"It also holds {', '.join(foreign)}, not configured.")
    rows = [base._replace(tax_id=tax_id, organism=organism, species=label) for tax_id, organism, label in known]
    return [_finished(row, run, origin, judged, library, said, choices) for row in rows], said


def _finished(
    row: Run,
    run: SraRun,
    origin: Origin,
    judged: assays.Judgement,
    library: Verdict,
    said: Sequence[str],
    choices: Choices,
) -> Run:
    """Give a row its reason, the first that holds, and its detail."""
    reason, detail = row.reason, row.detail
    if not reason and library.reason:
        reason, detail = library.reason, library.detail
    if not reason and run.closed:
        reason, detail = "CONTROLLED_ACCESS", f"{run.closed[0].upper()}{run.closed[1:]}."
    if not reason and judged.fault:
        # The download reads the BAM's address in the record of the series, which a single accession does not bring.
        bam = judged.bams.get(row.run) if origin.asked == origin.series else None
        if bam is None:
            reason, detail = judged.fault, judged.detail
        else:
            detail = f"The archive lost the barcodes; the reads are those of the submitter's BAM, {bam.name}."
            row = row._replace(source="bam", bytes=str(bam.size), md5=bam.md5)
    row = row._replace(status="left_out" if reason else "planned", reason=reason, detail=sentences(detail, *said))
    return left_out_by_user(row, choices)


def full_quality(run: SraRun) -> sra_xml.RemoteFile | None:
    """Return the archive of a run with its true qualities, where it is on offer."""
    return next((file for file in run.files if file.kind == "SRA Normalized"), None)


def _names(experiment: Experiment, sample: Sample | None) -> tuple[str, ...]:
    """Return the names of a library, without what SRA adds to each (accession, organism, strategy)."""
    title = re.sub(r"^.*?\bGSM\d+:\s*", "", experiment.title)
    pieces = title.split("; ")
    if title != experiment.title and len(pieces) >= 3:
        title = "; ".join(pieces[:-2])
    library = "" if re.fullmatch(r"GSM\d+(_r\d+)?", experiment.library) else experiment.library
    told = [value for tag, value in experiment.attributes if tag.lower().strip() in NAMING_ATTRIBUTES]
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
