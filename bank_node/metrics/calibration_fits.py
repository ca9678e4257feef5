"""Fitting the map from score to probability of default on the validation part: two kinds, compared, one chosen.

| map | is |
|---|---|
| platt | sigmoid(slope x log-odds of the score + intercept), by maximum likelihood on Platt's smoothed targets |
| isotonic | the best map that never falls, by pooling adjacent violators; straight lines between its knots |

The two are compared by what five-fold cross-validation within the validation part says of them, and the one of the
smaller log loss is fitted anew on all of it. Nothing here depends on the order of the rows, so that anyone gets the
same map from `scores.csv`.

Source: Platt, Probabilistic outputs for support vector machines, 1999; Barlow et al., Statistical inference under
order restrictions, 1972; Niculescu-Mizil and Caruana, ICML 2005.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bank_node.models.calibration import Calibration, log_odds, logistic, pd_of
from protocol.messages import F64, I64

METHODS: Final = ("platt", "isotonic")
LEAST_OF_A_CLASS: Final = 20
"""Goods, and bads, that a validation part must have."""
GROUPS: Final = 10
"""Of equal size by probability, in the expected calibration error."""
_FOLDS: Final = 5
_STEPS: Final = 100
_LEAST: Final = 1e-12
_ENOUGH: Final = 1e-15
"""Of the loss: an improvement below it ends the search."""


@dataclass(frozen=True)
class Calibrations:
    """The map chosen, all that were fitted, and how they compare.

    compared: figures of `quality` by map, "score" being the score as it stands; each judged on rows it was not
    fitted to.
    """

    chosen: Calibration
    fitted: dict[str, Calibration]
    compared: dict[str, dict[str, float]]

    def pds(self, score: F64) -> dict[str, F64]:
        """What each map makes of scores, and the scores themselves."""
        return {"score": score, **{name: pd_of(fitted, score) for name, fitted in self.fitted.items()}}


def calibrate(label: npt.NDArray[Any], score: F64, weight: F64 | None) -> Calibrations | None:
    """The maps of a validation part, each argument of shape (n,); None where a class has too few rows."""
    weight = np.ones(len(score)) if weight is None else weight
    order = np.lexsort((weight, score, label))
    order = order[weight[order] > 0]
    label, score, weight = label[order].astype(np.float64), score[order], weight[order]
    if min(int(label.sum()), int((1 - label).sum())) < LEAST_OF_A_CLASS:
        return None
    folds = np.arange(len(label)) % _FOLDS
    compared = {"score": quality(label, score, weight)}
    for method in METHODS:
        held_out = np.empty(len(label))
        for fold in range(_FOLDS):
            rest, here = folds != fold, folds == fold
            held_out[here] = pd_of(_fit(method, label[rest], score[rest], weight[rest]), score[here])
        compared[method] = quality(label, held_out, weight)
    fitted = {method: _fit(method, label, score, weight) for method in METHODS}
    best = min(METHODS, key=lambda method: compared[method]["logloss"])
    return Calibrations(fitted[best], fitted, compared)


def quality(label: F64, pd: F64, weight: F64) -> dict[str, float]:
    """Log loss, Brier score and expected calibration error of probabilities."""
    total = float(weight.sum())
    gaps = np.bincount(groups_of(pd), weight * (pd - label))
    return {
        "logloss": float((weight * log_losses(label, pd)).sum()) / total,
        "brier": float((weight * (pd - label) ** 2).sum()) / total,
        "ece": float(np.abs(gaps).sum()) / total,
    }


def log_losses(label: F64, pd: F64) -> F64:
    """-ln of the probability given to each row's own label, at least 1e-12; shape (n,)."""
    losses: F64 = -np.log(np.maximum(np.where(label > 0, pd, 1 - pd), _LEAST))
    return losses


