"""Draw the report: what was asked for, what came of it, and what needs a look (results/report.html).

The page stands alone: style, charts and a small script are in it, no network, no clock. Its figures are those of the
plan, the ledger, the quality tables and the h5ad files in the folder of results, and STAR's statistics of libraries in
units/solo. However many cells there are, it has rows for series, libraries, failed runs and flagged cells (the first of
them, where there are very many), and charts of all cells.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import write_atomic
from scripts.formats.pages import cut, render
from scripts.harvest.report_page import droplets, files, findings, plates, quality_tables, runs, used
from scripts.plan.run_table import Run, read_runs
from scripts.plan.units import check_field
from scripts.references.gene_losses import warnings_of

MOST_ROWS = 1000
"""Series, files or notes that get a row of their own."""
MOST_NOT_COUNTED = 5000
"""Failed and left-out runs that get a row of their own."""


def draw_page(
    plan: Sequence[Run], ledger: Sequence[Run], results: Path, kept: str, warnings: Sequence[str] = ()
) -> str:
    """Return the page; ``kept`` is the folder of STAR's statistics of a library, with ``{unit}`` in it.

    ``warnings`` are sentences on the references. Raises InputError where a table or an h5ad cannot be read.
    """
    planned, settled = runs.frame_of(plan), runs.frame_of(ledger)
    cells, libraries = quality_tables.read_cells(results), quality_tables.read_libraries(results)
    counted = cells[cells.status != "failed"]
    worked_on = settled[(settled.assay == "plate") & (settled.status == "counted")]
    sections = [
        plates.plate_part(species, counted[counted.species == species], plates.read_notes(results / f"{species}.h5ad"))
        for species in sorted(set(worked_on.species))
        if species and "/" not in species
    ]
    library_part = droplets.droplet_part(
        libraries[libraries.status == "counted"], results, kept, runs.note_rows(settled, "droplet")
    )
    figures = runs.totals(settled)
    notes = runs.note_rows(settled, "plate")
    flagged_head, flagged = plates.flagged_rows(cells)
    provenance, methods = used.read_provenance(results), used.read_methods(results)
    links = [("look", "Needs a look"), ("flow", "What came in"), ("series", "Series"), ("not-counted", "Not counted")]
    links += [(f"plates-{part['species']}", f"Plate cells: {part['species']}") for part in sections]
    links += [("droplets", "Droplet libraries")] if library_part["libraries"] else []
    links += [("notes", "Notes")] if notes else []
    links += [("used", "What was used")] if provenance or methods else []
    looked = findings.findings_of(settled, cells, libraries, warnings)
    page = render(
        "harvest/templates/report.html",
        totals=figures,
        findings=looked,
        verdict=findings.verdict_of(looked),
        flow=runs.flow(planned, settled, figures),
        statuses=runs.STATUSES,
        links=[*links, ("files", "Files")],
        series=cut(runs.series_rows(planned, settled), MOST_ROWS, "series"),
        reasons=runs.reason_rows(settled),
        not_counted=cut(runs.not_counted(settled), MOST_NOT_COUNTED, "run"),
        flagged_head=flagged_head,
        flagged=flagged,
        flagged_note=cut(range(int((cells["flags"] != "").sum())), plates.MOST_FLAGGED, "cell", "quality/cells.csv.gz")[
            1
        ],
        notes=cut(notes, MOST_ROWS, "note"),
        plates=sections,
        legend_of=plates.legend_of,
        droplets=library_part,
        provenance=provenance,
        methods=methods,
        files=cut(files.file_rows(results), MOST_ROWS, "line", ""),
    )
    return str(page)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--plan", required=True, help="the run table before work (results/plan.tsv)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--results", help="the folder of results; default: that of the ledger")
    parser.add_argument(
        "--kept",
        help="folder of STAR's statistics of a library, with {unit} in it; default: units/solo/{unit} near the results",
    )
    parser.add_argument("--references", nargs="*", default=[], help="reference.json of each reference, for warnings")
    parser.add_argument("--output", required=True, help="the page to write (results/report.html)")
    options = parser.parse_args(argv)
    results = Path(options.results or Path(options.ledger).parent)
    kept = options.kept or str(results.absolute().parent / "units" / "solo" / "{unit}")
    check_field("--kept", kept)
    warnings = warnings_of(options.references)
    page = draw_page(read_runs(options.plan), read_runs(options.ledger), results, kept, warnings)
    write_atomic(options.output, page)
    print(f"{options.output}: {len(page) / 1e6:.1f} MB.", file=sys.stderr)
