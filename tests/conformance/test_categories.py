"""Columns of categories and of grades: subsets held against XGBoost's, and what they are worth on made-up tables."""

import json
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bank_node.trees.leaf_values import Leaves
from bank_node.trees.split_gains import Grid, Scored, score_cuts
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.parameters import BoostingParams
from protocol.table import Column
from tests.laboratory import numbers

PLAIN = BoostingParams(cat_smooth=0, cat_l2=0, min_data_per_group=0, max_cat_threshold=255)
TREES = BoostingParams(discovery="all", n_estimators=40, max_depth=3, learning_rate=0.2)


def scored(g: np.ndarray, h: np.ndarray, params: BoostingParams, rows: int) -> Scored:
    grid = Grid.of([ColumnShape(0, len(g), missing=False, categorical=True)], [0])
    sums = np.stack((g, h), axis=1)
    return score_cuts(grid, sums, np.zeros(2), sums.sum(axis=0), Leaves(params), rows)


def offered(found: Scored) -> set[tuple[int, ...]]:
    """The subsets to the left of the cuts that are valid."""
    return {found.left_of(0, int(k)) for k in np.flatnonzero(np.isfinite(found.gains[0].max(axis=1)))}


def gain_of(g: np.ndarray, h: np.ndarray, left: list[int], more: float, reg_lambda: float = 1.0) -> float:
    """Gain of a subset by its definition; more: what is added to lambda on both sides."""
    right = [k for k in range(len(g)) if k not in left]
    sides = [g[s].sum() ** 2 / (h[s].sum() + reg_lambda + more) for s in (left, right)]
    return float(sum(sides) - g.sum() ** 2 / (h.sum() + reg_lambda))


SUMS = st.lists(st.tuples(st.floats(-20, 20), st.floats(2, 40)), min_size=2, max_size=7)


@settings(deadline=None)
@given(SUMS)
def test_without_regularisation_the_best_of_all_subsets_is_found(sums):
    g, h = np.array(sums).T
    params = PLAIN.model_copy(update={"max_cat_to_onehot": 1, "reg_lambda": 0.0})
    best = scored(g, h, params, 100).gains.max()
    inner = [list(s) for size in range(1, len(g)) for s in combinations(range(len(g)), size)]
    expected = max(gain_of(g, h, s, 0.0, 0.0) for s in inner)
    assert best == pytest.approx(expected, abs=1e-9, rel=1e-9) or expected < 1e-9  # no gain is no split


@settings(deadline=None)
@given(SUMS, st.floats(0, 50))
def test_few_categories_stand_each_against_all_others(sums, l2):
    g, h = np.array(sums).T
    params = PLAIN.model_copy(update={"max_cat_to_onehot": len(g) + 1, "cat_l2": l2, "cat_smooth": 1e9})
    found = scored(g, h, params, 100)
    gains = [gain_of(g, h, [k], 0.0) for k in range(len(g))]
    assert offered(found) >= {(k,) for k, gain in enumerate(gains) if gain > 1e-9}
    for k, gain in enumerate(gains):
        assert found.gains[0, k].max() == pytest.approx(gain, abs=1e-9) or gain < 1e-9
        assert found.left_of(0, k) == (k,)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_one_hot_splits_are_those_of_xgboost(seed, levels):
    rng = np.random.default_rng(seed)
    code = np.concatenate((np.arange(levels), rng.integers(0, levels, 400)))
    y = (rng.random(len(code)) < (0.1 + 0.8 * rng.random(levels))[code]).astype(float)
    g, h = np.bincount(code, 0.5 - y), np.bincount(code, np.full(len(y), 0.25))
    params = PLAIN.model_copy(update={"max_cat_to_onehot": levels + 1})
    rows = xgboost.DMatrix(code[:, None].astype(float), label=y, feature_types=["c"], enable_categorical=True)
    theirs = {
        "objective": "binary:logistic", "base_score": 0.5, "max_depth": 1, "tree_method": "hist", "lambda": 1,
        "max_cat_to_onehot": levels + 1,
    }  # fmt: skip
    tree = json.loads(xgboost.train(theirs, rows, 1).get_dump(with_stats=True, dump_format="json")[0])
    best = float(scored(g, h, params, len(y)).gains.max())
    assert best == pytest.approx(tree.get("gain", 0.0), rel=1e-3, abs=1e-3) or (best < 1e-3 and "gain" not in tree)


