"""What a leaf is worth: its best value, and the loss that it saves, within caps and bounds.

A leaf's value before shrinkage is w = -T(G) / (H + lambda), T the soft threshold at alpha; `max_delta_step` caps
its size. Monotone splits above a node leave its leaves an interval, as in XGBoost: a split on a column with a
direction divides the interval at the mean of its two sides' values, the lower half for the one side, the upper for
the other. So the model is monotone in that column, whatever noise the sums had when the split was chosen.

Source: Chen and Guestrin, arXiv:1603.02754, eq. 5; XGBoost `src/tree/{param.h,split_evaluator.h}`.
"""

from dataclasses import dataclass, replace
from math import copysign, inf

import numpy as np

from protocol.algorithms.parameters import BoostingParams
from protocol.messages import F64


@dataclass(frozen=True)
class Leaves:
    """How leaves are valued below one node.

    monotone: whether any column of the model has a direction. low, high: what the splits above have left.
    """

    params: BoostingParams
    monotone: bool = False
    low: float = -inf
    high: float = inf

    def weights(self, g: F64, h: F64) -> F64:
        """Best value of a leaf before shrinkage, shape as g."""
        below = np.maximum(h, 0.0) + self.params.reg_lambda
        raw = np.divide(-_thresholded(g, self.params.reg_alpha), below, out=np.zeros_like(g), where=below > 0)
        if self.params.step_cap:
            raw = np.clip(raw, -self.params.step_cap, self.params.step_cap)
        return np.clip(raw, self.low, self.high)

    def scores(self, g: F64, h: F64) -> F64:
        """Twice the loss that a leaf's value saves, shape as g."""
        below = np.maximum(h, 0.0) + self.params.reg_lambda
        if not self.monotone and not self.params.step_cap:
            t = _thresholded(g, self.params.reg_alpha)
            return np.divide(t**2, below, out=np.zeros_like(g), where=below > 0)
        w = self.weights(g, h)
        saved: F64 = -(2.0 * g * w + below * w**2)
        return np.where(h > 0, saved, 0.0)

    def value(self, g: float, h: float) -> float:
        """Value of one leaf before shrinkage; 0 where nothing is summed."""
        below = h + self.params.reg_lambda
        if not h > 0 or not below > 0:
            return 0.0
        value = -copysign(max(abs(g) - self.params.reg_alpha, 0.0), g) / below
        if self.params.step_cap:
            value = min(max(value, -self.params.step_cap), self.params.step_cap)
        return min(max(value, self.low), self.high)

    def beside(self, left: float, right: float, direction: int) -> tuple["Leaves", "Leaves"]:
        """How leaves are valued on the two sides of a split; left, right: the values of the sides as leaves."""
        if not direction:
            return self, self
        middle = (left + right) / 2
        lower, upper = replace(self, high=middle), replace(self, low=middle)
        return (lower, upper) if direction > 0 else (upper, lower)


def _thresholded(g: F64, alpha: float) -> F64:
    """Soft threshold of a gradient sum: what L1 leaves of it."""
    if not alpha:
        return g
    return np.sign(g) * np.maximum(np.abs(g) - alpha, 0.0)
