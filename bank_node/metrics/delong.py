"""Variance of AUC without resampling, also of differences between AUCs on the same rows.

DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) in the fast form by midranks of Sun and Xu (IEEE Signal
Processing Letters 21, 2014): O(n log n) instead of one comparison a (bad, good) pair. Where a customer has several
rows, these are no independent draws: what they add to the AUC is summed by customer before its variance is taken, as in
Obuchowski (Biometrics 53, 1997).
"""

from collections.abc import Sequence

import numpy as np

from protocol.messages import F64, I64, U8


def delong(label: U8, scores: Sequence[F64], customer: I64 | None = None) -> tuple[F64, F64]:
    """AUC of each of k scores of the same rows, shape (k,), and their covariance, shape (k, k).

    label: 1 = bad, shape (n,), at least two rows of each class. scores: each of shape (n,). customer: whose each row
    is, from 0, where some have several.
    """
    bad = label > 0
    placements = [_placements(bad, score) for score in scores]
    of_bads = np.stack([bads for bads, _ in placements])
    of_goods = np.stack([goods for _, goods in placements])
    m, n = of_bads.shape[1], of_goods.shape[1]
    if customer is not None:
        return of_bads.mean(axis=1), _of_customers(bad, of_bads, of_goods, customer)
    covariance = np.atleast_2d(np.cov(of_bads)) / m + np.atleast_2d(np.cov(of_goods)) / n
    return of_bads.mean(axis=1), covariance


def _of_customers(bad: np.typing.NDArray[np.bool_], of_bads: F64, of_goods: F64, customer: I64) -> F64:
    """Covariance of the AUCs, by the sum of what each customer's rows add to them, shape (k, k)."""
    added = np.empty((len(of_bads), len(bad)))
    for rows, placed in ((bad, of_bads), (~bad, of_goods)):
        added[:, rows] = (placed - placed.mean(axis=1, keepdims=True)) / placed.shape[1]
    total = np.stack([np.bincount(customer, weights=line) for line in added])
    customers = total.shape[1]
    covariance: F64 = total @ total.T * customers / (customers - 1)
    return covariance


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
