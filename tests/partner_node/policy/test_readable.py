"""The meter in bits: its figures, that it only grows, and that no way to spend pooled bits passes it."""

from collections.abc import Mapping
from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from partner_node.policy.budgets import Budgets
from partner_node.policy.readable import (
    EVERY_COLUMN,
    NOISE_BITS,
    Bits,
    Entropy,
    readable,
    release_bits,
    sum_bits,
    vector_bits,
)
from protocol.he.noise import histogram_noise

NAMES = ("age", "calls", "debt", "fees")
ROWS = 1_000
AMOUNTS = st.floats(0, 5_000)

WHOLE = st.one_of(st.just(0.0), st.floats(0.01, 5))  # a column of less than that is nearly one bin

columns = st.lists(st.tuples(WHOLE, st.floats(0, 1)), min_size=1, max_size=4).map(
    lambda made: [Entropy(name, whole, whole * told) for name, (whole, told) in zip(NAMES, made, strict=False)]
)
owns = st.dictionaries(st.sampled_from((*NAMES, EVERY_COLUMN)), AMOUNTS)
pools = st.dictionaries(st.frozensets(st.sampled_from(NAMES), min_size=1), AMOUNTS, max_size=4)
told = st.builds(Bits, owns, pools)


def test_a_vector_without_noise_tells_all_its_bits_but_of_one_bin():
    assert vector_bits(16, [(42, 0.0)]) == 15 * 42 + 2
    assert vector_bits(16, [(21, 0.0), (21, 0.0)]) == 15 * 42 + 4, "packed fields have a total each"
    assert vector_bits(1, [(42, 4.0)]) == 0, "a column of one bin has nothing to tell"


def test_noise_hides_its_own_entropy_and_never_more_than_there_is():
    assert sum_bits(17, 4.0) == pytest.approx(17 - 2 - 2.05, abs=0.01)
    assert sum_bits(17, 4.0 * 2**12) == sum_bits(5, 4.0), "noise grows as the rows do"
    assert sum_bits(3, 1e6) == 0
    assert sum_bits(17, 0.01) == 17


@pytest.mark.parametrize("sigma", [4.0, 64.0])
def test_the_noise_has_the_entropy_that_the_meter_subtracts(sigma):
    """Of two bins, by the frequencies of half a million draws: noise that sums to zero has one free value."""
    draws = histogram_noise(bytes(32), b"context", range(4096), [2] * 4096, sigma)[::2]
    more = [histogram_noise(bytes(32), bytes([k]), range(4096), [2] * 4096, sigma)[::2] for k in range(128)]
    _, counts = np.unique(np.concatenate([draws, *more]), return_counts=True)
    shares = counts / counts.sum()
    found = -float((shares * np.log2(shares)).sum())
    assert found >= log2(sigma) + NOISE_BITS - log2(2) / 2 - 0.002


def test_a_release_tells_which_of_its_values_a_score_has():
    assert release_bits(2) == log2(1601)


def test_the_largest_column_is_read_as_if_pools_went_to_it_alone():
    entropies = [Entropy("age", 4.0, 0.0), Entropy("debt", 2.0, 1.0)]
    found = readable(entropies, Bits({"age": 1_000.0}, {frozenset(NAMES): 1_000.0}), ROWS)
    assert found.share == pytest.approx((1 + 1 + 1) / 6)
    assert found.by_column == {"age": 0.5, "debt": 1.0}
    assert found.largest == 1.0


def test_what_other_binnings_told_may_all_be_of_one_column():
    entropies = [Entropy("age", 4.0, 0.0), Entropy("debt", 1.0, 0.0)]
    found = readable(entropies, Bits(), ROWS, elsewhere=0.2)
    assert found.share == pytest.approx(0.2)
    assert found.by_column == {"age": 0.25, "debt": 1.0}


def test_columns_without_entropy_have_nothing_to_read():
    assert readable([Entropy("age", 0.0, 0.0)], Bits({"age": 9.0}), ROWS).share == 0
    assert readable([], Bits(), 0).largest == 0


@given(columns, told, st.data())
def test_no_assignment_of_pooled_bits_passes_the_bound(entropies, bits, data):
    """Every pool is dealt out over its columns by drawn weights, and each column's part is read in full."""
    spent = dict.fromkeys(NAMES, 0.0)
    for pool, amount in bits.pools.items():
        weights = {name: data.draw(st.floats(0, 1)) for name in sorted(pool)}
        for name in pool:
            spent[name] += amount * weights[name] / (sum(weights.values()) or 1.0)
    found = readable(entropies, bits, ROWS)
    read = _read(entropies, bits, spent)
    total = sum(column.whole for column in entropies)
    assert sum(read.values()) <= found.share * total + 1e-9
    for column in entropies:
        assert read[column.column] <= found.by_column[column.column] * column.whole + 1e-9


