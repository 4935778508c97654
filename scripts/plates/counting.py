"""Count the fragments of plate cells by gene, with our own counter or with htseq-count itself.

The native counter decodes many records at a time and looks them up in the reference's gene intervals, which are made
once. It gives the numbers of ``htseq-count -r name -t exon -i gene_id -a 10 --nonunique none``. Nothing is believed:
the fragments that were counted must be those that STAR says it mapped.
"""

import hashlib
import itertools
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.errors import InputError, MachineFault, RunFault, fault_of_run, raise_if_all_alike
from scripts.core.subprocesses import path_argument, raise_if_killed
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, is_whole
from scripts.plates.bam_groups import CHUNK_BYTES, NO_TAG, UNMAPPED, BamReader, Fragments, star_versions
from scripts.plates.cells import alignment_files, fail_runs, log_file
from scripts.plates.shard_counts import TALLIES, ShardCounts, merge_tools
from scripts.references.gene_intervals import BASE_BITS, GeneIntervals, StepCounter, read_gene_intervals
from scripts.star.log import INPUT_READS, MULTIPLE_LOCI, TOO_MANY_LOCI, UNIQUELY_MAPPED, read_star_log

COUNTERS = ("auto", "native", "htseq-count")
STRANDS = {"none": "no", "forward": "yes", "reverse": "reverse"}
"""Our names of strands → those of htseq-count."""
_MIN_QUALITY = 10  # htseq-count's -a
_MAX_FILES = 500  # BAM files on one command line of htseq-count


class CellCounts(NamedTuple):
    """The counts of one cell: int64 by gene, and the five tallies in htseq-count's order."""

    genes: np.ndarray
    tallies: np.ndarray

    @property
    def fragments(self) -> int:
        return int(self.genes.sum() + self.tallies.sum())


class Counting(NamedTuple):
    """By what fragments are counted."""

    intervals: Path  # gene intervals of the reference, count_index.npz
    exons: Path  # exon lines of the annotation, exons.gtf
    genes: list[str]  # ids in the order in which they are counted
    mode: str  # htseq-count's -m
    strand: str  # a key of STRANDS


class CountedCells(NamedTuple):
    """Column → counts, or why there are none; tools → versions; why htseq-count counted instead of our counter."""

    cells: dict[str, CellCounts | RunFault]
    tools: dict[str, str]
    note: str = ""


def count_native(
    paths: Iterable[str | Path], genes: GeneIntervals, mode: str, strand: str, chunk_bytes: int = CHUNK_BYTES
) -> CellCounts:
    """Count the fragments of a cell's BAM files (grouped by name); equals the sum of htseq-count's columns.

    Raises BamError where htseq-count stops with an error.
    """
    counter = StepCounter(genes, mode, strand != "none")
    dropped = np.zeros(3, np.int64)
    for path in paths:
        with BamReader(path, chunk_bytes) as reader:
            contigs = np.array([counter.contig_numbers.get(name, -1) for name in reader.contigs] or [-1], np.int64)
            for chunk in reader.fragments():
                records, aligned, tallies = _select_countable(chunk)
                dropped += tallies
                _add_chunk(counter, chunk, records, aligned, contigs, strand)
    counts, no_feature, ambiguous = counter.totals()
    return CellCounts(counts, np.array([no_feature, ambiguous, *dropped], np.int64))


