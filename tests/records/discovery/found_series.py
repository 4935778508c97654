"""Small archives with series to discover, and the command discover on them, for tests."""

import csv
from collections.abc import Sequence
from pathlib import Path

from scripts.records import discover
from tests.records.small_archives import SmallArchives, family, package, run, sample

RELATIONS = ["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA{}"]
EVIL = '"=HYPERLINK(1)\t<script>alert(1)</script>\x1b[31m\u202e\nGSE9 \r\n'


def add_series(
    small: SmallArchives,
    number: int,
    samples: int = 1,
    *,
    title: str = "Single cells",
    published: str = "2026/10/01",
    source: str = "transcriptomic single cell",
    lengths: tuple[float, float] = (28, 91),
    relations: Sequence[str] = (),
    lines: Sequence[str] = (),
) -> str:
    """Add a series of droplet libraries, one run each of 2 GB, to the archives; return its accession."""
    series = f"GSE{number}"
    names = [f"{number}{index:03d}" for index in range(1, samples + 1)]
    more = [f"library_source = {source}"]
    texts = [sample(f"GSM{name}", [f"SRX{name}"], series=[series], title="a library", more=more) for name in names]
    links = [*(relation.format(number) for relation in RELATIONS), *relations]
    text = family(series, texts, relations=links)
    listed = [*(f"sample_id = GSM{name}" for name in names), *lines]
    small.families[series] = text.replace(
        "!Series_pubmed_id", "".join(f"!Series_{line}\n" for line in listed) + "!Series_pubmed_id", 1
    )
    for name in names:
        small.packages[f"SRX{name}"] = package(
            f"SRX{name}",
            [run(f"SRR{name}", spots=1000, lengths=lengths, files=[(f"SRR{name}", "SRA Normalized", 2 * 10**9, "")])],
            gsm=f"GSM{name}",
            gse=series,
            study=f"SRP{number}",
            project=f"PRJNA{number}",
            title="a library",
            source=source.upper(),
        )
    small.summaries[series] = {
        "title": title,
        "pdat": published,
        "taxon": "Mus musculus",
        "n_samples": samples,
        "pubmedids": ["123"],
    }
    return series


def add_bulk(small: SmallArchives, number: int, published: str = "2026/10/01") -> str:
    """Add a series that is not of single cells; return its accession."""
    return add_series(small, number, title="Livers", published=published, source="transcriptomic", lengths=(75, 75))


def command(small: SmallArchives, folder: Path, *options: str) -> list[str]:
    """Return the options of the command for these archives; it writes into ``folder``."""
    words = ["--since", "2026-10-01", "--species", "homo=9606", "mus=10090", "--first-wait", "0.01", "--retries", "2"]
    for name in ("geo", "eutils", "ena"):
        words += [f"--{name}", f"{small.url}/{name}"]
    words += ["--records", str(folder / "records"), "--plan", str(folder / "plan.tsv"), *options]
    return [*words, "--page", str(folder / "discovered.html"), "--output", str(folder / "discovered.tsv")]


def discovered(small: SmallArchives, folder: Path, *options: str) -> dict[str, dict[str, str]]:
    """Call the command; return series → its row, in the order of the table."""
    discover.main(command(small, folder, *options))
    with (folder / "discovered.tsv").open(encoding="utf-8", newline="") as handle:
        return {row["series"]: row for row in csv.DictReader(handle, delimiter="\t")}


def asked(small: SmallArchives, path: str) -> int:
    """Return how many requests there were to a path of this ending."""
    return sum(name.endswith(path) for name, _ in small.requests)
