"""What a library is by the libraries beside it: beside ``P1_GEX``, ``P1_T`` is the V(D)J library of the same cells.

Libraries of a study are siblings where their names are the same but for one word, and the word of one of them is that
of gene expression. So a word that alone could mean anything (T, B, AB, FB, ST, protein) says the kind of a library.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from scripts.records.libraries.library_kinds import (
    DNA,
    FEATURES,
    FLEX,
    GUIDES,
    HASHTAGS,
    OPEN_CHROMATIN,
    SPOTS,
    TAGS,
    VDJ,
    fold,
)

_EXPRESSION = frozenset({"gex", "rna"})
_WORDS = {
    **dict.fromkeys("tcr bcr vdj tcrab tcrgd tra trb trab igh ig vdjt vdjb t b".split(), VDJ),
    **dict.fromkeys("adt adts ab abs antibody antibodies protein proteins prot csp cite surface".split(), TAGS),
    **dict.fromkeys("hto htos hash hashtag hashtags hashing cmo cmos lmo cellplex".split(), HASHTAGS),
    **dict.fromkeys("fb fbc feature features".split(), FEATURES),
    **dict.fromkeys("guide guides sgrna grna crispr gdo".split(), GUIDES),
    **dict.fromkeys("atac".split(), OPEN_CHROMATIN),
    **dict.fromkeys("dna gdna wes wgs".split(), DNA),
    **dict.fromkeys("st spatial visium".split(), SPOTS),
    **dict.fromkeys("flex frp".split(), FLEX),
}
_PHRASES = tuple(
    (re.compile(rf"(?<![a-z])(?:{pattern})(?![a-z])"), f" {word} ")
    for pattern, word in (
        (r"spatial[-_ ](?:gene[-_ ]expression|transcriptom\w+)", "spatial"),
        (r"[35]?(?:gex|ge|gene[-_ ]?expression)", "gex"),
        (r"(?:sc|sn|single[-_ ](?:cell|nucle\w+)[-_ ])?m?rna(?:[-_ ]?seq[a-z]*)?|transcriptom\w+|cdna", "rna"),
        (r"(?:sc)?v\(?d\)?j(?:[-_ ]?seq)?", "vdj"),
        (r"(?:sc)?tcr(?:[-_ ]?seq)?|t[-_ ]?cell[-_ ]receptor", "tcr"),
        (r"(?:sc)?bcr(?:[-_ ]?seq)?|b[-_ ]?cell[-_ ]receptor", "bcr"),
        (r"(?:cell[-_ ])?surface[-_ ]proteins?", "csp"),
        (r"cell[-_ ]hashing", "hto"),
        (r"(?:sc|sn)?atac(?:[-_ ]?seq)?", "atac"),
    )
)
_END = re.compile(r"(?<![a-z0-9])[35]'(?:[-_ ]?end)?")  # of the transcript: libraries of all kinds may say it
_DROPPED = frozenset(
    "seq lib library libraries enriched enrichment sequencing capture derived tag tags barcode barcodes barcoding"
    " profiling repertoire".split()
)
_WORD_AND_NUMBER = re.compile(r"(gex|rna|tcr|bcr|vdj|adt|hto|atac|csp|fb)(\d+)")
_MOST_WORDS = 40
_INDEX = re.compile(r"s\d+|l00\d")  # number in a sample sheet, and lane


class Neighbour(NamedTuple):
    """An experiment of a study, as far as those beside it are judged by it; ``made``: selection, lengths of reads …"""

    experiment: str
    study: str
    sample: str
    strategy: str
    source: str
    names: tuple[str, ...]
    made: tuple[object, ...] = ()


class Beside(NamedTuple):
    """The kind of a library beside one of gene expression, and a sentence that names both."""

    kind: str
    sentence: str


class _Spelling(NamedTuple):
    """A name of a neighbour without one word: the word, and where it was."""

    neighbour: Neighbour
    name: str
    word: str
    place: int


def kinds_by_neighbours(neighbours: Iterable[Neighbour]) -> dict[str, Beside]:
    """Return experiment → what it is beside a library of gene expression; without those that nothing is said of."""
    neighbours = list(neighbours)
    groups: dict[tuple[str, tuple[str, ...]], list[_Spelling]] = {}
    for neighbour in neighbours:
        for name in neighbour.names:
            for rest, word, place in _without_a_word(_words(name)):
                groups.setdefault((neighbour.study, rest), []).append(_Spelling(neighbour, name, word, place))
    found: dict[str, Beside] = {}
    for group in groups.values():
        for experiment, beside in _in_group(group):
            found.setdefault(experiment, beside)
    for experiment, beside in _in_samples(neighbours):
        found.setdefault(experiment, beside)
    return found


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, kinds of libraries in one word each."""
    name = _END.sub(" ", fold(name).lower())
    for pattern, word in _PHRASES:
        name = pattern.sub(word, name)
    words = [word for word in re.split(r"[^a-z0-9]+", _WORD_AND_NUMBER.sub(r"\1 \2", name)) if word not in _DROPPED]
    words = [word for word in words if word]
    while len(words) > 2 and _INDEX.fullmatch(words[-1]):
        words.pop()
    return tuple(words) if len(words) <= _MOST_WORDS else ()  # a text is no name


