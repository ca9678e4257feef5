"""What a column's bins alone rank, from their bads and goods."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bank_node.trees.target_leakage import LeakingColumn, auc_of_bins, together


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20))
def test_is_the_auc_of_the_bad_rates(counts):
    bads, goods = np.array(counts, dtype=float).T
    if not bads.sum() or not goods.sum():
        assert auc_of_bins(bads, goods) == 0.5
        return
    rates = bads / np.maximum(bads + goods, 1)
    label = np.repeat(np.tile([1, 0], len(counts)), np.stack((bads, goods), axis=1).astype(int).ravel())
    score = np.repeat(rates, (bads + goods).astype(int))
    assert auc_of_bins(bads, goods) == pytest.approx(roc_auc_score(label, score), abs=1e-9)


def test_a_column_met_on_several_rungs_is_told_once():
    first, again, other = LeakingColumn("p", 3, 0.99), LeakingColumn("p", 3, 1.0), LeakingColumn("q", 3, 0.99)
    assert together([(first,), (again, other)]) == [first, other]
