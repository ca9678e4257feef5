"""Objectives: gradient and hessian of the loss at the current margin, as XGBoost's objectives of the same names.

A margin has shape (n,); (n, K) under an objective of K classes, which grows K trees a round. Losses are convex with
h >= 0. Except for classes, g is bounded by nothing that can be known beforehand: every tree's plan takes its bounds
from the rows of that tree (protocol/he/plan.py), and so does the noise.

Source: XGBoost `src/objective/{regression_loss.h,regression_obj.cu,multiclass_obj.cu}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np

from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError
from protocol.job import JobModel
from protocol.messages import F64

Base = float | tuple[float, ...]
_LEAST_HESSIAN: Final = 1e-16


class Objective(Protocol):
    """What a training asks of its loss. labels, weights: of the rows, shape (n,). outputs: margins a row."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> F64: ...
    @property
    def weights(self) -> F64: ...
    @property
    def outputs(self) -> int: ...

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """(g, h), each of the margin's shape."""

    def base(self, rows: F64) -> Base:
        """The margin of the best constant model over the rows that are 1, shape (n,), and not 0."""

    def margin_of(self, prediction: float) -> Base:
        """The margin of a constant prediction: base_score."""

    def predict(self, margin: F64) -> F64:
        """Predictions at a margin, shape as it."""


@dataclass(frozen=True)
class Logistic:
    """Log loss of a 0/1 label; `binary:logistic`. scale_pos_weight: multiplies the gradients of the bads."""

    labels: F64
    weights: F64
    scale_pos_weight: float = 1.0
    name: str = "binary:logistic"
    outputs: int = 1

    @cached_property
    def _scaled(self) -> F64:
        return self.weights * np.where(self.labels > 0, self.scale_pos_weight, 1.0)

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """The margin is the log-odds of a bad."""
        p = self.predict(margin)
        return (p - self.labels) * self._scaled, np.maximum(p * (1 - p), _LEAST_HESSIAN) * self._scaled

    def base(self, rows: F64) -> float:
        """Log-odds of the weighted bad rate."""
        weights = rows * self._scaled
        return self.margin_of(float((self.labels * weights).sum() / weights.sum()))

    def margin_of(self, prediction: float) -> float:
        """Log-odds of a probability."""
        return float(np.log(prediction / (1 - prediction)))

    def predict(self, margin: F64) -> F64:
        """Probability of a bad."""
        return _sigmoid(margin)


@dataclass(frozen=True)
class SquaredError:
    """Half the squared error; `reg:squarederror`."""

    labels: F64
    weights: F64
    name: str = "reg:squarederror"
    outputs: int = 1

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """The margin is the prediction."""
        return (margin - self.labels) * self.weights, self.weights.copy()

    def base(self, rows: F64) -> float:
        """The weighted mean."""
        return _mean(self.labels, rows * self.weights)

    def margin_of(self, prediction: float) -> float:
        """Itself."""
        return prediction

    def predict(self, margin: F64) -> F64:
        """The margin itself."""
        return margin


@dataclass(frozen=True)
class _LogLink:
    """What losses of a logarithmic link have in common: the prediction is exp(margin)."""

    labels: F64
    weights: F64

    def base(self, rows: F64) -> float:
        """Logarithm of the weighted mean."""
        return self.margin_of(max(_mean(self.labels, rows * self.weights), 1e-6))

    def margin_of(self, prediction: float) -> float:
        """Its logarithm."""
        return float(np.log(prediction))

    def predict(self, margin: F64) -> F64:
        """Expected value."""
        return np.exp(margin)


@dataclass(frozen=True)
class Poisson(_LogLink):
    """Poisson deviance of counts; `count:poisson`. max_delta_step: also damps the hessian, as in XGBoost."""

    max_delta_step: float = 0.7
    name: str = "count:poisson"
    outputs: int = 1

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """The margin is the logarithm of the expected count."""
        return (np.exp(margin) - self.labels) * self.weights, np.exp(margin + self.max_delta_step) * self.weights


@dataclass(frozen=True)
class Tweedie(_LogLink):
    """Tweedie deviance of amounts of which many are 0; `reg:tweedie`. power: of the variance, between 1 and 2."""

    power: float = 1.5
    name: str = "reg:tweedie"
    outputs: int = 1

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """The margin is the logarithm of the expected amount."""
        down, up = self.labels * np.exp((1 - self.power) * margin), np.exp((2 - self.power) * margin)
        h = (2 - self.power) * up - (1 - self.power) * down
        return (up - down) * self.weights, h * self.weights


@dataclass(frozen=True)
class Softprob:
    """Log loss of one of K classes; `multi:softprob`. labels: 0 .. K-1."""

    labels: F64
    weights: F64
    outputs: int
    name: str = "multi:softprob"

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """One column a class."""
        p, weights = self.predict(margin), self.weights[:, None]
        mine = self.labels[:, None] == np.arange(self.outputs)
        return (p - mine) * weights, np.maximum(2 * p * (1 - p), _LEAST_HESSIAN) * weights

    def base(self, rows: F64) -> tuple[float, ...]:
        """Logarithms of the weighted shares of the classes."""
        weights = rows * self.weights
        sums = [weights[self.labels == k].sum() for k in range(self.outputs)]
        return tuple(float(np.log(max(s / weights.sum(), 1e-6))) for s in sums)

    def margin_of(self, prediction: float) -> tuple[float, ...]:
        """The same for every class."""
        return (prediction,) * self.outputs

    def predict(self, margin: F64) -> F64:
        """Probability of each class, shape (n, K)."""
        return _softmax(margin)


def objective_of(params: BoostingParams, labels: F64, weights: F64) -> Objective:
    """The objective that the parameters name."""
    match params.objective:
        case "binary:logistic":
            return Logistic(labels, weights, params.scale_pos_weight)
        case "reg:squarederror":
            return SquaredError(labels, weights)
        case "count:poisson":
            return Poisson(labels, weights, params.step_cap)
        case "reg:tweedie":
            return Tweedie(labels, weights, params.tweedie_variance_power)
        case "multi:softprob":
            return Softprob(labels, weights, params.num_class)


def require_labels(model: JobModel, labels: F64, bank: str) -> None:
    """Raises: DataError: labels that the objective has no loss for."""
    if model.objective in ("count:poisson", "reg:tweedie") and labels.min() < 0:
        raise DataError(bank, f"its label is negative in some rows, and {model.objective} has none", "correct them")
    if model.task == "multiclass" and labels.max() >= model.num_class:
        raise DataError(bank, f"its label has more classes than num_class, {model.num_class}", "raise num_class")


def _sigmoid(margin: F64) -> F64:
    with np.errstate(over="ignore"):  # 1 / infinity is the 0 that is meant
        return 1.0 / (1.0 + np.exp(-margin))


def _softmax(margin: F64) -> F64:
    raised = np.exp(margin - margin.max(axis=1, keepdims=True))
    shares: F64 = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _mean(values: F64, weights: F64) -> float:
    return float((values * weights).sum() / weights.sum())


RESPONSES: Final[Mapping[str, Callable[[F64], F64]]] = MappingProxyType(
    {
        "binary:logistic": _sigmoid,
        "reg:squarederror": lambda margin: margin,
        "count:poisson": np.exp,
        "reg:tweedie": np.exp,
        "multi:softprob": _softmax,
    }
)
"""Predictions at a margin, by the objective's name: what scoring needs of it."""
