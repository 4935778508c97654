"""Draw the page on which a person sees what was asked for and what came of it: results/report.html.

The page stands alone: style and charts are in it, no script, no network, no clock. Its figures are those of the plan,
the ledger and the h5ad files in the folder of results. However many cells there are, it has a row for each series,
library and failed run (the first of them, where there are very many), and charts of all cells.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import InputError
from scripts.core.files import write_atomic
from scripts.formats import h5ad
from scripts.formats.charts import density, histogram, parts_bar, scale_of, short_number, spread
from scripts.formats.pages import cut, draw, figure, key, several, table, thousands
from scripts.harvest.results import SUMS, list_files
from scripts.plan.run_table import Run, read_runs
from scripts.plates.shard_counts import TALLIES

if TYPE_CHECKING:
    import h5py
    import numpy

MOST_FAILED = 500
"""Failed runs that get a row of their own; the others are told as a number."""
_OF_ONE_RUN = re.compile(r" \(\d[\d.]*% of spots, chance [\d.]+%\)")
"""Figures in a note that differ from run to run; the ledger has them."""
MOST_ROWS = 400
"""Series, libraries or files that get a row of their own."""

_MEANINGS = {
    "OTHER_SPECIES": "of a species that is not configured",
    "NOT_RNA": "not RNA-seq",
    "NOT_SINGLE_CELL": "not of single cells",
    "NO_RUN": "no run in the archive",
    "LEFT_OUT_BY_USER": "left out in the configuration",
    "CONTROLLED_ACCESS": "access is controlled (dbGaP, EGA)",
    "BARCODE_LOST": "the barcode read is not in the archive",
    "LAYOUT_AMBIGUOUS": "which read is which could not be told",
    "CHEMISTRY_UNKNOWN": "no known kit has such barcodes",
    "BARCODE_TRIMMED": "the barcode read was trimmed",
    "BAM_TAGS_STRIPPED": "the BAM file has no barcodes",
    "DOWNLOAD_FAILED": "could not be downloaded",
    "CHECKSUM_MISMATCH": "the download is not what the archive promised",
    "ARCHIVE_CORRUPT": "the archived file is damaged",
    "QUALITY_LITE": "only with simplified qualities",
    "READS_MISSING": "fewer reads than the record says",
    "EMPTY_READS": "no reads",
    "ALIGN_FAILED": "STAR failed",
    "COUNT_FAILED": "counting failed",
    "LOW_MAPPING": "too few reads mapped",
    "LOW_VALID_BARCODES": "too few valid barcodes",
    "INCOMPLETE_EXPERIMENT": "another run of the same experiment failed",
    "DISK_LIMIT": "no room on the disk",
}
_DELIVERABLES = (
    ("plan.tsv", "the plan: every run that entered, before work"),
    ("runs.tsv", "the ledger: what became of every run"),
    (".htseq-count.csv.gz", "plate counts: a row a gene, a column a cell"),
    (".log.csv.gz", "STAR's logs: a row a field, a column a cell"),
    ("_meta.tgz", "what GEO says of series, platforms and samples, as JSON"),
    (".metadata.samples.csv", "the samples that gave a cell"),
    (".metadata.series.csv", "the series that gave a cell"),
    (".h5ad", "counts as AnnData"),
    (".bam", "alignments"),
)
_FOLDERS = (
    (r"(mex/[^/]+/).+\.tar\.gz", r"\1*.tar.gz", "droplet counts: a matrix with its barcodes and features"),
    (r"(atlas/[^/]+\.distribution/).+", r"\1*", "how the labels of the atlas lie across each other"),
    (r"(atlas/[^/]+\.agreement/).+", r"\1*", "how far the labels of a cell in the atlas agree"),
    (r"(atlas/[^/]+\.train/[^/]+/).+", r"\1*", "a model that tells a label, tested on series that it has not seen"),
    (r"(atlas/[^/]+/).+", r"\1*", "the cells as vectors, and the map from each row to its cell"),
)
"""Files that are shown in one row: their paths, what stands for them, what they are."""
_STATUS_PARTS = {"counted": "counted", "left_out": "left out", "failed": "failed"}


@dataclass
class Cells:
    """The figures of the cells of an h5ad, an item a cell."""

    series: list[str]
    experiments: list[str]
    counts: "numpy.ndarray"
    """Reads (or molecules) that count for a gene."""
    genes: "numpy.ndarray"
    """Genes with a count."""
    tallies: "numpy.ndarray | None"
    """Cells × 5, for plates."""
    reads: "numpy.ndarray | None"
    mapped: "numpy.ndarray | None"
    """Uniquely mapped reads, percent."""
    notes: dict[str, str]
    """What is noted of the reference and of parameters."""


def _numbers(obs: "h5py.Group", name: str) -> "numpy.ndarray | None":
    import numpy as np

    return np.nan_to_num(obs[name][()].astype(float)) if name in obs else None


def read_cells(path: Path) -> Cells:
    """Read the figures of an h5ad of this workflow. Raises InputError where it cannot be read."""
    import h5py
    import numpy as np

    try:
        with h5py.File(path, "r") as root:
            obs = root["obs"]
            cells = int(root["X"].attrs["shape"][0])
            indptr = root["X/indptr"][()]
            counts = np.zeros(cells)
            for start in range(0, cells, 2000):
                part = indptr[start : start + 2001]
                sums = np.concatenate([[0], np.cumsum(root["X/data"][part[0] : part[-1]], dtype=np.float64)])
                counts[start : start + 2000] = np.diff(sums[part - part[0]])
            index = h5ad.read_texts(obs[obs.attrs["_index"]])
            prefixes = [name.partition("_")[0] for name in index]
            tallied = [_numbers(obs, name) for name in TALLIES]
            notes = {}
            for name, item in sorted(root["uns"].items()) if "uns" in root else ():
                if name == "reference" and hasattr(item, "asstr"):
                    notes = {name: item.asstr()[()]} | notes
                elif name == "parameters" and hasattr(item, "keys"):
                    notes |= {
                        key: item[key].asstr()[()] for key in sorted(item) if h5py.check_string_dtype(item[key].dtype)
                    }
            return Cells(
                h5ad.read_column(obs, "series") if "series" in obs else [path.name.partition(".")[0]] * cells,
                h5ad.read_column(obs, "experiment") if "experiment" in obs else prefixes,
                counts,
                np.diff(indptr).astype(float),
                None if any(tally is None for tally in tallied) else np.stack(tallied, axis=1),
                _numbers(obs, "star_number_of_input_reads"),
                _numbers(obs, "star_uniquely_mapped_reads_percent"),
                notes,
            )
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as counts of cells: {error}.") from error


def summary_section(plan: Sequence[Run], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield what was asked for and what came of it, in a few numbers."""
    statuses = Counter(row.status for row in ledger)
    columns = {(row.experiment, row.species) for row in ledger if row.status == "counted" and row.assay == "plate"}
    libraries = {(row.experiment, row.species) for row in ledger if row.status == "counted" and row.assay == "droplet"}
    planned = sum(row.status == "planned" for row in plan)
    yield "<h1>From archives to matrices</h1>"
    yield (
        f"<p class=soft>{several(len({row.series for row in ledger}), 'series')},"
        f" {several(len(ledger), 'row')} in the ledger, {planned:,} of them planned for work."
        " A run that is counted for two species has two rows.</p>"
    )
    tiles = [
        ("", len(columns), "plate cells counted"),
        ("", len(libraries), "droplet libraries counted"),
        ("", statuses["counted"], "runs counted"),
        ("", statuses["left_out"], "left out"),
        ("failed" if statuses["failed"] else "", statuses["failed"], "failed"),
    ]
    yield "<div class=tiles>"
    yield from (f'<div class="tile {name}"><b>{number:,}</b>{words}</div>' for name, number, words in tiles)
    yield "</div>"


