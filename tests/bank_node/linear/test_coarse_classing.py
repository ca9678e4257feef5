"""Joining bins: the monotone way against all ways there are, chi-merge by its rules, and columns that tell nothing."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.linear.coarse_classing import joined_bins
from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.woe import Evidence
from protocol.job import Binning

COUNTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=8)


def evidence(goods_and_bads) -> Evidence:
    goods, bads = np.array(goods_and_bads, dtype=np.int64).reshape(-1, 2).T
    return Evidence(goods + bads, bads)


def shape(ordered: int, special: int = 0, missing: bool = False, **kind: bool) -> ColumnShape:
    return ColumnShape(0, ordered + special, missing, kind.pop("categorical", False), special=special, **kind)


def ways(bins: int, most: int):
    """All ways to cut ordered bins into at most so many runs: the group of each bin."""
    for runs in range(1, min(bins, most) + 1):
        for cuts in combinations(range(1, bins), runs - 1):
            yield np.searchsorted(cuts, np.arange(bins), side="right")


def allowed(found: Evidence, least: int, increasing: bool) -> bool:
    whole = (found.rows >= least) & (found.bads > 0) & (found.goods > 0)
    steps = found.bads[1:] * found.rows[:-1] - found.bads[:-1] * found.rows[1:]
    return bool(whole.all()) and bool((steps >= 0).all() or (not increasing and (steps <= 0).all()))


@settings(deadline=None, max_examples=150)
@given(COUNTS, st.integers(2, 5), st.sampled_from([0.0, 0.05, 0.2]), st.booleans())
def test_monotone_bins_have_the_largest_information_value_of_all_ways(counts, max_bins, min_share, increasing):
    plain = evidence(counts)
    groups = joined_bins(
        plain,
        shape(len(counts), increasing=increasing),
        Binning(merge="monotone", max_bins=max_bins, min_share=min_share),
    )
    least = max(1, int(np.ceil(min_share * plain.rows.sum())))
    values = [e.iv for g in ways(len(counts), max_bins) if allowed(e := plain.joined(g), least, increasing)]
    assert (np.diff(groups) >= 0).all()
    if values:
        assert plain.joined(groups).iv == pytest.approx(max(values), abs=1e-12)
        assert allowed(plain.joined(groups), least, increasing)
    else:
        assert set(groups) == {0}


@settings(deadline=None)
@given(COUNTS, st.integers(2, 5), st.sampled_from([0.0, 0.1]))
def test_chi_merge_leaves_bins_that_differ(counts, max_bins, min_share):
    plain = evidence(counts)
    groups = joined_bins(plain, shape(len(counts)), Binning(merge="chi-merge", max_bins=max_bins, min_share=min_share))
    found = plain.joined(groups)
    assert len(found.rows) <= max_bins
    assert (np.diff(groups) >= 0).all()
    if len(found.rows) > 1:
        assert (found.bads > 0).all()
        assert (found.goods > 0).all()
        assert found.rows.min() >= max(1, np.ceil(min_share * plain.rows.sum()))
        for a, b in zip(range(len(found.rows) - 1), range(1, len(found.rows)), strict=True):
            table = np.array([[found.goods[a], found.bads[a]], [found.goods[b], found.bads[b]]], dtype=float)
            expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
            assert ((table - expected) ** 2 / expected).sum() >= 3.8414


def test_categories_are_joined_by_bad_rate_and_special_missing_and_not_held_stand_alone():
    counts = [(90, 10), (50, 50), (89, 11), (52, 48), (5, 5), (70, 30), (20, 30)]  # then special, missing, not held
    plain = evidence(counts)
    wanted = Binning(merge="monotone", max_bins=2)
    groups = joined_bins(plain, shape(4, special=1, missing=True, categorical=True), wanted)
    assert groups.tolist() == [0, 1, 0, 1, 2, 3, 4]
    assert plain.joined(groups).rows.sum() == plain.rows.sum()
    assert joined_bins(plain, shape(4, special=1, missing=True), Binning()).tolist() == list(range(7))


def test_a_partner_that_declares_a_direction_gets_no_bins_against_it():
    falling = evidence([(50, 50), (70, 30), (90, 10)])
    for merge in ("monotone", "chi-merge"):
        assert joined_bins(falling, shape(3, increasing=True), Binning(merge=merge)).tolist() == [0, 0, 0]
        assert joined_bins(falling, shape(3), Binning(merge=merge)).tolist() == [0, 1, 2]
