"""Draw the report: what was asked for, what came of it, and the quality of the cells (results/report.html).

The page stands alone: style and charts are in it, no script, no network, no clock. Its figures are those of the plan,
the ledger and the h5ad files in the folder of results. However many cells there are, it has a row for each series,
library and failed run (the first of them, where there are very many), and charts of all cells.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from scripts.core.command import command_parser
from scripts.core.files import write_atomic
from scripts.formats.charts import Scale, density, histogram, parts_bar, scale_of, short_number, spread
from scripts.formats.pages import cut, render, thousands
from scripts.harvest.cell_figures import read_cells
from scripts.harvest.quality.flags import FLAGS
from scripts.harvest.results import list_files
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import COLUMNS, Run, read_runs
from scripts.plates.shard_counts import COUNTED_TOO, TALLIES
from scripts.references.gene_losses import warnings_of

MOST_FAILED = 500
"""Failed runs that get a row of their own."""
MOST_ROWS = 400
"""Series, libraries or files that get a row of their own."""
MOST_FLAGGED = 500
"""Flagged cells that get a row of their own."""
MOST_SERIES = 6
"""Series that are named for a reason."""
Row = list[Any]
Chart = tuple[Markup, str, str]

_FOLDERS = (
    (r"(mex/[^/]+/).+\.tar\.gz", r"\1*.tar.gz", "droplet counts: a matrix with its barcodes and features"),
    (r"(atlas/[^/]+\.distribution/).+", r"\1*", "cells of the atlas by pairs of labels"),
    (r"(atlas/[^/]+\.agreement/).+", r"\1*", "agreement of the first, second and third label of cells of the atlas"),
    (r"(atlas/[^/]+\.train/[^/]+/).+", r"\1*", "a classifier of a label, tested on series that it has not seen"),
    (r"(atlas/[^/]+/).+", r"\1*", "the cells as vectors, and the map from each row to its cell"),
)
"""Files that are shown in one row: their paths, the name of the row, what they are."""
_FILES = {
    "plan.tsv": "the plan: every run that entered, before work",
    "runs.tsv": "the ledger: every run that entered, with its final status",
    ".htseq-count.csv.gz": "plate counts: a row a gene, a column a cell",
    ".tpm.csv.gz": "transcripts per million of plate cells",
    ".log.csv.gz": "STAR's logs: a row a field, a column a cell",
    "_meta.tgz": "GEO's records of series, platforms and samples, as JSON",
    ".metadata.samples.csv": "the samples of the counted cells",
    ".metadata.series.csv": "the series of the counted cells",
    ".h5ad": "counts as AnnData",
    "quality/cells.csv.gz": "the quality of every plate cell, with flags",
    ".bam": "alignments",
}
"""What other files are, by the end of their names."""
_WITH_SOURCES = ("plan.tsv", "runs.tsv")
_TITLES = {
    "reads": ("reads a cell", "Reads"),
    "mapped": ("uniquely mapped reads, percent", "Uniquely mapped, %"),
    "genes": ("genes a cell", "Genes detected"),
}
"""Title and name of the chart of a figure of plate cells."""
_STATUSES = {"counted": "counted", "left_out": "left out", "failed": "failed"}


def frame_of(rows: Sequence[Run]) -> pd.DataFrame:
    """Return a run table as a data frame of text."""
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


def totals(plan: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, int]:
    """Return the key figures."""
    counted = ledger[ledger.status == "counted"].drop_duplicates(["experiment", "species", "assay"])
    return {
        "series": ledger.series.nunique(),
        "rows": len(ledger),
        "planned": int((plan.status == "planned").sum()),
        "cells": int((counted.assay == "plate").sum()),
        "libraries": int((counted.assay == "droplet").sum()),
    } | {status: int((ledger.status == status).sum()) for status in _STATUSES}


def series_rows(plan: pd.DataFrame, ledger: pd.DataFrame) -> list[Row]:
    """Return for each series its kind of cells, how many of its runs have which status, and a bar of these."""
    planned = plan.series[plan.status == "planned"].value_counts()
    numbers = ledger.value_counts(["series", "status"])
    kinds: dict[str, list[str]] = {}
    worked_on = ledger[ledger.status.isin(["counted", "failed"])]
    for series, species, assay in sorted(worked_on.value_counts(["series", "species", "assay"]).index):
        kinds.setdefault(series, []).append(f"{species} {assay}")
    rows: list[Row] = []
    for series in sorted(set(ledger.series)):
        runs = {status: int(numbers.get((series, status), 0)) for status in _STATUSES}
        parts = [(status, words, runs[status]) for status, words in _STATUSES.items()]
        bar = parts_bar(parts, title=f"{series}: counted, left out, failed")
        shown = [int(planned.get(series, 0)), runs["counted"], runs["failed"], runs["left_out"]]
        rows.append([series, ", ".join(kinds.get(series, ())) or None, *(number or None for number in shown), bar])
    return rows


def reason_rows(ledger: pd.DataFrame) -> list[Row]:
    """Return status, reason, its meaning, number of runs and their series, for each reason; the most frequent first."""
    rows: list[Row] = []
    for status in ("failed", "left_out"):
        of_status = ledger[ledger.status == status]
        reasons = of_status.reason.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        for reason, number in reasons.items():
            series = of_status.series[of_status.reason == reason].value_counts().sort_index()
            named = [f"{name} ({runs:,})" for name, runs in series.head(MOST_SERIES).items()]
            more = f" and {len(series) - MOST_SERIES:,} more" if len(series) > MOST_SERIES else ""
            meaning = REASONS[str(reason)].meaning if str(reason) in REASONS else ""
            rows.append([status.replace("_", "\u00a0"), reason, meaning, int(number), ", ".join(named) + more])
    return rows


def flagged_cells(results: Path) -> list[Row]:
    """Return series, cell, species, flags, status, reads, mapped share and genes of each flagged plate cell."""
    path = results / "quality" / "cells.csv.gz"
    if not path.exists():
        return []
    cells = pd.read_csv(path, dtype=str, keep_default_na=False, compression="gzip")
    flagged = cells[cells["flags"] != ""]
    shares = pd.to_numeric(flagged.pct_mapped).map(lambda share: f"{share:.1f}%" if share == share else None)
    names = [flagged[name] for name in ("series", "cell", "species", "flags", "status")]
    numbers = [pd.to_numeric(flagged[name]) for name in ("reads", "n_genes_by_counts")]
    return [list(row) for row in zip(*names, numbers[0], shares, numbers[1], strict=True)]


def note_rows(ledger: pd.DataFrame) -> list[Row]:
    """Return series, number of runs, the first of them and its note, for each kind of note on counted runs.

    Notes on droplet libraries have figures of each run; all of one chemistry and read roles are of one kind.
    """
    noted = ledger[(ledger.status == "counted") & (ledger.detail != "")]
    kinds = noted.detail.where(noted.assay != "droplet", noted.chemistry + "\t" + noted.read_roles)
    groups = noted.groupby(["series", kinds])
    return [[series, len(runs), runs.run.iloc[0], runs.detail.iloc[0]] for (series, _), runs in groups]


def _chart(values: pd.Series, scale: Scale, title: str, name: str) -> Chart:
    """Return a histogram with its caption."""
    low, high = values.quantile([0.05, 0.95])
    return histogram(values.to_numpy(), scale, title), name, f"5–95 %: {short_number(low)}–{short_number(high)}"


def _density(cells: pd.DataFrame, figure: str, scales: tuple[Scale, Scale], noun: str) -> Chart:
    chart = density(cells[figure].to_numpy(), cells.genes.to_numpy(), scales, f"{noun} and genes of all cells")
    return chart, f"Genes by {noun}", "(darker: more cells)"


def _parts(sums: Mapping[Any, float]) -> list[tuple[str, str, float]]:
    """Return class, words and reads of each part of the mapped reads, from the sums of counts and tallies."""
    names = {"counts": "in genes"} | {name: name.strip("_").replace("_", " ") for name in TALLIES}
    return [(f"part-{index}", words, sums[name]) for index, (name, words) in enumerate(names.items()) if name in sums]


def plate_part(species: str, cells: pd.DataFrame, notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the quality of the plate cells of a species: charts of all, and a row for each series."""
    noted = "; ".join(f"{name}: {value}" for name, value in notes.items())
    if cells.empty:
        return {"species": species, "cells": 0, "notes": noted}
    scales = {
        name: scale_of(cells[name].to_numpy(), name == "reads", 100 if name == "mapped" else None)
        for name in _TITLES
        if name in cells
    }
    charts = [_chart(cells[name], scale, *_TITLES[name]) for name, scale in scales.items()]
    if "reads" in scales:
        charts.append(_density(cells, "reads", (scales["reads"], scales["genes"]), "reads"))
    of_series = cells.groupby("series")
    medians = of_series[list(scales)].median().to_dict("index")
    columns = ["counts", *TALLIES] if set(TALLIES) <= set(cells) else []
    if notes.get("nonunique", "none") != "none":  # each read is one part of them all
        columns = [name for name in columns if name not in COUNTED_TOO]
    sums = of_series[columns].sum().to_dict("index")
    rows: list[Row] = []
    for series, mine in of_series:
        row: Row = [series, len(mine)]
        for name in _TITLES:
            if name in scales:
                values = mine[name].to_numpy()
                row += [short_number(medians[series][name]), spread(values, scales[name], f"{series}: spread")]
            else:
                row += [None, ""]
        title = f"{series}: where the mapped reads went"
        rows.append([*row, parts_bar(_parts(sums[series]), 130, 10, title) if columns else ""])
    shown, note = cut(rows, MOST_ROWS, "series")
    shares = _parts(cells[columns].sum().to_dict()) if columns else []
    whole = max(sum(total for _, _, total in shares), 1)
    return {
        "species": species,
        "cells": len(cells),
        "notes": noted,
        "charts": charts,
        "bar": parts_bar(shares, 700, 20, "where the mapped reads went"),
        "shares": [(kind, f"{words} {total / whole:.1%}") for kind, words, total in shares],
        "rows": shown,
        "caption": note or "Median, then the 5th to 95th percentile (line), the quartiles (box) and the median (mark).",
    }


