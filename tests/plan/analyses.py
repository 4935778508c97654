"""Analyses of a few units, without files."""

from pathlib import Path

import yaml

from scripts.plan.configuration import with_defaults
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.units import Unit

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA, REFERENCES, KITS = (
    yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))
    for name in ("config.schema.yaml", "references.yaml", "chemistries.yaml")
)


def unit(name: str, **sizes: int) -> Unit:
    series, species, part = name.split(".", 2)
    return Unit(
        series,
        species,
        part,
        **{"bytes": 0, "bases": 0, "spots": 0, "runs": 1, "fastq": 0, "converting": 0, "counting": 0} | sizes,
        digest="d",
    )


def analysis(*units: str, **values: object) -> Analysis:
    config = with_defaults({"series": ["GSE1"], **values}, SCHEMA)
    config["references"] = {**REFERENCES, **config["references"]}
    return Analysis(config, KITS, lambda: {name: unit(name) for name in units})


FOUR = ("GSE1.homo.0000", "GSE1.mus.SRX1", "GSE2.homo.SRX9", "GSE2.mus.SRX9")
