"""What partial scores tell of a partner's bins, to a bank that knows the coefficients and what stands for each bin.

A row's bins are told if no other bins give the same rounded scores in all releases. Where there are few combinations of
bins, all are tried. Where there are more, the number of others that agree is estimated: scores of a combination drawn
at random are taken to be normal, with the rounding's own variance added, and the number of agreeing ones Poisson.

Under masks the bank has the sum of several partners' scores, each rounded by itself: a row's bins are then told if no
other bins, of all columns of the partners that hold it, give the same sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod
from typing import Final

import numpy as np

from protocol.algorithms.glm import MOST_DECIMALS, rounded
from protocol.messages import F64, I64

_MOST: Final = 1 << 22
"""Scores that are tried: combinations times releases."""


@dataclass(frozen=True)
class Columns:
    """One partner's. values: what stands for each bin, a column. coefficients: in millionths, of T releases, shape
    (T, d); 0 where it took no part. decimals: to which it rounded, shape (T,)."""

    values: Sequence[Sequence[int]]
    coefficients: I64
    decimals: I64

    @property
    def distinct(self) -> list[I64]:
        """What may stand in each column, each value once."""
        return [np.array(sorted(set(column)), dtype=np.int64) for column in self.values]

    @property
    def steps(self) -> I64:
        """The unit to which it rounded, in 1 / UNIT, shape (T,)."""
        return np.asarray(10 ** (MOST_DECIMALS - self.decimals), dtype=np.int64)


def told_rows(partners: Sequence[Columns], scores: I64) -> F64:
    """The chance of each row that its bins are told, shape (rows,); 0 or 1 where all combinations could be tried.

    scores: sums of the partners', in 1 / UNIT, shape (T, rows).
    """
    if not scores.size:
        return np.zeros(scores.shape[1])
    if prod(len(column) for one in partners for column in one.distinct) * len(scores) <= _MOST:
        return _tried(partners, scores)
    return _estimated(partners, scores)


def _tried(partners: Sequence[Columns], scores: I64) -> F64:
    """Exact: every combination's scores, and how many of them agree with each row's."""
    sums = np.zeros((1, len(scores)), dtype=np.int64)
    for one in partners:
        sums = (sums[:, None] + _combinations(one)[None]).reshape(-1, len(scores))
    possible, counts = np.unique(_names(sums), return_counts=True)
    asked = _names(np.ascontiguousarray(scores.T))
    at = np.minimum(np.searchsorted(possible, asked), len(possible) - 1)
    return np.asarray((possible[at] == asked) & (counts[at] == 1), dtype=np.float64)


def _combinations(one: Columns) -> I64:
    """The scores of every combination of a partner's bins, rounded, shape (combinations, T)."""
    sums = np.zeros((1, len(one.coefficients)), dtype=np.int64)
    for column, slopes in zip(one.distinct, one.coefficients.T, strict=True):
        sums = (sums[:, None] + column[None, :, None] * slopes).reshape(-1, len(one.coefficients))
    shown = [rounded(s, d) * step for s, d, step in zip(sums.T, one.decimals.tolist(), one.steps.tolist(), strict=True)]
    return np.stack(shown, axis=1)


def _names(rows: I64) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    """Each row as one value that can be sorted."""
    whole = np.ascontiguousarray(rows)
    return whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1])))[:, 0]


def _estimated(partners: Sequence[Columns], scores: I64) -> F64:
    """The chance that no other combination agrees."""
    unit = np.min([one.steps for one in partners], axis=0)[:, None].astype(np.float64)
    covariance, means = np.zeros((len(unit), len(unit))), np.zeros_like(unit)
    for one in partners:
        slopes = one.coefficients / unit
        covariance += (slopes * np.array([c.var() for c in one.distinct])) @ slopes.T
        rounding = (one.steps / unit[:, 0]) ** 2 * one.coefficients.any(axis=1)
        covariance += np.diag(rounding) / 12.0
        means += (slopes @ np.array([c.mean() for c in one.distinct]))[:, None]
    apart: F64 = scores / unit - means
    _, log_det = np.linalg.slogdet(2.0 * np.pi * covariance)
    distance = (apart * np.linalg.solve(covariance, apart)).sum(axis=0)
    combinations = sum(log(len(column)) for one in partners for column in one.distinct)
    others = combinations - 0.5 * (log_det + distance)
    return np.asarray(np.exp(-np.exp(np.minimum(others, 50.0))))
