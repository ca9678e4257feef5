"""A column that is dropped says which rule dropped it, with numbers of rows."""

import numpy as np
import pytest

from protocol.algorithms.binning import Cutting, fit_rule
from protocol.algorithms.dropping import why_dropped
from protocol.table import Column

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([NAN] * 1500, "empty: all 1,500 rows are missing"),
        ([7.0] * 300, "constant: one value in 300 of 300 rows"),
        ([7.0] * 290 + [NAN] * 10, "constant: one value in 290 of 300 rows; the 10 missing rows are fewer than the 20"),
        ([1.0, 2.0, 3.0] * 5 + [NAN] * 285, "too few rows: 15 of 300 rows have a value, and a bin needs 20"),
        ([0.0] * 285 + [1.0] * 15, "one bin after joining: 15 of 300 rows differ from the most frequent value"),
    ],
)
def test_each_rule_has_its_sentence(values, said):
    column = Column("x", "number", numbers=np.array(values))
    rule = fit_rule(column, Cutting(16), 20)
    assert rule.ordinary + rule.missing < 2
    assert said in why_dropped(column, 20)


def test_categories_are_counted_too():
    column = Column("x", "category", codes=np.array([0] * 30 + [-1] * 3, np.int32), categories=("a",))
    assert why_dropped(column, 20).startswith("constant: one value in 30 of 33 rows; the 3 missing")
