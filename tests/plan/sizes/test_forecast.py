"""What of a plan will fail: lists, files, memory and scratch."""

from pathlib import Path

import pytest
import yaml

from scripts.plan.run_table import Run
from scripts.plan.sizes import forecast
from scripts.plan.sizes.cost import Estimator
from scripts.plan.sizes.size_model import SizeModel
from scripts.plan.units import Unit

KITS = yaml.safe_load((Path(__file__).parents[3] / "config" / "chemistries.yaml").read_text(encoding="utf-8"))
V3 = "3M-february-2018"


def unit(gb: int, species: str = "homo", mspots: int = 1) -> Unit:
    return Unit("GSE1", species, "SRX1", gb * 10**9, 0, mspots * 10**6, 1, 0, 0, 0, "d")


def estimator() -> Estimator:
    human = {"genome_mb": 3200.0, "index_mb": 29_000.0, "kjunctions": 400.0}
    return Estimator(SizeModel(), {"hg38": human}, {"homo": "hg38"}, 96)


def test_libraries_of_a_plan() -> None:
    rows = [
        Run(experiment="SRX1", run="SRR1", assay="droplet", status="planned", chemistry="10x_3p_v3"),
        Run(experiment="SRX2", run="SRR2", assay="plate", status="planned"),
        Run(experiment="SRX3", run="SRR3", assay="droplet", status="left_out", reason="NO_RUN"),
    ]
    assert forecast.libraries_of(rows) == {"SRX1": "10x_3p_v3"}


@pytest.mark.parametrize(
    ("kit", "sources", "fault"),
    [
        ("", [V3], ""),
        ("", ["737K-cratac-v1"], "no inclusion list is configured, and only barcodes prove a kit"),
        ("", ["bd-rhapsody-cls1"], "no inclusion list is configured"),  # of three that the kit needs
        ("10x_3p_v3", [V3], ""),
        (
            "10x_3p_v3",
            ["737K-august-2016"],
            f"for 10x Chromium 3′ v3 or v3.1; set droplets.inclusion_lists.{V3} ",
        ),
        ("bd_rhapsody", [], "bd-rhapsody-cls1 and droplets.inclusion_lists.bd-rhapsody-cls2 and "),
        ("drop_seq", [], ""),
        ("cel_seq2", [], ""),  # its barcodes come with the workflow
        ("quartz_seq2", [], ""),  # they are found in the reads
        ("indrops_v2", ["indrops-gel1"], "set droplets.inclusion_lists.indrops-gel2 to"),
        ("", ["split-seq-round1"], "be named as droplets.chemistry: split_seq (SPLiT-seq, Parse Evercode WT v1), "),
        ("10x_flex", [forecast.PROBE_SET, "737K-fixed-rna-profiling"], ""),
        ("", [forecast.PROBE_SET, "737K-fixed-rna-profiling"], ""),
        ("10x_flex", [forecast.PROBE_SET], "set droplets.inclusion_lists.737K-fixed-rna-profiling to"),
        ("10x_flex", [V3], "libraries of 10x Chromium Flex (fixed RNA) are not counted: they are ligated probes"),
        ("10X_5P_v2", [V3], "chemistry '10X_5P_v2' is not in config/chemistries.yaml; did you mean '10x_5p_v2'?"),
    ],
)
def test_a_kit_without_its_lists(kit: str, sources: list[str], fault: str) -> None:
    found = forecast.kit_fault(kit, sources, KITS)
    assert fault in found
    assert bool(fault) is bool(found)


def test_libraries_are_counted_and_some_named() -> None:
    libraries = {f"SRX{number}": "10x_3p_v3" for number in range(5)} | {"SRX9": "drop_seq"}
    (fault,) = forecast.list_faults(libraries, {}, KITS)
    assert fault == (
        "5 droplet libraries (SRX0, SRX1, SRX2 and 2 more): no inclusion list is configured for 10x Chromium 3′ v3 or "
        f"v3.1; set droplets.inclusion_lists.{V3} to its path or address."
    )
    assert forecast.list_faults({}, {}, KITS) == []


def test_the_package_of_lists_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, faults in ((None, 1), (object(), 0)):
        monkeypatch.setattr(forecast.importlib.util, "find_spec", lambda name, found=found: found)
        assert len(forecast.list_faults({"SRX1": ""}, {V3: "ngs-tools"}, KITS)) == faults
        assert forecast.list_faults({}, {V3: "ngs-tools"}, KITS) == []


def test_units_beyond_the_limit_of_scratch() -> None:
    units = {"GSE1.homo.SRX1": unit(900), "GSE1.homo.0000": unit(300), "GSE1.homo.SRX2": unit(200)}
    (warning,) = forecast.limit_faults(units, 200)
    assert warning == (
        "2 units (GSE1.homo.SRX1, GSE1.homo.0000): up to 900 GB of scratch are needed, but scratch.limit_gb is 200: "
        "what does not fit fails with DISK_LIMIT. Set scratch.limit_gb to 900 or more."
    )
    assert list(forecast.limit_faults({}, 200)) == []


