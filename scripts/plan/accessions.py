"""Accessions of GEO and SRA, and names that are safe in a path."""

import re
from collections.abc import Iterator
from pathlib import Path

_SERIES = re.compile(r"GSE\d+")


def gds_uid(series: str) -> str:
    """Return the identifier of a GEO series in Entrez: 200000000 plus its number; any other accession unchanged."""
    return str(200_000_000 + int(series[3:])) if _SERIES.fullmatch(series) else series


ACCESSION = re.compile(r"(GSE|GSM|[SED]R[PXR]|PRJ(NA|EB|DB))[0-9]+")


def asked_for(series: str | list[str]) -> Iterator[tuple[str, str]]:
    """Yield (key or line, word) for everything in ``series``; files are read line by line. Raises OSError."""
    for number, word in enumerate([series] if isinstance(series, str) else series):
        if ACCESSION.fullmatch(word) or not ("/" in word or "." in word):
            yield f"series.{number}", word
            continue
        for line_number, line in enumerate(Path(word).read_text(encoding="utf-8-sig").splitlines(), start=1):
            accession = line.partition("#")[0].strip()
            if accession:
                yield f"{word}, line {line_number}", accession