def series_section(plan: Sequence[Run], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield a row for each series: what it holds, and how many of its runs were counted, failed or were left out."""
    planned = Counter(row.series for row in plan if row.status == "planned")
    statuses: dict[str, Counter[str]] = {}
    kinds: dict[str, set[str]] = {}
    for row in ledger:
        statuses.setdefault(row.series, Counter())[row.status] += 1
        if row.status in ("counted", "failed"):
            kinds.setdefault(row.series, set()).add(f"{row.species} {row.assay}")
    rows = []
    for series, counts in sorted(statuses.items()):
        bar = parts_bar(
            [(name, words, counts[name]) for name, words in _STATUS_PARTS.items()],
            title=f"{series}: counted, left out, failed",
        )
        numbers = [planned[series], counts["counted"], counts["failed"], counts["left_out"]]
        kind = escape(", ".join(sorted(kinds.get(series, ())))) or "–"
        rows.append([escape(series), kind, *(f"{number:,}" if number else "–" for number in numbers), bar])
    rows, note = cut(rows, MOST_ROWS, "series")
    yield "<h2 id=series>What became of each series</h2>"
    yield f"<p>{key(_STATUS_PARTS.items())}</p>"
    yield table(["series", "what", "#planned", "#counted", "#failed", "#left out", ""], rows, note)


def failures_section(ledger: Sequence[Run]) -> Iterator[str]:
    """Yield why runs failed or were left out: reasons with their numbers, and each failed run with its sentence."""
    rows = []
    for status in ("failed", "left_out"):
        reasons = Counter(row.reason for row in ledger if row.status == status)
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            series = Counter(row.series for row in ledger if row.status == status and row.reason == reason)
            named = [f"{escape(name)} ({number:,})" for name, number in sorted(series.items())]
            told = ", ".join(named[:6]) + (f" and {len(named) - 6:,} more" if len(named) > 6 else "")
            meaning = escape(_MEANINGS.get(reason, ""))
            rows.append([status.replace("_", "&nbsp;"), f"<code>{escape(reason)}</code>", meaning, f"{count:,}", told])
    yield "<h2 id=reasons>What failed or was left out, and why</h2>"
    if not rows:
        yield "<p>Nothing: every run was counted.</p>"
        return
    yield table(["", "reason", "meaning", "#runs", "series (runs)"], rows)
    failed = [row for row in ledger if row.status == "failed"]
    if not failed:
        return
    told = [
        [
            *(escape(text) for text in (row.series, row.sample, row.run, row.species)),
            f"<code>{escape(row.reason)}</code>",
            escape(row.detail),
        ]
        for row in failed
    ]
    told, note = cut(told, MOST_FAILED, "failed run")
    yield f"<h3>{'The' if not note else 'Some of the'} {several(len(failed), 'failed run')}</h3>"
    yield table(["series", "sample", "run", "species", "reason", "what happened"], told, note)


def notes_section(ledger: Sequence[Run]) -> Iterator[str]:
    """Yield what was noted of runs that were counted, e.g. that another counter had to count them."""
    told = [row for row in ledger if row.status == "counted" and row.detail]
    notes = Counter((row.series, _OF_ONE_RUN.sub("", row.detail)) for row in told)
    if not notes:
        return
    rows = [[escape(series), f"{count:,}", escape(detail)] for (series, detail), count in sorted(notes.items())]
    rows, note = cut(rows, MOST_ROWS, "note")
    yield "<h2 id=notes>What was noted of counted runs</h2>"
    yield table(["series", "#runs", "note"], rows, note)


def _range(values: "numpy.ndarray") -> str:
    import numpy as np

    low, high = np.percentile(values, [5, 95]).tolist()
    return f"5–95 %: {short_number(low)}–{short_number(high)}"


def _parts(counts: "numpy.ndarray", tallies: "numpy.ndarray") -> list[tuple[str, str, float]]:
    names = ["in genes", *(name.strip("_").replace("_", " ") for name in TALLIES)]
    totals = [float(counts.sum()), *tallies.sum(axis=0).tolist()]
    return [(f"part-{place}", *part) for place, part in enumerate(zip(names, totals, strict=True))]


def plate_section(species: str, cells: Cells) -> Iterator[str]:
    """Yield the quality of the plate cells of a species."""
    import numpy as np

    yield f"<h2 id=plates-{escape(species)}>Plate cells: {escape(species)}</h2>"
    noted = "; ".join(f"{name}: {value}" for name, value in cells.notes.items())
    yield f"<p class=soft>{several(len(cells.counts), 'cell')}. {escape(noted)}</p>"
    if not len(cells.counts):
        return
    charts = []
    reads_scale = mapped_scale = None
    if cells.reads is not None:
        reads_scale = scale_of(cells.reads, True)
        charts.append(figure(histogram(cells.reads, reads_scale, "reads a cell"), "Reads", _range(cells.reads)))
    if cells.mapped is not None:
        mapped_scale = scale_of(cells.mapped, False, 100)
        chart = histogram(cells.mapped, mapped_scale, "uniquely mapped reads, percent")
        charts.append(figure(chart, "Uniquely mapped, %", _range(cells.mapped)))
    genes_scale = scale_of(cells.genes, False)
    charts.append(figure(histogram(cells.genes, genes_scale, "genes a cell"), "Genes detected", _range(cells.genes)))
    if cells.reads is not None and reads_scale is not None:
        chart = density(cells.reads, cells.genes, (reads_scale, genes_scale), "reads and genes of all cells")
        charts.append(figure(chart, "Genes by reads", "(darker: more cells)"))
    yield f"<div class=charts>{''.join(charts)}</div>"
    if cells.tallies is not None:
        parts = _parts(cells.counts, cells.tallies)
        whole = max(sum(total for _, _, total in parts), 1)
        yield "<h3>Where the mapped reads of all cells went</h3>"
        yield f"<p>{parts_bar(parts, 700, 20, 'where the mapped reads went')}</p>"
        yield f"<p>{key((name, f'{words} {total / whole:.1%}') for name, words, total in parts)}</p>"
    of_series: dict[str, list[int]] = {}
    for place, series in enumerate(cells.series):
        of_series.setdefault(series, []).append(place)
    rows = []
    for series, places in sorted(of_series.items()):
        row = [escape(series), f"{len(places):,}"]
        for values, scale in ((cells.reads, reads_scale), (cells.mapped, mapped_scale), (cells.genes, genes_scale)):
            if values is None or scale is None:
                row += ["–", ""]
            else:
                mine = values[places]
                row += [short_number(float(np.median(mine))), spread(mine, scale, f"{series}: spread")]
        if cells.tallies is None:
            row.append("")
        else:
            parts = _parts(cells.counts[places], cells.tallies[places])
            row.append(parts_bar(parts, 130, 10, f"{series}: where the mapped reads went"))
        rows.append(row)
    rows, note = cut(rows, MOST_ROWS, "series")
    yield "<h3>By series</h3>"
    caption = note or "Median, then the 5th to 95th percentile (line), the quartiles (box) and the median (mark)."
    yield table(["series", "#cells", "#reads", "", "#mapped %", "", "#genes", "", "mapped reads"], rows, caption)


def droplet_section(matrices: Mapping[str, Cells], ledger: Sequence[Run]) -> Iterator[str]:
    """Yield the quality of the droplet libraries; ``matrices`` is name of the h5ad (series.species) → its cells."""
    import numpy as np

    libraries: dict[tuple[str, str, str], list[Run]] = {}
    for row in ledger:
        if row.assay == "droplet" and row.status == "counted":
            libraries.setdefault((row.series, row.species, row.experiment), []).append(row)
    if not libraries:
        return
    yield "<h2 id=droplets>Droplet libraries</h2>"
    rows = []
    for (series, species, experiment), runs in sorted(libraries.items()):
        cells = matrices.get(f"{series}.{species}")
        figures = ["–"] * 4
        if cells is not None:
            mine = np.array([name == experiment for name in cells.experiments], bool)
            if mine.any():
                sums, genes = cells.counts[mine], cells.genes[mine]
                figures = [f"{mine.sum():,}", thousands(sums.sum())]
                figures += [short_number(float(np.median(values))) for values in (sums, genes)]
            else:
                figures = ["0", "0", "–", "–"]
        chemistry = ", ".join(sorted({row.chemistry for row in runs} - {""}))
        spots = sum(int(row.spots or 0) for row in runs)
        told = [series, species, experiment, chemistry or "–"]
        rows.append([*map(escape, told), f"{len(runs):,}", short_number(spots) if spots else "–", *figures])
    shown, note = cut(rows, MOST_ROWS, "library")
    head = ["series", "species", "experiment", "chemistry", "#runs", "#reads", "#cells", "#molecules"]
    yield table([*head, "#median molecules", "#median genes"], shown, note)
    by_species: dict[str, list[Cells]] = {}
    for name, cells in sorted(matrices.items()):
        if len(cells.counts):
            by_species.setdefault(name.rpartition(".")[2], []).append(cells)
    for species, gathered in by_species.items():
        counts = np.concatenate([cells.counts for cells in gathered])
        genes = np.concatenate([cells.genes for cells in gathered])
        scales = scale_of(counts, True), scale_of(genes, False)
        yield f"<h3>Cells of {escape(species)}</h3><p class=soft>{several(len(counts), 'cell')} after filtering.</p>"
        charts = [
            figure(histogram(counts, scales[0], "molecules a cell"), "Molecules", _range(counts)),
            figure(histogram(genes, scales[1], "genes a cell"), "Genes detected", _range(genes)),
            figure(
                density(counts, genes, scales, "molecules and genes of all cells"),
                "Genes by molecules",
                "(darker: more cells)",
            ),
        ]
        yield f"<div class=charts>{''.join(charts)}</div>"


def _shown(name: str) -> tuple[str, str]:
    """Return under which name a file is shown, and what it is."""
    for pattern, shown, meaning in _FOLDERS:
        if found := re.fullmatch(pattern, name):
            return found.expand(shown), meaning
    return name, next((words for ending, words in _DELIVERABLES if name.endswith(ending)), "")


def files_section(results: Path) -> Iterator[str]:
    """Yield the files of the folder; archives of a library, and files of an atlas, in one row."""
    gathered: dict[tuple[str, str], list[int]] = {}
    for name in list_files(results):
        if name != "report.html" and not name.endswith(".part"):
            gathered.setdefault(_shown(name), []).append((results / name).stat().st_size)
    rows = [
        [f"<code>{escape(name)}</code>", escape(meaning), f"{len(sizes):,}", f"{short_number(sum(sizes))}B"]
        for (name, meaning), sizes in gathered.items()
    ]
    rows, note = cut(rows, MOST_ROWS, "line")
    yield "<h2 id=files>Files</h2>"
    yield (
        f"<p>Beside them, <code>{SUMS}</code> has the sum of every file; <code>python -m scripts verify results/</code>"
        " checks all of it.</p>"
    )
    yield table(["file", "what it is", "#files", "#size"], rows, note.replace("; all of them stand in runs.tsv", ""))


def draw_page(plan: Sequence[Run], ledger: Sequence[Run], results: Path) -> str:
    """Return the page."""
    worked_on = {row.species for row in ledger if row.assay == "plate" and row.status in ("counted", "failed")}
    sections = [*summary_section(plan, ledger)]
    links = [("series", "Series"), ("reasons", "Failed and left out")]
    notes = [*notes_section(ledger)]
    if notes:
        links.append(("notes", "Notes"))
    body = [*series_section(plan, ledger), *failures_section(ledger), *notes]
    for species in sorted(worked_on):
        path = results / f"{species}.h5ad"
        if path.exists():
            body += plate_section(species, read_cells(path))
            links.append((f"plates-{species}", f"Plate cells: {species}"))
    matrices = {path.stem: read_cells(path) for path in sorted((results / "droplets").glob("*.h5ad"))}
    droplets = [*droplet_section(matrices, ledger)]
    if droplets:
        links.append(("droplets", "Droplet libraries"))
    links.append(("files", "Files"))
    nav = "".join(f'<a href="#{escape(name)}">{escape(words)}</a>' for name, words in links)
    sections += [f"<nav>{nav}</nav>", *body, *droplets, *files_section(results)]
    return draw("sra2matrix: what came of it", sections)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, help="the run table before work (results/plan.tsv)")
    parser.add_argument("--ledger", required=True, help="the ledger (results/runs.tsv)")
    parser.add_argument("--results", help="the folder of results; that of the ledger, if not given")
    parser.add_argument("--output", required=True, help="the page to write (results/report.html)")
    options = parser.parse_args(argv)
    results = Path(options.results or Path(options.ledger).parent)
    page = draw_page(read_runs(options.plan), read_runs(options.ledger), results)
    write_atomic(options.output, page)
    print(f"{options.output}: {len(page) / 1e6:.1f} MB.", file=sys.stderr)
