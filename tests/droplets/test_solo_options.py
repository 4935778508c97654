"""STARsolo's options for each kit."""

from pathlib import Path

from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.solo_options import barcode_options

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
