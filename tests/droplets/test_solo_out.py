"""What STARsolo writes, read."""

import pytest

from scripts.core.errors import InputError
from scripts.droplets.solo_out import find_barcodes, read_command, read_summary, share_of, stable_arguments


def test_summary_and_shares(tmp_path):
    (tmp_path / "Summary.csv").write_text("Number of Reads,9\nReads With Valid Barcodes,0.98\nA,b,-nan\nC,nan")
    summary = read_summary(tmp_path / "Summary.csv")
    assert summary["A,b"] == "-nan"
    shares = {name: share_of(summary, name) for name in ("Reads With Valid Barcodes", "A,b", "C", "none")}
    assert shares == {"Reads With Valid Barcodes": 0.98, "A,b": 0, "C": 0, "none": 0}


def test_arguments_are_those_of_no_machine(tmp_path):
    (tmp_path / "Log.out").write_text(
        "STAR version=2.7.10b\nx\n##### Command Line:\n/usr/lib/rna-star/bin/STAR-avx2 --runThreadN 8 --genomeDir /x/y"
        " --readFilesIn /a/1.fastq,/b/2.fastq c/3.fastq --outTmpDir /t/1 --soloCBwhitelist /l/list.txt --sjdbScore 1\n"
    )
    version, words = read_command(tmp_path / "Log.out")
    assert version == "2.7.10b"
    assert stable_arguments(words) == (
        "STAR --readFilesIn 1.fastq,2.fastq 3.fastq --soloCBwhitelist list.txt --sjdbScore 1"
    )
    (tmp_path / "Log.out").write_text("something\n")
    with pytest.raises(InputError, match=r"not a Log\.out of STAR; it has no version and command line"):
        read_command(tmp_path / "Log.out")


@pytest.mark.parametrize("raw", [["AAC", "CCC", "GTG", "TTT"], ["SRR1", "A", "GTG", "CCC", "AAAAAAA", "AAC"]])
def test_barcodes_are_found_in_the_raw_list(tmp_path, raw):
    (tmp_path / "raw").write_text("".join(f"{one}\n" for one in raw))
    for kept in (["GTG", "AAC"], ["CCC"], []):
        (tmp_path / "kept").write_text("".join(f"{one}\n" for one in kept))
        assert find_barcodes(tmp_path / "raw", tmp_path / "kept").tolist() == [raw.index(one) for one in kept]
    (tmp_path / "kept").write_text("GTG\nGGG\n")
    with pytest.raises(InputError, match="its 2 barcodes are not each once among those of"):
        find_barcodes(tmp_path / "raw", tmp_path / "kept")
