"""Invented libraries, read from library_cases.yaml, as experiments with their texts and siblings."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scripts.records.answers.sra_xml import Experiment, Read, RemoteFile, SraRun
from scripts.records.libraries.assay import Judgement, judge_experiment
from scripts.records.libraries.evidence import RecordText, Scope
from scripts.records.libraries.single_cell import Siblings

SINGLE_CELL = "TRANSCRIPTOMIC SINGLE CELL"
_PHRASES = {
    "TRIZOL": "Total RNA was extracted with TRIzol and libraries were prepared with the TruSeq stranded mRNA kit.",
    "SS2": "Single cells were sorted by FACS into 96-well plates with lysis buffer; cDNA was made by Smart-seq2 and "
    "libraries with Nextera XT.",
}
_WHERE = {"title": "sample title", "series": "series title"}  # as a sentence names a field
_FIELDS = {
    "title": Scope.NAME,
    "description": Scope.DESCRIPTION,
    "protocol": Scope.PROTOCOL,
    "processing": Scope.PROCESSING,
    "series": Scope.SERIES_TITLE,
    "summary": Scope.SUMMARY,
    "design": Scope.DESIGN,
}


class Case(NamedTuple):
    """A library, its texts, and its siblings."""

    experiment: Experiment
    texts: tuple[RecordText, ...]
    siblings: Siblings

    def judge(self) -> Judgement:
        return judge_experiment(self.experiment, self.texts, self.siblings)


def case(
    title: str,
    *,
    traits: tuple[str, ...] = (),
    source: str = "",
    siblings: Siblings | list[int] | int = 12,
    spots: int = 20_000_000,
    lengths: tuple[int, ...] = (75, 75),
    files: tuple[str, ...] = (),
    **fields: str,
) -> Case:
    """Return a library; ``siblings`` is a number of experiments like it, or the values of :class:`Siblings`."""
    texts = [RecordText(Scope.TRAIT, "characteristics", trait) for trait in traits]
    for field, text in {"title": title, **fields}.items():
        for name, phrase in _PHRASES.items():
            text = text.replace(name, phrase)
        texts.append(RecordText(_FIELDS[field], _WHERE.get(field, field), text))
    run = SraRun(
        "SRR1",
        spots=str(spots) if spots else "",
        reads=tuple(Read(length, 0, 1) for length in lengths),
        files=tuple(RemoteFile(name, "fastq", 1, "", "") for name in files),
    )
    if isinstance(siblings, int):
        small = siblings if 0 < spots <= 6_000_000 else 0
        siblings = Siblings(siblings, small, 0 if spots else siblings, siblings if source else 0)
    library_source = f"TRANSCRIPTOMIC {source.upper()}".strip()
    experiment = Experiment("SRX1", title, study="SRP1", strategy="RNA-Seq", source=library_source, runs=(run,))
    return Case(experiment, tuple(texts), siblings if isinstance(siblings, Siblings) else Siblings(*siblings))


def read_cases(kind: str) -> list[Case]:
    """Return the libraries of a kind: not_one_cell, one_cell, pooled or droplets."""
    made: dict[str, list[dict[str, Any]]] = yaml.safe_load(
        Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    )
    return [case(**values) for values in made[kind]]