def _select_countable(chunk: Fragments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fragments that can count for a gene, and how many cannot: low quality, not aligned, not unique.

    Fragments are given by the records of their mates (fragments × 2), and which of these are aligned.
    """
    first, second = chunk.first, chunk.second
    has_first, has_second = first >= 0, second >= 0
    aligned = (chunk.flag & UNMAPPED) == 0
    first_aligned, second_aligned = has_first & aligned[first], has_second & aligned[second]
    unmapped = ~(first_aligned | second_aligned)
    first_hits, second_hits = chunk.hits[first], chunk.hits[second]
    # htseq-count does not look at the second mate's NH where the first mate has none.
    look_at_second = has_second & ~(has_first & (first_hits == NO_TAG))
    multiple = ((has_first & (first_hits > 1)) | (look_at_second & (second_hits > 1))) & ~unmapped
    low = has_first & (chunk.quality[first] < _MIN_QUALITY)
    low |= has_second & (chunk.quality[second] < _MIN_QUALITY)
    low &= ~(unmapped | multiple)
    countable = ~(unmapped | multiple | low)
    return (
        np.stack([first[countable], second[countable]], axis=1),
        np.stack([first_aligned[countable], second_aligned[countable]], axis=1),
        np.array([low.sum(), unmapped.sum(), multiple.sum()], np.int64),
    )


def _add_chunk(
    counter: StepCounter,
    chunk: Fragments,
    records: np.ndarray,
    aligned: np.ndarray,
    contigs: np.ndarray,
    strand: str,
) -> None:
    """Add the selected fragments; ``contigs``: number in the BAM header → number in the gene intervals, or -1."""
    fragments = len(records)
    owners, mates = np.nonzero(aligned)
    records = records[aligned]
    span_record, start, length = chunk.spans(records)
    contig_strands = contigs[chunk.contig[records]]  # as positions of gene intervals name them
    if counter.stranded:
        minus = (chunk.flag[records] >> 4) & 1
        minus ^= mates ^ (strand == "reverse")
        contig_strands = np.where(contig_strands < 0, -1, 2 * contig_strands + minus)
    owner, contig_strand = owners[span_record], contig_strands[span_record]
    bare = contig_strand < 0  # a contig without exons: the whole fragment is without feature
    if bare.any():
        featureless = np.zeros(fragments, bool)
        featureless[owner[bare]] = True
        kept = ~featureless[owner]
        owner, contig_strand, start, length = (values[kept] for values in (owner, contig_strand, start, length))
    counter.add(fragments, owner, (contig_strand << BASE_BITS) | start, length)


def count_htseq(cells: Sequence[Sequence[Path]], counting: Counting) -> list[CellCounts]:
    """Count cells with htseq-count itself, many files in one call; the files of a cell are added up.

    Raises InputError with htseq-count's words where it fails, or where its table is not whole.
    """
    files = [(number, str(path)) for number, paths in enumerate(cells) for path in paths]
    names = [*counting.genes, *TALLIES]
    positions = {name: position for position, name in enumerate(names)}
    totals = np.zeros((len(cells), len(names)), np.int64)
    for begin in range(0, len(files), _MAX_FILES):
        batch = files[begin : begin + _MAX_FILES]
        owners = np.array([number for number, _ in batch])
        seen = set()
        for line in _run_htseq([path for _, path in batch], counting).splitlines():
            name, *values = line.split("\t")
            if name not in positions or name in seen or len(values) != len(batch):
                raise InputError(f"htseq-count wrote an unexpected row: {line[:80]!r}.")
            seen.add(name)
            np.add.at(totals[:, positions[name]], owners, np.array(values, np.int64))
        if len(seen) != len(names):
            raise InputError(f"htseq-count wrote {len(seen)} rows instead of {len(names)}.")
    genes = len(counting.genes)
    return [CellCounts(row[:genes], row[genes:]) for row in totals]


def _run_htseq(paths: Sequence[str], counting: Counting) -> str:
    command = [sys.executable, "-m", "HTSeq.scripts.count", "-f", "bam", "-r", "name", "-s", STRANDS[counting.strand]]
    command += ["-m", counting.mode, "-t", "exon", "-i", "gene_id", "-a", str(_MIN_QUALITY), "--nonunique", "none"]
    command += ["-q", *map(path_argument, paths), path_argument(counting.exons)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise_if_killed("htseq-count", done.returncode)
        complaint = " ".join(done.stderr.split())[-500:] or f"exit status {done.returncode}"
        if re.search(r"\b(ModuleNotFound|Import)Error\b", done.stderr):
            raise MachineFault(f"htseq-count does not work here: {complaint}")
        raise InputError(f"htseq-count failed: {complaint}")
    return done.stdout


def choose_checked(columns: Iterable[str]) -> str:
    """Return the column that htseq-count counts as well: that of the smallest hash, whatever the order."""
    return min(columns, key=lambda column: hashlib.sha256(column.encode()).hexdigest())


def check_fragments(log: Mapping[str, str], fragments: int) -> None:
    """Raise RunFault (READS_MISSING) where the fragments counted are not those that STAR mapped.

    STAR's own numbers must add up as well: the reads that it mapped and dropped are the reads that it read.
    """
    numbers = {name: int(value) for name, value in log.items() if name.startswith("Number of reads") and value}
    reads = int(log[INPUT_READS])
    unique, multiple = int(log[UNIQUELY_MAPPED]), numbers.get(MULTIPLE_LOCI, 0)
    if fragments != unique + multiple:
        raise RunFault(
            "READS_MISSING",
            f"{fragments} fragments were counted, but STAR mapped {unique + multiple}"
            f" ({unique} to one locus, {multiple} to several loci).",
        )
    unmapped = [value for name, value in numbers.items() if name.startswith("Number of reads unmapped")]
    dropped = numbers.get(TOO_MANY_LOCI, 0) + sum(unmapped)
    if unmapped and fragments + dropped != reads:
        raise RunFault(
            "READS_MISSING",
            f"STAR was given {reads} reads, but mapped {fragments} and dropped {dropped}.",
        )


def count_cells(cells: Mapping[str, list[Path]], counting: Counting, counter: str, threads: int) -> CountedCells:
    """Count cells, given as column → BAM files, with one of :data:`COUNTERS`.

    ``auto`` is the native counter; htseq-count counts one cell as well, and all of them where a number differs.
    """
    if counter == "htseq-count":
        return _count_with_htseq(cells, counting)
    genes = read_gene_intervals(counting.intervals)
    if genes.genes != counting.genes:
        raise InputError(f"{counting.intervals}: made from another table of genes; rebuild both.")
    StepCounter(genes, counting.mode, counting.strand != "none")  # raises InputError before any cell is counted

    def count(column: str) -> CellCounts | RunFault:
        try:
            return count_native(cells[column], genes, counting.mode, counting.strand)
        except Exception as error:
            return fault_of_run(error, "COUNT_FAILED")

    with ThreadPoolExecutor(threads) as pool:
        counted = dict(zip(cells, pool.map(count, cells), strict=True))
    checkable = {
        column: counts for column, counts in counted.items() if isinstance(counts, CellCounts) and counts.fragments
    }
    if counter == "native" or not checkable:
        return CountedCells(counted, {"counter": "native"})
    checked = choose_checked(checkable)
    (truth,) = count_htseq([cells[checked]], counting)
    ours = checkable[checked]
    differing = int((ours.genes != truth.genes).sum() + (ours.tallies != truth.tallies).sum())
    numbers = len(counting.genes) + len(TALLIES)
    if not differing:
        print(f"{checked}: htseq-count gives the same {numbers} numbers.", file=sys.stderr)
        return CountedCells(counted, {"counter": "native"} | _htseq_version())
    note = (
        f"counted by htseq-count: in {checked}, which both counted, {differing} of {numbers} numbers of the native"
        " counter differed"
    )
    print(f"{note}. Please report this.", file=sys.stderr)
    return _count_with_htseq(cells, counting)._replace(note=note)


def _count_with_htseq(cells: Mapping[str, list[Path]], counting: Counting) -> CountedCells:
    """Count all cells in one call; where a bad file fails the call, each cell in a call of its own."""
    tools = {"counter": "htseq-count"} | _htseq_version()
    try:
        return CountedCells(dict(zip(cells, count_htseq(list(cells.values()), counting), strict=True)), tools)
    except MachineFault:
        raise
    except InputError as error:
        print(f"{error}\nCounting each cell separately.", file=sys.stderr)
    counted: dict[str, CellCounts | RunFault] = {}
    for column, paths in cells.items():
        try:
            (counted[column],) = count_htseq([paths], counting)
        except Exception as error:
            counted[column] = fault_of_run(error, "COUNT_FAILED")
    return CountedCells(counted, tools)


def _htseq_version() -> dict[str, str]:
    from importlib.metadata import version

    return {"HTSeq": version("HTSeq")}


def count_shard(
    columns: Mapping[str, Sequence[Run]],
    statuses: Mapping[str, RunStatus],
    alignments: str | Path,
    counting: Counting,
    reference: str,
    *,
    counter: str,
    threads: int = 1,
) -> tuple[ShardCounts, dict[str, RunStatus]]:
    """Count the cells whose runs are all good; return the counts and the statuses of all runs after it."""
    import scipy.sparse

    statuses_after = dict(statuses)
    faults: dict[str, RunFault] = {}
    cells: dict[str, list[Path]] = {}
    logs: dict[str, dict[str, str]] = {}
    for column, rows in columns.items():
        if not is_whole(statuses[row.run] for row in rows):
            continue
        files = alignment_files(alignments, column)
        try:
            if not files or not log_file(alignments, column).exists():
                raise RunFault("ALIGN_FAILED", "the folder of alignments has no BAM file or no log of it.")
            logs[column] = read_star_log(log_file(alignments, column))
            cells[column] = files
        except Exception as error:
            faults[column] = fault_of_run(error, "ALIGN_FAILED")
    counted = count_cells(cells, counting, counter, threads)
    kept: dict[str, CellCounts] = {}
    for column, counts in counted.cells.items():
        try:
            if isinstance(counts, RunFault):
                raise counts
            check_fragments(logs[column], counts.fragments)
            kept[column] = counts
        except Exception as error:
            faults[column] = fault_of_run(error, "COUNT_FAILED")
    raise_if_all_alike([faults.get(column) for column in cells])
    for column, fault in faults.items():
        print(f"{column}: {fault}", file=sys.stderr)
        fail_runs(columns[column], statuses_after, fault)
    of_cells = {column: [statuses[row.run] for row in columns[column]] for column in kept}
    for status in itertools.chain.from_iterable(of_cells.values()):
        if status.ok:
            statuses_after[status.run] = status._replace(detail=counted.note or status.detail)
    star = [{"STAR": version} for version in star_versions(path for column in kept for path in cells[column])]
    matrix = np.array([counts.genes for counts in kept.values()], np.int64).reshape(len(kept), len(counting.genes))
    tallies = np.array([counts.tallies for counts in kept.values()], np.int64).reshape(len(kept), len(TALLIES))
    shard = ShardCounts(
        genes=counting.genes,
        columns=list(kept),
        runs=[";".join(one.run for one in of_cells[column] if one.state != "left_out") for column in kept],
        counts=scipy.sparse.csc_matrix(matrix),
        tallies=tallies,
        logs=[logs[column] for column in kept],
        reference=reference,
        tools=merge_tools([counted.tools, *star]) if kept else {},
    )
    return shard, statuses_after