@settings(deadline=None)
@given(SUMS, st.floats(0, 30), st.integers(0, 60), st.floats(0, 50), st.integers(1, 4), st.floats(1, 8))
def test_cuts_keep_to_the_limits(sums, smooth, group, l2, most, rows_a_weight):
    g, h = np.array(sums).T
    params = PLAIN.model_copy(
        update={
            "cat_smooth": smooth, "min_data_per_group": group, "cat_l2": l2, "max_cat_threshold": most,
            "max_cat_to_onehot": 1,
        }
    )  # fmt: skip
    found, rows = scored(g, h, params, int(h.sum() * rows_a_weight)), h * int(h.sum() * rows_a_weight) / h.sum()
    few = {k for k in range(len(g)) if rows[k] < smooth}
    for cut in np.flatnonzero(np.isfinite(found.gains[0, :, 0])):
        left = set(found.left_of(0, int(cut)))
        right = set(range(len(g))) - left
        assert min(rows[list(left)].sum(), rows[list(right)].sum()) >= group * (1 - 1e-9)
        assert any(len(side) <= most and not side & few for side in (left, right))
        assert found.gains[0, cut, 0] == pytest.approx(gain_of(g, h, list(left), l2), abs=1e-9)


def test_a_column_of_noise_is_no_split():
    """The defaults refuse the subsets that fit 500 levels by heart; without them, the gain is that of a good column."""
    rng = np.random.default_rng(0)
    h = rng.poisson(16, 64) * 0.25
    g = rng.normal(0, np.sqrt(h))
    least = scored(g, h, BoostingParams(), int(h.sum() * 4)).gains.max()
    assert scored(g, h, PLAIN, int(h.sum() * 4)).gains.max() > 15
    assert least < 3


def category(name: str, codes: np.ndarray, ordered: bool = False) -> Column:
    names = tuple(f"{name}{k:03}" for k in range(int(codes.max()) + 1))
    return Column(name, "category", codes=codes.astype(np.int32), categories=names, ordered=ordered)


def auc_of(bank: list[Column], partner: list[Column], y: np.ndarray, params: BoostingParams, least: int = 20) -> float:
    """AUC on the last third of the rows."""
    fitted, n = np.arange(len(y)) < len(y) * 2 // 3, len(y)
    with TemporaryDirectory() as folder:
        contract = OPEN.model_copy(update={"min_rows_per_bin": least})
        lab = Laboratory(y, bank, {"telecom": partner}, {"telecom": np.arange(n)}, Path(folder), contract)
        margin = lab.train(params, 0, fitted).margin
    return float(roc_auc_score(y[~fitted], margin[~fitted]))


def xgboosts(columns: list[np.ndarray], y: np.ndarray, params: BoostingParams, kinds: str) -> float:
    """AUC of XGBoost's `hist` at equal parameters on the same rows. kinds: a letter a column."""
    x, fitted = np.stack(columns, axis=1).astype(float), np.arange(len(y)) < len(y) * 2 // 3
    parts = [
        xgboost.DMatrix(x[part], label=y[part], feature_types=list(kinds), enable_categorical=True)
        for part in (fitted, ~fitted)
    ]
    theirs = {
        "objective": "binary:logistic", "tree_method": "hist", "max_bin": params.max_bin, "lambda": params.reg_lambda,
        "max_depth": params.max_depth, "eta": params.learning_rate, "nthread": 1,
    }  # fmt: skip
    score = xgboost.train(theirs, parts[0], params.n_estimators).predict(parts[1])
    return float(roc_auc_score(y[~fitted], score))


