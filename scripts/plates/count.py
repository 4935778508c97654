"""Count the fragments of a shard's cells by gene, as htseq-count counts them.

Counters: 'native', our own (step functions made once for the reference, records decoded many at once); 'htseq-count',
the program itself, one call for all cells; 'auto', our own with one cell of the shard, chosen by a hash, counted by
htseq-count as well: if a single number differs, htseq-count counts the whole shard and the status table says so.

Nothing is believed: the fragments that were counted must be those that STAR says it mapped, and these with those it
dropped the reads that went in.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scripts.core.errors import InputError, RunFault
from scripts.core.files import atomic_path
from scripts.core.subprocesses import raise_if_killed
from scripts.plan.run_table import Run, columns_of
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_unit_options, runs_of_options
from scripts.plates.alignments import alignment_files, log_file, star_versions
from scripts.plates.bam_groups import CHUNK_BYTES, NO_TAG, UNMAPPED, BamReader
from scripts.plates.shard_counts import TALLIES, ShardCounts, merge_tools, read_shard_counts, write_shard_counts
from scripts.references.gene_intervals import MODES, GeneIntervals, StepCounter, read_gene_intervals
from scripts.references.genes_table import read_genes
from scripts.star.log import (
    INPUT_READS,
    MULTIPLE_LOCI,
    TOO_MANY_LOCI,
    UNIQUELY_MAPPED,
    read_star_log,
)

if TYPE_CHECKING:
    import numpy as np

COUNTERS = ("auto", "native", "htseq-count")
STRANDS = {"none": "no", "forward": "yes", "reverse": "reverse"}  # our word → htseq-count's
LEAST_QUALITY = 10  # htseq-count's -a
_CELLS_A_CALL = 500  # BAM files on one command line of htseq-count


class CellCounts(NamedTuple):
    """The counts of one cell: int64 by gene, and the five tallies in htseq-count's order."""

    genes: "np.ndarray"
    tallies: "np.ndarray"

    @property
    def fragments(self) -> int:
        return int(self.genes.sum() + self.tallies.sum())


def count_native(
    paths: Sequence[str | Path], genes: GeneIntervals, mode: str, strand: str, chunk_bytes: int = CHUNK_BYTES
) -> CellCounts:
    """Count the fragments of a cell's BAM files (grouped by name) with our own counter.

    Equals the sum of htseq-count's columns for these files with ``-r name -t exon -i gene_id --nonunique none``.
    Raises BamError where htseq-count stops with an error.
    """
    import numpy as np

    counter = StepCounter(genes, mode, strand != "none")
    low_quality = not_aligned = not_unique = 0
    for path in paths:
        with BamReader(path, chunk_bytes) as reader:
            lanes = np.array([counter.contig_numbers.get(name, -1) for name in reader.contigs] or [-1], np.int64)
            for chunk in reader.fragments():
                first, second = chunk.first, chunk.second
                has_first, has_second = first >= 0, second >= 0
                aligned = (chunk.flag & UNMAPPED) == 0
                first_aligned = has_first & aligned[first]
                second_aligned = has_second & aligned[second]
                unmapped = ~(first_aligned | second_aligned)
                first_hits, second_hits = chunk.hits[first], chunk.hits[second]
                # A first mate without NH ends htseq-count's look at NH before the second mate's turn.
                ends_look = has_first & (first_hits == NO_TAG)
                multiple = (has_first & (first_hits > 1)) | (~ends_look & has_second & (second_hits > 1))
                multiple &= ~unmapped
                low = has_first & (chunk.quality[first] < LEAST_QUALITY)
                low |= has_second & (chunk.quality[second] < LEAST_QUALITY)
                low &= ~(unmapped | multiple)
                not_aligned += int(unmapped.sum())
                not_unique += int(multiple.sum())
                low_quality += int(low.sum())
                good = ~(unmapped | multiple | low)
                records = np.stack([first[good], second[good]], axis=1)
                there = np.stack([first_aligned[good], second_aligned[good]], axis=1)
                owners, mates = np.nonzero(there)
                records = records[there]
                span_record, start, length = chunk.spans(records)
                lane = lanes[chunk.contig[records]]
                if counter.stranded:
                    minus = (chunk.flag[records] >> 4) & 1
                    lane = np.where(lane < 0, -1, 2 * lane + (minus ^ mates ^ (strand == "reverse")))
                span_owner, span_lane = owners[span_record], lane[span_record]
                fragments = int(good.sum())
                lost = span_lane < 0  # a contig without any exon: the whole fragment is without feature
                if lost.any():
                    homeless = np.zeros(fragments, bool)
                    homeless[span_owner[lost]] = True
                    kept = ~homeless[span_owner]
                    span_owner, span_lane, start, length = (
                        values[kept] for values in (span_owner, span_lane, start, length)
                    )
                counter.add(fragments, span_owner, (span_lane << 32) | start, length)
    counts, no_feature, ambiguous = counter.totals()
    tallies = np.array([no_feature, ambiguous, low_quality, not_aligned, not_unique], np.int64)
    return CellCounts(counts, tallies)


