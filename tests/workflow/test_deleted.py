"""Results and files of units/ that are deleted or damaged: made again from what is there, or reported."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.changed import LIBRARY, OWN, PLATE, SHARDS, write_configuration
from tests.workflow.dry_runs import dry_run, jobs

pytestmark = pytest.mark.tools

READS = {"download", "fastq", "align", "count", "read_roles", "solo"}
ATLAS = {"atlas_model", "atlas_embed", "atlas_pack", "atlas_check", "atlas_distribution", "atlas_agreement"}
ATLAS |= {"atlas_train"}
LAST = {"report", "checksums", "provenance", "all"}
MAKERS = {
    "*.htseq-count.csv.gz": {"counts_table"},
    "*.log.csv.gz": {"log_table"},
    "*.tpm.csv.gz": {"tpm_table"},
    "*_meta.tgz": {"metadata"},
    "*.metadata.samples.csv": {"metadata"},
    "*.metadata.series.csv": {"metadata"},
    "quality/cells.csv.gz": {"cells_table", "counts_h5ad"} | ATLAS,  # obs has its figures
    "quality/libraries.csv": {"libraries_table"},
    "*.h5ad": {"counts_h5ad"} | ATLAS,
    "droplets/*.h5ad": {"droplets_h5ad", "libraries_table"} | ATLAS,
    "droplets/features/*.h5ad": {"droplets_h5ad", "libraries_table"} | ATLAS,
    "atlas/*": ATLAS,
    "report.html": set(),
    "SHA256SUMS": set(),
}
"""Results → what makes them and what depends on them, beside the last jobs."""


@contextlib.contextmanager
def without(folder: Path, *names: str) -> Iterator[None]:
    """Take these files and folders away for a while."""
    aside = folder / "aside"
    for number, name in enumerate(names):
        aside.mkdir(exist_ok=True)
        (folder / name).rename(aside / str(number))
    try:
        yield
    finally:
        for number, name in enumerate(names):
            (aside / str(number)).rename(folder / name)


@contextlib.contextmanager
def damaged(path: Path, content: bytes) -> Iterator[None]:
    """Give a file another content for a while."""
    kept = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(kept)


@pytest.fixture
def planned(finished):
    """Return what a dry run plans."""
    folder, configuration = finished
    write_configuration(folder, configuration)

    def planned() -> dict[str, set[str]]:
        status, printed = dry_run(folder)
        assert status == 0, printed
        return jobs(printed)

    assert planned() == {}
    return planned


def test_a_result_that_is_deleted_is_made_again_alone(finished, planned):
    folder, _ = finished
    done = set()
    for pattern, makers in MAKERS.items():
        paths = sorted((folder / "results").glob(pattern))
        assert paths, pattern
        with without(folder, str(paths[-1].relative_to(folder))):
            found = planned()
        done |= set(paths)
        assert found.keys() <= makers | LAST, (pattern, found)
        assert "checksums" in found and (not makers or makers & found.keys()), (pattern, found)
    with without(folder, "results/mex"):
        found = planned()
        assert "mex_archive" in found and not found.keys() & READS
    with without(folder, "results/runs.tsv"):
        assert not planned().keys() & READS
    with without(folder, "results"):
        found = planned()
        assert "checksums" in found and not found.keys() & READS
    with without(folder, "work"):
        assert planned() == {}
    atlas = folder / "results/atlas/homo"
    time = atlas.stat().st_mtime_ns
    with without(folder, "results/atlas/homo/manifest.json"):
        os.utime(atlas, ns=(time, time))  # Snakemake knows the folder, not its files
        assert "atlas_pack" in planned()
    os.utime(atlas, ns=(time, time))


def test_a_file_of_a_unit_that_is_deleted_counts_that_unit_again_when_it_is_needed(finished, planned):
    folder, _ = finished
    for name in (f"counts/{PLATE[1]}.h5ad", f"status/{PLATE[1]}.tsv"):
        with without(folder, f"units/{name}"):
            assert planned() == {}
        with without(folder, f"units/{name}", "results/runs.tsv"):
            assert planned()["count"] == {PLATE[1]}
    with without(folder, f"units/status/{LIBRARY}.tsv", "results/runs.tsv"):
        found = planned()
        assert found["cells"] == {LIBRARY} and not found.keys() & READS
    with without(folder, "units/status"):  # units/ was deleted, and the call after it killed
        assert planned()["count"] == SHARDS
    for name in (
        "seats.tsv",
        "wanted.txt",
        "runs",
        "index.tsv",
        "records.jsonl",
        "evidence.jsonl",
        "counted",
        "references",
    ):
        with without(folder, f"units/{name}"):
            assert not planned().keys() & READS, name


def test_results_of_units_that_are_cut_otherwise_are_listed_anew(finished, planned):
    """Results that a shard has of its own would stay where their list is made for a change of the rows alone."""
    folder, _ = finished
    seats = (folder / "units/seats.tsv").read_text(encoding="utf-8")
    with damaged(folder / "units/seats.tsv", seats.replace(PLATE[1], PLATE[1][:-4] + "0077").encode()):
        assert "wanted" in planned()


def test_records_of_the_archives_that_are_deleted_are_asked_for_again(of_series):
    """Tables are made from them: without a look-up their metadata would be empty."""
    folder, configuration = of_series
    write_configuration(folder, configuration)
    assert jobs(dry_run(folder)[1]) == {}
    with without(folder, "resources/records"):
        assert "resolve" in jobs(dry_run(folder)[1])


def test_a_record_of_units_that_is_damaged_is_reported(finished, of_series):
    for (folder, configuration), name, content, words in (
        (of_series, "index.tsv", b"unit\tseries\n", "not an index of units as this version writes it. Delete it"),
        (finished, f"counted/{OWN}.json", b'{"token"', "not the record of a counted unit. Delete it to count the unit"),
        (finished, "seats.tsv", b"GSE1\tmus\n", "line 1: not a line of series, species, experiment and shard. Delete"),
    ):
        write_configuration(folder, configuration)
        with damaged(folder / "units" / name, content):
            status, printed = dry_run(folder)
        assert (status, words in printed) == (1, True), printed
        assert "Traceback" not in printed
