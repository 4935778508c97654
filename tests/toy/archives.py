"""Real .sra archives, packed by sra-tools' own loaders, and the FASTQ files that ENA offers beside them.

``latf-load`` packs biological reads (one file, or two in step; a mate that lacks makes an orphan), ``sharq`` piped
into ``general-loader`` packs reads flagged technical, and ``kar`` makes one file of the result. The bytes differ
from one load to the next, since the load's date is inside.
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.toy.reads import Read

OFFLINE_SETTINGS = (
    '/LIBS/GUID = "00000000-0000-4000-8000-000000000001"\n'
    '/libs/cloud/provider = "none"\n'
    '/repository/remote/disabled = "true"\n'
)
LOADERS = ("latf-load", "sharq", "general-loader", "kar", "vdb-validate")


class Archive(NamedTuple):
    """What a run's records tell of its archive; ``reads`` holds count, mean and deviation of length by read."""

    spots: int
    bases: int
    size: int
    md5: str
    reads: tuple[tuple[int, float, float], ...]
    read_types: str  # B biological, T technical, in the order of the reads


def missing_tools() -> list[str]:
    """Return the loaders that are not on the PATH."""
    return [tool for tool in LOADERS if shutil.which(tool) is None]


def tool_version() -> str:
    """Return what the loader says its version is."""
    return subprocess.run(["latf-load", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which sra-tools ask no network; the settings file is written into ``folder``."""
    settings = folder / "sra-offline.mkfg"
    if not settings.exists():
        settings.write_text(OFFLINE_SETTINGS, encoding="utf-8")
    return {**os.environ, "NCBI_SETTINGS": str(settings)}


def fastq_text(reads: Iterable[tuple[int, Read]], number: int) -> str:
    """Return FASTQ with Illumina names; ``reads`` are pairs of spot number and read, ``number`` is that of the read."""
    return "".join(
        f"@NS500:1:HTOYXBGX:1:{1101 + spot // 9000}:{1000 + spot % 9000}:{1000 + spot % 7919} {number}:N:0:ACGTACGT\n"
        f"{read.sequence}\n+\n{read.quality}\n"
        for spot, read in reads
    )


def load(path: Path, spots: Sequence[Sequence[Read | None]], read_types: str) -> Archive:
    """Pack spots into the archive ``path``; a spot is a read (or None, for a mate that lacks) for each read type.

    Raises RuntimeError, with what the loader said, where no archive comes of it.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        folder = Path(scratch)
        files = []
        for number in range(len(read_types)):
            file = folder / f"{number + 1}.fastq"
            there = ((spot, reads[number]) for spot, reads in enumerate(spots))
            file.write_text(fastq_text(((spot, read) for spot, read in there if read), number + 1), encoding="ascii")
            files.append(file)
        database = folder / "database"
        if spots and "T" not in read_types:
            _load_biological(database, files)
        else:
            _load_typed(database, files, read_types)
        archive = folder / path.name
        _run(["kar", "-c", archive, "-d", database], folder)
        archive.replace(path)
    return describe(path, spots, read_types)


def _load_biological(database: Path, files: Sequence[Path]) -> None:
    command = ["latf-load", "--quality", "PHRED_33", "-p", "ILLUMINA", "--no-readnames", "-o", database]
    command += files if len(files) == 1 else ["-1", files[0], "-2", files[1]]
    _run(command, database.parent)


def _load_typed(database: Path, files: Sequence[Path], read_types: str) -> None:
    """Load with sharq; without spots, from a record that sharq rejects: a table without rows.

    sharq 3.0 stores no record whose name it does not know, 3.2 does; neither stores one whose quality is below ``!``.
    """
    for number, file in enumerate(files, 1):
        if file.stat().st_size == 0:
            file.write_text(fastq_text([(0, Read("ACGT", "\x1f" * 4))], number), encoding="ascii")
    command = ["sharq", "--platform", "2", "--readTypes", read_types, "--output", database.name, "--log-level", "error"]
    command.append("--useAndDiscardNames")
    for number, file in enumerate(files, 1):
        command += [f"--read{number}PairFiles", file]
    stream = _run(command, database.parent)
    loader = ["general-loader", "--include", "/usr/lib/ncbi-vdb", "--schema", "sra/generic-fastq.vschema"]
    _run([*loader, "-L", "err", "-T", database], database.parent, stream)


def _run(command: Sequence[str | Path], folder: Path, stream: bytes | None = None) -> bytes:
    done = subprocess.run(
        [str(word) for word in command],
        input=stream,
        stdin=subprocess.DEVNULL if stream is None else None,
        capture_output=True,
        env=environment(folder),
        cwd=folder,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} stopped with exit status {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done.stdout


def describe(path: Path, spots: Sequence[Sequence[Read | None]], read_types: str) -> Archive:
    """Return what the records tell of an archive that holds these spots."""
    content = path.read_bytes()
    statistics = []
    for number in range(len(read_types)):
        lengths = [len(read.sequence) for reads in spots if (read := reads[number])]
        mean = sum(lengths) / len(lengths) if lengths else 0.0
        deviation = (sum((length - mean) ** 2 for length in lengths) / len(lengths)) ** 0.5 if lengths else 0.0
        statistics.append((len(lengths), round(mean, 2), round(deviation, 2)))
    bases = sum(len(read.sequence) for reads in spots for read in reads if read)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Archive(len(spots), bases, len(content), md5, tuple(statistics), read_types)


def validates(path: Path) -> bool:
    """Whether vdb-validate finds an archive consistent."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            ["vdb-validate", str(path)], capture_output=True, text=True, env=environment(Path(scratch)), check=False
        )
    return done.returncode == 0 and "is consistent" in done.stderr


def corrupt(path: Path, archive: Archive) -> Archive:
    """Turn over bytes inside an archive until vdb-validate objects; size as before, md5 that of the new bytes."""
    good = path.read_bytes()
    for share in (0.6, 0.5, 0.7, 0.4, 0.8):
        place = int(len(good) * share)
        bad = good[:place] + bytes(byte ^ 0x5A for byte in good[place : place + 64]) + good[place + 64 :]
        path.write_bytes(bad)
        if not validates(path):
            return archive._replace(md5=hashlib.md5(bad, usedforsecurity=False).hexdigest())
    raise RuntimeError(f"{path.name}: vdb-validate takes it however its bytes are turned over.")


def ena_fastq(run: str, spots: Sequence[Sequence[Read | None]]) -> Mapping[str, bytes]:
    """Return file name → gzip'd FASTQ as ENA offers it: orphans, if any, in ``{run}.fastq.gz`` before the mates."""
    texts: dict[str, list[str]] = {}
    for number, reads in enumerate(spots, 1):
        there = [read for read in reads if read]
        for order, read in enumerate(there, 1):
            name = f"{run}_{order}.fastq.gz" if len(there) > 1 else f"{run}.fastq.gz"
            ending = f"/{order}" if len(there) > 1 else ""
            texts.setdefault(name, []).append(f"@{run}.{number} {number}{ending}\n{read.sequence}\n+\n{read.quality}\n")
    packed = {}
    for name in sorted(texts, key=lambda name: ("_" in name, name)):
        held = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=held, mtime=0, compresslevel=1) as file:
            file.write("".join(texts[name]).encode("ascii"))
        packed[name] = held.getvalue()
    return packed
