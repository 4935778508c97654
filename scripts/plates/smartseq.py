"""Count the cells of a shard with STARsolo (``--soloType SmartSeq``): one STAR for all pairs, one for all other reads.

A manifest names the reads of each run and its read group. A run that STAR refuses, or of which it does not read every
read, must not take the others with it: the call is tried again with each half of its cells, until the cell is alone.
So the numbers of a cell must not depend on the cells beside it: junctions are not filtered by all reads of the call
(``--outFilterType Normal``, whatever the preset says).
"""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from scripts.core.disk.files import path_below, remove_folder
from scripts.core.errors import InputError, MachineFault, RunFault, fault_of_run, raise_if_all_alike
from scripts.core.subprocesses import external_signal, raise_if_full
from scripts.formats.fastq_files import count_reads, read_pieces
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, is_whole
from scripts.plates.bam_groups import star_versions
from scripts.plates.cells import CellReads
from scripts.plates.counting import check_fragments, mark_counted
from scripts.plates.shard_counts import TALLIES, ShardCounts, read_shard_counts
from scripts.plates.smartseq_reads import ATTRIBUTES, NUMBERS, WIDTH, ReadNumbers, check_sums, read_numbers
from scripts.star.genome_memory import GenomeMemory
from scripts.star.log import INPUT_READS, read_star_log
from scripts.star.presets import PLATE_PRESETS, as_arguments
from scripts.star.program import failure_cause, raise_if_broken, raise_if_interrupted
from scripts.star.read_pipes import Source, read_pipes

SOLO_STRANDS = {"none": "Unstranded", "forward": "Forward", "reverse": "Reverse"}
STARSOLO = "starsolo"
"""The option of those who want it."""
COUNTS = "counts.h5ad"
"""The file of the counts in the folder of alignments."""
MARK = "counted_by_starsolo"
"""An empty file in every folder of alignments of a shard that STARsolo has counted."""
COUNTER = "STARsolo"
"""Who counted, in the tools of a shard."""


