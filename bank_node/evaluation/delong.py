"""Variance of AUC without resampling, also of differences between AUCs on the same rows.

DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) in the fast form by midranks of Sun and Xu (IEEE Signal
Processing Letters 21, 2014): O(n log n) instead of one comparison a (bad, good) pair.
"""

from collections.abc import Sequence

import numpy as np

from protocol.messages import F64, U8


def delong(label: U8, scores: Sequence[F64]) -> tuple[F64, F64]:
    """AUC of each of k scores of the same rows, shape (k,), and their covariance, shape (k, k).

    label: 1 = bad, shape (n,), at least two rows of each class. scores: each of shape (n,).
    """
    bad = label > 0
    placements = [_placements(bad, score) for score in scores]
    of_bads = np.stack([bads for bads, _ in placements])
    of_goods = np.stack([goods for _, goods in placements])
    m, n = of_bads.shape[1], of_goods.shape[1]
    covariance = np.atleast_2d(np.cov(of_bads)) / m + np.atleast_2d(np.cov(of_goods)) / n
    return of_bads.mean(axis=1), covariance


def _placements(bad: np.typing.NDArray[np.bool_], score: F64) -> tuple[F64, F64]:
    """Share of goods below each bad, shape (m,), and of bads above each good, shape (n,); ties count half."""
    bads, goods = score[bad], score[~bad]
    pooled = _midranks(score)
    below = (pooled[bad] - _midranks(bads)) / len(goods)
    above = 1 - (pooled[~bad] - _midranks(goods)) / len(bads)
    return below, above


def _midranks(values: F64) -> F64:
    """Ranks from 1, the mean rank for equal values, shape of `values`."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: F64 = (last - (counts - 1) / 2)[place]
    return middle
