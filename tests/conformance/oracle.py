"""XGBoost as the oracle: our bins joined, our quantised gradients, and how two trees are compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from bank_node.models.trees import TreeNode
from bank_node.partners.partner_view import LEFT, SPECIAL
from bank_node.trees.task import Boosted
from experiments.laboratory import Laboratory
from protocol.algorithms.binning import NumberRule
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.he.plan import make_plan
from tests.laboratory import some_columns


def make(folder: Path, seed: int, n: int, d_bank: int, d_partner: int, missing: float, coverage: float) -> Laboratory:
    """A bank and one partner whose first columns tell something of the label."""
    rng = np.random.default_rng(seed)
    bank, partner = some_columns(rng, n, d_bank, missing), some_columns(rng, n + 7, d_partner, missing)
    positions = rng.permutation(n + 7)[:n]
    signal = np.nan_to_num(bank[0].numbers) - np.nan_to_num(partner[0].numbers[positions]) + rng.normal(0, 3, n)
    positions = np.where(rng.random(n) < coverage, positions, -1)
    y = (signal > np.median(signal)).astype(float)
    return Laboratory(y, bank, {"telecom": partner}, {"telecom": positions}, folder)


def joined_bins(lab: Laboratory) -> np.ndarray:
    """The bins of all parties on the bank's rows, ascending, nan for missing and not held: XGBoost's input."""
    columns = lab.task.columns
    parts = [np.where(columns.bins == [r.ordinary for r in columns.rules], np.nan, columns.bins.astype(float))]
    for view in lab.task.partners:
        table = lab.answerers[view.name].table
        bins = table.bins[view.positions].astype(float)
        bins[bins == [s.ordinary for s in view.columns]] = np.nan
        turned = [isinstance(rule, NumberRule) and rule.descending for rule in table.rules]
        bins = np.where(turned, [rule.ordinary - 1 for rule in table.rules] - bins, bins)
        bins[view.positions < 0] = np.nan
        parts.append(bins)
    return np.concatenate(parts, axis=1)


def margins_of(lab: Laboratory, trained: Boosted) -> list[np.ndarray]:
    """Our margin of every row before each tree, and after the last."""
    out = [np.full(len(lab.y), trained.model.base)]
    for tree in trained.model.trees:
        out.append(out[-1] + values_of(lab, trained, tree))
    return out


def values_of(lab: Laboratory, trained: Boosted, tree: tuple[TreeNode, ...]) -> np.ndarray:
    """Leaf value of every row, walked by the model file alone, with the partner's answers at hand."""
    out = np.empty(len(lab.y))
    waiting = [(0, np.arange(len(lab.y)))]
    while waiting:
        place, rows = waiting.pop()
        node = tree[place]
        if node.left < 0:
            out[rows] = node.value
        else:
            left = goes_left(lab, trained, node, rows)
            waiting += [(node.left, rows[left]), (node.right, rows[~left])]
    return out


def goes_left(lab: Laboratory, trained: Boosted, node: TreeNode, rows: np.ndarray) -> np.ndarray:
    """Which rows go left at a node."""
    if node.party == "bank":
        split = trained.model.bank_splits[node.handle]
        values = next(c for c in lab.bank if c.name == split.column).numbers[rows]
        return np.where(np.isnan(values), node.default_left, values < (np.inf if split.below is None else split.below))
    view = next(v for v in lab.task.partners if v.name == node.party)
    told = view.sides(trained.handles[node.party][node.handle], rows)
    return (told == LEFT) | ((told == SPECIAL) & node.default_left)


