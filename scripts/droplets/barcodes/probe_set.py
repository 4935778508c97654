"""The probe set of 10x Flex (fixed RNA) as a genome for STAR: every probe is a contig with one exon of its gene.

A probe set is a CSV file as 10x Genomics gives it away: lines with ``#``, a head with the columns ``gene_id``,
``probe_seq``, ``probe_id`` (gene_id|gene_name|digest) and ``included``, then a probe a line. The cDNA read has the
ligated probe in its first bases, on the strand of ``probe_seq``, and the probe barcode of the sample behind a constant
sequence. Probes that are not ``included`` are left out, as Cell Ranger does.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import hash_file, remove_folder
from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import InputError
from scripts.droplets.chemistries import BarcodeSegment, Chemistry
from scripts.references.make_index import make_index

NOTE = "probe_set.txt"
"""The file of a library that names its probe set."""
FOLDER = "probes"
_COLUMNS = ("gene_id", "probe_seq", "probe_id")
_BASES = re.compile(r"[ACGTN]+")
_SPACER = "junction"  # without any junction STAR makes no index
_EXONS = ((1, 90), (190, 280))


class Probe(NamedTuple):
    """A probe and its gene."""

    probe_id: str
    gene_id: str
    gene_name: str
    bases: str


def read_probe_set(path: str | Path) -> list[Probe]:
    """Return the included probes of a probe set, those of a gene side by side: STAR's loci reach from end to end.

    Raises InputError for an unreadable file, missing columns, other letters than bases, and a set without a probe.
    """
    try:
        with open_bytes(path) as handle:
            text = handle.read().decode("utf-8")
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the probe set cannot be read: {error}.") from error
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table = csv.DictReader(io.StringIO("\n".join(lines)))
    if missing := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
        raise InputError(f"{path}: no probe set; the columns {', '.join(missing)} are missing.")
    probes = [probe for number, row in enumerate(table, 1) for probe in _probe_of(path, number, row)]
    if not probes:
        raise InputError(f"{path}: the probe set has no probe that is included.")
    genes = {gene: number for number, gene in enumerate(dict.fromkeys(probe.gene_id for probe in probes))}
    return sorted(probes, key=lambda probe: genes[probe.gene_id])


def _probe_of(path: str | Path, number: int, row: dict[str, str]) -> Iterator[Probe]:
    if (row.get("included") or "TRUE").strip().upper() != "TRUE":
        return
    gene, bases, name = ((row[column] or "").strip() for column in _COLUMNS)
    if not gene or not name or not _BASES.fullmatch(bases.upper()):
        raise InputError(f"{path}, probe {number}: it needs gene_id, probe_id and the bases of probe_seq.")
    parts = name.split("|")
    yield Probe(name, gene, parts[1] if len(parts) > 2 else gene, bases.upper())


def _spacer() -> str:
    """Return bases that no probe has, for the contig with a junction."""
    digests = (hashlib.sha256(bytes([number])).digest() for number in range(12))
    return "".join("ACGT"[byte & 3] for digest in digests for byte in digest)


def _annotation(probes: list[Probe]) -> Iterator[str]:
    """Yield the lines of a GTF."""
    for number, probe in enumerate(probes, 1):
        yield _exon(f"p{number}", 1, len(probe.bases), probe, f"t{number}")
    for start, end in _EXONS:
        yield _exon(_SPACER, start, end, probes[-1], _SPACER)


def _exon(contig: str, start: int, end: int, probe: Probe, transcript: str) -> str:
    names = f'gene_id "{probe.gene_id}"; transcript_id "{transcript}"; gene_name "{probe.gene_name}";'
    return f"{contig}\tprobes\texon\t{start}\t{end}\t.\t+\t.\t{names}\n"


def make_probe_index(path: Path, folder: Path, threads: int) -> tuple[Path, str]:
    """Make STAR's index of a probe set below a folder, or take the one made before; return it and a sentence on it."""
    probes = read_probe_set(path)
    checksum = hash_file(path)
    index = index_probes(probes, checksum[:16], folder, threads)
    genes = len({probe.gene_id for probe in probes})
    words = f"Counted on the probe set {path.name} ({len(probes):,} probes of {genes:,} genes, sha256 {checksum[:16]})."
    (folder / NOTE).write_text(f"{path.name}\t{checksum}\n", encoding="utf-8")
    return index, words


def index_probes(probes: list[Probe], name: str, folder: Path, threads: int) -> Path:
    """Make STAR's index of probes below a folder, or take the one of this name made before."""
    index = folder / FOLDER / name
    if not (index / "SAindex").is_file():
        if (folder / FOLDER).exists():
            remove_folder(folder, FOLDER)
        index.parent.mkdir(parents=True)
        genome, annotation = index.parent / "genome.fa", index.parent / "genes.gtf"
        contigs = [(f"p{number}", probe.bases) for number, probe in enumerate(probes, 1)] + [(_SPACER, _spacer())]
        genome.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs), encoding="utf-8")
        annotation.write_text("".join(_annotation(probes)), encoding="utf-8")
        make_index(genome, annotation, max(len(probe.bases) for probe in probes) - 1, threads, index)
    return index


def with_probe_barcode(kit: Chemistry, cdna: float) -> Chemistry:
    """Return a kit as it is counted: its cDNA cut to the probe, the sample's probe barcode behind the cell's.

    ``cdna`` is the length of the cDNA reads; where they end before the probe barcode, there is one sample.
    """
    probes = kit.probes
    assert probes is not None
    kit = kit._replace(cdna_length=probes.length)
    if cdna < probes.start + probes.bases - 1:
        return kit
    own = tuple(part._replace(start=part.start + probes.bases) for part in kit.barcode)
    return kit._replace(
        prefix=(probes.start, probes.bases),
        barcode=(*own, BarcodeSegment(1, probes.bases, probes.list)),
        umi_start=kit.umi_start + probes.bases,
    )
