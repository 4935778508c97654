"""The SRA's full record: EXPERIMENT_PACKAGE_SET, as E-utilities give it (efetch, db=sra), read as a stream.

Each EXPERIMENT_PACKAGE holds one experiment with its study, its sample(s) and its runs; schemas: NCBI
``SRA.experiment``, ``SRA.study``, ``SRA.sample``, ``SRA.run``, and elements that NCBI adds (Pool, Statistics,
SRAFiles). The types here also hold what ENA's filereport and RunInfo say of the same things
(:mod:`scripts.records.answers.run_reports`).
"""

import itertools
import operator
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

from scripts.core.errors import InputError
from scripts.core.untrusted import decimal_number, quoted, web_address, whole_number
from scripts.plan.accessions import accession_of, accessions_in, taxon
from scripts.records.answers.reading import open_record, parse_xml, xml_events

_PACKAGE = re.compile(rb"<EXPERIMENT_PACKAGE(?:\s[^>]*)?>.*?</EXPERIMENT_PACKAGE>", re.DOTALL)
_OWN_ACCESSION = re.compile(rb"<EXPERIMENT\b[^>]*?\saccession=[\"'](\w+)")
_READ_TYPES = re.compile(r"--readTypes[= ]+['\"]?([BTA]+)\b")  # options of the loaders
_PAIR_FILES = re.compile(r"--read([1-9])PairFiles[= ]+['\"]?([^\s,'\"]+)")
_MD5 = re.compile("[0-9A-Fa-f]{32}")
_ROOTS = ("EXPERIMENT_PACKAGE_SET", "EXPERIMENT_PACKAGE", "ERROR", "eFetchResult", "eEfetchResult")
_DECLARATION = b"<?xml "
SET_HEAD = b'<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE EXPERIMENT_PACKAGE_SET>\n<EXPERIMENT_PACKAGE_SET>\n'
SET_TAIL = b"</EXPERIMENT_PACKAGE_SET>\n"
"""What stands before and after the packages of a record, each of which has a line end after it."""
_PIECE = 1 << 18


class Read(NamedTuple):
    """A read of a spot, in archive order: mean length and its standard deviation in nt, number of spots that have it.

    ``kind`` is ``B`` (biological), ``T`` (technical) or empty where the record does not say.
    """

    length: float
    stdev: float
    spots: int
    kind: str = ""


class RemoteFile(NamedTuple):
    """A file that an archive has of a run; ``size`` is 0 and ``md5`` empty where the record does not say.

    ``kind`` is NCBI's semantic name (``SRA Normalized``, ``10X Genomics bam file`` …) or that of ENA's columns
    (``fastq``, ``submitted``, ``sra``); ``anonymous`` are the addresses on the web from which anybody may fetch it.
    """

    name: str
    kind: str
    size: int
    md5: str
    url: str
    anonymous: tuple[str, ...] = ()


class SraRun(NamedTuple):
    """A run; numbers are text as the record has them, empty where it does not say."""

    run: str
    spots: str = ""
    bases: str = ""
    size: str = ""
    closed: str = ""  # why it is not open to everybody
    reads: tuple[Read, ...] = ()
    variable: bool = False  # the number of reads differs from spot to spot
    options: str = ""  # of the loader
    read_files: tuple[str, ...] = ()  # the original file of each read by the loader's options
    files: tuple[RemoteFile, ...] = ()
    taxa: tuple[tuple[str, str], ...] = ()  # (tax id, organism) of the pool's members
    samples: tuple[str, ...] = ()  # GSM of the pool's members
    fault: str = ""  # why it cannot be used: a value that is none of its kind


class Experiment(NamedTuple):
    """An experiment (one library) with its runs, whatever record it was read from."""

    experiment: str
    title: str = ""
    study: str = ""
    project: str = ""
    parents: tuple[str, ...] = ()  # projects above that one
    series: tuple[str, ...] = ()  # GSE
    samples: tuple[str, ...] = ()  # GSM
    sample: str = ""  # SRS
    others: tuple[str, ...] = ()  # further accessions: samples of SRA and BioSample, the submission
    taxa: tuple[tuple[str, str], ...] = ()
    strategy: str = ""
    source: str = ""
    selection: str = ""
    layout: str = ""  # single, paired or empty
    library: str = ""
    protocol: str = ""
    design: str = ""  # its description
    sample_title: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    study_title: str = ""
    study_abstract: str = ""
    instrument: str = ""
    starts: tuple[int, ...] = ()  # first base of each read in a spot, counted from 1, by the spot descriptor
    faults: tuple[str, ...] = ()  # values of its record that are none of their kind, a sentence each
    runs: tuple[SraRun, ...] = ()


