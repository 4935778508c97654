import pytest

from scripts.atlas.labels.given_labels import read_labels
from scripts.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no column 'cell_type', nor one named 'label'; it has none.", "no column that names cells: run, exp"]),
        ("run\tkind\nSRR1\tB\n", ["no column 'cell_type', nor one named 'label'; it has run, kind."]),
        ("gsm\tlabel\nSRR1\tB\n", ["no column that names cells: run, experiment, sample; it has gsm, label."]),
        ("run\tlabel\nSRR1\tB\nSRR1\tC\n", ["line 3: SRR1 is 'C', but 'B' before."]),
        ("run\tbarcode\tlabel\nSRR1\tAC-1\tB\nSRR1\tAC\tC\n", ["line 3: SRR1 AC is 'C', but 'B' before."]),
        ("run\tlabel\nSRR1\n\tB\n", ["line 2: 1 values, but the header has 2.", "line 3: no run."]),
        ("run\tlabel\n" + "\tB\n" * 9, ["needs 6 corrections", "line 6: no run.", "and 4 more."]),
    ],
)
def test_tables_of_labels_that_cannot_be_used(tmp_path, text, words):
    path = tmp_path / "labels.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_labels(path, "cell_type")
    for reported in ("labels.tsv", *words):
        assert reported in str(caught.value)
    with pytest.raises(InputError, match=r"nowhere\.tsv: it cannot be read: "):
        read_labels(tmp_path / "nowhere.tsv", "cell_type")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_labels_as_people_save_them(tmp_path, encoding):
    path = tmp_path / "labels.tsv"
    path.write_bytes("run\tlabel\r\nSRR1\té\r\n".encode(encoding))
    assert read_labels(path, "label").names == ["é"]
    path.write_text(f"run\tlabel\nSRR1\t{'x' * 200_000}\n")
    with pytest.raises(InputError, match="cannot be read as a table: field larger than field limit"):
        read_labels(path, "label")
