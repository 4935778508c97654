"""Series of GEO and their parts, on small family files."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records.answers import series_record
from tests.records.looked_up import plan, two_cells
from tests.records.small_archives import SmallArchives, family, keep, package, package_set, run, sample


def test_a_sample_that_is_listed_but_not_described(tmp_path: Path) -> None:
    soft, packages = two_cells()
    soft = soft.replace("^SAMPLE", "!Series_sample_id = GSM1\n!Series_sample_id = GSM7\n^SAMPLE", 1)
    soft = soft.replace("!Series_title", "!Series_sample_id = GSM7\n!Series_sample_id = GSM1\n!Series_title")
    keep(tmp_path / "records", "GSE1", soft, package_set(*packages.values()))
    rows = plan(tmp_path, "GSE1")
    assert sorted(rows) == ["GSM7", "SRR1", "SRR2", "SRR3"]
    assert (rows["GSM7"][0].reason, rows["GSM7"][0].detail) == (
        "NO_RUN",
        "GEO lists the sample, but does not describe it.",
    )


def test_a_superseries_of_superseries_in_a_circle(tmp_path: Path, small: SmallArchives) -> None:
    part_of = "SuperSeries of: {}".format
    small.families = {
        "GSE1": family("GSE1", relations=[part_of("GSE2"), part_of("GSE3")]),
        "GSE2": family("GSE2", relations=[part_of("GSE4"), part_of("GSE1")]),
        "GSE3": family("GSE3", [sample("GSM3", ["SRX3"], series=["GSE3", "GSE1"])]),
        "GSE4": family(
            "GSE4",
            [sample("GSM4", ["SRX4"], series=["GSE4", "GSE2"]), sample("GSM3", ["SRX3"], series=["GSE3"])],
            relations=[part_of("GSE2"), part_of("../../GSE5"), part_of("GSE9")],
        ),
    }
    small.packages = {f"SRX{n}": package(f"SRX{n}", [run(f"SRR{n}")], gsm=f"GSM{n}", gse=f"GSE{n}") for n in (3, 4)}
    rows = plan(tmp_path, "GSE1", small=small)
    assert sorted(rows) == ["SRR3", "SRR4"]
    assert {group[0].series for group in rows.values()} == {"GSE1"}
    assert rows["SRR4"][0].detail == (
        "GEO has no family file of GSE9 (a part of GSE1). Of GSE4, GSE2, a part of the SuperSeries."
    )
    assert sorted(path.name for path in (tmp_path / "records").iterdir() if path.name[0] != ".") == [
        "GSE1",
        "GSE2",
        "GSE3",
        "GSE4",
    ]


def test_a_superseries_whose_parts_have_no_end(
    tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_record, "_MOST_PARTS", 20)
    small.families = {
        f"GSE{n}": family(f"GSE{n}", relations=[f"SuperSeries of: GSE{m}" for m in (2 * n, 2 * n + 1)])
        for n in range(1, 200)
    }
    with pytest.raises(InputError, match="GSE1: its family files name more than 20 parts of it, as no SuperSeries has"):
        plan(tmp_path, "GSE1", small=small)


def test_a_superseries_that_holds_its_samples_is_not_walked(tmp_path: Path, small: SmallArchives) -> None:
    series = ["GSE2", "GSE1"]
    small.families["GSE1"] = family(
        "GSE1", [sample("GSM1", ["SRX1"], series=series)], relations=["SuperSeries of: GSE2"]
    )
    small.packages["SRX1"] = package("SRX1", [run("SRR1")], gsm="GSM1", gse="GSE2")
    rows = plan(tmp_path, "GSE1", small=small)
    assert len([path for path, _ in small.requests if "/geo/" in path]) == 1
    assert rows["SRR1"][0].detail == "Of GSE2, a part of the SuperSeries."


def test_a_sample_with_a_path_for_a_name_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soft = family("GSE1", [sample("../../GSM1", ["SRX1"]), sample("GSM2", ["SRX2"])])
    keep(tmp_path / "records", "GSE1", soft, package_set(*two_cells()[1].values()))
    rows = plan(tmp_path, "GSE1")
    assert {group[0].sample for group in rows.values()} == {"GSM1", "GSM2"}  # SRA's own word for the first
    assert "'../../GSM1', which is no GSM accession; it is skipped" in capsys.readouterr().err


def test_samples_of_microarrays(tmp_path: Path, small: SmallArchives) -> None:
    platforms = {"GPL1": "in situ oligonucleotide", "GPL2": "high-throughput sequencing"}
    of = {"GSM1": "GPL1", "GSM2": "GPL2", "GSM3": "GPL3", "GSM4": "GPL2"}
    experiments = {"GSM4": ["SRX4"]}
    samples = [sample(gsm, experiments.get(gsm, ()), more=[f"platform_id = {gpl}"]) for gsm, gpl in of.items()]
    soft = family("GSE1", samples, platforms=platforms)
    for name, technology in platforms.items():
        soft = soft.replace(f"^PLATFORM = {name}\n", f"^PLATFORM = {name}\n!Platform_technology = {technology}\n")
    soft = soft.replace("!Series_title", "!Series_type = Expression profiling by array\n!Series_title")
    small.families["GSE1"] = soft
    small.packages["SRX4"] = package("SRX4", [run("SRR4")], gsm="GSM4")
    rows = {name: group[0] for name, group in plan(tmp_path, "GSE1", small=small).items()}
    assert {name: row.reason for name, row in rows.items()} == {
        "GSM1": "NO_RUN",
        "GSM2": "NO_RUN",
        "GSM3": "NO_RUN",
        "SRR4": "",
    }
    array = "The sample is of a microarray"
    assert rows["GSM1"].detail == f"{array} (GPL1, in situ oligonucleotide), which has no reads."
    assert rows["GSM2"].detail == "GEO names no SRA experiment for the sample."
    assert rows["GSM3"].detail == f"{array} series (Expression profiling by array), which has no reads."
