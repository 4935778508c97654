"""The look-up against the server of all archives: the toy world's series, with faults on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.harvest import metadata
from scripts.plan.run_table import Run, iterate_runs, read_runs, write_runs
from scripts.records import client, resolve
from tests.toy import catalogue
from tests.toy.server import Server
from tests.toy.world import World

pytestmark = pytest.mark.tools

LABELS = {catalogue.HUMAN: "homo", catalogue.MOUSE: "mus"}


def plan(tmp_path: Path, server: Server, *words: str) -> list[Run]:
    command = ["--series", *words, "--species", "homo=9606", "mus=10090", "--first-wait", "0.01"]
    for name in ("geo", "eutils", "ena"):
        command += [f"--{name}", server.archives[name]]
    command += ["--records", str(tmp_path / "records"), "--evidence", str(tmp_path / "evidence.jsonl")]
    resolve.main([*command, "--output", str(tmp_path / "plan.tsv")])
    return read_runs(tmp_path / "plan.tsv")


def expected(world: World) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield series, sample, experiment, run and tax id of every run of the world, by its catalogue."""
    for series in world.series.values():
        for one in series.experiments:
            for run in one.runs or ("",):
                for tax_id in one.tax_ids:
                    yield series.accession, one.sample, one.accession, run, tax_id


def test_every_run_of_every_series_has_its_row(world: World, server: Server, tmp_path: Path) -> None:
    names = [catalogue.PLATE, catalogue.DROPLET, catalogue.MIXED]
    rows = plan(tmp_path, server, *names)
    found = {(row.series, row.sample, row.experiment, row.run, row.tax_id) for row in rows}
    assert found == {row for row in expected(world) if row[0] in names}
    assert len(found) == len(rows)
    for row in rows:
        assert row.species == LABELS.get(row.tax_id, "")
        assert row.assay == ("" if not row.run else "droplet" if row.series == catalogue.DROPLET else "plate")
        if row.run in world.archives:
            archive = world.archives[row.run]
            assert (row.spots, row.bases) == (str(archive.spots), str(archive.bases))
            assert (row.bytes, row.md5) == (str(archive.size), archive.md5)
        if row.experiment:
            assert row.layout == ("paired" if world.experiments[row.experiment].ends == 2 else "single")
    left_out = {row.run or row.sample: row.reason for row in rows if row.status == "left_out"}
    assert left_out == {
        "SRR9000210": "OTHER_SPECIES",
        "SRR9000211": "NOT_RNA",
        "GSM9000212": "NO_RUN",
        "SRR9000214": "CONTROLLED_ACCESS",
        "SRR9000215": "NOT_RNA",
    }
    roles = {row.run: row.read_roles for row in rows if row.assay == "droplet"}
    assert roles == {
        "SRR9000101": "index,barcode,cdna",
        "SRR9000102": "index,barcode,cdna",
        "SRR9000103": "barcode,cdna",
    }


def test_a_superseries_holds_the_runs_of_its_parts(server: Server, tmp_path: Path) -> None:
    rows = plan(tmp_path, server, catalogue.SUPER, catalogue.DROPLET)
    assert {row.series for row in rows} == {catalogue.SUPER}
    assert len(rows) == 48
    for row in rows:
        droplet = row.assay == "droplet"
        part = catalogue.DROPLET if droplet else catalogue.PLATE
        also = f" Also in {catalogue.DROPLET}." if droplet else ""
        assert row.detail == f"Of {part}, a part of the SuperSeries.{also}"


def test_a_second_look_up_asks_nothing(server: Server, tmp_path: Path) -> None:
    words = [catalogue.MIXED, catalogue.SUPER, "SRX9000101", "GSM9000001", "SRR9000103"]
    first = plan(tmp_path, server, *words)
    content = (tmp_path / "plan.tsv").read_bytes()
    server.clear()
    assert plan(tmp_path, server, *words) == first
    assert server.requests == []
    assert (tmp_path / "plan.tsv").read_bytes() == content


@pytest.mark.parametrize("kind", ["cut", "truncated", "html", "empty", "json_error", "error_in_200", 429, 503])
def test_faults_that_pass_leave_no_trace(server: Server, tmp_path: Path, kind: str | int) -> None:
    good = plan(tmp_path / "good", server, catalogue.DROPLET)
    for pattern in ("family", "efetch", "filereport"):
        server.fault(pattern, kind, 2, retry_after=0)
    assert plan(tmp_path / "faulty", server, catalogue.DROPLET) == good
    records = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "records" / catalogue.DROPLET).iterdir()}
        for name in ("good", "faulty")
    ]
    assert records[0] == records[1]


@pytest.mark.parametrize("kind", ["error_in_200", "json_error", "first_page", "short_page", "truncated", 500])
@pytest.mark.parametrize("times", [1, 3, 1000])
def test_pages_of_a_study_that_fail(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | int, times: int
) -> None:
    monkeypatch.setattr(client, "BATCH", 10)
    good = plan(tmp_path / "good", server, "SRP900001")
    assert len(good) > 40
    server.fault("efetch.*retstart=20" if times < 1000 else "efetch.*retstart", kind, times)
    assert plan(tmp_path, server, "SRP900001") == good
    server.clear()
    assert plan(tmp_path, server, "SRP900001") == good
    assert server.requests == []


def test_both_archives_are_down_and_back_the_next_day(server: Server, tmp_path: Path) -> None:
    good = plan(tmp_path / "good", server, catalogue.PLATE)
    server.fault("/eutils/", "error_in_200")
    server.fault("/ena/", 503)
    with pytest.raises(InputError, match=r"GSE900001: .*NCBI says: Internal Server Error \(db\).* ENA: .* 503"):
        plan(tmp_path, server, catalogue.PLATE)
    assert not (tmp_path / "plan.tsv").exists()
    server.clear()
    assert plan(tmp_path, server, catalogue.PLATE) == good


def test_ena_stands_in_for_ncbi(server: Server, tmp_path: Path) -> None:
    server.fault("/eutils/", 500)
    rows = plan(tmp_path, server, catalogue.PLATE)
    planned = [row for row in rows if row.status == "planned"]
    assert {row.detail for row in rows} == {
        "Runs from ENA, not from NCBI.",
        # the run that is gone is not in ENA's report either
        "The archive has no public run of the experiment. Runs from ENA, not from NCBI.",
    }
    assert len(planned) == 44
    assert all(row.sample and row.species == "mus" and row.spots and row.layout for row in planned)


def test_the_metadata_of_what_was_counted(world: World, server: Server, tmp_path: Path) -> None:
    plan(tmp_path, server, catalogue.SUPER, catalogue.MIXED)
    counted = [
        row._replace(status="counted") if row.status == "planned" else row
        for row in iterate_runs(tmp_path / "plan.tsv")
    ]
    write_runs(tmp_path / "runs.tsv", counted)
    for species, samples in (("homo", 9), ("mus", 48)):
        words = ["--ledger", str(tmp_path / "runs.tsv"), "--records", str(tmp_path / "records"), "--species", species]
        words += ["--archive", str(tmp_path / f"{species}_meta.tgz"), "--series", str(tmp_path / "series.csv")]
        metadata.main([*words, "--samples", str(tmp_path / "samples.csv")])
        lines = (tmp_path / "samples.csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + samples
        assert lines[1].startswith(f"{catalogue.MIXED},GSM90002")
        assert (tmp_path / "series.csv").read_text(encoding="utf-8").count("GSE9000") >= 2