def oracle(
    lab: Laboratory, params: BoostingParams, seed: int, margins: list[np.ndarray], **more: Any
) -> xgboost.Booster:
    """XGBoost on our bins, with our quantised g and h as its custom objective. more: parameters of XGBoost's."""
    rounds = iter(range(params.n_estimators))

    def quantised(margin: np.ndarray, _: xgboost.DMatrix) -> tuple[np.ndarray, np.ndarray]:
        number = next(rounds)
        g, h = lab.task.objective.gradients(margins[number])
        plan, uniforms = make_plan(g, h, 0.0), draw(seed, "rounding", number).random((2, len(g)))
        return plan.g.quantise(g, uniforms[0]) * plan.g.unit, plan.h.quantise(h, uniforms[1]) * plan.h.unit

    theirs = {
        "tree_method": "hist", "max_bin": 256, "max_depth": params.max_depth, "eta": params.learning_rate,
        "lambda": params.reg_lambda, "alpha": params.reg_alpha, "gamma": params.gamma, "nthread": 1,
        "min_child_weight": params.min_child_weight, "base_score": 0.0, "disable_default_eval_metric": 1,
        "max_delta_step": params.step_cap, **more,
    }  # fmt: skip
    return xgboost.train(theirs, xgboost.DMatrix(joined_bins(lab), label=lab.y), params.n_estimators, obj=quantised)


def known_bits(lab: Laboratory, trained: Boosted) -> np.ndarray:
    """What a local fit may split on: the bank's bins, and a column a known split, 0 left, 1 right, nan neither."""
    columns, rows = lab.task.columns, np.arange(len(lab.y))
    parts = [np.where(columns.bins == [r.ordinary for r in columns.rules], np.nan, columns.bins.astype(float))]
    for view in lab.task.partners:
        for split in trained.handles[view.name]:
            sides = view.sides(split, rows)
            parts.append(np.where(sides == SPECIAL, np.nan, (sides != LEFT).astype(float))[:, None])
    return np.concatenate(parts, axis=1)


def require_alike(lab: Laboratory, trained: Boosted, booster: xgboost.Booster, x: np.ndarray | None = None) -> bool:
    """Hold every tree of ours against XGBoost's; whether all are alike, or one and the rest differ by a tie.

    x: what XGBoost was fed; the joined bins if not given.
    Raises: AssertionError: a tree differs, and by no tie.
    """
    x = joined_bins(lab) if x is None else x
    margins, rows = margins_of(lab, trained), xgboost.DMatrix(x)
    assert np.allclose(margins[-1], trained.margin, atol=1e-12), "the model file scores as the training did"
    for k, tree in enumerate(trained.model.trees):
        ours, theirs = margins[k + 1] - margins[k], booster[k : k + 1].predict(rows, output_margin=True)
        if np.abs(ours - theirs).max() > 1e-6:
            theirs_in_full = json.loads(booster.get_dump(with_stats=True, dump_format="json")[k])
            assert differ_by_a_tie(lab, trained, tree, theirs_in_full, x), "another tree, and no tie"
            return False
    return True


def differ_by_a_tie(
    lab: Laboratory, trained: Boosted, ours: tuple[TreeNode, ...], theirs: dict, x: np.ndarray | None = None
) -> bool:
    """Whether two trees first part at a node where both found a split of the same gain, of other rows.

    Rows are compared, not covers: in a first tree many splits have the same number of rows and of bads. XGBoost adds
    up gains in single precision, so that they are alike to a part of the terms that they are the difference of.
    """
    x = joined_bins(lab) if x is None else x
    waiting = [(0, theirs, np.arange(len(lab.y)))]
    while waiting:
        place, other, rows = waiting.pop()
        node = ours[place]
        if node.left < 0 and "children" not in other:
            continue
        if node.left < 0 or "children" not in other:  # to split or not: a tie where the gain is just what it must be
            gain, cover = (other["gain"], other["cover"]) if node.left < 0 else (node.gain, node.cover)
            return bool(gain == pytest.approx(lab.task.params.gamma, abs=1e-6 * max(1.0, cover)))
        if node.gain != pytest.approx(other["gain"], rel=1e-4, abs=1e-6 * node.cover):
            return False
        children = {child["nodeid"]: child for child in other["children"]}
        values = x[rows, int(other["split"].removeprefix("f"))]
        left = goes_left(lab, trained, node, rows)
        told = np.where(np.isnan(values), other["missing"] == other["yes"], values < other["split_condition"])
        if (left != told).any():
            return True
        waiting += [(node.left, children[other["yes"]], rows[left]), (node.right, children[other["no"]], rows[~left])]
    return False
