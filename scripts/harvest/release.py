"""Make a release of a folder of results: a folder or an archive that can be checked, cited and compared.

It has the results as they are, SHA256SUMS of all, series.tsv (title, citation and PubMed ids of each series, by the
records that are kept), cells.tsv (a digest of the counts of every plate cell and library), with --since
changes_since.tsv (what changed since the release before, and why), release.json, datacite.json and README.md. Results
that `python -m scripts verify` finds faults in are refused. The same results make the same bytes; changes.tsv, which
depends on when the archives were asked, is left out. `python -m scripts verify RELEASE` checks it.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError
from scripts.harvest.checks.folder import check_results
from scripts.harvest.releases.contents import Earlier, read_earlier, side_of_results
from scripts.harvest.releases.differences import CHANGES_SINCE, Side, compare, summarize, write_differences
from scripts.harvest.releases.digests import CELLS, write_cells
from scripts.harvest.releases.pack import (
    ReleasedFile,
    members_of,
    members_of_results,
    sums_text,
    write_archive,
    write_folder,
)
from scripts.harvest.releases.series import SERIES, series_rows, write_series
from scripts.harvest.releases.texts import (
    DATACITE,
    README,
    RELEASE,
    About,
    Before,
    datacite_json,
    readme,
    release_json,
)
from scripts.harvest.results import MOST_ROWS, SUMS, read_ledger, read_sums

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,39}")


def find_results(folder: Path) -> Path:
    """Return the folder of results: this one, or that of an analysis directory. Raises InputError without one."""
    for path in (folder, folder / "results"):
        if (path / "runs.tsv").is_file():
            return path
    raise InputError(f"{folder}: neither a folder of results nor an analysis directory; it has no ledger (runs.tsv).")


def write_texts(
    folder: Path, results: Path, records: Path, side: Side, about: About, earlier: Earlier | None
) -> list[ReleasedFile]:
    """Write the files of a release beside the results into a folder; return them as members."""
    before = None
    if earlier:
        changes = compare(earlier.side, side)
        write_differences(folder / CHANGES_SINCE, changes)
        before = Before(earlier.version, earlier.sha256, summarize(changes))
    series = series_rows(read_ledger(results / "runs.tsv"), side.cells, records)
    write_series(folder / SERIES, series)
    write_cells(folder / CELLS, side.cells)
    texts = {
        RELEASE: release_json(about, side.cells, side.made, before),
        DATACITE: datacite_json(about, series, side.cells),
        README: readme(about, series, side.cells, before),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return list(members_of(folder, sorted(path.name for path in folder.iterdir()), hash_file))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("directory", help="the folder of results, or the analysis directory")
    parser.add_argument("--version", required=True, help="name of the release, e.g. 2026.11")
    parser.add_argument("--since", help="the release before: its folder, its archive, or a folder of results")
    parser.add_argument("--archive", action="store_true", help="write one tar file instead of a folder")
    parser.add_argument("--output", help="where to write it (releases/VERSION in the analysis directory)")
    parser.add_argument("--records", help="folder of the archives' answers (resources/records beside the results)")
    parser.add_argument("--title", default="", help="title, for datacite.json")
    parser.add_argument("--creator", nargs="+", default=[], help="names of its makers, 'Last, First'")
    parser.add_argument("--publisher", default="", help="where it is published")
    parser.add_argument("--doi", default="", help="its DOI, where one is reserved")
    parser.add_argument("--max-rows", type=int, default=MOST_ROWS, help="rows of the ledger, which are kept in memory")
    options = parser.parse_args(argv)
    if not _VERSION.fullmatch(options.version):
        raise InputError(f"--version {options.version[:80]!r}: letters, digits and '._+-' make one, 40 at most.")
    results = find_results(Path(options.directory))
    ending = ".tar" if options.archive else ""
    output = Path(options.output or results.resolve().parent / "releases" / f"{options.version}{ending}")
    if output.exists() or output.is_symlink():
        raise InputError(f"{output}: it is there; a release is not replaced. Give another --version or --output.")
    earlier = read_earlier(Path(options.since)) if options.since else None
    check_results(results, options.max_rows)
    side = side_of_results(results, options.max_rows)
    about = About(options.version, options.title, options.creator, options.publisher, options.doi)
    records = Path(options.records or results.resolve().parent / "resources" / "records")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        members = write_texts(folder, results, records, side, about, earlier)
        members += members_of_results(results, read_sums(results / SUMS))
        members.append(ReleasedFile(f"results/{SUMS}", results / SUMS, hash_file(results / SUMS)))
        (folder / SUMS).write_text(sums_text(members), encoding="utf-8", newline="")
        members += members_of(folder, [SUMS], hash_file)
        members.sort(key=lambda member: member.name.encode())
        output.parent.mkdir(parents=True, exist_ok=True)
        if options.archive:
            write_archive(output, f"sra2matrix-{options.version}", members)
        else:
            write_folder(output, members)
    print(f"{output}: {len(members)} files, {len(side.cells):,} plate cells and libraries.", file=sys.stderr)
