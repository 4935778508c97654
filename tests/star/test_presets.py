"""STAR's options of plate cells."""

import pytest

from scripts.star.presets import PLATE_PRESETS, as_arguments, changes_genome, plate_options


@pytest.mark.parametrize(("spots", "room"), [(0, "10000"), (497, "208800"), (2474, "999600"), (2475, None)])
def test_a_small_cell_has_little_room_for_junctions(spots: int, room: str | None) -> None:
    assert plate_options("census2017", spots).get("limitOutSJcollapsed") == room


@pytest.mark.parametrize(("spots", "sizes"), [(0, "1000000"), (1000, "2000000"), (28_999, "29999000"), (29_000, None)])
def test_a_small_cell_has_a_small_buffer_for_its_reads(spots: int, sizes: str | None) -> None:
    expected = f"{sizes} 50000000" if sizes else None
    assert plate_options("encode", spots).get("limitIObufferSize") == expected


@pytest.mark.parametrize("preset", PLATE_PRESETS)
def test_options_become_words(preset: str) -> None:
    words = as_arguments(plate_options(preset, 10_000))
    assert words[:3] == ["--outSAMtype", "BAM", "Unsorted"]
    assert " ".join(words).count("--outSAMattributes NH HI ") == 1


def test_configured_options_win_and_more_loci_need_more_room() -> None:
    options = plate_options("star_defaults", 1000, {"outSAMattributes": "NH", "outFilterMultimapNmax": "40"})
    assert options == {
        "outSAMtype": "BAM Unsorted",
        "outSAMattributes": "NH",
        "outFilterMultimapNmax": "40",
        "limitOutSJcollapsed": "810000",
        "limitIObufferSize": "2000000 50000000",
    }
    assert "limitOutSJcollapsed" not in plate_options("encode", 1000, {"outFilterMultimapNmax": "100"})
    assert plate_options("encode", 1000, {"limitOutSJcollapsed": "7"})["limitOutSJcollapsed"] == "7"


def test_two_passes_need_a_genome_of_their_own() -> None:
    assert [changes_genome(options) for options in ({}, {"twopassMode": "None"}, {"twopassMode": "Basic"})] == [
        *(False, False, True)
    ]
