"""The two barcodes of a well become one, also with a base wrong; nothing becomes the barcode of another well."""

import functools

import pytest

from scripts.droplets.barcodes.wells import WellJoiner, well_order

ORDER = ["AAAAAAAA", "CCCCCCCC", "ACGTACGT", "GGGGGGGG", "TTTTTTTT", "ACGTACGA"]
"""Three wells: oligo-dT barcodes, then those of the hexamers; those of the last well differ in one base."""
JOINER = WellJoiner(ORDER)


@pytest.mark.parametrize(
    ("read", "becomes"),
    [
        ("AAAAAAAA", "AAAAAAAA"),
        ("GGGGGGGG", "AAAAAAAA"),
        ("GGGGGGGT", "AAAAAAAA"),  # a hexamer barcode with one base wrong
        ("GGGGNGGG", "AAAAAAAA"),  # or unread
        ("NGGGNGGG", "NGGGNGGG"),
        ("AAAAAAAC", "AAAAAAAC"),  # STAR corrects it itself
        ("TTTTTTTT", "CCCCCCCC"),
        ("ACGTACGA", "ACGTACGT"),
        ("ACGTACGC", "ACGTACGC"),  # as near to both barcodes of one well
        ("GGGGGGTT", "GGGGGGTT"),  # too far from all
    ],
)
def test_barcodes_of_a_well_become_one(read, becomes):
    assert JOINER.resolve(read) == becomes


def test_bases_between_two_wells_are_no_barcode():
    joiner = WellJoiner(["AAAA", "CCCC", "GGGG", "AATT"])
    assert joiner.resolve("AAAT") == "NNNN"  # one base from AAAA of the first well and from AATT of the second
    assert joiner.resolve("AATT") == "CCCC"


def test_only_the_barcode_of_a_read_changes(tmp_path):
    reads = ["xxGGGGGGGGyy", "xxGGGG", "xxTTTTTTTNyy", "xxACACACACyy"]
    text = "".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(reads)).rstrip("\n")
    (tmp_path / "r.fastq").write_text(text)
    expected = text.replace("GGGGGGGGyy", "AAAAAAAAyy").replace("TTTTTTTNyy", "CCCCCCCCyy") + "\n"
    assert b"".join(JOINER.joined(tmp_path / "r.fastq", 2)).decode() == expected
    pieces = [text[:7].encode(), text[7:31].encode(), text[31:].encode()]
    assert b"".join(JOINER.joined(functools.partial(iter, pieces), 2)).decode() == expected
    (tmp_path / "empty.fastq").write_bytes(b"")
    assert b"".join(JOINER.joined(tmp_path / "empty.fastq", 2)) == b""


def test_order_of_a_list_pairs_its_wells():
    assert well_order(ORDER, []) == ORDER
    assert well_order(sorted(ORDER), ORDER) == ORDER  # the public list is known in any order
    assert well_order(sorted(ORDER), []) == []  # sorted: which two are of one well is lost
    assert well_order(ORDER[:5], []) == []
    assert well_order([*ORDER, *ORDER], []) == []


def test_tables_name_both_barcodes(tmp_path):
    JOINER.write_list(tmp_path / "list")
    JOINER.write_table(tmp_path / "table")
    assert (tmp_path / "list").read_text() == "AAAAAAAA\nCCCCCCCC\nACGTACGT\n"
    assert (tmp_path / "table").read_text().splitlines() == [
        "hexamer\toligo_dt",
        "GGGGGGGG\tAAAAAAAA",
        "TTTTTTTT\tCCCCCCCC",
        "ACGTACGA\tACGTACGT",
    ]
