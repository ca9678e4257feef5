"""A 95% interval for every metric, and for every difference between two rungs.

| metric | interval | test of a difference |
|---|---|---|
| auc, gini | DeLong, normal | paired DeLong, normal |
| ks, ece | bootstrap, normal, less the estimated bias | the same, paired |
| all others | bootstrap percentiles | share of paired draws on the other side of 0 |

KS is a maximum, so that noise can only raise it: plain percentiles of its bootstrap cover 75% at 400 rows instead
of 95%. Taking off the bias that the bootstrap itself shows brings that to 90%. Covered in simulation (AUC 0.7, 20%
bads) at 400 and at 3,000 rows: auc 95, 95; precision@0.05 95, 94; brier 93, 94; pr_auc 93, 92; ks 90, 92%. With
declared row weights DeLong does not apply, and AUC and Gini take bootstrap percentiles too. Where a customer has
several dated rows, DeLong's variance is taken over customers, and the bootstrap draws customers with all their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from bank_node.metrics.bootstrap import resample
from bank_node.metrics.delong import delong
from bank_node.metrics.measures import measure_of
from bank_node.metrics.scores import Key, Scored
from protocol.messages import F64, I64

LEVEL: Final = 0.95
_NORMAL = NormalDist()
_Z: Final = _NORMAL.inv_cdf((1 + LEVEL) / 2)
_RAISED: Final = ("ks", "ece")
_UNBOUNDED: Final = (0.0, inf)
_BOUNDS: Final = {
    "gini": (-1.0, 1.0), "lift": _UNBOUNDED, "rmse": _UNBOUNDED, "mae": _UNBOUNDED, "deviance": _UNBOUNDED,
    "mlogloss": _UNBOUNDED,
}  # fmt: skip


class Metric(BaseModel):
    """A figure and its interval."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    low: float
    high: float
    level: float = LEVEL
    method: str


