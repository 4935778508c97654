"""Checks of counts. Counts: test_count.py, test_counting_differential.py."""

import pytest

from scripts.core.errors import RunFault
from scripts.plates.counting import check_fragments, choose_checked

LOG = {
    "Number of input reads": "100",
    "Uniquely mapped reads number": "60",
    "Number of reads mapped to multiple loci": "10",
    "Number of reads mapped to too many loci": "5",
    "Number of reads unmapped: too short": "25",
}


def test_fragments_must_be_those_that_star_mapped() -> None:
    check_fragments(LOG, 70)
    with pytest.raises(RunFault) as raised:
        check_fragments(LOG, 69)
    assert raised.value.reason == "READS_MISSING"
    assert raised.value.detail == (
        "69 fragments were counted, but STAR mapped 70 (60 to one locus, 10 to several loci)."
    )
    with pytest.raises(RunFault, match="STAR was given 101 reads, but mapped 70 and dropped 30"):
        check_fragments(LOG | {"Number of input reads": "101"}, 70)


def test_the_checked_cell_does_not_depend_on_the_order() -> None:
    columns = [f"SRX{number}" for number in range(50)]
    assert choose_checked(columns) == choose_checked(columns[::-1])
    assert {choose_checked(columns[:size]) for size in range(1, 50)} > {columns[0]}
