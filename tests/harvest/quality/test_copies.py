"""Copies are found by sketches: whole ones, parts, many of one, and none where there are none."""

import numpy as np

from scripts.harvest.quality.copies import Likeness, find_alike, smallest_of_each
from scripts.references.kmer_index import mix

SIZE = 100


def sketches_of(*things):
    owners = np.concatenate([np.full(len(thing), number) for number, thing in enumerate(things)])
    hashes = mix(np.concatenate([np.asarray(thing) for thing in things]))
    order = np.random.default_rng(1).permutation(len(owners))
    return smallest_of_each(owners[order], hashes[order], SIZE, len(things))


def test_a_whole_copy_in_another_order():
    sketches = sketches_of(range(1000), range(5000, 6000), range(999, -1, -1))
    assert find_alike(sketches, SIZE, 10) == [Likeness(0, 2, SIZE, 1.0)]


def test_a_part_of_another_thing():
    (found,) = find_alike(sketches_of(range(1000), range(700, 1000)), SIZE, 10)
    assert (found.one, found.other, found.share) == (0, 1, 1.0)
    assert 20 <= found.shared <= 40  # 30 of the 100 smallest are expected of 300 of 1,000


def test_half_of_a_thing_is_shared():
    (found,) = find_alike(sketches_of(range(1000), range(500, 1500)), SIZE, 10)
    assert 0.35 < found.share < 0.65


def test_things_smaller_than_a_sketch_are_compared_whole():
    assert find_alike(sketches_of(range(30), range(10, 40)), SIZE, 10) == [Likeness(0, 1, 20, 20 / 30)]


def test_few_shared_hashes_are_no_copy():
    assert find_alike(sketches_of(range(30), range(25, 60)), SIZE, 10) == []
    assert find_alike(sketches_of(range(30), [], range(100, 130)), SIZE, 10) == []
    assert find_alike([], SIZE, 10) == []


def test_each_of_many_copies_has_a_partner():
    found = find_alike(sketches_of(*[range(500)] * 40, range(900, 1400)), SIZE, 10)
    assert {thing for likeness in found for thing in likeness[:2]} == set(range(40))
    assert len(found) == 39


def test_a_third_thing_between_two_copies_hides_neither():
    found = find_alike(sketches_of(range(200), range(100, 300), range(200)), SIZE, 10)
    assert Likeness(0, 2, SIZE, 1.0) in found


def test_what_many_things_have_is_not_compared():
    """Thirty things share half of what they are made of, and two of them are copies."""
    things = [[*range(200), *range(1000 * at, 1000 * at + 200)] for at in range(1, 31)]
    things[20] = things[4]
    sketches = sketches_of(*things)
    assert len(find_alike(sketches, SIZE, 10)) >= 28
    (found,) = find_alike(sketches, SIZE, 10, 10)
    assert (found.one, found.other, found.share) == (4, 20, 1.0)
