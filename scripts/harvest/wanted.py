"""List the results that are asked for, and remove those that an earlier configuration asked for and this one does not.

The list, ``units/wanted.txt``, has a path a line, sorted: files and folders below ``results/``. Only what an earlier
list names is removed, so that files of yours stay. Without this a table that is switched off, or the archive of a
library that is left out, would stay among the results as if it were of this configuration.
"""

import contextlib
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import path_below, remove_folder, write_atomic
from scripts.plan.matrices import archive_folders
from scripts.plan.units import is_shard, unit_names

RESULTS = "results"
KINDS = ("cells", "features", "plate_bam", "droplet_bam")
"""Results of which each unit, or each series, has its own, where they are asked for; archives are in any case."""


def results_of_units(units: Iterable[str], kinds: Collection[str]) -> set[str]:
    """Return the results that the units of a plan have of their own, of these :data:`KINDS`."""
    units = list(units)
    libraries = [(*name.split(".", 2),) for name in units if not is_shard(name)]
    folders = archive_folders((experiment, species) for _, species, experiment in libraries)
    found = {f"{RESULTS}/mex/{folder}" for folder in folders.values()}
    for kind, folder in (("cells", "droplets"), ("features", "droplets/features")):
        if kind in kinds:
            found |= {f"{RESULTS}/{folder}/{series}.{species}.h5ad" for series, species, _ in libraries}
    for name in units:
        if ("plate_bam" if is_shard(name) else "droplet_bam") in kinds:
            found.add(f"{RESULTS}/bam/{name}")
    return found


def remove_results(paths: Iterable[str]) -> list[str]:
    """Remove these files and folders below ``results/``, and folders that are empty then; return what there was.

    A folder may be empty before: Snakemake makes it, and may be killed before the job writes there.
    """
    removed = []
    for path in paths:
        top, *names = path.split("/")
        if top != RESULTS or not names:
            continue
        if path_below(top, *names).exists():
            removed.append(path)
            if Path(path).is_dir():
                remove_folder(top, *names)
            else:
                Path(path).unlink()
        with contextlib.suppress(OSError):  # it has other files
            for _ in names[:-1]:
                names.pop()
                Path(top, *names).rmdir()
    return removed


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--units", required=True, help="folder of the run tables of all units")
    parser.add_argument("--named", nargs="*", default=[], metavar="PATH", help="results that no unit has of its own")
    parser.add_argument("--kinds", nargs="*", default=[], choices=KINDS, help="what units and series have of their own")
    parser.add_argument("--output", required=True, type=Path, help="the list, of an earlier call too")
    options = parser.parse_args(argv)
    wanted = {*options.named, *results_of_units(unit_names(options.units), options.kinds)}
    earlier = options.output.read_text(encoding="utf-8").splitlines() if options.output.exists() else []
    for path in remove_results(sorted(set(earlier) - wanted)):
        print(f"{path}: no longer asked for, removed.", file=sys.stderr)
    write_atomic(options.output, "".join(f"{path}\n" for path in sorted(wanted)))
