"""The reads of one run as FASTQ files, one a read of the spot, with every count checked against archive and record."""

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.core.errors import DISK_FULL, RunFault
from scripts.core.files import path_below, remove_folder, size_of_folder
from scripts.core.subprocesses import path_argument, run_program
from scripts.formats import fastq_files
from scripts.plan.run_table import Run, local_files
from scripts.reads import fastq_check, sra_archive, sra_references, tenx_bam
from scripts.reads.remote_files import arrived

INDEX_READ = 12
"""Reads of at most so many bases hold a sample's index, not cDNA."""
_TALLY = re.compile(r"^([a-z0-9 -]+?) *: ([\d,]+)$", re.MULTILINE)

Reads = tuple[dict[str, Path], int]
"""File name → file, and the number of spots."""


def convert(
    row: Run, archives: Path, work: Path, offline: Mapping[str, str], threads: int, most: float = math.inf
) -> Reads:
    """Write the reads of a run into the empty folder ``work``, from the files that its download left in ``archives``.

    A run of source ``file:`` is read from the files that the plan names. ``offline`` is the environment of sra-tools,
    ``most`` how many bytes compressed FASTQ and BAM may unpack to. Raises RunFault.
    """
    archive, bam = path_below(archives, f"{row.run}.sra"), path_below(archives, f"{row.run}.bam")
    if bam.is_file():
        files, spots = _bam_reads(row, bam, work, most)
    elif archive.is_file():
        files, spots = _archive_reads(row, archive, work, offline, threads)
    elif row.source.startswith("file:"):
        files, spots = _given_reads(row, [Path(path) for path in local_files(row)], work, most)
    elif packed := arrived(archives, row.run):
        submitted = f"{row.run}.submitted" in packed[0].name
        files, spots = (_given_reads if submitted else _ena_reads)(row, packed, work, most)
    else:
        raise RunFault("DOWNLOAD_FAILED", "the download left no archive.")
    if row.assay != "plate" and not spots and not row.source.startswith("file:"):
        raise RunFault("EMPTY_READS", "the archive and the record have no spot.")
    if row.source.startswith("file:") and not spots:
        raise RunFault("EMPTY_READS", f"no read in {row.source.removeprefix('file:')}.")
    return files, spots


def _archive_reads(row: Run, archive: Path, work: Path, offline: Mapping[str, str], threads: int) -> Reads:
    spots = sra_archive.count_spots(archive, dict(offline))
    if row.spots and int(row.spots) != spots:
        raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, the archive {spots:,}.")
    if not spots:
        (work / f"{row.run}.fastq").touch()
        return {f"{row.run}.fastq": work / f"{row.run}.fastq"}, 0
    with sra_references.with_references(archive.with_suffix(".references"), work, offline) as environment:
        counts = _dump(row, archive, work, environment, threads, spots)
    return _checked(row, counts, spots, work)


def _dump(row: Run, archive: Path, work: Path, offline: Mapping[str, str], threads: int, spots: int) -> dict[str, int]:
    """Run fasterq-dump; return file name → reads in it, whose sum is what fasterq-dump says it wrote."""
    split = ["--split-3"] if row.assay == "plate" else ["--split-files", "--include-technical"]
    temporary = "temporary"
    (work / temporary).mkdir()
    with _plain_path(work) as folder:
        done = run_program(
            [
                *("fasterq-dump", *split, "--threads", str(threads)),
                *("--seq-defline", "@$ac.$si $sn", "--qual-defline", "+"),
                *("--temp", f"{folder}/{temporary}", "--outdir", folder, path_argument(archive)),
            ],
            offline,
        )
    remove_folder(work, temporary, ignore_errors=True)
    if "disk-limit ex" in done.errors:
        raise RunFault("DISK_LIMIT", "the disk has too little room to convert the archive.", DISK_FULL)
    if sra_archive.says_disk_is_full(done.errors):
        raise RunFault("DISK_LIMIT", "the disk became full while the archive was converted.", DISK_FULL)
    sra_archive.raise_if_silent("fasterq-dump", done)
    if missing := sorted({*re.findall(r"can't open (\S+) as a RefSeq", done.errors)}):
        raise RunFault("REFERENCE_MISSING", f"the archive is aligned to what it does not hold: {', '.join(missing)}.")
    if done.status:
        words = sra_archive.first_words(done.errors, archive)
        raise RunFault("ARCHIVE_CORRUPT", f"fasterq-dump failed: {words or f'status {done.status}'}.", done.cause)
    said = {name: int(number.replace(",", "")) for name, number in _TALLY.findall(done.output + done.errors)}
    counts = {path.name: fastq_files.count_reads(path) for path in sorted(work.glob("*.fastq"))}
    written = sum(counts.values())
    if said.get("spots read", spots) != spots:
        raise RunFault("READS_MISSING", f"{said['spots read']:,} of the archive's {spots:,} spots were read.")
    if said.get("reads written", written) != written:
        raise RunFault("READS_MISSING", f"{written:,} of {said['reads written']:,} reads are in the FASTQ files.")
    return counts


