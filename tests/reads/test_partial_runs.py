"""Index reads, and R1 and R2, in a run each: left out; joined where every spot has the same name, else refused."""

import gzip
from pathlib import Path

import pytest

from scripts.formats.fastq_files import read_pieces
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.reads import fastq
from scripts.reads.partial_runs import is_number, settle_parts, spot_name

BARCODE, CDNA = "ACGT" * 7, "GATTACA" * 13  # of 28 and 91 nt
NAMES = ("A00:1:8", "A00:1:9", "A00:2:1")


def write_reads(path: Path, run: str, bases: str, names: tuple[str, ...] = NAMES) -> None:
    """Write reads as fasterq-dump does; an empty name becomes the spot's number."""
    quality = "F" * len(bases)
    records = [f"@{run}.{n} {name or n}\n{bases}\n+\n{quality}\n" for n, name in enumerate(names, 1)]
    path.write_text("".join(records))


class Halves:
    """Runs of one experiment whose reads are in files."""

    def __init__(self, folder: Path, assay: str = "droplet") -> None:
        self.folder, self.assay = folder, assay
        self.rows: list[Run] = []
        self.statuses: dict[str, RunStatus] = {}

    def add(self, run: str, *reads: str, names: tuple[str, ...] = NAMES, roles: str = "") -> "Halves":
        for number, bases in enumerate(reads, 1):
            name = f"{run}.fastq" if self.assay == "plate" else f"{run}_{number}.fastq"
            write_reads(self.folder / name, run, bases, names)
        self.rows.append(Run(experiment="SRX1", run=run, assay=self.assay, read_roles=roles, layout="single"))
        self.statuses[run] = RunStatus(run, spots=str(len(names)))
        return self

    def join(self) -> dict[str, tuple[str, str]]:
        """Return run → its state and roles."""
        self.statuses = settle_parts({"SRX1": self.rows}, self.statuses, self.folder)
        return {run: (status.state, status.read_roles) for run, status in self.statuses.items()}

    def files(self) -> dict[str, tuple[str, str]]:
        """Return name → the first header and the bases of each file."""
        texts = {path: b"".join(read_pieces(path)).decode().split("\n") for path in sorted(self.folder.iterdir())}
        return {path.name.removesuffix(".gz"): (lines[0], lines[1]) for path, lines in texts.items()}


@pytest.mark.parametrize("order", [("SRR1", "SRR2"), ("SRR2", "SRR1")])
def test_barcodes_and_cdna_become_one_run(tmp_path: Path, order: tuple[str, str]) -> None:
    first, second = order
    halves = Halves(tmp_path).add(first, BARCODE).add(second, CDNA)
    assert halves.join() == {first: ("ok", ""), second: ("joined", "cdna")}
    header = f"@{first}.1 A00:1:8"
    assert halves.files() == {f"{first}_1.fastq": (header, BARCODE), f"{first}_2.fastq": (header, CDNA)}
    assert gzip.decompress((tmp_path / f"{first}_2.fastq.gz").read_bytes()).count(CDNA.encode()) == len(NAMES)
    assert halves.statuses[first].detail == f"The other read of its spots is {second}; joined by name."
    assert halves.statuses[second].detail == f"Its reads are joined to the spots of {first}."


def test_index_reads_beside_the_halves_keep_their_numbers(tmp_path: Path) -> None:
    halves = Halves(tmp_path).add("SRR1", "ACGTACGT", BARCODE, roles="index,barcode").add("SRR2", CDNA, "ACGTACGT")
    assert halves.join() == {"SRR1": ("ok", "index,barcode,cdna"), "SRR2": ("joined", "cdna,index")}
    assert {name: bases for name, (_, bases) in halves.files().items()} == {
        "SRR1_1.fastq": "ACGTACGT",
        "SRR1_2.fastq": BARCODE,
        "SRR1_3.fastq": CDNA,
    }


def test_roles_of_the_plan_go_before_lengths_and_may_be_those_of_a_ledger(tmp_path: Path) -> None:
    halves = Halves(tmp_path).add("SRR1", CDNA, roles="barcode,cdna").add("SRR2", CDNA, roles="cdna")
    assert halves.join() == {"SRR1": ("ok", "barcode,cdna"), "SRR2": ("joined", "cdna")}


def test_a_name_that_differs_refuses_the_pair(tmp_path: Path) -> None:
    halves = Halves(tmp_path).add("SRR1", BARCODE).add("SRR2", CDNA, names=("A00:1:8", "A00:1:7", "A00:2:1"))
    before = halves.files()
    assert halves.join() == {"SRR1": ("failed", ""), "SRR2": ("failed", "")}
    status = halves.statuses["SRR2"]
    assert (status.reason, status.detail) == (
        "LAYOUT_AMBIGUOUS",
        "SRR1 and SRR2 may be the two reads of the same spots, but spot 2 is called '2 A00:1:9' in one and '2 A00:1:7' "
        "in the other, so that they are not joined.",
    )
    assert halves.files() == before


def test_where_archives_keep_no_names_barcodes_and_cdna_are_joined_by_number(tmp_path: Path) -> None:
    halves = Halves(tmp_path).add("SRR1", BARCODE, names=("",) * 2).add("SRR2", CDNA, names=("",) * 2)
    assert halves.join()["SRR2"][0] == "joined"
    assert halves.statuses["SRR1"].detail.endswith("joined by number, for the archive keeps no names.")