def groups_of(pd: F64) -> I64:
    """Number of each row's group, shape (n,): ten of equal size by ascending probability, equal ones never parted."""
    below = np.searchsorted(np.sort(pd), pd, side="left")
    groups: I64 = GROUPS * below // len(pd)
    return groups


def _fit(method: str, label: F64, score: F64, weight: F64) -> Calibration:
    return (_platt if method == "platt" else _isotonic)(label, score, weight)


def _isotonic(label: F64, score: F64, weight: F64) -> Calibration:
    """Kept within 1 / (n + 2) of 0 and 1: no number of rows shows that an event cannot happen."""
    at, which = np.unique(score, return_inverse=True)
    weights, bads = (np.bincount(which, each).astype(np.float64) for each in (weight, weight * label))
    means, ends = pool(bads / weights, weights)
    starts = np.append(0, ends[:-1] + 1)
    knots = np.unique(np.concatenate((starts, ends)))
    floor = 1 / (len(label) + 2)
    pds = np.clip(np.repeat(means, ends - starts + 1)[knots], floor, 1 - floor)
    return Calibration(
        method="isotonic", rows=len(label), bads=int(label.sum()), scores=tuple(at[knots].tolist()),
        pds=tuple(pds.tolist()),
    )  # fmt: skip


def pool(mean: F64, weight: F64) -> tuple[F64, I64]:
    """Pool adjacent violators: the means of the blocks, rising, and the last place in each."""
    means: list[float] = []
    weights: list[float] = []
    ends: list[int] = []
    for place, (m, w) in enumerate(zip(mean.tolist(), weight.tolist(), strict=True)):
        while means and means[-1] >= m:
            before = weights.pop()
            m = (means.pop() * before + m * w) / (before + w)
            w += before
            ends.pop()
        means.append(m)
        weights.append(w)
        ends.append(place)
    return np.array(means), np.array(ends)


def _platt(label: F64, score: F64, weight: F64) -> Calibration:
    """By Newton's method, halving steps that do not help. A falling curve would turn the ranking round: level then."""
    bads, goods = float(weight @ label), float(weight @ (1 - label))
    target = np.where(label > 0, (bads + 1) / (bads + 2), 1 / (goods + 2))
    slope, intercept = _newton(log_odds(score), target, weight)
    if slope < 0:
        mean = float(weight @ target) / (bads + goods)
        slope, intercept = 0.0, float(np.log(mean / (1 - mean)))
    return Calibration(method="platt", rows=len(label), bads=int(label.sum()), slope=slope, intercept=intercept)


def _newton(x: F64, target: F64, weight: F64) -> tuple[float, float]:
    """Slope and intercept of the smallest cross-entropy."""

    def loss(slope: float, intercept: float) -> float:
        z = slope * x + intercept
        return float((weight * (np.logaddexp(0, z) - target * z)).sum())

    slope, intercept = 1.0, 0.0
    now = loss(slope, intercept)
    for _ in range(_STEPS):
        step = _step(x, weight, weight * (logistic(slope * x + intercept) - target), slope * x + intercept)
        size = 1.0
        while size > _LEAST and loss(slope - size * step[0], intercept - size * step[1]) > now:
            size /= 2
        slope, intercept = slope - size * step[0], intercept - size * step[1]
        before, now = now, loss(slope, intercept)
        if before - now <= _ENOUGH * abs(before):
            break
    return slope, intercept


def _step(x: F64, weight: F64, residual: F64, z: F64) -> tuple[float, float]:
    """Newton's, of slope and intercept; a touch of ridge keeps scores that are all alike from dividing by 0."""
    curve = weight * logistic(z) * logistic(-z)
    a, b, c = float((curve * x * x).sum()), float((curve * x).sum()), float(curve.sum())
    ridge = 1e-10 * (a + c) + _LEAST
    a, c = a + ridge, c + ridge
    down, across = float((residual * x).sum()), float(residual.sum())
    size = a * c - b * b
    return (c * down - b * across) / size, (a * across - b * down) / size
