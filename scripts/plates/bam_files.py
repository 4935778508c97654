"""Put the kept alignments of the cells or the library of a unit that are planned into the results, without a copy.

What `bam` wrote stays in units/bam, also of a cell that is left out, so that one that comes back is not aligned again.
The files in the results are hard links, or copies where the file system has none.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder, path_below
from scripts.plan.units import add_runs_option, read_unit


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where that cannot be done."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--alignments", required=True, type=Path, help="folder of the sorted BAM files of the unit")
    parser.add_argument("--output", required=True, type=Path, help="folder of those that are planned")
    args = parser.parse_args(argv)
    with atomic_folder(args.output) as output:
        for column in read_unit(args.runs):
            for name in (f"{column}.bam", f"{column}.bam.bai"):
                source = path_below(args.alignments, name)
                if source.is_file():
                    link_or_copy(source, path_below(output, name))
                else:
                    print(f"{name}: none was kept.", file=sys.stderr)
