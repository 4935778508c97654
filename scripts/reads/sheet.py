"""Write a run table from a folder of reads, for a person to look at and to add columns to.

Files are FASTQ (.fastq or .fq, plain, .gz, .bz2 or .xz), .sra and .bam, in the folder and those below it. Names are
those of Illumina and 10x (X_S1_L001_R1_001), of archives (SRR1_1) and of sequencing centres (X_R1, X_L2_1, X_forward).
Files are taken together as reads of a run only where the names of their first reads agree, too; lanes are runs of one
experiment. What was not understood is listed on standard error, with the reason.
"""

import itertools
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_path
from scripts.core.errors import InputError
from scripts.core.output import printable
from scripts.formats.fastq_files import LONGEST_LINE, kind_of, open_reads
from scripts.plan.run_table import Run, faults_of, write_table
from scripts.reads.fastq_check import of_same_spots

_FASTQ = re.compile(r"(.+)\.(?:fastq|fq)(?:\.(?:gz|bz2|xz))?", re.IGNORECASE)
_WHOLE = re.compile(r"(.+)\.(?:sra|bam)", re.IGNORECASE)
_LANE = r"(?:[_.-](?:L|lane)_?(?P<lane>\d{1,3}))?"
_NAMES = [
    re.compile(rf"(?P<sample>.+?){pattern}", re.IGNORECASE)
    for pattern in (
        # of Illumina's bcl2fastq and BCL Convert
        r"_S\d+(?:_L(?P<lane>\d{3}))?_(?P<read>[RI][1-4])(?:_(?P<part>\d{3}))?",
        rf"{_LANE}[_.-](?P<read>[RI][1-4])(?:[_.-](?P<part>\d{{3}}))?",
        rf"{_LANE}[_.-](?P<read>[1-4])",  # of archives, too
        rf"{_LANE}[_.-](?P<read>forward|reverse|fwd|rev|read1|read2)",
    )
]
_READS = {"FORWARD": "R1", "FWD": "R1", "READ1": "R1", "REVERSE": "R2", "REV": "R2", "READ2": "R2"}
_HEADERS = 4  # reads whose names are compared
_SHOWN = 20  # files of a kind that are listed


class ReadFile(NamedTuple):
    """A file and what its name says of it."""

    path: Path
    sample: str
    lane: str = ""
    part: str = ""
    read: str = ""
    """R1 to R4, I1, I2, or a number alone; empty where the name does not say."""


class Sheet(NamedTuple):
    """Runs with their files, in the order of their names, and path → why a file is in none of them."""

    runs: list[tuple[Run, list[Path]]]
    others: dict[Path, str]


def parse_name(path: Path) -> ReadFile | None:
    """Return what the name of a file says; None for a file that is no reads by its name."""
    if whole := _WHOLE.fullmatch(path.name):
        return ReadFile(path, whole[1])
    if not (fastq := _FASTQ.fullmatch(path.name)):
        return None
    for pattern in _NAMES:
        if found := pattern.fullmatch(fastq[1]):
            named = found.groupdict()
            read = named["read"].upper()
            lane, part = (named.get(key) or "" for key in ("lane", "part"))
            return ReadFile(path, named["sample"], lane, part, _READS.get(read, read))
    return ReadFile(path, fastq[1])