def library_rows(ledger: pd.DataFrame, cells: Mapping[str, pd.DataFrame]) -> list[Row]:
    """Return a row for each counted droplet library; ``cells`` are those of each series and species."""
    rows: list[Row] = []
    counted = ledger[(ledger.assay == "droplet") & (ledger.status == "counted")]
    for (series, species, experiment), runs in counted.groupby(["series", "species", "experiment"]):
        figures: Row = [None] * 4
        matrix = cells.get(f"{series}.{species}")
        if matrix is not None:
            mine = matrix[matrix.experiment == experiment]
            medians = [short_number(mine[name].median()) if len(mine) else None for name in ("counts", "genes")]
            figures = [len(mine), thousands(mine.counts.sum()), *medians]
        chemistry = ", ".join(sorted(set(runs.chemistry) - {""}))
        halves = (runs.read_roles != "") & ~runs.read_roles.str.contains("barcode")  # cDNA of another run's spots
        spots = sum(map(int, filter(None, runs.spots[~halves])))
        reads = short_number(spots) if spots else None
        rows.append([series, species, experiment, chemistry or None, len(runs), reads, *figures])
    return rows


def droplet_charts(cells: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, int, list[Chart]]]:
    """Yield species, number of cells and charts of all its droplet cells."""
    of_species: dict[str, list[pd.DataFrame]] = {}
    for name, matrix in cells.items():
        if not matrix.empty:
            of_species.setdefault(name.rpartition(".")[2], []).append(matrix)
    for species, matrices in of_species.items():
        gathered = pd.concat(matrices)
        scales = scale_of(gathered.counts.to_numpy(), True), scale_of(gathered.genes.to_numpy(), False)
        charts = [
            _chart(gathered.counts, scales[0], "molecules a cell", "Molecules"),
            _chart(gathered.genes, scales[1], *_TITLES["genes"]),
            _density(gathered, "counts", scales, "molecules"),
        ]
        yield species, len(gathered), charts