def _read(entropies: list[Entropy], bits: Bits, pooled: Mapping[str, float]) -> dict[str, float]:
    """Bits a row that a bank reads of each column, with so many pooled bits spent on it."""
    own = {c.column: bits.own.get(c.column, 0.0) + bits.own.get(EVERY_COLUMN, 0.0) for c in entropies}
    return {c.column: min(c.whole, c.told + (own[c.column] + pooled[c.column]) / ROWS) for c in entropies}


@given(columns, told, told, st.floats(0, 1))
def test_more_bits_are_never_less_readable_and_shares_stay_below_one(entropies, bits, more, elsewhere):
    before, after = readable(entropies, bits, ROWS), readable(entropies, bits.plus(more), ROWS, elsewhere)
    assert 0 <= before.share <= after.share + 1e-12 <= 1 + 1e-9
    for name, share in before.by_column.items():
        assert 0 <= share <= after.by_column[name] + 1e-12 <= 1 + 1e-9


@given(columns, told)
@example(
    [Entropy("age", 0.0, 0.0), Entropy("calls", 1.0, 0.0), Entropy("debt", 1.0, 0.0)],
    Bits({"debt": 956.0}, {frozenset({"calls"}): 0.5, frozenset({"debt"}): 44.0, frozenset({"debt", "age"}): 1.0}),
)
def test_fewer_rows_are_never_less_readable(entropies, bits):
    assert readable(entropies, bits, ROWS).share <= readable(entropies, bits, ROWS // 2).share + 1e-12


@given(columns, told)
def test_the_bound_is_the_best_assignment_of_the_pools(entropies, bits):
    """Linear programming (scipy) finds how pools are spent best; the bound is met, so it cannot be lowered."""
    names, pools = (
        [c.column for c in entropies],
        [(p, b) for p, b in bits.pools.items() if p & {c.column for c in entropies}],
    )
    pairs = [(s, j) for s, (pool, _) in enumerate(pools) for j, name in enumerate(names) if name in pool]
    own = _read(entropies, bits, dict.fromkeys(names, 0.0))
    left = [c.whole - own[c.column] for c in entropies]
    best = 0.0
    if pairs:
        spent = np.array([[float(s == k) for s, _ in pairs] for k in range(len(pools))])
        filled = np.array([[float(j == k) for _, j in pairs] for k in range(len(names))])
        limits = [*(amount / ROWS for _, amount in pools), *left]
        best = -linprog(-np.ones(len(pairs)), np.vstack([spent, filled]), limits).fun
    total = sum(c.whole for c in entropies)
    expected = min(1.0, (sum(own.values()) + best) / total) if total else 0.0
    assert readable(entropies, bits, ROWS).share == pytest.approx(expected, abs=1e-6)


def test_many_pools_are_bounded_together():
    entropies = [Entropy(f"c{k}", 1.0, 0.0) for k in range(20)]
    pools = {frozenset({f"c{k}", f"c{(k + 1) % 20}"}): 100.0 for k in range(20)}
    assert 0.1 <= readable(entropies, Bits({}, pools), ROWS).share <= 0.1 + 1e-9


@given(st.integers(1, 255), st.integers(1, 42), st.floats(0, 1e9))
def test_vectors_tell_more_with_more_bits_and_less_with_more_noise(bins, bits, sigma):
    fields = [(bits, sigma)]
    assert 0 <= vector_bits(bins, fields) <= vector_bits(bins, [(bits, 0.0)])
    assert vector_bits(bins, fields) <= vector_bits(bins, [(bits + 1, sigma)])
    assert vector_bits(bins, fields) <= vector_bits(bins + 1, fields) + 1e-9


@settings(max_examples=20, deadline=None)
@given(told, told)
def test_books_add_up_what_was_told_by_name_and_survive_a_restart(tmp_path_factory, first, second):
    path: Path = tmp_path_factory.mktemp("books") / "budgets.sqlite"
    for bits in (first, second):
        budgets = Budgets(path, "telecom")
        budgets.add_bits("bank", "account", bits)
        budgets.close()
    budgets = Budgets(path, "telecom")
    found, both = budgets.bits("bank", "account"), first.plus(second)
    assert found.own == pytest.approx(dict(both.own))
    assert found.pools == pytest.approx(dict(both.pools))
    assert budgets.bits("another bank", "account") == Bits()
    budgets.close()
