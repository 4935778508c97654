"""Check a folder of results, wherever it came from: nothing changed, nothing lost, and its files agree.

The files and their checksums are those of SHA256SUMS, and there is nothing else: no link, no other file. The ledger has
the rows of the plan, each with a final status, and the counted ones are the columns of the tables and the libraries of
the archives. The tables of a species have the same cells; the counts and tallies of each cell add up to the reads that
STAR mapped; the h5ad has each count of the table, and the TPM of a cell are a million. The table of quality has the
counted cells. The members of each archive have the md5 sums of its metadata, its cells are all that its filter calls
for their counts, and the h5ad of droplets has the cells and counts of the archives, its layers those of the raw ones.
The metadata are of counted samples. What was used (provenance.json) agrees with the ledger, the h5ad files and
methods.txt. The files of an atlas are those of its manifest; atlas_check reads them. The report is compared with
SHA256SUMS alone. changes.tsv, which says how the results came about, is not in SHA256SUMS; only its form is checked. Of
a release the same is checked, and that its table of cells is that of its results. Exit status 0 when all is well, else
2; every fault is reported.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.harvest.checks.folder import check_results
from scripts.harvest.releases.contents import check_release, is_release
from scripts.harvest.results import MOST_ROWS


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("results", help="the folder of results, or of a release")
    parser.add_argument("--max-rows", type=int, default=MOST_ROWS, help="rows of the ledger, which are kept in memory")
    options = parser.parse_args(argv)
    folder = Path(options.results)
    if folder.is_file():
        raise InputError(f"{folder}: a file; unpack it first (tar -xf), then check the folder.")
    check = check_release if is_release(folder) else check_results
    number = check(folder, options.max_rows)
    print(f"{options.results}: {number} files, unchanged, complete and in agreement.", file=sys.stderr)
