from collections import Counter

import numpy as np

from scripts.atlas.labels.tables import LabelSums, PairCounter, gaps, join_rest, order_table


def test_tables_are_ordered_and_joined():
    counts = np.array([[0, 1, 0, 2], [0, 9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3]])
    found = order_table(("a", "b"), (list("pqrs"), list("tuvw")), counts)
    assert (found.index.tolist(), found.columns.tolist()) == (["q", "p", "s"], ["u", "w"])
    assert (found.index.name, found.columns.name) == ("a", "b")
    assert found.values.tolist() == [[9, 0], [1, 2], [0, 3]]
    missing = gaps(found)[["row", "column", "expected"]]
    assert missing.values.tolist() == [["q", "w", 3.0], ["s", "u", 2.0]]
    whole, others = join_rest(found, 2)
    assert (whole.equals(found), others) == (True, (0, 0))
    joined, others = join_rest(found, 1)
    assert (joined.index.tolist(), joined.columns.tolist(), others) == (["q", "2 others"], ["u", "w"], (2, 0))
    assert joined.values.tolist() == [[9, 0], [1, 5]]


def counted(*chunks):
    """Return {pair: times} of chunks of pairs of codes, as a counter has them."""
    counter = PairCounter()
    for chunk in chunks:
        first, second = chunk[:, 0].astype(np.intp), chunk[:, 1].astype(np.intp)
        counter.add(first, int(first.max()), second, int(second.max()))
    table = [part.tolist() for part in counter.table()]
    assert table[:2] == [list(codes) for codes in zip(*sorted(zip(*table[:2], strict=True)), strict=True)]
    return dict(zip(zip(*table[:2], strict=True), table[2], strict=True))


def plainly(*chunks):
    return Counter(map(tuple, np.concatenate(chunks).tolist()))


def test_every_pair_of_codes_is_counted():
    dice = np.random.default_rng(3)
    chunks = [dice.integers(0, 9, (rows, 2)) for rows in (40, 7)]
    assert counted(*chunks) == plainly(*chunks)
    single = PairCounter()
    for chunk in chunks:
        single.add(chunk[:, 0].astype(np.intp), int(chunk[:, 0].max()), None, 0)
    codes, second, counts = single.table()
    assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == Counter(np.concatenate(chunks)[:, 0].tolist())
    assert not second.any()


def test_a_counter_of_any_codes_stays_small():
    dice = np.random.default_rng(3)
    pairs = dice.integers(0, 9, (300, 2))
    pairs[200:, 0] = dice.integers(0, 65536, 100)
    pairs[250:, 1] = 65535
    chunks = pairs[:150], pairs[150:260], pairs[260:]
    assert counted(*chunks) == plainly(*chunks)


def test_a_counter_grows_with_the_codes():
    chunks = [np.random.default_rng(seed).integers(0, 9, (20, 2)) for seed in range(3)]
    chunks[1][:, 0] = 300
    chunks[2][:, 1] = np.arange(100, 120)
    assert counted(*chunks) == plainly(*chunks)


def test_sums_by_label_are_exact_in_any_order():
    dice = np.random.default_rng(4)
    rows, codes = dice.normal(size=(711, 32)).astype("<f2"), dice.integers(0, 9, 711).astype(np.int32) * 3
    sums = LabelSums(32)
    for part in (slice(0, 700), slice(700, 711)):
        sums.add(codes[part], rows[part])
    found = sums.result()
    assert found.codes.tolist() == sorted(set(codes.tolist()))
    for code, total, count in zip(found.codes, found.sums, found.counts, strict=True):
        mine = rows[codes == code].astype(float)
        assert count == len(mine)
        assert np.array_equal(total, np.cumsum(mine[::-1], axis=0)[-1])
    assert np.allclose(found.means[0], rows[codes == 0].astype(float).mean(axis=0))
