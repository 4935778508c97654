"""Which barcodes there are, by the reads: none is lost, and those misread are left to STAR's correction."""

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.barcodes.found_barcodes import write_found


def found(tmp_path, reads: dict[str, int], start: int = 0, length: int = 8) -> tuple[list[str], str]:
    path = tmp_path / "reads.fastq"
    lines = [read for read, times in reads.items() for _ in range(times)]
    path.write_text("".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(lines)))
    words = write_found([path, path], start, length, tmp_path / "list")
    return (tmp_path / "list").read_text().split(), words


def test_misread_barcodes_are_not_on_the_list(tmp_path):
    barcodes, words = found(
        tmp_path,
        {
            "ACGTACGT": 40,
            "ACGTACGA": 4,  # one base wrong, a tenth of the reads
            "CCGTACGT": 5,  # more than a tenth: a cell of its own
            "ACGTACAA": 1,  # two bases wrong
            "TTTTTTTT": 1,  # a cell of one read
            "ACGTNCGT": 9,  # unread: STAR corrects it
            "ACGT": 3,
        },
    )
    assert barcodes == ["ACGTACAA", "ACGTACGT", "CCGTACGT", "TTTTTTTT"]
    assert words == (
        "No inclusion list: the 4 barcodes of the reads are the list, and 1 that differ in one base from one with 10"
        " times as many reads (7.8% of the reads) are corrected."
    )


def test_barcodes_begin_where_the_kit_has_them(tmp_path):
    barcodes, _ = found(tmp_path, {"GGACGTACGTAAAAAAACCCCC": 2}, 2, 17)
    assert barcodes == ["ACGTACGTAAAAAAACC"]


def test_reads_without_any_barcode_are_a_fault(tmp_path):
    with pytest.raises(RunFault, match="no read has 8 bases of a barcode") as raised:
        found(tmp_path, {"ACG": 2})
    assert raised.value.reason == "BARCODE_LOST"
    with pytest.raises(RunFault, match="no read has 8 bases of a barcode"):
        found(tmp_path, {})