@contextlib.contextmanager
def _plain_path(folder: Path) -> Iterator[str]:
    """Yield a path of a folder in ASCII: by others fasterq-dump writes files whose names are cut short."""
    if str(folder.absolute()).isascii():
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _bam_reads(row: Run, bam: Path, work: Path, most: float) -> Reads:
    """Read a library from a BAM file of Cell Ranger, which may have more spots than the record, but not fewer."""
    if row.assay == "plate":
        raise RunFault("LAYOUT_AMBIGUOUS", "a BAM file is no source of a plate run; convert it to FASTQ first.")
    files, spots = tenx_bam.to_fastq(bam, row.run, work, most)
    if row.spots and int(row.spots) > spots:
        raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, the BAM file {spots:,}.")
    for file in files:
        if (count := fastq_files.count_reads(file)) != spots:
            raise RunFault("READS_MISSING", f"{count:,} of {spots:,} reads are in {file.name}.")
    return {file.name: file for file in files}, spots


def _ena_reads(row: Run, packed: Sequence[Path], work: Path, most: float) -> Reads:
    """Unpack ENA's FASTQ; its spots and bases must be those of the record, and mates have one name."""
    counts = {}
    for path in packed:
        counts[path.stem] = fastq_files.unpack(path, work / path.stem, most - size_of_folder(work))
        with (work / path.stem).open("rb") as handle:
            name = handle.readline(len(row.run) + 2)
        if not name.startswith(f"@{row.run}.".encode()):
            raise RunFault("READS_MISSING", f"{path.name} does not begin with a read of {row.run}.")
    whole = f"{row.run}.fastq"
    unpaired = counts.get(whole, 0)
    spots = max((count for name, count in counts.items() if name != whole), default=0) + unpaired
    bases = sum(fastq_files.count_bases(work / name) for name in counts)
    for recorded, found, what in ((row.spots, spots, "spots"), (row.bases, bases, "bases")):
        if recorded and int(recorded) != found:
            raise RunFault("READS_MISSING", f"the record has {int(recorded):,} {what}, ENA's FASTQ {found:,}.")
    if row.assay != "plate" and len(counts) > 1 and unpaired:
        raise RunFault("READS_MISSING", f"{unpaired:,} of {spots:,} spots lack a read.")
    reads = _checked(row, counts, spots, work)
    for names in filter(None, ([name for name in counts if name != whole], [name for name in counts if name == whole])):
        files = [work / name for name in names]
        checked = fastq_check.check_files(files, names, row.assay == "plate" and len(names) == 2)
        _mend(files, names, checked, work, most)
    return reads


def _given_reads(row: Run, paths: Sequence[Path], work: Path, most: float) -> Reads:
    """Link, unpack or mend the files that the plan names, or that were submitted, in read order."""
    kinds = [fastq_files.kind_of(path) for path in paths]
    if kinds == ["bam"]:
        return _bam_reads(row, paths[0], work, most)
    targets = []
    for number, (path, kind) in enumerate(zip(paths, kinds, strict=True), 1):
        alone = row.assay == "plate" and len(paths) == 1
        target = work / (f"{row.run}.fastq" if alone else f"{row.run}_{number}.fastq")
        if kind == "fastq":
            fastq_files.link(path, target)
        elif kind.startswith("fastq."):
            fastq_files.unpack(path, target, most - size_of_folder(work))
        else:
            raise RunFault("READS_MISSING", f"{path} is not FASTQ.")
        targets.append(target)
    titles = [path.name for path in paths]
    if len({*titles}) < len(titles):
        titles = list(map(str, paths))
    if len(paths) == 1:
        checked = [fastq_check.check_single(targets[0], titles[0])]
    else:
        checked = fastq_check.check_files(targets, titles, row.assay == "plate" and len(paths) == 2)
    _mend(targets, titles, checked, work, most)
    spots = checked[0].reads
    local = row.source.startswith("file:")
    if row.spots and (int(row.spots) != spots if local else int(row.spots) > spots):  # an archive may have lost reads
        words = f"the {'plan' if local else 'record'} has {int(row.spots):,} spots, the files {spots:,}."
        raise RunFault("READS_MISSING", words)
    return {target.name: target for target in targets}, spots


