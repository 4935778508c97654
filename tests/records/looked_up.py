"""A look-up of small records by the command resolve, for tests."""

from collections.abc import Sequence
from pathlib import Path

from scripts.plan.run_table import Run, read_runs
from scripts.records import resolve
from tests.records.small_archives import SmallArchives, family, package, run, sample

HUMAN, MOUSE, FISH = ("9606", "Homo sapiens"), ("10090", "Mus musculus"), ("7955", "Danio rerio")
UNREACHABLE = "http://127.0.0.1:9"


def plan(
    tmp_path: Path, *words: str, small: SmallArchives | None = None, options: Sequence[str] = ()
) -> dict[str, list[Run]]:
    """Resolve and return run (or, without one, experiment or sample or series) → rows."""
    url = small.url if small else UNREACHABLE
    command = ["--series", *words, "--species", "homo=9606", "mus=10090", "--first-wait", "0.01", "--retries", "3"]
    command += ["--geo", f"{url}/geo", "--eutils", f"{url}/eutils", "--ena", f"{url}/ena"]
    command += ["--records", str(tmp_path / "records"), "--evidence", str(tmp_path / "work" / "evidence.jsonl")]
    resolve.main([*command, *options, "--output", str(tmp_path / "results" / "plan.tsv")])
    rows: dict[str, list[Run]] = {}
    for row in read_runs(tmp_path / "results" / "plan.tsv"):
        rows.setdefault(row.run or row.experiment or row.sample or row.series, []).append(row)
    return rows


def two_cells(gse: str = "GSE1") -> tuple[str, dict[str, str]]:
    """A family of two samples, the first with two runs, and its packages."""
    soft = family(
        gse,
        [sample("GSM1", ["SRX1"], series=[gse]), sample("GSM2", ["SRX2"], series=[gse])],
        relations=["BioProject: https://www.ncbi.nlm.nih.gov/bioproject/PRJNA1"],
    )
    packages = {
        "SRX1": package("SRX1", [run("SRR1", spots=10), run("SRR2", spots=20)], gsm="GSM1", gse=gse),
        "SRX2": package("SRX2", [run("SRR3", lengths=(50,))], gsm="GSM2", gse=gse, layout="SINGLE"),
    }
    return soft, packages
