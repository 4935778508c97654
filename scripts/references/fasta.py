"""Genomes in FASTA: streamed in blocks, plain or gzip by the first bytes, checked and copied line by line.

A sequence starts with a line ``>name description``; its name ends at the first blank. Letters are those of IUPAC's
nucleotide code in either case.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.errors import InputError
from scripts.core.untrusted import quoted

BLOCK_BYTES = 1 << 22
LONGEST_HEADER = 1 << 24
LONGEST_NAME = 1000
"""Bytes of a header, and letters of the name of a contig in it."""
_LETTERS = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv"
_MOST_LISTED = 5  # faults after which the rest of a file is not read


def copy_fasta(path: str | Path, output: BinaryIO, contigs: dict[str, int], faults: list[str]) -> None:
    """Append a FASTA file to ``output`` with ``\\n`` line ends and without blank lines.

    Enters contig → length (bases) into ``contigs`` and a sentence for every fault into ``faults``: a file that is no
    FASTA or is cut short, a doubled contig (in this file or one before it), an empty contig, letters that are no
    nucleotides.
    """
    faults_before = len(faults)
    contig = None
    try:
        for header, line in _pieces(path):
            if header:
                _check_length(path, contig, contigs, faults)
                contig = _name_of(line)
                if not contig:
                    faults.append(f"{path}: a sequence has no name; the name follows '>' at once.")
                elif len(contig) > LONGEST_NAME:
                    faults.append(f"{path}: the name {quoted(contig)} has {len(contig):,} letters; shorten it.")
                elif contig in contigs:
                    faults.append(f"{path}: contig {contig} is duplicated; names must be unique.")
                contigs.setdefault(contig, 0)
                output.write(line.rstrip() + b"\n")
            elif contig is None:
                start = line[:40].decode("utf-8", "replace")
                faults.append(f"{path}: not a FASTA file; its first line must begin with '>', but is {start!r}.")
                return
            else:
                if strange := line.translate(None, _LETTERS + b"\n"):
                    letters = "".join(sorted(set(strange.decode("utf-8", "replace"))))
                    faults.append(f"{path}: contig {contig} has letters that are no nucleotides: {letters[:20]!r}.")
                contigs[contig] += len(line) - line.count(b"\n")
                output.write(line)
            if len(faults) - faults_before >= _MOST_LISTED:
                faults.append(f"{path}: the rest of the file was not read.")
                return
    except (EOFError, OSError) as error:
        faults.append(f"{path}: the file cannot be read to its end ({error}); is it cut short?")
        return
    if contig is None:
        faults.append(f"{path}: the file holds no sequence.")
    _check_length(path, contig, contigs, faults)


def _name_of(header: bytes) -> str:
    return (header[1:].split(None, 1) or [b""])[0].decode("utf-8", "replace")


def _check_length(path: str | Path, contig: str | None, contigs: dict[str, int], faults: list[str]) -> None:
    if contig and not contigs[contig]:
        faults.append(f"{path}: contig {contig} has no sequence.")


def _pieces(path: str | Path) -> Iterator[tuple[bool, bytes]]:
    """Yield (True, header line) and (False, lines of sequence, in blocks); CR and blank lines are taken out.

    A line of sequence may be longer than a block. Raises InputError for a header beyond LONGEST_HEADER.
    """
    with open_bytes(path) as handle:
        rest, within = b"", False  # within a line of sequence whose beginning was yielded
        while text := rest + (block := handle.read(BLOCK_BYTES)):
            cut = text.rfind(b"\n") + 1 if block else len(text)
            if not cut and (within or not text.startswith(b">")):
                rest = b"\r" if text.endswith(b"\r") else b""
                if line := text.removesuffix(rest):
                    within = True
                    yield False, line
                continue
            if not cut and len(text) > LONGEST_HEADER:
                raise InputError(f"{path}: a header of more than {LONGEST_HEADER:,} bytes; is it a FASTA file?")
            text, rest = text[:cut] if block else text + b"\n", text[cut:]
            text = text.replace(b"\r\n", b"\n")
            if within and text:
                line, end, text = text.partition(b"\n")
                yield False, line + end
                within = False
            yield from _whole_lines(text)
        if within:
            yield False, b"\n"


def _whole_lines(text: bytes) -> Iterator[tuple[bool, bytes]]:
    if b"\n\n" in text or text.startswith(b"\n"):
        text = b"".join(line for line in io.BytesIO(text) if line.strip())
    begin = 0
    while begin < len(text):
        is_header = text.startswith(b">", begin)
        end = text.find(b"\n" if is_header else b"\n>", begin) + 1 or len(text)
        yield is_header, text[begin:end]
        begin = end


def sequences(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Yield (contig, bases) of a genome that :func:`copy_fasta` wrote, each contig in blocks."""
    contig = ""
    for header, line in _pieces(path):
        if header:
            contig = _name_of(line)
            yield contig, b""
        else:
            yield contig, line.replace(b"\n", b"")


def contig_lengths(path: str | Path) -> dict[str, int]:
    """Return contig → length (bases) of a genome that :func:`copy_fasta` wrote."""
    lengths: dict[str, int] = {}
    for contig, bases in sequences(path):
        lengths[contig] = lengths.get(contig, 0) + len(bases)
    return lengths
