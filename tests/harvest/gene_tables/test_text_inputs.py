"""Text files of htseq-count that were made elsewhere give the table that shards give."""

import gzip

import pytest

from scripts.core.errors import InputError
from scripts.harvest import counts_table
from scripts.harvest.gene_tables import text_inputs
from scripts.plan.run_table import write_runs
from scripts.plates.shard_counts import TALLIES
from tests.harvest.test_counts_table import Dataset, cell, make_random


def test_text_files_made_elsewhere_give_the_same_table(tmp_path):
    data = make_random(tmp_path, 6, species=("mus", "homo"), failed=0.2)
    data.write_shards()
    expected = data.make()
    written = (tmp_path / "table.csv.gz").read_bytes()
    folder = data.write_texts()
    arguments = ["--htseq-counts", str(folder), "--species", "mus", "--output", str(tmp_path / "other.csv.gz")]
    counts_table.main([*arguments, "--ledger", str(tmp_path / "runs.tsv")])
    assert (tmp_path / "other.csv.gz").read_bytes() == written
    counts_table.main([*arguments, "--ledger", str(tmp_path / "runs.tsv"), "--workers", "2"])
    assert (tmp_path / "other.csv.gz").read_bytes() == written
    (folder / "more").mkdir()
    for path in sorted(folder.glob("*.txt"))[::2]:
        path.rename(folder / "more" / path.name)
    counts_table.main(arguments)  # without a ledger each file is a cell
    lines = gzip.decompress((tmp_path / "other.csv.gz").read_bytes()).decode().splitlines()
    runs = sorted(row.run for row in data.rows if row.status == "counted" and row.species == "mus")
    assert lines[0].split(",") == ["GENENAME", *runs]
    assert lines[1:4] == ["EXP_ID" + "," * len(runs), "TAXON" + ",mus" * len(runs), "GSM" + "," * len(runs)]
    assert len(lines) == len(expected.splitlines())


def test_text_files_of_another_layout_are_read_too(tmp_path):
    data = make_random(tmp_path, 7, cells=8, greatest=10**6)
    folder = data.write_texts()
    files = sorted(folder.iterdir())
    files[1].write_bytes(files[1].read_bytes().replace(b"\n", b"\r\n"))
    files[2].write_bytes(files[2].read_bytes().removesuffix(b"\n"))
    lines = files[3].read_text().splitlines(keepends=True)
    files[3].write_text("".join(reversed(lines)))
    output = str(tmp_path / "other.csv.gz")
    ledger = str(tmp_path / "runs.tsv")
    counts_table.main(["--htseq-counts", str(folder), "--species", "mus", "--ledger", ledger, "--output", output])
    assert gzip.decompress((tmp_path / "other.csv.gz").read_bytes()).decode() == data.plain_table("mus")


def test_faults_of_text_files_are_reported(tmp_path):
    rows = cell("SRX1", ["SRR1"]) + cell("SRX2", ["SRR2"]) + cell("SRX3", ["SRR3"], species="homo")
    data = Dataset(tmp_path, rows, ["g1", "g22"], {name: [5, 10] for name in ("SRX1", "SRX2", "SRX3")}, {})
    data.tallies = {name: [0] * 5 for name in data.counts}
    folder = data.write_texts()
    second = folder / "SRR2.mus.htseq-count.txt"
    text = second.read_text()

    def fault():
        with pytest.raises(InputError) as error:
            counts_table.main(
                ["--htseq-counts", str(folder), "--species", "mus", "--output", str(tmp_path / "x"), *ledger]
            )
        return str(error.value)

    ledger = ["--ledger", str(tmp_path / "runs.tsv")]
    second.write_text(text.replace("g22", "g23"))
    assert "are not of the same genes: g23 only in the first; g22 only in the second." in fault()
    second.write_text(text.replace("g1\t5", "g1\t5.5"))
    assert f"{second}, line 1: not 'gene<TAB>count' as htseq-count writes it: 'g1\\t5.5'." in fault()
    second.write_text(text.replace("g22", "g1"))
    assert "line 2: 'g1' is duplicated." in fault()
    second.write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert "cut short, or not of htseq-count: it has no line __alignment_not_unique." in fault()
    second.rename(folder / "SRR9.mus.htseq-count.txt")
    assert fault() == "\n".join(
        [
            f"The folder {folder} needs 2 corrections:",
            "SRR2: counted in the ledger, but a run of it has no file.",
            "SRR9.mus.htseq-count.txt: SRR9 is not counted in the ledger.",
        ]
    )
    for path in folder.iterdir():
        path.unlink()
    ledger = []
    assert "no file is named RUN.mus.htseq-count.txt" in fault()
    assert not (tmp_path / "x").exists()