def read_experiments(path: str | Path) -> Iterator[Experiment]:
    """Yield the experiments of a record, gzipped or not, holding one in memory at a time.

    Raises InputError for a document that is cut short, malformed, declares entities or is something else.
    """
    with open_record(path) as handle:
        yield from parse_experiments(handle, str(path))


def parse_experiments(handle: BinaryIO, name: str) -> Iterator[Experiment]:
    """Yield the experiments of an open document, or of several one after the other; see :func:`read_experiments`.

    An answer without packages, such as efetch gives for accessions that are not public, yields nothing.
    """
    return map(_experiment, parse_packages(handle, name))


def parse_packages(handle: BinaryIO, name: str) -> Iterator[Element]:
    """Yield the elements EXPERIMENT_PACKAGE of the same documents; each is emptied when the next is asked for."""
    empty = True
    for _, pieces in itertools.groupby(_numbered_pieces(handle), operator.itemgetter(0)):
        empty = False
        root: Element | None = None
        for event, element in xml_events((piece for _, piece in pieces), name):
            if root is None:
                root = element
                if root.tag not in _ROOTS:
                    raise InputError(f"{name}: not a record of SRA experiments; its outermost element is {root.tag!r}.")
            if event == "end" and element.tag == "EXPERIMENT_PACKAGE":
                yield element
                root.clear()
    if empty:
        raise InputError(f"{name}: it is empty.")


class Answer(NamedTuple):
    """An answer of efetch: its packages, each with its bytes, and what is wrong with it."""

    packages: list[tuple[Experiment, bytes]]
    damaged: list[str]
    """Experiments whose packages are not well-formed XML."""
    errors: list[str]
    """What its elements ERROR, in any case, say."""


def read_answer(body: bytes) -> Answer:
    """Return what an answer of efetch holds. Raises InputError for what is no answer: no XML, cut short, other XML.

    Packages are read one by one, so that a damaged one does not cost the others.
    """
    name = "the answer"
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"<":
        start = body[:80].decode("utf-8", "replace")
        raise InputError(f"{name}: not XML; " + (f"it begins with {start!r}." if start else "it is empty."))
    packages: list[tuple[Experiment, bytes]] = []
    damaged: list[str] = []
    for package in _PACKAGE.findall(body):
        try:
            packages.append((_experiment(parse_xml(package, name)), package))
        except InputError:
            damaged += [accession.decode() for accession in _OWN_ACCESSION.findall(package)]
    root = parse_xml(_PACKAGE.sub(b"", body), name)
    elements = [element for element in root.iter() if element.tag.lower() == "error"]
    errors = [" ".join(" ".join(element.itertext()).split()) for element in elements]
    if root.tag != "EXPERIMENT_PACKAGE_SET" and not errors:
        raise InputError(f"{name}: not a record of SRA experiments; its outermost element is {root.tag!r}.")
    return Answer(packages, damaged, errors)


def read_packages(path: str | Path) -> Iterator[bytes]:
    """Yield the packages of a record as they came, gzipped or not. Raises InputError for a damaged file."""
    rest = b""
    with open_record(path) as handle:
        while block := handle.read(_PIECE):
            rest += block
            end = 0
            for found in _PACKAGE.finditer(rest):
                yield found[0]
                end = found.end()
            rest = rest[end:]


