"""Bootstrap intervals: paired, repeatable, fast enough, and as wide as they should be."""

import time
from statistics import NormalDist

import numpy as np
import pytest

from bank_node.metrics.bootstrap import resample
from bank_node.metrics.intervals import Estimates
from bank_node.metrics.ranking import Ranking, evaluate, metric_names
from bank_node.metrics.scores import Key, Scored

BASE, BETTER, SAME = ("bank", "m"), ("all", "m"), ("twin", "m")
RATES = [0.05]


def _binormal(rng: np.random.Generator, rows: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    label = (rng.random(rows) < 0.2).astype(np.uint8)
    z = rng.standard_normal(rows) + distance * label
    return label, 1 / (1 + 4 * np.exp(distance * (distance / 2 - z)))


def _scored(rows: int, seed: int = 3, weight: np.ndarray | None = None) -> Scored:
    rng = np.random.default_rng(seed)
    label, base = _binormal(rng, rows, 0.6)
    better = np.clip(base + 0.15 * (label - base) * rng.random(rows), 0, 1)
    scores: dict[Key, np.ndarray] = {BASE: base, BETTER: better, SAME: base.copy()}
    return Scored(label, weight, scores, {})


def test_draws_are_repeatable_and_paired() -> None:
    scored = _scored(300)
    once, again = (resample(scored, RATES, 50, seed=9) for _ in range(2))
    other = resample(scored, RATES, 50, seed=10)
    for name in metric_names(RATES):
        assert np.array_equal(once[BETTER][name], again[BETTER][name])
        assert np.array_equal(once[BASE][name], once[SAME][name])
    assert not np.array_equal(once[BASE]["ks"], other[BASE]["ks"])


def test_the_base_is_its_own_base() -> None:
    estimates = Estimates.of(_scored(300), RATES, 50, seed=1)
    for name in metric_names(RATES):
        own = estimates.uplift(BASE, BASE, name)
        assert (own.value, own.low, own.high, own.p) == (0, 0, 0, 1)
        twin = estimates.uplift(SAME, BASE, name)
        assert not twin.shown
        assert twin.p == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_hold_their_value_and_stay_in_bounds(weighted: bool) -> None:
    weight = np.random.default_rng(0).uniform(0.5, 2, 400) if weighted else None
    estimates = Estimates.of(_scored(400, weight=weight), RATES, 200, seed=1)
    for key in (BASE, BETTER):
        for name in metric_names(RATES):
            metric, uplift = estimates.metric(key, name), estimates.uplift(key, BASE, name)
            assert metric.low <= metric.value <= metric.high
            assert uplift.low <= uplift.value <= uplift.high
            assert metric.low >= (-1 if name == "gini" else 0)
            assert metric.high <= 1 or name.startswith("lift")
            assert 0 <= uplift.p <= 1
    assert estimates.metric(BASE, "auc").method == ("bootstrap percentile" if weighted else "delong")


def test_a_real_uplift_is_shown_and_its_p_is_small() -> None:
    estimates = Estimates.of(_scored(3000), RATES, 200, seed=1)
    for name in ("auc", "ks", "pr_auc", "precision@0.05"):
        uplift = estimates.uplift(BETTER, BASE, name)
        assert uplift.low > 0
        assert uplift.p < 0.02


def test_a_tiny_sample_gives_finite_figures() -> None:
    """One bad among six rows: DeLong does not apply, and many draws hold no bad at all."""
    label = np.array([0, 0, 1, 0, 0, 0], np.uint8)
    scored = Scored(label, None, {BASE: np.linspace(0.1, 0.6, 6)}, {})
    metric = Estimates.of(scored, RATES, 30, seed=0).metric(BASE, "auc")
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_five_rungs_of_twenty_thousand_rows_take_seconds() -> None:
    rng = np.random.default_rng(0)
    label, _ = _binormal(rng, 20_000, 0.6)
    scores = {(f"rung{i}", "m"): rng.random(20_000) for i in range(5)}
    start = time.process_time()  # not wall clock: other tests may share the machine
    resample(Scored(label, None, scores, {}), [0.01, 0.05, 0.1], 1000, seed=0)
    assert time.process_time() - start < 15


def test_bootstrap_intervals_cover_the_truth() -> None:
    """400 simulated samples of 400 rows. KS is known to fall short at this size, and intervals.py says so."""
    bounds = {"precision@0.05": (0.91, 0.98), "brier": (0.90, 0.97), "pr_auc": (0.88, 0.97), "ks": (0.84, 0.96)}
    rng = np.random.default_rng(21)
    distance = NormalDist().inv_cdf(0.7) * 2**0.5
    big = _binormal(rng, 1_000_000, distance)
    truth = {k: float(v[0]) for k, v in evaluate(Ranking.of(*big), np.ones((1, len(big[0]))), RATES, True).items()}
    hits = dict.fromkeys(bounds, 0)
    for trial in range(400):
        label, score = _binormal(rng, 400, distance)
        estimates = Estimates.of(Scored(label, None, {BASE: score}, {}), RATES, 200, seed=trial)
        for name in hits:
            metric = estimates.metric(BASE, name)
            hits[name] += metric.low <= truth[name] <= metric.high
    for name, (low, high) in bounds.items():
        assert low <= hits[name] / 400 <= high, name
