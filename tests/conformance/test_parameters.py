"""Each parameter that shapes a tree or a training, held against XGBoost on the joined table."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError
from tests.conformance.oracle import joined_bins, make, margins_of, oracle, require_alike
from tests.laboratory import categories, some_columns

FEW = BoostingParams(n_estimators=3, max_depth=4, learning_rate=0.3, min_child_weight=1.0)
COMPARED = {"all": 0, "tied": 0}


def compare(lab: Laboratory, params: BoostingParams, seed: int, **theirs: Any) -> None:
    """Train both, and hold every tree of ours against theirs."""
    trained = lab.train(params, seed)
    COMPARED["all"] += 1
    COMPARED["tied"] += not require_alike(lab, trained, oracle(lab, params, seed, margins_of(lab, trained), **theirs))


def named(lab: Laboratory, bank: dict[str, int], partner: dict[str, int]) -> str:
    """Directions of the bank's and the partner's columns, as XGBoost takes them by place."""
    ways = [bank.get(c.name, 0) for c in lab.bank] + [partner.get(c.name, 0) for c in lab.partners["telecom"]]
    return f"({','.join(map(str, ways))})"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(80, 400), missing=st.sampled_from([0.0, 0.2]),
    ways=st.lists(st.sampled_from([-1, 0, 1]), min_size=5, max_size=5), alpha=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def check_monotone(seed, n, missing, ways, alpha):
    bank, partner = {f"x{j}": way for j, way in enumerate(ways[:2])}, {f"x{j}": w for j, w in enumerate(ways[2:])}
    params = FEW.model_copy(update={"monotone_constraints": bank, "reg_alpha": alpha})
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, 2, 3, missing, 0.9)
        lab = replace(lab, directions={name: way for name, way in partner.items() if way})
        theirs = {"monotone_constraints": named(lab, bank, partner)} if any(ways) else {}
        compare(lab, params, seed, **theirs)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(80, 400), cap=st.sampled_from([0.1, 0.3, 1.0]),
    alpha=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def check_max_delta_step(seed, n, cap, alpha):
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, 2, 3, 0.1, 0.9)
        compare(lab, FEW.model_copy(update={"max_delta_step": cap, "reg_alpha": alpha}), seed)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(80, 400),
    groups=st.lists(st.lists(st.sampled_from(["x0", "x1", "x2", "telecom"]), min_size=1, max_size=3), max_size=3),
)  # fmt: skip
def check_interactions(seed, n, groups):
    places = {"x0": [0], "x1": [1], "x2": [2], "telecom": [3, 4]}
    theirs = [sorted({place for name in group for place in places[name]}) for group in groups]
    params = FEW.model_copy(update={"interaction_constraints": tuple(map(tuple, groups))})
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, 3, 2, 0.1, 0.9)
        compare(lab, params, seed, interaction_constraints=str(theirs) if theirs else "")


@pytest.mark.parametrize(
    ("check", "ties"), [(check_monotone, 0.2), (check_max_delta_step, 0.4), (check_interactions, 0.2)]
)
def test_grows_the_trees_of_xgboost(check, ties):
    """A cap makes ties: gains are linear in the sums where both sides reach it."""
    COMPARED.update(all=0, tied=0)
    check()
    assert COMPARED["tied"] < COMPARED["all"] * ties, f"ties must not hide differences: {COMPARED}"


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_model_is_monotone_whatever_the_noise(tmp_path, noise):
    """The margin of a row never falls as its partner's column falls, nor as the bank's grows."""
    lab = make(tmp_path, 1, 400, 2, 2, 0.0, 1.0)
    lab = replace(lab, directions={"x0": -1}, contract=OPEN.model_copy(update={"histogram_noise": noise}))
    params = FEW.model_copy(update={"n_estimators": 12, "monotone_constraints": {"x0": 1}})
    trained = lab.train(params)
    table, at = lab.answerers["telecom"].table, lab.positions["telecom"]
    own, theirs = lab.task.columns.bins[:, 0], table.bins[at, 0]
    others = np.column_stack((lab.task.columns.bins[:, 1], table.bins[at, 1]))
    compared = 0
    for other in np.unique(others, axis=0):
        rows = np.flatnonzero((others == other).all(axis=1))
        for i in rows:
            above = rows[(own[rows] >= own[i]) & (theirs[rows] >= theirs[i])]
            assert (trained.margin[above] >= trained.margin[i] - 1e-12).all()
            compared += len(above) - 1
    assert compared > 200
    assert {node.party for tree in trained.model.trees for node in tree if node.left >= 0} == {"bank", "telecom"}


def test_the_bank_is_told_that_a_column_has_a_direction_and_not_which(tmp_path):
    lab = make(tmp_path / "up", 1, 200, 1, 2, 0.1, 1.0)
    first, second = lab.partners["telecom"]
    turned = [replace(first, numbers=-first.numbers), second]
    up = replace(lab, directions={"x0": 1})
    down = replace(lab, partners={"telecom": turned}, directions={"x0": -1}, folder=tmp_path / "down")
    assert up.train(FEW).model == down.train(FEW).model
    shapes = [one.answerers["telecom"].table.shapes for one in (up, down)]
    assert shapes[0] == shapes[1]
    assert [shape.increasing for shape in shapes[0]] == [True, False]


def test_categories_have_no_direction(tmp_path):
    rng = np.random.default_rng(0)
    brands = categories("brand", rng.integers(0, 5, 100))
    at = {"telecom": np.arange(100)}
    y = rng.integers(0, 2, 100).astype(float)
    lab = Laboratory(y, [brands], {"telecom": some_columns(rng, 100, 1, 0)}, at, tmp_path)
    with pytest.raises(DataError, match="no direction"):
        lab.train(FEW.model_copy(update={"monotone_constraints": {"brand": 1}}))
    lab = replace(lab, bank=some_columns(rng, 100, 1, 0), partners={"telecom": [brands]}, directions={"brand": -1})
    with pytest.raises(DataError, match="no direction"):
        lab.train(FEW)


# -- weights, and what they must not touch -------------------------------------------------------------------------


def logistic(lab: Laboratory, params: BoostingParams, fitted: np.ndarray, **more: Any) -> xgboost.Booster:
    """XGBoost's own objective on our bins, with validation rows if there are any."""
    weight = np.ones(len(lab.y)) if lab.weights is None else lab.weights
    rows = joined_bins(lab)
    parts = [xgboost.DMatrix(rows[part], label=lab.y[part], weight=weight[part]) for part in (fitted, ~fitted)]
    theirs = {
        "objective": "binary:logistic", "tree_method": "hist", "max_bin": 256, "nthread": 1,
        "max_depth": params.max_depth, "eta": params.learning_rate, "lambda": params.reg_lambda,
        "min_child_weight": params.min_child_weight, "scale_pos_weight": params.scale_pos_weight,
        "base_score": 0.5, **more,
    }  # fmt: skip
    watched = {"evals": [(parts[1], "validation")], "verbose_eval": False} if (~fitted).any() else {}
    patience = params.early_stopping_rounds or None
    return xgboost.train(theirs, parts[0], params.n_estimators, early_stopping_rounds=patience, **watched)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_weights_are_those_of_xgboost(tmp_path, scale):
    lab = make(tmp_path, 4, 600, 2, 3, 0.1, 0.9)
    lab = replace(lab, weights=np.random.default_rng(0).exponential(1.0, 600))
    params = FEW.model_copy(update={"n_estimators": 10, "base_score": 0.5, "scale_pos_weight": scale})
    trained, everything = lab.train(params), np.ones(600, dtype=bool)
    theirs = logistic(lab, params, everything).predict(xgboost.DMatrix(joined_bins(lab)), output_margin=True)
    assert np.abs(trained.margin - theirs).mean() < 0.02
    without = replace(lab, weights=None, folder=tmp_path / "without").train(params)
    assert np.abs(without.margin - theirs).mean() > 0.1, "weights matter here"


