"""The bank's vectors of a regression declare no more than a partner admits over the rows that it holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_node.linear.sums import _as_integers, _sum_log2
from protocol.algorithms.glm import most_sum_log2


@given(st.integers(0, 1000), st.integers(1, 700), st.floats(0, 1), st.floats(0.5, 30))
def test_no_declaration_passes_what_a_partner_admits(seed, rows, share, tail):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(3, rows)) * np.exp(rng.normal(size=(3, rows)) * tail)
    held = [rng.random(rows) < share, np.ones(rows, dtype=bool)]
    whole, unit = _as_integers(vectors, held)
    for some in held:
        assert _sum_log2(whole[:, some]) <= most_sum_log2(int(some.sum()))
    assert np.abs(whole * unit - vectors).max() <= unit / 2


@pytest.mark.parametrize("rows", [512, 5000])
def test_of_many_rows_the_unit_is_that_of_all_rows_alone(rows):
    vectors = np.random.default_rng(1).normal(size=(2, rows))
    assert _as_integers(vectors, [np.ones(rows, dtype=bool)])[1] == _as_integers(vectors, [])[1]
