"""Search terms of Entrez for series of GEO (``db=gds``) and experiments of SRA (``db=sra``).

Fields: https://www.ncbi.nlm.nih.gov/geo/info/qqtutorial.html, https://www.ncbi.nlm.nih.gov/sra/docs/srasearch/.
"""

import datetime
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scripts.core.errors import raise_faults
from scripts.plan.accessions import organism_of

_LAST = "3000/12/31"  # Entrez has no open end of a range
_DATES = {"published": ("PDAT", "PDAT"), "updated": ("UDAT", "MDAT")}
"""Kind of date → its field in gds and in sra."""
DATES = tuple(_DATES)
_SINGLE_CELL = '"transcriptomic single cell"[Source]'


class Wanted(NamedTuple):
    """What is searched for: ``since`` and ``until`` are dates as YYYY-MM-DD or empty, ``query`` is the user's own."""

    tax_ids: Sequence[str] = ()
    types: Sequence[str] = ()
    since: str = ""
    until: str = ""
    date: str = "published"
    query: str = ""

    def check(self) -> None:
        """Raise InputError where nothing, or no such date, is asked for."""
        faults = []
        if not self.since and not self.query:
            faults.append("give the date from which on series are new, e.g. `since: 2026-10-01`, or a `query`.")
        for name, date in (("since", self.since), ("until", self.until)):
            if date and not _is_date(date):
                faults.append(f"{name}: {date[:40]!r} is not a date; write it as 2026-10-01.")
        if not faults and self.since and self.until and self.until < self.since:
            faults.append(f"until: {self.until} is before since: {self.since}.")
        if self.query.count('"') % 2 or _is_unbalanced(self.query):
            faults.append(f"query: a quote or bracket is not closed in {self.query[:80]!r}.")
        raise_faults("What is to be discovered (`discover:`)", faults)


def gds_term(wanted: Wanted) -> str:
    """Return the term for series of GEO; a query of the user's takes the place of organisms and types."""
    parts = ["gse[ETYP]"]
    if wanted.query:
        parts.append(f"({wanted.query})")
    else:
        parts += _any(map(_organism, wanted.tax_ids)) + _any(f'"{kind}"[DataSet Type]' for kind in wanted.types)
    return " AND ".join([*parts, *_range(wanted, 0)])


def sra_term(wanted: Wanted) -> str:
    """Return the term for public experiments whose source is declared as single cells."""
    organisms = _any(f"txid{tax_id}[Organism:exp]" for tax_id in wanted.tax_ids)
    return " AND ".join([_SINGLE_CELL, *organisms, "public[Access]", *_range(wanted, 1)])


def _organism(tax_id: str) -> str:
    name = organism_of(tax_id)
    return f'"{name}"[Organism]' if name else f"txid{tax_id}[Organism:exp]"


def _any(words: Iterable[str]) -> list[str]:
    words = list(words)
    return [f"({' OR '.join(words)})" if len(words) > 1 else words[0]] if words else []


def _range(wanted: Wanted, database: int) -> list[str]:
    if not wanted.since and not wanted.until:
        return []
    first, last = ((date or default).replace("-", "/") for date, default in _bounds(wanted))
    return [f"{first}:{last}[{_DATES[wanted.date][database]}]"]


def _bounds(wanted: Wanted) -> tuple[tuple[str, str], tuple[str, str]]:
    return (wanted.since, "1900/01/01"), (wanted.until, _LAST)


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _is_unbalanced(query: str) -> bool:
    query = re.sub('"[^"]*"', "", query)
    depth = 0
    for character in query:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return True
    return depth != 0 or query.count("[") != query.count("]")