def make_texts(folder, texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def of_texts(tmp_path, *more):
    output = tmp_path / "table.csv.gz"
    counts_table.main(["--htseq-counts", str(tmp_path / "texts"), "--species", "mus", "--output", str(output), *more])
    return gzip.decompress(output.read_bytes()).decode()


def text_of(counts):
    lines = [f"g{gene}\t{count}\n" for gene, count in enumerate(counts, 1)]
    return "".join([*lines, *(f"{name}\t{place}\n" for place, name in enumerate(TALLIES))])


def test_texts_may_be_gzipped_and_other_files_are_skipped_and_named(tmp_path, capsys):
    texts = {
        "SRR2.mus.htseq-count.txt.gz": text_of([0, 20]),
        "SRR1.htseq-count.txt": text_of([1, 0]),
        "SRR1.homo.htseq-count.txt": "another species",
        "README.txt": "x",
        "SRR1.bam": "x",
    }
    make_texts(tmp_path / "texts", texts)
    assert of_texts(tmp_path).splitlines()[:6] == [
        *("GENENAME,SRR1,SRR2", "EXP_ID,,", "TAXON,mus,mus", "GSM,,"),
        *("__alignment_not_unique,4,4", "__ambiguous,1,1"),
    ]
    assert of_texts(tmp_path).splitlines()[-2:] == ["g1,1,0", "g2,0,20"]
    assert (
        "texts: 3 of 5 files are passed over, not named RUN.mus.htseq-count.txt:"
        " README.txt, SRR1.bam, SRR1.homo.htseq-count.txt.\n" in capsys.readouterr().err
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_all_faults_of_texts_are_reported_at_once(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(text_inputs, "FILES_OF_SHARD", 3)
    whole = text_of([1, 2, 3])
    good = {f"SRR{number}.mus.htseq-count.txt": whole for number in range(5, 9)}
    faulty = {
        "SRR1.mus.htseq-count.txt": whole.replace("g2\t2\n", ""),  # the first one does not decide
        "SRR2.mus.htseq-count.txt": whole[: whole.index("iguous")],
        "SRR3.mus.htseq-count.txt": whole.replace("g2\t", "g1\t"),
        "SRR4.mus.htseq-count.txt": "",
        "SRR9.mus.htseq-count.txt": "".join(reversed(whole.splitlines(keepends=True))),  # no fault
    }
    make_texts(tmp_path / "texts", good | faulty)
    (tmp_path / "texts" / "SRR91.mus.htseq-count.txt.gz").write_bytes(gzip.compress(whole.encode())[:-10])
    with pytest.raises(InputError) as error:
        of_texts(tmp_path, "--workers", workers)
    texts = tmp_path / "texts"
    title, *faults = str(error.value).splitlines()
    assert title == "The folder of counts needs 5 corrections:"
    assert faults[:4] == [
        f"{texts}/SRR1.mus.htseq-count.txt and {texts}/SRR5.mus.htseq-count.txt are not of the same genes:"
        " g2 only in the second. A table is of one reference.",
        f"{texts}/SRR2.mus.htseq-count.txt: cut short in line 5: '__amb'.",
        f"{texts}/SRR3.mus.htseq-count.txt, line 2: 'g1' is duplicated.",
        f"{texts}/SRR4.mus.htseq-count.txt: cut short, or not of htseq-count: it has no line {', '.join(TALLIES)}.",
    ]
    assert faults[4].startswith(f"{texts}/SRR91.mus.htseq-count.txt.gz: cut short or damaged, it cannot be inflated: ")
    assert not (tmp_path / "table.csv.gz").exists()


def test_a_folder_without_a_readable_text_is_an_error(tmp_path):
    with pytest.raises(InputError, match="texts: not a folder"):
        of_texts(tmp_path)
    make_texts(tmp_path / "texts", {"SRR1.mus.htseq-count.txt": "a\n", "SRR2.mus.htseq-count.txt": "b\t-1\n"})
    with pytest.raises(InputError) as error:
        of_texts(tmp_path)
    assert len(str(error.value).splitlines()) == 3
    (tmp_path / "texts" / "SRR1.mus.htseq-count.tsv").write_text("")
    (tmp_path / "texts" / "SRR1.htseq-count.txt").write_text("")
    with pytest.raises(InputError) as error:
        of_texts(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "SRR1.mus.htseq-count.tsv: not named RUN.mus.htseq-count.txt.",
        "SRR1.mus.htseq-count.txt: a second file of SRR1, beside SRR1.htseq-count.txt.",
    ]


def test_names_with_dots_are_names(tmp_path, capsys):
    names = ["cell1", "plate.A1", "plate.A2.mus", "plate.2.B1", "b.homo"]
    make_texts(tmp_path / "texts", {f"{name}.htseq-count.txt": text_of([1, 2]) for name in names})
    assert of_texts(tmp_path).splitlines()[0] == "GENENAME,cell1,plate.2.B1,plate.A1,plate.A2"
    assert "1 of 5 files are passed over, not named RUN.mus.htseq-count.txt: b.homo.htseq" in capsys.readouterr().err
    ledger = tmp_path / "runs.tsv"
    rows = cell("plate.A1", ["plate.A1"]) + cell("b", ["b.1", "b.homo"]) + cell("x", ["plate.A1.x"])
    write_runs(ledger, rows)
    for old, new in (("cell1", "plate.A1.x.mus"), ("plate.A2.mus", "b.1"), ("plate.2.B1", "b.rat")):
        (tmp_path / "texts" / f"{old}.htseq-count.txt").rename(tmp_path / "texts" / f"{new}.htseq-count.txt")
    assert of_texts(tmp_path, "--ledger", str(ledger)).splitlines()[0] == "GENENAME,b.1;b.homo,plate.A1,plate.A1.x"
    assert "1 of 5 files are passed over, not named RUN.mus.htseq-count.txt: b.rat.htseq" in capsys.readouterr().err


def test_a_name_that_may_end_with_a_species_is_asked_for(tmp_path):
    make_texts(tmp_path / "texts", {f"{name}.htseq-count.txt": text_of([1, 2]) for name in ("a.mus", "a.rat", "b.rat")})
    with pytest.raises(InputError) as error:
        of_texts(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "a.rat.htseq-count.txt: is 'a.rat' a run, or its end another species? Give --ledger, or move it elsewhere."
    ]
