"""Count the fragments of plate cells by gene, with our own counter or with htseq-count itself.

The native counter decodes many records at a time and looks them up in the reference's gene intervals, which are made
once. It gives the numbers of ``htseq-count -r name``. Nothing is believed: the fragments that were counted must be
those that STAR says it mapped.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.core.errors import InputError, MachineFault, RunFault, fault_of_run, raise_if_all_alike
from scripts.core.subprocesses import path_argument, raise_if_killed
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, is_whole
from scripts.plates.bam_groups import (
    CHUNK_BYTES,
    NO_TAG,
    NOT_PRIMARY,
    UNMAPPED,
    BamError,
    BamReader,
    Fragments,
    star_versions,
)
from scripts.plates.cells import alignment_files, fail_runs, log_file
from scripts.plates.near_exons import write_near_exons
from scripts.plates.scoring import Scoring, share_out
from scripts.plates.shard_counts import TALLIES, ShardCounts, merge_tools
from scripts.plates.strands import AUTO, STRANDS, StrandChoice, settle_strands
from scripts.references.gene_intervals import BASE_BITS, GeneIntervals, StepCounter, read_gene_intervals
from scripts.star.log import (
    CHIMERIC,
    INPUT_READS,
    MULTIPLE_LOCI,
    TOO_MANY_LOCI,
    UNIQUELY_MAPPED,
    mapped_reads,
    read_star_log,
)

COUNTERS = ("auto", "native", "htseq-count")
_PLAIN = Scoring()
_MAX_FILES = 500  # BAM files on one command line of htseq-count


class CellCounts(NamedTuple):
    """The counts of one cell by gene (int64; float64 with ``nonunique: fraction``), and the five tallies (int64) in
    htseq-count's order."""

    genes: np.ndarray
    tallies: np.ndarray
    read: int | None = None  # fragments that were read; counts and tallies add up to them where it is None

    @property
    def fragments(self) -> int:
        return int(self.genes.sum() + self.tallies.sum()) if self.read is None else self.read


class Counting(NamedTuple):
    """By what fragments are counted."""

    intervals: Path  # gene intervals of the reference, count_index.npz
    exons: Path  # exon lines of the annotation, exons.gtf
    genes: list[str]  # ids in the order in which they are counted
    mode: str  # htseq-count's -m
    strand: str  # a key of STRANDS, see count_by_strand
    scoring: Scoring = _PLAIN
    scratch: Path | None = None  # for temporary files; None: the system's folder for them


class CountedCells(NamedTuple):
    """Column → counts, or why there are none; tools → versions; why htseq-count counted instead of our counter."""

    cells: dict[str, CellCounts | RunFault]
    tools: dict[str, str]
    note: str = ""


def count_native(
    paths: Iterable[str | Path],
    genes: GeneIntervals,
    mode: str,
    strand: str,
    chunk_bytes: int = CHUNK_BYTES,
    scoring: Scoring = _PLAIN,
    cell: str = "",
) -> CellCounts:
    """Count the fragments of a cell's BAM files (grouped by name); equals the sum of htseq-count's columns.

    ``cell`` is its name, on which draws depend. Raises BamError where htseq-count stops with an error.
    """
    counter = StepCounter(genes, mode, strand != "none")
    dropped = np.zeros(3, np.int64)
    read = 0
    for path in paths:
        with BamReader(path, chunk_bytes) as reader:
            contigs = np.array([counter.contig_numbers.get(name, -1) for name in reader.contigs] or [-1], np.int64)
            for chunk in reader.fragments(scoring.primary_only):
                read += _count_primary(chunk)
                records, aligned, tallies = _select_countable(chunk, scoring)
                dropped += tallies
                _add_chunk(counter, chunk, records, aligned, contigs, strand)
    counts, no_feature, ambiguous = counter.totals()
    if not scoring.adds_up:
        counts = share_out(counts, counter.ambiguous(), genes.genes, scoring, cell)
    return CellCounts(counts, np.array([no_feature, ambiguous, *dropped], np.int64), None if scoring.adds_up else read)


