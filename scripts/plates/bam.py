"""Keep a shard's alignments, on request: a BAM file for each cell, sorted by coordinate, with its index.

The header names the reference and the runs (@CO lines) and STAR's options, but no path and no number of threads;
reads of one coordinate are sorted by name. So the same reads give the same bytes.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, path_below, remove_folder, write_atomic
from scripts.core.disk.folders import require_whole
from scripts.core.errors import InputError
from scripts.core.subprocesses import (
    ends_with_command,
    path_argument,
    raise_if_killed,
    raise_if_not_started,
    release,
    run_program,
    start,
)
from scripts.plan.status import is_whole, read_statuses
from scripts.plan.units import add_runs_option, read_unit
from scripts.plates.cells import alignment_files
from scripts.plates.shard_counts import reference_label

_OF_THE_JOB = ("runThreadN", "genomeDir", "genomeLoad", "outFileNamePrefix", "limitIObufferSize")
_MEMORY = "200M"  # of each sorting thread


def make_header(text: str, reference: str, runs: Sequence[str]) -> str:
    """Return the header of a kept file, made from the one that STAR wrote.

    @SQ lines stay; STAR's @PG line keeps the options that change alignments; @CO lines are ours.
    """
    lines = ["@HD\tVN:1.6\tSO:coordinate"]
    lines += [line for line in text.splitlines() if line.startswith("@SQ\t")]
    for line in text.splitlines():
        if line.startswith("@PG\tID:STAR\t"):
            fields = dict(field.split(":", 1) for field in line.split("\t")[1:])
            options = re.split(r"\s+(?=--)", fields.pop("CL", ""))[1:]
            kept = sorted(" ".join(option.split()) for option in options if option[2:].split()[0] not in _OF_THE_JOB)
            lines.append("\t".join(["@PG", *(f"{key}:{value}" for key, value in fields.items())]))
            lines[-1] += f"\tCL:{' '.join(['STAR', *kept])}"
    lines.append(f"@CO\treference: {reference}")
    lines += [f"@CO\trun: {run}" for run in runs]
    return "\n".join(lines) + "\n"


def sort_cell(files: Sequence[Path], header: str, threads: int, output: Path) -> None:
    """Write the records of a cell's files sorted by coordinate, then by name, and an index beside.

    Raises InputError with samtools' words where it fails.
    """
    scratch = output.with_name(f".{output.name}.sorting")
    remove_folder(scratch.parent, scratch.name, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        (scratch / "header").write_text(header, encoding="utf-8")
        common = ["--no-PG", "-@", str(threads - 1), "-m", _MEMORY]
        steps = [
            ["samtools", "cat", "--no-PG", "-h", str(scratch / "header"), *map(path_argument, files)],
            ["samtools", "sort", *common, "-n", "-l", "0", "-T", str(scratch / "named"), "-"],
            ["samtools", "sort", *common, "-T", str(scratch / "placed"), "-o", str(scratch / "sorted.bam"), "-"],
        ]
        _pipe(steps, scratch)
        _pipe([["samtools", "index", str(scratch / "sorted.bam")]], scratch)
        _pipe([["samtools", "quickcheck", "-v", str(scratch / "sorted.bam")]], scratch)
        (scratch / "sorted.bam.bai").replace(f"{output}.bai")
        (scratch / "sorted.bam").replace(output)
    finally:
        remove_folder(scratch.parent, scratch.name, ignore_errors=True)


def _pipe(steps: Sequence[Sequence[str]], folder: Path) -> None:
    """Run programs, each reading what the one before writes. Raises InputError where any of them fails."""
    running: list[subprocess.Popen[bytes]] = []
    with (folder / "messages").open("w+b") as messages:
        for step in steps:
            source = running[-1].stdout if running else None
            target = subprocess.DEVNULL if step is steps[-1] else subprocess.PIPE
            running.append(start(step, stdin=source or subprocess.DEVNULL, stdout=target, stderr=messages))
            if source:
                source.close()
        statuses = [process.wait() for process in running]
        for process in running:
            release(process)
        messages.seek(0)
        complaint = " ".join(messages.read().decode("utf-8", "replace").split())[-400:]
    for step, status in zip(steps, statuses, strict=True):
        raise_if_killed(step[0], status)
        raise_if_not_started(step[0], status, complaint)
    if any(statuses):
        raise InputError(f"{' | '.join(' '.join(step[:2]) for step in steps)} failed: {complaint or statuses}.")


def samtools_version() -> dict[str, str]:
    """Return the version of the installed samtools as ``{"samtools": version}``; none where it does not say."""
    found = re.match(r"samtools (\S+)", run_program(["samtools", "--version"]).output)
    return {"samtools": found[1]} if found else {}


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--alignments", required=True, help="folder of the shard's BAM files and status table")
    parser.add_argument("--reference", required=True, help="fingerprint of the reference (reference.json)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each sort")
    parser.add_argument("--tools", type=Path, help="record of the version of samtools to write (JSON)")
    parser.add_argument("--output", required=True, help="folder of sorted BAM files to write")
    args = parser.parse_args(argv)
    columns = read_unit(args.runs)
    require_whole(args.alignments)
    statuses = read_statuses(Path(args.alignments) / "status.tsv")
    reference = reference_label(args.reference)
    with ends_with_command(), atomic_folder(args.output) as output:
        for column, rows in columns.items():
            files = alignment_files(args.alignments, column)
            if not files or not is_whole(statuses[row.run] for row in rows if row.run in statuses):
                print(f"{column}: not aligned, nothing to keep.", file=sys.stderr)
                continue
            answer = run_program(["samtools", "view", "--no-PG", "-H", path_argument(files[0])])
            if answer.status:
                raise InputError(f"samtools view failed: {' '.join(answer.errors.split()) or answer.status}.")
            header = make_header(answer.output, reference, [row.run for row in rows])
            sort_cell(files, header, max(1, args.threads), path_below(output, f"{column}.bam"))
        if args.tools:
            write_atomic(args.tools, json.dumps(samtools_version()) + "\n")
