"""The reads of one run as FASTQ files, one a read of the spot, with every count checked against archive and record."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import path_below, size_of_folder
from scripts.core.errors import TOO_MANY_DROPPED, RunFault
from scripts.formats import fastq_files
from scripts.plan.run_table import Run, local_files
from scripts.reads import fastq_check, tenx_bam
from scripts.reads.archive_reads import dump
from scripts.reads.incomplete_spots import count_empty, drop_incomplete
from scripts.reads.sources import sra_archive, sra_references
from scripts.reads.unit_folders import arrived

INDEX_READ = 12
"""Reads of at most so many bases hold a sample's index, not cDNA."""
_BARCODE_READ = 32  # bases of barcode and UMI in one read, at most; 10x reads 26 or 28
_SAMPLE = 1000  # reads at the start of a file, some of which may be trimmed


class Reads(NamedTuple):
    """The reads of a run: ``{run}_{n}.fastq`` or ``{run}.fastq`` → file, compressed or plain, and its spots."""

    files: dict[str, Path]
    spots: int
    dropped: int = 0
    """Spots that lack a read, which are not in the files; of droplet libraries only."""


class Allowed(NamedTuple):
    """What a conversion may do: bytes that it writes where the plan does not know the size of the reads, and the share
    of a library's spots that it drops since they lack a read (one spot always, unless the share is 0)."""

    bytes: float = math.inf
    dropped: float = 0.01

    def spots(self, spots: int) -> int:
        """Return how many of so many spots may be dropped."""
        return max(1, int(self.dropped * spots)) if self.dropped else 0


ALLOWED = Allowed()


def convert(
    row: Run,
    archives: Path,
    work: Path,
    offline: Mapping[str, str],
    threads: int,
    allowed: Allowed = ALLOWED,
    names: bool = False,
) -> Reads:
    """Write the reads of a run into the empty folder ``work``, from the files that its download left in ``archives``.

    A run of source ``file:`` is read from the files that the plan names. ``offline`` is the environment of sra-tools,
    With ``names`` reads keep the archive's own names behind those of the run. Raises RunFault.
    """
    archive, bam = path_below(archives, f"{row.run}.sra"), path_below(archives, f"{row.run}.bam")
    if bam.is_file():
        reads = _bam_reads(row, bam, work, allowed)
    elif archive.is_file():
        reads = _archive_reads(row, archive, work, offline, threads, names, allowed)
    elif row.source.startswith("file:"):
        reads = _given_reads(row, [Path(path) for path in local_files(row)], work, allowed)
    elif packed := arrived(archives, row.run):
        submitted = f"{row.run}.submitted" in packed[0].name
        reads = (_given_reads if submitted else _ena_reads)(row, packed, work, allowed)
    else:
        raise RunFault("DOWNLOAD_FAILED", "the download left no archive.")
    if row.assay != "plate" and not reads.spots and not row.source.startswith("file:"):
        raise RunFault("EMPTY_READS", "the archive and the record have no spot.")
    if row.source.startswith("file:") and not reads.spots:
        raise RunFault("EMPTY_READS", f"no read in {row.source.removeprefix('file:')}.")
    return reads


def _archive_reads(
    row: Run, archive: Path, work: Path, offline: Mapping[str, str], threads: int, names: bool, allowed: Allowed
) -> Reads:
    spots = int(row.spots or 0) or sra_archive.count_spots(archive, dict(offline))
    if row.spots and spots != int(row.spots):
        raise RunFault("READS_MISSING", f"the record has no spots, the archive {spots:,}.")
    if not spots:
        (work / f"{row.run}.fastq").touch()
        return Reads({f"{row.run}.fastq": work / f"{row.run}.fastq"}, 0)
    plate = row.assay == "plate"
    with sra_references.with_references(archive.with_suffix(".references"), work, offline) as environment:
        written, read = dump(archive, work, dict(environment), spots=spots, plate=plate, names=names, threads=threads)
    if read != spots:
        whose = "record" if row.spots else "archive"
        raise RunFault("READS_MISSING", f"the {whose} has {spots:,} spots, {read:,} were read from the archive.")
    counts = {f"{row.run}_{number}.fastq" if number else f"{row.run}.fastq": part for number, part in written.items()}
    return _checked(row, counts, spots, work, allowed)