def _count_primary(chunk: Fragments) -> int:
    """Return how many fragments are neither secondary nor supplementary."""
    lead = np.where(chunk.first >= 0, chunk.first, chunk.second)
    return int(((chunk.flag[lead] & NOT_PRIMARY) == 0).sum())


def _select_countable(chunk: Fragments, scoring: Scoring) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fragments that can count for a gene, and how many are of low quality, not aligned, not unique.

    Fragments are given by the records of their mates (fragments × 2), and which of these are aligned.
    """
    first, second = chunk.first, chunk.second
    has_first, has_second = first >= 0, second >= 0
    aligned = (chunk.flag & UNMAPPED) == 0
    first_aligned, second_aligned = has_first & aligned[first], has_second & aligned[second]
    unmapped = ~(first_aligned | second_aligned)
    ignored = (chunk.flag & scoring.ignored) != 0
    left = ~unmapped & ~((has_first & ignored[first]) | (has_second & ignored[second]))
    first_hits, second_hits = chunk.hits[first], chunk.hits[second]
    # htseq-count does not look at the second mate's NH where the first mate has none.
    look_at_second = has_second & ~(has_first & (first_hits == NO_TAG))
    multiple = ((has_first & (first_hits > 1)) | (look_at_second & (second_hits > 1))) & left
    if scoring.nonunique == "none":
        left &= ~multiple
    low = has_first & (chunk.quality[first] < scoring.min_quality)
    low |= has_second & (chunk.quality[second] < scoring.min_quality)
    low &= left
    left &= ~low
    return (
        np.stack([first[left], second[left]], axis=1),
        np.stack([first_aligned[left], second_aligned[left]], axis=1),
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


def count_htseq(cells: Sequence[Sequence[Path]], counting: Counting, *, partial: bool = False) -> list[CellCounts]:
    """Count cells with htseq-count itself, many files in one call; the files of a cell are added up.

    ``partial``: the exon lines are only some of the annotation's; genes that they do not have count 0.

    Its own fractions are added up read by read, so that their last digits depend on the order of the reads. Raises
    InputError with htseq-count's words where it fails, or where its table is not whole.
    """
    files = [(number, str(path)) for number, paths in enumerate(cells) for path in paths]
    names = [*counting.genes, *TALLIES]
    positions = {name: position for position, name in enumerate(names)}
    scoring = counting.scoring
    totals: np.ndarray = np.zeros((len(cells), len(names)), scoring.dtype)
    for begin in range(0, len(files), _MAX_FILES):
        batch = files[begin : begin + _MAX_FILES]
        owners = np.array([number for number, _ in batch])
        seen = set()
        for line in _run_htseq([path for _, path in batch], counting).splitlines():
            name, *values = line.split("\t")
            if name not in positions or name in seen or len(values) != len(batch):
                raise InputError(f"htseq-count wrote an unexpected row: {line[:80]!r}.")
            seen.add(name)
            np.add.at(totals[:, positions[name]], owners, np.array(values, scoring.dtype))
        if not seen.issuperset(TALLIES if partial else names):
            raise InputError(f"htseq-count wrote {len(seen)} rows instead of {len(names)}.")
    genes = len(counting.genes)
    read = [None if scoring.adds_up else _count_fragments(paths) for paths in cells]
    return [
        CellCounts(row[:genes], row[genes:].astype(np.int64), fragments)
        for row, fragments in zip(totals, read, strict=True)
    ]


def _count_fragments(paths: Iterable[Path]) -> int:
    """Return the fragments of a cell's BAM files."""
    fragments = 0
    for path in paths:
        with BamReader(path) as reader:
            fragments += sum(map(_count_primary, reader.fragments()))
    return fragments


_SEEDED = "import random, sys; random.seed(sys.argv.pop(1)); from HTSeq.scripts.count import main; main()"
"""htseq-count, whose choice of a gene (``--nonunique random``) can be repeated."""