def count_htseq(
    cells: Sequence[Sequence[str | Path]], exons: str | Path, genes: Sequence[str], mode: str, strand: str
) -> list[CellCounts]:
    """Count cells with htseq-count itself, many files in one call; the files of a cell are added up.

    Raises InputError with htseq-count's words where it fails, or where its table is not whole.
    """
    import numpy as np

    files = [(number, str(path)) for number, paths in enumerate(cells) for path in paths]
    totals = np.zeros((len(cells), len(genes) + len(TALLIES)), np.int64)
    names = [*genes, *TALLIES]
    places = {name: place for place, name in enumerate(names)}
    for begin in range(0, len(files), _CELLS_A_CALL):
        batch = files[begin : begin + _CELLS_A_CALL]
        command = [sys.executable, "-m", "HTSeq.scripts.count", "-f", "bam", "-r", "name", "-s", STRANDS[strand]]
        command += ["-m", mode, "-t", "exon", "-i", "gene_id", "-a", str(LEAST_QUALITY), "--nonunique", "none", "-q"]
        command += [path for _, path in batch]
        done = subprocess.run(
            [*command, str(exons)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise_if_killed("htseq-count", done.returncode)
            told = " ".join(done.stderr.split())[-500:] or f"exit status {done.returncode}"
            raise InputError(f"htseq-count failed: {told}")
        owners = np.array([number for number, _ in batch])
        seen = set()
        for line in done.stdout.splitlines():
            name, *values = line.split("\t")
            if name not in places or name in seen or len(values) != len(batch):
                raise InputError(f"htseq-count wrote a row that nobody expects: {line[:80]!r}.")
            seen.add(name)
            np.add.at(totals[:, places[name]], owners, np.array(values, np.int64))
        if len(seen) != len(names):
            raise InputError(f"htseq-count wrote {len(seen)} rows instead of {len(names)}.")
    return [CellCounts(row[: len(genes)], row[len(genes) :]) for row in totals]


def htseq_version() -> dict[str, str]:
    """Return the installed version of HTSeq, for the tools of a shard that htseq-count counted or checked."""
    from importlib.metadata import version

    return {"HTSeq": version("HTSeq")}


def choose_checked(columns: Sequence[str]) -> str:
    """Return the column that is counted by htseq-count as well: that of the smallest hash."""
    return min(columns, key=lambda column: hashlib.sha256(column.encode()).hexdigest())


def check_fragments(log: Mapping[str, str], fragments: int) -> None:
    """Raise RunFault READS_MISSING where the fragments counted are not those that STAR mapped.

    STAR's own numbers must add up as well: what it mapped and what it dropped are the reads that went in.
    """
    numbers = {name: int(value) for name, value in log.items() if name.startswith("Number of reads") and value}
    reads = int(log[INPUT_READS])
    unique, multiple = int(log[UNIQUELY_MAPPED]), numbers.get(MULTIPLE_LOCI, 0)
    if fragments != unique + multiple:
        raise RunFault(
            "READS_MISSING",
            f"{fragments} fragments were counted, but STAR mapped {unique + multiple}"
            f" ({unique} to one place, {multiple} to several).",
        )
    unmapped = [value for name, value in numbers.items() if name.startswith("Number of reads unmapped")]
    dropped = numbers.get(TOO_MANY_LOCI, 0) + sum(unmapped)
    if unmapped and fragments + dropped != reads:
        raise RunFault(
            "READS_MISSING",
            f"STAR was given {reads} reads, but mapped {fragments} and dropped {dropped}.",
        )


def _count_cells(
    cells: Mapping[str, list[Path]],
    index: str | Path,
    exons: str | Path,
    genes: Sequence[str],
    mode: str,
    strand: str,
    counter: str,
    threads: int,
) -> tuple[dict[str, CellCounts | RunFault], dict[str, str], str]:
    """Return column → counts or the fault that befell it; who counted; why htseq-count did where we should have."""
    if counter == "htseq-count":
        return _count_with_htseq(cells, exons, genes, mode, strand), {"counter": counter} | htseq_version(), ""
    steps = read_gene_intervals(index)
    if steps.genes != list(genes):
        raise InputError(f"{index}: made from another table of genes; make both anew.")
    StepCounter(steps, mode, strand != "none")  # tells at once what cannot be counted

    def count(column: str) -> CellCounts | RunFault:
        try:
            return count_native(cells[column], steps, mode, strand)
        except InputError as error:
            return RunFault("COUNT_FAILED", str(error))

    with ThreadPoolExecutor(threads) as pool:
        counted = dict(zip(cells, pool.map(count, cells), strict=True))
    checkable = [column for column, counts in counted.items() if isinstance(counts, CellCounts) and counts.fragments]
    if counter == "native" or not checkable:
        return counted, {"counter": "native"}, ""
    checked = choose_checked(checkable)
    (truth,) = count_htseq([cells[checked]], exons, genes, mode, strand)
    ours = counted[checked]
    differing = int((ours.genes != truth.genes).sum() + (ours.tallies != truth.tallies).sum())
    if not differing:
        print(f"{checked}: htseq-count gives the same {len(genes) + len(TALLIES)} numbers.", file=sys.stderr)
        return counted, {"counter": "native"} | htseq_version(), ""
    note = (
        f"counted by htseq-count: in {checked}, which both counted, {differing} of {len(genes) + len(TALLIES)}"
        " numbers of the native counter differed"
    )
    print(f"{note}. Please report this.", file=sys.stderr)
    return _count_with_htseq(cells, exons, genes, mode, strand), {"counter": "htseq-count"} | htseq_version(), note


def _count_with_htseq(
    cells: Mapping[str, list[Path]], exons: str | Path, genes: Sequence[str], mode: str, strand: str
) -> dict[str, CellCounts | RunFault]:
    """Count all cells in one call; one bad file fails the call, then each cell gets a call of its own."""
    try:
        return dict(zip(cells, count_htseq(list(cells.values()), exons, genes, mode, strand), strict=True))
    except InputError as error:
        print(f"{error}\nNow each cell by itself.", file=sys.stderr)
    counted: dict[str, CellCounts | RunFault] = {}
    for column, paths in cells.items():
        try:
            (counted[column],) = count_htseq([paths], exons, genes, mode, strand)
        except InputError as error:
            counted[column] = RunFault("COUNT_FAILED", str(error))
    return counted


def count_shard(
    columns: Mapping[str, Sequence[Run]],
    statuses: Mapping[str, RunStatus],
    alignments: str | Path,
    index: str | Path,
    exons: str | Path,
    genes: Sequence[str],
    reference: str,
    *,
    mode: str,
    strand: str,
    counter: str,
    threads: int = 1,
) -> tuple[ShardCounts, dict[str, RunStatus]]:
    """Count the columns whose runs are all well; return the counts and what became of each run."""
    import numpy as np
    import scipy.sparse

    became = dict(statuses)
    cells: dict[str, list[Path]] = {}
    logs: dict[str, dict[str, str]] = {}

    def fail(column: str, fault: RunFault) -> None:
        print(f"{column}: {fault}", file=sys.stderr)
        for row in columns[column]:
            became[row.run] = became[row.run].failed(fault)

    for column, rows in columns.items():
        if not all(statuses[row.run].ok for row in rows):
            continue
        files = alignment_files(alignments, column)
        if not files or not log_file(alignments, column).exists():
            fail(column, RunFault("ALIGN_FAILED", "the folder of alignments has no BAM file or no log of it."))
            continue
        cells[column] = files
        logs[column] = read_star_log(log_file(alignments, column))
    counted, tools, note = _count_cells(cells, index, exons, genes, mode, strand, counter, threads)
    kept: dict[str, CellCounts] = {}
    for column, counts in counted.items():
        try:
            if isinstance(counts, RunFault):
                raise counts
            check_fragments(logs[column], counts.fragments)
        except RunFault as fault:
            fail(column, fault)
            continue
        kept[column] = counts
        for row in columns[column]:
            became[row.run] = became[row.run]._replace(detail=note or became[row.run].detail)
    told = [{"STAR": version} for version in star_versions(path for column in kept for path in cells[column])]
    matrix = np.stack([counts.genes for counts in kept.values()]) if kept else np.zeros((0, len(genes)), np.int64)
    tallies = [counts.tallies for counts in kept.values()] or np.zeros((0, len(TALLIES)))
    shard = ShardCounts(
        genes=list(genes),
        columns=list(kept),
        runs=[";".join(row.run for row in columns[column]) for column in kept],
        counts=scipy.sparse.csc_matrix(matrix),
        tallies=np.array(tallies, np.int64),
        logs=[logs[column] for column in kept],
        reference=reference,
        tools=merge_tools([tools, *told]) if kept else {},
    )
    return shard, became


def join_cells(counted: ShardCounts, earlier: ShardCounts, statuses: Mapping[str, RunStatus]) -> ShardCounts:
    """Return what was counted now beside those cells of an earlier round that are kept.

    Raises InputError where the two rounds counted with other genes or another reference.
    """
    import numpy as np
    import scipy.sparse

    if (counted.genes, counted.reference) != (earlier.genes, earlier.reference):
        raise InputError(
            f"The kept counts are of {earlier.reference} and the new ones of {counted.reference}: delete work/retry and"
            " count the whole shard again."
        )
    places = [place for place, runs in enumerate(earlier.runs) if statuses[runs.split(";")[0]].state == "kept"]
    return ShardCounts(
        genes=counted.genes,
        columns=counted.columns + [earlier.columns[place] for place in places],
        runs=counted.runs + [earlier.runs[place] for place in places],
        counts=scipy.sparse.csc_matrix(scipy.sparse.vstack([counted.counts, earlier.counts.tocsr()[places]])),
        tallies=np.concatenate([counted.tallies, earlier.tallies[places]]),
        logs=counted.logs + [earlier.logs[place] for place in places],
        reference=counted.reference,
        tools=merge_tools([counted.tools, *([earlier.tools] if places else [])]),
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_unit_options(parser, columns=True)
    parser.add_argument("--alignments", required=True, help="folder of the shard's BAM files, logs and status table")
    parser.add_argument("--count-index", required=True, help="step functions of the reference (count_index.npz)")
    parser.add_argument("--exons", required=True, help="exon lines of the annotation (exons.gtf)")
    parser.add_argument("--genes", required=True, help="table of genes (genes.tsv)")
    parser.add_argument("--reference", required=True, help="fingerprint of the reference (reference.json)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="htseq-count's -m")
    parser.add_argument("--strand", choices=tuple(STRANDS), default="none", help="htseq-count's -s: no, yes, reverse")
    parser.add_argument("--counter", choices=COUNTERS, default="auto", help="who counts, see above")
    parser.add_argument("--kept", nargs="?", help="what is kept of an earlier round, see scripts/reads/retry.py")
    parser.add_argument("--threads", type=int, default=1, help="cells counted side by side")
    parser.add_argument("--counts", required=True, help="counts of the shard to write (h5ad)")
    parser.add_argument("--status", required=True, help="status table of the shard to write")
    args = parser.parse_args(argv)
    columns = columns_of(runs_of_options(args), args.count_by)
    statuses = read_statuses(Path(args.alignments) / "status.tsv")
    missing = [row.run for rows in columns.values() for row in rows if row.run not in statuses]
    if missing:
        raise InputError(f"{args.alignments}/status.tsv: no row for {', '.join(missing)}; it is of another plan.")
    described = json.loads(Path(args.reference).read_text(encoding="utf-8"))
    shard, became = count_shard(
        columns,
        statuses,
        args.alignments,
        args.count_index,
        args.exons,
        [gene.gene_id for gene in read_genes(args.genes)],
        f"{described['name']} sha256:{described['fingerprint']}",
        mode=args.mode,
        strand=args.strand,
        counter=args.counter,
        threads=max(1, args.threads),
    )
    if args.kept:
        if (Path(args.kept) / "counts.h5ad").exists():
            shard = join_cells(shard, read_shard_counts(Path(args.kept) / "counts.h5ad"), became)
        became = {run: row._replace(state="ok") if row.state == "kept" else row for run, row in became.items()}
    write_shard_counts(args.counts, shard)
    with atomic_path(args.status) as partial:
        write_statuses(partial, became.values())
