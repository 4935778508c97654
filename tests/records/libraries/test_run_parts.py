"""Runs of one experiment that are parts of each other: index reads, empty runs, R1 and R2 in a run each."""

from pathlib import Path

import pytest

from scripts.records.answers.sra_xml import Experiment, Read, RemoteFile, SraRun
from scripts.records.libraries.run_parts import sort_runs
from tests.records.looked_up import plan
from tests.records.small_archives import keep, package, package_set, run


def one(name: str, *lengths: float, spots: str = "1000", file: str = "") -> SraRun:
    files = (RemoteFile(file, "fastq", 1, "", ""),) if file else ()
    return SraRun(name, spots=spots, reads=tuple(Read(length, 0, 1000) for length in lengths), files=files)


def left_out(*runs: SraRun) -> dict[str, str]:
    return {name: reason for name, (reason, _) in sort_runs(Experiment("SRX1", runs=runs)).left_out.items()}


def pairs(*runs: SraRun) -> dict[str, str]:
    parts = sort_runs(Experiment("SRX1", runs=runs))
    assert not parts.left_out
    return {first: parts.mates[first] for first in sorted(parts.first_halves)}


def test_index_reads_of_another_run_are_left_out_and_the_others_are_whole() -> None:
    index, reads = one("SRR1", 10, 10), one("SRR2", 28, 90)
    parts = sort_runs(Experiment("SRX1", runs=(index, reads)))
    sentence = "The run holds only index reads (10, 10 nt), those of the 1,000 spots of SRR2; "
    assert parts.left_out == {"SRR1": ("INDEX_READS_ONLY", sentence + "the experiment is counted without it.")}
    assert parts.whole.runs == (reads,)


@pytest.mark.parametrize(
    ("runs", "reasons"),
    [
        ((), {}),
        ((one("SRR1", 28, 90),), {}),
        ((one("SRR1", 10, 10),), {"SRR1": "INDEX_READS_ONLY"}),
        ((one("SRR1", 8), one("SRR2", 28, 90, spots="7")), {"SRR1": "INDEX_READS_ONLY"}),
        ((one("SRR1", 8), one("SRR2", 10)), {"SRR1": "INDEX_READS_ONLY", "SRR2": "INDEX_READS_ONLY"}),
        ((one("SRR1", spots="0"), one("SRR2", 28, 90)), {"SRR1": "EMPTY_READS"}),
        ((one("SRR1", spots="0"), one("SRR2", 8)), {"SRR1": "EMPTY_READS", "SRR2": "INDEX_READS_ONLY"}),
        ((one("SRR1", spots="0"),), {}),  # may be an empty well
        ((one("SRR1", spots=""), one("SRR2", 28, 90)), {}),  # not described
        ((one("SRR1", spots="")._replace(bases="0"), one("SRR2", 28, 90)), {"SRR1": "EMPTY_READS"}),
        ((one("SRR1", 0), one("SRR2", 28, 90)), {}),
        ((one("SRR1", 8)._replace(variable=True), one("SRR2", 28, 90)), {}),
    ],
)
def test_what_is_left_out_by_itself(runs: tuple[SraRun, ...], reasons: dict[str, str]) -> None:
    assert left_out(*runs) == reasons


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ((one("SRR1", 28), one("SRR2", 91)), {"SRR1": "SRR2"}),
        ((one("SRR1", 91), one("SRR2", 28)), {"SRR2": "SRR1"}),
        ((one("SRR1", 28, 8), one("SRR2", 91, 8)), {"SRR1": "SRR2"}),
        ((one("A", 28), one("B", 91), one("C", 28, spots="9"), one("D", 91, spots="9")), {"A": "B", "C": "D"}),
        ((one("A", 75, file="c_R1.fastq.gz"), one("B", 75, file="c_R2.fastq.gz")), {"A": "B"}),
        ((one("A", 75, file="c_2.fq.gz"), one("B", 75, file="c_1.fq.gz")), {"B": "A"}),
        ((one("A", 150, file="c_S1_R1_001.fastq"), one("B", 150, file="c_S1_R2_001.fastq")), {"A": "B"}),
        ((one("A", 75, file="c_R1.fastq.gz"), one("B", 75, file="d_R2.fastq.gz")), {}),
        ((one("A", 75, file="c_R1.fastq.gz"), one("B", 75, file="c_R2.fastq.gz", spots="9")), {}),
        ((one("A", 75), one("B", 75)), {}),  # two lanes
        ((one("A", 75, 75, file="c_R1.fastq.gz"), one("B", 75, 75, file="c_R2.fastq.gz")), {}),
        (
            tuple(
                one(f"{read}{lane}", 28 if read == "R1" else 91, file=f"L{lane}_{read}.fq")
                for lane in "12"
                for read in ("R1", "R2")
            ),
            {"R11": "R21", "R12": "R22"},
        ),
    ],
)
def test_two_runs_that_are_the_reads_of_the_same_spots(runs: tuple[SraRun, ...], found: dict[str, str]) -> None:
    assert pairs(*runs) == found