def _without_a_word(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, int]]:
    """Yield each word with what remains without it and its place, and the runs of words of kinds with theirs."""
    for place, word in enumerate(words):
        yield (*words[:place], *words[place + 1 :]), word, place
    for start in range(len(words)):
        stop = start
        while stop < len(words) and words[stop] in _WORDS:
            stop += 1
        if stop - start > 1 and (start == 0 or words[start - 1] not in _WORDS):
            yield (*words[:start], *words[stop:]), words[start], start


def _in_group(group: list[_Spelling]) -> Iterator[tuple[str, Beside]]:
    """Yield the neighbours whose names differ in one word from that of a library of gene expression."""
    partner = next((spelling for spelling in group if spelling.word in _EXPRESSION), None)
    partner = partner or next((spelling for spelling in group if spelling.word == "g"), None)
    if partner is None or not _words(partner.name)[1:]:
        return
    here = {spelling.word for spelling in group if spelling.place == partner.place}
    only_kinds = here <= {*_EXPRESSION, *_WORDS, "g"}
    for spelling in group:
        kind = _WORDS.get(spelling.word)
        if kind is None or spelling.neighbour.experiment == partner.neighbour.experiment:
            continue
        alone = len(spelling.word) == 1 or partner.word == "g"  # a letter: tumour and gut, T and B cells …
        if alone and not (only_kinds and spelling.place == partner.place):
            continue
        if partner.word == "g" and spelling.neighbour.made == partner.neighbour.made:
            continue
        sentence = (
            f"Its name {spelling.name!r} differs from {partner.name!r} ({partner.neighbour.experiment}) in one word: "
            f"{kind} beside gene expression."
        )
        yield spelling.neighbour.experiment, Beside(kind, sentence)


def _in_samples(neighbours: Iterable[Neighbour]) -> Iterator[tuple[str, Beside]]:
    """Yield libraries of a sample with a word of a kind, or of strategy OTHER, beside one of gene expression."""
    samples: dict[tuple[str, str], list[Neighbour]] = {}
    for neighbour in neighbours:
        if neighbour.sample:
            samples.setdefault((neighbour.study, neighbour.sample), []).append(neighbour)
    for group in samples.values():
        if len(group) > 1:
            yield from _in_sample(group)


def _in_sample(group: Sequence[Neighbour]) -> Iterator[tuple[str, Beside]]:
    words = [{word for name in neighbour.names for word in _words(name)} for neighbour in group]
    shared = set.intersection(*words)  # those of the sample
    expression = [bool((own - shared) & _EXPRESSION) for own in words]
    for neighbour, own, is_expression in zip(group, words, expression, strict=True):
        if is_expression:
            continue
        found = [(_WORDS[word], word) for word in sorted(own - shared) if word in _WORDS and len(word) > 1]
        if found and any(expression):
            kind, word = found[0]
            partner = group[expression.index(True)].experiment
            sentence = f"Its name says {word.upper()}: {kind} beside gene expression of the same sample ({partner})."
            yield neighbour.experiment, Beside(kind, sentence)
        elif neighbour.strategy.upper() == "OTHER":
            same = [item for item in group if item.strategy.upper() == "RNA-SEQ" and item.source == neighbour.source]
            if same:
                sentence = (
                    f"Its strategy is {neighbour.strategy}, beside RNA-Seq of the same sample ({same[0].experiment})."
                )
                yield neighbour.experiment, Beside("", sentence)
