"""STARsolo's options for each kit, and what it writes, read."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.starsolo import (
    barcode_options,
    find_barcodes,
    read_command,
    read_summary,
    share_of,
    stable_arguments,
)

KITS, _ = read_chemistries(Path(__file__).parents[2] / "config/chemistries.yaml")


def test_positions_of_simple_and_of_joined_kits():
    options = barcode_options(KITS["10x_3p_v2"], 3, {"737K-august-2016": "list.txt"})
    assert options == {
        "soloType": "CB_UMI_Simple",
        "soloCBwhitelist": "list.txt",
        "soloCBstart": "4",
        "soloCBlen": "16",
        "soloUMIstart": "20",
        "soloUMIlen": "10",
        "soloBarcodeReadLength": "0",
    }
    joined = barcode_options(KITS["10x_3p_v1"], 3, {"737K-april-2014_rc": "list.txt"})
    assert (joined["soloCBstart"], joined["soloUMIstart"], joined["soloUMIlen"]) == ("1", "15", "10")
    assert barcode_options(KITS["drop_seq"], 0, {})["soloCBwhitelist"] == "None"
    complex_kit = barcode_options(KITS["split_seq"], 0, {"split-seq-round1": "a", "split-seq-round23": "b"})
    assert complex_kit["soloCBwhitelist"] == "b b a"
    assert complex_kit["soloCBposition"] == "0_10_0_17 0_48_0_55 0_86_0_93"
    assert complex_kit["soloUMIposition"] == "0_0_0_9"


def test_kits_of_the_file_are_those_that_star_takes():
    for kit in KITS.values():
        if not kit.refused:
            options = barcode_options(kit, 0, {name: f"{name}.txt" for name in kit.lists})
            assert options["soloType"] == ("CB_UMI_Simple" if kit.simple else "CB_UMI_Complex")


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


BY_HAND = {
    "cel_seq2": "1 6 7 6",
    "sort_seq": "1 6 7 8",
    "drop_seq": "13 8 1 12",
    "seq_well": "13 8 1 12",
    "scrb_seq": "7 10 1 6",
    "quartz_seq2": "16 8 1 15",
    "quartz_seq2_v31": "15 8 1 14",
}
"""First base and length of the UMI, then of the barcode, as one gives them to STAR by hand for the read of the kit."""


@pytest.mark.parametrize("name", BY_HAND)
def test_positions_are_those_that_one_gives_by_hand(name):
    kit = KITS[name]
    options = barcode_options(kit, 0, {kit.barcode[0].list: "list.txt"})
    names = ("soloUMIstart", "soloUMIlen", "soloCBstart", "soloCBlen")
    assert [options[one] for one in names] == BY_HAND[name].split()
    assert (options["soloType"], options["soloCBwhitelist"]) == ("CB_UMI_Simple", "list.txt")
    assert "soloCBmatchWLtype" not in options  # the preset's, which corrects barcodes


def test_positions_of_three_parts_are_those_that_one_gives_by_hand():
    options = barcode_options(KITS["microwell_seq"], 0, {"microwell-seq": "six.txt"})
    assert options == {
        "soloType": "CB_UMI_Complex",
        "soloCBwhitelist": "six.txt six.txt six.txt",
        "soloCBposition": "0_0_0_5 0_21_0_26 0_42_0_47",
        "soloUMIposition": "0_48_0_53",
        "soloCBmatchWLtype": "1MM",
    }
    assert dict(KITS["sci_rna_seq3"].solo) == {
        "soloAdapterSequence": "CAGAGC",
        "soloCBposition": "0_0_2_-1 3_9_3_18",
        "soloUMIposition": "3_1_3_8",
    }


@pytest.mark.parametrize(
    ("name", "prefix", "cdna_start", "umi", "barcode"),
    [  # the pool's bases 4 to 7 and the well's; the UMI of a 5′ read, then two index reads
        ("mars_seq", (4, 4), 8, (11, 4), (1, 10)),
        ("mars_seq2", (4, 4), 8, (12, 8), (1, 11)),
        ("strt_seq_2i", (1, 6), 10, (1, 6), (7, 13)),
    ],
)
def test_kits_with_bases_in_the_cdna_read(name, prefix, cdna_start, umi, barcode):
    kit = KITS[name]
    assert (kit.prefix, kit.cdna_start, (kit.umi_start, kit.umi_length)) == (prefix, cdna_start, umi)
    assert (kit.barcode[0].start, kit.barcode[0].length) == barcode
