"""The records of a folder, whatever their format."""

import gzip
from pathlib import Path

import pytest

from scripts.records.answers import record_files
from scripts.records.answers.family_files import read_family
from tests.records.small_archives import family, package, package_set, run


def test_the_first_bytes_tell_what_a_record_is(tmp_path: Path) -> None:
    folder = tmp_path / "GSE1"
    folder.mkdir()
    assert record_files.family_of(folder, "GSE1") is None
    assert record_files.read_any_runs(folder) is None
    (folder / "sra.xml.gz").write_bytes(
        gzip.compress(b"<MINiML><Series iid='GSE1'/></MINiML>")
    )  # a family under another name
    assert record_files.family_of(folder, "GSE1") == folder / "sra.xml.gz"
    assert record_files.read_any_runs(folder) is None
    assert [entity.kind for entity in read_family(folder / "sra.xml.gz")][-1] == "series"
    (folder / "GSE1_family.soft").write_text(family("GSE1"))
    assert record_files.family_of(folder, "GSE1") == folder / "GSE1_family.soft"


def test_the_best_record_of_runs_is_taken(tmp_path: Path) -> None:
    (tmp_path / "SraRunTable.txt").write_text("Run\tExperiment\nSRR3\tSRX3\n")
    assert _found(tmp_path) == ("SraRunTable.txt", ["SRX3"])
    (tmp_path / "filereport_read_run_PRJNA1.tsv").write_text("run_accession\texperiment_accession\nSRR2\tSRX2\n")
    assert _found(tmp_path) == ("ENA", ["SRX2"])
    (tmp_path / "sra.xml").write_text(package_set(package("SRX1", [run("SRR1")])))
    assert _found(tmp_path) == ("SRA", ["SRX1"])


def _found(folder: Path) -> tuple[str, list[str]]:
    name, experiments = record_files.read_any_runs(folder)
    return name, [item.experiment for item in experiments]


@pytest.mark.parametrize("name", ["runinfo.csv", "GSE1_RunInfo_2026.csv.gz", "SraRunTable.csv", "SRX1.runinfo"])
def test_tables_of_runs_are_known_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "other.csv").write_bytes(b"")
    assert record_files.run_list_of(tmp_path) == tmp_path / name


def test_a_walk_reads_each_series_once(tmp_path: Path) -> None:
    for series, parts in (("GSE1", ("GSE2", "GSE3")), ("GSE2", ("GSE1",)), ("GSE3", ())):
        (tmp_path / series).mkdir()
        text = family(series, relations=[f"SuperSeries of: {part}" for part in parts])
        (tmp_path / series / f"{series}_family.soft").write_text(text)
    read = {"GSE3"}
    walked = [
        [entity.accession for entity in entities] for entities in record_files.walk_families(tmp_path, "GSE1", read)
    ]
    assert [names[1] for names in walked] == ["GSE1", "GSE2"]
    assert read == {"GSE1", "GSE2", "GSE3"}