def test_units_that_are_too_many_for_one_call_of_snakemake() -> None:
    shards = [f"GSE{number}.homo.0000" for number in range(40_000)]
    assert forecast.graph_fault(shards, 100_000) == ""
    assert forecast.graph_fault([*shards, "GSE1.homo.SRX1"], 40_001) == (
        "40,001 units of work and 160,006 jobs are too many for one call: Snakemake needs about 4 GB of memory and 6 "
        "minutes to plan them. Call it 5 times, with --batch ledger=1/5 to 5/5, which harvests (docs/cluster.md, Very "
        "many series), or share the series out to several analyses with the same resources/."
    )


def test_a_disk_that_is_nearly_full() -> None:
    (warning,) = forecast.disk_warnings({"GSE1.homo.SRX2": unit(150)}, 200, 100.25)
    assert warning.startswith("The disk of the scratch folder has 100.2 GB free, but the largest unit that scratch.")
    assert list(forecast.disk_warnings({"GSE1.homo.SRX2": unit(100), "GSE1.homo.SRX3": unit(201)}, 200, 100.25)) == []
    many = {f"GSE1.homo.SRX{number}": unit(50) for number in range(3)}
    (warning,) = forecast.disk_warnings(many, 200, 100.25)
    assert warning.startswith(
        "The disk of the scratch folder has 100.2 GB free, but scratch.limit_gb allows 150.0 for units that are worked"
        " on together; set it to 100.2, free some,"
    )
    assert list(forecast.disk_warnings(many, 100, 100.25)) == []
    assert list(forecast.disk_warnings({}, 200, 0)) == []


def test_barcode_reads_of_a_length_whose_kits_have_no_list() -> None:
    (warning,) = forecast.length_warnings({"SRX1": 28, "SRX2": 26, "SRX3": 28, "SRX4": 33}, ["737K-august-2016"], KITS)
    assert warning == (
        "2 droplet libraries (SRX1, SRX3): barcode reads of 28 nt, as of kits whose inclusion list is not configured; "
        "set droplets.inclusion_lists to the one that fits: 3M-february-2018 (10x Chromium 3′ v3 or v3.1), "
        "3M-3pgex-may-2023 (10x Chromium GEM-X 3′ v4), 3M-5pgex-jan-2023 (10x Chromium GEM-X 5′ v3), "
        "737K-arc-v1 (10x Chromium Multiome, gene expression)."
    )
    assert list(forecast.length_warnings({"SRX1": 28}, [V3], KITS)) == []


def test_jobs_that_do_not_fit_the_memory() -> None:
    units = {"GSE1.homo.0000": unit(1), "GSE1.homo.0001": unit(1), "GSE1.homo.SRX1": unit(1, mspots=1000)}
    # align: 0.9 + 29 + 16 × 0.36 GB; solo: 0.9 + 29 + 16 × 0.2 + 30 GB; star_index: 0.7 + 32.3 + 5.2 GB
    warnings = list(forecast.memory_warnings(units, estimator(), [], 34.0))
    assert [warning.partition(";")[0] for warning in warnings] == [
        "2 jobs of align: about 36 GB of memory are needed, this machine has 34",
        "1 job of solo: about 63 GB of memory are needed, this machine has 34",
    ]
    (warning, *_) = forecast.memory_warnings(units, estimator(), ["hg38"], 37.0)
    assert warning.startswith(
        "1 job of star_index: about 38 GB of memory are needed, this machine has 37; give a ready "
    )
    assert list(forecast.memory_warnings(units, estimator(), [], 128.0)) == []


@pytest.mark.parametrize(
    ("groups", "file", "limit"),
    [
        ("0::/", "memory.max", "500000000"),
        ("0::/user.slice/job_7", "user.slice/job_7/memory.max", "500000000"),
        ("0::/user.slice/job_7", "user.slice/memory.max", "500000000"),  # of the group above
        ("0::/job", "unified/job/memory.max", "500000000"),
        ("5:cpu,memory:/slurm/uid_1", "memory/slurm/uid_1/memory.limit_in_bytes", "500000000"),
        ("0::/", "memory.max", "max"),
        ("4:memory:/", "memory/memory.limit_in_bytes", "9223372036854771712"),  # none
        ("3:cpu:/a", "cpu/a/memory.limit_in_bytes", "1"),
        ("0::/../a", "a/memory.max", "x"),
    ],
)
def test_the_memory_of_the_machine_and_of_its_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, file: str, limit: str
) -> None:
    monkeypatch.setattr(forecast, "_GROUPS", tmp_path / "top")
    monkeypatch.setattr(forecast, "_GROUPS_OF_PROCESS", tmp_path / "cgroup")
    whole = forecast.machine_memory_gb()
    assert whole > 1
    path = tmp_path / "top" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{limit}\n")
    (tmp_path / "cgroup").write_text(f"1:name=systemd:/\n{groups}\n")
    assert forecast.machine_memory_gb() == (0.5 if limit == "500000000" else whole)


def test_free_room_of_a_folder_that_is_still_to_be_made(tmp_path: Path) -> None:
    assert forecast.free_gb(tmp_path / "a" / "b") == pytest.approx(forecast.free_gb(tmp_path), rel=0.1)