def test_a_pair_is_one_run_with_the_reads_of_both() -> None:
    first, second = one("SRR2", 8, 150, file="a_R1.fastq.gz"), one("SRR1", 150, file="a_R2.fastq.gz")
    parts = sort_runs(Experiment("SRX1", runs=(second, first)))
    (joined,) = parts.whole.runs
    assert joined.run == "SRR2"
    assert [read.length for read in joined.reads] == [8, 150, 150]
    roles = {"SRR2": ("index", "barcode", "cdna")}
    assert parts.roles(first, roles, "droplet") == ("index", "barcode")
    assert parts.roles(second, roles, "droplet") == ("cdna",)
    assert parts.roles(first, {}, "plate") == ("index", "cdna")
    assert parts.roles(second, {}, "plate") == ("cdna2",)
    assert parts.roles(second, {}, "droplet") == ()


def test_halves_that_do_not_show_what_they_belong_to_are_left_out() -> None:
    assert left_out(one("SRR1", 28), one("SRR2", 91, spots="999")) == dict.fromkeys(
        ("SRR1", "SRR2"), "LAYOUT_AMBIGUOUS"
    )
    four = [one("A", 28), one("B", 28), one("C", 91), one("D", 91)]  # two lanes of equal size
    parts = sort_runs(Experiment("SRX1", runs=tuple(four)))
    assert {reason for reason, _ in parts.left_out.values()} == {"LAYOUT_AMBIGUOUS"}
    assert parts.left_out["A"][1] == (
        "A, B (28 nt) may hold the barcodes and C, D (91 nt) the cDNA of the same spots, but their numbers of spots "
        "(1,000 and 1,000) and the names of their files do not show which belongs to which."
    )


def rows_of(tmp_path: Path, *runs: str, asked: tuple[str, ...] = ("SRP1",)) -> dict[str, tuple[str, str, str]]:
    for name in asked:
        keep(tmp_path / "records", name, xml=package_set(package("SRX1", runs, gse="", protocol="10x Genomics")))
    rows = {name: row for name, (row,) in plan(tmp_path, *asked).items()}
    return {name: (row.status, row.reason, row.read_roles) for name, row in rows.items()}


def test_a_library_is_planned_without_its_index_reads_and_empty_runs(tmp_path: Path) -> None:
    runs = [run("SRR1", lengths=(10, 10)), run("SRR2", lengths=(28, 90)), run("SRR3", spots=0, lengths=())]
    assert rows_of(tmp_path, *runs) == {
        "SRR1": ("left_out", "INDEX_READS_ONLY", ""),
        "SRR2": ("planned", "", "barcode,cdna"),
        "SRR3": ("left_out", "EMPTY_READS", ""),
    }


def test_an_empty_library_is_left_out(tmp_path: Path) -> None:
    assert rows_of(tmp_path, run("SRR1", spots=0, lengths=())) == {"SRR1": ("left_out", "EMPTY_READS", "")}


def test_reads_in_two_runs_are_planned_together(tmp_path: Path) -> None:
    halves = [run("SRR1", lengths=(28,)), run("SRR2", lengths=(91,))]
    assert rows_of(tmp_path, *halves) == {"SRR1": ("planned", "", "barcode"), "SRR2": ("planned", "", "cdna")}
    assert rows_of(tmp_path, *halves, asked=("SRR1", "SRR2"))["SRR2"] == ("planned", "", "cdna")


def test_one_half_alone_is_left_out(tmp_path: Path) -> None:
    halves = [run("SRR1", lengths=(28,)), run("SRR2", lengths=(91,))]
    assert rows_of(tmp_path, *halves, asked=("SRR2",)) == {"SRR2": ("left_out", "READS_MISSING", "cdna")}


def test_index_reads_of_what_is_not_counted_anyway_have_its_reason(tmp_path: Path) -> None:
    runs = [run("SRR1", lengths=(10, 10)), run("SRR2", lengths=(75, 75))]
    xml = package_set(package("SRX1", runs, gse="", title="liver", source="TRANSCRIPTOMIC"))
    keep(tmp_path / "records", "SRP1", xml=xml)
    reasons = {row.reason for rows in plan(tmp_path, "SRP1").values() for row in rows}
    assert reasons == {"NOT_SINGLE_CELL"}


def test_other_libraries_of_the_study_show_that_reads_are_joined(tmp_path: Path) -> None:
    packages = [
        package("SRX1", [run("SRR1", lengths=(26, 100))], gse="", protocol="10x Genomics"),
        package("SRX2", [run("SRR2", lengths=(126,))], gse="", protocol="10x Genomics", layout="SINGLE"),
        package("SRX3", [run("SRR3", lengths=(125,))], gse="", protocol="10x Genomics", layout="SINGLE"),
        package("SRX4", [run("SRR4", lengths=(100,))], gse="", protocol="10x Genomics", layout="SINGLE"),
    ]
    keep(tmp_path / "records", "SRP1", xml=package_set(*packages))
    rows = {name: row for name, (row,) in plan(tmp_path, "SRP1").items()}
    assert {name: row.reason for name, row in rows.items()} == {
        "SRR1": "",
        "SRR2": "LAYOUT_AMBIGUOUS",
        "SRR3": "LAYOUT_AMBIGUOUS",
        "SRR4": "BARCODE_LOST",
    }
    assert "may be joined (126 is 26 + 100, the reads of other libraries of the study)" in rows["SRR2"].detail
    assert "longer than the cDNA reads of other libraries of the study, of 100 nt" in rows["SRR3"].detail
