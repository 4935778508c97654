"""What a GEO family file says of its samples, as far as the plan needs it."""

import sys
from pathlib import Path
from typing import NamedTuple

from scripts.records import assay as assays
from scripts.records import record_files, soft

# Attributes (GEO's characteristics, SRA's sample attributes) whose value names the kind of a library.
NAMING_ATTRIBUTES = frozenset(
    ["library", "library type", "library_type", "modality", "assay", "data type", "feature type", "molecule subtype"]
)


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


def read_family(path: Path, samples: dict[str, Sample]) -> Family:
    """Add the samples of a family file to ``samples`` and return what it says of its series."""
    parts: list[str] = []
    studies: list[str] = []
    projects: list[str] = []
    ill_named: list[str] = []
    listed: list[str] = []
    words: dict[int, frozenset[str]] = {}  # of a protocol, by its hash: the samples of a series share one
    for entity in record_files.read_any_family(path):
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
        names=tuple(value.strip() for tag, _, value in named if tag.lower().strip() in NAMING_ATTRIBUTES),
    )
