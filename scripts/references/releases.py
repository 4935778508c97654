"""Of which release a reference is: what its annotation says in the lines before the first feature, else its file names.

- GENCODE: ``##description: evidence-based annotation of the human genome (GRCh38), version 32 (Ensembl 98)``,
  ``##provider: GENCODE``, ``##date: 2019-09-05``
- Ensembl: ``#!genome-build GRCh38.p13``, ``#!genome-build-accession GCA_…``, ``#!genebuild-last-updated 2020-09``; the
  number of the release is in the file's name alone, ``Homo_sapiens.GRCh38.104.gtf.gz``
- RefSeq: ``#!genome-build GRCh38.p14``, ``#!annotation-source NCBI RefSeq GCF_000001405.40-RS_2023_10``
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.disk.gzip_files import open_bytes

_MOST_LINES, _LONGEST = 100, 200
_HEADER = re.compile(r"#[#!]\s*([\w-]+)[:\s]\s*(.+)")
_VERSION = re.compile(r"\bversion (\S+(?: \([^()]+\))?)")
_ASSEMBLY = re.compile(r"genome \(([^()]+)\)")
_OF_GENCODE = re.compile(r"gencode\.v(M?\d+)\b|gencode\w*/release_(M?\d+)\b", re.I)
_OF_ENSEMBL = re.compile(r"[A-Z][a-z]+_[a-z_]+\.([\w.-]+?)\.(\d{2,3})\.(?:[a-z_]+\.)?gtf\b")
_OF_FASTA = re.compile(r"chromosome:([\w.-]+):|, (\S+) Primary Assembly")


class Release(NamedTuple):
    """The release of a reference; what is not known is empty."""

    provider: str = ""
    number: str = ""
    assembly: str = ""
    accession: str = ""
    date: str = ""

    def __str__(self) -> str:
        """Return the release in words: ``GENCODE 32 (Ensembl 98), assembly GRCh38, 2019-09-05``."""
        assembly = " ".join(filter(None, [self.assembly, self.accession and f"({self.accession})"]))
        named = " ".join(filter(None, [self.provider, self.number]))
        return ", ".join(filter(None, [named, assembly and f"assembly {assembly}", self.date]))


def find_release(annotation: str | Path, genome: str | Path, sources: Iterable[str] = ()) -> Release:
    """Return the release of an annotation (GTF) and its genome (FASTA); ``sources`` are the addresses of both."""
    said = dict(_said(annotation))
    names = list(sources)
    description = said.get("description", "")
    release = Release(
        provider=said.get("provider", ""),
        number=_first(_VERSION, [description]),
        assembly=said.get("genome-build") or _first(_ASSEMBLY, [description]),
        accession=said.get("genome-build-accession", "").removeprefix("NCBI_Assembly:"),
        date=said.get("date") or said.get("genebuild-last-updated", ""),
    )
    if "annotation-source" in said:
        release = release._replace(provider="RefSeq", number=said["annotation-source"].removeprefix("NCBI RefSeq "))
    elif "genebuild-last-updated" in said:
        release = release._replace(provider="Ensembl")
    if of_ensembl := next(filter(None, map(_OF_ENSEMBL.search, names)), None):
        release = release._replace(
            provider=release.provider or "Ensembl",
            number=release.number or of_ensembl[2],
            assembly=release.assembly or of_ensembl[1],
        )
    elif number := _first(_OF_GENCODE, names):
        release = release._replace(provider=release.provider or "GENCODE", number=release.number or number)
    return release._replace(assembly=release.assembly or _first(_OF_FASTA, [_first_line(genome)]))


def read_release(fingerprint: str | Path) -> Release:
    """Return the release of a reference by its reference.json, or, of an earlier version's, by the files beside it."""
    described: Mapping[str, Any] = json.loads(Path(fingerprint).read_text(encoding="utf-8"))
    if "release" in described:
        return Release(**described["release"])
    annotation, genome = (Path(fingerprint).with_name(name) for name in ("annotation.gtf", "genome.fa"))
    return find_release(annotation, genome) if annotation.is_file() and genome.is_file() else Release()


def _said(annotation: str | Path) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line before the first feature."""
    with open_bytes(annotation) as handle:
        for _ in range(_MOST_LINES):
            line = handle.readline(1 << 16).decode("utf-8", "replace")
            if not line.startswith("#"):
                return
            if found := _HEADER.match(line):
                yield found[1], _plain(found[2])


def _first_line(path: str | Path) -> str:
    with open_bytes(path) as handle:
        return _plain(handle.readline(1 << 16).decode("utf-8", "replace"))


def _plain(text: str) -> str:
    return "".join(letter for letter in text.strip() if letter.isprintable())[:_LONGEST]


def _first(pattern: re.Pattern[str], texts: Iterable[str]) -> str:
    """Return the first group that is found in any of the texts, empty where there is none."""
    found = next(filter(None, map(pattern.search, texts)), None)
    return next(filter(None, found.groups()), "") if found else ""
