"""An elastic net over a joined table, by means of its own: the reference that `fedwarn check glm` holds a fit against.

L-BFGS-B over the coefficients' positive and negative parts, in which the penalty is smooth, finds which are 0; Newton
steps over the others then leave nothing of its tolerance.
"""

import numpy as np
from scipy.optimize import minimize

from bank_node.linear.glm_families import Family
from protocol.messages import F64


def elastic_net(x: F64, family: Family, ridge: float, lasso: float) -> F64:
    """Coefficients that minimise loss + ridge / 2 * |b|^2 + lasso * |b|_1, of all but the first; shape (p,)."""
    count = x.shape[1]
    penalised = np.arange(count) > 0

    def loss(parts: F64) -> tuple[float, F64]:
        b = parts[:count] - parts[count:]
        eta, kept = x @ b + family.given, b * penalised
        slope = ridge * kept - x.T @ family.residual(eta)
        gradient = np.concatenate((slope, -slope)) + lasso * np.tile(penalised, 2)
        value = family.loss(eta) + 0.5 * ridge * float(kept @ kept) + lasso * float(parts[np.tile(penalised, 2)].sum())
        return value, gradient

    start = np.zeros(2 * count)
    start[0], start[count] = max(family.base(), 0.0), max(-family.base(), 0.0)
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-7 * len(x), "maxcor": 30}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * count), options=options).x
    return _polished(x, family, found[:count] - found[count:], ridge, lasso)


def _polished(x: F64, family: Family, b: F64, ridge: float, lasso: float) -> F64:
    """Newton steps over the coefficients that are not 0, whose signs stay."""
    kept = (np.abs(b) > 1e-6) | (np.arange(len(b)) == 0)
    signs = np.sign(b) * lasso
    signs[0], shrink = 0.0, np.full(len(b), ridge)
    shrink[0] = 0.0
    out = np.where(kept, b, 0.0)
    for _ in range(20):
        eta = x @ out + family.given
        slope = x.T @ family.residual(eta) - shrink * out - signs
        curvature = x[:, kept].T @ (x[:, kept] * family.weight(eta)[:, None]) + np.diag(shrink[kept])
        out[kept] += np.linalg.solve(curvature, slope[kept])
    return out
