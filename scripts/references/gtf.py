"""Annotations in GTF: nine columns separated by tabs, the last one attributes (``gene_id "X"; gene_name "Y";``).

Parsed as HTSeq does, so that both see the same exons: ``;`` inside quotes is text, a repeated attribute has its last
value, quotes may be missing, lines that start with ``#`` are comments. Dialects: GENCODE (``gene_type``), Ensembl
(``gene_biotype``), RefSeq (``gene``, ``gene_biotype`` on the line of the gene only), UCSC (neither name nor biotype).

STAR (loadGTF.cpp) splits a line at every blank, also within a column, and the attributes at ``" ; =`` too, wherever
they are; a repeated attribute has its first value. :func:`for_star` writes exons so that it reads what HTSeq reads.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import InputError

_ATTRIBUTE = re.compile(rb'\s*([^\s=";]+)[\s=]+((?:"[^"]*"|[^";])*)(?:;|$)')
_PLAIN_IDS = re.compile(rb'gene_id "[^\s";=]+"; (?:gene_version "\d+"; )?transcript_id "([^\s";=]+)";')
_SEPARATORS = bytes.maketrans(b'";=\t', b"    ")
_NOT_FOR_STAR = re.compile(rb'[\s";=]')
_LEADING_GENE_ID = re.compile(rb'gene_id "([^"]*)"')
_DIGITS = 15  # of a position, at most
NAME_KEYS = (b"gene_name", b"gene", b"gene_symbol")
BIOTYPE_KEYS = (b"gene_type", b"gene_biotype", b"biotype")


class Exon(NamedTuple):
    """An exon; ``start`` counts from 0, ``end`` is the base after the last."""

    contig: str
    start: int
    end: int
    strand: str
    gene_id: str


class GtfLineError(ValueError):
    """A line that is no line of a GTF; ``kind`` is the same for all faults of a kind, the text says what is wrong."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text or kind)
        self.kind = kind


def parse_attributes(text: bytes) -> dict[bytes, bytes]:
    """Return attribute → value of the ninth column. Raises GtfLineError where quotes do not close."""
    if text.count(b'"') % 2:
        raise GtfLineError("a quote in the attributes is not closed")
    attributes = {}
    for match in _ATTRIBUTE.finditer(text):
        value = match[2].strip()
        if len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = value[1:-1]
        attributes[match[1]] = value
    return attributes


def gene_id_of(attributes: bytes) -> bytes:
    """Return the gene_id in the ninth column, empty where there is none."""
    match = _LEADING_GENE_ID.match(attributes)
    if match is not None and attributes.count(b"gene_id") == 1:
        return match[1]
    if b"gene_id" not in attributes:
        return b""
    return parse_attributes(attributes).get(b"gene_id", b"")


def for_star(line: bytes, gene_id: bytes) -> tuple[bytes, bytes]:
    """Return the line of an exon, changed where STAR would not read the same ids as HTSeq, and its transcript_id.

    Almost every line stays as it is; in others, blanks within columns become ``_``, and of the attributes only ids,
    names and biotypes stay. Raises GtfLineError for a ``gene_id`` that STAR cannot read.
    """
    if _NOT_FOR_STAR.search(gene_id):
        text = f'gene_id {_text(gene_id)!r} has a blank or one of the characters ; = " inside, where STAR cuts it'
        raise GtfLineError("a gene_id that STAR cuts", f"{text}; rename the gene")
    *columns, attributes = line.split(b"\t", 8)
    plain = _PLAIN_IDS.match(attributes)
    if plain and attributes.count(b"gene_id") == attributes.count(b"transcript_id") == 1:
        transcript = plain[1]
    else:
        values = parse_attributes(attributes)
        transcript = _NOT_FOR_STAR.sub(b"_", values.get(b"transcript_id", b""))
        words = attributes.translate(_SEPARATORS).split()
        if [_word_after(words, key) for key in (b"gene_id", b"transcript_id")] != [gene_id, transcript]:
            ids = {b"gene_id": gene_id, b"transcript_id": transcript}
            named = {key: values[key] for key in (*NAME_KEYS, *BIOTYPE_KEYS) if key in values}
            attributes = b" ".join(b'%b "%b";' % pair for pair in (ids | named).items() if pair[1])
    return b"\t".join([*(b"_".join(column.split()) for column in columns), attributes]), transcript


def _word_after(words: list[bytes], key: bytes) -> bytes:
    """Return what STAR takes for the value of an attribute, empty where it does not find it."""
    position = words.index(key) + 1 if key in words else len(words)
    return words[position] if position < len(words) else b""


def parse_line(line: bytes) -> tuple[bytes, bytes, int, int, bytes, bytes] | None:
    """Return contig, feature, start (from 0), end, strand, attributes of a line without its end; None for a comment.

    Raises GtfLineError for what is no line of a GTF.
    """
    if line.startswith(b"#") or not line.strip():
        return None
    columns = line.split(b"\t", 8)
    if len(columns) != 9:
        raise GtfLineError("not 9 columns", f"{len(columns)} column(s) instead of 9 separated by tabs")
    contig, _, feature, first, last, _, strand, _, attributes = columns
    try:
        if max(len(first), len(last)) > _DIGITS:
            raise ValueError
        start, end = int(first) - 1, int(last)
    except ValueError:
        text = f"start {_text(first[:30])!r} and end {_text(last[:30])!r} must be whole numbers"
        raise GtfLineError("positions that are no numbers", text) from None
    if start < 0 or end <= start:
        text = f"it runs from {start + 1} to {end}; a feature begins at 1 or later and ends no earlier"
        raise GtfLineError("impossible positions", text)
    if strand not in (b"+", b"-", b"."):
        raise GtfLineError("unknown strand", f"strand {_text(strand)!r} is none of + - .")
    return contig, feature, start, end, strand, attributes


def read_exons(path: str | Path) -> Iterator[Exon]:
    """Yield the exons of an annotation in the order of the file.

    Raises InputError, naming the line, for a line that is no line of a GTF and an exon without gene_id.
    """
    return (exon for exon, _ in read_features(path, "exon", "gene_id"))


def read_features(path: str | Path, feature: str, attribute: str) -> Iterator[tuple[Exon, bytes]]:
    """Yield the features of a type, with the value of an attribute as their gene_id, and their attributes as text.

    A gene without gene_name, such as a spike-in, is called by its gene_id; htseq-count stops there. Raises InputError,
    naming the line, for a line that is no line of a GTF and a feature without the attribute.
    """
    kind, key = feature.encode(), attribute.encode()
    looked_for = b"\t%b\t" % kind
    with Path(path).open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if looked_for not in line:
                continue
            try:
                parsed = parse_line(line.rstrip(b"\r\n"))
                if parsed is None or parsed[1] != kind:
                    continue
                attributes = parsed[5]
                value = b"" if key == b"gene_id" else parse_attributes(attributes).get(key, b"")
                if not value and key in (b"gene_id", b"gene_name"):
                    value = gene_id_of(attributes)
                if not value:
                    article = "an" if feature[0] in "aeiou" else "a"
                    raise GtfLineError(f"{article} {feature} without {attribute}")
            except GtfLineError as error:
                raise InputError(f"{path}, line {number}: {error}.") from None
            yield Exon(_text(parsed[0]), parsed[2], parsed[3], _text(parsed[4]), _text(value)), attributes


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