def _bam_reads(row: Run, bam: Path, work: Path, allowed: Allowed) -> Reads:
    """Read a BAM file, which may have more spots than the record, but not fewer.

    That of a library is one of Cell Ranger; that of a plate cell was submitted to an archive.
    """
    plain = row.assay == "plate"
    if plain and row.source.startswith("file:"):
        raise RunFault("LAYOUT_AMBIGUOUS", "a BAM file is no source of a plate run; convert it to FASTQ first.")
    files, spots, dropped = tenx_bam.to_fastq(bam, row.run, work, allowed.bytes, plain)
    total = spots + dropped
    if dropped > (0 if plain else allowed.spots(total)):
        words = f"{dropped:,} of {total:,} spots of the BAM file have lost their mate."
        raise RunFault("READS_MISSING", words, "" if plain else TOO_MANY_DROPPED)
    if row.spots and int(row.spots) > total:
        raise RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, the BAM file {total:,}.")
    for file in files:
        if (count := fastq_files.count_reads(file)) != spots:
            raise RunFault("READS_MISSING", f"{count:,} of {spots:,} reads are in {file.name}.")
    return Reads({file.name.removesuffix(".gz"): file for file in files}, spots, dropped)


def _ena_reads(row: Run, packed: Sequence[Path], work: Path, allowed: Allowed) -> Reads:
    """Take ENA's FASTQ as it is; its spots and bases must be those of the record, and mates have one name."""
    whole = f"{row.run}.fastq"
    names = [path.stem for path in packed]
    files = {path.stem: work / path.name for path in packed}
    for path in packed:
        with fastq_files.whole_stream(path, path.name), fastq_files.open_reads(path) as reads:
            start = reads.read(len(row.run) + 2)
        if not start.startswith(f"@{row.run}.".encode()):
            raise RunFault("READS_MISSING", f"{path.name} does not begin with a read of {row.run}.")
        _take(path, files[path.stem])
    counts: dict[str, tuple[Path, int]] = {}
    bases = 0
    for group in filter(None, ([name for name in names if name != whole], [name for name in names if name == whole])):
        paths = [files[name] for name in group]
        checked = fastq_check.check_files(paths, group, row.assay == "plate" and len(group) == 2)
        for name, path, one in zip(group, _mend(paths, group, checked, work, allowed), checked, strict=True):
            counts[name] = path, one.reads
            bases += one.bases
    unpaired = counts[whole][1] if whole in counts else 0
    spots = max((count for name, (_, count) in counts.items() if name != whole), default=0) + unpaired
    for recorded, found, what in ((row.spots, spots, "spots"), (row.bases, bases, "bases")):
        if recorded and int(recorded) != found:
            raise RunFault("READS_MISSING", f"the record has {int(recorded):,} {what}, ENA's FASTQ {found:,}.")
    if row.assay != "plate" and len(counts) > 1 and unpaired:
        if unpaired > allowed.spots(spots):
            raise RunFault("READS_MISSING", f"{unpaired:,} of {spots:,} spots lack a read.", TOO_MANY_DROPPED)
        counts.pop(whole)[0].unlink()
        return _checked(row, counts, spots - unpaired, work, allowed)._replace(dropped=unpaired)
    return _checked(row, counts, spots, work, allowed)


