"""The strand of a library's reads decides between kits."""

from pathlib import Path

import pytest

from scripts.core.errors import RunFault
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.solo_steps import choose_by_strand

KITS, _ = read_chemistries(Path(__file__).parents[2] / "config/chemistries.yaml")


def test_strand_decides_the_kit_or_nothing():
    candidates = [KITS["10x_3p_v2"], KITS["10x_5p_v2"]]
    assert choose_by_strand(candidates, [(90, 3), (40, 2)])[0].name == "10x_3p_v2"
    kit, figures = choose_by_strand(candidates, [(3, 90), (2, 40)])
    assert kit.name == "10x_5p_v2"
    assert figures == (
        "10x Chromium 3′ v2 and 10x Chromium 5′ v1 or v2 share their barcodes; the strand tells 10x Chromium 5′ v1 or"
        " v2: of the probed reads 5 are on the genes' strand and 130 on the other."
    )
    for counts in ([(30, 20)], [(9, 1)], []):
        with pytest.raises(RunFault) as raised:
            choose_by_strand(candidates, counts)
        assert raised.value.reason == "CHEMISTRY_UNKNOWN"
    assert raised.value.detail == (
        "10x Chromium 3′ v2 and 10x Chromium 5′ v1 or v2 share their barcodes, and the strand does not tell which: of"
        " the probed reads 0 are on the genes' strand and 0 on the other."
    )
