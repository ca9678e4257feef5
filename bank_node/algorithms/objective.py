"""Objectives: gradient and hessian of the loss at the current margin."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protocol.messages import F64


@dataclass(frozen=True)
class Logistic:
    """Log loss of a 0/1 label; XGBoost's `binary:logistic`.

    labels: shape (n,). weights: of the rows, shape (n,). scale_pos_weight: multiplies the gradients of the bads, and
    not their weight in a metric.
    """

    labels: F64
    weights: F64
    scale_pos_weight: float = 1.0
    name: str = "binary:logistic"

    @cached_property
    def _scaled(self) -> F64:
        return self.weights * np.where(self.labels > 0, self.scale_pos_weight, 1.0)

    def gradients(self, margin: F64) -> tuple[F64, F64]:
        """(g, h), each of shape (n,), at the margin (log-odds), shape (n,)."""
        p = self.predict(margin)
        return (p - self.labels) * self._scaled, np.maximum(p * (1 - p), 1e-16) * self._scaled

    def base(self, rows: F64) -> float:
        """The margin of the constant model: log-odds of the weighted bad rate. rows: 1 where fitted on, else 0."""
        weights = rows * self._scaled
        rate = float((self.labels * weights).sum() / weights.sum())
        return float(np.log(rate / (1 - rate)))

    def predict(self, margin: F64) -> F64:
        """Probability of a bad at a margin, shape (n,)."""
        return 1.0 / (1.0 + np.exp(-margin))

    def loss(self, margin: F64, rows: F64) -> float:
        """Mean log loss over rows, weighted."""
        signed = np.where(self.labels > 0, margin, -margin)
        return float((np.logaddexp(0.0, -signed) * rows).sum() / rows.sum())
