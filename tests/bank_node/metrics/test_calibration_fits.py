"""Calibration: Platt's curve and isotonic steps are scikit-learn's; the choice is by held-out log loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from bank_node.metrics.calibration_fits import LEAST_OF_A_CLASS, calibrate, pool, quality
from bank_node.models.calibration import log_odds, logistic, pd_of


def sample(rows: int, seed: int, slope: float = 0.5, decimals: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores that are too bold by 1 / slope, and weights."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.5, 1.5, rows)
    label = (rng.random(rows) < logistic(slope * z - 0.3)).astype(np.uint8)
    return label, np.round(logistic(z), decimals), np.round(rng.uniform(0.5, 2, rows), 3)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000))
def test_pooling_is_isotonic_regression(rows, seed):
    rng = np.random.default_rng(seed)
    mean, weight = rng.integers(0, 5, rows) / 4, rng.uniform(0.1, 3, rows)
    means, ends = pool(mean, weight)
    mine = np.repeat(means, np.diff(ends, prepend=-1))
    theirs = IsotonicRegression().fit(np.arange(rows), mean, sample_weight=weight).predict(np.arange(rows))
    assert mine == pytest.approx(theirs, abs=1e-12)
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("decimals", [2, 6])
def test_isotonic_is_scikit_learns_within_its_bounds(decimals):
    label, score, weight = sample(1500, 3, decimals=decimals)
    found = calibrate(label, score, weight)
    assert found
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score, label, sample_weight=weight)
    fresh = np.linspace(0, 1, 4001)
    floor = 1 / 1502
    knots = np.clip(theirs.y_thresholds_, floor, 1 - floor)
    assert pd_of(found.fitted["isotonic"], fresh) == pytest.approx(
        np.interp(fresh, theirs.X_thresholds_, knots), abs=1e-9
    )


def test_platt_is_an_unpenalised_logistic_regression_on_smoothed_targets():
    label, score, weight = sample(3000, 4)
    found = calibrate(label, score, weight)
    assert found
    fitted = found.fitted["platt"]
    bads, goods = weight[label > 0].sum(), weight[label == 0].sum()
    high, low = (bads + 1) / (bads + 2), 1 / (goods + 2)
    target = np.where(label > 0, high, low)
    x = log_odds(score)[:, None]
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
        np.vstack((x, x)),
        np.repeat([1, 0], len(x)),
        sample_weight=np.concatenate((weight * target, weight * (1 - target))),
    )
    assert fitted.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-6)
    assert fitted.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)
    residual = weight * (pd_of(fitted, score) - target)
    assert abs(residual.sum()) < 1e-6
    assert abs((residual * x[:, 0]).sum()) < 1e-6


def test_the_map_does_not_depend_on_the_order_of_the_rows():
    label, score, weight = sample(800, 5, decimals=2)
    turned = np.random.default_rng(0).permutation(800)
    assert calibrate(label, score, weight) == calibrate(label[turned], score[turned], weight[turned])


def test_the_kind_of_smaller_held_out_log_loss_is_chosen_and_beats_the_score():
    bold = calibrate(*sample(4000, 6)[:2], None)
    assert bold
    losses = {name: figures["logloss"] for name, figures in bold.compared.items()}
    assert bold.chosen.method == min(("platt", "isotonic"), key=lambda name: losses[name])
    assert losses[bold.chosen.method] < losses["score"] - 0.03
    # a step no logistic curve can follow
    rng = np.random.default_rng(1)
    score = rng.random(4000)
    label = (rng.random(4000) < np.where(score < 0.5, 0.1, 0.4)).astype(np.uint8)
    stepped = calibrate(label, score, None)
    assert stepped
    assert stepped.chosen.method == "isotonic"


def test_too_few_of_a_class_give_no_map_and_odd_scores_give_finite_ones():
    score = np.linspace(0.1, 0.9, 100)
    label = (np.arange(100) < LEAST_OF_A_CLASS - 1).astype(np.uint8)
    assert calibrate(label, score, None) is None
    against = calibrate((np.arange(100) < 30).astype(np.uint8), score, None)
    alike = calibrate((np.arange(100) < 30).astype(np.uint8), np.full(100, 0.4), None)
    parted = calibrate((np.arange(100) >= 70).astype(np.uint8), np.where(np.arange(100) >= 70, 1.0, 0.0), None)
    for found in (against, alike, parted):
        assert found
        for fitted in found.fitted.values():
            pd = pd_of(fitted, np.linspace(0, 1, 101))
            assert ((pd > 0) & (pd < 1)).all()
            assert (np.diff(pd) >= 0).all()
    assert against
    assert against.fitted["platt"].slope == 0


def test_figures_by_their_definitions():
    label, pd, weight = np.array([0.0, 1, 0, 1]), np.array([0.25, 0.5, 0.5, 1.0]), np.array([1.0, 2, 1, 1])
    found = quality(label, pd, weight)
    assert found["brier"] == pytest.approx((0.0625 + 2 * 0.25 + 0.25 + 0) / 5)
    assert found["logloss"] == pytest.approx(-(np.log(0.75) + 3 * np.log(0.5)) / 5)
    assert found["ece"] == pytest.approx((0.25 + abs(2 * -0.5 + 0.5) + 0) / 5)  # the two of 0.5 are one group
