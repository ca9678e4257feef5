"""How far a budget reaches is held against the meter itself, over all choices of thresholds."""

from itertools import chain, combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.algorithms.information import Information
from partner_node.preview.reach import Bins, reach
from protocol.algorithms.boosting import Split
from protocol.he.base import OneHot

COUNTS = st.lists(st.integers(1, 40), min_size=2, max_size=4)


def meter(columns: list[Bins]) -> Information:
    """The real meter over a table that has these bins."""
    runs = [np.append(c.ordinary, c.missing) for c in columns]
    bins = np.stack([np.repeat(np.arange(len(counts)), counts) for counts in runs], axis=1).astype(np.uint8)
    sizes = np.array([len(c.ordinary) + bool(c.missing) for c in columns], dtype=np.int64)
    matrix = OneHot(bins, sizes, len(bins), np.arange(len(bins)))
    return Information(matrix, [len(c.ordinary) for c in columns], False)


@settings(max_examples=60, deadline=None)
@given(COUNTS, COUNTS, st.integers(0, 15), st.floats(0.0, 1.0), st.booleans())
def test_no_choice_of_thresholds_passes_the_bounds(first, second, missing, limit, category):
    """Two columns of the same rows: all subsets of their thresholds, as the meter counts them."""
    a, b = np.array(first), np.array(second)
    whole = max(a.sum() + missing, b.sum())
    a[0] += whole - a.sum() - missing
    b[0] += whole - b.sum()
    columns = [Bins(a, missing, False), Bins(b, 0, category)]
    cuts = [Split(0, tuple(range(k))) for k in range(1, len(a) + bool(missing))]
    cuts += [Split(1, tuple(range(k))) for k in range(1, len(b))]
    for asked in (1, 2, len(cuts)):
        found = reach(columns, limit, 0.0, asked, 0)
        everything = reach(columns, 1.0, 0.0, asked, 0)
        assert found.thresholds == len(cuts)
        for chosen in chain.from_iterable(combinations(cuts, k) for k in range(asked + 1)):
            counted = meter(columns)
            for split in chosen:
                counted.reveal(split)
            assert counted.share <= everything.share_after + 1e-9
            if counted.share <= limit:
                assert len(chosen) <= found.admitted
                assert counted.share <= found.share_after + 1e-9


def test_the_bounds_are_met_where_bins_are_alike():
    columns = [Bins(np.array([25, 25, 25, 25]), 0, False)]
    assert reach(columns, 1.0, 0.0, 3, 0).share_after == 1.0
    half = reach(columns, 1.0, 0.0, 1, 0)
    assert (half.thresholds, half.admitted, half.share_after) == (3, 1, 0.5)
    told = reach(columns, 0.35, 0.3, 3, 0)
    assert (told.admitted, told.share_after) == (0, 0.35)