def _take(path: Path, target: Path) -> None:
    """Give a file one more name, or copy it where the disk has no hard links."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)


def _given_reads(row: Run, paths: Sequence[Path], work: Path, allowed: Allowed) -> Reads:
    """Link, unpack or mend the files that the plan names, or that were submitted, in read order."""
    kinds = [fastq_files.kind_of(path) for path in paths]
    if kinds == ["bam"]:
        return _bam_reads(row, paths[0], work, allowed)
    local = row.source.startswith("file:")
    targets: dict[str, Path] = {}
    titles = [path.name for path in paths]
    if len({*titles}) < len(titles):
        titles = list(map(str, paths))
    for number, (path, kind, title) in enumerate(zip(paths, kinds, titles, strict=True), 1):
        alone = row.assay == "plate" and len(paths) == 1
        name = f"{row.run}.fastq" if alone else f"{row.run}_{number}.fastq"
        targets[name] = work / (name if kind == "fastq" else f"{name}.gz")
        if kind in ("fastq", "fastq.gz"):
            (fastq_files.link if local else _take)(path, targets[name])
        elif kind.startswith("fastq."):
            fastq_files.repack(path, targets[name], title, allowed.bytes - size_of_folder(work))
        else:
            raise RunFault("READS_MISSING", f"{path} is not FASTQ.")
    files = list(targets.values())
    dropped = 0
    if len(paths) == 1:
        targets, titles, checked = _check_alone(row, targets, titles[0], work, allowed)
        files = list(targets.values())
    else:
        try:
            checked = fastq_check.check_files(files, titles, row.assay == "plate" and len(paths) == 2)
        except RunFault as fault:
            files, dropped = _without_incomplete(row, targets, work, allowed, fault)
            checked = fastq_check.check_files(files, titles)
        else:
            odd = [file for file, one in zip(files, checked, strict=True) if one.odd and row.assay != "plate"]
            if odd and 0 < count_empty(odd) <= allowed.spots(checked[0].reads):
                files, dropped = _drop(row, targets, checked[0].reads, work, allowed)
                checked = fastq_check.check_files(files, titles)
    files = _mend(files, titles, checked, work, allowed)
    spots = checked[0].reads
    total = spots + dropped
    if row.spots and (int(row.spots) != total if local else int(row.spots) > total):  # an archive may have lost reads
        words = f"the {'plan' if local else 'record'} has {int(row.spots):,} spots, the files {total:,}."
        raise RunFault("READS_MISSING", words)
    return Reads(dict(zip(targets, files, strict=True)), spots, dropped)


def _check_alone(
    row: Run, target: dict[str, Path], title: str, work: Path, allowed: Allowed
) -> tuple[dict[str, Path], list[str], list[fastq_check.Checked]]:
    """Check the one file of a run; return it, or one for each mate where a plate run's file is interleaved.

    They come by their names, with their titles and what the check found.
    """
    (file,) = target.values()
    try:
        return target, [title], [fastq_check.check_single(file, title)]
    except fastq_check.Interleaved:
        if row.assay != "plate" or row.layout == "single" or row.read_roles:
            raise
    first, second = work / f"{row.run}_1.fastq.gz", work / f"{row.run}_2.fastq.gz"
    fastq_check.split_mates(file, title, (first, second), allowed.bytes - size_of_folder(work))
    file.unlink()
    titles = [f"{title} (mate {number})" for number in (1, 2)]
    checked = fastq_check.check_files([first, second], titles, paired=True)
    return {path.name.removesuffix(".gz"): path for path in (first, second)}, titles, checked


def _without_incomplete(
    row: Run, files: Mapping[str, Path], work: Path, allowed: Allowed, fault: RunFault
) -> tuple[list[Path], int]:
    """Return the files of a library without the spots that lack a read, and the number of these spots.

    Raises the fault that was found where its files have as many reads, or more of them lack one than may.
    """
    if row.assay == "plate" or fault.reason not in ("READS_MISSING", "MATES_DISAGREE"):
        raise fault
    counts = [fastq_files.count_reads(path) for path in files.values()]
    if not 0 < max(counts) - min(counts) <= allowed.spots(max(counts)):
        raise fault
    try:
        return _drop(row, files, max(counts), work, allowed)
    except RunFault as other:
        raise (other if other.reason == "DISK_LIMIT" else fault) from None


def _drop(row: Run, files: Mapping[str, Path], spots: int, work: Path, allowed: Allowed) -> tuple[list[Path], int]:
    """Return the files without the spots that lack a read, and the number of these spots."""
    room = fastq_files.Room(row.run, allowed.bytes - size_of_folder(work))
    whole, kept = drop_incomplete(files, work, allowed.spots(spots), room)
    return list(whole.values()), spots - kept


def _mend(
    files: Sequence[Path], titles: Sequence[str], checked: Sequence[fastq_check.Checked], work: Path, allowed: Allowed
) -> list[Path]:
    """Replace files that STAR would refuse by mended copies; return all files."""
    mended = list(files)
    for at, (file, title, one) in enumerate(zip(files, titles, checked, strict=True)):
        if one.odd:
            mended[at] = work / f"mended.{file.name.removesuffix('.gz')}.gz"
            fastq_check.mend(file, title, mended[at], allowed.bytes - size_of_folder(work))
            file.unlink()
    return mended


def _checked(row: Run, written: Mapping[str, tuple[Path, int]], spots: int, work: Path, allowed: Allowed) -> Reads:
    """Return the files of an archive's reads, after a check that every spot has all its reads.

    A few spots of a library may lack one; these are dropped.
    """
    counts = {name: count for name, (_, count) in written.items()}
    files = {name: file for name, (file, _) in written.items()}
    if row.assay == "plate":
        _check_plate(row.run, counts, spots)
        return Reads(files, spots)
    dropped = 0
    if set(counts.values()) != {spots}:
        words = f"the reads do not agree: {_listed(counts)} of {spots:,} spots."
        if max(counts.values()) > spots:
            raise RunFault("READS_MISSING", words)
        if min(counts.values()) < spots - allowed.spots(spots):
            raise RunFault("READS_MISSING", words, TOO_MANY_DROPPED)
        files, kept = drop_incomplete(files, work, allowed.spots(spots), fastq_files.Room(row.run, math.inf))
        dropped, spots = spots - kept, kept
    # ENA's file of a one-read archive has no number.
    whole = f"{row.run}.fastq"
    named = {f"{row.run}_1.fastq" if name == whole else name: file for name, file in files.items()}
    return Reads(named, spots, dropped)


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


def _check_no_barcodes(lengths: Sequence[int]) -> None:
    """Raise RunFault where one of two reads is as long as barcodes of droplets, and the other one is much longer."""
    if len(lengths) != 2:
        return
    short, long = sorted(lengths)
    if INDEX_READ < short <= _BARCODE_READ and long >= 1.5 * short:
        raise RunFault(
            "LAYOUT_AMBIGUOUS",
            f"its reads have {lengths[0]} and {lengths[1]} bases, as barcode and cDNA of a droplet library have: set "
            "assay to droplet; for one cell set read_roles: cdna,cdna2 counts both reads, none,cdna the second.",
        )


def plate_files(row: Run, files: Mapping[str, Path]) -> tuple[dict[str, Path], str]:
    """Return final name → file of a plate run, and its layout.

    ``read_roles``, where it has a word for each file, says which are cDNA; else reads of a few bases beside longer ones
    are those of an index, but for two local files of layout ``paired``. Raises RunFault(LAYOUT_AMBIGUOUS) when no read
    or more than two remain, or a pair whose lengths are those of a barcode and a cDNA read.
    """
    whole = f"{row.run}.fastq"
    numbered = [path for name, path in files.items() if name != whole]
    chosen = numbered
    roles = row.read_roles.split(",") if row.read_roles else []
    if numbered and len(roles) == len(numbered):
        mates = [pair for pair in zip(roles, numbered, strict=True) if pair[0].startswith("cdna")]
        chosen = [path for _, path in sorted(mates, key=lambda pair: pair[0])]
    elif len(numbered) > 2 or not (row.layout == "paired" and row.source.startswith("file:")):
        lengths = {path: max(fastq_files.first_lengths(path, _SAMPLE), default=0) for path in numbered}
        chosen = [path for path in numbered if lengths[path] > INDEX_READ] or numbered
        _check_no_barcodes([lengths[path] for path in chosen])
    if len(chosen) > 2 or (numbered and not chosen) or (len(chosen) < len(numbered) and whole in files):
        words = ", ".join(str(next(iter(fastq_files.first_lengths(path, 1)), 0)) for path in numbered)
        raise RunFault("LAYOUT_AMBIGUOUS", f"a plate run with {len(numbered)} reads a spot, of {words} bases.")
    if len(chosen) == 2:
        unpaired = {whole: files[whole]} if whole in files else {}
        return {f"{row.run}_1.fastq": chosen[0], f"{row.run}_2.fastq": chosen[1], **unpaired}, "paired"
    return {whole: chosen[0] if chosen else files[whole]}, "single"
