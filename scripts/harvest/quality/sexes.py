"""The sex of samples: what their records say, and what XIST and the genes of the Y chromosome say."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.harvest.quality.flags import FEWEST_SEX_COUNTS, SEX_SHARE
from scripts.records.obs_columns import describe_samples

_TAG = re.compile(r"(?<![a-z])(?:sex|gender)(?![a-z])", re.IGNORECASE)
_WORD = re.compile(r"(?<![a-z0-9])[a-z]+(?![a-z0-9])|[♀♂]")
_FULL_WORDS = {"female": "female females woman ♀", "male": "male males man ♂"}
_WORDS = {"female": "f women girl xx", "male": "m men boy xy"}
_BOTH = {"mixed", "both", "mix"}
_OF_ANY = {word: sex for sex, words in _FULL_WORDS.items() for word in words.split()}
_OF_SEX = _OF_ANY | {word: sex for sex, words in _WORDS.items() for word in words.split()}


def sex_of_record(columns: Mapping[str, str]) -> str:
    """Return ``male``, ``female`` or ``mixed``, empty where the record of a sample does not say.

    ``columns`` are those of obs (``geo_sex``, ``geo_gender``, ``geo_donor_sex``, …). Where none names the sex, the
    words male and female in the others are taken.
    """
    named = [text for name, text in columns.items() if _TAG.search(name)]
    known = _OF_SEX if named else _OF_ANY
    found = set()
    for text in named or columns.values():
        words = set(_WORD.findall(text.lower()))
        found |= {known[word] for word in words & known.keys()}
        found |= {"male", "female"} if named and _BOTH & words else set()
    return "mixed" if len(found) > 1 else next(iter(found), "")


def sex_of_counts(xist: float, y_genes: float) -> str:
    """Return ``female``, ``male`` or ``mixed`` by the counts on XIST and on genes of Y, empty of too few."""
    if xist + y_genes < FEWEST_SEX_COUNTS:
        return ""
    share = 100 * y_genes / (xist + y_genes)
    return "female" if share <= SEX_SHARE else "male" if share >= 100 - SEX_SHARE else "mixed"


def is_other_sex(record: str, counts: str) -> bool:
    """Return whether the counts of a sample show the other sex; one of both, or pooled, is none."""
    return {record, counts} == {"male", "female"}


def sexes_of_records(records: str | Path, samples: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return (series, sample) → sex in its record, see :func:`sex_of_record`; ``records`` has those of all series."""
    wanted: dict[str, set[str]] = {}
    for series, sample in samples:
        wanted.setdefault(series, set()).add(sample)
    return {
        (series, sample): sex_of_record(columns)
        for series, names in sorted(wanted.items())
        for sample, columns in describe_samples(records, series, names).items()
    }