def _numbered_pieces(handle: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of a stream, each with the number of its document: answers may follow each other in a file."""
    number, rest = 0, b""
    while True:
        block = handle.read(_PIECE)
        first, *others = (rest + block).split(_DECLARATION)
        *whole, rest = [first, *(_DECLARATION + other for other in others)]
        for piece in whole:
            if piece:
                yield number, piece
            number += 1
        cut = max(len(rest) - len(_DECLARATION) + 1, 0) if block else len(rest)  # a declaration may be cut in two
        if cut:
            yield number, rest[:cut]
        if not block:
            return
        rest = rest[cut:]


def _child(element: Element, path: str) -> Element:
    """Return the first element at a path, an empty one where there is none."""
    found = element.find(path)
    return Element("none") if found is None else found


def _text(element: Element, path: str) -> str:
    return " ".join((element.findtext(path) or "").split())


def _attributes(element: Element, path: str) -> list[tuple[str, str]]:
    """Return the (tag, value) pairs at a path."""
    return [(_text(item, "TAG"), _text(item, "VALUE")) for item in element.iterfind(path)]


def _external(element: Element, namespace: str) -> list[str]:
    return [
        (item.text or "").strip()
        for item in element.iterfind("IDENTIFIERS/EXTERNAL_ID")
        if (item.get("namespace") or "").lower() == namespace
    ]


class _Gate:
    """Takes the accessions of a package, and notes what is none of its kind."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def take(self, what: str, value: str | None, *kinds: str) -> str:
        """Return an accession of one of these kinds; empty where there is none."""
        found = accession_of(value or "", *kinds)
        if value and not found:
            self.faults.append(f"The record names the {what} {quoted(value)}, which is no accession.")
        return found

    def count(self, what: str, value: str | None) -> str:
        """Return a whole number as text; empty where there is none."""
        number = whole_number(value or "")
        if value and number is None:
            self.faults.append(f"The record gives the {what} as {quoted(value)}, which is no number.")
        return "" if number is None else str(number)


def _experiment(package: Element) -> Experiment:
    experiment, study = _child(package, "EXPERIMENT"), _child(package, "STUDY")
    samples = package.findall("SAMPLE")
    design = _child(experiment, "DESIGN/LIBRARY_DESCRIPTOR")
    layout = next(iter(_child(design, "LIBRARY_LAYOUT")), None)
    of_study = [*_external(study, "geo"), study.get("alias"), _text(study, ".//CENTER_PROJECT_NAME")]
    parents = _attributes(study, "STUDY_ATTRIBUTES/STUDY_ATTRIBUTE")
    taxa = [taxon(_text(item, "SAMPLE_NAME/TAXON_ID"), _text(item, "SAMPLE_NAME/SCIENTIFIC_NAME")) for item in samples]
    specs = experiment.findall("DESIGN/SPOT_DESCRIPTOR/SPOT_DECODE_SPEC/READ_SPEC")  # in older records
    starts = tuple(_int(_text(spec, "BASE_COORD")) for spec in specs)
    kinds = tuple("T" if "technical" in _text(spec, "READ_CLASS").lower() else "B" for spec in specs)
    gate = _Gate()
    accession = gate.take("experiment", experiment.get("accession"), "experiment")
    unnamed = "" if accession else next(iter(gate.faults), "The record names no experiment.")
    named_study = study.get("accession") or _child(experiment, "STUDY_REF").get("accession")
    named_samples = [gate.take("sample", item.get("accession"), "sra_sample", "biosample") for item in samples]
    biosamples = [name for item in samples for name in _external(item, "biosample")]
    of_runs: list[str] = []
    runs = tuple(_run(item, kinds, unnamed, of_runs) for item in package.iterfind("RUN_SET/RUN"))
    return Experiment(
        experiment=accession,
        title=_text(experiment, "TITLE"),
        study=gate.take("study", named_study, "study", "project"),
        project=gate.take("project", next(iter(_external(study, "bioproject")), ""), "project"),
        parents=accessions_in("project", (value for tag, value in parents if tag.lower() == "parent_bioproject")),
        series=accessions_in("series", of_study),
        samples=_samples(experiment, samples),
        sample=next(iter(named_samples), ""),
        others=tuple(
            filter(
                None,
                (
                    *named_samples,
                    *accessions_in("biosample", biosamples),
                    *accessions_in("submission", [_child(package, "SUBMISSION").get("accession")]),
                ),
            )
        ),
        taxa=tuple(pair for pair in dict.fromkeys(taxa) if any(pair)),
        strategy=_text(design, "LIBRARY_STRATEGY"),
        source=_text(design, "LIBRARY_SOURCE"),
        selection=_text(design, "LIBRARY_SELECTION"),
        layout="" if layout is None else layout.tag.lower(),
        library=_text(design, "LIBRARY_NAME"),
        protocol=sys.intern(_text(design, "LIBRARY_CONSTRUCTION_PROTOCOL")),  # one copy of what experiments share
        design=sys.intern(_text(experiment, "DESIGN/DESIGN_DESCRIPTION")),
        sample_title=next((title for item in samples if (title := _text(item, "TITLE"))), ""),
        attributes=tuple(
            pair for sample in samples for pair in _attributes(sample, "SAMPLE_ATTRIBUTES/SAMPLE_ATTRIBUTE")
        ),
        study_title=sys.intern(_text(study, "DESCRIPTOR/STUDY_TITLE")),
        study_abstract=sys.intern(_text(study, "DESCRIPTOR/STUDY_ABSTRACT")),
        instrument=_text(_child(experiment, "PLATFORM"), "*/INSTRUMENT_MODEL"),
        starts=starts if all(starts) else (),
        faults=tuple(fault for fault in dict.fromkeys((*gate.faults, *of_runs)) if fault != unnamed),
        runs=runs,
    )


def _samples(experiment: Element, samples: Sequence[Element]) -> tuple[str, ...]:
    """Return the samples (GSM) that the experiment names, else those that its descriptor and its samples name."""
    attributes = _attributes(experiment, "EXPERIMENT_ATTRIBUTES/EXPERIMENT_ATTRIBUTE")
    names = [experiment.get("alias"), *(value for tag, value in attributes if tag.lower() == "geo accession")]
    own = accessions_in("sample", [*names, *_external(experiment, "geo")])
    if own:
        return own
    names = [*_external(_child(experiment, "DESIGN/SAMPLE_DESCRIPTOR"), "geo")]
    for sample in samples:
        names += [*_external(sample, "geo"), sample.get("alias")]
    return accessions_in("sample", names)


def _run(run: Element, kinds: tuple[str, ...], unnamed: str, faults: list[str]) -> SraRun:
    """Return a run; ``unnamed`` is the fault of an experiment that has no accession. Adds faults of its numbers."""
    gate = _Gate()
    accession = gate.take("run", run.get("accession"), "run")
    fault = unnamed or next(iter(gate.faults), "" if accession else "The record has a run without an accession.")
    numbers = _Gate()
    spots, bases, size = (
        numbers.count(f"{what} of {accession}", run.get(name))
        for what, name in (("spots", "total_spots"), ("bases", "total_bases"), ("size", "size"))
    )
    faults += numbers.faults
    statistics = next((item for item in run.iterfind("Statistics") if item.get("nreads") is not None), Element("none"))
    attributes = _attributes(run, "RUN_ATTRIBUTES/RUN_ATTRIBUTE")
    options = " ".join(dict.fromkeys(value for tag, value in attributes if tag.lower() == "options" and value))
    read_types = _READ_TYPES.search(options)
    first_files = dict(reversed(_PAIR_FILES.findall(options)))  # number of the read → its first file
    read_files = tuple(first_files[number] for number in sorted(first_files))
    reads = sorted(statistics.iterfind("Read"), key=lambda item: _int(item.get("index")))
    if read_types and len(read_types[1]) == len(reads):
        kinds = tuple(read_types[1])
    elif len(kinds) != len(reads):
        kinds = ("",) * len(reads)
    members = run.findall("Pool/Member")
    taxa = dict.fromkeys(taxon(item.get("tax_id") or "", item.get("organism") or "") for item in members)
    names = [name for item in members for name in (*_external(item, "geo"), item.get("sample_name"))]
    return SraRun(
        run=accession,
        spots=spots,
        bases=bases,
        size=size,
        closed=_closed(run),
        reads=tuple(
            Read(_float(item.get("average")), _float(item.get("stdev")), _int(item.get("count")), kind)
            for item, kind in zip(reads, kinds, strict=True)
        ),
        variable=statistics.get("nreads") == "variable",
        options=options,
        read_files=read_files if read_types is None or len(read_files) == len(read_types[1]) else (),
        files=tuple(
            RemoteFile(
                name=item.get("filename") or "",
                kind=item.get("semantic_name") or "",
                size=_int(item.get("size")),
                md5=found if (found := item.get("md5") or "") and _MD5.fullmatch(found) else "",
                url=_address(item),
                anonymous=_anonymous(item),
            )
            for item in run.iterfind("SRAFiles/SRAFile")
        ),
        taxa=tuple(pair for pair in taxa if any(pair)),
        samples=accessions_in("sample", names),
        fault=fault,
    )


def _address(file: Element) -> str:
    """Return the first address of a file, on the web or in a cloud; empty where there is none."""
    links = (file, *file.iterfind("Alternatives"))
    found = (web_address(link.get("url") or "", ("https", "http", "s3", "gs", "ftp")) for link in links)
    return next(filter(None, found), "")


def _anonymous(file: Element) -> tuple[str, ...]:
    """Return the addresses on the web from which anybody may fetch a file."""
    links = file.findall("Alternatives")
    addresses = [link.get("url") or "" for link in links if link.get("access_type", "anonymous") == "anonymous"]
    if not links:
        addresses = [file.get("url") or ""]
    return tuple(dict.fromkeys(address for address in addresses if web_address(address)))


def _closed(run: Element) -> str:
    """Return why a run is not open to everybody; empty when it is."""
    if (run.get("is_public") or "true").lower() == "false":
        return "the record says that the run is not public"
    cluster = run.get("cluster_name") or "public"
    clusters = {item.get("cluster") or "public" for item in run.iterfind("SRAFiles/SRAFile")}
    if cluster != "public" or (clusters and "public" not in clusters):
        closed = cluster if cluster != "public" else min(clusters)
        return f"its files lie in the cluster {closed!r}, not in the public one"
    return ""


def _int(value: str | None) -> int:
    return whole_number(value or "") or 0


def _float(value: str | None) -> float:
    return decimal_number(value or "") or 0.0