def test_a_weight_of_two_is_the_row_twice(tmp_path):
    lab = make(tmp_path, 4, 300, 2, 0 + 2, 0.1, 0.9)
    twice = np.random.default_rng(1).random(300) < 0.5
    weighted = replace(lab, weights=np.where(twice, 2.0, 1.0))
    base = weighted.train(FEW).model.base
    again = np.concatenate((np.arange(300), np.flatnonzero(twice)))
    assert base == pytest.approx(np.log(lab.y[again].mean() / (1 - lab.y[again].mean())))


@pytest.mark.parametrize("metric", ["logloss", "auc"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_early_stopping_ends_where_xgboost_does(tmp_path, metric, seed):
    lab = make(tmp_path, seed, 1200, 2, 3, 0.1, 0.9)
    lab = replace(lab, weights=np.random.default_rng(seed).exponential(1.0, 1200))
    fitted = np.arange(1200) < 700
    params = FEW.model_copy(
        update={
            "n_estimators": 60, "early_stopping_rounds": 5, "eval_metric": metric, "base_score": 0.5,
            "scale_pos_weight": 2.0,
        }
    )  # fmt: skip
    trained = lab.train(params, seed, fitted)
    booster = logistic(lab, params, fitted, eval_metric=metric)
    reached = float(booster.best_score)
    weight, margin = lab.weights[~fitted], trained.margin[~fitted]
    rows = xgboost.DMatrix(np.zeros((len(margin), 1)), label=lab.y[~fitted], weight=weight, base_margin=margin)
    nothing = xgboost.Booster({"objective": "binary:logistic", "eval_metric": metric, "base_score": 0.5}, [rows])
    ours = float(nothing.eval(rows).rsplit(":", 1)[1])
    assert ours == pytest.approx(reached, abs=0.01)
    assert 0 < len(trained.model.trees) < 55
    assert np.allclose(margins_of(lab, trained)[-1], trained.margin)


@pytest.mark.parametrize("metric", ["logloss", "auc", "ks"])
def test_the_tree_kept_is_the_best_by_the_metric(tmp_path, metric):
    """All trees of a longer training, judged one after another by XGBoost's metric, or KS by its definition."""
    lab = make(tmp_path, 5, 900, 2, 3, 0.1, 0.9)
    lab = replace(lab, weights=np.random.default_rng(5).exponential(1.0, 900))
    fitted = np.arange(900) < 500
    params = FEW.model_copy(update={"n_estimators": 25, "learning_rate": 0.5, "eval_metric": metric})
    whole = lab.train(params, 5, fitted)
    stopped = replace(lab, folder=tmp_path / "s").train(
        params.model_copy(update={"early_stopping_rounds": 25}), 5, fitted
    )
    values = [judged(metric, lab.y[~fitted], m[~fitted], lab.weights[~fitted]) for m in margins_of(lab, whole)[1:]]
    best = 1 + int(np.argmin(values) if metric == "logloss" else np.argmax(values))
    assert stopped.model.trees == whole.model.trees[:best]
    assert best < 25


def judged(metric: str, y: np.ndarray, margin: np.ndarray, weight: np.ndarray) -> float:
    """One metric of one margin, weighted."""
    if metric == "ks":
        cuts = np.unique(margin)
        shares = [
            [(weight * (y == kind) * (margin >= cut)).sum() / (weight * (y == kind)).sum() for kind in (0, 1)]
            for cut in cuts
        ]
        return max(abs(good - bad) for good, bad in shares)
    rows = xgboost.DMatrix(np.zeros((len(y), 1)), label=y, weight=weight, base_margin=margin)
    nothing = xgboost.Booster({"objective": "binary:logistic", "eval_metric": metric, "base_score": 0.5}, [rows])
    return float(nothing.eval(rows).rsplit(":", 1)[1])


def test_early_stopping_without_validation_rows_is_refused(tmp_path):
    """As those of a split column may turn out to be; a job that can be seen to have none is refused before."""
    lab = make(tmp_path, 5, 200, 1, 1, 0.0, 1.0)
    params = FEW.model_copy(update={"early_stopping_rounds": 2})
    with pytest.raises(DataError, match="has no validation rows"):
        lab.train(params, 0)


def test_a_validation_part_of_one_class_has_no_auc(tmp_path):
    lab = make(tmp_path, 5, 200, 1, 1, 0.0, 1.0)
    fitted = np.arange(200) < 100
    lab = replace(lab, y=np.where(fitted, lab.y, 0.0))
    params = FEW.model_copy(update={"early_stopping_rounds": 2, "eval_metric": "auc"})
    with pytest.raises(DataError, match="not both classes"):
        lab.train(params, 0, fitted)
