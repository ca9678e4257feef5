"""Shapley values of trees: the definition by all subsets, XGBoost's own on an equal model, and exact sums."""

import json
from itertools import combinations
from math import factorial

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.models.trees import BankSplit, TreeModel, TreeNode
from bank_node.partners.partner_view import LEFT, RIGHT, SPECIAL
from bank_node.trees.shap import contributions

PARTIES = ("bank", "telecom")


def random_model(seed: int, trees: int, depth: int) -> tuple[TreeModel, dict[str, list[str]]]:
    """Trees of any shape over handles of two parties; several handles share a column."""
    rng = np.random.default_rng(seed)
    columns = {"bank": ["a", "b", "a", "c"], "telecom": ["1", "2", "1", "3", "2"]}

    def grow(nodes: list[TreeNode], level: int, cover: float) -> int:
        place = len(nodes)
        nodes.append(TreeNode(value=float(rng.normal()), cover=cover))
        if level and rng.random() < 0.85:
            party = PARTIES[rng.integers(2)]
            part = float(rng.uniform(0.1, 0.9)) * cover
            left, right = grow(nodes, level - 1, part), grow(nodes, level - 1, cover - part)
            handle = int(rng.integers(len(columns[party])))
            nodes[place] = TreeNode(
                party=party, handle=handle, default_left=bool(rng.random() < 0.5), left=left, right=right, gain=1.0,
                cover=cover,
            )  # fmt: skip
        return place

    grown = []
    for _ in range(trees):
        nodes: list[TreeNode] = []
        grow(nodes, depth, 100.0)
        grown.append(tuple(nodes))
    splits = tuple(BankSplit(name, below=0.0) for name in columns["bank"])
    model = TreeModel(objective="binary:logistic", base=-0.7, parties=PARTIES, bank_splits=splits, trees=tuple(grown))
    return model, columns


def random_sides(seed: int, columns: dict[str, list[str]], rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {p: rng.choice([LEFT, RIGHT, SPECIAL], (len(c), rows)).astype(np.int8) for p, c in columns.items()}


def left(node: TreeNode, sides: dict[str, np.ndarray], row: int) -> bool:
    side = sides[node.party][node.handle, row]
    return bool(side == LEFT or (side == SPECIAL and node.default_left))


def worth(model: TreeModel, columns: dict[str, list[str]], sides: dict[str, np.ndarray], row: int, known: set) -> float:
    """The margin with some columns known, by walking."""

    def walk(tree: tuple[TreeNode, ...], place: int) -> float:
        node = tree[place]
        if node.left < 0:
            return node.value
        if (node.party, columns[node.party][node.handle]) in known:
            return walk(tree, node.left if left(node, sides, row) else node.right)
        parts = [(tree[k].cover / node.cover) * walk(tree, k) for k in (node.left, node.right)]
        return sum(parts)

    return float(model.base) + sum(walk(tree, 0) for tree in model.trees)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_shares_are_shapley_values_by_all_subsets(seed, depth):
    model, columns = random_model(seed, 2, depth)
    sides = random_sides(seed + 1, columns, 3)
    found = contributions(model, columns, sides, 3)
    players = found.features
    d = len(players)
    for row in range(3):
        by_set = {
            frozenset(s): worth(model, columns, sides, row, set(s))
            for k in range(d + 1)
            for s in combinations(players, k)
        }
        for j, player in enumerate(players):
            total = sum(
                factorial(len(s)) * factorial(d - len(s) - 1) / factorial(d) * (by_set[s | {player}] - by_set[s])
                for s in by_set
                if player not in s
            )
            assert found.shares[row, j] == pytest.approx(total, abs=1e-9)
        assert found.base == pytest.approx(by_set[frozenset()], abs=1e-9)
        assert found.base + found.shares[row].sum() == pytest.approx(by_set[frozenset(players)], abs=1e-9)


def as_model(booster: xgb.Booster, names: list[str]) -> tuple[TreeModel, dict[str, list[str]]]:
    """XGBoost's trees as a bank's and a partner's: columns from the third on are the partner's."""
    dump = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    base = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    columns: dict[str, list[str]] = {"bank": [], "telecom": []}
    cuts: dict[str, list[float]] = {"bank": [], "telecom": []}
    trees = []
    for tree in dump:
        nodes = []
        for k in range(len(tree["left_children"])):
            cover = tree["sum_hessian"][k]
            if tree["left_children"][k] < 0:
                nodes.append(TreeNode(value=tree["split_conditions"][k], cover=cover))
                continue
            party = PARTIES[tree["split_indices"][k] >= 2]
            columns[party].append(names[tree["split_indices"][k]])
            cuts[party].append(tree["split_conditions"][k])
            nodes.append(TreeNode(
                party=party, handle=len(columns[party]) - 1, default_left=bool(tree["default_left"][k]),
                left=tree["left_children"][k], right=tree["right_children"][k], gain=1.0, cover=cover,
            ))  # fmt: skip
        trees.append(tuple(nodes))
    value = float(base.strip("[]"))
    splits = tuple(BankSplit(c, below=cut) for c, cut in zip(columns["bank"], cuts["bank"], strict=True))
    model = TreeModel(
        objective="binary:logistic", base=float(np.log(value / (1 - value))), parties=PARTIES, bank_splits=splits,
        trees=tuple(trees),
    )  # fmt: skip
    return model, {**columns, "cuts": cuts}  # type: ignore[dict-item]


def test_shares_are_xgboosts_on_an_equal_model():
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(size=(800, 6)), 2)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x) @ rng.normal(size=6) + rng.normal(size=800) > 0).astype(int)
    names = [f"x{j}" for j in range(6)]
    data = xgb.DMatrix(x, label=y)
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 5, "tree_method": "hist"}, data, 30)
    model, columns = as_model(booster, names)
    cuts = columns.pop("cuts")
    sides = {}
    for party, used in columns.items():
        values = x[:, [names.index(c) for c in used]].T.astype(np.float32)
        bounds = np.array(cuts[party], dtype=np.float32)[:, None]  # type: ignore[call-overload]
        sides[party] = np.where(np.isnan(values), SPECIAL, np.where(values < bounds, LEFT, RIGHT)).astype(np.int8)
    found = contributions(model, columns, sides, 800)
    theirs = booster.predict(data, pred_contribs=True, strict_shape=True)[:, 0]
    for j, feature in enumerate(found.features):
        assert found.shares[:, j] == pytest.approx(theirs[:, names.index(feature[1])], abs=2e-5)
    assert found.base == pytest.approx(float(theirs[0, -1]), abs=2e-5)
    margin = booster.predict(data, output_margin=True)
    assert found.base + found.shares.sum(axis=1) == pytest.approx(margin, abs=2e-5)
