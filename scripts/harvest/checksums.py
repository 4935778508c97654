"""Write SHA256SUMS of the folder of results, after checking that the results are what the ledger says.

Each row of the ledger must have its final status; the counted runs must be the columns of the tables and the libraries
of the archives. `cd results && sha256sum -c SHA256SUMS` checks the sums.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file
from scripts.core.errors import raise_faults
from scripts.harvest.results import TIME_STAMP, conservation_faults, list_files, write_sums
from scripts.plan.run_table import read_runs


def clear_time_stamps(results: Path) -> None:
    """Remove Snakemake's own files from the results, and give their folders the times of these files."""
    for stamp in sorted(results.rglob(TIME_STAMP)):
        times = stamp.stat()
        stamp.unlink()
        os.utime(stamp.parent, ns=(times.st_atime_ns, times.st_mtime_ns))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--results", required=True, help="the folder of results")
    parser.add_argument("--output", required=True, help="the file to write (results/SHA256SUMS)")
    options = parser.parse_args(argv)
    results = Path(options.results)
    raise_faults(f"The folder {results}", conservation_faults(results, read_runs(results / "runs.tsv")))
    clear_time_stamps(results)
    write_sums(options.output, {name: hash_file(results / name) for name in list_files(results)})
