"""What GEO's family files say of a series, of its parts and of their samples, as far as the plan needs it."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from scripts.core.errors import InputError
from scripts.core.http import RemoteError
from scripts.records.answers import record_files
from scripts.records.answers.family_files import Entity, read_family
from scripts.records.client import Archives, Unanswered, report
from scripts.records.history.described import describe
from scripts.records.libraries.evidence import RecordText
from scripts.records.libraries.library_type import names_in
from scripts.records.libraries.texts import texts_of_sample, texts_of_series


class Note(NamedTuple):
    """A sentence for the column ``detail`` of the plan."""

    text: str
    samples: tuple[str, ...] = ()
    """The samples (GSM) that it names: a row with this note accounts for them."""
    routine: bool = False
    """Whether it says only where a run belongs, so that nobody needs to look into it."""


class Sample(NamedTuple):
    """What a family file says of a sample; empty where there is none."""

    title: str = ""
    taxa: Mapping[str, str] = MappingProxyType({})  # tax id → organism
    experiments: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    library: tuple[str, str, str] = ("", "", "")  # strategy, source, selection
    texts: tuple[RecordText, ...] = ()
    names: tuple[str, ...] = ()  # values of characteristics that name the kind of the library
    platform: str = ""  # GPL
    molecule: str = ""  # "total RNA", "genomic DNA", "protein" …


_MOST_PARTS = 5000  # of a SuperSeries; the largest have some hundreds
_ARRAY = re.compile(r"oligonucleotide|spotted|\bbeads\b|\barray", re.IGNORECASE)  # technologies of GEO's platforms
_BY_ARRAY = re.compile(r"\barray\b", re.IGNORECASE)


@dataclass
class SeriesRecord:
    """What the family files of a series and of its parts say; empty where there is none."""

    samples: dict[str, Sample] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)  # samples that a series names, described or not
    ill_named: list[str] = field(default_factory=list)
    texts: dict[str, tuple[RecordText, ...]] = field(default_factory=dict)  # series → what its own texts say
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)  # series → "Expression profiling by array" …
    technologies: dict[str, str] = field(default_factory=dict)  # platform → "high-throughput sequencing" …
    not_at_geo: list[str] = field(default_factory=list)  # series of which GEO has no family file
    described: dict[str, str] | None = None  # series or sample → what the file says, see describe(), where it is kept

    def add_file(self, path: Path) -> list[str]:
        """Add what a family file says; return the parts of its series."""
        parts: list[str] = []
        for entity in read_family(path):
            if self.described is not None and entity.kind in ("series", "sample"):
                self.described.setdefault(entity.accession, describe(entity.fields))
            if entity.kind == "series":
                parts += entity.linked("parts")
                self.texts.setdefault(entity.accession, texts_of_series(entity))
                self.types.setdefault(entity.accession, tuple(entity.fields.get("type", ())))
                self.studies += entity.linked("studies")
                self.projects += entity.linked("projects")
                self.listed += entity.linked("samples")
            elif entity.kind == "platform":
                self.technologies[entity.accession] = entity.first("technology")
            elif entity.kind == "sample":
                if entity.well_named:
                    self.samples.setdefault(entity.accession, _sample(entity))
                else:
                    self.ill_named.append(entity.accession)
        return parts

    def sample(self, gsm: str) -> Sample:
        return self.samples.get(gsm, Sample())

    def texts_of(self, gsm: str) -> tuple[RecordText, ...]:
        """Return the texts of a sample and of its series (of all series of the record, where it names none)."""
        sample = self.sample(gsm)
        of_series = [name for name in sample.series if name in self.texts] or list(self.texts)
        return (*sample.texts, *(text for name in of_series for text in self.texts[name]))

    def accessions(self) -> list[str]:
        """Return the BioProjects and studies of the series, each once."""
        return list(dict.fromkeys([*self.projects, *self.studies]))

    def samples_of_experiments(self) -> dict[str, list[str]]:
        """Return experiment → the samples (GSM) that name it."""
        samples: dict[str, list[str]] = {}
        for gsm, sample in self.samples.items():
            for experiment in sample.experiments:
                samples.setdefault(experiment, []).append(gsm)
        return samples

    def samples_without_experiment(self) -> Iterator[str]:
        """Yield the samples that name no SRA experiment, but may have one: those of microarrays have none."""
        for gsm, sample in self.samples.items():
            if not sample.experiments and not self._microarray(gsm):
                yield gsm

    def no_experiment(self, gsm: str) -> str:
        """Return the sentence of a sample that names no SRA experiment: those of microarrays have none."""
        return self._microarray(gsm) or "GEO names no SRA experiment for the sample."

    def _microarray(self, gsm: str) -> str:
        """Return the sentence of a sample of a microarray, empty for others."""
        sample = self.sample(gsm)
        technology = self.technologies.get(sample.platform, "")
        types = [kind for name in sample.series for kind in self.types.get(name, ())]
        if _ARRAY.search(technology):
            return f"The sample is of a microarray ({sample.platform}, {technology}), which has no reads."
        if not technology and types and all(map(_BY_ARRAY.search, types)):
            return f"The sample is of a microarray series ({types[0]}), which has no reads."
        return ""

    def part_notes(self, gsm: str) -> list[Note]:
        """Return a note that names the parts of the SuperSeries to which a sample belongs, if there are any."""
        parts = [part for part in self.sample(gsm).series if part in self.parts]
        return [Note(f"Of {', '.join(parts)}, a part of the SuperSeries.", routine=True)] if parts else []


def fetch_series_record(series: str, archives: Archives, notes: list[Note], lenient: bool = False) -> SeriesRecord:
    """Return the record of a series with those of its parts whose samples it does not hold itself.

    Adds a note for each family file that GEO does not have. Raises Unanswered where GEO could not be asked, unless it
    is ``lenient``: then that is a note, too. Raises InputError for more than 5,000 parts. Relations may go round in
    circles.
    """
    record = SeriesRecord(described={} if archives.describes else None)
    waiting, seen = [series], set[str]()
    described: set[str] = set()
    answers = record_files.answers_of(archives.folder / series)
    unknown = set(answers.no_family) if answers and not archives.renews(f"parts of {series}", series) else set()
    faults: list[str] = []
    while waiting:
        name = waiting.pop(0)
        if name in seen or name in described:
            seen.add(name)
            continue
        seen.add(name)
        if len(seen) > _MOST_PARTS:
            sentence = f"{series}: its family files name more than {_MOST_PARTS:,} parts of it, as no SuperSeries has."
            raise InputError(f"{sentence} Ask for those that you need by their own accessions.")
        of = "" if name == series else f" (a part of {series})"
        path, fault = None, ""
        try:
            path = None if name in unknown else archives.family_file(name, series)
        except RemoteError as error:
            fault = f"GEO's family file of {name}{of} could not be fetched"
            faults.append(f"{fault}: {error}")
        if path is None and not fault:
            fault = f"GEO has no family file of {name}{of}"
            record.not_at_geo.append(name)
        if path is None and (lenient or name in record.not_at_geo):
            path = record_files.family_of(archives.folder / name, name)
            fault += "; the one of an earlier look-up is used" if path else ""
        if fault:
            notes.append(Note(f"{fault}."))
        if path is not None:
            archives.families.add(archives.folder / name / record_files.family_name(path, name))
            waiting += record.add_file(path)
        if name == series:
            described = {name for sample in record.samples.values() for name in sample.series}
    if faults and not lenient:
        raise Unanswered("\n".join(faults))
    for fault in faults:
        report(fault)
    record.parts = sorted(seen - {series})
    archives.described.update(record.described or {})
    return record


def _sample(entity: Entity) -> Sample:
    fields = entity.fields
    attributes = [value.partition(":") for value in fields.get("characteristics_ch1", ())]
    strategy, source, selection = (
        sys.intern(entity.first(f"library_{name}")) for name in ("strategy", "source", "selection")
    )
    return Sample(
        title=entity.first("title"),
        taxa={sys.intern(tax_id): sys.intern(name) for tax_id, name in entity.taxa().items()},
        experiments=tuple(entity.linked("experiments")),
        series=tuple(sys.intern(series.strip()) for series in fields.get("series_id", ())),
        library=(strategy, source, selection),
        texts=texts_of_sample(entity),
        molecule=sys.intern(entity.first("molecule_ch1")),
        platform=sys.intern(entity.first("platform_id")),
        names=names_in((tag, value.strip()) for tag, _, value in attributes),
    )