def solo_options(preset: str, strand: str, star_options: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the options of a call, but for its reads; ``star_options`` win over the preset."""
    return {
        **PLATE_PRESETS[preset],
        **star_options,
        "outFilterType": "Normal",
        "outSAMtype": "BAM Unsorted",
        "outSAMmode": "NoQS",
        "outSAMattributes": ATTRIBUTES,
        "outSAMunmapped": "Within",
        "soloType": "SmartSeq",
        "soloFeatures": "Gene",
        "soloUMIdedup": "NoDedup",
        "soloStrand": SOLO_STRANDS[strand],
        "soloCellFilter": "None",
    }


class ReadFiles(NamedTuple):
    """A pair of files, or a file of reads without mates: a line of the manifest."""

    cell: str
    files: tuple[Path, ...]


class SoloCounts(NamedTuple):
    """What STARsolo says of some cells: counts (int64, cells × genes), numbers of reads, and who they are."""

    cells: list[str]
    genes: list[str]
    counts: np.ndarray
    numbers: np.ndarray
    versions: set[str]


class SmartSeq:
    """Counts the cells of a shard in a folder for temporary files."""

    def __init__(
        self,
        index: Path,
        preset: str,
        strand: str,
        work: Path,
        star_options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.work = work
        self.options = solo_options(preset, strand, star_options)
        self.genome = GenomeMemory(index, work)
        self._calls = 0
        self._tested = False

    def count_all(
        self, cells: Sequence[CellReads], threads: int, genome_memory: str
    ) -> tuple[ShardCounts | None, dict[str, RunFault]]:
        """Count cells; return the counts of those that were counted (None where there is none), and column → fault.

        Raises Interrupted where STAR was killed twice, the disk became full or all of several cells crashed,
        MachineFault where STAR does not work.
        """
        faults: dict[str, RunFault] = {}
        found: list[SoloCounts] = []
        expected = {cell.name: _reads_by_ends(cell) for cell in cells}
        with self.genome.load(genome_memory) as genome_load:
            try:
                for ends in (2, 1):
                    lines = {cell.name: _lines(cell, ends) for cell in cells if expected[cell.name][ends]}
                    reads = {name: expected[name][ends] for name in lines}
                    arguments = ["--genomeLoad", genome_load, "--runThreadN", str(threads)]
                    found += self._count(lines, reads, arguments, faults)
            except BaseException:
                self.genome.stop()
                raise
        raise_if_all_alike([faults.get(cell.name) for cell in cells])
        return _join(found, [cell.name for cell in cells if cell.name not in faults]), faults

    def _count(
        self,
        lines: Mapping[str, Sequence[ReadFiles]],
        reads: Mapping[str, int],
        arguments: Sequence[str],
        faults: dict[str, RunFault],
    ) -> Iterator[SoloCounts]:
        """Yield the counts of cells (name → lines, reads): of one call, or of several without the cells at fault."""
        if not lines:
            return
        names = list(lines)
        try:
            yield self._call([line for name in names for line in lines[name]], reads, arguments)
            return
        except MachineFault:
            raise
        except Exception as error:
            fault = fault_of_run(error, "ALIGN_FAILED")
        if not self._tested:  # before the shard is tried cell by cell
            raise_if_broken(self.genome.run, arguments, self.work)
            self._tested = True
        if len(names) == 1:
            print(f"{names[0]}: {fault}", file=sys.stderr)
            faults[names[0]] = fault
            return
        print(f"{len(names)} cells together: {fault}\nEach half of them is tried by itself.", file=sys.stderr)
        middle = len(names) // 2
        for half in (names[:middle], names[middle:]):
            yield from self._count({name: lines[name] for name in half}, reads, arguments, faults)

    def _call(self, lines: Sequence[ReadFiles], reads: Mapping[str, int], arguments: Sequence[str]) -> SoloCounts:
        """Run STAR on the lines of a manifest.

        Raises RunFault where it fails, or has not read as many reads of each cell as it must.
        """
        folder = path_below(self.work, f"call.{self._calls}")
        self._calls += 1
        folder.mkdir()
        try:
            sources = _write_manifest(folder, lines)
            command = ["--readFilesManifest", "manifest.tsv", *arguments, *as_arguments(self.options)]
            status, complaint = self._run(command, folder, sources)
            if external_signal(status):  # by the system or a person: the reads need not be the cause
                print(f"{complaint} The cells are counted once more.", file=sys.stderr)
                status, complaint = self._run(command, folder, sources)
            if status:
                raise_if_interrupted(status, complaint, folder)
                raise RunFault("ALIGN_FAILED", f"STAR failed: {complaint}", failure_cause(status))
            return _read_call(folder, lines, reads)
        finally:
            remove_folder(self.work, folder.name, ignore_errors=True)

    def _run(self, command: Sequence[str], folder: Path, sources: Mapping[str, Source]) -> tuple[int, str]:
        with read_pipes(folder, sources):
            return self.genome.run(command, folder)


def _reads_by_ends(cell: CellReads) -> dict[int, int]:
    """Return how many reads of a cell have two ends and one; STAR must read as many."""
    single = sum(map(count_reads, cell.unpaired)) if cell.pairs else cell.spots
    return {2: cell.spots - single, 1: single}


def _lines(cell: CellReads, ends: int) -> list[ReadFiles]:
    files = cell.pairs if ends == 2 else [(path,) for path in cell.unpaired]
    return [ReadFiles(cell.name, tuple(paths)) for paths in files]


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the text of a FASTQ file, with an end of its last line: STAR reads the next file right after it."""
    last = b"\n"
    for piece in read_pieces(path):
        yield piece
        last = piece[-1:]
    if last != b"\n":
        yield b"\n"


def _write_manifest(folder: Path, lines: Sequence[ReadFiles]) -> dict[str, Source]:
    """Write the manifest; return the names under which STAR reads the files.

    STAR 2.7.10b takes no manifest of one line: one of no reads is added to it.
    """
    sources: dict[str, Source] = {}
    manifest = []
    filler = [ReadFiles("", lines[0].files)] if len(lines) == 1 else []
    for number, line in enumerate([*lines, *filler]):
        names = [f"{number:0{WIDTH}d}_{mate}" for mate in range(1, len(line.files) + 1)]
        for name, path in zip(names, line.files, strict=True):
            if line.cell:
                sources[name] = functools.partial(_whole_lines, path)
            else:
                (folder / name).touch()
        manifest.append("\t".join([names[0], names[1] if len(names) > 1 else "-", f"{number:0{WIDTH}d}"]) + "\n")
    (folder / "manifest.tsv").write_text("".join(manifest), encoding="ascii")
    return sources


def _read_call(folder: Path, lines: Sequence[ReadFiles], reads: Mapping[str, int]) -> SoloCounts:
    """Return what a call that ended well has written, by cell."""
    import scipy.io

    raw = folder / "Solo.out" / "Gene" / "raw"
    bam, matrix = folder / "Aligned.out.bam", raw / "matrix.mtx"
    if not bam.exists() or not matrix.exists():
        raise_if_full(folder)
        raise RunFault("ALIGN_FAILED", "STAR ended well, but wrote no BAM file or no matrix; is the disk full?")
    of_lines = read_numbers(bam, max(len(lines), 2))
    if fault := check_sums(of_lines, read_star_log(folder / "Log.final.out")):
        raise_if_full(folder)
        raise RunFault("COUNT_FAILED", fault)
    genes = [line.split("\t")[0] for line in (raw / "features.tsv").read_text(encoding="utf-8").splitlines()]
    counted = scipy.io.mmread(matrix).toarray().T.astype(np.int64)
    names = list(dict.fromkeys(line.cell for line in lines))
    owner = np.array([names.index(line.cell) for line in lines])
    counts = np.zeros((len(names), len(genes)), np.int64)
    numbers = np.zeros((len(names), of_lines.table.shape[1]), np.int64)
    np.add.at(counts, owner, counted[: len(lines)])
    np.add.at(numbers, owner, of_lines.table[: len(lines)])
    of_cells = ReadNumbers(numbers)
    for name, found in zip(names, of_cells.of(INPUT_READS).tolist(), strict=True):
        if found != reads[name]:
            words = f"STAR has read {found} reads, but the archive has {reads[name]} spots."
            raise RunFault("READS_MISSING", words if len(names) == 1 else f"{name}: {words}")
    if not of_cells.settle(counts.sum(axis=1)):
        raise RunFault("COUNT_FAILED", "the counts of STARsolo are not those of the reads in its BAM file.")
    return SoloCounts(names, genes, counts, numbers, star_versions([bam]))


def require_way(folder: str | Path, *, by_starsolo: bool) -> None:
    """Raise InputError where a folder of alignments was made for another counter."""
    if (Path(folder) / MARK).exists() != by_starsolo:
        has, wanted = ("BAM files", "STARsolo's counts") if by_starsolo else ("STARsolo's counts", "BAM files")
        raise InputError(
            f"{folder}: it has {has}, but this counter needs {wanted}. Delete the folder and run the same command"
            " again: the shard is aligned anew."
        )


def read_solo_counts(
    columns: Mapping[str, Sequence[Run]],
    statuses: Mapping[str, RunStatus],
    folder: str | Path,
    genes: list[str],
    reference: str,
) -> tuple[ShardCounts, dict[str, RunStatus]]:
    """Return the counts of the good cells of a shard, whose folder of alignments has them, and the statuses after it.

    Raises InputError where STAR's index has other genes than the table of genes.
    """
    require_way(folder, by_starsolo=True)
    good = {name: rows for name, rows in columns.items() if is_whole(statuses[row.run] for row in rows)}
    path = Path(folder) / COUNTS
    shard = read_shard_counts(path) if path.exists() else _empty(list(good), genes)
    if shard.genes != genes:
        raise InputError(
            f"STAR's index has {len(shard.genes)} genes, the table of genes {len(genes)}, or others: make both anew,"
            " from one annotation."
        )
    if set(shard.columns) != set(good):
        raise InputError(f"{path}: its cells are not those that were aligned; delete the folder and run again.")
    statuses_after = dict(statuses)
    fragments = np.asarray(shard.counts.sum(axis=1)).ravel() + shard.tallies.sum(axis=1)
    for cell, name in enumerate(shard.columns):
        check_fragments(shard.logs[cell], int(fragments[cell]))
        of_cell = [statuses[row.run] for row in good[name]]
        shard.runs[cell] = ";".join(one.run for one in of_cell if one.state != "left_out")
        statuses_after |= mark_counted(of_cell, shard.logs[cell])
    shard.reference = reference
    return shard, statuses_after


def _empty(cells: list[str], genes: list[str]) -> ShardCounts:
    """Return the counts of cells of which none has a read."""
    import scipy.sparse

    numbers = ReadNumbers(np.zeros((len(cells), len(NUMBERS)), np.int64))
    counts = scipy.sparse.csc_matrix((len(cells), len(genes)), dtype=np.int64)
    logs = [numbers.log(cell) for cell in range(len(cells))]
    tools = {"counter": COUNTER} if cells else {}
    return ShardCounts(genes, cells, list(cells), counts, numbers.tallies(), logs, tools=tools)


def _join(found: Sequence[SoloCounts], cells: Sequence[str]) -> ShardCounts | None:
    """Return the counts of cells, those of several calls added up; a cell without reads has zeros."""
    import scipy.sparse

    if not found:
        return None
    genes = found[0].genes
    position = {name: number for number, name in enumerate(cells)}
    counts = np.zeros((len(cells), len(genes)), np.int64)
    numbers = np.zeros((len(cells), found[0].numbers.shape[1]), np.int64)
    for call in found:
        for number, name in enumerate(call.cells):
            if name in position:
                counts[position[name]] += call.counts[number]
                numbers[position[name]] += call.numbers[number]
    order = sorted(range(len(genes)), key=lambda gene: genes[gene].encode())
    reads = ReadNumbers(numbers)
    return ShardCounts(
        genes=[genes[gene] for gene in order],
        columns=list(cells),
        runs=list(cells),  # read_solo_counts names them
        counts=scipy.sparse.csc_matrix(counts[:, order]),
        tallies=reads.tallies().reshape(len(cells), len(TALLIES)),
        logs=[reads.log(cell) for cell in range(len(cells))],
        tools={"counter": COUNTER, "STAR": ", ".join(sorted(set().union(*(call.versions for call in found))))},
    )
