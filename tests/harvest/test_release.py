"""A release is sound, the same bytes each time, and says what changed since the one before."""

import csv
import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest import release, verify
from scripts.plan.run_table import read_runs, write_runs
from tests.checksums import sums
from tests.harvest import spoiled_results
from tests.records.small_archives import family, keep, sample

TITLE = "Cells\tof «mice» = \x1b[31m$(rm -rf /) | <b>"


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    """An analysis directory with two plate cells, a droplet library, and a record of one of its two series."""
    spoiled_results.prepare(tmp_path / "analysis" / "results")
    soft = family("GSE1", [sample("GSM1", ["SRX1"])], relations=["BioProject: https://x/PRJNA7", "SRA: x?term=SRP9"])
    more = [
        "!Series_contributor = José,,Muñoz",
        "!Series_contributor = Ada,M,Toy",
        "!Series_status = Public on Mar 04 2021",
    ]
    soft = soft.replace("!Series_title = Title of GSE1", "\n".join([f"!Series_title = {TITLE}", *more]))
    keep(tmp_path / "analysis" / "resources" / "records", "GSE1", soft)
    return tmp_path / "analysis"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def make(analysis: Path, version: str, *options: str) -> Path:
    release.main([str(analysis), "--version", version, *options])
    return analysis / "releases" / (f"{version}.tar" if "--archive" in options else version)


def test_a_release_has_the_results_and_what_cites_them(analysis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (analysis / "results/changes.tsv").write_text("series\texperiment\trun\tchange\twhat\twhat_follows\n")
    made = make(analysis, "2026.11", "--creator", "Toy, Ada", "--doi", "10.1/x")
    assert "GSE2: no record of it is kept" in capsys.readouterr().err
    verify.main([str(made)])
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=made, check=True)
    results = sums(analysis / "results")
    del results["changes.tsv"]  # it says when the archives were asked
    assert sums(made / "results") == results
    assert sorted(path.name for path in made.iterdir()) == [
        *("README.md", "SHA256SUMS", "cells.tsv", "datacite.json", "release.json", "results", "series.tsv")
    ]
    first, second = table(made / "series.tsv")
    assert first["title"] == "Cells of «mice» = \\x1b[31m$(rm -rf /) | <b>"
    assert first["citation"] == f"Muñoz J, Toy AM (2021). {first['title']}. Gene Expression Omnibus, GSE1."
    assert (first["pubmed_ids"], first["bioproject"], first["study"]) == ("1", "PRJNA7", "SRP9")
    assert (first["plate_cells"], first["libraries"], second["plate_cells"], second["libraries"]) == (
        "2",
        "0",
        "0",
        "1",
    )
    cells = table(made / "cells.tsv")
    assert [(row["kind"], row["cell"], row["runs"], row["cells"]) for row in cells] == [
        ("library", "SRX3", "SRR3", "2"),
        ("plate", "SRX1", "SRR1", "1"),
        ("plate", "SRX2", "SRR2", "1"),
    ]
    datacite = json.loads((made / "datacite.json").read_text())
    assert datacite["creators"] == [{"name": "Toy, Ada"}]
    assert (datacite["publicationYear"], datacite["doi"]) == ("2026", "10.1/x")
    assert {"relatedIdentifier": "1", "relatedIdentifierType": "PMID", "relationType": "References"} in (
        datacite["relatedIdentifiers"]
    )
    assert "2 plate cells of mus, 1 droplet libraries of mus" in (made / "README.md").read_text()