def _describe_file(name: str) -> tuple[str, str]:
    """Return under which name a file is shown, and what it is."""
    for pattern, shown, meaning in _FOLDERS:
        if found := re.fullmatch(pattern, name):
            return found.expand(shown), meaning
    return name, next((meaning for ending, meaning in _FILES.items() if name.endswith(ending)), "")


def file_rows(results: Path) -> list[Row]:
    """Return name, content, number and size of the files; archives of a library, and files of an atlas, in one row.

    Plan and ledger have no size: it depends on the archive that served a run, which changes nothing else.
    """
    sizes: dict[tuple[str, str], list[int]] = {}
    for name in list_files(results):
        if name != "report.html" and not name.endswith(".part"):
            sizes.setdefault(_describe_file(name), []).append((results / name).stat().st_size)
    return [
        [*shown, len(of_row), None if shown[0] in _WITH_SOURCES else f"{short_number(sum(of_row))}B"]
        for shown, of_row in sizes.items()
    ]


def draw_page(plan: Sequence[Run], ledger: Sequence[Run], results: Path, warnings: Sequence[str] = ()) -> str:
    """Return the page; ``warnings`` are sentences on the references."""
    planned, settled = frame_of(plan), frame_of(ledger)
    worked_on = settled[(settled.assay == "plate") & settled.status.isin(["counted", "failed"])]
    paths = {species: results / f"{species}.h5ad" for species in sorted(set(worked_on.species))}
    plates = [plate_part(species, *read_cells(path)) for species, path in paths.items() if path.exists()]
    droplets = {path.stem: read_cells(path)[0] for path in sorted((results / "droplets").glob("*.h5ad"))}
    notes, libraries = note_rows(settled), library_rows(settled, droplets)
    flagged = flagged_cells(results)
    failed = settled[settled.status == "failed"]
    shown = failed[["series", "sample", "run", "species", "reason", "detail"]].values.tolist()
    links = [("series", "Series"), ("reasons", "Failed and left out")]
    links += [("flagged", "Needs a look")] if flagged else []
    links += [("notes", "Notes")] if notes else []
    links += [(f"plates-{part['species']}", f"Plate cells: {part['species']}") for part in plates]
    links += [("droplets", "Droplet libraries")] if libraries else []
    page = render(
        "harvest/templates/report.html",
        totals=totals(planned, settled),
        statuses=_STATUSES,
        warnings=warnings,
        links=[*links, ("files", "Files")],
        series=cut(series_rows(planned, settled), MOST_ROWS, "series"),
        reasons=reason_rows(settled),
        failed=cut(shown, MOST_FAILED, "failed run"),
        flagged=cut(flagged, MOST_FLAGGED, "flagged cell"),
        flags={code: flag.meaning for code, flag in FLAGS.items()},
        notes=cut(notes, MOST_ROWS, "note"),
        plates=plates,
        libraries=cut(libraries, MOST_ROWS, "library"),
        droplets=droplet_charts(droplets),
        files=cut(file_rows(results), MOST_ROWS, "line", ""),
    )
    return str(page)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--plan", required=True, help="the run table before work (results/plan.tsv)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--results", help="the folder of results; default: that of the ledger")
    parser.add_argument("--references", nargs="*", default=[], help="reference.json of each reference, for warnings")
    parser.add_argument("--output", required=True, help="the page to write (results/report.html)")
    options = parser.parse_args(argv)
    results = Path(options.results or Path(options.ledger).parent)
    warnings = warnings_of(options.references)
    page = draw_page(read_runs(options.plan), read_runs(options.ledger), results, warnings)
    write_atomic(options.output, page)
    print(f"{options.output}: {len(page) / 1e6:.1f} MB.", file=sys.stderr)