def labels(rng: np.random.Generator, margin: np.ndarray) -> np.ndarray:
    return (rng.random(len(margin)) < 1 / (1 + np.exp(-margin))).astype(float)


@pytest.mark.parametrize("zeros", [0.9, 0.94, 0.97])
def test_a_count_of_mostly_zeros_is_worth_what_it_is_to_xgboost(zeros):
    rng = np.random.default_rng(int(zeros * 100))
    other = rng.normal(size=20_000)
    late = np.where(rng.random(20_000) < zeros, 0, rng.geometric(0.3, 20_000)).astype(float)
    y = labels(rng, 0.5 * other + 1.2 * np.minimum(late, 5) - 2)
    ours = auc_of([numbers("b", other)], [numbers("late", late)], y, TREES, 100)
    assert ours > xgboosts([other, late], y, TREES, "qq") - 0.003


def test_spikes_and_caps_are_worth_what_they_are_to_xgboost():
    rng = np.random.default_rng(5)
    other, amount = rng.normal(size=20_000), np.clip(rng.normal(500, 100, 20_000), 0, 600)
    default = rng.random(20_000) < 0.3
    amount[default] = 450.0
    y = labels(rng, 0.5 * other + (amount - 500) / 100 + 1.5 * default - 1 + 0.8 * (amount == 600))
    ours = auc_of([numbers("b", other)], [numbers("amount", amount)], y, TREES)
    assert ours > xgboosts([other, amount], y, TREES, "qq") - 0.003


def test_ordered_grades_are_worth_what_numbers_are_to_xgboost():
    rng = np.random.default_rng(6)
    other, grade = rng.normal(size=20_000), np.minimum(rng.geometric(0.09, 20_000) - 1, 34)
    y = labels(rng, 0.5 * other + 0.08 * grade - 2)
    ours = auc_of([numbers("b", other)], [category("g", grade, ordered=True)], y, TREES)
    assert ours > xgboosts([other, grade], y, TREES, "qq") - 0.003


@pytest.mark.parametrize("levels", [3, 12])
def test_categories_that_tell_something_are_kept(levels):
    rng = np.random.default_rng(levels)
    other, code = rng.normal(size=12_000), rng.integers(0, levels, 12_000)
    y = labels(rng, 0.5 * other + rng.normal(0, 0.7, levels)[code] - 1)
    ours = auc_of([numbers("b", other)], [category("c", code)], y, TREES)
    assert ours > xgboosts([other, code], y, TREES, "qc") - 0.003


def test_categories_at_the_bank_make_the_same_splits_as_at_a_partner():
    rng = np.random.default_rng(9)
    other, code = rng.normal(size=6000), rng.integers(0, 30, 6000)
    y = labels(rng, 0.5 * other + rng.normal(0, 0.7, 30)[code] - 1)
    c, b = category("c", code), numbers("b", other)
    # Every bin has its rows at a minimum of 20, so that bank and partner cut the column alike.
    assert auc_of([b], [c, b], y, TREES.model_copy(update={"max_bin": 40})) == pytest.approx(
        auc_of([c, b], [b], y, TREES.model_copy(update={"max_bin": 40})), abs=1e-12
    )


@pytest.mark.parametrize("max_bin", [16, 64])
def test_noise_of_500_levels_costs_little(max_bin):
    """Three seeds here; `fedwarn benchmark categories` prints the mean of twenty."""
    costs = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        a, b, code = rng.normal(size=12_000), rng.normal(size=12_000), rng.integers(0, 500, 12_000)
        y, params = labels(rng, 0.7 * a + 0.7 * b - 1.5), TREES.model_copy(update={"max_bin": max_bin})
        bank, partner = [numbers("a", a)], [numbers("b", b)]
        costs.append(auc_of(bank, partner, y, params) - auc_of([*bank, category("noise", code)], partner, y, params))
    assert np.mean(costs) < 0.002
