"""What partial scores tell of a partner's bins, to a bank that knows the coefficients and what stands for each bin.

A row's bins are told if no other bins give the same rounded scores in all releases. Where there are few combinations of
bins, all are tried. Where there are more, the number of others that agree is estimated: scores of a combination drawn
at random are taken to be normal, with the rounding's own variance added, and the number of agreeing ones Poisson.
"""

from collections.abc import Sequence
from math import log, prod
from typing import Final

import numpy as np

from protocol.algorithms.glm import MOST_DECIMALS, rounded
from protocol.messages import F64, I64

_MOST: Final = 1 << 22
"""Scores that are tried: combinations times releases."""


def share_told(values: Sequence[Sequence[int]], coefficients: I64, scores: I64, decimals: Sequence[int]) -> float:
    """Share of the rows whose bins the releases tell.

    values: what stands for each bin, a column. coefficients: shape (T, d), of T releases. scores: the partial scores as
    released, in 10^-decimals of each release, shape (T, rows).
    """
    distinct = [np.array(sorted(set(column)), dtype=np.int64) for column in values]
    if not len(coefficients) or not scores.shape[1]:
        return 0.0
    if prod(len(column) for column in distinct) * len(coefficients) <= _MOST:
        return _tried(distinct, coefficients, scores, decimals)
    return _estimated(distinct, coefficients, scores, decimals)


def _tried(distinct: Sequence[I64], coefficients: I64, scores: I64, decimals: Sequence[int]) -> float:
    """Exact: every combination's scores, and how many of them agree with each row's."""
    sums = np.zeros((1, len(coefficients)), dtype=np.int64)
    for column, slopes in zip(distinct, coefficients.T, strict=True):
        sums = (sums[:, None] + column[None, :, None] * slopes).reshape(-1, len(coefficients))
    shown = np.stack([rounded(s, d) for s, d in zip(sums.T, decimals, strict=True)], axis=1)
    possible, counts = np.unique(_names(shown), return_counts=True)
    asked = _names(np.ascontiguousarray(scores.T))
    at = np.minimum(np.searchsorted(possible, asked), len(possible) - 1)
    return float(((possible[at] == asked) & (counts[at] == 1)).mean())


def _names(rows: I64) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    """Each row as one value that can be sorted."""
    whole = np.ascontiguousarray(rows)
    return whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1])))[:, 0]


def _estimated(distinct: Sequence[I64], coefficients: I64, scores: I64, decimals: Sequence[int]) -> float:
    """The mean chance that no other combination agrees."""
    slopes = coefficients / 10.0 ** (MOST_DECIMALS - np.array(decimals))[:, None]
    means, variances = np.array([c.mean() for c in distinct]), np.array([c.var() for c in distinct])
    covariance = (slopes * variances) @ slopes.T + np.eye(len(slopes)) / 12.0
    apart: F64 = scores - (slopes @ means)[:, None]
    _, log_det = np.linalg.slogdet(2.0 * np.pi * covariance)
    distance = (apart * np.linalg.solve(covariance, apart)).sum(axis=0)
    others = sum(log(len(column)) for column in distinct) - 0.5 * (log_det + distance)
    return float(np.exp(-np.exp(np.minimum(others, 50.0))).mean())
