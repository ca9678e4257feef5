"""Each objective against XGBoost's own: gradients row by row, whole trainings, and what early stopping watches."""

from dataclasses import replace

import numpy as np
import pytest
import xgboost
from pydantic import ValidationError

from bank_node.family.objective import RESPONSES, objective_of, require_labels
from bank_node.trees.early_stopping import EarlyStopping
from bank_node.trees.scorer import Told, margins
from bank_node.trees.task import Boosted
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError
from protocol.job.boosting import BoostingModel
from protocol.table import Column
from tests.conformance.oracle import joined_bins, make

CLASSES = 4
NAMES = ["binary:logistic", "reg:squarederror", "count:poisson", "reg:tweedie", "multi:softprob"]


def params_of(name: str, **more: object) -> BoostingParams:
    """Parameters of an objective."""
    own = {"num_class": CLASSES} if name == "multi:softprob" else {}
    own |= {"tweedie_variance_power": 1.3} if name == "reg:tweedie" else {}
    return BoostingParams(objective=name, **own, **more)


def labels_for(name: str, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels that an objective is for, which follow a signal of mean 0 and deviation 1."""
    match name:
        case "binary:logistic":
            return (signal + rng.normal(0, 1, len(signal)) > 0).astype(float)
        case "reg:squarederror":
            return 1000 * signal + rng.normal(0, 500, len(signal))
        case "count:poisson":
            return rng.poisson(np.exp(0.5 * signal)).astype(float)
        case "reg:tweedie":
            return rng.poisson(np.exp(0.5 * signal)) * rng.gamma(2.0, 100.0, len(signal))
        case _:
            return np.digitize(signal + rng.normal(0, 0.5, len(signal)), [-0.7, 0, 0.7]).astype(float)


def theirs_of(name: str) -> dict[str, object]:
    """The objective as XGBoost is told of it."""
    own = {"objective": name, "nthread": 1, "tree_method": "hist", "max_bin": 256}
    own |= {"num_class": CLASSES} if name == "multi:softprob" else {}
    return own | ({"tweedie_variance_power": 1.3} if name == "reg:tweedie" else {})


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_xgboost(name):
    """One row at a time, one leaf each: -G / (H + lambda) at two lambdas gives G and H."""
    rng, n = np.random.default_rng(0), 12
    weight = rng.exponential(1.0, n) + 0.1
    label = labels_for(name, rng.normal(size=n), rng)
    shape = (n, CLASSES) if name == "multi:softprob" else (n,)
    margin = rng.normal(0, 0.7, shape)
    g, h = objective_of(params_of(name), label, weight).gradients(margin)
    for i in range(n):
        row = xgboost.DMatrix(np.zeros((1, 1)), label=label[i : i + 1], weight=weight[i : i + 1])
        row.set_base_margin(margin[i : i + 1])
        steps = []
        for reg in (0.5, 2.0):
            tree = {"eta": 1.0, "lambda": reg, "min_child_weight": 0, "max_delta_step": 0, "max_depth": 1}
            if name == "count:poisson":
                tree["max_delta_step"] = 0.7  # it is part of the hessian; what it caps is left out below
            booster = xgboost.train(theirs_of(name) | tree, row, 1)
            steps.append(booster.predict(row, output_margin=True)[0] - margin[i])
        for ours, reg in zip(steps, (0.5, 2.0), strict=True):
            expected = -g[i] / (h[i] + reg)
            free = np.abs(expected) < (0.7 if name == "count:poisson" else np.inf)
            assert np.allclose(np.where(free, ours, 0), np.where(free, expected, 0), rtol=1e-4, atol=2e-4)


def laboratory(tmp_path, name: str, n: int = 1200) -> Laboratory:
    """Two parties whose columns say something of the label."""
    lab = make(tmp_path, 7, n, 2, 3, 0.1, 0.9)
    rng, at = np.random.default_rng(1), lab.positions["telecom"]
    signal = np.nan_to_num(lab.bank[0].numbers) - np.nan_to_num(lab.partners["telecom"][0].numbers[at])
    y = labels_for(name, (signal - signal.mean()) / signal.std(), rng)
    return replace(lab, y=y, weights=rng.exponential(1.0, n))


def own_training(lab: Laboratory, name: str, params: BoostingParams, fitted: np.ndarray) -> np.ndarray:
    """XGBoost's predictions from the same base, objective, bins and weights."""
    rows = joined_bins(lab)
    train = xgboost.DMatrix(rows[fitted], label=lab.y[fitted], weight=lab.weights[fitted])
    every = xgboost.DMatrix(rows)
    base = np.array(lab.task.objective.base(fitted.astype(float)))
    train.set_base_margin(np.broadcast_to(base, (fitted.sum(), *base.shape)))
    every.set_base_margin(np.broadcast_to(base, (len(rows), *base.shape)))
    tree = {"max_depth": params.max_depth, "eta": params.learning_rate, "lambda": params.reg_lambda}
    return xgboost.train(theirs_of(name) | tree, train, params.n_estimators).predict(every)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_predicts_as_xgboosts_own(tmp_path, name):
    lab, fitted = laboratory(tmp_path, name), np.arange(1200) < 900
    params = params_of(name, n_estimators=20, max_depth=3, learning_rate=0.3)
    trained = lab.train(params, 0, fitted)
    ours, theirs = lab.task.objective.predict(trained.margin), own_training(lab, name, params, fitted)
    constant = lab.task.objective.predict(np.full_like(trained.margin, lab.task.objective.base(fitted.astype(float))))
    apart = np.abs(ours - theirs).mean()
    assert apart < 0.05 * np.abs(theirs - constant).mean()
    assert {node.party for tree in trained.model.trees for node in tree if node.left >= 0} == {"bank", "telecom"}


@pytest.mark.parametrize("name", NAMES)
def test_engines_and_scoring_agree(tmp_path, name):
    """The model file gives the training's margins, and the blind engine grows it under noise, bit for bit."""
    lab = replace(laboratory(tmp_path / "p", name, 500), contract=OPEN.model_copy(update={"histogram_noise": 1.0}))
    params = params_of(name, n_estimators=2)
    clear = lab.train(params)
    told = {"telecom": sides_told(lab, clear)}
    columns: dict[str, Column] = {column.name: column for column in lab.bank}
    assert (margins(clear.model, "bank", columns, told, 500) == clear.margin).all()
    assert type(clear.model).from_json(clear.model.to_json()) == clear.model
    blind = replace(lab, engine="blind", folder=tmp_path / "b").train(params)
    assert blind.model.sha256 == clear.model.sha256
    outputs = CLASSES if name == "multi:softprob" else 1
    assert len(clear.model.trees) == 2 * outputs
    assert np.isfinite(RESPONSES[name](clear.margin)).all()


def sides_told(lab: Laboratory, trained: Boosted) -> Told:
    """What the partner would answer for the rows of the training."""
    view, rows = lab.task.partners[0], np.arange(len(lab.y))
    return Told(np.array([view.sides(split, rows) for split in trained.handles["telecom"]], dtype=np.int8))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("reg:squarederror", "rmse"), ("reg:squarederror", "mae"), ("count:poisson", "poisson-nloglik"),
        ("reg:tweedie", "tweedie-nloglik"), ("multi:softprob", "mlogloss"), ("multi:softprob", "merror"),
    ],
)  # fmt: skip
def test_what_early_stopping_watches_is_xgboosts_metric(tmp_path, name, metric):
    lab, fitted = laboratory(tmp_path, name), np.arange(1200) < 900
    params = params_of(
        name, n_estimators=60, learning_rate=0.5, max_depth=4, early_stopping_rounds=4, eval_metric=metric
    )
    trained = lab.train(params, 0, fitted)
    stopping = EarlyStopping(metric, lab.task.objective, ~fitted, 4, 1.3)
    stopping.enough(trained.margin)
    rows = xgboost.DMatrix(np.zeros((300, 1)), label=lab.y[~fitted], weight=lab.weights[~fitted])
    rows.set_base_margin(trained.margin[~fitted])
    told = metric + ("@1.3" if metric == "tweedie-nloglik" else "")
    nothing = xgboost.Booster(theirs_of(name) | {"eval_metric": told}, [rows])
    assert stopping.values[0] == pytest.approx(float(nothing.eval(rows).rsplit(":", 1)[1]), rel=1e-4)
    assert 0 < len(trained.model.trees) < 60 * lab.task.objective.outputs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"objective": "multi:softprob"}, "num_class"),
        ({"num_class": 3}, "num_class"),
        ({"objective": "reg:tweedie", "eval_metric": "auc"}, "eval_metric of reg:tweedie is one of"),
        ({"objective": "count:poisson", "base_score": 0.0}, "above 0"),
        ({"base_score": 1.0}, "between 0 and 1"),
        ({"objective": "reg:squarederror", "scale_pos_weight": 2.0}, "scale_pos_weight"),
        ({"objective": "rank:ndcg"}, "objective"),
    ],
)
def test_parameters_that_do_not_fit_the_objective_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        BoostingParams(**values)


def test_labels_that_the_objective_has_no_loss_for_are_refused():
    with pytest.raises(DataError, match="negative"):
        require_labels(BoostingModel(params=params_of("reg:tweedie")), np.array([-1.0, 2.0]), "bank")
    with pytest.raises(DataError, match="more classes than num_class"):
        require_labels(BoostingModel(params=params_of("multi:softprob")), np.array([0.0, 4.0]), "bank")
    require_labels(BoostingModel(params=params_of("reg:squarederror")), np.array([-1.0, 2.0]), "bank")


def test_sums_of_any_size_fit_the_plan(tmp_path):
    """Bounds come from the rows of the tree: a label in other units, by a power of two, has the same trees."""
    lab = replace(
        laboratory(tmp_path / "a", "reg:squarederror"), contract=OPEN.model_copy(update={"histogram_noise": 4.0})
    )
    params = params_of("reg:squarederror", n_estimators=5)
    one = lab.train(params).margin
    for k, scale in enumerate((2.0**40, 2.0**-5)):
        scaled = replace(lab, y=lab.y * scale, folder=tmp_path / f"{k}").train(params).margin
        assert np.allclose(scaled / scale, one, rtol=1e-9)
