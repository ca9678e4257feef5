"""Means over folds, their intervals, and the corrected resampled t-test."""

import numpy as np
import pytest
from scipy import stats

from bank_node.metrics.folds import fold_metrics, fold_uplifts, quantile, two_sided
from bank_node.report.verdict import holm
from experiments.verify.recompute import recompute_fold_test, recompute_holm


def reference(change: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, low, high and p of differences a fold, r cuts in k folds, as Bouckaert and Frank (2004) have the test."""
    r, k = change.shape
    n2_over_n1 = 1 / (k - 1)
    x = change.ravel()
    m = sum(x) / (k * r)
    variance = sum((xi - m) ** 2 for xi in x) / (k * r - 1)
    error = np.sqrt((1 / (k * r) + n2_over_n1) * variance)
    t = m / error
    p = 2 * stats.t.sf(abs(t), k * r - 1)
    low, high = stats.t.interval(0.95, k * r - 1, m, error)
    return m, low, high, p


@pytest.mark.parametrize("freedom", [*range(1, 20), 99, 399])
def test_students_distribution_is_that_of_scipy(freedom):
    for t in (0.0, 0.3, 1.0, 2.5, 40.0):
        assert two_sided(t, freedom) == pytest.approx(1 - 2 * stats.t.sf(t, freedom), abs=1e-12)
    assert quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 2), (1, 5), (10, 10), (3, 4)])
def test_the_test_of_two_rungs_is_that_of_the_papers(shape):
    rng = np.random.default_rng(sum(shape))
    base, change = rng.normal(0.7, 0.02, shape), rng.normal(0.01, 0.02, shape)
    found = fold_uplifts({"auc": base + change}, {"auc": base})["auc"]
    assert (found.value, found.low, found.high, found.p) == pytest.approx(reference(change), abs=1e-12)
    cells = {(str(r), str(k)): change[r, k] for r in range(shape[0]) for k in range(shape[1])}
    again = recompute_fold_test(cells, found.low, found.high)
    assert again == pytest.approx({"value": found.value, "p": found.p, "level": 0.95}, abs=1e-10)


def test_repeats_are_told_and_one_cut_is_not():
    values = np.array([[0.70, 0.72, 0.69], [0.73, 0.71, 0.70]])
    assert fold_metrics({"auc": values})["auc"].method == "mean of 2 x 3 folds, corrected t"
    assert fold_metrics({"auc": values[:1]})["auc"].method == "mean of 3 folds, corrected t"


def test_an_interval_ends_where_the_metric_does():
    values = np.array([[0.99, 1.0, 0.93]])
    assert fold_metrics({"precision@0.01": values})["precision@0.01"].high == 1.0
    assert fold_metrics({"lift@0.01": values})["lift@0.01"].high > 1.0


def test_rungs_that_are_alike_differ_in_nothing():
    base = np.array([[0.60, 0.70, 0.65]])
    none = fold_uplifts({"auc": base}, {"auc": base})["auc"]
    assert (none.value, none.low, none.high, none.p) == (0, 0, 0, 1)


def test_holms_correction_is_the_same_in_plain_words():
    p = [0.04, 0.01, 0.01, 0.9, 0.0, 0.5]
    assert recompute_holm(p) == pytest.approx(holm(p))


def differences(rng: np.random.Generator, r: int = 4, k: int = 5, n: int = 200) -> np.ndarray:
    """Of AUC, a fold of each cut: two models on columns of their own that tell equally much, fitted by class means."""
    y = np.arange(n) % 2
    ours, theirs = (rng.normal(size=(n, 4)) + 0.5 * y[:, None] for _ in range(2))
    found = np.empty((r, k))
    for cut in range(r):
        folds = np.stack([rng.permutation(n // 2) % k for _ in range(2)], axis=1).ravel()
        for fold in range(k):
            test = folds == fold
            found[cut, fold] = auc(ours, y, test) - auc(theirs, y, test)
    return found


def auc(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> float:
    direction = x[~test & (y == 1)].mean(axis=0) - x[~test & (y == 0)].mean(axis=0)
    bads, goods = x[test & (y == 1)] @ direction, x[test & (y == 0)] @ direction
    return float((bads[:, None] > goods).mean())


def test_of_partners_that_add_as_much_one_in_twenty_is_found_to_differ():
    """The plain t-test, which takes the folds for independent draws, finds far more to."""
    rng = np.random.default_rng(20)
    corrected = plain = 0
    for _ in range(300):
        change = differences(rng)
        corrected += fold_uplifts({"auc": change}, {"auc": np.zeros_like(change)})["auc"].p < 0.05
        plain += stats.ttest_1samp(change.ravel(), 0).pvalue < 0.05
    assert 0.02 < corrected / 300 < 0.085
    assert plain / 300 > 0.2