def _mend(
    files: Sequence[Path], titles: Sequence[str], checked: Sequence[fastq_check.Checked], work: Path, most: float
) -> None:
    """Replace files that STAR would refuse by mended copies."""
    for file, title, one in zip(files, titles, checked, strict=True):
        if one.odd:
            copy = work / f"mended.{file.name}"
            fastq_check.mend(file, title, copy, most - size_of_folder(work))
            copy.replace(file)


def _checked(row: Run, counts: dict[str, int], spots: int, work: Path) -> Reads:
    """Return the files of an archive's reads, after a check that every spot has all its reads."""
    if row.assay == "plate":
        _check_plate(row.run, counts, spots)
        return {name: work / name for name in counts}, spots
    if set(counts.values()) != {spots}:
        raise RunFault("READS_MISSING", f"the reads do not agree: {_listed(counts)} of {spots:,} spots.")
    # The file of a one-read archive gets its number, too: versions of fasterq-dump differ in this.
    whole = f"{row.run}.fastq"
    return {f"{row.run}_1.fastq" if name == whole else name: work / name for name in counts}, spots


def _check_plate(run: str, counts: Mapping[str, int], spots: int) -> None:
    """Check that every spot is a pair or an unpaired read, as --split-3 writes them."""
    unpaired = counts.get(f"{run}.fastq", 0)
    mates = {name: count for name, count in counts.items() if name != f"{run}.fastq"}
    if len(set(mates.values())) > 1:
        raise RunFault("READS_MISSING", f"the mates do not agree: {_listed(mates)} reads of {spots:,} spots.")
    pairs = next(iter(mates.values()), 0)
    if pairs + unpaired != spots:
        raise RunFault("READS_MISSING", f"{pairs + unpaired:,} of {spots:,} spots have a read in the FASTQ files.")
    if len(mates) > 1 and unpaired > pairs:
        raise RunFault(
            "READS_MISSING", f"most mates are missing: {pairs:,} of {spots:,} spots are pairs, {unpaired:,} lost one."
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,}" for count in counts.values())


def plate_files(row: Run, files: Mapping[str, Path]) -> tuple[dict[str, Path], str]:
    """Return final name → file of a plate run, and its layout.

    ``read_roles``, where it has a word for each file, says which are cDNA; else reads of a few bases are those of an
    index. Raises RunFault(LAYOUT_AMBIGUOUS) when no read or more than two remain.
    """
    whole = f"{row.run}.fastq"
    numbered = [path for name, path in files.items() if name != whole]
    chosen = numbered
    roles = row.read_roles.split(",") if row.read_roles else []
    if numbered and len(roles) == len(numbered):
        mates = [pair for pair in zip(roles, numbered, strict=True) if pair[0].startswith("cdna")]
        chosen = [path for _, path in sorted(mates, key=lambda pair: pair[0])]
    elif len(numbered) > 2:
        chosen = [path for path in numbered if next(iter(fastq_files.first_lengths(path, 1)), 0) > INDEX_READ]
    if len(chosen) > 2 or (numbered and not chosen) or (len(chosen) < len(numbered) and whole in files):
        words = ", ".join(str(next(iter(fastq_files.first_lengths(path, 1)), 0)) for path in numbered)
        raise RunFault("LAYOUT_AMBIGUOUS", f"a plate run with {len(numbered)} reads a spot, of {words} bases.")
    if len(chosen) == 2:
        unpaired = {whole: files[whole]} if whole in files else {}
        return {f"{row.run}_1.fastq": chosen[0], f"{row.run}_2.fastq": chosen[1], **unpaired}, "paired"
    return {whole: chosen[0] if chosen else files[whole]}, "single"
