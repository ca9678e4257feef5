"""Rules of binning: quantiles, small bins, gaps, categories, and data that the rule has not seen."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol.algorithms.binning import (
    MAX_BIN,
    CategoryRule,
    Cutting,
    NumberRule,
    apply_rule,
    fit_category,
    fit_number,
    fit_rule,
    shape_of,
)
from protocol.table import Column

NUMBERS = arrays(
    np.float64,
    st.integers(1, 300),
    elements=st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6), st.just(float("nan"))),
)
LIMITS = st.integers(0, 30)
BINS = st.integers(2, MAX_BIN)


@settings(deadline=None)
@given(NUMBERS, BINS, LIMITS)
def test_every_bin_of_numbers_has_its_rows_and_they_add_up(values, max_bin, min_rows):
    rule = fit_number(values, max_bin, min_rows)
    bins = rule.apply(values)
    counts = np.bincount(bins, minlength=rule.ordinary + rule.missing)
    assert len(counts) == rule.ordinary + rule.missing
    assert counts.sum() == len(values)
    assert rule.ordinary <= max_bin
    if len(counts) > 1:
        assert counts.min() >= max(min_rows, 1)


@settings(deadline=None)
@given(NUMBERS, BINS, LIMITS)
def test_bins_of_numbers_keep_their_order(values, max_bin, min_rows):
    rule = fit_number(values, max_bin, min_rows)
    assert list(rule.cuts) == sorted(set(rule.cuts))
    present = np.sort(values[~np.isnan(values)])
    assert (np.diff(rule.apply(present).astype(int)) >= 0).all()
    for cut in rule.cuts:
        below, at = rule.apply(np.array([np.nextafter(cut, -np.inf), cut]))
        assert at == below + 1


def test_few_distinct_values_get_a_bin_each_and_many_get_equal_shares():
    few = fit_number(np.repeat([3.0, 1.0, 7.0], 50), 16, 1)
    assert few.cuts == (3.0, 7.0)
    many = fit_number(np.random.default_rng(0).permutation(1600).astype(float), 16, 1)
    assert np.bincount(many.apply(np.arange(1600.0))).tolist() == [100] * 16


def test_a_small_bin_joins_its_smaller_neighbour():
    values = np.repeat([1.0, 2.0, 3.0, 4.0], [100, 5, 40, 200])
    assert fit_number(values, 16, 20).cuts == (2.0, 4.0)


def test_missing_numbers_have_a_bin_if_they_are_enough():
    base = np.repeat([1.0, 2.0], [100, 60])
    own = fit_number(np.append(base, [np.nan] * 20), 16, 20)
    assert own == NumberRule((2.0,), missing=True, missing_as=None)
    assert own.apply(np.array([np.nan])).tolist() == [2]
    joined = fit_number(np.append(base, [np.nan] * 19), 16, 20)
    assert joined == NumberRule((2.0,), missing=False, missing_as=0)
    assert joined.apply(np.array([np.nan])).tolist() == [0]


def test_too_few_values_beside_the_missing_ones_are_no_bin_of_their_own():
    values = np.append([1.0] * 5, [np.nan] * 500)
    assert shape_of(0, fit_number(values, 16, 20)).size == 1
    assert shape_of(0, fit_number(np.full(9, np.nan), 16, 0)).size == 1
    codes = np.append([0] * 5, [-1] * 500).astype(np.int32)
    assert shape_of(0, fit_category(codes, ["a"], 16, 20)).size == 1
    assert shape_of(0, fit_category(np.full(9, -1, np.int32), [], 16, 0)).size == 1


def test_a_value_missing_only_in_new_data_is_numbered_after_the_last_bin():
    rule = fit_number(np.array([1.0, 2.0, 3.0]), 16, 1)
    assert not rule.missing
    assert rule.apply(np.array([np.nan, -1e9, 1e9])).tolist() == [3, 0, 2]


@settings(deadline=None)
@given(arrays(np.int32, st.integers(1, 300), elements=st.integers(-1, 40)), BINS, LIMITS)
def test_every_bin_of_categories_has_its_rows_and_they_add_up(codes, max_bin, min_rows):
    names = [f"c{k:02}" for k in range(41)]
    rule = fit_category(codes, names, max_bin, min_rows)
    counts = np.bincount(rule.apply(codes, names), minlength=rule.ordinary + rule.missing)
    assert len(counts) == rule.ordinary + rule.missing
    assert counts.sum() == len(codes)
    assert rule.ordinary <= max_bin
    if len(counts) > 1:
        assert counts.min() >= max(min_rows, 1)
    grouped = [name for group in rule.groups for name in group]
    assert sorted(grouped) == sorted({names[c] for c in codes if c >= 0})


def test_frequent_categories_stand_alone_and_rare_ones_together():
    codes = np.repeat(np.arange(12), [50, 40, *[6] * 10]).astype(np.int32)
    rule = fit_category(codes, [f"c{k:02}" for k in range(12)], 16, 20)
    assert rule.groups[:2] == (("c00",), ("c01",))
    assert len(rule.groups) == 3
    assert len(rule.groups[2]) == 10


def test_ten_thousand_categories_fit_in_the_bins_there_are():
    codes = (np.arange(60_000) ** 2 % 10_007).astype(np.int32)
    names = [f"c{k:05}" for k in range(10_007)]
    for max_bin in (2, 16, MAX_BIN):
        rule = fit_category(codes, names, max_bin, 1)
        assert rule.ordinary == max_bin
        assert rule.apply(codes, names).max() == max_bin - 1


def test_a_category_never_seen_is_missing_in_another_table_with_other_codes():
    seen = Column("s", "category", codes=np.array([0, 0, 1, -1], np.int32), categories=("a", "b"))
    rule = fit_rule(seen, Cutting(16), 1)
    assert rule == CategoryRule((("a",), ("b",)), missing=True, missing_as=None)
    other = Column("s", "category", codes=np.array([2, 1, 0, -1], np.int32), categories=("0", "b", "a"))
    assert apply_rule(rule, other).tolist() == [0, 1, 2, 2]


SPECIAL = (-98.0, -1.0)


@settings(deadline=None)
@given(NUMBERS, st.integers(2, 100), LIMITS, st.sampled_from(["quantile", "equal-width"]))
def test_special_values_have_bins_of_their_own_or_count_as_missing(values, max_bin, min_rows, kind):
    values = np.concatenate((values, np.repeat(SPECIAL, [35, 3])))
    rule = fit_number(values, max_bin, min_rows, kind, SPECIAL)
    if rule.ordinary + rule.missing < 2:
        return
    bins, least = rule.apply(values), max(min_rows, 1)
    counts = np.bincount(bins, minlength=rule.ordinary + rule.missing)
    assert (counts.min() >= least, counts.sum()) == (True, len(values))
    assert rule.ordered <= max_bin
    assert rule.special + rule.rare == tuple(sorted(SPECIAL, key=lambda v: (values == v).sum() < least))
    for place, value in enumerate(rule.special):
        assert set(values[bins == rule.ordered + place]) - {np.nan} >= {value}
        assert (bins[values == value] == rule.ordered + place).all()
    gone = rule.apply(np.array([np.nan, *rule.rare]))
    assert len(set(gone.tolist())) == 1
    turned = np.where(bins < rule.ordered, rule.ordered - 1 - bins, bins)
    assert rule.reversed().apply(values).tolist() == turned.tolist()


def test_bins_of_equal_width():
    rule = fit_number(np.append(np.arange(101.0), [np.nan] * 9), 4, 1, "equal-width")
    assert rule.cuts == (25.0, 50.0, 75.0)
    skewed = fit_number(np.append(np.arange(99.0), 1e6), 10, 5, "equal-width")
    assert skewed.cuts == ()  # all but one row lie in one bin
    vast = fit_number(np.linspace(-1.0, 1.0, 81) * 1.7e308, 4, 1, "equal-width")  # wider than any number
    np.testing.assert_allclose(vast.cuts, np.array([-0.5, 0.0, 0.5]) * 1.7e308, atol=1e292)


def test_bins_that_cannot_be_numbered_are_not_possible():
    assert Cutting(250, special=(1.0, 2.0)).possible
    for wrong in (Cutting(1), Cutting(254, special=(1.0, 2.0)), Cutting(9, special=(1.0, 1.0))):
        assert not wrong.possible
    assert not Cutting(9, special=(float("inf"),)).possible
