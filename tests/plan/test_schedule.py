"""Turns: which unit waits for the scratch of which, so that no more than the limit is held at once."""

from hypothesis import given
from hypothesis import strategies as st

from scripts.plan.schedule import take_turns


def test_with_room_for_all_nobody_waits():
    assert take_turns({"a": 3, "b": 2, "c": 1}, 6) == {}


def test_without_room_one_goes_after_the_other():
    assert take_turns({"a": 3, "b": 3, "c": 2}, 3) == {"b": "a", "c": "b"}


def test_the_largest_open_the_lanes_and_the_rest_is_shared_out():
    assert take_turns({"a": 5, "b": 3, "c": 3, "d": 2}, 8) == {"c": "b", "d": "a"}


def test_what_is_begun_holds_its_place_and_nothing_waits_for_it():
    assert take_turns({"a": 4, "b": 2, "c": 2}, 6, begun={"a"}) == {"c": "b"}


def test_where_what_is_begun_fills_the_limit_it_is_waited_for():
    assert take_turns({"a": 6, "b": 2}, 6, begun={"a"}) == {"b": "a"}


def test_one_that_is_too_large_is_begun_by_itself():
    assert take_turns({"a": 9, "b": 1}, 5) == {"b": "a"}


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 50), max_size=30), st.integers(50, 120))
def test_never_more_than_the_limit_is_held(sizes, limit):
    before = take_turns(sizes, limit)
    after = {first: second for second, first in before.items()}
    assert len(after) == len(before)  # one waits for one
    first = [name for name in sizes if name not in before]
    most = 0
    seen = 0
    for name in first:  # every lane holds one of its units at a time: at most its largest
        lane = [name]
        while lane[-1] in after:
            lane.append(after[lane[-1]])
        seen += len(lane)
        most += max(sizes[unit] for unit in lane)
    assert seen == len(sizes)
    assert most <= limit