class Uplift(BaseModel):
    """The difference to the base rung on the same rows; p: two-sided, of no difference."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    low: float
    high: float
    p: float
    method: str

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Estimates:
    """Points, bootstrap draws and DeLong covariances of all rungs of a run.

    points: by rung and metric. draws: shape (draws,), by rung and metric. place: row of each rung in covariance.
    covariance: of the AUCs, shape (k, k); None where DeLong does not apply. over: what is drawn, where it is not rows.
    """

    points: dict[Key, dict[str, float]]
    draws: dict[Key, dict[str, F64]]
    place: dict[Key, int]
    covariance: F64 | None
    over: str = ""

    @classmethod
    def of(cls, scored: Scored, alert_rates: Sequence[float], resamples: int, seed: int) -> Self:
        """Everything that intervals need, computed once."""
        place = {key: index for index, key in enumerate(scored.scores)}
        applies = cls.delong_applies(scored)
        covariance = delong(scored.label, list(scored.scores.values()), scored.customer)[1] if applies else None
        draws = resample(scored, alert_rates, resamples, seed)
        over = "" if scored.customer is None else " over customers"
        return cls(point_estimates(scored, alert_rates), draws, place, covariance, over)

    @staticmethod
    def delong_applies(scored: Scored) -> bool:
        """Whether AUCs have closed variances: no declared weights, two rows of each class."""
        smallest_class = min(int(scored.label.sum()), int((1 - scored.label).sum()))
        return scored.task == "binary" and scored.weight is None and smallest_class >= 2

    def metric(self, key: Key, name: str) -> Metric:
        """One metric of one rung."""
        value = self.points[key][name]
        low, high, _, method = self._interval(name, value, self.draws[key][name], {key: 1.0})
        floor, ceiling = bounds_of(name)
        return Metric(value=value, low=max(low, floor), high=min(high, ceiling), method=method + self.over)

    def uplift(self, key: Key, base: Key, name: str) -> Uplift:
        """One metric of one rung less that of the base rung."""
        return self.contrast({key: 1.0, base: -1.0} if key != base else {key: 0.0}, name)

    def contrast(self, weights: Mapping[Key, float], name: str) -> Uplift:
        """A weighted sum of one metric of several rungs, on the same rows; weights that sum to 0 make a difference."""
        value = sum(weight * self.points[key][name] for key, weight in weights.items())
        draws = np.sum([weight * self.draws[key][name] for key, weight in weights.items()], axis=0)
        low, high, p, method = self._interval(name, value, draws, weights)
        return Uplift(value=value, low=low, high=high, p=p, method=f"paired {method}{self.over}")

    def _interval(
        self, name: str, value: float, draws: F64, contrast: Mapping[Key, float]
    ) -> tuple[float, float, float, str]:
        """Low, high, p of value = 0, and the method; the interval is widened to hold the value where it would not.

        contrast: the weights of the rungs' AUCs in the value.
        """
        low, high, p, method = self._raw_interval(name, value, draws, contrast)
        return min(low, value), max(high, value), p, method

    def _raw_interval(
        self, name: str, value: float, draws: F64, contrast: Mapping[Key, float]
    ) -> tuple[float, float, float, str]:
        if name in ("auc", "gini") and self.covariance is not None:
            c = np.zeros(len(self.place))
            for key, sign in contrast.items():
                c[self.place[key]] = sign * (2 if name == "gini" else 1)
            variance = float(c @ self.covariance @ c)
            return (*_normal(value, sqrt(max(variance, 0.0))), "delong")
        if not len(draws):
            return value, value, 1.0, "none: no draw held both classes"
        return from_draws(name, value, draws)


def from_draws(name: str, value: float, draws: F64) -> tuple[float, float, float, str]:
    """Low, high, p of value = 0, and the method, from bootstrap draws; where noise can only raise a figure, less it."""
    if name in _RAISED:
        return (*_normal(2 * value - float(draws.mean()), float(draws.std())), "bootstrap bias-corrected")
    return (*percentile(draws), "bootstrap percentile")


def wilson(rate: F64, rows: F64) -> tuple[F64, F64]:
    """Low and high of shares `rate` seen among so many rows, each of shape (k,). Source: Wilson, JASA 1927."""
    widened = 1 + _Z**2 / rows
    centre = (rate + _Z**2 / (2 * rows)) / widened
    half = _Z * np.sqrt(rate * (1 - rate) / rows + _Z**2 / (4 * rows**2)) / widened
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def wilson_metric(rate: float, weight: F64, customer: I64 | None) -> Metric:
    """A share of rows with its interval. weight, customer: of the rows that it is a share of, shape (k,).

    With weights they count as many as would tell as much (Kish 1965); several rows of one customer count as one.
    """
    told = float(weight.sum()) ** 2 / float((weight**2).sum())
    told = told if customer is None else min(told, float(len(np.unique(customer))))
    low, high = (float(end[0]) for end in wilson(np.array([rate]), np.array([told])))
    return Metric(value=rate, low=min(low, rate), high=max(high, rate), method="wilson")


def bounds_of(name: str) -> tuple[float, float]:
    """Between which a metric lies by its definition."""
    return _BOUNDS.get(name.partition("@")[0], (0.0, 1.0))


def point_estimates(scored: Scored, alert_rates: Sequence[float]) -> dict[Key, dict[str, float]]:
    """Every metric of every rung, without intervals."""
    weights = (np.ones(len(scored.label)) if scored.weight is None else scored.weight)[None, :]
    found = {}
    for key in scored.scores:
        values = measure_of(scored, key, alert_rates)(weights)
        found[key] = {name: float(value[0]) for name, value in values.items()}
    return found


def _normal(centre: float, deviation: float) -> tuple[float, float, float]:
    if deviation == 0.0:
        return centre, centre, float(centre == 0.0)
    return (
        centre - _Z * deviation,
        centre + _Z * deviation,
        2 * _NORMAL.cdf(-abs(centre) / deviation),
    )


def percentile(draws: F64) -> tuple[float, float, float]:
    """p counts the observed sample as one more draw, so that it is never 0 (Davison and Hinkley 1997, 4.2)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    fewer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return float(low), float(high), min(1.0, 2 * (fewer + 1) / (len(draws) + 1))
