"""Groups of a column: every row is in one, by its own value; groups are drawn up on the rows trained on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.training.outcome.segments import MISSING, MOST_CATEGORIES, OTHER, groups_of
from tests.laboratory import categories, numbers


def test_few_values_are_a_group_each_and_missing_is_one():
    column = numbers("children", np.array([0, 1, 2, 1, np.nan, 7]))
    fitted = np.array([True, True, True, True, True, False])
    assert groups_of(column, fitted).tolist() == ["0", "1", "2", "1", MISSING, "2"]


def test_many_values_are_quarters():
    column = numbers("age", np.arange(20.0, 100.0))
    groups = groups_of(column, np.ones(80, dtype=bool))
    names, counts = np.unique(groups, return_counts=True)
    assert set(names) == {"x < 39", "39 ≤ x < 59", "59 ≤ x < 79", "x ≥ 79"}
    assert counts.min() >= 19


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(7, 60))
def test_a_number_lies_in_its_group(seed, levels):
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=200) * levels)
    for value, group in zip(values, groups_of(numbers("x", values), rng.random(200) < 0.7), strict=True):
        if group.startswith("x < "):
            assert value < float(group[4:])
        elif group.startswith("x ≥ "):
            assert value >= float(group[4:])
        elif "≤" in group:
            low, high = group.split(" ≤ x < ")
            assert float(low) <= value < float(high)


def test_rare_categories_are_one_group():
    codes = np.concatenate((np.repeat(np.arange(12), 10 * np.arange(13, 1, -1)), [-1]))
    groups = groups_of(categories("brand", codes), np.ones(len(codes), dtype=bool))
    assert len(set(groups)) == MOST_CATEGORIES + 2
    assert set(groups[(codes == 10) | (codes == 11)]) == {OTHER}
    assert groups[-1] == MISSING
    assert groups[0] == "c000"


def test_a_column_without_values_is_missing():
    assert groups_of(numbers("x", np.full(3, np.nan)), np.ones(3, dtype=bool)).tolist() == [MISSING] * 3
