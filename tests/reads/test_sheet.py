"""A run table from a folder of reads: names of Illumina, 10x, archives and sequencing centres."""

import gzip

import pytest

from scripts.core.errors import InputError
from scripts.plan.choices import parse_choices, plan_from_table
from scripts.reads import sheet


def reads(path, spots="ab", mate=1):
    """Write a FASTQ file whose reads are named after its spots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"@{spot} {mate}:N:0:ACGT\nACGT\n+\nIIII\n" for spot in spots).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def table(folder, *words):
    sheet.main([str(folder / "in"), "--directory", str(folder), *words, "--output", str(folder / "runs.tsv")])
    return [line.split("\t") for line in (folder / "runs.tsv").read_text().splitlines()]


def sources(folder, *words):
    """Return run → (experiment, names of its files)."""
    header, *rows = table(folder, *words)
    named = [dict(zip(header, row, strict=True)) for row in rows]
    return {
        row["run"]: (row.get("experiment", row["run"]), row["source"].removeprefix("file:in/").replace("in/", ""))
        for row in named
    }


def test_lanes_of_illumina_are_runs_of_one_experiment(tmp_path, capsys):
    for lane in (1, 2):
        for mate in (1, 2):
            reads(tmp_path / "in" / f"mix-A_S1_L00{lane}_R{mate}_001.fastq.gz", f"{lane}xy", mate)
        reads(tmp_path / "in" / f"mix-A_S1_L00{lane}_I1_001.fastq.gz", f"{lane}xy")
    reads(tmp_path / "in" / "Undetermined_S0_L001_R1_001.fastq.gz")
    named = "mix-A_S1_L00{0}_R1_001.fastq.gz;mix-A_S1_L00{0}_R2_001.fastq.gz"
    assert sources(tmp_path) == {f"mix-A_L00{lane}": ("mix-A", named.format(lane)) for lane in (1, 2)}
    said = capsys.readouterr().err
    assert "2 runs (2 with 2 files) of 1 cells or libraries." in said
    assert "In no run (index reads; with --assay droplet they are taken): " in said
    assert f"In no run (reads of no sample): {tmp_path}/in/Undetermined_S0_L001_R1_001.fastq.gz." in said
    (tmp_path / "runs.tsv").unlink()
    with_index = sources(tmp_path, "--assay", "droplet", "--species", "homo")
    assert with_index["mix-A_L001"] == ("mix-A", named.format(1) + ";mix-A_S1_L001_I1_001.fastq.gz")
    planned = plan_from_table(tmp_path / "runs.tsv", parse_choices(["--species", "homo=9606"]))
    assert [(row.experiment, row.species, row.assay) for row in planned] == [("mix-A", "homo", "droplet")] * 2


@pytest.mark.parametrize(
    ("first", "second", "run"),
    [
        ("SRR12_1.fastq.gz", "SRR12_2.fastq.gz", "SRR12"),
        ("A1_R1.fq", "A1_R2.fq", "A1"),
        ("A1.r1.fastq", "A1.r2.fastq", "A1"),
        ("E250_L01_17_1.fq.gz", "E250_L01_17_2.fq.gz", "E250_L01_17"),
        ("a b (c)_forward.fastq", "a b (c)_reverse.fastq", "a_b_c"),
        ("01-B_S7_R1_001.fastq", "01-B_S7_R2_001.fastq", "s01-B"),
    ],
)
def test_pairs_of_all_conventions(tmp_path, first, second, run):
    for name, mate in ((first, 1), (second, 2)):
        reads(tmp_path / "in" / name, mate=mate)
    assert sources(tmp_path) == {run: (run, f"{first};{second}")}


def test_numbers_of_cells_are_not_those_of_mates(tmp_path):
    for number in (1, 2, 3):
        reads(tmp_path / "in" / f"cell_{number}.fastq", f"{number}a")
    for name in ("pair_1.fastq", "pair_2.fastq"):
        reads(tmp_path / "in" / name)
    reads(tmp_path / "in" / "lone_7.fastq")
    assert {run: files for run, (_, files) in sources(tmp_path).items()} == {
        "cell_1": "cell_1.fastq",
        "cell_2": "cell_2.fastq",
        "cell_3": "cell_3.fastq",
        "lone_7": "lone_7.fastq",
        "pair": "pair_1.fastq;pair_2.fastq",
    }


def test_what_is_not_understood_is_listed(tmp_path, capsys):
    reads(tmp_path / "in" / "x_R1.fastq", "ab")
    reads(tmp_path / "in" / "x_R2.fastq", "cd", 2)
    reads(tmp_path / "in" / "y_1.fastq")
    reads(tmp_path / "in" / "y_2.fastq", mate=2)
    reads(tmp_path / "in" / "y.fastq", "q")
    (tmp_path / "in" / "notes.txt").write_text("x")
    (tmp_path / "in" / "z.fastq").write_text(">not FASTQ")
    reads(tmp_path / "in" / "a;b.fastq")
    assert sources(tmp_path) == {"y": ("y", "y_1.fastq;y_2.fastq")}
    said = capsys.readouterr().err
    for reason, names in (
        ("x_R1.fastq, x_R2.fastq are not of the same reads", ["x_R1.fastq", "x_R2.fastq"]),
        ("reads without mates, beside pairs of their sample", ["y.fastq"]),
        ("not reads by its name", ["notes.txt"]),
        ("neither FASTQ nor an archive nor BAM by its content", ["z.fastq"]),
        ("its path has ';' or a control character, rename it", ["a;b.fastq"]),
    ):
        assert f"In no run ({reason}): {', '.join(f'{tmp_path}/in/{name}' for name in names)}." in said


def test_the_same_well_of_two_plates_is_two_cells(tmp_path):
    for plate in ("p1", "p2"):
        reads(tmp_path / "in" / plate / "A1.fastq", plate)
    reads(tmp_path / "in" / "p2" / "A2.fastq")
    (tmp_path / "in" / "own.sra").write_bytes(b"NCBI.sra....")
    assert sources(tmp_path) == {
        "p1_A1": ("p1_A1", "p1/A1.fastq"),
        "p2_A1": ("p2_A1", "p2/A1.fastq"),
        "A2": ("A2", "p2/A2.fastq"),
        "own": ("own", "own.sra"),
    }


def test_a_folder_elsewhere_is_named_as_a_whole_and_nothing_is_overwritten(tmp_path, capsys):
    reads(tmp_path / "in" / "A1.fastq")
    sheet.main([str(tmp_path / "in"), "--directory", str(tmp_path / "analysis")])
    assert capsys.readouterr().out == f"run\tsource\nA1\tfile:{tmp_path}/in/A1.fastq\n"
    table(tmp_path)
    with pytest.raises(InputError, match=r"runs\.tsv: exists already"):
        table(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder, words in (("empty", "there are no reads in it"), ("none", "there is no such folder")):
        with pytest.raises(InputError, match=words):
            sheet.main([str(tmp_path / folder)])


def test_names_that_would_collide_are_reported(tmp_path, capsys):
    reads(tmp_path / "in" / "a b.fastq", "1")
    reads(tmp_path / "in" / "a_b.fastq", "2")
    table(tmp_path)
    assert "To be changed by hand: a_b: the run is duplicated for x." in capsys.readouterr().err
