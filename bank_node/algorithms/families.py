"""The families of generalised linear models, each with its canonical link: what a step of a fit asks of its loss.

Source: McCullagh and Nelder (1989), ch. 2.2; under a canonical link the observed information is the expected one.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from protocol.messages import F64

_FURTHEST: Final = 700.0
"""exp of more overflows."""


@dataclass(frozen=True)
class Family:
    """labels, weights: of the rows that are fitted on, shape (n,). eta: the linear predictor, shape (n,)."""

    name: Literal["logistic", "linear", "poisson"]
    labels: F64
    weights: F64

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

    def base(self) -> float:
        """The intercept of the model without columns."""
        mean = float((self.weights * self.labels).sum() / self.weights.sum())
        match self.name:
            case "logistic":
                return float(np.log(mean / (1.0 - mean)))
            case "linear":
                return mean
        return float(np.log(max(mean, 1e-6)))

    def dispersion(self, eta: F64, parameters: int) -> float:
        """By which the inverse of the information is multiplied: 1, or the residual variance of a linear model."""
        if self.name != "linear":
            return 1.0
        squares = float((self.weights * (self.labels - eta) ** 2).sum())
        return squares / max(1.0, len(self.labels) - parameters)

    def separated(self, eta: F64) -> bool:
        """Whether a 0/1 label is told without error: the likelihood then has no maximum."""
        return self.name == "logistic" and float(np.abs(self.labels - self.mean(eta)).max()) < 1e-2