def _run_htseq(paths: Sequence[str], counting: Counting) -> str:
    scoring = counting.scoring
    start = ["-c", _SEEDED, str(scoring.seed)] if scoring.nonunique == "random" else ["-m", "HTSeq.scripts.count"]
    command = [sys.executable, *start, "-f", "bam", "-r", "name", "-s", STRANDS[counting.strand]]
    command += ["-m", counting.mode, "-t", "exon", "-i", "gene_id", "-a", str(scoring.min_quality)]
    command += ["--nonunique", scoring.nonunique]
    command += ["--secondary-alignments", scoring.secondary_alignments]
    command += ["--supplementary-alignments", scoring.supplementary_alignments]
    command += ["-q", *map(path_argument, paths), path_argument(counting.exons)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": "0"},  # the order of the genes that it chooses from
    )
    if done.returncode:
        raise_if_killed("htseq-count", done.returncode)
        complaint = " ".join(done.stderr.split())[-500:] or f"exit status {done.returncode}"
        if re.search(r"\b(ModuleNotFound|Import)Error\b", done.stderr):
            raise MachineFault(f"htseq-count does not work here: {complaint}")
        raise InputError(f"htseq-count failed: {complaint}")
    return done.stdout


def same_counts(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return for each count whether it is the same; fractions may differ by how their sums are rounded."""
    if "f" in (left.dtype.kind, right.dtype.kind):
        return np.isclose(left, right, rtol=1e-9, atol=1e-9)
    return np.asarray(left == right)


def choose_checked(columns: Iterable[str]) -> str:
    """Return the column that htseq-count counts as well: that of the smallest hash, whatever the order."""
    return min(columns, key=lambda column: hashlib.sha256(column.encode()).hexdigest())


def check_fragments(log: Mapping[str, str], fragments: int) -> None:
    """Raise RunFault (READS_MISSING) where the fragments counted are not those that STAR mapped.

    STAR's own numbers must add up as well: the reads that it mapped and dropped are the reads that it read. Chimeric
    reads that are in the BAM file (chimOutType WithinBAM) are not among those mapped, but may be among those dropped.
    """
    numbers = {name: int(value) for name, value in log.items() if name.startswith("Number of reads") and value}
    reads = int(log[INPUT_READS])
    unique, multiple, chimeric = int(log[UNIQUELY_MAPPED]), numbers.get(MULTIPLE_LOCI, 0), int(log.get(CHIMERIC) or 0)
    mapped = unique + multiple
    if fragments not in (mapped, mapped + chimeric):
        raise RunFault(
            "READS_MISSING",
            f"{fragments} fragments were counted, but STAR mapped {mapped}"
            f" ({unique} to one locus, {multiple} to several loci).",
        )
    unmapped = [value for name, value in numbers.items() if name.startswith("Number of reads unmapped")]
    dropped = numbers.get(TOO_MANY_LOCI, 0) + sum(unmapped)
    if unmapped and not 0 <= reads - mapped - dropped <= chimeric:
        raise RunFault("READS_MISSING", f"STAR was given {reads} reads, but mapped {mapped} and dropped {dropped}.")


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
            return count_native(
                cells[column], genes, counting.mode, counting.strand, scoring=counting.scoring, cell=column
            )
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
    checkable_counting, ours = counting, checkable[checked]
    if counting.scoring.nonunique == "random":  # draws differ, but what is drawn from has to be the same
        comparable = counting.scoring._replace(nonunique="fraction")
        checkable_counting = counting._replace(scoring=comparable)
        ours = count_native(cells[checked], genes, counting.mode, counting.strand, scoring=comparable)
    (truth,) = _count_near(cells[checked], checkable_counting)
    differing = int((~same_counts(ours.genes, truth.genes)).sum() + (ours.tallies != truth.tallies).sum())
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


def _count_near(paths: Sequence[Path], counting: Counting) -> list[CellCounts]:
    """Count one cell with htseq-count, which reads the exons near its alignments alone."""
    with tempfile.TemporaryDirectory(".part", ".exons.", counting.scratch) as folder:
        exons = Path(folder) / "exons.gtf"
        write_near_exons(paths, counting.exons, exons)
        return count_htseq([paths], counting._replace(exons=exons), partial=True)


def prove_strands(cells: Mapping[str, list[Path]], counting: Counting, threads: int) -> dict[str, str]:
    """Return the strand of each cell by its uniquely mapped fragments; cells that cannot be read are of none."""
    genes = read_gene_intervals(counting.intervals)

    def count(column: str) -> tuple[int, int]:
        try:
            same, other = (
                int(count_native(cells[column], genes, "union", strand).genes.sum())
                for strand in ("forward", "reverse")
            )
        except BamError:  # its fault is found again where it is counted
            return 0, 0
        return same, other

    with ThreadPoolExecutor(threads) as pool:
        evidence = dict(zip(cells, pool.map(count, cells), strict=True))
    strands, words = settle_strands(evidence)
    print(words, file=sys.stderr)
    return strands


def count_by_strand(
    cells: Mapping[str, list[Path]], strands: Mapping[str, str], counting: Counting, counter: str, threads: int
) -> tuple[CountedCells, dict[str, str]]:
    """Count cells of several strands (column → strand, maybe ``auto``); return them, and the strand of each."""
    unknown = {column: paths for column, paths in cells.items() if strands[column] == AUTO}
    proved = prove_strands(unknown, counting, threads) if unknown else {}
    settled = {column: proved.get(column, strands[column]) for column in cells}
    parts = [
        count_cells(
            {column: paths for column, paths in cells.items() if settled[column] == strand},
            counting._replace(strand=strand),
            counter,
            threads,
        )
        for strand in sorted(set(settled.values()), key=list(STRANDS).index) or [counting.strand]
    ]
    counted = {column: counts for part in parts for column, counts in part.cells.items()}
    notes = dict.fromkeys(part.note for part in parts if part.note)
    whole = CountedCells(
        {column: counted[column] for column in cells}, merge_tools(part.tools for part in parts), "; ".join(notes)
    )
    return whole, settled


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


def mark_counted(of_cell: Iterable[RunStatus], log: Mapping[str, str], note: str = "") -> dict[str, RunStatus]:
    """Return run → status of the good runs of a cell that was counted: with the reads of its log, and a note."""
    reads, mapped = log[INPUT_READS], str(mapped_reads(log))
    return {
        status.run: status._replace(detail=note or status.detail, reads=reads, mapped=mapped)
        for status in of_cell
        if status.ok
    }


def count_shard(
    columns: Mapping[str, Sequence[Run]],
    statuses: Mapping[str, RunStatus],
    alignments: str | Path,
    counting: Counting,
    reference: str,
    *,
    counter: str,
    threads: int = 1,
    strand: StrandChoice | None = None,
) -> tuple[ShardCounts, dict[str, RunStatus]]:
    """Count the cells whose runs are all good; return the counts and the statuses of all runs after it.

    ``strand`` is that of ``counting`` where it is None.
    """
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
    choice = strand or StrandChoice(counting.strand)
    given = {column: choice.strand_of(column, columns[column]) for column in cells}
    counted, settled = count_by_strand(cells, given, counting, counter, threads)
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
    for column, of_cell in of_cells.items():
        statuses_after |= mark_counted(of_cell, logs[column], counted.note)
    star = [{"STAR": version} for version in star_versions(path for column in kept for path in cells[column])]
    dtype = counting.scoring.dtype
    matrix: np.ndarray = np.array([counts.genes for counts in kept.values()], dtype).reshape(
        len(kept), len(counting.genes)
    )
    tallies = np.array([counts.tallies for counts in kept.values()], np.int64).reshape(len(kept), len(TALLIES))
    shard = ShardCounts(
        genes=counting.genes,
        columns=list(kept),
        runs=[";".join(one.run for one in of_cells[column] if one.state != "left_out") for column in kept],
        counts=scipy.sparse.csc_matrix(matrix),
        tallies=tallies,
        logs=[logs[column] for column in kept],
        strands=[] if choice.is_fixed else [settled[column] for column in kept],
        reference=reference,
        tools=merge_tools([counted.tools, *star]) if kept else {},
    )
    return shard, statuses_after
