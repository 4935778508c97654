"""Align the cells of a plate shard with STAR under one load of the genome, several cells side by side.

scripts/star/genome_memory.py describes where the genome is loaded; the log says where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import remove_folder
from scripts.core.errors import raise_faults
from scripts.core.subprocesses import ends_with_command, raise_if_killed
from scripts.plan.star_options import parse_options, plate_option_faults
from scripts.plan.units import add_runs_option, read_unit
from scripts.plates.aligner import Aligner
from scripts.plates.cells import fail_runs, find_cells, publish, read_cell_statuses
from scripts.plates.shard_counts import write_shard_counts
from scripts.plates.smartseq import COUNTS, MARK, SOLO_STRANDS, SmartSeq
from scripts.star.genome_memory import find_namespace, mode_inside, run_in_namespace
from scripts.star.presets import PLATE_PRESETS, changes_genome
from scripts.star.program import require_index, require_options


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--fastq", required=True, help="folder of the shard's FASTQ files and status table")
    parser.add_argument("--index", required=True, help="folder of STAR's index")
    parser.add_argument("--preset", choices=tuple(PLATE_PRESETS), default="census2017", help="options of STAR")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of STAR that overrides the preset"
    )
    parser.add_argument(
        "--solo-strand",
        choices=tuple(SOLO_STRANDS),
        help="count the cells with STARsolo (SmartSeq), of this strand, instead of aligning each by itself",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of all STARs together")
    parser.add_argument("--output", required=True, help="folder of alignments to write")
    parser.add_argument("--scratch", help="folder for partial results, default beside the output")
    parser.add_argument(
        "--genome-memory",
        choices=("auto", "shared", "none", "inside", "huge"),
        default="auto",
        help="where the genome is loaded: namespaces of the job's own where they are allowed (auto), the node's shared"
        " memory (shared), each STAR by itself (none); inside, huge: this process is in namespaces already",
    )
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    star_options = parse_options(args.set)
    raise_faults("--set", plate_option_faults(star_options))
    require_options(star_options)
    require_index(args.index)
    columns = read_unit(args.runs)
    statuses = read_cell_statuses(args.fastq, columns)
    cells, statuses = find_cells(columns, statuses, Path(args.fastq))
    genome_memory = args.genome_memory
    if genome_memory == "auto":
        if len(cells) < 2 or changes_genome(star_options):
            genome_memory = "none"  # nothing to share
        elif namespace := find_namespace():
            status = run_in_namespace(namespace, ["align", *argv, "--genome-memory", mode_inside(namespace)])
            raise_if_killed("The process that aligns", status)
            if status:
                sys.exit(status)
            return
        else:
            genome_memory = "shared"
    output = Path(args.output)
    beside = Path(args.scratch) if args.scratch else output.parent
    beside.mkdir(parents=True, exist_ok=True)
    with ends_with_command():
        if args.solo_strand:
            partial = beside / f".{args.runs.stem}.solo"
            remove_folder(beside, partial.name, ignore_errors=True)
            partial.mkdir()
            solo = SmartSeq(Path(args.index), args.preset, args.solo_strand, partial, star_options)
            counts, faults = solo.count_all(cells, max(1, args.threads), genome_memory)
            for name, fault in faults.items():
                fail_runs(columns[name], statuses, fault)
            if counts:
                write_shard_counts(partial / COUNTS, counts)
            (partial / MARK).touch()
            publish(partial, output, columns, statuses, [COUNTS, MARK])
            return
        partial = beside / f".{args.runs.stem}.align"
        aligner = Aligner(Path(args.index), args.preset, partial, star_options)
        missing = [cell for cell in cells if not aligner.is_aligned(cell)]
        if len(missing) < len(cells):
            print(f"{len(cells) - len(missing)} column(s) were aligned by an earlier try.", file=sys.stderr)
        faults = aligner.align_all(missing, max(1, args.threads), genome_memory) if missing else {}
        for name, fault in faults.items():
            fail_runs(columns[name], statuses, fault)
        publish(partial, output, columns, statuses)