def test_lanes_are_paired_by_their_names(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    for lane in "12":
        names = tuple(f"{name}:{lane}" for name in NAMES)
        halves.add(f"R1{lane}", BARCODE, names=names).add(f"R2{lane}", CDNA, names=names)
    assert {run for run, (state, _) in halves.join().items() if state == "joined"} == {"R21", "R22"}
    assert sorted(halves.files()) == ["R11_1.fastq", "R11_2.fastq", "R12_1.fastq", "R12_2.fastq"]


@pytest.mark.parametrize(
    "runs",
    [
        [("SRR1", BARCODE)],
        [("SRR1", BARCODE, CDNA), ("SRR2", BARCODE, CDNA)],
        [("SRR1", BARCODE, CDNA), ("SRR2", CDNA)],
        [("SRR1", BARCODE), ("SRR2", BARCODE)],
        [("SRR1", "ACGTACGT"), ("SRR2", "ACGTACGT")],
    ],
)
def test_other_runs_stay_as_they_are(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    halves = Halves(tmp_path)
    for number, (run, *reads) in enumerate(runs):
        halves.add(run, *reads, names=tuple(f"{name}:{number}" for name in NAMES))
    before = halves.files()
    assert {state for state, _ in halves.join().values()} == {"ok"}
    assert halves.files() == before


@pytest.mark.parametrize("assay", ["droplet", "plate"])
def test_index_reads_are_left_out_beside_others(tmp_path: Path, assay: str) -> None:
    halves = Halves(tmp_path, assay).add("SRR1", "ACGTACGT").add("SRR2", CDNA).add("SRR3", "ACGT", names=NAMES[:2])
    assert {run: state for run, (state, _) in halves.join().items()} == {
        "SRR1": "left_out",
        "SRR2": "ok",
        "SRR3": "left_out",
    }
    status = halves.statuses["SRR1"]
    assert status.reason == "INDEX_READS_ONLY"
    assert status.detail == "the run holds only index reads (8 nt), those of the 3 spots of SRR2."
    assert halves.statuses["SRR3"].detail == "the run holds only index reads (4 nt), beside SRR2."
    assert [name[:4] for name in halves.files()] == ["SRR2"]


def test_mates_of_a_plate_cell(tmp_path: Path) -> None:
    halves = Halves(tmp_path, "plate").add("SRR1", CDNA).add("SRR2", CDNA)  # the names prove it
    assert halves.join() == {"SRR1": ("ok", ""), "SRR2": ("joined", "cdna2")}
    assert list(halves.files()) == ["SRR1_1.fastq", "SRR1_2.fastq"]
    assert halves.statuses["SRR1"].layout == "paired"


def test_lanes_of_a_plate_cell_are_no_mates(tmp_path: Path) -> None:
    halves = Halves(tmp_path, "plate").add("SRR1", CDNA, names=("", "")).add("SRR2", CDNA, names=("", ""))
    assert halves.join() == {"SRR1": ("ok", ""), "SRR2": ("ok", "")}


def test_mates_that_the_plan_names(tmp_path: Path) -> None:
    halves = Halves(tmp_path, "plate").add("SRR1", CDNA, names=("", ""), roles="cdna2")
    halves.add("SRR2", CDNA, names=("", ""), roles="cdna")
    assert halves.join() == {"SRR1": ("joined", "cdna2"), "SRR2": ("ok", "")}
    assert list(halves.files()) == ["SRR2_1.fastq", "SRR2_2.fastq"]


def test_second_reads_without_first_ones_fail(tmp_path: Path) -> None:
    halves = Halves(tmp_path, "plate").add("SRR1", CDNA, roles="cdna2").add("SRR2", CDNA, names=("x",), roles="cdna")
    assert halves.join() == {"SRR1": ("failed", ""), "SRR2": ("ok", "")}
    assert halves.statuses["SRR1"].reason == "READS_MISSING"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"@SRR1.5 A00:1:8\n", b"5 A00:1:8"),
        (b"@SRR1.5 A00:1:8/1\n", b"5 A00:1:8"),
        (b"@SRR1.5 5/2\n", b"5 5"),
        (b"@SRR1.5\n", b"5"),
        (b"@A00:1:8 1:N:0:ACGT\n", b"A00:1:8"),
        (b"@A00:1:8/2\n", b"A00:1:8"),
        (b"@\n", b""),
    ],
)
def test_names_of_spots(header: bytes, name: bytes) -> None:
    assert spot_name(header, "SRR1") == name
    assert is_number(name) is (name in (b"5", b"5 5"))


def test_the_command_joins_files_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for run, bases in (("mine1", BARCODE), ("mine2", CDNA)):
        (tmp_path / f"{run}.fastq").write_text("".join(f"@{name}\n{bases}\n+\n{'F' * len(bases)}\n" for name in NAMES))
    rows = [
        Run(series="S", experiment="X", run=run, species="homo", assay="droplet", source=f"file:{run}.fastq")
        for run in ("mine1", "mine2")
    ]
    write_runs("S.homo.X.tsv", [row._replace(status="planned") for row in rows])
    Path("archives").mkdir()
    write_statuses("archives/status.tsv", [RunStatus("mine1"), RunStatus("mine2")])
    fastq.main(["--runs", "S.homo.X.tsv", "--archives", "archives", "--output", "fastq"])
    assert {run: status.state for run, status in read_statuses("fastq/status.tsv").items()} == {
        "mine1": "ok",
        "mine2": "joined",
    }
    assert sorted(path.name for path in Path("fastq").glob("*.fastq*")) == ["mine1_1.fastq", "mine1_2.fastq.gz"]
    assert Path("mine2.fastq").exists()
