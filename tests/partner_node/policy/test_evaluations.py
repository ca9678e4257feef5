"""Ids evaluated: for life and by the day, spent before the answer, a repeat free, and on disk."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.policy.budgets import Budgets
from partner_node.policy.evaluations import Evaluations
from protocol.errors import RefusedError


def opened(path: Path) -> tuple[Budgets, Evaluations]:
    budgets = Budgets(path / "budgets.sqlite", "telecom")
    return budgets, Evaluations(budgets, "telecom", "bank", "table")


@settings(deadline=None, max_examples=30)
@given(requests=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=15), most=st.integers(0, 12))
def test_every_request_is_spent_once_whatever_restarts(tmp_path_factory, requests, most):
    """A request is named by its number, which is its number of ids as well; each may come again after a restart."""
    folder = tmp_path_factory.mktemp("evaluations")
    spent: set[int] = set()
    for number, restart in requests:
        budgets, evaluations = opened(folder)
        before = budgets.books.counter
        if number in spent or sum(spent) + number <= most:
            evaluations.spend(bytes([number]), number, most, False, 0)
            assert budgets.books.counter == before + (number not in spent)
            spent.add(number)
        else:
            with pytest.raises(RefusedError, match="contract clause max_ids"):
                evaluations.spend(bytes([number]), number, most, False, 0)
            assert budgets.books.counter == before
        assert evaluations.spent == sum(spent)
        if restart:
            budgets.close()


def test_lookups_are_counted_by_the_day_too(tmp_path):
    budgets, evaluations = opened(tmp_path)
    evaluations.spend(b"refresh", 50, 1000, False, 3)
    evaluations.spend(b"one", 3, 1000, True, 3)
    with pytest.raises(RefusedError, match="contract clause lookups_per_day"):
        evaluations.spend(b"two", 1, 1000, True, 3)
    assert evaluations.spent == 53
    budgets.base.execute("UPDATE evaluations SET day = '2026-01-01'")
    evaluations.spend(b"two", 1, 1000, True, 3)
    assert evaluations.spent == 54
    budgets.close()


def test_a_key_is_drawn_once(tmp_path):
    budgets, evaluations = opened(tmp_path)
    assert (evaluations.key(b"first"), evaluations.key(b"second")) == (b"first", b"first")
    other = Evaluations(budgets, "telecom", "bank", "another table")
    assert other.key(b"third") == b"third"
    budgets.close()
