"""Boosted trees against XGBoost, and engine against engine."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.algorithms.boosting import Boosted
from bank_node.algorithms.parameters import BoostingParams
from bank_node.algorithms.partner_view import PartnerView
from protocol.draws import draw
from protocol.he.plan import make_plan
from tests.laboratory import Laboratory, some_columns


def joined_bins(lab: Laboratory) -> np.ndarray:
    """The bin indices of all parties on the bank's rows, nan for missing and not held: XGBoost's input."""
    columns = lab.task.columns
    parts = [np.where(columns.bins == [r.ordinary for r in columns.rules], np.nan, columns.bins.astype(float))]
    for view in lab.task.partners:
        bins = lab.answerers[view.name].table.bins[view.positions].astype(float)
        ordinary = np.array([s.ordinary for s in view.columns])
        bins[bins == ordinary] = np.nan
        bins[view.positions < 0] = np.nan
        parts.append(bins)
    return np.concatenate(parts, axis=1)


def oracle(lab: Laboratory, params: BoostingParams, seed: int) -> xgboost.Booster:
    """XGBoost on our bins, with our quantised g and h as its custom objective."""
    x = joined_bins(lab)
    matrix = xgboost.DMatrix(
        x, label=lab.y, base_margin=np.full(len(lab.y), lab.task.objective.base(lab.task.objective.weights))
    )
    tree = {"number": 0}

    def quantised(margin: np.ndarray, _: xgboost.DMatrix) -> tuple[np.ndarray, np.ndarray]:
        number, tree["number"] = tree["number"], tree["number"] + 1
        g, h = lab.task.objective.gradients(margins[number])
        plan = make_plan(g, h, 0.0)
        uniforms = draw(seed, "rounding", number).random((2, len(g)))
        return plan.g.quantise(g, uniforms[0]) * plan.g.unit, plan.h.quantise(h, uniforms[1]) * plan.h.unit

    margins = margins_of(lab)
    return xgboost.train(
        {
            "tree_method": "hist", "max_bin": 256, "max_depth": params.max_depth, "eta": params.learning_rate,
            "lambda": params.reg_lambda, "alpha": params.reg_alpha, "gamma": params.gamma,
            "min_child_weight": params.min_child_weight, "base_score": 0.0, "nthread": 1, "disable_default_eval_metric": 1,
        },
        matrix, num_boost_round=params.n_estimators, obj=quantised,
    )  # fmt: skip


def margins_of(lab: Laboratory) -> list[np.ndarray]:
    """Our margin of every row before each tree."""
    margin = np.full(len(lab.y), lab.result.model.base)
    out = [margin]
    for tree in lab.result.model.trees:
        margin = margin + values_of(lab, tree)
        out.append(margin)
    return out


def values_of(lab: Laboratory, tree: tuple) -> np.ndarray:
    """Leaf value of every row in one tree, walked by the model alone with the split bits at hand."""
    out = np.empty(len(lab.y))

    def walk(place: int, rows: np.ndarray) -> None:
        node = tree[place]
        if node.left < 0:
            out[rows] = node.value
            return
        left = sides(lab, node, rows)
        walk(node.left, rows[left])
        walk(node.right, rows[~left])

    walk(0, np.arange(len(lab.y)))
    return out


def sides(lab: Laboratory, node, rows: np.ndarray) -> np.ndarray:
    """Which rows go left at a node."""
    if node.party == "bank":
        split = lab.result.model.bank_splits[node.handle]
        column = next(c for c in lab.bank if c.name == split.column)
        values = column.numbers[rows]
        left = values < (np.inf if split.below is None else split.below)
        return np.where(np.isnan(values), node.default_left, left)
    view: PartnerView = next(v for v in lab.task.partners if v.name == node.party)
    told = view.sides(lab.result.handles[node.party][node.handle], rows)
    return (told == 1) | ((told == 2) & node.default_left)


def make(folder: Path, seed: int, n: int, d_bank: int, d_partner: int, missing: float, coverage: float) -> Laboratory:
    rng = np.random.default_rng(seed)
    bank, partner = some_columns(rng, n, d_bank, missing), some_columns(rng, n + 7, d_partner, missing)
    positions = rng.permutation(n + 7)[:n]
    signal = np.nan_to_num(bank[0].numbers) - np.nan_to_num(partner[0].numbers[positions]) + rng.normal(0, 3, n)
    positions = np.where(rng.random(n) < coverage, positions, -1)
    y = (signal > np.median(signal)).astype(float)
    return Laboratory(y, bank, {"telecom": partner}, {"telecom": positions}, folder)


def run(lab: Laboratory, params: BoostingParams, seed: int = 0) -> Boosted:
    lab.result = lab.run(params, seed)
    return lab.result


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(60, 400), d_bank=st.integers(1, 4), d_partner=st.integers(1, 5),
    missing=st.sampled_from([0.0, 0.2]), coverage=st.sampled_from([1.0, 0.8]), depth=st.integers(1, 4),
    reg_lambda=st.sampled_from([0.5, 1.0, 5.0]), alpha=st.sampled_from([0.0, 0.3]), gamma=st.sampled_from([0.0, 0.2]),
    weight=st.sampled_from([0.0, 1.0, 3.0]),
)  # fmt: skip
def test_grows_the_trees_of_xgboost(
    seed, n, d_bank, d_partner, missing, coverage, depth, reg_lambda, alpha, gamma, weight
):
    params = BoostingParams(
        n_estimators=3,
        max_depth=depth,
        learning_rate=0.3,
        reg_lambda=reg_lambda,
        reg_alpha=alpha,
        gamma=gamma,
        min_child_weight=weight,
    )
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, d_bank, d_partner, missing, coverage)
        run(lab, params, seed)
        booster = oracle(lab, params, seed)
        rows, margins = xgboost.DMatrix(joined_bins(lab)), margins_of(lab)
        for k in range(params.n_estimators):
            ours, theirs = margins[k + 1] - margins[k], booster[k : k + 1].predict(rows, output_margin=True)
            if np.abs(ours - theirs).max() > 1e-6:
                assert gains_of(lab, k) == pytest.approx(gains_in(booster, k), rel=1e-4), "another tree, and no tie"
                return


def gains_of(lab: Laboratory, k: int) -> list[float]:
    """Gains of our k-th tree: where they equal XGBoost's, a tie was decided otherwise."""
    return sorted(node.gain for node in lab.result.model.trees[k] if node.left >= 0)


def gains_in(booster: xgboost.Booster, k: int) -> list[float]:
    """Gains of XGBoost's k-th tree."""
    return sorted(float(gain) for gain in re.findall(r"gain=([^,]+)", booster.get_dump(with_stats=True)[k]))
