"""A short campaign of kills; `python -m tests.workflow.kill_campaign --kills 100` is the long one."""

import pytest

from tests.workflow.kill_campaign import KINDS, Campaign, Kill, Life, table

pytestmark = pytest.mark.tools


def test_an_analysis_that_is_killed_again_and_again(world, tmp_path):
    campaign = Campaign(world, tmp_path / "campaign", seed=5)
    life = campaign.live(3)
    print(*table([life]), sep="\n")
    assert life.complaint == ""
    assert 1 <= len(life.kills) <= 3


def test_the_table_of_a_campaign():
    kills = [Kill(kind, 1.0, "align", "") for kind in KINDS]
    lines = list(table([Life(kills, True), Life(kills[:1], False, "other bytes")]))
    assert lines[0].split() == ["killed", "kills", "recovered"]
    assert ["snakemake", "2", "1"] in [line.split() for line in lines]
    assert lines[-2].split() == ["all", "6", "5"]
    assert lines[-1] == "rules that ran: align 6"
