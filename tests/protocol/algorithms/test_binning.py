"""Rules of binning: quantiles, small bins, gaps, categories, and data that the rule has not seen."""

import numpy as np
import pytest
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


@settings(deadline=None)
@given(NUMBERS, st.integers(2, 40))
def test_a_value_of_many_rows_has_a_bin_of_its_own(values, max_bin):
    rule = fit_number(values, max_bin, 0)
    bins, present = rule.apply(values), values[~np.isnan(values)]
    distinct, counts = np.unique(present, return_counts=True)
    heavy = distinct[counts * max_bin > present.size]
    beside = int((np.diff(np.isin(distinct, heavy).astype(int), prepend=1) == -1).sum())  # runs between them
    if len(heavy) + beside <= max_bin:
        for value in heavy:
            assert set(values[bins == rule.apply(np.array([value]))[0]].tolist()) == {value}
    if distinct.size <= max_bin:
        assert rule.ordinary == max(distinct.size, 1)


@pytest.mark.parametrize("zeros", [0.9, 0.94, 0.97])
def test_a_count_of_mostly_zeros_keeps_its_tail(zeros):
    rng = np.random.default_rng(1)
    late = np.where(rng.random(8000) < zeros, 0, rng.geometric(0.1, 8000)).astype(float)
    rule = fit_number(late, 16, 20)
    counts = np.bincount(rule.apply(late))
    assert counts[0] == (late == 0).sum()
    assert len(counts) >= min((late > 0).sum() // 40, 12)
    assert counts[1:].max() <= 3 * (late > 0).sum() / (len(counts) - 1)


def test_spikes_caps_and_defaults_stand_alone_among_quantiles():
    rng = np.random.default_rng(2)
    values = np.clip(rng.normal(500, 100, 10_000), 0, 650)  # a cap
    values[rng.random(10_000) < 0.3] = 450.0  # a default in the middle
    rule = fit_number(values, 16, 50)
    alone = [set(values[rule.apply(values) == rule.apply(np.array([v]))[0]].tolist()) for v in (650.0, 450.0)]
    assert alone == [{650.0}, {450.0}]
    others = np.bincount(rule.apply(values[(values != 450.0) & (values != 650.0)]))
    others = others[others > 0]
    assert len(others) == 14
    assert others.max() <= 1.5 * others.min()


def test_a_tail_joins_a_mass_point_only_if_it_is_below_the_minimum_in_total():
    tail = [1.0] * 9 + [2.0] * 7 + [3.0] * 3
    assert fit_number(np.array([0.0] * 500 + tail), 16, 19).cuts == (1.0,)
    assert fit_number(np.array([0.0] * 500 + tail), 16, 20).cuts == ()


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


@settings(deadline=None)
@given(arrays(np.int32, st.integers(1, 300), elements=st.integers(-1, 34)), BINS, LIMITS)
def test_grades_are_cut_as_numbers_are(codes, max_bin, min_rows):
    names = tuple(f"g{k:02}" for k in range(35))
    graded = Column("g", "category", codes=codes, categories=names, ordered=True)
    rule = fit_rule(graded, Cutting(max_bin), min_rows)
    assert isinstance(rule, CategoryRule)
    assert [name for group in rule.groups for name in group] == list(names)
    number = fit_number(np.where(codes < 0, np.nan, codes), max_bin, min_rows)
    assert apply_rule(rule, graded).tolist() == number.apply(np.where(codes < 0, np.nan, codes)).tolist()
    assert not shape_of(0, rule).categorical
    turned, bins = rule.reversed(), apply_rule(rule, graded)
    assert apply_rule(turned, graded).tolist() == [rule.ordinary - 1 - b if b < rule.ordinary else b for b in bins]
