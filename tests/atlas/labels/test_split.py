from scripts.atlas.labels.split import hold_out, linked
from scripts.atlas.store.shards import Atlas
from tests.atlas.small_atlases import ONLY_OTHER, made_up, write_mapped


def test_groups_are_held_out_by_their_names():
    names = [f"GSE{number}" for number in range(20)]
    held = hold_out(names, 0.2, 0)
    assert len(held) == 4
    assert hold_out(reversed(names), 0.2, 0) == held
    assert hold_out(names, 0.2, 1) != held
    assert [len(hold_out(names[:2], share, 0)) for share in (0, 0.2, 1)] == [1, 1, 1]


def test_series_with_a_common_name_are_linked_over_any_number_of_steps(tmp_path):
    def piece(series, run, sample):
        return {"series": series, "run": run, "sample": sample, "arrays": made_up(3, ONLY_OTHER)[:1]}

    first = [piece("GSE9", "SRR1", "GSM1"), piece("GSE4", "SRR2;SRR1", "GSM2"), piece("GSE7", "SRR7", "")]
    second = [piece("GSE5", "SRR3", "GSM2"), piece("GSE8", "SRR8", "")]
    atlases = [
        Atlas(write_mapped(tmp_path / name, [pieces], ONLY_OTHER)) for name, pieces in (("a", first), ("b", second))
    ]
    assert linked(atlases, "series") == {"GSE9": "GSE4", "GSE4": "GSE4", "GSE5": "GSE4", "GSE7": "GSE7", "GSE8": "GSE8"}
    assert linked(atlases[:1], "series") == {"GSE9": "GSE4", "GSE4": "GSE4", "GSE7": "GSE7"}
    assert linked([], "series") == {}
