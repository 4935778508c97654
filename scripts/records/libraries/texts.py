"""The texts of records that say what a library is: of GEO's samples and series, and of SRA's experiments."""

import re
import sys
from collections.abc import Iterator

from scripts.records.answers.family_files import Entity
from scripts.records.answers.sra_xml import Experiment
from scripts.records.libraries.evidence import RecordText, Scope

_OF_SAMPLE = {
    "title": (Scope.NAME, "sample title"),
    "source_name": (Scope.TRAIT, "source name"),
    "characteristics": (Scope.TRAIT, "characteristics"),
    "description": (Scope.DESCRIPTION, "description"),
    "treatment_protocol": (Scope.CULTURE, "treatment protocol"),
    "growth_protocol": (Scope.CULTURE, "growth protocol"),
    "extract_protocol": (Scope.PROTOCOL, "extraction protocol"),
    "label_protocol": (Scope.PROTOCOL, "label protocol"),
    "hyb_protocol": (Scope.PROTOCOL, "hybridization protocol"),
    "data_processing": (Scope.PROCESSING, "data processing"),
}
_OF_SERIES = {
    "title": (Scope.SERIES_TITLE, "series title"),
    "summary": (Scope.SUMMARY, "series summary"),
    "overall_design": (Scope.DESIGN, "overall design"),
}
_SIGNS = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2212\u00d7\u00ad", "------x-"
)  # hyphens and dashes, as in 10\u00d7
_LONGEST_DESCRIPTION = 200  # characters
_CHANNEL = re.compile(r"_ch\d+$")
_IDENTIFIER = re.compile(r"[A-Z]{3}\d+(_r\d+)?")
_FILE_NAME = re.compile(r"\S+\.(?:txt|csv|tsv|xlsx?|h5|mtx|gz|bam|bed|bw|tar|zip|rds|loom)\b\S*", re.IGNORECASE)


def texts_of_sample(entity: Entity) -> tuple[RecordText, ...]:
    """Return the texts of a sample of a family file, those of its names first."""
    by_field: dict[str, list[str]] = {}
    for name, values in entity.fields.items():
        by_field.setdefault(_CHANNEL.sub("", name), []).extend(values)
    texts = []
    for field, (scope, where) in _OF_SAMPLE.items():
        texts += [_text(scope, where, value) for value in by_field.get(field, ())]
    return tuple(text for text in texts if text.text)


def texts_of_series(entity: Entity) -> tuple[RecordText, ...]:
    """Return the texts of a series of a family file; none of a SuperSeries, whose parts are about their own samples."""
    if entity.linked("parts"):
        return ()
    texts = []
    for field, (scope, where) in _OF_SERIES.items():
        texts += [_text(scope, where, value) for value in entity.fields.get(field, ())]
    return tuple(text for text in texts if text.text)


def texts_of_experiment(experiment: Experiment) -> tuple[RecordText, ...]:
    """Return the texts of an experiment, of its sample and of its study."""
    return tuple(text for text in _texts_of_experiment(experiment) if text.text)


def own_title(title: str) -> str:
    """Return an experiment's title without what SRA and ENA add: the sample, the organism and the strategy."""
    short = re.sub(r"^.*?\bGSM\d+:\s*", "", title)
    pieces = short.split("; ")
    return "; ".join(pieces[:-2]) if short != title and len(pieces) >= 3 else short


def _texts_of_experiment(experiment: Experiment) -> Iterator[RecordText]:
    yield _text(Scope.NAME, "sample title", experiment.sample_title)
    yield _text(Scope.NAME, "experiment title", own_title(experiment.title))
    if not _IDENTIFIER.fullmatch(experiment.library):
        yield _text(Scope.NAME, "library name", experiment.library)
    for tag, value in experiment.attributes:
        yield _text(Scope.TRAIT, "attribute", f"{tag}: {value}" if value else "")
    yield _text(Scope.DESCRIPTION, "design description", experiment.design)
    yield _text(Scope.PROTOCOL, "construction protocol", experiment.protocol)
    yield _text(Scope.SERIES_TITLE, "study title", experiment.study_title)
    summary, _, design = experiment.study_abstract.partition("Overall design:")
    yield _text(Scope.SUMMARY, "study abstract", summary)
    yield _text(Scope.DESIGN, "overall design", design)


def _text(scope: Scope, where: str, text: str) -> RecordText:
    """Return a text; of those that many samples share, one copy is kept."""
    if scope is Scope.DESCRIPTION:
        text = _FILE_NAME.sub("", text)
        scope = Scope.PROTOCOL if len(text) > _LONGEST_DESCRIPTION else scope  # a long one is about all samples
    text = " ".join(text.translate(_SIGNS).split())
    if scope is Scope.TRAIT and where == "source name":
        text = f"source name: {text}" if text else ""
        where = "characteristics"
    return RecordText(scope, where, text if scope is Scope.NAME else sys.intern(text))