def run_name(words: Iterable[str]) -> str:
    """Return a name that a run may have, made of these words."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(words))
    name = re.sub(r"\.{2,}", ".", name).strip("._-")
    return name if name[:1].isalpha() else f"s{name}"


def read_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below it, sorted; hidden ones are passed over."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if not name.startswith("."))


def first_headers(path: Path) -> list[bytes]:
    """Return the first headers of a FASTQ file."""
    headers = []
    with open_reads(path) as reads:
        for _ in range(_HEADERS):
            if line := reads.readline(LONGEST_LINE):
                headers.append(line.rstrip(b"\r\n"))
                for _ in range(3):
                    reads.readline(LONGEST_LINE)
    return headers


def agree(files: Sequence[ReadFile]) -> bool:
    """Whether the first reads of files are of the same spots, by their names."""
    first, *others = (first_headers(file.path) for file in files)
    return all(len(other) == len(first) and of_same_spots(first, other) for other in others)


def fault_of_file(file: ReadFile) -> str:
    """Return why a file cannot be named in a run table, empty where it can."""
    if file.sample.lower() == "undetermined" and file.read:
        return "reads of no sample"
    if ";" in str(file.path) or not str(file.path).isprintable():
        return "its path has ';' or a control character, rename it"
    try:
        return "" if kind_of(file.path) else "neither FASTQ nor an archive nor BAM by its content"
    except OSError as error:
        return f"not readable: {error.strerror}"


def group_files(files: Iterable[ReadFile], droplet: bool, others: dict[Path, str]) -> Iterator[list[ReadFile]]:
    """Yield the files of each run in read order, index reads last; adds to ``others`` what belongs to none."""
    groups: dict[tuple[object, ...], list[ReadFile]] = defaultdict(list)
    for file in files:
        groups[file.path.parent, file.sample, file.lane, file.part, file.read.isdigit(), bool(file.read)].append(file)
    for key, group in groups.items():
        if not key[-1] and (*key[:-2], True, True) in groups:  # as archives give pairs and what has no mate
            others |= dict.fromkeys((file.path for file in group), "reads without mates, beside pairs of their sample")
            continue
        index = [file for file in group if file.read.startswith("I")]
        reads = sorted((file for file in group if file not in index), key=lambda file: file.read)
        if index and not droplet:
            others |= dict.fromkeys((file.path for file in index), "index reads; with --assay droplet they are taken")
            index = []
        together = [*reads, *sorted(index, key=lambda file: file.read)]
        labels = [file.read for file in together]
        by_number = bool(reads) and reads[0].read.isdigit()
        if len(together) == 1 and by_number and reads[0].read != "1":
            yield [reads[0]._replace(sample=f"{reads[0].sample}_{reads[0].read}", read="")]
        elif len(together) < 2 or (len(set(labels)) == len(labels) and agree(together)):
            if together:
                yield together
        elif by_number or not reads[0].read:  # numbers of cells, not of mates
            for file in reads:
                yield [file._replace(sample=f"{file.sample}_{file.read}" if file.read else file.sample, read="")]
        else:
            names = ", ".join(file.path.name for file in together)
            others |= dict.fromkeys((file.path for file in together), f"{names} are not of the same reads")


def make_sheet(folder: Path, directory: Path, species: str = "", assay: str = "") -> Sheet:
    """Return the runs of the reads in a folder; paths below ``directory``, the analysis, are relative to it."""
    others: dict[Path, str] = {}
    files = []
    for path in read_files(folder):
        file = parse_name(path)
        if file is None:
            others[path] = "not reads by its name"
        elif fault := fault_of_file(file):
            others[path] = fault
        else:
            files.append(file)
    libraries: dict[str, list[list[ReadFile]]] = defaultdict(list)
    for group in name_apart(list(group_files(files, assay == "droplet", others)), folder):
        libraries[group[0].sample].append(group)
    rows = []
    for name, lanes in sorted(libraries.items()):
        parts = {group[0].part for group in lanes}
        for first, *more in sorted(lanes, key=lambda group: (group[0].lane, group[0].part, group[0].path)):
            lane = [
                word for word in (f"L{first.lane}" if first.lane else "", first.part if len(parts) > 1 else "") if word
            ]
            paths = [file.path for file in (first, *more)]
            source = "file:" + ";".join(relative(path, directory) for path in paths)
            run = run_name([name, *lane]) if len(lanes) > 1 else name
            rows.append((Run(experiment=name, run=run, species=species, assay=assay, source=source), paths))
    return Sheet(rows, others)


def name_apart(groups: Sequence[list[ReadFile]], folder: Path) -> list[list[ReadFile]]:
    """Return runs under the name of their sample, with that of its folder where samples of two folders share it.

    They may be cells of the same well of two plates.
    """
    folders: dict[str, set[Path]] = defaultdict(set)
    for group in groups:
        folders[run_name([group[0].sample])].add(group[0].path.parent)
    named = []
    for group in groups:
        words = [group[0].sample]
        if len(folders[run_name(words)]) > 1:
            words = [*group[0].path.parent.relative_to(folder).parts, *words]
        named.append([file._replace(sample=run_name(words)) for file in group])
    return named


def relative(path: Path, directory: Path) -> str:
    """Return a path as a run table of an analysis in ``directory`` has it."""
    whole, here = Path(os.path.abspath(path)), Path(os.path.abspath(directory))  # noqa: PTH100  links stay
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)


def columns_of(runs: Sequence[Run]) -> list[str]:
    """Return the columns of the table: those that say something."""
    lanes = any(row.experiment != row.run for row in runs)
    known = {"experiment": lanes, "species": bool(runs[0].species), "assay": bool(runs[0].assay)}
    return ["run", *(name for name, needed in known.items() if needed), "source"]


def report(sheet: Sheet, faults: Iterable[str]) -> Iterator[str]:
    """Yield what a person has to know of the table."""
    sizes: dict[int, int] = defaultdict(int)
    for _, paths in sheet.runs:
        sizes[len(paths)] += 1
    experiments = len({row.experiment for row, _ in sheet.runs})
    shown = ", ".join(f"{number:,} with {size} file{'s' * (size > 1)}" for size, number in sorted(sizes.items()))
    yield f"{len(sheet.runs):,} runs ({shown}) of {experiments:,} cells or libraries."
    for fault in faults:
        yield f"To be changed by hand: {fault}"
    reasons: dict[str, list[Path]] = defaultdict(list)
    for path, reason in sheet.others.items():
        reasons[reason].append(path)
    for reason, paths in reasons.items():
        more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
        names = ", ".join(str(path) for path in itertools.islice(paths, _SHOWN))
        yield f"In no run ({reason}): {names}{more}."


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder with the reads")
    parser.add_argument("--directory", type=Path, default=Path(), help="the analysis; paths are relative to it")
    parser.add_argument("--species", default="", help="label of the species, needed where several are configured")
    parser.add_argument(
        "--assay",
        default="",
        choices=("plate", "droplet"),
        help="plate: a sample is one cell; droplet: a library of many cells with barcodes (default: as configured)",
    )
    parser.add_argument("--output", type=Path, help="the table to write (default: standard output)")
    options = parser.parse_args(argv)
    if not options.folder.is_dir():
        raise InputError(f"{options.folder}: there is no such folder.")
    if options.output and options.output.exists():
        raise InputError(f"{options.output}: exists already; give another name, or delete it.")
    sheet = make_sheet(options.folder, options.directory, options.species, options.assay)
    runs = [row for row, _ in sheet.runs]
    if not runs:
        raise InputError(f"{options.folder}: there are no reads in it (.fastq, .fq, .sra, .bam; .gz, .bz2, .xz).")
    columns = columns_of(runs)
    rows = [[getattr(row, name) for name in columns] for row in runs]
    if options.output:
        with atomic_path(options.output) as partial:
            write_table(partial, columns, rows)
    else:
        sys.stdout.writelines(f"{printable(chr(9).join(row))}\n" for row in [columns, *rows])
    planned = [row._replace(species="x", assay=row.assay or "plate") for row in runs]
    for line in report(sheet, (fault.sentence for fault in faults_of(planned, ["x"]))):
        print(printable(line), file=sys.stderr)
