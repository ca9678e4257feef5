"""Means over folds and their intervals."""

import numpy as np
import pytest
from scipy import stats

from bank_node.evaluation.folds import fold_metrics, fold_uplifts, quantile, two_sided


@pytest.mark.parametrize("freedom", range(1, 20))
def test_students_distribution_is_that_of_scipy(freedom):
    for t in (0.0, 0.3, 1.0, 2.5, 40.0):
        assert two_sided(t, freedom) == pytest.approx(1 - 2 * stats.t.sf(t, freedom), abs=1e-12)
    assert quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_the_interval_is_wider_than_that_of_independent_draws():
    values = np.array([0.70, 0.72, 0.69, 0.73, 0.71])
    metric = fold_metrics({"auc": values})["auc"]
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values) * np.sqrt((1 / 5 + 1 / 4) * 5))
    assert (metric.value, metric.low, metric.high) == pytest.approx((values.mean(), low, high))
    assert metric.method == "mean of 5 folds, corrected t"


def test_an_interval_ends_where_the_metric_does():
    values = np.array([0.99, 1.0, 0.93])
    assert fold_metrics({"precision@0.01": values})["precision@0.01"].high == 1.0
    assert fold_metrics({"lift@0.01": values})["lift@0.01"].high > 1.0


def test_an_uplift_is_paired_fold_by_fold():
    base = np.array([0.60, 0.70, 0.65])
    change = fold_uplifts({"auc": base + np.array([0.05, 0.06, 0.05])}, {"auc": base})["auc"]
    assert change.shown
    assert 0 < change.p < 0.05
    none = fold_uplifts({"auc": base}, {"auc": base})["auc"]
    assert (none.value, none.low, none.high, none.p) == (0, 0, 0, 1)