def test_the_same_results_make_the_same_bytes(analysis: Path, tmp_path: Path) -> None:
    made = make(analysis, "1")
    archive = make(analysis, "1", "--archive")
    shutil.copytree(analysis, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere/releases")
    os.utime(tmp_path / "elsewhere/results/runs.tsv", (1, 1))
    assert sums(make(tmp_path / "elsewhere", "1")) == sums(made)
    assert make(tmp_path / "elsewhere", "1", "--archive").read_bytes() == archive.read_bytes()
    with pytest.raises(InputError, match=r"1.tar: a file; unpack it first \(tar -xf\), then check the folder"):
        verify.main([str(archive)])
    with tarfile.open(archive) as members:
        facts = {(one.mtime, one.uid, one.gid, one.uname, one.mode, one.type) for one in members}
        members.extractall(tmp_path / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    assert facts == {(0, 0, 0, "root", 0o644, tarfile.REGTYPE)}
    assert sums(tmp_path / "unpacked/sra2matrix-1") == sums(made)
    verify.main([str(tmp_path / "unpacked/sra2matrix-1")])


def write_other_results(analysis: Path) -> None:
    """SRX1 is withdrawn, SRX2 has another count since its run was replaced, SRX4 is new."""
    results = analysis / "results"
    rows = {row.run: row for row in read_runs(results / "runs.tsv")}
    rows["SRR1"] = rows["SRR1"]._replace(status="left_out", reason="WITHDRAWN")
    rows["SRR2"] = rows["SRR2"]._replace(md5="f" * 32, spots="123")
    rows["SRR4"] = rows["SRR2"]._replace(sample="GSM4", experiment="SRX4", run="SRR4", md5="", spots="")
    write_runs(results / "runs.tsv", rows.values())
    write_runs(results / "plan.tsv", rows.values())
    columns = [["SRR2", "SRR4"], ["GSE1", "GSE1"], ["mus", "mus"], ["GSM2", "GSM4"]]
    counts = {**spoiled_results.COUNTS, "A": [0, 7], "B": [121, 0]}
    for ending, first, values in (
        ("htseq-count", "GENENAME", counts),
        ("log", "FIELD_NAMES", {"Uniquely mapped reads number": [126, 17]}),
    ):
        head = [[name, *line] for name, line in zip((first, "EXP_ID", "TAXON", "GSM"), columns, strict=True)]
        text = "".join(",".join(map(str, line)) + "\n" for line in [*head, *([name, *values[name]] for name in values)])
        (results / f"mus.{ending}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    cells = [[counts[gene][index] for gene in ("A", "B")] for index in (0, 1)]
    spoiled_results.write_cells(results / "mus.h5ad", cells, ["SRX2", "SRX4"], {"runs": columns[0]}, ["A", "B"])
    for path in results.glob("mus*meta*"):
        path.unlink()
    spoiled_results.sum_up(results)


@pytest.mark.parametrize("kind", ["folder", "archive", "results"])
def test_what_changed_since_the_release_before(analysis: Path, tmp_path: Path, kind: str) -> None:
    if kind == "results":
        before = tmp_path / "before"
        shutil.copytree(analysis / "results", before)
    else:
        before = make(analysis, "2026.11", *(["--archive"] if kind == "archive" else []))
    write_other_results(analysis)
    made = make(analysis, "2026.12", "--since", str(before))
    verify.main([str(made)])
    found = [tuple(row.values()) for row in table(made / "changes_since.tsv")]
    assert found == [
        ("added", "plate", "mus", "SRX4", "GSE1", "GSM4", "SRR4", "SRR4: not in the release before"),
        ("counts", "plate", "mus", "SRX2", "GSE1", "GSM2", "SRR2", f"SRR2 spots: - → 123; SRR2 md5: - → {'f' * 32}"),
        ("removed", "plate", "mus", "SRX1", "GSE1", "GSM1", "SRR1", "SRR1: left_out WITHDRAWN"),
    ]
    since = json.loads((made / "release.json").read_text())["since"]
    assert since["version"] == ("unreleased" if kind == "results" else "2026.11")
    assert since["changes"] == {"added": 1, "removed": 1, "counts": 1, "names": 0}
    assert "1 cells and libraries are new, 1 are gone, 1 have other counts" in (made / "README.md").read_text()


def test_nothing_changed(analysis: Path) -> None:
    before = make(analysis, "1")
    made = make(analysis, "2", "--since", str(before))
    assert table(made / "changes_since.tsv") == []


def test_faulty_results_are_not_released(analysis: Path) -> None:
    (analysis / "results/report.html").write_text("other")
    with pytest.raises(InputError, match=r"report.html: changed; its sha256 is not that of SHA256SUMS\."):
        make(analysis, "1")
    (analysis / "results/link").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"link: a link; a folder of results has only files and folders\."):
        make(analysis, "1")
    assert not (analysis / "releases").exists()


@pytest.mark.parametrize("version", ["", "..", "../x", "-x", "a b", "a/b", "\x1b[31m", "x" * 41])
def test_a_version_is_a_name(analysis: Path, version: str) -> None:
    with pytest.raises(InputError, match=r"--version .* letters, digits and"):
        release.main([str(analysis), f"--version={version}"])
    assert not (analysis / "releases").exists()


def test_what_cannot_be_released_says_why(analysis: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder of results nor an analysis directory"):
        release.main([str(tmp_path), "--version", "1"])
    with pytest.raises(InputError, match="there is no such release"):
        make(analysis, "1", "--since", str(tmp_path / "none"))
    made = make(analysis, "1")
    with pytest.raises(InputError, match="it is there; a release is not replaced"):
        make(analysis, "1")
    (made / "cells.tsv").write_text("changed")
    with pytest.raises(InputError, match=r"cells.tsv: its sha256 is not that of SHA256SUMS\."):
        make(analysis, "2", "--since", str(made))
    (tmp_path / "x.tar").write_text("no archive")
    with pytest.raises(InputError, match="not a tar file of a release"):
        make(analysis, "2", "--since", str(tmp_path / "x.tar"))


def test_a_release_in_which_something_is_wrong_is_refused(analysis: Path) -> None:
    made = make(analysis, "1")
    cells = made / "cells.tsv"
    cells.write_text(cells.read_text().replace("SRX2", "SRX9"))
    with pytest.raises(InputError, match=r"cells.tsv: changed.*\n.*cells.tsv: its digests are not those"):
        verify.main([str(made)])
    (made / "release.json").write_text("{}")
    with pytest.raises(InputError, match=r"release.json: not that of a release of this format"):
        verify.main([str(made)])
    (made / "more").write_text("x")
    with pytest.raises(InputError, match=r"more: not in SHA256SUMS"):
        verify.main([str(made)])
    (made / "link").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="link: a link"):
        verify.main([str(made)])


def test_hostile_accessions_lead_nowhere(analysis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = analysis / "results"
    hostile = ["../../outside", "GSE/../../../outside", "-x", "GSE1\x1b[31m"]
    for name in ("runs.tsv", "plan.tsv"):
        rows = read_runs(results / name)
        more = [rows[0]._replace(series=series, sample="", experiment="", run="") for series in hostile]
        more = [row._replace(status="left_out", reason="NO_RUN") for row in more]
        write_runs(results / name, [*rows, *more])
    keep(analysis.parent, "outside", family("GSE7"))
    spoiled_results.sum_up(results)
    made = make(analysis, "1")
    verify.main([str(made)])
    rows_made = table(made / "series.tsv")
    assert {row["title"] for row in rows_made if row["series"] not in ("GSE1", "GSE2")} == {""}
    assert "\x1b" not in capsys.readouterr().err
