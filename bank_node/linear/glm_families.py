"""The families of generalised linear models, each with its canonical link: what a step of a fit asks of its loss.

Source: McCullagh and Nelder (1989), ch. 2.2; under a canonical link the observed information is the expected one.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from protocol.messages import F64

_FURTHEST: Final = 700.0
"""exp of more overflows."""
_HALVINGS: Final = 100


@dataclass(frozen=True)
class Family:
    """labels, weights: of the rows that are fitted on, shape (n,). eta: the linear predictor, shape (n,), of which
    offset is a part that is given."""

    name: Literal["logistic", "linear", "poisson"]
    labels: F64
    weights: F64
    offset: F64 | None = None

    def mean(self, eta: F64) -> F64:
        """Expected label."""
        match self.name:
            case "logistic":
                return np.asarray(1.0 / (1.0 + np.exp(-np.clip(eta, -_FURTHEST, _FURTHEST))))
            case "linear":
                return eta
        return np.asarray(np.exp(np.clip(eta, -_FURTHEST, _FURTHEST)))

    def residual(self, eta: F64) -> F64:
        """Derivative of the log-likelihood."""
        return np.asarray(self.weights * (self.labels - self.mean(eta)))

    def weight(self, eta: F64) -> F64:
        """Its curvature, with the sign turned."""
        mean = self.mean(eta)
        match self.name:
            case "logistic":
                return np.asarray(self.weights * mean * (1.0 - mean))
            case "linear":
                return self.weights
        return np.asarray(self.weights * mean)

    def loss(self, eta: F64) -> float:
        """Minus the log-likelihood, without what does not depend on eta."""
        match self.name:
            case "logistic":
                each = np.logaddexp(0.0, eta) - self.labels * eta
            case "linear":
                each = 0.5 * (self.labels - eta) ** 2
            case _:
                each = np.exp(np.clip(eta, -_FURTHEST, _FURTHEST)) - self.labels * eta
        return float((self.weights * each).sum())

    def deviance(self, eta: F64) -> float:
        """Twice what the log-likelihood lacks of the largest one there could be."""
        best = self.labels - self.labels * np.log(np.where(self.labels > 0, self.labels, 1.0))
        saturated = float((self.weights * best).sum()) if self.name == "poisson" else 0.0
        return 2.0 * (self.loss(eta) - saturated)

    @property
    def given(self) -> F64:
        """What of the linear predictor no coefficient changes, shape (n,)."""
        return np.zeros(len(self.labels)) if self.offset is None else self.offset

    def constant(self) -> F64:
        """The linear predictor of the model without columns, shape (n,)."""
        return self.base() + self.given

    def base(self) -> float:
        """The intercept of the model without columns."""
        offset = np.zeros(1) if self.offset is None else self.offset
        total = float(self.weights.sum())
        mean = float((self.weights * self.labels).sum() / total)
        match self.name:
            case "logistic":
                odds = float(np.log(mean / (1.0 - mean)))
                return odds if self.offset is None else self._balanced(odds - offset.max(), odds - offset.min())
            case "linear":
                return mean - float((self.weights * offset).sum() / total) if self.offset is not None else mean
        if self.offset is not None:
            mean /= float((self.weights * np.exp(np.clip(offset, -_FURTHEST, _FURTHEST))).sum() / total)
        return float(np.log(max(mean, 1e-6)))

    def _balanced(self, low: float, high: float) -> float:
        """The intercept between two at which residuals sum to nothing, by halving."""
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            above = float(self.residual(middle + self.given).sum()) > 0
            low, high = (middle, high) if above else (low, middle)
        return 0.5 * (low + high)

    def dispersion(self, eta: F64, parameters: int) -> float:
        """By which the inverse of the information is multiplied: 1, or the residual variance of a linear model."""
        if self.name != "linear":
            return 1.0
        squares = float((self.weights * (self.labels - eta) ** 2).sum())
        return squares / max(1.0, len(self.labels) - parameters)

    def separated(self, eta: F64) -> bool:
        """Whether a 0/1 label is told without error: the likelihood then has no maximum."""
        return self.name == "logistic" and float(np.abs(self.labels - self.mean(eta)).max()) < 1e-2
