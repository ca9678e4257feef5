"""Figures over folds: the mean of a metric over the models of a rung, each judged on the rows it was not fitted on.

The training rows are cut into k folds, r times. The folds of a cut share most of their training rows, and cuts share
all of them, so that the r k values are no independent draws: the variance of their mean is taken as
(1/(r k) + 1/(k - 1)) times that of the values, and interval and test are Student's with r k - 1 degrees of freedom.
However often the rows are cut, the second term stays: repeats take the chance of one cut away, and add no rows.
Sources: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003; Bouckaert and Frank,
Evaluating the replicability of significance tests for comparing learning algorithms, PAKDD 2004 (several cuts).
"""

from collections.abc import Sequence
from math import atan, cos, pi, sin, sqrt

import numpy as np

from bank_node.metrics.intervals import LEVEL, Metric, Uplift, bounds_of, point_estimates
from bank_node.metrics.scores import Key, Scored
from protocol.messages import F64

Values = dict[Key, dict[str, F64]]
"""By rung and model, then by metric: a value a fold of each cut, shape (r, k)."""


def fold_values(scored: Scored, alert_rates: Sequence[float]) -> Values:
    """Every metric of every rung on every fold; none where the run had no folds."""
    found = [point_estimates(fold, alert_rates) for _, fold in sorted(scored.folds.items())]
    keys, shape = found[0] if found else {}, (len({cut for cut, _ in scored.folds}), -1)
    return {key: {name: np.array([f[key][name] for f in found]).reshape(shape) for name in keys[key]} for key in keys}


def fold_metrics(values: dict[str, F64]) -> dict[str, Metric]:
    """Mean and interval of every metric."""
    return {name: _metric(name, each) for name, each in values.items()}


def _metric(name: str, values: F64) -> Metric:
    found, (floor, ceiling) = _interval(values), bounds_of(name)
    found |= {"low": max(found["low"], floor), "high": min(found["high"], ceiling)}
    return Metric(method=_method(values), **found)


def fold_uplifts(values: dict[str, F64], base: dict[str, F64]) -> dict[str, Uplift]:
    """Mean and interval of every difference to the base, fold by fold."""
    found = {}
    for name in values:
        change = values[name] - base[name]
        found[name] = Uplift(method=f"paired {_method(change)}", p=_p_value(change), **_interval(change))
    return found


def two_sided(t: float, freedom: int) -> float:
    """P(|T| <= t) of Student's distribution. Source: Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = atan(t / sqrt(freedom))
    if freedom == 1:
        return 2 * angle / pi
    term = total = 1.0 if freedom % 2 == 0 else cos(angle)
    for j in range(2 if freedom % 2 == 0 else 3, freedom, 2):
        term *= (j - 1) / j * cos(angle) ** 2
        total += term
    if freedom % 2 == 0:
        return sin(angle) * total
    return 2 / pi * (angle + sin(angle) * total)


def quantile(level: float, freedom: int) -> float:
    """The t with P(|T| <= t) = level, by bisection."""
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) < level else (low, middle)
    return (low + high) / 2


def _interval(values: F64) -> dict[str, float]:
    mean, reach = float(values.mean()), quantile(LEVEL, values.size - 1) * _deviation(values)
    return {"value": mean, "low": mean - reach, "high": mean + reach}


def _deviation(values: F64) -> float:
    """Of the mean, with the correction for shared training rows: k - 1 parts are fitted on for each that is judged."""
    return sqrt((1 / values.size + 1 / (values.shape[1] - 1)) * float(values.var(ddof=1)))


def _p_value(change: F64) -> float:
    deviation = _deviation(change)
    if deviation == 0.0:
        return float(change.mean() == 0.0)
    return 1.0 - two_sided(abs(float(change.mean())) / deviation, change.size - 1)


def _method(values: F64) -> str:
    cuts, k = values.shape
    return f"mean of {f'{cuts} x ' if cuts > 1 else ''}{k} folds, corrected t"
