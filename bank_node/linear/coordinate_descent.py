"""A step of a fit with an L1 penalty: the quadratic model's minimum, with exact zeros.

minimise over b:   -slope'(b - now) + (b - now)' matrix (b - now) / 2 + sum of threshold_j |b_j|

by coordinate descent: one coefficient at a time goes to its own minimum, which soft thresholding gives. An L2 penalty
is part of slope and matrix. A threshold of infinity holds a coefficient at 0, one of 0 (the intercept's) is no penalty.

Source: Friedman, Hastie and Tibshirani, Regularization Paths for Generalized Linear Models via Coordinate Descent
(2010); Lee, Sun and Saunders, Proximal Newton-Type Methods (2014): such steps end where the penalised likelihood does.
"""

from typing import Final

import numpy as np

from protocol.messages import F64

_SETTLED: Final = 1e-9
"""Sweeps end when no coefficient moves by more than this, in the scale of its own curvature."""
_SWEEPS: Final = 5_000


def penalised_minimum(matrix: F64, slope: F64, now: F64, threshold: F64) -> F64:
    """The coefficients at the minimum, shape (p,). matrix: shape (p, p). slope, now, threshold: shape (p,)."""
    size = np.diag(matrix)
    free = np.flatnonzero((size > 0) & np.isfinite(threshold))
    found = np.where(np.isfinite(threshold), now, 0.0)
    left = slope - matrix @ (found - now)
    for _ in range(_SWEEPS):
        furthest = 0.0
        for j in free:
            pull = left[j] + size[j] * found[j]
            moved = float(np.sign(pull)) * max(0.0, abs(float(pull)) - threshold[j]) / size[j] - found[j]
            if moved:
                found[j] += moved
                left -= matrix[j] * moved
                furthest = max(furthest, abs(moved) * float(np.sqrt(size[j])))
        if furthest <= _SETTLED:
            break
    return found
