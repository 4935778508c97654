"""Which unit waits for the scratch of which, so that no more than the limit is held at once."""

from hypothesis import given
from hypothesis import strategies as st

from scripts.plan.schedule import chain_units


def test_with_room_for_all_nobody_waits():
    assert chain_units({"a": 3, "b": 2, "c": 1}, 6) == {}


def test_without_room_one_goes_after_the_other():
    assert chain_units({"a": 3, "b": 3, "c": 2}, 3) == {"b": "a", "c": "b"}


def test_the_largest_start_chains_and_the_rest_is_shared_out():
    assert chain_units({"a": 5, "b": 3, "c": 3, "d": 2}, 8) == {"c": "b", "d": "a"}


def test_what_has_started_keeps_its_share_and_nothing_waits_for_it():
    assert chain_units({"a": 4, "b": 2, "c": 2}, 6, holding={"a"}) == {"c": "b"}


def test_what_has_started_is_waited_for_where_it_fills_the_limit():
    assert chain_units({"a": 6, "b": 2}, 6, holding={"a"}) == {"b": "a"}


def test_one_that_is_too_large_starts_by_itself():
    assert chain_units({"a": 9, "b": 1}, 5) == {"b": "a"}


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 50), max_size=30), st.integers(50, 120))
def test_never_more_than_the_limit_is_held(sizes, limit):
    before = chain_units(sizes, limit)
    after = {first: second for second, first in before.items()}
    assert len(after) == len(before)  # one waits for one
    first = [name for name in sizes if name not in before]
    most = 0
    seen = 0
    for name in first:  # every chain holds one of its units at a time: at most its largest
        chain = [name]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        seen += len(chain)
        most += max(sizes[unit] for unit in chain)
    assert seen == len(sizes)
    assert most <= limit
